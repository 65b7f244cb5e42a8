//! A server with its owner, and peers that see every byte.

#![allow(dead_code, unused_imports, reason = "each file of tests uses its part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests outside of test functions"
)]

mod owner;
mod peer;

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) use owner::{Owner, Registered, describe};
pub(crate) use peer::{FIN, Frame, Peer, close_payload, frame, opcode, registration};

/// No limit that a test is about.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);
/// A limit that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(50);
/// What takes longer hangs.
const GUARD: Duration = Duration::from_secs(30);

/// Fails instead of hanging.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.expect("it happens")
}

/// Lets all other tasks run until it holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as f64
}
