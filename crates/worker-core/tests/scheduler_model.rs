//! The scheduler against a plain model: lists that are searched from one end to the other.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests outside of test functions"
)]

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use worker_core::scheduler::{
    Action, Cancellation, Failure, Lane, Lanes, Next, Order, Outcome, Policy, Priority,
    RetryPolicy, Scheduler, SlotId, TaskKey, TaskSpec,
};

const LANE: Lane = Lane(0);
const TIMEOUT: f64 = 50.0;
const RETRY_DELAY: f64 = 10.0;
const MAX_PENDING: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    Submit { priority: u8, fairness_key: u32, max_retries: u32, dependencies: Vec<usize> },
    AddSlot,
    Ask { slot: usize },
    Finish { slot: usize, is_completed: bool, is_final: bool },
    Cancel { task: usize },
    Lose { slot: usize },
    Wait { ms: u32 },
    Pause(bool),
    Take,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let submit = (0..4_u8, 0..3_u32, 0..3_u32, prop::collection::vec(0..40_usize, 0..3)).prop_map(
        |(priority, fairness_key, max_retries, dependencies)| Step::Submit {
            priority,
            fairness_key,
            max_retries,
            dependencies,
        },
    );
    let step = prop_oneof![
        6 => submit,
        1 => Just(Step::AddSlot),
        8 => (0..4_usize).prop_map(|slot| Step::Ask { slot }),
        6 => (0..4_usize, any::<bool>(), any::<bool>()).prop_map(
            |(slot, is_completed, is_final)| Step::Finish { slot, is_completed, is_final }
        ),
        2 => (0..40_usize).prop_map(|task| Step::Cancel { task }),
        1 => (0..4_usize).prop_map(|slot| Step::Lose { slot }),
        3 => (0..60_u32).prop_map(|ms| Step::Wait { ms }),
        1 => any::<bool>().prop_map(Step::Pause),
        4 => Just(Step::Take),
    ];
    prop::collection::vec(step, 1..150)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Blocked,
    Ready,
    /// Until a time; with how many tasks were delayed before.
    Delayed(f64, usize),
    Running {
        slot: SlotId,
        deadline: f64,
    },
    Completed,
    Failed,
    Cancelled,
}

impl State {
    fn is_settled(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    fn is_pending(self) -> bool {
        matches!(self, Self::Blocked | Self::Ready | Self::Delayed(..))
    }
}

#[derive(Clone, Debug)]
struct ModelTask {
    key: TaskKey,
    priority: u8,
    fairness_key: u32,
    retries_left: u32,
    retry_count: u32,
    unmet: Vec<usize>,
    state: State,
    is_cancelling: bool,
}

/// Tasks by the number of their submission.
#[derive(Default)]
struct Model {
    tasks: Vec<ModelTask>,
    /// Ready tasks in the order in which they became ready.
    ready: Vec<usize>,
    /// For each priority: fairness keys with ready tasks, the next one first.
    turns: BTreeMap<u8, VecDeque<u32>>,
    is_paused: bool,
    delays: usize,
}

impl Model {
    fn pending(&self) -> usize {
        self.tasks.iter().filter(|task| task.state.is_pending()).count()
    }

    fn make_ready(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        task.state = State::Ready;
        self.ready.push(number);
        let turns = self.turns.entry(task.priority).or_default();
        if !turns.contains(&task.fairness_key) {
            turns.push_back(task.fairness_key);
        }
    }

    fn remove_ready(&mut self, number: usize) {
        self.ready.retain(|other| *other != number);
        let (priority, key) = (self.tasks[number].priority, self.tasks[number].fairness_key);
        let is_last = !self.ready.iter().any(|other| {
            self.tasks[*other].priority == priority && self.tasks[*other].fairness_key == key
        });
        if is_last {
            self.turns.entry(priority).or_default().retain(|turn| *turn != key);
        }
    }

    fn next(&mut self) -> Option<usize> {
        if self.is_paused {
            return None;
        }
        let priority = self.ready.iter().map(|number| self.tasks[*number].priority).max()?;
        let turns = self.turns.entry(priority).or_default();
        let key = *turns.front()?;
        turns.rotate_left(1);
        let number = *self.ready.iter().find(|number| {
            let task = &self.tasks[**number];
            task.priority == priority && task.fairness_key == key
        })?;
        self.remove_ready(number);
        Some(number)
    }

    fn release_delayed(&mut self, now: f64) {
        let mut due: Vec<(f64, usize, usize)> = (0..self.tasks.len())
            .filter_map(|number| match self.tasks[number].state {
                State::Delayed(due, order) if due <= now => Some((due, order, number)),
                _ => None,
            })
            .collect();
        due.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        for (_, _, number) in due {
            self.make_ready(number);
        }
    }

