//! What is answered without the owner, also while it is blocked.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use crate::server::Shared;

/// A request that the server answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// How the server is.
    Health,
}

impl Route {
    /// The body of its answer: JSON.
    pub(crate) fn body(self, shared: &Shared) -> String {
        match self {
            Self::Health => health(shared),
        }
    }
}

/// Which request targets are whose.
#[derive(Debug)]
pub(crate) struct Routes {
    native: HashMap<String, Route>,
    /// Targets at which the owner serves WebSockets itself.
    endpoints: RwLock<HashSet<String>>,
}

impl Routes {
    pub(crate) fn new(health_path: Option<&str>) -> Self {
        let native = health_path.map(|path| (path.to_owned(), Route::Health)).into_iter().collect();
        Self { native, endpoints: RwLock::default() }
    }

    /// The native route of a request target, whose query does not matter.
    pub(crate) fn native(&self, target: &str) -> Option<Route> {
        self.native.get(path_of(target)).copied()
    }

    /// Whether the owner serves WebSockets at this target, or at its path.
    pub(crate) fn is_endpoint(&self, target: &str) -> bool {
        self.endpoints.read().is_ok_and(|endpoints| {
            endpoints.contains(target) || endpoints.contains(path_of(target))
        })
    }

    pub(crate) fn set_endpoint(&self, target: String, present: bool) {
        // Poisoned only by a panic of an allocation; the set itself is whole then.
        let mut endpoints = self.endpoints.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if present {
            endpoints.insert(target);
        } else {
            endpoints.remove(&target);
        }
    }
}

/// A request target without its query.
fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// Numbers of the owner's that others may read.
#[derive(Debug)]
pub(crate) struct Gauges {
    pub(crate) workers: AtomicUsize,
    pub(crate) available: AtomicUsize,
    created_at: Instant,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            workers: AtomicUsize::new(0),
            available: AtomicUsize::new(0),
            created_at: Instant::now(),
        }
    }
}

fn health(shared: &Shared) -> String {
    let gauges = &shared.gauges;
    format!(
        r#"{{"status":"ok","workers":{},"available":{},"uptimeSeconds":{},"eventLoopLagMs":{}}}"#,
        gauges.workers.load(Ordering::Relaxed),
        gauges.available.load(Ordering::Relaxed),
        gauges.created_at.elapsed().as_secs(),
        shared.events.owner_lag().as_millis(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_native_route_whatever_its_query() {
        let routes = Routes::new(Some("/healthz"));
        assert_eq!(routes.native("/healthz"), Some(Route::Health));
        assert_eq!(routes.native("/healthz?probe=1"), Some(Route::Health));
        assert_eq!(routes.native("/healthz/"), None);
        assert_eq!(Routes::new(None).native("/healthz"), None);
    }

    #[test]
    fn an_endpoint_has_its_exact_target_and_its_path_with_any_query() {
        let routes = Routes::new(None);
        routes.set_endpoint("/live".to_owned(), true);
        routes.set_endpoint("/odd?x".to_owned(), true);
        for target in ["/live", "/live?", "/live?token=1", "/odd?x"] {
            assert!(routes.is_endpoint(target), "{target}");
        }
        for target in ["/live/", "/Live", "/odd", "/odd?y", "http://h/live"] {
            assert!(!routes.is_endpoint(target), "{target}");
        }
        routes.set_endpoint("/live".to_owned(), false);
        assert!(!routes.is_endpoint("/live"));
    }
}
