//! Which connection speaks for which worker id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use worker_core::protocol::{REPLACED, WorkerId};

use crate::{connection::Connection, panics::lock};

/// One live connection per worker id, one worker id per connection.
///
/// Events are emitted under the lock, so the owner sees changes of one id in the order in which
/// they took effect.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    connections: Mutex<HashMap<WorkerId, Arc<Connection>>>,
}

/// What a registration pushed aside.
pub(crate) struct Displaced {
    /// The connection had spoken for another id.
    pub(crate) released: bool,
    /// The connection that spoke for the id before; perhaps the same one.
    pub(crate) replaced: Option<Arc<Connection>>,
}

impl Registry {
    /// Binds `id` to `connection`; whoever had it is unbound and closed.
    pub(crate) fn bind(
        &self,
        id: WorkerId,
        connection: &Arc<Connection>,
        emit: impl FnOnce(Displaced),
    ) {
        let mut connections = lock(&self.connections);
        let previous = lock(connection.bound()).replace(id.clone());
        let released = match previous.filter(|previous| *previous != id) {
            Some(previous) => remove_if_bound_to(&mut connections, &previous, connection),
            None => false,
        };
        let replaced = connections.insert(id, Arc::clone(connection));
        if let Some(old) = &replaced {
            if !Arc::ptr_eq(old, connection) {
                lock(old.bound()).take();
            }
            old.close(REPLACED.code, REPLACED.reason);
        }
        emit(Displaced { released, replaced });
    }

    /// Forgets the connection; `emit` is told whether an id was bound to it.
    pub(crate) fn unbind(&self, connection: &Arc<Connection>, emit: impl FnOnce(bool)) {
        let mut connections = lock(&self.connections);
        let bound = lock(connection.bound()).take();
        if let Some(id) = &bound {
            remove_if_bound_to(&mut connections, id, connection);
        }
        emit(bound.is_some());
    }

    /// Forgets all ids; the connections still know that they were bound.
    pub(crate) fn clear(&self) {
        lock(&self.connections).clear();
    }
}

fn remove_if_bound_to(
    connections: &mut HashMap<WorkerId, Arc<Connection>>,
    id: &WorkerId,
    connection: &Arc<Connection>,
) -> bool {
    let owns = connections.get(id).is_some_and(|bound| Arc::ptr_eq(bound, connection));
    if owns {
        connections.remove(id);
    }
    owns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backlog::BacklogBounds, counters::Budget, outbox::Outbox};

    fn connection(id: u64) -> Arc<Connection> {
        let outbox = Outbox::new(1_000, Arc::new(Budget::new(1_000)));
        let bounds = Arc::new(BacklogBounds::new(1_000, 1_000));
        Arc::new(Connection::new(id, outbox, bounds, Arc::default()))
    }

    fn id(text: &str) -> WorkerId {
        WorkerId::from_text(text)
    }

    /// Whether another id was released, and the number of the connection replaced.
    fn bind(registry: &Registry, name: &str, connection: &Arc<Connection>) -> (bool, Option<u64>) {
        let mut displaced = None;
        registry.bind(id(name), connection, |found| displaced = Some(found));
        let Displaced { released, replaced } = displaced.expect("told");
        (released, replaced.map(|old| old.id()))
    }

    /// Whether an id was bound to it.
    fn unbind(registry: &Registry, connection: &Arc<Connection>) -> bool {
        let mut told = None;
        registry.unbind(connection, |was_bound| told = Some(was_bound));
        told.expect("told")
    }

    #[test]
    fn the_newcomer_takes_the_id() {
        let registry = Registry::default();
        let (old, new) = (connection(1), connection(2));
        assert_eq!(bind(&registry, "w", &old), (false, None));
        assert_eq!(bind(&registry, "w", &new), (false, Some(1)));
        assert_eq!(*lock(old.bound()), None);
        assert_eq!(*lock(new.bound()), Some(id("w")));
        assert!(!old.is_open() && new.is_open());
        assert!(!unbind(&registry, &old), "its end is nobody's");
        assert!(unbind(&registry, &new));
        assert_eq!(bind(&registry, "w", &connection(3)), (false, None));
    }

    #[test]
    fn a_second_id_releases_the_first() {
        let registry = Registry::default();
        let (first, other) = (connection(1), connection(2));
        bind(&registry, "a", &first);
        assert_eq!(bind(&registry, "b", &first), (true, None));
        assert_eq!(*lock(first.bound()), Some(id("b")));
        assert!(first.is_open());
        assert_eq!(bind(&registry, "a", &other), (false, None));
        assert_eq!(bind(&registry, "b", &other), (true, Some(1)));
    }

    #[test]
    fn the_same_id_again_replaces_itself() {
        let registry = Registry::default();
        let connection = connection(1);
        bind(&registry, "w", &connection);
        assert_eq!(bind(&registry, "w", &connection), (false, Some(1)));
        assert_eq!(*lock(connection.bound()), Some(id("w")));
        assert!(!connection.is_open());
        assert!(unbind(&registry, &connection));
    }

    #[test]
    fn a_cleared_registry_keeps_what_comes_after() {
        let registry = Registry::default();
        let (before, after) = (connection(1), connection(2));
        bind(&registry, "w", &before);
        registry.clear();
        assert_eq!(bind(&registry, "w", &after), (false, None));
        assert!(before.is_open());
        assert!(unbind(&registry, &before), "it knows that it was bound");
        assert_eq!(bind(&registry, "w", &connection(3)), (false, Some(2)));
        assert_eq!(bind(&registry, "x", &before), (false, None));
    }

    #[test]
    fn tells_under_its_lock() {
        let registry = Registry::default();
        registry.bind(id("w"), &connection(1), |_| {
            assert!(registry.connections.try_lock().is_err());
        });
        registry.unbind(&connection(1), |_| assert!(registry.connections.try_lock().is_err()));
    }
}
