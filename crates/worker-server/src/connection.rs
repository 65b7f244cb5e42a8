//! What the owner's thread and a connection's task share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::Notify;
use worker_core::{
    pool::Slot,
    protocol::{CloseReason, WorkerId},
};

use crate::{
    counters::Counters,
    outbox::{Outbox, SendError},
    panics::lock,
    websocket::close_frame,
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
    outbox: Mutex<Outbox>,
    /// Tells the task that the outbox, the backlog or `terminated` changed.
    changed: Notify,
    /// The worker id bound to this connection. Written under the registry's lock only.
    bound: Mutex<Option<WorkerId>>,
    /// Place in the fleet, while it has one. Written by the owner's thread only.
    slot: AtomicU32,
    /// Milliseconds since the epoch, as bits of an f64.
    last_heartbeat: AtomicU64,
    /// The owner marked it unhealthy, so the next heartbeat must tell the owner.
    unhealthy: AtomicBool,
    /// Bytes of events the owner has not taken.
    backlog: AtomicUsize,
    /// Not read at the moment because of its backlog: its silence proves nothing.
    stalled: AtomicBool,
    terminated: AtomicBool,
    acknowledged: Notify,
    backlog_bytes: usize,
    counters: Arc<Counters>,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        outbox: Outbox,
        backlog_bytes: usize,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            id,
            outbox: Mutex::new(outbox),
            changed: Notify::new(),
            bound: Mutex::default(),
            slot: AtomicU32::new(NO_SLOT),
            last_heartbeat: AtomicU64::new(0),
            unhealthy: AtomicBool::new(false),
            backlog: AtomicUsize::new(0),
            stalled: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            acknowledged: Notify::new(),
            backlog_bytes,
            counters,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Queues a frame made by [`Fleet::text_frame`](crate::Fleet::text_frame).
    pub fn send(&self, frame: Bytes) -> Result<(), SendError> {
        let bytes = frame.len();
        let pushed = lock(&self.outbox).push(frame);
        match pushed {
            Ok(()) => self.changed.notify_one(),
            Err(SendError::Full) => {
                self.counters.sends_refused.increment();
                self.counters.bytes_dropped.add(bytes as u64);
            }
            Err(SendError::NotOpen) => {}
        }
        pushed
    }

    /// Starts the closing handshake behind all that was sent before. Harmless when repeated.
    pub fn close(&self, code: u16, reason: &str) {
        if lock(&self.outbox).close(close_frame(Some(code), reason)) {
            self.changed.notify_one();
        }
    }

    /// Whether it takes messages: neither closing nor closed.
    pub fn is_open(&self) -> bool {
        !lock(&self.outbox).is_closed()
    }

    /// Drops the connection without a closing handshake.
    pub(crate) fn terminate(&self) {
        self.terminated.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Acquire)
    }

    pub(crate) fn outbox(&self) -> &Mutex<Outbox> {
        &self.outbox
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
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
        f64::from_bits(self.last_heartbeat.load(Ordering::Relaxed))
    }

    pub(crate) fn set_last_heartbeat_ms(&self, ms: f64) {
        self.last_heartbeat.store(ms.to_bits(), Ordering::Relaxed);
    }

    /// Notes a heartbeat. Two in one millisecond differ by a fraction of it, so that each is seen as
    /// a heartbeat of its own.
    pub(crate) fn beat(&self, now_ms: f64) {
        let last = self.last_heartbeat_ms();
        let again = last.floor() == now_ms;
        self.set_last_heartbeat_ms(if again { last + HEARTBEAT_STEP_MS } else { now_ms });
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
        self.backlog.fetch_add(bytes, Ordering::AcqRel);
    }

    /// The owner took it; reading goes on once half of the bound is free.
    pub(crate) fn leave_backlog(&self, bytes: usize) {
        let before = self.backlog.fetch_sub(bytes, Ordering::AcqRel);
        let low = self.backlog_bytes / 2;
        if before > low && before.saturating_sub(bytes) <= low {
            self.changed.notify_one();
        }
    }

    /// Whether the backlog allows reading; remembers the answer for [`Connection::is_stalled`].
    pub(crate) fn may_read(&self) -> bool {
        let limit = if self.is_stalled() { self.backlog_bytes / 2 } else { self.backlog_bytes };
        let may = self.backlog.load(Ordering::Acquire) <= limit;
        self.stalled.store(!may, Ordering::Release);
        may
    }

    /// Whether it is not being read because its owner is behind.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledge(&self) {
        self.acknowledged.notify_one();
    }

    pub(crate) async fn acknowledged(&self) {
        self.acknowledged.notified().await;
    }
}
