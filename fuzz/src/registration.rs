//! Registrations: what is taken keeps to its bounds and says what serde_json reads.

use serde_json::Value;
use worker_core::protocol::{
    Capabilities, Inbound, RegistrationLimits, WorkerId, classify, heartbeat_ack,
};

/// Small, so that short inputs meet them.
const LIMITS: RegistrationLimits =
    RegistrationLimits { max_models: 4, max_id_bytes: 8, max_name_bytes: 8, max_depth: 4 };

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // What application code hands over need not be JSON.
    let edited = Capabilities::parse(text);
    assert!(edited.max_concurrent_requests.is_nan() || !text.is_empty());
    let _ = WorkerId::from_json(text);
    let _ = heartbeat_ack(Some(text), 0.0);

    let Inbound::Registration(request) = classify(text) else { return };
    let token = request.token();
    let outcome = request.validate(&LIMITS);
    // As text, for a maximum that is missing is NaN.
    assert_eq!(format!("{outcome:?}"), format!("{:?}", request.validate(&LIMITS)));
    if let Ok(registration) = &outcome {
        let capabilities = &registration.capabilities;
        let max = capabilities.max_concurrent_requests;
        assert!(capabilities.models.len() <= LIMITS.max_models);
        assert!(max.is_nan() || (max.is_finite() && max >= 0.0), "{max}");
        let id = registration.worker_id.as_str();
        assert!(id.is_none_or(|id| id.len() <= LIMITS.max_id_bytes));
    }
    // It refuses some of what JSON.parse takes, but says the same about the rest.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let expected_token = match value.get("authToken") {
        None | Some(Value::Null) => Some(""),
        Some(Value::String(token)) => Some(token.as_str()),
        Some(_) => None,
    };
    assert_eq!(token.as_deref(), expected_token);
    if let Ok(registration) = outcome {
        let models = value["capabilities"]["models"].as_array().unwrap();
        let ids: Vec<&str> =
            models.iter().map(|model| model["modelId"].as_str().unwrap()).collect();
        assert_eq!(registration.capabilities.models, ids);
        if let Some(id) = value["workerId"].as_str() {
            assert_eq!(registration.worker_id.as_str(), Some(id));
        }
    }
}
