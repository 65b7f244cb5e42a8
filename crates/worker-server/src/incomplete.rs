//! A bound on messages that have begun to arrive, of all connections together.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{connection::Connection, panics::lock};

/// What every connection may have whatever the others do, so that small messages get through.
const SHARE_BYTES: usize = 16 * 1024;

/// The incomplete messages that have outgrown their connection's share.
///
/// When they exceed the bound, those who send them wait for room, except for the oldest, which goes
/// on: so one after the other is completed. What is in the way of that is given up: messages of
/// connections that have not registered at once, others when they have been arriving for too long.
#[derive(Debug)]
pub(crate) struct IncompleteMessages {
    most: usize,
    /// How long a message may take when others wait.
    patience: Duration,
    /// From the moment when the bound is exceeded until an eighth of it is free. Written under the
    /// lock of what is held.
    is_full: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    begun: u64,
    messages: BTreeMap<Place, Message>,
}

/// Strangers' first, then by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_registered: bool,
    number: u64,
}

#[derive(Debug)]
struct Message {
    bytes: usize,
    begun: Instant,
    connection: Arc<Connection>,
}

impl IncompleteMessages {
    pub(crate) fn new(most: usize, patience: Duration) -> Self {
        Self { most, patience, is_full: AtomicBool::new(false), held: Mutex::default() }
    }

    /// Bytes of incomplete messages that count towards the bound.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.held).bytes
    }

    fn read_bytes(&self) -> usize {
        if self.is_full() { SHARE_BYTES } else { usize::MAX }
    }

    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Changes what is held, makes room if it can, and wakes those who waited for it.
    fn change(&self, body: impl FnOnce(&mut Held)) {
        let held = &mut *lock(&self.held);
        let (was_full, went_on) = (self.is_full(), held.first());
        body(held);
        self.note(held);
        while self.is_full() && held.give_up_first(self.patience) {
            self.note(held);
        }
        let woken = match (was_full, self.is_full()) {
            (true, false) => usize::MAX,
            (true, true) if held.first() != went_on => 1,
            _ => 0,
        };
        for message in held.messages.values().take(woken) {
            message.connection.wake();
        }
    }

    fn note(&self, held: &Held) {
        if held.bytes > self.most {
            self.is_full.store(true, Ordering::Relaxed);
        } else if held.bytes <= self.most - self.most / 8 {
            self.is_full.store(false, Ordering::Relaxed);
        }
    }
}

impl Held {
    /// The one that goes on in any case.
    fn first(&self) -> Option<Place> {
        self.messages.keys().next().copied()
    }

    fn add(&mut self, connection: &Arc<Connection>) -> Place {
        self.begun += 1;
        let is_registered = lock(connection.bound()).is_some();
        let place = Place { is_registered, number: self.begun };
        let connection = Arc::clone(connection);
        self.messages.insert(place, Message { bytes: 0, begun: Instant::now(), connection });
        place
    }

    /// False: it was given up.
    fn resize(&mut self, place: Place, bytes: usize) -> bool {
        let Some(message) = self.messages.get_mut(&place) else { return false };
        self.bytes = self.bytes + bytes - message.bytes;
        message.bytes = bytes;
        true
    }

    fn remove(&mut self, place: Place) -> Option<Message> {
        let message = self.messages.remove(&place)?;
        self.bytes -= message.bytes;
        Some(message)
    }

    /// Whether there was one that may be given up. One that is alone is a matter of its own limit.
    fn give_up_first(&mut self, patience: Duration) -> bool {
        let Some((&place, first)) = self.messages.first_key_value() else { return false };
        let is_late = first.begun.elapsed() >= patience;
        if self.messages.len() == 1 || (place.is_registered && !is_late) {
            return false;
        }
        if let Some(message) = self.remove(place) {
            message.connection.wake();
        }
        true
    }
}

/// What one connection has of a message that is not complete.
#[derive(Debug)]
pub(crate) struct IncompleteMessage<'a> {
    all: &'a IncompleteMessages,
    /// While it counts, or has been given up.
    place: Option<Place>,
}

