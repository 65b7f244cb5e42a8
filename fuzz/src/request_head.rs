//! What is answered natively is a request about which there can be no two opinions.

use worker_server::fuzzing::{ENDPOINT, HEALTH_PATH, Head, classify_head};

pub fn run(data: &[u8]) {
    match classify_head(data) {
        Head::Worker { len } => check_worker(&head(data, len)),
        Head::Native { len, keep_alive } => {
            let head = head(data, len);
            let request = Request::of(&head);
            assert!(matches!(request.method, "GET" | "HEAD"));
            assert_eq!(request.target.split('?').next(), Some(HEALTH_PATH));
            assert!(!request.has("upgrade"));
            assert!(!keep_alive || !request.tokens("connection").any(|token| token == "close"));
        }
        Head::Incomplete => {
            // More than a bound of it is never waited for.
            assert!(data.len() <= 16 * 1024);
        }
        Head::ForeignOrigin | Head::Other => {}
    }
}

/// What belongs to the request: it is the same without what follows, and unknown before its end.
fn head(data: &[u8], len: usize) -> String {
    assert!(len <= 16 * 1024);
    let head = &data[..len];
    assert_eq!(classify_head(head), classify_head(data));
    for cut in [len - 1, len / 2, 1] {
        assert_eq!(classify_head(&head[..cut]), Head::Incomplete, "cut at {cut}");
    }
    assert!(head.ends_with(b"\r\n\r\n"));
    // Values may hold bytes that are no UTF-8; none of these matters here.
    String::from_utf8_lossy(head).into_owned()
}

fn check_worker(head: &str) {
    let request = Request::of(head);
    assert_eq!(request.method, "GET");
    assert_ne!(request.target, ENDPOINT);
    let upgrade = request.only("upgrade").to_ascii_lowercase();
    assert_eq!(upgrade, "websocket");
    assert!(request.tokens("connection").any(|token| token == "upgrade"));
    assert!(matches!(request.only("sec-websocket-version"), "13" | "8"));
    let key = request.only("sec-websocket-key");
    assert!(key.len() == 24 && key.ends_with("=="));
    assert!(request.all("sec-websocket-protocol").count() <= 1);
}

/// A request read in the plainest way.
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, &'a str)>,
}

impl<'a> Request<'a> {
    /// Fails on everything that another reader could read differently.
    fn of(head: &'a str) -> Self {
        let head = head.trim_start_matches(['\r', '\n']).strip_suffix("\r\n\r\n").unwrap();
        assert_eq!(head.matches('\n').count(), head.matches("\r\n").count(), "no bare LF");
        assert_eq!(head.matches('\r').count(), head.matches("\r\n").count(), "no bare CR");
        assert!(!head.contains('\0'));
        let mut lines = head.split("\r\n");
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let [method, target, "HTTP/1.1"] = first[..] else { panic!("{first:?}") };
        assert!(target.starts_with('/') || target.contains("://"));
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic()));
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "{name:?}");
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
            (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))
        });
        let request = Self { method, target, headers: headers.collect() };
        request.only("host");
        assert!(!request.has("transfer-encoding") && !request.has("expect"));
        assert!(request.all("content-length").count() <= 1);
        assert!(request.all("content-length").all(|length| length == "0"));
        request
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |header| header.0 == name).map(|header| header.1)
    }

    fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    fn only(&self, name: &str) -> &'a str {
        let mut values = self.all(name);
        let value = values.next().unwrap();
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }

    fn tokens(&self, name: &str) -> impl Iterator<Item = String> {
        let values = self.all(name).flat_map(|value| value.split(','));
        values.map(|token| token.trim_matches(' ').to_ascii_lowercase())
    }
}
