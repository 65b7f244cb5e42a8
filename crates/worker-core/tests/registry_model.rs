//! The store of a registry against a plain list that is scanned for every question.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use proptest::{collection::vec, prelude::*};
use worker_core::registry::{
    Filter, HealthStatus, HealthThresholds, LeaseRequest, Load, RankingConfig, RankingId,
    Registration, Release, Store, StoreEvent, UnregisterReason, Weights,
};

const TTL: f64 = 1_000.0;
const CAPABILITIES: [&str; 4] = ["a", "b", "c", "d"];
const CONFIG: RankingConfig = RankingConfig {
    weights: Weights { capacity: 0.5, success: 0.3, speed: 0.2 },
    degraded_penalty: 0.5,
    thresholds: HealthThresholds { healthy: 300.0, degraded: 600.0 },
};

#[derive(Clone, Debug)]
enum Step {
    Register { capabilities: u8, slots: u8 },
    Unregister(u8),
    Heartbeat(u8),
    Count { worker: u8, delta: i8 },
    Complete { worker: u8, is_success: bool, duration: u16 },
    Drain { worker: u8, is_draining: bool },
    Acquire { filter: Question, count: u8 },
    Lease { filter: Question, duration: u16 },
    Renew(u8),
    Release(u8),
    Cleanup,
    Wait(i16),
    Ask(Question),
    Rewrite(u8),
}

#[derive(Clone, Debug)]
struct Question {
    capabilities: u8,
    health: u8,
    min: Option<i8>,
}

impl Question {
    fn filter(&self) -> Filter {
        Filter {
            capabilities: names(self.capabilities),
            health: HealthStatus::ALL
                .into_iter()
                .filter(|health| self.health >> (*health as u8) & 1 == 1)
                .collect(),
            min_available_capacity: self.min.map(f64::from),
        }
    }
}

fn names(bits: u8) -> Vec<String> {
    let wanted = CAPABILITIES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    wanted.map(|(_, name)| (*name).to_owned()).collect()
}

fn question() -> impl Strategy<Value = Question> {
    // Mostly few capabilities, so that something is found.
    (prop_oneof![Just(0_u8), Just(1), Just(2), 0..16_u8], 0..8_u8, proptest::option::of(-1..3_i8))
        .prop_map(|(capabilities, health, min)| Question { capabilities, health, min })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..16_u8, 1..4_u8)
            .prop_map(|(capabilities, slots)| Step::Register { capabilities, slots }),
        1 => any::<u8>().prop_map(Step::Unregister),
        3 => any::<u8>().prop_map(Step::Heartbeat),
        3 => (any::<u8>(), -2..5_i8).prop_map(|(worker, delta)| Step::Count { worker, delta }),
        2 => (any::<u8>(), any::<bool>(), any::<u16>()).prop_map(
            |(worker, is_success, duration)| Step::Complete { worker, is_success, duration }
        ),
        1 => (any::<u8>(), any::<bool>())
            .prop_map(|(worker, is_draining)| Step::Drain { worker, is_draining }),
        3 => (question(), 1..3_u8).prop_map(|(filter, count)| Step::Acquire { filter, count }),
        3 => (question(), 1..500_u16)
            .prop_map(|(filter, duration)| Step::Lease { filter, duration }),
        1 => any::<u8>().prop_map(Step::Renew),
        2 => any::<u8>().prop_map(Step::Release),
        1 => Just(Step::Cleanup),
        3 => (-100..400_i16).prop_map(Step::Wait),
        3 => question().prop_map(Step::Ask),
        1 => any::<u8>().prop_map(Step::Rewrite),
    ]
}

#[derive(Clone)]
struct Worker {
    id: String,
    capabilities: Vec<String>,
    load: Load,
    heartbeat: f64,
    written: f64,
    is_draining: bool,
    held: Vec<(String, f64, f64, f64)>,
}

#[derive(Default)]
struct Reference {
    workers: Vec<Worker>,
    now: f64,
}

impl Reference {
    fn expire(&mut self) {
        let now = self.now;
        self.workers.retain(|worker| now <= worker.written + TTL);
    }

