//! By when a peer must have done what is expected of it.

use std::time::Duration;

use tokio::time::Instant;

/// The deadlines of one connection. An idle worker has none, and no memory for them.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Option<Box<Each>>);

#[derive(Debug, Default)]
struct Each {
    /// Of its phase: registration, then the closing handshake.
    phase: Option<Deadline>,
    /// By when the peer must take something of what waits for it.
    write: Option<Deadline>,
    /// By when the peer must go on with the large message that it has begun.
    message: Option<Deadline>,
    /// When to look again whether there is room for the message that it has begun.
    room: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    /// The time that the peer was given.
    within: Duration,
}

impl Deadline {
    fn new(within: Duration) -> Self {
        Self { at: Instant::now() + within, within }
    }
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
        self.set(|each| &mut each.phase, within);
    }

    /// A phase has begun that may take for ever.
    pub(crate) fn lift_phase(&mut self) {
        self.lift(|each| &mut each.phase);
    }

    /// The peer has taken all that waited for it.
    pub(crate) fn all_taken(&mut self) {
        self.lift(|each| &mut each.write);
    }

    /// Something waits for the peer, which may just have taken a part.
    pub(crate) fn more_waits(&mut self, took_any: bool, within: Duration) {
        if took_any || self.each().write.is_none() {
            self.set(|each| &mut each.write, within);
        }
    }

    /// Whether the peer is to go on with a message; for as long as it is, one deadline holds until
    /// something comes.
    pub(crate) fn expect_more(&mut self, expects: bool, within: Duration) {
        if !expects {
            self.received();
        } else if self.each().message.is_none() {
            self.set(|each| &mut each.message, within);
        }
    }

    /// Something came, or nothing is to come any more.
    pub(crate) fn received(&mut self) {
        self.lift(|each| &mut each.message);
    }

    /// When to look again for room; `None`: there is some.
    pub(crate) fn look_for_room(&mut self, at: Option<Instant>) {
        match at {
            Some(at) => self.each().room = Some(at),
            None => self.lift(|each| &mut each.room),
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.as_ref()?.next()
    }

    /// The one that has passed; if several have, the one that ends most.
    pub(crate) fn due(&self) -> Option<Due> {
        let each = self.0.as_ref()?;
        let now = Instant::now();
        let at = |deadline: Option<Deadline>| deadline.map(|deadline| deadline.at);
        [
            (at(each.write), Due::Write),
            (at(each.message), Due::Message),
            (each.room, Due::Room),
            (at(each.phase), Due::Phase),
        ]
        .into_iter()
        .find_map(|(deadline, due)| (deadline? <= now).then_some(due))
    }

    /// Gives the peer as much time again as it has had for what is due, counted from the end of a
    /// pause of the process. False: there was no pause meanwhile.
    pub(crate) fn extend_after_pause(&mut self, due: Due, since_resumed_ms: f64) -> bool {
        let deadline = match due {
            Due::Write => &mut self.each().write,
            Due::Message => &mut self.each().message,
            Due::Room => return false,
            Due::Phase => &mut self.each().phase,
        };
        let Some(Deadline { at, within }) = deadline else { return false };
        let Some(left) = Duration::try_from_secs_f64(since_resumed_ms / 1_000.0)
            .ok()
            .and_then(|since| within.checked_sub(since))
            .filter(|left| !left.is_zero())
        else {
            return false;
        };
        *at = Instant::now() + left;
        true
    }

    fn each(&mut self) -> &mut Each {
        self.0.get_or_insert_default()
    }

    fn set(&mut self, one: impl Fn(&mut Each) -> &mut Option<Deadline>, within: Duration) {
        *one(self.each()) = Some(Deadline::new(within));
    }

    fn lift<T>(&mut self, one: impl Fn(&mut Each) -> &mut Option<T>) {
        let Some(each) = &mut self.0 else { return };
        *one(each) = None;
        if each.next().is_none() {
            self.0 = None;
        }
    }
}

impl Each {
    fn next(&self) -> Option<Instant> {
        let deadlines = [self.phase, self.write, self.message].into_iter().flatten();
        deadlines.map(|deadline| deadline.at).chain(self.room).min()
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
        assert!(deadlines.next().is_none() && deadlines.0.is_none());
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
    fn a_pause_of_the_process_does_not_count() {
        let mut deadlines = Deadlines::default();
        assert!(!deadlines.extend_after_pause(Due::Write, 0.0), "there is none");
        deadlines.more_waits(false, HOUR);
        let first = deadlines.next();
        for since_resumed_ms in [f64::INFINITY, f64::NAN, 3_600_000.0, 3_600_001.0, -1.0] {
            assert!(!deadlines.extend_after_pause(Due::Write, since_resumed_ms));
        }
        assert_eq!(deadlines.next(), first);
        assert!(deadlines.extend_after_pause(Due::Write, 0.0));
        assert!(deadlines.next() > first, "a whole hour from the end of the pause");
        assert!(deadlines.extend_after_pause(Due::Write, 1_800_000.0));
        assert!(deadlines.next() < first, "half an hour of it is over");
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
