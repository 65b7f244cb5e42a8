//! The message scanner against serde_json, wherever that takes what JSON.parse takes. (Against
//! JSON.parse itself: `replay --messages` and `scripts/lib/fuzz.mjs`.)

use serde_json::Value;
use worker_core::protocol::{Inbound, classify, is_json};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let inbound = classify(text);
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) if is_too_strict(&error) => return,
        Err(_) => {
            assert!(!is_json(text), "{text:?}");
            let taken = matches!(inbound, Inbound::Application | Inbound::InvalidJson);
            return assert!(taken, "{text:?} is {inbound:?}");
        }
    };
    assert!(is_json(text), "{text:?}");
    let kind = value.get("type").and_then(Value::as_str);
    match inbound {
        Inbound::Heartbeat(heartbeat) => {
            assert_eq!(kind, Some("heartbeat"));
            assert_same(heartbeat.worker_id_json, value.get("workerId"));
            assert_same(heartbeat.timestamp, value.get("timestamp"));
        }
        Inbound::Registration(request) => {
            assert_eq!(kind, Some("worker_registration"));
            assert_same(request.worker_id_json(), value.get("workerId"));
            assert_same(request.worker_name_json(), value.get("workerName"));
            assert_same(request.capabilities_json(), value.get("capabilities"));
        }
        Inbound::Application => {
            assert!(!matches!(kind, Some("heartbeat" | "worker_registration")), "{text:?}");
        }
        Inbound::InvalidJson => panic!("{text:?} is JSON"),
        Inbound::MissingType => assert_eq!(kind, None, "{text:?}"),
    }
}

fn assert_same(raw: Option<&str>, expected: Option<&Value>) {
    let value = raw.map(|raw| serde_json::from_str::<Value>(raw).unwrap());
    assert_eq!(value.as_ref(), expected);
}

/// Lone surrogates, numbers beyond doubles and great depths are JSON for JSON.parse.
fn is_too_strict(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    let reasons = ["surrogate", "hex escape", "number out of range", "recursion limit"];
    reasons.iter().any(|reason| text.contains(reason))
}
