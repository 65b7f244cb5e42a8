//! A tournament over a growing row of contributions: the best of them, and sums.
//!
//! A tree of fixed fan-out over the row. Compared with a heap it needs no
//! tie-breaker (the leftmost wins) and gives the sums as well; compared with a
//! running sum nothing is ever subtracted, so that neither rounding nor an
//! infinity stays behind.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// Children per node. 100,000 entries are six levels.
const FAN_OUT: usize = 8;

/// What one worker, or all workers below a node, contribute.
pub(super) trait Contribution: Copy + PartialEq {
    /// Contributes nothing.
    const NONE: Self;

    fn summary(children: &[Self]) -> Self;
}

/// For choosing the lowest load, and for counting free slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// Share of the capacity in use; infinite if the worker takes nothing.
    pub(super) load: f64,
    /// Free slots. Never NaN in a leaf.
    pub(super) slots: f64,
}

impl Contribution for Entry {
    const NONE: Self = Self { load: f64::INFINITY, slots: 0.0 };

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

/// For choosing among the lowest loads by precedence, and for counting the room
/// that is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidacy {
    /// As in [`Entry`].
    pub(super) load: f64,
    /// Of the workers with that load the lowest goes first. Infinite if the load is.
    pub(super) precedence: f64,
    /// Free slots, but none instead of fewer than none.
    pub(super) room: f64,
}

impl Contribution for Candidacy {
    const NONE: Self = Self { load: f64::INFINITY, precedence: f64::INFINITY, room: 0.0 };

    fn summary(children: &[Self]) -> Self {
        let mut sum = Self::NONE;
        for child in children {
            if child.load < sum.load || child.load == sum.load && child.precedence < sum.precedence
            {
                sum.load = child.load;
                sum.precedence = child.precedence;
            }
            sum.room += child.room;
        }
        sum
    }
}

/// The tree. Each level is a row; every [`FAN_OUT`] entries of it are summed up
/// by one entry of the next level. The last level has at most one entry.
pub(super) struct Tournament<C> {
    levels: Vec<Vec<C>>,
}

impl<C: Contribution> Tournament<C> {
    pub(super) fn new(row: Vec<C>) -> Self {
        let mut tree = Self { levels: vec![row] };
        while let Some(level) = tree.levels.last()
            && level.len() > 1
        {
            let next = level.chunks(FAN_OUT).map(C::summary).collect();
            tree.levels.push(next);
        }
        tree
    }

    /// Appends an entry to the row.
    pub(super) fn push(&mut self, entry: C) {
        let mut needed = self.row().len() + 1;
        let last = needed - 1;
        for level in &mut self.levels {
            level.resize(needed, C::NONE);
            needed = needed.div_ceil(FAN_OUT);
        }
        if let Some(top) = self.levels.last()
            && top.len() > 1
        {
            let root = C::summary(top);
            self.levels.push(vec![root]);
        }
        self.set(last, entry);
    }

    /// Replaces the entry at `index` of the row.
    pub(super) fn set(&mut self, index: usize, entry: C) {
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
            entry = level.chunks(FAN_OUT).nth(index).map_or(C::NONE, C::summary);
        }
    }

    /// The best of all, and the sums.
    pub(super) fn total(&self) -> C {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(C::NONE)
    }

    pub(super) fn row(&self) -> &[C] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Follows the first match from the top, which must be one, down to the row.
    fn leftmost(&self, matches: impl Fn(&C) -> bool) -> Option<usize> {
        let mut index = 0;
        for level in self.levels.iter().rev().skip(1) {
            let children = level.chunks(FAN_OUT).nth(index)?;
            index = index * FAN_OUT + children.iter().position(&matches)?;
        }
        Some(index)
    }
}

impl Tournament<Entry> {
    /// Where in the row the lowest load is, the first one on a tie; `None` if
    /// all are infinite.
    pub(super) fn best(&self) -> Option<usize> {
        let lowest = self.total().load;
        (lowest < f64::INFINITY).then(|| self.leftmost(|entry| entry.load == lowest))?
    }

    /// The sum of free slots. NaN if infinities of both signs meet.
    pub(super) fn slots(&self) -> f64 {
        self.total().slots
    }
}

