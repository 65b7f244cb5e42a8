//! A client that is not ours to trust: bytes out, frames in.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::soon;

pub(crate) const FIN: u8 = 0x80;

pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0x0;
    pub(crate) const TEXT: u8 = 0x1;
    pub(crate) const BINARY: u8 = 0x2;
    pub(crate) const CLOSE: u8 = 0x8;
    pub(crate) const PING: u8 = 0x9;
    pub(crate) const PONG: u8 = 0xa;
}

/// One masked frame: its first byte is given, its length has the shortest form.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// A registration; `more` are further members, each with a comma in front.
pub(crate) fn registration(id: &str, more: &str) -> String {
    format!(
        r#"{{"type":"worker_registration","workerId":"{id}","workerName":"N","capabilities":{{"models":[{{"modelId":"m"}}],"maxConcurrentRequests":2}}{more}}}"#
    )
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn text(text: &str) -> Self {
        Self { opcode: opcode::TEXT, payload: text.into() }
    }

    pub(crate) fn pong(payload: &str) -> Self {
        Self { opcode: opcode::PONG, payload: payload.into() }
    }

    pub(crate) fn close(code: u16, reason: &str) -> Self {
        Self { opcode: opcode::CLOSE, payload: close_payload(code, reason) }
    }
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// A TCP connection, nothing more. It can take little before it is read.
    pub(crate) async fn tcp(port: u16) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let stream = soon(socket.connect(([127, 0, 0, 1], port).into())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// A WebSocket.
    pub(crate) async fn connect(port: u16) -> Self {
        Self::connect_with(port, &[]).await
    }

    /// A WebSocket whose handshake has more bytes right behind it.
    pub(crate) async fn connect_with(port: u16, early: &[u8]) -> Self {
        let mut peer = Self::tcp(port).await;
        peer.send(&[Self::upgrade("/ws").as_bytes(), early].concat()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        peer
    }

    pub(crate) fn upgrade(target: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.send(&frame(FIN | opcode::TEXT, text)).await;
    }

    pub(crate) async fn register(&mut self, id: &str) {
        self.text(&registration(id, "")).await;
    }

    pub(crate) async fn beat(&mut self, id: &str) {
        self.text(&format!(r#"{{"type":"heartbeat","workerId":"{id}","timestamp":1}}"#)).await;
    }

    /// Closes as a well-behaved client that was asked to.
    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        self.send(&frame(FIN | opcode::CLOSE, close_payload(code, reason))).await;
    }

    /// The head of an HTTP answer.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            self.receive().await;
        }
    }

    /// The next so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.receive().await;
        }
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    /// The next frame, which is whole and unmasked as all of a server's are.
    pub(crate) async fn frame(&mut self) -> Frame {
        let start = self.bytes(2).await;
        assert_eq!(start[0] & 0xf0, FIN, "final, without reserved bits");
        let len = match start[1] {
            126 => u16::from_be_bytes(self.bytes(2).await.try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.bytes(8).await.try_into().unwrap()) as usize,
            len => usize::from(len),
        };
        Frame { opcode: start[0] & 0x0f, payload: self.bytes(len).await }
    }

    /// The next frame, which is text.
    pub(crate) async fn message(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.opcode, opcode::TEXT, "{frame:?}");
        String::from_utf8(frame.payload).unwrap()
    }

    /// Waits for a positive acknowledgement.
    pub(crate) async fn acknowledged(&mut self) {
        let ack = self.message().await;
        assert!(ack.starts_with(r#"{"type":"worker_registration_ack","success":true,"#), "{ack}");
    }

    /// Everything sent before was looked at when this returns.
    pub(crate) async fn ping(&mut self, payload: &str) {
        self.send(&frame(FIN | opcode::PING, payload)).await;
        assert_eq!(self.frame().await, Frame::pong(payload));
    }

    /// Whether nothing has come from the server. Only of use when something else proves that it
    /// would have come by now.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.unread.is_empty()
            && self
                .stream
                .try_read(&mut [0])
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The server ends the stream in order, and nothing comes before that.
    pub(crate) async fn end(&mut self) {
        assert_eq!(self.rest().await, b"");
    }

    /// All that comes until the server ends the stream in order.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unread);
        soon(self.stream.read_to_end(&mut rest)).await.unwrap();
        rest
    }

    /// All that comes until the server ends the stream, however it does.
    pub(crate) async fn rest_or_reset(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unread);
        // A reset takes nothing away that was read before.
        while soon(self.stream.read_buf(&mut rest)).await.is_ok_and(|read| read > 0) {}
        rest
    }

    /// The server drops the stream without ending it.
    pub(crate) async fn reset(&mut self) {
        let error = soon(self.stream.read_to_end(&mut Vec::new())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    async fn receive(&mut self) {
        let read = soon(self.stream.read_buf(&mut self.unread)).await.unwrap();
        assert_ne!(read, 0, "the stream ended after {:?}", self.unread);
    }
}
