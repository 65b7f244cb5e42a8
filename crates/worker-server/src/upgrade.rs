//! From an accepted stream to what it is: a worker's session or the owner's business.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;

use crate::{
    events::{Event, Refusal},
    limits::Limits,
    routes::{Route, Routes},
    server::{Run, Shared, Stage},
    session::WorkerStream,
    stream::{Stream, with_buffer},
};

/// Most heads fit into this.
const READ_BYTES: usize = 1024;

/// The answer to a page whose origin is not accepted.
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\
     Content-Type: text/html\r\nContent-Length: 9\r\n\r\nForbidden";
/// Longest origin that is logged, in bytes.
const LOGGED_ORIGIN_BYTES: usize = 256;

/// What an accepted stream turned out to be.
pub(crate) enum Upgraded {
    /// A worker's, which has been told so.
    Worker(Box<WorkerStream>),
    /// The owner's; these bytes were read of it.
    Bridged(Stream, Vec<u8>),
}

/// Finds out what a stream is. `None`: it has ended, or has been answered to its end.
pub(crate) async fn find_out(
    mut stream: Stream,
    shared: Arc<Shared>,
    run: Arc<Run>,
) -> Option<Upgraded> {
    let mut bytes = Vec::new();
    let mut is_kept_alive = false;
    loop {
        let head = tokio::select! {
            // An upgrade in progress is not worth waiting for.
            () = run.reached(Stage::Stopping) => return None,
            head = timeout(
                shared.limits().request_head_timeout,
                Box::pin(read_head(&mut stream, &mut bytes, &shared)),
            ) => head,
        };
        match head {
            Ok(Ok(Some(Kind::Worker { answer, protocol, len }))) => {
                let early = bytes.get(len..).unwrap_or_default().to_vec();
                drop(bytes);
                // A peer that has seen the answer is served, whatever happens meanwhile.
                let is_told =
                    run.is_running() && write_all(&stream, answer.as_bytes()).await.is_ok();
                let stream = WorkerStream { stream, early, protocol };
                return is_told.then(|| Upgraded::Worker(Box::new(stream)));
            }
            Ok(Ok(Some(Kind::Native { route, head_only, keep_alive, len }))) => {
                bytes.drain(..len.min(bytes.len()));
                let answer = native_answer(&route.body(&shared), head_only, keep_alive);
                if !write_answer(&stream, answer.as_bytes(), &shared, &run).await || !keep_alive {
                    return None;
                }
                is_kept_alive = true;
            }
            Ok(Ok(Some(Kind::ForeignOrigin(origin)))) => {
                shared.counters.origins_refused.increment();
                let refusal = Refusal::ForeignOrigin;
                shared.events.push(Event::Refused { refusal, detail: Some(origin.into()) });
                write_answer(&stream, FORBIDDEN.as_bytes(), &shared, &run).await;
                return None;
            }
            Ok(Ok(Some(Kind::Other))) => return Some(Upgraded::Bridged(stream, bytes)),
            Ok(Ok(None) | Err(_)) => return None,
            // Idle since its last answer: nothing is late.
            Err(_) if is_kept_alive && bytes.is_empty() => return None,
            Err(_) => {
                shared.counters.request_head_timeouts.increment();
                let refusal = Refusal::RequestHeadTimeout;
                shared.events.push(Event::Refused { refusal, detail: None });
                let refusal = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n";
                write_answer(&stream, refusal, &shared, &run).await;
                return None;
            }
        }
    }
}

fn native_answer(body: &str, head_only: bool, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
         Content-Length: {}\r\nConnection: {connection}\r\n\r\n{}",
        body.len(),
        if head_only { "" } else { body }
    )
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A perfectly well-formed upgrade of a worker: our answer, the subprotocol in it, and the length
    /// of its head.
    Worker { answer: String, protocol: Option<Box<str>>, len: usize },
    /// A request for a native route.
    Native { route: Route, head_only: bool, keep_alive: bool, len: usize },
    /// A well-formed upgrade of a worker by a page whose origin (cut to a length that can be logged)
    /// is not accepted.
    ForeignOrigin(String),
    /// Everything else, also what is malformed: the owner knows the right refusal.
    Other,
}

