//! A connection whose bytes the owner serves: plain HTTP, endpoints, whatever is not a worker.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Buf, Bytes};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    events::Event,
    listener::Addresses,
    outbox::Written,
    panics::lock,
    server::{Run, Shared, Stage},
    stream::Stream,
};

/// Bytes kept in either direction before the other side has to wait.
const HIGH_WATER: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// What a read from a bridge gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeRead {
    /// That many bytes, at least one.
    Bytes(usize),
    /// Nothing now; [`Event::BridgeReadable`] will tell.
    Pending,
    /// The peer ended its side.
    End,
}

/// One bridged connection.
#[derive(Debug)]
pub struct Bridge {
    id: u32,
    addresses: Addresses,
    state: Mutex<State>,
    changed: Notify,
    terminated: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    inbound: VecDeque<Bytes>,
    inbound_bytes: usize,
    /// The peer ended its side.
    ended: bool,
    /// The owner found nothing to read and wants to be told.
    wants_read: bool,
    outbound: VecDeque<Bytes>,
    outbound_bytes: usize,
    /// The owner met the high-water mark and wants to be told.
    wants_write: bool,
    /// The owner ended its side.
    finished: bool,
}

impl State {
    /// What the owner takes for sent, though the system has not taken it.
    fn owes(&self) -> bool {
        !self.wants_write && self.outbound_bytes > 0
    }
}

impl Bridge {
    fn new(id: u32, addresses: Addresses, head: Vec<u8>) -> Self {
        let state = State {
            inbound_bytes: head.len(),
            inbound: VecDeque::from([Bytes::from(head)]),
            ..State::default()
        };
        Self {
            id,
            addresses,
            state: Mutex::new(state),
            changed: Notify::new(),
            terminated: AtomicBool::new(false),
        }
    }

    /// Its number, as events name it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it comes from and where it arrived.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Copies received bytes into `buffer`.
    pub fn read(&self, buffer: &mut [u8]) -> BridgeRead {
        let mut state = lock(&self.state);
        let before = state.inbound_bytes;
        let mut copied = 0;
        while let Some(chunk) = state.inbound.front_mut() {
            let Some(room) = buffer.get_mut(copied..).filter(|room| !room.is_empty()) else {
                break;
            };
            let len = chunk.len().min(room.len());
            chunk.copy_to_slice(room.split_at_mut(len).0);
            copied += len;
            if chunk.is_empty() {
                state.inbound.pop_front();
            }
        }
        state.inbound_bytes -= copied;
        if copied > 0 {
            if before >= HIGH_WATER && state.inbound_bytes < HIGH_WATER {
                self.changed.notify_one();
            }
            return BridgeRead::Bytes(copied);
        }
        if state.ended {
            return BridgeRead::End;
        }
        state.wants_read = true;
        BridgeRead::Pending
    }

    /// Queues bytes for the peer. False: enough is queued, [`Event::BridgeWritable`] will tell.
    pub fn write(&self, bytes: Bytes) -> bool {
        let mut state = lock(&self.state);
        state.outbound_bytes += bytes.len();
        state.outbound.push_back(bytes);
        self.changed.notify_one();
        state.wants_write = state.outbound_bytes >= HIGH_WATER;
        !state.wants_write
    }

    /// Ends our side behind what was written; [`Event::BridgeWritable`] tells when that is done.
    pub fn finish(&self) {
        lock(&self.state).finished = true;
        self.changed.notify_one();
    }

    /// Drops the connection.
    pub fn terminate(&self) {
        self.terminated.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Acquire)
    }
}

/// Moves bytes between `stream` and the owner until either is done with the other.
pub(crate) async fn serve(
    stream: Stream,
    addresses: Addresses,
    head: Vec<u8>,
    shared: Arc<Shared>,
    run: Arc<Run>,
) {
    let bridge = Arc::new(Bridge::new(shared.next_id() as u32, addresses, head));
    let _closing = Closing { shared: &shared, id: bridge.id };
    shared.events.push(Event::BridgeOpened(Arc::clone(&bridge)));
    tokio::select! {
        () = run.reached(Stage::Terminating) => {}
        () = async {
            pump(&stream, &bridge, &shared).await;
            if bridge.is_terminated() && lock(&bridge.state).owes() {
                let _ = timeout(shared.limits().close_timeout, flush(&stream, &bridge, &shared)).await;
            }
        } => {}
    }
    if bridge.is_terminated() {
        let _ = stream.finish();
    }
}

async fn flush(stream: &Stream, bridge: &Bridge, shared: &Shared) -> std::io::Result<()> {
    while !write_outbound(stream, bridge, shared)?.all {
        stream.writable().await?;
    }
    Ok(())
}

/// Tells the owner, also when the task panics.
struct Closing<'a> {
    shared: &'a Shared,
    id: u32,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.shared.events.push(Event::BridgeClosed(self.id));
    }
}

async fn pump(stream: &Stream, bridge: &Bridge, shared: &Shared) {
    let mut buffer = vec![0; READ_BYTES];
    let mut our_side_open = true;
    // By when the peer must take something of what waits for it.
    let mut write_deadline = None;
    loop {
        let Ok(written) = write_outbound(stream, bridge, shared) else { return };
        let drained = written.all;
        if drained {
            write_deadline = None;
        } else if written.bytes > 0 || write_deadline.is_none() {
            write_deadline = Some(Instant::now() + shared.limits().write_timeout);
        }
        if bridge.is_terminated() {
            return;
        }
        let (reads, ended, finished) = {
            let state = lock(&bridge.state);
            (!state.ended && state.inbound_bytes < HIGH_WATER, state.ended, state.finished)
        };
        if drained && finished && our_side_open {
            if stream.finish().is_err() {
                return;
            }
            our_side_open = false;
            shared.events.push(Event::BridgeWritable(bridge.id));
        }
        if ended && !our_side_open {
            return;
        }
        tokio::select! {
            () = bridge.changed.notified() => {}
            ready = stream.writable(), if !drained => if ready.is_err() { return },
            () = sleep_until(write_deadline.unwrap_or_else(Instant::now)), if !drained => {
                shared.counters.write_timeouts.increment();
                stream.reset_on_drop();
                return;
            }
            ready = stream.readable(), if reads => {
                if ready.is_err() || !read_inbound(stream, bridge, shared, &mut buffer) {
                    return;
                }
            }
        }
    }
}

