use super::*;

fn capabilities(models: &[&str], max: f64) -> Capabilities {
    limited(models, max, &[])
}

fn limited(models: &[&str], max: f64, limits: &[(&str, f64)]) -> Capabilities {
    Capabilities {
        models: models.iter().map(ToString::to_string).collect(),
        max_concurrent_requests: max,
        concurrency_limits: limits.iter().map(|(c, l)| (c.to_string(), *l)).collect(),
    }
}

fn request(id: &str) -> Vec<u16> {
    id.encode_utf16().collect()
}

fn pool_of(maxima: &[f64]) -> (Pool, Vec<Slot>) {
    let mut pool = Pool::default();
    let slots = maxima.iter().map(|max| pool.insert(capabilities(&["m"], *max))).collect();
    (pool, slots)
}

fn state(pool: &Pool, slot: Slot) -> (Status, f64, f64) {
    let worker = pool.worker(slot).unwrap();
    (worker.status(), worker.active(), worker.completed())
}

#[test]
fn a_new_worker_is_available_and_last() {
    let (mut pool, slots) = pool_of(&[1.0, 1.0]);
    assert_eq!(state(&pool, slots[0]), (Status::Available, 0.0, 0.0));
    assert_eq!(pool.slots().collect::<Vec<_>>(), slots);
    assert!(pool.remove(slots[0]));
    let again = pool.insert(capabilities(&["m"], 1.0));
    assert_eq!(again, slots[0], "the slot is reused");
    assert_eq!(pool.slots().collect::<Vec<_>>(), [slots[1], again]);
    assert_eq!((pool.len(), pool.available_count()), (2, 2));
}

#[test]
fn an_unknown_slot_changes_nothing() {
    let mut pool = Pool::default();
    let nobody = Slot::new(7);
    assert!(!pool.remove(nobody));
    assert!(!pool.contains(nobody));
    assert!(!pool.track(nobody, &request("r"), Some("c")));
    assert!(!pool.set_active(nobody, 1.0));
    assert!(!pool.set_capabilities(nobody, capabilities(&["m"], 1.0)));
    assert!(!pool.heartbeat(nobody));
    assert_eq!(pool.release(&request("r"), true), None);
    assert_eq!(pool.select("m", None), None);
    assert_eq!(pool.available_slots("m", None), 0.0);
    assert!(pool.is_empty());
}

#[test]
fn the_lowest_load_wins_and_the_first_on_a_tie() {
    let (mut pool, slots) = pool_of(&[2.0, 4.0, 4.0]);
    assert_eq!(pool.select("m", None), Some(slots[0]));
    pool.set_active(slots[0], 1.0);
    assert_eq!(pool.select("m", None), Some(slots[1]));
    pool.set_active(slots[1], 3.0);
    pool.set_active(slots[2], 2.0);
    assert_eq!(pool.select("m", None), Some(slots[0]));
    pool.set_active(slots[0], -3.0);
    assert_eq!(pool.select("m", None), Some(slots[0]));
}

#[test]
fn without_a_positive_maximum_never_selected() {
    for max in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        let (mut pool, slots) = pool_of(&[max]);
        assert_eq!(pool.select("m", None), None, "{max}");
        pool.set_active(slots[0], -5.0);
        assert_eq!(pool.select("m", None), None, "{max}");
    }
    let (mut pool, slots) = pool_of(&[f64::INFINITY]);
    assert_eq!(pool.select("m", None), Some(slots[0]));
}

#[test]
fn only_available_workers_are_selected_but_busy_ones_are_usable() {
    let (mut pool, slots) = pool_of(&[1.0, 1.0, 1.0]);
    pool.set_status(slots[0], Status::Draining);
    pool.set_status(slots[1], Status::Busy);
    assert_eq!(pool.select("m", None), Some(slots[2]));
    assert_eq!(pool.first_usable(), Some(slots[1]));
    assert_eq!(pool.available_count(), 1);
    pool.set_status(slots[1], Status::Unhealthy);
    assert_eq!(pool.first_usable(), Some(slots[2]));
    pool.remove(slots[2]);
    assert_eq!(pool.first_usable(), None);
    assert_eq!(pool.available_count(), 0);
}

#[test]
fn models_match_by_containment() {
    let mut pool = Pool::default();
    let sonnet = pool.insert(capabilities(&["claude-sonnet-4"], 1.0));
    let none = pool.insert(capabilities(&[], 1.0));
    assert_eq!(pool.select("sonnet", None), Some(sonnet));
    assert_eq!(pool.select("eu/claude-sonnet-4", None), Some(sonnet));
    assert_eq!(pool.select("Sonnet", None), None);
    assert_eq!(pool.select("", None), Some(sonnet));
    pool.remove(sonnet);
    assert_eq!(pool.select("", None), None, "{none:?} has no model");
}

