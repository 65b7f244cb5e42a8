//! A registry of workers: records with a time to live, health by heartbeat, priority by load,
//! success and speed, and reservations of slots.
//!
//! [`Store`] is the embedded engine. It keeps strings under keys, like any memory store of the
//! registry, but holds the records of workers parsed and indexed by capability. Every call gets the
//! time in milliseconds since the Unix epoch.

mod events;
mod health;
mod interner;
pub mod journal;
mod operations;
mod pattern;
mod query;
mod ranking;
mod record;
mod reservations;
mod score;
mod store;
mod table;
mod time;

pub use self::{
    events::{KeyChange, StoreEvent, UnregisterReason},
    health::{HealthStatus, HealthThresholds},
    operations::{CountError, MetricsUpdate, NotFound, Registration},
    pattern::Pattern,
    query::{Filter, WorkerView},
    ranking::RankingConfig,
    record::{InvalidRecord, Reservation, WorkerData},
    reservations::{Lease, LeaseRequest, Release},
    score::{Load, Weights},
    store::{RankingId, Store},
    time::{is_valid as is_valid_time, to_iso},
};

/// Keys of worker records start with this.
pub const WORKER_PREFIX: &str = "task-sentinel/workers/";
/// Keys of events start with this.
pub const EVENT_PREFIX: &str = "task-sentinel/events/";
/// How long an event is kept, in milliseconds.
pub const EVENT_TTL: f64 = 60_000.0;
