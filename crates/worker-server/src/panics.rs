//! A panic is a bug, but it must cost no more than what it happened in.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Runs `body`; a panic in it becomes `None`. The default panic hook has printed it by then.
pub fn caught<T>(body: impl FnOnce() -> T) -> Option<T> {
    // What a panicking body leaves half-done is dropped or, if shared, behind `lock`.
    catch_unwind(AssertUnwindSafe(body)).ok()
}

/// Locks even when a holder panicked: every critical section of this crate leaves its data valid
/// at each step, so a poisoned lock protects nothing and would spread one connection's failure.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Panics if a peer sent the words, which a test does to see what a panic in its task costs.
#[cfg(feature = "fault-injection")]
pub(crate) fn inject(words: &[u8], sent: &[u8]) {
    #[allow(clippy::panic, reason = "this is what the feature is for")]
    if sent.windows(words.len()).any(|window| window == words) {
        panic!("injected into a task");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_contained() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught(|| -> u8 { panic!("provoked by a test") }), None);
    }

    #[test]
    fn a_lock_outlives_a_panicking_holder() {
        let shared = Mutex::new(1);
        caught(|| {
            let _held = lock(&shared);
            panic!("provoked by a test");
        });
        assert_eq!(*lock(&shared), 1);
    }
}