impl Tournament<Candidacy> {
    /// Where in the row the first `most` by load and precedence are, in that
    /// order; the leftmost first where both are equal.
    ///
    /// Takes time by `most`, not by the length of the row.
    pub(super) fn first(&self, most: usize) -> Vec<usize> {
        if most == 1 {
            // What nearly every question is about, and much cheaper so.
            return self.foremost().into_iter().collect();
        }
        let mut first = Vec::new();
        let mut open = BinaryHeap::new();
        if let (Some(depth), Some(top)) = (self.levels.len().checked_sub(1), self.levels.last()) {
            open.extend(top.iter().map(|root| Reverse(Branch { best: *root, depth, index: 0 })));
        }
        while first.len() < most
            && let Some(Reverse(branch)) = open.pop()
            && branch.best.load < f64::INFINITY
        {
            let Some(depth) = branch.depth.checked_sub(1) else {
                first.push(branch.index);
                continue;
            };
            let children = self.levels.get(depth).and_then(|l| l.chunks(FAN_OUT).nth(branch.index));
            let indices = branch.index * FAN_OUT..;
            open.extend(
                children
                    .into_iter()
                    .flatten()
                    .zip(indices)
                    .map(|(best, index)| Reverse(Branch { best: *best, depth, index })),
            );
        }
        first
    }

    fn foremost(&self) -> Option<usize> {
        let Candidacy { load, precedence, .. } = self.total();
        let is_it = |at: &Candidacy| at.load == load && at.precedence == precedence;
        (load < f64::INFINITY).then(|| self.leftmost(is_it))?
    }

    /// The sum of the room left.
    pub(super) fn room(&self) -> f64 {
        self.total().room
    }
}

/// A node that is next to be looked into, with what is best below it.
struct Branch {
    best: Candidacy,
    depth: usize,
    index: usize,
}

impl Ord for Branch {
    fn cmp(&self, other: &Self) -> Ordering {
        let leftmost = |branch: &Self| branch.index * FAN_OUT.pow(branch.depth as u32);
        // Loads and precedences are no NaN, and -0 is as good as 0.
        let by = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
        by(self.best.load, other.best.load)
            .then(by(self.best.precedence, other.best.precedence))
            .then(leftmost(self).cmp(&leftmost(other)))
    }
}

impl PartialOrd for Branch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Branch {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Branch {}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(load: f64, slots: f64) -> Entry {
        Entry { load, slots }
    }

    fn candidacy(load: f64, precedence: f64) -> Candidacy {
        Candidacy { load, precedence, room: 1.0 }
    }

    #[test]
    fn empty() {
        let tree = Tournament::<Entry>::new(vec![]);
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
    fn the_first_by_load_and_precedence() {
        let row: Vec<_> = (0..700_u32)
            .map(|n| match n % 5 {
                0 => Candidacy::NONE,
                _ => candidacy(f64::from(n % 3) / 4.0, f64::from((n * 7919) % 331)),
            })
            .collect();
        let mut expected: Vec<usize> =
            (0..row.len()).filter(|at| row[*at] != Candidacy::NONE).collect();
        // Stable: the leftmost of equals stays first.
        expected.sort_by(|a, b| {
            let key = |at: &usize| (row[*at].load, row[*at].precedence);
            key(a).partial_cmp(&key(b)).unwrap()
        });
        let tree = Tournament::new(row);
        assert!(tree.first(0).is_empty());
        assert_eq!(tree.first(1), expected[..1]);
        assert_eq!(tree.first(100), expected[..100]);
        assert_eq!(tree.first(usize::MAX), expected);
        assert!(Tournament::<Candidacy>::new(vec![]).first(3).is_empty());
        assert_eq!(Tournament::new(vec![candidacy(0.5, 1.0)]).first(3), [0]);
        assert!(Tournament::new(vec![Candidacy::NONE]).first(1).is_empty());
        assert!(Tournament::new(vec![Candidacy::NONE]).first(3).is_empty());
    }

    #[test]
    fn an_index_outside_changes_nothing() {
        let mut tree = Tournament::new(vec![entry(0.5, 1.0)]);
        tree.set(1, entry(0.0, 5.0));
        assert_eq!(tree.total(), entry(0.5, 1.0));
    }
}
