//! The servers of this thread, by the numbers that JavaScript knows them by.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use worker_server::{
    Connection, Fleet, MessageBatch,
    core::{
        pool::{Slot, Status, health::Verdict},
        protocol::Capabilities,
    },
};

use crate::callbacks::Waker;

/// One server and what its owner has under way.
pub(crate) struct Owned {
    pub(crate) fleet: Fleet,
    pub(crate) waker: Arc<Waker>,
    /// The registration that was handed out last, until it is admitted.
    pub(crate) registering: Option<(Arc<Connection>, Capabilities)>,
    /// What is left to hand out of the last ranking, in reverse.
    pub(crate) ranked: Vec<Slot>,
    /// What is left to hand out of the last health check, in reverse.
    pub(crate) overdue: Vec<(Slot, Verdict, f64)>,
    /// Doubles that JavaScript reads after a call, and puts its changes into; see `lib/native.ts`.
    pub(crate) view: View,
}

impl Owned {
    /// The fleet, once its pool knows what has changed on the JavaScript side.
    pub(crate) fn settled(&mut self) -> &mut Fleet {
        let Self { view, fleet, .. } = self;
        view.take_changes(|slot, status, active| fleet.set_load(slot, status, active));
        fleet
    }
}

/// Memory shared with a Float64Array.
#[derive(Clone, Copy)]
pub(crate) struct View(pub(crate) *mut f64);

impl View {
    /// Places for what a call has to say beside its result.
    pub(crate) const RESULTS: usize = 4;
    /// Most changes in the list behind these: their count, and three places for each.
    pub(crate) const MOST_CHANGES: usize = 32;
    /// Where the runs of a batch of messages begin: two places for each.
    pub(crate) const RUNS: usize = Self::RESULTS + 1 + 3 * Self::MOST_CHANGES;
    pub(crate) const LEN: usize = Self::RUNS + 2 * MessageBatch::MOST_RUNS;
}

thread_local! {
    static FLEETS: RefCell<Vec<Option<Rc<RefCell<Owned>>>>> = const { RefCell::new(Vec::new()) };
}

/// A status by its number.
pub(crate) fn status_of(number: f64) -> Status {
    match number as u8 {
        0 => Status::Available,
        1 => Status::Busy,
        2 => Status::Draining,
        _ => Status::Unhealthy,
    }
}

/// Adds a server and gives it a number.
pub(crate) fn add(owned: Owned) -> u32 {
    let owned = Some(Rc::new(RefCell::new(owned)));
    FLEETS.with_borrow_mut(|fleets| {
        match fleets.iter_mut().enumerate().find(|(_, f)| f.is_none()) {
            Some((index, free)) => {
                *free = owned;
                index as u32
            }
            None => {
                fleets.push(owned);
                (fleets.len() - 1) as u32
            }
        }
    })
}

/// Forgets a server, which ends it.
pub(crate) fn remove(number: u32) {
    let removed = FLEETS
        .try_with(|fleets| fleets.borrow_mut().get_mut(number as usize).and_then(Option::take));
    // Dropped only now, when the list is not borrowed any more.
    drop(removed);
}

/// Runs `body` on a server; `None` if there is none of that number.
pub(crate) fn with<T>(number: u32, body: impl FnOnce(&mut Owned) -> T) -> Option<T> {
    let owned = FLEETS
        .try_with(|fleets| fleets.borrow().get(number as usize).cloned().flatten())
        .ok()
        .flatten()?;
    // Native calls do not nest: none of them enters JavaScript.
    let mut owned = owned.try_borrow_mut().ok()?;
    Some(body(&mut owned))
}
