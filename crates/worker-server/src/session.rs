//! The life of one WebSocket connection: reading, writing, deadlines and its end.

mod messages;

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    sync::futures::Notified,
    time::{Instant, Sleep, sleep_until, timeout},
};
use worker_core::protocol::{CloseReason, SHUTTING_DOWN};

use crate::{
    connection::{CloseInfo, Connection},
    deadlines::{Deadlines, Due},
    events::{Event, Refusal},
    incomplete::IncompleteMessage,
    outbox::{Rest, Written},
    reading::ReadQuota,
    server::{Run, Shared, TaskGuard},
    stream::{ReadHalf, Stream, with_buffer},
    websocket::{Decoder, FrameKind, Incoming, ProtocolError, close_frame, pong_frame},
};

/// Bytes of an incomplete message from which on it must go on arriving.
const LARGE_MESSAGE_BYTES: usize = 1024 * 1024;
/// Unread answers (pongs, acknowledgements) beyond which a peer is not read any more.
const UNREAD_REPLY_BYTES: usize = 64 * 1024;

/// A worker's stream after the handshake.
pub(crate) struct WorkerStream {
    pub(crate) stream: Stream,
    /// Bytes that came together with the handshake.
    pub(crate) early: Vec<u8>,
    /// The subprotocol that the handshake agreed on.
    pub(crate) protocol: Option<Box<str>>,
}

/// Serves the connection until it is gone. An idle one takes the memory of this task, so what it is
/// given is boxed, and what it seldom waits for.
#[allow(clippy::manual_async_fn, reason = "an async fn has two places for each argument")]
pub(crate) fn serve(
    stream: Box<WorkerStream>,
    shared: Arc<Shared>,
    guard: TaskGuard,
) -> impl Future<Output = ()> {
    async move {
        let (stream, early, connection) = open(stream, &shared, guard.run());
        let ending = Ending { shared: &shared, connection: &connection, told: false };
        shared.events.push(Event::Opened);
        let mut session = Session {
            decoder: Decoder::new(
                shared.limits().unregistered_message_bytes,
                shared.limits().message_fragments,
            ),
            incomplete: IncompleteMessage::new(&shared.incomplete_messages),
            stream,
            unread: early,
            phase: Phase::Open,
            awaits_acknowledgement: false,
            reply_bytes: 0,
            used_its_turn: false,
            quota: ReadQuota::default(),
            dropped_a_message: false,
            unregistered_messages: 0,
            tokens_refused: 0,
            refused: false,
            deadlines: Deadlines::default(),
            ending,
        };
        session.deadlines.enter_phase(shared.limits().registration_timeout);
        session.run().await;
    }
}

#[allow(clippy::boxed_local, reason = "its memory ends here")]
fn open(
    stream: Box<WorkerStream>,
    shared: &Shared,
    run: &Run,
) -> (ReadHalf, Vec<u8>, Arc<Connection>) {
    let WorkerStream { stream, early, protocol } = *stream;
    let (stream, half) = stream.split();
    let connection = shared.open_connection(half, protocol);
    if run.is_terminating() {
        // Too late to be among those that the end of the run terminates.
        connection.terminate();
    } else if !run.is_running() {
        // Too late to be among those that the end of the run closes.
        connection.close(SHUTTING_DOWN.code, SHUTTING_DOWN.reason);
    }
    (stream, early, connection)
}

/// Tells the owner of the connection's end exactly once, also when its task panics.
struct Ending<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Arc<Connection>,
    told: bool,
}

impl Ending<'_> {
    fn tell(&mut self, info: CloseInfo) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.shared.end_connection(self.connection, info);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // First, so that it is closed before anybody hears of the end.
        let forgotten = self.connection.outbox().discard();
        self.shared.counters.bytes_dropped.add(forgotten as u64);
        self.tell(CloseInfo::abnormal());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame is queued or sent; the peer may still talk.
    Closing,
    /// Nothing more is to be read; what is queued is still written.
    Draining,
}

