//! The embedded store of a worker registry, in memory or with an append file that survives the
//! process.

#![forbid(unsafe_code)]

mod journal_file;

use std::path::Path;

use worker_core::registry::{Store, journal};

pub use self::journal_file::{JournalFile, OpenError, SyncHandle};

/// A store, and the file that its changes are appended to.
#[derive(Default)]
pub struct PersistentStore {
    /// The store.
    pub store: Store,
    file: Option<JournalFile>,
}

/// What was found in an append file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// Lines that were damaged, and skipped.
    pub damaged_lines: usize,
    /// Bytes at the end that were not written to their end, and cut off.
    pub truncated_bytes: u64,
}

impl PersistentStore {
    /// Restores a store from a file, which is created if it is not there, and appends to it from then
    /// on.
    ///
    /// # Errors
    /// Another process uses the file, or the file cannot be read or written.
    pub fn open(path: &Path) -> Result<(Self, Recovery), OpenError> {
        let (mut file, contents) = JournalFile::open(path)?;
        let mut store = Store::default();
        let replay = journal::replay(&mut store, &contents);
        file.keep(replay.valid_len as u64)?;
        store.start_journal();
        // What is there is in the file.
        drop(store.take_journal());
        let recovery = Recovery {
            damaged_lines: replay.damaged_lines,
            truncated_bytes: (contents.len() - replay.valid_len) as u64,
        };
        Ok((Self { store, file: Some(file) }, recovery))
    }

    /// Appends the changes since the last call to the file. After a failure the next call writes the
    /// whole file anew.
    ///
    /// # Errors
    /// The file cannot be written. The changes are in the store all the same.
    pub fn commit(&mut self) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let lines = self.store.take_journal();
        if !file.is_damaged() {
            if lines.is_empty() {
                return Ok(());
            }
            file.append(&lines)?;
            if !file.is_oversized() {
                return Ok(());
            }
        }
        self.store.write_snapshot();
        file.replace(&self.store.take_journal())
    }

    /// What forces the changes that are written onto the disk. `None`: there is no file.
    #[must_use]
    pub fn sync_handle(&self) -> Option<SyncHandle> {
        self.file.as_ref().and_then(JournalFile::sync_handle)
    }

    /// Closes the file, which another process may then use.
    pub fn close(&mut self) {
        self.file = None;
    }
}
