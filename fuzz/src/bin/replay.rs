//! `replay [seconds]`: every seed, then mutations of them, on each target; no fuzzer, no nightly.
//! The same inputs come in the same order each time. Prints how many seeds and targets held.
//!
//! `replay --messages <count>`: prints so many messages and what the scanner says about them, for
//! `scripts/lib/fuzz.mjs` to ask JSON.parse.

use std::{
    env, fs, panic,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use targets::{TARGETS, Target};
use worker_core::protocol::{Inbound, classify, is_json};

/// Per target, unless told.
const SECONDS: u64 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, count] = &arguments[..]
        && flag == "--messages"
    {
        print_messages(count.parse().expect("a count"));
        return ExitCode::SUCCESS;
    }
    let seconds = arguments.first().map_or(SECONDS, |seconds| seconds.parse().expect("seconds"));
    let (mut passed, mut failed) = (0, 0);
    for target in TARGETS {
        match replay(target, Duration::from_secs(seconds)) {
            Ok(count) => passed += count,
            Err(input) => {
                failed += 1;
                println!("{} failed with {:?}", target.0, String::from_utf8_lossy(&input));
                println!("in hexadecimal: {}", hex(&input));
            }
        }
    }
    println!("replay: {passed} passed; {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many seeds there are, and one for their mutations; or the input that failed.
fn replay((name, run): Target, time: Duration) -> Result<usize, Vec<u8>> {
    let seeds = seeds(name);
    let check = |input: &[u8]| panic::catch_unwind(|| run(input)).map_err(|_| input.to_vec());
    for seed in &seeds {
        check(seed)?;
    }
    let mut mutator = Mutator::new(&seeds);
    let (began, mut count) = (Instant::now(), 0u64);
    while began.elapsed() < time {
        for _ in 0..256 {
            check(&mutator.next())?;
        }
        count += 256;
    }
    println!("{name}: {} seeds, {count} mutations", seeds.len());
    Ok(seeds.len() + 1)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let entries = fs::read_dir(&folder).expect("a folder of seeds");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no seeds");
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that mean something to one of the targets.
const WORDS: [&[u8]; 36] = [
    b"\"type\"",
    b"\"heartbeat\"",
    b"\"worker_registration\"",
    b"\"workerId\"",
    b"\"models\":[",
    b"{\"modelId\":\"m\"}",
    b"\\u0074",
    b"\\u005f",
    b"\\ud800",
    b"\\\"",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"1e999",
    b"-0",
    b"null",
    b"\xc3\xa9",
    b"\xff",
    b"\0",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"Host: x\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: websocket\r\n",
    b"\x81\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x89\xfe\0\x01",
];

/// Seeds with a few changes, the same ones each time.
struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    fn new(seeds: &'a [Vec<u8>]) -> Self {
        Self { seeds, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        (random as usize).checked_rem(end).unwrap_or(0)
    }

    fn seed(&mut self) -> &'a [u8] {
        let at = self.below(self.seeds.len());
        &self.seeds[at]
    }

    fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(16)).min(bytes.len());
            match self.below(7) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let word = WORDS[self.below(WORDS.len())];
                    bytes.splice(at..at, word.iter().copied());
                }
                2 => {
                    let word = WORDS[self.below(WORDS.len())];
                    bytes.splice(at..end, word.iter().copied());
                }
                3 => {
                    let other = self.seed();
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend(&other[from..]);
                }
                4 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                5 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ if at < bytes.len() => bytes[at] = self.below(256) as u8,
                _ => {}
            }
        }
        bytes
    }
}

/// A line each: the message as a JSON string, then the verdict as JSON.
fn print_messages(count: usize) {
    let mut seeds = seeds("messages");
    seeds.extend(self::seeds("registration"));
    let mut mutator = Mutator::new(&seeds);
    let mut lines = String::new();
    let mut printed = 0;
    while printed < count {
        let Ok(message) = String::from_utf8(mutator.next()) else { continue };
        let verdict = match classify(&message) {
            Inbound::Heartbeat(heartbeat) => serde_json::json!({
                "kind": "heartbeat",
                "workerId": heartbeat.worker_id_json,
                "timestamp": heartbeat.timestamp,
            }),
            Inbound::Registration(request) => serde_json::json!({
                "kind": "registration",
                "workerId": request.worker_id_json(),
                "workerName": request.worker_name_json(),
                "capabilities": request.capabilities_json(),
                "token": request.token(),
            }),
            Inbound::Application => serde_json::json!({ "kind": "application" }),
            Inbound::InvalidJson => serde_json::json!({ "kind": "invalid" }),
            Inbound::MissingType => serde_json::json!({ "kind": "untyped" }),
        };
        let text = serde_json::Value::from(&*message);
        let is_json = is_json(&message);
        lines
            .push_str(&format!("{{\"text\":{text},\"isJson\":{is_json},\"verdict\":{verdict}}}\n"));
        printed += 1;
    }
    print!("{lines}");
}
