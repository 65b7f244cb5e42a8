//! What several processes share on Redis or Valkey: the store of a worker registry.
//!
//! An [`Engine`] is a connection that is made again when it is lost. A [`RedisRegistry`] keeps workers
//! there: each change is one script, so that it is done as a whole or not at all, and is sent once.

#![forbid(unsafe_code)]

mod engine;
mod error;
mod events;
mod keys;
mod options;
mod record;
mod registry;
mod request;
mod scripts;
mod values;

pub use self::{
    engine::Engine,
    error::EngineError,
    events::{StreamEvent, follow},
    options::{EngineOptions, InvalidOptions, TlsOptions, Topology},
    registry::RedisRegistry,
    request::Request,
};
