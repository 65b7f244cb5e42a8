//! What a worker can do, as far as choosing a worker depends on it.

use std::{collections::HashMap, ops::ControlFlow};

use super::{
    json::{self, Kind},
    refusal::InvalidRegistration,
    registration::RegistrationLimits,
    text,
};

/// The part of a worker's capabilities that selection looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// The `modelId` of each model, in order.
    pub models: Vec<String>,
    /// How many requests at once. NaN (it was missing) and anything not above 0
    /// mean that the worker is never selected.
    pub max_concurrent_requests: f64,
    /// How many requests at once per category, each category once. A limit of
    /// NaN never admits a request.
    pub concurrency_limits: Vec<(String, f64)>,
}

impl Capabilities {
    /// Reads capabilities that application code may have edited: what cannot be
    /// used is left out, a maximum that is no number is NaN. Text that is no
    /// JSON object gives no models and a NaN maximum.
    pub fn parse(json: &str) -> Self {
        let mut models = Vec::new();
        let parts = Parts::of(json::trim(json)).unwrap_or_default();
        if let Some(raw) = parts.models.filter(|raw| Kind::of(raw) == Kind::Array) {
            // The elements before an unreadable one are as good as any others,
            // and valid JSON has no unreadable ones.
            let _ = json::elements(raw, |model| {
                models.extend(model_id(model));
                ControlFlow::Continue(())
            });
        }
        let max = parts.max_concurrent_requests;
        Self {
            models,
            max_concurrent_requests: max
                .filter(|raw| Kind::of(raw) == Kind::Number)
                .map_or(f64::NAN, json::number),
            concurrency_limits: limits(parts.concurrency_limits),
        }
    }

    /// Reads the capabilities of a registration, from valid JSON. Errors do not show `token`.
    pub(crate) fn validated(
        raw: Option<&str>,
        bounds: &RegistrationLimits,
        token: Option<&str>,
    ) -> Result<Self, InvalidRegistration> {
        let not_an_object =
            || InvalidRegistration::wrong_value("capabilities", "an object", raw, token);
        let raw = raw.ok_or_else(not_an_object)?;
        let parts = Parts::of(raw).ok_or_else(not_an_object)?;
        if json::depth(raw) > bounds.max_depth {
            let (limit, unit) = (bounds.max_depth, "levels of nesting");
            return Err(InvalidRegistration::beyond(
                "capabilities",
                limit,
                unit,
                "more".to_owned(),
            ));
        }
        Ok(Self {
            models: validated_models(parts.models, bounds, token)?,
            max_concurrent_requests: validated_max(parts.max_concurrent_requests, token)?,
            concurrency_limits: limits(parts.concurrency_limits),
        })
    }
}

/// The members that matter, as raw JSON text.
#[derive(Default)]
struct Parts<'a> {
    models: Option<&'a str>,
    max_concurrent_requests: Option<&'a str>,
    concurrency_limits: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(raw: &'a str) -> Option<Self> {
        let mut parts = Self::default();
        json::members(raw, |key, value| {
            if text::spells(key, "models") {
                parts.models = Some(value);
            } else if text::spells(key, "maxConcurrentRequests") {
                parts.max_concurrent_requests = Some(value);
            } else if text::spells(key, "concurrencyLimits") {
                parts.concurrency_limits = Some(value);
            }
            ControlFlow::Continue(())
        })
        .ok()?;
        Some(parts)
    }
}

fn validated_models(
    raw: Option<&str>,
    bounds: &RegistrationLimits,
    token: Option<&str>,
) -> Result<Vec<String>, InvalidRegistration> {
    const FIELD: &str = "capabilities.models";
    let not_an_array = || InvalidRegistration::wrong_value(FIELD, "an array", raw, token);
    let list = raw.filter(|raw| Kind::of(raw) == Kind::Array).ok_or_else(not_an_array)?;
    let mut models = Vec::new();
    let mut problem = None;
    json::elements(list, |model| {
        if models.len() == bounds.max_models {
            let limit = bounds.max_models;
            problem = Some(InvalidRegistration::beyond(FIELD, limit, "models", "more".to_owned()));
            return ControlFlow::Break(());
        }
        let Some(id) = model_id(model) else {
            problem = Some(invalid_model(models.len(), model, token));
            return ControlFlow::Break(());
        };
        models.push(id);
        ControlFlow::Continue(())
    })
    .map_err(|json::Stopped| problem.unwrap_or_else(not_an_array))?;
    Ok(models)
}

fn invalid_model(index: usize, raw: &str, token: Option<&str>) -> InvalidRegistration {
    let field = format!("capabilities.models[{index}]");
    if Kind::of(raw) == Kind::Object {
        let id = model_id_json(raw);
        return InvalidRegistration::wrong_value(format!("{field}.modelId"), "a string", id, token);
    }
    InvalidRegistration::wrong_value(field, "an object", Some(raw), token)
}

fn validated_max(raw: Option<&str>, token: Option<&str>) -> Result<f64, InvalidRegistration> {
    const FIELD: &str = "capabilities.maxConcurrentRequests";
    let Some(json) = raw else {
        return Ok(f64::NAN);
    };
    let max = match Kind::of(json) {
        Kind::Number => json::number(json),
        _ => f64::NAN,
    };
    if max.is_finite() && max >= 0.0 {
        Ok(max)
    } else {
        Err(InvalidRegistration::wrong_value(FIELD, "a number >= 0", raw, token))
    }
}

