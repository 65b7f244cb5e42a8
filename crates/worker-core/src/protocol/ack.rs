//! The server's answers, byte for byte as `JSON.stringify` would write them.

use std::time::{Duration, UNIX_EPOCH};

use super::{canonical, text};

/// The answer to a registration that was accepted. An interval that is not
/// finite is written as null.
pub fn registration_accepted(session_id: &str, heartbeat_interval_ms: f64) -> String {
    let mut out = String::with_capacity(128);
    out.push_str(r#"{"type":"worker_registration_ack","success":true,"sessionId":"#);
    text::write_quoted(&mut out, session_id);
    out.push_str(r#","heartbeatIntervalMs":"#);
    canonical::write_number(&mut out, heartbeat_interval_ms);
    out.push('}');
    out
}

/// The answer to a registration that was refused.
pub fn registration_refused(error: &str) -> String {
    let mut out = String::with_capacity(96);
    out.push_str(r#"{"type":"worker_registration_ack","success":false,"error":"#);
    text::write_quoted(&mut out, error);
    out.push('}');
    out
}

/// The answer to a heartbeat.
///
/// `timestamp` is the raw JSON text to echo, whatever value it is; the key is
/// left out if there is none, or if it is no JSON. `deadline_unix_ms` is the
/// latest moment for the next heartbeat, in milliseconds since 1970; it is
/// brought into the years 1970 to 9999, NaN to their start.
pub fn heartbeat_ack(timestamp: Option<&str>, deadline_unix_ms: f64) -> String {
    let mut out = String::with_capacity(128);
    out.push_str(r#"{"type":"heartbeat_ack","#);
    if let Some(raw) = timestamp {
        let before = out.len();
        out.push_str(r#""timestamp":"#);
        if canonical::write(&mut out, raw).is_some() {
            out.push(',');
        } else {
            out.truncate(before);
        }
    }
    out.push_str(r#""nextHeartbeatDeadline":""#);
    out.push_str(&iso(deadline_unix_ms));
    out.push_str("\"}");
    out
}

/// As `Date.prototype.toISOString`.
fn iso(unix_ms: f64) -> String {
    // 9999-12-31T23:59:59.999Z, the last moment written with four digits.
    const LAST_MS: u64 = 253_402_300_799_999;
    // The conversion truncates, as Date does, and brings NaN and negative
    // numbers to 0.
    let ms = (unix_ms as u64).min(LAST_MS);
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        assert_eq!(
            registration_accepted("6f9619ff-8b86-4d01-b42d-00cf4fc964ff", 15_000.0),
            r#"{"type":"worker_registration_ack","success":true,"sessionId":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","heartbeatIntervalMs":15000}"#
        );
        assert!(
            registration_accepted("a\"b", f64::NAN)
                .ends_with(r#""a\"b","heartbeatIntervalMs":null}"#)
        );
        assert!(registration_accepted("", f64::INFINITY).ends_with(":null}"));
        assert!(registration_accepted("", 0.5).ends_with(":0.5}"));
        assert!(registration_accepted("", 1e21).ends_with(":1e+21}"));
    }

    #[test]
    fn refused() {
        assert_eq!(
            registration_refused("Invalid authentication token"),
            r#"{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}"#
        );
    }

    #[test]
    fn heartbeat() {
        assert_eq!(
            heartbeat_ack(Some("\"2024-01-01T00:00:00.000Z\""), 1_704_067_260_000.9),
            r#"{"type":"heartbeat_ack","timestamp":"2024-01-01T00:00:00.000Z","nextHeartbeatDeadline":"2024-01-01T00:01:00.000Z"}"#
        );
        assert_eq!(
            heartbeat_ack(None, 0.0),
            r#"{"type":"heartbeat_ack","nextHeartbeatDeadline":"1970-01-01T00:00:00.000Z"}"#
        );
        assert_eq!(heartbeat_ack(Some("[1"), 0.0), heartbeat_ack(None, 0.0));
        assert!(heartbeat_ack(Some(" { \"a\" : 1.0 } "), 0.0).contains(r#""timestamp":{"a":1},"#));
    }

    #[test]
    fn deadlines_outside_the_calendar() {
        assert_eq!(iso(f64::NAN), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(-1.0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(f64::INFINITY), "9999-12-31T23:59:59.999Z");
        assert_eq!(iso(8.64e15), "9999-12-31T23:59:59.999Z");
        assert_eq!(iso(1_709_164_800_007.0), "2024-02-29T00:00:00.007Z");
    }
}
