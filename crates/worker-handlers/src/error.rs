//! Why a task failed.

use std::io;

use thiserror::Error;

/// Why a task failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// The payload lacks something, or has something that is not known.
    #[error("{0}")]
    InvalidPayload(String),
    /// The data is not what the operation expects.
    #[error("{0}")]
    CorruptData(String),
    /// The data was changed, or the key is another one.
    #[error("the data does not match its tag")]
    AuthenticationFailed,
    /// The result, or the image, would be larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The task was cancelled.
    #[error("the task was cancelled")]
    Cancelled,
}

impl HandlerError {
    /// The error's code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidPayload(_) => "INVALID_PAYLOAD",
            Self::CorruptData(_) => "CORRUPT_DATA",
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::TooLarge(_) => "TOO_LARGE",
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "ENOENT",
                io::ErrorKind::PermissionDenied => "EACCES",
                io::ErrorKind::IsADirectory => "EISDIR",
                _ => "FILE_ERROR",
            },
            Self::Cancelled => "TASK_CANCELLED",
        }
    }

    /// Whether the same task may succeed later.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}
