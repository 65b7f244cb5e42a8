//! Pure logic of a worker server: what a worker's text frames mean and what is
//! answered ([`protocol`]), which worker gets the next request ([`pool`]), which
//! tokens ([`auth`]) and web pages ([`origin`]) are accepted. Of a thread pool: which
//! task runs next ([`scheduler`]), and how many threads there should be ([`scaling`]).
//!
//! Nothing here opens a socket, spawns a task or reads a clock: text and times
//! come in as arguments, decisions and bytes go out.

#![forbid(unsafe_code)]

pub mod auth;
pub mod origin;
pub mod pool;
pub mod protocol;
pub mod registry;
pub mod scaling;
pub mod scheduler;
