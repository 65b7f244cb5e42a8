//! Telling control messages from application messages.

use std::{ops::ControlFlow, sync::LazyLock};

use memchr::memmem::Finder;

use super::{
    Heartbeat, RegistrationRequest, WorkerId,
    json::{self, Kind},
    text,
};

/// What one text frame of a worker is.
///
/// Only as much is looked at as is needed to tell control messages from the
/// rest: most application messages, and most invalid ones, are reported as
/// [`Inbound::Application`] without having been parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// A worker asks to be added to the pool.
    Registration(RegistrationRequest<'a>),
    /// A worker says it is alive.
    Heartbeat(Heartbeat<'a>),
    /// Anything else. Whoever parses it may still find that it is no JSON or
    /// has no string `type`.
    Application,
    /// Certainly not JSON by the rules of `JSON.parse`.
    InvalidJson,
    /// Certainly JSON, but no object with a string `type`.
    MissingType,
}

/// Tells what `text` is, by the rules of `JSON.parse`: the last of duplicate
/// keys wins, escapes count in keys and values, any depth is legal.
pub fn classify(text: &str) -> Inbound<'_> {
    if !may_be_control(text.as_bytes()) {
        return Inbound::Application;
    }
    if Kind::of(json::trim(text)) != Kind::Object {
        return if json::is_valid(text) { Inbound::MissingType } else { Inbound::InvalidJson };
    }
    let mut envelope = Envelope::default();
    let read = json::members(text, |key, value| {
        if let Some(field) = envelope.field(key) {
            *field = Some(value);
        }
        ControlFlow::Continue(())
    });
    match read {
        Ok(()) => envelope.into_inbound(),
        Err(json::Stopped) => Inbound::InvalidJson,
    }
}

/// Whether the text could hold a `type` of ours. One of the two names must be
/// in it, ending its string, unless a letter of it is escaped; and a letter or
/// an underscore can only be escaped as `\u005x`, `\u006x` or `\u007x`.
fn may_be_control(text: &[u8]) -> bool {
    static HEARTBEAT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("heartbeat\""));
    static REGISTRATION: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new("worker_registration\""));
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u00"));

    HEARTBEAT.find(text).is_some()
        || REGISTRATION.find(text).is_some()
        || ESCAPE.find_iter(text).any(|at| matches!(text.get(at + 4), Some(b'5'..=b'7')))
}

