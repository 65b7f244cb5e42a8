//! The time a heartbeat is stamped with, and how long ago that was.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use worker_core::pool::health::{Moment, Timekeeping, silence_ms};

/// The embedder has no clock of its own.
const NO_SKEW: i64 = i64::MIN;
/// A pause of the ticks for longer than this means that the process did not run.
const SUSPENDED_AFTER_MS: f64 = 1_500.0;

/// The clocks of a server.
///
/// Dates that the embedder shows come from the wall clock. Silence is measured on the monotonic
/// clock, so that a step of the wall clock changes nothing. A JavaScript realm may run on a clock of
/// its own (fake timers of a test); then that clock counts for both.
///
/// The server ticks the clock while it runs. After a pause of the ticks (the process was stopped, or
/// the machine suspended), silence counts from the end of the pause.
pub struct Clock {
    read: Box<dyn Fn() -> Moment + Send + Sync>,
    /// What the embedder's own clock shows more than the wall clock, in milliseconds.
    skew_ms: AtomicI64,
    /// Steady time of the last tick, and of the end of the last pause, as bits of f64.
    ticked_at: AtomicU64,
    resumed_at: AtomicU64,
}

impl Clock {
    /// A clock that reads the time with `read`; the default one reads the system's.
    pub fn new(read: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self {
            read: Box::new(read),
            skew_ms: AtomicI64::new(NO_SKEW),
            ticked_at: AtomicU64::new(f64::INFINITY.to_bits()),
            resumed_at: AtomicU64::new(f64::NEG_INFINITY.to_bits()),
        }
    }

    /// This moment, on the wall clock that the embedder sees and on the steady clock.
    pub fn now(&self) -> Moment {
        let Moment { wall_ms, steady_ms } = (self.read)();
        Moment { wall_ms: wall_ms + self.skew().unwrap_or_default(), steady_ms }
    }

    /// Tells what the embedder's own clock shows at this moment; `None`: it has none. From there it
    /// goes on at the real pace.
    pub fn observe(&self, own_now_ms: Option<f64>) {
        let skew = match own_now_ms.filter(|ms| ms.is_finite()) {
            Some(ms) => (ms - (self.read)().wall_ms) as i64,
            None => NO_SKEW,
        };
        self.skew_ms.store(skew, Ordering::Relaxed);
    }

    /// The moment at which the wall clock showed `wall_ms`, if it has not been set since. NaN is
    /// never long ago.
    pub(crate) fn moment_of(&self, wall_ms: f64) -> Moment {
        let now = self.now();
        Moment { wall_ms, steady_ms: now.steady_ms - (now.wall_ms - wall_ms) }
    }

    /// Reads the time once, to judge any number of connections: gives the milliseconds since the
    /// moment that it is called with, or since the end of the last pause if that was later.
    /// `own_now_ms` is what the embedder's own clock shows, if it has one.
    pub(crate) fn silences(&self, own_now_ms: Option<f64>) -> impl Fn(Moment) -> f64 {
        let now = self.now();
        let own_now_ms = own_now_ms.or_else(|| self.skew().map(|_| now.wall_ms));
        let (now, by, longest) = match own_now_ms {
            Some(wall_ms) => (Moment { wall_ms, ..now }, Timekeeping::Wall, f64::INFINITY),
            None => (now, Timekeeping::Steady, now.steady_ms - self.resumed_ms(now.steady_ms)),
        };
        move |last| {
            let silence = silence_ms(last, now, by);
            // Not `min`, for the silence may be NaN, which is never too long.
            if longest < silence { longest } else { silence }
        }
    }

    /// To be called twice a second while the server runs.
    pub(crate) fn tick(&self) {
        let now = (self.read)().steady_ms;
        self.resumed_ms(now);
        self.ticked_at.store(now.to_bits(), Ordering::Relaxed);
    }

    /// Nothing ticks from now on, which is no pause.
    pub(crate) fn stop_ticking(&self) {
        self.ticked_at.store(f64::INFINITY.to_bits(), Ordering::Relaxed);
    }

    /// Milliseconds since the end of the last pause; infinite: there was none.
    pub(crate) fn since_resumed_ms(&self) -> f64 {
        let now = (self.read)().steady_ms;
        now - self.resumed_ms(now)
    }

    /// Steady time of the end of the last pause, which may be now.
    fn resumed_ms(&self, now: f64) -> f64 {
        let ticked_at = f64::from_bits(self.ticked_at.load(Ordering::Relaxed));
        if now - ticked_at > SUSPENDED_AFTER_MS {
            self.resumed_at.store(now.to_bits(), Ordering::Relaxed);
            // The pause is over, also for who asks before the next tick.
            self.ticked_at.store(now.to_bits(), Ordering::Relaxed);
        }
        f64::from_bits(self.resumed_at.load(Ordering::Relaxed))
    }