/// Reads until it is known what the connection is. `None`: the peer left before.
async fn read_head(
    stream: &mut Stream,
    bytes: &mut Vec<u8>,
    shared: &Shared,
) -> io::Result<Option<Kind>> {
    loop {
        if !bytes.is_empty()
            && let Some(kind) = classify(bytes, shared.limits(), &shared.routes, |origin, host| {
                shared.accepts_origin(origin, host)
            })
        {
            return Ok(Some(kind));
        }
        if poll_fn(|cx| poll_read(stream, cx, bytes)).await? == 0 {
            // Half a head and no more: the owner knows what to say to that, and meets the end itself.
            return Ok((!bytes.is_empty()).then_some(Kind::Other));
        }
        #[cfg(feature = "fault-injection")]
        crate::panics::inject(b"inject-head-panic", bytes);
    }
}

/// Appends what has arrived; 0 at the end of the stream.
fn poll_read(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    bytes: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let read = with_buffer(|buffer| {
        let room = buffer.get_mut(..READ_BYTES).unwrap_or_default();
        stream.poll_read(cx, room).map_ok(|len| {
            bytes.extend_from_slice(room.get(..len).unwrap_or_default());
            len
        })
    });
    read.unwrap_or_else(|error| Poll::Ready(Err(error)))
}

/// `None`: the head is incomplete.
pub(crate) fn classify(
    bytes: &[u8],
    limits: &Limits,
    routes: &Routes,
    accepts_origin: impl Fn(&str, &str) -> bool,
) -> Option<Kind> {
    let mut headers = vec![httparse::EMPTY_HEADER; limits.request_headers.min(32)];
    loop {
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) if bytes.len() <= limits.request_head_bytes => {
                return None;
            }
            Ok(httparse::Status::Complete(len)) => {
                let head = bytes.get(..len)?;
                return Some(if len > limits.request_head_bytes || has_bare_line_feed(head) {
                    Kind::Other
                } else {
                    kind_of(&request, len, routes, accepts_origin)
                });
            }
            Err(httparse::Error::TooManyHeaders) if headers.len() < limits.request_headers => {
                let more = (headers.len() * 4).min(limits.request_headers);
                headers = vec![httparse::EMPTY_HEADER; more];
            }
            _ => return Some(Kind::Other),
        }
    }
}

fn kind_of(
    request: &httparse::Request<'_, '_>,
    len: usize,
    routes: &Routes,
    accepts_origin: impl Fn(&str, &str) -> bool,
) -> Kind {
    let target = request.path.unwrap_or_default();
    let headers = Headers(request.headers);
    if !is_target(target) {
        return Kind::Other;
    }
    if headers.has("upgrade") {
        return match worker_answer(request) {
            Some((answer, protocol)) if !routes.is_endpoint(target) => {
                match headers.foreign_origin(accepts_origin) {
                    None => Kind::Worker { answer, protocol, len },
                    Some(origin) => Kind::ForeignOrigin(origin),
                }
            }
            _ => Kind::Other,
        };
    }
    let is_plain = request.version == Some(1)
        && headers.only("host").is_some()
        && headers.values("connection").all(<[u8]>::is_ascii)
        && !headers.has_body()
        && !headers.has("expect");
    match (routes.native(target), request.method) {
        (Some(route), Some(method @ ("GET" | "HEAD"))) if is_plain => {
            let keep_alive = !headers.lists("connection", "close");
            Kind::Native { route, head_only: method == "HEAD", keep_alive, len }
        }
        _ => Kind::Other,
    }
}

