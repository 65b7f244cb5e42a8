//! Which server is loaded, and what the workers say of themselves.

use std::{io, net::SocketAddr};

use serde_json::{Value, json};

use crate::args::Args;

/// The server under load and the shape of its workers.
#[derive(Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its control port listens (bench/server/control.mjs).
    pub control: SocketAddr,
    /// The number of the first worker, so that several generators can share a server.
    pub first: usize,
    /// SO_SNDBUF of each connection, which bounds what lies unread in the kernel.
    pub send_buffer: Option<u32>,
    token: Option<String>,
    /// How many different ones there are in the crowd; each worker has one.
    models: usize,
    capacity: usize,
    with_limits: bool,
}

impl Target {
    /// `--server`, `--control`, `--first`, `--token`, `--models`, `--capacity`, `--limits`.
    pub fn from_args(args: &Args) -> io::Result<Self> {
        Ok(Self {
            address: args.get("server", SocketAddr::from(([127, 0, 0, 1], 19100)))?,
            control: args.get("control", SocketAddr::from(([127, 0, 0, 1], 19101)))?,
            first: args.get("first", 0)?,
            send_buffer: None,
            token: args.find("token")?,
            models: args.get("models", 1)?,
            capacity: args.get("capacity", 1_000_000)?,
            with_limits: args.get("limits", false)?,
        })
    }

    /// The same, but its first worker is the one with this index here.
    pub fn from(&self, index: usize) -> Self {
        Self { first: self.first + index, ..self.clone() }
    }

    /// The same with a bound on what lies unread in the kernel.
    pub fn with_send_buffer(&self, bytes: u32) -> Self {
        Self { send_buffer: Some(bytes), ..self.clone() }
    }

    /// The id of a worker by its index in this generator.
    pub fn worker_id(&self, index: usize) -> String {
        format!("load-{}", self.first + index)
    }

    /// What it sends first.
    pub fn registration(&self, index: usize) -> String {
        let mut capabilities = json!({
            "models": [model((self.first + index) % self.models)],
            "maxConcurrentRequests": self.capacity,
        });
        if self.with_limits {
            // Never reached: what counts is that it has to be looked at.
            capabilities["concurrencyLimits"] = json!({ "local": 1_000_000 });
        }
        let mut message = json!({
            "type": "worker_registration",
            "workerId": self.worker_id(index),
            "workerName": format!("Load worker {}", self.first + index),
            "capabilities": capabilities,
        });
        if let Some(token) = &self.token {
            message["authToken"] = json!(token);
        }
        message.to_string()
    }
}

/// One of the models in the crowd; bench/server/calls.mjs asks for them by the same names.
fn model(number: usize) -> Value {
    let id = format!("model-{number:02}");
    json!({
        "modelId": id,
        "displayName": format!("Model {id}"),
        "maxContextTokens": 200_000,
        "maxOutputTokens": 8192,
        "supportsStreaming": true,
        "supportsTools": true,
    })
}
