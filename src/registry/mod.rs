//! The cold part of a registry's surface: keys and values, registration, events, the file.

mod redis_store;
pub(crate) mod stores;

use std::{path::Path, sync::Mutex};

use napi::bindgen_prelude::*;
use napi_derive::napi;
use worker_registry::{OpenError, PersistentStore, SyncHandle};
use worker_server::core::registry::{
    HealthThresholds, MetricsUpdate, Pattern, RankingConfig, RankingId, Registration, Release,
    StoreEvent, Weights, is_valid_time,
};

use self::stores::Registry;
use crate::errors;

/// What the order of workers depends on. Times are in milliseconds.
#[napi(object)]
pub struct NativeRankingConfig {
    /// Share of the free slots in the priority.
    pub capacity_weight: f64,
    /// Share of the success rate.
    pub success_weight: f64,
    /// Share of the speed.
    pub speed_weight: f64,
    /// Factor on the priority of a degraded worker.
    pub degraded_penalty: f64,
    /// Up to this age of its heartbeat a worker is healthy.
    pub healthy_threshold: f64,
    /// Up to this age of its heartbeat a worker is degraded.
    pub degraded_threshold: f64,
}

impl From<NativeRankingConfig> for RankingConfig {
    fn from(config: NativeRankingConfig) -> Self {
        Self {
            weights: Weights {
                capacity: config.capacity_weight,
                success: config.success_weight,
                speed: config.speed_weight,
            },
            degraded_penalty: config.degraded_penalty,
            thresholds: HealthThresholds {
                healthy: config.healthy_threshold,
                degraded: config.degraded_threshold,
            },
        }
    }
}

/// A worker that registers.
#[napi(object)]
pub struct NativeRegistration {
    /// Its new id.
    pub id: String,
    /// What it calls its node.
    pub node_id: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Its slots.
    pub max_concurrent_tasks: f64,
    /// Workers of the same node go first.
    pub is_unique_node: bool,
}

/// Metrics that replace those of a worker.
#[napi(object)]
pub struct NativeMetricsUpdate {
    /// Tasks that succeeded.
    pub tasks_completed: Option<f64>,
    /// Tasks that failed.
    pub tasks_failed_count: Option<f64>,
    /// Milliseconds.
    pub average_task_duration: Option<f64>,
}

/// A key and its value.
#[napi(object)]
pub struct NativePair {
    /// The key.
    pub key: String,
    /// Its value, or what is wrong with it.
    pub value: String,
}

/// A change of a store.
#[napi(object)]
pub struct NativeStoreEvent {
    /// 0: registered, 1: unregistered, 2: health changed, 3: key changed.
    pub kind: u32,
    /// The id of a worker, or a key.
    pub subject: String,
    /// The ranking that a change of health is for.
    pub ranking: u32,
    /// The reason, the health before, or the change of the key.
    pub from: u32,
    /// The health now.
    pub to: u32,
}

/// What was found in a file.
#[napi(object)]
pub struct NativeRecovery {
    /// Lines that were damaged, and skipped.
    pub damaged_lines: f64,
    /// Bytes at the end that were cut off.
    pub truncated_bytes: f64,
}

/// The embedded store of a registry.
#[napi]
pub struct NativeRegistryStore {
    number: u32,
    recovery: NativeRecovery,
}

impl NativeRegistryStore {
    fn with<T>(&self, body: impl FnOnce(&mut Registry) -> T) -> Result<T> {
        let registry =
            stores::find(self.number).ok_or_else(|| errors::failure("the store is closed"))?;
        Ok(body(&mut stores::lock(&registry)))
    }

    /// Runs a change and writes it to the file.
    fn change<T>(&self, body: impl FnOnce(&mut Registry) -> T) -> Result<T> {
        self.with(|registry| {
            let result = body(registry);
            registry.commit();
            result
        })
    }
}

#[napi]
impl NativeRegistryStore {
    /// In memory, or with a file. The message of an error starts with `INUSE` when another store has the
    /// file open.
    #[napi(constructor, catch_unwind)]
    pub fn new(path: Option<String>) -> Result<Self> {
        let (store, recovery) = match path {
            None => (PersistentStore::default(), worker_registry::Recovery::default()),
            Some(path) => PersistentStore::open(Path::new(&path)).map_err(|error| match error {
                OpenError::InUse => errors::failure(format!("INUSE {error}")),
                OpenError::Io(error) => errors::failure(error),
            })?,
        };
        let recovery = NativeRecovery {
            damaged_lines: recovery.damaged_lines as f64,
            truncated_bytes: recovery.truncated_bytes as f64,
        };
        Ok(Self { number: stores::add(store), recovery })
    }

