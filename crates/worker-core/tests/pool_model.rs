//! Random sequences of operations against a pool that scans everything.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "helpers of tests outside of test functions"
)]

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::{collection::vec, option, prelude::*, sample::select};
use worker_core::{
    pool::{Pool, Slot, Status},
    protocol::Capabilities,
};

const MODELS: [&str; 6] = ["a", "ab", "abc", "b", "", "zz"];
const WANTED: [&str; 8] = ["a", "ab", "abc", "xabx", "b", "", "zz", "nobody"];
const CATEGORIES: [&str; 4] = ["x", "y", "", "toString"];

#[derive(Clone, Debug)]
enum Op {
    Insert(Capabilities),
    Remove(usize),
    Clear,
    Track(usize, u16, Option<&'static str>),
    Release(u16, bool),
    Status(usize, Status),
    Active(usize, f64),
    Load(usize, Status, f64),
    CategoryActive(usize, &'static str, Option<f64>),
    Capabilities(usize, Capabilities),
    Heartbeat(usize),
    MarkUnhealthy(usize),
    Precedence(usize, f64),
}

/// Halves and integers, so that sums are exact in any order, and odd ones.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        12 => (0_i32..6).prop_map(f64::from),
        2 => (-4_i32..9).prop_map(|n| f64::from(n) / 2.0),
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, -0.0]),
    ]
}

fn category() -> impl Strategy<Value = &'static str> {
    select(CATEGORIES.to_vec())
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    (
        vec(select(MODELS.to_vec()), 0..3),
        number(),
        prop_oneof![
            2 => Just(BTreeMap::new()),
            1 => proptest::collection::btree_map(category(), number(), 0..3),
        ],
    )
        .prop_map(|(models, max, limits)| Capabilities {
            models: models.into_iter().map(str::to_owned).collect(),
            max_concurrent_requests: max,
            concurrency_limits: limits.into_iter().map(|(c, l)| (c.to_owned(), l)).collect(),
        })
}

fn op() -> impl Strategy<Value = Op> {
    let at = || 0_usize..12;
    let request = || 0_u16..8;
    let status =
        || select(vec![Status::Available, Status::Busy, Status::Draining, Status::Unhealthy]);
    prop_oneof![
        40 => capabilities().prop_map(Op::Insert),
        20 => at().prop_map(Op::Remove),
        80 => (at(), request(), option::of(category())).prop_map(|(a, r, c)| Op::Track(a, r, c)),
        60 => (request(), any::<bool>()).prop_map(|(r, c)| Op::Release(r, c)),
        20 => (at(), status()).prop_map(|(a, s)| Op::Status(a, s)),
        10 => (at(), number()).prop_map(|(a, n)| Op::Active(a, n)),
        10 => (at(), category(), option::of(number()))
            .prop_map(|(a, c, n)| Op::CategoryActive(a, c, n)),
        20 => (at(), capabilities()).prop_map(|(a, c)| Op::Capabilities(a, c)),
        10 => at().prop_map(Op::Heartbeat),
        10 => at().prop_map(Op::MarkUnhealthy),
        20 => (at(), number()).prop_map(|(a, n)| Op::Precedence(a, n)),
        20 => (at(), status(), number()).prop_map(|(a, s, n)| Op::Load(a, s, n)),
        1 => Just(Op::Clear),
    ]
}

/// The pool as the specification tells it: a list that is scanned each time.
#[derive(Default)]
struct Model {
    workers: Vec<Worker>,
}

struct Worker {
    slot: Slot,
    precedence: f64,
    status: Status,
    active: f64,
    completed: f64,
    capabilities: Capabilities,
    categories: HashMap<String, f64>,
    requests: HashSet<u16>,
    request_categories: HashMap<u16, Option<String>>,
}

impl Worker {
    fn new(slot: Slot, capabilities: Capabilities) -> Self {
        Self {
            slot,
            precedence: 0.0,
            status: Status::Available,
            active: 0.0,
            completed: 0.0,
            capabilities,
            categories: HashMap::new(),
            requests: HashSet::new(),
            request_categories: HashMap::new(),
        }
    }

    fn has_model(&self, wanted: &str) -> bool {
        self.capabilities
            .models
            .iter()
            .any(|model| model == wanted || model.contains(wanted) || wanted.contains(&**model))
    }

    /// Limit and use, if there is a limit.
    fn limit(&self, category: Option<&str>) -> Option<(f64, f64)> {
        let category = category?;
        let (_, limit) =
            self.capabilities.concurrency_limits.iter().find(|(known, _)| known == category)?;
        Some((*limit, self.categories.get(category).copied().unwrap_or(0.0)))
    }

