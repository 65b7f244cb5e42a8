//! From bytes to messages, without a buffer of its own while a connection is idle.

use std::{borrow::Cow, io::Cursor};

use thiserror::Error;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use super::MAX_CONTROL_LEN;

/// Longest header of a masked frame, in bytes.
const MAX_HEADER_LEN: usize = 14;
/// A message under assembly grows with what arrived, never with what a header promised.
const INITIAL_RESERVE: usize = 64 * 1024;

/// What a peer sent. Text borrows from the read buffer when it can.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A complete text message, or a binary one decoded as UTF-8 with replacement characters.
    Message(Cow<'a, str>),
    /// A ping with its payload.
    Ping(Cow<'a, [u8]>),
    /// A pong; its payload does not matter to us.
    Pong,
    /// A valid close frame; without a code: `None`.
    Close(Option<(u16, String)>),
}

/// Why a connection must be failed, and with which close code.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
#[error("{reason}")]
pub(crate) struct ProtocolError {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

const fn violation(reason: &'static str) -> ProtocolError {
    ProtocolError { code: 1002, reason }
}

const RESERVED_BITS: ProtocolError =
    violation("Invalid WebSocket frame: reserved bits must be clear");
const UNMASKED: ProtocolError = violation("Invalid WebSocket frame: MASK must be set");
const BAD_OPCODE: ProtocolError = violation("Invalid WebSocket frame: invalid opcode");
const FRAGMENTED_CONTROL: ProtocolError = violation("Invalid WebSocket frame: FIN must be set");
const LONG_CONTROL: ProtocolError = violation("Invalid WebSocket frame: invalid payload length");
const BAD_CLOSE: ProtocolError = violation("Invalid WebSocket frame: invalid close payload");
const INVALID_UTF8: ProtocolError =
    ProtocolError { code: 1007, reason: "Invalid WebSocket frame: invalid UTF-8 sequence" };
pub(crate) const TOO_LARGE: ProtocolError =
    ProtocolError { code: 1009, reason: "Max payload size exceeded" };
pub(crate) const TOO_MANY_FRAGMENTS: ProtocolError =
    ProtocolError { code: 1008, reason: "Too many message fragments" };

/// A large message did not go on arriving.
pub(crate) const MESSAGE_TIMEOUT: ProtocolError =
    ProtocolError { code: 1008, reason: "Message timeout" };
/// All connections together had too much of messages that were arriving.
pub(crate) const GIVEN_UP: ProtocolError =
    ProtocolError { code: 1013, reason: "Too many incomplete messages" };

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
            _ => Ok(Incoming::Pong),
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
        if let [first, second, ..] = **cursor.get_ref() {
            self.check_start(first, second)?;
        }
        // What it could refuse was refused above.
        FrameHeader::parse(cursor).map_err(|_| BAD_OPCODE)
    }

    /// Looks at the two bytes with which every frame starts, so that a bad one is refused even if
    /// the rest of its header never comes.
    fn check_start(&self, first: u8, second: u8) -> Result<(), ProtocolError> {
        let (is_final, opcode) = (first & 0x80 != 0, OpCode::from(first & 0x0f));
        let (is_masked, short_len) = (second & 0x80 != 0, usize::from(second & 0x7f));
        if first & 0x70 != 0 {
            return Err(RESERVED_BITS);
        }
        match opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(BAD_OPCODE);
            }
            OpCode::Control(_) if !is_final => return Err(FRAGMENTED_CONTROL),
            // A control frame has no longer form of its length, whatever the length is.
            OpCode::Control(_) if short_len > MAX_CONTROL_LEN => return Err(LONG_CONTROL),
            OpCode::Control(Control::Close) if short_len == 1 => return Err(BAD_CLOSE),
            OpCode::Control(_) => {}
            OpCode::Data(data) => {
                if (data == Data::Continue) != self.kind.is_some() {
                    return Err(BAD_OPCODE);
                }
            }
        }
        if is_masked { Ok(()) } else { Err(UNMASKED) }
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
        let mask = header.mask.ok_or(UNMASKED)?;
        let remaining = usize::try_from(len).map_err(|_| TOO_LARGE)?;
        Ok(OpenFrame { is_final: header.is_final, control, remaining, mask })
    }

    /// Checks the bounds of the message before another frame's payload arrives.
    fn grow_by(&mut self, len: u64) -> Result<(), ProtocolError> {
        if (self.message.len() as u64).saturating_add(len) > self.max_message as u64 {
            return Err(TOO_LARGE);
        }
        self.fragments += 1;
        if self.fragments > self.max_fragments {
            return Err(TOO_MANY_FRAGMENTS);
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
            Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| INVALID_UTF8)?)
        }
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if lossy => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            Err(_) => return Err(INVALID_UTF8),
        }),
    };
    Ok(Incoming::Message(text))
}

fn close_of(payload: &[u8]) -> Result<Option<(u16, String)>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(BAD_CLOSE) };
    };
    let code = u16::from_be_bytes(*code);
    // 1014 (bad gateway) is registered and what `ws` accepts, but unknown to tungstenite.
    if !CloseCode::from(code).is_allowed() && code != 1014 {
        return Err(BAD_CLOSE);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| INVALID_UTF8)?;
    Ok(Some((code, reason.to_owned())))
}

#[cfg(test)]
mod tests;
