//! Text in the forms that JavaScript engines keep strings in, made off the embedder's thread.
//!
//! An engine copies Latin-1 and UTF-16 as they are. UTF-8 beyond ASCII it has to decode, which takes
//! longer than everything else that is done with a message.

use std::{cell::RefCell, fmt, mem};

use encoding_rs::mem as transcode;

/// Larger buffers are not kept for the next text.
const KEPT_UNITS: usize = 64 * 1024;

/// Text as Latin-1 where that is enough, else as UTF-16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Units);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Units {
    Latin1(Vec<u8>),
    Utf16(Vec<u16>),
}

/// The code units of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextUnits<'a> {
    /// One byte for each character, all below U+0100.
    Latin1(&'a [u8]),
    /// Valid UTF-16; some character is not Latin-1.
    Utf16(&'a [u16]),
}

impl TextUnits<'_> {
    /// How much memory it takes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Latin1(units) => units.len(),
            Self::Utf16(units) => mem::size_of_val(units),
        }
    }

    pub(crate) fn is_wide(self) -> bool {
        matches!(self, Self::Utf16(_))
    }
}

thread_local! {
    static BUFFERS: RefCell<(Vec<u8>, Vec<u16>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Shows `body` the code units of a text, which it copies if it wants to keep them.
pub(crate) fn with_units<T>(text: &str, body: impl FnOnce(TextUnits<'_>) -> T) -> T {
    if text.is_ascii() {
        return body(TextUnits::Latin1(text.as_bytes()));
    }
    // Taken, so that `body` may come here again.
    let (mut narrow, mut wide) = BUFFERS.take();
    let result = if transcode::is_str_latin1(text) {
        body(TextUnits::Latin1(latin1_in(&mut narrow, text)))
    } else {
        body(TextUnits::Utf16(utf16_in(&mut wide, text)))
    };
    if narrow.capacity() <= KEPT_UNITS && wide.capacity() <= KEPT_UNITS {
        BUFFERS.set((narrow, wide));
    }
    result
}

/// The text's units at the start of a buffer, which stays as long as it was needed.
fn latin1_in<'a>(buffer: &'a mut Vec<u8>, text: &str) -> &'a [u8] {
    if buffer.len() < text.len() {
        buffer.resize(text.len(), 0);
    }
    let written = transcode::convert_utf8_to_latin1_lossy(text.as_bytes(), buffer);
    buffer.get(..written).unwrap_or_default()
}

fn utf16_in<'a>(buffer: &'a mut Vec<u16>, text: &str) -> &'a [u16] {
    // One unit more than can be needed, which the conversion asks for.
    if buffer.len() <= text.len() {
        buffer.resize(text.len() + 1, 0);
    }
    let written = transcode::convert_str_to_utf16(text, buffer);
    buffer.get(..written).unwrap_or_default()
}

/// Units that are converted at once, into a buffer on the stack.
const CHUNK_UNITS: usize = 1_024;
/// The most bytes of UTF-8 for a unit of UTF-16.
const UTF8_PER_UNIT: usize = 3;

/// `room` bytes, followed by UTF-16 as UTF-8; lone surrogates become replacement characters.
pub(crate) fn utf8_behind(mut units: &[u16], room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room + units.len() * 2);
    bytes.resize(room, 0);
    let mut buffer = [0_u8; CHUNK_UNITS * UTF8_PER_UNIT];
    while !units.is_empty() {
        let (chunk, rest) = units.split_at(chunk_len(units));
        let written = transcode::convert_utf16_to_utf8(chunk, &mut buffer);
        bytes.extend_from_slice(buffer.get(..written).unwrap_or_default());
        units = rest;
    }
    bytes
}

/// Does not cut between the two halves of a character.
fn chunk_len(units: &[u16]) -> usize {
    match units.get(CHUNK_UNITS - 1) {
        Some(0xd800..0xdc00) => CHUNK_UNITS - 1,
        Some(_) => CHUNK_UNITS,
        None => units.len(),
    }
}

impl Text {
    /// Empty, for wide text.
    pub(crate) fn wide() -> Self {
        Self(Units::Utf16(Vec::new()))
    }

