//! Load generator for worker servers.
//!
//! It knows nothing of a server but the wire protocol, so the same command measures any. A command
//! prints one line of JSON: `figures`, `costs` (of the server process, by way of bench/server's
//! control port and /proc) and `faults` (counts of what must not happen).

mod args;
mod cmd;
mod control;
mod crowd;
mod hist;
mod pacer;
mod payload;
mod report;
mod target;
mod time;
mod window;
mod worker;
mod ws;

use std::{fmt::Display, io, process::ExitCode};

use serde_json::{Value, json};

use crate::{args::Args, control::Control, target::Target};

const USAGE: &str = "\
usage: loadgen COMMAND [--name value ...]
  upstream      --workers --size --batch (frames per write) --shape ascii|text|chinese|emoji|quotes --seconds --warmup
  requests      --workers --inflight --size --rate (a second; 0: closed loop) --select --seconds --warmup
  send          --workers --count --size
  broadcast     --workers --row (broadcasts in a row) --count (rows) --size
  registrations --workers --parallel
  memory        --workers --message (bytes that each sends once; 0: none)
  heartbeats    --workers --rate (a second; 0: closed loop) --seconds --warmup
  calls         --workers --calls a,b,... (the server times its own calls)
  http          --connections --path --seconds --warmup --block (ms that the JavaScript thread is blocked)
  soak          --workers --rate --most (in flight) --churn (workers replaced a second) --seconds
for all: --server --control --token --first --models --capacity --limits";

/// An error that is a sentence.
fn fail(message: impl Display) -> io::Error {
    io::Error::other(message.to_string())
}

fn main() -> ExitCode {
    let Some(args) = Args::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    raise_descriptor_limit();
    match run(&args) {
        Ok(found) => println!("{found}"),
        Err(error) => println!("{}", json!({ "error": format!("{}: {error}", args.command) })),
    }
    ExitCode::SUCCESS
}

fn run(args: &Args) -> io::Result<Value> {
    let target = Target::from_args(args)?;
    let control = Control::new(target.control);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Tasks that still hold connections end with the set.
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, cmd::run(args, &target, &control))
}

/// As many descriptors as the system allows.
fn raise_descriptor_limit() {
    // SAFETY: both calls only touch the struct they are given.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
