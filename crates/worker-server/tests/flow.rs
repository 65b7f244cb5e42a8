//! What is kept for peers that do not read and for owners that do not come.

#![allow(clippy::unwrap_used, reason = "helpers of tests outside of test functions")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{FIN, Frame, Owner, Peer, SHORT, frame, opcode::*, soon, until};
use tokio::io::AsyncWriteExt;
use worker_server::{Event, SendError};

/// More than the system takes for a peer that does not read.
const FLOOD_BYTES: usize = 32 * 1024 * 1024;

#[tokio::test]
async fn an_outbox_is_bounded() {
    let mut owner = Owner::with_limits(|limits| limits.outbox_bytes = 1_000_000);
    let (mut peer, slot) = owner.worker("slow").await;
    let text = |n: usize| format!("{n:0>50000}").repeat(2);
    let mut sent = 0;
    while owner.send(slot, &text(sent)).is_ok() {
        sent += 1;
        assert!(sent * 100_000 < 2 * FLOOD_BYTES, "nothing is bounded");
        // The session writes what the system takes.
        tokio::task::yield_now().await;
    }
    assert_eq!(owner.send(slot, "x"), Ok(()), "what fits is taken");
    assert_eq!(owner.send(slot, &text(0)), Err(SendError::Full));
    let stats = owner.fleet.stats();
    assert_eq!((stats.sends_refused, stats.bytes_dropped), (2, 2 * 100_010));
    assert_eq!(owner.events(1).await, ["outbox full"], "told once");
    assert!(stats.outbox_bytes > 800_000 && stats.outbox_bytes <= 1_000_000, "{stats:?}");

    // What was taken arrives, in order, and there is room again.
    for n in 0..sent {
        assert_eq!(peer.message().await, text(n));
    }
    assert_eq!(peer.message().await, "x");
    until(|| owner.fleet.stats().outbox_bytes == 0).await;
    owner.send(slot, &text(7)).unwrap();
    assert_eq!(peer.message().await, text(7));
}

#[tokio::test]
async fn an_empty_outbox_takes_a_message_of_any_size() {
    let mut owner = Owner::with_limits(|limits| limits.outbox_bytes = 10);
    let (mut peer, slot) = owner.worker("w").await;
    let text = "x".repeat(1_000_000);
    owner.send(slot, &text).unwrap();
    assert_eq!(peer.message().await, text);
}

#[tokio::test]
async fn all_outboxes_share_a_bound() {
    let mut owner = Owner::with_limits(|limits| limits.total_outbox_bytes = 100_000);
    let (_first, first_slot) = owner.worker("first").await;
    let (mut second, second_slot) = owner.worker("second").await;
    // The answer to a single event is written at once.
    owner.send(second_slot, "written").unwrap();
    // Without a pause, so that no session writes in between.
    owner.send(first_slot, &"x".repeat(90_000)).unwrap();
    assert_eq!(owner.send(second_slot, &"y".repeat(20_000)), Err(SendError::Full));
    until(|| owner.fleet.stats().outbox_bytes == 0).await;
    owner.send(second_slot, "there is room again").unwrap();
    assert_eq!(second.message().await, "written");
    assert_eq!(second.message().await, "there is room again");
}

#[tokio::test]
async fn a_broadcast_reaches_all_that_take_it() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut first, _) = owner.worker("first").await;
    let (mut closing, slot) = owner.worker("closing").await;
    let (mut last, _) = owner.worker("last").await;
    owner.fleet.close(slot, 4000, "");
    let mut buffer = vec![0; worker_server::Fleet::FRAME_HEADER_ROOM];
    buffer.extend(b"to all");
    let text: Bytes = worker_server::Fleet::text_frame(buffer);
    owner.fleet.broadcast(text.clone());
    assert_eq!(first.message().await, "to all");
    assert_eq!(last.message().await, "to all");
    assert_eq!(closing.frame().await, Frame::close(4000, ""));
    assert!(closing.is_silent());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_for_too_long_is_dropped() {
    let mut owner = Owner::with_limits(|limits| limits.write_timeout = Duration::from_millis(200));
    let (mut peer, slot) = owner.worker("stuck").await;
    let (mut other, other_slot) = owner.worker("other").await;
    while owner.fleet.send(slot, Bytes::from(vec![0; 1_000_000])).is_ok() {
        tokio::task::yield_now().await;
    }
    let expected = ["outbox full", "socket error The peer does not read", "closed 1006 \"\" bound"];
    assert_eq!(owner.events(3).await, expected);
    peer.reset().await;
    until(|| owner.fleet.stats().outbox_bytes == 0).await;
    let stats = owner.fleet.stats();
    assert_eq!((stats.write_timeouts, stats.connections), (1, 1));
    owner.send(other_slot, "served").unwrap();
    assert_eq!(other.message().await, "served");
}

