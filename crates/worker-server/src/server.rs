//! A server: its options, what its tasks share, its start and its end.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, timeout, timeout_at},
};
use worker_core::{
    auth::TokenVerifier,
    origin::{AllowedOrigins, is_local_or_same_host},
    protocol::SHUTTING_DOWN,
};

use crate::{
    backlog::BacklogBounds,
    bridge,
    clock::Clock,
    connection::{CloseInfo, Connection},
    counters::{Budget, Counters, Stats},
    events::{Event, EventQueue, Refusal},
    incomplete::IncompleteMessages,
    limits::Limits,
    listener::{Address, Addresses, ListenError, Listener},
    memory::Swelling,
    outbox::Outbox,
    panics::lock,
    pings,
    reading::Reading,
    registry::Registry,
    routes::{Gauges, Routes},
    session,
    stream::{Stream, WriteHalf},
    upgrade::{self, Upgraded},
};

/// Pace at which the owner's lag is measured, and memory given back.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Heartbeats wait no longer for an owner that is busy.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// Pause after a failed accept (file descriptors exhausted), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The owner is told of connections refused or not accepted this often at most.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// How a server treats its workers.
#[derive(Debug, Default)]
pub struct ServerOptions {
    /// Who may register; `None`: everybody.
    pub tokens: Option<TokenVerifier>,
    /// Which web pages may connect. `None`: with tokens every page; without, pages of this machine and
    /// of the host that the request names.
    pub allowed_origins: Option<AllowedOrigins>,
    /// Told to workers as the deadline of their next heartbeat, in milliseconds from now.
    pub heartbeat_timeout_ms: f64,
    /// Told to workers as the pace of heartbeats, in milliseconds.
    pub heartbeat_interval_ms: f64,
    /// Pace at which the owner looks for silent workers ([`Fleet::overdue`]), in milliseconds. The
    /// server leaves them to the owner for so long that the owner can have dropped them itself.
    ///
    /// [`Fleet::overdue`]: crate::Fleet::overdue
    pub health_check_interval_ms: f64,
    /// Path at which the server's health is told without its owner; `None`: nowhere.
    pub health_path: Option<String>,
    /// The time; the default reads the system's clocks.
    pub clock: Clock,
    /// What a peer may cost.
    pub limits: Limits,
    /// Called by the runtime's thread when messages that took much memory are gone, half a second
    /// later at most: time to have the allocator give back what it keeps.
    pub release_memory: Option<fn()>,
}

/// What all tasks of one server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ServerOptions,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    pub(crate) recoveries: Recoveries,
    /// Rung for messages that the owner has not been woken for.
    pub(crate) bell: Notify,
    pub(crate) reading: Reading,
    pub(crate) routes: Routes,
    pub(crate) gauges: Gauges,
    tokens: Mutex<Option<TokenVerifier>>,
    pub(crate) counters: Arc<Counters>,
    outbox_budget: Arc<Budget>,
    backlog_bounds: Arc<BacklogBounds>,
    pub(crate) incomplete_messages: IncompleteMessages,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
}

impl Shared {
    pub(crate) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(crate) fn requires_token(&self) -> bool {
        lock(&self.tokens).is_some()
    }

    /// `None`: a token of a wrong type, which is never right.
    pub(crate) fn accepts_token(&self, presented: Option<&str>) -> bool {
        match &*lock(&self.tokens) {
            None => true,
            Some(tokens) => presented.is_some_and(|token| tokens.accepts(token)),
        }
    }

    /// Whether a page of that origin may connect as a worker.
    pub(crate) fn accepts_origin(&self, origin: &str, host: &str) -> bool {
        match &self.options.allowed_origins {
            Some(allowed) => allowed.accepts(origin),
            None => self.requires_token() || is_local_or_same_host(origin, host),
        }
    }

