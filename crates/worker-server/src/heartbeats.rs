//! When each worker last beat, in memory that the owner may read without asking.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use worker_core::pool::Slot;

/// Slots whose heartbeats lie in one piece of memory.
const CHUNK: usize = 1_024;

/// Milliseconds since the Unix epoch as the bits of an f64, by slot modulo [`HeartbeatChunk::LEN`].
#[derive(Debug)]
pub struct HeartbeatChunk([AtomicU64; CHUNK]);

impl HeartbeatChunk {
    /// Slots in one chunk.
    pub const LEN: usize = CHUNK;

    /// The memory itself, which the heartbeats of the chunk's workers change at any time.
    pub fn as_ptr(&self) -> *const AtomicU64 {
        self.0.as_ptr()
    }
}

/// The heartbeats of a fleet: as many chunks as its slots need.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    chunks: Vec<Arc<HeartbeatChunk>>,
}

impl Heartbeats {
    pub(crate) fn place(&mut self, slot: Slot) -> Option<Place> {
        let number = slot.index() as usize / CHUNK;
        while self.chunks.len() <= number {
            self.chunks.push(Arc::new(HeartbeatChunk([const { AtomicU64::new(0) }; CHUNK])));
        }
        let chunk = Arc::clone(self.chunks.get(number)?);
        Some(Place { chunk, index: slot.index() as usize % CHUNK })
    }

    pub(crate) fn chunk(&self, number: usize) -> Option<&Arc<HeartbeatChunk>> {
        self.chunks.get(number)
    }
}

/// Where one worker's last heartbeat is written down.
#[derive(Debug)]
pub(crate) struct Place {
    chunk: Arc<HeartbeatChunk>,
    index: usize,
}

impl Place {
    pub(crate) fn set(&self, ms: f64) {
        if let Some(place) = self.chunk.0.get(self.index) {
            place.store(ms.to_bits(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_place_of_its_own() {
        let mut heartbeats = Heartbeats::default();
        for slot in [0, 1_023, 1_024, 5_000] {
            heartbeats.place(Slot::new(slot)).unwrap().set(f64::from(slot) + 0.5);
        }
        let read = |slot: usize| {
            let chunk = heartbeats.chunk(slot / CHUNK).unwrap();
            f64::from_bits(chunk.0[slot % CHUNK].load(Ordering::Relaxed))
        };
        assert_eq!([0, 1_023, 1_024, 5_000].map(read), [0.5, 1_023.5, 1_024.5, 5_000.5]);
        assert!(heartbeats.chunk(5).is_none());
    }
}
