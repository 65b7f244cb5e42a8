//! The control messages between a worker and the server: told apart, read,
//! checked, and answered.
//!
//! Application messages are never parsed here. They go to JavaScript as text,
//! which makes its own objects of them, so everything below follows the rules
//! of `JSON.parse` rather than stricter ones.

mod ack;
pub(crate) mod canonical;
mod capabilities;
mod classify;
mod close;
mod heartbeat;
mod json;
mod refusal;
mod registration;
mod text;
mod worker_id;

pub use ack::{heartbeat_ack, registration_accepted, registration_refused};
pub use capabilities::Capabilities;
pub use classify::{Inbound, classify};
pub use close::{
    AUTHENTICATION_FAILED, CloseReason, HEARTBEAT_TIMEOUT, INVALID_REGISTRATION, REPLACED,
    SHUTTING_DOWN,
};
pub use heartbeat::Heartbeat;
pub use json::is_valid as is_json;
pub use refusal::InvalidRegistration;
pub use registration::{Registration, RegistrationLimits, RegistrationRequest};
pub use worker_id::WorkerId;
