//! What a registry does with workers.

use super::{
    HealthStatus, Load, Store, StoreEvent, UnregisterReason, WorkerData, record::write_string,
    store::RankingId, time,
};

/// A worker that registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The id that it gets.
    pub id: String,
    /// What the worker calls its node.
    pub node_id: String,
    /// In the worker's own order.
    pub capabilities: Vec<String>,
    /// Slots, at least 1.
    pub max_concurrent_tasks: f64,
}

/// There is no such worker, or there is none any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("worker not found")]
pub struct NotFound;

/// Why a number of tasks was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CountError {
    /// There is no such worker.
    #[error("worker not found")]
    NotFound,
    /// The worker has fewer free slots.
    #[error("worker has no capacity")]
    NoCapacity,
}

/// Metrics that replace those of a worker. `None`: stays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MetricsUpdate {
    /// Tasks that succeeded.
    pub tasks_completed: Option<f64>,
    /// Tasks that failed.
    pub tasks_failed: Option<f64>,
    /// Mean duration, in milliseconds.
    pub average_task_duration: Option<f64>,
}

impl Load {
    /// Counts a task that has ended.
    pub fn complete(&mut self, is_success: bool, duration: f64) {
        let ended = self.tasks_completed + self.tasks_failed;
        self.average_task_duration =
            (self.average_task_duration * ended + duration) / (ended + 1.0);
        if is_success {
            self.tasks_completed += 1.0;
        } else {
            self.tasks_failed += 1.0;
        }
    }

    /// Changes the slots in use, which never fall below 0.
    pub fn add_tasks(&mut self, delta: f64) {
        self.current_tasks = (self.current_tasks + delta).max(0.0);
    }
}

impl Store {
    /// Adds a worker and an event. With `is_unique_node`, workers of the same node go first.
    pub fn register(
        &mut self,
        registration: Registration,
        is_unique_node: bool,
        ttl: f64,
        now: f64,
    ) {
        self.expire(now);
        if is_unique_node {
            self.unregister_node(&registration.node_id, now);
        }
        // An id that is taken: the new worker replaces the old one.
        self.remove_worker(&registration.id);
        let event = registered_event(&registration, now);
        let worker = Box::from(&*registration.id);
        let data = WorkerData {
            id: registration.id,
            node_id: registration.node_id,
            capabilities: registration.capabilities,
            load: Load {
                max_concurrent_tasks: registration.max_concurrent_tasks,
                current_tasks: 0.0,
                tasks_completed: 0.0,
                tasks_failed: 0.0,
                average_task_duration: 0.0,
            },
            health_status: HealthStatus::Healthy,
            last_heartbeat: now,
            started_at: now,
            is_draining: false,
            reservations: Vec::new(),
            unknown: serde_json::Map::new(),
        };
        self.add_worker(data, now + ttl);
        self.put_event("worker-registered", &event, now);
        self.emit(StoreEvent::Registered { worker });
    }

    /// Removes a worker, if it is there, and adds an event, in either case.
    pub fn unregister(&mut self, id: &str, now: f64) {
        self.expire(now);
        self.remove_worker(id);
        self.announce_unregistered(id.into(), UnregisterReason::Explicit, now);
    }

    /// Notes that a worker is alive, and renews its record.
    ///
    /// # Errors
    /// There is no such worker.
    pub fn heartbeat(
        &mut self,
        ranking: RankingId,
        id: &str,
        ttl: f64,
        now: f64,
    ) -> Result<(), NotFound> {
        let index = self.find_worker(id, now)?;
        let record = self.table.worker_mut(index).ok_or(NotFound)?;
        record.last_heartbeat = now;
        let from = std::mem::replace(&mut record.stored_health, HealthStatus::Healthy);
        self.changed_worker(index, now + ttl);
        if from != HealthStatus::Healthy {
            let to = HealthStatus::Healthy;
            self.emit(StoreEvent::HealthChanged { ranking, worker: id.into(), from, to });
        }
        Ok(())
    }

    /// Changes the number of tasks of a worker, which never falls below 0. `is_strict`: it does not
    /// rise above the worker's slots either.
    ///
    /// # Errors
    /// There is no such worker, or it has no capacity.
    pub fn update_task_count(
        &mut self,
        id: &str,
        delta: f64,
        is_strict: bool,
        ttl: f64,
        now: f64,
    ) -> Result<(), CountError> {
        let index = self.find_worker(id, now).map_err(|NotFound| CountError::NotFound)?;
        let record = self.table.worker_mut(index).ok_or(CountError::NotFound)?;
        if is_strict && delta > 0.0 && record.load.available_capacity() < delta {
            return Err(CountError::NoCapacity);
        }
        record.load.add_tasks(delta);
        self.changed_worker(index, now + ttl);
        Ok(())
    }

