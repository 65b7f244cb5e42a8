//! Bounds on what was received and the owner has not got to.

use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

use crate::memory::MUCH_BYTES;

/// What every connection may have waiting whatever the others do, so that a quiet one gets through.
const SHARE_BYTES: usize = 16 * 1024;

/// The bounds of one connection's backlog and of all together.
///
/// Only what a connection has beyond its share counts towards the total, so small backlogs, which
/// are nearly all, touch nothing that connections share. And as the total bound only lowers the
/// bound of each connection to its share, whoever is held back has something waiting and is woken
/// when the owner gets to that: no list of those who wait, no rush when there is room again.
#[derive(Debug)]
pub(crate) struct BacklogBounds {
    each: usize,
    total: usize,
    /// Below 0 for a moment when the owner is faster than who counts what it took.
    used: AtomicIsize,
    was_much: AtomicBool,
}

impl BacklogBounds {
    pub(crate) fn new(each: usize, total: usize) -> Self {
        Self { each, total, used: AtomicIsize::new(0), was_much: AtomicBool::new(false) }
    }

    /// A connection's backlog went from `before` to `after`, both as its own counter says.
    pub(crate) fn changed(&self, before: usize, after: usize) {
        let (before, after) = (beyond_share(before), beyond_share(after));
        if before != after {
            let more = after.cast_signed() - before.cast_signed();
            let used = self.used.fetch_add(more, Ordering::Relaxed).saturating_add(more);
            if used > MUCH_BYTES.cast_signed() {
                self.was_much.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The most that one connection may have waiting now.
    pub(crate) fn bound(&self) -> usize {
        if self.is_full() { self.share() } else { self.each }
    }

    /// The most that may be read at once now.
    pub(crate) fn read_bytes(&self) -> usize {
        if self.is_full() { SHARE_BYTES } else { usize::MAX }
    }

    /// Whether a connection that was held back should look again, since the owner took some.
    pub(crate) fn is_room(&self, before: usize, after: usize) -> bool {
        let crosses = |low: usize| before > low && after <= low;
        crosses(low_mark(self.each)) || crosses(low_mark(self.share()))
    }

    fn share(&self) -> usize {
        self.each.min(SHARE_BYTES)
    }

    fn is_full(&self) -> bool {
        self.used() > self.total
    }

    /// Whether it has been much since this was last asked.
    pub(crate) fn take_was_much(&self) -> bool {
        self.was_much.swap(false, Ordering::Relaxed)
    }

    /// Bytes that count towards the total.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed).max(0).cast_unsigned()
    }
}

/// Who was held back is read again once half of its bound is free.
pub(crate) fn low_mark(bound: usize) -> usize {
    bound / 2
}

fn beyond_share(bytes: usize) -> usize {
    bytes.saturating_sub(SHARE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_exceeds_each_share() {
        let bounds = BacklogBounds::new(1_000_000, 100);
        bounds.changed(0, SHARE_BYTES);
        assert_eq!(bounds.used(), 0);
        bounds.changed(SHARE_BYTES - 1, SHARE_BYTES + 100);
        bounds.changed(SHARE_BYTES + 100, SHARE_BYTES + 60);
        assert_eq!(bounds.used(), 60);
        bounds.changed(SHARE_BYTES + 60, 0);
        assert_eq!(bounds.used(), 0);
    }

    #[test]
    fn a_full_total_leaves_everybody_a_share() {
        let bounds = BacklogBounds::new(1_000_000, 100);
        bounds.changed(0, SHARE_BYTES + 100);
        assert_eq!((bounds.bound(), bounds.read_bytes()), (1_000_000, usize::MAX), "just full");
        bounds.changed(0, SHARE_BYTES + 1);
        assert_eq!((bounds.bound(), bounds.read_bytes()), (SHARE_BYTES, SHARE_BYTES));
        bounds.changed(SHARE_BYTES + 1, 0);
        assert_eq!(bounds.bound(), 1_000_000);
    }

    #[test]
    fn a_bound_below_the_share_stays_as_it_is() {
        let bounds = BacklogBounds::new(1_000, 0);
        bounds.changed(0, SHARE_BYTES + 1);
        assert_eq!(bounds.bound(), 1_000);
        assert!(bounds.is_room(501, 500) && !bounds.is_room(500, 499));
    }

    #[test]
    fn there_is_room_at_half_of_either_bound() {
        let bounds = BacklogBounds::new(1_000_000, usize::MAX);
        assert!(bounds.is_room(500_001, 500_000));
        assert!(!bounds.is_room(500_000, 400_000));
        assert!(bounds.is_room(SHARE_BYTES, SHARE_BYTES / 2));
        assert!(!bounds.is_room(SHARE_BYTES / 2, 0));
    }
}