impl<'a> IncompleteMessage<'a> {
    pub(crate) fn new(all: &'a IncompleteMessages) -> Self {
        Self { all, place: None }
    }

    /// So many bytes have come of it. False: it was given up, and its connection is to be failed. If it
    /// is given up by this very call, its connection is woken to find that out.
    pub(crate) fn grown_to(&mut self, bytes: usize, connection: &Arc<Connection>) -> bool {
        let beyond = bytes.saturating_sub(SHARE_BYTES);
        if beyond == 0 {
            return true;
        }
        let mut is_held = false;
        self.all.change(|held| {
            let place = *self.place.get_or_insert_with(|| held.add(connection));
            is_held = held.resize(place, beyond);
        });
        is_held
    }

    /// The most that may be read at once now.
    pub(crate) fn read_bytes(&self) -> usize {
        self.all.read_bytes()
    }

    /// When to look again, if it has to wait for room.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        let place = self.place.filter(|_| self.all.is_full())?;
        let held = lock(&self.all.held);
        let (first, message) = held.messages.first_key_value()?;
        (*first != place).then(|| message.begun + self.all.patience)
    }

    /// It is complete, or nobody wants it any more; the next one is another.
    pub(crate) fn end(&mut self) {
        if let Some(place) = self.place.take() {
            self.all.change(|held| drop(held.remove(place)));
        }
    }
}

