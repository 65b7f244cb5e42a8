//! One pool of threads: the scheduler, and whom to wake.

use std::{
    collections::HashMap,
    mem,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use worker_handlers::Control;

use worker_server::core::{
    scaling::{Decision, Load, ScalingPolicy, decide},
    scheduler::{
        Action, Cancellation, Lane, Lanes, Metrics, Next, Outcome, Policy, Scheduler, SlotId,
        TaskKey, TaskSpec,
    },
};

use super::native_slot;
use crate::{callbacks::Waker, steady};

/// Tasks that run in JavaScript on a thread of the pool.
pub(crate) const SCRIPT_LANE: Lane = Lane(0);
/// Tasks that run in Rust, on threads of the runtime.
const NATIVE_LANE: Lane = Lane(1);

/// Milliseconds by which a timer may end too early.
const TIMER_SLACK: f64 = 2.0;

/// The result of a native task.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) json: Box<str>,
    pub(crate) data: Option<Vec<u8>>,
}

/// A value on its way between two threads.
#[derive(Debug, Default)]
pub(crate) enum Body {
    /// `undefined` or `null`.
    #[default]
    Nothing,
    /// JSON.
    Text(Box<[u8]>),
    /// Written by `v8.serialize`.
    Bytes(Box<[u8]>),
    /// The data of a task that runs on a native thread.
    Data(Arc<[u8]>),
    /// The result of such a task.
    Fields(Box<Fields>),
    /// Sent with `postMessage`, since it cannot be written down.
    Posted,
}

impl Body {
    /// Its number on the JavaScript side; `lib/threads/native.ts` has the same list.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Text(_) => 1,
            Self::Bytes(_) => 2,
            Self::Posted => 3,
            Self::Data(_) | Self::Fields(_) => 4,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.len(),
            Self::Data(bytes) => bytes.len(),
            Self::Fields(fields) => fields.json.len() + fields.data.as_ref().map_or(0, Vec::len),
            Self::Nothing | Self::Posted => 0,
        }
    }
}

/// What the scheduler keeps of a task for the thread that runs it.
pub(crate) struct TaskPayload {
    /// Counts submitted tasks from 1. The task's id is made of it, unless `extra` has one.
    pub(crate) number: f64,
    /// Place of the task's type in the list of types.
    pub(crate) task_type: u8,
    pub(crate) body: Body,
    /// Further fields of the task's message, as JSON.
    pub(crate) extra: Option<Box<str>>,
}

struct Inner {
    scheduler: Scheduler<TaskPayload, Body>,
    scaling: ScalingPolicy,
    last_scale_up: f64,
    last_scaling: f64,
    wakers: HashMap<SlotId, Arc<Waker>>,
    /// Slots that run tasks in Rust, and what ends their tasks.
    native: HashMap<SlotId, Arc<Control>>,
    /// Slots that are to be woken once the lock is free.
    to_wake: Vec<Sleeper>,
    /// What the pool's clock is ahead of the monotonic one, in milliseconds.
    ahead: f64,
}

/// A slot that sleeps until there is a task.
enum Sleeper {
    Thread(Arc<Waker>),
    Native(SlotId),
}

/// A pool that its owner and its threads share.
pub(crate) struct Pool {
    /// Others know it by this.
    number: u32,
    inner: Mutex<Inner>,
    owner: Arc<Waker>,
    /// The owner has been woken and has not looked yet.
    is_owner_woken: AtomicBool,
    /// The owner wants to hear at once when a slot takes a task.
    announces_assignments: AtomicBool,
}

/// A scaling step for the owner to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalingStep {
    Stay,
    Add(usize),
    Retire(SlotId),
}

/// A pool as its owner finds it.
pub(crate) struct State {
    /// Milliseconds until the owner has to look again.
    pub(crate) wait: f64,
    /// On the pool's clock.
    pub(crate) now: f64,
    pub(crate) step: ScalingStep,
    pub(crate) pending: usize,
    /// Tasks that wait for a thread.
    pub(crate) ready: usize,
}

impl Pool {
    fn new(number: u32, policy: Policy, scaling: ScalingPolicy, owner: Arc<Waker>) -> Self {
        let now = steady::now();
        let inner = Inner {
            scheduler: Scheduler::new(policy, now, now.to_bits()),
            scaling,
            last_scale_up: f64::NEG_INFINITY,
            last_scaling: now,
            wakers: HashMap::new(),
            native: HashMap::new(),
            to_wake: Vec::new(),
            ahead: 0.0,
        };
        Self {
            number,
            inner: Mutex::new(inner),
            owner,
            is_owner_woken: AtomicBool::new(false),
            announces_assignments: AtomicBool::new(false),
        }
    }

    pub(crate) fn owner(&self) -> &Waker {
        &self.owner
    }

    pub(crate) fn set_policy(&self, policy: Policy, scaling: ScalingPolicy) {
        let mut inner = self.lock();
        inner.scheduler.set_policy(policy);
        inner.scaling = scaling;
    }

