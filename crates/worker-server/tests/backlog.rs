//! The bound over all that was received and its owner has not got to.

#![allow(clippy::unwrap_used, reason = "helpers of tests outside of test functions")]

mod support;

use std::collections::HashMap;

use support::{FIN, Owner, Peer, describe, frame, opcode::*, soon, until};
use tokio::{io::AsyncWriteExt, task::JoinHandle};
use worker_server::{Event, core::pool::Slot};

/// Later than any moment of these tests.
const FAR_MS: f64 = 1e13;
const EACH: usize = 200_000;
const TOTAL: usize = 300_000;
const SHARE: usize = 16 * 1024;

fn text(id: &str, n: usize) -> String {
    format!("{id} {n:0>1000}")
}

/// Sends so many messages as fast as they are taken.
fn flood(peer: Peer, id: String, count: usize) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (_reading, mut writing) = peer.stream.into_split();
        for n in 0..count {
            writing.write_all(&frame(FIN | TEXT, text(&id, n))).await.unwrap();
        }
        writing.forget();
    })
}

/// Workers that are not read at the moment are not overdue, however silent they are.
fn read_now(owner: &mut Owner) -> Vec<Slot> {
    owner.fleet.overdue(Some(FAR_MS), 1.0).into_iter().map(|(slot, ..)| slot).collect()
}

async fn floods(owner: &mut Owner, flooders: usize, count: usize) -> Vec<JoinHandle<()>> {
    let mut peers = Vec::new();
    for n in 0..flooders {
        let id = format!("flooder-{n}");
        peers.push((owner.worker(&id).await.0, id));
    }
    // Only now: to take a registration, the owner passes over messages.
    peers.into_iter().map(|(peer, id)| flood(peer, id, count)).collect()
}

/// Takes messages until each flooder's have come, all of them in order, and each other one too.
async fn take_all(owner: &mut Owner, flooders: usize, count: usize, others: usize) {
    let mut next: HashMap<String, usize> = HashMap::new();
    for _ in 0..flooders * count + others {
        let message = owner.find_message().await;
        let id = message.split(' ').next().unwrap().to_owned();
        let n = next.entry(id.clone()).or_default();
        assert_eq!(message, text(&id, *n), "the next of its sender");
        *n += 1;
    }
    assert_eq!(next.remove("quiet").unwrap_or_default(), others);
    assert!(next.len() == flooders && next.values().all(|taken| *taken == count), "{next:?}");
}

#[tokio::test]
async fn the_backlog_of_all_is_bounded_and_a_quiet_worker_gets_through() {
    let mut owner = Owner::with_limits(|limits| {
        limits.backlog_bytes = EACH;
        limits.total_backlog_bytes = TOTAL;
    });
    let (mut quiet, quiet_slot) = owner.worker("quiet").await;
    let floods = floods(&mut owner, 4, 1_000).await;
    until(|| read_now(&mut owner) == [quiet_slot]).await;

    for n in 0..5 {
        quiet.text(&text("quiet", n)).await;
    }
    // The owner has taken nothing, and yet the pong says that all before it is in the queue.
    quiet.ping("heard").await;
    let stats = owner.fleet.stats();
    assert!(stats.backlog_bytes > TOTAL, "{stats:?}");
    assert!(stats.backlog_bytes < TOTAL + 4 * (SHARE + 64 * 1024), "{stats:?}");
    assert_eq!(stats.backlog_pauses, 4);

    take_all(&mut owner, 4, 1_000, 5).await;
    for flood in floods {
        soon(flood).await.unwrap();
    }
    assert_eq!(owner.fleet.stats().backlog_bytes, 0);
    assert_eq!(read_now(&mut owner).len(), 5, "everybody is read again");
}

#[tokio::test]
async fn below_the_total_nobody_waits() {
    let mut owner = Owner::with_limits(|limits| {
        limits.backlog_bytes = EACH;
        limits.total_backlog_bytes = TOTAL;
    });
    let mut peers = Vec::new();
    for n in 0..3 {
        peers.push(owner.worker(&format!("w-{n}")).await.0);
    }
    for mut peer in peers {
        // Three times 16 KiB and 80 KB: less than the total, and more than one of them may have alone.
        for n in 0..75 {
            peer.text(&text("quiet", n)).await;
        }
        peer.ping("read").await;
    }
    let stats = owner.fleet.stats();
    assert_eq!(stats.backlog_pauses, 0, "{stats:?}");
    assert!(stats.backlog_bytes > TOTAL / 2 && stats.backlog_bytes <= TOTAL, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_among_many_that_wait() {
    const FLOODERS: usize = 30;
    const COUNT: usize = 600;
    let mut owner = Owner::with_limits(|limits| {
        limits.backlog_bytes = EACH;
        limits.total_backlog_bytes = 50_000;
    });
    let floods = floods(&mut owner, FLOODERS, COUNT).await;
    take_all(&mut owner, FLOODERS, COUNT, 0).await;
    for flood in floods {
        soon(flood).await.unwrap();
    }
    assert_eq!(owner.fleet.stats().backlog_bytes, 0);
}

#[tokio::test]
async fn what_a_vanished_peer_left_counts_until_it_is_taken() {
    let mut owner = Owner::with_limits(|limits| limits.total_backlog_bytes = TOTAL);
    let (mut peer, _) = owner.worker("w").await;
    // Little enough that it is read on, and its end is seen.
    peer.text(&"x".repeat(TOTAL - 1_000)).await;
    peer.ping("read").await;
    drop(peer);
    until(|| owner.fleet.stats().connections == 0).await;
    assert!(owner.fleet.stats().backlog_bytes > TOTAL / 2);
    let event = owner.next().await;
    assert!(matches!(event, Event::Message { .. }), "{}", describe(&event));
    assert_eq!(owner.fleet.stats().backlog_bytes, 0);
}
