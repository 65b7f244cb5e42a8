//! `JSON.stringify(JSON.parse(text))` without making the value.

use std::{collections::HashMap, ops::Range};

use super::{
    json::{self, Kind},
    text,
};

/// Deeper values are copied as they are; it keeps the recursion below small.
const MAX_DEPTH: usize = 128;

/// Appends what `JSON.stringify` makes of the value whose JSON text is `raw`.
/// `None`, with `out` in an unspecified state behind its old end, if `raw` is
/// no JSON.
pub(crate) fn write(out: &mut String, raw: &str) -> Option<()> {
    let raw = json::trim(raw);
    // What heartbeats carry in practice is already in its final form.
    if is_plain_integer(raw) {
        out.push_str(raw);
        return Some(());
    }
    if !json::is_valid(raw) {
        return None;
    }
    if Kind::of(raw) == Kind::String {
        text::write_canonical(out, raw);
        return Some(());
    }
    if json::depth(raw) > MAX_DEPTH {
        out.push_str(raw);
        return Some(());
    }
    Writer { rest: raw, out }.value()
}

/// Appends a number as `JSON.stringify` does.
pub(crate) fn write_number(out: &mut String, number: f64) {
    if number.is_finite() {
        out.push_str(ryu_js::Buffer::new().format_finite(number));
    } else {
        out.push_str("null");
    }
}

/// Whether `raw` is a positive integer small enough to be exact.
fn is_plain_integer(raw: &str) -> bool {
    (1..=15).contains(&raw.len())
        && raw.bytes().all(|byte| byte.is_ascii_digit())
        && (raw.len() == 1 || !raw.starts_with('0'))
}

/// One pass over valid JSON. Only objects whose keys JavaScript would reorder
/// are written twice.
struct Writer<'a, 'o> {
    rest: &'a str,
    out: &'o mut String,
}

impl<'a> Writer<'a, '_> {
    fn value(&mut self) -> Option<()> {
        self.skip_whitespace();
        match Kind::of(self.rest) {
            Kind::Object => self.object(),
            Kind::Array => self.array(),
            Kind::String => {
                let raw = self.take_string()?;
                text::write_canonical(self.out, raw);
                Some(())
            }
            Kind::Number => {
                let raw = self.take_word()?;
                write_number(self.out, json::number(raw));
                Some(())
            }
            Kind::Bool(_) | Kind::Null => {
                let raw = self.take_word()?;
                self.out.push_str(raw);
                Some(())
            }
        }
    }

    fn array(&mut self) -> Option<()> {
        self.take('[')?;
        self.out.push('[');
        if self.take(']').is_none() {
            loop {
                self.value()?;
                if self.take(',').is_none() {
                    break;
                }
                self.out.push(',');
            }
            self.take(']')?;
        }
        self.out.push(']');
        Some(())
    }

    fn object(&mut self) -> Option<()> {
        self.take('{')?;
        self.out.push('{');
        let start = self.out.len();
        let mut keys = Keys::default();
        if self.take('}').is_none() {
            loop {
                self.skip_whitespace();
                let member = self.out.len();
                let raw = self.take_string()?;
                text::write_canonical(self.out, raw);
                let key = self.out.get(member..)?.to_owned();
                self.take(':')?;
                self.out.push(':');
                self.value()?;
                keys.add(key, member..self.out.len());
                if self.take(',').is_none() {
                    break;
                }
                self.out.push(',');
            }
            self.take('}')?;
        }
        if let Some(ordered) = keys.reordered() {
            let members: Option<Vec<&str>> =
                ordered.into_iter().map(|range| self.out.get(range)).collect();
            let members = members?.join(",");
            self.out.truncate(start);
            self.out.push_str(&members);
        }
        self.out.push('}');
        Some(())
    }

    fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, expected: char) -> Option<()> {
        self.skip_whitespace();
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// A string with its quotes.
    fn take_string(&mut self) -> Option<&'a str> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        self.take_bytes(end + 2)
    }

    /// A number, true, false or null.
    fn take_word(&mut self) -> Option<&'a str> {
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
        self.take_bytes(end)
    }

    fn take_bytes(&mut self, count: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}

/// The members of one object, to find out in which order JavaScript has them.
#[derive(Default)]
struct Keys {
    /// Where each member was written, in order of first appearance.
    members: Vec<(Option<u32>, Range<usize>)>,
    /// By key as `JSON.stringify` writes it, which is one to one.
    known: HashMap<String, usize>,
    reorder: bool,
}

