//! What an append file gives back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::{fs, path::Path};

use worker_core::registry::{
    HealthThresholds, Pattern, RankingConfig, Registration, Store, Weights,
};
use worker_registry::{OpenError, PersistentStore};

const TTL: f64 = 1_000_000.0;

fn everything(store: &mut Store) -> Vec<(String, String)> {
    let mut values = store.search(&Pattern::new("*"), 20.0);
    values.sort();
    values
}

fn reopened(path: &Path) -> Vec<(String, String)> {
    let (mut store, _) = PersistentStore::open(path).unwrap();
    everything(&mut store.store)
}

fn register(store: &mut PersistentStore, id: &str, now: f64) {
    let registration = Registration {
        id: id.to_owned(),
        node_id: "node \"1\"\n".to_owned(),
        capabilities: vec!["coder".to_owned()],
        max_concurrent_tasks: 5.0,
    };
    store.store.register(registration, false, TTL, now);
    store.commit().unwrap();
}

#[test]
fn a_file_cut_at_any_byte_gives_back_every_whole_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers");
    let (mut store, _) = PersistentStore::open(&path).unwrap();
    let ranking = store.store.attach(RankingConfig {
        weights: Weights::default(),
        degraded_penalty: 1.0,
        thresholds: HealthThresholds { healthy: 100.0, degraded: 200.0 },
    });
    let mut states = vec![(0, everything(&mut store.store))];
    let mut remember = |store: &mut PersistentStore| {
        store.commit().unwrap();
        states.push((fs::read(&path).unwrap().len(), everything(&mut store.store)));
    };
    register(&mut store, "worker-1", 10.0);
    remember(&mut store);
    store.store.heartbeat(ranking, "worker-1", TTL, 11.0).unwrap();
    remember(&mut store);
    store.store.update_task_count("worker-1", 2.0, false, TTL, 12.0).unwrap();
    remember(&mut store);
    store.store.set("key", "value\n{\"set\":", f64::INFINITY, 13.0);
    remember(&mut store);
    store.store.delete("key", 14.0);
    remember(&mut store);
    store.close();

    let contents = fs::read(&path).unwrap();
    let copy = folder.path().join("copy");
    for len in 0..=contents.len() {
        fs::write(&copy, &contents[..len]).unwrap();
        let restored = reopened(&copy);
        // Between two of the states there are several lines: each key alone is old or new.
        let after = states.iter().position(|(end, _)| *end >= len).unwrap();
        if states[after].0 == len {
            assert_eq!(restored, states[after].1, "cut at {len}");
        } else {
            let (before, after) = (&states[after - 1].1, &states[after].1);
            let known = |value| before.contains(value) || after.contains(value);
            assert!(restored.iter().all(known), "cut at {len}");
        }
        // What was cut off is gone from the file too, so that it can be appended to.
        let (mut store, recovery) = PersistentStore::open(&copy).unwrap();
        assert_eq!((recovery.truncated_bytes, recovery.damaged_lines), (0, 0), "cut at {len}");
        store.store.set("later", "1", f64::INFINITY, 15.0);
        store.commit().unwrap();
        store.close();
        assert!(reopened(&copy).contains(&("later".to_owned(), "1".to_owned())));
    }
}

#[test]
fn a_damaged_line_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers");
    let (mut store, _) = PersistentStore::open(&path).unwrap();
    for key in ["a", "b", "c"] {
        store.store.set(key, "value", f64::INFINITY, 1.0);
    }
    store.commit().unwrap();
    store.close();
    let damaged = fs::read_to_string(&path).unwrap().replace("\"set\":\"b\"", "\"set\":\"x\"");
    fs::write(&path, damaged).unwrap();
    let (mut store, recovery) = PersistentStore::open(&path).unwrap();
    assert_eq!(recovery.damaged_lines, 1);
    assert_eq!(store.store.list("", 2.0), ["a", "c"]);
}

#[test]
fn a_file_has_one_user_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers");
    let (mut store, _) = PersistentStore::open(&path).unwrap();
    assert!(matches!(PersistentStore::open(&path), Err(OpenError::InUse)));
    store.close();
    assert!(PersistentStore::open(&path).is_ok());
    assert!(matches!(PersistentStore::open(folder.path()), Err(OpenError::Io(_))));
}

#[test]
fn a_file_that_is_mostly_outdated_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers");
    let (mut store, _) = PersistentStore::open(&path).unwrap();
    let value = "x".repeat(10_000);
    for round in 0..1_000 {
        store.store.set("key", &format!("{round} {value}"), f64::INFINITY, 1.0);
        store.commit().unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1_100_000);
    }
    store.close();
    let restored = reopened(&path);
    assert_eq!(restored.len(), 1);
    assert!(restored[0].1.starts_with("999 "));
}

/// Set in a process whose files may not grow beyond some kilobytes.
#[cfg(target_os = "linux")]
const LIMITED: &str = "WORKER_REGISTRY_LIMITED_FILE";

#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_is_told_and_made_good() {
    if let Ok(path) = std::env::var(LIMITED) {
        fail_to_write(Path::new(&path));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers");
    // The limit is inherited; where its signal is ignored, the write fails instead.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" a_write_that_fails --nocapture";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let keys: Vec<_> = reopened(&path).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["first", "last"]);
}

#[cfg(target_os = "linux")]
fn fail_to_write(path: &Path) {
    let (mut store, _) = PersistentStore::open(path).unwrap();
    store.store.set("first", "value", f64::INFINITY, 1.0);
    store.commit().unwrap();
    let len = fs::metadata(path).unwrap().len();
    store.store.set("large", &"x".repeat(20_000), f64::INFINITY, 1.0);
    assert!(store.commit().is_err());
    assert_eq!(fs::metadata(path).unwrap().len(), len, "half a line is left");
    store.store.delete("large", 1.0);
    store.store.set("last", "value", f64::INFINITY, 1.0);
    store.commit().unwrap();
}