    /// What raw functions know this store by.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What was found in the file.
    #[napi(getter, catch_unwind)]
    pub fn recovery(&self) -> NativeRecovery {
        NativeRecovery {
            damaged_lines: self.recovery.damaged_lines,
            truncated_bytes: self.recovery.truncated_bytes,
        }
    }

    /// Starts to keep an order of the workers.
    #[napi(catch_unwind)]
    pub fn attach(&self, config: NativeRankingConfig) -> Result<u32> {
        self.with(|registry| registry.store.store.attach(config.into()).0)
    }

    /// Ends that.
    #[napi(catch_unwind)]
    pub fn detach(&self, ranking: u32) -> Result<()> {
        self.with(|registry| registry.store.store.detach(RankingId(ranking)))
    }

    /// Expects a call at least every `interval` milliseconds; after a long gap workers get `grace`
    /// milliseconds. Undefined: calls may come at any time.
    #[napi(catch_unwind)]
    pub fn expect_calls(&self, now: f64, interval: Option<f64>, grace: Option<f64>) -> Result<()> {
        self.with(|registry| registry.store.store.expect_calls(interval.zip(grace), now))
    }

    /// Whether `now` can be written down as a date.
    #[napi(catch_unwind)]
    pub fn is_valid_time(now: f64) -> bool {
        is_valid_time(now)
    }

    /// Adds a worker.
    #[napi(catch_unwind)]
    pub fn register(&self, registration: NativeRegistration, ttl: f64, now: f64) -> Result<()> {
        self.change(|registry| {
            let is_unique_node = registration.is_unique_node;
            let registration = Registration {
                id: registration.id,
                node_id: registration.node_id,
                capabilities: registration.capabilities,
                max_concurrent_tasks: registration.max_concurrent_tasks,
            };
            registry.store.store.register(registration, is_unique_node, ttl, now);
        })
    }

    /// Removes a worker.
    #[napi(catch_unwind)]
    pub fn unregister(&self, id: String, now: f64) -> Result<()> {
        self.change(|registry| registry.store.store.unregister(&id, now))
    }

    /// Returns false if there is no such worker.
    #[napi(catch_unwind)]
    pub fn update_metrics(
        &self,
        id: String,
        update: NativeMetricsUpdate,
        ttl: f64,
        now: f64,
    ) -> Result<bool> {
        let update = MetricsUpdate {
            tasks_completed: update.tasks_completed,
            tasks_failed: update.tasks_failed_count,
            average_task_duration: update.average_task_duration,
        };
        self.change(|registry| registry.store.store.update_metrics(&id, update, ttl, now).is_ok())
    }

    /// Returns false if there is no such worker.
    #[napi(catch_unwind)]
    pub fn set_draining(&self, id: String, is_draining: bool, ttl: f64, now: f64) -> Result<bool> {
        self.change(|registry| {
            registry.store.store.set_draining(&id, is_draining, ttl, now).is_ok()
        })
    }

    /// Returns the end of the reservation; undefined: it has ended.
    #[napi(catch_unwind)]
    pub fn renew(
        &self,
        token: String,
        duration: Option<f64>,
        ttl: f64,
        now: f64,
    ) -> Result<Option<f64>> {
        self.change(|registry| registry.store.store.renew(&token, duration, ttl, now).ok())
    }

    /// Returns false if the reservation has ended.
    #[napi(catch_unwind)]
    pub fn release(
        &self,
        token: String,
        is_success: Option<bool>,
        duration: f64,
        ttl: f64,
        now: f64,
    ) -> Result<bool> {
        let release = Release { is_success, duration };
        self.change(|registry| registry.store.store.release(&token, release, ttl, now))
    }

    /// Returns the ids of the workers that were removed.
    #[napi(catch_unwind)]
    pub fn cleanup(&self, ranking: u32, keeps_all: bool, now: f64) -> Result<Vec<String>> {
        self.change(|registry| registry.store.store.cleanup(RankingId(ranking), keeps_all, now))
    }

    /// Sets a value. Returns false if there would be more than `max_keys` keys.
    #[napi(catch_unwind)]
    pub fn set(
        &self,
        key: String,
        value: String,
        ttl: f64,
        max_keys: f64,
        now: f64,
    ) -> Result<bool> {
        self.change(|registry| {
            let store = &mut registry.store.store;
            // Conversions from f64 saturate.
            if store.is_full_for(&key, max_keys as usize, now) {
                return false;
            }
            store.set(&key, &value, ttl, now);
            true
        })
    }

    /// A value.
    #[napi(catch_unwind)]
    pub fn get(&self, key: String, now: f64) -> Result<Option<String>> {
        self.change(|registry| registry.store.store.get(&key, now))
    }

