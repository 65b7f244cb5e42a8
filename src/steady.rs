//! The monotonic clock as JavaScript sees it.

use std::{sync::LazyLock, time::Instant};

/// Milliseconds since the first call of this process.
pub(crate) fn now() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64() * 1_000.0
}
