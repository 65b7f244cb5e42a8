//! RFC 6455 over a real socket, frame by frame. Every exchange is played twice: in one write, and
//! with a write for each byte. `docs/conformance.md` says what is shown here and what elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests outside of test functions"
)]

mod close;
mod control;
mod ending;
mod exchange;
mod fragmentation;
mod lengths;
mod masking;
mod opcodes;
mod pacing;
mod reserved_bits;
#[path = "../support/mod.rs"]
mod support;
mod utf8;
