//! What a caller wants, as it comes from outside.

use serde::Deserialize;

/// A call of the store. Times are in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "each is a method of the registry or of a memory store")]
pub enum Request {
    Register {
        id: String,
        node_id: String,
        capabilities: Vec<String>,
        max_concurrent_tasks: f64,
        is_unique_node: bool,
        ttl: f64,
    },
    Unregister {
        id: String,
    },
    Heartbeat {
        id: String,
        ttl: f64,
    },
    UpdateTaskCount {
        id: String,
        delta: f64,
        is_strict: bool,
        ttl: f64,
    },
    UpdateMetrics {
        id: String,
        tasks_completed: Option<f64>,
        tasks_failed_count: Option<f64>,
        average_task_duration: Option<f64>,
        ttl: f64,
    },
    RecordTaskCompletion {
        id: String,
        success: bool,
        duration: f64,
        ttl: f64,
    },
    SetDraining {
        id: String,
        draining: bool,
        ttl: f64,
    },
    GetWorker {
        id: String,
    },
    Discover {
        filter: WantedWorkers,
    },
    Rank {
        filter: WantedWorkers,
        limit: Option<usize>,
    },
    Acquire {
        filter: WantedWorkers,
        count: f64,
        lease: Option<WantedLease>,
        ttl: f64,
    },
    Renew {
        token: String,
        lease_ms: Option<f64>,
        ttl: f64,
    },
    Release {
        token: String,
        success: Option<bool>,
        duration_ms: f64,
        ttl: f64,
    },
    Cleanup {
        keeps_all: bool,
    },
    Set {
        key: String,
        value: String,
        ttl: Option<f64>,
    },
    Get {
        key: String,
    },
    Delete {
        key: String,
    },
    List {
        prefix: String,
    },
    Search {
        pattern: String,
    },
    CompareAndSet {
        key: String,
        expected: Option<String>,
        value: String,
        ttl: Option<f64>,
    },
}

/// Which workers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedWorkers {
    pub(crate) capabilities: Vec<String>,
    /// A bit for each health; 0: any.
    pub(crate) health: u8,
    pub(crate) min_available: Option<f64>,
}

/// A lease that is wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedLease {
    pub(crate) nonce: String,
    pub(crate) lease_ms: f64,
    pub(crate) owner: Option<String>,
}
