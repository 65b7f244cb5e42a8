//! Questions: which workers are there, and which are the best.

use super::{
    HealthStatus, Load, Store,
    interner::{CapabilityId, Interner},
    ranking::{Availability, Class},
    record::WorkerRecord,
    store::RankingId,
};

/// Which workers are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// They have all of these.
    pub capabilities: Vec<String>,
    /// They have one of these; empty: any.
    pub health: Vec<HealthStatus>,
    /// They have so many free slots. `None`: they may be overbooked.
    pub min_available_capacity: Option<f64>,
}

/// A worker as a question finds it.
#[derive(Clone, Copy)]
pub struct WorkerView<'a> {
    record: &'a WorkerRecord,
    interner: &'a Interner,
    /// The health now.
    pub health: HealthStatus,
    /// The priority now.
    pub priority: f64,
}

impl<'a> WorkerView<'a> {
    pub(super) fn new(
        record: &'a WorkerRecord,
        interner: &'a Interner,
        health: HealthStatus,
        priority: f64,
    ) -> Self {
        Self { record, interner, health, priority }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.record.id()
    }

    /// What the worker calls its node.
    #[must_use]
    pub fn node_id(&self) -> &'a str {
        self.record.node_id()
    }

    /// In the worker's own order.
    #[must_use]
    pub fn capabilities(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        self.interner.names(self.record.profile)
    }

    /// Slots, slots in use and metrics.
    #[must_use]
    pub fn load(&self) -> Load {
        self.record.load
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn last_heartbeat(&self) -> f64 {
        self.record.last_heartbeat
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn started_at(&self) -> f64 {
        self.record.started_at
    }

    /// It gets no reservation any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.record.is_draining
    }
}

/// A filter whose capabilities all exist.
struct Resolved {
    /// The one that the fewest workers have. `None`: none is wanted.
    rarest: Option<CapabilityId>,
    others: Vec<CapabilityId>,
    health: [bool; 3],
    min_available: f64,
}

impl Resolved {
    fn has_health(&self, health: HealthStatus) -> bool {
        self.health.get(health as usize).copied().unwrap_or_default()
    }

    fn accepts_all(&self) -> bool {
        let has_least = self.min_available > f64::NEG_INFINITY;
        self.rarest.is_none() && self.health == [true; 3] && !has_least
    }

    fn accepts(&self, record: &WorkerRecord, interner: &Interner) -> bool {
        if record.load.available_capacity() < self.min_available {
            return false;
        }
        let ids = interner.ids(record.profile);
        self.others.iter().all(|wanted| ids.contains(wanted))
    }

    /// Workers with at least one free slot are in two of the three availabilities.
    fn may_be(&self, availability: Availability) -> bool {
        availability != Availability::Full || self.min_available < 1.0
    }
}

impl Store {
    /// The index of a worker, which is good until the next change of the store.
    pub fn index_of(&mut self, id: &str, now: f64) -> Option<u32> {
        self.expire(now);
        self.table.find_worker(id).filter(|index| self.table.worker(*index).is_some())
    }

    /// The workers that a filter accepts, in the order of their registration.
    pub fn discover(&mut self, ranking: RankingId, filter: &Filter, now: f64) -> Vec<u32> {
        self.bring_up_to_date(ranking, now);
        let Some(filter) = self.resolve(ranking, filter) else { return Vec::new() };
        let Some(ranking) = self.ranking(ranking) else { return Vec::new() };
        if filter.accepts_all() {
            // Already in order.
            return self.table.workers().map(|(index, _)| index).collect();
        }
        let mut found: Vec<u32> = Availability::ALL
            .into_iter()
            .filter(|availability| filter.may_be(*availability))
            .flat_map(|availability| HealthStatus::ALL.map(|health| (health, availability)))
            .filter(|(health, _)| filter.has_health(*health))
            .flat_map(|(health, availability)| {
                let class = Class::new(health, availability);
                ranking.walk(filter.rarest, move |other| other == class)
            })
            .filter(|index| self.is_accepted(&filter, *index))
            .collect();
        found.sort_unstable();
        found
    }

    /// The best `limit` workers that a filter accepts, best first.
    pub fn rank(
        &mut self,
        ranking: RankingId,
        filter: &Filter,
        limit: usize,
        now: f64,
    ) -> Vec<u32> {
        self.bring_up_to_date(ranking, now);
        let Some(filter) = self.resolve(ranking, filter) else { return Vec::new() };
        let Some(ranking) = self.ranking(ranking) else { return Vec::new() };
        let classes = wanted_classes(|health, availability| {
            filter.has_health(health) && filter.may_be(availability)
        });
        ranking
            .walk(filter.rarest, |class| classes.contains(&class))
            .filter(|index| self.is_accepted(&filter, *index))
            .take(limit)
            .collect()
    }

    /// The best worker that may get a reservation of `count` slots. Without a wanted health it may be
    /// healthy or degraded.
    pub(super) fn best_to_acquire(
        &mut self,
        ranking: RankingId,
        filter: &Filter,
        count: f64,
        now: f64,
    ) -> Option<u32> {
        self.bring_up_to_date(ranking, now);
        let is_any_health = filter.health.is_empty();
        let mut filter = self.resolve(ranking, filter)?;
        if is_any_health {
            filter.health = [true, true, false];
        }
        filter.min_available = filter.min_available.max(count);
        let classes = wanted_classes(|health, availability| {
            filter.has_health(health) && availability == Availability::Free
        });
        self.ranking(ranking)?
            .walk(filter.rarest, |class| classes.contains(&class))
            .find(|index| self.is_accepted(&filter, *index))
    }

    /// A worker by its index, which is good until the next change of the store.
    #[must_use]
    pub fn view(&self, ranking: RankingId, index: u32, now: f64) -> Option<WorkerView<'_>> {
        let config = &self.ranking(ranking)?.config;
        let record = self.table.worker(index)?;
        let health = config.health(record, now);
        Some(WorkerView::new(record, &self.interner, health, config.priority(record, health)))
    }

    fn is_accepted(&self, filter: &Resolved, index: u32) -> bool {
        self.table.worker(index).is_some_and(|record| filter.accepts(record, &self.interner))
    }

    /// `None`: no worker has one of the capabilities.
    fn resolve(&self, ranking: RankingId, filter: &Filter) -> Option<Resolved> {
        let ids: Option<Vec<_>> =
            filter.capabilities.iter().map(|name| self.interner.capability(name)).collect();
        let mut ids = ids?;
        let ranking = self.ranking(ranking)?;
        ids.sort_by_key(|id| ranking.len(Some(*id)));
        let mut ids = ids.into_iter();
        let wanted = |health| filter.health.is_empty() || filter.health.contains(&health);
        Some(Resolved {
            rarest: ids.next(),
            others: ids.collect(),
            health: HealthStatus::ALL.map(wanted),
            min_available: filter.min_available_capacity.unwrap_or(f64::NEG_INFINITY),
        })
    }
}

fn wanted_classes(is_wanted: impl Fn(HealthStatus, Availability) -> bool) -> Vec<Class> {
    let mut classes = Vec::new();
    for health in HealthStatus::ALL {
        for availability in Availability::ALL {
            if is_wanted(health, availability) {
                classes.push(Class::new(health, availability));
            }
        }
    }
    classes
}
