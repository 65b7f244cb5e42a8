//! Clocks and waiting.

use std::{
    io,
    time::{Duration, Instant},
};

/// Sleeps.
pub async fn sleep_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Nanoseconds of CLOCK_MONOTONIC, which is what Node's `process.hrtime` reads: both ends of a
/// message are put on one time line.
pub fn monotonic_ns() -> u64 {
    // SAFETY: clock_gettime writes the struct it is given and nothing else.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Asks every few milliseconds until the answer is yes; false if it is not within `patience`.
pub async fn within(
    patience: Duration,
    mut is_so: impl AsyncFnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    let begin = Instant::now();
    while !is_so().await? {
        if begin.elapsed() > patience {
            return Ok(false);
        }
        sleep_ms(5).await;
    }
    Ok(true)
}
