//! Which worker holds which request.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use slab::Slab;

use super::worker::{Slot, WorkerState};

/// All requests in flight, by id. Ids come from the application, which may take
/// them from anywhere, so the hash is the keyed one of the standard library.
#[derive(Default)]
pub(super) struct InFlight {
    requests: HashMap<Arc<[u16]>, Holders>,
    records: Slab<Record>,
}

/// A request that a worker no longer holds.
pub(super) struct Released {
    pub(super) slot: Slot,
    pub(super) category: Option<Arc<str>>,
}

/// The records of one request id.
enum Holders {
    One(usize),
    /// By the sequence number of the worker. Rare: the same id on several workers.
    Many(BTreeMap<u64, usize>),
}

/// One request held by one worker.
struct Record {
    request: Arc<[u16]>,
    slot: Slot,
    sequence: u64,
    category: Option<Arc<str>>,
    /// Where the worker's list has this record.
    position: usize,
}

impl InFlight {
    /// Makes a worker hold a request; if it does already, only the category is
    /// replaced.
    pub(super) fn hold(
        &mut self,
        slot: Slot,
        worker: &mut WorkerState,
        request: &[u16],
        category: Option<Arc<str>>,
    ) {
        if let Some(record) = self.find(worker, request) {
            if let Some(record) = self.records.get_mut(record) {
                record.category = category;
            }
            return;
        }
        let request: Arc<[u16]> = Arc::from(request);
        let id = self.records.insert(Record {
            request: Arc::clone(&request),
            slot,
            sequence: worker.sequence,
            category,
            position: worker.in_flight.len(),
        });
        worker.in_flight.push(id);
        let Self { requests, records } = self;
        requests
            .entry(request)
            .and_modify(|holders| holders.add(worker.sequence, id, records))
            .or_insert(Holders::One(id));
    }

    /// Takes a request from the first worker in order that holds it.
    pub(super) fn release(
        &mut self,
        request: &[u16],
        workers: &mut Slab<WorkerState>,
    ) -> Option<Released> {
        let id = match self.requests.get(request)? {
            Holders::One(id) => *id,
            Holders::Many(by_sequence) => *by_sequence.first_key_value()?.1,
        };
        let slot = self.records.get(id)?.slot;
        let worker = workers.get_mut(slot.key())?;
        let record = self.take(id, worker)?;
        Some(Released { slot, category: record.category })
    }

    /// Takes all requests from a worker.
    pub(super) fn forget_worker(&mut self, worker: &mut WorkerState) {
        while let Some(&id) = worker.in_flight.last() {
            if self.take(id, worker).is_none() {
                // Cannot be; it keeps the loop finite all the same.
                worker.in_flight.pop();
            }
        }
    }

    pub(super) fn holds(&self, worker: &WorkerState, request: &[u16]) -> bool {
        self.find(worker, request).is_some()
    }

    /// The record of a request on one worker.
    fn find(&self, worker: &WorkerState, request: &[u16]) -> Option<usize> {
        match self.requests.get(request)? {
            Holders::One(id) => {
                let record = self.records.get(*id)?;
                (record.sequence == worker.sequence).then_some(*id)
            }
            Holders::Many(by_sequence) => by_sequence.get(&worker.sequence).copied(),
        }
    }

    fn take(&mut self, id: usize, worker: &mut WorkerState) -> Option<Record> {
        let record = self.records.try_remove(id)?;
        if record.position < worker.in_flight.len() {
            worker.in_flight.swap_remove(record.position);
        }
        let moved = worker.in_flight.get(record.position);
        if let Some(moved) = moved.and_then(|moved| self.records.get_mut(*moved)) {
            moved.position = record.position;
        }
        let was_last = match self.requests.get_mut(&record.request) {
            Some(Holders::Many(by_sequence)) => {
                by_sequence.remove(&record.sequence);
                by_sequence.is_empty()
            }
            _ => true,
        };
        if was_last {
            self.requests.remove(&record.request);
        }
        Some(record)
    }
}

impl Holders {
    fn add(&mut self, sequence: u64, id: usize, records: &Slab<Record>) {
        match self {
            Self::One(first) => {
                let known = records.get(*first).map(|record| (record.sequence, *first));
                *self = Self::Many(known.into_iter().chain([(sequence, id)]).collect());
            }
            Self::Many(by_sequence) => {
                by_sequence.insert(sequence, id);
            }
        }
    }
}