/// The members that matter, as raw JSON text.
#[derive(Default)]
struct Envelope<'a> {
    kind: Option<&'a str>,
    worker_id: Option<&'a str>,
    worker_name: Option<&'a str>,
    capabilities: Option<&'a str>,
    auth_token: Option<&'a str>,
    timestamp: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    fn field(&mut self, key: &str) -> Option<&mut Option<&'a str>> {
        [
            ("type", &mut self.kind),
            ("workerId", &mut self.worker_id),
            ("workerName", &mut self.worker_name),
            ("capabilities", &mut self.capabilities),
            ("authToken", &mut self.auth_token),
            ("timestamp", &mut self.timestamp),
        ]
        .into_iter()
        .find_map(|(name, field)| text::spells(key, name).then_some(field))
    }

    fn into_inbound(self) -> Inbound<'a> {
        let Some(kind) = self.kind.filter(|raw| Kind::of(raw) == Kind::String) else {
            return Inbound::MissingType;
        };
        if text::spells(kind, "heartbeat") {
            Inbound::Heartbeat(Heartbeat {
                worker_id: self.worker_id.and_then(WorkerId::from_valid),
                worker_id_json: self.worker_id,
                timestamp: self.timestamp,
            })
        } else if text::spells(kind, "worker_registration") {
            Inbound::Registration(RegistrationRequest {
                worker_id: self.worker_id,
                worker_name: self.worker_name,
                capabilities: self.capabilities,
                auth_token: self.auth_token,
            })
        } else {
            Inbound::Application
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_heartbeat(text: &str) -> bool {
        matches!(classify(text), Inbound::Heartbeat(_))
    }

    #[test]
    fn heartbeat() {
        assert_eq!(
            classify(r#"{"type":"heartbeat","workerId":"w","timestamp": "now" }"#),
            Inbound::Heartbeat(Heartbeat {
                worker_id: Some(WorkerId::from_text("w")),
                worker_id_json: Some("\"w\""),
                timestamp: Some("\"now\""),
            })
        );
        assert_eq!(
            classify(r#"{"type":"heartbeat","workerId":{"a":1}}"#),
            Inbound::Heartbeat(Heartbeat {
                worker_id: None,
                worker_id_json: Some("{\"a\":1}"),
                timestamp: None,
            })
        );
    }

    #[test]
    fn registration_keeps_raw_parts() {
        let text = r#"{"type":"worker_registration","workerId":5,"workerName":"n","capabilities":{ },"authToken":null}"#;
        let Inbound::Registration(request) = classify(text) else {
            panic!("not a registration");
        };
        assert_eq!(request.worker_id_json(), Some("5"));
        assert_eq!(request.worker_name_json(), Some("\"n\""));
        assert_eq!(request.capabilities_json(), Some("{ }"));
    }

    #[test]
    fn other_messages_are_not_parsed() {
        assert_eq!(classify(r#"{"type":"result","text":"a\nb\u00e9"}"#), Inbound::Application);
        assert_eq!(classify("not json"), Inbound::Application);
        assert_eq!(classify("[]"), Inbound::Application);
        assert_eq!(classify(""), Inbound::Application);
    }

    #[test]
    fn other_messages_that_mention_our_names() {
        assert_eq!(classify(r#"{"type":"x","about":"heartbeat"}"#), Inbound::Application);
        assert_eq!(classify(r#"{"type":"Heartbeat","b":"heartbeat"}"#), Inbound::Application);
        assert_eq!(classify(r#"{"type":"my heartbeat"}"#), Inbound::Application);
        assert_eq!(classify(r#"{"a":{"type":"heartbeat"}}"#), Inbound::MissingType);
        assert_eq!(classify(r#"{"type":5,"b":"heartbeat"}"#), Inbound::MissingType);
        assert_eq!(classify(r#"["heartbeat"]"#), Inbound::MissingType);
        assert_eq!(classify(r#""heartbeat""#), Inbound::MissingType);
        assert_eq!(classify(r#"{"type":"heartbeat"} x"#), Inbound::InvalidJson);
        assert_eq!(classify(r#"["heartbeat""#), Inbound::InvalidJson);
        assert_eq!(classify(r#"x"heartbeat""#), Inbound::InvalidJson);
    }

    #[test]
    fn the_last_duplicate_wins() {
        assert!(is_heartbeat(r#"{"type":"x","type":"heartbeat"}"#));
        assert!(is_heartbeat(r#"{"type":1,"\u0074ype":"heartbeat"}"#));
        assert_eq!(classify(r#"{"type":"heartbeat","type":"x"}"#), Inbound::Application);
        assert_eq!(classify(r#"{"type":"heartbeat","type":null}"#), Inbound::MissingType);
        let Inbound::Heartbeat(heartbeat) =
            classify(r#"{"type":"heartbeat","workerId":"a","workerId":"b"}"#)
        else {
            panic!("not a heartbeat");
        };
        assert_eq!(heartbeat.worker_id, Some(WorkerId::from_text("b")));
    }

    #[test]
    fn escapes_count() {
        assert!(is_heartbeat(r#"{"type":"\u0068eartbeat"}"#));
        assert!(is_heartbeat(r#"{"type":"heartbea\u0074"}"#));
        assert!(is_heartbeat(r#"{"\u0074\u0079\u0070\u0065":"heartbeat"}"#));
        assert!(matches!(
            classify(r#"{"type":"worker\u005Fregistratio\u006E"}"#),
            Inbound::Registration(_)
        ));
        assert_eq!(classify(r#"{"type":"\\u0068eartbeat"}"#), Inbound::Application);
    }

    #[test]
    fn what_json_parse_tolerates() {
        assert!(is_heartbeat(r#"{"type":"heartbeat","a":"\ud800","\udfff":1e999}"#));
        assert!(is_heartbeat(" \t\r\n{ \"type\" : \"heartbeat\" } \n"));
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert!(is_heartbeat(&format!("{{\"a\":{deep},\"type\":\"heartbeat\"}}")));
    }

    #[test]
    fn what_json_parse_refuses() {
        for text in [
            "\u{feff}{\"type\":\"heartbeat\"}",
            "\u{a0}{\"type\":\"heartbeat\"}",
            r#"{"type":"heartbeat",}"#,
            r#"{"type":"heartbeat"}{}"#,
            r#"{"type":"heartbeat","a":"\x"}"#,
            "{\"type\":\"heartbeat\",\"a\":\"\t\"}",
            "{\"type\":\"heartbeat\",\"\u{1}\":1}",
            r#"{"type":"heartbeat","a":01}"#,
            r#"{"type":"heartbeat""#,
        ] {
            assert_eq!(classify(text), Inbound::InvalidJson, "{text}");
        }
    }
}
