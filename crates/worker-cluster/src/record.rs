//! The record of a worker as a hash.

use std::collections::HashMap;

use worker_core::registry::{HealthStatus, Load, Reservation, WorkerData};

/// The fields of a hash.
pub(crate) type Fields = HashMap<String, String>;

/// Texts one after the other, each with its length before it.
pub(crate) fn pack<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(|text| format!("{}:{text}", text.len())).collect()
}

/// The texts of [`pack`]. `None`: it is none.
pub(crate) fn unpack(mut packed: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !packed.is_empty() {
        let (len, rest) = packed.split_once(':')?;
        let (text, rest) = rest.split_at_checked(len.parse().ok()?)?;
        texts.push(text.to_owned());
        packed = rest;
    }
    Some(texts)
}

/// A worker, with its registration number. `None`: it is no record.
pub(crate) fn worker(fields: &Fields) -> Option<(u64, WorkerData)> {
    let text = |name: &str| fields.get(name).cloned();
    let number = |name: &str| fields.get(name)?.parse::<f64>().ok();
    let health = HealthStatus::ALL.get(fields.get("hs")?.parse::<usize>().ok()?)?;
    let data = WorkerData {
        id: text("id")?,
        node_id: text("node")?,
        capabilities: unpack(fields.get("caps")?)?,
        load: Load {
            max_concurrent_tasks: number("max")?,
            current_tasks: number("cur")?,
            tasks_completed: number("ok")?,
            tasks_failed: number("bad")?,
            average_task_duration: number("avg")?,
        },
        health_status: *health,
        last_heartbeat: number("hb")?,
        started_at: number("st")?,
        is_draining: fields.get("dr")? == "1",
        reservations: Vec::<Reservation>::new(),
        unknown: fields
            .get("extra")
            .and_then(|extra| serde_json::from_str(extra).ok())
            .unwrap_or_default(),
    };
    Some((fields.get("n")?.parse().ok()?, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_texts_may_have_anything_in_them() {
        let texts = ["", "a:b", "ä\n", "12:"];
        assert_eq!(unpack(&pack(texts)).as_deref(), Some(&texts.map(str::to_owned)[..]));
        for broken in ["5:ab", "x", "1", "-1:a", "1:ä"] {
            assert_eq!(unpack(broken), None, "{broken}");
        }
    }
}