struct Session<'a> {
    ending: Ending<'a>,
    stream: ReadHalf,
    decoder: Decoder,
    incomplete: IncompleteMessage<'a>,
    /// Bytes read but not looked at, because an acknowledgement is awaited.
    unread: Vec<u8>,
    phase: Phase,
    awaits_acknowledgement: bool,
    /// Answers queued since the outbox was last empty.
    reply_bytes: usize,
    /// There was more to read than one connection may take of the thread at once.
    used_its_turn: bool,
    quota: ReadQuota,
    dropped_a_message: bool,
    /// Application messages before registration.
    unregistered_messages: u32,
    tokens_refused: u32,
    /// We ended it for what the peer did (or did not do): nothing more from it is looked at.
    refused: bool,
    deadlines: Deadlines,
}

impl<'a> Session<'a> {
    async fn run(&mut self) {
        loop {
            if self.awaits_acknowledgement {
                self.await_acknowledgement().await;
            }
            self.look_at_unread();
            if self.awaits_acknowledgement {
                continue;
            }
            self.count_incomplete();
            let Ok(rest) = self.write() else { return };
            if self.ending.connection.is_terminated() {
                self.stream.reset_on_drop();
                return;
            }
            if self.ending.connection.is_abandoned() {
                return;
            }
            if rest == Rest::Nothing && self.phase == Phase::Draining {
                return Box::pin(self.part()).await;
            }
            self.note_closing();
            if !self.wait(rest).await {
                return;
            }
            if std::mem::take(&mut self.used_its_turn) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn count_incomplete(&mut self) {
        let bytes = self.decoder.incomplete_bytes();
        if !self.incomplete.grown_to(bytes, self.ending.connection) {
            self.fail(ProtocolError::TooManyIncomplete);
        }
    }

    fn write(&mut self) -> io::Result<Rest> {
        let Written { bytes, rest } = self.ending.connection.outbox().write()?;
        match rest {
            Rest::Nothing => {
                self.reply_bytes = 0;
                self.deadlines.all_taken();
            }
            Rest::Waits => {
                let within = self.ending.shared.limits().write_timeout;
                self.deadlines.more_waits(bytes > 0, within);
            }
            Rest::IsWritten => {}
        }
        Ok(rest)
    }

    /// Waits for something to do and reads if that is it. False: the connection is gone.
    async fn wait(&mut self, rest: Rest) -> bool {
        let mut changed = pin!(self.ending.connection.changed());
        let (reads, mut waits) = self.prepare_to_wait();
        poll_fn(|cx| {
            if changed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            match waits.as_mut().and_then(|waits| waits.poll(cx)) {
                Some(Over::Deadline) => return Poll::Ready(self.meet_deadline()),
                Some(Over::Pause) => return Poll::Ready(true),
                None => {}
            }
            if rest == Rest::Waits
                && let Poll::Ready(writable) = self.stream.poll_writable(cx)
            {
                return Poll::Ready(writable.is_ok());
            }
            if reads { self.poll_read(cx) } else { Poll::Pending }
        })
        .await
    }

    /// Whether the peer is read, and what else is waited for.
    fn prepare_to_wait(&mut self) -> (bool, Option<Box<Waits<'a>>>) {
        let Ending { shared, connection, .. } = self.ending;
        let has_room = self.has_room();
        let paused = shared.reading.paused();
        let reads = self.phase != Phase::Draining
            && paused.is_none()
            && !connection.is_paused()
            && self.reply_bytes <= UNREAD_REPLY_BYTES
            && connection.may_read(has_room, || shared.clock.now());
        let is_large = self.decoder.incomplete_bytes() >= LARGE_MESSAGE_BYTES;
        self.deadlines.expect_more(reads && is_large, shared.limits().write_timeout);
        (reads, Waits::of(self.deadlines.next(), paused))
    }

    /// Whether the message that it has begun may go on, and if not, when to look again.
    fn has_room(&mut self) -> bool {
        let waits_until = self.incomplete.waits_until();
        self.deadlines.look_for_room(waits_until);
        waits_until.is_none()
    }

    /// The owner or another registration may have queued a close frame.
    fn note_closing(&mut self) {
        if self.phase == Phase::Open && !self.ending.connection.is_open() {
            self.start_closing();
        }
    }

    fn start_closing(&mut self) {
        self.phase = Phase::Closing;
        self.deadlines.enter_phase(self.ending.shared.limits().close_timeout);
    }

    fn start_draining(&mut self) {
        // Nothing is read any more, so what has come of a message is of no use.
        self.decoder = Decoder::default();
        self.incomplete.end();
        self.deadlines.received();
        self.phase = Phase::Draining;
        self.deadlines.enter_phase(self.ending.shared.limits().close_timeout);
    }

    /// False: the connection is to be dropped.
    fn meet_deadline(&mut self) -> bool {
        let (due, shared) = (self.deadlines.due(), self.ending.shared);
        // A process that did not run has not let the peer do what is due.
        if let Some(due) = due
            && self.deadlines.extend_after_pause(due, shared.clock.since_resumed_ms())
        {
            return true;
        }
        match due {
            Some(Due::Write) => {
                self.ending.shared.counters.write_timeouts.increment();
                self.emit_error("The peer does not read".to_owned());
            }
            Some(Due::Message) => {
                self.fail(ProtocolError::MessageTimeout);
                return true;
            }
            Some(Due::Phase) if self.phase == Phase::Open => {
                // Registered workers have no deadline, so this one never registered in time.
                self.ending.shared.counters.registration_timeouts.increment();
                let refusal = Refusal::RegistrationTimeout;
                self.emit(Event::Refused { refusal, detail: None });
                self.close(CloseReason { code: 1008, reason: "Registration timeout" });
                return true;
            }
            Some(Due::Phase) => self.ending.shared.counters.close_timeouts.increment(),
            Some(Due::Room) | None => return true,
        }
        self.stream.reset_on_drop();
        false
    }

    /// False: the peer is gone.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let read = with_buffer(|buffer| {
            let (own, all) = (self.ending.connection.read_bytes(), self.incomplete.read_bytes());
            let most = own.min(all).min(self.quota.bytes(buffer.len()));
            let room = buffer.get_mut(..most).unwrap_or_default();
            self.stream.poll_read(cx, room).map(|read| {
                let Some(len) = read.ok().filter(|len| *len > 0) else { return false };
                self.ending.connection.hear();
                self.deadlines.received();
                self.used_its_turn = len == most;
                let frames = buffer.get_mut(..len).map_or(0, |bytes| self.feed(bytes));
                if len == most {
                    self.quota.adapt(frames);
                }
                true
            })
        });
        read.unwrap_or(Poll::Ready(false))
    }

    fn look_at_unread(&mut self) {
        if !self.unread.is_empty() {
            let mut bytes = std::mem::take(&mut self.unread);
            self.feed(&mut bytes);
        }
    }

    /// Returns how many messages and control frames it was.
    fn feed(&mut self, mut bytes: &mut [u8]) -> usize {
        let mut count = 0;
        while self.phase != Phase::Draining {
            if self.awaits_acknowledgement {
                self.unread = bytes.to_vec();
                break;
            }
            match self.decoder.next(&mut bytes) {
                Ok(Some(incoming)) => self.handle(incoming),
                Ok(None) => break,
                Err(error) => self.fail(error),
            }
            count += 1;
        }
        count
    }

    fn handle(&mut self, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Message(text) => {
                self.incomplete.end();
                let copy = self.ending.connection.is_observed().then(|| text.clone().into_owned());
                self.handle_message(text);
                if let Some(text) = copy {
                    let is_binary = self.decoder.was_binary();
                    let kind = if is_binary { FrameKind::Binary } else { FrameKind::Text };
                    self.tell_frame(kind, text);
                }
            }
            Incoming::Ping(payload) => {
                if self.phase == Phase::Open {
                    self.reply(pong_frame(&payload));
                }
                self.tell_control(FrameKind::Ping, &payload);
            }
            Incoming::Pong(payload) => self.tell_control(FrameKind::Pong, &payload),
            Incoming::Close(close) => self.handle_close(close),
        }
    }

    /// Tells of a control frame, whose bytes become one character each.
    fn tell_control(&self, kind: FrameKind, payload: &[u8]) {
        if self.ending.connection.is_observed() {
            self.tell_frame(kind, payload.iter().copied().map(char::from).collect());
        }
    }

    fn tell_frame(&self, kind: FrameKind, text: String) {
        let connection = Arc::clone(self.ending.connection);
        self.emit(Event::Frame { connection, kind, text: text.into() });
    }

    fn handle_close(&mut self, close: Option<(u16, String)>) {
        let (code, reason) = close.unwrap_or((1005, String::new()));
        let echo = (code != 1005).then_some(code);
        self.ending.connection.outbox().close(close_frame(echo, &reason));
        self.start_draining();
        self.ending.tell(CloseInfo { code, reason });
    }

    fn fail(&mut self, error: ProtocolError) {
        self.ending.connection.outbox().close(close_frame(Some(error.close_code()), ""));
        self.start_draining();
        let counters = &self.ending.shared.counters;
        match error {
            ProtocolError::TooLarge | ProtocolError::UnsupportedLength => {
                counters.messages_too_large.increment();
            }
            ProtocolError::TooManyFragments => counters.messages_too_fragmented.increment(),
            ProtocolError::MessageTimeout => counters.message_timeouts.increment(),
            ProtocolError::TooManyIncomplete => counters.messages_given_up.increment(),
            _ => counters.protocol_errors.increment(),
        }
        self.emit_error(error.to_string());
        self.ending.tell(CloseInfo::abnormal());
    }

    /// Holds the acknowledgement back until the owner has taken the worker in, so that a peer that
    /// sees it can count on that; but not for long, since the owner may be blocked.
    async fn await_acknowledgement(&mut self) {
        let wait = self.limits().admission_timeout;
        let _ = Box::pin(timeout(wait, self.ending.connection.acknowledged())).await;
        self.awaits_acknowledgement = false;
    }

    fn close(&mut self, close: CloseReason) {
        self.refused = true;
        self.ending.connection.close(close.code, close.reason);
        self.start_closing();
    }

    fn reply(&mut self, frame: bytes::Bytes) {
        self.reply_bytes += frame.len();
        // Full or closing: the peer does not read or does not care.
        let _ = self.ending.connection.send(frame);
    }

    fn emit_error(&self, error: String) {
        let connection = Arc::clone(self.ending.connection);
        self.emit(Event::SocketError { connection, error: error.into() });
    }

    fn emit(&self, event: Event) {
        self.ending.shared.events.push(event);
    }

    fn limits(&self) -> &crate::Limits {
        self.ending.shared.limits()
    }

    /// Ends the stream in order: dropping it with unread bytes would reset it and could take our
    /// close frame from the peer.
    async fn part(&mut self) {
        if self.stream.finish().is_err() {
            return;
        }
        let deadline = Instant::now() + self.limits().close_timeout;
        let rest = async {
            let mut sink = |cx: &mut Context<'_>| {
                let read = with_buffer(|buffer| self.stream.poll_read(cx, buffer));
                read.unwrap_or_else(|error| Poll::Ready(Err(error)))
            };
            while poll_fn(&mut sink).await.is_ok_and(|len| len > 0) {}
        };
        let _ = tokio::time::timeout_at(deadline, rest).await;
    }
}

/// What a connection seldom waits for. Most of the time there is none, and it takes a pointer.
struct Waits<'a> {
    deadline: Option<Pin<Box<Sleep>>>,
    pause: Option<Pin<Box<Notified<'a>>>>,
}

enum Over {
    Deadline,
    Pause,
}

impl<'a> Waits<'a> {
    fn of(deadline: Option<Instant>, pause: Option<Pin<Box<Notified<'a>>>>) -> Option<Box<Self>> {
        let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
        let is_any = deadline.is_some() || pause.is_some();
        is_any.then(|| Box::new(Self { deadline, pause }))
    }

    /// Which of them is over; after that it is not to be asked again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Over> {
        if self.deadline.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            return Some(Over::Deadline);
        }
        let resumed = self.pause.as_mut()?;
        resumed.as_mut().poll(cx).is_ready().then_some(Over::Pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<F>(_: fn(Box<WorkerStream>, Arc<Shared>, TaskGuard) -> F) -> usize {
        size_of::<F>()
    }

    /// The runtime adds 104 bytes and takes a multiple of 128.
    #[test]
    fn a_task_takes_512_bytes() {
        assert!(bytes_of(serve) <= 512 - 104, "{}", bytes_of(serve));
    }
}
