//! Answers to "who takes this?", kept up to date instead of computed.
//!
//! A question is a wanted model, or any, and perhaps a category. Wanted models
//! that the same profiles match form a group; a group has one [`Ranking`] per category
//! that some worker limits, and one for all other questions. So a fleet of equal
//! workers with twenty models has one ranking, and each change of a worker
//! updates one.
//!
//! Everything here is a memo. It is bounded, may be dropped at any time, and is
//! built again from the workers when asked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use slab::Slab;

use super::{
    profile::{Profile, ProfileId, ProfileSet, Profiles},
    ranking::{Membership, Ranking, RankingId},
    worker::{Slot, WorkerState},
};

/// Wanted models to remember the group of.
const MAX_WANTED: usize = 512;

/// Rankings to keep.
const MAX_RANKINGS: usize = 1024;

/// Rankings to keep if all workers are in each; bounds memory and the time that
/// one change of a worker takes.
const MAX_MEAN_MEMBERSHIPS: usize = 64;

#[derive(Default)]
pub(super) struct Selection {
    wanted: HashMap<Box<str>, Wanted>,
    /// The group of the questions for any model, which every profile matches.
    any: Option<usize>,
    groups: Slab<Group>,
    rankings: Slab<Ranking>,
    /// Positions in all rankings.
    positions: usize,
    /// Counts questions, to know what was not asked for longest.
    clock: u64,
}

struct Wanted {
    group: usize,
    last_used: u64,
}

/// The wanted models that the same profiles match.
struct Group {
    profiles: ProfileSet,
    /// How many wanted models refer to it, `any` included; never 0.
    wanted: usize,
    plain: Option<RankingId>,
    by_category: HashMap<Arc<str>, RankingId>,
}

impl Selection {
    /// The ranking that answers a question; `None` if no worker matches.
    pub(super) fn ranking(
        &mut self,
        wanted: Option<&str>,
        category: Option<&str>,
        profiles: &Profiles,
        order: &BTreeMap<u64, Slot>,
        workers: &mut Slab<WorkerState>,
    ) -> Option<&mut Ranking> {
        self.clock += 1;
        // A category that nobody limits makes no difference.
        let category = category.filter(|category| profiles.limit_category(category));
        let group_id = match wanted {
            Some(wanted) => self.group_for(wanted, profiles, workers),
            None => match self.any {
                Some(known) => known,
                None => {
                    let id = self.join_group(profiles.all());
                    self.any = Some(id);
                    id
                }
            },
        };
        let group = self.groups.get(group_id)?;
        if group.profiles.is_empty() {
            return None;
        }
        let known = match category {
            None => group.plain,
            Some(category) => group.by_category.get(category).copied(),
        };
        let id = match known {
            Some(id) => id,
            None => self.build(group_id, category, order, workers)?,
        };
        let ranking = self.rankings.get_mut(id as usize)?;
        ranking.last_used = self.clock;
        Some(ranking)
    }

    /// Takes in a worker that is the last in order.
    pub(super) fn add_worker(&mut self, slot: Slot, worker: &mut WorkerState) {
        for (id, ranking) in &mut self.rankings {
            let matches = self
                .groups
                .get(ranking.group)
                .is_some_and(|group| group.profiles.contains(worker.profile_id));
            if matches {
                self.positions += 1;
                worker.memberships.push(Membership {
                    ranking: id as RankingId,
                    position: ranking.push(slot, worker),
                });
            }
        }
    }

    /// Lets go of a worker that is no longer among `workers`.
    pub(super) fn remove_worker(
        &mut self,
        worker: &mut WorkerState,
        workers: &mut Slab<WorkerState>,
    ) {
        for membership in std::mem::take(&mut worker.memberships) {
            self.leave(membership, workers);
        }
    }

    /// Takes note of a worker's new profile.
    pub(super) fn reassign_worker(&mut self, slot: Slot, workers: &mut Slab<WorkerState>) {
        let Some(worker) = workers.get_mut(slot.key()) else {
            return;
        };
        let profile = worker.profile_id;
        let memberships = std::mem::take(&mut worker.memberships);
        let (stay, go): (Vec<_>, Vec<_>) = memberships.into_iter().partition(|membership| {
            self.group_of(membership.ranking).is_some_and(|group| group.profiles.contains(profile))
        });
        // A ranking it joins has no place for it: it is not the last in order.
        let joined: Vec<RankingId> = self
            .rankings
            .iter()
            .map(|(id, _)| id as RankingId)
            .filter(|id| {
                self.group_of(*id).is_some_and(|group| group.profiles.contains(profile))
                    && !stay.iter().any(|membership| membership.ranking == *id)
            })
            .collect();
        worker.memberships = stay.into_iter().collect();
        for membership in go {
            self.leave(membership, workers);
        }
        for id in joined {
            self.drop_ranking(id, workers);
        }
    }

    /// Takes note of a change of a worker that leaves its profile alone.
    pub(super) fn refresh(&mut self, worker: &WorkerState) {
        for membership in &worker.memberships {
            if let Some(ranking) = self.rankings.get_mut(membership.ranking as usize) {
                ranking.refresh(membership.position, worker);
            }
        }
    }

