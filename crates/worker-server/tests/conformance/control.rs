//! RFC 6455 section 5.5: control frames are whole, short, and answered.

use crate::{
    exchange::{answered, delivered, frames, long_form, raw, refused, text},
    support::{FIN, Frame, close_payload, frame, opcode::*},
};

refused! {
    ping_in_fragments: frames([frame(PING, "x"), frame(FIN, "y")]) => 1002;
    pong_in_fragments: frames([frame(PONG, "x"), frame(FIN, "y")]) => 1002;
    close_in_fragments: frames([frame(CLOSE, ""), frame(FIN, "")]) => 1002;
    ping_of_126: frame(FIN | PING, [b'x'; 126]) => 1002;
    ping_of_65536: frame(FIN | PING, [b'x'; 65_536]) => 1002;
    pong_of_126: frame(FIN | PONG, [b'x'; 126]) => 1002;
    close_of_126: frame(FIN | CLOSE, [3, 232].repeat(63)) => 1002;
    ping_with_its_length_in_16_bits: long_form(FIN | PING, 126, b"x") => 1002;
    ping_with_its_length_in_64_bits: long_form(FIN | PING, 127, b"x") => 1002;
    pong_with_its_length_in_16_bits: long_form(FIN | PONG, 126, b"") => 1002;
    close_with_its_length_in_16_bits: long_form(FIN | CLOSE, 126, &[3, 232]) => 1002;
    long_ping_whose_header_is_cut: raw(FIN | PING, 0xfe, b"") => 1002;
    long_ping_between_fragments: frames([frame(TEXT, "x"), frame(FIN | PING, [0; 126])]) => 1002;
}

delivered! {
    pongs_nobody_asked_for: frames([
        frame(FIN | PONG, ""), frame(FIN | PONG, "unasked"), frame(FIN | PONG, [0; 125]), text("x"),
    ]) => ["x"];
    pings_before_a_message: frames([frame(FIN | PING, "").repeat(20), text("x")]) => ["x"];
}

/// The pings are answered in their order with their payloads.
async fn pinged(payloads: &[&[u8]]) {
    let pings = payloads.iter().map(|payload| frame(FIN | PING, payload));
    let end = frame(FIN | CLOSE, close_payload(1000, ""));
    let bytes: Vec<u8> = pings.chain([end]).flatten().collect();
    let pongs = payloads.iter().map(|payload| Frame { opcode: PONG, payload: payload.to_vec() });
    answered(&bytes, &pongs.chain([Frame::close(1000, "")]).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn ping_without_payload() {
    pinged(&[b""]).await;
}

#[tokio::test]
async fn ping_of_1() {
    pinged(&[b"x"]).await;
}

#[tokio::test]
async fn ping_of_125() {
    pinged(&[&[b'x'; 125]]).await;
}

#[tokio::test]
async fn ping_of_bytes_that_are_no_text() {
    pinged(&[&[0x00, 0xff, 0xfe, 0xfd, 0x80]]).await;
}

#[tokio::test]
async fn pings_in_their_order() {
    pinged(&[b"1", b"", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"10"]).await;
}

#[tokio::test]
async fn many_pings_in_one_write() {
    pinged(&[&b"many"[..]; 300]).await;
}
