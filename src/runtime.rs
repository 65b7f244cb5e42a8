//! The threads that all servers of the process share.

use std::{io, sync::OnceLock};

use tokio::runtime::{Builder, Handle, Runtime};

/// More threads than this only help servers on machines that leave them idle cores.
const MAX_THREADS: usize = 4;

static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();

/// Starts the threads on first use; an idle one costs nothing.
pub(crate) fn handle() -> Result<&'static Handle, &'static io::Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads((cores / 2).clamp(1, MAX_THREADS))
            .thread_name("worker-server")
            .enable_io()
            .enable_time()
            .build()
    });
    runtime.as_ref().map(Runtime::handle)
}
