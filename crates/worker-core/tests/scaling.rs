//! The rules of scaling.

use proptest::prelude::*;
use worker_core::scaling::{Decision, Load, ScalingPolicy, decide};

fn policy() -> ScalingPolicy {
    ScalingPolicy {
        min: 2,
        max: 8,
        up_threshold: 0.7,
        down_threshold: 0.3,
        up_cooldown: 30_000.0,
        down_cooldown: 60_000.0,
        idle_timeout: 300_000.0,
    }
}

fn load() -> Load {
    Load {
        live: 2,
        busy: 0,
        ready: 0,
        longest_idle_since: f64::INFINITY,
        last_up: f64::NEG_INFINITY,
        last_scaling: 0.0,
    }
}

#[test]
fn doubles_under_load_until_the_most() {
    let grown = |live, ready| decide(&policy(), &Load { live, busy: live, ready, ..load() }, 1.0);
    assert_eq!(grown(2, 100), Decision::Add(2));
    assert_eq!(grown(4, 100), Decision::Add(4));
    assert_eq!(grown(6, 100), Decision::Add(2));
    assert_eq!(grown(8, 100), Decision::Stay);
    assert_eq!(grown(4, 1), Decision::Add(1));
    assert_eq!(grown(4, 0), Decision::Stay);
}

#[test]
fn the_first_growth_has_no_cooldown() {
    let at = |last_up, now| decide(&policy(), &Load { busy: 2, ready: 1, last_up, ..load() }, now);
    assert_eq!(at(f64::NEG_INFINITY, 0.0), Decision::Add(1));
    assert_eq!(at(1_000.0, 30_999.0), Decision::Stay);
    assert_eq!(at(1_000.0, 31_000.0), Decision::Add(1));
}

#[test]
fn too_low_a_use_does_not_grow() {
    let with_busy = |busy| decide(&policy(), &Load { live: 4, busy, ready: 9, ..load() }, 1.0);
    assert_eq!(with_busy(2), Decision::Stay);
    assert_eq!(with_busy(3), Decision::Add(4));
}

#[test]
fn without_any_thread_a_ready_task_gets_one_at_once() {
    let policy = ScalingPolicy { min: 0, ..policy() };
    assert_eq!(
        decide(&policy, &Load { live: 0, ready: 5, last_up: 0.0, ..load() }, 1.0),
        Decision::Add(1)
    );
}

#[test]
fn retires_for_low_use_after_the_cooldown() {
    let at = |busy, now| decide(&policy(), &Load { live: 4, busy, ..load() }, now);
    assert_eq!(at(1, 59_999.0), Decision::Stay);
    assert_eq!(at(1, 60_000.0), Decision::RetireOne);
    assert_eq!(at(2, 60_000.0), Decision::Stay);
}

#[test]
fn retires_what_is_idle_for_too_long_whatever_the_use() {
    let at = |now| {
        decide(&policy(), &Load { live: 4, busy: 3, longest_idle_since: 10.0, ..load() }, now)
    };
    assert_eq!(at(300_009.0), Decision::Stay);
    assert_eq!(at(300_010.0), Decision::RetireOne);
}

#[test]
fn retires_what_is_idle_beyond_a_lowered_most() {
    let with = |live, busy| decide(&policy(), &Load { live, busy, ready: 5, ..load() }, 1.0);
    assert_eq!(with(9, 8), Decision::RetireOne);
    assert_eq!(with(9, 9), Decision::Stay);
    assert_eq!(with(8, 7), Decision::Stay);
}

proptest! {
    #[test]
    fn stays_within_the_limits(
        live in 0..20_usize, busy in 0..20_usize, ready in 0..1000_usize,
        min in 0..10_usize, extra in 0..10_usize, now in 0.0..1e7_f64, since in 0.0..1e7_f64,
    ) {
        let busy = busy.min(live);
        let policy = ScalingPolicy { min, max: (min + extra).max(1), ..policy() };
        let load = Load { live, busy, ready, longest_idle_since: since, last_up: since, last_scaling: since };
        match decide(&policy, &load, now) {
            Decision::Stay => {}
            Decision::Add(count) => {
                prop_assert!(count > 0 && count <= ready);
                prop_assert!(live + count <= policy.max);
            }
            Decision::RetireOne => {
                prop_assert!(busy < live && live > policy.min);
                prop_assert!(ready == 0 || live > policy.max);
            }
        }
    }
}