/// The answer that accepts the request as a worker's WebSocket, and the subprotocol in it, if nothing
/// is wrong with the request.
fn worker_answer(request: &httparse::Request<'_, '_>) -> Option<(String, Option<Box<str>>)> {
    let headers = Headers(request.headers);
    let is_plain = request.method == Some("GET")
        && request.version == Some(1)
        && headers.only("host").is_some()
        && !headers.has_body()
        && !headers.has("expect");
    let is_upgrade = headers.only("upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
        && headers.lists("connection", "upgrade")
        && matches!(headers.only("sec-websocket-version"), Some("13" | "8"));
    let key = headers.only("sec-websocket-key").filter(|key| is_key(key))?;
    if !is_plain || !is_upgrade {
        return None;
    }
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    );
    let mut protocol = None;
    if headers.has("sec-websocket-protocol") {
        let first = first_protocol(headers.only("sec-websocket-protocol")?)?;
        answer.push_str(&format!("Sec-WebSocket-Protocol: {first}\r\n"));
        protocol = Some(first.into());
    }
    answer.push_str("\r\n");
    Some((answer, protocol))
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Whether a body is announced; what exactly is announced is for Node to judge.
    fn has_body(&self) -> bool {
        self.has("transfer-encoding")
            || self.has("content-length") && self.only("content-length") != Some("0")
    }

    /// Whether one of the header's comma-separated values is `token`.
    fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            // As Node reads it: a tab is part of the value.
            .any(|value| value.trim_matches(' ').eq_ignore_ascii_case(token))
    }

    /// The origin of the page that sends the request, unless `accepts` (called with origin and host)
    /// accepts it. Several origins are none that could be accepted.
    fn foreign_origin(&self, accepts: impl Fn(&str, &str) -> bool) -> Option<String> {
        let first = self.values("origin").next()?;
        let host = self.only("host").unwrap_or_default();
        let is_accepted = self.only("origin").is_some_and(|origin| accepts(origin, host));
        let shown = first.get(..LOGGED_ORIGIN_BYTES).unwrap_or(first);
        (!is_accepted).then(|| String::from_utf8_lossy(shown).into_owned())
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

/// A path, or a URL that begins with a plain scheme and host. Node takes a few more, and refuses
/// some that the parser here takes.
fn is_target(target: &str) -> bool {
    let is_visible = target.bytes().all(|byte| byte.is_ascii_graphic());
    is_visible && (target.starts_with('/') || is_url(target))
}

fn is_url(target: &str) -> bool {
    target.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.split('/').next().unwrap_or_default();
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
            && !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
    })
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

