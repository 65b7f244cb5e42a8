//! Connections that the owner serves itself.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests outside of test functions"
)]

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use support::{LONG, Owner, Peer, SHORT, describe, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use worker_server::{Bridge, BridgeRead, Event};

const REQUEST: &[u8] = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
/// Both directions keep at most this and what one read or write adds.
const HIGH_WATER: usize = 64 * 1024;

async fn opened(owner: &mut Owner) -> Arc<Bridge> {
    match owner.next().await {
        Event::BridgeOpened(bridge) => bridge,
        other => panic!("{other:?}"),
    }
}

async fn bridged(owner: &mut Owner) -> (Peer, Arc<Bridge>) {
    let mut peer = Peer::tcp(owner.port).await;
    peer.send(REQUEST).await;
    let bridge = opened(owner).await;
    assert_eq!(received(owner, &bridge, REQUEST.len()).await, REQUEST);
    (peer, bridge)
}

/// The next event; that there is something to read or room to write is passed over, unless it is
/// expected.
async fn told(owner: &mut Owner, expected: &str) {
    let may_go_on =
        |event: &Event| matches!(event, Event::BridgeReadable(_) | Event::BridgeWritable(_));
    let counts = |event: &Event| describe(event) == expected || !may_go_on(event);
    let event = owner.find(|event| counts(&event).then(|| describe(&event))).await;
    assert_eq!(event, expected);
}

/// The next so many bytes that the peer sent.
async fn received(owner: &mut Owner, bridge: &Bridge, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1_000];
    while all.len() < count {
        match bridge.read(&mut buffer) {
            BridgeRead::Bytes(len) | BridgeRead::Last(len) => all.extend(&buffer[..len]),
            BridgeRead::Pending => told(owner, "bridge readable").await,
            BridgeRead::End => panic!("the peer ended after {} bytes", all.len()),
        }
    }
    all
}

#[tokio::test]
async fn the_owner_gets_every_byte_and_answers() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, bridge) = bridged(&mut owner).await;
    assert_eq!(owner.fleet.bridge(bridge.id()).map(|found| found.id()), Some(bridge.id()));
    let remote = bridge.addresses().remote.unwrap();
    assert_eq!(remote.port(), peer.stream.local_addr().unwrap().port());
    assert_eq!(remote.ip().to_canonical(), peer.stream.local_addr().unwrap().ip());
    assert_eq!(bridge.addresses().local.unwrap().port(), owner.port);

    assert!(bridge.write(Bytes::from_static(b"one ")));
    assert!(bridge.write(Bytes::new()));
    assert!(bridge.write(Bytes::from_static(b"two")));
    assert_eq!(peer.bytes(7).await, b"one two");
    peer.send(b"more").await;
    assert_eq!(received(&mut owner, &bridge, 4).await, b"more");

    bridge.write(Bytes::from_static(b"bye"));
    bridge.finish();
    assert_eq!(peer.rest().await, b"bye");
    peer.stream.shutdown().await.unwrap();
    told(&mut owner, "bridge closed").await;
    assert!(owner.fleet.bridge(bridge.id()).is_none());
}

#[tokio::test]
async fn what_is_no_workers_upgrade_is_the_owners() {
    let mut owner = Owner::with_limits(|_| ());
    owner.fleet.set_endpoint("/live".to_owned(), true);
    let endpoint = Peer::upgrade("/live");
    let old_version = Peer::upgrade("/ws").replace("13", "12");
    for head in [&endpoint, &old_version, "\x16\x03\x01\x02", "GET / HTTP/1.0\r\n\r\n"] {
        let mut peer = Peer::tcp(owner.port).await;
        peer.send(head.as_bytes()).await;
        let bridge = opened(&mut owner).await;
        assert_eq!(received(&mut owner, &bridge, head.len()).await, head.as_bytes());
        bridge.terminate();
        told(&mut owner, "bridge closed").await;
    }
    owner.fleet.set_endpoint("/live".to_owned(), false);
    let mut peer = Peer::tcp(owner.port).await;
    peer.send(endpoint.as_bytes()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn the_owner_may_answer_a_peer_that_has_ended_its_side() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, bridge) = bridged(&mut owner).await;
    assert_eq!(bridge.read(&mut [0; 9]), BridgeRead::Pending);
    peer.stream.shutdown().await.unwrap();
    told(&mut owner, "bridge readable").await;
    assert_eq!(bridge.read(&mut [0; 9]), BridgeRead::End);
    bridge.write(Bytes::from_static(b"answer"));
    assert_eq!(peer.bytes(6).await, b"answer");
    bridge.finish();
    peer.end().await;
    told(&mut owner, "bridge closed").await;
}

#[tokio::test]
async fn the_peer_may_go_on_when_the_owner_has_ended_its_side() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, bridge) = bridged(&mut owner).await;
    bridge.finish();
    peer.end().await;
    peer.send(b"rest").await;
    assert_eq!(received(&mut owner, &bridge, 4).await, b"rest");
    peer.stream.shutdown().await.unwrap();
    told(&mut owner, "bridge closed").await;
    assert_eq!(bridge.read(&mut [0; 9]), BridgeRead::End);
}

