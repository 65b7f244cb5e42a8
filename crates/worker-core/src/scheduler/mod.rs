//! Which task runs next, on which slot, and what follows when an attempt ends.
//!
//! A [`Scheduler`] is told of tasks, slots and times, and tells by [`Action`]s what has happened.
//! A slot asks for its next task ([`Scheduler::next_task`]) and runs one at a time. A slot may be a
//! thread of this process or a remote worker; the scheduler only knows the lanes it serves.

mod action;
mod metrics;
mod queue;
mod retry;
mod slots;
mod task;

use std::collections::{HashMap, VecDeque};

use slab::Slab;

pub use self::{
    action::{Action, Cancellation, Failure, Next, Outcome, Policy, Retry, SlotLoad},
    metrics::{Metrics, Percentiles},
    queue::Order,
    retry::RetryPolicy,
    slots::{Lanes, SlotId},
    task::{Lane, Priority, TaskKey, TaskSpec},
};
use self::{
    metrics::Recorder,
    queue::{ReadyQueue, Rules},
    retry::{DelayQueue, Random},
    slots::{Attempt, Slots},
    task::{Entry, NONE, Stage},
};

/// The tasks and slots of one pool. `P` is attached to tasks, `R` is a result or an error.
pub struct Scheduler<P, R> {
    tasks: Slab<Entry<P>>,
    queues: [ReadyQueue; Lane::COUNT],
    slots: Slots,
    delayed: DelayQueue,
    /// Tasks that wait for a task, with their tickets: a task that fails for another dependency
    /// leaves its place here behind.
    dependents: HashMap<u32, Vec<(TaskKey, u32)>>,
    next_ticket: u32,
    actions: VecDeque<Action<R>>,
    /// Settled tasks that the embedder was told of; their places are free from the next batch on.
    told: Vec<TaskKey>,
    policy: Policy,
    recorder: Recorder,
    random: Random,
    pending: usize,
    blocked: usize,
    running: usize,
    /// The shortest timeout of the tasks submitted since nothing was pending.
    shortest_timeout: f64,
    is_paused: bool,
}

impl<P, R> Scheduler<P, R> {
    /// An empty scheduler. `seed` starts the random numbers that spread retries.
    pub fn new(policy: Policy, now: f64, seed: u64) -> Self {
        Self {
            tasks: Slab::new(),
            queues: Default::default(),
            slots: Slots::default(),
            delayed: DelayQueue::default(),
            dependents: HashMap::new(),
            next_ticket: 0,
            actions: VecDeque::new(),
            told: Vec::new(),
            policy,
            recorder: Recorder::new(now),
            random: Random::new(seed),
            pending: 0,
            blocked: 0,
            running: 0,
            shortest_timeout: f64::INFINITY,
            is_paused: false,
        }
    }

    /// Replaces the rules. Tasks that are delayed keep their time.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Tasks that wait: ready, blocked or delayed.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Tasks that wait for a slot of one of these lanes.
    pub fn ready(&self, lanes: Lanes) -> usize {
        let lane_of = |index: usize| Lane(index as u8);
        let queues = self.queues.iter().enumerate();
        queues.filter(|(lane, _)| lanes.contains(lane_of(*lane))).map(|(_, q)| q.len()).sum()
    }

    /// Takes a task in; `None` if the queue is full. No slot is woken, see
    /// [`Scheduler::slots_to_wake`].
    pub fn submit(&mut self, spec: TaskSpec<P>, now: f64) -> Option<TaskKey> {
        if self.pending >= self.policy.max_pending {
            return None;
        }
        let TaskSpec { dependencies, has_failed_dependency, .. } = spec;
        let key = TaskKey(self.tasks.vacant_key() as u32);
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        let mut unmet = 0;
        for dependency in dependencies {
            if let Some(entry) = self.tasks.get_mut(dependency.0 as usize)
                && entry.stage != Stage::Settled
            {
                entry.has_dependents = true;
                self.dependents.entry(dependency.0).or_default().push((key, ticket));
                unmet += 1;
            }
        }
        self.tasks.insert(Entry {
            payload: spec.payload,
            timeout: spec.timeout,
            retry_delay: spec.retry_delay,
            ready_at: now,
            stage: Stage::Blocked(unmet),
            ticket,
            max_retries: spec.max_retries,
            retry_count: 0,
            fairness_key: spec.fairness_key,
            previous: NONE,
            next: NONE,
            lane: spec.lane,
            priority: spec.priority,
            has_dependents: false,
            is_cancelling: false,
        });
        if self.pending == 0 {
            self.shortest_timeout = f64::INFINITY;
        }
        self.shortest_timeout = self.shortest_timeout.min(spec.timeout);
        self.pending += 1;
        self.blocked += 1;
        if has_failed_dependency && !self.policy.run_after_failed_dependency {
            self.fail_dependents(vec![(key, ticket)]);
        } else if unmet == 0 {
            self.make_ready(key, now);
        }
        Some(key)
    }

