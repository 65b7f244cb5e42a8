//! Health of a worker by the age of its last heartbeat.

use serde::{Deserialize, Serialize};

/// How recently a worker has sent a heartbeat. The order is from good to bad.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum HealthStatus {
    /// Not longer ago than [`HealthThresholds::healthy`].
    Healthy,
    /// Not longer ago than [`HealthThresholds::degraded`].
    Degraded,
    /// Longer ago.
    Unhealthy,
}

impl HealthStatus {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The greatest ages of a heartbeat, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthThresholds {
    /// Up to this age a worker is healthy.
    pub healthy: f64,
    /// Up to this age a worker is degraded.
    pub degraded: f64,
}

impl HealthThresholds {
    /// The health of a worker whose last heartbeat came at `last_heartbeat`.
    #[must_use]
    pub fn status(&self, last_heartbeat: f64, now: f64) -> HealthStatus {
        let age = now - last_heartbeat;
        if age <= self.healthy {
            HealthStatus::Healthy
        } else if age <= self.degraded {
            HealthStatus::Degraded
        } else {
            HealthStatus::Unhealthy
        }
    }

    /// The last moment of this status. `None`: it does not end by itself.
    pub(super) fn end_of(&self, status: HealthStatus, last_heartbeat: f64) -> Option<f64> {
        match status {
            HealthStatus::Healthy => Some(last_heartbeat + self.healthy),
            HealthStatus::Degraded => Some(last_heartbeat + self.degraded),
            HealthStatus::Unhealthy => None,
        }
    }
}
