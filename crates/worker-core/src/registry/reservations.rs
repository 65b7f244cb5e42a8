//! Slots that a dispatcher holds: for as long as it likes, or with a lease.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Filter, NotFound, Reservation, Store, store::RankingId, table::Time};

/// How a reservation is to be named, and for how long it lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseRequest {
    /// Makes the token unique; without `/`.
    pub nonce: String,
    /// Milliseconds.
    pub duration: f64,
    /// Who holds the slots.
    pub owner: Option<String>,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// What it is renewed and released by.
    pub token: String,
    /// When the slots are given back, in milliseconds since the Unix epoch.
    pub expires_at: f64,
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Release {
    /// Whether the task succeeded. `None`: no task is counted.
    pub is_success: Option<bool>,
    /// How long the task took, in milliseconds.
    pub duration: f64,
}

/// The id of the worker that a token belongs to.
fn worker_of(token: &str) -> Option<&str> {
    token.rsplit_once('/').map(|(worker, _)| worker)
}

impl Store {
    /// Reserves `count` slots of the best worker. Returns its index, which is good until the next
    /// change.
    pub fn acquire(
        &mut self,
        ranking: RankingId,
        filter: &Filter,
        count: f64,
        ttl: f64,
        now: f64,
    ) -> Option<u32> {
        let index = self.best_to_acquire(ranking, filter, count, now)?;
        self.table.worker_mut(index)?.load.add_tasks(count);
        self.changed_worker(index, now + ttl);
        Some(index)
    }

    /// As [`Store::acquire`], but the slots are given back when the lease is over.
    pub fn acquire_lease(
        &mut self,
        ranking: RankingId,
        filter: &Filter,
        count: f64,
        request: LeaseRequest,
        ttl: f64,
        now: f64,
    ) -> Option<(u32, Lease)> {
        let index = self.best_to_acquire(ranking, filter, count, now)?;
        let record = self.table.worker_mut(index)?;
        let expires_at = now + request.duration;
        let token = [record.id(), "/", &request.nonce].concat();
        record.load.add_tasks(count);
        record.reservations_mut().push(Reservation {
            token: token.clone(),
            count,
            expires_at,
            lease: request.duration,
            owner: request.owner,
        });
        self.set_reservation_timer(expires_at, &token);
        self.changed_worker(index, now + ttl);
        Some((index, Lease { token, expires_at }))
    }

    /// Lets a reservation last for another `duration` milliseconds from now on; `None`: for as long as
    /// at first. Returns its end.
    ///
    /// # Errors
    /// The reservation has ended.
    pub fn renew(
        &mut self,
        token: &str,
        duration: Option<f64>,
        ttl: f64,
        now: f64,
    ) -> Result<f64, NotFound> {
        self.expire_reservations(now);
        let index = self.find_worker(worker_of(token).ok_or(NotFound)?, now)?;
        let record = self.table.worker_mut(index).ok_or(NotFound)?;
        if !record.holds(token) {
            return Err(NotFound);
        }
        let mut expires_at = now;
        let mut is_earlier = false;
        for held in record.reservations_mut().iter_mut().filter(|held| held.token == token) {
            expires_at = now + duration.unwrap_or(held.lease);
            is_earlier = expires_at < held.expires_at;
            held.expires_at = expires_at;
        }
        if is_earlier {
            self.set_reservation_timer(expires_at, token);
        }
        self.changed_worker(index, now + ttl);
        Ok(expires_at)
    }

    /// Ends a reservation. Returns false, and changes nothing, if it has ended.
    pub fn release(&mut self, token: &str, release: Release, ttl: f64, now: f64) -> bool {
        self.expire_reservations(now);
        let Some(id) = worker_of(token) else { return false };
        let Ok(index) = self.find_worker(id, now) else { return false };
        let Some(record) = self.table.worker_mut(index) else { return false };
        let found = record.reservations().iter().position(|held| held.token == token);
        let Some(found) = found else { return false };
        let reservation = record.reservations_mut().remove(found);
        record.load.add_tasks(-reservation.count);
        if let Some(is_success) = release.is_success {
            record.load.complete(is_success, release.duration);
        }
        self.changed_worker(index, now + ttl);
        true
    }

    /// Gives the slots of ended reservations back.
    pub(super) fn expire_reservations(&mut self, now: f64) {
        self.expire(now);
        while let Some(token) = self.reservation_timers.pop_due(now) {
            self.end_if_over(&token, now);
        }
    }

    /// Every reservation must have a timer, not later than its end.
    pub(super) fn set_reservation_timer(&mut self, at: f64, token: &str) {
        if self.reservation_timers.has_many() {
            let live = self.table.workers().flat_map(|(_, record)| record.reservations());
            let live = live.map(|held| (Time(held.expires_at), Box::from(&*held.token)));
            self.reservation_timers = ReservationTimers::new(live);
        }
        self.reservation_timers.push(at, token);
    }

    fn end_if_over(&mut self, token: &str, now: f64) {
        let Some(index) = worker_of(token).and_then(|id| self.table.find_worker(id)) else {
            return;
        };
        let Some(record) = self.table.worker_mut(index) else { return };
        let held = record.reservations();
        let Some(found) = held.iter().position(|held| held.token == token) else { return };
        let Some(expires_at) = held.get(found).map(|held| held.expires_at) else { return };
        if expires_at > now {
            // It was renewed.
            self.set_reservation_timer(expires_at, token);
            return;
        }
        let ended = record.reservations_mut().remove(found);
        record.load.add_tasks(-ended.count);
        record.forget_json();
        self.changed(index);
    }
}

/// The ends of reservations, with those of some that have ended otherwise.
pub(super) struct ReservationTimers {
    heap: BinaryHeap<Reverse<(Time, Box<str>)>>,
    many: usize,
}

impl Default for ReservationTimers {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl ReservationTimers {
    fn new(timers: impl Iterator<Item = (Time, Box<str>)>) -> Self {
        let heap: BinaryHeap<_> = timers.map(Reverse).collect();
        Self { many: 2 * heap.len() + 1_024, heap }
    }

    /// So many that most may be of reservations that have ended.
    fn has_many(&self) -> bool {
        self.heap.len() > self.many
    }

    fn push(&mut self, at: f64, token: &str) {
        self.heap.push(Reverse((Time(at), token.into())));
    }

    fn pop_due(&mut self, now: f64) -> Option<Box<str>> {
        let Reverse((Time(at), _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, token))| token)
    }
}
