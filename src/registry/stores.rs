//! The stores of this process, by number.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use worker_registry::PersistentStore;

/// A store, with what the last question has found.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) store: PersistentStore,
    /// Indices of the workers that are still to be handed out.
    pub(crate) found: Vec<u32>,
    /// Why the last write to the file failed.
    pub(crate) write_error: Option<io::Error>,
}

impl Registry {
    /// Appends the changes to the file, if there is one. False: it failed.
    pub(crate) fn commit(&mut self) -> bool {
        match self.store.commit() {
            Ok(()) => true,
            Err(error) => {
                self.write_error = Some(error);
                false
            }
        }
    }
}

type Shared = Arc<Mutex<Registry>>;

/// Numbers start at 1 and are never used again.
static STORES: RwLock<Stores> = RwLock::new(Stores { last: 0, live: Vec::new() });

struct Stores {
    last: u32,
    /// In the order of the numbers.
    live: Vec<(u32, Shared)>,
}

pub(crate) fn add(store: PersistentStore) -> u32 {
    let registry = Registry { store, ..Registry::default() };
    let mut stores = STORES.write().unwrap_or_else(PoisonError::into_inner);
    stores.last += 1;
    let number = stores.last;
    stores.live.push((number, Arc::new(Mutex::new(registry))));
    number
}

pub(crate) fn remove(number: u32) {
    let mut stores = STORES.write().unwrap_or_else(PoisonError::into_inner);
    if let Ok(index) = stores.live.binary_search_by_key(&number, |(number, _)| *number) {
        stores.live.remove(index);
    }
}

pub(crate) fn find(number: u32) -> Option<Shared> {
    let stores = STORES.read().unwrap_or_else(PoisonError::into_inner);
    let index = stores.live.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    stores.live.get(index).map(|(_, store)| Arc::clone(store))
}

pub(crate) fn lock(store: &Mutex<Registry>) -> MutexGuard<'_, Registry> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
