//! Workers' sockets that send every message back, for a WebSocket conformance suite:
//! `cargo run --release -p worker-server --features echo --example echo -- 9002`.
//! See `docs/conformance.md`.

use std::{env, error::Error, sync::Arc, time::Duration};

use worker_server::{Address, EventQueue, Fleet, Limits, ServerOptions};

/// How often events, of which none matters here, are taken out of the queue.
const PACE: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args().nth(1).map_or(Ok(9002), |port| port.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let limits = Limits {
        // Nobody registers here.
        unregistered_message_bytes: Limits::default().message_bytes,
        registration_timeout: Duration::from_secs(24 * 3_600),
        // The largest messages of the suites have more fragments than any worker needs.
        message_fragments: u32::MAX,
        outbox_bytes: Limits::default().message_bytes,
        ..Limits::default()
    };
    let options = ServerOptions { limits, ..ServerOptions::default() };
    let mut fleet = Fleet::new(options, Arc::new(EventQueue::new(|| ())));
    let bound = fleet.listen(runtime.handle(), &Address::Port(port))?;
    println!("ws://127.0.0.1:{} sends text back", bound.unwrap_or(port));
    loop {
        while fleet.next_event().is_some() {}
        std::thread::sleep(PACE);
    }
}
