//! The transport of a worker server: it owns the port, the workers' connections and the clock of
//! their liveness. It knows nothing of JavaScript and sets no policy beyond its [`Limits`].
//!
//! A [`Server`] accepts connections on tokio tasks. What its owner must see comes out of an
//! [`EventQueue`] in order; the owner applies it on one thread through a [`Fleet`], which joins
//! the pool of `worker-core` with the live connections.

mod backlog;
mod bridge;
mod clock;
mod connection;
mod counters;
mod deadlines;
mod events;
mod fleet;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod heartbeats;
mod incomplete;
mod limits;
mod listener;
mod memory;
#[cfg(all(test, feature = "loom"))]
mod models;
mod outbox;
mod panics;
mod pings;
mod postbox;
mod reading;
mod registry;
mod routes;
mod server;
mod session;
mod stamp;
mod stream;
mod sync;
mod text;
mod turns;
mod upgrade;
mod websocket;

pub use bridge::{Bridge, BridgeRead};
pub use clock::Clock;
pub use connection::{CloseInfo, Connection};
pub use counters::Stats;
pub use events::{Event, EventQueue, MessageBatch, Refusal, Run};
pub use fleet::{Fleet, WorkerView};
pub use heartbeats::HeartbeatChunk;
pub use limits::Limits;
pub use listener::{Address, Addresses, ListenError};
pub use outbox::SendError;
pub use panics::caught;
pub use server::{Server, ServerOptions};
pub use text::{Text, TextUnits};
pub use websocket::FrameKind;
pub use worker_core as core;
