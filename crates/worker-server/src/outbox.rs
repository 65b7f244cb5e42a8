//! The bounded send queue of one connection.

use std::{collections::VecDeque, io};

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::stream::Stream;

/// Most frames given to one system call.
const WRITE_BATCH: usize = 64;

/// Why a frame was not taken.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum SendError {
    /// The connection is closing or closed.
    #[error("the connection is not open")]
    NotOpen,
    /// The peer does not read: more would exceed the outbox's bound.
    #[error("the outbox is full")]
    Full,
}

/// Frames in order; the first may be partly written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The close frame is queued or sent, or nothing more can be sent.
    closed: bool,
}

impl Outbox {
    /// Takes a data frame if the connection is open and the bound allows it.
    pub(crate) fn push(&mut self, frame: Bytes, max_bytes: usize) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::NotOpen);
        }
        if self.bytes.saturating_add(frame.len()) > max_bytes {
            return Err(SendError::Full);
        }
        self.queue(frame);
        Ok(())
    }

    /// Takes the close frame, behind everything sent before; nothing is taken after it.
    /// False: there was one already.
    pub(crate) fn close(&mut self, frame: Bytes) -> bool {
        if self.closed {
            return false;
        }
        self.queue(frame);
        self.closed = true;
        true
    }

    /// Forgets what is unsent and takes nothing any more.
    pub(crate) fn discard(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    fn queue(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Writes as much as the stream takes now. True: the outbox is empty.
    pub(crate) fn write_to(&mut self, stream: &Stream) -> io::Result<bool> {
        while !self.frames.is_empty() {
            let slices: Vec<io::IoSlice<'_>> =
                self.frames.iter().take(WRITE_BATCH).map(|frame| io::IoSlice::new(frame)).collect();
            match stream.try_write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // An idle connection keeps no memory for what it once had to queue.
        self.frames = VecDeque::new();
        Ok(true)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(frame) = self.frames.front_mut() {
            if written < frame.len() {
                frame.advance(written);
                return;
            }
            written -= frame.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_exceeds_its_bound() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(Bytes::from_static(b"12345"), 8), Ok(()));
        assert_eq!(outbox.push(Bytes::from_static(b"1234"), 8), Err(SendError::Full));
        assert_eq!(outbox.push(Bytes::from_static(b"123"), 8), Ok(()));
    }

    #[test]
    fn takes_nothing_behind_the_close_frame() {
        let mut outbox = Outbox::default();
        assert!(outbox.close(Bytes::from_static(b"close")));
        assert!(!outbox.close(Bytes::from_static(b"again")));
        assert_eq!(outbox.push(Bytes::from_static(b"late"), 100), Err(SendError::NotOpen));
    }

    #[test]
    fn counts_what_is_left_after_a_partial_write() {
        let mut outbox = Outbox::default();
        for frame in [&b"abc"[..], b"defg"] {
            outbox.push(Bytes::from_static(frame), 100).unwrap();
        }
        outbox.advance(4);
        assert_eq!(outbox.bytes, 3);
        assert_eq!(outbox.frames.front().unwrap(), &b"efg"[..]);
        outbox.advance(3);
        assert!(outbox.frames.is_empty());
    }
}
