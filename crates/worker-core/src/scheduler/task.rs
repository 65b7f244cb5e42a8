//! One task as the scheduler keeps it.

use super::SlotId;

/// A task's place in the scheduler's table. Used again some time after the task has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey(pub u32);

/// What a task needs and a slot offers: tasks of one lane can be run by the same slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub u8);

impl Lane {
    /// Lanes are numbered below this.
    pub const COUNT: usize = 8;
}

/// How urgent a task is. A task of a higher level always runs first, unless aging lifts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Levels that there are.
    pub const LEVELS: usize = 4;
    /// The most urgent level.
    pub const CRITICAL: Self = Self(3);

    /// The level of this number, 0 (low) to 3 (critical); a larger number is critical.
    pub fn new(level: u8) -> Self {
        Self(level.min(Self::CRITICAL.0))
    }

    /// The number of the level.
    pub fn level(self) -> u8 {
        self.0
    }
}

/// A task to be scheduled. `P` is what the embedder attaches to it.
#[derive(Debug)]
pub struct TaskSpec<P> {
    /// Which slots can run the task.
    pub lane: Lane,
    /// Its urgency.
    pub priority: Priority,
    /// Tasks of one level take turns between these keys. Tasks with the same key keep their order.
    pub fairness_key: u32,
    /// Milliseconds that one attempt may run; infinite: no limit.
    pub timeout: f64,
    /// Attempts after the first one.
    pub max_retries: u32,
    /// Milliseconds before the first retry; each further one waits twice as long.
    pub retry_delay: f64,
    /// Unsettled tasks that have to complete first.
    pub dependencies: Vec<TaskKey>,
    /// A dependency has failed before the task was submitted, so the task fails at once.
    pub has_failed_dependency: bool,
    /// What the embedder attaches.
    pub payload: P,
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for this many dependencies.
    Blocked(u32),
    /// Waits for a slot.
    Ready,
    /// Waits for its next attempt.
    Delayed,
    Running(SlotId),
    /// Has its outcome. The entry stays until the embedder has taken note.
    Settled,
}

/// No entry, in a link of a list.
pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Entry<P> {
    pub(super) payload: P,
    pub(super) timeout: f64,
    pub(super) retry_delay: f64,
    /// When the task became ready, in milliseconds.
    pub(super) ready_at: f64,
    pub(super) stage: Stage,
    /// Tells the task from earlier ones at its place in the table.
    pub(super) ticket: u32,
    pub(super) max_retries: u32,
    pub(super) retry_count: u32,
    pub(super) fairness_key: u32,
    /// Neighbours in the list of ready tasks.
    pub(super) previous: u32,
    pub(super) next: u32,
    pub(super) lane: Lane,
    pub(super) priority: Priority,
    pub(super) has_dependents: bool,
    /// The embedder wants the running task to end.
    pub(super) is_cancelling: bool,
}

impl<P> Entry<P> {
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Blocked(_) | Stage::Ready | Stage::Delayed)
    }
}
