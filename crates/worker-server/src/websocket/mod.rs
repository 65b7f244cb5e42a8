//! The WebSocket message layer (RFC 6455, server side).
//!
//! Frame headers, opcodes and close codes are tungstenite's. Buffers and message assembly are
//! ours, because tungstenite's cannot be bounded by fragment, do not shrink after a large
//! message, and end a connection on a protocol error without saying why; see
//! `docs/decisions/0002-websocket-layer.md`.

mod decoder;
mod frame;

pub(crate) use decoder::{Decoder, Incoming, ProtocolError};
pub use frame::FrameKind;
pub(crate) use frame::{
    MAX_HEADER_LEN, close_frame, frame, ping_frame, pong_frame, seal_text, text_frame,
};

/// Longest payload of a control frame, in bytes.
const MAX_CONTROL_LEN: usize = 125;
