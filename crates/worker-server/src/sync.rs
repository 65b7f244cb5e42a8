//! What threads share: std's, or loom's when `models.rs` tries all orders in which they may run.

#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

#[cfg(feature = "loom")]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

#[cfg(not(feature = "loom"))]
pub(crate) use crate::panics::lock;

#[cfg(feature = "loom")]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