    fn give_back(&mut self) {
        self.expire();
        for worker in &mut self.workers {
            let over = |held: &(String, f64, f64, f64)| held.2 <= self.now;
            let count: f64 = worker.held.iter().filter(|held| over(held)).map(|held| held.1).sum();
            worker.held.retain(|held| !over(held));
            worker.load.add_tasks(-count);
        }
    }

    fn health(&self, worker: &Worker) -> HealthStatus {
        CONFIG.thresholds.status(worker.heartbeat, self.now)
    }

    fn find(&mut self, filter: &Filter) -> Vec<Worker> {
        self.give_back();
        let is_wanted = |worker: &&Worker| {
            filter.capabilities.iter().all(|name| worker.capabilities.contains(name))
                && (filter.health.is_empty() || filter.health.contains(&self.health(worker)))
                && filter
                    .min_available_capacity
                    .is_none_or(|min| worker.load.available_capacity() >= min)
        };
        self.workers.iter().filter(is_wanted).cloned().collect()
    }

    fn rank(&mut self, filter: &Filter) -> Vec<Worker> {
        let mut found = self.find(filter);
        let key = |worker: &Worker| {
            let health = self.health(worker);
            let is_degraded = health == HealthStatus::Degraded;
            let priority = worker.load.priority(&CONFIG.weights);
            (if is_degraded { priority * 0.5 } else { priority }, health, worker.load.current_tasks)
        };
        found.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.total_cmp(&b.2))
        });
        found
    }

    fn best(&mut self, filter: &Filter, count: f64) -> Option<Worker> {
        let ranked = self.rank(filter);
        ranked.into_iter().find(|worker| {
            !worker.is_draining
                && worker.load.available_capacity() >= count
                && (!filter.health.is_empty() || self.health(worker) != HealthStatus::Unhealthy)
        })
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Worker)) -> bool {
        self.expire();
        let now = self.now;
        let worker = self.workers.iter_mut().find(|worker| worker.id == id);
        worker
            .map(|worker| {
                change(worker);
                worker.written = now;
            })
            .is_some()
    }
}

struct Test {
    store: Store,
    ranking: RankingId,
    reference: Reference,
    ids: Vec<String>,
    tokens: Vec<String>,
    registered: usize,
    gone: usize,
}

impl Test {
    fn id(&self, number: u8) -> String {
        let index = usize::from(number) % self.ids.len().max(1);
        self.ids.get(index).cloned().unwrap_or_else(|| "none".to_owned())
    }

    fn token(&self, number: u8) -> String {
        let index = usize::from(number) % self.tokens.len().max(1);
        self.tokens.get(index).cloned().unwrap_or_else(|| "none".to_owned())
    }

    fn views(&self, found: &[u32]) -> Vec<(String, Load, HealthStatus)> {
        let view = |index: &u32| self.store.view(self.ranking, *index, self.reference.now);
        found
            .iter()
            .map(|index| view(index).unwrap())
            .map(|view| (view.id().to_owned(), view.load(), view.health))
            .collect()
    }

    fn expected(&self, found: &[Worker]) -> Vec<(String, Load, HealthStatus)> {
        let view =
            |worker: &Worker| (worker.id.clone(), worker.load, self.reference.health(worker));
        found.iter().map(view).collect()
    }

