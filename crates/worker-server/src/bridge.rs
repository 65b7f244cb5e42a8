//! A connection whose bytes the owner serves: plain HTTP, endpoints, whatever is not a worker.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout},
};

use crate::{
    counters::Budget,
    deadlines::Deadlines,
    events::Event,
    listener::Addresses,
    outbox::{Outbox, Rest, SendError, Written},
    panics::lock,
    server::{Run, Shared, Stage},
    stream::{ReadHalf, Stream, with_buffer},
};

/// Bytes kept in either direction before the other side has to wait.
const HIGH_WATER: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// What a read from a bridge gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeRead {
    /// That many bytes, at least one. Less than there was room for: there are no more now, and
    /// [`Event::BridgeReadable`] will tell.
    Bytes(usize),
    /// That many bytes, at least one, behind which the peer ended its side.
    Last(usize),
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
    outbox: Outbox,
    changed: Notify,
    terminated: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    inbound: VecDeque<Bytes>,
    inbound_bytes: usize,
    /// The peer ended its side.
    ended: bool,
    /// The owner has read all there was and wants to be told.
    wants_read: bool,
    /// The owner met the high-water mark and wants to be told.
    wants_write: bool,
    /// The owner ended its side.
    finished: bool,
}

impl Bridge {
    fn new(id: u32, addresses: Addresses, head: Vec<u8>, outbox: Outbox) -> Self {
        let state = State {
            inbound_bytes: head.len(),
            inbound: VecDeque::from([Bytes::from(head)]),
            ..State::default()
        };
        Self {
            id,
            addresses,
            state: Mutex::new(state),
            outbox,
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
        if before >= HIGH_WATER && state.inbound_bytes < HIGH_WATER {
            self.changed.notify_one();
        }
        state.wants_read = !state.ended && (copied == 0 || copied < buffer.len());
        match (copied, state.ended && state.inbound_bytes == 0) {
            (0, true) => BridgeRead::End,
            (0, false) => BridgeRead::Pending,
            (copied, true) => BridgeRead::Last(copied),
            (copied, false) => BridgeRead::Bytes(copied),
        }
    }

    /// Queues bytes for the peer. False: enough is queued, [`Event::BridgeWritable`] will tell.
    pub fn write(&self, bytes: Bytes) -> bool {
        self.send(bytes, |bytes| self.outbox.push(bytes).map(|()| true))
    }

    /// The same, but bytes that nothing stands before are written here and now.
    pub(crate) fn write_at_once(&self, bytes: Bytes) -> bool {
        self.send(bytes, |bytes| self.outbox.push_and_write(bytes))
    }

    /// `push` tells whether something is left for the task.
    fn send(&self, bytes: Bytes, push: impl FnOnce(Bytes) -> Result<bool, SendError>) -> bool {
        // Without bounds, only an outbox whose stream has ended refuses, which stops nobody.
        if !bytes.is_empty() && push(bytes) == Ok(true) {
            self.changed.notify_one();
        }
        let mut state = lock(&self.state);
        state.wants_write = self.queued_bytes() >= HIGH_WATER;
        !state.wants_write
    }

    fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Whether there is something that the owner takes for sent, though the system has not taken it.
    fn owes(&self) -> bool {
        !lock(&self.state).wants_write && self.queued_bytes() > 0
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
    let (mut stream, half) = stream.split();
    let outbox = Outbox::new(usize::MAX, Arc::new(Budget::new(usize::MAX)));
    outbox.open(half);
    let bridge = Arc::new(Bridge::new(shared.next_id() as u32, addresses, head, outbox));
    let _closing = Closing { shared: &shared, bridge: &bridge };
    shared.events.push(Event::BridgeOpened(Arc::clone(&bridge)));
    tokio::select! {
        () = run.reached(Stage::Terminating) => {}
        () = async {
            pump(&mut stream, &bridge, &shared).await;
            if bridge.is_terminated() && bridge.owes() {
                let _ = timeout(shared.limits().close_timeout, flush(&stream, &bridge)).await;
            }
        } => {}
    }
    if bridge.is_terminated() {
        let _ = stream.finish();
    }
}

async fn flush(stream: &ReadHalf, bridge: &Bridge) -> io::Result<()> {
    loop {
        match bridge.outbox.write()?.rest {
            Rest::Nothing => return Ok(()),
            Rest::Waits => stream.writable().await?,
            Rest::IsWritten => bridge.changed.notified().await,
        }
    }
}

/// Tells the owner, also when the task panics.
struct Closing<'a> {
    shared: &'a Shared,
    bridge: &'a Bridge,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // The owner keeps the bridge until it hears of its end; the stream is not to wait for that.
        self.bridge.outbox.discard();
        self.shared.events.push(Event::BridgeClosed(self.bridge.id));
    }
}

