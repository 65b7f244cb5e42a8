//! One worker as the pool sees it.

use std::{collections::BTreeMap, sync::Arc};

use smallvec::SmallVec;

use super::{
    profile::{Profile, ProfileId},
    ranking::Membership,
    tournament::{Candidacy, Contribution, Entry},
};

/// Whether a worker takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Takes requests.
    Available = 0,
    /// At its capacity.
    Busy = 1,
    /// Finishes what it has; only ever set by hand.
    Draining = 2,
    /// Its heartbeat is overdue.
    Unhealthy = 3,
}

impl Status {
    pub(super) fn is_usable(self) -> bool {
        matches!(self, Self::Available | Self::Busy)
    }
}

/// Where a worker is in the pool; reused after its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// The slot with this index, whether or not the pool has a worker there.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Small and dense: fit to index an array.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// From a slab key. Four billion workers do not fit into memory.
    pub(super) const fn from_key(key: usize) -> Self {
        Self(key as u32)
    }

    pub(super) const fn key(self) -> usize {
        self.0 as usize
    }
}

/// The state of one worker.
///
/// Counters are doubles because they can be edited from JavaScript; left alone
/// they are whole numbers of at least 0.
#[derive(Debug)]
pub struct WorkerState {
    pub(super) sequence: u64,
    /// Who goes first among equals, if asked for by precedence.
    pub(super) precedence: f64,
    pub(super) status: Status,
    pub(super) active: f64,
    pub(super) completed: f64,
    pub(super) max_concurrent_requests: f64,
    pub(super) profile_id: ProfileId,
    pub(super) profile: Arc<Profile>,
    /// A tree is smaller than a hash table while it is empty, as it mostly is.
    pub(super) categories: BTreeMap<Arc<str>, f64>,
    /// The records of its requests in `InFlight`, in no order.
    pub(super) in_flight: Vec<usize>,
    /// The rankings it takes part in.
    pub(super) memberships: SmallVec<[Membership; 2]>,
}

impl WorkerState {
    pub(super) fn new(
        sequence: u64,
        max_concurrent_requests: f64,
        profile_id: ProfileId,
        profile: Arc<Profile>,
    ) -> Self {
        Self {
            sequence,
            precedence: 0.0,
            status: Status::Available,
            active: 0.0,
            completed: 0.0,
            max_concurrent_requests,
            profile_id,
            profile,
            categories: BTreeMap::new(),
            in_flight: Vec::new(),
            memberships: SmallVec::new(),
        }
    }

    /// Whether it takes requests.
    pub fn status(&self) -> Status {
        self.status
    }

    /// How many requests it is counted to have.
    pub fn active(&self) -> f64 {
        self.active
    }

    /// How many requests it completed.
    pub fn completed(&self) -> f64 {
        self.completed
    }

    /// How many requests it takes at once; NaN if it did not say.
    pub fn max_concurrent_requests(&self) -> f64 {
        self.max_concurrent_requests
    }

    /// The ids of its models.
    pub fn models(&self) -> &[String] {
        &self.profile.models
    }

    /// How many requests of a category it takes at once; `None` for no limit.
    pub fn concurrency_limit(&self, category: &str) -> Option<f64> {
        self.profile.limit(category)
    }

    /// How many requests of a category it is counted to have; `None` if it
    /// never had one.
    pub fn category_active(&self, category: &str) -> Option<f64> {
        self.categories.get(category).copied()
    }

    /// All categories it ever had a request of, with their counts, in no order.
    pub fn categories(&self) -> impl Iterator<Item = (&str, f64)> {
        self.categories.iter().map(|(category, count)| (&**category, *count))
    }

    /// How many request ids it holds. Other than [`WorkerState::active`] this
    /// counts an id that was tracked twice once.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether it has as many requests as it takes. False without a maximum.
    pub fn at_capacity(&self) -> bool {
        self.active >= self.max_concurrent_requests
    }

    /// Not the opposite of [`WorkerState::at_capacity`]: both are false without
    /// a maximum.
    pub(super) fn below_capacity(&self) -> bool {
        self.active < self.max_concurrent_requests
    }

    /// Sets the count of a category and returns the category's shared name.
    pub(super) fn set_category(&mut self, category: &str, count: f64) -> Arc<str> {
        let name = match self.categories.get_key_value(category) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(category),
        };
        self.categories.insert(Arc::clone(&name), count);
        name
    }

    /// What it contributes to a ranking, optionally for requests of a category.
    pub(super) fn entry(&self, category: Option<&str>) -> Entry {
        if self.status != Status::Available {
            return Entry::NONE;
        }
        let max = self.max_concurrent_requests;
        // A fraction of a limit is no slot, though it lets a request in while it is not used up.
        let free = max.floor() - self.active;
        let limited = category.and_then(|category| {
            let limit = self.profile.limit(category)?;
            Some((limit, self.category_active(category).unwrap_or(0.0)))
        });
        let (admitted, slots) = match limited {
            Some((limit, used)) => (used < limit, js_min(free, limit.floor() - used)),
            None => (true, free),
        };
        Entry {
            load: if admitted && max > 0.0 && self.below_capacity() {
                let load = self.active / max;
                // Infinity by infinity: better than nobody.
                if load.is_nan() { f64::MAX } else { load }
            } else {
                f64::INFINITY
            },
            slots: if slots.is_nan() { 0.0 } else { slots },
        }
    }

    /// The same, to be ranked by precedence.
    pub(super) fn candidacy(&self, category: Option<&str>) -> Candidacy {
        let Entry { load, slots } = self.entry(category);
        let precedence = if load < f64::INFINITY { self.precedence } else { f64::INFINITY };
        Candidacy { load, precedence, room: slots.max(0.0) }
    }
}

/// `Math.min`: NaN if either is.
fn js_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}