#[test]
fn category_limits() {
    let mut pool = Pool::default();
    let slot =
        pool.insert(limited(&["m"], 10.0, &[("two", 2.0), ("none", 0.0), ("nan", f64::NAN)]));
    assert_eq!(pool.select("m", Some("none")), None);
    assert_eq!(pool.select("m", Some("nan")), None);
    assert_eq!(pool.select("m", Some("free")), Some(slot));
    assert_eq!(pool.select("m", Some("toString")), Some(slot));
    assert_eq!(pool.available_slots("m", Some("two")), 2.0);
    assert_eq!(pool.available_slots("m", Some("nan")), 0.0);
    pool.track(slot, &request("a"), Some("two"));
    pool.track(slot, &request("b"), Some("two"));
    assert_eq!(pool.select("m", Some("two")), None);
    assert_eq!(pool.select("m", None), Some(slot));
    assert_eq!(pool.available_slots("m", Some("two")), 0.0);
    assert_eq!(pool.available_slots("m", None), 8.0);
    pool.release(&request("a"), false);
    assert_eq!(pool.select("m", Some("two")), Some(slot));
    pool.set_category_active(slot, "two", Some(7.0));
    assert_eq!(pool.available_slots("m", Some("two")), -5.0);
    pool.set_category_active(slot, "two", None);
    assert_eq!(pool.worker(slot).unwrap().category_active("two"), None);
    assert_eq!(pool.available_slots("m", Some("two")), 2.0);
}

#[test]
fn the_empty_category_is_one() {
    let mut pool = Pool::default();
    let slot = pool.insert(limited(&["m"], 2.0, &[("", 1.0)]));
    pool.track(slot, &request("a"), Some(""));
    assert_eq!(pool.select("m", Some("")), None);
    assert_eq!(pool.select("m", None), Some(slot));
}

#[test]
fn slots_may_be_negative_and_odd_numbers_do_not_stay() {
    let (mut pool, slots) = pool_of(&[2.0, 3.0, f64::NAN]);
    assert_eq!(pool.available_slots("m", None), 5.0);
    pool.set_active(slots[0], 9.0);
    assert_eq!(pool.available_slots("m", None), -4.0);
    pool.set_active(slots[0], f64::NEG_INFINITY);
    assert_eq!(pool.available_slots("m", None), f64::INFINITY);
    pool.set_active(slots[1], f64::INFINITY);
    assert_eq!(pool.available_slots("m", None), 0.0, "infinities of both signs");
    pool.set_active(slots[0], 1e300);
    pool.set_active(slots[0], f64::NAN);
    pool.set_active(slots[1], 1.0);
    assert_eq!(pool.available_slots("m", None), 2.0);
    pool.set_active(slots[0], 0.5);
    assert_eq!(pool.available_slots("m", None), 3.5);
    pool.set_status(slots[0], Status::Busy);
    assert_eq!(pool.available_slots("m", None), 2.0, "busy ones count nothing");
    assert_eq!(pool.available_slots("x", None), 0.0);
}

#[test]
fn capacity_makes_busy_whatever_the_status_was() {
    for status in [Status::Available, Status::Busy, Status::Draining, Status::Unhealthy] {
        let (mut pool, slots) = pool_of(&[2.0]);
        pool.set_status(slots[0], status);
        pool.track(slots[0], &request("a"), None);
        assert_eq!(state(&pool, slots[0]).0, status);
        pool.track(slots[0], &request("b"), None);
        assert_eq!(state(&pool, slots[0]).0, Status::Busy);
        pool.track(slots[0], &request("c"), None);
        assert_eq!(state(&pool, slots[0]).1, 3.0, "no limit is enforced");
        pool.release(&request("c"), false);
        assert_eq!(state(&pool, slots[0]).0, Status::Busy);
        pool.release(&request("b"), false);
        assert_eq!(state(&pool, slots[0]).0, Status::Available);
    }
}

#[test]
fn release_leaves_other_statuses() {
    for status in [Status::Draining, Status::Unhealthy] {
        let (mut pool, slots) = pool_of(&[2.0]);
        pool.track(slots[0], &request("a"), None);
        pool.set_status(slots[0], status);
        assert_eq!(pool.release(&request("a"), true), Some(slots[0]));
        assert_eq!(state(&pool, slots[0]), (status, 0.0, 1.0));
    }
}

