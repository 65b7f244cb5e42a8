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

/// Frames of one connection that are handled at once: a few dozen microseconds, for which the other
/// tasks of the thread wait.
const MOST_FRAMES: usize = 128;
/// Below that many, more is read the next time.
const FEW_FRAMES: usize = MOST_FRAMES / 4;
/// 64 KiB become 4 KiB.
const MOST_HALVINGS: u8 = 4;

/// How much of one connection is read at once. What a read costs is the number of its frames, so a
/// connection with many small ones is read in smaller pieces.
#[derive(Debug, Default)]
pub(crate) struct ReadQuota {
    halvings: u8,
}

impl ReadQuota {
    /// The bytes to read, of a buffer of `most`.
    pub(crate) fn bytes(&self, most: usize) -> usize {
        most >> self.halvings
    }

    /// Tells how many frames a full read had.
    pub(crate) fn adapt(&mut self, frames: usize) {
        if frames > MOST_FRAMES {
            self.halvings = (self.halvings + 1).min(MOST_HALVINGS);
        } else if frames < FEW_FRAMES {
            self.halvings = self.halvings.saturating_sub(1);
        }
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
    fn many_small_frames_are_read_in_smaller_pieces_and_few_large_ones_in_large_ones() {
        let mut quota = ReadQuota::default();
        assert_eq!(quota.bytes(65_536), 65_536);
        let mut read = |bytes_per_frame: usize| {
            let mut bytes = 0;
            for _ in 0..10 {
                bytes = quota.bytes(65_536);
                quota.adapt(bytes / bytes_per_frame);
            }
            bytes
        };
        assert_eq!(read(100), 8_192, "not more than 128 frames");
        assert_eq!(read(8), 4_096, "but not ever less");
        assert_eq!(read(16_384), 65_536);
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
