//! The embedded store: keys and values with times to live, workers among them.

use std::collections::BTreeSet;

use slab::Slab;

use super::{
    EVENT_PREFIX, EVENT_TTL, InvalidRecord, KeyChange, Pattern, StoreEvent, UnregisterReason,
    WORKER_PREFIX, WorkerData,
    interner::Interner,
    journal::Journal,
    ranking::{Ranking, RankingConfig},
    record::WorkerRecord,
    reservations::ReservationTimers,
    table::{Entry, Table, Value},
};

/// For whom an order of the workers is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RankingId(pub u32);

struct Attached {
    ranking: Ranking,
    users: usize,
}

/// After a gap in which nobody looked, no worker expires for some time.
#[derive(Clone, Copy)]
struct OutageGuard {
    /// The shortest gap between two calls that counts as an outage.
    gap: f64,
    /// How long workers have to show themselves.
    grace: f64,
}

/// The embedded store of a registry. Not thread-safe; nothing in it blocks.
#[derive(Default)]
pub struct Store {
    /// Records of workers. Apart from the other values, so that these leave no gaps in what is kept for
    /// each worker.
    pub(super) table: Table,
    /// All other values, those under keys of workers that are no records among them.
    texts: Table,
    pub(super) interner: Interner,
    rankings: Slab<Attached>,
    /// Keys of workers whose value is no record.
    corrupt: BTreeSet<Box<str>>,
    pub(super) reservation_timers: ReservationTimers,
    events: Vec<StoreEvent>,
    is_watched: bool,
    journal: Option<Journal>,
    outage_guard: Option<OutageGuard>,
    guarded_until: f64,
    /// Entries are from a journal, so nobody has looked for an unknown time.
    is_restored: bool,
    now: f64,
}

impl Store {
    /// Sets a value. It expires when more than `ttl` milliseconds have passed; infinite: never.
    pub fn set(&mut self, key: &str, value: &str, ttl: f64, now: f64) {
        self.expire(now);
        self.put(key, value, now + ttl);
    }

    /// A value.
    pub fn get(&mut self, key: &str, now: f64) -> Option<String> {
        self.expire(now);
        self.entry(key).map(|entry| self.text_of(entry))
    }

    /// Forgets a value. Returns whether there was one.
    pub fn delete(&mut self, key: &str, now: f64) -> bool {
        self.expire(now);
        self.remove_key(key)
    }

    /// Sets a value if the present one is `expected` (`None`: there is none). Returns whether it was.
    pub fn compare_and_set(
        &mut self,
        key: &str,
        expected: Option<&str>,
        value: &str,
        ttl: f64,
        now: f64,
    ) -> bool {
        let is_expected = self.get(key, now).as_deref() == expected;
        if is_expected {
            self.put(key, value, now + ttl);
        }
        is_expected
    }

    /// The keys that start with `prefix`: those of workers, then the others, each in the order in which
    /// they were first set.
    pub fn list(&mut self, prefix: &str, now: f64) -> Vec<String> {
        self.expire(now);
        self.entries().filter(|entry| entry.starts_with(prefix)).map(Entry::to_key).collect()
    }

    /// The keys that match, with their values.
    pub fn search(&mut self, pattern: &Pattern, now: f64) -> Vec<(String, String)> {
        self.expire(now);
        self.entries()
            .filter(|entry| entry.starts_with(pattern.prefix()))
            .map(|entry| (entry.to_key(), entry))
            .filter(|(key, _)| pattern.matches(key))
            .map(|(key, entry)| (key, self.text_of(entry)))
            .collect()
    }

    /// Whether a new key would be one too many.
    pub fn is_full_for(&mut self, key: &str, max_keys: usize, now: f64) -> bool {
        self.expire(now);
        self.table.len() + self.texts.len() >= max_keys && self.entry(key).is_none()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.table.clear();
        self.texts.clear();
        self.interner = Interner::default();
        self.corrupt.clear();
        self.reservation_timers = ReservationTimers::default();
        self.rebuild_rankings();
        if let Some(journal) = &mut self.journal {
            journal.clear();
        }
    }

    /// How many keys there are.
    pub fn len(&mut self, now: f64) -> usize {
        self.expire(now);
        self.table.len() + self.texts.len()
    }