#[test]
fn without_a_maximum_neither_at_nor_below_capacity() {
    let (mut pool, slots) = pool_of(&[f64::NAN]);
    pool.track(slots[0], &request("a"), None);
    assert_eq!(state(&pool, slots[0]).0, Status::Available);
    pool.set_status(slots[0], Status::Busy);
    pool.release(&request("a"), false);
    assert_eq!(state(&pool, slots[0]).0, Status::Busy);
}

#[test]
fn a_release_counts_once_and_only_if_completed() {
    let (mut pool, slots) = pool_of(&[5.0]);
    pool.track(slots[0], &request("a"), Some("c"));
    pool.track(slots[0], &request("b"), None);
    assert_eq!(pool.release(&request("a"), true), Some(slots[0]));
    assert_eq!(pool.release(&request("a"), true), None);
    assert_eq!(pool.release(&request("b"), false), Some(slots[0]));
    assert_eq!(state(&pool, slots[0]), (Status::Available, 0.0, 1.0));
    let worker = pool.worker(slots[0]).unwrap();
    assert_eq!(worker.categories().collect::<Vec<_>>(), [("c", 0.0)], "the key stays");
}

#[test]
fn counters_do_not_go_below_zero() {
    let (mut pool, slots) = pool_of(&[5.0]);
    pool.track(slots[0], &request("a"), Some("c"));
    pool.set_active(slots[0], 0.0);
    pool.set_category_active(slots[0], "c", Some(0.0));
    pool.release(&request("a"), false);
    assert_eq!(state(&pool, slots[0]).1, 0.0);
    assert_eq!(pool.worker(slots[0]).unwrap().category_active("c"), Some(0.0));
}

#[test]
fn the_same_id_twice_is_counted_twice_and_held_once() {
    let (mut pool, slots) = pool_of(&[5.0]);
    pool.track(slots[0], &request("a"), Some("x"));
    pool.track(slots[0], &request("a"), Some("y"));
    let worker = pool.worker(slots[0]).unwrap();
    assert_eq!((worker.active(), worker.in_flight()), (2.0, 1));
    pool.release(&request("a"), false);
    assert_eq!(pool.release(&request("a"), false), None);
    let worker = pool.worker(slots[0]).unwrap();
    assert_eq!((worker.active(), worker.in_flight()), (1.0, 0));
    assert_eq!(worker.category_active("x"), Some(1.0));
    assert_eq!(worker.category_active("y"), Some(0.0));
}

#[test]
fn release_takes_the_first_worker_in_order() {
    let (mut pool, slots) = pool_of(&[5.0, 5.0, 5.0]);
    let a = request("a");
    for slot in [slots[2], slots[0], slots[1]] {
        pool.track(slot, &a, None);
    }
    assert_eq!(pool.release(&a, false), Some(slots[0]));
    pool.remove(slots[1]);
    assert_eq!(pool.release(&a, false), Some(slots[2]));
    assert_eq!(pool.release(&a, false), None);
}

#[test]
fn removal_forgets_requests() {
    let (mut pool, slots) = pool_of(&[5.0]);
    for id in ["a", "b", "c"] {
        pool.track(slots[0], &request(id), Some("k"));
    }
    pool.remove(slots[0]);
    let again = pool.insert(capabilities(&["m"], 5.0));
    assert_eq!(again, slots[0]);
    assert_eq!(pool.release(&request("b"), true), None);
    assert!(!pool.holds(again, &request("b")));
}

#[test]
fn request_ids_are_code_units() {
    let (mut pool, slots) = pool_of(&[5.0]);
    pool.track(slots[0], &[0xd800], None);
    assert!(pool.holds(slots[0], &[0xd800]));
    assert_eq!(pool.release(&[0xd801], false), None);
    assert_eq!(pool.release(&[0xfffd], false), None);
    assert_eq!(pool.release(&[0xd800], false), Some(slots[0]));
    pool.track(slots[0], &[], None);
    assert_eq!(pool.release(&[], false), Some(slots[0]));
}

#[test]
fn a_heartbeat_heals_the_unhealthy_only() {
    let (mut pool, slots) = pool_of(&[1.0]);
    let slot = slots[0];
    pool.mark_unhealthy(slot);
    pool.heartbeat(slot);
    assert_eq!(state(&pool, slot).0, Status::Available);
    pool.set_active(slot, 1.0);
    pool.mark_unhealthy(slot);
    pool.heartbeat(slot);
    assert_eq!(state(&pool, slot).0, Status::Busy);
    pool.set_status(slot, Status::Draining);
    pool.heartbeat(slot);
    assert_eq!(state(&pool, slot).0, Status::Draining);
}

