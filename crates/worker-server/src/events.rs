//! What the server tells its owner, in order.

mod batch;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    bridge::Bridge,
    connection::{CloseInfo, Connection},
    sync::{AtomicBool, Mutex, Ordering, lock},
    text::{Text, with_units},
    turns::Turns,
    websocket::FrameKind,
};
use worker_core::protocol::Registration;

pub use batch::{MessageBatch, Run};
pub(crate) use batch::{SHORT_BYTES, backlog_of};

/// One thing that happened. Events of one connection are in order, and a registration stands
/// exactly between its neighbours. Those that name no connection may overtake its messages.
#[derive(Debug)]
pub enum Event {
    /// A WebSocket connection was accepted.
    Opened,
    /// Somebody was turned away for a reason of which no other event tells.
    Refused {
        /// The reason.
        refusal: Refusal,
        /// The operating system's words if it was its refusal; the origin of a foreign page.
        detail: Option<Text>,
    },
    /// A registration was refused for its token; the id as JSON text, if there was one. Told ten times
    /// per connection at most.
    TokenRefused(Option<Text>),
    /// A registration was refused for its content; what a log may show of it, as the JSON text of an
    /// object: `error` and, if there was one, `workerId`.
    RegistrationRefused(Text),
    /// A worker registered. Its acknowledgement waits (briefly) for [`Fleet::acknowledge`].
    ///
    /// [`Fleet::acknowledge`]: crate::Fleet::acknowledge
    Registered {
        /// The connection, not yet in the fleet.
        connection: Arc<Connection>,
        /// What the pool needs of the message.
        registration: Registration,
        /// UUID v4 of this session.
        session_id: String,
        /// What the application may see, as a JSON object: `sessionId`, `id`, `capabilities` and, if
        /// there is one, `name`.
        visible: Text,
        /// The connection whose place it takes; perhaps itself.
        replaces: Option<Arc<Connection>>,
    },
    /// Short application messages that came one after the other, from one sender or several.
    Messages(MessageBatch),
    /// An application message that is long, or no JSON.
    Message {
        /// Its sender, registered or not.
        connection: Arc<Connection>,
        /// The message as it came; not necessarily JSON.
        text: Text,
    },
    /// An application message was dropped because its sender has not shown a token; told once per
    /// connection.
    MessageDropped,
    /// A message that is not JSON.
    InvalidJson(Arc<Connection>),
    /// JSON without a string `type`.
    MissingType(Arc<Connection>),
    /// A heartbeat for an id that is not bound to its socket.
    UnknownHeartbeat {
        /// Its sender.
        connection: Arc<Connection>,
        /// The id as JSON text, if there was one.
        id: Option<Text>,
    },
    /// The owner sent something to a worker that does not read what it is sent, and it was dropped; told
    /// once per connection.
    OutboxFull(Arc<Connection>),
    /// A session ended, by its socket or by a second registration over it.
    Closed {
        /// The connection.
        connection: Arc<Connection>,
        /// Close code and reason.
        info: CloseInfo,
        /// Whether a worker id was bound to it.
        was_bound: bool,
    },
    /// A socket failed; a `Closed` follows.
    SocketError {
        /// The connection.
        connection: Arc<Connection>,
        /// What is wrong, in words.
        error: Text,
    },
    /// A frame of a connection that is observed ([`Fleet::set_observed`]), after its effect.
    ///
    /// [`Fleet::set_observed`]: crate::Fleet::set_observed
    Frame {
        /// Its sender.
        connection: Arc<Connection>,
        /// Text, binary, ping or pong. The fragments of a message come together.
        kind: FrameKind,
        /// A message as text; of a ping or pong each byte as one character.
        text: Text,
    },
    /// A connection that is no worker's: its owner serves it.
    BridgeOpened(Arc<Bridge>),
    /// A bridge has bytes to read, or its peer ended.
    BridgeReadable(u32),
    /// A bridge takes bytes again.
    BridgeWritable(u32),
    /// A bridge's connection is gone.
    BridgeClosed(u32),
    /// All connections of a stopped server are gone.
    Stopped,
}

/// Why somebody was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are as many connections as [`Limits::connections`](crate::Limits::connections) allows.
    /// Told once a second at most.
    TooManyConnections,
    /// The operating system did not hand a connection out. Told once a second at most.
    AcceptFailed,
    /// A connection did not register in time.
    RegistrationTimeout,
    /// A request head did not arrive in time.
    RequestHeadTimeout,
    /// A web page whose origin is not accepted asked for a WebSocket. The event has the origin.
    ForeignOrigin,
}

#[derive(Debug, Default)]
struct Lag {
    signalled_at: Option<Instant>,
    last: Duration,
}

/// What an event without a message costs its sender's backlog, in bytes.
pub(crate) const NOTE_BYTES: usize = 256;

