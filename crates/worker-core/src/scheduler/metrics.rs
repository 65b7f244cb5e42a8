//! What the scheduler counts.

use hdrhistogram::Histogram;

/// Seconds over which the throughput is taken.
const WINDOW_SECONDS: usize = 60;
const MS_PER_SECOND: f64 = 1_000.0;
/// Durations are recorded in microseconds, with two significant digits.
const US_PER_MS: f64 = 1_000.0;
const SIGNIFICANT_DIGITS: u8 = 2;

/// A snapshot of all counts. Times are in milliseconds; without samples they are 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Tasks that wait: ready, blocked or delayed.
    pub pending: usize,
    /// Tasks that wait for a slot.
    pub ready: usize,
    /// Tasks that wait for dependencies.
    pub blocked: usize,
    /// Tasks on a slot.
    pub running: usize,
    /// Tasks that have completed so far.
    pub completed: u64,
    /// Tasks that have failed for good so far, those that timed out included.
    pub failed: u64,
    /// Tasks that were cancelled so far.
    pub cancelled: u64,
    /// Tasks whose last attempt timed out.
    pub timed_out: u64,
    /// Retries so far.
    pub retried: u64,
    /// Mean time from start to completion.
    pub mean_duration: f64,
    /// Mean time from ready to assigned.
    pub mean_queue_time: f64,
    /// Completed tasks per second over the last minute, or since the start.
    pub throughput: f64,
    /// Percentiles of the time from start to completion.
    pub duration: Percentiles,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// Half of the samples are at most this.
    pub p50: f64,
    /// 90 % of the samples are at most this.
    pub p90: f64,
    /// 99 % of the samples are at most this.
    pub p99: f64,
    /// The largest sample.
    pub max: f64,
}

/// Cumulative counts and distributions.
pub(super) struct Recorder {
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) timed_out: u64,
    pub(super) retried: u64,
    duration_sum: f64,
    queue_time_sum: f64,
    assigned: u64,
    durations: Option<Histogram<u32>>,
    /// Completed tasks by second, in a ring.
    seconds: [u32; WINDOW_SECONDS],
    /// The second that was counted last, since the start.
    last_second: u64,
    started_at: f64,
}

impl Recorder {
    pub(super) fn new(now: f64) -> Self {
        Self {
            completed: 0,
            failed: 0,
            cancelled: 0,
            timed_out: 0,
            retried: 0,
            duration_sum: 0.0,
            queue_time_sum: 0.0,
            assigned: 0,
            durations: Histogram::new(SIGNIFICANT_DIGITS).ok(),
            seconds: [0; WINDOW_SECONDS],
            last_second: 0,
            started_at: now,
        }
    }

    pub(super) fn record_assignment(&mut self, queue_time: f64) {
        self.assigned += 1;
        self.queue_time_sum += queue_time.max(0.0);
    }

    pub(super) fn record_completion(&mut self, duration: f64, now: f64) {
        let duration = duration.max(0.0);
        self.completed += 1;
        self.duration_sum += duration;
        if let Some(durations) = &mut self.durations {
            durations.saturating_record((duration * US_PER_MS) as u64);
        }
        self.advance_to(now);
        if let Some(second) = self.seconds.get_mut(ring_index(self.last_second)) {
            *second = second.saturating_add(1);
        }
    }

    pub(super) fn mean_duration(&self) -> f64 {
        mean(self.duration_sum, self.completed)
    }

    pub(super) fn mean_queue_time(&self) -> f64 {
        mean(self.queue_time_sum, self.assigned)
    }

    pub(super) fn throughput(&mut self, now: f64) -> f64 {
        self.advance_to(now);
        let elapsed = (now - self.started_at) / MS_PER_SECOND;
        if elapsed <= 0.0 {
            return 0.0;
        }
        // The window is 59 whole seconds and the part of the present one.
        let window = elapsed.min(WINDOW_SECONDS as f64 - 1.0 + elapsed.fract());
        let completed: u64 = self.seconds.iter().copied().map(u64::from).sum();
        completed as f64 / window
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let Some(durations) = self.durations.as_ref().filter(|samples| !samples.is_empty()) else {
            return Percentiles::default();
        };
        let at = |quantile| durations.value_at_quantile(quantile) as f64 / US_PER_MS;
        Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }

    /// Forgets the seconds that have left the window.
    fn advance_to(&mut self, now: f64) {
        let second = ((now - self.started_at) / MS_PER_SECOND).max(0.0) as u64;
        let passed = second.saturating_sub(self.last_second).min(WINDOW_SECONDS as u64);
        for step in 1..=passed {
            if let Some(place) = self.seconds.get_mut(ring_index(second - passed + step)) {
                *place = 0;
            }
        }
        self.last_second = self.last_second.max(second);
    }
}

fn ring_index(second: u64) -> usize {
    (second % WINDOW_SECONDS as u64) as usize
}

fn mean(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}
