//! From bytes to messages, without a buffer of its own while a connection is idle.

use std::{borrow::Cow, io::Cursor};

use simdutf8::basic::from_utf8;
use thiserror::Error;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use super::MAX_CONTROL_LEN;

/// Longest header of a masked frame, in bytes.
const MAX_HEADER_LEN: usize = 14;
/// The longest payload length that `ws` supports: the largest exact integer of JavaScript.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// A message under assembly grows with what arrived, never with what a header promised.
const INITIAL_RESERVE: usize = 64 * 1024;

/// What a peer sent. Text borrows from the read buffer when it can.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A complete text message, or a binary one decoded as UTF-8 with replacement characters; see
    /// [`Decoder::was_binary`].
    Message(Cow<'a, str>),
    /// A ping with its payload.
    Ping(Cow<'a, [u8]>),
    /// A pong with its payload.
    Pong(Cow<'a, [u8]>),
    /// A valid close frame; without a code: `None`.
    Close(Option<(u16, String)>),
}

/// Why a connection must be failed. What breaks RFC 6455 has the text that `ws` 8.19 gives it.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub(crate) enum ProtocolError {
    #[error("Invalid WebSocket frame: RSV2 and RSV3 must be clear")]
    Rsv2Or3,
    #[error("Invalid WebSocket frame: RSV1 must be clear")]
    Rsv1,
    /// An opcode that is unknown, or that cannot come at this point.
    #[error("Invalid WebSocket frame: invalid opcode {0}")]
    Opcode(u8),
    #[error("Invalid WebSocket frame: FIN must be set")]
    FragmentedControl,
    /// The 7-bit length of a control frame.
    #[error("Invalid WebSocket frame: invalid payload length {0}")]
    ControlLength(u8),
    #[error("Invalid WebSocket frame: MASK must be set")]
    Unmasked,
    #[error("Invalid WebSocket frame: invalid status code {0}")]
    StatusCode(u16),
    #[error("Invalid WebSocket frame: invalid UTF-8 sequence")]
    InvalidUtf8,
    #[error("Unsupported WebSocket frame: payload length > 2^53 - 1")]
    UnsupportedLength,
    #[error("Max payload size exceeded")]
    TooLarge,
    #[error("Too many message fragments")]
    TooManyFragments,
    /// A large message stopped arriving.
    #[error("Message timeout")]
    MessageTimeout,
    /// The partial messages of all connections together took too much memory.
    #[error("Too many incomplete messages")]
    TooManyIncomplete,
}

impl ProtocolError {
    /// The code of the close frame that the peer gets (RFC 6455 section 7.4.1).
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 => 1007,
            Self::UnsupportedLength | Self::TooLarge => 1009,
            Self::TooManyFragments | Self::MessageTimeout => 1008,
            Self::TooManyIncomplete => 1013,
            Self::Rsv2Or3
            | Self::Rsv1
            | Self::Opcode(_)
            | Self::FragmentedControl
            | Self::ControlLength(_)
            | Self::Unmasked
            | Self::StatusCode(_) => 1002,
        }
    }
}

/// The reading half of one connection.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// What has arrived of a header or, while a control frame is open, of its payload.
    part: Vec<u8>,
    frame: Option<OpenFrame>,
    /// Payload of the message under assembly.
    message: Vec<u8>,
    /// The kind of the message under assembly, if one is.
    kind: Option<Kind>,
    was_binary: bool,
    fragments: u32,
    max_message: usize,
    max_fragments: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A frame whose header is known and whose payload is arriving.
#[derive(Debug)]
struct OpenFrame {
    is_final: bool,
    control: Option<Control>,
    remaining: usize,
    /// As the next byte of the payload needs it.
    mask: [u8; 4],
}

impl Decoder {
    pub(crate) fn new(max_message: usize, max_fragments: u32) -> Self {
        Self { max_message, max_fragments, ..Self::default() }
    }

