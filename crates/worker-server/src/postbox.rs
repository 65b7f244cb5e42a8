//! What the owner leaves to the runtime's thread: broadcasts, and waking the tasks of connections it
//! has sent something to.
//!
//! Waking a task from another thread is a system call. Here the first letter wakes one task, the
//! postman, and those that come before it is there cost nothing.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    connection::Connection,
    events::{Event, EventQueue},
    outbox::SendError,
    panics::{caught, lock},
};

/// Broadcasts that may wait before the owner has to help.
const MOST_BROADCASTS: usize = 256;

/// Who gets a broadcast.
pub(crate) type Roster = Arc<[Arc<Connection>]>;

#[derive(Debug)]
enum Letter {
    /// There is something in its outbox.
    Wake(Arc<Connection>),
    Broadcast(Roster, Bytes),
}

/// Letters in order, delivered by the postman or, when the owner cannot wait for it, by the owner.
#[derive(Debug)]
pub(crate) struct Postbox {
    events: Arc<EventQueue>,
    letters: Mutex<VecDeque<Letter>>,
    /// Held while letters are delivered, so that they are in order whoever does it.
    delivering: Mutex<()>,
    /// Broadcasts that are not delivered to their last receiver.
    broadcasts: AtomicUsize,
    filled: Notify,
    has_ended: AtomicBool,
}

impl Postbox {
    pub(crate) fn new(events: Arc<EventQueue>) -> Self {
        Self {
            events,
            letters: Mutex::default(),
            delivering: Mutex::default(),
            broadcasts: AtomicUsize::new(0),
            filled: Notify::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Queues a frame for one connection, behind all broadcasts.
    pub(crate) fn send(&self, to: &Arc<Connection>, frame: Bytes) -> Result<(), SendError> {
        self.finish_broadcasts();
        self.queue(to, frame)?;
        self.post(Letter::Wake(Arc::clone(to)));
        Ok(())
    }

    /// The same, but written by the caller, if nothing stands before it.
    pub(crate) fn send_at_once(&self, to: &Arc<Connection>, frame: Bytes) -> Result<(), SendError> {
        self.finish_broadcasts();
        self.tell_overflow(to, to.send_at_once(frame))
    }

    /// Queues a frame for all of these, soon.
    pub(crate) fn broadcast(&self, to: Roster, frame: Bytes) {
        if self.broadcasts.fetch_add(1, Ordering::AcqRel) >= MOST_BROADCASTS {
            self.deliver();
        }
        self.post(Letter::Broadcast(to, frame));
    }

    /// Returns when all broadcasts so far are in the outboxes: what comes now may not overtake them.
    pub(crate) fn finish_broadcasts(&self) {
        if self.broadcasts.load(Ordering::Acquire) > 0 {
            self.deliver();
        }
    }

    /// The postman: delivers until the end.
    pub(crate) async fn serve(self: Arc<Self>) {
        loop {
            self.filled.notified().await;
            self.deliver();
            if self.has_ended.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Lets the postman go.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    fn post(&self, letter: Letter) {
        let mut letters = lock(&self.letters);
        letters.push_back(letter);
        if letters.len() == 1 {
            drop(letters);
            self.filled.notify_one();
        }
    }

    fn deliver(&self) {
        let _delivering = lock(&self.delivering);
        loop {
            let letters = std::mem::take(&mut *lock(&self.letters));
            if letters.is_empty() {
                return;
            }
            for letter in letters {
                // The postman has to go on whatever happens.
                caught(|| self.deliver_one(letter));
            }
        }
    }

    fn deliver_one(&self, letter: Letter) {
        match letter {
            Letter::Wake(connection) => connection.wake(),
            Letter::Broadcast(to, frame) => {
                let _delivered = Delivered(&self.broadcasts);
                for connection in to.iter() {
                    // Who does not take it now is closing or does not read.
                    if self.queue(connection, frame.clone()).is_ok() {
                        connection.wake();
                    }
                }
            }
        }
    }

    fn queue(&self, to: &Arc<Connection>, frame: Bytes) -> Result<(), SendError> {
        self.tell_overflow(to, to.queue(frame))
    }

    fn tell_overflow(
        &self,
        to: &Arc<Connection>,
        sent: Result<(), SendError>,
    ) -> Result<(), SendError> {
        if sent == Err(SendError::Full) && to.overflows_first() {
            self.events.push(Event::OutboxFull(Arc::clone(to)));
        }
        sent
    }
}

/// Counts a broadcast as delivered, also when that panicked.
struct Delivered<'a>(&'a AtomicUsize);

impl Drop for Delivered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backlog::BacklogBounds, counters::Budget, outbox::Outbox};

    fn connection(max_bytes: usize) -> Arc<Connection> {
        let outbox = Outbox::new(max_bytes, Arc::new(Budget::new(usize::MAX)));
        let bounds = Arc::new(BacklogBounds::new(0, 0));
        Arc::new(Connection::new(1, outbox, bounds, Arc::default()))
    }

    fn queued(connection: &Connection) -> Vec<u8> {
        connection.outbox().unwritten()
    }

    #[test]
    fn what_is_sent_after_a_broadcast_comes_after_it() {
        let postbox = Postbox::new(Arc::new(EventQueue::new(|| ())));
        let (first, second) = (connection(100), connection(100));
        postbox.send(&first, Bytes::from_static(b"1")).unwrap();
        postbox
            .broadcast([Arc::clone(&first), Arc::clone(&second)].into(), Bytes::from_static(b"2"));
        assert_eq!(queued(&first), b"1", "it is not delivered by the caller");
        postbox.send(&second, Bytes::from_static(b"3")).unwrap();
        postbox.finish_broadcasts();
        assert_eq!((queued(&first), queued(&second)), (b"12".to_vec(), b"23".to_vec()));
    }

    #[test]
    fn a_broadcast_that_is_not_taken_is_told_once() {
        let events = Arc::new(EventQueue::new(|| ()));
        let postbox = Postbox::new(Arc::clone(&events));
        let full = connection(1);
        for _ in 0..3 {
            postbox.broadcast([Arc::clone(&full)].into(), Bytes::from_static(b"x"));
        }
        postbox.finish_broadcasts();
        let told: Vec<_> = events.take().into_iter().collect();
        assert!(matches!(&told[..], [Event::OutboxFull(_)]), "{told:?}");
    }

    #[test]
    fn many_broadcasts_make_the_owner_help() {
        let postbox = Postbox::new(Arc::new(EventQueue::new(|| ())));
        let all: Roster = [connection(usize::MAX)].into();
        for _ in 0..=MOST_BROADCASTS {
            postbox.broadcast(Arc::clone(&all), Bytes::from_static(b"x"));
        }
        assert_eq!(queued(&all[0]).len(), MOST_BROADCASTS);
    }

    #[test]
    fn the_postman_delivers_and_goes() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let postbox = Arc::new(Postbox::new(Arc::new(EventQueue::new(|| ()))));
        let to = connection(100);
        postbox.broadcast([Arc::clone(&to)].into(), Bytes::from_static(b"x"));
        postbox.end();
        runtime.block_on(Arc::clone(&postbox).serve());
        assert_eq!(queued(&to), b"x");
    }
}
