//! What a peer's frames cause on the wire and to the owner.

mod support;

use futures_util::{SinkExt, StreamExt};
use support::{FIN, Frame, Owner, Peer, close_payload, frame, opcode::*, soon};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Bytes, Message, protocol::CloseFrame},
};

fn header(first: u8, second: u8, rest: &[u8]) -> Vec<u8> {
    [&[first, second][..], rest].concat()
}

/// A violation, the text of its error after "Invalid WebSocket frame: ", and its close code.
fn invalid_frames() -> Vec<(Vec<u8>, &'static str, u16)> {
    vec![
        (frame(FIN | 0x40 | TEXT, "x"), "RSV1 must be clear", 1002),
        (frame(FIN | 0x20 | TEXT, "x"), "RSV2 and RSV3 must be clear", 1002),
        (frame(FIN | 0x10 | PING, "x"), "RSV2 and RSV3 must be clear", 1002),
        (frame(FIN | 0x70 | TEXT, "x"), "RSV2 and RSV3 must be clear", 1002),
        (frame(FIN | 0x3, "x"), "invalid opcode 3", 1002),
        (frame(FIN | 0xb, "x"), "invalid opcode 11", 1002),
        (frame(FIN | CONTINUATION, "x"), "invalid opcode 0", 1002),
        ([frame(TEXT, "x"), frame(FIN | TEXT, "y")].concat(), "invalid opcode 1", 1002),
        (header(FIN | TEXT, 2, b"{}"), "MASK must be set", 1002),
        (frame(PING, "x"), "FIN must be set", 1002),
        (frame(FIN | PING, [0; 126]), "invalid payload length 126", 1002),
        (header(FIN | PING, 0x80 | 127, &[0, 0, 1, 2, 3, 4]), "invalid payload length 127", 1002),
        (frame(FIN | CLOSE, "x"), "invalid payload length 1", 1002),
        (frame(FIN | CLOSE, close_payload(1005, "")), "invalid status code 1005", 1002),
        (frame(FIN | CLOSE, [3, 232, 0xff]), "invalid UTF-8 sequence", 1007),
        (frame(FIN | TEXT, [0xff]), "invalid UTF-8 sequence", 1007),
        ([frame(TEXT, [0xc3]), frame(FIN, [0x28])].concat(), "invalid UTF-8 sequence", 1007),
    ]
}

/// The violations with the whole text of their errors.
fn violations() -> Vec<(Vec<u8>, String, u16)> {
    let size = || "Max payload size exceeded".to_owned();
    let unsupported = "Unsupported WebSocket frame: payload length > 2^53 - 1".to_owned();
    let mut all = vec![
        (frame(FIN | TEXT, [b'x'; 1_001]), size(), 1009),
        ([frame(TEXT, [b'x'; 600]), frame(FIN, [b'x'; 401])].concat(), size(), 1009),
        (header(FIN | TEXT, 0xff, &[0xff; 12]), unsupported, 1009),
    ];
    for (bytes, error, code) in invalid_frames() {
        all.push((bytes, format!("Invalid WebSocket frame: {error}"), code));
    }
    all
}

#[tokio::test]
async fn a_violation_is_answered_with_its_close_code_before_the_stream_ends() {
    let mut owner = Owner::with_limits(|limits| limits.unregistered_message_bytes = 1_000);
    for (bytes, reason, code) in violations() {
        let mut peer = Peer::connect(owner.port).await;
        peer.send(&bytes).await;
        assert_eq!(peer.frame().await, Frame::close(code, ""), "{reason}: {bytes:02x?}");
        peer.end().await;
        let error = format!("socket error {reason}");
        let expected = ["opened", &error, "closed 1006 \"\" unbound"];
        assert_eq!(owner.events(3).await, expected, "{bytes:02x?}");
    }
}

#[tokio::test]
async fn too_many_fragments_are_answered_with_1008() {
    let mut owner = Owner::with_limits(|limits| limits.message_fragments = 3);
    let mut peer = Peer::connect(owner.port).await;
    peer.send(&[frame(TEXT, "a"), frame(0, "b"), frame(FIN, "c")].concat()).await;
    assert_eq!(owner.find_message().await, "abc");
    peer.send(&[frame(TEXT, "a"), frame(0, "b"), frame(0, "c"), frame(FIN, "d")].concat()).await;
    assert_eq!(peer.frame().await, Frame::close(1008, ""));
    peer.end().await;
    let stats = owner.fleet.stats();
    assert_eq!((stats.messages_too_fragmented, stats.protocol_errors), (1, 0));
}

#[tokio::test]
async fn the_close_frame_is_not_lost_to_a_peer_that_goes_on_talking() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    owner.send(slot, "before").unwrap();
    // More than is read at once: the rest would turn the end of the stream into a reset.
    let more = frame(FIN | TEXT, [b'x'; 100_000]);
    peer.send(&[frame(FIN | TEXT, [0xff]), more].concat()).await;
    assert_eq!(peer.message().await, "before");
    assert_eq!(peer.frame().await, Frame::close(1007, ""));
    peer.end().await;
    assert_eq!(owner.find_closed().await.0.code, 1006);
}

