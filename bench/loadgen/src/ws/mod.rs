//! The little of RFC 6455 that a load-generating client needs.
//!
//! By hand, so that the generator stays much cheaper than any server it measures: frames to send
//! are made (and masked) once and sent many times, and received ones are looked at in place.

mod frame;
mod reader;

pub use frame::FrameWriter;
pub use reader::{Event, Reader};

/// The opcodes.
pub mod opcode {
    pub const TEXT: u8 = 0x1;
    pub const CLOSE: u8 = 0x8;
    pub const PING: u8 = 0x9;
    pub const PONG: u8 = 0xA;
}

/// The handshake's key and its answer, from RFC 6455 section 1.3: a fixed pair lets the client
/// check the server's answer without SHA-1.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The position just behind the first occurrence of `needle`.
pub fn find_after(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle).map(|at| at + needle.len())
}

/// The decimal number that stands behind `key`.
pub fn number_after(hay: &[u8], key: &[u8]) -> Option<u64> {
    let digits = &hay[find_after(hay, key)?..];
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (length > 0).then(|| {
        digits[..length]
            .iter()
            .fold(0u64, |value, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })
}
