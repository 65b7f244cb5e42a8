//! How frames are cut into packets does not matter.

use crate::{
    exchange::{delivered, frames, owner, text},
    support::{FIN, Frame, Peer, frame, opcode::*},
};

/// More frames than one read takes.
const MANY: usize = 20_000;

#[tokio::test]
async fn many_frames_in_one_write() {
    let mut owner = owner();
    let mut peer = Peer::connect(owner.port).await;
    let all: Vec<u8> = (0..MANY).flat_map(|n| text(&n.to_string())).collect();
    let sending = peer.send(&all);
    let receiving = async {
        for n in 0..MANY {
            assert_eq!(owner.find_message().await, n.to_string());
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn frames_cut_at_every_place() {
    let mut owner = owner();
    let bytes = frames([
        frame(TEXT, "one "),
        frame(FIN | PING, "between"),
        frame(FIN, "two"),
        frame(FIN | BINARY, "x".repeat(130)),
    ]);
    for at in 0..=bytes.len() {
        let mut peer = Peer::connect(owner.port).await;
        let (front, back) = bytes.split_at(at);
        peer.send(front).await;
        tokio::task::yield_now().await;
        peer.send(back).await;
        assert_eq!(peer.frame().await, Frame::pong("between"), "cut at {at}");
        assert_eq!(owner.find_message().await, "one two", "cut at {at}");
        assert_eq!(owner.find_message().await, "x".repeat(130), "cut at {at}");
    }
}

delivered! {
    a_long_frame_behind_short_ones: frames([text("a").repeat(3), text(&"b".repeat(300_000)), text("c")])
        => ["a", "a", "a", "b".repeat(300_000).as_str(), "c"];
    fragments_larger_than_a_read: frames([
        frame(TEXT, "a".repeat(200_000)),
        frame(FIN | PING, "p"),
        frame(FIN, "b".repeat(200_000)),
    ]) => [("a".repeat(200_000) + &"b".repeat(200_000)).as_str()];
}
