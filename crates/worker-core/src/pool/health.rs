//! Judging a worker by the age of its last heartbeat.

/// How many timeouts without a heartbeat make a worker presumed dead.
const PRESUMED_DEAD_AFTER: f64 = 3.0;

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
