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
