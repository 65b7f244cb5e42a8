//! A file that is appended to, and replaced when most of it is outdated.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Up to this size a file is never replaced.
const MIN_REPLACED_BYTES: u64 = 1024 * 1024;
/// A file is replaced when it is so many times as large as it was after the last replacement.
const GROWTH: u64 = 4;

/// Why an append file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("the file is in use by another store")]
    InUse,
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The file of one store. The system ends the lock on it with the process, so none is ever left over.
pub struct JournalFile {
    path: PathBuf,
    file: File,
    /// Holds the lock. Another file than the one with the lines, which is replaced.
    lock: File,
    len: u64,
    replaced_len: u64,
    is_damaged: bool,
}

/// Forces what has been written onto the disk, from any thread.
#[derive(Debug)]
pub struct SyncHandle(File);

impl SyncHandle {
    /// Blocks until the disk has it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl JournalFile {
    /// Opens or creates a file, and reads it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<u8>), OpenError> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse,
            TryLockError::Error(error) => error.into(),
        })?;
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut contents = Vec::new();
        file.read_to_end(&mut contents)?;
        let len = contents.len() as u64;
        let journal =
            Self { path: path.to_owned(), file, lock, len, replaced_len: len, is_damaged: false };
        Ok((journal, contents))
    }

    /// Cuts off what is behind the first `len` bytes.
    pub(crate) fn keep(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.seek(SeekFrom::End(0))?;
        self.len = len;
        Ok(())
    }

    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self.file.write_all(lines) {
            Ok(()) => {
                self.len += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.is_damaged = true;
                // Half a line would be taken for damage. If this fails too, the checksum tells.
                let _ = self.keep(self.len);
                Err(error)
            }
        }
    }

    /// A write has failed, so changes are missing.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Most of the file is outdated.
    pub(crate) fn is_oversized(&self) -> bool {
        self.len > MIN_REPLACED_BYTES.max(GROWTH * self.replaced_len)
    }

    /// Replaces the file by one with these lines. At any moment one of the two is there as a whole.
    pub(crate) fn replace(&mut self, lines: &[u8]) -> io::Result<()> {
        self.is_damaged = true;
        let path = beside(&self.path, ".new");
        let mut file = File::create(&path)?;
        file.write_all(lines)?;
        file.sync_data()?;
        fs::rename(&path, &self.path)?;
        sync_folder(&self.path)?;
        self.file = file;
        self.len = lines.len() as u64;
        self.replaced_len = self.len;
        self.is_damaged = false;
        Ok(())
    }

    pub(crate) fn sync_handle(&self) -> Option<SyncHandle> {
        self.file.try_clone().ok().map(SyncHandle)
    }
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        // Closing is not enough: a process that is just being started has a copy of the file for a
        // moment, and with it the lock. A failure leaves the lock to the end of the process.
        let _ = self.lock.unlock();
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Makes a new name in a folder durable, where the system has something for it.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