    /// Takes in a profile that no worker has yet.
    pub(super) fn add_profile(&mut self, id: ProfileId, profile: &Profile) {
        // The wanted models of a group must go on to agree. The first one found
        // decides; those that disagree are forgotten and find their group anew.
        let mut verdicts: HashMap<_, _> = self.any.into_iter().map(|group| (group, true)).collect();
        let groups = &mut self.groups;
        self.wanted.retain(|wanted, known| {
            let matches = profile.matches(wanted);
            let agrees = *verdicts.entry(known.group).or_insert(matches) == matches;
            if !agrees && let Some(group) = groups.get_mut(known.group) {
                group.wanted -= 1;
            }
            agrees
        });
        for (group, matches) in verdicts {
            if matches && let Some(group) = groups.get_mut(group) {
                group.profiles.insert(id);
            }
        }
    }

    /// Lets go of a profile that no worker has any more.
    pub(super) fn remove_profile(&mut self, id: ProfileId) {
        for (_, group) in &mut self.groups {
            group.profiles.remove(id);
        }
    }

    fn group_for(
        &mut self,
        wanted: &str,
        profiles: &Profiles,
        workers: &mut Slab<WorkerState>,
    ) -> usize {
        if let Some(known) = self.wanted.get_mut(wanted) {
            known.last_used = self.clock;
            return known.group;
        }
        if self.wanted.len() >= MAX_WANTED {
            self.forget_oldest_wanted(workers);
        }
        let group = self.join_group(profiles.matching(wanted));
        self.wanted.insert(wanted.into(), Wanted { group, last_used: self.clock });
        group
    }

    /// The group with these profiles, which is then referred to once more.
    fn join_group(&mut self, matching: ProfileSet) -> usize {
        let known =
            self.groups.iter().find_map(|(id, group)| (group.profiles == matching).then_some(id));
        let id = known.unwrap_or_else(|| {
            self.groups.insert(Group {
                profiles: matching,
                wanted: 0,
                plain: None,
                by_category: HashMap::new(),
            })
        });
        if let Some(group) = self.groups.get_mut(id) {
            group.wanted += 1;
        }
        id
    }

    fn forget_oldest_wanted(&mut self, workers: &mut Slab<WorkerState>) {
        let Some(oldest) = self
            .wanted
            .iter()
            .min_by_key(|(_, known)| known.last_used)
            .map(|(wanted, _)| wanted.clone())
        else {
            return;
        };
        let Some(Wanted { group: id, .. }) = self.wanted.remove(&oldest) else {
            return;
        };
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.wanted -= 1;
        if group.wanted == 0 {
            let rankings: Vec<_> =
                group.plain.into_iter().chain(group.by_category.values().copied()).collect();
            for ranking in rankings {
                self.drop_ranking(ranking, workers);
            }
            self.groups.try_remove(id);
        }
    }

    fn build(
        &mut self,
        group_id: usize,
        category: Option<&str>,
        order: &BTreeMap<u64, Slot>,
        workers: &mut Slab<WorkerState>,
    ) -> Option<RankingId> {
        let limit = MAX_MEAN_MEMBERSHIPS * workers.len().max(1024);
        while self.rankings.len() >= MAX_RANKINGS || self.positions > limit {
            let oldest = self
                .rankings
                .iter()
                .min_by_key(|(_, ranking)| ranking.last_used)
                .map(|(id, _)| id as RankingId)?;
            self.drop_ranking(oldest, workers);
        }
        let group = self.groups.get_mut(group_id)?;
        let category: Option<Arc<str>> = category.map(Arc::from);
        let id = self.rankings.vacant_key() as RankingId;
        match &category {
            None => group.plain = Some(id),
            Some(category) => {
                group.by_category.insert(Arc::clone(category), id);
            }
        }
        let mut members = Vec::new();
        for slot in order.values() {
            if let Some(worker) = workers.get_mut(slot.key())
                && group.profiles.contains(worker.profile_id)
            {
                worker.memberships.push(Membership { ranking: id, position: members.len() as u32 });
                members.push((*slot, worker.entry(category.as_deref())));
            }
        }
        self.positions += members.len();
        self.rankings.insert(Ranking::new(group_id, category, members));
        Some(id)
    }

    fn drop_ranking(&mut self, id: RankingId, workers: &mut Slab<WorkerState>) {
        let Some(ranking) = self.rankings.try_remove(id as usize) else {
            return;
        };
        self.positions -= ranking.len();
        for slot in ranking.members() {
            if let Some(worker) = workers.get_mut(slot.key()) {
                worker.memberships.retain(|membership| membership.ranking != id);
            }
        }
        if let Some(group) = self.groups.get_mut(ranking.group) {
            match &ranking.category {
                None => group.plain = None,
                Some(category) => {
                    group.by_category.remove(category);
                }
            }
        }
    }

    fn leave(&mut self, membership: Membership, workers: &mut Slab<WorkerState>) {
        let Some(ranking) = self.rankings.get_mut(membership.ranking as usize) else {
            return;
        };
        ranking.leave(membership.position);
        if !ranking.is_sparse() {
            return;
        }
        self.positions -= ranking.len();
        ranking.compact(|slot, position| {
            let moved = workers.get_mut(slot.key()).and_then(|worker| {
                worker.memberships.iter_mut().find(|known| known.ranking == membership.ranking)
            });
            if let Some(moved) = moved {
                moved.position = position;
            }
        });
        self.positions += ranking.len();
    }

    /// How many wanted models and rankings are remembered.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.wanted.len(), self.rankings.len())
    }

    #[cfg(test)]
    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    fn group_of(&self, ranking: RankingId) -> Option<&Group> {
        self.groups.get(self.rankings.get(ranking as usize)?.group)
    }
}
