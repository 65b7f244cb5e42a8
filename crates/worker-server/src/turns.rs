//! The order in which the owner gets events: by turns, so that nobody fills the queue of all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    connection::Connection,
    events::{Event, MessageBatch, backlog_of},
    text::TextUnits,
};

/// Bytes (as the backlog counts them) of one connection's messages per turn.
const SHARE_BYTES: usize = 64 * 1024;

/// Events that wait for the owner.
///
/// Of what a peer can cause at will each connection has a share of every turn; what exceeds it
/// waits for the next turns. Everything else ends that waiting for the connections it is about, so
/// that it still comes behind all that was before it.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Which turn is being filled.
    number: u64,
    /// Its events, in order.
    events: VecDeque<Event>,
    /// What those of them that peers can cause at will count in backlogs.
    bytes: usize,
    /// What exceeds the shares, in order, by connection.
    waiting: BTreeMap<u64, VecDeque<Event>>,
}

impl Turns {
    pub(crate) fn push(&mut self, event: Event) {
        if let Some((connection, bytes)) = event.turn() {
            let id = connection.id();
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.push_back(event);
                return;
            }
            if !connection.take_share(self.number, bytes, SHARE_BYTES) {
                self.waiting.insert(id, VecDeque::from([event]));
                return;
            }
            self.bytes += bytes;
        } else {
            self.end_waiting_of(&event);
        }
        self.events.push_back(event);
    }

    /// Adds a short message to the batch at the end of what it stands behind, if that has room.
    pub(crate) fn push_message(&mut self, connection: &Arc<Connection>, message: TextUnits<'_>) {
        let bytes = backlog_of(message);
        let queue = if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.get_mut(&connection.id())
        {
            waiting
        } else if connection.take_share(self.number, bytes, SHARE_BYTES) {
            self.bytes += bytes;
            &mut self.events
        } else {
            self.waiting.entry(connection.id()).or_default()
        };
        match queue.back_mut() {
            Some(Event::Messages(batch)) if batch.has_room_for(message) => {
                batch.add(connection, message);
            }
            _ => queue.push_back(Event::Messages(MessageBatch::new(connection, message))),
        }
    }

    /// Bytes of the turn that is being filled.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events of this turn; none: there are none at all.
    pub(crate) fn take(&mut self) -> VecDeque<Event> {
        self.number += 1;
        self.bytes = 0;
        let taken = std::mem::take(&mut self.events);
        if !self.waiting.is_empty() {
            self.deal_shares();
        }
        taken
    }

    fn deal_shares(&mut self) {
        let (number, events, dealt) = (self.number, &mut self.events, &mut self.bytes);
        self.waiting.retain(|_, waiting| {
            while let Some(event) = waiting.pop_front() {
                if let Some((connection, bytes)) = event.turn() {
                    if !connection.take_share(number, bytes, SHARE_BYTES) {
                        waiting.push_front(event);
                        return true;
                    }
                    *dealt += bytes;
                }
                events.push_back(event);
            }
            false
        });
    }

    fn end_waiting_of(&mut self, event: &Event) {
        if self.waiting.is_empty() {
            return;
        }
        let (first, second): (Option<&Connection>, Option<&Connection>) = match event {
            Event::Registered { connection, replaces, .. } => {
                (Some(connection), replaces.as_deref())
            }
            Event::Closed { connection, .. } => (Some(connection), None),
            _ => (None, None),
        };
        for connection in [first, second].into_iter().flatten() {
            if let Some(waiting) = self.waiting.remove(&connection.id()) {
                self.events.extend(waiting);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        backlog::BacklogBounds, connection::CloseInfo, counters::Budget, events::NOTE_BYTES,
        outbox::Outbox, text::Text,
    };

    const TEXT_BYTES: usize = SHARE_BYTES / 4 - NOTE_BYTES;

    fn connection(id: u64) -> Arc<Connection> {
        let outbox = Outbox::new(0, Arc::new(Budget::new(0)));
        let bounds = Arc::new(BacklogBounds::new(usize::MAX, usize::MAX));
        Arc::new(Connection::new(id, outbox, bounds, Arc::default()))
    }

    fn narrow(ascii: &str) -> TextUnits<'_> {
        TextUnits::Latin1(ascii.as_bytes())
    }

    /// A message of a quarter of a share.
    fn message(connection: &Arc<Connection>, n: usize) -> Event {
        let text = Text::from(format!("{n:0TEXT_BYTES$}"));
        Event::Message { connection: Arc::clone(connection), text }
    }

    fn closed(connection: &Arc<Connection>) -> Event {
        let connection = Arc::clone(connection);
        Event::Closed { connection, info: CloseInfo::abnormal(), was_bound: true }
    }

    /// Of each event of the next turn: whose it is, and the number of a message.
    fn turn(turns: &mut Turns) -> Vec<(u64, Option<usize>)> {
        let told = |event| match event {
            Event::Message { connection, text } => {
                (connection.id(), Some(text.to_string().parse().unwrap()))
            }
            Event::Closed { connection, .. } => (connection.id(), None),
            other => panic!("{other:?}"),
        };
        turns.take().into_iter().map(told).collect()
    }

    fn messages(id: u64, numbers: std::ops::Range<usize>) -> Vec<(u64, Option<usize>)> {
        numbers.map(|n| (id, Some(n))).collect()
    }

    #[test]
    fn one_that_talks_much_has_its_share_of_each_turn_and_the_others_do_not_wait_for_it() {
        let mut turns = Turns::default();
        let (flooder, other) = (connection(1), connection(2));
        (0..10).for_each(|n| turns.push(message(&flooder, n)));
        turns.push(message(&other, 0));
        assert_eq!(turn(&mut turns), [messages(1, 0..4), messages(2, 0..1)].concat());
        turns.push(message(&other, 1));
        turns.push(message(&flooder, 10));
        assert_eq!(turn(&mut turns), [messages(1, 4..8), messages(2, 1..2)].concat());
        assert_eq!(turn(&mut turns), messages(1, 8..11));
        assert!(turns.take().is_empty());
        turns.push(message(&flooder, 11));
        assert_eq!(turn(&mut turns), messages(1, 11..12), "it waits no more");
    }

    #[test]
    fn counts_the_bytes_of_the_turn_that_is_being_filled() {
        let mut turns = Turns::default();
        let (loud, quiet) = (connection(1), connection(2));
        for n in 0..6 {
            turns.push(message(&loud, n));
        }
        assert_eq!(turns.bytes(), SHARE_BYTES, "the rest is for later turns");
        turns.push_message(&quiet, narrow("1"));
        turns.push(closed(&quiet));
        assert_eq!(turns.bytes(), SHARE_BYTES + backlog_of(narrow("1")));
        turns.take();
        assert_eq!(turns.bytes(), SHARE_BYTES / 2, "what was dealt at once");
        turns.take();
        assert_eq!(turns.bytes(), 0);
    }

    #[test]
    fn short_messages_wait_together_for_their_turn() {
        let mut turns = Turns::default();
        let (flooder, other) = (connection(1), connection(2));
        let in_a_share = SHARE_BYTES / backlog_of(narrow("7"));
        (0..in_a_share + 2).for_each(|_| turns.push_message(&flooder, narrow("7")));
        turns.push_message(&other, narrow("8"));
        let counts = |turns: &mut Turns| {
            let mut counts = BTreeMap::new();
            for event in turns.take() {
                let Event::Messages(batch) = event else { panic!("{event:?}") };
                for run in batch.runs() {
                    *counts.entry(run.connection.id()).or_insert(0) += run.count as usize;
                }
            }
            counts.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(counts(&mut turns), [(1, in_a_share), (2, 1)]);
        turns.push_message(&flooder, narrow("7"));
        assert_eq!(counts(&mut turns), [(1, 3)]);
        assert!(turns.take().is_empty());
    }

    #[test]
    fn several_that_talk_much_take_turns() {
        let mut turns = Turns::default();
        let talkers = [connection(1), connection(2)];
        for talker in &talkers {
            (0..6).for_each(|n| turns.push(message(talker, n)));
        }
        assert_eq!(turn(&mut turns), [messages(1, 0..4), messages(2, 0..4)].concat());
        assert_eq!(turn(&mut turns), [messages(1, 4..6), messages(2, 4..6)].concat());
    }

    #[test]
    fn a_message_larger_than_a_share_has_a_turn_of_its_own() {
        let mut turns = Turns::default();
        let connection = connection(1);
        for _ in 0..2 {
            let text = Text::from("1".repeat(2 * SHARE_BYTES));
            turns.push(Event::Message { connection: Arc::clone(&connection), text });
        }
        assert_eq!(turns.take().len(), 1);
        assert_eq!(turns.take().len(), 1);
        assert!(turns.take().is_empty());
    }

    #[test]
    fn the_end_of_a_connection_comes_behind_all_that_waits_of_it() {
        let mut turns = Turns::default();
        let (flooder, other) = (connection(1), connection(2));
        for talker in [&flooder, &other] {
            (0..9).for_each(|n| turns.push(message(talker, n)));
        }
        turns.push(closed(&flooder));
        let expected = [messages(1, 0..4), messages(2, 0..4), messages(1, 4..9), vec![(1, None)]];
        assert_eq!(turn(&mut turns), expected.concat());
        assert_eq!(turn(&mut turns), messages(2, 4..8), "the other one waits on");
    }
}
