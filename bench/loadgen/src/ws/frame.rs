//! Frames to send.

use super::opcode;

/// A cheap source of masking keys, never zero: servers may skip the unmasking for an all-zero key,
/// which no real client sends.
struct Masks(u32);

impl Masks {
    fn new(seed: usize) -> Self {
        Self((seed as u32).wrapping_mul(2_654_435_761) | 1)
    }

    fn next(&mut self) -> [u8; 4] {
        // xorshift32: the state is never zero, so neither is the key.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_ne_bytes()
    }
}

/// Appends masked frames to a buffer.
pub struct FrameWriter {
    masks: Masks,
}

impl FrameWriter {
    /// Different seeds give different masks.
    pub fn new(seed: usize) -> Self {
        Self { masks: Masks::new(seed) }
    }

    /// A text frame of the parts put together.
    pub fn text(&mut self, out: &mut Vec<u8>, parts: &[&[u8]]) {
        let mask = self.masks.next();
        header(out, opcode::TEXT, parts.iter().map(|part| part.len()).sum(), mask);
        let mut at = 0;
        for part in parts {
            masked(out, part, mask, at);
            at += part.len();
        }
    }

    /// A close frame with a code.
    pub fn close(&mut self, out: &mut Vec<u8>, code: u16) {
        self.control(out, opcode::CLOSE, &code.to_be_bytes());
    }

    /// The answer to a ping.
    pub fn pong(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        self.control(out, opcode::PONG, payload);
    }

    fn control(&mut self, out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
        let mask = self.masks.next();
        header(out, opcode, payload.len(), mask);
        masked(out, payload, mask, 0);
    }
}

fn header(out: &mut Vec<u8>, opcode: u8, length: usize, mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(0x80 | length as u8),
        126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
}

/// `at` is where in the payload these bytes stand.
fn masked(out: &mut Vec<u8>, bytes: &[u8], mut mask: [u8; 4], at: usize) {
    mask.rotate_left(at & 3);
    out.extend(bytes.iter().enumerate().map(|(i, byte)| byte ^ mask[i & 3]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_in_parts_equals_masking_at_once() {
        let payload: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        let parts: Vec<&[u8]> = payload.chunks(13).collect();
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        FrameWriter::new(5).text(&mut whole, &[&payload]);
        FrameWriter::new(5).text(&mut pieces, &parts);
        assert_eq!(whole, pieces);
        let (mask, body) = (&whole[4..8], &whole[8..]);
        assert!(body.iter().zip(&payload).enumerate().all(|(i, (b, p))| b ^ mask[i & 3] == *p));
    }

    #[test]
    fn masks_are_never_zero() {
        let mut masks = Masks::new(0);
        assert!((0..10_000).all(|_| masks.next() != [0; 4]));
    }
}
