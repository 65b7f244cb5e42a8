//! One accepted byte stream, of whichever kind the listener accepts.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpStream, tcp},
};

/// Pace of the probes once a peer has been idle.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// The system counts whole seconds, and Linux 32,767 at most.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const LONGEST_IDLE: Duration = Duration::from_secs(32_767);

/// The most that is read at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// One per runtime thread.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Reads and writes only when asked to, without a buffer of its own.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The half of the stream's task, which also waits and ends it.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
}

/// The half of whoever writes at the moment. Dropping it leaves the peer's side of the stream open.
#[derive(Debug)]
pub(crate) struct WriteHalf {
    /// Until it is dropped.
    owned: Option<OwnedWriteHalf>,
    /// Instead of a stream.
    #[cfg(all(test, feature = "loom"))]
    received: Option<Received>,
}

#[derive(Debug)]
enum OwnedWriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
}

/// What a peer that takes everything has received.
#[cfg(all(test, feature = "loom"))]
type Received = std::sync::Arc<std::sync::Mutex<Vec<u8>>>;

macro_rules! each {
    ($kind:ident, $self:expr, $stream:ident => $body:expr) => {
        match $self {
            $kind::Tcp($stream) => $body,
            #[cfg(unix)]
            $kind::Unix($stream) => $body,
        }
    };
}

impl Stream {
    pub(crate) fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::new(OwnedWriteHalf::Tcp(write)))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::new(OwnedWriteHalf::Unix(write)))
            }
        }
    }

    /// See [`ReadHalf::poll_read`].
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        each!(Self, self, stream => poll_read(stream, cx, buffer))
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        each!(Self, self, stream => stream.writable().await)
    }

    pub(crate) fn try_write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        each!(Self, self, stream => stream.try_write_vectored(buffers))
    }

    /// Lets the system find out that an idle peer is gone.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        if let Stream::Tcp(stream) = self {
            let idle = idle.clamp(SHORTEST_IDLE, LONGEST_IDLE);
            let keepalive = TcpKeepalive::new().with_time(idle).with_interval(KEEPALIVE_INTERVAL);
            // Failing leaves the peer to the health check.
            let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
        }
    }
}

impl ReadHalf {
    /// Reads what has arrived; 0 at the end of the stream. After a read that leaves room in the
    /// buffer it knows, without another system call, that there is nothing more.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        each!(Self, self, stream => poll_read(stream, cx, buffer))
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Self, self, stream => stream.as_ref().poll_write_ready(cx))
    }

    /// Ends the writing half; the peer sees the end of the stream after all that was written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let how = std::net::Shutdown::Write;
        each!(Self, self, stream => SockRef::from(stream.as_ref()).shutdown(how))
    }

    /// Makes a later drop reset the connection instead of ending it in order.
    pub(crate) fn reset_on_drop(&self) {
        if let Self::Tcp(stream) = self {
            // Failing leaves an orderly end, which is as good for us.
            let _ = SockRef::from(stream.as_ref()).set_linger(Some(Duration::ZERO));
        }
    }
}

impl WriteHalf {
    fn new(half: OwnedWriteHalf) -> Self {
        Self {
            owned: Some(half),
            #[cfg(all(test, feature = "loom"))]
            received: None,
        }
    }

    /// One without a stream, and where to find what was written to it.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn to_memory() -> (Self, Received) {
        let received = Received::default();
        (Self { owned: None, received: Some(received.clone()) }, received)
    }

    pub(crate) fn try_write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(all(test, feature = "loom"))]
        if let Some(received) = &self.received {
            let mut received = received.lock().unwrap();
            let before = received.len();
            buffers.iter().for_each(|buffer| received.extend_from_slice(buffer));
            return Ok(received.len() - before);
        }
        match &self.owned {
            Some(half) => {
                each!(OwnedWriteHalf, half, stream => stream.try_write_vectored(buffers))
            }
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if let Some(half) = self.owned.take() {
            each!(OwnedWriteHalf, half, stream => stream.forget());
        }
    }
}

fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    Pin::new(stream).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
}

/// Lends the thread's buffer to who reads, so that an idle connection owns none.
///
/// # Errors
/// When it is lent already: a reader must not read again inside of `body`.
pub(crate) fn with_buffer<T>(body: impl FnOnce(&mut [u8]) -> T) -> io::Result<T> {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => Ok(body(&mut scratch)),
        Err(_) => Err(io::ErrorKind::ResourceBusy.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_is_told_when_to_probe() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Stream::Tcp(TcpStream::connect(address).await.unwrap());
        let Stream::Tcp(tcp) = &stream else { return };
        assert!(!SockRef::from(tcp).keepalive().unwrap());
        for (given, expected) in [(0, 1), (7_900, 7), (32_767_000, 32_767), (1 << 40, 32_767)] {
            stream.keep_alive(Duration::from_millis(given));
            assert!(SockRef::from(tcp).keepalive().unwrap());
            let seconds = Duration::from_secs(expected);
            #[cfg(target_os = "linux")]
            assert_eq!(SockRef::from(tcp).tcp_keepalive_time().unwrap(), seconds);
            #[cfg(not(target_os = "linux"))]
            let _ = seconds;
        }
    }
}
