//! Capabilities and sets of capabilities, each kept once.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;
use smallvec::SmallVec;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct CapabilityId(u32);

/// The capabilities of a worker, in its own order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ProfileId(u32);

type Ids = SmallVec<[CapabilityId; 4]>;

struct Counted<T> {
    value: T,
    users: usize,
}

/// Names are forgotten when no worker has them.
#[derive(Default)]
pub(super) struct Interner {
    names: Slab<Counted<Arc<str>>>,
    by_name: HashMap<Arc<str>, CapabilityId>,
    profiles: Slab<Counted<Arc<[CapabilityId]>>>,
    by_ids: HashMap<Arc<[CapabilityId]>, ProfileId>,
}

impl Interner {
    /// The capability of this name, if any worker has it.
    pub(super) fn capability(&self, name: &str) -> Option<CapabilityId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn ids(&self, profile: ProfileId) -> &[CapabilityId] {
        self.profiles.get(profile.0 as usize).map_or(&[], |profile| &profile.value)
    }

    pub(super) fn names(&self, profile: ProfileId) -> impl ExactSizeIterator<Item = &str> {
        self.ids(profile)
            .iter()
            .map(|id| self.names.get(id.0 as usize).map_or("", |name| &*name.value))
    }

    /// Counts one more user of a profile with these capabilities.
    pub(super) fn acquire<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> ProfileId {
        let ids: Ids = names.map(|name| self.intern(name)).collect();
        if let Some(&found) = self.by_ids.get(&*ids) {
            if let Some(profile) = self.profiles.get_mut(found.0 as usize) {
                profile.users += 1;
            }
            return found;
        }
        for id in &ids {
            if let Some(name) = self.names.get_mut(id.0 as usize) {
                name.users += 1;
            }
        }
        let ids: Arc<[CapabilityId]> = ids.as_slice().into();
        let profile =
            ProfileId(self.profiles.insert(Counted { value: Arc::clone(&ids), users: 1 }) as u32);
        self.by_ids.insert(ids, profile);
        profile
    }

    /// Counts one user less.
    pub(super) fn release(&mut self, profile: ProfileId) {
        let Some(counted) = self.profiles.get_mut(profile.0 as usize) else { return };
        counted.users -= 1;
        if counted.users > 0 {
            return;
        }
        let ids = self.profiles.remove(profile.0 as usize).value;
        self.by_ids.remove(&ids);
        for id in &*ids {
            let Some(name) = self.names.get_mut(id.0 as usize) else { continue };
            name.users -= 1;
            if name.users == 0 {
                let name = self.names.remove(id.0 as usize).value;
                self.by_name.remove(&name);
            }
        }
    }

    /// The id of a name, which has no user yet if it is new.
    fn intern(&mut self, name: &str) -> CapabilityId {
        if let Some(found) = self.by_name.get(name) {
            return *found;
        }
        let name: Arc<str> = name.into();
        let counted = Counted { value: Arc::clone(&name), users: 0 };
        let id = CapabilityId(self.names.insert(counted) as u32);
        self.by_name.insert(name, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_no_worker_has() {
        let mut interner = Interner::default();
        let both = interner.acquire(["a", "b"].into_iter());
        let same = interner.acquire(["a", "b"].into_iter());
        let twice = interner.acquire(["b", "b"].into_iter());
        assert_eq!(both, same);
        assert_eq!(interner.names(twice).collect::<Vec<_>>(), ["b", "b"]);
        interner.release(both);
        assert!(interner.capability("a").is_some());
        interner.release(same);
        assert!(interner.capability("a").is_none());
        assert!(interner.capability("b").is_some());
        interner.release(twice);
        assert!(interner.by_name.is_empty() && interner.by_ids.is_empty());
        assert!(interner.names.is_empty() && interner.profiles.is_empty());
    }
}
