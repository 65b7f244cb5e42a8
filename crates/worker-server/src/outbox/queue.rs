//! Frames that wait to be written.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Buf, Bytes};

use super::{SendError, WRITE_BATCH};
use crate::counters::Budget;

/// Longest frame that is put together with others when many wait: it may be shorter than what it
/// costs to keep it by itself.
const SMALL_BYTES: usize = 1024;
/// About as much is put together.
const PACK_BYTES: usize = 16 * 1024;

/// Frames in order, within bounds; the first may be partly written.
#[derive(Debug)]
pub(super) struct Queue {
    frames: VecDeque<Bytes>,
    /// Small frames behind those, put together.
    pack: Vec<u8>,
    bytes: usize,
    max_bytes: usize,
    /// Shared by all outboxes of the server; `bytes` of it are ours.
    budget: Arc<Budget>,
    /// The close frame is queued or sent, or nothing more can be sent.
    closed: bool,
}

impl Queue {
    pub(super) fn new(max_bytes: usize, budget: Arc<Budget>) -> Self {
        Self {
            frames: VecDeque::new(),
            pack: Vec::new(),
            bytes: 0,
            max_bytes,
            budget,
            closed: false,
        }
    }

    /// Takes a data frame if the connection is open and the bounds allow it.
    pub(super) fn push(&mut self, frame: Bytes) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::NotOpen);
        }
        let fits = self.bytes == 0 || self.bytes.saturating_add(frame.len()) <= self.max_bytes;
        if !fits || !self.budget.reserve(frame.len()) {
            return Err(SendError::Full);
        }
        self.queue(frame);
        Ok(())
    }

    /// Takes the close frame, behind everything sent before; nothing is taken after it.
    /// False: there was one already.
    pub(super) fn close(&mut self, frame: Bytes) -> bool {
        if self.closed {
            return false;
        }
        self.budget.force(frame.len());
        self.queue(frame);
        self.closed = true;
        true
    }

    /// Forgets what is unsent and takes nothing any more; tells how many bytes were forgotten.
    pub(super) fn discard(&mut self) -> usize {
        let forgotten = std::mem::take(&mut self.bytes);
        self.budget.release(forgotten);
        self.frames = VecDeque::new();
        self.pack = Vec::new();
        self.closed = true;
        forgotten
    }

    /// Bytes that are not written yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The bytes that are not written yet.
    #[cfg(test)]
    pub(super) fn unwritten(&self) -> Vec<u8> {
        self.frames.iter().flatten().chain(&self.pack).copied().collect()
    }

    fn queue(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        if self.frames.len() < WRITE_BATCH || frame.len() > SMALL_BYTES {
            self.close_pack();
            self.frames.push_back(frame);
            return;
        }
        if self.pack.is_empty() {
            // At once: growing by and by, in many outboxes at a time, leaves holes.
            self.pack.reserve_exact(PACK_BYTES);
        }
        self.pack.extend_from_slice(&frame);
        if self.pack.len() > PACK_BYTES - SMALL_BYTES {
            self.close_pack();
        }
    }

    fn close_pack(&mut self) {
        if !self.pack.is_empty() {
            if self.pack.len() < PACK_BYTES / 2 {
                self.pack.shrink_to_fit();
            }
            self.frames.push_back(std::mem::take(&mut self.pack).into());
        }
    }

    /// Those to be written now, which count as ours until they are given back.
    pub(super) fn take_frames(&mut self) -> VecDeque<Bytes> {
        if self.frames.len() < WRITE_BATCH {
            self.close_pack();
        }
        // An idle connection keeps no memory for what it once had to queue.
        std::mem::take(&mut self.frames)
    }

    /// What is left of the frames taken goes before those that have come since.
    pub(super) fn give_back(&mut self, mut left: VecDeque<Bytes>, written: usize) {
        // Unless it was discarded meanwhile.
        let counted = written.min(self.bytes);
        self.bytes -= counted;
        self.budget.release(counted);
        if !left.is_empty() && self.bytes > 0 {
            left.append(&mut self.frames);
            self.frames = left;
        }
    }
}

