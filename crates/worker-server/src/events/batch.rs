//! Short messages that the owner takes, and parses, together.

use std::sync::Arc;

use super::NOTE_BYTES;
use crate::{
    connection::Connection,
    text::{Text, TextUnits},
};

/// Longer messages are handed over one by one, without a copy.
pub(crate) const SHORT_BYTES: usize = 4 * 1024;
/// A batch is full when it counts so many bytes in backlogs...
const MOST_BYTES: usize = 64 * 1024;
/// ...or has so many runs.
const MOST_RUNS: usize = 64;

/// Messages in order, each valid JSON: together they are the elements of a JSON array. That each was
/// checked is what keeps one sender from writing another's messages.
#[derive(Debug)]
pub struct MessageBatch {
    /// An array's text, but for its end.
    text: Text,
    /// Where each message ends in the text, in code units.
    ends: Vec<u32>,
    runs: Vec<Run>,
}

/// Consecutive messages of one sender.
#[derive(Debug)]
pub struct Run {
    /// The sender, registered or not.
    pub connection: Arc<Connection>,
    /// How many messages.
    pub count: u32,
    /// What they count in the sender's backlog.
    pub(crate) backlog: usize,
}

/// What a message counts in its sender's backlog, in bytes.
pub(crate) fn backlog_of(message: TextUnits<'_>) -> usize {
    message.bytes() + NOTE_BYTES
}

impl MessageBatch {
    /// Most runs of a batch.
    pub const MOST_RUNS: usize = MOST_RUNS;

    pub(crate) fn new(connection: &Arc<Connection>, message: TextUnits<'_>) -> Self {
        // Of the form of its first message, which it then never has to change.
        let mut text = if message.is_wide() { Text::wide() } else { Text::default() };
        text.push(TextUnits::Latin1(b"["));
        let mut batch = Self { text, ends: Vec::new(), runs: Vec::new() };
        batch.add(connection, message);
        batch
    }

    /// Also whether its text has the form for that: what is narrow stays so, since that is faster to
    /// parse.
    pub(crate) fn has_room_for(&self, message: TextUnits<'_>) -> bool {
        self.text.bytes() + self.ends.len() * NOTE_BYTES + backlog_of(message) <= MOST_BYTES
            && self.runs.len() < MOST_RUNS
            && (self.text.is_wide() || !message.is_wide())
    }

    pub(crate) fn add(&mut self, connection: &Arc<Connection>, message: TextUnits<'_>) {
        if !self.ends.is_empty() {
            self.text.push(TextUnits::Latin1(b","));
        }
        self.text.push(message);
        // A batch is far smaller than four gigabytes.
        self.ends.push(self.text.len() as u32);
        match self.runs.last_mut().filter(|run| Arc::ptr_eq(&run.connection, connection)) {
            Some(run) => {
                run.count += 1;
                run.backlog += backlog_of(message);
            }
            None => self.runs.push(Run {
                connection: Arc::clone(connection),
                count: 1,
                backlog: backlog_of(message),
            }),
        }
    }

    /// How many messages.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Who sent them, in order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Each message with its sender, in order.
    pub fn messages(&self) -> impl Iterator<Item = (&Arc<Connection>, String)> {
        let senders = self.runs.iter().flat_map(|run| (0..run.count).map(|_| &run.connection));
        // Each begins behind a bracket or a comma.
        let begins =
            std::iter::once(0).chain(self.ends.iter().copied()).map(|end| end as usize + 1);
        let ends = self.ends.iter().map(|end| *end as usize);
        senders.zip(begins.zip(ends).map(|(begin, end)| self.text.part(begin, end)))
    }

    /// The message, if it is one; of several, a JSON array.
    pub fn into_text(mut self) -> Text {
        if self.ends.len() == 1 {
            self.text.remove_first();
        } else {
            self.text.push(TextUnits::Latin1(b"]"));
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backlog::BacklogBounds, counters::Budget, outbox::Outbox};

    const ONE: TextUnits<'_> = TextUnits::Latin1(b"1");

    fn connection() -> Arc<Connection> {
        let outbox = Outbox::new(0, Arc::new(Budget::new(0)));
        let bounds = Arc::new(BacklogBounds::new(0, 0));
        Arc::new(Connection::new(1, outbox, bounds, Arc::default()))
    }

    #[test]
    fn bounded_in_bytes_and_runs() {
        let sender = connection();
        let mut batch = MessageBatch::new(&sender, ONE);
        let mut count = 1;
        while batch.has_room_for(ONE) {
            batch.add(&sender, ONE);
            count += 1;
        }
        // A comma or a bracket goes with each.
        assert_eq!(count, MOST_BYTES / (backlog_of(ONE) + 1));

        let long = format!("\"{}\"", "x".repeat(MOST_BYTES / 2));
        let long = TextUnits::Latin1(long.as_bytes());
        let mut batch = MessageBatch::new(&sender, long);
        assert!(!batch.has_room_for(long));
        batch.add(&sender, ONE);
        assert_eq!(batch.runs().len(), 1);

        let mut batch = MessageBatch::new(&sender, ONE);
        for _ in 1..MOST_RUNS {
            assert!(batch.has_room_for(ONE));
            batch.add(&connection(), ONE);
        }
        assert!(!batch.has_room_for(ONE));
    }

    #[test]
    fn narrow_text_stays_narrow_and_wide_text_takes_all() {
        let sender = connection();
        let narrow = MessageBatch::new(&sender, ONE);
        let latin1 = TextUnits::Latin1(b"\"\xe9\"");
        let wide = TextUnits::Utf16(&[0x22, 0x4e2d, 0x22]);
        assert!(narrow.has_room_for(latin1) && !narrow.has_room_for(wide));
        let mut other = MessageBatch::new(&sender, wide);
        assert!(other.has_room_for(ONE) && other.has_room_for(wide));
        other.add(&sender, latin1);
        other.add(&sender, wide);
        let texts: Vec<String> = other.messages().map(|(_, text)| text).collect();
        assert_eq!(texts, ["\"中\"", "\"é\"", "\"中\""]);
        assert_eq!(other.runs()[0].backlog, 6 + 3 + 6 + 3 * NOTE_BYTES);
        assert_eq!(other.into_text(), Text::from("[\"中\",\"é\",\"中\"]"));
        assert_eq!(narrow.into_text(), Text::from("1"));
        assert_eq!(MessageBatch::new(&sender, wide).into_text(), Text::from("\"中\""));
    }
}
