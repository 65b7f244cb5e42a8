//! Why the server closes a worker's connection.

/// Code and reason of a WebSocket close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseReason {
    /// Status code, RFC 6455 section 7.4.
    pub code: u16,
    /// Text for the peer's log, at most 123 bytes.
    pub reason: &'static str,
}

/// The registration carried no accepted token.
pub const AUTHENTICATION_FAILED: CloseReason =
    CloseReason { code: 4001, reason: "Authentication failed" };

/// The registration was refused for its content.
pub const INVALID_REGISTRATION: CloseReason =
    CloseReason { code: 4002, reason: "Invalid registration" };

/// Another connection registered the same worker id.
pub const REPLACED: CloseReason = CloseReason { code: 4003, reason: "Replaced by new connection" };

/// No heartbeat for so long that the worker is presumed dead.
pub const HEARTBEAT_TIMEOUT: CloseReason = CloseReason { code: 4003, reason: "Heartbeat timeout" };

/// The server stops.
pub const SHUTTING_DOWN: CloseReason = CloseReason { code: 1001, reason: "Server shutting down" };