/// False: the connection failed.
fn read_inbound(stream: &Stream, bridge: &Bridge, shared: &Shared, buffer: &mut [u8]) -> bool {
    let read = match stream.try_read(buffer) {
        Ok(len) => buffer.get(..len).unwrap_or_default(),
        Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
    };
    let mut state = lock(&bridge.state);
    #[cfg(feature = "fault-injection")]
    crate::panics::inject(b"inject-bridge-panic", read);
    if read.is_empty() {
        state.ended = true;
    } else {
        state.inbound_bytes += read.len();
        state.inbound.push_back(Bytes::copy_from_slice(read));
    }
    if std::mem::take(&mut state.wants_read) {
        shared.events.push(Event::BridgeReadable(bridge.id));
    }
    true
}

/// Writes what the stream takes now.
fn write_outbound(stream: &Stream, bridge: &Bridge, shared: &Shared) -> std::io::Result<Written> {
    let mut state = lock(&bridge.state);
    let before = state.outbound_bytes;
    while let Some(chunk) = state.outbound.front() {
        match stream.try_write_vectored(&[std::io::IoSlice::new(chunk)]) {
            Ok(0) if !chunk.is_empty() => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                state.outbound_bytes -= written;
                if let Some(chunk) = state.outbound.front_mut() {
                    chunk.advance(written);
                    if chunk.is_empty() {
                        state.outbound.pop_front();
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Ok(Written { bytes: before - state.outbound_bytes, all: false });
            }
            Err(error) => return Err(error),
        }
        if state.outbound_bytes < HIGH_WATER && std::mem::take(&mut state.wants_write) {
            shared.events.push(Event::BridgeWritable(bridge.id));
        }
    }
    Ok(Written { bytes: before - state.outbound_bytes, all: true })
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn bridge(head: &[u8]) -> Bridge {
        Bridge::new(1, Addresses::default(), head.to_vec())
    }

    /// As if the peer had sent it.
    fn arrive(bridge: &Bridge, bytes: Vec<u8>) {
        let mut state = lock(&bridge.state);
        state.inbound_bytes += bytes.len();
        state.inbound.push_back(Bytes::from(bytes));
    }

    fn read(bridge: &Bridge, room: usize) -> Result<Vec<u8>, BridgeRead> {
        let mut buffer = vec![0; room];
        match bridge.read(&mut buffer) {
            BridgeRead::Bytes(len) => Ok(buffer[..len].to_vec()),
            nothing => Err(nothing),
        }
    }

    /// Whether its task was told of a change since the last time.
    fn changed(bridge: &Bridge) -> bool {
        let notified = std::pin::pin!(bridge.changed.notified());
        notified.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_read_takes_what_fits_across_chunks() {
        let bridge = bridge(b"head");
        arrive(&bridge, b"body".to_vec());
        assert_eq!(read(&bridge, 0), Err(BridgeRead::Pending));
        assert_eq!(read(&bridge, 3), Ok(b"hea".to_vec()));
        assert_eq!(read(&bridge, 3), Ok(b"dbo".to_vec()));
        assert_eq!(read(&bridge, 9), Ok(b"dy".to_vec()));
        assert_eq!(lock(&bridge.state).inbound_bytes, 0);
        assert_eq!(read(&bridge, 9), Err(BridgeRead::Pending));
        assert!(lock(&bridge.state).wants_read);
    }

    #[test]
    fn the_end_comes_behind_the_bytes() {
        let bridge = bridge(b"head");
        lock(&bridge.state).ended = true;
        assert_eq!(read(&bridge, 9), Ok(b"head".to_vec()));
        assert_eq!(read(&bridge, 9), Err(BridgeRead::End));
        assert_eq!(read(&bridge, 9), Err(BridgeRead::End));
    }

    #[test]
    fn a_read_below_the_mark_lets_the_peer_go_on() {
        let bridge = bridge(b"x");
        arrive(&bridge, vec![0; HIGH_WATER]);
        read(&bridge, 1).unwrap();
        assert!(!changed(&bridge), "still at the mark");
        read(&bridge, 1).unwrap();
        assert!(changed(&bridge));
        read(&bridge, 1).unwrap();
        assert!(!changed(&bridge), "it was below already");
    }

    #[test]
    fn a_write_at_the_mark_asks_for_a_pause() {
        let bridge = bridge(b"");
        assert!(bridge.write(Bytes::from(vec![0; HIGH_WATER - 1])));
        assert!(changed(&bridge) && !lock(&bridge.state).wants_write);
        assert!(!bridge.write(Bytes::from_static(b"x")));
        assert!(lock(&bridge.state).wants_write);
        assert!(!bridge.write(Bytes::new()));
    }

    #[test]
    fn its_task_is_told_of_the_end() {
        let bridge = bridge(b"");
        bridge.finish();
        assert!(changed(&bridge) && lock(&bridge.state).finished && !bridge.is_terminated());
        bridge.terminate();
        assert!(changed(&bridge) && bridge.is_terminated());
    }
}
