//! One accepted byte stream, of whichever kind the listener accepts.

use std::io;

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Reads and writes only when asked to, without a buffer of its own.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! each {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self {
            Stream::Tcp($stream) => $body,
            #[cfg(unix)]
            Stream::Unix($stream) => $body,
        }
    };
}

impl Stream {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        each!(self, stream => stream.readable().await)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        each!(self, stream => stream.writable().await)
    }

    /// `WouldBlock` when nothing has arrived; 0 at the end of the stream.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_read(buffer))
    }

    pub(crate) fn try_write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.try_write_vectored(buffers))
    }

    /// Ends the writing half; the peer sees the end of the stream after all that was written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        each!(self, stream => socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write))
    }

    /// Makes a later drop reset the connection instead of ending it in order.
    pub(crate) fn reset_on_drop(&self) {
        if let Stream::Tcp(stream) = self {
            // Failing leaves an orderly end, which is as good for us.
            let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}
