//! Which workers there are, what they are doing, and who gets the next request.
//!
//! A [`Pool`] has one owner and no locks. Whatever is edited by hand (it may be
//! any number that JavaScript can hold) counts at once, like everything else.

pub mod health;
mod matching;
mod profile;
mod ranking;
mod selection;
mod tournament;
mod tracking;
mod worker;

use std::{collections::BTreeMap, sync::Arc};

use slab::Slab;

use self::{
    profile::{Profile, ProfileId, Profiles},
    selection::Selection,
    tracking::InFlight,
};
use crate::protocol::Capabilities;

pub use worker::{Slot, Status, WorkerState};

/// All workers, in the order in which they were inserted.
///
/// Selecting, tracking and releasing do not slow down with the number of
/// workers, but for a first question about a model, which looks at all of them.
///
/// There are two ways to have it know who is busy. It counts requests itself
/// ([`Pool::track`], [`Pool::release`]): that is for programs in Rust. Or its
/// owner counts and tells it the outcome ([`Pool::set_load`]), as the Node
/// add-on does.
#[derive(Default)]
pub struct Pool {
    workers: Slab<WorkerState>,
    /// Every worker by its sequence number.
    order: BTreeMap<u64, Slot>,
    /// The available and the busy ones by sequence number.
    usable: BTreeMap<u64, Slot>,
    /// How many are available.
    available: usize,
    /// Given to the next worker; never reused, so it orders workers by insertion.
    next_sequence: u64,
    profiles: Profiles,
    in_flight: InFlight,
    selection: Selection,
}

impl Pool {
    /// Adds a worker as the last in order: available, all counters 0.
    ///
    /// The slot may be one that a removed worker had.
    pub fn insert(&mut self, capabilities: Capabilities) -> Slot {
        let max = capabilities.max_concurrent_requests;
        let (profile_id, profile) = self.acquire_profile(capabilities);
        let sequence = self.next_sequence;
        self.next_sequence += 1;

        let vacant = self.workers.vacant_entry();
        let slot = Slot::from_key(vacant.key());
        let worker = vacant.insert(WorkerState::new(sequence, max, profile_id, profile));
        self.selection.add_worker(slot, worker);
        self.order.insert(sequence, slot);
        self.usable.insert(sequence, slot);
        self.available += 1;
        slot
    }

