//! The owner's face of a server: the pool joined with the live connections.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::runtime::Handle;
use worker_core::{
    auth::TokenVerifier,
    pool::{
        Pool, Slot, Status,
        health::{Verdict, assess},
    },
    protocol::{Capabilities, CloseReason, SHUTTING_DOWN},
};

use crate::{
    bridge::Bridge,
    connection::Connection,
    counters::Stats,
    events::{Event, EventQueue},
    heartbeats::{HeartbeatChunk, Heartbeats},
    listener::{Address, ListenError},
    outbox::SendError,
    postbox::{Postbox, Roster},
    server::{Server, ServerOptions},
    text,
    websocket::{FrameKind, MAX_HEADER_LEN, frame, seal_text},
};

/// Everything the owner does with its server, from one thread.
///
/// The pool changes only here, when the owner takes an event and acts on it, never while it looks
/// away: what it selected is still there when it sends to it.
pub struct Fleet {
    server: Server,
    events: Arc<EventQueue>,
    /// Events taken from the queue and not yet handed out.
    taken: VecDeque<Event>,
    pool: Pool,
    /// By slot of the pool.
    connections: Vec<Option<Arc<Connection>>>,
    bridges: HashMap<u32, Arc<Bridge>>,
    heartbeats: Heartbeats,
    postbox: Arc<Postbox>,
    has_postman: bool,
    /// All connections; made when it is needed after one came or went.
    roster: Option<Roster>,
    /// Recoveries taken and not yet handed out.
    recovered: Vec<Arc<Connection>>,
    /// The owner has been woken for one thing only and has not written since.
    writes_at_once: Cell<bool>,
}

/// What the pool and the connection know of a worker at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkerView {
    /// Its status.
    pub status: Status,
    /// Requests in flight.
    pub active: f64,
    /// Requests completed.
    pub completed: f64,
    /// Milliseconds since the Unix epoch.
    pub last_heartbeat_ms: f64,
}

impl Fleet {
    /// A server that is not listening yet.
    pub fn new(options: ServerOptions, events: Arc<EventQueue>) -> Self {
        Self {
            server: Server::new(options, Arc::clone(&events)),
            postbox: Arc::new(Postbox::new(Arc::clone(&events))),
            has_postman: false,
            events,
            taken: VecDeque::new(),
            pool: Pool::default(),
            connections: Vec::new(),
            bridges: HashMap::new(),
            heartbeats: Heartbeats::default(),
            roster: None,
            recovered: Vec::new(),
            writes_at_once: Cell::new(false),
        }
    }

    /// See [`Server::listen`].
    ///
    /// # Errors
    /// The operating system's, when the address cannot be bound.
    pub fn listen(
        &mut self,
        runtime: &Handle,
        address: &Address,
    ) -> Result<Option<u16>, ListenError> {
        let port = self.server.listen(runtime, address)?;
        // Stays when the server is stopped: connections may live on for a while.
        if !std::mem::replace(&mut self.has_postman, true) {
            runtime.spawn(Arc::clone(&self.postbox).serve());
        }
        Ok(port)
    }

    /// Tells what the owner's own clock shows (milliseconds since the Unix epoch), as fake timers of a
    /// test have one. `None`: it has none, and the system's clocks count.
    pub fn observe_clock(&self, own_now_ms: Option<f64>) {
        self.server.shared().clock.observe(own_now_ms);
    }

    /// The next event, if there is one.
    pub fn next_event(&mut self) -> Option<Event> {
        if self.taken.is_empty() {
            self.taken = self.events.take();
            if !self.taken.is_empty() {
                self.writes_at_once.set(is_single(&self.taken));
            }
        }
        let event = self.taken.pop_front()?;
        event.backlogs(Connection::leave_backlog);
        match &event {
            Event::BridgeOpened(bridge) => {
                self.bridges.insert(bridge.id(), Arc::clone(bridge));
            }
            Event::BridgeClosed(id) => {
                self.bridges.remove(id);
            }
            _ => {}
        }
        Some(event)
    }