/// Drops so many bytes from the front.
pub(super) fn advance(frames: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(frame) = frames.front_mut() {
        if written < frame.len() {
            frame.advance(written);
            return;
        }
        written -= frame.len();
        frames.pop_front();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max_bytes: usize) -> Queue {
        Queue::new(max_bytes, Arc::new(Budget::new(100)))
    }

    /// As if a stream had taken so many bytes.
    fn write(queue: &mut Queue, bytes: usize) {
        let mut frames = queue.take_frames();
        advance(&mut frames, bytes);
        queue.give_back(frames, bytes);
    }

    #[test]
    fn what_comes_during_a_write_stands_behind_what_is_left_of_it() {
        let mut queue = queue(100);
        queue.push(Bytes::from_static(b"abc")).unwrap();
        let mut frames = queue.take_frames();
        queue.push(Bytes::from_static(b"def")).unwrap();
        advance(&mut frames, 1);
        queue.give_back(frames, 1);
        assert_eq!(queue.unwritten(), b"bcdef");
        assert_eq!((queue.bytes, queue.budget.used()), (5, 5));
    }

    #[test]
    fn what_is_discarded_during_a_write_is_not_given_back() {
        let mut queue = queue(100);
        queue.push(Bytes::from_static(b"abc")).unwrap();
        let frames = queue.take_frames();
        assert_eq!(queue.discard(), 3);
        queue.give_back(frames, 2);
        assert!(queue.unwritten().is_empty() && queue.budget.used() == 0);
    }

    #[test]
    fn refuses_what_exceeds_its_bound() {
        let mut queue = queue(8);
        assert_eq!(queue.push(Bytes::from_static(b"12345")), Ok(()));
        assert_eq!(queue.push(Bytes::from_static(b"1234")), Err(SendError::Full));
        assert_eq!(queue.push(Bytes::from_static(b"123")), Ok(()));
    }

    #[test]
    fn takes_one_message_of_any_size_when_empty() {
        let mut queue = queue(2);
        assert_eq!(queue.push(Bytes::from_static(b"12345")), Ok(()));
        assert_eq!(queue.push(Bytes::from_static(b"1")), Err(SendError::Full));
    }

    #[test]
    fn shares_a_budget_with_others() {
        let budget = Arc::new(Budget::new(5));
        let mut first = Queue::new(100, Arc::clone(&budget));
        let mut second = Queue::new(100, Arc::clone(&budget));
        assert_eq!(first.push(Bytes::from_static(b"1234")), Ok(()));
        assert_eq!(second.push(Bytes::from_static(b"12")), Err(SendError::Full));
        assert_eq!(first.discard(), 4);
        assert_eq!(second.push(Bytes::from_static(b"12")), Ok(()));
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn takes_nothing_behind_the_close_frame() {
        let mut queue = queue(100);
        assert!(queue.close(Bytes::from_static(b"close")));
        assert!(!queue.close(Bytes::from_static(b"again")));
        assert_eq!(queue.push(Bytes::from_static(b"late")), Err(SendError::NotOpen));
    }

    #[test]
    fn many_small_frames_are_put_together_in_order() {
        let mut queue = Queue::new(usize::MAX, Arc::new(Budget::new(usize::MAX)));
        let mut expected: Vec<u8> = Vec::new();
        for n in 0..10_000u32 {
            // A large one among them now and then.
            let len = if n % 1_000 == 999 { SMALL_BYTES + 1 } else { 20 };
            let frame = vec![n as u8; len];
            expected.extend_from_slice(&frame);
            queue.push(frame.into()).unwrap();
        }
        assert!(queue.frames.len() < 200, "{}", queue.frames.len());
        assert_eq!(queue.bytes, expected.len());
        queue.close_pack();
        assert_eq!(queue.frames.iter().flatten().copied().collect::<Vec<_>>(), expected);
        write(&mut queue, expected.len());
        assert_eq!((queue.bytes, queue.frames.len()), (0, 0));
    }

    #[test]
    fn counts_what_is_left_after_a_partial_write() {
        let mut queue = queue(100);
        for frame in [&b"abc"[..], b"defg"] {
            queue.push(Bytes::from_static(frame)).unwrap();
        }
        write(&mut queue, 4);
        assert_eq!(queue.bytes, 3);
        assert_eq!(queue.frames.front().unwrap(), &b"efg"[..]);
        write(&mut queue, 3);
        assert!(queue.frames.is_empty());
        assert_eq!(queue.budget.used(), 0);
    }
}
