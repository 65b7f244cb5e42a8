//! The changes of a store as lines of text, to be appended to a file.
//!
//! A line is the CRC-32 of the JSON behind it in eight hexadecimal digits, a space, the JSON of one
//! change, and a newline. A line that was not written to its end, because the process or the machine
//! died, has another checksum.

use std::fmt::Write;

use serde::Deserialize;

use super::{Store, record::write_string};
use crate::protocol::canonical::write_number;

const CHECKSUM_LEN: usize = 8;

/// Lines that are not yet in the file.
#[derive(Default)]
pub(super) struct Journal {
    lines: Vec<u8>,
}

impl Journal {
    pub(super) fn set(&mut self, key: &str, value: &str, expires_at: f64) {
        let mut json = "{\"set\":".to_owned();
        write_string(&mut json, key);
        json.push_str(",\"value\":");
        write_string(&mut json, value);
        if expires_at.is_finite() {
            json.push_str(",\"expiresAt\":");
            write_number(&mut json, expires_at);
        }
        json.push('}');
        self.append(&json);
    }

    pub(super) fn delete(&mut self, key: &str) {
        let mut json = "{\"delete\":".to_owned();
        write_string(&mut json, key);
        json.push('}');
        self.append(&json);
    }

    pub(super) fn clear(&mut self) {
        self.append("{\"clear\":true}");
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lines)
    }

    fn append(&mut self, json: &str) {
        let mut checksum = String::with_capacity(CHECKSUM_LEN + 1);
        // Writing to a string does not fail.
        let _ = write!(checksum, "{:08x} ", crc32fast::hash(json.as_bytes()));
        self.lines.extend(checksum.as_bytes());
        self.lines.extend(json.as_bytes());
        self.lines.push(b'\n');
    }
}

/// What a journal was found to have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Replay {
    /// Bytes up to which the file is to be kept. What is behind was not written to its end.
    pub valid_len: usize,
    /// Lines before that which were damaged, and skipped.
    pub damaged_lines: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    set: Option<String>,
    #[serde(default)]
    value: String,
    expires_at: Option<f64>,
    delete: Option<String>,
    #[serde(default)]
    clear: bool,
}

/// Does again what the lines of a journal say. A store that writes a journal must not start it before.
pub fn replay(store: &mut Store, journal: &[u8]) -> Replay {
    let mut replay = Replay::default();
    let mut damaged = 0;
    let mut len = 0;
    for line in journal.split_inclusive(|byte| *byte == b'\n') {
        len += line.len();
        match parse(line) {
            Some(line) => {
                apply(store, line);
                replay.valid_len = len;
                replay.damaged_lines = damaged;
            }
            None => damaged += 1,
        }
    }
    replay
}

fn parse(line: &[u8]) -> Option<Line> {
    let (checksum, json) = line.strip_suffix(b"\n")?.split_at_checked(CHECKSUM_LEN)?;
    let json = json.strip_prefix(b" ")?;
    let checksum = u32::from_str_radix(str::from_utf8(checksum).ok()?, 16).ok()?;
    (checksum == crc32fast::hash(json)).then_some(())?;
    serde_json::from_slice(json).ok()
}

fn apply(store: &mut Store, line: Line) {
    if let Some(key) = line.set {
        store.restore(&key, &line.value, line.expires_at.unwrap_or(f64::INFINITY));
    } else if let Some(key) = line.delete {
        store.restore_removal(&key);
    } else if line.clear {
        store.clear();
    }
}
