//! What goes in and out of the scheduler beside tasks: rules, outcomes, actions.

use super::{Order, RetryPolicy, SlotId, TaskKey};

/// Rules that hold for all tasks. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Order within a level and fairness key.
    pub order: Order,
    /// A task that has waited this long counts one priority level more; 0: never.
    pub aging: f64,
    /// When attempts are repeated.
    pub retry: RetryPolicy,
    /// Most tasks that may be pending.
    pub max_pending: usize,
    /// Run a task whose dependency failed, instead of failing it.
    pub run_after_failed_dependency: bool,
    /// A slot that has finished this many tasks is recycled when nothing is ready; 0: never.
    pub recycle_when_idle_after: u32,
    /// A slot that has finished this many tasks is recycled at once; 0: never.
    pub recycle_after: u32,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The task reported an error.
    Error,
    /// The attempt ran for too long.
    Timeout,
    /// The slot was lost.
    Crash,
}

/// How an attempt ended, as its slot reports it. `R` is the embedder's result or error.
#[derive(Debug)]
pub enum Outcome<R> {
    /// The task is done.
    Completed(R),
    /// The attempt failed.
    Failed {
        /// What the embedder says about the failure.
        error: R,
        /// The task must not be repeated.
        is_final: bool,
    },
}

/// An attempt that follows a failed one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Number of the retry, from 1.
    pub attempt: u32,
    /// Milliseconds until the task is ready again.
    pub delay: f64,
}

/// What has happened. Times are in milliseconds.
#[derive(Debug)]
pub enum Action<R> {
    /// A slot took a task.
    Assigned {
        /// The task.
        task: TaskKey,
        /// The slot that runs it.
        slot: SlotId,
        /// When.
        at: f64,
    },
    /// A running task reported progress.
    Progress {
        /// The task.
        task: TaskKey,
        /// The slot that runs it.
        slot: SlotId,
        /// The latest value reported.
        value: f64,
    },
    /// A task is done.
    Completed {
        /// The task.
        task: TaskKey,
        /// The slot that ran it.
        slot: SlotId,
        /// When.
        at: f64,
        /// What it returned.
        result: R,
    },
    /// An attempt failed.
    Failed {
        /// The task.
        task: TaskKey,
        /// The slot that ran it.
        slot: SlotId,
        /// When.
        at: f64,
        /// Why.
        failure: Failure,
        /// What the task reported; absent after a timeout or a crash.
        error: Option<R>,
        /// The next attempt; absent: the task has failed for good.
        retry: Option<Retry>,
    },
    /// A running task was cancelled.
    Cancelled {
        /// The task.
        task: TaskKey,
        /// The slot that ran it.
        slot: SlotId,
        /// When.
        at: f64,
        /// How its attempt ended. After a timeout or a crash the slot is gone.
        failure: Failure,
    },
    /// A task failed without an attempt, since a dependency did not complete.
    DependencyFailed {
        /// The task.
        task: TaskKey,
    },
    /// A slot has finished its share of tasks and takes no more.
    Recycle {
        /// The slot.
        slot: SlotId,
    },
}

/// How the slots of some lanes are used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SlotLoad {
    /// Slots that are not retired.
    pub live: usize,
    /// Those with a task.
    pub busy: usize,
    /// The started slot that has been without a task for the longest time, and since when.
    pub longest_idle: Option<(SlotId, f64)>,
}

/// What came of a request to cancel a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The task was pending and is cancelled.
    Cancelled,
    /// The task runs on this slot. It is cancelled unless it completes: when it reports an error,
    /// or when the slot is lost.
    Running(SlotId),
    /// The task has its outcome already, or there is no such task.
    TooLate,
}

/// What a slot gets when it asks for a task.
#[derive(Debug)]
pub enum Next<'a, P> {
    /// Run this task.
    Run {
        /// The task.
        task: TaskKey,
        /// Retries so far.
        retry_count: u32,
        /// Milliseconds the attempt may run; infinite: no limit.
        timeout: f64,
        /// What the embedder attached to the task.
        payload: &'a P,
    },
    /// Nothing now. The slot is waiting; [`Scheduler::slots_to_wake`](super::Scheduler::slots_to_wake) will name it.
    Wait,
    /// The slot gets no further task.
    Stop,
}
