//! Panics that a test asks for; in no released build.

use std::cell::Cell;

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

/// The next native call of this thread panics.
pub(crate) fn arm() {
    IS_ARMED.set(true);
}

pub(crate) fn strike() {
    #[allow(clippy::panic, reason = "this is what it is for")]
    if IS_ARMED.replace(false) {
        panic!("injected into a native call");
    }
}