    /// Its code units.
    pub fn units(&self) -> TextUnits<'_> {
        match &self.0 {
            Units::Latin1(units) => TextUnits::Latin1(units),
            Units::Utf16(units) => TextUnits::Utf16(units),
        }
    }

    /// How much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.units().bytes()
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.units().is_wide()
    }

    /// How many code units.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Units::Latin1(units) => units.len(),
            Units::Utf16(units) => units.len(),
        }
    }

    /// Appends a text. What is narrow becomes wide if it has to.
    pub(crate) fn push(&mut self, units: TextUnits<'_>) {
        match (&mut self.0, units) {
            (Units::Latin1(text), TextUnits::Latin1(units)) => text.extend_from_slice(units),
            (Units::Utf16(text), TextUnits::Latin1(units)) => {
                let start = text.len();
                text.resize(start + units.len(), 0);
                let room = text.get_mut(start..).unwrap_or_default();
                transcode::convert_latin1_to_utf16(units, room);
            }
            (Units::Utf16(text), TextUnits::Utf16(units)) => text.extend_from_slice(units),
            (Units::Latin1(text), TextUnits::Utf16(units)) => {
                let mut wide = vec![0; text.len()];
                transcode::convert_latin1_to_utf16(text, &mut wide);
                wide.extend_from_slice(units);
                self.0 = Units::Utf16(wide);
            }
        }
    }

    /// Takes the first code unit away.
    pub(crate) fn remove_first(&mut self) {
        match &mut self.0 {
            Units::Latin1(units) => drop(units.drain(..1.min(units.len()))),
            Units::Utf16(units) => drop(units.drain(..1.min(units.len()))),
        }
    }

    /// A part of it, by code units; what is not there is left out.
    pub(crate) fn part(&self, from: usize, to: usize) -> String {
        match &self.0 {
            Units::Latin1(units) => {
                transcode::decode_latin1(units.get(from..to).unwrap_or_default()).into_owned()
            }
            Units::Utf16(units) => {
                String::from_utf16_lossy(units.get(from..to).unwrap_or_default())
            }
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Units::Latin1(Vec::new()))
    }
}

impl From<TextUnits<'_>> for Text {
    fn from(units: TextUnits<'_>) -> Self {
        Self(match units {
            TextUnits::Latin1(units) => Units::Latin1(units.to_vec()),
            TextUnits::Utf16(units) => Units::Utf16(units.to_vec()),
        })
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        if text.is_ascii() { Self(Units::Latin1(text.into_bytes())) } else { Self::from(&*text) }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if transcode::is_str_latin1(text) {
            let mut units = Vec::new();
            let len = latin1_in(&mut units, text).len();
            units.truncate(len);
            return Self(Units::Latin1(units));
        }
        let mut units = Vec::new();
        let len = utf16_in(&mut units, text).len();
        units.truncate(len);
        // Of three bytes of UTF-8 two may be left.
        units.shrink_to_fit();
        Self(Units::Utf16(units))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.part(0, self.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_narrowest_form_is_chosen() {
        assert_eq!(Text::from("a\u{7f}").units(), TextUnits::Latin1(b"a\x7f"));
        assert_eq!(Text::from("\u{80}é\u{ff}").units(), TextUnits::Latin1(&[0x80, 0xe9, 0xff]));
        assert_eq!(Text::from("\u{100}").units(), TextUnits::Utf16(&[0x100]));
        assert_eq!(Text::from("a\u{1f600}").units(), TextUnits::Utf16(&[0x61, 0xd83d, 0xde00]));
        assert_eq!(Text::from("").units(), TextUnits::Latin1(&[]));
        assert_eq!((Text::from("é").bytes(), Text::from("中é").bytes()), (1, 4));
    }

    #[test]
    fn a_buffer_is_not_shared_by_texts_within_each_other() {
        let (outer, inner) = ("中文", "ÿ文");
        let both = with_units(outer, |units| {
            let before = Text::from(units);
            let within = Text::from(inner);
            (before, within, Text::from(units))
        });
        assert_eq!(both, (Text::from(outer), Text::from(inner), Text::from(outer)));
    }

    #[test]
    fn utf16_becomes_utf8_behind_some_room() {
        assert_eq!(utf8_behind(&[0x61, 0xd83d, 0xde00], 2), b"\0\0a\xf0\x9f\x98\x80");
        assert_eq!(utf8_behind(&[0xd83d], 0), "\u{fffd}".as_bytes());
        assert_eq!(utf8_behind(&[0xde00, 0xd83d, 0x61], 0), "\u{fffd}\u{fffd}a".as_bytes());
        for before in CHUNK_UNITS - 3..CHUNK_UNITS + 2 {
            let text = format!("{}\u{1f600}中{}", "x".repeat(before), "ü".repeat(CHUNK_UNITS));
            let units: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(utf8_behind(&units, 0), text.as_bytes(), "{before}");
        }
    }

    proptest! {
        #[test]
        fn any_units_become_what_the_standard_library_makes_of_them(units: Vec<u16>) {
            let expected = String::from_utf16_lossy(&units);
            prop_assert_eq!(utf8_behind(&units, 0), expected.as_bytes());
        }

        #[test]
        fn any_text_is_itself_again(text: String) {
            prop_assert_eq!(Text::from(&*text).to_string(), text.clone());
            prop_assert_eq!(Text::from(text.clone()), Text::from(&*text));
            if let TextUnits::Utf16(units) = Text::from(&*text).units() {
                prop_assert!(units.iter().copied().eq(text.encode_utf16()));
            }
        }

        #[test]
        fn what_is_pushed_is_behind_what_was_there(parts: Vec<String>) {
            let mut text = Text::from("[");
            for part in &parts {
                with_units(part, |units| text.push(units));
            }
            let expected = format!("[{}", parts.concat());
            prop_assert_eq!(text.to_string(), expected);
            text.remove_first();
            prop_assert_eq!(text.to_string(), parts.concat());
        }
    }
}