    /// Counts for registrations from now on; who is registered stays.
    pub(crate) fn set_tokens(&self, tokens: TokenVerifier) {
        *lock(&self.tokens) = Some(tokens);
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn open_connection(
        &self,
        half: WriteHalf,
        protocol: Option<Box<str>>,
    ) -> Arc<Connection> {
        let limits = self.limits();
        let outbox = Outbox::new(limits.outbox_bytes, Arc::clone(&self.outbox_budget));
        outbox.open(half);
        let counters = Arc::clone(&self.counters);
        let bounds = Arc::clone(&self.backlog_bounds);
        let connection = Connection::new(self.next_id(), outbox, bounds, counters);
        let connection = Arc::new(connection.with_protocol(protocol));
        lock(&self.connections).insert(connection.id(), Arc::clone(&connection));
        connection
    }

    pub(crate) fn end_connection(&self, connection: &Arc<Connection>, info: CloseInfo) {
        lock(&self.connections).remove(&connection.id());
        self.registry.unbind(connection, |was_bound| {
            let connection = Arc::clone(connection);
            self.events.push(Event::Closed { connection, info, was_bound });
        });
    }

    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            connections: lock(&self.connections).len(),
            outbox_bytes: self.outbox_budget.used(),
            backlog_bytes: self.backlog_bounds.used(),
            incomplete_bytes: self.incomplete_messages.bytes(),
            owner_lag_ms: self.events.owner_lag().as_millis() as u64,
            connections_accepted: counters.connections_accepted.get(),
            connections_refused: counters.connections_refused.get(),
            origins_refused: counters.origins_refused.get(),
            tokens_refused: counters.tokens_refused.get(),
            registrations_refused: counters.registrations_refused.get(),
            registration_timeouts: counters.registration_timeouts.get(),
            request_head_timeouts: counters.request_head_timeouts.get(),
            write_timeouts: counters.write_timeouts.get(),
            ping_timeouts: counters.ping_timeouts.get(),
            backlog_pauses: counters.backlog_pauses.get(),
            close_timeouts: counters.close_timeouts.get(),
            accepts_failed: counters.accepts_failed.get(),
            protocol_errors: counters.protocol_errors.get(),
            messages_too_large: counters.messages_too_large.get(),
            messages_too_fragmented: counters.messages_too_fragmented.get(),
            message_timeouts: counters.message_timeouts.get(),
            message_pauses: counters.message_pauses.get(),
            messages_given_up: counters.messages_given_up.get(),
            messages_invalid: counters.messages_invalid.get(),
            messages_dropped: counters.messages_dropped.get(),
            heartbeats_refused: counters.heartbeats_refused.get(),
            sends_refused: counters.sends_refused.get(),
            bytes_dropped: counters.bytes_dropped.get(),
        }
    }

    /// Bytes of messages that have arrived in part, that the owner has yet to take, and that are to
    /// be sent.
    fn message_bytes(&self) -> usize {
        let received = self.incomplete_messages.bytes() + self.backlog_bounds.used();
        received + self.outbox_budget.used()
    }

    fn release_memory(&self, swelling: &mut Swelling) {
        let is_over = swelling.is_over(self.message_bytes(), self.backlog_bounds.take_was_much());
        if is_over && let Some(release) = self.options.release_memory {
            release();
        }
    }

    /// Every open WebSocket connection.
    pub(crate) fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        lock(&self.connections)
    }

    /// Begins the closing handshake with every connection that has not begun it.
    fn close_all(&self) {
        for connection in lock(&self.connections).values() {
            connection.close(SHUTTING_DOWN.code, SHUTTING_DOWN.reason);
        }
    }

    fn terminate_all(&self) {
        for connection in lock(&self.connections).values() {
            connection.terminate();
        }
    }
}

/// Workers that beat again after the owner had marked them unhealthy.
#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    any: AtomicBool,
    connections: Mutex<Vec<Arc<Connection>>>,
}

impl Recoveries {
    pub(crate) fn add(&self, connection: &Arc<Connection>) {
        lock(&self.connections).push(Arc::clone(connection));
        self.any.store(true, Ordering::Release);
    }

    /// Costs one load when there are none.
    pub(crate) fn take(&self) -> Vec<Arc<Connection>> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.connections))
    }
}

/// How far a run of the server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// No new connections; the present ones are to end by themselves.
    Stopping,
    /// Everything is dropped.
    Terminating,
}

/// One listening period, from `listen` to the last connection's end.
#[derive(Debug)]
pub(crate) struct Run {
    /// The accepting task's, so that the port is free when that ends.
    listener: Weak<Listener>,
    stage: watch::Sender<Stage>,
    tasks: watch::Sender<usize>,
}