    fn settle(&mut self, number: usize, state: State) {
        if self.tasks[number].state == State::Ready {
            self.remove_ready(number);
        }
        self.tasks[number].state = state;
        let dependents: Vec<usize> = (0..self.tasks.len())
            .filter(|other| {
                self.tasks[*other].state == State::Blocked
                    && self.tasks[*other].unmet.contains(&number)
            })
            .collect();
        for dependent in dependents {
            if state == State::Completed {
                self.tasks[dependent].unmet.retain(|other| *other != number);
                if self.tasks[dependent].unmet.is_empty() {
                    self.make_ready(dependent);
                }
            } else if self.tasks[dependent].state == State::Blocked {
                self.settle(dependent, State::Failed);
            }
        }
    }

    fn fail(&mut self, number: usize, now: f64) {
        let task = &mut self.tasks[number];
        if task.is_cancelling {
            self.settle(number, State::Cancelled);
        } else if task.retries_left > 0 {
            task.retries_left -= 1;
            let delay = RETRY_DELAY * 2_f64.powi(task.retry_count as i32);
            task.retry_count += 1;
            task.state = State::Delayed(now + delay, self.delays);
            self.delays += 1;
        } else {
            self.settle(number, State::Failed);
        }
    }

    fn running_on(&self, slot: SlotId) -> Option<usize> {
        self.tasks
            .iter()
            .position(|task| matches!(task.state, State::Running { slot: own, .. } if own == slot))
    }
}

fn policy() -> Policy {
    Policy {
        order: Order::Fifo,
        aging: 0.0,
        retry: RetryPolicy {
            max_delay: 1e9,
            jitter: 0.0,
            on_error: true,
            on_timeout: true,
            on_crash: true,
        },
        max_pending: MAX_PENDING,
        run_after_failed_dependency: false,
        recycle_when_idle_after: 0,
        recycle_after: 0,
    }
}

/// The scheduler and its model, which are told the same.
struct Pair {
    scheduler: Scheduler<usize, ()>,
    model: Model,
    slots: Vec<SlotId>,
    now: f64,
    /// Tasks whose outcome was told.
    told: Vec<usize>,
}

impl Pair {
    fn number_of(&self, key: TaskKey) -> usize {
        let untold = |number: &usize| !self.told.contains(number);
        (0..self.model.tasks.len())
            .filter(untold)
            .find(|number| self.model.tasks[*number].key == key)
            .expect("an action names a task that has no outcome yet")
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Submit { priority, fairness_key, max_retries, dependencies } => {
                self.submit(priority, fairness_key, max_retries, &dependencies);
            }
            Step::AddSlot => {
                if self.slots.len() < 4 {
                    self.slots.push(self.scheduler.add_slot(Lanes::only(LANE), true, self.now));
                }
            }
            Step::Ask { slot } => self.ask(slot),
            Step::Finish { slot, is_completed, is_final } => {
                self.finish(slot, is_completed, is_final);
            }
            Step::Cancel { task } => self.cancel(task),
            Step::Lose { slot } => {
                if slot < self.slots.len() {
                    let slot = self.slots.remove(slot);
                    self.scheduler.lose_slot(slot, self.now);
                    if let Some(number) = self.model.running_on(slot) {
                        self.model.fail(number, self.now);
                    }
                }
            }
            Step::Wait { ms } => self.wait(ms),
            Step::Pause(is_paused) => {
                self.scheduler.set_paused(is_paused);
                self.model.is_paused = is_paused;
            }
            Step::Take => self.take(),
        }
    }

    fn submit(
        &mut self,
        priority: u8,
        fairness_key: u32,
        max_retries: u32,
        dependencies: &[usize],
    ) {
        let number = self.model.tasks.len();
        let known: Vec<usize> = dependencies.iter().copied().filter(|d| *d < number).collect();
        let unmet: Vec<usize> =
            known.iter().copied().filter(|d| !self.model.tasks[*d].state.is_settled()).collect();
        let has_failed_dependency = known.iter().any(|dependency| {
            matches!(self.model.tasks[*dependency].state, State::Failed | State::Cancelled)
        });
        let key = self.scheduler.submit(
            TaskSpec {
                lane: LANE,
                priority: Priority::new(priority),
                fairness_key,
                timeout: TIMEOUT,
                max_retries,
                retry_delay: RETRY_DELAY,
                dependencies: unmet.iter().map(|d| self.model.tasks[*d].key).collect(),
                has_failed_dependency,
                payload: number,
            },
            self.now,
        );
        assert_eq!(key.is_none(), self.model.pending() >= MAX_PENDING);
        let Some(key) = key else { return };
        self.model.tasks.push(ModelTask {
            key,
            priority,
            fairness_key,
            retries_left: max_retries,
            retry_count: 0,
            unmet: unmet.clone(),
            state: State::Blocked,
            is_cancelling: false,
        });
        if has_failed_dependency {
            self.model.settle(number, State::Failed);
        } else if unmet.is_empty() {
            self.model.make_ready(number);
        }
    }

    fn ask(&mut self, slot: usize) {
        let Some(slot) = self.slots.get(slot).copied() else { return };
        if self.model.running_on(slot).is_some() {
            return;
        }
        self.model.release_delayed(self.now);
        let expected = self.model.next();
        let given = match self.scheduler.next_task(slot, self.now) {
            Next::Run { payload, retry_count, .. } => Some((*payload, retry_count)),
            Next::Wait => None,
            Next::Stop => panic!("a slot that was not retired has to stop"),
        };
        assert_eq!(given, expected.map(|number| (number, self.model.tasks[number].retry_count)));
        if let Some(number) = expected {
            self.model.tasks[number].state = State::Running { slot, deadline: self.now + TIMEOUT };
        }
    }

