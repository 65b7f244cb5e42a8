//! A slot whose tasks run in Rust, on a thread of the runtime.

use std::sync::Arc;

use serde_json::json;
use worker_handlers::{Control, HandlerError, Output};
use worker_server::{
    caught,
    core::scheduler::{Outcome, SlotId, TaskKey},
};

use super::pool::{self, Body, Fields, Pool, TaskPayload};
use crate::runtime;

/// A task as it is taken from the pool.
struct Taken {
    task: TaskKey,
    request: Box<str>,
    data: Arc<[u8]>,
}

/// Has the slot run tasks until there are none. If the system gives no thread, the tasks wait for
/// their timeout.
pub(super) fn start(pool: u32, slot: SlotId) {
    if let Ok(runtime) = runtime::handle() {
        runtime.spawn_blocking(move || run_tasks(pool, slot));
    }
}

fn run_tasks(pool: u32, slot: SlotId) {
    // The pool is looked up each time, so that a running slot does not keep it.
    while let Some(pool) = pool::find(pool) {
        if !run_task(&pool, slot) {
            return;
        }
    }
}

/// False: there is no task.
fn run_task(pool: &Pool, slot: SlotId) -> bool {
    let Some(control) = pool.renew_control(slot) else { return false };
    let Some(Some(taken)) = pool.next_task(slot, take) else { return false };
    let outcome = caught(|| perform(&taken, &control)).unwrap_or_else(|| Outcome::Failed {
        error: error_body("INTERNAL", "the native handler panicked"),
        is_final: true,
    });
    pool.finish(slot, taken.task, outcome);
    true
}

fn take(task: TaskKey, _retry_count: u32, _timeout: f64, payload: &TaskPayload) -> Taken {
    let data = match &payload.body {
        Body::Data(data) => Arc::clone(data),
        _ => Arc::default(),
    };
    Taken { task, request: payload.extra.clone().unwrap_or_default(), data }
}

fn perform(taken: &Taken, control: &Control) -> Outcome<Body> {
    match worker_handlers::run(&taken.request, &taken.data, control) {
        Ok(Output { fields, data }) => {
            let fields = serde_json::Value::Object(fields).to_string();
            Outcome::Completed(Body::Fields(Box::new(Fields { json: fields.into(), data })))
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &HandlerError) -> Outcome<Body> {
    Outcome::Failed {
        error: error_body(error.code(), &error.to_string()),
        is_final: !error.is_recoverable(),
    }
}

fn error_body(code: &str, message: &str) -> Body {
    let error = json!({ "name": "Error", "message": message, "code": code });
    Body::Text(error.to_string().into_bytes().into())
}