async fn pump(stream: &mut ReadHalf, bridge: &Bridge, shared: &Shared) {
    let mut our_side_open = true;
    let mut deadlines = Deadlines::default();
    loop {
        let Ok(Written { bytes, rest }) = bridge.outbox.write() else { return };
        match rest {
            Rest::Nothing => deadlines.all_taken(),
            Rest::Waits => deadlines.more_waits(bytes > 0, shared.limits().write_timeout),
            Rest::IsWritten => {}
        }
        let (reads, ended, finished) = {
            let mut state = lock(&bridge.state);
            if state.wants_write && bridge.queued_bytes() < HIGH_WATER {
                state.wants_write = false;
                shared.events.push(Event::BridgeWritable(bridge.id));
            }
            (!state.ended && state.inbound_bytes < HIGH_WATER, state.ended, state.finished)
        };
        if bridge.is_terminated() {
            return;
        }
        if rest == Rest::Nothing && finished && our_side_open {
            if stream.finish().is_err() {
                return;
            }
            our_side_open = false;
            shared.events.push(Event::BridgeWritable(bridge.id));
        }
        if ended && !our_side_open {
            return;
        }
        let waits = rest == Rest::Waits;
        let mut changed = pin!(bridge.changed.notified());
        let mut timer = pin!(deadlines.next().map(sleep_until));
        let goes_on = poll_fn(|cx| {
            if changed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            if let Some(timer) = timer.as_mut().as_pin_mut()
                && timer.poll(cx).is_ready()
            {
                shared.counters.write_timeouts.increment();
                stream.reset_on_drop();
                return Poll::Ready(false);
            }
            if waits && let Poll::Ready(writable) = stream.poll_writable(cx) {
                return Poll::Ready(writable.is_ok());
            }
            if reads { poll_read(stream, cx, bridge, shared) } else { Poll::Pending }
        });
        if !goes_on.await {
            return;
        }
    }
}

/// False: the connection failed.
fn poll_read(
    stream: &mut ReadHalf,
    cx: &mut Context<'_>,
    bridge: &Bridge,
    shared: &Shared,
) -> Poll<bool> {
    let read = with_buffer(|buffer| {
        let room = buffer.get_mut(..READ_BYTES).unwrap_or_default();
        stream.poll_read(cx, room).map(|read| {
            let Ok(len) = read else { return false };
            receive(room.get(..len).unwrap_or_default(), bridge, shared);
            true
        })
    });
    read.unwrap_or(Poll::Ready(false))
}

/// Keeps what was read for the owner; nothing: the peer ended its side.
fn receive(read: &[u8], bridge: &Bridge, shared: &Shared) {
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
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn bridge(head: &[u8]) -> Bridge {
        let outbox = Outbox::new(usize::MAX, Arc::new(Budget::new(usize::MAX)));
        Bridge::new(1, Addresses::default(), head.to_vec(), outbox)
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
            BridgeRead::Bytes(len) | BridgeRead::Last(len) => Ok(buffer[..len].to_vec()),
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
        assert!(!lock(&bridge.state).wants_read, "there may be more");
        assert_eq!(read(&bridge, 9), Ok(b"dy".to_vec()));
        assert_eq!(lock(&bridge.state).inbound_bytes, 0);
        assert!(lock(&bridge.state).wants_read, "that was all");
        assert_eq!(read(&bridge, 9), Err(BridgeRead::Pending));
        assert!(lock(&bridge.state).wants_read);
    }

    #[test]
    fn the_end_comes_behind_the_bytes() {
        let bridge = bridge(b"head");
        lock(&bridge.state).ended = true;
        assert_eq!(bridge.read(&mut [0; 3]), BridgeRead::Bytes(3));
        assert_eq!(bridge.read(&mut [0; 3]), BridgeRead::Last(1));
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
