//! What distinguishes workers for matching: models and category limits.
//!
//! Most workers of a fleet declare the same ones. Each distinct set is kept
//! once, so that a wanted model is compared with few profiles instead of with
//! every model of every worker.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use super::matching::model_matches;
use crate::protocol::Capabilities;

/// Number of a profile; reused after its last worker is gone.
pub(super) type ProfileId = usize;

/// Models and category limits.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Profile {
    pub(super) models: Vec<String>,
    /// Sorted by category, each once. The limit is kept as bits, to be hashed.
    limits: Vec<(String, u64)>,
}

impl Profile {
    pub(super) fn new(models: Vec<String>, limits: Vec<(String, f64)>) -> Self {
        let mut limits: Vec<_> =
            limits.into_iter().map(|(category, limit)| (category, limit.to_bits())).collect();
        // Of duplicates the last counts: reversed and sorted stably it is the first.
        limits.reverse();
        limits.sort_by(|a, b| a.0.cmp(&b.0));
        limits.dedup_by(|later, kept| later.0 == kept.0);
        Self { models, limits }
    }

    pub(super) fn matches(&self, wanted: &str) -> bool {
        self.models.iter().any(|model| model_matches(model, wanted))
    }

    pub(super) fn limit(&self, category: &str) -> Option<f64> {
        let at = self.limits.binary_search_by(|(known, _)| known.as_str().cmp(category)).ok()?;
        self.limits.get(at).map(|(_, bits)| f64::from_bits(*bits))
    }
}

/// All profiles that some worker has.
#[derive(Default)]
pub(super) struct Profiles {
    entries: Slab<Entry>,
    ids: HashMap<Arc<Profile>, ProfileId>,
    /// How many profiles limit a category.
    limited: HashMap<String, usize>,
}

struct Entry {
    profile: Arc<Profile>,
    workers: usize,
}

/// A profile that now has one more worker.
pub(super) struct Acquired {
    pub(super) id: ProfileId,
    pub(super) profile: Arc<Profile>,
    /// No other worker has it.
    pub(super) is_new: bool,
}

impl Profiles {
    pub(super) fn acquire(&mut self, capabilities: Capabilities) -> Acquired {
        let profile = Profile::new(capabilities.models, capabilities.concurrency_limits);
        if let Some(&id) = self.ids.get(&profile)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.workers += 1;
            return Acquired { id, profile: Arc::clone(&entry.profile), is_new: false };
        }
        for (category, _) in &profile.limits {
            *self.limited.entry(category.clone()).or_default() += 1;
        }
        let profile = Arc::new(profile);
        let id = self.entries.insert(Entry { profile: Arc::clone(&profile), workers: 1 });
        self.ids.insert(Arc::clone(&profile), id);
        Acquired { id, profile, is_new: true }
    }

    /// One worker less; returns whether the profile is gone.
    pub(super) fn release(&mut self, id: ProfileId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        entry.workers -= 1;
        if entry.workers > 0 {
            return false;
        }
        let Entry { profile, .. } = self.entries.remove(id);
        for (category, _) in &profile.limits {
            if let Some(count) = self.limited.get_mut(category) {
                *count -= 1;
                if *count == 0 {
                    self.limited.remove(category);
                }
            }
        }
        self.ids.remove(&profile);
        true
    }

    /// Whether any worker has a limit for the category.
    pub(super) fn limit_category(&self, category: &str) -> bool {
        !self.limited.is_empty() && self.limited.contains_key(category)
    }

    /// The profiles that have a model matching `wanted`.
    pub(super) fn matching(&self, wanted: &str) -> ProfileSet {
        self.those(|profile| profile.matches(wanted))
    }

    /// All of them, also those without a model.
    pub(super) fn all(&self) -> ProfileSet {
        self.those(|_| true)
    }

    fn those(&self, wanted: impl Fn(&Profile) -> bool) -> ProfileSet {
        let mut set = ProfileSet::default();
        for (id, entry) in &self.entries {
            if wanted(&entry.profile) {
                set.insert(id);
            }
        }
        set
    }
}

/// A set of profile numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProfileSet {
    /// One bit each. The last word is never 0, so that equal sets are equal vectors.
    words: Vec<u64>,
}

impl ProfileSet {
    pub(super) fn insert(&mut self, id: ProfileId) {
        let at = id / 64;
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (id % 64);
        }
    }

    pub(super) fn remove(&mut self, id: ProfileId) {
        if let Some(word) = self.words.get_mut(id / 64) {
            *word &= !(1 << (id % 64));
        }
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    pub(super) fn contains(&self, id: ProfileId) -> bool {
        self.words.get(id / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(models: &[&str], limits: &[(&str, f64)]) -> Capabilities {
        Capabilities {
            models: models.iter().map(ToString::to_string).collect(),
            max_concurrent_requests: 1.0,
            concurrency_limits: limits.iter().map(|(c, l)| (c.to_string(), *l)).collect(),
        }
    }

    #[test]
    fn equal_profiles_are_shared_until_the_last_worker_goes() {
        let mut profiles = Profiles::default();
        let first = profiles.acquire(capabilities(&["a"], &[("c", 1.0), ("b", 2.0)]));
        let second = profiles.acquire(capabilities(&["a"], &[("b", 2.0), ("c", 1.0)]));
        let other = profiles.acquire(capabilities(&["a"], &[]));
        assert!(first.is_new && !second.is_new && other.is_new);
        assert_eq!(first.id, second.id);
        assert!(profiles.limit_category("c") && !profiles.limit_category("x"));
        assert!(!profiles.release(first.id));
        assert!(profiles.release(first.id));
        assert!(!profiles.limit_category("c"));
    }

    #[test]
    fn the_last_duplicate_limit_counts() {
        let profile = Profile::new(vec![], vec![("c".into(), 1.0), ("c".into(), 2.0)]);
        assert_eq!(profile.limit("c"), Some(2.0));
        assert_eq!(profile.limit("d"), None);
    }

    #[test]
    fn sets_of_equal_content_are_equal() {
        let mut set = ProfileSet::default();
        set.insert(3);
        set.insert(200);
        assert!(set.contains(200) && !set.contains(201) && !set.contains(9_999));
        set.remove(200);
        let mut other = ProfileSet::default();
        other.insert(3);
        assert_eq!(set, other);
        set.remove(3);
        assert!(set.is_empty());
    }
}
