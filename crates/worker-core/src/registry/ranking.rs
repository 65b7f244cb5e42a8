//! Workers in the order of their priority, for one configuration of a registry.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use super::{
    HealthStatus, HealthThresholds, Weights,
    interner::{CapabilityId, Interner},
    record::WorkerRecord,
    score::RankKey,
    table::{Table, Time},
};

/// What the order depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankingConfig {
    /// Share of each score in the priority.
    pub weights: Weights,
    /// Factor on the priority of a degraded worker; 1 changes nothing.
    pub degraded_penalty: f64,
    /// Ages of a heartbeat.
    pub thresholds: HealthThresholds,
}

impl RankingConfig {
    pub(super) fn health(&self, record: &WorkerRecord, now: f64) -> HealthStatus {
        self.thresholds.status(record.last_heartbeat, now)
    }

    pub(super) fn priority(&self, record: &WorkerRecord, health: HealthStatus) -> f64 {
        let priority = record.load.priority(&self.weights);
        match health {
            HealthStatus::Degraded => priority * self.degraded_penalty,
            _ => priority,
        }
    }
}

/// Whether a worker may get a reservation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Availability {
    Free,
    Full,
    Draining,
}

impl Availability {
    pub(super) const ALL: [Self; 3] = [Self::Free, Self::Full, Self::Draining];

    fn of(record: &WorkerRecord) -> Self {
        if record.is_draining {
            Self::Draining
        } else if record.load.available_capacity() >= 1.0 {
            Self::Free
        } else {
            Self::Full
        }
    }
}

/// Workers of one health and one availability.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Class(u8);

impl Class {
    const COUNT: usize = 9;
    /// Of a worker that is in no set.
    const NONE: Self = Self(u8::MAX);

    pub(super) fn new(health: HealthStatus, availability: Availability) -> Self {
        Self(health as u8 * 3 + availability as u8)
    }
}

#[derive(Default)]
struct Classes([BTreeSet<RankKey>; Class::COUNT]);

impl Classes {
    fn insert(&mut self, class: Class, key: RankKey) {
        if let Some(set) = self.0.get_mut(usize::from(class.0)) {
            set.insert(key);
        }
    }

    fn remove(&mut self, class: Class, key: RankKey) {
        if let Some(set) = self.0.get_mut(usize::from(class.0)) {
            set.remove(&key);
        }
    }

    fn len(&self) -> usize {
        self.0.iter().map(BTreeSet::len).sum()
    }
}

/// Where a worker stands in the order. There is one of these for each worker, so it is small.
#[derive(Clone, Copy)]
struct State {
    key: RankKey,
    /// The earliest of its timers. Infinite: it has none.
    timer: f64,
    class: Class,
    /// It is in `dirty`.
    is_dirty: bool,
}

const ABSENT: State =
    State { key: RankKey::ZERO, timer: f64::INFINITY, class: Class::NONE, is_dirty: false };

pub(super) struct Ranking {
    pub(super) config: RankingConfig,
    states: Vec<State>,
    all: Classes,
    by_capability: HashMap<CapabilityId, Classes>,
    /// Workers whose place is out of date. A change only marks; the next question puts in order, so
    /// that many changes of a worker in between cost one.
    dirty: Vec<u32>,
    /// Ends of a health. A heartbeat does not touch them: a timer that is due marks the worker.
    timers: BinaryHeap<Reverse<(Time, u32)>>,
    /// Workers whose health may be another than the one in their record.
    changed: Vec<u32>,
    now: f64,
}

impl Ranking {
    pub(super) fn new(config: RankingConfig, table: &Table) -> Self {
        let mut ranking = Self {
            config,
            states: Vec::new(),
            all: Classes::default(),
            by_capability: HashMap::new(),
            dirty: Vec::new(),
            timers: BinaryHeap::new(),
            changed: Vec::new(),
            now: f64::NEG_INFINITY,
        };
        ranking.mark_all(table);
        ranking
    }

    /// Notes that a worker is new or has changed. Its capabilities must be what they were.
    pub(super) fn mark(&mut self, index: u32) {
        let place = index as usize;
        if place >= self.states.len() {
            self.states.resize(place + 1, ABSENT);
        }
        if let Some(state) = self.states.get_mut(place)
            && !state.is_dirty
        {
            state.is_dirty = true;
            self.dirty.push(index);
        }
    }