    fn skew(&self) -> Option<f64> {
        let skew = self.skew_ms.load(Ordering::Relaxed);
        (skew != NO_SKEW).then_some(skew as f64)
    }
}

impl Default for Clock {
    fn default() -> Self {
        let start = Instant::now();
        Self::new(move || Moment {
            wall_ms: system_ms() as f64,
            steady_ms: start.elapsed().as_secs_f64() * 1_000.0,
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("skew_ms", &self.skew()).finish_non_exhaustive()
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
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOUR_MS: f64 = 3_600_000.0;

    /// A clock, and the moment that it reads.
    fn by_hand() -> (Clock, Arc<Mutex<Moment>>) {
        let now = Arc::new(Mutex::new(Moment { wall_ms: 1e12, steady_ms: 0.0 }));
        let read = Arc::clone(&now);
        (Clock::new(move || *read.lock().unwrap()), now)
    }

    fn silence_ms(clock: &Clock, last: Moment, own_now_ms: Option<f64>) -> f64 {
        clock.silences(own_now_ms)(last)
    }

    fn pass(now: &Mutex<Moment>, ms: f64) {
        let mut now = now.lock().unwrap();
        now.wall_ms += ms;
        now.steady_ms += ms;
    }

    #[test]
    fn a_step_of_the_wall_clock_changes_no_silence() {
        for step in [HOUR_MS, -HOUR_MS] {
            let (clock, now) = by_hand();
            let last = clock.now();
            pass(&now, 100.0);
            now.lock().unwrap().wall_ms += step;
            assert_eq!(silence_ms(&clock, last, None), 100.0);
            pass(&now, 50.0);
            assert_eq!(silence_ms(&clock, last, None), 150.0);
            assert_eq!(clock.now().wall_ms, 1e12 + step + 150.0, "dates follow the wall clock");
        }
    }

    #[test]
    fn the_embedders_own_clock_counts_while_it_has_one() {
        let (clock, now) = by_hand();
        clock.observe(Some(1_000.0));
        let last = clock.now();
        pass(&now, 10.0);
        assert_eq!(clock.now().wall_ms, 1_010.0, "time goes on from there");
        assert_eq!(silence_ms(&clock, last, None), 10.0);
        assert_eq!(silence_ms(&clock, last, Some(61_000.0)), 60_000.0);
        clock.observe(Some(f64::NAN));
        assert_eq!(silence_ms(&clock, last, None), 10.0);
        assert_eq!(clock.now().wall_ms, 1e12 + 10.0);
    }

    #[test]
    fn a_date_set_by_hand_is_as_old_as_it_says() {
        let (clock, now) = by_hand();
        let last = clock.moment_of(1e12 - 5_000.0);
        pass(&now, 100.0);
        now.lock().unwrap().wall_ms += HOUR_MS;
        assert_eq!(silence_ms(&clock, last, None), 5_100.0);
        assert!(silence_ms(&clock, clock.moment_of(f64::NAN), None).is_nan());
    }

    #[test]
    fn silence_counts_from_the_end_of_a_pause() {
        let (clock, now) = by_hand();
        clock.tick();
        let last = clock.now();
        pass(&now, 500.0);
        clock.tick();
        assert_eq!(silence_ms(&clock, last, None), 500.0);
        assert_eq!(clock.since_resumed_ms(), f64::INFINITY);
        pass(&now, 10_000.0);
        assert_eq!(silence_ms(&clock, last, None), 0.0, "found out by who asks first");
        pass(&now, 400.0);
        clock.tick();
        assert_eq!(silence_ms(&clock, last, None), 400.0);
        assert_eq!(clock.since_resumed_ms(), 400.0);
        pass(&now, 10_000.0);
        clock.tick();
        assert_eq!(clock.since_resumed_ms(), 0.0, "found out by the tick");
        clock.stop_ticking();
        pass(&now, 10_000.0);
        assert_eq!(silence_ms(&clock, last, None), 10_000.0, "who does not tick does not pause");
    }

    #[test]
    fn the_default_clock_reads_the_system() {
        let clock = Clock::default();
        let (first, second) = (clock.now(), clock.now());
        assert!((first.wall_ms - system_ms() as f64).abs() < 60_000.0);
        assert!(second.steady_ms >= first.steady_ms);
    }
}
