//! RFC 6455 sections 5.5.1 and 7.4: what a close frame may say, and what it ends.

use crate::{
    exchange::{answered, frames, owner, refused, text},
    support::{FIN, Frame, Peer, close_payload, frame, opcode::*},
};

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(FIN | CLOSE, close_payload(code, reason))
}

/// Every code of which one could be in doubt; `decoder/tests.rs` has all 65,536.
const GOOD: [u16; 21] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3500, 3998,
    3999, 4000, 4001, 4998, 4999,
];

#[tokio::test]
async fn every_good_code_is_echoed_and_told_to_the_owner() {
    let mut owner = owner();
    for code in GOOD {
        let mut peer = Peer::connect(owner.port).await;
        peer.send(&close(code, "")).await;
        assert_eq!(peer.frame().await, Frame::close(code, ""));
        peer.end().await;
        assert_eq!(owner.find_closed().await.0.code, code);
    }
    assert_eq!(owner.fleet.stats().protocol_errors, 0);
}

#[tokio::test]
async fn every_other_code_below_5000_is_refused() {
    let mut owner = owner();
    let good = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    // One of a kind is enough where hundreds are alike.
    let bad = (0..=5_000u16).filter(|code| !good(*code)).filter(|code| {
        code % 100 == 0 || code % 100 == 99 || (990..1_030).contains(code) || *code < 5
    });
    for code in bad {
        let mut peer = Peer::connect(owner.port).await;
        peer.send(&close(code, "")).await;
        assert_eq!(peer.frame().await, Frame::close(1002, ""), "{code}");
        peer.end().await;
        assert_eq!(owner.find_closed().await.0.code, 1006, "{code}");
    }
}

refused! {
    code_0: close(0, "") => 1002;
    code_999: close(999, "") => 1002;
    code_1004_reserved: close(1004, "") => 1002;
    code_1005_no_status: close(1005, "") => 1002;
    code_1006_abnormal: close(1006, "") => 1002;
    code_1015_tls: close(1015, "") => 1002;
    code_1016: close(1016, "") => 1002;
    code_1100: close(1100, "") => 1002;
    code_2000: close(2000, "") => 1002;
    code_2999: close(2999, "") => 1002;
    code_5000: close(5000, "") => 1002;
    code_65535: close(65_535, "") => 1002;
    bad_code_with_a_reason: close(1005, "why") => 1002;
    half_a_code: frame(FIN | CLOSE, [3]) => 1002;
    reason_of_a_bad_byte: frame(FIN | CLOSE, [3, 232, 0xff]) => 1007;
    reason_cut_within_a_character: frame(FIN | CLOSE, [3, 232, b'a', 0xe2, 0x82]) => 1007;
    reason_with_a_surrogate: frame(FIN | CLOSE, [3, 232, 0xed, 0xa0, 0x80]) => 1007;
    reason_in_too_long_a_form: frame(FIN | CLOSE, [3, 232, 0xc0, 0x80]) => 1007;
    bad_code_and_bad_reason: frame(FIN | CLOSE, [3, 237, 0xff]) => 1002;
}

#[tokio::test]
async fn without_a_payload() {
    let echo = Frame { opcode: CLOSE, payload: Vec::new() };
    answered(&frame(FIN | CLOSE, ""), &[echo]).await;
}

#[tokio::test]
async fn with_a_reason() {
    answered(&close(1000, "wörld"), &[Frame::close(1000, "wörld")]).await;
}

#[tokio::test]
async fn with_a_reason_as_long_as_possible() {
    let reason = "r".repeat(123);
    answered(&close(4321, &reason), &[Frame::close(4321, &reason)]).await;
}

#[tokio::test]
async fn with_a_nul_in_its_reason() {
    answered(&close(1000, "a\0b"), &[Frame::close(1000, "a\0b")]).await;
}

#[tokio::test]
async fn within_a_message() {
    let bytes = frames([frame(TEXT, "half"), close(1000, "")]);
    answered(&bytes, &[Frame::close(1000, "")]).await;
}

#[tokio::test]
async fn with_a_message_behind_it() {
    nothing_counts_behind(&text("late")).await;
}

#[tokio::test]
async fn with_a_ping_behind_it() {
    nothing_counts_behind(&frame(FIN | PING, "late")).await;
}

#[tokio::test]
async fn with_another_close_behind_it() {
    nothing_counts_behind(&close(4000, "late")).await;
}

#[tokio::test]
async fn with_a_violation_behind_it() {
    nothing_counts_behind(&frame(FIN | 0x7f, "late")).await;
}

#[tokio::test]
async fn with_much_behind_it() {
    nothing_counts_behind(&text(&"late".repeat(50_000))).await;
}

/// The close is answered as if nothing stood behind it.
async fn nothing_counts_behind(late: &[u8]) {
    let mut owner = owner();
    let mut peer = Peer::connect(owner.port).await;
    peer.send(&[&close(1000, "first"), late].concat()).await;
    assert_eq!(peer.frame().await, Frame::close(1000, "first"));
    peer.end().await;
    assert_eq!(owner.events(2).await, ["opened", "closed 1000 \"first\" unbound"]);
    assert_eq!(owner.fleet.stats().protocol_errors, 0);
}