#[test]
fn changed_capabilities_count_at_once_and_keep_the_order() {
    let (mut pool, slots) = pool_of(&[1.0, 1.0, 1.0]);
    assert_eq!(pool.select("m", None), Some(slots[0]));
    assert_eq!(pool.select("other", None), None);
    pool.set_capabilities(slots[0], capabilities(&["other"], 1.0));
    assert_eq!(pool.select("m", None), Some(slots[1]));
    assert_eq!(pool.select("other", None), Some(slots[0]));
    pool.set_capabilities(slots[0], capabilities(&["m"], 4.0));
    assert_eq!(pool.select("m", None), Some(slots[0]));
    assert_eq!(pool.available_slots("m", None), 6.0);
    assert_eq!(pool.available_slots("other", None), 0.0);
    pool.set_capabilities(slots[0], limited(&["m"], 4.0, &[("c", 0.0)]));
    assert_eq!(pool.select("m", Some("c")), Some(slots[1]));
}

#[test]
fn a_limit_that_appears_later_counts() {
    let (mut pool, slots) = pool_of(&[4.0]);
    assert_eq!(pool.select("m", Some("c")), Some(slots[0]));
    pool.track(slots[0], &request("a"), Some("c"));
    pool.set_capabilities(slots[0], limited(&["m"], 4.0, &[("c", 1.0)]));
    assert_eq!(pool.select("m", Some("c")), None);
    assert_eq!(pool.available_slots("m", Some("c")), 0.0);
}

#[test]
fn equal_wanted_models_part_when_a_profile_tells_them_apart() {
    let mut pool = Pool::default();
    let both = pool.insert(capabilities(&["alpha", "beta"], 1.0));
    assert_eq!(pool.select("alpha", None), Some(both));
    assert_eq!(pool.select("beta", None), Some(both));
    let beta = pool.insert(capabilities(&["beta"], 1.0));
    pool.set_active(both, 1.0);
    assert_eq!(pool.select("alpha", None), None);
    assert_eq!(pool.select("beta", None), Some(beta));
    pool.remove(both);
    assert_eq!(pool.select("alpha", None), None);
    let alpha = pool.insert(capabilities(&["alpha"], 1.0));
    assert_eq!(pool.select("alpha", None), Some(alpha));
    assert_eq!(pool.select("beta", None), Some(beta));
}

#[test]
fn many_different_questions_stay_bounded_and_right() {
    let mut pool = Pool::default();
    let limits: Vec<(String, f64)> =
        (0..300).map(|n| (format!("c{n}"), f64::from(n % 3))).collect();
    let slots: Vec<Slot> = (0..40)
        .map(|n| {
            pool.insert(Capabilities {
                models: vec![format!("<{n}>")],
                max_concurrent_requests: 2.0,
                concurrency_limits: limits.clone(),
            })
        })
        .collect();
    for round in 0..3 {
        for (n, slot) in slots.iter().enumerate() {
            for c in (0..300).step_by(7) {
                let expected = (c % 3 > 0).then_some(*slot);
                let category = format!("c{c}");
                assert_eq!(pool.select(&format!("<{n}>"), Some(&category)), expected);
            }
            for junk in 0..30 {
                assert_eq!(pool.select(&format!("junk {round} {n} {junk}"), None), None);
            }
        }
    }
    let (wanted, rankings) = pool.selection.sizes();
    assert!(wanted <= 512 && rankings <= 1024, "{wanted} {rankings}");
}

#[test]
fn churn_does_not_leave_gaps_behind() {
    let mut pool = Pool::default();
    pool.insert(capabilities(&["m"], 1.0));
    pool.select("m", None);
    for _ in 0..10_000 {
        let slot = pool.insert(capabilities(&["m"], 2.0));
        assert_eq!(pool.available_slots("m", None), 3.0);
        pool.remove(slot);
    }
    assert!(pool.selection.positions() < 100);
}

#[test]
fn clear_forgets_everything() {
    let (mut pool, slots) = pool_of(&[1.0, 1.0]);
    pool.track(slots[0], &request("a"), None);
    pool.clear();
    assert!(pool.is_empty());
    assert_eq!(pool.release(&request("a"), false), None);
    assert_eq!((pool.first_usable(), pool.available_count()), (None, 0));
}

#[test]
fn a_pool_may_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Pool>();
}
