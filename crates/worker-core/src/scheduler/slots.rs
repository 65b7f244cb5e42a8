//! The slots that run tasks, one task at a time each.

use slab::Slab;

use super::task::{Lane, TaskKey};

/// A slot's number. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// The lanes that a slot serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lanes(pub u8);

impl Lanes {
    /// Only this lane.
    pub fn only(lane: Lane) -> Self {
        Self(1_u8.checked_shl(lane.0.into()).unwrap_or_default())
    }

    /// Whether the slot runs tasks of this lane.
    pub fn contains(self, lane: Lane) -> bool {
        self.0 & Self::only(lane).0 != 0
    }
}

/// A task on a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) task: TaskKey,
    pub(super) started_at: f64,
    /// When the attempt has run for too long; infinite: never.
    pub(super) deadline: f64,
}

pub(super) struct Slot {
    pub(super) lanes: Lanes,
    /// Is recycled after its share of tasks.
    pub(super) is_recycled: bool,
    pub(super) attempt: Option<Attempt>,
    /// Has asked for a task.
    pub(super) is_started: bool,
    /// Asked for a task and got none.
    pub(super) is_waiting: bool,
    /// Gets no further task.
    pub(super) is_retired: bool,
    /// Tasks that the slot has finished.
    pub(super) finished: u32,
    /// When the slot was last busy, or started.
    pub(super) idle_since: f64,
    /// Progress that the embedder has not been told yet.
    pub(super) progress: Option<f64>,
}

/// All slots, by number. A number maps to a place in the table, which is used again.
#[derive(Default)]
pub(super) struct Slots {
    table: Slab<(SlotId, Slot)>,
    next_id: u32,
}

impl Slots {
    pub(super) fn add(&mut self, lanes: Lanes, is_recycled: bool, now: f64) -> SlotId {
        let id = SlotId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let slot = Slot {
            lanes,
            is_recycled,
            attempt: None,
            is_started: false,
            is_waiting: false,
            is_retired: false,
            finished: 0,
            idle_since: now,
            progress: None,
        };
        self.table.insert((id, slot));
        id
    }

    /// A pool has few slots, so a search beats a map.
    pub(super) fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.table.iter_mut().find_map(|(_, (own, slot))| (*own == id).then_some(slot))
    }

    pub(super) fn remove(&mut self, id: SlotId) -> Option<Slot> {
        let place =
            self.table.iter().find_map(|(place, (own, _))| (*own == id).then_some(place))?;
        self.table.try_remove(place).map(|(_, slot)| slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        self.table.iter().map(|(_, (id, slot))| (*id, slot))
    }

    /// The waiting slot of these lanes that was busy last.
    pub(super) fn freshest_waiting(&mut self, lane: Lane) -> Option<(SlotId, &mut Slot)> {
        self.table
            .iter_mut()
            .map(|(_, (id, slot))| (*id, slot))
            .filter(|(_, slot)| slot.is_waiting && !slot.is_retired && slot.lanes.contains(lane))
            .max_by(|(_, left), (_, right)| left.idle_since.total_cmp(&right.idle_since))
    }
}