    fn max(&self) -> f64 {
        self.capabilities.max_concurrent_requests
    }

    fn candidate(&self, wanted: Option<&str>, category: Option<&str>) -> bool {
        self.status == Status::Available
            && wanted.is_none_or(|wanted| self.has_model(wanted))
            && self.max() > 0.0
            && self.active < self.max()
            && self.limit(category).is_none_or(|(limit, used)| used < limit)
    }

    fn load(&self) -> f64 {
        let load = self.active / self.max();
        if load.is_nan() { f64::MAX } else { load }
    }

    fn free(&self, category: Option<&str>) -> f64 {
        let free = self.max().floor() - self.active;
        let free = match self.limit(category) {
            Some((limit, used)) if free.is_nan() || (limit.floor() - used).is_nan() => f64::NAN,
            Some((limit, used)) => free.min(limit.floor() - used),
            None => free,
        };
        if free.is_nan() { 0.0 } else { free }
    }
}

fn minus_one(n: f64) -> f64 {
    if n.is_nan() { n } else { (n - 1.0).max(0.0) }
}

impl Model {
    fn select(&self, wanted: &str, category: Option<&str>) -> Option<Slot> {
        let mut best: Option<(f64, Slot)> = None;
        for worker in self.workers.iter().filter(|w| w.candidate(Some(wanted), category)) {
            let load = worker.load();
            if best.is_none_or(|(lowest, _)| load < lowest) {
                best = Some((load, worker.slot));
            }
        }
        best.map(|(_, slot)| slot)
    }

    fn candidates(&self, wanted: Option<&str>, category: Option<&str>) -> Vec<Slot> {
        let mut found: Vec<_> =
            self.workers.iter().filter(|w| w.candidate(wanted, category)).collect();
        let key = |w: &Worker| (w.load(), w.precedence);
        found.sort_by(|a, b| key(a).partial_cmp(&key(b)).expect("no NaN"));
        found.into_iter().map(|worker| worker.slot).collect()
    }

    fn room(&self, wanted: &str, category: Option<&str>) -> f64 {
        self.workers
            .iter()
            .filter(|w| w.status == Status::Available && w.has_model(wanted))
            .map(|w| w.free(category).max(0.0))
            .sum()
    }

    fn available_slots(&self, wanted: &str, category: Option<&str>) -> f64 {
        let sum: f64 = self
            .workers
            .iter()
            .filter(|w| w.status == Status::Available && w.has_model(wanted))
            .map(|w| w.free(category))
            .sum();
        if sum.is_nan() { 0.0 } else { sum }
    }

    fn track(&mut self, at: usize, request: u16, category: Option<&str>) {
        let worker = &mut self.workers[at];
        worker.active += 1.0;
        worker.requests.insert(request);
        worker.request_categories.insert(request, category.map(str::to_owned));
        if let Some(category) = category {
            *worker.categories.entry(category.to_owned()).or_default() += 1.0;
        }
        if worker.active >= worker.max() {
            worker.status = Status::Busy;
        }
    }

    fn release(&mut self, request: u16, completed: bool) -> Option<Slot> {
        let worker = self.workers.iter_mut().find(|w| w.requests.contains(&request))?;
        worker.requests.remove(&request);
        worker.active = minus_one(worker.active);
        if let Some(category) = worker.request_categories.remove(&request).flatten() {
            let count = worker.categories.entry(category).or_default();
            *count = minus_one(*count);
        }
        if completed {
            worker.completed += 1.0;
        }
        if worker.status == Status::Busy && worker.active < worker.max() {
            worker.status = Status::Available;
        }
        Some(worker.slot)
    }
}

