//! A file per command.

mod broadcast;
mod calls;
mod heartbeats;
mod http;
mod memory;
mod registrations;
mod requests;
mod send;
mod soak;
mod upstream;

use std::io;

use serde_json::Value;

use crate::{args::Args, control::Control, fail, target::Target};

/// Runs the command that the arguments name.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Value> {
    let report = match args.command.as_str() {
        "upstream" => upstream::run(args, target, control).await?,
        "requests" => requests::run(args, target, control).await?,
        "send" => send::run(args, target, control).await?,
        "broadcast" => broadcast::run(args, target, control).await?,
        "registrations" => registrations::run(args, target, control).await?,
        "memory" => memory::run(args, target, control).await?,
        "heartbeats" => heartbeats::run(args, target, control).await?,
        "calls" => calls::run(args, target, control).await?,
        "soak" => soak::run(args, target, control).await?,
        "http" => http::run(args, target, control).await?,
        other => return Err(fail(format!("no such command: {other}"))),
    };
    Ok(report.into_json())
}
