//! One simulated worker: a connection that did the WebSocket handshake and registered.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::AsRawFd,
    rc::Rc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpSocket, TcpStream},
};

use crate::{
    fail,
    target::Target,
    ws::{self, Event, FrameWriter, Reader},
};

/// Connections from one source address. The kernel's default range has 28,232 ports for one pair
/// of addresses, but from about half of them on, finding a free one takes half a millisecond.
const PER_SOURCE: usize = 8_000;

thread_local! {
    /// One thread drives all connections, so they share a buffer and an idle one costs none.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

/// A worker's connection.
pub struct Worker {
    /// Its number in this generator.
    pub index: usize,
    /// Shared with those who write on a schedule of their own.
    pub stream: Rc<TcpStream>,
    /// Makes its frames.
    pub frames: FrameWriter,
    /// The code of the server's close frame, once it has sent one.
    pub closed: Option<u16>,
    reader: Reader,
    /// Messages that came together with the acknowledgement.
    early: Vec<Vec<u8>>,
}

impl Worker {
    /// Connects and does the handshake.
    pub async fn open(target: &Target, index: usize) -> io::Result<Self> {
        let mut stream = socket(target, index)?.connect(target.address).await?;
        stream.set_nodelay(true)?;
        handshake(&mut stream, target).await?;
        Ok(Self {
            index,
            stream: Rc::new(stream),
            frames: FrameWriter::new(index + 1),
            closed: None,
            reader: Reader::default(),
            early: Vec::new(),
        })
    }

    /// Registers and waits for the acknowledgement.
    pub async fn register(&mut self, target: &Target) -> io::Result<()> {
        let mut frame = Vec::new();
        self.frames.text(&mut frame, &[target.registration(self.index).as_bytes()]);
        write_all(&self.stream, &frame).await?;
        let (mut accepted, mut early) = (None, Vec::new());
        while accepted.is_none() {
            self.read(|event| match event {
                Event::Message(text) if accepted.is_none() => {
                    let is_ack = ws::find_after(text, b"\"worker_registration_ack\"").is_some();
                    let is_success = ws::find_after(text, b"\"success\":true").is_some();
                    accepted = Some(is_ack && is_success);
                }
                Event::Message(text) => early.push(text.to_vec()),
                _ => {}
            })
            .await?;
        }
        self.early = early;
        if accepted == Some(true) { Ok(()) } else { Err(fail("registration refused")) }
    }

    /// Waits until there is something and passes on what it is. The end of the stream is an error.
    pub async fn read(&mut self, mut on_event: impl FnMut(Event)) -> io::Result<()> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            early.iter().for_each(|text| on_event(Event::Message(text)));
            return Ok(());
        }
        loop {
            self.stream.readable().await?;
            if self.try_read(&mut on_event)? {
                return Ok(());
            }
        }
    }

    /// Reads without waiting; false: there was nothing.
    pub fn try_read(&mut self, on_event: &mut impl FnMut(Event)) -> io::Result<bool> {
        SCRATCH.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                if length < buffer.len() {
                    self.forget_readiness();
                }
                self.take(&buffer[..length], on_event).map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Reads and forgets what the server sends, until the connection ends.
    pub async fn drain(mut self) {
        while self.read(|_| ()).await.is_ok() && self.closed.is_none() {}
    }

    /// Spares the read that would only find out that there is nothing more: with edge-triggered
    /// readiness, what comes later is told anew.
    fn forget_readiness(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = self.stream.try_io(Interest::READABLE, nothing);
    }

    fn take(&mut self, data: &[u8], on_event: &mut impl FnMut(Event)) -> io::Result<()> {
        let mut pongs = Vec::new();
        let Self { reader, frames, closed, .. } = self;
        let see = |event: Event| {
            match &event {
                Event::Ping(payload) => frames.pong(&mut pongs, payload),
                Event::Close(code) => *closed = Some(*code),
                Event::Message(_) | Event::Pong => {}
            }
            on_event(event);
        };
        reader.feed(data, see).map_err(fail)?;
        // Best effort: a full socket drops the pong.
        if !pongs.is_empty() {
            let _ = self.stream.try_write(&pongs);
        }
        Ok(())
    }
}

/// Writes everything, waiting where it must.
pub async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The source is 127.0.0.1, then 127.0.0.2 and so on once the ports of one address get scarce.
fn socket(target: &Target, index: usize) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = target.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    let source = (target.first + index) / PER_SOURCE;
    if source > 0 && target.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        choose_port_at_connect(&socket)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1 + source as u8], 0)))?;
    }
    Ok(socket)
}

/// Leaves the source port to connect(2), which knows the destination and so can use a port that
/// another destination has.
fn choose_port_at_connect(socket: &TcpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is one int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

async fn handshake(stream: &mut TcpStream, target: &Target) -> io::Result<()> {
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        target.address,
        ws::KEY
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(512);
    let end = loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(fail("closed during the handshake"));
        }
        if let Some(end) = ws::find_after(&head, b"\r\n\r\n") {
            break end;
        }
    };
    let answer = String::from_utf8_lossy(&head[..end]);
    if !answer.starts_with("HTTP/1.1 101") || !answer.contains(ws::ACCEPT) {
        return Err(fail(format!("handshake refused: {}", answer.lines().next().unwrap_or(""))));
    }
    if head.len() > end { Err(fail("frames before the registration")) } else { Ok(()) }
}