/// What the server keeps for a peer that sends `frame` again and again and reads nothing.
async fn unread_answers(owner: &mut Owner, peer: Peer, frame: &[u8]) -> u64 {
    let flood = frame.repeat(FLOOD_BYTES / frame.len());
    let (reading, mut writing) = peer.stream.into_split();
    let writer = tokio::spawn(async move { writing.write_all(&flood).await });
    let error = owner
        .find(|event| match event {
            Event::SocketError { error, .. } => Some(error),
            _ => None,
        })
        .await;
    assert_eq!(error.to_string(), "The peer does not read");
    assert_eq!(owner.find_closed().await.0.code, 1006);
    assert!(soon(writer).await.unwrap().is_err(), "the server took the whole flood");
    drop(reading);
    until(|| owner.fleet.stats().bytes_dropped > 0).await;
    owner.fleet.stats().bytes_dropped
}

#[tokio::test]
async fn answers_to_a_peer_that_does_not_read_are_bounded() {
    let limit = Duration::from_millis(200);
    let mut owner = Owner::with_limits(|limits| limits.write_timeout = limit);
    let peer = Peer::connect(owner.port).await;
    let kept = unread_answers(&mut owner, peer, &frame(FIN | PING, [b'x'; 125])).await;
    assert!(kept <= 128 * 1024, "{kept} bytes of pongs");
}

#[tokio::test]
async fn acknowledgements_to_a_worker_that_does_not_read_are_bounded() {
    let limit = Duration::from_millis(200);
    let mut owner = Owner::with_limits(|limits| limits.write_timeout = limit);
    let (peer, _) = owner.worker("w").await;
    let beat = frame(FIN | TEXT, r#"{"type":"heartbeat","workerId":"w"}"#);
    let kept = unread_answers(&mut owner, peer, &beat).await;
    assert!(kept <= 256 * 1024, "{kept} bytes of acknowledgements");
}

#[tokio::test]
async fn what_the_owner_has_not_taken_is_bounded_and_nothing_is_lost() {
    const COUNT: usize = 20_000;
    let mut owner = Owner::with_limits(|limits| limits.backlog_bytes = 200_000);
    let (peer, slot) = owner.worker("eager").await;
    owner.fleet.set_last_heartbeat(slot, 0.0);
    let text = |n: usize| format!("\"{n:0>998}\"");
    let (_reading, mut writing) = peer.stream.into_split();
    let writer = tokio::spawn(async move {
        for n in 0..COUNT {
            writing.write_all(&frame(FIN | TEXT, text(n))).await.unwrap();
        }
        writing
    });
    // A worker that is not read is not overdue.
    until(|| owner.fleet.overdue(Some(1e13), 1.0).is_empty()).await;
    let mut taken = 0;
    while let Some(event) = owner.next_now() {
        assert!(
            matches!(&event, Event::Message { text: got, .. } if got.to_string() == text(taken))
        );
        taken += 1;
        assert!(taken < 400, "more was read than the bound and one turn");
    }
    assert!(taken > 100, "{taken}");
    for n in taken..COUNT {
        assert_eq!(owner.find_message().await, text(n));
    }
    soon(writer).await.unwrap();
}

#[tokio::test]
async fn ids_that_are_refused_are_told_up_to_4_kib() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, _) = owner.worker("w").await;
    let json = |len: usize| "x".repeat(len - 2);
    peer.beat(&json(4_096)).await;
    peer.beat(&json(4_097)).await;
    let told = format!("unknown heartbeat \"{}\"", json(4_096));
    assert_eq!(owner.events(2).await, [told.as_str(), "unknown heartbeat -"]);
}

#[tokio::test]
async fn large_registrations_count_as_unread_too() {
    let mut owner = Owner::with_limits(|limits| {
        limits.backlog_bytes = 100_000;
        limits.admission_timeout = SHORT;
    });
    let (mut peer, slot) = owner.worker("w").await;
    owner.fleet.set_last_heartbeat(slot, 0.0);
    let padding = format!(r#""padding":"{}","models""#, "x".repeat(200_000));
    peer.text(&support::registration("v", "").replace(r#""models""#, &padding)).await;
    until(|| owner.fleet.overdue(Some(1e13), 1.0).is_empty()).await;
}