#[tokio::test]
async fn half_a_head_and_no_more_is_the_owners() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::tcp(owner.port).await;
    peer.send(b"GET / HT").await;
    peer.stream.shutdown().await.unwrap();
    let bridge = opened(&mut owner).await;
    assert_eq!(received(&mut owner, &bridge, 8).await, b"GET / HT");
    bridge.write(Bytes::from_static(b"400"));
    bridge.finish();
    assert_eq!(peer.rest().await, b"400");
    owner.find(|event| matches!(event, Event::BridgeClosed(_)).then_some(())).await;
}

#[tokio::test]
async fn a_peer_that_is_not_read_has_to_wait() {
    const TOTAL: usize = 16 * 1024 * 1024;
    let mut owner = Owner::with_limits(|_| ());
    let (peer, bridge) = bridged(&mut owner).await;
    let flood: Vec<u8> = (0..TOTAL).map(|n| (n % 251) as u8).collect();
    let expected = flood.clone();
    let (_reading, mut writing) = peer.stream.into_split();
    let writer = tokio::spawn(async move {
        writing.write_all(&flood).await.unwrap();
        writing.shutdown().await.unwrap();
    });

    let (mut all, mut buffer, mut largest) = (Vec::new(), vec![0; TOTAL], 0);
    loop {
        // Let the peer send as much as it can.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        match bridge.read(&mut buffer) {
            BridgeRead::Bytes(len) | BridgeRead::Last(len) => {
                all.extend_from_slice(&buffer[..len]);
                largest = largest.max(len);
            }
            BridgeRead::Pending => told(&mut owner, "bridge readable").await,
            BridgeRead::End => break,
        }
    }
    assert!(all == expected, "{} bytes arrived", all.len());
    assert!(largest >= HIGH_WATER, "the bound was never met: {largest}");
    assert!(largest < HIGH_WATER + 16 * 1024, "{largest} bytes were kept");
    soon(writer).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_writes_too_much_is_told_to_wait() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, bridge) = bridged(&mut owner).await;
    let chunk = Bytes::from(vec![7; 50_000]);
    let mut written = 0;
    // The system's buffers take some of it.
    loop {
        written += chunk.len();
        if !bridge.write(chunk.clone()) {
            tokio::task::yield_now().await;
            if owner.fleet.next_event().is_none() {
                break;
            }
        }
        assert!(written < 64 * 1024 * 1024, "nothing is bounded");
    }
    let mut taken = 0;
    let mut buffer = vec![0; 100_000];
    let mut writable = false;
    while taken < written {
        taken += soon(peer.stream.read(&mut buffer)).await.unwrap();
        writable |= matches!(owner.fleet.next_event(), Some(Event::BridgeWritable(_)));
    }
    assert!(writable, "told when there was room again");
    assert!(bridge.write(Bytes::from_static(b"x")));
}

#[tokio::test]
async fn a_peer_that_takes_nothing_for_too_long_is_dropped() {
    let mut owner = Owner::with_limits(|limits| limits.write_timeout = Duration::from_millis(200));
    let (mut peer, bridge) = bridged(&mut owner).await;
    let (mut other, other_bridge) = bridged(&mut owner).await;
    while owner.fleet.stats().write_timeouts == 0 {
        if !bridge.write(Bytes::from(vec![0; HIGH_WATER])) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    peer.reset().await;
    told(&mut owner, "bridge closed").await;
    other_bridge.write(Bytes::from_static(b"served"));
    assert_eq!(other.bytes(6).await, b"served");
}

#[tokio::test]
async fn either_side_may_drop_the_connection() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, bridge) = bridged(&mut owner).await;
    bridge.write(Bytes::from_static(b"last"));
    bridge.terminate();
    assert_eq!(peer.rest().await, b"last");
    told(&mut owner, "bridge closed").await;

    let (peer, _bridge) = bridged(&mut owner).await;
    peer.stream.set_zero_linger().unwrap();
    drop(peer);
    told(&mut owner, "bridge closed").await;
}

#[tokio::test]
async fn bridges_end_with_the_server() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, bridge) = bridged(&mut owner).await;
    assert!(owner.shutdown(LONG));
    // Until the grace is over it is served.
    bridge.write(Bytes::from_static(b"late"));
    assert_eq!(peer.bytes(4).await, b"late");
    bridge.finish();
    peer.end().await;
    drop(peer);
    told(&mut owner, "bridge closed").await;
    told(&mut owner, "stopped").await;

    owner.listen(0);
    let (mut peer, _bridge) = bridged(&mut owner).await;
    assert!(owner.shutdown(SHORT));
    told(&mut owner, "bridge closed").await;
    told(&mut owner, "stopped").await;
    peer.end().await;
    assert!(owner.fleet.next_event().is_none());
}
