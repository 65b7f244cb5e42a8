//! Binding a port or a path, and accepting from it.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    path::PathBuf,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::stream::Stream;

const BACKLOG: i32 = 511;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port on all interfaces, IPv6 and IPv4; 0: any free one.
    Port(u16),
    /// A Unix domain socket (no other platform has it).
    Path(PathBuf),
}

/// The address could not be bound.
#[derive(Debug, Error)]
#[error("listen {address}: {source}")]
pub struct ListenError {
    /// The host or path that failed.
    pub address: String,
    /// The operating system's error.
    pub source: io::Error,
}

/// Both ends of a connection; none over a Unix domain socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// The peer's.
    pub remote: Option<SocketAddr>,
    /// Ours.
    pub local: Option<SocketAddr>,
}

#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(PathListener),
}

/// Removes the file of its path when it is dropped, as Node does.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct PathListener {
    listener: UnixListener,
    path: PathBuf,
}

#[cfg(unix)]
impl Drop for PathListener {
    fn drop(&mut self) {
        // Failing, it is gone already or stays, which the next who listens there is told.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Must be called inside a tokio runtime.
    pub(crate) fn bind(address: &Address) -> Result<Self, ListenError> {
        match address {
            Address::Port(port) => bind_tcp(*port).map(Self::Tcp),
            #[cfg(unix)]
            Address::Path(path) => UnixListener::bind(path)
                .map(|listener| Self::Unix(PathListener { listener, path: path.clone() }))
                .map_err(|source| ListenError { address: path.display().to_string(), source }),
            #[cfg(not(unix))]
            Address::Path(path) => Err(ListenError {
                address: path.display().to_string(),
                source: io::ErrorKind::Unsupported.into(),
            }),
        }
    }

    /// The bound TCP port.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    /// Refuses connections from now on, though the listener itself is dropped only later. (Where
    /// the system does not know this, they are refused from then on.)
    pub(crate) fn refuse(&self) {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            #[cfg(unix)]
            Self::Unix(unix) => SockRef::from(&unix.listener),
        };
        let _ = socket.shutdown(Shutdown::Read);
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Addresses)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Failing costs latency, not correctness.
                let _ = stream.set_nodelay(true);
                let addresses = Addresses { remote: Some(peer), local: stream.local_addr().ok() };
                Ok((Stream::Tcp(stream), addresses))
            }
            #[cfg(unix)]
            Self::Unix(unix) => {
                let (stream, _) = unix.listener.accept().await?;
                Ok((Stream::Unix(stream), Addresses::default()))
            }
        }
    }
}

fn bind_tcp(port: u16) -> Result<TcpListener, ListenError> {
    let dual_stack = SocketAddr::from(([0u16; 8], port));
    match bind_socket(Domain::IPV6, dual_stack) {
        Ok(listener) => Ok(listener),
        Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
            Err(ListenError { address: "::".to_owned(), source })
        }
        // No IPv6 here, or something that IPv4 will say as well.
        Err(_) => bind_socket(Domain::IPV4, SocketAddr::from(([0u8; 4], port)))
            .map_err(|source| ListenError { address: "0.0.0.0".to_owned(), source }),
    }
}

fn bind_socket(domain: Domain, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    // On Windows this option would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
