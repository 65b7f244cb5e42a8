//! Binding a port or a path, and accepting from it.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::stream::Stream;

const BACKLOG: i32 = 511;

/// Pace of the probes once a peer has been idle.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The system counts whole seconds, and Linux 32,767 at most.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const LONGEST_IDLE: Duration = Duration::from_secs(32_767);

/// Whether a connection has the options of the socket that it was accepted from: four system calls
/// less for each.
const INHERITS_OPTIONS: bool = cfg!(target_os = "linux");

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
    Tcp(PortListener),
    #[cfg(unix)]
    Unix(PathListener),
}

#[derive(Debug)]
pub(crate) struct PortListener {
    listener: TcpListener,
    keepalive: Option<Duration>,
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
    /// Must be called inside a tokio runtime. A TCP peer that has been silent for as long as
    /// `keepalive` is probed by the system.
    pub(crate) fn bind(
        address: &Address,
        keepalive: Option<Duration>,
    ) -> Result<Self, ListenError> {
        match address {
            Address::Port(port) => PortListener::bind(*port, keepalive).map(Self::Tcp),
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
            Self::Tcp(tcp) => tcp.listener.local_addr().ok().map(|address| address.port()),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    /// Refuses connections from now on, though the listener itself is dropped only later. (Where
    /// the system does not know this, they are refused from then on.)
    pub(crate) fn refuse(&self) {
        let socket = match self {
            Self::Tcp(tcp) => SockRef::from(&tcp.listener),
            #[cfg(unix)]
            Self::Unix(unix) => SockRef::from(&unix.listener),
        };
        let _ = socket.shutdown(Shutdown::Read);
    }

    /// The next connection, and its peer's address if it has one.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(tcp) => {
                let (stream, peer) = tcp.listener.accept().await?;
                if !INHERITS_OPTIONS {
                    set_options(SockRef::from(&stream), tcp.keepalive);
                }
                Ok((Stream::Tcp(stream), Some(peer)))
            }
            #[cfg(unix)]
            Self::Unix(unix) => {
                let (stream, _) = unix.listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

impl PortListener {
    fn bind(port: u16, keepalive: Option<Duration>) -> Result<Self, ListenError> {
        let listener = bind_tcp(port)?;
        if INHERITS_OPTIONS {
            set_options(SockRef::from(&listener), keepalive);
        }
        Ok(Self { listener, keepalive })
    }
}

/// Failing costs latency, and leaves peers that are gone to the health check.
fn set_options(socket: SockRef<'_>, keepalive: Option<Duration>) {
    let _ = socket.set_tcp_nodelay(true);
    if let Some(idle) = keepalive {
        let idle = idle.clamp(SHORTEST_IDLE, LONGEST_IDLE);
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(KEEPALIVE_INTERVAL);
        let _ = socket.set_tcp_keepalive(&keepalive);
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn what_is_accepted_does_not_wait_to_send_and_is_probed_when_idle() {
        for (given, expected) in [(0, 1), (7_900, 7), (32_767_000, 32_767), (1 << 40, 32_767)] {
            let (_peer, accepted) = connected(Some(Duration::from_millis(given))).await;
            let socket = SockRef::from(&accepted);
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(expected));
            #[cfg(not(target_os = "linux"))]
            let _ = expected;
        }
        let (_peer, accepted) = connected(None).await;
        assert!(!SockRef::from(&accepted).keepalive().unwrap());
    }

    async fn connected(keepalive: Option<Duration>) -> (TcpStream, TcpStream) {
        let listener = Listener::bind(&Address::Port(0), keepalive).unwrap();
        let peer = TcpStream::connect(("127.0.0.1", listener.port().unwrap())).await.unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        let Stream::Tcp(accepted) = stream else { panic!("{stream:?}") };
        assert_eq!(from.map(|from| from.port()), Some(peer.local_addr().unwrap().port()));
        (peer, accepted)
    }
}