fn apply(op: Op, pool: &mut Pool, model: &mut Model) {
    // Indices beyond the end are operations on a worker that is not there.
    let slot =
        |model: &Model, at: usize| model.workers.get(at).map_or(Slot::new(9_999), |w| w.slot);
    let exists = |model: &Model, at: usize| at < model.workers.len();
    match op {
        Op::Insert(capabilities) => {
            if model.workers.len() < 10 {
                let slot = pool.insert(capabilities.clone());
                assert!(model.workers.iter().all(|w| w.slot != slot));
                model.workers.push(Worker::new(slot, capabilities));
            }
        }
        Op::Remove(at) => {
            assert_eq!(pool.remove(slot(model, at)), exists(model, at));
            if exists(model, at) {
                model.workers.remove(at);
            }
        }
        Op::Clear => {
            pool.clear();
            model.workers.clear();
        }
        Op::Track(at, request, category) => {
            let tracked = pool.track(slot(model, at), &[request], category);
            assert_eq!(tracked, exists(model, at));
            if tracked {
                model.track(at, request, category);
            }
        }
        Op::Release(request, completed) => {
            assert_eq!(pool.release(&[request], completed), model.release(request, completed));
        }
        Op::Status(at, status) => {
            assert_eq!(pool.set_status(slot(model, at), status), exists(model, at));
            model.workers.get_mut(at).into_iter().for_each(|w| w.status = status);
        }
        Op::Active(at, n) => {
            assert_eq!(pool.set_active(slot(model, at), n), exists(model, at));
            model.workers.get_mut(at).into_iter().for_each(|w| w.active = n);
        }
        Op::Load(at, status, n) => {
            assert_eq!(pool.set_load(slot(model, at), status, n), exists(model, at));
            if let Some(worker) = model.workers.get_mut(at) {
                (worker.status, worker.active) = (status, n);
            }
        }
        Op::CategoryActive(at, category, n) => {
            let known = pool.set_category_active(slot(model, at), category, n);
            assert_eq!(known, exists(model, at));
            if let Some(worker) = model.workers.get_mut(at) {
                match n {
                    Some(n) => worker.categories.insert(category.to_owned(), n),
                    None => worker.categories.remove(category),
                };
            }
        }
        Op::Capabilities(at, capabilities) => {
            let known = pool.set_capabilities(slot(model, at), capabilities.clone());
            assert_eq!(known, exists(model, at));
            if let Some(worker) = model.workers.get_mut(at) {
                worker.capabilities = capabilities;
            }
        }
        Op::Heartbeat(at) => {
            assert_eq!(pool.heartbeat(slot(model, at)), exists(model, at));
            if let Some(worker) = model.workers.get_mut(at)
                && worker.status == Status::Unhealthy
            {
                worker.status =
                    if worker.active >= worker.max() { Status::Busy } else { Status::Available };
            }
        }
        Op::MarkUnhealthy(at) => {
            assert_eq!(pool.mark_unhealthy(slot(model, at)), exists(model, at));
            model.workers.get_mut(at).into_iter().for_each(|w| w.status = Status::Unhealthy);
        }
        Op::Precedence(at, n) => {
            assert_eq!(pool.set_precedence(slot(model, at), n), exists(model, at));
            let n = if n.is_nan() { 0.0 } else { n };
            model.workers.get_mut(at).into_iter().for_each(|w| w.precedence = n);
        }
    }
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn compare_state(pool: &Pool, model: &Model) {
    assert_eq!(pool.len(), model.workers.len());
    assert_eq!(pool.is_empty(), model.workers.is_empty());
    assert_eq!(
        pool.slots().collect::<Vec<_>>(),
        model.workers.iter().map(|w| w.slot).collect::<Vec<_>>()
    );
    let available = model.workers.iter().filter(|w| w.status == Status::Available);
    assert_eq!(pool.available_count(), available.count());
    let usable =
        model.workers.iter().find(|w| matches!(w.status, Status::Available | Status::Busy));
    assert_eq!(pool.first_usable(), usable.map(|w| w.slot));
    for expected in &model.workers {
        let worker = pool.worker(expected.slot).expect("a known worker");
        assert_eq!(worker.status(), expected.status);
        assert!(same(worker.active(), expected.active));
        assert!(same(worker.completed(), expected.completed));
        assert_eq!(worker.models(), expected.capabilities.models);
        assert!(pool.contains(expected.slot));
        assert!(same(worker.max_concurrent_requests(), expected.max()));
        assert_eq!(worker.at_capacity(), expected.active >= expected.max());
        let categories: HashMap<_, _> = worker.categories().collect();
        assert_eq!(categories.len(), expected.categories.len());
        for category in CATEGORIES {
            let limits = &expected.capabilities.concurrency_limits;
            let limit = limits.iter().find(|(known, _)| known == category).map(|(_, limit)| *limit);
            let known = worker.concurrency_limit(category);
            assert_eq!(known.is_some(), limit.is_some());
            assert!(same(known.unwrap_or(0.0), limit.unwrap_or(0.0)));
        }
        assert_eq!(worker.in_flight(), expected.requests.len());
        for request in 0..8 {
            assert_eq!(pool.holds(expected.slot, &[request]), expected.requests.contains(&request));
        }
        for category in CATEGORIES {
            let (a, b) =
                (worker.category_active(category), expected.categories.get(category).copied());
            assert_eq!(a.is_some(), b.is_some());
            assert!(same(a.unwrap_or(0.0), b.unwrap_or(0.0)));
        }
    }
}

fn compare_answers(pool: &mut Pool, model: &Model, wanted: &str, category: Option<&str>) {
    assert_eq!(
        pool.select(wanted, category),
        model.select(wanted, category),
        "{wanted:?} {category:?}"
    );
    let (slots, expected) =
        (pool.available_slots(wanted, category), model.available_slots(wanted, category));
    assert!(slots == expected, "{wanted:?} {category:?}: {slots} {expected}");
    let (room, expected) = (pool.room(wanted, category), model.room(wanted, category));
    assert!(room == expected, "{wanted:?} {category:?}: {room} {expected}");
}

fn compare_candidates(
    pool: &mut Pool,
    model: &Model,
    wanted: Option<&str>,
    category: Option<&str>,
) {
    let expected = model.candidates(wanted, category);
    for most in [1, 20] {
        let first = &expected[..most.min(expected.len())];
        assert_eq!(pool.candidates(wanted, category, most), first, "{wanted:?} {category:?}");
    }
}

fn compare_everything(pool: &mut Pool, model: &Model) {
    for category in CATEGORIES.iter().map(|c| Some(*c)).chain([None]) {
        for wanted in WANTED {
            compare_answers(pool, model, wanted, category);
            compare_candidates(pool, model, Some(wanted), category);
        }
        compare_candidates(pool, model, None, category);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Few questions between the operations: rankings of every age are about.
    #[test]
    fn agrees_with_a_scan(
        steps in vec((op(), option::weighted(0.5, (select(WANTED.to_vec()), option::of(category())))), 1..150),
    ) {
        let mut pool = Pool::default();
        let mut model = Model::default();
        for (op, question) in steps {
            apply(op, &mut pool, &mut model);
            compare_state(&pool, &model);
            if let Some((wanted, category)) = question {
                compare_answers(&mut pool, &model, wanted, category);
                compare_candidates(&mut pool, &model, Some(wanted), category);
                compare_candidates(&mut pool, &model, None, category);
            }
        }
        compare_everything(&mut pool, &model);
    }

    /// All questions after every operation: all rankings exist and are updated.
    #[test]
    fn agrees_with_a_scan_when_everything_is_asked(steps in vec(op(), 1..60)) {
        let mut pool = Pool::default();
        let mut model = Model::default();
        for op in steps {
            apply(op, &mut pool, &mut model);
            compare_everything(&mut pool, &model);
        }
    }

    /// More workers than one node of a ranking, with compaction.
    #[test]
    fn agrees_with_a_scan_at_some_hundred_workers(
        keep in vec(any::<bool>(), 300),
        load in vec(0_u8..4, 300),
        later in 0_usize..200,
    ) {
        let mut pool = Pool::default();
        let mut model = Model::default();
        let capabilities = Capabilities {
            models: vec!["ab".into()],
            max_concurrent_requests: 3.0,
            concurrency_limits: vec![("x".into(), 2.0)],
        };
        for (at, load) in load.iter().enumerate() {
            let slot = pool.insert(capabilities.clone());
            model.workers.push(Worker::new(slot, capabilities.clone()));
            if at == later {
                compare_answers(&mut pool, &model, "ab", Some("x"));
            }
            for _ in 0..*load {
                apply(Op::Track(at, at as u16, Some("x")), &mut pool, &mut model);
            }
        }
        compare_answers(&mut pool, &model, "ab", None);
        for (at, _) in keep.iter().enumerate().rev().filter(|(_, keep)| !**keep) {
            apply(Op::Remove(at), &mut pool, &mut model);
            compare_answers(&mut pool, &model, "ab", Some("x"));
            if at % 8 == 0 {
                apply(Op::Precedence(at, 7.0), &mut pool, &mut model);
                compare_candidates(&mut pool, &model, Some("ab"), Some("x"));
            }
        }
        for request in 0..300 {
            apply(Op::Release(request, true), &mut pool, &mut model);
            compare_answers(&mut pool, &model, "ab", Some("x"));
            compare_answers(&mut pool, &model, "ab", None);
        }
        compare_candidates(&mut pool, &model, Some("ab"), Some("x"));
        compare_candidates(&mut pool, &model, None, None);
        compare_state(&pool, &model);
    }
}
