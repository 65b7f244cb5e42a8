//! The bounded send queue of one connection, and who writes it.

mod queue;

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

use self::queue::{Queue, advance};
use crate::{
    counters::Budget,
    stream::WriteHalf,
    sync::{Mutex, lock},
};

/// Most frames given to one system call.
const WRITE_BATCH: usize = 64;

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

/// Frames on their way to a peer. Whoever takes the stream's half out writes, so there is one writer
/// at a time, and nobody waits for the lock while the system works.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// Here, unless somebody is writing.
    half: Option<WriteHalf>,
    /// Somebody came to write meanwhile, and is to be told when that is over.
    is_awaited: bool,
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
    /// Somebody else is writing, and will tell when that is over.
    IsWritten,
}

/// What is to be written at a moment.
enum Turn {
    Nothing,
    IsTaken,
    Frames(VecDeque<Bytes>, WriteHalf),
}

impl Outbox {
    /// Takes frames from now on, and keeps them until it is opened.
    pub(crate) fn new(max_bytes: usize, budget: Arc<Budget>) -> Self {
        let queue = Queue::new(max_bytes, budget);
        Self { state: Mutex::new(State { queue, half: None, is_awaited: false, has_ended: false }) }
    }

    /// Frames are written to this.
    pub(crate) fn open(&self, half: WriteHalf) {
        lock(&self.state).half = Some(half);
    }

    /// Takes a data frame if the connection is open and the bounds allow it.
    pub(crate) fn push(&self, frame: Bytes) -> Result<(), SendError> {
        lock(&self.state).queue.push(frame)
    }

    /// Takes a data frame and, if nothing stands before it, writes it. True: the task has to be woken,
    /// for what is left, or since it waits; it also finds out by itself what is wrong with the stream.
    pub(crate) fn push_and_write(&self, frame: Bytes) -> Result<bool, SendError> {
        let turn = {
            let mut state = lock(&self.state);
            let is_next = state.queue.bytes() == 0;
            state.queue.push(frame)?;
            if is_next { state.start_writing() } else { Turn::IsTaken }
        };
        let Turn::Frames(mut frames, half) = turn else { return Ok(true) };
        let (written, _) = write_all(&mut frames, &half);
        let mut state = lock(&self.state);
        state.end_writing(frames, written, half);
        Ok(std::mem::take(&mut state.is_awaited) || state.queue.bytes() > 0)
    }

    /// Takes the close frame, behind everything sent before; nothing is taken after it.
    /// False: there was one already.
    pub(crate) fn close(&self, frame: Bytes) -> bool {
        lock(&self.state).queue.close(frame)
    }

    /// Forgets what is unsent, lets go of the stream and takes nothing any more; tells how many bytes
    /// were forgotten.
    pub(crate) fn discard(&self) -> usize {
        let mut state = lock(&self.state);
        state.has_ended = true;
        state.half = None;
        state.queue.discard()
    }

    /// Bytes that are not written yet.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.state).queue.bytes()
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).queue.is_closed()
    }

    /// The bytes that are not written yet.
    #[cfg(test)]
    pub(crate) fn unwritten(&self) -> Vec<u8> {
        lock(&self.state).queue.unwritten()
    }

    /// Writes as much as the stream takes now.
    pub(crate) fn write(&self) -> io::Result<Written> {
        let mut bytes = 0;
        loop {
            let turn = lock(&self.state).start_writing();
            let (mut frames, half) = match turn {
                Turn::Nothing => return Ok(Written { bytes, rest: Rest::Nothing }),
                Turn::IsTaken => return Ok(Written { bytes, rest: Rest::IsWritten }),
                Turn::Frames(frames, half) => (frames, half),
            };
            let (written, outcome) = write_all(&mut frames, &half);
            bytes += written;
            lock(&self.state).end_writing(frames, written, half);
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written { bytes, rest: Rest::Waits });
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl State {
    fn start_writing(&mut self) -> Turn {
        if self.queue.bytes() == 0 {
            return Turn::Nothing;
        }
        match self.half.take() {
            Some(half) => Turn::Frames(self.queue.take_frames(), half),
            None => {
                self.is_awaited = true;
                Turn::IsTaken
            }
        }
    }

    fn end_writing(&mut self, left: VecDeque<Bytes>, written: usize, half: WriteHalf) {
        self.queue.give_back(left, written);
        if !self.has_ended {
            self.half = Some(half);
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::stream::Stream;

    /// An outbox with a stream, and the peer.
    async fn connected() -> (Outbox, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, half) = Stream::Tcp(listener.accept().await.unwrap().0).split();
        let outbox = Outbox::new(usize::MAX, Arc::new(Budget::new(usize::MAX)));
        outbox.open(half);
        (outbox, peer)
    }

    /// What the peer gets until the outbox lets go of the stream.
    async fn received(outbox: Outbox, mut peer: TcpStream) -> Vec<u8> {
        outbox.discard();
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn what_is_next_is_written_by_who_sends_it() {
        let (outbox, peer) = connected().await;
        for frame in [&b"abc"[..], b"def"] {
            assert_eq!(outbox.push_and_write(Bytes::from_static(frame)), Ok(false));
        }
        assert_eq!(received(outbox, peer).await, b"abcdef");
    }

    #[tokio::test]
    async fn what_is_not_next_is_left_to_the_task() {
        let (outbox, peer) = connected().await;
        outbox.push(Bytes::from_static(b"abc")).unwrap();
        assert_eq!(outbox.push_and_write(Bytes::from_static(b"def")), Ok(true));
        let written = outbox.write().unwrap();
        assert_eq!(written, Written { bytes: 6, rest: Rest::Nothing });
        assert_eq!(received(outbox, peer).await, b"abcdef");
    }

    #[tokio::test]
    async fn while_one_writes_the_other_does_not() {
        let (outbox, peer) = connected().await;
        outbox.push(Bytes::from_static(b"abc")).unwrap();
        let Turn::Frames(frames, half) = lock(&outbox.state).start_writing() else {
            panic!("no turn")
        };
        assert_eq!(outbox.write().unwrap(), Written { bytes: 0, rest: Rest::IsWritten });
        assert_eq!(outbox.push_and_write(Bytes::from_static(b"def")), Ok(true));
        lock(&outbox.state).end_writing(frames, 0, half);
        assert_eq!(outbox.write().unwrap(), Written { bytes: 6, rest: Rest::Nothing });
        assert_eq!(received(outbox, peer).await, b"abcdef");
    }

    #[tokio::test]
    async fn what_the_stream_does_not_take_is_left_to_the_task() {
        let (outbox, mut peer) = connected().await;
        let large = Bytes::from(vec![7; 32 * 1024 * 1024]);
        assert_eq!(outbox.push_and_write(large.clone()), Ok(true));
        assert!(outbox.bytes() < large.len());
        let mut bytes = vec![0; large.len()];
        let reads = peer.read_exact(&mut bytes);
        let writes = async {
            while outbox.write().unwrap().rest == Rest::Waits {
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(async { reads.await.unwrap() }, writes);
        assert_eq!(bytes, large);
    }

    #[tokio::test]
    async fn a_stream_that_ends_during_a_write_is_let_go_behind_it() {
        let (outbox, peer) = connected().await;
        outbox.push(Bytes::from_static(b"abc")).unwrap();
        let Turn::Frames(frames, half) = lock(&outbox.state).start_writing() else {
            panic!("no turn")
        };
        outbox.discard();
        lock(&outbox.state).end_writing(frames, 0, half);
        assert_eq!(received(outbox, peer).await, b"");
    }
}