impl Event {
    /// Shows whose backlogs this counts in, and how many bytes: what a peer can cause at will.
    pub(crate) fn backlogs<'a>(&'a self, mut each: impl FnMut(&'a Connection, usize)) {
        match self {
            Self::Messages(batch) => {
                for run in batch.runs() {
                    each(&run.connection, run.backlog);
                }
            }
            Self::Message { connection, text }
            | Self::Frame { connection, text, .. }
            | Self::Registered { connection, visible: text, .. } => {
                each(connection, text.bytes() + NOTE_BYTES);
            }
            Self::UnknownHeartbeat { connection, id } => {
                each(connection, id.as_ref().map_or(0, Text::bytes) + NOTE_BYTES);
            }
            Self::InvalidJson(connection) | Self::MissingType(connection) => {
                each(connection, NOTE_BYTES);
            }
            _ => {}
        }
    }

    /// Whose turn it takes, and how much of it, if the owner takes it by turns. A registration concerns
    /// others as well.
    pub(crate) fn turn(&self) -> Option<(&Connection, usize)> {
        if matches!(self, Self::Registered { .. }) {
            return None;
        }
        let mut found = None;
        self.backlogs(|connection, bytes| found = Some((connection, bytes)));
        found
    }
}

/// Of what peers can cause at will, in bytes as backlogs count them, so much keeps the owner busy for
/// half a millisecond or more, in which nothing has to be read.
const ENOUGH_BYTES: usize = 256 * 1024;