    /// Changes the size limit from the next frame on.
    pub(crate) fn set_max_message(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// Whether the last complete message was binary.
    pub(crate) fn was_binary(&self) -> bool {
        self.was_binary
    }

    /// What is kept of a message that has not fully arrived.
    pub(crate) fn incomplete_bytes(&self) -> usize {
        self.message.len()
    }

    /// Takes the next thing out of `input` and moves its start behind what was used.
    /// `None`: all of `input` was used and something is still incomplete, or nothing is left.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        loop {
            let Some(mut frame) = self.frame.take() else {
                if input.is_empty() {
                    return Ok(None);
                }
                if !self.read_header(input)? {
                    return Ok(None);
                }
                continue;
            };
            let here = frame.remaining.min(input.len());
            let payload = split_front(input, here);
            unmask(payload, frame.mask);
            frame.remaining -= here;
            frame.mask.rotate_left(here % 4);
            if frame.remaining > 0 {
                self.keep(&frame, payload);
                self.frame = Some(frame);
                return Ok(None);
            }
            let done = match frame.control {
                Some(opcode) => Some(self.finish_control(opcode, payload)?),
                None => self.finish_data(frame.is_final, payload)?,
            };
            if done.is_some() {
                return Ok(done);
            }
        }
    }

    fn keep(&mut self, frame: &OpenFrame, payload: &[u8]) {
        if payload.is_empty() {
            // A buffer is reserved for what arrives, and given away with it.
            return;
        }
        let buffer = if frame.control.is_some() { &mut self.part } else { &mut self.message };
        if buffer.capacity() == 0 {
            buffer.reserve((frame.remaining + payload.len()).min(INITIAL_RESERVE));
        }
        buffer.extend_from_slice(payload);
    }

    fn finish_control<'a>(
        &mut self,
        opcode: Control,
        payload: &'a mut [u8],
    ) -> Result<Incoming<'a>, ProtocolError> {
        let payload: Cow<'a, [u8]> = if self.part.is_empty() {
            Cow::Borrowed(payload)
        } else {
            self.part.extend_from_slice(payload);
            Cow::Owned(std::mem::take(&mut self.part))
        };
        match opcode {
            Control::Ping => Ok(Incoming::Ping(payload)),
            Control::Close => close_of(&payload).map(Incoming::Close),
            _ => Ok(Incoming::Pong(payload)),
        }
    }

    fn finish_data<'a>(
        &mut self,
        is_final: bool,
        payload: &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        if !is_final {
            self.message.extend_from_slice(payload);
            return Ok(None);
        }
        let kind = self.kind.take();
        self.was_binary = kind == Some(Kind::Binary);
        self.fragments = 0;
        if self.message.is_empty() {
            return decode(kind, Cow::Borrowed(payload)).map(Some);
        }
        self.message.extend_from_slice(payload);
        decode(kind, Cow::Owned(std::mem::take(&mut self.message))).map(Some)
    }

    /// False: the header is incomplete and all of the input was taken.
    fn read_header(&mut self, input: &mut &mut [u8]) -> Result<bool, ProtocolError> {
        if self.part.is_empty() {
            let mut cursor = Cursor::new(&input[..]);
            if let Some((header, len)) = self.parse_header(&mut cursor)? {
                let used = cursor.position() as usize;
                split_front(input, used);
                self.frame = Some(self.open(&header, len)?);
                return Ok(true);
            }
            self.part.extend_from_slice(input);
            split_front(input, usize::MAX);
            return Ok(false);
        }
        let before = self.part.len();
        let more = input.len().min(MAX_HEADER_LEN.saturating_sub(before));
        self.part.extend(input.iter().take(more));
        let mut cursor = Cursor::new(&self.part[..]);
        let Some((header, len)) = self.parse_header(&mut cursor)? else {
            split_front(input, more);
            return Ok(false);
        };
        let used = cursor.position() as usize;
        split_front(input, used.saturating_sub(before));
        self.part = Vec::new();
        self.frame = Some(self.open(&header, len)?);
        Ok(true)
    }

    fn parse_header(
        &self,
        cursor: &mut Cursor<&[u8]>,
    ) -> Result<Option<(FrameHeader, u64)>, ProtocolError> {
        let first = cursor.get_ref().first().copied().unwrap_or_default();
        if let [first, second, ..] = **cursor.get_ref() {
            self.check_start(first, second)?;
        }
        // The parser refuses unknown opcodes only, which are refused above.
        FrameHeader::parse(cursor).map_err(|_| ProtocolError::Opcode(first & 0x0f))
    }

    /// Checks the first two bytes of a frame, in the order of `ws`, so that a bad frame is refused
    /// even if the rest of its header never comes.
    fn check_start(&self, first: u8, second: u8) -> Result<(), ProtocolError> {
        let (is_final, number) = (first & 0x80 != 0, first & 0x0f);
        let (is_masked, short_len) = (second & 0x80 != 0, second & 0x7f);
        if first & 0x30 != 0 {
            return Err(ProtocolError::Rsv2Or3);
        }
        if first & 0x40 != 0 {
            return Err(ProtocolError::Rsv1);
        }
        match OpCode::from(number) {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(ProtocolError::Opcode(number));
            }
            OpCode::Control(_) if !is_final => return Err(ProtocolError::FragmentedControl),
            // A control frame has no longer form of its length, whatever the length is.
            OpCode::Control(_) if usize::from(short_len) > MAX_CONTROL_LEN => {
                return Err(ProtocolError::ControlLength(short_len));
            }
            OpCode::Control(Control::Close) if short_len == 1 => {
                return Err(ProtocolError::ControlLength(short_len));
            }
            OpCode::Control(_) => {}
            OpCode::Data(data) => {
                if (data == Data::Continue) != self.kind.is_some() {
                    return Err(ProtocolError::Opcode(number));
                }
            }
        }
        if is_masked { Ok(()) } else { Err(ProtocolError::Unmasked) }
    }

    /// A frame whose start was checked.
    fn open(&mut self, header: &FrameHeader, len: u64) -> Result<OpenFrame, ProtocolError> {
        let control = match header.opcode {
            OpCode::Control(opcode) => Some(opcode),
            OpCode::Data(data) => {
                match data {
                    Data::Text => self.kind = Some(Kind::Text),
                    Data::Binary => self.kind = Some(Kind::Binary),
                    _ => {}
                }
                self.grow_by(len)?;
                None
            }
        };
        let mask = header.mask.ok_or(ProtocolError::Unmasked)?;
        let remaining = usize::try_from(len).map_err(|_| ProtocolError::TooLarge)?;
        Ok(OpenFrame { is_final: header.is_final, control, remaining, mask })
    }

    /// Checks the bounds of the message before another frame's payload arrives.
    fn grow_by(&mut self, len: u64) -> Result<(), ProtocolError> {
        if len > MAX_SAFE_INTEGER {
            return Err(ProtocolError::UnsupportedLength);
        }
        if (self.message.len() as u64).saturating_add(len) > self.max_message as u64 {
            return Err(ProtocolError::TooLarge);
        }
        self.fragments += 1;
        if self.fragments > self.max_fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        Ok(())
    }
}

/// Cuts the first `len` bytes (at most all) off `input`.
fn split_front<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let taken = std::mem::take(input);
    let (front, rest) = taken.split_at_mut(len.min(taken.len()));
    *input = rest;
    front
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

fn decode(kind: Option<Kind>, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, ProtocolError> {
    let lossy = kind == Some(Kind::Binary);
    let text = match payload {
        Cow::Borrowed(bytes) if lossy => String::from_utf8_lossy(bytes),
        Cow::Borrowed(bytes) => {
            Cow::Borrowed(from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)?)
        }
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if lossy => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            Err(_) => return Err(ProtocolError::InvalidUtf8),
        }),
    };
    Ok(Incoming::Message(text))
}

fn close_of(payload: &[u8]) -> Result<Option<(u16, String)>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        // A payload of one byte was refused with its header.
        return Ok(None);
    };
    let code = u16::from_be_bytes(*code);
    // 1014 (bad gateway) is registered and what `ws` accepts, but unknown to tungstenite.
    if !CloseCode::from(code).is_allowed() && code != 1014 {
        return Err(ProtocolError::StatusCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

#[cfg(test)]
mod tests;
