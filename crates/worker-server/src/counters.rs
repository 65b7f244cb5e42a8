//! What a server has refused and what it holds, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::AtomicUsize;

/// Counts events since the server was made. Never reset.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter per cause.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections_accepted: Counter,
    pub(crate) connections_refused: Counter,
    pub(crate) origins_refused: Counter,
    pub(crate) tokens_refused: Counter,
    pub(crate) registrations_refused: Counter,
    pub(crate) registration_timeouts: Counter,
    pub(crate) request_head_timeouts: Counter,
    pub(crate) write_timeouts: Counter,
    pub(crate) ping_timeouts: Counter,
    pub(crate) backlog_pauses: Counter,
    pub(crate) close_timeouts: Counter,
    pub(crate) accepts_failed: Counter,
    pub(crate) protocol_errors: Counter,
    pub(crate) messages_too_large: Counter,
    pub(crate) messages_too_fragmented: Counter,
    pub(crate) message_timeouts: Counter,
    pub(crate) message_pauses: Counter,
    pub(crate) messages_given_up: Counter,
    pub(crate) messages_invalid: Counter,
    pub(crate) messages_dropped: Counter,
    pub(crate) heartbeats_refused: Counter,
    pub(crate) sends_refused: Counter,
    pub(crate) bytes_dropped: Counter,
}

/// A snapshot of what a server counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Open WebSocket connections, registered or not.
    pub connections: usize,
    /// Bytes queued for workers and not yet taken by the system.
    pub outbox_bytes: usize,
    /// Bytes received that the owner has not got to, not counting the first 16 KiB of each connection.
    pub backlog_bytes: usize,
    /// Bytes of messages that have begun to arrive, not counting the first 16 KiB of each.
    pub incomplete_bytes: usize,
    /// Milliseconds by which the owner is late to take events, as last measured.
    pub owner_lag_ms: u64,
    /// Streams accepted.
    pub connections_accepted: u64,
    /// Streams closed at once because of [`Limits::connections`](crate::Limits::connections).
    pub connections_refused: u64,
    /// Upgrades refused because the origin of the web page is not accepted.
    pub origins_refused: u64,
    /// Registrations refused for their token.
    pub tokens_refused: u64,
    /// Registrations refused for their content.
    pub registrations_refused: u64,
    /// Connections closed because they did not register in time.
    pub registration_timeouts: u64,
    /// Connections closed because their request head did not arrive in time.
    pub request_head_timeouts: u64,
    /// Connections dropped because they took nothing of what was sent to them for too long.
    pub write_timeouts: u64,
    /// Connections dropped because they did not answer pings.
    pub ping_timeouts: u64,
    /// Times that a connection was not read for a while because its owner was behind.
    pub backlog_pauses: u64,
    /// Connections dropped because they did not answer a close frame.
    pub close_timeouts: u64,
    /// Failed attempts to accept a connection; the next is made 100 ms later.
    pub accepts_failed: u64,
    /// Connections failed for a violation of the WebSocket protocol.
    pub protocol_errors: u64,
    /// Connections failed for a message beyond its size limit.
    pub messages_too_large: u64,
    /// Connections failed for a message of too many fragments.
    pub messages_too_fragmented: u64,
    /// Connections failed for a large message that did not go on arriving.
    pub message_timeouts: u64,
    /// Times that a connection was not read for a while because of
    /// [`Limits::total_incomplete_bytes`](crate::Limits::total_incomplete_bytes).
    pub message_pauses: u64,
    /// Connections failed for a message that was in the way of others when that was exceeded.
    pub messages_given_up: u64,
    /// Control messages that are no JSON or have no type. (What else is invalid, its owner finds.)
    pub messages_invalid: u64,
    /// Messages dropped because their sender had not shown a token.
    pub messages_dropped: u64,
    /// Heartbeats for an id that is not bound to their socket.
    pub heartbeats_refused: u64,
    /// Sends refused because the outbox was full.
    pub sends_refused: u64,
    /// Bytes of refused sends, and of what was queued for connections that ended.
    pub bytes_dropped: u64,
}

/// Bytes that all outboxes of a server may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    /// False: it would exceed the budget.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let after = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if after > self.limit {
            self.release(bytes);
            return false;
        }
        true
    }

    /// Counts bytes that must be sent whatever the budget says.
    pub(crate) fn force(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_takes_what_fits() {
        let budget = Budget::new(10);
        assert!(budget.reserve(10));
        assert!(!budget.reserve(1));
        assert_eq!(budget.used(), 10);
        budget.release(4);
        assert!(budget.reserve(4));
        budget.force(5);
        assert_eq!(budget.used(), 15);
    }
}
