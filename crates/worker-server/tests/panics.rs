//! A panic costs the connection that it happened in.
#![cfg(feature = "fault-injection")]

mod support;

use support::{LONG, Owner, Peer};
use worker_server::SendError;

#[tokio::test]
async fn a_panic_in_a_session_ends_that_connection_only() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut broken, slot) = owner.worker("broken").await;
    let (mut other, other_slot) = owner.worker("other").await;
    owner.send(slot, "unread").unwrap();
    broken.text("inject-session-panic").await;
    assert_eq!(owner.events(1).await, ["closed 1006 \"\" bound"]);
    assert_eq!(owner.send(slot, "late"), Err(SendError::NotOpen));
    let rest = broken.rest().await;
    assert!(rest.is_empty() || rest.ends_with(b"unread"), "{rest:?}");

    other.beat("other").await;
    assert!(other.message().await.contains("heartbeat_ack"));
    owner.send(other_slot, "served").unwrap();
    assert_eq!(other.message().await, "served");

    // Its id is free, and the end of the server does not wait for it.
    let mut again = Peer::connect(owner.port).await;
    again.register("broken").await;
    owner.admit().await;
    again.acknowledged().await;
    drop((other, again));
    assert!(owner.shutdown(LONG));
    let events = owner.events(3).await;
    assert_eq!(events[2], "stopped", "{events:?}");
}