    /// Takes a registered worker into the pool.
    pub fn admit(&mut self, connection: Arc<Connection>, capabilities: Capabilities) -> Slot {
        let slot = self.change_pool(|pool| pool.insert(capabilities));
        let index = slot.index() as usize;
        if self.connections.len() <= index {
            self.connections.resize(index + 1, None);
        }
        connection.set_slot(Some(slot));
        connection.set_heartbeat_place(self.heartbeats.place(slot));
        // Only now: what it did under another id has been told with the times of then.
        connection.set_last_heartbeat(self.server.shared().clock.now());
        if let Some(place) = self.connections.get_mut(index) {
            *place = Some(connection);
        }
        self.roster = None;
        slot
    }

    /// Lets the acknowledgement of a worker's registration go out.
    pub fn acknowledge(&self, slot: Slot) {
        if let Some(connection) = self.connection(slot) {
            connection.acknowledge();
        }
    }

    /// Takes a worker out of the pool, with its requests in flight; its connection is left alone.
    pub fn remove(&mut self, slot: Slot) {
        if let Some(connection) =
            self.connections.get_mut(slot.index() as usize).and_then(Option::take)
        {
            connection.set_slot(None);
            connection.set_heartbeat_place(None);
        }
        self.roster = None;
        self.change_pool(|pool| pool.remove(slot));
    }

    /// Does something with the pool, up to date with the heartbeats received.
    pub fn with_pool<T>(&mut self, body: impl FnOnce(&mut Pool) -> T) -> T {
        while self.next_recovered().is_some() {}
        self.change_pool(body)
    }

    /// The pool as it is, for an owner that keeps the statuses itself ([`Fleet::set_load`]).
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    fn change_pool<T>(&mut self, body: impl FnOnce(&mut Pool) -> T) -> T {
        let result = body(&mut self.pool);
        self.publish();
        result
    }

    /// Lets others know how many workers there are.
    fn publish(&self) {
        let gauges = &self.server.shared().gauges;
        gauges.workers.store(self.pool.len(), Ordering::Relaxed);
        gauges.available.store(self.pool.available_count(), Ordering::Relaxed);
    }

    /// Sets what a worker is doing, for an owner that counts requests itself.
    pub fn set_load(&mut self, slot: Slot, status: Status, active: f64) {
        self.change_pool(|pool| pool.set_load(slot, status, active));
    }

    /// The next worker that was marked unhealthy and has beaten since; by now it is available, or
    /// busy.
    pub fn next_recovered(&mut self) -> Option<Slot> {
        if self.recovered.is_empty() {
            self.recovered = self.server.shared().recoveries.take();
        }
        while let Some(connection) = self.recovered.pop() {
            if let Some(slot) = connection.slot() {
                self.change_pool(|pool| pool.heartbeat(slot));
                return Some(slot);
            }
        }
        None
    }

    /// Memory with the times at which the workers of slots `number * LEN` to `(number + 1) * LEN`
    /// last beat; `None` if no worker had one of these yet.
    pub fn heartbeat_chunk(&self, number: usize) -> Option<&Arc<HeartbeatChunk>> {
        self.heartbeats.chunk(number)
    }

    /// When a worker last beat, in milliseconds since the Unix epoch.
    pub fn last_heartbeat_ms(&self, slot: Slot) -> Option<f64> {
        Some(self.connection(slot)?.last_heartbeat_ms())
    }

    /// Replaces what a worker can do. Heartbeats received before count after it, as if they had come
    /// after the edit that the owner only tells of now.
    pub fn set_capabilities(&mut self, slot: Slot, capabilities: Capabilities) {
        self.pool.set_capabilities(slot, capabilities);
    }

