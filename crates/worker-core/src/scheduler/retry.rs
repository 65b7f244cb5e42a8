//! When a failed attempt is repeated, and the tasks that wait for that.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use super::task::TaskKey;

/// The doubling of a delay stops after this many retries; the limit is reached long before.
const MOST_DOUBLINGS: u32 = 64;

/// Which failures are repeated, and after how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The longest delay in milliseconds.
    pub max_delay: f64,
    /// The share by which a delay may be longer or shorter, 0 to 1.
    pub jitter: f64,
    /// Repeat after an error of the task.
    pub on_error: bool,
    /// Repeat after a timeout.
    pub on_timeout: bool,
    /// Repeat after the loss of the slot.
    pub on_crash: bool,
}

impl RetryPolicy {
    /// Milliseconds before retry `attempt`, counted from 1. `random` is in 0..1.
    pub(super) fn delay(&self, first: f64, attempt: u32, random: f64) -> f64 {
        let doublings = attempt.saturating_sub(1).min(MOST_DOUBLINGS);
        let delay = (first * 2_f64.powi(doublings as i32)).min(self.max_delay);
        delay * (1.0 + self.jitter * (2.0 * random - 1.0))
    }
}

/// A generator of random numbers that is good enough to spread retries (xorshift64*).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number in 0..1.
    pub(super) fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

/// A task that becomes ready at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delayed {
    pub(super) due: f64,
    pub(super) task: TaskKey,
    /// Tells this wait from an earlier one of the same place in the table.
    pub(super) ticket: u64,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.total_cmp(&other.due).then(self.ticket.cmp(&other.ticket))
    }
}

/// The delayed tasks, the earliest first.
#[derive(Default)]
pub(super) struct DelayQueue {
    heap: BinaryHeap<Reverse<Delayed>>,
    /// Tickets that count: those of tasks that are still delayed.
    tickets: std::collections::HashMap<u32, u64>,
    next_ticket: u64,
}

impl DelayQueue {
    pub(super) fn push(&mut self, due: f64, task: TaskKey) {
        self.next_ticket += 1;
        self.tickets.insert(task.0, self.next_ticket);
        self.heap.push(Reverse(Delayed { due, task, ticket: self.next_ticket }));
    }

    pub(super) fn cancel(&mut self, task: TaskKey) {
        self.tickets.remove(&task.0);
    }

    /// When the next task becomes ready; infinite: none is delayed.
    pub(super) fn next_due(&mut self) -> f64 {
        self.drop_cancelled();
        self.heap.peek().map_or(f64::INFINITY, |Reverse(delayed)| delayed.due)
    }

    /// The next task that has become ready.
    pub(super) fn pop_due(&mut self, now: f64) -> Option<TaskKey> {
        if self.next_due() > now {
            return None;
        }
        let Reverse(delayed) = self.heap.pop()?;
        self.tickets.remove(&delayed.task.0);
        Some(delayed.task)
    }

    fn drop_cancelled(&mut self) {
        while let Some(Reverse(delayed)) = self.heap.peek()
            && self.tickets.get(&delayed.task.0) != Some(&delayed.ticket)
        {
            self.heap.pop();
        }
    }
}