impl Drop for IncompleteMessage<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use worker_core::protocol::WorkerId;

    use super::*;
    use crate::{backlog::BacklogBounds, counters::Budget, outbox::Outbox};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn stranger() -> Arc<Connection> {
        let outbox = Outbox::new(0, Arc::new(Budget::new(0)));
        let bounds = BacklogBounds::new(0, 0);
        Arc::new(Connection::new(1, outbox, Arc::new(bounds), Arc::default()))
    }

    fn worker() -> Arc<Connection> {
        let connection = stranger();
        *lock(connection.bound()) = Some(WorkerId::from_text("w"));
        connection
    }

    fn is_woken(connection: &Connection) -> bool {
        pin!(connection.changed()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn counts_what_exceeds_each_share_until_it_ends() {
        let (all, connection) = (IncompleteMessages::new(100, PATIENCE), worker());
        let mut message = IncompleteMessage::new(&all);
        assert!(message.grown_to(SHARE_BYTES, &connection));
        assert_eq!(all.bytes(), 0);
        assert!(message.grown_to(SHARE_BYTES + 60, &connection));
        assert!(message.grown_to(SHARE_BYTES + 70, &connection));
        assert_eq!(all.bytes(), 70);
        message.end();
        assert_eq!(all.bytes(), 0);
        assert!(message.grown_to(SHARE_BYTES + 5, &connection));
        drop(message);
        assert_eq!(all.bytes(), 0);
        assert_eq!(Arc::strong_count(&connection), 1);
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_on_and_the_others_wait() {
        let all = IncompleteMessages::new(800, PATIENCE);
        let [mut a, mut b, mut c] = [(); 3].map(|()| IncompleteMessage::new(&all));
        let [first, second, third] = [(); 3].map(|()| worker());
        assert!(a.grown_to(SHARE_BYTES + 700, &first));
        assert!(b.grown_to(SHARE_BYTES + 100, &second));
        assert!(a.waits_until().is_none() && b.waits_until().is_none(), "just at the bound");
        assert_eq!(all.read_bytes(), usize::MAX);
        assert!(c.grown_to(SHARE_BYTES + 1, &third));
        assert!(a.waits_until().is_none());
        assert!(b.waits_until().is_some() && c.waits_until().is_some());
        assert_eq!(all.read_bytes(), SHARE_BYTES);
        assert!(a.grown_to(SHARE_BYTES + 5_000, &first), "however large it is");
        assert!(b.grown_to(SHARE_BYTES + 100, &second));
        for connection in [&first, &second, &third] {
            assert!(!is_woken(connection), "nothing is new for anybody");
        }
        a.end();
        assert!(is_woken(&second) && is_woken(&third));
        assert!(b.waits_until().is_none() && c.waits_until().is_none());
        assert!(a.grown_to(SHARE_BYTES + 750, &first), "the next one is a new one");
        assert!(b.waits_until().is_none() && a.waits_until().is_some());
    }

    #[test]
    fn who_waits_is_woken_when_it_is_the_oldest_or_an_eighth_is_free() {
        let all = IncompleteMessages::new(800, PATIENCE);
        let [mut a, mut b, mut c] = [(); 3].map(|()| IncompleteMessage::new(&all));
        let [first, second, third] = [(); 3].map(|()| worker());
        assert!(a.grown_to(SHARE_BYTES + 50, &first));
        assert!(b.grown_to(SHARE_BYTES + 50, &second));
        assert!(c.grown_to(SHARE_BYTES + 701, &third));
        drop(a);
        assert!(is_woken(&second) && b.waits_until().is_none());
        assert!(!is_woken(&third) && c.waits_until().is_some(), "751 of 800");
        drop(b);
        assert!(is_woken(&third) && c.waits_until().is_none());
    }

    /// Lets time pass.
    fn age(all: &IncompleteMessages, by: Duration) {
        for message in lock(&all.held).messages.values_mut() {
            message.begun -= by;
        }
    }

    #[test]
    fn what_takes_too_long_while_others_wait_is_given_up() {
        let all = IncompleteMessages::new(800, PATIENCE);
        let [mut a, mut b, mut c] = [(); 3].map(|()| IncompleteMessage::new(&all));
        let [first, second, third] = [(); 3].map(|()| worker());
        assert!(a.grown_to(SHARE_BYTES + 300, &first));
        age(&all, PATIENCE);
        assert!(b.grown_to(SHARE_BYTES + 300, &second), "there is room for both");
        age(&all, PATIENCE / 2);
        assert!(c.grown_to(SHARE_BYTES + 201, &third));
        assert!(is_woken(&first) && !a.grown_to(SHARE_BYTES + 301, &first));
        assert!(c.waits_until().is_none() && all.bytes() == 501);

        assert!(c.grown_to(SHARE_BYTES + 501, &third));
        let wait = c.waits_until().map(|until| until.duration_since(Instant::now()));
        assert!(wait.is_some_and(|wait| wait <= PATIENCE / 2 && wait > PATIENCE / 4), "{wait:?}");
        age(&all, PATIENCE / 2);
        assert!(c.grown_to(SHARE_BYTES + 501, &third));
        assert!(!b.grown_to(SHARE_BYTES + 300, &second) && c.waits_until().is_none());
    }

    #[test]
    fn strangers_are_given_up_at_once() {
        let (all, worker) = (IncompleteMessages::new(800, PATIENCE), worker());
        let [mut large, mut a, mut b] = [(); 3].map(|()| IncompleteMessage::new(&all));
        let [stranger, other] = [(); 2].map(|()| stranger());
        assert!(a.grown_to(SHARE_BYTES + 100, &stranger));
        assert!(large.grown_to(SHARE_BYTES + 700, &worker));
        assert!(b.grown_to(SHARE_BYTES + 700, &other) && is_woken(&stranger) && is_woken(&other));
        assert!(!a.grown_to(SHARE_BYTES + 100, &stranger));
        assert!(!b.grown_to(SHARE_BYTES + 700, &other));
        assert!(large.waits_until().is_none() && all.bytes() == 700);
    }

    #[test]
    fn a_message_that_is_alone_may_be_larger() {
        for connection in [worker(), stranger()] {
            let all = IncompleteMessages::new(100, Duration::ZERO);
            let mut message = IncompleteMessage::new(&all);
            assert!(message.grown_to(SHARE_BYTES + 1_000, &connection));
            assert!(message.waits_until().is_none());
        }
    }
}