    /// What is known of a worker now.
    pub fn view(&mut self, slot: Slot) -> Option<WorkerView> {
        let last_heartbeat_ms = self.connection(slot)?.last_heartbeat_ms();
        self.with_pool(|pool| {
            let worker = pool.worker(slot)?;
            Some(WorkerView {
                status: worker.status(),
                active: worker.active(),
                completed: worker.completed(),
                last_heartbeat_ms,
            })
        })
    }

    /// Sets when a worker last beat.
    pub fn set_last_heartbeat(&self, slot: Slot, ms: f64) {
        if let Some(connection) = self.connection(slot) {
            connection.set_last_heartbeat(self.server.shared().clock.moment_of(ms));
        }
    }

    /// Every worker whose last heartbeat is older than the timeout, in order of the pool, with the
    /// milliseconds of its silence. Workers that are not read because the owner is behind are not to
    /// blame for their silence; when they are read again, it counts from then. `own_now_ms`: as in
    /// [`Fleet::observe_clock`].
    pub fn overdue(
        &mut self,
        own_now_ms: Option<f64>,
        timeout_ms: f64,
    ) -> Vec<(Slot, Verdict, f64)> {
        let (pool, connections) = (&self.pool, &self.connections);
        let silence_since = self.server.shared().clock.silences(own_now_ms);
        let judge = |slot: Slot| {
            let connection = connections.get(slot.index() as usize)?.as_ref()?;
            let silence = silence_since(connection.last_chance());
            let verdict = assess(silence, timeout_ms);
            (verdict != Verdict::Healthy && !connection.is_stalled())
                .then_some((slot, verdict, silence))
        };
        pool.slots().filter_map(judge).collect()
    }

    /// Marks a worker unhealthy until its next heartbeat.
    pub fn mark_unhealthy(&mut self, slot: Slot) {
        self.set_status(slot, Status::Unhealthy);
    }

    /// Sets a worker's status by hand.
    pub fn set_status(&mut self, slot: Slot, status: Status) {
        if status == Status::Unhealthy
            && let Some(connection) = self.connection(slot)
        {
            // Before the pool knows: a heartbeat in between recovers it a little later, the other
            // way round it would be missed.
            connection.mark_unhealthy();
        }
        self.change_pool(|pool| pool.set_status(slot, status));
    }

    /// Room for the header in front of a text, for [`Fleet::text_frame`].
    pub const FRAME_HEADER_ROOM: usize = MAX_HEADER_LEN;

    /// `room` bytes followed by a text in UTF-8; lone surrogates become replacement characters.
    pub fn text_buffer(utf16: &[u16], room: usize) -> Vec<u8> {
        text::utf8_behind(utf16, room)
    }

    /// A text frame out of [`Fleet::FRAME_HEADER_ROOM`] bytes followed by UTF-8 text.
    pub fn text_frame(buffer: Vec<u8>) -> Bytes {
        seal_text(buffer)
    }

    /// Sends a frame to one worker. What is probably the answer to a single event is written here and
    /// now: with nothing else to do, waking the runtime's thread would take as long and be later.
    ///
    /// # Errors
    /// When it is closing, closed or not in the pool, or does not read what it is sent.
    pub fn send(&self, slot: Slot, frame: Bytes) -> Result<(), SendError> {
        let connection = self.connection(slot).ok_or(SendError::NotOpen)?;
        if self.writes_at_once.replace(false) {
            self.postbox.send_at_once(connection, frame)
        } else {
            self.postbox.send(connection, frame)
        }
    }

    /// Sends the same frame to all workers that take it, on the runtime's thread.
    pub fn broadcast(&mut self, frame: Bytes) {
        let Self { roster, connections, .. } = self;
        let roster = roster.get_or_insert_with(|| connections.iter().flatten().cloned().collect());
        self.postbox.broadcast(Arc::clone(roster), frame);
    }

    /// Starts a worker's closing handshake.
    pub fn close(&self, slot: Slot, code: u16, reason: &str) {
        if let Some(connection) = self.connection(slot) {
            self.postbox.finish_broadcasts();
            connection.close(code, reason);
        }
    }

