//! How many threads there should be.

/// The rules of scaling. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalingPolicy {
    /// Fewest threads.
    pub min: usize,
    /// Most threads.
    pub max: usize,
    /// Share of busy threads from which on threads are added.
    pub up_threshold: f64,
    /// Share of busy threads down to which a thread is retired.
    pub down_threshold: f64,
    /// Shortest time between two additions.
    pub up_cooldown: f64,
    /// Shortest time between any scaling and a retirement for low use.
    pub down_cooldown: f64,
    /// A thread idle for this long is retired; infinite: never.
    pub idle_timeout: f64,
}

/// The pool as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Threads that are not ending, those that start included.
    pub live: usize,
    /// Threads that run a task.
    pub busy: usize,
    /// Tasks that wait for a thread.
    pub ready: usize,
    /// Since when the longest idle thread is idle; infinite: none is.
    pub longest_idle_since: f64,
    /// When threads were last added for load; negatively infinite: never.
    pub last_up: f64,
    /// When threads were last added or retired for load, or the pool's start.
    pub last_scaling: f64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Stay,
    /// Add this many threads.
    Add(usize),
    /// Retire the thread that is idle for the longest time.
    RetireOne,
}

/// Decides for the moment `now`.
///
/// A pool under load doubles rather than growing by one, since each step costs a cooldown.
pub fn decide(policy: &ScalingPolicy, load: &Load, now: f64) -> Decision {
    let use_share = if load.live == 0 { 1.0 } else { load.busy as f64 / load.live as f64 };
    // The most was lowered.
    if load.live > policy.max && load.busy < load.live {
        return Decision::RetireOne;
    }
    if load.ready > 0 {
        // Without any thread nothing would ever run.
        let is_due = load.live == 0 || now - load.last_up >= policy.up_cooldown;
        let room = policy.max.saturating_sub(load.live);
        let wanted = load.ready.min(room).min(load.live.max(1));
        return if wanted > 0 && is_due && use_share >= policy.up_threshold {
            Decision::Add(wanted)
        } else {
            Decision::Stay
        };
    }
    if load.live <= policy.min || load.busy == load.live {
        return Decision::Stay;
    }
    let is_idle_too_long = now - load.longest_idle_since >= policy.idle_timeout;
    let is_due = now - load.last_scaling >= policy.down_cooldown;
    if is_idle_too_long || (is_due && use_share <= policy.down_threshold) {
        return Decision::RetireOne;
    }
    Decision::Stay
}
