//! The record of a worker, and its JSON.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{
    HealthStatus, Load,
    interner::{Interner, ProfileId},
    time,
};
use crate::protocol::canonical::write_number;

/// A record of its own, with all that its JSON says.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerData {
    /// The id.
    pub id: String,
    /// What the worker calls its node.
    pub node_id: String,
    /// In the worker's own order.
    pub capabilities: Vec<String>,
    /// Slots, slots in use and metrics.
    pub load: Load,
    /// The health when the record was written.
    pub health_status: HealthStatus,
    /// Milliseconds since the Unix epoch.
    pub last_heartbeat: f64,
    /// Milliseconds since the Unix epoch.
    pub started_at: f64,
    /// It gets no reservation any more.
    pub is_draining: bool,
    /// Slots that are given back when their time is over.
    pub reservations: Vec<Reservation>,
    /// Fields of the record that the registry does not know and keeps.
    pub unknown: Map<String, Value>,
}

/// Slots of one worker that a dispatcher holds for some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// What the reservation is renewed and released by.
    pub token: String,
    /// Slots.
    pub count: f64,
    /// When the slots are given back, in milliseconds since the Unix epoch.
    pub expires_at: f64,
    /// How long a renewal lasts, in milliseconds.
    pub lease: f64,
    /// Who holds them, for people that read the record.
    pub owner: Option<String>,
}

/// The value of a worker's key is no record of that worker.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// It is not the JSON of a record.
    #[error("not the record of a worker: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is the record of another worker.
    #[error("the record has the id of another worker")]
    OtherId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    id: String,
    node_id: String,
    capabilities: Vec<String>,
    max_concurrent_tasks: f64,
    current_tasks: f64,
    health_status: HealthStatus,
    #[serde(deserialize_with = "date")]
    last_heartbeat: f64,
    #[serde(deserialize_with = "date")]
    started_at: f64,
    metrics: Metrics,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    reservations: Vec<ReservationFields>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    tasks_completed: f64,
    tasks_failed_count: f64,
    average_task_duration: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReservationFields {
    token: String,
    count: f64,
    #[serde(deserialize_with = "date")]
    expires_at: f64,
    lease_ms: f64,
    owner: Option<String>,
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    time::from_iso(&text).ok_or_else(|| serde::de::Error::custom("not a date in ISO format"))
}

impl WorkerData {
    /// Reads the JSON of the record of the worker `id`.
    ///
    /// # Errors
    /// The text is no JSON, lacks a field, has one of another type, or is of another worker.
    pub fn parse(id: &str, json: &str) -> Result<Self, InvalidRecord> {
        let fields: Fields = serde_json::from_str(json)?;
        if fields.id != id {
            return Err(InvalidRecord::OtherId);
        }
        Ok(Self {
            id: fields.id,
            node_id: fields.node_id,
            capabilities: fields.capabilities,
            load: Load {
                max_concurrent_tasks: fields.max_concurrent_tasks,
                current_tasks: fields.current_tasks,
                tasks_completed: fields.metrics.tasks_completed,
                tasks_failed: fields.metrics.tasks_failed_count,
                average_task_duration: fields.metrics.average_task_duration,
            },
            health_status: fields.health_status,
            last_heartbeat: fields.last_heartbeat,
            started_at: fields.started_at,
            is_draining: fields.draining,
            reservations: fields
                .reservations
                .into_iter()
                .map(|held| Reservation {
                    token: held.token,
                    count: held.count,
                    expires_at: held.expires_at,
                    lease: held.lease_ms,
                    owner: held.owner,
                })
                .collect(),
            unknown: fields.unknown,
        })
    }

    /// The JSON of the record.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(384);
        out.push_str("{\"id\":");
        write_string(&mut out, &self.id);
        out.push_str(",\"nodeId\":");
        write_string(&mut out, &self.node_id);
        out.push_str(",\"capabilities\":[");
        for (index, capability) in self.capabilities.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_string(&mut out, capability);
        }
        out.push_str("],\"maxConcurrentTasks\":");
        write_number(&mut out, self.load.max_concurrent_tasks);
        out.push_str(",\"currentTasks\":");
        write_number(&mut out, self.load.current_tasks);
        out.push_str(",\"healthStatus\":\"");
        out.push_str(self.health_status.name());
        out.push_str("\",\"lastHeartbeat\":\"");
        out.push_str(&time::to_iso(self.last_heartbeat));
        out.push_str("\",\"startedAt\":\"");
        out.push_str(&time::to_iso(self.started_at));
        out.push_str("\",\"metrics\":{\"tasksCompleted\":");
        write_number(&mut out, self.load.tasks_completed);
        out.push_str(",\"tasksFailedCount\":");
        write_number(&mut out, self.load.tasks_failed);
        out.push_str(",\"averageTaskDuration\":");
        write_number(&mut out, self.load.average_task_duration);
        out.push('}');
        if self.is_draining {
            out.push_str(",\"draining\":true");
        }
        if !self.reservations.is_empty() {
            self.write_reservations(&mut out);
        }
        for (key, value) in &self.unknown {
            out.push(',');
            write_string(&mut out, key);
            out.push(':');
            out.push_str(&value.to_string());
        }
        out.push('}');
        out
    }

    fn write_reservations(&self, out: &mut String) {
        out.push_str(",\"reservations\":[");
        for (index, reservation) in self.reservations.iter().enumerate() {
            out.push_str(if index > 0 { ",{\"token\":" } else { "{\"token\":" });
            write_string(out, &reservation.token);
            out.push_str(",\"count\":");
            write_number(out, reservation.count);
            out.push_str(",\"expiresAt\":\"");
            out.push_str(&time::to_iso(reservation.expires_at));
            out.push_str("\",\"leaseMs\":");
            write_number(out, reservation.lease);
            if let Some(owner) = &reservation.owner {
                out.push_str(",\"owner\":");
                write_string(out, owner);
            }
            out.push('}');
        }
        out.push(']');
    }
}

