//! The cold part of a server's surface: construct, listen, stop.

use std::{path::PathBuf, sync::Arc};

use napi::{JsValue, bindgen_prelude::*};
use napi_derive::napi;
use worker_server::{
    Address, Clock, EventQueue, Fleet, ListenError, ServerOptions,
    core::{auth::TokenVerifier, origin::AllowedOrigins},
};

use crate::{
    callbacks::Waker,
    errors,
    fleets::{self, Owned, View},
    memory,
    native_limits::{NativeLimits, duration_of},
    runtime,
};

/// Options of a server, already checked and defaulted by the facade.
#[napi(object)]
pub struct NativeServerOptions {
    /// Tokens of which a worker must show one; empty: none is needed.
    pub auth_tokens: Vec<String>,
    /// Origins of web pages that may connect; `["*"]`: all. Absent: see `ServerOptions`.
    pub allowed_origins: Option<Vec<String>>,
    /// In milliseconds.
    pub heartbeat_timeout_ms: f64,
    /// In milliseconds.
    pub heartbeat_interval_ms: f64,
    /// In milliseconds.
    pub health_check_interval_ms: f64,
    /// Path at which the server's health is told without JavaScript; absent: nowhere.
    pub health_path: Option<String>,
    /// What a peer may cost.
    pub limits: NativeLimits,
}

/// How listening went: a port, a path, or an error of the operating system.
#[napi(object)]
pub struct ListenOutcome {
    /// The bound port; absent for a path.
    pub port: Option<u16>,
    /// The operating system's error number; absent if all went well.
    pub errno: Option<i32>,
    /// The address or path that could not be bound.
    pub address: Option<String>,
}

/// A server on the native core. Ended by the garbage collector if nothing else does.
#[napi]
pub struct NativeServer {
    number: u32,
    /// Keeps the memory that raw functions write to, whoever else lets go of it.
    _view: Float64Array,
}

#[napi]
impl NativeServer {
    /// `view` has four places that raw functions write to; it must never be detached.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: NativeServerOptions, mut view: Float64Array) -> Result<Self> {
        let memory = View::of(&mut view).ok_or_else(|| errors::failure("the view is too short"))?;
        let tokens = &options.auth_tokens;
        let options = ServerOptions {
            tokens: (!tokens.is_empty()).then(|| TokenVerifier::new(tokens)),
            allowed_origins: options.allowed_origins.map(allowed_origins),
            heartbeat_timeout_ms: options.heartbeat_timeout_ms,
            heartbeat_interval_ms: options.heartbeat_interval_ms,
            health_check_interval_ms: options.health_check_interval_ms,
            health_path: options.health_path,
            limits: options.limits.into(),
            clock: Clock::default(),
            release_memory: Some(memory::release),
        };
        let waker = Arc::new(Waker::default());
        let events = Arc::new(EventQueue::new({
            let waker = Arc::clone(&waker);
            move || waker.wake()
        }));
        let number = fleets::add(Owned {
            fleet: Fleet::new(options, events),
            waker,
            registering: None,
            ranked: Vec::new(),
            overdue: Vec::new(),
            view: memory,
        });
        Ok(Self { number, _view: view })
    }

    /// What raw functions know this server by.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Starts to listen; from now on `wake` is called when there are events.
    #[napi(catch_unwind)]
    pub fn listen(
        &self,
        env: Env,
        address: Either<u16, String>,
        wake: Function<(), ()>,
    ) -> Result<ListenOutcome> {
        let address = match address {
            Either::A(port) => Address::Port(port),
            Either::B(path) => Address::Path(PathBuf::from(path)),
        };
        let runtime = runtime::handle().map_err(errors::failure)?;
        self.with(|owned| {
            errors::check(owned.waker.arm(env.raw(), wake.raw()))?;
            match owned.fleet.listen(runtime, &address) {
                Ok(port) => Ok(ListenOutcome { port, errno: None, address: None }),
                Err(ListenError { address, source }) => {
                    owned.waker.disarm();
                    let errno = Some(source.raw_os_error().unwrap_or_default());
                    Ok(ListenOutcome { port: None, errno, address: Some(address) })
                }
            }
        })
    }

    /// Empties the pool, closes all workers and stops listening. A `Stopped` event follows unless
    /// the result is false, which says that nothing was running.
    #[napi(catch_unwind)]
    pub fn shutdown(&self, grace_ms: f64) -> Result<bool> {
        let runtime = runtime::handle().map_err(errors::failure)?;
        let grace = duration_of(grace_ms);
        self.with(|owned| Ok(owned.fleet.shutdown(runtime, grace)))
    }

    /// Changes which tokens workers may show from now on.
    #[napi(catch_unwind)]
    pub fn set_auth_tokens(&self, tokens: Vec<String>) -> Result<()> {
        self.with(|owned| {
            owned.fleet.set_tokens(TokenVerifier::new(&tokens));
            Ok(())
        })
    }

    /// Lets go of the event loop; to be called when `Stopped` has come.
    #[napi(catch_unwind)]
    pub fn release(&self) -> Result<()> {
        self.with(|owned| {
            owned.waker.disarm();
            Ok(())
        })
    }

    fn with<T>(&self, body: impl FnOnce(&mut Owned) -> Result<T>) -> Result<T> {
        let body = |owned: &mut Owned| {
            #[cfg(feature = "fault-injection")]
            crate::faults::strike();
            body(owned)
        };
        fleets::with(self.number, body)
            .unwrap_or_else(|| Err(errors::failure("the server is gone")))
    }
}

fn allowed_origins(origins: Vec<String>) -> AllowedOrigins {
    match origins.as_slice() {
        [all] if all == "*" => AllowedOrigins::Any,
        _ => AllowedOrigins::listed(origins),
    }
}

impl Drop for NativeServer {
    fn drop(&mut self) {
        fleets::remove(self.number);
    }
}
