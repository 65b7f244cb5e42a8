//! The thread that all servers of the process share.

use std::{future, io, sync::OnceLock, thread};

use tokio::runtime::{Builder, Handle};

static RUNTIME: OnceLock<io::Result<Handle>> = OnceLock::new();

/// Tasks that run between two looks at the sockets. A task of a flooding connection may take some
/// tenths of a millisecond, for which all others wait.
const EVENT_INTERVAL: u32 = 4;

/// Starts the thread on first use; idle, it costs nothing.
///
/// One thread: what it feeds is one JavaScript thread, and its queue is first in, first out, so
/// workers that connect one after the other are registered in that order.
pub(crate) fn handle() -> Result<&'static Handle, &'static io::Error> {
    RUNTIME.get_or_init(start).as_ref()
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(EVENT_INTERVAL)
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("worker-server".to_owned())
        .spawn(move || runtime.block_on(future::pending::<()>()))?;
    Ok(handle)
}
