//! What is fuzzed. Each target takes any bytes and panics if something is wrong; `fuzz_targets/`
//! gives them to libFuzzer, `replay` goes through the seeds and mutations of them without one.

pub mod frames;
pub mod messages;
pub mod path_match;
pub mod registration;
pub mod request_head;

/// A name, as of its folder of seeds, and what runs it.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] = [
    ("frames", frames::run),
    ("request_head", request_head::run),
    ("registration", registration::run),
    ("messages", messages::run),
    ("path_match", path_match::run),
];
