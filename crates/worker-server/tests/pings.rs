//! Pings, and what becomes of those that do not answer them.

mod support;

use std::time::{Duration, Instant};

use support::{FIN, Frame, Owner, Peer, frame, opcode::*, until};
use worker_server::{Limits, ServerOptions};

const INTERVAL: Duration = Duration::from_millis(50);
/// For peers that have to answer in time.
const LEISURELY: Duration = Duration::from_millis(300);
const UNANSWERED: &str = "socket error The peer does not answer pings";

fn ping() -> Frame {
    Frame { opcode: PING, payload: Vec::new() }
}

fn pinging(interval: Duration) -> Owner {
    Owner::with_limits(|limits| limits.ping_interval = Some(interval))
}

#[tokio::test]
async fn who_is_quiet_is_pinged_twice_and_then_dropped() {
    let mut owner = pinging(INTERVAL);
    let mut peer = Peer::connect(owner.port).await;
    let opened = Instant::now();
    assert_eq!(peer.frame().await, ping());
    assert_eq!(peer.frame().await, ping());
    peer.reset().await;
    // Looks come up to a tenth of an interval early, and ten of them are an interval.
    assert!(opened.elapsed() >= INTERVAL * 2, "{:?}", opened.elapsed());
    assert_eq!(owner.events(3).await, ["opened", UNANSWERED, "closed 1006 \"\" unbound"]);
    let stats = owner.fleet.stats();
    assert_eq!((stats.ping_timeouts, stats.connections), (1, 0));
}

#[tokio::test]
async fn a_pong_is_an_answer() {
    let owner = pinging(LEISURELY);
    let mut peer = Peer::connect(owner.port).await;
    for _ in 0..4 {
        assert_eq!(peer.frame().await, ping());
        peer.send(&frame(FIN | PONG, "")).await;
    }
    assert_eq!(owner.fleet.stats().ping_timeouts, 0);
    peer.ping("served").await;
}

#[tokio::test]
async fn one_ping_may_be_missed() {
    let owner = pinging(LEISURELY);
    let mut peer = Peer::connect(owner.port).await;
    for _ in 0..2 {
        assert_eq!(peer.frame().await, ping());
        assert_eq!(peer.frame().await, ping());
        // Anything is a sign of life, half a frame too.
        peer.send(&frame(FIN | TEXT, "{}")[..1]).await;
        assert_eq!(peer.frame().await, ping());
        peer.send(&frame(FIN | TEXT, "{}")[1..]).await;
    }
    assert_eq!(owner.fleet.stats().ping_timeouts, 0);
}

#[tokio::test]
async fn without_an_interval_nobody_is_pinged() {
    let owner = Owner::with_limits(|limits| {
        limits.ping_interval = None;
        limits.registration_timeout = INTERVAL * 4;
    });
    let mut peer = Peer::connect(owner.port).await;
    assert_eq!(peer.frame().await, Frame::close(1008, "Registration timeout"));
}

#[tokio::test]
async fn a_worker_is_left_to_its_owner_first() {
    let limits = Limits { ping_interval: Some(INTERVAL), ..Limits::default() };
    let mut owner = Owner::start(ServerOptions {
        heartbeat_timeout_ms: 200.0,
        health_check_interval_ms: 100.0,
        limits,
        ..ServerOptions::default()
    });
    let (mut peer, _) = owner.worker("w").await;
    let registered = Instant::now();
    let mut pings = 0;
    let mut rest = peer.rest_or_reset().await;
    while rest.starts_with(&[0x89, 0]) {
        rest.drain(..2);
        pings += 1;
    }
    assert_eq!(rest, b"", "nothing but pings");
    // Three timeouts and two checks, 800 ms, less what the clocks are apart.
    assert!(registered.elapsed() >= Duration::from_millis(780), "{:?}", registered.elapsed());
    assert!(pings > 4, "{pings}");
    assert_eq!(owner.events(2).await, [UNANSWERED, "closed 1006 \"\" bound"]);
}

#[tokio::test]
async fn a_worker_that_the_owner_has_not_seen_yet_is_left_alone() {
    let limits = Limits { ping_interval: Some(INTERVAL), ..Limits::default() };
    let mut owner = Owner::start(ServerOptions { limits, ..ServerOptions::default() });
    let mut waiting = Peer::connect(owner.port).await;
    waiting.register("waiting").await;
    waiting.acknowledged().await;
    let mut stranger = Peer::connect(owner.port).await;
    stranger.rest_or_reset().await;
    assert_eq!(owner.fleet.stats().ping_timeouts, 1);
    waiting.send(&frame(FIN | PONG, "")).await;
    owner.admit().await;
}

#[tokio::test]
async fn who_is_not_read_is_not_to_blame() {
    let mut owner = Owner::with_limits(|limits| {
        limits.ping_interval = Some(INTERVAL);
        limits.backlog_bytes = 10_000;
    });
    let mut unread = Peer::connect(owner.port).await;
    for _ in 0..20 {
        unread.text(&"x".repeat(1_000)).await;
    }
    let mut quiet = Peer::connect(owner.port).await;
    quiet.rest_or_reset().await;
    let mut quiet_again = Peer::connect(owner.port).await;
    quiet_again.rest_or_reset().await;
    until(|| owner.fleet.stats().ping_timeouts == 2).await;
    assert_eq!(owner.fleet.stats().connections, 1, "the one that is not read is still there");
    for _ in 0..20 {
        owner.find_message().await;
    }
    assert_eq!(unread.frame().await, ping(), "read again, and quiet since");
}
