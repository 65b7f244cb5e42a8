//! The hot part of a thread pool's surface: tasks and results. `lib/threads/native.ts` has the
//! places of the arrays.

use worker_server::core::scheduler::{
    Action, Cancellation, Failure, Lane, Lanes, Outcome, Priority, SlotId, TaskKey, TaskSpec,
};

use std::sync::Arc;

use super::{Value, arguments::Call};
use crate::threads::pool::{self, Body, Pool, ScalingStep, TaskPayload};

/// Doubles of one action.
const RECORD: usize = 8;
const NONE: f64 = -1.0;
const CANCELLED: f64 = -2.0;
/// Most bytes of bodies in one batch of actions, so that a batch stays small.
const BATCH_BYTES: usize = 1024 * 1024;

/// What an action is; `ActionKind` of `lib/threads/native.ts` has the same list.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Assigned,
    Progress,
    Completed,
    Failed,
    Cancelled,
    DependencyFailed,
    Recycle,
}

fn pool_of(call: &Call) -> Option<Arc<Pool>> {
    pool::find(call.u32(0)?)
}

fn slot_of(call: &Call) -> Option<SlotId> {
    call.u32(1).map(SlotId)
}

/// A value whose kind is the argument `kind` and whose content the one behind.
fn body(call: &Call, kind: usize) -> Option<Body> {
    match call.u32(kind)? {
        0 => Some(Body::Nothing),
        1 => call.string(kind + 1).map(|text| Body::Text(text.into_bytes().into())),
        2 => call.with_bytes(kind + 1, |bytes| Body::Bytes((&*bytes).into())),
        4 => call.with_bytes(kind + 1, |bytes| Body::Data((&*bytes).into())),
        _ => Some(Body::Posted),
    }
}

/// Arguments: pool, numbers, kind of the payload, payload, extra, dependencies.
pub(super) fn submit(call: &Call) -> Option<Value> {
    let payload = body(call, 2)?;
    let extra = call.string(4).map(String::into_boxed_str);
    let dependencies =
        call.with_f64s(5, |keys| keys.iter().map(|key| TaskKey(*key as u32)).collect());
    let pool = pool_of(call)?;
    let key = call.with_f64s(1, |numbers| {
        let [
            lane,
            priority,
            timeout,
            max_retries,
            retry_delay,
            number,
            task_type,
            fairness,
            failed,
            ..,
        ] = *numbers
        else {
            return None;
        };
        pool.submit(TaskSpec {
            lane: Lane(lane as u8),
            priority: Priority::new(priority as u8),
            fairness_key: fairness as u32,
            timeout,
            max_retries: max_retries as u32,
            retry_delay,
            dependencies: dependencies.unwrap_or_default(),
            has_failed_dependency: failed != 0.0,
            payload: TaskPayload { number, task_type: task_type as u8, body: payload, extra },
        })
    })?;
    call.number(key.map_or(NONE, |key| key.0.into()))
}

pub(super) fn ready(call: &Call) -> Option<Value> {
    call.number(pool_of(call)?.ready() as f64)
}

pub(super) fn pending(call: &Call) -> Option<Value> {
    call.number(pool_of(call)?.pending() as f64)
}

pub(super) fn add_slot(call: &Call) -> Option<Value> {
    let lanes = Lanes(call.u32(1)? as u8);
    call.number(pool_of(call)?.add_slot(lanes).0.into())
}

/// Arguments: pool, slot, whether a slot with a task may go on.
pub(super) fn retire_slot(call: &Call) -> Option<Value> {
    let is_idle = pool_of(call)?.retire_slot(slot_of(call)?, call.bool(2)?);
    call.boolean(is_idle)
}

pub(super) fn lose_slot(call: &Call) -> Option<Value> {
    pool_of(call)?.lose_slot(slot_of(call)?);
    None
}

pub(super) fn cancel(call: &Call) -> Option<Value> {
    let cancellation = pool_of(call)?.cancel(TaskKey(call.u32(1)?));
    call.number(match cancellation {
        Cancellation::TooLate => NONE,
        Cancellation::Cancelled => CANCELLED,
        Cancellation::Running(slot) => slot.0.into(),
    })
}

