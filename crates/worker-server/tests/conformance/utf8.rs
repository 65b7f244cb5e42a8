//! RFC 6455 sections 5.6 and 8.1: a text message as a whole is UTF-8. It is looked at when it is
//! complete, as `ws` does.

use crate::{
    exchange::{delivered, frames, refused, text},
    support::{FIN, frame, opcode::*},
};

fn bytes(payload: &[u8]) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

/// The payload with a frame for each byte.
fn shattered(payload: &[u8]) -> Vec<u8> {
    let (last, first) = payload.split_last().unwrap();
    let mut all = frame(TEXT, "");
    all.extend(first.iter().flat_map(|byte| frame(CONTINUATION, [*byte])));
    all.extend(frame(FIN, [*last]));
    all
}

delivered! {
    of_one_byte: text("\u{1}\u{7f}") => ["\u{1}\u{7f}"];
    of_two_bytes: text("\u{80}\u{7ff}") => ["\u{80}\u{7ff}"];
    of_three_bytes: text("\u{800}\u{ffff}") => ["\u{800}\u{ffff}"];
    of_four_bytes: text("\u{10000}\u{10ffff}") => ["\u{10000}\u{10ffff}"];
    around_the_surrogates: text("\u{d7ff}\u{e000}") => ["\u{d7ff}\u{e000}"];
    no_characters: text("\u{fffe}\u{ffff}\u{1fffe}\u{fdd0}") => ["\u{fffe}\u{ffff}\u{1fffe}\u{fdd0}"];
    nul: text("a\0b") => ["a\0b"];
    byte_order_mark: text("\u{feff}x") => ["\u{feff}x"];
    replacement_character: text("\u{fffd}") => ["\u{fffd}"];
    greek: text("κόσμε") => ["κόσμε"];
    cut_between_characters: frames([frame(TEXT, "é"), frame(FIN, "€")]) => ["é€"];
    cut_within_two_bytes: frames([frame(TEXT, [0xc3]), frame(FIN, [0xa9])]) => ["é"];
    cut_within_three_bytes: frames([frame(TEXT, [0xe2, 0x82]), frame(FIN, [0xac])]) => ["€"];
    cut_within_four_bytes: frames([frame(TEXT, [0xf0]), frame(FIN, [0x9f, 0x98, 0x80])]) => ["😀"];
    cut_with_a_ping_within: frames([
        frame(TEXT, [0xf0, 0x9f]), frame(FIN | PING, [0xff]), frame(FIN, [0x98, 0x80]),
    ]) => ["😀"];
    a_frame_for_each_byte: shattered("aé€😀z".as_bytes()) => ["aé€😀z"];
    binary_that_is_no_text: frame(FIN | BINARY, b"a\xffz") => ["a\u{fffd}z"];
    binary_cut_within_a_character: frames([frame(BINARY, [0xc3]), frame(FIN, [0xa9])]) => ["é"];
}

refused! {
    byte_ff: bytes(&[0xff]) => 1007;
    byte_fe: bytes(&[0xfe]) => 1007;
    lone_continuation: bytes(&[0x80]) => 1007;
    lone_continuations: bytes(&[0xbf, 0x80, 0xbf]) => 1007;
    lone_start_of_two: bytes(&[0xc3, b' ']) => 1007;
    lone_start_of_three: bytes(&[0xe2, b' ']) => 1007;
    lone_start_of_four: bytes(&[0xf0, b' ']) => 1007;
    cut_short_two: bytes(&[b'a', 0xc3]) => 1007;
    cut_short_three: bytes(&[b'a', 0xe2, 0x82]) => 1007;
    cut_short_four: bytes(&[b'a', 0xf0, 0x9f, 0x98]) => 1007;
    slash_in_two_bytes: bytes(&[0xc0, 0xaf]) => 1007;
    slash_in_three_bytes: bytes(&[0xe0, 0x80, 0xaf]) => 1007;
    slash_in_four_bytes: bytes(&[0xf0, 0x80, 0x80, 0xaf]) => 1007;
    nul_in_two_bytes: bytes(&[0xc0, 0x80]) => 1007;
    largest_in_too_long_a_form: bytes(&[0xc1, 0xbf]) => 1007;
    first_surrogate: bytes(&[0xed, 0xa0, 0x80]) => 1007;
    last_surrogate: bytes(&[0xed, 0xbf, 0xbf]) => 1007;
    pair_of_surrogates: bytes(&[0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]) => 1007;
    beyond_the_last_character: bytes(&[0xf4, 0x90, 0x80, 0x80]) => 1007;
    of_five_bytes: bytes(&[0xf8, 0x88, 0x80, 0x80, 0x80]) => 1007;
    of_six_bytes: bytes(&[0xfc, 0x84, 0x80, 0x80, 0x80, 0x80]) => 1007;
    good_then_bad: bytes("κόσμε\u{0}".as_bytes().iter().copied().chain([0xed, 0xa0, 0x80, b'x']).collect::<Vec<_>>().as_slice()) => 1007;
    bad_in_a_long_message: bytes(&[&[b'x'; 70_000][..], &[0xff]].concat()) => 1007;
    bad_first_fragment: frames([frame(TEXT, [0xff]), frame(FIN, "x")]) => 1007;
    bad_last_fragment: frames([frame(TEXT, "x"), frame(FIN, [0xff])]) => 1007;
    character_that_never_ends: frames([frame(TEXT, [0xe2, 0x82]), frame(FIN, "")]) => 1007;
    character_that_goes_on_wrongly: frames([frame(TEXT, [0xe2]), frame(FIN, [0x28, 0xa1])]) => 1007;
    bad_byte_for_byte: shattered(&[0xce, 0xba, 0xed, 0xa0, 0x80, 0x65]) => 1007;
    behind_a_good_message: frames([text("good"), bytes(&[0xff]), text("late")]) => 1007;
}
