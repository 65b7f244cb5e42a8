//! A moment that threads share.

use std::sync::atomic::{AtomicU64, Ordering};

use worker_core::pool::health::Moment;

/// Before every other moment.
pub(crate) const NEVER: Moment =
    Moment { wall_ms: f64::NEG_INFINITY, steady_ms: f64::NEG_INFINITY };

/// A moment that threads share. Whoever reads it while it is written may get one clock's old time.
#[derive(Debug)]
pub(crate) struct Stamp {
    wall: AtomicU64,
    steady: AtomicU64,
}

impl Stamp {
    pub(crate) fn get(&self) -> Moment {
        Moment {
            wall_ms: f64::from_bits(self.wall.load(Ordering::Relaxed)),
            steady_ms: f64::from_bits(self.steady.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn set(&self, moment: Moment) {
        self.wall.store(moment.wall_ms.to_bits(), Ordering::Relaxed);
        self.steady.store(moment.steady_ms.to_bits(), Ordering::Relaxed);
    }
}

impl Default for Stamp {
    fn default() -> Self {
        let stamp = Self { wall: AtomicU64::new(0), steady: AtomicU64::new(0) };
        stamp.set(NEVER);
        stamp
    }
}

/// The later time; the first one if it is NaN.
pub(crate) fn later(time: f64, other: f64) -> f64 {
    if other > time { other } else { time }
}