pub(super) fn fail_pending(call: &Call) -> Option<Value> {
    let is_failed = pool_of(call)?.fail_pending(TaskKey(call.u32(1)?));
    call.boolean(is_failed)
}

pub(super) fn set_paused(call: &Call) -> Option<Value> {
    pool_of(call)?.set_paused(call.bool(1)?);
    None
}

pub(super) fn set_announces_assignments(call: &Call) -> Option<Value> {
    pool_of(call)?.set_announces_assignments(call.bool(1)?);
    None
}

pub(super) fn set_keep_alive(call: &Call) -> Option<Value> {
    pool_of(call)?.owner().set_keep_alive(call.bool(1)?);
    None
}

pub(super) fn now(call: &Call) -> Option<Value> {
    call.number(pool_of(call)?.now())
}

/// Arguments: pool, time that it is at least, whether threads may be added or retired, places. The
/// places get the milliseconds until the next call, the time, the threads to add (if negative, -1
/// minus the slot to retire), the pending and the ready tasks.
pub(super) fn tend(call: &Call) -> Option<Value> {
    let state = pool_of(call)?.tend(call.f64(1)?, call.bool(2)?);
    let step = match state.step {
        ScalingStep::Stay => 0.0,
        ScalingStep::Add(count) => count as f64,
        ScalingStep::Retire(slot) => -1.0 - f64::from(slot.0),
    };
    let values = [state.wait, state.now, step, state.pending as f64, state.ready as f64];
    call.with_f64s(3, |places| fill(places, values))?;
    None
}

pub(super) fn metrics(call: &Call) -> Option<Value> {
    let metrics = pool_of(call)?.metrics();
    call.with_f64s(1, |places| {
        let values = [
            metrics.pending as f64,
            metrics.ready as f64,
            metrics.blocked as f64,
            metrics.running as f64,
            metrics.completed as f64,
            metrics.failed as f64,
            metrics.cancelled as f64,
            metrics.timed_out as f64,
            metrics.retried as f64,
            metrics.mean_duration,
            metrics.mean_queue_time,
            metrics.throughput,
            metrics.duration.p50,
            metrics.duration.p90,
            metrics.duration.p99,
            metrics.duration.max,
        ];
        fill(places, values);
    })?;
    None
}

fn fill(places: &mut [f64], values: impl IntoIterator<Item = f64>) {
    for (place, value) in places.iter_mut().zip(values) {
        *place = value;
    }
}

/// Arguments: pool, records. The first place gets the number of records behind it. The result is an
/// array of the bodies of those records that have one (two for fields: fields and data); undefined: none
/// has.
pub(super) fn take_actions(call: &Call) -> Option<Value> {
    let pool = pool_of(call)?;
    let mut bodies = Vec::new();
    call.with_f64s(1, |places| {
        let Some((count, records)) = places.split_first_mut() else { return };
        let mut records = records.chunks_exact_mut(RECORD);
        let (mut taken, mut bytes, room) = (0, 0, records.len());
        if room > 0 {
            pool.take_actions(|action| {
                let (record, body) = describe(action);
                if let Some(place) = records.next() {
                    place.copy_from_slice(&record);
                }
                bytes += body.len();
                if !matches!(body, Body::Nothing | Body::Posted) {
                    bodies.push(body);
                }
                taken += 1;
                taken < room && bytes < BATCH_BYTES
            });
        }
        *count = taken as f64;
    })?;
    if bodies.is_empty() {
        return None;
    }
    let mut values = Vec::with_capacity(bodies.len());
    for body in bodies {
        match body {
            Body::Fields(fields) => {
                values.push(call.utf8(&fields.json));
                values.push(fields.data.and_then(|data| call.owned_buffer(data)));
            }
            body => values.push(value(call, &body)),
        }
    }
    call.array_of(values.into_iter())
}

