//! One exchange: what the peer sends, and what must come of it.

use crate::support::{FIN, Frame, Owner, Peer, frame, opcode::*};

/// Beyond this many bytes nothing new is found byte by byte.
const SLOW_BYTES: usize = 2_000;
/// Largest message here, for the limits of a peer that has not registered.
pub(crate) const MAX_MESSAGE: usize = 1_000_000;

/// A test each: the name, what the peer sends, and the close code with which it is refused.
macro_rules! refused {
    ($($name:ident: $bytes:expr => $code:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::exchange::is_refused(&$bytes, $code).await;
        }
    )+};
}

/// A test each: the name, what the peer sends, and the messages that reach the owner.
macro_rules! delivered {
    ($($name:ident: $bytes:expr => $messages:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::exchange::is_delivered(&$bytes, &$messages).await;
        }
    )+};
}

pub(crate) use {delivered, refused};

pub(crate) fn owner() -> Owner {
    Owner::with_limits(|limits| limits.unregistered_message_bytes = MAX_MESSAGE)
}

/// The frames behind each other.
pub(crate) fn frames<const N: usize>(frames: [Vec<u8>; N]) -> Vec<u8> {
    frames.concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text)
}

/// The first two bytes and then the rest as they are, without a payload that is masked by us.
pub(crate) fn raw(first: u8, second: u8, rest: &[u8]) -> Vec<u8> {
    [&[first, second][..], rest].concat()
}

/// A frame with its length in 16 or 64 bits, whether that is needed or not; masked with zeros.
pub(crate) fn long_form(first: u8, form: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u64).to_be_bytes();
    let len = if form == 126 { &len[6..] } else { &len[..] };
    [&[first, 0x80 | form][..], len, &[0; 4], payload].concat()
}

/// The close frame comes, then the end of the stream, and nothing the peer says later counts.
pub(crate) async fn is_refused(bytes: &[u8], code: u16) {
    let mut owner = owner();
    for slowly in [false, true] {
        let mut peer = connect_and_send(&owner, bytes, slowly).await;
        assert_eq!(answer(&mut peer).await, Frame::close(code, ""), "slowly: {slowly}");
        peer.end().await;
        assert_eq!(owner.find_closed().await.0.code, 1006);
    }
    let stats = owner.fleet.stats();
    let counted = (stats.protocol_errors, stats.messages_too_large);
    assert_eq!(counted, if code == 1009 { (0, 2) } else { (2, 0) });
}

/// The messages and nothing else arrive, and the connection lives on.
pub(crate) async fn is_delivered(bytes: &[u8], messages: &[&str]) {
    let mut owner = owner();
    for slowly in [false, true] {
        let mut peer = connect_and_send(&owner, bytes, slowly).await;
        let end = format!("end, slowly: {slowly}");
        peer.text(&end).await;
        for message in messages {
            assert!(owner.find_message().await == *message, "slowly: {slowly}");
        }
        assert_eq!(owner.find_message().await, end);
        peer.send(&frame(FIN | CLOSE, "")).await;
        answer(&mut peer).await;
        peer.end().await;
    }
    assert_eq!(owner.fleet.stats().protocol_errors, 0);
}

/// The answers come in this order, then the stream ends.
pub(crate) async fn answered(bytes: &[u8], answers: &[Frame]) {
    let owner = owner();
    for slowly in [false, true] {
        let mut peer = connect_and_send(&owner, bytes, slowly).await;
        for expected in answers {
            assert_eq!(peer.frame().await, *expected, "slowly: {slowly}");
        }
        peer.end().await;
    }
}

async fn connect_and_send(owner: &Owner, bytes: &[u8], slowly: bool) -> Peer {
    let mut peer = Peer::connect(owner.port).await;
    if slowly && bytes.len() <= SLOW_BYTES {
        for byte in bytes {
            peer.send(&[*byte]).await;
            // The byte before was read alone, if the server is awake.
            tokio::task::yield_now().await;
        }
    } else {
        peer.send(bytes).await;
    }
    peer
}

/// The first frame that is no pong.
async fn answer(peer: &mut Peer) -> Frame {
    loop {
        let frame = peer.frame().await;
        if frame.opcode != PONG {
            return frame;
        }
    }
}
