//! JSON strings: from their raw text to characters and back.

use std::{borrow::Cow, str::Chars};

/// Whether a raw JSON string spells `expected`, escapes resolved.
pub(crate) fn spells(raw: &str, expected: &str) -> bool {
    let inner = inner(raw);
    if !inner.contains('\\') {
        return inner == expected;
    }
    CodePoints::of(raw).eq(expected.chars().map(u32::from))
}

/// The text of a raw JSON string; a lone surrogate becomes U+FFFD, as it does
/// when JavaScript encodes a string as UTF-8.
pub(crate) fn decode(raw: &str) -> Cow<'_, str> {
    let inner = inner(raw);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    CodePoints::of(raw)
        .map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into()
}

/// The text of a raw JSON string as generalised UTF-8, where a lone surrogate
/// is three bytes, so that different strings stay different.
pub(crate) fn decode_exactly(raw: &str) -> Cow<'_, [u8]> {
    let inner = inner(raw);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner.as_bytes());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    for point in CodePoints::of(raw) {
        match char::from_u32(point) {
            Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => bytes.extend(surrogate_bytes(point)),
        }
    }
    bytes.into()
}

/// How many bytes [`decode_exactly`] gives, without making them.
pub(crate) fn decoded_len(raw: &str) -> usize {
    let inner = inner(raw);
    if !inner.contains('\\') {
        return inner.len();
    }
    CodePoints::of(raw).map(|point| char::from_u32(point).map_or(3, char::len_utf8)).sum()
}

/// Appends a raw JSON string the way `JSON.stringify` writes it.
pub(crate) fn write_canonical(out: &mut String, raw: &str) {
    let inner = inner(raw);
    out.push('"');
    if inner.contains('\\') {
        for point in CodePoints::of(raw) {
            match char::from_u32(point) {
                Some(c) => write_char(out, c),
                None => write_unicode_escape(out, point),
            }
        }
    } else {
        // Valid JSON has neither quotes nor control characters here.
        out.push_str(inner);
    }
    out.push('"');
}

/// Appends `text` as a JSON string the way `JSON.stringify` writes it.
pub(crate) fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        write_char(out, c);
    }
    out.push('"');
}

/// The Unicode code points of a raw JSON string, surrogate pairs joined, lone
/// surrogates as they are.
struct CodePoints<'a> {
    rest: Chars<'a>,
    /// A unit read while looking for the second half of a pair.
    held: Option<u32>,
}

impl<'a> CodePoints<'a> {
    fn of(raw: &'a str) -> Self {
        Self { rest: inner(raw).chars(), held: None }
    }

    /// The next character or escaped UTF-16 unit.
    fn unit(&mut self) -> Option<u32> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        match self.rest.next()? {
            '\\' => self.escape(),
            c => Some(c.into()),
        }
    }

    fn escape(&mut self) -> Option<u32> {
        let c = match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit * 16 + self.rest.next()?.to_digit(16)?;
                }
                return Some(unit);
            }
            other => other,
        };
        Some(c.into())
    }
}

impl Iterator for CodePoints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Some(first);
        }
        match self.unit() {
            Some(second @ 0xdc00..0xe000) => {
                Some(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            }
            other => {
                self.held = other;
                Some(first)
            }
        }
    }
}

fn inner(raw: &str) -> &str {
    let raw = raw.strip_prefix('"').unwrap_or(raw);
    raw.strip_suffix('"').unwrap_or(raw)
}

pub(crate) fn surrogate_bytes(point: u32) -> [u8; 3] {
    // A surrogate has 16 bits, so all three parts fit their bytes.
    [0xe0 | (point >> 12), 0x80 | (point >> 6 & 0x3f), 0x80 | (point & 0x3f)]
        .map(|byte| u8::try_from(byte).unwrap_or(0))
}

fn write_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..'\u{20}' => write_unicode_escape(out, c.into()),
        c => out.push(c),
    }
}

fn write_unicode_escape(out: &mut String, unit: u32) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.extend(char::from_digit(unit >> shift & 0xf, 16));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_resolves_escapes() {
        assert!(spells(r#""type""#, "type"));
        assert!(spells(r#""\u0074\u0079pe""#, "type"));
        assert!(!spells(r#""\\u0074ype""#, "type"));
        assert!(!spells(r#""typ""#, "type"));
        assert!(!spells(r#""types\u0000""#, "types"));
        assert!(!spells(r#""\ud800""#, "\u{fffd}"));
    }

    #[test]
    fn decodes_every_escape() {
        assert_eq!(decode(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#), "\"\\/\u{8}\u{c}\n\r\té😀");
        assert_eq!(decode(r#""plain é""#), "plain é");
    }

    #[test]
    fn lone_surrogates_are_replaced_or_kept() {
        assert_eq!(decode(r#""a\ud800b\udc00\ud800\ud83d\ude00""#), "a\u{fffd}b\u{fffd}\u{fffd}😀");
        assert_eq!(&*decode_exactly(r#""\ud800""#), &[0xed, 0xa0, 0x80]);
        assert_eq!(&*decode_exactly(r#""\udfff""#), &[0xed, 0xbf, 0xbf]);
        assert_eq!(&*decode_exactly(r#""\ud83d\ude00""#), "😀".as_bytes());
    }

    #[test]
    fn length_is_that_of_the_exact_bytes() {
        for raw in [r#""""#, r#""é😀""#, r#""\n\ud800\u00e9\ud83d\ude00""#] {
            assert_eq!(decoded_len(raw), decode_exactly(raw).len());
        }
    }

    #[test]
    fn writes_as_json_stringify_does() {
        let mut out = String::new();
        write_canonical(
            &mut out,
            r#""\/\u0001\u001F\u007f\u2028\uD800\u0008\"\\\u0041\ud83d\uDE00""#,
        );
        assert_eq!(out, "\"/\\u0001\\u001f\u{7f}\u{2028}\\ud800\\b\\\"\\\\A😀\"");
        out.clear();
        write_quoted(&mut out, "a\"\\\n\u{1}é");
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001é\"");
    }
}
