//! What a program does that embeds the server.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Notify};
use worker_server::{
    Address, CloseInfo, Connection, Event, EventQueue, Fleet, Limits, SendError, ServerOptions,
    Text,
    core::{pool::Slot, protocol::Registration},
};

use super::{LONG, Peer, soon};

/// A listening server and its owner.
pub(crate) struct Owner {
    pub(crate) fleet: Fleet,
    pub(crate) port: u16,
    woken: Arc<Notify>,
    /// The messages of a batch, one by one.
    unfolded: VecDeque<Event>,
}

/// What a `Registered` event says.
pub(crate) struct Registered {
    pub(crate) connection: Arc<Connection>,
    pub(crate) registration: Registration,
    pub(crate) session_id: String,
    pub(crate) visible: String,
    pub(crate) replaces: Option<Arc<Connection>>,
}

impl Owner {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        let events = Arc::new(EventQueue::new(move || wake.notify_one()));
        Self { fleet: Fleet::new(options, events), port: 0, woken, unfolded: VecDeque::new() }
    }

    pub(crate) fn start(options: ServerOptions) -> Self {
        let mut owner = Self::new(options);
        owner.listen(0);
        owner
    }

    /// With limits that no test meets by accident, changed by `change`.
    pub(crate) fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits {
            admission_timeout: LONG,
            registration_timeout: LONG,
            close_timeout: LONG,
            write_timeout: LONG,
            ..Limits::default()
        };
        change(&mut limits);
        Self::start(ServerOptions { limits, ..options() })
    }

    pub(crate) fn listen(&mut self, port: u16) {
        let bound = self.fleet.listen(&Handle::current(), &Address::Port(port)).unwrap();
        self.port = bound.unwrap();
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Event {
        // Around the loop, for the server wakes its owner now and then to measure its lag.
        soon(async {
            loop {
                if let Some(event) = self.next_now() {
                    return event;
                }
                self.woken.notified().await;
            }
        })
        .await
    }

    /// The next event that is there already; messages come one by one.
    pub(crate) fn next_now(&mut self) -> Option<Event> {
        if self.unfolded.is_empty() {
            match self.fleet.next_event()? {
                Event::Messages(batch) => {
                    self.unfolded.extend(batch.messages().map(|(connection, text)| {
                        Event::Message { connection: Arc::clone(connection), text: text.into() }
                    }));
                }
                event => return Some(event),
            }
        }
        self.unfolded.pop_front()
    }

    /// What the next `count` events are, in order; nothing is done about them.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(describe(&self.next().await));
        }
        all
    }

    /// The first event that `pick` takes; those before it are passed over.
    pub(crate) async fn find<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn find_registered(&mut self) -> Registered {
        self.find(|event| match event {
            Event::Registered { connection, registration, session_id, visible, replaces } => {
                let visible = visible.to_string();
                Some(Registered { connection, registration, session_id, visible, replaces })
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn find_closed(&mut self) -> (CloseInfo, bool) {
        self.find(|event| match event {
            Event::Closed { info, was_bound, .. } => Some((info, was_bound)),
            _ => None,
        })
        .await
    }

    /// The text of the next application message.
    pub(crate) async fn find_message(&mut self) -> String {
        self.find(|event| match event {
            Event::Message { text, .. } => Some(text.to_string()),
            _ => None,
        })
        .await
    }

    /// Takes the next registration in and lets its acknowledgement go out.
    pub(crate) async fn admit(&mut self) -> Slot {
        let registered = self.find_registered().await;
        let capabilities = registered.registration.capabilities;
        let slot = self.fleet.admit(registered.connection, capabilities);
        self.fleet.acknowledge(slot);
        slot
    }

    /// A worker that has seen its acknowledgement.
    pub(crate) async fn worker(&mut self, id: &str) -> (Peer, Slot) {
        let mut peer = Peer::connect(self.port).await;
        peer.register(id).await;
        let slot = self.admit().await;
        peer.acknowledged().await;
        (peer, slot)
    }

    pub(crate) fn send(&self, slot: Slot, text: &str) -> Result<(), SendError> {
        self.fleet.send(slot, text_frame(text))
    }

    pub(crate) fn shutdown(&mut self, grace: Duration) -> bool {
        self.fleet.shutdown(&Handle::current(), grace)
    }
}

pub(crate) fn text_frame(text: &str) -> Bytes {
    let mut buffer = vec![0; Fleet::FRAME_HEADER_ROOM];
    buffer.extend_from_slice(text.as_bytes());
    Fleet::text_frame(buffer)
}

fn options() -> ServerOptions {
    ServerOptions {
        heartbeat_timeout_ms: 60_000.0,
        heartbeat_interval_ms: 15_000.0,
        ..ServerOptions::default()
    }
}

/// An event in a few words.
pub(crate) fn describe(event: &Event) -> String {
    let json = |id: &Option<Text>| id.as_ref().map_or("-".to_owned(), Text::to_string);
    match event {
        Event::Opened => "opened".to_owned(),
        Event::Refused { refusal, detail } => match detail {
            Some(detail) => format!("refused {refusal:?} {detail}"),
            None => format!("refused {refusal:?}"),
        },
        Event::TokenRefused(id) => format!("token refused {}", json(id)),
        Event::RegistrationRefused(context) => format!("registration refused {context}"),
        Event::Registered { registration, replaces, .. } => {
            let id = registration.worker_id.as_str().unwrap_or("?");
            let how = if replaces.is_some() { " replacing" } else { "" };
            format!("registered {id}{how}")
        }
        Event::Messages(_) => "messages".to_owned(),
        Event::Message { text, .. } => format!("message {text}"),
        Event::MessageDropped => "message dropped".to_owned(),
        Event::InvalidJson(_) => "invalid JSON".to_owned(),
        Event::MissingType(_) => "missing type".to_owned(),
        Event::UnknownHeartbeat { id, .. } => format!("unknown heartbeat {}", json(id)),
        Event::OutboxFull(_) => "outbox full".to_owned(),
        Event::Closed { info, was_bound, .. } => {
            let bound = if *was_bound { "bound" } else { "unbound" };
            format!("closed {} {:?} {bound}", info.code, info.reason)
        }
        Event::SocketError { error, .. } => format!("socket error {error}"),
        Event::Frame { kind, text, .. } => format!("frame {kind:?} {text}"),
        Event::BridgeOpened(_) => "bridge opened".to_owned(),
        Event::BridgeReadable(_) => "bridge readable".to_owned(),
        Event::BridgeWritable(_) => "bridge writable".to_owned(),
        Event::BridgeClosed(_) => "bridge closed".to_owned(),
        Event::Stopped => "stopped".to_owned(),
    }
}