    /// Replaces metrics of a worker.
    ///
    /// # Errors
    /// There is no such worker.
    pub fn update_metrics(
        &mut self,
        id: &str,
        update: MetricsUpdate,
        ttl: f64,
        now: f64,
    ) -> Result<(), NotFound> {
        self.change(id, ttl, now, |load| {
            let MetricsUpdate { tasks_completed, tasks_failed, average_task_duration } = update;
            load.tasks_completed = tasks_completed.unwrap_or(load.tasks_completed);
            load.tasks_failed = tasks_failed.unwrap_or(load.tasks_failed);
            load.average_task_duration =
                average_task_duration.unwrap_or(load.average_task_duration);
        })
    }

    /// Counts a task that has ended, and frees its slot.
    ///
    /// # Errors
    /// There is no such worker.
    pub fn record_completion(
        &mut self,
        id: &str,
        is_success: bool,
        duration: f64,
        ttl: f64,
        now: f64,
    ) -> Result<(), NotFound> {
        self.change(id, ttl, now, |load| {
            load.complete(is_success, duration);
            load.add_tasks(-1.0);
        })
    }

    /// Whether a worker gets no reservation any more.
    ///
    /// # Errors
    /// There is no such worker.
    pub fn set_draining(
        &mut self,
        id: &str,
        is_draining: bool,
        ttl: f64,
        now: f64,
    ) -> Result<(), NotFound> {
        let index = self.find_worker(id, now)?;
        self.table.worker_mut(index).ok_or(NotFound)?.is_draining = is_draining;
        self.changed_worker(index, now + ttl);
        Ok(())
    }

    /// Announces changes of health, gives slots of ended reservations back and removes unhealthy
    /// workers (not with `keeps_all`, and not soon after an outage of the process). Returns the ids of
    /// the workers that it removed.
    pub fn cleanup(&mut self, ranking: RankingId, keeps_all: bool, now: f64) -> Vec<String> {
        self.bring_up_to_date(ranking, now);
        self.announce_health(ranking, now);
        if keeps_all || self.is_guarded(now) {
            return Vec::new();
        }
        let filter =
            super::Filter { health: vec![HealthStatus::Unhealthy], ..super::Filter::default() };
        let unhealthy: Vec<String> = self
            .discover(ranking, &filter, now)
            .into_iter()
            .filter_map(|index| Some(self.table.worker(index)?.id().to_owned()))
            .collect();
        for id in &unhealthy {
            // By id, since a removal may close the gaps between the indices.
            self.remove_worker(id);
            self.announce_unregistered((**id).into(), UnregisterReason::Cleanup, now);
        }
        unhealthy
    }

    pub(super) fn find_worker(&mut self, id: &str, now: f64) -> Result<u32, NotFound> {
        self.expire(now);
        self.table.find_worker(id).ok_or(NotFound)
    }

    fn change(
        &mut self,
        id: &str,
        ttl: f64,
        now: f64,
        change: impl FnOnce(&mut Load),
    ) -> Result<(), NotFound> {
        let index = self.find_worker(id, now)?;
        change(&mut self.table.worker_mut(index).ok_or(NotFound)?.load);
        self.changed_worker(index, now + ttl);
        Ok(())
    }

    fn announce_health(&mut self, ranking_id: RankingId, now: f64) {
        let Some(ranking) = self.ranking_mut(ranking_id) else { return };
        let config = ranking.config;
        for index in ranking.take_changed() {
            let Some(record) = self.table.worker_mut(index) else { continue };
            let to = config.health(record, now);
            let from = std::mem::replace(&mut record.stored_health, to);
            if from != to {
                let worker = record.id().into();
                record.forget_json();
                self.changed(index);
                self.emit(StoreEvent::HealthChanged { ranking: ranking_id, worker, from, to });
            }
        }
    }

    fn unregister_node(&mut self, node_id: &str, now: f64) {
        let same: Vec<String> = self
            .table
            .workers()
            .filter(|(_, record)| record.node_id() == node_id)
            .map(|(_, record)| record.id().to_owned())
            .collect();
        for id in same {
            self.unregister(&id, now);
        }
    }
}

fn registered_event(registration: &Registration, now: f64) -> String {
    let mut out = "{\"type\":\"worker-registered\",\"workerId\":".to_owned();
    write_string(&mut out, &registration.id);
    out.push_str(",\"nodeId\":");
    write_string(&mut out, &registration.node_id);
    out.push_str(",\"capabilities\":");
    out.push_str(&serde_json::Value::from(registration.capabilities.clone()).to_string());
    out.push_str(",\"timestamp\":\"");
    out.push_str(&time::to_iso(now));
    out.push_str("\"}");
    out
}

/// The event of a worker that is gone.
pub(super) fn gone_event(id: &str, now: f64) -> String {
    let mut out = "{\"type\":\"worker-unregistered\",\"workerId\":".to_owned();
    write_string(&mut out, id);
    out.push_str(",\"timestamp\":\"");
    out.push_str(&time::to_iso(now));
    out.push_str("\"}");
    out
}
