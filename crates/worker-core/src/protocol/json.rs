//! Walking JSON text one level at a time, by the rules of `JSON.parse`.
//!
//! serde_json does the tokenising. Taking every part as a [`RawValue`] keeps it
//! on its path that skips values: that one has no recursion, so any depth is
//! fine, and looks at neither surrogates nor the size of numbers, so it accepts
//! exactly the texts that `JSON.parse` accepts.

use std::{fmt, marker::PhantomData, ops::ControlFlow};

use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, value::RawValue};

/// What a JSON value is, judged by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool(bool),
    Null,
}

impl Kind {
    /// The kind of a value without whitespace before it. Text that is no JSON
    /// gets some kind; reading it as such fails later.
    pub(crate) fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

/// The text is not JSON, or the visit was broken off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// `text` without JSON's whitespace around it.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// Whether `text` is one JSON value, by the rules of `JSON.parse`.
pub fn is_valid(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Shows `visit` the raw key and raw value of each member of the object `text`,
/// in order, duplicates included.
pub(crate) fn members<'a>(
    text: &'a str,
    visit: impl FnMut(&'a str, &'a str) -> ControlFlow<()>,
) -> Result<(), Stopped> {
    let mut parser = Deserializer::from_str(text);
    parser
        .deserialize_map(Members(visit, PhantomData))
        .and_then(|()| parser.end())
        .map_err(|_| Stopped)
}

/// Shows `visit` the raw text of each element of the array `text`, in order.
pub(crate) fn elements<'a>(
    text: &'a str,
    visit: impl FnMut(&'a str) -> ControlFlow<()>,
) -> Result<(), Stopped> {
    let mut parser = Deserializer::from_str(text);
    parser
        .deserialize_seq(Elements(visit, PhantomData))
        .and_then(|()| parser.end())
        .map_err(|_| Stopped)
}

/// The double that `JSON.parse` makes of a raw number: too large is infinite.
/// NaN for text that is no number.
pub(crate) fn number(raw: &str) -> f64 {
    raw.parse().unwrap_or(f64::NAN)
}

/// How many arrays and objects are open at the deepest point of valid JSON.
pub(crate) fn depth(raw: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    let mut in_string = false;
    let mut escaped = false;
    for byte in raw.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Members<'a, F>(F, PhantomData<&'a str>);

impl<'a, F: FnMut(&'a str, &'a str) -> ControlFlow<()>> Visitor<'a> for Members<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            if (self.0)(key.get(), value.get()).is_break() {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct Elements<'a, F>(F, PhantomData<&'a str>);

impl<'a, F: FnMut(&'a str) -> ControlFlow<()>> Visitor<'a> for Elements<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element::<&RawValue>()? {
            if (self.0)(element.get()).is_break() {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        members(text, |key, value| {
            found.push((key, value));
            ControlFlow::Continue(())
        })
        .ok()?;
        Some(found)
    }

    #[test]
    fn members_are_raw_and_in_order() {
        assert_eq!(
            collect(" { \"a\" : [1, 2] ,\n\"\\u0061\":\t\"x\" } "),
            Some(vec![("\"a\"", "[1, 2]"), ("\"\\u0061\"", "\"x\"")])
        );
        assert_eq!(collect("{}"), Some(vec![]));
    }

    #[test]
    fn accepts_what_json_parse_accepts() {
        for text in [
            r#"{"a":"\ud800"}"#,
            r#"{"\udfff":1}"#,
            r#"{"a":1e999}"#,
            r#"{"a":-0}"#,
            "{\"a\":\"\u{2028}\u{7f}\"}",
        ] {
            assert!(collect(text).is_some(), "{text}");
        }
    }

    #[test]
    fn refuses_what_json_parse_refuses() {
        for text in [
            "",
            "{",
            "{}x",
            "{,}",
            "{\"a\":1,}",
            "{'a':1}",
            "{a:1}",
            "{1:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":NaN}",
            "{\"a\":\"\n\"}",
            "{\"\t\":1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "\u{feff}{}",
            "\u{a0}{}",
            "\u{b}{}",
            "[]",
        ] {
            assert!(collect(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_million_levels_do_not_overflow_the_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert!(is_valid(&deep));
        assert!(collect(&format!("{{\"a\":{deep}}}")).is_some());
        assert_eq!(depth(&deep), 1_000_000);
        assert!(!is_valid(&"[".repeat(1_000_000)));
    }

    #[test]
    fn depth_ignores_brackets_in_strings() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"[[\"[":[{}],"b":[]}"#), 3);
    }

    #[test]
    fn numbers_are_doubles() {
        assert_eq!(number("1e999"), f64::INFINITY);
        assert_eq!(number("-1E999"), f64::NEG_INFINITY);
        assert_eq!(number("1.50"), 1.5);
        assert!(number("x").is_nan());
    }
}
