//! Keys, in the order in which they were first stored, with their times to live.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hash::{BuildHasher, Hasher, RandomState},
};

use hashbrown::HashTable;

use super::{WORKER_PREFIX, record::WorkerRecord};

/// Removed entries from which on it is worth to close the gaps.
const MIN_GAPS: usize = 1_024;

pub(super) enum Value {
    Worker(WorkerRecord),
    Text { key: Box<str>, text: Box<str> },
}

pub(super) struct Entry {
    pub(super) value: Value,
    /// Infinite: never.
    pub(super) expires_at: f64,
}

impl Entry {
    /// The key in two parts.
    fn key(&self) -> (&str, &str) {
        match &self.value {
            Value::Worker(record) => (WORKER_PREFIX, record.id()),
            Value::Text { key, .. } => split(key),
        }
    }

    pub(super) fn to_key(&self) -> String {
        let (prefix, rest) = self.key();
        [prefix, rest].concat()
    }

    pub(super) fn starts_with(&self, wanted: &str) -> bool {
        let (prefix, rest) = self.key();
        match wanted.strip_prefix(prefix) {
            Some(wanted) => rest.starts_with(wanted),
            None => prefix.starts_with(wanted),
        }
    }
}

fn split(key: &str) -> (&str, &str) {
    match key.strip_prefix(WORKER_PREFIX) {
        Some(rest) => (WORKER_PREFIX, rest),
        None => ("", key),
    }
}

/// A time that floats can be ordered by; never NaN.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Time(pub(super) f64);

impl Eq for Time {}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A removal renumbers nothing; [`Table::compact`] does.
#[derive(Default)]
pub(super) struct Table {
    entries: Vec<Option<Box<Entry>>>,
    by_key: HashTable<u32>,
    hasher: RandomState,
    /// Each entry that expires has at least one timer, not later than its end. Renewals do not touch
    /// the timer: when it is due and the entry is not, the timer is set again.
    timers: BinaryHeap<Reverse<(Time, u32)>>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&self, key: &str) -> Option<u32> {
        let (prefix, rest) = split(key);
        self.find_parts(prefix, rest)
    }

    pub(super) fn find_worker(&self, id: &str) -> Option<u32> {
        self.find_parts(WORKER_PREFIX, id)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)?.as_deref_mut()
    }

    pub(super) fn worker(&self, index: u32) -> Option<&WorkerRecord> {
        match &self.get(index)?.value {
            Value::Worker(record) => Some(record),
            Value::Text { .. } => None,
        }
    }

    pub(super) fn worker_mut(&mut self, index: u32) -> Option<&mut WorkerRecord> {
        match &mut self.get_mut(index)?.value {
            Value::Worker(record) => Some(record),
            Value::Text { .. } => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0..).zip(&self.entries).filter_map(|(index, entry)| Some((index, entry.as_deref()?)))
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = (u32, &WorkerRecord)> {
        self.iter().filter_map(|(index, entry)| match &entry.value {
            Value::Worker(record) => Some((index, record)),
            Value::Text { .. } => None,
        })
    }

    /// Adds an entry whose key is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        let index = self.entries.len() as u32;
        let (prefix, rest) = entry.key();
        let hash = hash(&self.hasher, prefix, rest);
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_key.insert_unique(hash, index, |&index| rehash(entries, hasher, index));
        let expires_at = entry.expires_at;
        self.entries.push(Some(Box::new(entry)));
        self.set_timer(index, expires_at);
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Entry> {
        let entry = self.entries.get_mut(index as usize)?.take()?;
        let (prefix, rest) = entry.key();
        let hash = hash(&self.hasher, prefix, rest);
        if let Ok(found) = self.by_key.find_entry(hash, |&other| other == index) {
            found.remove();
        }
        Some(*entry)
    }

    /// Replaces the end of an entry.
    pub(super) fn set_expiry(&mut self, index: u32, expires_at: f64) {
        let Some(entry) = self.get_mut(index) else { return };
        let before = std::mem::replace(&mut entry.expires_at, expires_at);
        if expires_at < before {
            self.set_timer(index, expires_at);
        }
    }

    /// An entry whose end has passed.
    pub(super) fn next_expired(&mut self, now: f64) -> Option<u32> {
        while let Some(&Reverse((Time(at), index))) = self.timers.peek() {
            if at >= now {
                return None;
            }
            self.timers.pop();
            let Some(entry) = self.get(index) else { continue };
            if entry.expires_at < now {
                return Some(index);
            }
            let expires_at = entry.expires_at;
            self.set_timer(index, expires_at);
        }
        None
    }

    /// The earliest moment at which an entry may expire.
    pub(super) fn next_timer(&self) -> Option<f64> {
        self.timers.peek().map(|Reverse((at, _))| at.0)
    }

    /// Closes the gaps if there are many. True: every index has changed, the order has not.
    pub(super) fn compact(&mut self) -> bool {
        let gaps = self.entries.len() - self.by_key.len();
        if gaps < MIN_GAPS || gaps < self.by_key.len() {
            return false;
        }
        self.entries.retain(Option::is_some);
        self.entries.shrink_to_fit();
        self.by_key.clear();
        let (entries, hasher) = (&self.entries, &self.hasher);
        for index in 0..entries.len() as u32 {
            let hash = rehash(entries, hasher, index);
            self.by_key.insert_unique(hash, index, |&index| rehash(entries, hasher, index));
        }
        let rehash = |index: &u32| rehash(entries, hasher, *index);
        self.by_key.shrink_to_fit(rehash);
        self.reset_timers();
        true
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn set_timer(&mut self, index: u32, expires_at: f64) {
        if expires_at.is_infinite() {
            return;
        }
        // Entries whose end is moved to and fro would otherwise collect timers.
        if self.timers.len() > 2 * self.by_key.len() + 64 {
            self.reset_timers();
        } else {
            self.timers.push(Reverse((Time(expires_at), index)));
        }
    }

    fn reset_timers(&mut self) {
        let timers: Vec<_> = self
            .iter()
            .filter(|(_, entry)| entry.expires_at.is_finite())
            .map(|(index, entry)| Reverse((Time(entry.expires_at), index)))
            .collect();
        self.timers = timers.into();
    }

    fn find_parts(&self, prefix: &str, rest: &str) -> Option<u32> {
        let hash = hash(&self.hasher, prefix, rest);
        let is_wanted =
            |&index: &u32| self.get(index).is_some_and(|entry| entry.key() == (prefix, rest));
        self.by_key.find(hash, is_wanted).copied()
    }
}

fn hash(hasher: &RandomState, prefix: &str, rest: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u8(prefix.is_empty().into());
    state.write(rest.as_bytes());
    state.finish()
}

fn rehash(entries: &[Option<Box<Entry>>], hasher: &RandomState, index: u32) -> u64 {
    entries.get(index as usize).and_then(Option::as_deref).map_or(0, |entry| {
        let (prefix, rest) = entry.key();
        hash(hasher, prefix, rest)
    })
}
