//! Whether the connections of a server are read at the moment.

use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// Pauses the reading of all connections of a server. Nothing waits on a thread for that: each
/// connection's task looks at the state and is woken when it changes.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    is_paused: AtomicBool,
    resumed: Notify,
}

impl Reading {
    pub(crate) fn pause(&self) {
        self.is_paused.store(true, Ordering::Release);
    }

    pub(crate) fn resume(&self) {
        self.is_paused.store(false, Ordering::Release);
        self.resumed.notify_waiters();
    }

    /// Resolves when reading goes on. `None`: it is not paused.
    pub(crate) fn paused(&self) -> Option<Pin<Box<Notified<'_>>>> {
        if !self.is_paused.load(Ordering::Acquire) {
            return None;
        }
        let resumed = Box::pin(self.resumed.notified());
        // It may have been resumed before the future was there to be told.
        self.is_paused.load(Ordering::Acquire).then_some(resumed)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_ready(future: &mut Pin<Box<Notified<'_>>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn all_that_wait_go_on_together() {
        let reading = Reading::default();
        assert!(reading.paused().is_none());
        reading.pause();
        let (mut polled, mut fresh) = (reading.paused().unwrap(), reading.paused().unwrap());
        assert!(!is_ready(&mut polled));
        reading.resume();
        assert!(is_ready(&mut polled) && is_ready(&mut fresh), "also before it was polled");
        assert!(reading.paused().is_none());
    }

    #[test]
    fn each_pause_is_waited_for_anew() {
        let reading = Reading::default();
        reading.pause();
        reading.resume();
        reading.pause();
        assert!(!is_ready(&mut reading.paused().unwrap()));
    }
}
