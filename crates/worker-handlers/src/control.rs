//! Whether a running task should go on.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::HandlerError;

/// Ends a task from another thread.
#[derive(Debug, Default)]
pub struct Control {
    is_cancelled: AtomicBool,
}

impl Control {
    /// Has the task end soon.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the task may go on.
    pub(crate) fn check(&self) -> Result<(), HandlerError> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Err(HandlerError::Cancelled);
        }
        Ok(())
    }
}