    fn apply(&mut self, step: &Step) {
        let now = self.reference.now;
        match step {
            Step::Register { capabilities, slots } => self.register(*capabilities, *slots),
            Step::Unregister(number) => {
                let id = self.id(*number);
                self.store.unregister(&id, now);
                self.reference.expire();
                self.reference.workers.retain(|worker| worker.id != id);
            }
            Step::Heartbeat(number) => {
                let id = self.id(*number);
                let is_found = self.store.heartbeat(self.ranking, &id, TTL, now).is_ok();
                assert_eq!(is_found, self.reference.change(&id, |worker| worker.heartbeat = now));
            }
            Step::Count { worker, delta } => {
                let (id, delta) = (self.id(*worker), f64::from(*delta));
                let is_found = self.store.update_task_count(&id, delta, false, TTL, now).is_ok();
                let change = |worker: &mut Worker| worker.load.add_tasks(delta);
                assert_eq!(is_found, self.reference.change(&id, change));
            }
            Step::Complete { worker, is_success, duration } => {
                let (id, duration) = (self.id(*worker), f64::from(*duration));
                let result = self.store.record_completion(&id, *is_success, duration, TTL, now);
                let change = |worker: &mut Worker| {
                    worker.load.complete(*is_success, duration);
                    worker.load.add_tasks(-1.0);
                };
                assert_eq!(result.is_ok(), self.reference.change(&id, change));
            }
            Step::Drain { worker, is_draining } => {
                let id = self.id(*worker);
                let result = self.store.set_draining(&id, *is_draining, TTL, now);
                let change = |worker: &mut Worker| worker.is_draining = *is_draining;
                assert_eq!(result.is_ok(), self.reference.change(&id, change));
            }
            Step::Acquire { filter, count } => {
                let (filter, count) = (filter.filter(), f64::from(*count));
                let found = self.store.acquire(self.ranking, &filter, count, TTL, now);
                let found = found.map(|index| self.views(&[index])[0].0.clone());
                let best = self.reference.best(&filter, count).map(|worker| worker.id);
                assert_eq!(found, best);
                if let Some(id) = best {
                    self.reference.change(&id, |worker| worker.load.add_tasks(count));
                }
            }
            Step::Lease { filter, duration } => self.lease(&filter.filter(), f64::from(*duration)),
            Step::Renew(number) => {
                let token = self.token(*number);
                let result = self.store.renew(&token, None, TTL, now);
                self.reference.give_back();
                let mut expected = None;
                let holds = |worker: &&Worker| worker.held.iter().any(|held| held.0 == token);
                let id = self.reference.workers.iter().find(holds).map(|worker| worker.id.clone());
                if let Some(id) = id {
                    self.reference.change(&id, |worker| {
                        let held = worker.held.iter_mut().find(|held| held.0 == token).unwrap();
                        held.2 = now + held.3;
                        expected = Some(held.2);
                    });
                }
                assert_eq!(result.ok(), expected);
            }
            Step::Release(number) => self.release(&self.token(*number)),
            Step::Cleanup => {
                let mut removed = self.store.cleanup(self.ranking, false, now);
                let filter = Filter { health: vec![HealthStatus::Unhealthy], ..Filter::default() };
                let mut expected: Vec<_> =
                    self.reference.find(&filter).into_iter().map(|worker| worker.id).collect();
                removed.sort();
                expected.sort();
                assert_eq!(removed, expected);
                self.reference.workers.retain(|worker| !expected.contains(&worker.id));
            }
            Step::Wait(time) => self.reference.now += f64::from(*time),
            Step::Ask(question) => self.ask(&question.filter()),
            Step::Rewrite(number) => {
                let key = format!("task-sentinel/workers/{}", self.id(*number));
                if let Some(json) = self.store.get(&key, now) {
                    self.store.set(&key, &json, TTL, now);
                    self.reference.change(&self.id(*number), |_| {});
                }
            }
        }
    }

    fn register(&mut self, capabilities: u8, slots: u8) {
        let now = self.reference.now;
        let id = format!("worker-{}", self.ids.len());
        let capabilities = names(capabilities);
        let registration = Registration {
            id: id.clone(),
            node_id: "node".to_owned(),
            capabilities: capabilities.clone(),
            max_concurrent_tasks: slots.into(),
        };
        self.store.register(registration, false, TTL, now);
        self.reference.expire();
        self.reference.workers.push(Worker {
            id: id.clone(),
            capabilities,
            load: Load {
                max_concurrent_tasks: slots.into(),
                current_tasks: 0.0,
                tasks_completed: 0.0,
                tasks_failed: 0.0,
                average_task_duration: 0.0,
            },
            heartbeat: now,
            written: now,
            is_draining: false,
            held: Vec::new(),
        });
        self.ids.push(id);
    }

