//! Names of keys. All of a registry lie in one slot of a cluster.

/// The common start of the keys of one registry.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    base: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}:{{{prefix}r}}") }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The record of a worker.
    pub(crate) fn worker(&self, id: &str) -> String {
        format!("{}:w:{id}", self.base)
    }

    /// The value of a worker that is no record.
    pub(crate) fn corrupt(&self, id: &str) -> String {
        format!("{}:x:{id}", self.base)
    }

    /// Ids of workers whose value is no record.
    pub(crate) fn all_corrupt(&self) -> String {
        format!("{}:bad", self.base)
    }

    /// Ids of all workers, by registration.
    pub(crate) fn ids(&self) -> String {
        format!("{}:ids", self.base)
    }

    /// Ids of the workers with a capability.
    pub(crate) fn with_capability(&self, capability: &str) -> String {
        format!("{}:k:{capability}", self.base)
    }

    /// A value under a key of a caller.
    pub(crate) fn value(&self, key: &str) -> String {
        format!("{}:s:{key}", self.base)
    }

    /// The stream of events.
    pub(crate) fn events(&self) -> String {
        format!("{}:ev", self.base)
    }
}