    /// Adds a slot, which then asks for tasks. It is recycled after its share of tasks, or never.
    pub fn add_slot(&mut self, lanes: Lanes, is_recycled: bool, now: f64) -> SlotId {
        self.slots.add(lanes, is_recycled, now)
    }

    /// Whether there is a slot of this number.
    pub fn has_slot(&self, slot: SlotId) -> bool {
        self.slots.iter().any(|(id, _)| id == slot)
    }

    /// The slot gets no further task. Returns whether it is without a task.
    pub fn retire_slot(&mut self, slot: SlotId) -> bool {
        let Some(slot) = self.slots.get_mut(slot) else { return true };
        slot.is_retired = true;
        slot.attempt.is_none()
    }

    /// The same, but a slot with a task goes on as before.
    pub fn retire_idle_slot(&mut self, slot: SlotId) -> bool {
        let Some(slot) = self.slots.get_mut(slot) else { return true };
        slot.is_retired |= slot.attempt.is_none();
        slot.attempt.is_none()
    }

    /// The slot is gone. A task that it ran has failed, and may be repeated.
    pub fn lose_slot(&mut self, slot: SlotId, now: f64) {
        let Some(attempt) = self.slots.remove(slot).and_then(|lost| lost.attempt) else { return };
        self.running -= 1;
        self.fail(attempt.task, slot, Failure::Crash, None, now);
    }