    /// A final or fragmented data frame, or a control frame, around a copy of `payload`.
    pub fn frame(kind: FrameKind, is_final: bool, payload: &[u8]) -> Bytes {
        frame(kind, is_final, payload)
    }

    /// Bytes sent to a worker that the system has not taken yet.
    pub fn unsent_bytes(&self, slot: Slot) -> usize {
        self.connection(slot).map_or(0, |connection| connection.outbox().bytes())
    }

    /// Stops reading from a worker, or goes on. Meanwhile its heartbeats are not seen either.
    pub fn set_paused(&self, slot: Slot, is_paused: bool) {
        if let Some(connection) = self.connection(slot) {
            connection.set_paused(is_paused);
        }
    }

    /// Starts or ends telling of every frame of a worker: [`Event::Frame`].
    pub fn set_observed(&self, slot: Slot, is_observed: bool) {
        if let Some(connection) = self.connection(slot) {
            connection.set_observed(is_observed);
        }
    }

    /// The subprotocol of a worker's handshake.
    pub fn protocol(&self, slot: Slot) -> Option<&str> {
        self.connection(slot)?.protocol()
    }

    /// Drops a worker's connection without a closing handshake.
    pub fn terminate(&self, slot: Slot) {
        if let Some(connection) = self.connection(slot) {
            connection.terminate();
        }
    }

    /// Ends a worker's connection without waiting for its half of the closing handshake.
    pub fn abandon(&self, slot: Slot) {
        if let Some(connection) = self.connection(slot) {
            connection.abandon();
        }
    }

    /// Whether a worker's connection takes messages.
    pub fn is_open(&self, slot: Slot) -> bool {
        self.connection(slot).is_some_and(|connection| connection.is_open())
    }

    /// Empties the pool, starts every worker's closing handshake and stops listening. When the
    /// last connection is gone, or `grace` is over, [`Event::Stopped`] follows. False: it was not
    /// running.
    pub fn shutdown(&mut self, runtime: &Handle, grace: Duration) -> bool {
        let CloseReason { code, reason } = SHUTTING_DOWN;
        self.postbox.finish_broadcasts();
        self.roster = None;
        for connection in std::mem::take(&mut self.connections).into_iter().flatten() {
            connection.set_slot(None);
            connection.set_heartbeat_place(None);
            connection.close(code, reason);
        }
        self.pool = Pool::default();
        self.publish();
        self.server.shutdown(runtime, grace)
    }

    /// Leaves the WebSockets of a request target to the owner, or takes them back.
    pub fn set_endpoint(&self, target: String, present: bool) {
        self.server.shared().routes.set_endpoint(target, present);
    }

    /// Changes who may register; who is registered stays.
    pub fn set_tokens(&self, tokens: TokenVerifier) {
        self.server.shared().set_tokens(tokens);
    }

    /// What the server has counted.
    pub fn stats(&self) -> Stats {
        self.server.shared().stats()
    }

    /// A bridged connection.
    pub fn bridge(&self, id: u32) -> Option<&Arc<Bridge>> {
        self.bridges.get(&id)
    }

    /// Writes to a bridged connection, at once as in [`Fleet::send`]. False: enough is queued, and
    /// [`Event::BridgeWritable`] will tell.
    pub fn write_to_bridge(&self, id: u32, bytes: Bytes) -> bool {
        // Without one it has ended, which stops nobody.
        self.bridge(id).is_none_or(|bridge| match self.writes_at_once.replace(false) {
            true => bridge.write_at_once(bytes),
            false => bridge.write(bytes),
        })
    }

    fn connection(&self, slot: Slot) -> Option<&Arc<Connection>> {
        self.connections.get(slot.index() as usize)?.as_ref()
    }
}

/// Whether there is one thing only to handle.
fn is_single(events: &VecDeque<Event>) -> bool {
    match events.front() {
        Some(Event::Messages(batch)) => events.len() == 1 && batch.len() == 1,
        _ => events.len() == 1,
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.postbox.end();
    }
}
