//! One accepted byte stream, of whichever kind the listener accepts.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpStream, tcp},
};

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

    /// The address that a TCP peer has connected to.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
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
