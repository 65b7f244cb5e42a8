//! Keys and values, as any memory store of a registry has them. The keys of workers show their records.

use redis::{Value, cmd};
use serde::Serialize;
use worker_core::registry::{Pattern, WORKER_PREFIX, WorkerData};

use crate::{
    engine::{Effect, Engine},
    error::EngineError,
    record::{self, pack},
    registry::{RedisRegistry, fields},
    scripts,
};

/// Keys that are looked at in one step.
const PAGE: usize = 500;

/// A key with its value.
#[derive(Serialize)]
pub(crate) struct Pair {
    key: String,
    value: String,
}

/// JSON; nothing that is given here cannot be written.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

pub(crate) async fn get(engine: &Engine, key: &str) -> Result<Option<String>, EngineError> {
    let Some(id) = key.strip_prefix(WORKER_PREFIX) else {
        return read(engine, cmd("GET").arg(engine.keys.value(key)).clone()).await;
    };
    let value: Value = read(engine, cmd("HGETALL").arg(engine.keys.worker(id)).clone()).await?;
    if let Some((_, data)) = record::worker(&fields(value)) {
        return Ok(Some(data.to_json()));
    }
    read(engine, cmd("GET").arg(engine.keys.corrupt(id)).clone()).await
}

pub(crate) async fn set(
    registry: &RedisRegistry,
    key: &str,
    value: &str,
    ttl: Option<f64>,
) -> Result<(), EngineError> {
    if let Some(id) = key.strip_prefix(WORKER_PREFIX) {
        return import(registry, id, value, ttl).await;
    }
    let engine = registry.engine();
    let mut command = cmd("SET");
    command.arg(engine.keys.value(key)).arg(value);
    if let Some(ttl) = ttl {
        command.arg("PX").arg(milliseconds(ttl));
    }
    change(engine, command).await
}

pub(crate) async fn delete(registry: &RedisRegistry, key: &str) -> Result<(), EngineError> {
    if let Some(id) = key.strip_prefix(WORKER_PREFIX) {
        let mut script = registry.script(&scripts::FORGET, 0.0);
        script.arg(id);
        return registry.run(&script).await.map(|_| ());
    }
    let engine = registry.engine();
    change::<i64>(engine, cmd("DEL").arg(engine.keys.value(key)).clone()).await.map(|_| ())
}

/// Not for the keys of workers: a record is changed by scripts of its own, never as text.
pub(crate) async fn compare_and_set(
    registry: &RedisRegistry,
    key: &str,
    expected: Option<&str>,
    value: &str,
    ttl: Option<f64>,
) -> Result<bool, EngineError> {
    let engine = registry.engine();
    if key.starts_with(WORKER_PREFIX) {
        return Err(EngineError::Refused {
            address: engine.options.address(),
            reason: "the key of a worker cannot be compared and set".to_owned(),
        });
    }
    let mut script = scripts::COMPARE_AND_SET.key(engine.keys.value(key));
    script.arg(u8::from(expected.is_some())).arg(expected.unwrap_or_default()).arg(value);
    script.arg(ttl.map(|ttl| milliseconds(ttl).to_string()).unwrap_or_default());
    let script = &script;
    let is_set: i64 = engine
        .run(
            Effect::Change,
            |mut connection| async move { script.invoke_async(&mut connection).await },
        )
        .await?;
    Ok(is_set == 1)
}

/// Keys that start with `prefix`: those of workers by registration, the others in no order.
pub(crate) async fn list(engine: &Engine, prefix: &str) -> Result<Vec<String>, EngineError> {
    let mut keys = Vec::new();
    if WORKER_PREFIX.starts_with(prefix) || prefix.starts_with(WORKER_PREFIX) {
        let keys_of = &engine.keys;
        let ids: Vec<String> =
            read(engine, cmd("ZRANGE").arg(keys_of.ids()).arg(0).arg(-1).clone()).await?;
        let corrupt: Vec<String> =
            read(engine, cmd("SMEMBERS").arg(keys_of.all_corrupt()).clone()).await?;
        let ids = ids.into_iter().chain(corrupt);
        keys.extend(ids.map(|id| [WORKER_PREFIX, &id].concat()));
        keys.retain(|key| key.starts_with(prefix));
    }
    if !prefix.starts_with(WORKER_PREFIX) {
        scan(engine, prefix, &mut keys).await?;
    }
    Ok(keys)
}

pub(crate) async fn search(engine: &Engine, pattern: &str) -> Result<Vec<Pair>, EngineError> {
    let pattern = Pattern::new(pattern);
    let mut found = Vec::new();
    for key in list(engine, pattern.prefix()).await? {
        if !pattern.matches(&key) {
            continue;
        }
        // Expired meanwhile: it is not there.
        if let Some(value) = get(engine, &key).await? {
            found.push(Pair { key, value });
        }
    }
    Ok(found)
}

async fn import(
    registry: &RedisRegistry,
    id: &str,
    value: &str,
    ttl: Option<f64>,
) -> Result<(), EngineError> {
    let mut script = registry.script(&scripts::IMPORT, ttl.unwrap_or(0.0));
    script.arg(id);
    match WorkerData::parse(id, value) {
        Err(_) => {
            script.arg(0).arg(value);
        }
        Ok(data) => {
            script.arg(1).arg(&data.node_id);
            script.arg(pack(data.capabilities.iter().map(|name| &**name)));
            script.arg(data.load.max_concurrent_tasks).arg(data.load.current_tasks);
            script.arg(data.last_heartbeat).arg(data.started_at);
            script.arg(data.load.tasks_completed).arg(data.load.tasks_failed);
            script.arg(data.load.average_task_duration).arg(data.health_status as u8);
            script.arg(u8::from(data.is_draining)).arg(to_json(&data.unknown));
        }
    }
    registry.run(&script).await.map(|_| ())
}

async fn scan(engine: &Engine, prefix: &str, keys: &mut Vec<String>) -> Result<(), EngineError> {
    let start = engine.keys.value("");
    let pattern = format!("{}*", escape(&engine.keys.value(prefix)));
    let mut cursor = "0".to_owned();
    let before = keys.len();
    loop {
        let mut command = cmd("SCAN");
        command.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(PAGE);
        let (next, page): (String, Vec<String>) = read(engine, command).await?;
        keys.extend(page.iter().filter_map(|key| key.strip_prefix(&start)).map(str::to_owned));
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    // A scan may show a key twice.
    if let Some(found) = keys.get_mut(before..) {
        found.sort_unstable();
    }
    keys.dedup();
    Ok(())
}

/// Characters that mean something in a pattern of the engine stand for themselves.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The engine knows no shorter time than a millisecond.
fn milliseconds(ttl: f64) -> u64 {
    (ttl.ceil() as u64).max(1)
}

async fn read<T: redis::FromRedisValue>(
    engine: &Engine,
    command: redis::Cmd,
) -> Result<T, EngineError> {
    send(engine, Effect::Read, command).await
}

async fn change<T: redis::FromRedisValue>(
    engine: &Engine,
    command: redis::Cmd,
) -> Result<T, EngineError> {
    send(engine, Effect::Change, command).await
}

async fn send<T: redis::FromRedisValue>(
    engine: &Engine,
    effect: Effect,
    command: redis::Cmd,
) -> Result<T, EngineError> {
    let command = &command;
    engine
        .run(effect, |mut connection| async move { command.query_async(&mut connection).await })
        .await
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(escape("a*b?[c]^\\"), "a\\*b\\?\\[c\\]\\^\\\\");
    }
}
