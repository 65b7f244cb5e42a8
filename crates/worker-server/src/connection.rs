//! What the owner's thread and a connection's task share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::{Notify, futures::Notified};
use worker_core::{
    pool::{Slot, health::Moment},
    protocol::{CloseReason, WorkerId},
};

use crate::{
    backlog::{BacklogBounds, low_mark},
    counters::Counters,
    heartbeats::Place,
    outbox::{Outbox, SendError},
    panics::lock,
    stamp::{NEVER, Stamp, later},
    websocket::{close_frame, ping_frame},
};

/// No slot of the fleet.
const NO_SLOT: u32 = u32::MAX;

/// Far more heartbeats than fit into a millisecond, and exact as a fraction of a double.
const HEARTBEAT_STEP_MS: f64 = 1.0 / 4_096.0;

/// How a connection ended: the peer's close code (1005: none given, 1006: no closing handshake)
/// and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseInfo {
    /// The close code.
    pub code: u16,
    /// The reason, perhaps empty.
    pub reason: String,
}

impl CloseInfo {
    /// No closing handshake took place.
    pub(crate) fn abnormal() -> Self {
        Self { code: 1006, reason: String::new() }
    }
}

impl From<CloseReason> for CloseInfo {
    fn from(close: CloseReason) -> Self {
        Self { code: close.code, reason: close.reason.to_owned() }
    }
}

