//! RFC 6455 section 7.1: who ends the TCP connection, and when.

use std::{io, time::Instant};

use tokio::io::AsyncWriteExt;

use crate::support::{FIN, Frame, Owner, Peer, SHORT, close_payload, frame, opcode::*, soon};

/// Ten times what is promised, for a machine that does other things as well.
const MARGIN: u32 = 10;

/// Our half of the stream ends at once; what is left of it after the deadline is reset, whatever
/// the peer does meanwhile.
async fn is_cut_within_its_deadline(first: &[u8], answer: Frame) {
    let owner = Owner::with_limits(|limits| limits.close_timeout = SHORT);
    let mut peer = Peer::connect(owner.port).await;
    peer.send(first).await;
    assert_eq!(peer.frame().await, answer);
    peer.end().await;
    let began = Instant::now();
    let refused = soon(async {
        loop {
            if let Err(error) = peer.stream.write_all(b"and on and on").await {
                return error.kind();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(matches!(refused, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
    assert!(began.elapsed() < SHORT * MARGIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn after_a_close() {
    let close = frame(FIN | CLOSE, close_payload(1000, ""));
    is_cut_within_its_deadline(&close, Frame::close(1000, "")).await;
}

#[tokio::test]
async fn after_a_violation() {
    is_cut_within_its_deadline(&frame(FIN | 0x3, ""), Frame::close(1002, "")).await;
}

#[tokio::test]
async fn after_text_that_is_none() {
    is_cut_within_its_deadline(&frame(FIN | TEXT, [0xff]), Frame::close(1007, "")).await;
}

#[tokio::test]
async fn after_a_message_that_is_too_large() {
    let header = [FIN | TEXT, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    is_cut_within_its_deadline(&header, Frame::close(1009, "")).await;
}

#[tokio::test]
async fn a_peer_that_never_answers_a_close_is_dropped_at_the_deadline() {
    let mut owner = Owner::with_limits(|limits| limits.close_timeout = SHORT);
    let (mut peer, _) = owner.worker("w").await;
    let mut second = Peer::connect(owner.port).await;
    second.register("w").await;
    owner.admit().await;
    let began = Instant::now();
    // Its id belongs to another socket now.
    assert_eq!(peer.frame().await.opcode, CLOSE);
    peer.reset().await;
    assert!(began.elapsed() < SHORT * MARGIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_close_frame_reaches_a_peer_that_reads_late() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    let text = "x".repeat(4_000_000);
    owner.send(slot, &text).unwrap();
    // More than the buffers of the system hold is still unsent.
    peer.send(&frame(FIN | 0x3, "")).await;
    assert_eq!(owner.find_closed().await.0.code, 1006);
    assert_eq!(peer.message().await, text);
    assert_eq!(peer.frame().await, Frame::close(1002, ""));
    peer.end().await;
}
