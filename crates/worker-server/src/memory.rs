//! When memory that was in use is not any more.

/// From here on messages take so much memory that it is worth giving back.
pub(crate) const MUCH_BYTES: usize = 16 * 1024 * 1024;
/// Up to here what messages take is over.
const LITTLE_BYTES: usize = 1024 * 1024;

/// Notices the end of a time in which messages took much memory: freed in pieces between what is
/// still in use, it stays with the process unless its allocator is asked to look for it.
#[derive(Debug, Default)]
pub(crate) struct Swelling {
    is_seen: bool,
}

impl Swelling {
    /// `held`: what messages take now; `was_much`: whether it was much since this was last called.
    /// True: it was, and is over.
    pub(crate) fn is_over(&mut self, held: usize, was_much: bool) -> bool {
        self.is_seen |= was_much || held > MUCH_BYTES;
        self.is_seen && held <= LITTLE_BYTES && std::mem::take(&mut self.is_seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_over_once_when_little_is_left_of_much() {
        let mut swelling = Swelling::default();
        assert!(!swelling.is_over(MUCH_BYTES, false), "it was never much");
        assert!(!swelling.is_over(0, false));
        assert!(!swelling.is_over(MUCH_BYTES + 1, false));
        assert!(!swelling.is_over(LITTLE_BYTES + 1, false));
        assert!(swelling.is_over(LITTLE_BYTES, false));
        assert!(!swelling.is_over(0, false), "told already");
        assert!(swelling.is_over(0, true), "much and gone between two looks");
    }
}
