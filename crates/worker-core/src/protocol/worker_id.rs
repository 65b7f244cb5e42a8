//! The identity a worker gives itself.

use std::sync::Arc;

use super::{
    json::{self, Kind},
    text,
};

/// A worker's id as it was in JSON: the number 5 and the string "5" differ.
///
/// Numbers are equal when they are the same double (`1.0`, `1` and `1e0`; 0 and
/// -0, like the keys of a JavaScript `Map`), strings when they are the same
/// UTF-16 code units.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(Scalar);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scalar {
    /// Generalised UTF-8: a lone surrogate is three bytes.
    String(Arc<[u8]>),
    /// The bits of the double, -0 turned into 0. JSON has no NaN.
    Number(u64),
    Bool(bool),
}

impl WorkerId {
    /// The id in the raw JSON text of a value; `None` unless that is a string, a
    /// number or a boolean.
    pub fn from_json(raw: &str) -> Option<Self> {
        let raw = json::trim(raw);
        let valid = json::is_valid(raw);
        valid.then(|| Self::from_valid(raw)).flatten()
    }

    /// The id that is the string `id`.
    pub fn from_text(id: &str) -> Self {
        Self(Scalar::String(id.as_bytes().into()))
    }

    /// The id that is a JavaScript string of these UTF-16 code units.
    pub fn from_utf16(id: &[u16]) -> Self {
        let mut bytes = Vec::with_capacity(id.len());
        for unit in char::decode_utf16(id.iter().copied()) {
            match unit {
                Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(lone) => bytes.extend(text::surrogate_bytes(lone.unpaired_surrogate().into())),
            }
        }
        Self(Scalar::String(bytes.into()))
    }

    /// The id that is the number `id`.
    pub fn from_number(id: f64) -> Self {
        // Adding 0 turns -0 into 0 and changes nothing else.
        Self(Scalar::Number((id + 0.0).to_bits()))
    }

    /// The text of an id that is a string; `None` for other ids and for strings
    /// with lone surrogates.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Scalar::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// As [`WorkerId::from_json`], for text known to be one JSON value.
    pub(crate) fn from_valid(raw: &str) -> Option<Self> {
        match Kind::of(raw) {
            Kind::String => Some(Self(Scalar::String(text::decode_exactly(raw).into()))),
            Kind::Number => Some(Self::from_number(json::number(raw))),
            Kind::Bool(value) => Some(Self(Scalar::Bool(value))),
            Kind::Object | Kind::Array | Kind::Null => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(raw: &str) -> WorkerId {
        WorkerId::from_json(raw).unwrap()
    }

    #[test]
    fn types_differ() {
        assert_ne!(id("5"), id("\"5\""));
        assert_ne!(id("true"), id("\"true\""));
        assert_ne!(id("true"), id("false"));
    }

    #[test]
    fn numbers_are_compared_as_doubles() {
        assert_eq!(id("1"), id("1.0"));
        assert_eq!(id("1"), id("1e0"));
        assert_eq!(id("0"), id("-0"));
        assert_eq!(id("9007199254740993"), id("9007199254740992"));
        assert_eq!(id("1e999"), WorkerId::from_number(f64::INFINITY));
    }

    #[test]
    fn strings_are_compared_decoded() {
        assert_eq!(id(r#""\u0061""#), id("\"a\""));
        assert_eq!(id("\"a\"").as_str(), Some("a"));
        assert_eq!(id("\"a\""), WorkerId::from_text("a"));
        assert_ne!(id(r#""\ud800""#), id(r#""\ud801""#));
        assert_ne!(id(r#""\ud800""#), id("\"\u{fffd}\""));
        assert_eq!(id(r#""\ud800""#), WorkerId::from_utf16(&[0xd800]));
        assert_eq!(id("\"😀\""), WorkerId::from_utf16(&[0xd83d, 0xde00]));
        assert_eq!(id(r#""\ud800""#).as_str(), None);
    }

    #[test]
    fn only_scalars() {
        for raw in ["null", "{}", "[]", "[\"a\"]", "x", "", "1 2"] {
            assert_eq!(WorkerId::from_json(raw), None, "{raw}");
        }
    }
}
