//! Why the engine did not do something.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// An error of the engine. No text has a password in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// It cannot be reached, or did not answer in time.
    #[error("{address} is not available: {reason}")]
    Unavailable {
        /// Host and port, or several.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// It was asked to change something, and its reply was lost. Nobody knows whether it did.
    #[error(
        "{address} is not available: the reply was lost, so the change may have been made ({reason})"
    )]
    ReplyLost {
        /// Host and port, or several.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// It does not know the user or the password, or the user may not do this.
    #[error("{address} refuses the login: {reason}")]
    Auth {
        /// Host and port.
        address: String,
        /// What it says.
        reason: String,
    },
    /// It is too old.
    #[error("{address} is Redis {version}; Redis 6.2 or Valkey 7.2 is needed at least")]
    Version {
        /// Host and port.
        address: String,
        /// What it says that it is.
        version: String,
    },
    /// It refuses a command.
    #[error("{address} refuses the command: {reason}")]
    Refused {
        /// Host and port.
        address: String,
        /// What it says.
        reason: String,
    },
    /// There is no such worker.
    #[error("worker not found")]
    NotFound,
    /// The worker has fewer free slots.
    #[error("worker has no capacity")]
    NoCapacity,
}

impl EngineError {
    /// The code that programs see.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } | Self::ReplyLost { .. } => "ERR_ENGINE_UNAVAILABLE",
            Self::Auth { .. } => "ERR_ENGINE_AUTH",
            Self::Version { .. } => "ERR_ENGINE_VERSION",
            Self::Refused { .. } => "ERR_ENGINE_REFUSED",
            Self::NotFound => "WORKER_NOT_FOUND",
            Self::NoCapacity => "WORKER_NO_CAPACITY",
        }
    }
}

/// What an error of the client means for a command.
pub(crate) enum Meaning {
    /// The login is wrong.
    Auth,
    /// It was not done, since another server is the right one or this one is not ready.
    NotDone,
    /// The connection is gone; it may have been done.
    Lost,
    /// It was refused.
    Refused,
}

pub(crate) fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            Meaning::Auth
        }
        ErrorKind::Server(
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => Meaning::NotDone,
        ErrorKind::Io => Meaning::Lost,
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => Meaning::Auth,
        _ if error.is_unrecoverable_error() || error.is_timeout() => Meaning::Lost,
        _ => Meaning::Refused,
    }
}

/// What an error says, without more than that.
pub(crate) fn reason(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