/// Appends a string in JSON.
pub(super) fn write_string(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// A record as the store keeps it: few bytes, few allocations.
pub(super) struct WorkerRecord {
    /// The id, then the name of the node.
    text: Box<str>,
    id_len: u32,
    pub(super) profile: ProfileId,
    pub(super) load: Load,
    pub(super) last_heartbeat: f64,
    pub(super) started_at: f64,
    pub(super) stored_health: HealthStatus,
    pub(super) is_draining: bool,
    /// `None` for nearly every worker.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    reservations: Vec<Reservation>,
    unknown: Map<String, Value>,
    /// The JSON as it was stored, where it is not what the registry would write.
    stored_json: Option<Box<str>>,
}

impl WorkerRecord {
    pub(super) fn new(data: WorkerData, interner: &mut Interner) -> Self {
        let profile = interner.acquire(data.capabilities.iter().map(|name| &**name));
        let mut record = Self {
            id_len: data.id.len() as u32,
            text: (data.id + &data.node_id).into(),
            profile,
            load: data.load,
            last_heartbeat: data.last_heartbeat,
            started_at: data.started_at,
            stored_health: data.health_status,
            is_draining: data.is_draining,
            rare: None,
        };
        if !data.reservations.is_empty() || !data.unknown.is_empty() {
            let rare = record.rare.get_or_insert_default();
            rare.reservations = data.reservations;
            rare.unknown = data.unknown;
        }
        record
    }

    pub(super) fn id(&self) -> &str {
        self.text.get(..self.id_len as usize).unwrap_or_default()
    }

    pub(super) fn node_id(&self) -> &str {
        self.text.get(self.id_len as usize..).unwrap_or_default()
    }

    pub(super) fn reservations(&self) -> &[Reservation] {
        self.rare.as_ref().map_or(&[], |rare| &rare.reservations)
    }

    pub(super) fn holds(&self, token: &str) -> bool {
        self.reservations().iter().any(|held| held.token == token)
    }

    pub(super) fn reservations_mut(&mut self) -> &mut Vec<Reservation> {
        &mut self.rare.get_or_insert_default().reservations
    }

    /// Keeps the JSON as it was stored until the next change.
    pub(super) fn keep_json(&mut self, json: Box<str>) {
        self.rare.get_or_insert_default().stored_json = Some(json);
    }

    /// To be called after every change.
    pub(super) fn forget_json(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.stored_json = None;
            if rare.reservations.is_empty() && rare.unknown.is_empty() {
                self.rare = None;
            }
        }
    }

    pub(super) fn to_data(&self, interner: &Interner) -> WorkerData {
        WorkerData {
            id: self.id().to_owned(),
            node_id: self.node_id().to_owned(),
            capabilities: interner.names(self.profile).map(str::to_owned).collect(),
            load: self.load,
            health_status: self.stored_health,
            last_heartbeat: self.last_heartbeat,
            started_at: self.started_at,
            is_draining: self.is_draining,
            reservations: self.reservations().to_vec(),
            unknown: self.rare.as_ref().map(|rare| rare.unknown.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn to_json(&self, interner: &Interner) -> String {
        match &self.rare {
            Some(rare) if rare.stored_json.is_some() => {
                rare.stored_json.as_deref().unwrap_or_default().to_owned()
            }
            _ => self.to_data(interner).to_json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"id":"worker-1","nodeId":"n\"1","capabilities":["a","b"],"maxConcurrentTasks":5,"currentTasks":2,"healthStatus":"degraded","lastHeartbeat":"2025-01-02T03:04:05.678Z","startedAt":"2025-01-01T00:00:00.000Z","metrics":{"tasksCompleted":3,"tasksFailedCount":1,"averageTaskDuration":1333.3333333333333},"draining":true,"reservations":[{"token":"t","count":2,"expiresAt":"2025-01-02T03:05:00.000Z","leaseMs":5000,"owner":"me"}],"zone":"eu"}"#;

    #[test]
    fn json_survives_a_round_trip() {
        let data = WorkerData::parse("worker-1", JSON).unwrap();
        assert_eq!(data.node_id, "n\"1");
        assert_eq!(data.to_json(), JSON);
        let mut interner = Interner::default();
        let record = WorkerRecord::new(data.clone(), &mut interner);
        assert_eq!((record.id(), record.node_id()), ("worker-1", "n\"1"));
        assert_eq!(record.to_data(&interner), data);
    }

    #[test]
    fn refuses_what_is_no_record() {
        let other_type = JSON.replace("\"currentTasks\":2", "\"currentTasks\":\"2\"");
        let other_date = JSON.replace("2025-01-02T03:04:05.678Z", "yesterday");
        let early = JSON.replace("2025-01-02T03:04:05.678Z", "1925-01-02T03:04:05.678Z");
        for json in ["", "null", "{}", "[]", &*other_type, &*other_date, &*early] {
            let error = WorkerData::parse("worker-1", json).unwrap_err();
            assert!(matches!(error, InvalidRecord::Syntax(_)), "{json}");
        }
        let error = WorkerData::parse("worker-2", JSON).unwrap_err();
        assert!(matches!(error, InvalidRecord::OtherId));
    }
}
