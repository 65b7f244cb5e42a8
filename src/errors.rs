//! The only place that makes JavaScript errors of Rust ones.

use napi::{Error, Result, Status, sys};

/// Turns a raw N-API status into a result.
pub(crate) fn check(status: sys::napi_status) -> Result<()> {
    match Status::from(status) {
        Status::Ok => Ok(()),
        status => Err(Error::new(status, "a Node-API call failed")),
    }
}

/// An error with this message.
pub(crate) fn failure(message: impl ToString) -> Error {
    Error::new(Status::GenericFailure, message.to_string())
}
