//! The bounded send queue of one connection.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::{counters::Budget, panics::lock, stream::WriteHalf};

/// Most frames given to one system call.
const WRITE_BATCH: usize = 64;

/// Longest frame that is put together with others when many wait: it may be shorter than what it
/// costs to keep it by itself.
const SMALL_BYTES: usize = 1024;
/// About as much is put together.
const PACK_BYTES: usize = 16 * 1024;

/// Why a frame was not taken.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum SendError {
    /// The connection is closing or closed.
    #[error("the connection is not open")]
    NotOpen,
    /// The peer does not read: more would exceed the outbox's bound, or that of all together.
    #[error("the outbox is full")]
    Full,
}

/// Frames in order; the first may be partly written.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: VecDeque<Bytes>,
    /// Small frames behind those, put together.
    pack: Vec<u8>,
    bytes: usize,
    max_bytes: usize,
    /// Shared by all outboxes of the server; `bytes` of it are ours.
    budget: Arc<Budget>,
    /// The close frame is queued or sent, or nothing more can be sent.
    closed: bool,
    /// What frames are written with: here, unless somebody is writing.
    half: Option<WriteHalf>,
    has_ended: bool,
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes the system took.
    pub(crate) bytes: usize,
    pub(crate) rest: Rest,
}

/// What is left after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    /// The stream takes no more now.
    Waits,
    /// Somebody else is writing, and will tell if there is something to do then.
    IsWritten,
}

/// What is to be written at a moment.
enum Turn {
    Nothing,
    IsTaken,
    Frames(VecDeque<Bytes>, WriteHalf),
}

impl Outbox {
    pub(crate) fn new(max_bytes: usize, budget: Arc<Budget>) -> Self {
        Self {
            frames: VecDeque::new(),
            pack: Vec::new(),
            bytes: 0,
            max_bytes,
            budget,
            closed: false,
            half: None,
            has_ended: false,
        }
    }

    /// Frames will be written to this.
    pub(crate) fn open(&mut self, half: WriteHalf) {
        self.half = Some(half);
    }