impl Run {
    fn new(listener: Weak<Listener>) -> Self {
        Self { listener, stage: watch::Sender::new(Stage::Running), tasks: watch::Sender::new(0) }
    }

    /// Returns once the run has come that far.
    pub(crate) async fn reached(&self, stage: Stage) {
        let mut changes = self.stage.subscribe();
        // Fails only if the sender is gone, which lives as long as `self`.
        let _ = changes.wait_for(|now| *now as u8 >= stage as u8).await;
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.stage.borrow() == Stage::Running
    }

    pub(crate) fn is_terminating(&self) -> bool {
        *self.stage.borrow() == Stage::Terminating
    }

    fn task_count(&self) -> usize {
        *self.tasks.borrow()
    }

    fn enter(&self, stage: Stage) {
        // First, so that the accepting task does not ask a listener again that refuses: one on a path
        // says for ever that it is readable, and that there is nothing.
        self.stage.send_replace(stage);
        if let Some(listener) = self.listener.upgrade() {
            listener.refuse();
        }
    }

    async fn all_done(&self) {
        let mut tasks = self.tasks.subscribe();
        let _ = tasks.wait_for(|count| *count == 0).await;
    }
}

/// Counts a connection's task for as long as it lives, also when it panics.
pub(crate) struct TaskGuard(Arc<Run>);

impl TaskGuard {
    fn new(run: &Arc<Run>) -> Self {
        run.tasks.send_modify(|count| *count += 1);
        Self(Arc::clone(run))
    }

    pub(crate) fn run(&self) -> &Run {
        &self.0
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Accepts workers and keeps their connections.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    run: Option<Arc<Run>>,
}

impl Server {
    /// Opens nothing yet.
    pub fn new(mut options: ServerOptions, events: Arc<EventQueue>) -> Self {
        let clock = std::mem::take(&mut options.clock);
        let shared = Arc::new(Shared {
            routes: Routes::new(options.health_path.as_deref()),
            gauges: Gauges::default(),
            tokens: Mutex::new(options.tokens.clone()),
            counters: Arc::default(),
            outbox_budget: Arc::new(Budget::new(options.limits.total_outbox_bytes)),
            backlog_bounds: Arc::new(BacklogBounds::new(
                options.limits.backlog_bytes,
                options.limits.total_backlog_bytes,
            )),
            incomplete_messages: IncompleteMessages::new(
                options.limits.total_incomplete_bytes,
                options.limits.write_timeout,
            ),
            options,
            events,
            clock,
            registry: Registry::default(),
            recoveries: Recoveries::default(),
            bell: Notify::new(),
            reading: Reading::default(),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
        });
        Self { shared, run: None }
    }

    /// Starts to listen on `runtime`; returns the bound port (`None` for a path). While a run is
    /// not over, a further call starts another beside it, so its caller keeps track.
    ///
    /// # Errors
    /// The operating system's, when the address cannot be bound.
    pub fn listen(
        &mut self,
        runtime: &Handle,
        address: &Address,
    ) -> Result<Option<u16>, ListenError> {
        let _inside = runtime.enter();
        let listener = Arc::new(Listener::bind(address, self.shared.limits().keepalive)?);
        let port = listener.port();
        let run = Arc::new(Run::new(Arc::downgrade(&listener)));
        self.shared.clock.tick();
        // Counted as a task itself, from now on.
        let guard = TaskGuard::new(&run);
        runtime.spawn(accept_all(guard, listener, Arc::clone(&self.shared)));
        runtime.spawn(ring_for(Arc::clone(&self.shared), Arc::clone(&run)));
        runtime.spawn(look_around(Arc::clone(&self.shared), Arc::clone(&run)));
        runtime.spawn(pings::watch(Arc::clone(&self.shared), Arc::clone(&run)));
        self.run = Some(run);
        Ok(port)
    }

