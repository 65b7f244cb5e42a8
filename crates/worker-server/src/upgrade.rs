//! From an accepted stream to what it is: a worker's session or the owner's business.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;

use crate::{
    bridge,
    limits::Limits,
    server::{Run, Shared, Stage},
    session,
    stream::Stream,
};

/// Serves one accepted stream to its end.
pub(crate) async fn serve(
    stream: Stream,
    peer: Option<SocketAddr>,
    shared: Arc<Shared>,
    run: Arc<Run>,
) {
    let head = tokio::select! {
        // An upgrade in progress is not worth waiting for.
        () = run.reached(Stage::Stopping) => return,
        head = timeout(shared.limits().request_head_timeout, Box::pin(read_head(&stream, shared.limits()))) => head,
    };
    match head {
        Ok(Ok(Some(Head { bytes, kind: Kind::Worker { answer, len } }))) => {
            let early = bytes.get(len..).unwrap_or_default().to_vec();
            drop(bytes);
            if write_all(&stream, answer.as_bytes()).await.is_ok() && run.is_running() {
                session::serve(stream, early, shared).await;
            }
        }
        Ok(Ok(Some(Head { bytes, kind: Kind::Other }))) => {
            bridge::serve(stream, peer, bytes, shared, run).await;
        }
        Ok(Ok(None) | Err(_)) => {}
        Err(_) => {
            let refusal = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n";
            let _ = write_all(&stream, refusal).await;
        }
    }
}

struct Head {
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A perfectly well-formed upgrade of a worker: our answer, and the length of its head.
    Worker { answer: String, len: usize },
    /// Everything else, also what is malformed: the owner knows the right refusal.
    Other,
}

/// `None`: the peer left before its head was complete.
async fn read_head(stream: &Stream, limits: &Limits) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    loop {
        stream.readable().await?;
        let before = bytes.len();
        bytes.resize(before + 1024, 0);
        let (_, room) = bytes.split_at_mut(before);
        let read = match stream.try_read(room) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        bytes.truncate(before + read);
        if let Some(kind) = classify(&bytes, limits) {
            return Ok(Some(Head { bytes, kind }));
        }
    }
}

/// `None`: the head is incomplete.
fn classify(bytes: &[u8], limits: &Limits) -> Option<Kind> {
    let mut headers = vec![httparse::EMPTY_HEADER; 32];
    loop {
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) if bytes.len() <= limits.request_head_bytes => {
                return None;
            }
            Ok(httparse::Status::Complete(len)) => {
                let head = bytes.get(..len)?;
                let answer = if has_bare_line_feed(head) { None } else { worker_answer(&request) };
                return Some(answer.map_or(Kind::Other, |answer| Kind::Worker { answer, len }));
            }
            Err(httparse::Error::TooManyHeaders) if headers.len() < limits.request_headers => {
                let more = (headers.len() * 4).min(limits.request_headers);
                headers = vec![httparse::EMPTY_HEADER; more];
            }
            _ => return Some(Kind::Other),
        }
    }
}

/// The answer that accepts the request as a worker's WebSocket, if nothing is wrong with it.
fn worker_answer(request: &httparse::Request<'_, '_>) -> Option<String> {
    let headers = Headers(request.headers);
    let plain = request.method == Some("GET")
        && request.version == Some(1)
        && headers.only("host").is_some()
        && headers.count("content-length") == 0
        && headers.count("transfer-encoding") == 0
        && headers.count("expect") == 0;
    let upgrade = headers.only("upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
        && headers.only("connection").is_some_and(|v| {
            v.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        })
        && matches!(headers.only("sec-websocket-version"), Some("13" | "8"));
    let key = headers.only("sec-websocket-key").filter(|key| is_key(key))?;
    if !plain || !upgrade {
        return None;
    }
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    );
    if headers.count("sec-websocket-protocol") > 0 {
        let first = first_protocol(headers.only("sec-websocket-protocol")?)?;
        answer.push_str(&format!("Sec-WebSocket-Protocol: {first}\r\n"));
    }
    answer.push_str("\r\n");
    Some(answer)
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// The value of a header that stands exactly once and is ASCII.
    fn only(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        let value = values.next()?;
        if values.next().is_some() || !value.is_ascii() {
            return None;
        }
        std::str::from_utf8(value).ok().map(str::trim)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }
}

/// Base64 of 16 bytes.
fn is_key(key: &str) -> bool {
    key.len() == 24
        && key.ends_with("==")
        && key.bytes().take(22).all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// The first of a well-formed list of distinct subprotocols.
fn first_protocol(list: &str) -> Option<&str> {
    let mut seen: Vec<&str> = Vec::new();
    for protocol in list.split(',').map(str::trim) {
        if protocol.is_empty() || !protocol.bytes().all(is_token) || seen.contains(&protocol) {
            return None;
        }
        seen.push(protocol);
    }
    seen.first().copied()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn has_bare_line_feed(head: &[u8]) -> bool {
    head.iter().zip(head.iter().skip(1)).any(|(before, byte)| *byte == b'\n' && *before != b'\r')
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write_vectored(&[io::IoSlice::new(bytes)]) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(extra: &[&str]) -> Option<Kind> {
        let mut lines = vec![
            "GET /ws HTTP/1.1",
            "Host: x",
            "Connection: keep-alive, Upgrade",
            "Upgrade: WebSocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        for line in extra {
            let name = line.split(':').next().unwrap();
            lines.retain(|old| !old.starts_with(name) || line.ends_with('+'));
            lines.push(line.trim_end_matches('+'));
        }
        classify(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes(), &Limits::default())
    }

    fn is_worker(extra: &[&str]) -> bool {
        matches!(kind(extra), Some(Kind::Worker { .. }))
    }

    #[test]
    fn accepts_a_well_formed_upgrade() {
        let Some(Kind::Worker { answer, .. }) = kind(&["Sec-WebSocket-Protocol: b, a"]) else {
            panic!("refused");
        };
        assert_eq!(
            answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b\r\n\r\n"
        );
        assert!(is_worker(&["Sec-WebSocket-Version: 8"]));
    }

    #[test]
    fn leaves_everything_else_to_the_owner() {
        for odd in [
            "Sec-WebSocket-Version: 12",
            "Sec-WebSocket-Key: short",
            "Upgrade: h2c",
            "Connection: close",
            "Host: again+",
            "Content-Length: 1",
            "Transfer-Encoding: chunked",
            "Sec-WebSocket-Protocol: a, a",
            "Sec-WebSocket-Protocol: a b",
        ] {
            assert_eq!(kind(&[odd]), Some(Kind::Other), "{odd}");
        }
        let limits = Limits::default();
        assert_eq!(classify(b"GET / HTTP/1.1\nHost: x\n\n", &limits), Some(Kind::Other));
        assert_eq!(classify(b"\x16\x03\x01 TLS", &limits), Some(Kind::Other));
    }

    #[test]
    fn waits_for_a_complete_head_within_its_bound() {
        let limits = Limits::default();
        assert_eq!(classify(b"GET / HTTP/1.1\r\nHost: x\r\n", &limits), None);
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(limits.request_head_bytes));
        assert_eq!(classify(long.as_bytes(), &limits), Some(Kind::Other));
    }

    #[test]
    fn grows_with_the_number_of_headers() {
        let many = "X: y\r\n".repeat(500);
        let head = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(classify(head.as_bytes(), &Limits::default()), Some(Kind::Other));
    }
}