/// Writes to a peer that may not read. False: it does not, or there is no time for it any more.
async fn write_answer(stream: &Stream, answer: &[u8], shared: &Shared, run: &Run) -> bool {
    let written = timeout(shared.limits().write_timeout, write_all(stream, answer));
    tokio::select! {
        () = run.reached(Stage::Terminating) => false,
        written = written => matches!(written, Ok(Ok(()))),
    }
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
        classified(&format!("{}\r\n\r\n", lines.join("\r\n")))
    }

    fn classified(head: &str) -> Option<Kind> {
        let routes = Routes::new(Some("/healthz"));
        routes.set_endpoint("/live".to_owned(), true);
        classify(head.as_bytes(), &Limits::default(), &routes, |origin, host| {
            (origin, host) == ("http://own", "x")
        })
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
    fn refuses_a_page_whose_origin_is_not_accepted() {
        assert!(is_worker(&["Origin: http://own"]));
        let refused = |lines: &[&str]| match kind(lines) {
            Some(Kind::ForeignOrigin(origin)) => origin,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&["Origin: http://foreign"]), "http://foreign");
        assert_eq!(refused(&["Origin:"]), "");
        assert_eq!(refused(&["Origin: http://own+", "Origin: http://own+"]), "http://own");
        assert_eq!(refused(&[&format!("Origin: {}", "o".repeat(300))]).len(), LOGGED_ORIGIN_BYTES);
        let endpoint = "GET /live?x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Origin: http://foreign\r\n\r\n";
        assert_eq!(classified(endpoint), Some(Kind::Other), "the owner decides at endpoints");
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
            "Expect: 100-continue",
            "Transfer-Encoding: chunked",
            "Sec-WebSocket-Protocol: a, a",
            "Sec-WebSocket-Protocol: a b",
            "Connection:\tkeep-alive,\tUpgrade",
        ] {
            assert_eq!(kind(&[odd]), Some(Kind::Other), "{odd}");
        }
        assert_eq!(kind(&["Content-Length: 0+", "Content-Length: 0+"]), Some(Kind::Other));
        assert!(is_worker(&["Content-Length: 0"]));
        assert_eq!(classified("GET / HTTP/1.1\nHost: x\n\n"), Some(Kind::Other));
        assert_eq!(classified("\x16\x03\x01 TLS"), Some(Kind::Other));
    }

    #[test]
    fn a_target_is_a_path_or_a_plain_url() {
        for good in ["/", "/a?b=c#d", "//", "http://x/a", "ws://a.b-c:80", "/%00"] {
            assert!(is_target(good), "{good}");
        }
        for odd in
            ["", "a", "?a", "*", "/é", "/\u{7f}", "x:80", "http:x", "http://", "a1://x", "://x"]
        {
            assert!(!is_target(odd), "{odd}");
        }
    }

    #[test]
    fn a_head_beyond_its_bound_is_left_to_the_owner_though_it_is_complete() {
        let head = |len: usize| {
            let filler = "x".repeat(len - "GET /healthz HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".len());
            classified(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\nA: {filler}\r\n\r\n"))
        };
        let limit = Limits::default().request_head_bytes;
        assert!(matches!(head(limit), Some(Kind::Native { .. })));
        assert_eq!(head(limit + 1), Some(Kind::Other));
    }

    #[test]
    fn waits_for_a_complete_head_within_its_bound() {
        assert_eq!(classified("GET / HTTP/1.1\r\nHost: x\r\n"), None);
        let filler = "x".repeat(Limits::default().request_head_bytes);
        assert_eq!(classified(&format!("GET / HTTP/1.1\r\nX: {filler}")), Some(Kind::Other));
    }

    #[test]
    fn a_head_is_as_large_as_allowed_and_no_larger() {
        let limits = Limits { request_head_bytes: 200, request_headers: 8, ..Limits::default() };
        let routes = Routes::new(Some("/healthz"));
        let is_native = |head: &str| {
            matches!(
                classify(head.as_bytes(), &limits, &routes, |_, _| false),
                Some(Kind::Native { .. })
            )
        };
        let of_bytes = |len: usize| {
            let start = "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ";
            format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
        };
        assert!(is_native(&of_bytes(199)) && is_native(&of_bytes(200)));
        assert!(!is_native(&of_bytes(201)), "also when it comes at once");
        let of_lines = |count: usize| {
            format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(count - 1))
        };
        assert!(is_native(&of_lines(7)) && is_native(&of_lines(8)));
        assert!(!is_native(&of_lines(9)));
    }

    #[test]
    fn grows_with_the_number_of_headers() {
        let many = "X: y\r\n".repeat(500);
        let head = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(classified(&head), Some(Kind::Other));
    }

    #[test]
    fn knows_native_routes() {
        let health = |head_only, keep_alive, len| {
            Some(Kind::Native { route: Route::Health, head_only, keep_alive, len })
        };
        assert_eq!(
            classified("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET"),
            health(false, true, 34)
        );
        let close = "HEAD /healthz?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(classified(close), health(true, false, close.len()));
        let with_body = "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(classified(with_body), Some(Kind::Other));
        assert_eq!(classified("POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), Some(Kind::Other));
    }

    #[test]
    fn leaves_endpoints_to_the_owner() {
        let head = |path| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
        };
        assert_eq!(classified(&head("/live")), Some(Kind::Other));
        assert_eq!(classified(&head("/live?x")), Some(Kind::Other));
        assert!(matches!(classified(&head("/live/x")), Some(Kind::Worker { .. })));
    }
}
