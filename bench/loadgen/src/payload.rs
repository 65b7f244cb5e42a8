//! The messages that workers send.

use std::{io, str::FromStr};

use crate::fail;

/// What fills a message up to its size.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One long plain string: the cheapest JSON per byte.
    Ascii,
    /// Text as models write it: line ends, quotes, some letters beyond ASCII.
    Text,
    /// Chinese, without any markup.
    Chinese,
    /// English with an emoji every few words, also such of several code points.
    Emoji,
    /// English with typographic quotes here and there.
    Quotes,
}

impl Shape {
    /// What is repeated, as the inside of a JSON string.
    fn text(self) -> &'static str {
        match self {
            Self::Ascii => "x",
            Self::Text => {
                r#"The quick brown fox said: \"jump\".\nÜber die Straße — naïve café.\n\t- item "#
            }
            Self::Chinese => "敏捷的棕色狐狸跳过了懒狗，然后在树下休息。",
            Self::Emoji => "All tests pass 🎉 and the build is green 🚀👍🏽, see 👩‍💻 notes. ",
            Self::Quotes => {
                "The model answered \u{201c}yes\u{201d} and went on with the rest of the work as it was \
                 told; it didn\u{2019}t stop until all of it was done and had been written down. "
            }
        }
    }
}

impl FromStr for Shape {
    type Err = io::Error;

    fn from_str(name: &str) -> io::Result<Self> {
        match name {
            "ascii" => Ok(Self::Ascii),
            "text" => Ok(Self::Text),
            "chinese" => Ok(Self::Chinese),
            "emoji" => Ok(Self::Emoji),
            "quotes" => Ok(Self::Quotes),
            other => Err(fail(format!("no such shape: {other}"))),
        }
    }
}

/// A `work_progress` of (about) `size` bytes.
pub fn progress(number: usize, size: usize, shape: Shape) -> String {
    let head = format!(r#"{{"type":"work_progress","requestId":"req-{number:08}","payload":""#);
    let room = size.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", filler(shape, room))
}

/// So many bytes for the inside of a JSON string.
fn filler(shape: Shape, room: usize) -> String {
    let text = shape.text();
    let mut filler = text.repeat(room / text.len());
    filler.extend(std::iter::repeat_n('x', room - filler.len()));
    filler
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_json_of_their_size() {
        for shape in [Shape::Ascii, Shape::Text, Shape::Chinese, Shape::Emoji, Shape::Quotes] {
            for size in [100, 1024, 16_384] {
                let text = progress(7, size, shape);
                assert_eq!(text.len(), size);
                let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(parsed["requestId"], "req-00000007");
            }
        }
    }
}