    /// The earliest moment at which a key may expire.
    #[must_use]
    pub fn next_expiry(&self) -> Option<f64> {
        let timers = self.table.next_timer().into_iter().chain(self.texts.next_timer());
        timers.min_by(f64::total_cmp)
    }

    /// Whether changes of keys are events.
    pub fn watch(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    /// Takes what happened since the last call.
    pub fn take_events(&mut self) -> Vec<StoreEvent> {
        std::mem::take(&mut self.events)
    }

    /// Whether [`Store::take_events`] has something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Keys of workers whose value is no record, with what is wrong with it.
    pub fn corrupt(&self) -> impl Iterator<Item = (&str, InvalidRecord)> {
        self.corrupt.iter().filter_map(|key| {
            let entry = self.texts.get(self.texts.find(key)?)?;
            let Value::Text { text, .. } = &entry.value else { return None };
            let id = key.strip_prefix(WORKER_PREFIX)?;
            Some((&**key, WorkerData::parse(id, text).err()?))
        })
    }

    /// Whether [`Store::corrupt`] has something.
    #[must_use]
    pub fn has_corrupt(&self) -> bool {
        !self.corrupt.is_empty()
    }

    /// Keeps the workers in this order, until [`Store::detach`].
    pub fn attach(&mut self, config: RankingConfig) -> RankingId {
        let same = self.rankings.iter_mut().find(|(_, other)| other.ranking.config == config);
        if let Some((id, attached)) = same {
            attached.users += 1;
            return RankingId(id as u32);
        }
        let ranking = Ranking::new(config, &self.table);
        RankingId(self.rankings.insert(Attached { ranking, users: 1 }) as u32)
    }

    /// Ends what [`Store::attach`] began.
    pub fn detach(&mut self, id: RankingId) {
        let Some(attached) = self.rankings.get_mut(id.0 as usize) else { return };
        attached.users -= 1;
        if attached.users == 0 {
            self.rankings.remove(id.0 as usize);
        }
    }

    /// Expects a call at least every `interval` milliseconds. After a much longer gap, in which the
    /// process or its machine was stopped, workers get `grace` milliseconds to send a heartbeat before
    /// they expire. So they do when the store has just been restored from a journal. `None`: calls may
    /// come at any time.
    pub fn expect_calls(&mut self, interval_and_grace: Option<(f64, f64)>, now: f64) {
        // A gap of some seconds is a busy process.
        const TOLERANCE: f64 = 5_000.0;
        self.outage_guard = interval_and_grace
            .map(|(interval, grace)| OutageGuard { gap: 2.0 * interval + TOLERANCE, grace });
        if let Some((_, grace)) = interval_and_grace
            && std::mem::take(&mut self.is_restored)
        {
            self.now = now;
            self.postpone_expiry(now + grace);
        }
    }

    /// Writes down every change from now on, and for a start all that there is.
    pub fn start_journal(&mut self) {
        self.journal = Some(Journal::default());
        self.write_snapshot();
    }

    /// Takes the lines that were written since the last call.
    pub fn take_journal(&mut self) -> Vec<u8> {
        self.journal.as_mut().map(Journal::take).unwrap_or_default()
    }

    /// Replaces the lines not yet taken by all that there is.
    pub fn write_snapshot(&mut self) {
        let Some(mut journal) = self.journal.take() else { return };
        drop(journal.take());
        for entry in self.entries() {
            journal.set(&entry.to_key(), &self.text_of(entry), entry.expires_at);
        }
        self.journal = Some(journal);
    }

    pub(super) fn is_guarded(&self, now: f64) -> bool {
        now < self.guarded_until
    }

    pub(super) fn ranking(&self, id: RankingId) -> Option<&Ranking> {
        self.rankings.get(id.0 as usize).map(|attached| &attached.ranking)
    }

    pub(super) fn ranking_mut(&mut self, id: RankingId) -> Option<&mut Ranking> {
        self.rankings.get_mut(id.0 as usize).map(|attached| &mut attached.ranking)
    }

    /// Gives slots of ended reservations back and puts the workers in order.
    pub(super) fn bring_up_to_date(&mut self, id: RankingId, now: f64) {
        self.expire(now);
        self.expire_reservations(now);
        if let Some(attached) = self.rankings.get_mut(id.0 as usize) {
            attached.ranking.advance(now, &self.table, &self.interner);
        }
    }

    /// Removes what has expired. Every call does this first.
    pub(super) fn expire(&mut self, now: f64) {
        let gap = now - std::mem::replace(&mut self.now, now);
        if let Some(guard) = self.outage_guard
            && gap > guard.gap
        {
            self.postpone_expiry(now + guard.grace);
        }
        while let Some(index) = self.texts.next_expired(now) {
            self.remove_text(index, KeyChange::Expire);
        }
        while let Some(index) = self.table.next_expired(now) {
            let worker = self.table.worker(index).map(|record| Box::from(record.id()));
            self.remove(index, KeyChange::Expire);
            if let Some(worker) = worker {
                self.announce_unregistered(worker, UnregisterReason::Ttl, now);
            }
        }
    }

    pub(super) fn emit(&mut self, event: StoreEvent) {
        self.events.push(event);
    }

    pub(super) fn announce_unregistered(
        &mut self,
        worker: Box<str>,
        reason: UnregisterReason,
        now: f64,
    ) {
        self.put_event("worker-unregistered", &super::operations::gone_event(&worker, now), now);
        self.emit(StoreEvent::Unregistered { worker, reason });
    }

    /// Stores an event under a key that is not taken.
    pub(super) fn put_event(&mut self, kind: &str, json: &str, now: f64) {
        let first = format!("{EVENT_PREFIX}{kind}/{now}");
        let mut key = first.clone();
        let mut clashes = 0;
        while self.texts.find(&key).is_some() {
            clashes += 1;
            key = format!("{first}-{clashes}");
        }
        self.put(&key, json, now + EVENT_TTL);
    }

    /// Adds a record whose id is not taken.
    pub(super) fn add_worker(&mut self, data: WorkerData, expires_at: f64) -> u32 {
        let record = WorkerRecord::new(data, &mut self.interner);
        let index = self.table.insert(Entry { value: Value::Worker(record), expires_at });
        self.changed(index);
        index
    }

    /// To be called after a change of a worker: renews its end and forgets what depends on it.
    pub(super) fn changed_worker(&mut self, index: u32, expires_at: f64) {
        self.table.set_expiry(index, expires_at);
        if let Some(record) = self.table.worker_mut(index) {
            record.forget_json();
        }
        self.changed(index);
    }

    pub(super) fn changed(&mut self, index: u32) {
        for (_, attached) in &mut self.rankings {
            attached.ranking.mark(index);
        }
        if self.is_observed()
            && let Some(entry) = self.table.get(index)
        {
            let (key, text, end) = (entry.to_key(), self.text_of(entry), entry.expires_at);
            self.tell_set(&key, &text, end);
        }
    }

    /// Removes a worker.
    pub(super) fn remove(&mut self, index: u32, change: KeyChange) {
        let Some(entry) = self.table.remove(index) else { return };
        if let Value::Worker(record) = &entry.value {
            self.forget_record(index, record);
        }
        self.tell_removed(&entry, change);
        if self.table.compact() {
            self.rebuild_rankings();
        }
    }

    /// Removes whatever is under the key of this worker. Returns whether there was something.
    pub(super) fn remove_worker(&mut self, id: &str) -> bool {
        match self.table.find_worker(id) {
            Some(index) => {
                self.remove(index, KeyChange::Delete);
                true
            }
            None => self.texts.find_worker(id).is_some_and(|index| {
                self.remove_text(index, KeyChange::Delete);
                true
            }),
        }
    }

    fn remove_key(&mut self, key: &str) -> bool {
        if let Some(id) = key.strip_prefix(WORKER_PREFIX) {
            return self.remove_worker(id);
        }
        let found = self.texts.find(key);
        if let Some(index) = found {
            self.remove_text(index, KeyChange::Delete);
        }
        found.is_some()
    }

    fn remove_text(&mut self, index: u32, change: KeyChange) {
        let Some(entry) = self.texts.remove(index) else { return };
        if let Value::Text { key, .. } = &entry.value {
            self.corrupt.remove(key);
        }
        self.tell_removed(&entry, change);
        self.texts.compact();
    }

    fn is_observed(&self) -> bool {
        self.is_watched || self.journal.is_some()
    }

    fn tell_set(&mut self, key: &str, text: &str, expires_at: f64) {
        if let Some(journal) = &mut self.journal {
            journal.set(key, text, expires_at);
        }
        if self.is_watched {
            self.emit(StoreEvent::Key { change: KeyChange::Set, key: key.into() });
        }
    }

    fn tell_removed(&mut self, entry: &Entry, change: KeyChange) {
        if !self.is_observed() {
            return;
        }
        let key = entry.to_key();
        if let Some(journal) = &mut self.journal {
            journal.delete(&key);
        }
        if self.is_watched {
            self.emit(StoreEvent::Key { change, key: key.into() });
        }
    }

    /// Restores an entry that a journal has. Nothing expires meanwhile.
    pub(super) fn restore(&mut self, key: &str, value: &str, expires_at: f64) {
        self.is_restored = true;
        self.put(key, value, expires_at);
    }

    /// Removes an entry as a journal says.
    pub(super) fn restore_removal(&mut self, key: &str) {
        self.remove_key(key);
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        let worker = self.table.find(key).and_then(|index| self.table.get(index));
        worker.or_else(|| self.texts.get(self.texts.find(key)?))
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter().chain(self.texts.iter()).map(|(_, entry)| entry)
    }

    fn put(&mut self, key: &str, value: &str, expires_at: f64) {
        match self.parse(key, value) {
            parsed @ Value::Worker(_) => self.put_worker(key, parsed, expires_at),
            parsed @ Value::Text { .. } => self.put_text(key, parsed, value, expires_at),
        }
    }

    fn put_worker(&mut self, key: &str, value: Value, expires_at: f64) {
        // It may have been no record before.
        if let Some(index) = self.texts.find(key) {
            self.texts.remove(index);
        }
        let index = match self.table.find(key) {
            Some(index) => {
                self.replace(index, value);
                self.table.set_expiry(index, expires_at);
                index
            }
            None => self.table.insert(Entry { value, expires_at }),
        };
        self.changed(index);
    }

    fn put_text(&mut self, key: &str, value: Value, text: &str, expires_at: f64) {
        // It may have been a record before.
        if let Some(index) = self.table.find(key)
            && let Some(Entry { value: Value::Worker(record), .. }) = self.table.remove(index)
        {
            self.forget_record(index, &record);
        }
        match self.texts.find(key) {
            Some(index) => {
                if let Some(entry) = self.texts.get_mut(index) {
                    entry.value = value;
                }
                self.texts.set_expiry(index, expires_at);
            }
            None => {
                self.texts.insert(Entry { value, expires_at });
            }
        }
        self.tell_set(key, text, expires_at);
    }

    fn parse(&mut self, key: &str, value: &str) -> Value {
        if let Some(id) = key.strip_prefix(WORKER_PREFIX) {
            if let Ok(data) = WorkerData::parse(id, value) {
                self.corrupt.remove(key);
                let is_own_form = data.to_json() == value;
                for held in &data.reservations {
                    self.set_reservation_timer(held.expires_at, &held.token);
                }
                let mut record = WorkerRecord::new(data, &mut self.interner);
                if !is_own_form {
                    record.keep_json(value.into());
                }
                return Value::Worker(record);
            }
            self.corrupt.insert(key.into());
        }
        Value::Text { key: key.into(), text: value.into() }
    }

    fn replace(&mut self, index: u32, value: Value) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let before = std::mem::replace(&mut entry.value, value);
        if let Value::Worker(record) = before {
            self.forget_record(index, &record);
        }
    }

    fn forget_record(&mut self, index: u32, record: &WorkerRecord) {
        let capabilities = self.interner.ids(record.profile);
        for (_, attached) in &mut self.rankings {
            attached.ranking.remove(index, capabilities);
        }
        self.interner.release(record.profile);
    }

    fn text_of(&self, entry: &Entry) -> String {
        match &entry.value {
            Value::Worker(record) => record.to_json(&self.interner),
            Value::Text { text, .. } => text.to_string(),
        }
    }

    fn postpone_expiry(&mut self, until: f64) {
        self.guarded_until = until;
        let early: Vec<u32> = self
            .table
            .iter()
            .filter(|(_, entry)| entry.expires_at < until)
            .map(|(index, _)| index)
            .collect();
        for index in early {
            self.table.set_expiry(index, until);
        }
    }

    fn rebuild_rankings(&mut self) {
        for (_, attached) in &mut self.rankings {
            attached.ranking.rebuild(&self.table);
        }
    }
}
