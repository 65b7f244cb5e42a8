//! What a peer's messages mean, and what is answered to them.

use std::{borrow::Cow, sync::Arc};

use worker_core::protocol::{
    AUTHENTICATION_FAILED, CloseReason, Heartbeat, INVALID_REGISTRATION, Inbound, REPLACED,
    RegistrationRequest, classify, heartbeat_ack, is_json, registration_accepted,
    registration_refused,
};

#[cfg(feature = "echo")]
use super::Phase;
use super::Session;
use crate::{
    connection::Connection,
    events::{Event, SHORT_BYTES},
    panics::lock,
    registry::Displaced,
    text::Text,
    websocket::text_frame,
};

/// Attempts to show a token of which the owner is told; all are counted.
const TOLD_ATTEMPTS: u32 = 10;
/// Longest id, as JSON text, that is worth telling of a message that is refused.
const LOGGED_ID_BYTES: usize = 4 * 1024;

impl Session<'_> {
    pub(super) fn handle_message(&mut self, text: Cow<'_, str>) {
        #[cfg(feature = "fault-injection")]
        crate::panics::inject(b"inject-session-panic", text.as_bytes());
        if self.refused {
            return;
        }
        #[cfg(feature = "echo")]
        if self.phase == Phase::Open {
            return self.reply(text_frame(&text));
        }
        match classify(&text) {
            Inbound::Application => self.pass_on(text),
            Inbound::Heartbeat(heartbeat) => self.handle_heartbeat(&heartbeat),
            Inbound::Registration(request) => self.handle_registration(&request),
            Inbound::InvalidJson => self.note_invalid(Event::InvalidJson),
            Inbound::MissingType => self.note_invalid(Event::MissingType),
        }
    }

    fn note_invalid(&mut self, event: impl FnOnce(Arc<Connection>) -> Event) {
        if !self.is_heard() {
            return;
        }
        self.ending.shared.counters.messages_invalid.increment();
        self.emit(event(Arc::clone(self.ending.connection)));
    }

    fn pass_on(&mut self, text: Cow<'_, str>) {
        if !self.is_heard() {
            return;
        }
        let connection = self.ending.connection;
        if text.len() <= SHORT_BYTES && is_json(&text) {
            self.ending.shared.events.push_message(connection, &text);
            self.ending.shared.bell.notify_one();
        } else {
            let connection = Arc::clone(connection);
            self.emit(Event::Message { connection, text: Text::from(text.into_owned()) });
        }
    }

    /// Whether a message of the connection is for the owner; if not, it is counted as dropped.
    fn is_heard(&mut self) -> bool {
        let shared = self.ending.shared;
        let most = match self.limits().unregistered_messages {
            None if !shared.requires_token() => return true,
            most => most.unwrap_or(0),
        };
        if lock(self.ending.connection.bound()).is_some() {
            return true;
        }
        if self.unregistered_messages < most {
            self.unregistered_messages += 1;
            return true;
        }
        shared.counters.messages_dropped.increment();
        if !std::mem::replace(&mut self.dropped_a_message, true) {
            self.emit(Event::MessageDropped);
        }
        false
    }

    fn handle_heartbeat(&mut self, heartbeat: &Heartbeat<'_>) {
        let (shared, connection) = (self.ending.shared, self.ending.connection);
        let is_own =
            heartbeat.worker_id.is_some() && *lock(connection.bound()) == heartbeat.worker_id;
        if !is_own {
            shared.counters.heartbeats_refused.increment();
            let id = loggable(heartbeat.worker_id_json);
            return self.emit(Event::UnknownHeartbeat { connection: Arc::clone(connection), id });
        }
        let now = shared.clock.now();
        connection.beat(now);
        if connection.take_unhealthy() {
            shared.recoveries.add(connection);
        }
        let deadline = now.wall_ms + shared.options.heartbeat_timeout_ms;
        self.reply(text_frame(&heartbeat_ack(heartbeat.timestamp, deadline)));
    }

    fn handle_registration(&mut self, request: &RegistrationRequest<'_>) {
        let shared = self.ending.shared;
        if !self.ending.connection.is_open() {
            // It would be offered to the application, which could not send it anything.
            return;
        }
        if !shared.accepts_token(request.token().as_deref()) {
            return self.refuse_token(loggable(request.worker_id_json()));
        }
        let registration = match request.validate(&self.limits().registration) {
            Ok(registration) => registration,
            Err(refusal) => {
                shared.counters.registrations_refused.increment();
                let context = refusal.log_context(short(request.worker_id_json()));
                self.emit(Event::RegistrationRefused(context.into()));
                return self.refuse(&refusal.to_string(), INVALID_REGISTRATION);
            }
        };
        let connection = self.ending.connection;
        let session_id = uuid::Uuid::new_v4().to_string();
        let ack = registration_accepted(&session_id, shared.options.heartbeat_interval_ms);
        connection.forget_acknowledgement();
        let worker_id = registration.worker_id.clone();
        shared.registry.bind(worker_id, connection, |Displaced { released, replaced }| {
            if released {
                shared.events.push(Event::Closed {
                    connection: Arc::clone(connection),
                    info: REPLACED.into(),
                    was_bound: true,
                });
            }
            // Into the outbox before the owner hears of the worker, so that nothing the owner
            // sends overtakes it. Lost if the connection just closed itself as its own successor.
            let _ = connection.send(text_frame(&ack));
            let visible = request.visible_json(&session_id).into();
            shared.events.push(Event::Registered {
                connection: Arc::clone(connection),
                registration,
                session_id,
                visible,
                replaces: replaced,
            });
        });
        self.deadlines.lift_phase();
        self.awaits_acknowledgement = true;
        self.decoder.set_max_message(self.limits().message_bytes);
    }

    fn refuse_token(&mut self, id: Option<Text>) {
        const ERROR: &str = "Invalid authentication token";
        self.ending.shared.counters.tokens_refused.increment();
        if self.tokens_refused < TOLD_ATTEMPTS {
            self.emit(Event::TokenRefused(id));
        }
        self.tokens_refused = self.tokens_refused.saturating_add(1);
        if self.tokens_refused < self.limits().token_attempts {
            self.reply(text_frame(&registration_refused(ERROR)));
        } else {
            self.refuse(ERROR, AUTHENTICATION_FAILED);
        }
    }

    fn refuse(&mut self, error: &str, close: CloseReason) {
        self.reply(text_frame(&registration_refused(error)));
        self.close(close);
    }
}

/// What the owner is told of an id that is nobody's.
fn loggable(id: Option<&str>) -> Option<Text> {
    short(id).map(Text::from)
}

fn short(id: Option<&str>) -> Option<&str> {
    id.filter(|json| json.len() <= LOGGED_ID_BYTES)
}
