//! The protocol against serde_json, wherever both are defined.

#![allow(clippy::unwrap_used, reason = "helpers of tests outside of test functions")]

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value};
use worker_core::protocol::{Inbound, WorkerId, classify, heartbeat_ack};

/// JSON text with whitespace, escapes and odd numbers in it. Without lone
/// surrogates and overflowing numbers, which serde_json refuses.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number(),
        string(),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            (vec((space(), inner.clone()), 0..5), space())
                .prop_map(|(items, end)| format!("[{}{end}]", join(items))),
            (vec((space(), key(), space(), inner), 0..5), space()).prop_map(|(items, end)| {
                let members = items
                    .into_iter()
                    .map(|(before, key, after, value)| (before, format!("{key}{after}:{value}")));
                format!("{{{}{end}}}", join(members.collect()))
            }),
        ]
    })
}

fn join(items: Vec<(String, String)>) -> String {
    let items: Vec<String> = items.into_iter().map(|(space, item)| space + &item).collect();
    items.join(",")
}

fn space() -> impl Strategy<Value = String> {
    select(vec!["", "", "", " ", "\n", "\t ", "\r\n"]).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        select(vec!["0", "-0", "0.0", "1.50", "1e3", "1E+3", "1e-7", "123456789012345"])
            .prop_map(str::to_owned),
    ]
}

fn string() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "é",
        "😀",
        "\u{2028}",
        "\u{7f}",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\u0000",
        "\\u001F",
        "\\u00e9",
        "\\ud83d\\ude00",
        "[",
        "}",
        ",",
        ":",
        " ",
    ]);
    vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn key() -> impl Strategy<Value = String> {
    let known = select(vec![
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"type\"",
        "\"\\u0074ype\"",
        "\"timestamp\"",
        "\"workerId\"",
        "\"10\"",
        "\"9\"",
        "\"0\"",
        "\"01\"",
        "\"__proto__\"",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => string()]
}

fn echo(raw: &str) -> String {
    let ack = heartbeat_ack(Some(raw), 0.0);
    let rest = ack.strip_prefix(r#"{"type":"heartbeat_ack","timestamp":"#).unwrap();
    let tail = r#","nextHeartbeatDeadline":"1970-01-01T00:00:00.000Z"}"#;
    rest.strip_suffix(tail).unwrap().to_owned()
}

/// Integers as doubles, which is all that JavaScript has.
fn as_javascript(value: Value) -> Value {
    match value {
        Value::Number(n) => Value::from(n.as_f64().unwrap() + 0.0),
        Value::Array(items) => items.into_iter().map(as_javascript).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, as_javascript(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn parse(raw: &str) -> Value {
    as_javascript(serde_json::from_str(raw).unwrap())
}

fn is_too_strict(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["surrogate", "hex escape", "number out of range"].iter().any(|reason| text.contains(reason))
}

/// An object, often one of ours, sometimes damaged.
fn frame() -> impl Strategy<Value = String> {
    let kind = select(vec![
        "\"heartbeat\"",
        "\"worker_registration\"",
        "\"\\u0068eartbeat\"",
        "\"worker\\u005fregistration\"",
        "\"x\"",
        "\"heartbeat \"",
        "5",
        "null",
        "[\"heartbeat\"]",
    ]);
    let members = vec(
        prop_oneof![
            1 => kind.prop_map(|kind| format!("\"type\":{kind}")),
            1 => (key(), json()).prop_map(|(key, value)| format!("{key} : {value}")),
        ],
        1..6,
    );
    let damage = prop_oneof![
        6 => Just(None),
        1 => (any::<prop::sample::Index>(), select(vec!['x', '"', '{', '}', ',', '\\', '\n', '0'])).prop_map(Some),
    ];
    (members, damage).prop_map(|(members, damage)| {
        let mut text = format!("{{{}}}", members.join(", "));
        if let Some((at, c)) = damage {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            text.insert(*at.get(&places), c);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_echo_means_the_same(raw in json()) {
        prop_assert_eq!(parse(&echo(&raw)), parse(&raw));
    }

    #[test]
    fn the_echo_is_its_own_echo(raw in json()) {
        let once = echo(&raw);
        prop_assert_eq!(echo(&once), once);
    }

    /// serde_json writes strings and integers as JavaScript does.
    #[test]
    fn the_echo_of_a_string_is_that_of_serde_json(raw in string()) {
        prop_assert_eq!(echo(&raw), serde_json::from_str::<Value>(&raw).unwrap().to_string());
    }

    #[test]
    fn any_text_is_echoed_or_left_out(raw in ".{0,20}") {
        let ack: Value = serde_json::from_str(&heartbeat_ack(Some(&raw), 0.0)).unwrap();
        prop_assert_eq!(ack.get("timestamp").is_some(), serde_json::from_str::<Value>(&raw).is_ok());
    }

    #[test]
    fn frames_are_what_serde_json_says(text in frame()) {
        let value = serde_json::from_str::<Value>(&text);
        // The damage may have parted a surrogate pair or made a number too large,
        // which only JSON.parse accepts.
        prop_assume!(!value.as_ref().is_err_and(is_too_strict));
        let kind = value.as_ref().ok().and_then(|value| value.get("type")?.as_str());
        match classify(&text) {
            Inbound::Heartbeat(heartbeat) => {
                prop_assert_eq!(kind, Some("heartbeat"));
                let value = value.as_ref().unwrap();
                prop_assert_eq!(
                    heartbeat.worker_id_json.map(parse),
                    value.get("workerId").cloned().map(as_javascript)
                );
                prop_assert_eq!(
                    heartbeat.timestamp.map(parse),
                    value.get("timestamp").cloned().map(as_javascript)
                );
                let id = value.get("workerId").and_then(Value::as_str).map(WorkerId::from_text);
                if id.is_some() {
                    prop_assert_eq!(heartbeat.worker_id, id);
                }
            }
            Inbound::Registration(_) => prop_assert_eq!(kind, Some("worker_registration")),
            // Possibly not looked at; only certainly none of ours.
            Inbound::Application => {
                prop_assert!(!matches!(kind, Some("heartbeat" | "worker_registration")));
            }
            Inbound::InvalidJson => prop_assert!(value.is_err()),
            Inbound::MissingType => {
                prop_assert!(value.is_ok());
                prop_assert_eq!(kind, None);
            }
        }
    }
}
