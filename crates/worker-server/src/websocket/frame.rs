//! Building the frames a server sends: never masked, never fragmented.

use bytes::Bytes;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::MAX_CONTROL_LEN;

/// Longest header of an unmasked frame, in bytes.
pub(crate) const MAX_HEADER_LEN: usize = 10;

/// What a frame is, as its opcode says (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Goes on with a fragmented message.
    Continuation = 0,
    /// Text, in UTF-8.
    Text = 1,
    /// Binary data.
    Binary = 2,
    /// Asks for a pong with the same payload.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl FrameKind {
    /// The kind with this opcode; `None` for a close and for unknown ones.
    pub fn of(opcode: u8) -> Option<Self> {
        let all = [Self::Continuation, Self::Text, Self::Binary, Self::Ping, Self::Pong];
        all.into_iter().find(|kind| *kind as u8 == opcode)
    }
}

/// A frame around a copy of `payload`.
pub(crate) fn frame(kind: FrameKind, is_final: bool, payload: &[u8]) -> Bytes {
    let opcode = OpCode::from(kind as u8);
    let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
    let mut out = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
    // Writing to a Vec cannot fail.
    let _ = header.format(payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    Bytes::from(out)
}

/// One text frame around a copy of `text`.
pub(crate) fn text_frame(text: &str) -> Bytes {
    let mut buffer = Vec::with_capacity(MAX_HEADER_LEN + text.len());
    buffer.resize(MAX_HEADER_LEN, 0);
    buffer.extend_from_slice(text.as_bytes());
    seal_text(buffer)
}

/// Turns `[MAX_HEADER_LEN bytes of room][payload]` into a text frame without moving the payload.
/// A buffer without that room gives an empty frame.
pub(crate) fn seal_text(mut buffer: Vec<u8>) -> Bytes {
    let payload_len = buffer.len().saturating_sub(MAX_HEADER_LEN);
    let header = header(OpCode::Data(Data::Text), payload_len);
    let start = MAX_HEADER_LEN - header.len().min(MAX_HEADER_LEN);
    match buffer.get_mut(start..MAX_HEADER_LEN) {
        Some(room) => room.copy_from_slice(&header),
        None => return Bytes::from_static(&[0x81, 0x00]),
    }
    Bytes::from(buffer).slice(start..)
}

/// A close frame; without a code its payload is empty.
pub(crate) fn close_frame(code: Option<u16>, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(MAX_CONTROL_LEN);
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(truncated(reason, MAX_CONTROL_LEN - 2).as_bytes());
    }
    control_frame(Control::Close, &payload)
}

/// The answer to a ping: the same payload.
pub(crate) fn pong_frame(payload: &[u8]) -> Bytes {
    control_frame(Control::Pong, payload)
}

/// A ping without payload.
pub(crate) fn ping_frame() -> Bytes {
    Bytes::from_static(&[0x89, 0x00])
}

fn control_frame(opcode: Control, payload: &[u8]) -> Bytes {
    let mut frame = header(OpCode::Control(opcode), payload.len());
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

fn header(opcode: OpCode, payload_len: usize) -> Vec<u8> {
    let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
    let mut out = Vec::with_capacity(MAX_HEADER_LEN);
    // Writing to a Vec cannot fail.
    let _ = header.format(payload_len as u64, &mut out);
    out
}

/// The longest prefix of whole characters with at most `max` bytes.
fn truncated(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_frames_have_the_shortest_length_form() {
        assert_eq!(&text_frame("hi")[..], b"\x81\x02hi");
        assert_eq!(&text_frame("")[..], b"\x81\x00");
        assert_eq!(&text_frame(&"x".repeat(126))[..4], &[0x81, 126, 0, 126]);
        assert_eq!(&text_frame(&"x".repeat(65_535))[..4], &[0x81, 126, 255, 255]);
        assert_eq!(&text_frame(&"x".repeat(65_536))[..10], &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn frames_of_every_kind() {
        assert_eq!(&frame(FrameKind::Binary, true, &[0, 255])[..], b"\x82\x02\x00\xff");
        assert_eq!(&frame(FrameKind::Text, false, b"a")[..], b"\x01\x01a");
        assert_eq!(&frame(FrameKind::Continuation, true, b"")[..], b"\x80\x00");
        assert_eq!(&frame(FrameKind::Ping, true, b"x")[..], b"\x89\x01x");
        assert_eq!(FrameKind::of(10), Some(FrameKind::Pong));
        assert_eq!((FrameKind::of(8), FrameKind::of(3)), (None, None));
    }

    #[test]
    fn close_frames_carry_code_and_reason() {
        assert_eq!(&close_frame(Some(4001), "no")[..], b"\x88\x04\x0f\xa1no");
        assert_eq!(&close_frame(None, "ignored")[..], b"\x88\x00");
    }

    #[test]
    fn a_long_close_reason_is_cut_between_characters() {
        let frame = close_frame(Some(1000), &"ü".repeat(100));
        assert_eq!(frame[1] as usize, 2 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }
}
