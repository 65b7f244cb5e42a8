//! The bound over all messages that have begun to arrive.

mod support;

use std::time::Duration;

use support::{FIN, Frame, Owner, Peer, frame, opcode::*, soon, until};
use worker_server::Event;

const TOTAL: usize = 100_000;
/// What each may have besides, whatever the others do.
const SHARE: usize = 16 * 1024;
/// Of a frame with more than 64 KiB.
const HEAD: usize = 14;
const LARGE: usize = 300_000;

/// A peer that has sent a part of a large message.
struct Sender {
    peer: Peer,
    unsent: Vec<u8>,
}

impl Sender {
    fn new(peer: Peer) -> Self {
        Self { peer, unsent: frame(FIN | TEXT, "x".repeat(LARGE)) }
    }

    /// So much of it comes that it counts with that many bytes.
    async fn begin(owner: &Owner, peer: Peer, beyond: usize) -> Self {
        let mut sender = Self::new(peer);
        let before = owner.fleet.stats().incomplete_bytes;
        sender.send(HEAD + SHARE + beyond).await;
        until(|| owner.fleet.stats().incomplete_bytes == before + beyond).await;
        sender
    }

    async fn send(&mut self, bytes: usize) {
        let rest = self.unsent.split_off(bytes);
        self.peer.send(&std::mem::replace(&mut self.unsent, rest)).await;
    }

    async fn send_the_rest(&mut self) {
        self.send(self.unsent.len()).await;
    }
}

#[tokio::test]
async fn beyond_the_bound_others_wait_until_the_oldest_is_complete() {
    let mut owner = Owner::with_limits(|limits| limits.total_incomplete_bytes = TOTAL);
    let (oldest, _) = owner.worker("oldest").await;
    let (other, other_slot) = owner.worker("other").await;
    let (mut quiet, _) = owner.worker("quiet").await;
    let mut oldest = Sender::begin(&owner, oldest, TOTAL / 2).await;
    let mut other = Sender::begin(&owner, other, TOTAL / 2).await;
    assert_eq!(owner.fleet.stats().message_pauses, 0, "just at the bound");

    oldest.send(1).await;
    until(|| owner.fleet.stats().incomplete_bytes == TOTAL + 1).await;
    // The other is told by the next of its bytes, which are read for the last time.
    other.send(10).await;
    until(|| owner.fleet.stats().message_pauses == 1).await;
    let overdue = owner.fleet.overdue(Some(1e13), 1.0);
    assert!(overdue.len() == 2 && overdue.iter().all(|(slot, ..)| *slot != other_slot), "no blame");
    for _ in 0..10 {
        quiet.text(&"x".repeat(SHARE)).await;
        assert_eq!(owner.find_message().await.len(), SHARE, "what is small gets through");
    }

    let waits = owner.fleet.stats().incomplete_bytes;
    oldest.send_the_rest().await;
    assert_eq!(owner.find_message().await.len(), LARGE, "however full it is");
    until(|| owner.fleet.stats().incomplete_bytes < waits).await;
    other.send_the_rest().await;
    assert_eq!(owner.find_message().await.len(), LARGE);
    let stats = owner.fleet.stats();
    assert_eq!((stats.incomplete_bytes, stats.messages_given_up), (0, 0), "{stats:?}");
}

#[tokio::test]
async fn what_takes_too_long_is_given_up_when_others_wait() {
    let mut owner = Owner::with_limits(|limits| {
        limits.total_incomplete_bytes = TOTAL;
        limits.write_timeout = Duration::from_millis(300);
    });
    let (stalled, _) = owner.worker("stalled").await;
    let (honest, _) = owner.worker("honest").await;
    let mut stalled = Sender::begin(&owner, stalled, TOTAL).await;
    let mut honest = Sender::new(honest);
    honest.send_the_rest().await;
    expect_given_up(&mut owner, &mut stalled).await;
    assert_eq!(owner.find_message().await.len(), LARGE);
}

#[tokio::test]
async fn strangers_are_given_up_at_once() {
    let mut owner = Owner::with_limits(|limits| limits.total_incomplete_bytes = TOTAL);
    let stranger = Peer::connect(owner.port).await;
    let (worker, _) = owner.worker("worker").await;
    let mut worker = Sender::begin(&owner, worker, TOTAL / 2).await;
    let mut stranger = Sender::begin(&owner, stranger, TOTAL / 2).await;

    stranger.send(1).await;
    expect_given_up(&mut owner, &mut stranger).await;
    worker.send_the_rest().await;
    assert_eq!(owner.find_message().await.len(), LARGE);
    assert_eq!(owner.fleet.stats().message_pauses, 0);
}

#[tokio::test]
async fn a_message_that_is_alone_may_be_larger() {
    let mut owner = Owner::with_limits(|limits| {
        limits.total_incomplete_bytes = TOTAL;
        limits.write_timeout = Duration::from_millis(1);
    });
    let (worker, _) = owner.worker("worker").await;
    let mut worker = Sender::begin(&owner, worker, 2 * TOTAL).await;
    worker.send_the_rest().await;
    assert_eq!(owner.find_message().await.len(), LARGE);
    assert_eq!(owner.fleet.stats().messages_given_up, 0);
}

async fn expect_given_up(owner: &mut Owner, sender: &mut Sender) {
    assert_eq!(sender.peer.frame().await, Frame::close(1013, ""));
    sender.peer.end().await;
    let told = owner.find(|event| match event {
        Event::SocketError { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(told.await, "Too many incomplete messages");
    let stats = owner.fleet.stats();
    assert_eq!((stats.messages_given_up, stats.protocol_errors), (1, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_completed_one_after_the_other_and_nobody_waits_for_ever() {
    const SENDERS: usize = 30;
    const COUNT: usize = 2;
    let mut owner = Owner::with_limits(|limits| limits.total_incomplete_bytes = TOTAL);
    let mut peers = Vec::new();
    for n in 0..SENDERS {
        peers.push(owner.worker(&format!("w-{n}")).await.0);
    }
    let sending: Vec<_> = peers
        .into_iter()
        .map(|peer| {
            tokio::spawn(async move {
                let mut sender = Sender::new(peer);
                for _ in 0..COUNT {
                    while !sender.unsent.is_empty() {
                        sender.send(sender.unsent.len().min(10_000)).await;
                        tokio::task::yield_now().await;
                    }
                    sender = Sender::new(sender.peer);
                }
                sender.peer
            })
        })
        .collect();
    for _ in 0..SENDERS * COUNT {
        assert_eq!(owner.find_message().await.len(), LARGE);
    }
    for sent in sending {
        soon(sent).await.unwrap();
    }
    let stats = owner.fleet.stats();
    assert!(stats.message_pauses > 0, "they were in each other's way: {stats:?}");
    assert_eq!((stats.incomplete_bytes, stats.messages_given_up), (0, 0), "{stats:?}");
}
