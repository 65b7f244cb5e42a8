//! The time a heartbeat is stamped with.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Differences below this are the resolution and the delay of a reading, not another clock.
const NOISE_MS: i64 = 50;

/// Wall-clock time as the owner of the server sees it.
///
/// A JavaScript realm may run on a clock of its own (a test's fake timers). The owner says what it
/// sees whenever it runs, and time goes on from there at the real pace, so heartbeats that arrive
/// while the owner is blocked are stamped right.
#[derive(Debug, Default)]
pub struct Clock {
    skew_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> f64 {
        (system_ms() + self.skew_ms.load(Ordering::Relaxed)) as f64
    }

    /// Tells what the owner's clock shows at this moment.
    pub fn observe(&self, owner_now_ms: f64) {
        if !owner_now_ms.is_finite() {
            return;
        }
        let skew = owner_now_ms as i64 - system_ms();
        let skew = if skew.abs() < NOISE_MS { 0 } else { skew };
        self.skew_ms.store(skew, Ordering::Relaxed);
    }
}

fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_owners_clock() {
        let clock = Clock::default();
        clock.observe(1_000_000.0);
        assert!((clock.now_ms() - 1_000_000.0).abs() < 1_000.0);
        clock.observe(f64::NAN);
        assert!((clock.now_ms() - 1_000_000.0).abs() < 1_000.0);
        clock.observe(system_ms() as f64);
        assert!((clock.now_ms() - system_ms() as f64).abs() < 1_000.0);
    }
}
