//! RFC 6455 section 5.2: opcodes 3 to 7 and 11 to 15 are reserved.

use crate::{
    exchange::{delivered, frames, refused, text},
    support::{FIN, frame, opcode::*},
};

refused! {
    data_3: frame(FIN | 0x3, "x") => 1002;
    data_4: frame(FIN | 0x4, "x") => 1002;
    data_5: frame(FIN | 0x5, "x") => 1002;
    data_6: frame(FIN | 0x6, "x") => 1002;
    data_7: frame(FIN | 0x7, "x") => 1002;
    control_11: frame(FIN | 0xb, "x") => 1002;
    control_12: frame(FIN | 0xc, "x") => 1002;
    control_13: frame(FIN | 0xd, "x") => 1002;
    control_14: frame(FIN | 0xe, "x") => 1002;
    control_15: frame(FIN | 0xf, "x") => 1002;
    data_without_payload: frame(FIN | 0x3, "") => 1002;
    control_without_payload: frame(FIN | 0xb, "") => 1002;
    data_not_final: frame(0x7, "x") => 1002;
    control_not_final: frame(0xf, "x") => 1002;
    behind_a_good_message: frames([text("good"), frame(FIN | 0x4, "x"), text("late")]) => 1002;
    between_fragments: frames([frame(TEXT, "x"), frame(FIN | 0xc, ""), frame(FIN, "y")]) => 1002;
    with_a_long_payload: frame(FIN | 0x5, [b'x'; 70_000]) => 1002;
}

delivered! {
    text_and_binary: frames([text("text"), frame(FIN | BINARY, "binary")]) => ["text", "binary"];
}