    /// The next task of a slot.
    pub fn next_task(&mut self, id: SlotId, now: f64) -> Next<'_, P> {
        self.release_delayed(now);
        let Some(slot) = self.slots.get_mut(id) else { return Next::Stop };
        slot.is_waiting = false;
        if !std::mem::replace(&mut slot.is_started, true) {
            slot.idle_since = now;
        }
        if slot.is_retired || slot.attempt.is_some() {
            return Next::Stop;
        }
        let (lanes, finished, is_recycled) = (slot.lanes, slot.finished, slot.is_recycled);
        let next = if self.is_paused { None } else { self.peek(lanes, now) };
        let limit = match next {
            Some(_) => self.policy.recycle_after,
            None => self.first_recycle_limit(),
        };
        if is_recycled && limit > 0 && finished >= limit {
            self.recycle(id);
            return Next::Stop;
        }
        match next {
            Some((lane, key)) => self.assign(id, lane, key, now),
            None => {
                if let Some(slot) = self.slots.get_mut(id) {
                    slot.is_waiting = true;
                }
                Next::Wait
            }
        }
    }

    /// The slot reports the end of its task. Returns false if it does not run this task; the report
    /// is then ignored.
    pub fn finish(&mut self, id: SlotId, task: TaskKey, outcome: Outcome<R>, now: f64) -> bool {
        let Some(slot) = self.slots.get_mut(id) else { return false };
        let Some(attempt) = slot.attempt.take_if(|attempt| attempt.task == task) else {
            return false;
        };
        slot.finished += 1;
        slot.idle_since = now;
        self.running -= 1;
        self.tell_progress(id, task);
        match outcome {
            Outcome::Completed(result) => {
                self.recorder.record_completion(now - attempt.started_at, now);
                self.actions.push_back(Action::Completed { task, slot: id, at: now, result });
                self.settle(task, true, now);
            }
            Outcome::Failed { error, is_final } => {
                if is_final && let Some(entry) = self.tasks.get_mut(task.0 as usize) {
                    entry.max_retries = 0;
                }
                self.fail(task, id, Failure::Error, Some(error), now);
            }
        }
        true
    }

    /// The slot reports progress of its task. Reports in quick succession become one action.
    /// Returns false if it does not run this task.
    pub fn progress(&mut self, id: SlotId, task: TaskKey, value: f64) -> bool {
        let Some(slot) = self.slots.get_mut(id) else { return false };
        if slot.attempt.is_none_or(|attempt| attempt.task != task) {
            return false;
        }
        slot.progress = Some(value);
        true
    }

    /// Cancels a pending task, or says where it runs.
    pub fn cancel(&mut self, task: TaskKey, now: f64) -> Cancellation {
        let Some(entry) = self.tasks.get_mut(task.0 as usize) else {
            return Cancellation::TooLate;
        };
        match entry.stage {
            Stage::Settled => Cancellation::TooLate,
            Stage::Running(slot) => {
                entry.is_cancelling = true;
                Cancellation::Running(slot)
            }
            Stage::Blocked(_) | Stage::Ready | Stage::Delayed => {
                self.withdraw(task);
                self.told.push(task);
                self.recorder.cancelled += 1;
                self.settle(task, false, now);
                Cancellation::Cancelled
            }
        }
    }

    /// Fails a pending task without an attempt. Returns false if it is not pending.
    pub fn fail_pending(&mut self, task: TaskKey, now: f64) -> bool {
        if !self.tasks.get(task.0 as usize).is_some_and(Entry::is_pending) {
            return false;
        }
        self.withdraw(task);
        self.recorder.failed += 1;
        self.told.push(task);
        self.settle(task, false, now);
        true
    }

    /// Whether slots get no tasks for now.
    pub fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Ends attempts that have run for too long; their slots are gone. Makes delayed tasks ready.
    pub fn advance(&mut self, now: f64) {
        self.release_delayed(now);
        let mut overdue: Vec<(SlotId, Attempt)> = self
            .slots
            .iter()
            .filter_map(|(id, slot)| slot.attempt.map(|attempt| (id, attempt)))
            .filter(|(_, attempt)| attempt.deadline <= now)
            .collect();
        overdue.sort_by(|(left_id, left), (right_id, right)| {
            left.deadline.total_cmp(&right.deadline).then(left_id.cmp(right_id))
        });
        for (id, Attempt { task, .. }) in overdue {
            self.tell_progress(id, task);
            self.slots.remove(id);
            self.running -= 1;
            self.fail(task, id, Failure::Timeout, None, now);
        }
    }

    /// When [`Scheduler::advance`] has to be called next at the latest; infinite: not at all.
    pub fn next_advance(&mut self, now: f64) -> f64 {
        let running = self.slots.iter().filter_map(|(_, slot)| slot.attempt);
        let deadline = running.map(|attempt| attempt.deadline).fold(f64::INFINITY, f64::min);
        // A slot may take a pending task without the embedder's notice.
        let soonest = if self.pending > 0 { now + self.shortest_timeout } else { f64::INFINITY };
        deadline.min(soonest).min(self.delayed.next_due())
    }

    /// Waiting slots that should ask for a task now, one for each ready task.
    pub fn slots_to_wake(&mut self, mut wake: impl FnMut(SlotId)) {
        if self.is_paused {
            return;
        }
        for (index, queue) in self.queues.iter().enumerate() {
            for _ in 0..queue.len() {
                let Some((id, slot)) = self.slots.freshest_waiting(Lane(index as u8)) else {
                    break;
                };
                slot.is_waiting = false;
                wake(id);
            }
        }
    }

    /// What has happened before the last call of [`Scheduler::begin_batch`], in its order.
    pub fn next_action(&mut self) -> Option<Action<R>> {
        let action = self.actions.pop_front()?;
        match &action {
            Action::Completed { task, .. }
            | Action::Failed { task, retry: None, .. }
            | Action::Cancelled { task, .. }
            | Action::DependencyFailed { task } => self.told.push(*task),
            _ => {}
        }
        Some(action)
    }

    /// Whether there is something to tell.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty() || self.slots.iter().any(|(_, slot)| slot.progress.is_some())
    }

    /// Starts a batch of actions. Frees the places of the settled tasks that the embedder was told
    /// of in earlier ones.
    pub fn begin_batch(&mut self) {
        self.tell_all_progress();
        for task in self.told.drain(..) {
            self.tasks.try_remove(task.0 as usize);
        }
    }

    /// What a task's payload is, as long as the task has not settled.
    pub fn payload(&self, task: TaskKey) -> Option<&P> {
        self.tasks.get(task.0 as usize).map(|entry| &entry.payload)
    }

    /// The slots that serve one of these lanes and take further tasks.
    pub fn slot_load(&self, lanes: Lanes) -> SlotLoad {
        let mut load = SlotLoad::default();
        for (id, slot) in self.slots.iter() {
            if slot.is_retired || slot.lanes.0 & lanes.0 == 0 {
                continue;
            }
            load.live += 1;
            if slot.attempt.is_some() {
                load.busy += 1;
            } else if slot.is_started
                && load.longest_idle.is_none_or(|(_, since)| slot.idle_since < since)
            {
                load.longest_idle = Some((id, slot.idle_since));
            }
        }
        load
    }

    /// All counts.
    pub fn metrics(&mut self, now: f64) -> Metrics {
        Metrics {
            pending: self.pending,
            ready: self.queues.iter().map(ReadyQueue::len).sum(),
            blocked: self.blocked,
            running: self.running,
            completed: self.recorder.completed,
            failed: self.recorder.failed,
            cancelled: self.recorder.cancelled,
            timed_out: self.recorder.timed_out,
            retried: self.recorder.retried,
            mean_duration: self.recorder.mean_duration(),
            mean_queue_time: self.recorder.mean_queue_time(),
            throughput: self.recorder.throughput(now),
            duration: self.recorder.percentiles(),
        }
    }

    fn peek(&self, lanes: Lanes, now: f64) -> Option<(usize, u32)> {
        let rules = Rules { order: self.policy.order, aging: self.policy.aging };
        let served = self.queues.iter().enumerate();
        let candidates = served
            .filter(|(index, _)| lanes.contains(Lane(*index as u8)))
            .filter_map(|(lane, queue)| Some((lane, queue.peek(&self.tasks, &rules, now)?)));
        let best =
            candidates.reduce(|best, other| if other.1.precedes(&best.1) { other } else { best });
        best.map(|(lane, candidate)| (lane, candidate.key))
    }

    fn assign(&mut self, id: SlotId, lane: usize, key: u32, now: f64) -> Next<'_, P> {
        if let Some(queue) = self.queues.get_mut(lane) {
            queue.take(&mut self.tasks, key);
        }
        let task = TaskKey(key);
        let Some(entry) = self.tasks.get_mut(key as usize) else { return Next::Wait };
        entry.stage = Stage::Running(id);
        if let Some(slot) = self.slots.get_mut(id) {
            let deadline = now + entry.timeout;
            slot.attempt = Some(Attempt { task, started_at: now, deadline });
        }
        self.pending -= 1;
        self.running += 1;
        self.recorder.record_assignment(now - entry.ready_at);
        self.actions.push_back(Action::Assigned { task, slot: id, at: now });
        let Entry { payload, retry_count, timeout, .. } = entry;
        Next::Run { task, retry_count: *retry_count, timeout: *timeout, payload }
    }

    fn first_recycle_limit(&self) -> u32 {
        let limits = [self.policy.recycle_when_idle_after, self.policy.recycle_after];
        limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or_default()
    }

    fn recycle(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.is_retired = true;
        }
        self.actions.push_back(Action::Recycle { slot: id });
    }

    fn make_ready(&mut self, task: TaskKey, now: f64) {
        let Some(entry) = self.tasks.get_mut(task.0 as usize) else { return };
        if matches!(entry.stage, Stage::Blocked(_)) {
            self.blocked -= 1;
        }
        entry.stage = Stage::Ready;
        entry.ready_at = now;
        let lane = usize::from(entry.lane.0) % Lane::COUNT;
        if let Some(queue) = self.queues.get_mut(lane) {
            queue.push(&mut self.tasks, task.0);
        }
    }

    fn release_delayed(&mut self, now: f64) {
        while let Some(task) = self.delayed.pop_due(now) {
            self.make_ready(task, now);
        }
    }

    /// Takes a pending task out of what it waits in.
    fn withdraw(&mut self, task: TaskKey) {
        let Some(entry) = self.tasks.get(task.0 as usize) else { return };
        match entry.stage {
            Stage::Ready => {
                let lane = usize::from(entry.lane.0) % Lane::COUNT;
                if let Some(queue) = self.queues.get_mut(lane) {
                    queue.remove(&mut self.tasks, task.0);
                }
            }
            Stage::Delayed => self.delayed.cancel(task),
            Stage::Blocked(_) => self.blocked -= 1,
            Stage::Running(_) | Stage::Settled => return,
        }
        self.pending -= 1;
    }

    fn fail(&mut self, task: TaskKey, slot: SlotId, failure: Failure, error: Option<R>, now: f64) {
        let policy = self.policy.retry;
        let is_repeated = match failure {
            Failure::Error => policy.on_error,
            Failure::Timeout => policy.on_timeout,
            Failure::Crash => policy.on_crash,
        };
        let random = self.random.next();
        let Some(entry) = self.tasks.get_mut(task.0 as usize) else { return };
        if entry.is_cancelling {
            self.actions.push_back(Action::Cancelled { task, slot, at: now, failure });
            self.recorder.cancelled += 1;
            self.settle(task, false, now);
            return;
        }
        let retry = (is_repeated && entry.retry_count < entry.max_retries).then(|| {
            entry.retry_count += 1;
            entry.stage = Stage::Delayed;
            let attempt = entry.retry_count;
            Retry { attempt, delay: policy.delay(entry.retry_delay, attempt, random) }
        });
        self.actions.push_back(Action::Failed { task, slot, at: now, failure, error, retry });
        match retry {
            Some(retry) => {
                self.pending += 1;
                self.recorder.retried += 1;
                self.delayed.push(now + retry.delay, task);
            }
            None => {
                self.recorder.failed += 1;
                self.recorder.timed_out += u64::from(failure == Failure::Timeout);
                self.settle(task, false, now);
            }
        }
    }

    /// Gives a task its outcome, and those that wait for it theirs.
    fn settle(&mut self, task: TaskKey, is_completed: bool, now: f64) {
        let Some(entry) = self.tasks.get_mut(task.0 as usize) else { return };
        entry.stage = Stage::Settled;
        if !std::mem::take(&mut entry.has_dependents) {
            return;
        }
        let waiting = self.dependents.remove(&task.0).unwrap_or_default();
        if !is_completed && !self.policy.run_after_failed_dependency {
            self.fail_dependents(waiting.into_iter().rev().collect());
            return;
        }
        for (dependent, ticket) in waiting {
            let Some(entry) = self.tasks.get_mut(dependent.0 as usize) else { continue };
            if entry.ticket != ticket {
                continue;
            }
            let Stage::Blocked(unmet) = &mut entry.stage else { continue };
            *unmet -= 1;
            if *unmet == 0 {
                self.make_ready(dependent, now);
            }
        }
    }

    /// Fails blocked tasks and those that wait for them; the last of the list first.
    fn fail_dependents(&mut self, mut failed: Vec<(TaskKey, u32)>) {
        while let Some((task, ticket)) = failed.pop() {
            let Some(entry) = self.tasks.get_mut(task.0 as usize) else { continue };
            if entry.ticket != ticket || !matches!(entry.stage, Stage::Blocked(_)) {
                continue;
            }
            entry.stage = Stage::Settled;
            self.pending -= 1;
            self.blocked -= 1;
            self.recorder.failed += 1;
            self.actions.push_back(Action::DependencyFailed { task });
            let waiting = self.dependents.remove(&task.0).unwrap_or_default();
            failed.extend(waiting.into_iter().rev());
        }
    }

    fn tell_progress(&mut self, id: SlotId, task: TaskKey) {
        let progress = self.slots.get_mut(id).and_then(|slot| slot.progress.take());
        if let Some(value) = progress {
            self.actions.push_back(Action::Progress { task, slot: id, value });
        }
    }

    fn tell_all_progress(&mut self) {
        let reporting: Vec<(SlotId, TaskKey)> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.progress.is_some())
            .filter_map(|(id, slot)| Some((id, slot.attempt?.task)))
            .collect();
        for (id, task) in reporting {
            self.tell_progress(id, task);
        }
    }
}
