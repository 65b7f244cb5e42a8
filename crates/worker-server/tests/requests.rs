//! Request heads, and what is answered without the owner.

#![allow(clippy::unwrap_used, reason = "helpers of tests outside of test functions")]

mod support;

use std::time::{Duration, Instant};

use support::{LONG, Owner, Peer, SHORT, soon, until};
use tokio::io::AsyncWriteExt;
use worker_server::{Event, Limits, ServerOptions};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn with_health(write_timeout: Duration) -> Owner {
    Owner::start(ServerOptions {
        health_path: Some("/healthz".to_owned()),
        limits: Limits { write_timeout, ..Limits::default() },
        ..ServerOptions::default()
    })
}

/// Head and body of an answer.
async fn answer(peer: &mut Peer) -> (String, String) {
    let head = peer.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let body = peer.bytes(length.parse().unwrap()).await;
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_head_that_does_not_come_is_answered_with_408() {
    let mut owner = Owner::with_limits(|limits| limits.request_head_timeout = SHORT);
    for start in ["", "GET /ws HTTP/1.1\r\nHost"] {
        let before = Instant::now();
        let mut peer = Peer::tcp(owner.port).await;
        peer.send(start.as_bytes()).await;
        assert_eq!(peer.rest().await, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
        assert!(before.elapsed() >= SHORT);
    }
    assert_eq!(owner.fleet.stats().request_head_timeouts, 2);
    assert_eq!(owner.events(2).await, ["refused RequestHeadTimeout", "refused RequestHeadTimeout"]);
    assert!(owner.fleet.next_event().is_none(), "the owner has nothing to do with it");
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::tcp(owner.port).await;
    for byte in Peer::upgrade("/ws").as_bytes() {
        peer.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(owner.events(1).await, ["opened"]);
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_the_owners_to_refuse() {
    let mut owner = Owner::with_limits(|limits| {
        limits.request_head_bytes = 1_000;
        limits.request_headers = 50;
    });
    let incomplete = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(1_000));
    let crowded = format!("GET /ws HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(51));
    for head in [incomplete, crowded] {
        let mut peer = Peer::tcp(owner.port).await;
        peer.send(head.as_bytes()).await;
        match owner.next().await {
            Event::BridgeOpened(bridge) => bridge.terminate(),
            other => panic!("{other:?}"),
        }
        assert_eq!(owner.events(1).await, ["bridge closed"]);
    }
    let crowd = "X: y\r\n".repeat(44);
    let mut peer = Peer::tcp(owner.port).await;
    peer.send(Peer::upgrade("/ws").replace("Host", &format!("{crowd}Host")).as_bytes()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn a_peer_that_leaves_before_its_head_is_forgotten() {
    let mut owner = Owner::with_limits(|_| ());
    drop(Peer::tcp(owner.port).await);
    until(|| owner.fleet.stats().connections_accepted == 1).await;
    assert!(owner.shutdown(LONG));
    assert_eq!(owner.events(1).await, ["stopped"]);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let mut owner = Owner::with_limits(|limits| limits.connections = 2);
    let (mut first, _) = owner.worker("first").await;
    let second = Peer::connect(owner.port).await;
    let mut third = Peer::tcp(owner.port).await;
    third.end().await;
    Peer::tcp(owner.port).await.end().await;
    first.ping("still served").await;
    let stats = owner.fleet.stats();
    assert_eq!((stats.connections_accepted, stats.connections_refused), (2, 2));
    // Told once for all of a second.
    assert_eq!(owner.events(2).await, ["opened", "refused TooManyConnections"]);
    assert!(owner.fleet.next_event().is_none());
    drop(second);
    owner.find_closed().await;
    until(|| owner.fleet.stats().connections == 1).await;
    Peer::connect(owner.port).await;
}

#[tokio::test]
async fn the_health_route_is_answered_without_the_owner() {
    let mut owner = with_health(LONG);
    let (_worker, slot) = owner.worker("w").await;
    let mut peer = Peer::tcp(owner.port).await;
    peer.send(HEALTH.repeat(2).as_bytes()).await;
    for _ in 0..2 {
        let (head, body) = answer(&mut peer).await;
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"),
            "{head}"
        );
        assert!(head.contains("Connection: keep-alive\r\n"), "{head}");
        let start =
            r#"{"status":"ok","workers":1,"available":1,"uptimeSeconds":0,"eventLoopLagMs":"#;
        assert!(body.starts_with(start), "{body}");
    }
    owner.fleet.mark_unhealthy(slot);
    let last = HEALTH.replace("GET", "HEAD").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    peer.send([HEALTH, &last].concat().as_bytes()).await;
    assert!(answer(&mut peer).await.1.contains(r#""workers":1,"available":0"#));
    let head = peer.head().await;
    assert!(head.contains("Connection: close\r\n"), "{head}");
    peer.end().await;
}

#[tokio::test]
async fn a_connection_may_turn_from_the_health_route_to_something_else() {
    let mut owner = with_health(LONG);
    let mut peer = Peer::tcp(owner.port).await;
    peer.send([HEALTH, &Peer::upgrade("/ws")].concat().as_bytes()).await;
    answer(&mut peer).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    peer.register("w").await;
    owner.admit().await;
    peer.acknowledged().await;
}

/// Sends requests and reads no answer until the server is done with it.
fn flood(peer: Peer) -> tokio::task::JoinHandle<std::io::Result<()>> {
    let mut stream = peer.stream;
    let requests = HEALTH.repeat(1_000);
    tokio::spawn(async move {
        loop {
            stream.write_all(requests.as_bytes()).await?;
        }
    })
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_is_dropped() {
    let owner = with_health(Duration::from_millis(200));
    let flooding = flood(Peer::tcp(owner.port).await);
    assert!(soon(flooding).await.unwrap().is_err());
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_does_not_hold_up_the_end() {
    let mut owner = with_health(LONG);
    let flooding = flood(Peer::tcp(owner.port).await);
    until(|| owner.fleet.stats().connections_accepted == 1).await;
    // Long enough for the flood to fill what the system takes.
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
    }
    assert!(owner.shutdown(SHORT));
    owner.find(|event| matches!(event, Event::Stopped).then_some(())).await;
    assert!(soon(flooding).await.unwrap().is_err());
}