/// One accepted WebSocket connection.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    outbox: Outbox,
    /// Tells the task that the outbox, the backlog, `terminated`, `abandoned` or
    /// `acknowledged` changed.
    changed: Notify,
    /// The worker id bound to this connection. Written under the registry's lock only.
    bound: Mutex<Option<WorkerId>>,
    /// Place in the fleet, while it has one. Written by the owner's thread only.
    slot: AtomicU32,
    last_heartbeat: Stamp,
    /// Where the owner reads the same, while it has a slot.
    heartbeat_place: Mutex<Option<Place>>,
    /// The owner marked it unhealthy, so the next heartbeat must tell the owner.
    unhealthy: AtomicBool,
    /// Bytes of events the owner has not taken.
    backlog: AtomicUsize,
    /// The turn of the owner in which it last had a share. Written under the event queue's lock.
    turn: AtomicU64,
    /// Bytes of that share that it has used; likewise.
    used_share: AtomicUsize,
    /// Not read at the moment because of a limit: its silence proves nothing.
    stalled: AtomicBool,
    /// When it was read again after that, until it beats.
    resumed: Stamp,
    /// Looks of the pinging task since something arrived.
    quiet_looks: AtomicU32,
    /// The embedder paused reading.
    paused: AtomicBool,
    /// The embedder is told of every frame.
    observed: AtomicBool,
    /// The subprotocol of the handshake.
    protocol: Option<Box<str>>,
    overflowed: AtomicBool,
    terminated: AtomicBool,
    abandoned: AtomicBool,
    /// The owner let the acknowledgement of the last registration go out.
    acknowledged: AtomicBool,
    bounds: Arc<BacklogBounds>,
    counters: Arc<Counters>,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        outbox: Outbox,
        bounds: Arc<BacklogBounds>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            id,
            outbox,
            changed: Notify::new(),
            bound: Mutex::default(),
            slot: AtomicU32::new(NO_SLOT),
            last_heartbeat: Stamp::default(),
            heartbeat_place: Mutex::default(),
            unhealthy: AtomicBool::new(false),
            backlog: AtomicUsize::new(0),
            turn: AtomicU64::new(0),
            used_share: AtomicUsize::new(0),
            stalled: AtomicBool::new(false),
            resumed: Stamp::default(),
            quiet_looks: AtomicU32::new(0),
            paused: AtomicBool::new(false),
            observed: AtomicBool::new(false),
            protocol: None,
            overflowed: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
            bounds,
            counters,
        }
    }

    pub(crate) fn with_protocol(self, protocol: Option<Box<str>>) -> Self {
        Self { protocol, ..self }
    }

    /// The subprotocol that the handshake agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Stops reading from the peer, or goes on.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.paused.store(is_paused, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Whether [`Event::Frame`](crate::Event::Frame) tells of every frame from now on.
    pub(crate) fn set_observed(&self, is_observed: bool) {
        self.observed.store(is_observed, Ordering::Release);
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observed.load(Ordering::Acquire)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Queues a frame made by [`Fleet::text_frame`](crate::Fleet::text_frame).
    pub fn send(&self, frame: Bytes) -> Result<(), SendError> {
        self.queue(frame)?;
        self.wake();
        Ok(())
    }

    /// The same, for who wakes the task in another way.
    pub(crate) fn queue(&self, frame: Bytes) -> Result<(), SendError> {
        let bytes = frame.len();
        let pushed = self.outbox.push(frame);
        self.count_refusal(bytes, pushed)
    }

    fn count_refusal(&self, bytes: usize, sent: Result<(), SendError>) -> Result<(), SendError> {
        if sent == Err(SendError::Full) {
            self.counters.sends_refused.increment();
            self.counters.bytes_dropped.add(bytes as u64);
        }
        sent
    }

    /// Writes a frame at once if nothing stands before it, and leaves it to the task if not.
    pub(crate) fn send_at_once(&self, frame: Bytes) -> Result<(), SendError> {
        let bytes = frame.len();
        let sent = self.outbox.push_and_write(frame);
        self.count_refusal(bytes, sent.map(drop))?;
        if sent == Ok(true) {
            self.wake();
        }
        Ok(())
    }

    /// Makes the task look at the outbox.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// True the first time that a frame was refused for want of room.
    pub(crate) fn overflows_first(&self) -> bool {
        !self.overflowed.swap(true, Ordering::Relaxed)
    }

    /// Starts the closing handshake behind all that was sent before; with code 1005 by a frame without
    /// a code. Harmless when repeated.
    pub fn close(&self, code: u16, reason: &str) {
        if self.outbox.close(close_frame((code != 1005).then_some(code), reason)) {
            self.changed.notify_one();
        }
    }

    /// Whether it takes messages: neither closing nor closed.
    pub fn is_open(&self) -> bool {
        !self.outbox.is_closed()
    }

    /// Drops the connection without a closing handshake.
    pub(crate) fn terminate(&self) {
        self.terminated.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Acquire)
    }

    /// Ends the connection without waiting for its peer any longer, which still gets what the system
    /// has taken for it.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn bound(&self) -> &Mutex<Option<WorkerId>> {
        &self.bound
    }

    /// Its place in the fleet, while it has one.
    pub fn slot(&self) -> Option<Slot> {
        let slot = self.slot.load(Ordering::Relaxed);
        (slot != NO_SLOT).then(|| Slot::new(slot))
    }

    pub(crate) fn set_slot(&self, slot: Option<Slot>) {
        self.slot.store(slot.map_or(NO_SLOT, Slot::index), Ordering::Relaxed);
    }

    /// When it last beat (or registered), in milliseconds since the Unix epoch.
    pub fn last_heartbeat_ms(&self) -> f64 {
        self.last_heartbeat.get().wall_ms
    }

    /// Since when its silence can be held against it: what it sent while it was not read has yet to
    /// be looked at.
    pub(crate) fn last_chance(&self) -> Moment {
        let (last, resumed) = (self.last_heartbeat.get(), self.resumed.get());
        // Not `max`, for a time set by hand may be NaN, which is never too long ago.
        Moment {
            wall_ms: later(last.wall_ms, resumed.wall_ms),
            steady_ms: later(last.steady_ms, resumed.steady_ms),
        }
    }

    pub(crate) fn set_last_heartbeat(&self, at: Moment) {
        let place = lock(&self.heartbeat_place);
        self.last_heartbeat.set(at);
        if let Some(place) = &*place {
            place.set(at.wall_ms);
        }
        self.resumed.set(NEVER);
    }

    /// From now on heartbeats are written down there, too.
    pub(crate) fn set_heartbeat_place(&self, place: Option<Place>) {
        let mut present = lock(&self.heartbeat_place);
        if let Some(place) = &place {
            place.set(self.last_heartbeat_ms());
        }
        *present = place;
    }

    /// Notes a heartbeat. Its fraction of a millisecond differs from the last one's, so that each is
    /// seen as a heartbeat of its own, whatever the clock shows.
    pub(crate) fn beat(&self, now: Moment) {
        let last = self.last_heartbeat_ms();
        let fraction =
            if last.is_finite() { (last.fract() + HEARTBEAT_STEP_MS).fract() } else { 0.0 };
        self.set_last_heartbeat(Moment { wall_ms: now.wall_ms.floor() + fraction, ..now });
    }

    /// Notes that something arrived.
    pub(crate) fn hear(&self) {
        // Most often it is 0, and a load is cheaper.
        if self.quiet_looks.load(Ordering::Relaxed) != 0 {
            self.quiet_looks.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a look since something arrived, and tells how many there were.
    pub(crate) fn look(&self) -> u32 {
        self.quiet_looks.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Asks the peer for a sign of life. A full outbox is a matter of the write deadline.
    pub(crate) fn ping(&self) {
        if self.outbox.push(ping_frame()).is_ok() {
            self.changed.notify_one();
        }
    }

    pub(crate) fn mark_unhealthy(&self) {
        self.unhealthy.store(true, Ordering::Release);
    }

    /// True once after it was marked unhealthy.
    pub(crate) fn take_unhealthy(&self) -> bool {
        self.unhealthy.load(Ordering::Relaxed) && self.unhealthy.swap(false, Ordering::AcqRel)
    }

    /// Counts bytes of something that the owner has yet to take.
    pub(crate) fn enter_backlog(&self, bytes: usize) {
        let before = self.backlog.fetch_add(bytes, Ordering::AcqRel);
        self.bounds.changed(before, before.saturating_add(bytes));
    }

    /// The owner took it; reading goes on once half of the bound is free.
    pub(crate) fn leave_backlog(&self, bytes: usize) {
        let before = self.backlog.fetch_sub(bytes, Ordering::AcqRel);
        let after = before.saturating_sub(bytes);
        self.bounds.changed(before, after);
        if self.bounds.is_room(before, after) {
            self.changed.notify_one();
        }
    }

    /// The most that may be read at once now.
    pub(crate) fn read_bytes(&self) -> usize {
        self.bounds.read_bytes()
    }

    /// Uses bytes of its share of a turn. False: it has used it up.
    pub(crate) fn take_share(&self, turn: u64, bytes: usize, share: usize) -> bool {
        let is_new = self.turn.swap(turn, Ordering::Relaxed) != turn;
        let used = if is_new { 0 } else { self.used_share.load(Ordering::Relaxed) };
        // The first one goes through, however large it is.
        let fits = used == 0 || used.saturating_add(bytes) <= share;
        let used = if fits { used.saturating_add(bytes) } else { used };
        self.used_share.store(used, Ordering::Relaxed);
        fits
    }

    /// Whether it may be read, which takes a backlog below its bound and room for the message that it
    /// sends; remembers the answer for [`Connection::is_stalled`].
    pub(crate) fn may_read(&self, has_room: bool, now: impl FnOnce() -> Moment) -> bool {
        let was_stalled = self.is_stalled();
        let bound = self.bounds.bound();
        let bound = if was_stalled { low_mark(bound) } else { bound };
        let is_taken = self.backlog.load(Ordering::Acquire) <= bound;
        let may = is_taken && has_room;
        if may && was_stalled {
            self.resumed.set(now());
        }
        if !may && !was_stalled {
            let Counters { backlog_pauses, message_pauses, .. } = &*self.counters;
            if is_taken { message_pauses } else { backlog_pauses }.increment();
        }
        self.stalled.store(!may, Ordering::Release);
        may
    }

    /// Whether it is not being read because its owner is behind, or others send too much at once.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Forgets an acknowledgement that came too late for the registration it was meant for.
    pub(crate) fn forget_acknowledgement(&self) {
        self.acknowledged.store(false, Ordering::Release);
    }

    pub(crate) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whoever waits for this looks at everything else that may have changed afterwards.
    pub(crate) async fn acknowledged(&self) {
        while !self.acknowledged.swap(false, Ordering::AcqRel) {
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::counters::Budget;

    fn connection(outbox_bytes: usize, backlog_bytes: usize) -> Connection {
        let outbox = Outbox::new(outbox_bytes, Arc::new(Budget::new(usize::MAX)));
        let bounds = BacklogBounds::new(backlog_bytes, usize::MAX);
        Connection::new(7, outbox, Arc::new(bounds), Arc::default())
    }

    /// The same time on both clocks.
    fn at(ms: f64) -> Moment {
        Moment { wall_ms: ms, steady_ms: ms }
    }

    /// Whether the future is ready now.
    fn is_ready(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn may_read(connection: &Connection) -> bool {
        connection.may_read(true, || at(1_000.0))
    }

    #[test]
    fn stops_reading_above_the_backlog_and_resumes_below_half_of_it() {
        let connection = connection(100, 100);
        connection.enter_backlog(100);
        assert!(may_read(&connection) && !connection.is_stalled());
        connection.enter_backlog(1);
        assert!(!may_read(&connection) && connection.is_stalled());
        connection.leave_backlog(50);
        assert!(!is_ready(connection.changed()), "woken above the half");
        assert!(!may_read(&connection) && connection.is_stalled());
        connection.leave_backlog(1);
        assert!(is_ready(connection.changed()), "not woken at the half");
        assert!(may_read(&connection) && !connection.is_stalled());
        connection.enter_backlog(50);
        assert!(may_read(&connection), "the whole bound counts again");
    }

    #[test]
    fn one_that_is_held_back_by_others_is_woken_by_its_own_backlog() {
        const SHARE: usize = 16 * 1024;
        let bounds = Arc::new(BacklogBounds::new(1_000_000, 100_000));
        let made = |id| {
            let outbox = Outbox::new(100, Arc::new(Budget::new(usize::MAX)));
            Connection::new(id, outbox, Arc::clone(&bounds), Arc::default())
        };
        let (greedy, late, quiet) = (made(1), made(2), made(3));
        greedy.enter_backlog(SHARE + 100_001);
        assert!(!may_read(&greedy), "the total is full");
        late.enter_backlog(SHARE + 1);
        quiet.enter_backlog(SHARE);
        assert!(!may_read(&late) && may_read(&quiet), "a share is everybody's");
        assert_eq!(quiet.read_bytes(), SHARE);
        late.leave_backlog(SHARE / 2);
        assert!(!is_ready(late.changed()), "woken above half of the share");
        late.leave_backlog(1);
        assert!(is_ready(late.changed()) && may_read(&late));
        // Room for all: who is held back looks again when the owner gets to it, not all at once.
        greedy.leave_backlog(100_001);
        assert!(!is_ready(greedy.changed()));
        greedy.leave_backlog(SHARE / 2);
        assert!(is_ready(greedy.changed()) && may_read(&greedy));
        assert_eq!((greedy.counters.backlog_pauses.get(), bounds.used()), (1, 0));
    }

    #[test]
    fn silence_counts_from_the_moment_it_is_read_again() {
        let connection = connection(100, 100);
        connection.set_last_heartbeat(at(5.0));
        assert!(connection.may_read(true, || at(10.0)));
        assert_eq!(connection.last_chance().steady_ms, 5.0, "it was read all the time");
        connection.enter_backlog(101);
        connection.may_read(true, || at(20.0));
        connection.leave_backlog(101);
        connection.may_read(true, || at(30.0));
        connection.may_read(true, || at(40.0));
        assert_eq!(
            (connection.last_chance().steady_ms, connection.last_heartbeat_ms()),
            (30.0, 5.0)
        );
        connection.beat(at(35.0));
        assert_eq!(connection.last_chance().steady_ms.floor(), 35.0);
    }

    #[test]
    fn a_last_heartbeat_set_by_hand_stays_as_it_is() {
        let connection = connection(100, 100);
        connection.set_last_heartbeat(at(f64::NAN));
        assert!(connection.last_chance().steady_ms.is_nan());
        connection.set_last_heartbeat(at(-5.0));
        assert_eq!(connection.last_heartbeat_ms(), -5.0);
    }

    #[test]
    fn each_heartbeat_of_a_millisecond_is_seen() {
        let connection = connection(100, 100);
        let mut seen = Vec::new();
        for now in [1e12, 1e12, 1e12, 1e12 + 1.0, 1e12] {
            connection.beat(at(now));
            seen.push(connection.last_heartbeat_ms());
        }
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
        let floors: Vec<f64> = seen.iter().map(|ms| ms.floor()).collect();
        assert_eq!(floors, [1e12, 1e12, 1e12, 1e12 + 1.0, 1e12]);
    }

    #[test]
    fn recovers_once_after_it_was_marked_unhealthy() {
        let connection = connection(100, 100);
        assert!(!connection.take_unhealthy());
        connection.mark_unhealthy();
        assert!(connection.take_unhealthy());
        assert!(!connection.take_unhealthy());
    }

    #[test]
    fn a_late_acknowledgement_is_forgotten() {
        let connection = connection(100, 100);
        connection.acknowledge();
        connection.forget_acknowledgement();
        assert!(!is_ready(connection.acknowledged()));
        connection.forget_acknowledgement();
        connection.acknowledge();
        assert!(is_ready(connection.acknowledged()));
    }

    #[test]
    fn wakes_its_task_for_what_it_takes_and_counts_what_it_does_not() {
        let connection = connection(10, 100);
        assert_eq!(connection.send(Bytes::from_static(b"12345678")), Ok(()));
        assert!(is_ready(connection.changed()));
        assert_eq!(connection.send(Bytes::from_static(b"123")), Err(SendError::Full));
        assert!(!is_ready(connection.changed()));
        connection.close(4000, "enough");
        assert!(is_ready(connection.changed()) && !connection.is_open());
        connection.close(4001, "again");
        assert!(!is_ready(connection.changed()));
        assert_eq!(connection.send(Bytes::from_static(b"1")), Err(SendError::NotOpen));
        let counters = &connection.counters;
        assert_eq!((counters.sends_refused.get(), counters.bytes_dropped.get()), (1, 3));
    }

    #[test]
    fn remembers_its_slot() {
        let connection = connection(10, 10);
        assert_eq!(connection.slot(), None);
        connection.set_slot(Some(Slot::new(3)));
        assert_eq!(connection.slot(), Some(Slot::new(3)));
        connection.set_slot(None);
        assert_eq!(connection.slot(), None);
    }
}