fn describe(action: Action<Body>) -> ([f64; RECORD], Body) {
    let record = |kind: Kind, task: TaskKey, slot: SlotId, at: f64, body: &Body| {
        let kinds = [f64::from(kind as u8), task.0.into(), slot.0.into(), at];
        [kinds[0], kinds[1], kinds[2], kinds[3], body.kind().into(), 0.0, NONE, 0.0]
    };
    let none = Body::Nothing;
    match action {
        Action::Assigned { task, slot, at } => {
            (record(Kind::Assigned, task, slot, at, &none), none)
        }
        Action::Progress { task, slot, value } => {
            (record(Kind::Progress, task, slot, value, &none), none)
        }
        Action::Completed { task, slot, at, result } => {
            (record(Kind::Completed, task, slot, at, &result), result)
        }
        Action::Failed { task, slot, at, failure, error, retry } => {
            let error = error.unwrap_or_default();
            let mut record = record(Kind::Failed, task, slot, at, &error);
            record[5] = failure_number(failure);
            if let Some(retry) = retry {
                record[6] = retry.delay;
                record[7] = retry.attempt.into();
            }
            (record, error)
        }
        Action::Cancelled { task, slot, at, failure } => {
            let mut record = record(Kind::Cancelled, task, slot, at, &none);
            record[5] = failure_number(failure);
            (record, none)
        }
        Action::DependencyFailed { task } => {
            (record(Kind::DependencyFailed, task, SlotId(0), 0.0, &none), none)
        }
        Action::Recycle { slot } => (record(Kind::Recycle, TaskKey(0), slot, 0.0, &none), none),
    }
}

/// `FailureKind` of `lib/threads/native.ts` has the same numbers.
fn failure_number(failure: Failure) -> f64 {
    match failure {
        Failure::Error => 0.0,
        Failure::Timeout => 1.0,
        Failure::Crash => 2.0,
    }
}

/// On a thread of the pool. Arguments: pool, slot, numbers. The numbers get the task's key (-1: none
/// now, -2: there will be none any more), its number, type, retries, timeout, kind of its payload
/// and whether it has an extra. The result is the payload.
pub(super) fn take_task(call: &Call) -> Option<Value> {
    let slot = slot_of(call)?;
    let mut numbers = [CANCELLED, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let taken = pool_of(call).map_or(Some(None), |pool| {
        pool.next_task(slot, |task, retry_count, timeout, payload| {
            numbers = [
                task.0.into(),
                payload.number,
                payload.task_type.into(),
                retry_count.into(),
                timeout,
                payload.body.kind().into(),
                f64::from(u8::from(payload.extra.is_some())),
            ];
            value(call, &payload.body)
        })
    });
    if taken.is_none() {
        numbers[0] = NONE;
    }
    call.with_f64s(2, |places| fill(places, numbers))?;
    taken??
}

/// On a thread of the pool. Arguments: pool, task.
pub(super) fn task_extra(call: &Call) -> Option<Value> {
    let extra = pool_of(call)?.extra(TaskKey(call.u32(1)?))?;
    call.utf8(&extra)
}

/// On a thread of the pool. Arguments: pool, slot, task, kind of the result, result, how it went
/// (0: completed, 1: failed, 2: failed for good).
pub(super) fn finish_task(call: &Call) -> Option<Value> {
    let (slot, task) = (slot_of(call)?, TaskKey(call.u32(2)?));
    let body = body(call, 3)?;
    let outcome = match call.u32(5)? {
        0 => Outcome::Completed(body),
        how => Outcome::Failed { error: body, is_final: how == 2 },
    };
    let is_accepted = pool_of(call)?.finish(slot, task, outcome);
    call.boolean(is_accepted)
}

/// On a thread of the pool. Arguments: pool, slot, task, value.
pub(super) fn report_progress(call: &Call) -> Option<Value> {
    let (slot, task) = (slot_of(call)?, TaskKey(call.u32(2)?));
    let is_accepted = pool_of(call)?.progress(slot, task, call.f64(3)?);
    call.boolean(is_accepted)
}

fn value(call: &Call, body: &Body) -> Option<Value> {
    match body {
        Body::Nothing | Body::Posted | Body::Data(_) | Body::Fields(_) => None,
        Body::Text(text) => call.utf8(str::from_utf8(text).ok()?),
        Body::Bytes(bytes) => call.buffer(bytes),
    }
}
