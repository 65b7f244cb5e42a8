//! Who may register, what they are told, and whom they push aside.

mod support;

use std::{sync::Arc, time::Duration};

use support::{FIN, Frame, LONG, Owner, Peer, SHORT, frame, opcode::*, registration};
use worker_server::{
    Limits, SendError, ServerOptions,
    core::{auth::TokenVerifier, protocol::WorkerId},
};

const REFUSED_TOKEN: &str =
    r#"{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}"#;

fn with_tokens(tokens: &[&str]) -> Owner {
    with_tokens_and(tokens, |_| ())
}

fn with_tokens_and(tokens: &[&str], change: impl FnOnce(&mut Limits)) -> Owner {
    let mut limits = Limits { admission_timeout: LONG, ..Limits::default() };
    change(&mut limits);
    Owner::start(ServerOptions {
        tokens: Some(TokenVerifier::new(tokens)),
        heartbeat_interval_ms: 15_000.0,
        limits,
        ..ServerOptions::default()
    })
}

fn application(n: usize) -> String {
    format!(r#"{{"type":"a","n":{n}}}"#)
}

#[tokio::test]
async fn an_accepted_registration_is_told_and_acknowledged() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peer = Peer::connect(owner.port).await;
    let text = registration("wörker", r#","extra":[1]"#);
    peer.text(&text).await;
    let registered = owner.find_registered().await;
    assert_eq!(registered.registration.worker_id, WorkerId::from_text("wörker"));
    assert_eq!(registered.registration.capabilities.models, ["m"]);
    let capabilities = r#"{"models":[{"modelId":"m"}],"maxConcurrentRequests":2}"#;
    let id = &registered.session_id;
    assert_eq!(
        registered.visible,
        format!(r#"{{"sessionId":"{id}","id":"wörker","capabilities":{capabilities},"name":"N"}}"#)
    );
    assert!(registered.replaces.is_none());
    assert!(registered.connection.is_open() && registered.connection.slot().is_none());

    let id = registered.session_id;
    let slot = owner.fleet.admit(Arc::clone(&registered.connection), Default::default());
    assert_eq!(registered.connection.slot(), Some(slot));
    owner.fleet.acknowledge(slot);
    assert_eq!(
        peer.message().await,
        format!(
            r#"{{"type":"worker_registration_ack","success":true,"sessionId":"{id}","heartbeatIntervalMs":15000}}"#
        )
    );
    let uuid: Vec<&str> = id.split('-').collect();
    assert_eq!(uuid.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(uuid[2].starts_with('4') && uuid[3].starts_with(['8', '9', 'a', 'b']), "{id}");
}

#[tokio::test]
async fn a_refused_registration_is_answered_then_closed() {
    let mut owner = Owner::with_limits(|_| ());
    let id = "workerId: expected a string, a number or a boolean, got";
    let bad = [
        ("", String::new(), format!("{id} nothing")),
        (r#","workerId":null"#, r#""workerId":null,"#.to_owned(), format!("{id} null")),
        (
            r#","workerId":"w","capabilities":null"#,
            r#""workerId":"w","#.to_owned(),
            "capabilities: expected an object, got null".to_owned(),
        ),
    ];
    for (members, id, error) in bad {
        let text = format!(r#"{{"type":"worker_registration"{members}}}"#);
        let mut peer = Peer::connect(owner.port).await;
        peer.text(&text).await;
        let answer =
            format!(r#"{{"type":"worker_registration_ack","success":false,"error":"{error}"}}"#);
        assert_eq!(peer.frame().await, Frame::text(&answer));
        assert_eq!(peer.frame().await, Frame::close(4002, "Invalid registration"));
        peer.close(4002, "").await;
        peer.end().await;
        let refused = format!(r#"registration refused {{{id}"error":"{error}"}}"#);
        let expected = ["opened", &refused, "closed 4002 \"\" unbound"];
        assert_eq!(owner.events(3).await, expected);
    }
    assert_eq!(owner.fleet.stats().registrations_refused, 3);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_nothing_after_it_counts() {
    let mut owner = with_tokens(&["secret"]);
    for token in ["", r#","authToken":"secre""#, r#","authToken":5"#, r#","authToken":null"#] {
        let mut peer = Peer::connect(owner.port).await;
        let good = registration("w", r#","authToken":"secret""#);
        let beat = r#"{"type":"heartbeat","workerId":"w"}"#;
        let frames = [&registration("w", token), &good, beat, &application(1)];
        peer.send(&frames.map(|text| frame(FIN | TEXT, text)).concat()).await;
        assert_eq!(peer.frame().await, Frame::text(REFUSED_TOKEN));
        assert_eq!(peer.frame().await, Frame::close(4001, "Authentication failed"));
        peer.text(&good).await;
        peer.close(4001, "").await;
        peer.end().await;
        let expected = ["opened", r#"token refused "w""#, "closed 4001 \"\" unbound"];
        assert_eq!(owner.events(3).await, expected, "{token}");
    }
    assert_eq!(owner.fleet.stats().tokens_refused, 4);
}

#[tokio::test]
async fn a_connection_may_be_given_several_attempts() {
    let mut owner = with_tokens_and(&["secret"], |limits| limits.token_attempts = 3);
    for succeeds in [true, false] {
        let mut peer = Peer::connect(owner.port).await;
        for _ in 0..2 {
            peer.text(&registration("w", r#","authToken":"guess""#)).await;
            assert_eq!(peer.frame().await, Frame::text(REFUSED_TOKEN));
        }
        let token = if succeeds { "secret" } else { "guess" };
        peer.text(&registration("w", &format!(r#","authToken":"{token}""#))).await;
        if succeeds {
            owner.admit().await;
            peer.acknowledged().await;
        } else {
            assert_eq!(peer.frame().await, Frame::text(REFUSED_TOKEN));
            assert_eq!(peer.frame().await, Frame::close(4001, "Authentication failed"));
        }
    }
    assert_eq!(owner.fleet.stats().tokens_refused, 5);
}

#[tokio::test]
async fn any_of_the_tokens_will_do_and_they_can_be_changed() {
    let mut owner = with_tokens(&["old", "new"]);
    for (id, token) in [("a", "old"), ("b", "new")] {
        let mut peer = Peer::connect(owner.port).await;
        peer.text(&registration(id, &format!(r#","authToken":"{token}""#))).await;
        owner.admit().await;
        peer.acknowledged().await;
        if id == "a" {
            owner.fleet.set_tokens(TokenVerifier::new(&["new"]));
            // Who is registered stays.
            peer.beat("a").await;
            assert!(peer.message().await.contains("heartbeat_ack"));
        }
    }
    let mut late = Peer::connect(owner.port).await;
    late.text(&registration("c", r#","authToken":"old""#)).await;
    assert_eq!(late.frame().await, Frame::text(REFUSED_TOKEN));
}

#[tokio::test]
async fn the_empty_token_is_shown_by_a_registration_without_one() {
    let mut owner = with_tokens(&[""]);
    let mut peer = Peer::connect(owner.port).await;
    peer.register("w").await;
    owner.admit().await;
    peer.acknowledged().await;
}

#[tokio::test]
async fn messages_before_registration_pass_unless_a_token_is_needed() {
    let mut open = Owner::with_limits(|_| ());
    let mut peer = Peer::connect(open.port).await;
    peer.text(&application(1)).await;
    assert_eq!(open.find_message().await, application(1));

    let mut owner = with_tokens(&["secret"]);
    let mut peer = Peer::connect(owner.port).await;
    let texts = [application(1), application(2), registration("w", r#","authToken":"secret""#)];
    peer.send(&texts.map(|text| frame(FIN | TEXT, text)).concat()).await;
    assert_eq!(owner.events(3).await, ["opened", "message dropped", "registered w"]);
    assert_eq!(owner.fleet.stats().messages_dropped, 2);
}

#[tokio::test]
async fn so_do_as_many_as_the_limit_says() {
    let mut owner = with_tokens_and(&["secret"], |limits| {
        limits.unregistered_messages = Some(2);
        limits.admission_timeout = SHORT;
    });
    let mut peer = Peer::connect(owner.port).await;
    let texts = [
        application(1),
        application(2),
        application(3),
        // No message either, and nobody is told.
        r#"{"type":"heartbeat","#.to_owned(),
        registration("w", r#","authToken":"secret""#),
        application(4),
    ];
    peer.send(&texts.map(|text| frame(FIN | TEXT, text)).concat()).await;
    let [first, second, last] = [1, 2, 4].map(|n| format!("message {}", application(n)));
    let expected = ["opened", &first, &second, "message dropped", "registered w", &last];
    assert_eq!(owner.events(6).await, expected);
    let stats = owner.fleet.stats();
    assert_eq!((stats.messages_dropped, stats.messages_invalid), (2, 0));
}

#[tokio::test]
async fn a_registration_stands_exactly_between_its_neighbours() {
    let mut owner = Owner::with_limits(|limits| limits.admission_timeout = SHORT);
    let mut peer = Peer::connect(owner.port).await;
    let texts = [application(1), registration("w", ""), application(2), application(3)];
    let beat = r#"{"type":"heartbeat","workerId":"w","timestamp":7}"#;
    peer.send(&texts.map(|text| frame(FIN | TEXT, text)).concat()).await;
    peer.text(beat).await;
    // Without the owner: nobody has taken an event yet.
    peer.acknowledged().await;
    assert!(peer.message().await.starts_with(r#"{"type":"heartbeat_ack","timestamp":7,"#));
    let [first, second, third] = [1, 2, 3].map(|n| format!("message {}", application(n)));
    assert_eq!(owner.events(5).await, ["opened", &first, "registered w", &second, &third]);
}

#[tokio::test]
async fn the_acknowledgement_waits_for_the_owner() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut other, _) = owner.worker("other").await;
    let mut peer = Peer::connect(owner.port).await;
    peer.register("w").await;
    let registered = owner.find_registered().await;
    for turn in 0..20 {
        other.ping(&turn.to_string()).await;
    }
    assert!(peer.is_silent(), "acknowledged before the owner took the worker in");

    let slot = owner.fleet.admit(registered.connection, Default::default());
    owner.send(slot, "from the connected handler").unwrap();
    owner.fleet.acknowledge(slot);
    peer.acknowledged().await;
    assert_eq!(peer.message().await, "from the connected handler");
}

#[tokio::test]
async fn an_owner_that_does_not_come_keeps_nobody_out() {
    let mut owner = Owner::with_limits(|limits| limits.admission_timeout = SHORT);
    let mut peer = Peer::connect(owner.port).await;
    peer.register("w").await;
    peer.acknowledged().await;
    peer.beat("w").await;
    assert!(peer.message().await.contains("heartbeat_ack"));
    assert_eq!(owner.events(2).await, ["opened", "registered w"]);
}

#[tokio::test]
async fn an_acknowledgement_that_comes_too_late_does_not_count_for_the_next() {
    let mut owner = Owner::with_limits(|limits| limits.admission_timeout = Duration::from_secs(1));
    let mut peer = Peer::connect(owner.port).await;
    peer.register("first").await;
    peer.acknowledged().await;
    let slot = owner.admit().await;
    let mut other = Peer::connect(owner.port).await;

    // The second is held back anew: for a second, in which the other is served many times.
    peer.register("second").await;
    owner.find_registered().await;
    other.ping("turn").await;
    assert!(peer.is_silent(), "acknowledged by what was meant for the first");
    owner.fleet.acknowledge(slot);
    peer.acknowledged().await;
}

#[tokio::test]
async fn a_worker_that_registers_elsewhere_is_replaced() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut old, old_slot) = owner.worker("w").await;
    let mut new = Peer::connect(owner.port).await;
    new.register("w").await;
    let registered = owner.find_registered().await;
    assert_eq!(registered.replaces.as_ref().and_then(|old| old.slot()), Some(old_slot));
    assert_eq!(owner.send(old_slot, "late"), Err(SendError::NotOpen));
    owner.fleet.remove(old_slot);
    let slot = owner.fleet.admit(registered.connection, Default::default());
    owner.fleet.acknowledge(slot);
    new.acknowledged().await;

    assert_eq!(old.frame().await, Frame::close(4003, "Replaced by new connection"));
    old.beat("w").await;
    old.text(&application(1)).await;
    old.close(4003, "bye").await;
    old.end().await;
    let message = format!("message {}", application(1));
    let expected = [r#"unknown heartbeat "w""#, &message, "closed 4003 \"bye\" unbound"];
    assert_eq!(owner.events(3).await, expected);
    new.beat("w").await;
    assert!(new.message().await.contains("heartbeat_ack"));
}

#[tokio::test]
async fn a_worker_that_registers_again_over_its_socket_replaces_itself() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("w").await;
    peer.register("w").await;
    let again = owner.find_registered().await;
    assert_eq!(again.replaces.and_then(|itself| itself.slot()), Some(slot));
    owner.fleet.acknowledge(slot);
    assert_eq!(peer.frame().await, Frame::close(4003, "Replaced by new connection"));
    peer.close(4003, "").await;
    peer.end().await;
    assert_eq!(owner.events(1).await, ["closed 4003 \"\" bound"]);
}

#[tokio::test]
async fn a_second_id_over_one_socket_releases_the_first() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, slot) = owner.worker("first").await;
    peer.register("second").await;
    let released = "closed 4003 \"Replaced by new connection\" bound";
    assert_eq!(owner.events(1).await, [released]);
    owner.fleet.remove(slot);
    let slot = owner.admit().await;
    peer.acknowledged().await;
    peer.beat("first").await;
    peer.beat("second").await;
    assert!(peer.message().await.contains("heartbeat_ack"));
    assert_eq!(owner.events(1).await, [r#"unknown heartbeat "first""#]);

    // The first id is free.
    let mut other = Peer::connect(owner.port).await;
    other.register("first").await;
    assert_eq!(owner.events(2).await, ["opened", "registered first"]);
    assert!(owner.fleet.is_open(slot));
    peer.ping("still served").await;
}

#[tokio::test]
async fn ids_of_different_types_are_different_workers() {
    let mut owner = Owner::with_limits(|_| ());
    let mut peers = Vec::new();
    for id in ["5", "\"5\"", "true", "\"true\""] {
        let mut peer = Peer::connect(owner.port).await;
        let text = registration("ID", "").replace("\"ID\"", id);
        peer.text(&text).await;
        let registered = owner.find_registered().await;
        assert!(registered.replaces.is_none(), "{id}");
        assert_eq!(registered.registration.worker_id, WorkerId::from_json(id).unwrap());
        peers.push(peer);
    }
}

#[tokio::test]
async fn what_is_no_message_of_ours_is_told_and_survived() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut peer, _) = owner.worker("w").await;
    for text in [r#"["heartbeat""#, r#"["heartbeat"]"#, r#"{"type":"heartbeat"}"#] {
        peer.text(text).await;
    }
    assert_eq!(owner.events(3).await, ["invalid JSON", "missing type", "unknown heartbeat -"]);
    peer.ping("still served").await;
    let stats = owner.fleet.stats();
    assert_eq!((stats.messages_invalid, stats.heartbeats_refused), (2, 1));
}

#[tokio::test]
async fn a_connection_that_is_being_closed_registers_nobody() {
    let mut owner = Owner::with_limits(|_| ());
    let (mut closing, slot) = owner.worker("w").await;
    owner.fleet.close(slot, 4000, "enough");
    assert_eq!(closing.frame().await, Frame::close(4000, "enough"));
    closing.register("another").await;
    closing.text(&application(1)).await;
    assert_eq!(owner.find_message().await, application(1));
    let (_successor, _) = owner.worker("another").await;
    closing.close(4000, "").await;
    closing.end().await;
    assert_eq!(owner.events(1).await, ["closed 4000 \"\" bound"]);
}
