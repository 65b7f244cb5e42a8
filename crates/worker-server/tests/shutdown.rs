//! How a server ends, and begins again.

mod support;

use std::{io, time::Duration};

use support::{FIN, Frame, LONG, Owner, Peer, SHORT, frame, opcode::*, soon, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};
use worker_server::{Address, Event, SendError, ServerOptions};

async fn find_stopped(owner: &mut Owner) {
    owner.find(|event| matches!(event, Event::Stopped).then_some(())).await;
}

#[tokio::test]
async fn workers_are_told_and_stopped_follows_once_they_are_gone() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    assert!(owner.shutdown(LONG));
    assert!(!owner.fleet.is_open(slot));
    assert_eq!(owner.send(slot, "late"), Err(SendError::NotOpen));
    assert_eq!(owner.fleet.with_pool(|pool| pool.len()), 0);
    assert_eq!(peer.frame().await, Frame::close(1001, "Server shutting down"));
    peer.close(1001, "").await;
    peer.end().await;
    drop(peer);
    assert_eq!(owner.events(2).await, ["closed 1001 \"\" bound", "stopped"]);
    assert!(owner.fleet.next_event().is_none());
    assert!(!owner.shutdown(LONG), "there is nothing left to stop");
    TcpListener::bind(("::", owner.port)).await.unwrap();
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_its_port_is_free() {
    let mut owner = Owner::new(ServerOptions::default());
    assert!(!owner.shutdown(LONG), "it never listened");
    owner.listen(0);
    for _ in 0..20 {
        let port = owner.port;
        assert!(owner.shutdown(LONG));
        assert_eq!(owner.events(1).await, ["stopped"]);
        owner.listen(port);
    }
    let (mut peer, _) = owner.worker("w").await;
    peer.ping("served").await;
}

#[tokio::test]
async fn new_connections_are_refused_from_the_call_on() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut lingering, _) = owner.worker("w").await;
    assert!(owner.shutdown(LONG));
    let error = soon(TcpStream::connect(("127.0.0.1", owner.port))).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    lingering.frame().await;
    lingering.close(1001, "").await;
    drop(lingering);
    find_stopped(&mut owner).await;
}

#[tokio::test]
async fn what_has_not_ended_within_the_grace_is_dropped() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut silent, _) = owner.worker("silent").await;
    let unregistered = Peer::connect(owner.port).await;
    let mut stuck = Peer::connect(owner.port).await;
    stuck.send(&frame(FIN | TEXT, "half of a message")[..9]).await;
    assert_eq!(owner.events(2).await, ["opened", "opened"]);
    assert!(owner.shutdown(SHORT));
    let mut events = owner.events(4).await;
    assert_eq!(events.pop().as_deref(), Some("stopped"));
    events.sort();
    let unbound = "closed 1006 \"\" unbound";
    assert_eq!(events, ["closed 1006 \"\" bound", unbound, unbound]);
    assert!(owner.fleet.next_event().is_none());
    assert_eq!(silent.frame().await, Frame::close(1001, "Server shutting down"));
    for mut peer in [silent, unregistered, stuck] {
        peer.reset().await;
    }
}

#[tokio::test]
async fn unregistered_connections_are_closed_as_workers_are() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::connect(owner.port).await;
    assert_eq!(owner.events(1).await, ["opened"]);
    assert!(owner.shutdown(LONG));
    assert_eq!(peer.frame().await, Frame::close(1001, "Server shutting down"));
    peer.text(r#"{"type":"late"}"#).await;
    assert_eq!(owner.find_message().await, r#"{"type":"late"}"#);
    peer.register("late").await;
    peer.close(1001, "").await;
    peer.end().await;
    drop(peer);
    assert_eq!(owner.events(2).await, ["closed 1001 \"\" unbound", "stopped"]);
}

#[tokio::test]
async fn an_unregistered_connection_that_does_not_answer_is_ended_after_the_close_timeout() {
    let mut owner = Owner::with_limits(|limits| limits.close_timeout = SHORT);
    let _silent = Peer::connect(owner.port).await;
    assert_eq!(owner.events(1).await, ["opened"]);
    assert!(owner.shutdown(LONG));
    assert_eq!(owner.events(2).await, ["closed 1006 \"\" unbound", "stopped"]);
    assert_eq!(owner.fleet.stats().close_timeouts, 1);
}

#[tokio::test]
async fn a_head_in_progress_is_not_waited_for() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::tcp(owner.port).await;
    peer.send(b"GET /ws HTTP/1.1\r\n").await;
    until(|| owner.fleet.stats().connections_accepted == 1).await;
    assert!(owner.shutdown(LONG));
    assert_eq!(owner.events(1).await, ["stopped"]);
    // With half a request unread, the system may end the stream in either way.
    let _ = soon(peer.stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn a_restarted_server_knows_nobody_from_before() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut old, _) = owner.worker("w").await;
    let port = owner.port;
    assert!(owner.shutdown(LONG));
    owner.listen(port);
    let mut new = Peer::connect(owner.port).await;
    new.register("w").await;
    let registered = owner.find_registered().await;
    assert!(registered.replaces.is_none(), "the old one belongs to the run before");
    let slot = owner.fleet.admit(registered.connection, Default::default());
    owner.fleet.acknowledge(slot);
    new.acknowledged().await;

    assert_eq!(old.frame().await, Frame::close(1001, "Server shutting down"));
    old.close(1001, "").await;
    old.end().await;
    drop(old);
    assert_eq!(owner.events(2).await, ["closed 1001 \"\" bound", "stopped"]);
    // The end of the old one takes nothing from the new one.
    new.beat("w").await;
    assert!(new.message().await.contains("heartbeat_ack"));
    assert!(owner.fleet.is_open(slot));
}

#[tokio::test]
async fn a_dropped_server_drops_its_connections() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, _) = owner.worker("w").await;
    let port = owner.port;
    drop(owner);
    peer.reset().await;
    let error = soon(TcpStream::connect(("127.0.0.1", port))).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_taken_port_is_an_error_of_the_system() {
    let first = Owner::with_limits(|_| ());
    let mut second = Owner::new(ServerOptions::default());
    let listening = second.fleet.listen(&Handle::current(), &Address::Port(first.port));
    let error = listening.unwrap_err();
    assert_eq!((error.address.as_str(), error.source.kind()), ("::", io::ErrorKind::AddrInUse));
    assert!(!second.shutdown(LONG), "it does not run");
}

#[cfg(unix)]
#[tokio::test]
async fn listens_at_a_path() {
    let path = std::env::temp_dir().join(format!("worker-server-{}.sock", std::process::id()));
    let mut owner = Owner::new(ServerOptions::default());
    let listening = owner.fleet.listen(&Handle::current(), &Address::Path(path.clone()));
    assert_eq!(listening.unwrap(), None);
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(Peer::upgrade("/ws").as_bytes()).await.unwrap();
    let mut start = [0; 13];
    soon(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 101 ");
    assert_eq!(owner.events(1).await, ["opened"]);
    assert!(owner.shutdown(Duration::ZERO));
    assert_eq!(owner.events(2).await, ["closed 1006 \"\" unbound", "stopped"]);
    assert!(!path.exists(), "its file goes with it");
}
