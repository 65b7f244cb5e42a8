//! The workers that answer one question, ready to be chosen from.

use std::sync::Arc;

use slab::Slab;

use super::{
    tournament::{Candidacy, Contribution, Entry, Tournament},
    worker::{Slot, WorkerState},
};

/// Number of a ranking in `Selection`.
pub(super) type RankingId = u32;

/// Where a worker stands in a ranking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    pub(super) ranking: RankingId,
    pub(super) position: u32,
}

/// The workers with certain profiles, in insertion order, ranked for requests
/// of one category or for requests without one.
pub(super) struct Ranking {
    /// The group of profiles in `Selection`.
    pub(super) group: usize,
    pub(super) category: Option<Arc<str>>,
    /// When it was last asked.
    pub(super) last_used: u64,
    /// As long as the tournament's row. `None` where a worker has left, which
    /// contributes nothing there.
    slots: Vec<Option<Slot>>,
    left: usize,
    tournament: Tournament<Entry>,
    /// The same row for choosing by precedence; only from the first such question
    /// on, so that who asks none does not pay for it.
    candidates: Option<Tournament<Candidacy>>,
}

impl Ranking {
    pub(super) fn new(
        group: usize,
        category: Option<Arc<str>>,
        members: Vec<(Slot, Entry)>,
    ) -> Self {
        let (slots, row) = members.into_iter().map(|(slot, entry)| (Some(slot), entry)).unzip();
        let tournament = Tournament::new(row);
        Self { group, category, last_used: 0, slots, left: 0, tournament, candidates: None }
    }

    pub(super) fn best(&self) -> Option<Slot> {
        self.slots.get(self.tournament.best()?).copied().flatten()
    }

    /// The first `most` by load and precedence.
    pub(super) fn first(&mut self, most: usize, workers: &Slab<WorkerState>) -> Vec<Slot> {
        let positions = self.candidates(workers).first(most);
        positions.into_iter().filter_map(|at| self.slots.get(at).copied().flatten()).collect()
    }

    /// The sum of free slots, where no worker has fewer than none.
    pub(super) fn room(&mut self, workers: &Slab<WorkerState>) -> f64 {
        self.candidates(workers).room()
    }

    /// The sum of free slots; 0 if infinities of both signs meet.
    pub(super) fn slots(&self) -> f64 {
        let sum = self.tournament.slots();
        // Adding 0 turns -0 into 0.
        if sum.is_nan() { 0.0 } else { sum + 0.0 }
    }

    /// How many positions there are, left ones included.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The workers in it.
    pub(super) fn members(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().filter_map(|slot| *slot)
    }

    /// Appends a worker, which must be the last in order, and returns its position.
    pub(super) fn push(&mut self, slot: Slot, worker: &WorkerState) -> u32 {
        let entry = worker.entry(self.category.as_deref());
        self.slots.push(Some(slot));
        self.tournament.push(entry);
        if let Some(candidates) = &mut self.candidates {
            candidates.push(worker.candidacy(self.category.as_deref()));
        }
        (self.slots.len() - 1) as u32
    }

    /// Takes note of a change of a worker.
    pub(super) fn refresh(&mut self, position: u32, worker: &WorkerState) {
        let entry = worker.entry(self.category.as_deref());
        self.tournament.set(position as usize, entry);
        if let Some(candidates) = &mut self.candidates {
            candidates.set(position as usize, worker.candidacy(self.category.as_deref()));
        }
    }

    pub(super) fn leave(&mut self, position: u32) {
        if let Some(slot) = self.slots.get_mut(position as usize)
            && slot.take().is_some()
        {
            self.left += 1;
            self.tournament.set(position as usize, Entry::NONE);
            if let Some(candidates) = &mut self.candidates {
                candidates.set(position as usize, Candidacy::NONE);
            }
        }
    }

    /// Whether so many have left that it is time to compact.
    pub(super) fn is_sparse(&self) -> bool {
        self.left > 32 && self.left * 2 > self.slots.len()
    }

    /// Closes the gaps, and tells each worker's new position.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(Slot, u32)) {
        let mut row = Vec::with_capacity(self.slots.len() - self.left);
        let mut slots = Vec::with_capacity(row.capacity());
        for (slot, entry) in self.slots.iter().zip(self.tournament.row()) {
            if let Some(slot) = slot {
                moved(*slot, row.len() as u32);
                slots.push(Some(*slot));
                row.push(*entry);
            }
        }
        self.slots = slots;
        self.left = 0;
        self.tournament = Tournament::new(row);
        // Built again when it is asked for.
        self.candidates = None;
    }

    fn candidates(&mut self, workers: &Slab<WorkerState>) -> &Tournament<Candidacy> {
        let Self { slots, category, candidates, .. } = self;
        candidates.get_or_insert_with(|| {
            let candidacy = |slot: &Option<Slot>| {
                let worker = workers.get(slot.as_ref()?.key())?;
                Some(worker.candidacy(category.as_deref()))
            };
            let row = slots.iter().map(|slot| candidacy(slot).unwrap_or(Candidacy::NONE));
            Tournament::new(row.collect())
        })
    }
}
