//! Heartbeats, deadlines and the two halves of the closing handshake.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use support::{FIN, Frame, Owner, Peer, SHORT, frame, now_ms, opcode::*, registration, until};
use worker_server::{
    Clock, Limits, SendError, ServerOptions,
    core::pool::{
        Slot, Status,
        health::{Moment, Verdict},
    },
};

/// Whom a check has found, and what it says of them.
fn judged(overdue: Vec<(Slot, Verdict, f64)>) -> Vec<(Slot, Verdict)> {
    overdue.into_iter().map(|(slot, verdict, _)| (slot, verdict)).collect()
}

/// Later than any moment of these tests.
const FAR_MS: f64 = 1e13;

#[tokio::test]
async fn heartbeats_are_answered_without_the_owner() {
    let mut owner = Owner::start(ServerOptions {
        heartbeat_timeout_ms: 60_000.0,
        limits: Limits { admission_timeout: SHORT, ..Limits::default() },
        ..ServerOptions::default()
    });
    owner.fleet.observe_clock(Some(1_704_067_200_000.0));
    let mut peer = Peer::connect(owner.port).await;
    peer.register("w").await;
    peer.acknowledged().await;
    for timestamp in ["1.50", r#""2024-01-01T00:00:00.000Z""#, r#"{ "a": [null] }"#] {
        let text = format!(r#"{{"type":"heartbeat","workerId":"w","timestamp":{timestamp}}}"#);
        peer.text(&text).await;
        let echo = timestamp.replace(' ', "").replace("1.50", "1.5");
        let ack = peer.message().await;
        // One minute after the owner's clock and the few moments of this test.
        let start = format!(
            r#"{{"type":"heartbeat_ack","timestamp":{echo},"nextHeartbeatDeadline":"2024-01-01T00:01:"#
        );
        assert!(ack.starts_with(&start) && ack.ends_with("Z\"}"), "{ack}");
    }
    peer.text(r#"{"type":"heartbeat","workerId":"w"}"#).await;
    assert!(
        peer.message().await.starts_with(r#"{"type":"heartbeat_ack","nextHeartbeatDeadline":"#)
    );
    assert_eq!(owner.events(2).await, ["opened", "registered w"]);
}

#[tokio::test]
async fn a_heartbeat_counts_over_its_own_socket_only() {
    let mut owner = Owner::with_limits(|_| ());
    let (_peer, slot) = owner.worker("w").await;
    owner.fleet.set_last_heartbeat(slot, 1.0);
    let mut stranger = Peer::connect(owner.port).await;
    stranger.beat("w").await;
    // Not answered: the pong is the next thing that comes.
    stranger.ping("after").await;
    assert_eq!(owner.events(2).await, ["opened", r#"unknown heartbeat "w""#]);
    assert_eq!(owner.fleet.view(slot).unwrap().last_heartbeat_ms, 1.0);
}

#[tokio::test]
async fn a_heartbeat_revives_an_unhealthy_worker() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    let registered_at = owner.fleet.view(slot).unwrap().last_heartbeat_ms;
    assert!((now_ms() - registered_at).abs() < 60_000.0);
    assert_eq!(owner.fleet.overdue(Some(registered_at + 10.0), 10.0), []);
    let unhealthy = owner.fleet.overdue(Some(registered_at + 10.5), 10.0);
    assert_eq!(unhealthy, [(slot, Verdict::Overdue, 10.5)]);
    let dead = judged(owner.fleet.overdue(Some(registered_at + 31.0), 10.0));
    assert_eq!(dead, [(slot, Verdict::PresumedDead)]);

    owner.fleet.mark_unhealthy(slot);
    assert_eq!(owner.fleet.view(slot).unwrap().status, Status::Unhealthy);
    peer.beat("w").await;
    peer.message().await;
    let view = owner.fleet.view(slot).unwrap();
    assert_eq!(view.status, Status::Available);
    assert!(view.last_heartbeat_ms > registered_at);

    // Only a heartbeat does.
    owner.fleet.mark_unhealthy(slot);
    peer.text(r#"{"type":"x"}"#).await;
    peer.ping("").await;
    assert_eq!(owner.fleet.view(slot).unwrap().status, Status::Unhealthy);
}

#[tokio::test]
async fn a_worker_that_is_not_read_is_not_overdue_before_it_had_its_chance() {
    let mut owner = Owner::with_limits(|limits| limits.backlog_bytes = 10_000);
    let (mut peer, slot) = owner.worker("w").await;
    owner.fleet.set_last_heartbeat(slot, 1.0);
    assert_eq!(judged(owner.fleet.overdue(Some(FAR_MS), 1_000.0)), [(slot, Verdict::PresumedDead)]);
    let text = "x".repeat(1_000);
    for _ in 0..20 {
        peer.text(&text).await;
    }
    until(|| owner.fleet.overdue(Some(FAR_MS), 1_000.0).is_empty()).await;

    for _ in 0..20 {
        assert_eq!(owner.find_message().await, text);
    }
    peer.ping("read again").await;
    let now = now_ms();
    assert_eq!(owner.fleet.overdue(Some(now), 60_000.0), []);
    assert_eq!(
        judged(owner.fleet.overdue(Some(now + 60_001.0), 60_000.0)),
        [(slot, Verdict::Overdue)]
    );
    // What the owner sets counts.
    owner.fleet.set_last_heartbeat(slot, 1.0);
    assert_eq!(judged(owner.fleet.overdue(Some(now), 60_000.0)), [(slot, Verdict::PresumedDead)]);
}

#[tokio::test]
async fn who_does_not_register_in_time_is_closed() {
    let mut owner = Owner::with_limits(|limits| limits.registration_timeout = SHORT);
    let (mut worker, _) = owner.worker("w").await;
    let mut idle = Peer::connect(owner.port).await;
    idle.text(r#"{"type":"x"}"#).await;
    assert_eq!(idle.frame().await, Frame::close(1008, "Registration timeout"));
    idle.text(&registration("late", "")).await;
    idle.close(1008, "").await;
    idle.end().await;
    let expected = [
        "opened",
        r#"message {"type":"x"}"#,
        "refused RegistrationTimeout",
        "closed 1008 \"\" unbound",
    ];
    assert_eq!(owner.events(4).await, expected);
    assert_eq!(owner.fleet.stats().registration_timeouts, 1);
    // The deadline of the one that is registered has passed too.
    worker.ping("served").await;
}

#[tokio::test]
async fn a_large_message_that_does_not_go_on_is_given_up() {
    let mut owner = Owner::with_limits(|limits| limits.write_timeout = Duration::from_millis(200));
    let (mut stalled, _) = owner.worker("stalled").await;
    let (mut small, _) = owner.worker("small").await;
    let large = frame(FIN | TEXT, vec![b'x'; 3_000_000]);
    small.send(&frame(FIN | TEXT, "x".repeat(100_000))[..90_000]).await;
    stalled.send(&large[..2_000_000]).await;
    // It may take as long as it likes in all, if only it goes on.
    for piece in large[2_000_000..2_000_004].chunks(1) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stalled.send(piece).await;
    }
    assert_eq!(stalled.frame().await, Frame::close(1008, ""));
    stalled.end().await;
    let expected = ["socket error Message timeout", "closed 1006 \"\" bound"];
    assert_eq!(owner.events(2).await, expected);
    let stats = owner.fleet.stats();
    assert_eq!((stats.message_timeouts, stats.protocol_errors), (1, 0));
    assert!(small.is_silent(), "what is small costs little");
}

#[tokio::test]
async fn the_owners_close_is_answered_by_the_peer() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    owner.send(slot, "last words").unwrap();
    owner.fleet.close(slot, 4000, "enough");
    assert!(!owner.fleet.is_open(slot));
    assert_eq!(owner.send(slot, "late"), Err(SendError::NotOpen));
    owner.fleet.close(slot, 4001, "again");
    assert_eq!(peer.message().await, "last words");
    assert_eq!(peer.frame().await, Frame::close(4000, "enough"));
    // A peer may finish what it says before it answers.
    peer.text(r#"{"type":"last"}"#).await;
    peer.send(&frame(FIN | PING, "not answered any more")).await;
    peer.close(4000, "fine").await;
    peer.end().await;
    let expected = [r#"message {"type":"last"}"#, "closed 4000 \"fine\" bound"];
    assert_eq!(owner.events(2).await, expected);
}

#[tokio::test]
async fn a_peer_that_ignores_the_close_is_cut() {
    let timeout = Duration::from_millis(200);
    let mut owner = Owner::with_limits(|limits| limits.close_timeout = timeout);
    let (mut peer, slot) = owner.worker("w").await;
    let before = Instant::now();
    owner.fleet.close(slot, 4000, "enough");
    assert_eq!(peer.frame().await, Frame::close(4000, "enough"));
    peer.reset().await;
    assert!(before.elapsed() >= timeout);
    assert_eq!(owner.events(1).await, ["closed 1006 \"\" bound"]);
}

#[tokio::test]
async fn a_peer_that_the_owner_has_no_patience_with_is_not_waited_for() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    owner.fleet.close(slot, 4003, "Heartbeat timeout");
    owner.fleet.abandon(slot);
    assert_eq!(owner.events(1).await, ["closed 1006 \"\" bound"]);
    // It learns why when it comes back.
    assert_eq!(peer.frame().await, Frame::close(4003, "Heartbeat timeout"));
    peer.end().await;
}

#[tokio::test]
async fn a_registration_does_not_lift_the_deadline_of_the_closing_handshake() {
    let timeout = Duration::from_millis(200);
    let mut owner = Owner::with_limits(|limits| limits.close_timeout = timeout);
    let (mut peer, slot) = owner.worker("w").await;
    owner.fleet.close(slot, 4000, "enough");
    assert_eq!(peer.frame().await, Frame::close(4000, "enough"));
    peer.register("other").await;
    peer.reset().await;
    assert_eq!(owner.events(1).await, ["closed 1006 \"\" bound"]);
}

#[tokio::test]
async fn a_peer_that_leaves_without_a_handshake_ends_with_1006() {
    let mut owner = Owner::with_limits(|_| ());
    let (peer, slot) = owner.worker("w").await;
    owner.send(slot, "to the network").unwrap();
    drop(peer);
    assert_eq!(owner.events(1).await, ["closed 1006 \"\" bound"]);
    assert_eq!(owner.send(slot, "late"), Err(SendError::NotOpen));

    let (peer, _) = owner.worker("v").await;
    peer.stream.set_zero_linger().unwrap();
    drop(peer);
    assert_eq!(owner.events(1).await, ["closed 1006 \"\" bound"]);
    let stats = owner.fleet.stats();
    assert_eq!((stats.connections, stats.outbox_bytes, stats.bytes_dropped), (0, 0, 0));
}

/// A clock that is set by hand, and a worker that beat at its start.
async fn with_clock() -> (Owner, Peer, Slot, Arc<Mutex<Moment>>) {
    let now = Arc::new(Mutex::new(Moment { wall_ms: 1e12, steady_ms: 0.0 }));
    let read = Arc::clone(&now);
    let clock = Clock::new(move || read.lock().map(|now| *now).unwrap_or_default());
    let mut owner = Owner::start(ServerOptions { clock, ..ServerOptions::default() });
    let (peer, slot) = owner.worker("w").await;
    (owner, peer, slot, now)
}

#[tokio::test]
async fn a_step_of_the_wall_clock_neither_closes_a_live_worker_nor_keeps_a_dead_one() {
    const HOUR_MS: f64 = 3_600_000.0;
    for step in [HOUR_MS, -HOUR_MS] {
        let (mut owner, mut peer, slot, now) = with_clock().await;
        now.lock().unwrap().wall_ms += step;
        assert_eq!(owner.fleet.overdue(None, 1_000.0), []);
        now.lock().unwrap().steady_ms += 1_001.0;
        let overdue = [(slot, Verdict::Overdue, 1_001.0)];
        assert_eq!(owner.fleet.overdue(None, 1_000.0), overdue);
        peer.beat("w").await;
        peer.message().await;
        assert_eq!(owner.fleet.overdue(None, 1_000.0), []);
        let shown = owner.fleet.last_heartbeat_ms(slot).unwrap();
        assert_eq!(shown.floor(), 1e12 + step, "dates follow the wall clock");
    }
}

#[tokio::test]
async fn after_a_pause_of_the_process_workers_have_one_timeout() {
    let (mut owner, _peer, slot, now) = with_clock().await;
    now.lock().unwrap().steady_ms += 60_000.0;
    assert_eq!(owner.fleet.overdue(None, 1_000.0), []);
    // Too short for a pause.
    now.lock().unwrap().steady_ms += 1_001.0;
    assert_eq!(owner.fleet.overdue(None, 1_000.0), [(slot, Verdict::Overdue, 1_001.0)]);
}
