//! RFC 6455 section 5.1: a client masks every frame, with any key.

use crate::{
    exchange::{delivered, frames, raw, refused, text},
    support::{FIN, frame, opcode::*},
};

fn masked(first: u8, key: [u8; 4], payload: &str) -> Vec<u8> {
    let payload = payload.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    let payload: Vec<u8> = payload.collect();
    raw(first, 0x80 | payload.len() as u8, &[&key[..], &payload].concat())
}

refused! {
    unmasked_text: raw(FIN | TEXT, 1, b"x") => 1002;
    unmasked_empty_text: raw(FIN | TEXT, 0, b"") => 1002;
    unmasked_binary: raw(FIN | BINARY, 1, b"x") => 1002;
    unmasked_ping: raw(FIN | PING, 1, b"x") => 1002;
    unmasked_pong: raw(FIN | PONG, 0, b"") => 1002;
    unmasked_close: raw(FIN | CLOSE, 2, &[3, 232]) => 1002;
    unmasked_16_bits: raw(FIN | TEXT, 126, &[0, 1, b'x']) => 1002;
    unmasked_64_bits: raw(FIN | TEXT, 127, &[0, 0, 0, 0, 0, 0, 0, 1, b'x']) => 1002;
    unmasked_and_too_large: raw(FIN | TEXT, 127, &[0xff; 8]) => 1002;
    unmasked_first_fragment: raw(TEXT, 1, b"x") => 1002;
    unmasked_last_fragment: frames([frame(TEXT, "x"), raw(FIN, 1, b"y")]) => 1002;
    unmasked_between_fragments: frames([frame(TEXT, "x"), raw(FIN | PING, 0, b"")]) => 1002;
    unmasked_behind_a_masked_one: frames([text("good"), raw(FIN | TEXT, 1, b"x")]) => 1002;
}

delivered! {
    key_of_zeros: masked(FIN | TEXT, [0; 4], "zeros") => ["zeros"];
    key_of_ones: masked(FIN | TEXT, [0xff; 4], "ones") => ["ones"];
    key_of_one_bit: masked(FIN | TEXT, [0, 0, 0, 1], "one bit") => ["one bit"];
    payload_that_is_its_key: masked(FIN | TEXT, *b"same", "same") => ["same"];
    a_key_for_each_fragment: frames([
        masked(TEXT, [1, 2, 3, 4], "one "),
        masked(CONTINUATION, [0; 4], "two "),
        masked(FIN, [9, 8, 7, 6], "three"),
    ]) => ["one two three"];
    payloads_of_every_length_to_17: (0..=17)
        .map(|len| masked(FIN | TEXT, [0xa1, 0xb2, 0xc3, 0xd4], &"0123456789abcdefg"[..len]))
        .collect::<Vec<_>>()
        .concat()
        => std::array::from_fn::<_, 18, _>(|len| &"0123456789abcdefg"[..len]);
}