/// The `modelId` of one model; `None` unless the model is an object and its id
/// a string. Lone surrogates become U+FFFD: the name still matches by the rest.
fn model_id(raw: &str) -> Option<String> {
    let id = model_id_json(raw);
    id.filter(|raw| Kind::of(raw) == Kind::String).map(|raw| text::decode(raw).into_owned())
}

/// The JSON text of a model's `modelId`; `None` if it has none or is no object.
fn model_id_json(raw: &str) -> Option<&str> {
    let mut id = None;
    json::members(raw, |key, value| {
        if text::spells(key, "modelId") {
            id = Some(value);
        }
        ControlFlow::Continue(())
    })
    .ok()?;
    id
}

/// The limit per category; none unless `raw` is an object.
fn limits(raw: Option<&str>) -> Vec<(String, f64)> {
    let mut limits: Vec<(String, f64)> = Vec::new();
    let mut known = HashMap::new();
    let Some(raw) = raw else {
        return limits;
    };
    // An error means that it is no object, and then nothing was visited.
    let _ = json::members(raw, |key, value| {
        let category = text::decode(key);
        let limit = to_number(value);
        match known.get(&category).and_then(|&at: &usize| limits.get_mut(at)) {
            Some(entry) => entry.1 = limit,
            None => {
                limits.push((category.clone().into_owned(), limit));
                known.insert(category, limits.len() - 1);
            }
        }
        ControlFlow::Continue(())
    });
    limits
}

/// What JavaScript makes of a value when it compares it with a number. Objects,
/// arrays and strings that are no plain decimal number are NaN.
fn to_number(raw: &str) -> f64 {
    match Kind::of(raw) {
        Kind::Number => json::number(raw),
        Kind::Null => 0.0,
        Kind::Bool(value) => f64::from(u8::from(value)),
        Kind::String => string_to_number(&text::decode(raw)),
        Kind::Object | Kind::Array => f64::NAN,
    }
}

fn string_to_number(text: &str) -> f64 {
    let text = text.trim_matches(is_js_whitespace);
    if text.is_empty() {
        return 0.0;
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits == "Infinity" {
        return sign * f64::INFINITY;
    }
    // Rust also reads "inf", "nan" and a second sign; JavaScript does not.
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return f64::NAN;
    }
    sign * json::number(digits)
}

/// What `String.prototype.trim` removes, which is Unicode's whitespace with
/// the byte order mark and without NEL.
fn is_js_whitespace(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(raw: &str) -> f64 {
        let parsed = Capabilities::parse(&format!("{{\"concurrencyLimits\":{{\"c\":{raw}}}}}"));
        parsed.concurrency_limits[0].1
    }

    #[test]
    fn parse_reads_all_parts() {
        let parsed = Capabilities::parse(
            r#" {"models":[{"modelId":"a","x":1},{"modelId":"b\ud800"}],"maxConcurrentRequests":4,
                "concurrencyLimits":{"c":2,"d":null,"c":3},"metadata":{}} "#,
        );
        assert_eq!(parsed.models, ["a", "b\u{fffd}"]);
        assert_eq!(parsed.max_concurrent_requests, 4.0);
        assert_eq!(parsed.concurrency_limits, [("c".to_owned(), 3.0), ("d".to_owned(), 0.0)]);
    }

    #[test]
    fn parse_skips_what_it_cannot_use() {
        let parsed = Capabilities::parse(
            r#"{"models":[null,5,{"modelId":7},{},{"modelId":"a"}],"maxConcurrentRequests":"5","concurrencyLimits":[1]}"#,
        );
        assert_eq!(parsed.models, ["a"]);
        assert!(parsed.max_concurrent_requests.is_nan());
        assert!(parsed.concurrency_limits.is_empty());
        for text in ["", "null", "[]", "{", "\"x\"", "{\"models\":{}}"] {
            let parsed = Capabilities::parse(text);
            assert!(parsed.models.is_empty(), "{text}");
            assert!(parsed.max_concurrent_requests.is_nan(), "{text}");
        }
        let negative = Capabilities::parse(r#"{"maxConcurrentRequests":-1}"#);
        assert_eq!(negative.max_concurrent_requests, -1.0);
    }

    #[test]
    fn limits_are_numbers_as_in_javascript() {
        assert_eq!(limit("2.5"), 2.5);
        assert_eq!(limit("null"), 0.0);
        assert_eq!(limit("true"), 1.0);
        assert_eq!(limit("false"), 0.0);
        assert_eq!(limit("1e999"), f64::INFINITY);
        assert_eq!(limit(r#"" 3\n""#), 3.0);
        assert_eq!(limit(r#""""#), 0.0);
        assert_eq!(limit(r#""+.5e1""#), 5.0);
        assert_eq!(limit(r#""5.""#), 5.0);
        assert_eq!(limit(r#""-Infinity""#), f64::NEG_INFINITY);
        for raw in [r#""x""#, r#""inf""#, r#""nan""#, r#""--1""#, r#""1_0""#, r#"".""#, "{}", "[5]"]
        {
            assert!(limit(raw).is_nan(), "{raw}");
        }
    }

    #[test]
    fn limits_may_be_missing() {
        for raw in ["null", "5", "\"c\"", "[]"] {
            let json = format!("{{\"concurrencyLimits\":{raw}}}");
            assert!(Capabilities::parse(&json).concurrency_limits.is_empty());
        }
    }
}
