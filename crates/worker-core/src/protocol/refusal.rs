//! Why a registration is refused, in words for the author of the worker.

use std::borrow::Cow;

use super::{canonical, json, json::Kind, text};

/// Longest part of a string that is shown, in characters.
const SHOWN_CHARS: usize = 32;

/// A registration that breaks a rule. Shown as `field: expected something, got something`; the text
/// is bounded, and shows neither the token of the registration nor the inside of objects and arrays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct InvalidRegistration {
    field: Cow<'static, str>,
    expected: Cow<'static, str>,
    got: String,
}

impl InvalidRegistration {
    /// A value of a wrong kind; `got` is its JSON text, `None` if the member is absent.
    pub(super) fn wrong_value(
        field: impl Into<Cow<'static, str>>,
        expected: &'static str,
        got: Option<&str>,
        token: Option<&str>,
    ) -> Self {
        Self { field: field.into(), expected: expected.into(), got: shown(got, token) }
    }

    /// What a log may show of the registration, as the JSON text of an object: `error` and, if
    /// `worker_id` (JSON text) is given, `workerId`.
    pub fn log_context(&self, worker_id: Option<&str>) -> String {
        let mut out = String::from("{");
        if let Some(id) = worker_id {
            out.push_str(r#""workerId":"#);
            out.push_str(id);
            out.push(',');
        }
        out.push_str(r#""error":"#);
        text::write_quoted(&mut out, &self.to_string());
        out.push('}');
        out
    }

    /// More than `limit` of something, of which `got` says how many there are.
    pub(super) fn beyond(field: &'static str, limit: usize, unit: &str, got: String) -> Self {
        Self { field: field.into(), expected: format!("at most {limit} {unit}").into(), got }
    }
}

/// A value in few words.
fn shown(raw: Option<&str>, token: Option<&str>) -> String {
    let Some(raw) = raw else { return "nothing".to_owned() };
    match Kind::of(raw) {
        Kind::Object => "an object".to_owned(),
        Kind::Array => "an array".to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number => shown_number(json::number(raw)),
        Kind::String => shown_string(&text::decode(raw), token.unwrap_or_default()),
    }
}

/// As `String(number)` of JavaScript.
fn shown_number(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let mut out = String::new();
    canonical::write_number(&mut out, number);
    out
}

fn shown_string(value: &str, token: &str) -> String {
    let is_secret = !token.is_empty() && (value.contains(token) || token.contains(value));
    if is_secret {
        return "a string".to_owned();
    }
    let mut start: String = value.chars().take(SHOWN_CHARS).collect();
    if start.len() < value.len() {
        start.push_str("...");
    }
    let mut out = String::new();
    text::write_quoted(&mut out, &start);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(raw: &str) -> String {
        shown(Some(raw), Some("secret"))
    }

    #[test]
    fn values_are_shown_in_few_words() {
        assert_eq!(shown(None, None), "nothing");
        for same in ["null", "true", "false", "5", "-0.5", r#""many""#, r#""a\"b""#, r#""""#] {
            assert_eq!(shown(Some(same), None), same);
        }
        assert_eq!(value("1e999"), "Infinity");
        assert_eq!(value("-1e999"), "-Infinity");
        assert_eq!(value("1.50e1"), "15");
        assert_eq!(value(r#"{"authToken":"other"}"#), "an object");
        assert_eq!(value(r#"["a"]"#), "an array");
    }

    #[test]
    fn a_log_shows_the_id_and_the_error() {
        let refusal = InvalidRegistration::wrong_value("a.b", "a string", Some("\"x\""), None);
        let error = r#""error":"a.b: expected a string, got \"x\"""#;
        assert_eq!(refusal.log_context(Some("5")), format!(r#"{{"workerId":5,{error}}}"#));
        assert_eq!(refusal.log_context(None), format!("{{{error}}}"));
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        let raw = format!("\"{}\"", "\u{1f600}".repeat(33));
        assert_eq!(value(&raw), format!("\"{}...\"", "\u{1f600}".repeat(32)));
        let fits = format!("\"{}\"", "é".repeat(32));
        assert_eq!(value(&fits), fits);
    }

    #[test]
    fn a_token_is_not_shown() {
        for raw in [r#""secret""#, r#""my secret!""#, r#""s\u0065cret""#, r#""secr""#] {
            assert_eq!(value(raw), "a string", "{raw}");
        }
        assert_eq!(shown(Some(r#""x""#), Some("")), r#""x""#);
    }
}