#[tokio::test]
async fn nothing_behind_a_violation_or_a_close_frame_counts() {
    let mut owner = Owner::with_limits(|_| ());
    for last in [frame(FIN | 0x3, ""), frame(FIN | CLOSE, "")] {
        let mut peer = Peer::connect(owner.port).await;
        let late = frame(FIN | TEXT, r#"{"type":"late"}"#);
        peer.send(&[last, late, frame(FIN | PING, "late")].concat()).await;
        assert_eq!(peer.frame().await.opcode, CLOSE);
        peer.end().await;
        drop(peer);
    }
    Peer::connect(owner.port).await.text(r#"{"type":"marker"}"#).await;
    assert_eq!(owner.find_message().await, r#"{"type":"marker"}"#);
}

#[tokio::test]
async fn a_close_frame_is_echoed_and_told_to_the_owner() {
    let mut owner = Owner::with_limits(|_| ());
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let (mut peer, _) = owner.worker("w").await;
        peer.close(code, "wörld").await;
        assert_eq!(peer.frame().await, Frame::close(code, "wörld"));
        peer.end().await;
        let (info, was_bound) = owner.find_closed().await;
        assert_eq!((info.code, info.reason.as_str(), was_bound), (code, "wörld", true));
    }
    let (mut peer, _) = owner.worker("w").await;
    peer.send(&frame(FIN | CLOSE, "")).await;
    assert_eq!(peer.frame().await, Frame { opcode: CLOSE, payload: Vec::new() });
    peer.end().await;
    assert_eq!(owner.find_closed().await.0.code, 1005);
}

#[tokio::test]
async fn pings_are_answered_also_between_fragments() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::connect(owner.port).await;
    peer.send(&frame(TEXT, "one ")).await;
    peer.ping("between").await;
    peer.send(&frame(FIN | PONG, "unasked")).await;
    peer.send(&frame(FIN, "two")).await;
    assert_eq!(owner.find_message().await, "one two");
    peer.ping("").await;
    let longest = "x".repeat(125);
    peer.ping(&longest).await;
}

#[tokio::test]
async fn a_character_may_be_cut_between_reads() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::connect(owner.port).await;
    let text = r#"{"type":"x","text":"é€😀"}"#;
    let bytes = frame(FIN | TEXT, text);
    for byte in &bytes {
        peer.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(owner.find_message().await, text);
}

#[tokio::test]
async fn registration_raises_the_limit_of_a_message() {
    let mut owner = Owner::with_limits(|limits| {
        limits.unregistered_message_bytes = 1_000;
        limits.message_bytes = 3_000_000;
    });
    let (mut peer, _) = owner.worker("w").await;
    let text = "x".repeat(3_000_000);
    peer.text(&text).await;
    assert_eq!(owner.find_message().await, text);
    peer.send(&frame(FIN | TEXT, format!("{text}x"))[..20]).await;
    assert_eq!(peer.frame().await, Frame::close(1009, ""));
    peer.end().await;
}

#[tokio::test]
async fn frames_that_come_with_the_handshake_are_not_lost() {
    let mut owner = Owner::with_limits(|_| ());
    let early = [frame(FIN | TEXT, r#"{"type":"early"}"#), frame(FIN | PING, "p")].concat();
    let mut peer = Peer::connect_with(owner.port, &early).await;
    assert_eq!(peer.frame().await, Frame::pong("p"));
    assert_eq!(owner.events(2).await, ["opened", r#"message {"type":"early"}"#]);
}

#[tokio::test]
async fn an_independent_client_is_served() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut client, _) =
        soon(connect_async(format!("ws://127.0.0.1:{}/x", owner.port))).await.unwrap();
    client.send(Message::text(support::registration("w", ""))).await.unwrap();
    let slot = owner.admit().await;
    let ack = soon(client.next()).await.unwrap().unwrap();
    assert!(ack.to_text().unwrap().contains("\"success\":true"));

    client.send(Message::text("a text")).await.unwrap();
    client.send(Message::binary(&b"binary \xff"[..])).await.unwrap();
    assert_eq!(owner.find_message().await, "a text");
    assert_eq!(owner.find_message().await, "binary \u{fffd}");
    client.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
    let pong = soon(client.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"p")));
    for len in [0, 125, 126, 65_535, 65_536, 1_000_000] {
        let text = "é".repeat(len / 2) + &"x".repeat(len % 2);
        owner.send(slot, &text).unwrap();
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), Message::text(text));
    }

    let close = CloseFrame { code: 4321.into(), reason: "bye".into() };
    client.close(Some(close.clone())).await.unwrap();
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Message::Close(Some(close)));
    assert!(soon(client.next()).await.is_none());
    let (info, was_bound) = owner.find_closed().await;
    assert_eq!((info.code, info.reason.as_str(), was_bound), (4321, "bye", true));
}
