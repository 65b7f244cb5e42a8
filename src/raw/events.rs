//! Handing events to JavaScript: the view says what happened, the result is its text.

use worker_server::{Addresses, Bridge, Event, Run, Text};

use super::{Value, arguments::Call, owned};
use crate::fleets::Owned;

/// What the first place of the view says; `lib/native.ts` has the same list.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    None,
    Opened,
    Refused,
    TokenRefused,
    RegistrationRefused,
    Registered,
    Messages,
    Message,
    MessageDropped,
    InvalidJson,
    MissingType,
    UnknownHeartbeat,
    OutboxFull,
    Closed,
    SocketError,
    BridgeOpened,
    BridgeReadable,
    BridgeWritable,
    BridgeClosed,
    Stopped,
    Frame,
}

/// Takes the next event. View: kind, slot of the worker (-1: none) or number of the bridge (or of
/// runs of messages), then close code and whether an id was bound.
pub(super) fn next(call: &Call) -> Option<Value> {
    let text = owned(call, |owned| {
        let event = owned.fleet.next_event();
        let (view, text) = event
            .map_or(([f64::from(Kind::None as u8), -1.0, 0.0, 0.0], None), |event| {
                describe(owned, event)
            });
        owned.view.write(view);
        text
    })?;
    call.text(&text?)
}

fn describe(owned: &mut Owned, event: Event) -> ([f64; 4], Option<Text>) {
    let slot = |connection: &worker_server::Connection| {
        connection.slot().map_or(-1.0, |slot| slot.index().into())
    };
    let (kind, subject, code, flag, text) = match event {
        Event::Opened => (Kind::Opened, -1.0, 0, false, None),
        Event::Refused { refusal, detail } => {
            (Kind::Refused, f64::from(refusal as u8), 0, false, detail)
        }
        Event::TokenRefused(id) => (Kind::TokenRefused, -1.0, 0, false, id),
        Event::RegistrationRefused(context) => {
            (Kind::RegistrationRefused, -1.0, 0, false, Some(context))
        }
        Event::Registered { connection, registration, visible, replaces, .. } => {
            owned.registering = Some((connection, registration.capabilities));
            let old = replaces.as_deref().map_or(-1.0, slot);
            (Kind::Registered, old, 0, false, Some(visible))
        }
        Event::Messages(batch) => {
            let runs = batch.runs();
            owned.view.write_runs(runs.iter().map(|run| (slot(&run.connection), run.count)));
            let (kind, subject) = match runs {
                [Run { connection, count: 1, .. }] => (Kind::Message, slot(connection)),
                _ => (Kind::Messages, runs.len() as f64),
            };
            (kind, subject, 0, false, Some(batch.into_text()))
        }
        Event::Message { connection, text } => {
            (Kind::Message, slot(&connection), 0, false, Some(text))
        }
        Event::MessageDropped => (Kind::MessageDropped, -1.0, 0, false, None),
        Event::InvalidJson(sender) => (Kind::InvalidJson, slot(&sender), 0, false, None),
        Event::MissingType(sender) => (Kind::MissingType, slot(&sender), 0, false, None),
        Event::UnknownHeartbeat { connection, id } => {
            (Kind::UnknownHeartbeat, slot(&connection), 0, false, id)
        }
        Event::OutboxFull(connection) => (Kind::OutboxFull, slot(&connection), 0, false, None),
        Event::Closed { connection, info, was_bound } => {
            (Kind::Closed, slot(&connection), info.code, was_bound, Some(info.reason.into()))
        }
        Event::SocketError { connection, error } => {
            (Kind::SocketError, slot(&connection), 0, false, Some(error))
        }
        Event::Frame { connection, kind, text } => {
            (Kind::Frame, slot(&connection), kind as u16, false, Some(text))
        }
        Event::BridgeOpened(bridge) => {
            (Kind::BridgeOpened, bridge.id().into(), 0, false, addresses(&bridge))
        }
        Event::BridgeReadable(id) => (Kind::BridgeReadable, id.into(), 0, false, None),
        Event::BridgeWritable(id) => (Kind::BridgeWritable, id.into(), 0, false, None),
        Event::BridgeClosed(id) => (Kind::BridgeClosed, id.into(), 0, false, None),
        Event::Stopped => (Kind::Stopped, -1.0, 0, false, None),
    };
    ([f64::from(kind as u8), subject, code.into(), f64::from(u8::from(flag))], text)
}

/// "remote address, remote port, local address, local port", separated by spaces.
fn addresses(bridge: &Bridge) -> Option<Text> {
    let Addresses { remote, local } = bridge.addresses();
    let (remote, local) = (remote?, local?);
    let text = format!("{} {} {} {}", remote.ip(), remote.port(), local.ip(), local.port());
    Some(text.into())
}
