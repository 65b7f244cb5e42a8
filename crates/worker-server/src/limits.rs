//! What a peer may cost.

use std::time::Duration;

use worker_core::protocol::RegistrationLimits;

/// Bounds on what one connection may use. [`Default`] is what the documents promise.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message of a registered worker, in bytes. Default 100 MiB; beyond: close 1009.
    pub message_bytes: usize,
    /// Largest message before registration, in bytes. Default 1 MiB; beyond: close 1009.
    pub unregistered_message_bytes: usize,
    /// Application messages that a connection may send before it registers; more are dropped.
    /// Default (`None`): 0 if a token is required, else any number.
    pub unregistered_messages: Option<u32>,
    /// Registrations with a wrong token after which a connection is closed with 4001. Default 1.
    pub token_attempts: u32,
    /// Most fragments of one message. Default 16,384; beyond: close 1008.
    pub message_fragments: u32,
    /// Unsent bytes kept for one worker. Default 16 MiB; beyond, a send is refused. An empty outbox
    /// takes a message of any size.
    pub outbox_bytes: usize,
    /// Unsent bytes kept for all workers together. Default 512 MiB; beyond, a send is refused.
    pub total_outbox_bytes: usize,
    /// Time in which a peer must take at least a byte of what waits for it, and go on with a message
    /// of which 1 MiB has come. Default 10 s; then it is dropped, or closed with 1008.
    pub write_timeout: Duration,
    /// Accepted streams at once, whatever they are. Default: as many as the system allows; beyond,
    /// new ones are closed at once.
    pub connections: usize,
    /// Idle time after which TCP probes whether the peer is still there, in whole seconds from 1 to
    /// 32,767. Default 30 s. `None`: never.
    pub keepalive: Option<Duration>,
    /// Time without a sign of life after which a connection is pinged; after two pings in vain it is
    /// dropped (a registered worker no sooner than its owner would have, see [`ServerOptions`]).
    /// Default 30 s, at least 10 ms. `None`: never.
    ///
    /// [`ServerOptions`]: crate::ServerOptions
    pub ping_interval: Option<Duration>,
    /// Bytes received from one connection that its owner has not yet taken. Default 1 MiB; beyond,
    /// the connection is not read until the owner catches up, and counts as alive meanwhile.
    pub backlog_bytes: usize,
    /// The same of all connections together, not counting the first 16 KiB of each. Default 256 MiB;
    /// beyond, only connections with less than 16 KiB waiting are read.
    pub total_backlog_bytes: usize,
    /// Bytes of messages that have begun to arrive, of all connections together, not counting the first
    /// 16 KiB of each. Default 256 MiB; beyond, the oldest goes on and the others wait, as for the
    /// backlog; those of strangers, and those that have been arriving for the write timeout, are given
    /// up: close 1013. One that is alone may be larger.
    pub total_incomplete_bytes: usize,
    /// Largest request head, in bytes. Default 16 KiB.
    pub request_head_bytes: usize,
    /// Most header lines of a request. Default 2,000.
    pub request_headers: usize,
    /// Time for a complete request head. Default 30 s.
    pub request_head_timeout: Duration,
    /// Time from the handshake to a registration. Default 10 s.
    pub registration_timeout: Duration,
    /// Time for the peer's half of the closing handshake. Default 2 s; then TCP is cut.
    pub close_timeout: Duration,
    /// How long an acknowledgement of registration waits for the owner. Default 50 ms.
    pub admission_timeout: Duration,
    /// Bounds on the fields of a registration.
    pub registration: RegistrationLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 100 * 1024 * 1024,
            unregistered_message_bytes: 1024 * 1024,
            unregistered_messages: None,
            token_attempts: 1,
            message_fragments: 16_384,
            outbox_bytes: 16 * 1024 * 1024,
            total_outbox_bytes: 512 * 1024 * 1024,
            write_timeout: Duration::from_secs(10),
            connections: usize::MAX,
            keepalive: Some(Duration::from_secs(30)),
            ping_interval: Some(Duration::from_secs(30)),
            backlog_bytes: 1024 * 1024,
            total_backlog_bytes: 256 * 1024 * 1024,
            total_incomplete_bytes: 256 * 1024 * 1024,
            request_head_bytes: 16 * 1024,
            request_headers: 2_000,
            request_head_timeout: Duration::from_secs(30),
            registration_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
            admission_timeout: Duration::from_millis(50),
            registration: RegistrationLimits::default(),
        }
    }
}