    pub(crate) fn set_announces_assignments(&self, announces: bool) {
        self.announces_assignments.store(announces, Ordering::Relaxed);
    }

    /// The task's key; `None`: the queue is full.
    pub(crate) fn submit(&self, spec: TaskSpec<TaskPayload>) -> Option<TaskKey> {
        let mut inner = self.lock();
        let now = inner.now();
        if spec.lane == NATIVE_LANE && inner.native.is_empty() {
            inner.add_native_slots();
        }
        inner.scheduler.submit(spec, now)
    }

    pub(crate) fn add_slot(&self, lanes: Lanes) -> SlotId {
        let mut inner = self.lock();
        let now = inner.now();
        inner.scheduler.add_slot(lanes, true, now)
    }

    pub(crate) fn attach(&self, slot: SlotId, waker: Arc<Waker>) {
        self.lock().wakers.insert(slot, waker);
    }

    /// Whether the slot is without a task; if not, it may go on.
    pub(crate) fn retire_slot(&self, slot: SlotId, only_if_idle: bool) -> bool {
        let scheduler = &mut self.lock().scheduler;
        if only_if_idle { scheduler.retire_idle_slot(slot) } else { scheduler.retire_slot(slot) }
    }

    pub(crate) fn lose_slot(&self, slot: SlotId) {
        self.update(|inner| {
            let now = inner.now();
            inner.wakers.remove(&slot);
            inner.scheduler.lose_slot(slot, now);
            inner.replace_lost_native_slots();
        });
    }

    pub(crate) fn cancel(&self, task: TaskKey) -> Cancellation {
        self.update(|inner| {
            let now = inner.now();
            inner.scheduler.cancel(task, now)
        })
    }

