//! What a store tells those who watch it.

use super::{HealthStatus, RankingId};

/// Why a worker is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum UnregisterReason {
    /// It was unregistered.
    Explicit,
    /// A cleanup removed it for its age.
    Cleanup,
    /// Its record expired.
    Ttl,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum KeyChange {
    /// It has a new value.
    Set,
    /// It was deleted.
    Delete,
    /// It expired.
    Expire,
}

/// A change of a store. Events are in the order of the changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreEvent {
    /// A worker was registered.
    Registered {
        /// Its id.
        worker: Box<str>,
    },
    /// A worker is gone.
    Unregistered {
        /// Its id.
        worker: Box<str>,
        /// Why.
        reason: UnregisterReason,
    },
    /// A heartbeat or a cleanup has found that the health of a worker has changed.
    HealthChanged {
        /// For whom the thresholds are.
        ranking: RankingId,
        /// The id of the worker.
        worker: Box<str>,
        /// The health before.
        from: HealthStatus,
        /// The health now.
        to: HealthStatus,
    },
    /// A key has changed. Only told while [`Store::watch`](super::Store::watch) is on.
    Key {
        /// How.
        change: KeyChange,
        /// The key.
        key: Box<str>,
    },
}