    /// Takes a worker out and forgets its in-flight requests. Returns whether
    /// it was there.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let Some(mut worker) = self.workers.try_remove(slot.key()) else {
            return false;
        };
        self.selection.remove_worker(&mut worker, &mut self.workers);
        self.in_flight.forget_worker(&mut worker);
        self.release_profile(worker.profile_id);
        self.order.remove(&worker.sequence);
        self.usable.remove(&worker.sequence);
        if worker.status == Status::Available {
            self.available -= 1;
        }
        true
    }

    /// Takes all workers out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Sets the status, whatever it was. Returns whether the worker exists.
    pub fn set_status(&mut self, slot: Slot, status: Status) -> bool {
        self.change(slot, |worker| worker.status = status)
    }

    /// Sets the number of active requests without looking at the capacity.
    /// Returns whether the worker exists.
    pub fn set_active(&mut self, slot: Slot, active: f64) -> bool {
        self.change(slot, |worker| worker.active = active)
    }

    /// Sets both at once. Returns whether the worker exists.
    pub fn set_load(&mut self, slot: Slot, status: Status, active: f64) -> bool {
        self.change(slot, |worker| {
            worker.status = status;
            worker.active = active;
        })
    }

    /// Replaces what the worker can do; status and counters stay. Returns
    /// whether the worker exists.
    ///
    /// Changing the models makes the next selection look at all workers again.
    pub fn set_capabilities(&mut self, slot: Slot, capabilities: Capabilities) -> bool {
        if !self.contains(slot) {
            return false;
        }
        let max = capabilities.max_concurrent_requests;
        // The new one first: if both are the same, it is never given up.
        let (profile_id, profile) = self.acquire_profile(capabilities);
        if let Some(worker) = self.workers.get_mut(slot.key()) {
            let previous = worker.profile_id;
            worker.max_concurrent_requests = max;
            worker.profile_id = profile_id;
            worker.profile = profile;
            if previous != profile_id {
                self.selection.reassign_worker(slot, &mut self.workers);
            }
            self.release_profile(previous);
        }
        self.change(slot, |_| ())
    }

    /// Sets how many requests of a category the worker has; `None` deletes the
    /// category. Returns whether the worker exists.
    pub fn set_category_active(&mut self, slot: Slot, category: &str, count: Option<f64>) -> bool {
        self.change(slot, |worker| match count {
            Some(count) => {
                worker.set_category(category, count);
            }
            None => {
                worker.categories.remove(category);
            }
        })
    }

    /// The available worker with the lowest load that has a matching model, is
    /// below its capacity and below its limit for the category. The first
    /// inserted one on a tie.
    ///
    /// Takes constant time, but for questions that were not asked lately.
    pub fn select(&mut self, wanted: &str, category: Option<&str>) -> Option<Slot> {
        let ranking = self.selection.ranking(
            Some(wanted),
            category,
            &self.profiles,
            &self.order,
            &mut self.workers,
        )?;
        ranking.best()
    }

    /// The first `most` of the workers that [`Pool::select`] selects from, by
    /// load and then by precedence, in that order. Without a wanted model any
    /// worker will do, also one that has none.
    ///
    /// Takes time by `most`, but for questions that were not asked lately.
    pub fn candidates(
        &mut self,
        wanted: Option<&str>,
        category: Option<&str>,
        most: usize,
    ) -> Vec<Slot> {
        self.selection
            .ranking(wanted, category, &self.profiles, &self.order, &mut self.workers)
            .map_or_else(Vec::new, |ranking| ranking.first(most, &self.workers))
    }

    /// Sets who goes first among equally loaded [`Pool::candidates`]: the lowest.
    /// 0 at first; where all are equal, the first inserted one. NaN counts as 0.
    /// Returns whether the worker exists.
    pub fn set_precedence(&mut self, slot: Slot, precedence: f64) -> bool {
        let precedence = if precedence.is_nan() { 0.0 } else { precedence };
        self.change(slot, |worker| worker.precedence = precedence)
    }

    /// The same as [`Pool::available_slots`], but a worker over its capacity or
    /// limit counts as 0.
    pub fn room(&mut self, wanted: &str, category: Option<&str>) -> f64 {
        self.selection
            .ranking(Some(wanted), category, &self.profiles, &self.order, &mut self.workers)
            .map_or(0.0, |ranking| ranking.room(&self.workers))
    }

    /// How many more requests the available workers with a matching model can
    /// take together.
    ///
    /// A worker over its capacity or limit counts negatively, one without a
    /// usable maximum as 0.
    pub fn available_slots(&mut self, wanted: &str, category: Option<&str>) -> f64 {
        self.selection
            .ranking(Some(wanted), category, &self.profiles, &self.order, &mut self.workers)
            .map_or(0.0, |ranking| ranking.slots())
    }

    /// The first worker in order that is available or busy.
    pub fn first_usable(&self) -> Option<Slot> {
        self.usable.values().next().copied()
    }

    /// Counts a request as in flight on a worker. `request` is its id in UTF-16
    /// code units. Returns whether the worker exists.
    ///
    /// No limit is enforced. A worker that reaches its capacity becomes busy,
    /// whatever its status was. The same id again is counted again, but held
    /// only once, with the category given last.
    pub fn track(&mut self, slot: Slot, request: &[u16], category: Option<&str>) -> bool {
        let Self { workers, in_flight, .. } = self;
        let Some(worker) = workers.get_mut(slot.key()) else {
            return false;
        };
        let category = category.map(|category| {
            let count = worker.category_active(category).unwrap_or(0.0);
            worker.set_category(category, count + 1.0)
        });
        in_flight.hold(slot, worker, request, category);
        self.change(slot, |worker| {
            worker.active += 1.0;
            if worker.at_capacity() {
                worker.status = Status::Busy;
            }
        })
    }

    /// Ends a request on the first worker in order that holds it, and returns
    /// that worker; `None` if nobody does.
    ///
    /// A busy worker that comes below its capacity becomes available; other
    /// statuses stay.
    pub fn release(&mut self, request: &[u16], completed: bool) -> Option<Slot> {
        let released = self.in_flight.release(request, &mut self.workers)?;
        self.change(released.slot, |worker| {
            worker.active = decremented(worker.active);
            if let Some(category) = released.category {
                // The key stays at 0, as it does in the Map that users see.
                let count = worker.category_active(&category).unwrap_or(0.0);
                worker.categories.insert(category, decremented(count));
            }
            if completed {
                worker.completed += 1.0;
            }
            if worker.status == Status::Busy && worker.below_capacity() {
                worker.status = Status::Available;
            }
        });
        Some(released.slot)
    }

    /// Takes note that a worker is alive: an unhealthy one becomes available,
    /// or busy if it is at capacity. Others stay as they are. Returns whether
    /// the worker exists.
    pub fn heartbeat(&mut self, slot: Slot) -> bool {
        self.change(slot, |worker| {
            if worker.status == Status::Unhealthy {
                worker.status = if worker.at_capacity() { Status::Busy } else { Status::Available };
            }
        })
    }

    /// Takes note that a worker's heartbeat is overdue, whatever its status was.
    /// Returns whether the worker exists.
    pub fn mark_unhealthy(&mut self, slot: Slot) -> bool {
        self.set_status(slot, Status::Unhealthy)
    }

    /// Whether the slot holds a worker. It may be a later one than the caller
    /// thinks of: slots are reused.
    pub fn contains(&self, slot: Slot) -> bool {
        self.workers.contains(slot.key())
    }

    /// How many workers there are, of any status.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether there is no worker.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// How many workers have the status available, at capacity or not.
    pub fn available_count(&self) -> usize {
        self.available
    }

    /// All workers, in the order in which they were inserted.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.order.values().copied()
    }

    /// The present state of a worker.
    pub fn worker(&self, slot: Slot) -> Option<&WorkerState> {
        self.workers.get(slot.key())
    }

    /// Whether the worker holds a request.
    pub fn holds(&self, slot: Slot, request: &[u16]) -> bool {
        self.worker(slot).is_some_and(|worker| self.in_flight.holds(worker, request))
    }

    /// Edits a worker and brings everything derived from it up to date. Every
    /// change of a worker that is in the pool ends here.
    fn change(&mut self, slot: Slot, edit: impl FnOnce(&mut WorkerState)) -> bool {
        let Some(worker) = self.workers.get_mut(slot.key()) else {
            return false;
        };
        let before = worker.status;
        edit(worker);
        let after = worker.status;
        self.available -= usize::from(before == Status::Available);
        self.available += usize::from(after == Status::Available);
        if before.is_usable() != after.is_usable() {
            if after.is_usable() {
                self.usable.insert(worker.sequence, slot);
            } else {
                self.usable.remove(&worker.sequence);
            }
        }
        self.selection.refresh(worker);
        true
    }

    fn acquire_profile(&mut self, capabilities: Capabilities) -> (ProfileId, Arc<Profile>) {
        let acquired = self.profiles.acquire(capabilities);
        if acquired.is_new {
            self.selection.add_profile(acquired.id, &acquired.profile);
        }
        (acquired.id, acquired.profile)
    }

    fn release_profile(&mut self, id: ProfileId) {
        if self.profiles.release(id) {
            self.selection.remove_profile(id);
        }
    }
}

/// One less but not below 0. NaN stays NaN, as with `Math.max`.
fn decremented(count: f64) -> f64 {
    let less = count - 1.0;
    if less < 0.0 { 0.0 } else { less }
}

#[cfg(test)]
mod tests;
