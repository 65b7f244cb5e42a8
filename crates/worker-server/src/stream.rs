//! One accepted byte stream, of whichever kind the listener accepts.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

/// Pace of the probes once a peer has been idle.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// The system counts whole seconds, and Linux 32,767 at most.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const LONGEST_IDLE: Duration = Duration::from_secs(32_767);

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

    /// Reads what has arrived; 0 at the end of the stream. After a read that leaves room in the
    /// buffer it knows, without another system call, that there is nothing more.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = each!(self, stream => Pin::new(stream).poll_read(cx, &mut buffer));
        read.map_ok(|()| buffer.filled().len())
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_write_ready(cx))
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
        each!(self, stream => SockRef::from(stream).shutdown(std::net::Shutdown::Write))
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

    /// Makes a later drop reset the connection instead of ending it in order.
    pub(crate) fn reset_on_drop(&self) {
        if let Stream::Tcp(stream) = self {
            // Failing leaves an orderly end, which is as good for us.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
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
