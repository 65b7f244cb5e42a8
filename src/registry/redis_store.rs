//! A registry on Redis or Valkey: calls go to the runtime's thread, results come back in batches.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use napi::{JsValue, bindgen_prelude::*};
use napi_derive::napi;
use serde::Deserialize;
use worker_cluster::{
    Engine, EngineError, EngineOptions, RedisRegistry, Request, StreamEvent, TlsOptions, Topology,
    follow,
};

use super::NativeRankingConfig;
use crate::{callbacks::Waker, errors, runtime};

/// Instead of the number of a call: an event.
const EVENT: u32 = 0;

/// Options as JSON, already checked by the facade.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    url: Option<String>,
    cluster: Option<Vec<String>>,
    sentinel: Option<Sentinel>,
    username: Option<String>,
    password: Option<String>,
    tls: Option<Tls>,
    prefix: String,
    command_timeout_ms: u64,
}

#[derive(Deserialize)]
struct Sentinel {
    urls: Vec<String>,
    master: String,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    reject_unauthorized: Option<bool>,
}

impl Options {
    fn into_engine_options(self) -> EngineOptions {
        let topology = match (self.cluster, self.sentinel) {
            (Some(urls), _) => Topology::Cluster(urls),
            (None, Some(Sentinel { urls, master, username, password })) => {
                Topology::Sentinel { urls, master, username, password }
            }
            (None, None) => Topology::Single(self.url.unwrap_or_default()),
        };
        EngineOptions {
            topology,
            username: self.username,
            password: self.password,
            tls: self.tls.map(|tls| TlsOptions {
                ca: tls.ca,
                cert: tls.cert,
                key: tls.key,
                accepts_any_certificate: tls.reject_unauthorized == Some(false),
            }),
            prefix: self.prefix,
            command_timeout: Duration::from_millis(self.command_timeout_ms),
        }
    }
}

/// What JavaScript is to hear of.
struct Message {
    /// The call that it answers, or [`EVENT`].
    call: u32,
    /// Empty: it went well; else the code of an error, or the kind of an event.
    code: &'static str,
    /// JSON, or the text of an error.
    body: String,
}

/// What the runtime's thread and JavaScript share.
struct Shared {
    engine: Arc<Engine>,
    messages: Mutex<Vec<Message>>,
    waker: Arc<Waker>,
    is_closed: AtomicBool,
}

impl Shared {
    fn push(&self, message: Message) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        let is_first = messages.len() == 1;
        drop(messages);
        if is_first {
            self.waker.wake();
        }
    }

    fn answer(&self, call: u32, result: std::result::Result<String, EngineError>) {
        for warning in self.engine.take_warnings() {
            self.push(Message { call: EVENT, code: "warning", body: warning });
        }
        self.push(match result {
            Ok(body) => Message { call, code: "", body },
            Err(error) => Message { call, code: error.code(), body: error.to_string() },
        });
    }

    /// Returns whether more events are wanted.
    fn hear(&self, event: StreamEvent) -> bool {
        let (code, body) = match event {
            StreamEvent::Registered { id } => ("registered", id),
            StreamEvent::Gone { id, reason } => ("gone", [&*reason, " ", &id].concat()),
            StreamEvent::HealthChanged { id, from, to } => {
                ("health", [&*from, " ", &to, " ", &id].concat())
            }
            StreamEvent::Resync => ("resync", String::new()),
        };
        self.push(Message { call: EVENT, code, body });
        !self.is_closed.load(Ordering::Relaxed)
    }
}

/// The store of a registry on Redis or Valkey.
#[napi]
pub struct NativeRedisStore {
    shared: Arc<Shared>,
    registries: Vec<Arc<RedisRegistry>>,
    follower: Option<tokio::task::AbortHandle>,
}

#[napi]
impl NativeRedisStore {
    /// Does not connect yet. Calls `wake` when there are messages to take. Keeps the process alive only
    /// while told to.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, options: String, wake: Function<(), ()>) -> Result<Self> {
        let options: Options = serde_json::from_str(&options).map_err(errors::failure)?;
        let options = options.into_engine_options();
        options.check().map_err(errors::failure)?;
        let waker = Arc::new(Waker::default());
        errors::check(waker.arm(env.raw(), wake.raw()))?;
        waker.set_keep_alive(false);
        let shared = Shared {
            engine: Arc::new(Engine::new(options)),
            messages: Mutex::default(),
            waker,
            is_closed: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared), registries: Vec::new(), follower: None })
    }

    /// What calls of a registry with this configuration are known by.
    #[napi(catch_unwind)]
    pub fn attach(&mut self, config: NativeRankingConfig) -> u32 {
        let registry = RedisRegistry::new(Arc::clone(&self.shared.engine), config.into());
        self.registries.push(Arc::new(registry));
        self.registries.len() as u32 - 1
    }

    /// Begins a call, which a message with this number ends. Numbers start at 1.
    #[napi(catch_unwind)]
    pub fn call(&self, number: u32, registry: u32, request: String) -> Result<()> {
        let request: Request = serde_json::from_str(&request).map_err(errors::failure)?;
        let registry = self.registries.get(registry as usize).map(Arc::clone);
        let registry = registry.ok_or_else(|| errors::failure("there is no such registry"))?;
        let shared = Arc::clone(&self.shared);
        runtime::handle().map_err(errors::failure)?.spawn(async move {
            let result = registry.call(request).await;
            shared.answer(number, result);
        });
        Ok(())
    }

    /// Begins to tell of changes that any process makes.
    #[napi(catch_unwind)]
    pub fn follow(&mut self) -> Result<()> {
        if self.follower.is_some() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let task = runtime::handle().map_err(errors::failure)?.spawn(async move {
            let engine = Arc::clone(&shared.engine);
            follow(engine, |event| shared.hear(event)).await;
        });
        self.follower = Some(task.abort_handle());
        Ok(())
    }

    /// Takes the messages: number, code and body of each; undefined: there are none.
    #[napi(catch_unwind)]
    pub fn take(&self) -> Option<Vec<String>> {
        let mut messages = self.shared.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = std::mem::take(&mut *messages);
        (!messages.is_empty()).then(|| {
            messages
                .into_iter()
                .flat_map(|message| {
                    [message.call.to_string(), message.code.to_owned(), message.body]
                })
                .collect()
        })
    }

    /// Whether the process is kept alive from now on.
    #[napi(catch_unwind)]
    pub fn set_keep_alive(&self, keep_alive: bool) {
        self.shared.waker.set_keep_alive(keep_alive);
    }

    /// Ends the connections. Calls that have begun are not answered.
    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        self.registries.clear();
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
        self.shared.waker.disarm();
    }
}

impl Drop for NativeRedisStore {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
    }
}