    /// Forgets a value.
    #[napi(catch_unwind)]
    pub fn delete(&self, key: String, now: f64) -> Result<bool> {
        self.change(|registry| registry.store.store.delete(&key, now))
    }

    /// Sets a value if the present one is as expected.
    #[napi(catch_unwind)]
    pub fn compare_and_set(
        &self,
        key: String,
        expected: Option<String>,
        value: String,
        ttl: f64,
        now: f64,
    ) -> Result<bool> {
        self.change(|registry| {
            let store = &mut registry.store.store;
            store.compare_and_set(&key, expected.as_deref(), &value, ttl, now)
        })
    }

    /// The keys that start with `prefix`.
    #[napi(catch_unwind)]
    pub fn list(&self, prefix: String, now: f64) -> Result<Vec<String>> {
        self.change(|registry| registry.store.store.list(&prefix, now))
    }

    /// The keys that match, with their values.
    #[napi(catch_unwind)]
    pub fn search(&self, pattern: String, now: f64) -> Result<Vec<NativePair>> {
        self.change(|registry| {
            let found = registry.store.store.search(&Pattern::new(&pattern), now);
            found.into_iter().map(|(key, value)| NativePair { key, value }).collect()
        })
    }

    /// Forgets everything.
    #[napi(catch_unwind)]
    pub fn clear(&self) -> Result<()> {
        self.change(|registry| registry.store.store.clear())
    }

    /// How many keys there are.
    #[napi(catch_unwind)]
    pub fn len(&self, now: f64) -> Result<f64> {
        self.change(|registry| registry.store.store.len(now) as f64)
    }

    /// The earliest moment at which a key may expire.
    #[napi(catch_unwind)]
    pub fn next_expiry(&self) -> Result<Option<f64>> {
        self.with(|registry| registry.store.store.next_expiry())
    }

    /// Whether changes of keys are events.
    #[napi(catch_unwind)]
    pub fn watch(&self, is_watched: bool) -> Result<()> {
        self.with(|registry| registry.store.store.watch(is_watched))
    }

    /// Takes what happened since the last call; undefined: nothing.
    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Result<Option<Vec<NativeStoreEvent>>> {
        self.with(|registry| {
            let store = &mut registry.store.store;
            store.has_events().then(|| store.take_events().into_iter().map(describe).collect())
        })
    }

    /// Keys of workers whose value is no record, with what is wrong; undefined: none.
    #[napi(catch_unwind)]
    pub fn corrupt(&self) -> Result<Option<Vec<NativePair>>> {
        self.with(|registry| {
            let store = &registry.store.store;
            store.has_corrupt().then(|| {
                let pair = |(key, error): (&str, _)| NativePair {
                    key: key.to_owned(),
                    value: ToString::to_string(&error),
                };
                store.corrupt().map(pair).collect()
            })
        })
    }

    /// Takes why the last write to the file failed; undefined: none did.
    #[napi(catch_unwind)]
    pub fn take_write_error(&self) -> Result<Option<String>> {
        self.with(|registry| registry.write_error.take().map(|error| error.to_string()))
    }

    /// Forces what is written onto the disk.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn sync(&self) -> Result<AsyncTask<Sync>> {
        let handle = self.with(|registry| registry.store.sync_handle())?;
        Ok(AsyncTask::new(Sync(Mutex::new(handle))))
    }

    /// Closes the file and forgets everything. Later calls fail.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        if let Ok(()) = self.with(|registry| registry.store.close()) {
            stores::remove(self.number);
        }
    }
}

impl Drop for NativeRegistryStore {
    fn drop(&mut self) {
        stores::remove(self.number);
    }
}

/// Runs on a thread where waiting for a disk harms nobody.
pub struct Sync(Mutex<Option<SyncHandle>>);

impl Task for Sync {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        let handle = self.0.get_mut().map(Option::take).unwrap_or_default();
        handle.map_or(Ok(()), |handle| handle.sync()).map_err(errors::failure)
    }

    fn resolve(&mut self, _: Env, (): ()) -> Result<()> {
        Ok(())
    }
}

fn describe(event: StoreEvent) -> NativeStoreEvent {
    let (kind, subject, ranking, from, to) = match event {
        StoreEvent::Registered { worker } => (0, worker, 0, 0, 0),
        StoreEvent::Unregistered { worker, reason } => (1, worker, 0, reason as u32, 0),
        StoreEvent::HealthChanged { ranking, worker, from, to } => {
            (2, worker, ranking.0, from as u32, to as u32)
        }
        StoreEvent::Key { change, key } => (3, key, 0, change as u32, 0),
    };
    NativeStoreEvent { kind, subject: subject.into(), ranking, from, to }
}