impl Keys {
    fn add(&mut self, key: String, written: Range<usize>) {
        if let Some((_, earlier)) = self.known.get(&key).and_then(|&at| self.members.get_mut(at)) {
            // The last value, at the place of the first.
            *earlier = written;
            self.reorder = true;
            return;
        }
        let index = array_index(key.trim_matches('"'));
        self.reorder |= index.is_some();
        self.known.insert(key, self.members.len());
        self.members.push((index, written));
    }

    /// The order, if it is not the one they were written in.
    fn reordered(mut self) -> Option<Vec<Range<usize>>> {
        if !self.reorder {
            return None;
        }
        // Stable: the keys that are no index keep their order, behind the others.
        self.members.sort_by_key(|(index, _)| index.map_or(u64::MAX, u64::from));
        Some(self.members.into_iter().map(|(_, range)| range).collect())
    }
}

/// The number of a key that JavaScript orders by number.
fn array_index(key: &str) -> Option<u32> {
    let canonical = key == "0"
        || (key.starts_with(|c: char| matches!(c, '1'..='9'))
            && key.bytes().all(|byte| byte.is_ascii_digit()));
    let index = canonical.then(|| key.parse().ok()).flatten()?;
    (index != u32::MAX).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stringify(raw: &str) -> String {
        let mut out = String::new();
        write(&mut out, raw).unwrap();
        out
    }

    #[test]
    fn numbers() {
        for (raw, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1e21", "1e+21"),
            ("1e-7", "1e-7"),
            ("0.000001", "0.000001"),
            ("1e999", "null"),
            ("-1e999", "null"),
            ("123456789012345", "123456789012345"),
            ("9007199254740993", "9007199254740992"),
            ("1700000000000", "1700000000000"),
            ("0.1", "0.1"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(stringify(raw), expected, "{raw}");
        }
    }

    #[test]
    fn scalars_and_strings() {
        assert_eq!(stringify(" null "), "null");
        assert_eq!(stringify("true"), "true");
        assert_eq!(stringify("[ false , null ]"), "[false,null]");
        assert_eq!(stringify(r#""\u0041\/\ud800""#), r#""A/\ud800""#);
        assert_eq!(stringify("\"é\u{2028}\""), "\"é\u{2028}\"");
    }

    #[test]
    fn whitespace_goes() {
        assert_eq!(
            stringify("{ \"a\" : [ 1 ,\n2.50 , { } , [ ] ] ,\t\"b \\\" c\" : \"x , y\" }"),
            r#"{"a":[1,2.5,{},[]],"b \" c":"x , y"}"#
        );
    }

    #[test]
    fn keys_are_in_the_order_of_javascript() {
        assert_eq!(
            stringify(
                r#"{"b":1,"10":2,"a":3,"9":4,"01":5,"-1":6,"4294967294":7,"4294967295":8,"0":9}"#
            ),
            r#"{"0":9,"9":4,"10":2,"4294967294":7,"b":1,"a":3,"01":5,"-1":6,"4294967295":8}"#
        );
        assert_eq!(stringify(r#"{"a":1,"b":2,"\u0061":3}"#), r#"{"a":3,"b":2}"#);
        assert_eq!(
            stringify(r#"{"a":1,"__proto__":{"1":0,"0":1}}"#),
            r#"{"a":1,"__proto__":{"0":1,"1":0}}"#
        );
        assert_eq!(stringify(r#"{"":1,"\"":2,"\"1":3}"#), r#"{"":1,"\"":2,"\"1":3}"#);
        assert_eq!(stringify(r#"{"1":"a","\ud800":1,"\ud800":2}"#), r#"{"1":"a","\ud800":2}"#);
    }

    #[test]
    fn too_deep_is_copied() {
        let nest = |levels: usize| "[ ".repeat(levels) + &"]".repeat(levels);
        assert_eq!(stringify(&nest(128)), "[".repeat(128) + &"]".repeat(128));
        assert_eq!(stringify(&nest(129)), nest(129));
        assert_eq!(stringify(&nest(200_000)), nest(200_000));
    }

    #[test]
    fn no_json() {
        for raw in ["", "x", "01", "1 2", "[1", "{\"a\"}", "\"", "\"\\x\"", "1.", "\"a\"b\""] {
            assert_eq!(write(&mut String::new(), raw), None, "{raw}");
        }
    }
}
