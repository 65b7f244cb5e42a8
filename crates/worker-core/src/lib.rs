//! Pure logic of a worker server.