    fn lease(&mut self, filter: &Filter, duration: f64) {
        let now = self.reference.now;
        let nonce = self.tokens.len().to_string();
        let request = LeaseRequest { nonce, duration, owner: None };
        let lease = self.store.acquire_lease(self.ranking, filter, 1.0, request, TTL, now);
        let best = self.reference.best(filter, 1.0).map(|worker| worker.id);
        assert_eq!(lease.as_ref().map(|(index, _)| self.views(&[*index])[0].0.clone()), best);
        if let (Some((_, lease)), Some(id)) = (lease, best) {
            assert_eq!(lease.expires_at, now + duration);
            self.tokens.push(lease.token.clone());
            self.reference.change(&id, |worker| {
                worker.load.add_tasks(1.0);
                worker.held.push((lease.token, 1.0, now + duration, duration));
            });
        }
    }

    fn release(&mut self, token: &str) {
        let now = self.reference.now;
        let release = Release { is_success: Some(true), duration: 50.0 };
        let is_released = self.store.release(token, release, TTL, now);
        self.reference.give_back();
        let holds = |worker: &&Worker| worker.held.iter().any(|held| held.0 == token);
        let id = self.reference.workers.iter().find(holds).map(|worker| worker.id.clone());
        assert_eq!(is_released, id.is_some());
        if let Some(id) = id {
            self.reference.change(&id, |worker| {
                worker.held.retain(|held| held.0 != token);
                worker.load.add_tasks(-1.0);
                worker.load.complete(true, 50.0);
            });
        }
    }

    fn ask(&mut self, filter: &Filter) {
        let now = self.reference.now;
        let found = self.store.discover(self.ranking, filter, now);
        let expected = self.reference.find(filter);
        assert_eq!(self.views(&found), self.expected(&expected));
        let ranked = self.store.rank(self.ranking, filter, usize::MAX, now);
        let expected = self.reference.rank(filter);
        assert_eq!(self.views(&ranked), self.expected(&expected));
        assert_eq!(self.store.rank(self.ranking, filter, 2, now), ranked[..ranked.len().min(2)]);
    }

    fn count_events(&mut self) {
        for event in self.store.take_events() {
            match event {
                StoreEvent::Registered { .. } => self.registered += 1,
                StoreEvent::Unregistered { reason: UnregisterReason::Explicit, .. } => {}
                StoreEvent::Unregistered { .. } => self.gone += 1,
                StoreEvent::HealthChanged { from, to, .. } => assert_ne!(from, to),
                StoreEvent::Key { .. } => panic!("nobody watches"),
            }
        }
    }
}

/// A store that is restored from a journal has what the first one has.
fn assert_restored(store: &mut Store, journal: &[u8], now: f64) {
    let mut restored = Store::default();
    let replay = worker_core::registry::journal::replay(&mut restored, journal);
    assert_eq!((replay.valid_len, replay.damaged_lines), (journal.len(), 0));
    let pattern = worker_core::registry::Pattern::new("*");
    let sorted = |mut values: Vec<(String, String)>| {
        values.sort();
        values
    };
    assert_eq!(sorted(restored.search(&pattern, now)), sorted(store.search(&pattern, now)));
}

proptest! {
    #[test]
    fn does_what_a_plain_list_does(steps in vec(step(), 1..120)) {
        let mut store = Store::default();
        store.start_journal();
        let ranking = store.attach(CONFIG);
        let reference = Reference { workers: Vec::new(), now: 1_000_000.0 };
        let mut test = Test {
            store, ranking, reference, ids: Vec::new(), tokens: Vec::new(), registered: 0, gone: 0,
        };
        let mut journal = test.store.take_journal();
        for step in &steps {
            test.apply(step);
            test.count_events();
            journal.extend(test.store.take_journal());
        }
        test.ask(&Filter::default());
        test.count_events();
        prop_assert_eq!(test.registered, test.ids.len());
        let now = test.reference.now;
        journal.extend(test.store.take_journal());
        assert_restored(&mut test.store, &journal, now);
        test.store.write_snapshot();
        let snapshot = test.store.take_journal();
        assert_restored(&mut test.store, &snapshot, now);
    }
}
