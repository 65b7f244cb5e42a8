//! The hot part of a registry's surface: heartbeats, counts, questions. `lib/registry/native.ts` has the
//! places of the arrays.

use worker_server::core::registry::{
    CountError, Filter, HealthStatus, LeaseRequest, NotFound, RankingId,
};

use super::{Value, arguments::Call};
use crate::registry::stores::{self, Registry};

/// Doubles of one worker.
const RECORD: usize = 11;
/// Doubles that say what is asked.
const QUESTION: usize = 8;
/// Doubles of the answer, behind those: status, workers left, workers in the array, end of a lease.
const ANSWER: usize = 4;

/// Bits of a status; `StatusBit` of `lib/registry/native.ts` has the same.
const NOT_FOUND: u32 = 1;
const NO_CAPACITY: u32 = 2;
const HAS_EVENTS: u32 = 4;
const WRITE_FAILED: u32 = 8;

/// Runs a change; the result is a status.
fn change(call: &Call, body: impl FnOnce(&mut Registry) -> Option<u32>) -> Option<Value> {
    let registry = stores::find(call.u32(0)?)?;
    let mut registry = stores::lock(&registry);
    let mut status = body(&mut registry)?;
    status |= finish(&mut registry);
    call.number(status.into())
}

fn finish(registry: &mut Registry) -> u32 {
    let mut status = 0;
    if !registry.commit() {
        status |= WRITE_FAILED;
    }
    if registry.store.store.has_events() {
        status |= HAS_EVENTS;
    }
    status
}

fn found(result: Result<(), NotFound>) -> u32 {
    result.map_or(NOT_FOUND, |()| 0)
}

/// Arguments: store, ranking, worker, time to live, now.
pub(super) fn heartbeat(call: &Call) -> Option<Value> {
    change(call, |registry| {
        let (ranking, worker) = (RankingId(call.u32(1)?), call.string(2)?);
        let result = registry.store.store.heartbeat(ranking, &worker, call.f64(3)?, call.f64(4)?);
        Some(found(result))
    })
}

/// Arguments: store, worker, difference, whether the slots are a limit, time to live, now.
pub(super) fn update_task_count(call: &Call) -> Option<Value> {
    change(call, |registry| {
        let (worker, delta, is_strict) = (call.string(1)?, call.f64(2)?, call.bool(3)?);
        let store = &mut registry.store.store;
        let result = store.update_task_count(&worker, delta, is_strict, call.f64(4)?, call.f64(5)?);
        Some(match result {
            Ok(()) => 0,
            Err(CountError::NotFound) => NOT_FOUND,
            Err(CountError::NoCapacity) => NO_CAPACITY,
        })
    })
}

/// Arguments: store, worker, whether it succeeded, duration, time to live, now.
pub(super) fn record_completion(call: &Call) -> Option<Value> {
    change(call, |registry| {
        let (worker, is_success, duration) = (call.string(1)?, call.bool(2)?, call.f64(3)?);
        let store = &mut registry.store.store;
        let result =
            store.record_completion(&worker, is_success, duration, call.f64(4)?, call.f64(5)?);
        Some(found(result))
    })
}

/// What a question is about.
struct Question {
    kind: u32,
    ranking: RankingId,
    now: f64,
    ttl: f64,
    /// Slots to reserve, or most workers.
    number: f64,
    filter: Filter,
    lease: f64,
}

impl Question {
    /// The first places of the array, and the capabilities.
    fn read(places: &[f64], capabilities: Vec<String>) -> Option<Self> {
        let [kind, ranking, now, ttl, number, min_available, health, lease, ..] = *places else {
            return None;
        };
        let health = health as u32;
        Some(Self {
            kind: kind as u32,
            ranking: RankingId(ranking as u32),
            now,
            ttl,
            number,
            filter: Filter {
                capabilities,
                health: HealthStatus::ALL
                    .into_iter()
                    .filter(|status| health >> (*status as u32) & 1 == 1)
                    .collect(),
                min_available_capacity: (!min_available.is_nan()).then_some(min_available),
            },
            lease,
        })
    }
}

