//! The liveness message of a worker.

use super::WorkerId;

/// `{"type":"heartbeat","workerId":…,"timestamp":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat<'a> {
    /// Whose heartbeat it is; `None` if the key is absent or its value is no
    /// string, number or boolean.
    pub worker_id: Option<WorkerId>,
    /// The raw JSON text of the id, for the log.
    pub worker_id_json: Option<&'a str>,
    /// The raw JSON text to echo; `None` if the key is absent.
    pub timestamp: Option<&'a str>,
}