    pub(crate) fn fail_pending(&self, task: TaskKey) -> bool {
        self.update(|inner| {
            let now = inner.now();
            inner.scheduler.fail_pending(task, now)
        })
    }

    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.update(|inner| {
            inner.scheduler.set_paused(is_paused);
            inner.wake_slots();
        });
    }

    /// What the pool's clock shows, in milliseconds.
    pub(crate) fn now(&self) -> f64 {
        self.lock().now()
    }

    /// Tasks that wait for a thread.
    pub(crate) fn ready(&self) -> usize {
        self.lock().scheduler.ready(Lanes::only(SCRIPT_LANE))
    }

    pub(crate) fn pending(&self) -> usize {
        self.lock().scheduler.pending()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let mut inner = self.lock();
        let now = inner.now();
        inner.scheduler.metrics(now)
    }

    /// Looks the pool over: handles what is due, wakes slots, and says what the owner has to do.
    ///
    /// A timer of the owner says that it is `at_least` so late. The owner's clock may be another
    /// one (fake timers of a test): then the pool's clock skips what is missing.
    pub(crate) fn tend(&self, at_least: f64, scales: bool) -> State {
        self.update(|inner| {
            let missing = at_least - inner.now();
            if missing > TIMER_SLACK {
                inner.ahead += missing;
            }
            let now = inner.now();
            inner.scheduler.advance(now);
            inner.replace_lost_native_slots();
            inner.wake_slots();
            State {
                wait: inner.scheduler.next_advance(now) - now,
                now,
                step: if scales { inner.scale(now) } else { ScalingStep::Stay },
                pending: inner.scheduler.pending(),
                ready: inner.scheduler.ready(Lanes::only(SCRIPT_LANE)),
            }
        })
    }

    /// Tells of the actions so far, until `tell` returns false.
    pub(crate) fn take_actions(&self, mut tell: impl FnMut(Action<Body>) -> bool) {
        self.is_owner_woken.store(false, Ordering::Relaxed);
        // What is left is for the next batch, for which the owner is woken.
        self.update(|inner| {
            inner.scheduler.begin_batch();
            while let Some(action) = inner.scheduler.next_action() {
                if !tell(action) {
                    break;
                }
            }
        });
    }

    /// Hands the slot's next task to `run`. `None`: there is none now; `Some(None)`: there will be
    /// none any more.
    pub(crate) fn next_task<T>(
        &self,
        slot: SlotId,
        run: impl FnOnce(TaskKey, u32, f64, &TaskPayload) -> T,
    ) -> Option<Option<T>> {
        let mut announces = self.announces_assignments.load(Ordering::Relaxed);
        let mut inner = self.lock();
        let now = inner.now();
        let taken = match inner.scheduler.next_task(slot, now) {
            Next::Run { task, retry_count, timeout, payload } => {
                announces |= matches!(payload.body, Body::Posted);
                Some(Some(run(task, retry_count, timeout, payload)))
            }
            Next::Wait => None,
            Next::Stop => {
                announces = true;
                Some(None)
            }
        };
        drop(inner);
        if announces && taken.is_some() {
            self.update(|_| {});
        }
        taken
    }

    /// The `extra` of a running task.
    pub(crate) fn extra(&self, task: TaskKey) -> Option<Box<str>> {
        self.lock().scheduler.payload(task)?.extra.clone()
    }

    pub(crate) fn finish(&self, slot: SlotId, task: TaskKey, outcome: Outcome<Body>) -> bool {
        self.update(|inner| {
            let now = inner.now();
            let is_accepted = inner.scheduler.finish(slot, task, outcome, now);
            // Tasks that waited for this one may be ready.
            inner.wake_slots();
            is_accepted
        })
    }

    pub(crate) fn progress(&self, slot: SlotId, task: TaskKey, value: f64) -> bool {
        self.update(|inner| inner.scheduler.progress(slot, task, value))
    }

    /// The slot's next task gets a new control, by which it can be ended.
    pub(crate) fn renew_control(&self, slot: SlotId) -> Option<Arc<Control>> {
        let mut inner = self.lock();
        let control = inner.native.get_mut(&slot)?;
        *control = Arc::default();
        Some(Arc::clone(control))
    }

    /// Changes the pool, then wakes whom that concerns. Nobody is woken under the lock, which those
    /// who wake would wait for.
    fn update<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = change(&mut inner);
        let wakes_owner =
            inner.scheduler.has_actions() && !self.is_owner_woken.swap(true, Ordering::Relaxed);
        let slots = mem::take(&mut inner.to_wake);
        drop(inner);
        for slot in slots {
            match slot {
                Sleeper::Thread(waker) => waker.wake(),
                Sleeper::Native(slot) => native_slot::start(self.number, slot),
            }
        }
        if wakes_owner {
            self.owner.wake();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn now(&self) -> f64 {
        steady::now() + self.ahead
    }

    /// What scaling asks for now. It counts as done.
    fn scale(&mut self, now: f64) -> ScalingStep {
        let lanes = Lanes::only(SCRIPT_LANE);
        let slots = self.scheduler.slot_load(lanes);
        let load = Load {
            live: slots.live,
            busy: slots.busy,
            ready: self.scheduler.ready(lanes),
            longest_idle_since: slots.longest_idle.map_or(f64::INFINITY, |(_, since)| since),
            last_up: self.last_scale_up,
            last_scaling: self.last_scaling,
        };
        match decide(&self.scaling, &load, now) {
            Decision::Stay => ScalingStep::Stay,
            Decision::Add(count) => {
                self.last_scale_up = now;
                self.last_scaling = now;
                ScalingStep::Add(count)
            }
            Decision::RetireOne => {
                let Some((slot, _)) = slots.longest_idle else { return ScalingStep::Stay };
                // Before a task that becomes ready meanwhile is given to it.
                self.scheduler.retire_slot(slot);
                self.last_scaling = now;
                ScalingStep::Retire(slot)
            }
        }
    }

    /// As many as there are processors, but no more than there may be threads.
    fn add_native_slots(&mut self) {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..processors.min(self.scaling.max) {
            self.add_native_slot();
        }
    }

    fn add_native_slot(&mut self) {
        let now = self.now();
        let slot = self.scheduler.add_slot(Lanes::only(NATIVE_LANE), false, now);
        self.native.insert(slot, Arc::default());
        self.to_wake.push(Sleeper::Native(slot));
    }

    /// A task that was cancelled or ran for too long ends at its next look at its control; another
    /// slot takes the place of its slot.
    fn replace_lost_native_slots(&mut self) {
        let Self { native, scheduler, .. } = self;
        let lost: Vec<SlotId> =
            native.keys().copied().filter(|slot| !scheduler.has_slot(*slot)).collect();
        for slot in lost {
            if let Some(control) = self.native.remove(&slot) {
                control.cancel();
            }
            self.add_native_slot();
        }
    }

    /// Has waiting slots ask for the tasks that are ready.
    fn wake_slots(&mut self) {
        let Self { scheduler, wakers, native, to_wake, .. } = self;
        scheduler.slots_to_wake(|slot| {
            if let Some(waker) = wakers.get(&slot) {
                to_wake.push(Sleeper::Thread(Arc::clone(waker)));
            } else if native.contains_key(&slot) {
                to_wake.push(Sleeper::Native(slot));
            }
        });
    }
}

/// The pools by their numbers, which are never used again.
static POOLS: RwLock<Vec<Option<Arc<Pool>>>> = RwLock::new(Vec::new());

/// Adds a pool and gives it a number. Threads find their pool by it.
pub(crate) fn add(policy: Policy, scaling: ScalingPolicy, owner: Arc<Waker>) -> u32 {
    let mut pools = POOLS.write().unwrap_or_else(PoisonError::into_inner);
    let number = pools.len() as u32;
    pools.push(Some(Arc::new(Pool::new(number, policy, scaling, owner))));
    number
}

/// Forgets a pool.
pub(crate) fn remove(number: u32) {
    let mut pools = POOLS.write().unwrap_or_else(PoisonError::into_inner);
    let removed = pools.get_mut(number as usize).and_then(Option::take);
    drop(pools);
    // Dropped without the lock.
    drop(removed);
}

/// The pool of this number.
pub(crate) fn find(number: u32) -> Option<Arc<Pool>> {
    let pools = POOLS.read().unwrap_or_else(PoisonError::into_inner);
    pools.get(number as usize)?.clone()
}