/// Arguments: store, places, capabilities or the id of a worker, nonce and owner of a lease. The first
/// places say what is asked, the next get the answer and then the workers. The result is an array of the texts: the
/// token of a lease, then for each worker its id, its node and its capabilities.
pub(super) fn query(call: &Call) -> Option<Value> {
    let texts = call.strings(2).unwrap_or_default();
    let mut lease_texts = call.strings(3).unwrap_or_default().into_iter();
    let (nonce, owner) = (lease_texts.next(), lease_texts.next());
    let registry = stores::find(call.u32(0)?)?;
    let mut registry = stores::lock(&registry);
    let mut result = Vec::new();
    call.with_f64s(1, |places| {
        let question = Question::read(places, texts)?;
        let (token, expires_at) = ask(&mut registry, &question, nonce, owner);
        result.extend(token.map(|token| call.utf8(&token)));
        let (left, taken) = page(call, &mut registry, &question, places, &mut result);
        let status = f64::from(finish(&mut registry));
        answer(places, [status, left, taken, expires_at])
    })??;
    call.array_of(result.into_iter())
}

fn answer(places: &mut [f64], values: [f64; ANSWER]) -> Option<()> {
    places.get_mut(QUESTION..QUESTION + ANSWER)?.copy_from_slice(&values);
    Some(())
}

/// Arguments: store, places (as the question left them). The next workers.
pub(super) fn next_page(call: &Call) -> Option<Value> {
    let registry = stores::find(call.u32(0)?)?;
    let mut registry = stores::lock(&registry);
    let mut result = Vec::new();
    call.with_f64s(1, |places| {
        let question = Question::read(places, Vec::new())?;
        let (left, taken) = page(call, &mut registry, &question, places, &mut result);
        answer(places, [0.0, left, taken, 0.0])
    })??;
    call.array_of(result.into_iter())
}

/// Leaves the indices of the workers found, in reverse order. Returns the token and the end of a lease.
fn ask(
    registry: &mut Registry,
    question: &Question,
    nonce: Option<String>,
    owner: Option<String>,
) -> (Option<String>, f64) {
    let Question { kind, ranking, now, ttl, number, ref filter, lease } = *question;
    let store = &mut registry.store.store;
    let mut token = None;
    let mut expires_at = 0.0;
    let mut found = match kind {
        0 => store.discover(ranking, filter, now),
        // Conversions from f64 saturate.
        1 => store.rank(ranking, filter, number as usize, now),
        2 => store.acquire(ranking, filter, number, ttl, now).into_iter().collect(),
        3 => {
            let request = LeaseRequest { nonce: nonce.unwrap_or_default(), duration: lease, owner };
            let held = store.acquire_lease(ranking, filter, number, request, ttl, now);
            held.map(|(index, lease)| {
                token = Some(lease.token);
                expires_at = lease.expires_at;
                index
            })
            .into_iter()
            .collect()
        }
        _ => {
            let id = filter.capabilities.first().map_or("", |id| &**id);
            store.index_of(id, now).into_iter().collect::<Vec<_>>()
        }
    };
    found.reverse();
    registry.found = found;
    (token, expires_at)
}

/// Moves workers into the array for as long as there is room. Returns how many are left, and how many
/// were moved.
fn page(
    call: &Call,
    registry: &mut Registry,
    question: &Question,
    places: &mut [f64],
    texts: &mut Vec<Option<Value>>,
) -> (f64, f64) {
    let records = places.get_mut(QUESTION + ANSWER..).unwrap_or_default();
    let mut count = 0;
    for place in records.chunks_exact_mut(RECORD) {
        let Some(index) = registry.found.pop() else { break };
        let Some(view) = registry.store.store.view(question.ranking, index, question.now) else {
            continue;
        };
        let (load, capabilities) = (view.load(), view.capabilities());
        place.copy_from_slice(&[
            load.max_concurrent_tasks,
            load.current_tasks,
            f64::from(view.health as u8),
            view.last_heartbeat(),
            view.started_at(),
            load.tasks_completed,
            load.tasks_failed,
            load.average_task_duration,
            view.priority,
            f64::from(u8::from(view.is_draining())),
            capabilities.len() as f64,
        ]);
        texts.push(call.utf8(view.id()));
        texts.push(call.utf8(view.node_id()));
        texts.extend(capabilities.map(|name| call.utf8(name)));
        count += 1;
    }
    if registry.found.is_empty() {
        registry.found = Vec::new();
    }
    (registry.found.len() as f64, count.into())
}
