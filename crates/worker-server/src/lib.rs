//! Transport of a worker server.
