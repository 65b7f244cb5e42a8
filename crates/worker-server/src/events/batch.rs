//! Short messages that the owner takes, and parses, together.

use std::sync::Arc;

use super::{NOTE_BYTES, Text};
use crate::connection::Connection;

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
    text: String,
    is_ascii: bool,
    /// Where each message ends in the text.
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
pub(crate) fn backlog_of(text: &str) -> usize {
    text.len() + NOTE_BYTES
}

impl MessageBatch {
    /// Most runs of a batch.
    pub const MOST_RUNS: usize = MOST_RUNS;

    pub(crate) fn new(connection: &Arc<Connection>, text: &str) -> Self {
        let mut batch = Self {
            text: "[".to_owned(),
            is_ascii: text.is_ascii(),
            ends: Vec::new(),
            runs: Vec::new(),
        };
        batch.add(connection, text);
        batch
    }

    /// Also whether it is of the same kind: one character beyond ASCII makes all of the text slower
    /// to take.
    pub(crate) fn has_room_for(&self, text: &str) -> bool {
        self.text.len() + self.ends.len() * NOTE_BYTES + backlog_of(text) <= MOST_BYTES
            && self.runs.len() < MOST_RUNS
            && self.is_ascii == text.is_ascii()
    }

    pub(crate) fn add(&mut self, connection: &Arc<Connection>, text: &str) {
        if !self.ends.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(text);
        // A batch is far smaller than four gigabytes.
        self.ends.push(self.text.len() as u32);
        match self.runs.last_mut().filter(|run| Arc::ptr_eq(&run.connection, connection)) {
            Some(run) => {
                run.count += 1;
                run.backlog += backlog_of(text);
            }
            None => self.runs.push(Run {
                connection: Arc::clone(connection),
                count: 1,
                backlog: backlog_of(text),
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
    pub fn messages(&self) -> impl Iterator<Item = (&Arc<Connection>, &str)> {
        let senders = self.runs.iter().flat_map(|run| (0..run.count).map(|_| &run.connection));
        // Each begins behind a bracket or a comma.
        let begins =
            std::iter::once(0).chain(self.ends.iter().copied()).map(|end| end as usize + 1);
        let ends = self.ends.iter().map(|end| *end as usize);
        let texts = begins.zip(ends).map(|(begin, end)| self.text.get(begin..end));
        senders.zip(texts.map(Option::unwrap_or_default))
    }

    /// The message, if it is one; of several, a JSON array.
    pub fn into_text(mut self) -> Text {
        if self.ends.len() == 1 {
            self.text.remove(0);
        } else {
            self.text.push(']');
        }
        Text { value: self.text, is_ascii: self.is_ascii }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backlog::BacklogBounds, counters::Budget, outbox::Outbox};

    fn connection() -> Arc<Connection> {
        let outbox = Outbox::new(0, Arc::new(Budget::new(0)));
        let bounds = Arc::new(BacklogBounds::new(0, 0));
        Arc::new(Connection::new(1, outbox, bounds, Arc::default()))
    }

    #[test]
    fn bounded_in_bytes_and_runs() {
        let sender = connection();
        let mut batch = MessageBatch::new(&sender, "1");
        let mut count = 1;
        while batch.has_room_for("1") {
            batch.add(&sender, "1");
            count += 1;
        }
        // A comma or a bracket goes with each.
        assert_eq!(count, MOST_BYTES / (backlog_of("1") + 1));

        let long = format!("\"{}\"", "x".repeat(MOST_BYTES / 2));
        let mut batch = MessageBatch::new(&sender, &long);
        assert!(!batch.has_room_for(&long));
        batch.add(&sender, "1");
        assert_eq!(batch.runs().len(), 1);

        let mut batch = MessageBatch::new(&sender, "1");
        for _ in 1..MOST_RUNS {
            assert!(batch.has_room_for("1"));
            batch.add(&connection(), "1");
        }
        assert!(!batch.has_room_for("1"));
    }

    #[test]
    fn text_of_one_kind() {
        let sender = connection();
        let ascii = MessageBatch::new(&sender, "\"e\"");
        assert!(ascii.has_room_for("1") && !ascii.has_room_for("\"\u{e9}\""));
        let mut other = MessageBatch::new(&sender, "\"\u{e9}\"");
        assert!(!other.has_room_for("1") && other.has_room_for("\"\u{e9}\""));
        other.add(&sender, "\"\u{e8}\"");
        let texts: Vec<&str> = other.messages().map(|(_, text)| text).collect();
        assert_eq!(texts, ["\"\u{e9}\"", "\"\u{e8}\""]);
        let text = other.into_text();
        assert_eq!(text.as_str(), "[\"\u{e9}\",\"\u{e8}\"]");
        assert!(!text.is_ascii());
        assert!(ascii.into_text().is_ascii());
    }
}
