//! By when a peer must have done what is expected of it.

use std::time::Duration;

use tokio::time::Instant;

/// The deadlines of one connection.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// Of its phase: registration, then the closing handshake.
    phase: Option<Instant>,
    /// By when the peer must take something of what waits for it.
    write: Option<Instant>,
    /// By when the peer must go on with the large message that it has begun.
    message: Option<Instant>,
    /// When to look again whether there is room for the message that it has begun.
    room: Option<Instant>,
}

/// What a deadline that has passed is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Write,
    Message,
    Room,
    Phase,
}

impl Deadlines {
    /// A phase has begun, which must be over within that time.
    pub(crate) fn enter_phase(&mut self, within: Duration) {
        self.phase = Some(Instant::now() + within);
    }

    /// A phase has begun that may take for ever.
    pub(crate) fn lift_phase(&mut self) {
        self.phase = None;
    }

    /// The peer has taken all that waited for it.
    pub(crate) fn all_taken(&mut self) {
        self.write = None;
    }

    /// Something waits for the peer, which may just have taken a part.
    pub(crate) fn more_waits(&mut self, took_any: bool, within: Duration) {
        if took_any || self.write.is_none() {
            self.write = Some(Instant::now() + within);
        }
    }

    /// Whether the peer is to go on with a message; for as long as it is, one deadline holds until
    /// something comes.
    pub(crate) fn expect_more(&mut self, expects: bool, within: Duration) {
        if !expects {
            self.message = None;
        } else if self.message.is_none() {
            self.message = Some(Instant::now() + within);
        }
    }

    /// Something came, or nothing is to come any more.
    pub(crate) fn received(&mut self) {
        self.message = None;
    }

    /// When to look again for room; `None`: there is some.
    pub(crate) fn look_for_room(&mut self, at: Option<Instant>) {
        self.room = at;
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        [self.phase, self.write, self.message, self.room].into_iter().flatten().min()
    }

    /// The one that has passed; if several have, the one that ends most.
    pub(crate) fn due(&self) -> Option<Due> {
        let now = Instant::now();
        [
            (self.write, Due::Write),
            (self.message, Due::Message),
            (self.room, Due::Room),
            (self.phase, Due::Phase),
        ]
        .into_iter()
        .find_map(|(deadline, due)| (deadline? <= now).then_some(due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_soonest_is_next() {
        let mut deadlines = Deadlines::default();
        assert_eq!((deadlines.next(), deadlines.due()), (None, None));
        deadlines.enter_phase(2 * HOUR);
        let phase = deadlines.next();
        deadlines.more_waits(false, HOUR);
        assert!(phase.is_some() && deadlines.next() < phase && deadlines.due().is_none());
        deadlines.all_taken();
        assert_eq!(deadlines.next(), phase);
        deadlines.lift_phase();
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_peer_that_takes_something_has_time_again_and_one_that_takes_nothing_has_not() {
        let mut deadlines = Deadlines::default();
        deadlines.more_waits(false, HOUR);
        let first = deadlines.next();
        deadlines.more_waits(false, 2 * HOUR);
        assert_eq!(deadlines.next(), first);
        deadlines.more_waits(true, 2 * HOUR);
        assert!(deadlines.next() > first);
    }

    #[test]
    fn a_message_has_one_deadline_until_something_comes() {
        let mut deadlines = Deadlines::default();
        deadlines.expect_more(true, HOUR);
        let first = deadlines.next();
        deadlines.expect_more(true, 2 * HOUR);
        assert_eq!(deadlines.next(), first);
        deadlines.received();
        assert_eq!(deadlines.next(), None);
        deadlines.expect_more(true, 2 * HOUR);
        assert!(deadlines.next() > first);
        deadlines.expect_more(false, HOUR);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn of_several_that_have_passed_the_one_that_ends_most_is_due() {
        let mut deadlines = Deadlines::default();
        deadlines.enter_phase(Duration::ZERO);
        assert_eq!(deadlines.due(), Some(Due::Phase));
        deadlines.look_for_room(Some(Instant::now()));
        assert_eq!(deadlines.due(), Some(Due::Room));
        deadlines.expect_more(true, Duration::ZERO);
        assert_eq!(deadlines.due(), Some(Due::Message));
        deadlines.more_waits(true, Duration::ZERO);
        assert_eq!(deadlines.due(), Some(Due::Write));
    }
}