/// Many producers, one owner.
pub struct EventQueue {
    events: Mutex<Turns>,
    /// The owner has taken what was more than enough.
    taken: Notify,
    signalled: AtomicBool,
    /// When the owner was signalled, while it has not come; otherwise how long it last took.
    lag: Mutex<Lag>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl EventQueue {
    /// `wake` is called (from any thread) when the queue stops being empty; once until
    /// [`EventQueue::take`].
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            events: Mutex::default(),
            taken: Notify::new(),
            signalled: AtomicBool::new(false),
            lag: Mutex::default(),
            wake: Box::new(wake),
        }
    }

    /// Adds an event.
    pub fn push(&self, event: Event) {
        event.backlogs(Connection::enter_backlog);
        lock(&self.events).push(event);
        self.signal();
    }

    /// Adds a short message, which must be valid JSON. The owner is not woken: [`EventQueue::signal`].
    pub(crate) fn push_message(&self, connection: &Arc<Connection>, text: &str) {
        // Before the lock, which the owner's thread waits for.
        with_units(text, |units| {
            connection.enter_backlog(backlog_of(units));
            lock(&self.events).push_message(connection, units);
        });
    }

    /// Wakes the owner, unless it is about to come.
    pub(crate) fn signal(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    /// Whether the owner has more than enough to do, so that what arrives meanwhile is better read
    /// together, once it has come.
    pub(crate) fn is_owner_busy(&self) -> bool {
        lock(&self.events).bytes() > ENOUGH_BYTES
    }

    /// Returns once the owner has taken what was more than enough; at once if it has since the last
    /// call.
    pub(crate) async fn busy_owner_came(&self) {
        self.taken.notified().await;
    }

    /// Wakes the owner without an event, to see how long it takes to come.
    pub(crate) fn probe(&self) {
        lock(&self.lag).signalled_at.get_or_insert_with(Instant::now);
        self.signal();
    }

    /// How late the owner is: since when a probe waits for it, or how long the last one waited.
    pub(crate) fn owner_lag(&self) -> Duration {
        let lag = lock(&self.lag);
        lag.signalled_at.map_or(lag.last, |since| since.elapsed().max(lag.last))
    }

    /// The events whose turn it is: all so far, but of a connection that floods its owner only a part.
    /// None: there are no more, and the next one will wake the owner.
    pub fn take(&self) -> VecDeque<Event> {
        // Before the events are taken: one that comes in between wakes the owner once too often,
        // the other way round it would be left lying. A swap, so that all changes of the flag have
        // one order for everybody.
        self.signalled.swap(false, Ordering::AcqRel);
        let mut lag = lock(&self.lag);
        if let Some(since) = lag.signalled_at.take() {
            lag.last = since.elapsed();
        }
        drop(lag);
        let mut events = lock(&self.events);
        let was_enough = events.bytes() > ENOUGH_BYTES;
        let taken = events.take();
        drop(events);
        if was_enough {
            self.taken.notify_one();
        }
        taken
    }
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::{backlog::BacklogBounds, counters::Budget, outbox::Outbox};

    fn counted() -> (EventQueue, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let wake = move || {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        (EventQueue::new(wake), wakes)
    }

    fn connection() -> Arc<Connection> {
        let outbox = Outbox::new(0, Arc::new(Budget::new(0)));
        let bounds = BacklogBounds::new(2 * NOTE_BYTES, usize::MAX);
        Arc::new(Connection::new(1, outbox, Arc::new(bounds), Arc::default()))
    }

    #[test]
    fn wakes_its_owner_once_until_it_comes() {
        let (queue, wakes) = counted();
        for id in 0..3 {
            queue.push(Event::BridgeReadable(id));
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        let numbers: Vec<u32> = queue.take().into_iter().map(number).collect();
        assert_eq!(numbers, [0, 1, 2]);
        queue.push(Event::BridgeReadable(3));
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
        assert_eq!(queue.take().len(), 1);
        assert!(queue.take().is_empty());
    }

    fn number(event: Event) -> u32 {
        match event {
            Event::BridgeReadable(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_lost_between_many_threads() {
        let (sender, wakes) = std::sync::mpsc::channel();
        let queue = EventQueue::new(move || sender.send(()).unwrap_or_default());
        let total = 4 * 1_000;
        let mut last = [None; 4];
        std::thread::scope(|scope| {
            for producer in 0..4u32 {
                let queue = &queue;
                scope.spawn(move || {
                    for n in 0..1_000 {
                        queue.push(Event::BridgeReadable(producer * 1_000 + n));
                    }
                });
            }
            let mut taken = 0;
            while taken < total {
                wakes.recv_timeout(Duration::from_secs(30)).expect("woken for what is there");
                for id in queue.take().into_iter().map(number) {
                    let (producer, n) = (id as usize / 1_000, id % 1_000);
                    assert!(last[producer] < Some(n), "in the order of its producer");
                    last[producer] = Some(n);
                    taken += 1;
                }
            }
        });
        assert_eq!(last, [Some(999); 4]);
    }

    #[test]
    fn what_a_peer_can_cause_at_will_counts_as_its_backlog() {
        let connection = connection();
        let text = || Text::from("x".repeat(1_000));
        let registration = || Registration {
            worker_id: worker_core::protocol::WorkerId::from_text("w"),
            capabilities: Default::default(),
        };
        let sender = || Arc::clone(&connection);
        let events = [
            (Event::Message { connection: sender(), text: text() }, 1_000 + NOTE_BYTES),
            (Event::InvalidJson(sender()), NOTE_BYTES),
            (Event::MissingType(sender()), NOTE_BYTES),
            (
                Event::UnknownHeartbeat { connection: sender(), id: Some(text()) },
                1_000 + NOTE_BYTES,
            ),
            (Event::UnknownHeartbeat { connection: sender(), id: None }, NOTE_BYTES),
            (
                Event::Registered {
                    connection: sender(),
                    registration: registration(),
                    session_id: String::new(),
                    visible: text(),
                    replaces: None,
                },
                1_000 + NOTE_BYTES,
            ),
        ];
        for (event, expected) in events {
            assert_eq!(backlog(&event), [expected], "{event:?}");
        }
        assert!(backlog(&Event::Opened).is_empty());
    }

    fn backlog(event: &Event) -> Vec<usize> {
        let mut found = Vec::new();
        event.backlogs(|_, bytes| found.push(bytes));
        found
    }

    #[test]
    fn short_messages_gather_until_something_else_comes() {
        let (queue, wakes) = counted();
        let (first, second) = (connection(), connection());
        queue.push_message(&first, "1");
        queue.push_message(&first, "2");
        queue.push_message(&second, "3");
        queue.push(Event::Opened);
        queue.push_message(&second, "4");
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        let described: Vec<String> = queue
            .take()
            .into_iter()
            .map(|event| match event {
                Event::Messages(batch) => {
                    let runs: Vec<u32> = batch.runs().iter().map(|run| run.count).collect();
                    format!("{} {runs:?}", batch.into_text())
                }
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(described, ["[1,2,3] [2, 1]", "Opened", "4 [1]"]);
    }

    #[test]
    fn counts_the_backlog_when_pushed() {
        let (queue, _) = counted();
        let connection = connection();
        queue.push(Event::InvalidJson(Arc::clone(&connection)));
        queue.push(Event::InvalidJson(Arc::clone(&connection)));
        assert!(connection.may_read(true, Default::default));
        queue.push_message(&connection, "1");
        assert!(!connection.may_read(true, Default::default));
        let taken: usize = queue.take().iter().flat_map(backlog).sum();
        assert_eq!(taken, 3 * NOTE_BYTES + 1);
    }

    #[test]
    fn a_probe_measures_how_late_the_owner_is() {
        let (queue, wakes) = counted();
        assert_eq!(queue.owner_lag(), Duration::ZERO);
        queue.probe();
        let first = lock(&queue.lag).signalled_at;
        queue.probe();
        assert_eq!(lock(&queue.lag).signalled_at, first, "the first one waits longest");
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert!(queue.take().is_empty());
        let lag = lock(&queue.lag).last;
        assert_eq!(queue.owner_lag(), lag, "how long the last one waited");
        assert!(lock(&queue.lag).signalled_at.is_none());
    }
}
