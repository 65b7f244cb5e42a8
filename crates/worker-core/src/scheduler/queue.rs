//! The ready tasks of one lane: a list per priority level and fairness key.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

use super::task::{Entry, NONE, Priority};

/// In which order tasks of one level and one fairness key run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// First in, first out.
    #[default]
    Fifo,
    /// Last in, first out.
    Lifo,
}

/// A doubly linked list through the entries of the task table.
struct List {
    head: u32,
    tail: u32,
}

#[derive(Default)]
struct Level {
    lists: HashMap<u32, List>,
    /// The fairness keys that have tasks, the next one to be served first.
    turns: VecDeque<u32>,
}

/// The ready tasks of one lane.
#[derive(Default)]
pub(super) struct ReadyQueue {
    levels: [Level; Priority::LEVELS],
    len: usize,
}

impl ReadyQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a task behind all others of its level and key.
    pub(super) fn push<P>(&mut self, tasks: &mut Slab<Entry<P>>, key: u32) {
        let Some(entry) = tasks.get_mut(key as usize) else { return };
        let Some(level) = self.levels.get_mut(usize::from(entry.priority.level())) else { return };
        let fairness_key = entry.fairness_key;
        let list = level.lists.entry(fairness_key).or_insert_with(|| {
            level.turns.push_back(fairness_key);
            List { head: NONE, tail: NONE }
        });
        entry.previous = list.tail;
        entry.next = NONE;
        let tail = std::mem::replace(&mut list.tail, key);
        match tasks.get_mut(tail as usize) {
            Some(last) => last.next = key,
            None => list.head = key,
        }
        self.len += 1;
    }

    /// Takes a task out, wherever it is in its list.
    pub(super) fn remove<P>(&mut self, tasks: &mut Slab<Entry<P>>, key: u32) {
        let Some(entry) = tasks.get(key as usize) else { return };
        let (previous, next) = (entry.previous, entry.next);
        let fairness_key = entry.fairness_key;
        let Some(level) = self.levels.get_mut(usize::from(entry.priority.level())) else { return };
        let Some(list) = level.lists.get_mut(&fairness_key) else { return };
        match tasks.get_mut(previous as usize) {
            Some(entry) => entry.next = next,
            None => list.head = next,
        }
        match tasks.get_mut(next as usize) {
            Some(entry) => entry.previous = previous,
            None => list.tail = previous,
        }
        if list.head == NONE {
            level.lists.remove(&fairness_key);
            level.turns.retain(|turn| *turn != fairness_key);
        }
        self.len -= 1;
    }

    /// The task that runs next, with its effective level and the time it became ready.
    pub(super) fn peek<P>(
        &self,
        tasks: &Slab<Entry<P>>,
        rules: &Rules,
        now: f64,
    ) -> Option<Candidate> {
        if self.len == 0 {
            return None;
        }
        let candidates = self.levels.iter().rev().filter_map(|level| {
            let list = level.lists.get(level.turns.front()?)?;
            let key = match rules.order {
                Order::Fifo => list.head,
                Order::Lifo => list.tail,
            };
            let entry = tasks.get(key as usize)?;
            let level = rules.effective_level(entry.priority, now - entry.ready_at);
            Some(Candidate { key, level, ready_at: entry.ready_at })
        });
        candidates.reduce(|best, other| if other.precedes(&best) { other } else { best })
    }

    /// Takes the next task out and gives the turn to the next fairness key.
    pub(super) fn take<P>(&mut self, tasks: &mut Slab<Entry<P>>, key: u32) {
        let Some(entry) = tasks.get(key as usize) else { return };
        if let Some(level) = self.levels.get_mut(usize::from(entry.priority.level())) {
            level.turns.rotate_left(usize::from(level.turns.len() > 1));
        }
        self.remove(tasks, key);
    }
}

/// How the next task is chosen.
pub(super) struct Rules {
    pub(super) order: Order,
    /// A task that has waited this many milliseconds counts one level more; 0: never.
    pub(super) aging: f64,
}

impl Rules {
    fn effective_level(&self, priority: Priority, waited: f64) -> u8 {
        if self.aging <= 0.0 {
            return priority.level();
        }
        let lifted = f64::from(priority.level()) + (waited / self.aging).max(0.0);
        // A conversion from f64 saturates.
        (lifted as u8).min(Priority::CRITICAL.level())
    }
}

/// A task that could run next.
pub(super) struct Candidate {
    pub(super) key: u32,
    level: u8,
    ready_at: f64,
}

impl Candidate {
    /// Whether this task runs before the other one: by level, then by the time of waiting.
    pub(super) fn precedes(&self, other: &Self) -> bool {
        self.level > other.level || (self.level == other.level && self.ready_at < other.ready_at)
    }
}