    /// Takes a data frame if the connection is open and the bounds allow it.
    pub(crate) fn push(&mut self, frame: Bytes) -> Result<(), SendError> {
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
    pub(crate) fn close(&mut self, frame: Bytes) -> bool {
        if self.closed {
            return false;
        }
        self.budget.force(frame.len());
        self.queue(frame);
        self.closed = true;
        true
    }

    /// Forgets what is unsent, lets go of the stream and takes nothing any more; tells how many bytes were forgotten.
    pub(crate) fn discard(&mut self) -> usize {
        let forgotten = std::mem::take(&mut self.bytes);
        self.budget.release(forgotten);
        self.frames = VecDeque::new();
        self.pack = Vec::new();
        self.closed = true;
        self.has_ended = true;
        self.half = None;
        forgotten
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that are not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The bytes that are not written yet.
    #[cfg(test)]
    pub(crate) fn unwritten(&self) -> Vec<u8> {
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

    /// Writes as much as the stream takes now; not under the lock, for which others would wait.
    pub(crate) fn write(outbox: &Mutex<Self>) -> io::Result<Written> {
        let mut bytes = 0;
        loop {
            let turn = lock(outbox).start_writing();
            let (mut frames, half) = match turn {
                Turn::Nothing => return Ok(Written { bytes, rest: Rest::Nothing }),
                Turn::IsTaken => return Ok(Written { bytes, rest: Rest::IsWritten }),
                Turn::Frames(frames, half) => (frames, half),
            };
            let (written, outcome) = write_all(&mut frames, &half);
            bytes += written;
            lock(outbox).end_writing(frames, written, half);
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written { bytes, rest: Rest::Waits });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a data frame and, if nothing stands before it, writes it. True: something is left, for
    /// which the task has to be woken; it also finds out by itself what is wrong with the stream.
    pub(crate) fn push_and_write(outbox: &Mutex<Self>, frame: Bytes) -> Result<bool, SendError> {
        let turn = {
            let mut outbox = lock(outbox);
            let is_next = outbox.is_empty();
            outbox.push(frame)?;
            if is_next { outbox.start_writing() } else { Turn::IsTaken }
        };
        let Turn::Frames(mut frames, half) = turn else { return Ok(true) };
        let (written, _) = write_all(&mut frames, &half);
        let mut outbox = lock(outbox);
        outbox.end_writing(frames, written, half);
        Ok(!outbox.is_empty())
    }

    /// Frames taken count as ours until they are given back.
    fn start_writing(&mut self) -> Turn {
        if self.is_empty() {
            return Turn::Nothing;
        }
        match self.half.take() {
            Some(half) => Turn::Frames(self.take_frames(), half),
            None => Turn::IsTaken,
        }
    }

    fn end_writing(&mut self, left: VecDeque<Bytes>, written: usize, half: WriteHalf) {
        self.give_back(left, written);
        if !self.has_ended {
            self.half = Some(half);
        }
    }

    fn take_frames(&mut self) -> VecDeque<Bytes> {
        if self.frames.len() < WRITE_BATCH {
            self.close_pack();
        }
        // An idle connection keeps no memory for what it once had to queue.
        std::mem::take(&mut self.frames)
    }

    /// What is left of the frames taken goes before those that have come since.
    fn give_back(&mut self, mut left: VecDeque<Bytes>, written: usize) {
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

/// Writes frames to their end, or until the stream takes no more; tells how many bytes it took.
fn write_all(frames: &mut VecDeque<Bytes>, half: &WriteHalf) -> (usize, io::Result<()>) {
    let mut bytes = 0;
    while !frames.is_empty() {
        let slices: Vec<io::IoSlice<'_>> =
            frames.iter().take(WRITE_BATCH).map(|frame| io::IoSlice::new(frame)).collect();
        match half.try_write_vectored(&slices) {
            Ok(0) => return (bytes, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                bytes += written;
                advance(frames, written);
            }
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}

fn advance(frames: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(frame) = frames.front_mut() {
        if written < frame.len() {
            frame.advance(written);
            return;
        }
        written -= frame.len();
        frames.pop_front();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::stream::Stream;

    fn outbox(max_bytes: usize) -> Outbox {
        Outbox::new(max_bytes, Arc::new(Budget::new(100)))
    }

    /// As if a stream had taken so many bytes.
    fn write(outbox: &mut Outbox, bytes: usize) {
        let mut frames = outbox.take_frames();
        advance(&mut frames, bytes);
        outbox.give_back(frames, bytes);
    }

    #[test]
    fn what_comes_during_a_write_stands_behind_what_is_left_of_it() {
        let mut outbox = outbox(100);
        outbox.push(Bytes::from_static(b"abc")).unwrap();
        let mut frames = outbox.take_frames();
        outbox.push(Bytes::from_static(b"def")).unwrap();
        advance(&mut frames, 1);
        outbox.give_back(frames, 1);
        assert_eq!(outbox.unwritten(), b"bcdef");
        assert_eq!((outbox.bytes, outbox.budget.used()), (5, 5));
    }

    #[test]
    fn what_is_discarded_during_a_write_is_not_given_back() {
        let mut outbox = outbox(100);
        outbox.push(Bytes::from_static(b"abc")).unwrap();
        let frames = outbox.take_frames();
        assert_eq!(outbox.discard(), 3);
        outbox.give_back(frames, 2);
        assert!(outbox.unwritten().is_empty() && outbox.budget.used() == 0);
    }

    /// An outbox with a stream, and the peer.
    async fn connected() -> (Mutex<Outbox>, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, half) = Stream::Tcp(listener.accept().await.unwrap().0).split();
        let mut outbox = Outbox::new(usize::MAX, Arc::new(Budget::new(usize::MAX)));
        outbox.open(half);
        (Mutex::new(outbox), peer)
    }

    /// What the peer gets until the outbox lets go of the stream.
    async fn received(outbox: Mutex<Outbox>, mut peer: TcpStream) -> Vec<u8> {
        lock(&outbox).discard();
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn what_is_next_is_written_by_who_sends_it() {
        let (outbox, peer) = connected().await;
        for frame in [&b"abc"[..], b"def"] {
            assert_eq!(Outbox::push_and_write(&outbox, Bytes::from_static(frame)), Ok(false));
        }
        assert_eq!(received(outbox, peer).await, b"abcdef");
    }

    #[tokio::test]
    async fn what_is_not_next_is_left_to_the_task() {
        let (outbox, peer) = connected().await;
        lock(&outbox).push(Bytes::from_static(b"abc")).unwrap();
        assert_eq!(Outbox::push_and_write(&outbox, Bytes::from_static(b"def")), Ok(true));
        let written = Outbox::write(&outbox).unwrap();
        assert_eq!(written, Written { bytes: 6, rest: Rest::Nothing });
        assert_eq!(received(outbox, peer).await, b"abcdef");
    }

    #[tokio::test]
    async fn while_one_writes_the_other_does_not() {
        let (outbox, peer) = connected().await;
        lock(&outbox).push(Bytes::from_static(b"abc")).unwrap();
        let Turn::Frames(frames, half) = lock(&outbox).start_writing() else { panic!("no turn") };
        assert_eq!(Outbox::write(&outbox).unwrap(), Written { bytes: 0, rest: Rest::IsWritten });
        assert_eq!(Outbox::push_and_write(&outbox, Bytes::from_static(b"def")), Ok(true));
        lock(&outbox).end_writing(frames, 0, half);
        assert_eq!(Outbox::write(&outbox).unwrap(), Written { bytes: 6, rest: Rest::Nothing });
        assert_eq!(received(outbox, peer).await, b"abcdef");
    }

    #[tokio::test]
    async fn what_the_stream_does_not_take_is_left_to_the_task() {
        let (outbox, mut peer) = connected().await;
        let large = Bytes::from(vec![7; 32 * 1024 * 1024]);
        assert_eq!(Outbox::push_and_write(&outbox, large.clone()), Ok(true));
        assert!(lock(&outbox).bytes() < large.len());
        let mut bytes = vec![0; large.len()];
        let reads = peer.read_exact(&mut bytes);
        let writes = async {
            while Outbox::write(&outbox).unwrap().rest == Rest::Waits {
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(async { reads.await.unwrap() }, writes);
        assert_eq!(bytes, large);
    }

    #[tokio::test]
    async fn a_stream_that_ends_during_a_write_is_let_go_behind_it() {
        let (outbox, peer) = connected().await;
        lock(&outbox).push(Bytes::from_static(b"abc")).unwrap();
        let Turn::Frames(frames, half) = lock(&outbox).start_writing() else { panic!("no turn") };
        lock(&outbox).discard();
        lock(&outbox).end_writing(frames, 0, half);
        assert_eq!(received(outbox, peer).await, b"");
    }

    #[test]
    fn refuses_what_exceeds_its_bound() {
        let mut outbox = outbox(8);
        assert_eq!(outbox.push(Bytes::from_static(b"12345")), Ok(()));
        assert_eq!(outbox.push(Bytes::from_static(b"1234")), Err(SendError::Full));
        assert_eq!(outbox.push(Bytes::from_static(b"123")), Ok(()));
    }

    #[test]
    fn takes_one_message_of_any_size_when_empty() {
        let mut outbox = outbox(2);
        assert_eq!(outbox.push(Bytes::from_static(b"12345")), Ok(()));
        assert_eq!(outbox.push(Bytes::from_static(b"1")), Err(SendError::Full));
    }

    #[test]
    fn shares_a_budget_with_others() {
        let budget = Arc::new(Budget::new(5));
        let mut first = Outbox::new(100, Arc::clone(&budget));
        let mut second = Outbox::new(100, Arc::clone(&budget));
        assert_eq!(first.push(Bytes::from_static(b"1234")), Ok(()));
        assert_eq!(second.push(Bytes::from_static(b"12")), Err(SendError::Full));
        assert_eq!(first.discard(), 4);
        assert_eq!(second.push(Bytes::from_static(b"12")), Ok(()));
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn takes_nothing_behind_the_close_frame() {
        let mut outbox = outbox(100);
        assert!(outbox.close(Bytes::from_static(b"close")));
        assert!(!outbox.close(Bytes::from_static(b"again")));
        assert_eq!(outbox.push(Bytes::from_static(b"late")), Err(SendError::NotOpen));
    }

    #[test]
    fn many_small_frames_are_put_together_in_order() {
        let mut outbox = Outbox::new(usize::MAX, Arc::new(Budget::new(usize::MAX)));
        let mut expected: Vec<u8> = Vec::new();
        for n in 0..10_000u32 {
            // A large one among them now and then.
            let len = if n % 1_000 == 999 { SMALL_BYTES + 1 } else { 20 };
            let frame = vec![n as u8; len];
            expected.extend_from_slice(&frame);
            outbox.push(frame.into()).unwrap();
        }
        assert!(outbox.frames.len() < 200, "{}", outbox.frames.len());
        assert_eq!(outbox.bytes, expected.len());
        outbox.close_pack();
        assert_eq!(outbox.frames.iter().flatten().copied().collect::<Vec<_>>(), expected);
        write(&mut outbox, expected.len());
        assert_eq!((outbox.bytes, outbox.frames.len()), (0, 0));
    }

    #[test]
    fn counts_what_is_left_after_a_partial_write() {
        let mut outbox = outbox(100);
        for frame in [&b"abc"[..], b"defg"] {
            outbox.push(Bytes::from_static(frame)).unwrap();
        }
        write(&mut outbox, 4);
        assert_eq!(outbox.bytes, 3);
        assert_eq!(outbox.frames.front().unwrap(), &b"efg"[..]);
        write(&mut outbox, 3);
        assert!(outbox.frames.is_empty());
        assert_eq!(outbox.budget.used(), 0);
    }
}
