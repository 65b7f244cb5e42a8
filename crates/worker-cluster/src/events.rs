//! Changes that any process has made, from a stream.

use std::{sync::Arc, time::Duration};

use redis::{Value, aio::MultiplexedConnection, cmd};
use tokio::time;

use crate::{
    engine::{Engine, last_event, pause},
    error::EngineError,
    registry::fields,
};

/// How long the engine waits for an event before it answers that there is none, in milliseconds.
const BLOCK_MS: u64 = 5_000;
/// Time for that answer to arrive.
const GRACE: Duration = Duration::from_secs(5);
const BATCH: usize = 100;

/// Entries of a stream, by their ids.
type Entries = Vec<(String, Value)>;

/// A change of a worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamEvent {
    /// It was registered.
    Registered {
        /// Its id.
        id: String,
    },
    /// It is gone: `explicit`, `cleanup` or `ttl`.
    Gone {
        /// Its id.
        id: String,
        /// Why.
        reason: String,
    },
    /// A heartbeat or a cleanup has found another health, by their numbers.
    HealthChanged {
        /// Its id.
        id: String,
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// Events may have been missed.
    Resync,
}

/// Calls `hear` with each event after the first call of the engine, for as long as it returns true.
pub async fn follow(engine: Arc<Engine>, mut hear: impl FnMut(StreamEvent) -> bool) {
    let mut last: Option<String> = None;
    let mut failures = 0;
    loop {
        let result = read_on(&engine, &mut last, &mut hear).await;
        match result {
            Ok(()) => return,
            Err(_) => {
                failures += 1;
                time::sleep(pause(failures)).await;
                if last.is_some() {
                    failures = failures.min(6);
                }
            }
        }
    }
}

/// Reads until the connection is lost, which is an error, or nobody wants more.
async fn read_on(
    engine: &Engine,
    last: &mut Option<String>,
    hear: &mut impl FnMut(StreamEvent) -> bool,
) -> Result<(), EngineError> {
    let stream = engine.keys.events();
    let mut connection = engine.own_connection().await?;
    if let Some(seen) = last {
        if has_gap(&mut connection, &stream, seen).await? {
            *last = Some(now_last(&mut connection, &stream).await?);
            if !hear(StreamEvent::Resync) {
                return Ok(());
            }
        }
    } else {
        // Whoever called before this connection was there has noted where to begin.
        let first = engine.first_event().map(str::to_owned);
        *last = match first {
            Some(first) => Some(first),
            None => Some(now_last(&mut connection, &stream).await?),
        };
    }
    loop {
        let from = last.clone().unwrap_or_else(|| "0-0".to_owned());
        for (id, event) in next_batch(&mut connection, &stream, &from).await? {
            *last = Some(id);
            if let Some(event) = event
                && !hear(event)
            {
                return Ok(());
            }
        }
    }
}

async fn next_batch(
    connection: &mut MultiplexedConnection,
    stream: &str,
    from: &str,
) -> Result<Vec<(String, Option<StreamEvent>)>, EngineError> {
    let mut command = cmd("XREAD");
    command.arg("COUNT").arg(BATCH).arg("BLOCK").arg(BLOCK_MS);
    command.arg("STREAMS").arg(stream).arg(from);
    let limit = Duration::from_millis(BLOCK_MS) + GRACE;
    let answer = time::timeout(limit, command.query_async(connection)).await;
    let answer: Option<Vec<(String, Entries)>> =
        answer.map_err(|_| lost("no reply in time"))?.map_err(|error| lost(&error.to_string()))?;
    let entries = answer.into_iter().flatten().flat_map(|(_, entries)| entries);
    Ok(entries.map(|(id, value)| (id, event(value))).collect())
}

fn event(value: Value) -> Option<StreamEvent> {
    let fields = fields(value);
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let id = field("id");
    match &*field("t") {
        "registered" => Some(StreamEvent::Registered { id }),
        "gone" => Some(StreamEvent::Gone { id, reason: field("r") }),
        "health" => Some(StreamEvent::HealthChanged { id, from: field("from"), to: field("to") }),
        _ => None,
    }
}

/// Whether events behind `seen` are gone: the stream was cut beyond it, or is another one.
async fn has_gap(
    connection: &mut MultiplexedConnection,
    stream: &str,
    seen: &str,
) -> Result<bool, EngineError> {
    let first: Entries = cmd("XRANGE")
        .arg(stream)
        .arg("-")
        .arg("+")
        .arg("COUNT")
        .arg(1)
        .query_async(connection)
        .await
        .map_err(|error| lost(&error.to_string()))?;
    let last = now_last(connection, stream).await?;
    let is_cut = first.first().is_some_and(|(first, _)| order(first) > order(seen));
    Ok(order(&last) < order(seen) || (is_cut && order(seen) != (0, 0)))
}

async fn now_last(
    connection: &mut MultiplexedConnection,
    stream: &str,
) -> Result<String, EngineError> {
    last_event(connection, stream).await.map_err(|error| lost(&error.to_string()))
}

/// Ids are a time and a number.
fn order(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

fn lost(reason: &str) -> EngineError {
    EngineError::Unavailable { address: String::new(), reason: reason.to_owned() }
}
