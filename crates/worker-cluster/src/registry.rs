//! A worker registry on the engine.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use redis::{Pipeline, Script, ScriptInvocation, Value, cmd};
use worker_core::registry::{HealthStatus, RankingConfig, WorkerData, to_iso};

use crate::{
    engine::{Effect, Engine},
    error::EngineError,
    record::{self, Fields, pack},
    request::{Request, WantedLease, WantedWorkers},
    scripts, values,
};

/// Records that are read in one step.
const PAGE: usize = 500;

/// Workers on the engine, for one configuration of a registry.
pub struct RedisRegistry {
    engine: Arc<Engine>,
    config: RankingConfig,
}

/// A worker with the values of the moment.
struct Found {
    number: u64,
    data: WorkerData,
    priority: f64,
}

impl RedisRegistry {
    /// Does not connect yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>, config: RankingConfig) -> Self {
        Self { engine, config }
    }

    /// Does what is asked. The result is JSON.
    ///
    /// # Errors
    /// The engine does not do it, or there is no such worker.
    pub async fn call(&self, request: Request) -> Result<String, EngineError> {
        let engine = &self.engine;
        match request {
            Request::GetWorker { id } => {
                Ok(self.worker(&id).await?.map_or_else(null, |found| found.to_json()))
            }
            Request::Discover { filter } => self.discover(&filter).await,
            Request::Rank { filter, limit } => self.rank(&filter, limit).await,
            Request::Acquire { filter, count, lease, ttl } => {
                self.acquire(&filter, count, lease, ttl).await
            }
            Request::Cleanup { keeps_all } => self.cleanup(keeps_all).await,
            Request::Set { key, value, ttl } => {
                values::set(self, &key, &value, ttl).await.map(|()| null())
            }
            Request::Get { key } => Ok(values::to_json(&values::get(engine, &key).await?)),
            Request::Delete { key } => values::delete(self, &key).await.map(|()| null()),
            Request::List { prefix } => Ok(values::to_json(&values::list(engine, &prefix).await?)),
            Request::Search { pattern } => {
                Ok(values::to_json(&values::search(engine, &pattern).await?))
            }
            Request::CompareAndSet { key, expected, value, ttl } => {
                let is_set =
                    values::compare_and_set(self, &key, expected.as_deref(), &value, ttl).await?;
                Ok(is_set.to_string())
            }
            change => self.change(change).await,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The worker, if it is there.
    ///
    /// # Errors
    /// The engine does not say.
    pub async fn worker_json(&self, id: &str) -> Result<Option<String>, EngineError> {
        Ok(self.worker(id).await?.map(|found| found.to_json()))
    }

    /// The changes of one worker.
    async fn change(&self, request: Request) -> Result<String, EngineError> {
        match request {
            Request::Register {
                id,
                node_id,
                capabilities,
                max_concurrent_tasks,
                is_unique_node,
                ttl,
            } => {
                let packed = pack(capabilities.iter().map(|name| &**name));
                let event = registered_event(&id, &node_id, &capabilities);
                let mut script = self.script(&scripts::REGISTER, ttl);
                script.arg(&id).arg(node_id).arg(packed).arg(max_concurrent_tasks);
                script.arg(event).arg("").arg(flag(is_unique_node));
                let answer = self.run(&script).await?;
                let found = self.found_in(&answer, 2)?;
                Ok(found.to_json())
            }
            Request::Unregister { id } => self.simple(&scripts::UNREGISTER, 0.0, &[id]).await,
            Request::Heartbeat { id, ttl } => self.simple(&scripts::HEARTBEAT, ttl, &[id]).await,
            Request::UpdateTaskCount { id, delta, is_strict, ttl } => {
                let arguments = [id, delta.to_string(), flag(is_strict)];
                self.simple(&scripts::COUNT, ttl, &arguments).await
            }
            Request::UpdateMetrics {
                id,
                tasks_completed,
                tasks_failed_count,
                average_task_duration,
                ttl,
            } => {
                let arguments = [
                    id,
                    optional(tasks_completed),
                    optional(tasks_failed_count),
                    optional(average_task_duration),
                ];
                self.simple(&scripts::METRICS, ttl, &arguments).await
            }
            Request::RecordTaskCompletion { id, success, duration, ttl } => {
                let arguments = [id, flag(success), duration.to_string()];
                self.simple(&scripts::COMPLETE, ttl, &arguments).await
            }
            Request::SetDraining { id, draining, ttl } => {
                self.simple(&scripts::DRAIN, ttl, &[id, flag(draining)]).await
            }
            Request::Renew { token, lease_ms, ttl } => {
                let mut script = self.script(&scripts::RENEW, ttl);
                script.arg(token).arg(optional(lease_ms));
                let answer = match self.run(&script).await {
                    Err(EngineError::NotFound) => return Ok(null()),
                    answer => answer?,
                };
                Ok(text(answer.get(1)))
            }
            Request::Release { token, success, duration_ms, ttl } => {
                let success = success.map(flag).unwrap_or_default();
                let arguments = [token, success, duration_ms.to_string()];
                match self.simple(&scripts::RELEASE, ttl, &arguments).await {
                    Err(EngineError::NotFound) => Ok("false".to_owned()),
                    result => result.map(|_| "true".to_owned()),
                }
            }
            _ => Ok(null()),
        }
    }

    async fn simple(
        &self,
        script: &'static Script,
        ttl: f64,
        arguments: &[String],
    ) -> Result<String, EngineError> {
        let mut script = self.script(script, ttl);
        for argument in arguments {
            script.arg(argument);
        }
        self.run(&script).await.map(|_| null())
    }

    async fn worker(&self, id: &str) -> Result<Option<Found>, EngineError> {
        let (now, found) = self.read(vec![id.to_owned()]).await?;
        Ok(found.into_iter().next().map(|(number, data)| self.found(number, data, now)))
    }

    async fn discover(&self, filter: &WantedWorkers) -> Result<String, EngineError> {
        let mut found = self.find(filter).await?;
        found.sort_by_key(|found| found.number);
        Ok(self.list(&found, self.corrupt().await?))
    }

    async fn rank(
        &self,
        filter: &WantedWorkers,
        limit: Option<usize>,
    ) -> Result<String, EngineError> {
        let mut found = self.find(filter).await?;
        found.sort_by(|a, b| {
            let by_priority = b.priority.total_cmp(&a.priority);
            let by_health = a.data.health_status.cmp(&b.data.health_status);
            let by_tasks = a.data.load.current_tasks.total_cmp(&b.data.load.current_tasks);
            let by_number = a.number.cmp(&b.number);
            by_priority.then(by_health).then(by_tasks).then(by_number)
        });
        found.truncate(limit.unwrap_or(usize::MAX));
        Ok(self.list(&found, self.corrupt().await?))
    }

    /// Workers that a filter accepts, in no order.
    async fn find(&self, filter: &WantedWorkers) -> Result<Vec<Found>, EngineError> {
        let keys = &self.engine.keys;
        let mut command = if filter.capabilities.is_empty() {
            let mut command = cmd("ZRANGE");
            command.arg(keys.ids()).arg(0).arg(-1);
            command
        } else {
            cmd("SINTER")
        };
        for capability in &filter.capabilities {
            command.arg(keys.with_capability(capability));
        }
        let ids: Vec<String> = self
            .engine
            .run(Effect::Read, |mut connection| {
                let command = command.clone();
                async move { command.query_async(&mut connection).await }
            })
            .await?;
        let (now, workers) = self.read(ids).await?;
        let is_wanted = |found: &Found| {
            let bit = found.data.health_status as u8;
            (filter.health == 0 || filter.health >> bit & 1 == 1)
                && filter
                    .min_available
                    .is_none_or(|least| found.data.load.available_capacity() >= least)
        };
        let found = workers.into_iter().map(|(number, data)| self.found(number, data, now));
        Ok(found.filter(is_wanted).collect())
    }

    /// Reads records, and the time of the engine. Ids whose record has expired are swept out.
    async fn read(&self, ids: Vec<String>) -> Result<(f64, Vec<(u64, WorkerData)>), EngineError> {
        let mut found = Vec::with_capacity(ids.len());
        let mut gone = Vec::new();
        let mut now = 0.0;
        let pages: Vec<&[String]> =
            if ids.is_empty() { vec![&[]] } else { ids.chunks(PAGE).collect() };
        for page in pages {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("TIME");
            for id in page {
                pipeline.cmd("HGETALL").arg(self.engine.keys.worker(id));
            }
            let values: Vec<Value> = self
                .engine
                .run(Effect::Read, |mut connection| {
                    let pipeline = pipeline.clone();
                    async move { pipeline.query_async(&mut connection).await }
                })
                .await?;
            let mut values = values.into_iter();
            now = values.next().and_then(milliseconds).unwrap_or(now);
            for (id, value) in page.iter().zip(values) {
                match record::worker(&fields(value)) {
                    Some(worker) => found.push(worker),
                    None => gone.push(id.clone()),
                }
            }
        }
        if !gone.is_empty() {
            self.simple(&scripts::SWEEP, 0.0, &gone).await?;
        }
        Ok((now, found))
    }

    async fn acquire(
        &self,
        filter: &WantedWorkers,
        count: f64,
        lease: Option<WantedLease>,
        ttl: f64,
    ) -> Result<String, EngineError> {
        // Healthy and degraded ones, if nothing is said.
        let health = if filter.health == 0 { 3 } else { filter.health };
        let mut script = self.script(&scripts::ACQUIRE, ttl);
        script.arg(count).arg(optional(filter.min_available)).arg(health);
        match &lease {
            None => script.arg("").arg(0).arg(""),
            Some(lease) => script
                .arg(&lease.nonce)
                .arg(lease.lease_ms)
                .arg(lease.owner.as_deref().unwrap_or_default()),
        };
        for capability in &filter.capabilities {
            script.arg(capability);
        }
        let answer = self.run(&script).await?;
        if text(answer.first()) == "none" {
            return Ok(null());
        }
        let found = self.found_in(&answer, 2)?;
        let mut out = "{\"worker\":".to_owned();
        out.push_str(&found.to_json());
        if lease.is_some() {
            out.push_str(",\"token\":");
            out.push_str(&serde_json::Value::from(text(answer.get(3))).to_string());
            out.push_str(",\"expiresAt\":");
            out.push_str(&text(answer.get(4)));
        }
        out.push('}');
        Ok(out)
    }

    async fn cleanup(&self, keeps_all: bool) -> Result<String, EngineError> {
        let mut removed = Vec::new();
        let mut passed_over = 0_u64;
        loop {
            let mut script = self.script(&scripts::CLEANUP, 0.0);
            script.arg(flag(keeps_all)).arg(passed_over);
            let answer = self.run(&script).await?;
            if let Some(Value::Array(ids)) = answer.get(2) {
                removed.extend(ids.iter().map(|id| text(Some(id))));
            }
            passed_over += text(answer.get(1)).parse::<u64>().unwrap_or(0);
            if text(answer.first()) != "more" {
                return Ok(values::to_json(&removed));
            }
        }
    }

    /// Ids of workers whose value is no record.
    async fn corrupt(&self) -> Result<Vec<String>, EngineError> {
        let key = self.engine.keys.all_corrupt();
        self.engine
            .run(Effect::Read, |mut connection| {
                let command = cmd("SMEMBERS").arg(&key).clone();
                async move { command.query_async(&mut connection).await }
            })
            .await
    }

    /// A script with what all of them get.
    pub(crate) fn script(&self, script: &'static Script, ttl: f64) -> ScriptInvocation<'static> {
        let RankingConfig { weights, degraded_penalty, thresholds } = self.config;
        let mut invocation = script.key(self.engine.keys.base());
        invocation.arg(weights.capacity).arg(weights.success).arg(weights.speed);
        invocation.arg(degraded_penalty).arg(thresholds.healthy).arg(thresholds.degraded);
        invocation.arg(ttl.round().max(0.0)).arg(now_as_date());
        invocation
    }

    pub(crate) async fn run(
        &self,
        script: &ScriptInvocation<'static>,
    ) -> Result<Vec<Value>, EngineError> {
        let answer: Vec<Value> = self
            .engine
            .run(Effect::Change, |mut connection| async move {
                script.invoke_async(&mut connection).await
            })
            .await?;
        match &*text(answer.first()) {
            "not found" => Err(EngineError::NotFound),
            "no capacity" => Err(EngineError::NoCapacity),
            _ => Ok(answer),
        }
    }

    fn found(&self, number: u64, mut data: WorkerData, now: f64) -> Found {
        let RankingConfig { weights, degraded_penalty, thresholds } = &self.config;
        data.health_status = thresholds.status(data.last_heartbeat, now);
        let mut priority = data.load.priority(weights);
        if data.health_status == HealthStatus::Degraded {
            priority *= degraded_penalty;
        }
        Found { number, data, priority }
    }

    /// The worker in an answer, with the time of the engine before it.
    fn found_in(&self, answer: &[Value], at: usize) -> Result<Found, EngineError> {
        let now = text(answer.get(at - 1)).parse().unwrap_or(0.0);
        let worker = answer.get(at).cloned().and_then(|value| record::worker(&fields(value)));
        let (number, data) = worker.ok_or(EngineError::NotFound)?;
        Ok(self.found(number, data, now))
    }

    fn list(&self, found: &[Found], corrupt: Vec<String>) -> String {
        let workers: Vec<String> = found.iter().map(Found::to_json).collect();
        format!("{{\"workers\":[{}],\"corrupt\":{}}}", workers.join(","), values::to_json(&corrupt))
    }
}

impl Found {
    fn to_json(&self) -> String {
        format!("{{\"priority\":{},\"record\":{}}}", self.priority, self.data.to_json())
    }
}

fn null() -> String {
    "null".to_owned()
}

fn flag(value: bool) -> String {
    u8::from(value).to_string()
}

fn optional(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A value as text; empty if it is none.
pub(crate) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::SimpleString(text)) => text.clone(),
        Some(Value::Okay) => "OK".to_owned(),
        Some(Value::Int(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The fields of a hash, from a list or a map.
pub(crate) fn fields(value: Value) -> Fields {
    match value {
        Value::Array(values) => {
            let (pairs, _) = values.as_chunks::<2>();
            pairs.iter().map(|[name, value]| (text(Some(name)), text(Some(value)))).collect()
        }
        Value::Map(pairs) => {
            pairs.iter().map(|(name, value)| (text(Some(name)), text(Some(value)))).collect()
        }
        _ => Fields::new(),
    }
}

fn milliseconds(time: Value) -> Option<f64> {
    let Value::Array(parts) = time else { return None };
    let seconds: f64 = text(parts.first()).parse().ok()?;
    let microseconds: f64 = text(parts.get(1)).parse().ok()?;
    Some(seconds * 1_000.0 + (microseconds / 1_000.0).floor())
}

fn now_as_date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    to_iso(since.as_millis() as f64)
}

fn registered_event(id: &str, node_id: &str, capabilities: &[String]) -> String {
    format!(
        r#"{{"type":"worker-registered","workerId":{},"nodeId":{},"capabilities":{},"timestamp":"{}"}}"#,
        values::to_json(id),
        values::to_json(node_id),
        values::to_json(capabilities),
        now_as_date(),
    )
}
