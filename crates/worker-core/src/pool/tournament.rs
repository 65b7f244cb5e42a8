//! The lowest load and the sum of free slots over a growing row of entries.
//!
//! A tree of fixed fan-out over the row. Compared with a heap it needs no
//! tie-breaker (the row is in insertion order, the leftmost wins) and gives the
//! sum as well; compared with a running sum nothing is ever subtracted, so that
//! neither rounding nor an infinity stays behind.

/// Children per node. Eight entries are two cache lines, and 100,000 entries
/// are six levels.
const FAN_OUT: usize = 8;

/// What one worker, or all workers below a node, contribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// Share of the capacity in use; infinite if the worker takes nothing.
    pub(super) load: f64,
    /// Free slots. Never NaN in a leaf.
    pub(super) slots: f64,
}

impl Entry {
    /// Contributes nothing.
    pub(super) const NONE: Self = Self { load: f64::INFINITY, slots: 0.0 };

    fn summary(children: &[Self]) -> Self {
        let mut sum = Self::NONE;
        for child in children {
            if child.load < sum.load {
                sum.load = child.load;
            }
            sum.slots += child.slots;
        }
        sum
    }
}

/// The tree. Each level is a row; every [`FAN_OUT`] entries of it are summed up
/// by one entry of the next level. The last level has at most one entry.
pub(super) struct Tournament {
    levels: Vec<Vec<Entry>>,
}

impl Tournament {
    pub(super) fn new(row: Vec<Entry>) -> Self {
        let mut tree = Self { levels: vec![row] };
        while let Some(level) = tree.levels.last()
            && level.len() > 1
        {
            let next = level.chunks(FAN_OUT).map(Entry::summary).collect();
            tree.levels.push(next);
        }
        tree
    }

    /// Appends an entry to the row.
    pub(super) fn push(&mut self, entry: Entry) {
        let mut needed = self.row().len() + 1;
        let last = needed - 1;
        for level in &mut self.levels {
            level.resize(needed, Entry::NONE);
            needed = needed.div_ceil(FAN_OUT);
        }
        if let Some(top) = self.levels.last()
            && top.len() > 1
        {
            let root = Entry::summary(top);
            self.levels.push(vec![root]);
        }
        self.set(last, entry);
    }

    /// Replaces the entry at `index` of the row.
    pub(super) fn set(&mut self, index: usize, entry: Entry) {
        let mut index = index;
        let mut entry = entry;
        for level in &mut self.levels {
            match level.get_mut(index) {
                // What is above is a sum of what is here.
                Some(present) if *present == entry => return,
                Some(present) => *present = entry,
                None => return,
            }
            index /= FAN_OUT;
            entry = level.chunks(FAN_OUT).nth(index).map_or(Entry::NONE, Entry::summary);
        }
    }

    /// Where in the row the lowest load is, the first one on a tie; `None` if
    /// all are infinite.
    pub(super) fn best(&self) -> Option<usize> {
        let lowest = self.total().load;
        if lowest == f64::INFINITY {
            return None;
        }
        let mut index = 0;
        for level in self.levels.iter().rev().skip(1) {
            let children = level.chunks(FAN_OUT).nth(index)?;
            index = index * FAN_OUT + children.iter().position(|child| child.load == lowest)?;
        }
        Some(index)
    }

    /// The lowest load and the sum of all slots. The sum is NaN if infinities of
    /// both signs meet.
    pub(super) fn total(&self) -> Entry {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(Entry::NONE)
    }

    pub(super) fn row(&self) -> &[Entry] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(load: f64, slots: f64) -> Entry {
        Entry { load, slots }
    }

    #[test]
    fn empty() {
        let tree = Tournament::new(vec![]);
        assert_eq!(tree.best(), None);
        assert_eq!(tree.total(), Entry::NONE);
    }

    #[test]
    fn pushing_equals_building() {
        let mut pushed = Tournament::new(vec![]);
        let mut row = Vec::new();
        for n in 0..600_u32 {
            let next = entry(f64::from((n * 7919) % 601), f64::from(n));
            row.push(next);
            pushed.push(next);
            let built = Tournament::new(row.clone());
            assert_eq!(pushed.levels, built.levels, "{n}");
        }
    }

    #[test]
    fn setting_keeps_minimum_and_sum() {
        let mut row = vec![entry(0.5, 1.0); 1000];
        let mut tree = Tournament::new(row.clone());
        for step in 0..3000_usize {
            let at = (step * 379) % 1000;
            let next = entry(((step * 31) % 64) as f64 / 64.0, (step % 5) as f64 - 2.0);
            row[at] = next;
            tree.set(at, next);
            let lowest = row.iter().map(|e| e.load).fold(f64::INFINITY, f64::min);
            assert_eq!(tree.best(), row.iter().position(|e| e.load == lowest));
            assert_eq!(tree.total().slots, row.iter().map(|e| e.slots).sum::<f64>());
        }
    }

    #[test]
    fn the_leftmost_wins_and_nobody_if_all_are_infinite() {
        let mut tree = Tournament::new(vec![Entry::NONE; 100]);
        assert_eq!(tree.best(), None);
        tree.set(70, entry(0.25, 0.0));
        tree.set(9, entry(0.25, 0.0));
        tree.set(99, entry(0.5, 0.0));
        assert_eq!(tree.best(), Some(9));
        tree.set(9, Entry::NONE);
        assert_eq!(tree.best(), Some(70));
    }

    #[test]
    fn infinities_leave_nothing_behind() {
        let mut tree = Tournament::new(vec![entry(0.0, 3.0); 20]);
        tree.set(4, entry(0.0, f64::INFINITY));
        assert_eq!(tree.total().slots, f64::INFINITY);
        tree.set(15, entry(0.0, f64::NEG_INFINITY));
        assert!(tree.total().slots.is_nan());
        tree.set(4, entry(0.0, 3.0));
        tree.set(15, entry(0.0, 1e300));
        tree.set(15, entry(0.0, 3.0));
        assert_eq!(tree.total().slots, 60.0);
    }

    #[test]
    fn an_index_outside_changes_nothing() {
        let mut tree = Tournament::new(vec![entry(0.5, 1.0)]);
        tree.set(1, entry(0.0, 5.0));
        assert_eq!(tree.total(), entry(0.5, 1.0));
    }
}
