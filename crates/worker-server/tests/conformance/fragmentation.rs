//! RFC 6455 section 5.4: messages in fragments, and control frames between them.

use crate::{
    exchange::{answered, delivered, frames, refused, text},
    support::{FIN, Frame, close_payload, frame, opcode::*},
};

delivered! {
    in_two: frames([frame(TEXT, "one "), frame(FIN, "two")]) => ["one two"];
    in_three: frames([frame(TEXT, "a"), frame(CONTINUATION, "b"), frame(FIN, "c")]) => ["abc"];
    in_a_hundred: frames([
        frame(TEXT, "x"),
        frame(CONTINUATION, "x").repeat(98),
        frame(FIN, "x"),
    ]) => ["x".repeat(100).as_str()];
    binary: frames([frame(BINARY, "one "), frame(FIN, "two")]) => ["one two"];
    all_empty: frames([frame(TEXT, ""), frame(CONTINUATION, ""), frame(FIN, "")]) => [""];
    empty_first: frames([frame(TEXT, ""), frame(FIN, "x")]) => ["x"];
    empty_between: frames([frame(TEXT, "x"), frame(CONTINUATION, ""), frame(FIN, "y")]) => ["xy"];
    empty_last: frames([frame(TEXT, "x"), frame(FIN, "")]) => ["x"];
    one_message_behind_the_other: frames([
        frame(TEXT, "a"), frame(FIN, "b"),
        frame(BINARY, "c"), frame(FIN, "d"),
        text("e"),
    ]) => ["ab", "cd", "e"];
    with_a_ping_between: frames([frame(TEXT, "x"), frame(FIN | PING, "p"), frame(FIN, "y")]) => ["xy"];
    with_a_pong_between: frames([frame(TEXT, "x"), frame(FIN | PONG, "p"), frame(FIN, "y")]) => ["xy"];
    with_many_controls_between: frames([
        frame(TEXT, "a"),
        frame(FIN | PING, "1").repeat(10),
        frame(CONTINUATION, "b"),
        frame(FIN | PONG, "").repeat(10),
        frame(FIN, "c"),
    ]) => ["abc"];
}

refused! {
    continuation_of_nothing: frame(FIN | CONTINUATION, "x") => 1002;
    empty_continuation_of_nothing: frame(FIN | CONTINUATION, "") => 1002;
    open_continuation_of_nothing: frame(CONTINUATION, "x") => 1002;
    continuation_behind_a_whole_message: frames([text("x"), frame(FIN, "y")]) => 1002;
    continuation_behind_the_last_fragment:
        frames([frame(TEXT, "x"), frame(FIN, "y"), frame(FIN, "z")]) => 1002;
    open_continuation_behind_the_last_fragment:
        frames([frame(TEXT, "x"), frame(FIN, "y"), frame(CONTINUATION, "z")]) => 1002;
    continuation_behind_a_ping: frames([frame(FIN | PING, ""), frame(FIN, "x")]) => 1002;
    text_within_a_message: frames([frame(TEXT, "x"), text("y")]) => 1002;
    binary_within_a_message: frames([frame(TEXT, "x"), frame(FIN | BINARY, "y")]) => 1002;
    first_fragment_within_a_message: frames([frame(TEXT, "x"), frame(TEXT, "y")]) => 1002;
    text_within_a_binary_message: frames([frame(BINARY, "x"), text("y")]) => 1002;
    text_behind_a_continuation:
        frames([frame(TEXT, "x"), frame(CONTINUATION, "y"), text("z")]) => 1002;
    text_behind_empty_fragments:
        frames([frame(TEXT, ""), frame(CONTINUATION, ""), text("z")]) => 1002;
}

#[tokio::test]
async fn a_ping_between_fragments_is_answered_before_the_message_ends() {
    let bytes = frames([
        frame(TEXT, "half"),
        frame(FIN | PING, "between"),
        frame(FIN | CLOSE, close_payload(1000, "")),
    ]);
    answered(&bytes, &[Frame::pong("between"), Frame::close(1000, "")]).await;
}
