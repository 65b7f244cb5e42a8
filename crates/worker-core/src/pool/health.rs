//! Judging a worker by the age of its last heartbeat.

/// How many timeouts without a heartbeat make a worker presumed dead.
const PRESUMED_DEAD_AFTER: f64 = 3.0;

/// One moment on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Milliseconds since the Unix epoch, on a clock that may be set.
    pub wall_ms: f64,
    /// Milliseconds on a clock that is never set, from any start.
    pub steady_ms: f64,
}

/// Which clock tells how long a worker has been silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timekeeping {
    /// The steady one.
    Steady,
    /// The wall clock, where it is one that a test drives.
    Wall,
}

/// Milliseconds from `last` to `now`.
pub fn silence_ms(last: Moment, now: Moment, by: Timekeeping) -> f64 {
    match by {
        Timekeeping::Steady => now.steady_ms - last.steady_ms,
        Timekeeping::Wall => now.wall_ms - last.wall_ms,
    }
}

/// What the age of the last heartbeat says about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The heartbeat is recent enough.
    Healthy,
    /// Older than the timeout: the worker is unhealthy.
    Overdue,
    /// Older than three timeouts: its connection should be closed as well.
    PresumedDead,
}

/// Judges a heartbeat `age_ms` milliseconds old. Both bounds are strict: an age
/// of exactly the timeout is healthy. NaN on either side is healthy.
pub fn assess(age_ms: f64, timeout_ms: f64) -> Verdict {
    if age_ms > presumed_dead_after(timeout_ms) && age_ms > timeout_ms {
        Verdict::PresumedDead
    } else if age_ms > timeout_ms {
        Verdict::Overdue
    } else {
        Verdict::Healthy
    }
}

/// The age of the last heartbeat beyond which a worker is presumed dead.
pub fn presumed_dead_after(timeout_ms: f64) -> f64 {
    timeout_ms * PRESUMED_DEAD_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_strict() {
        assert_eq!(assess(0.0, 100.0), Verdict::Healthy);
        assert_eq!(assess(100.0, 100.0), Verdict::Healthy);
        assert_eq!(assess(100.5, 100.0), Verdict::Overdue);
        assert_eq!(assess(300.0, 100.0), Verdict::Overdue);
        assert_eq!(assess(301.0, 100.0), Verdict::PresumedDead);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_not_silence() {
        let last = Moment { wall_ms: 1e12, steady_ms: 5.0 };
        for step in [3_600_000.0, -3_600_000.0] {
            let now = Moment { wall_ms: 1e12 + 50.0 + step, steady_ms: 55.0 };
            assert_eq!(silence_ms(last, now, Timekeeping::Steady), 50.0);
            assert_eq!(silence_ms(last, now, Timekeeping::Wall), 50.0 + step);
        }
    }

    #[test]
    fn odd_numbers() {
        assert_eq!(assess(0.0, 0.0), Verdict::Healthy);
        assert_eq!(assess(1.0, 0.0), Verdict::PresumedDead);
        assert_eq!(assess(f64::NAN, 100.0), Verdict::Healthy);
        assert_eq!(assess(1e300, f64::NAN), Verdict::Healthy);
        assert_eq!(assess(-5.0, 100.0), Verdict::Healthy);
        // A clock that was set back: the age lies between the timeout and its triple.
        assert_eq!(assess(-5.0, -2.0), Verdict::Healthy);
    }
}