    fn finish(&mut self, slot: usize, is_completed: bool, is_final: bool) {
        let Some(slot) = self.slots.get(slot).copied() else { return };
        // An answer for another task, and a second one, change nothing.
        assert!(!self.scheduler.finish(slot, TaskKey(u32::MAX), Outcome::Completed(()), self.now));
        let Some(number) = self.model.running_on(slot) else { return };
        let key = self.model.tasks[number].key;
        let outcome = if is_completed {
            Outcome::Completed(())
        } else {
            Outcome::Failed { error: (), is_final }
        };
        assert!(self.scheduler.finish(slot, key, outcome, self.now));
        assert!(!self.scheduler.finish(slot, key, Outcome::Completed(()), self.now));
        if is_completed {
            self.model.settle(number, State::Completed);
            return;
        }
        if is_final {
            self.model.tasks[number].retries_left = 0;
        }
        self.model.fail(number, self.now);
    }

    fn cancel(&mut self, number: usize) {
        let Some(task) = self.model.tasks.get(number).cloned() else { return };
        // Its place may be another's by now.
        if self.told.contains(&number) {
            return;
        }
        let expected = match task.state {
            State::Running { slot, .. } => Cancellation::Running(slot),
            state if state.is_settled() => Cancellation::TooLate,
            _ => Cancellation::Cancelled,
        };
        assert_eq!(self.scheduler.cancel(task.key, self.now), expected);
        match expected {
            Cancellation::Cancelled => {
                self.told.push(number);
                self.model.settle(number, State::Cancelled);
            }
            Cancellation::Running(_) => self.model.tasks[number].is_cancelling = true,
            Cancellation::TooLate => {}
        }
    }

    fn wait(&mut self, ms: u32) {
        let due = self.scheduler.next_advance(self.now);
        self.now += f64::from(ms);
        self.scheduler.advance(self.now);
        self.model.release_delayed(self.now);
        let mut overdue: Vec<(f64, SlotId, usize)> = (0..self.model.tasks.len())
            .filter_map(|number| match self.model.tasks[number].state {
                State::Running { slot, deadline } if deadline <= self.now => {
                    Some((deadline, slot, number))
                }
                _ => None,
            })
            .collect();
        overdue.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        // Whatever has become due was announced.
        assert!(overdue.is_empty() || due <= self.now);
        for (_, slot, number) in overdue {
            self.slots.retain(|other| *other != slot);
            self.model.fail(number, self.now);
        }
    }

    fn take(&mut self) {
        self.scheduler.begin_batch();
        while let Some(action) = self.scheduler.next_action() {
            let (key, outcome) = match action {
                Action::Completed { task, .. } => (task, State::Completed),
                Action::Failed { task, retry: None, .. } | Action::DependencyFailed { task } => {
                    (task, State::Failed)
                }
                Action::Cancelled { task, .. } => (task, State::Cancelled),
                Action::Failed { failure: Failure::Error, error, .. } => {
                    assert!(error.is_some());
                    continue;
                }
                _ => continue,
            };
            let number = self.number_of(key);
            assert_eq!(self.model.tasks[number].state, outcome);
            self.told.push(number);
        }
    }

    fn check_counts(&mut self) {
        let count = |is_counted: fn(State) -> bool| {
            self.model.tasks.iter().filter(|task| is_counted(task.state)).count()
        };
        let expected = (
            self.model.pending(),
            count(|state| state == State::Blocked),
            self.model.ready.len(),
            count(|state| matches!(state, State::Running { .. })),
            count(|state| state == State::Completed) as u64,
            count(|state| state == State::Failed) as u64,
            count(|state| state == State::Cancelled) as u64,
        );
        let metrics = self.scheduler.metrics(self.now);
        assert_eq!(
            (
                metrics.pending,
                metrics.blocked,
                metrics.ready,
                metrics.running,
                metrics.completed,
                metrics.failed,
                metrics.cancelled,
            ),
            expected
        );
        for value in [
            metrics.mean_duration,
            metrics.mean_queue_time,
            metrics.throughput,
            metrics.duration.p50,
            metrics.duration.max,
        ] {
            assert!(value.is_finite() && value >= 0.0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decides_as_the_model(steps in steps()) {
        let mut pair = Pair {
            scheduler: Scheduler::new(policy(), 0.0, 1),
            model: Model::default(),
            slots: Vec::new(),
            now: 0.0,
            told: Vec::new(),
        };
        for step in steps {
            pair.apply(step);
            pair.check_counts();
        }
        pair.take();
        // Each task with an outcome was told of once.
        let settled = pair.model.tasks.iter().filter(|task| task.state.is_settled()).count();
        let mut told = pair.told.clone();
        told.sort_unstable();
        told.dedup();
        prop_assert_eq!(told.len(), pair.told.len());
        prop_assert_eq!(told.len(), settled);
    }
}
