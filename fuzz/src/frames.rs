//! The WebSocket decoder against a slow and plain one, and against itself with other chunks.
//!
//! Input: the length of the chunks, a sixteenth of the limit of a message, the limit of fragments,
//! then what the peer sends.

use worker_server::fuzzing::{Frame, decode};

pub fn run(data: &[u8]) {
    let Some((&[chunk, message, fragments], bytes)) = data.split_first_chunk::<3>() else { return };
    let (max_message, max_fragments) = (usize::from(message) * 16, u32::from(fragments));
    let whole = decode([bytes], max_message, max_fragments);
    let cut = decode(bytes.chunks(usize::from(chunk).max(1)), max_message, max_fragments);
    assert_eq!(whole, cut, "whatever the chunks");
    let mut reference = Reference { max_message, max_fragments, ..Reference::default() };
    let error = reference.read(bytes).err();
    assert_eq!(whole, (reference.frames, error), "as RFC 6455 says");
}

#[derive(Default)]
struct Reference {
    frames: Vec<Frame>,
    max_message: usize,
    max_fragments: u32,
    /// Whether it is text, and what there is of it.
    message: Option<(bool, Vec<u8>)>,
    fragments: u32,
}

impl Reference {
    /// The error is the close code of a violation.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), u16> {
        while let [first, second, rest @ ..] = bytes {
            let (fin, opcode, len) = (first & 0x80 != 0, first & 0xf, second & 0x7f);
            let is_control = opcode >= 8;
            let is_known = matches!(opcode, 0..=2 | 8..=10);
            let is_in_sequence = is_control || (opcode == 0) == self.message.is_some();
            let fits = !is_control || (fin && len < 126 && !(opcode == 8 && len == 1));
            let is_masked = second & 0x80 != 0;
            if first & 0x70 != 0 || !is_known || !is_in_sequence || !fits || !is_masked {
                return Err(1002);
            }
            let extra = match len {
                126 => 2,
                127 => 8,
                _ => 0,
            };
            if rest.len() < extra + 4 {
                return Ok(());
            }
            let (extended, rest) = rest.split_at(extra);
            let len = match extra {
                0 => u64::from(len),
                _ => extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            };
            let (key, rest) = rest.split_at(4);
            if !is_control {
                self.check(len)?;
            }
            if (rest.len() as u64) < len {
                return Ok(());
            }
            let (payload, rest) = rest.split_at(len as usize);
            let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
            let payload: Vec<u8> = payload.collect();
            bytes = rest;
            match opcode {
                8 => return self.close(&payload),
                9 => self.frames.push(Frame::Ping(payload)),
                10 => self.frames.push(Frame::Pong),
                _ => self.data(fin, opcode, &payload)?,
            }
        }
        Ok(())
    }

    fn check(&mut self, len: u64) -> Result<(), u16> {
        let before = self.message.as_ref().map_or(0, |(_, bytes)| bytes.len());
        if u128::from(len) + before as u128 > self.max_message as u128 {
            return Err(1009);
        }
        self.fragments += 1;
        if self.fragments > self.max_fragments { Err(1008) } else { Ok(()) }
    }

    fn data(&mut self, fin: bool, opcode: u8, payload: &[u8]) -> Result<(), u16> {
        let (is_text, mut bytes) = self.message.take().unwrap_or((opcode == 1, Vec::new()));
        bytes.extend(payload);
        if !fin {
            self.message = Some((is_text, bytes));
            return Ok(());
        }
        self.fragments = 0;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if is_text && text.as_bytes() != bytes {
            return Err(1007);
        }
        self.frames.push(Frame::Message(text));
        Ok(())
    }

    fn close(&mut self, payload: &[u8]) -> Result<(), u16> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            self.frames.push(Frame::Close(None));
            return Ok(());
        };
        let code = u16::from_be_bytes(*code);
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(1002);
        }
        let reason = String::from_utf8(reason.to_vec()).map_err(|_| 1007u16)?;
        self.frames.push(Frame::Close(Some((code, reason))));
        Ok(())
    }
}
