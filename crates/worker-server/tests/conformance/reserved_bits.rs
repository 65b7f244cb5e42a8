//! RFC 6455 section 5.2: without an extension the reserved bits are clear.

use crate::{
    exchange::{frames, refused, text},
    support::{FIN, frame, opcode::*},
};

const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

refused! {
    rsv1_on_text: frame(FIN | RSV1 | TEXT, "x") => 1002;
    rsv2_on_text: frame(FIN | RSV2 | TEXT, "x") => 1002;
    rsv3_on_text: frame(FIN | RSV3 | TEXT, "x") => 1002;
    rsv1_and_2_on_text: frame(FIN | RSV1 | RSV2 | TEXT, "x") => 1002;
    rsv1_and_3_on_text: frame(FIN | RSV1 | RSV3 | TEXT, "x") => 1002;
    rsv2_and_3_on_text: frame(FIN | RSV2 | RSV3 | TEXT, "x") => 1002;
    all_on_text: frame(FIN | RSV1 | RSV2 | RSV3 | TEXT, "x") => 1002;
    rsv1_on_binary: frame(FIN | RSV1 | BINARY, "x") => 1002;
    rsv2_on_binary: frame(FIN | RSV2 | BINARY, "x") => 1002;
    rsv3_on_binary: frame(FIN | RSV3 | BINARY, "x") => 1002;
    rsv1_on_ping: frame(FIN | RSV1 | PING, "x") => 1002;
    rsv2_on_pong: frame(FIN | RSV2 | PONG, "x") => 1002;
    rsv3_on_close: frame(FIN | RSV3 | CLOSE, "") => 1002;
    on_an_empty_frame: frame(FIN | RSV1 | TEXT, "") => 1002;
    on_a_first_fragment: frame(RSV1 | TEXT, "x") => 1002;
    on_a_last_fragment: frames([frame(TEXT, "x"), frame(FIN | RSV1, "y")]) => 1002;
    behind_a_good_message: frames([text("good"), frame(FIN | RSV2 | TEXT, "x")]) => 1002;
    before_a_good_message: frames([frame(FIN | RSV3 | TEXT, "x"), text("good")]) => 1002;
}