    /// Stops listening and closes all connections, registered or not, with 1001. Those that have not
    /// ended within `grace` are dropped.
    /// [`Event::Stopped`] tells when the last is gone. False: nothing was running.
    pub fn shutdown(&mut self, runtime: &Handle, grace: Duration) -> bool {
        let Some(run) = self.run.take() else { return false };
        run.enter(Stage::Stopping);
        self.shared.registry.clear();
        self.shared.close_all();
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let deadline = Instant::now() + grace;
            if timeout_at(deadline, run.all_done()).await.is_err() {
                run.enter(Stage::Terminating);
                shared.terminate_all();
                run.all_done().await;
            }
            shared.events.push(Event::Stopped);
        });
        true
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            run.enter(Stage::Terminating);
        }
        self.shared.terminate_all();
    }
}

async fn accept_all(guard: TaskGuard, listener: Arc<Listener>, shared: Arc<Shared>) {
    // Dropped before the guard, so that the port is free once everything is done.
    let listener = listener;
    let run = &guard.0;
    let (mut failures, mut refusals) = (Pace::default(), Pace::default());
    loop {
        let accepted = tokio::select! {
            biased;
            () = run.reached(Stage::Stopping) => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A listener that is being stopped fails as well, which is no news.
                if timeout(ACCEPT_PAUSE, run.reached(Stage::Stopping)).await.is_ok() {
                    return;
                }
                shared.counters.accepts_failed.increment();
                if failures.allows_another() {
                    let detail = Some(error.to_string().into());
                    shared.events.push(Event::Refused { refusal: Refusal::AcceptFailed, detail });
                }
                continue;
            }
        };
        // The count includes this task.
        if run.task_count() > shared.limits().connections {
            shared.counters.connections_refused.increment();
            if refusals.allows_another() {
                let refusal = Refusal::TooManyConnections;
                shared.events.push(Event::Refused { refusal, detail: None });
            }
            continue;
        }
        shared.counters.connections_accepted.increment();
        let (shared, guard) = (Arc::clone(&shared), TaskGuard::new(run));
        tokio::spawn(serve(stream, peer, shared, guard));
    }
}

/// Serves one accepted stream to its end. What it turns out to be goes on as a task of its own, which
/// for years may take no more memory than it needs itself.
async fn serve(stream: Stream, peer: Option<SocketAddr>, shared: Arc<Shared>, guard: TaskGuard) {
    match upgrade::find_out(stream, Arc::clone(&shared), Arc::clone(&guard.0)).await {
        Some(Upgraded::Worker(stream)) => {
            tokio::spawn(session::serve(stream, shared, guard));
        }
        Some(Upgraded::Bridged(stream, head)) => {
            let run = Arc::clone(&guard.0);
            let addresses = Addresses { remote: peer, local: stream.local_addr() };
            tokio::spawn(async move {
                bridge::serve(stream, addresses, head, shared, run).await;
                drop(guard);
            });
        }
        None => {}
    }
}

/// Keeps what strangers can cause at will from filling the queue of an owner that does not come.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
}

impl Pace {
    fn allows_another(&mut self) -> bool {
        let now = Instant::now();
        let allows = self.last.is_none_or(|last| now.duration_since(last) >= NOTICE_INTERVAL);
        if allows {
            self.last = Some(now);
        }
        allows
    }
}

/// Wakes the owner for messages, once the tasks that were ready with the sender's have run: what they
/// received crosses together. While the owner has more than enough to do, reading pauses, so that
/// what arrives meanwhile is read together as well; the thread, which may have other servers, goes on.
async fn ring_for(shared: Arc<Shared>, run: Arc<Run>) {
    loop {
        tokio::select! {
            biased;
            () = shared.bell.notified() => {
                shared.events.signal();
                if shared.events.is_owner_busy() {
                    shared.reading.pause();
                    let _ = timeout(LONGEST_PAUSE, shared.events.busy_owner_came()).await;
                    shared.reading.resume();
                }
            }
            () = run.all_done() => return,
        }
    }
}

/// Wakes the owner now and then, so that its lag is known also when nothing else happens, ticks the
/// clock, and looks whether there is memory to give back.
async fn look_around(shared: Arc<Shared>, run: Arc<Run>) {
    let mut pace = tokio::time::interval(LOOK_INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swelling = Swelling::default();
    loop {
        tokio::select! {
            () = run.reached(Stage::Stopping) => return shared.clock.stop_ticking(),
            _ = pace.tick() => {
                shared.clock.tick();
                shared.events.probe();
                shared.release_memory(&mut swelling);
            }
        }
    }
}