    /// Takes a worker out, with the capabilities that it has had.
    pub(super) fn remove(&mut self, index: u32, capabilities: &[CapabilityId]) {
        let Some(state) = self.states.get_mut(index as usize) else { return };
        // A mark that is left finds no worker; a timer that is left finds no state with its time.
        state.timer = f64::INFINITY;
        let before = *state;
        state.class = Class::NONE;
        self.take_out(before, capabilities);
    }

    /// Starts anew, after every index has changed.
    pub(super) fn rebuild(&mut self, table: &Table) {
        *self = Self::new(self.config, table);
    }

    /// Brings the order up to date.
    pub(super) fn advance(&mut self, now: f64, table: &Table, interner: &Interner) {
        if now < self.now {
            // The clock was set back, which may make workers healthier.
            self.mark_all(table);
        }
        self.now = now;
        while let Some(&Reverse((Time(at), index))) = self.timers.peek() {
            if at >= now {
                break;
            }
            self.timers.pop();
            if let Some(state) = self.states.get_mut(index as usize)
                && state.timer == at
            {
                state.timer = f64::INFINITY;
                self.mark(index);
            }
        }
        for index in std::mem::take(&mut self.dirty) {
            self.update(index, table, interner);
        }
    }

    /// Workers whose health was found to be another than the one in their record.
    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// Workers of these classes that have the capability (`None`: all), best first.
    pub(super) fn walk(
        &self,
        capability: Option<CapabilityId>,
        is_wanted: impl Fn(Class) -> bool,
    ) -> Walk<'_> {
        let sets = self.classes(capability).map_or(&[][..], |classes| &classes.0);
        let mut walk = Walk { heads: Vec::new() };
        for (number, set) in (0..).zip(sets) {
            let mut rest = set.iter();
            if is_wanted(Class(number))
                && let Some(&key) = rest.next()
            {
                walk.heads.push(Head { key, rest });
            }
        }
        walk
    }

    /// How many workers have the capability (`None`: all).
    pub(super) fn len(&self, capability: Option<CapabilityId>) -> usize {
        self.classes(capability).map_or(0, Classes::len)
    }

    fn classes(&self, capability: Option<CapabilityId>) -> Option<&Classes> {
        match capability {
            Some(capability) => self.by_capability.get(&capability),
            None => Some(&self.all),
        }
    }

    fn mark_all(&mut self, table: &Table) {
        for (index, _) in table.workers() {
            self.mark(index);
        }
    }

    fn update(&mut self, index: u32, table: &Table, interner: &Interner) {
        let Some(state) = self.states.get_mut(index as usize) else { return };
        state.is_dirty = false;
        let Some(record) = table.worker(index) else { return };
        let health = self.config.health(record, self.now);
        let priority = self.config.priority(record, health);
        let key = RankKey::new(priority, health, record.load.current_tasks, index);
        let class = Class::new(health, Availability::of(record));
        let timer = self.config.thresholds.end_of(health, record.last_heartbeat);
        if let Some(timer) = timer.filter(|timer| *timer < state.timer) {
            state.timer = timer;
            self.timers.push(Reverse((Time(timer), index)));
        }
        if health != record.stored_health {
            self.changed.push(index);
        }
        let before = *state;
        if before.key == key && before.class == class {
            return;
        }
        state.key = key;
        state.class = class;
        let capabilities = interner.ids(record.profile);
        self.take_out(before, capabilities);
        self.all.insert(class, key);
        for capability in capabilities {
            self.by_capability.entry(*capability).or_default().insert(class, key);
        }
    }

    fn take_out(&mut self, state: State, capabilities: &[CapabilityId]) {
        if state.class == Class::NONE {
            return;
        }
        self.all.remove(state.class, state.key);
        for capability in capabilities {
            let Some(classes) = self.by_capability.get_mut(capability) else { continue };
            classes.remove(state.class, state.key);
            if classes.len() == 0 {
                self.by_capability.remove(capability);
            }
        }
    }
}

/// The best of several ordered sets, again and again.
pub(super) struct Walk<'a> {
    heads: Vec<Head<'a>>,
}

struct Head<'a> {
    key: RankKey,
    rest: std::collections::btree_set::Iter<'a, RankKey>,
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (at, head) = self.heads.iter_mut().enumerate().min_by_key(|(_, head)| head.key)?;
        let index = head.key.index();
        match head.rest.next() {
            Some(&key) => head.key = key,
            None => drop(self.heads.swap_remove(at)),
        }
        Some(index)
    }
}
