//! The priority of a worker in load balancing.

use super::HealthStatus;

/// Share of each score in the priority.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of the share of free slots.
    pub capacity: f64,
    /// Of the share of completed tasks.
    pub success: f64,
    /// Of the speed.
    pub speed: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { capacity: 0.5, success: 0.3, speed: 0.2 }
    }
}

/// What the priority of a worker depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Slots.
    pub max_concurrent_tasks: f64,
    /// Slots in use. May exceed the slots.
    pub current_tasks: f64,
    /// Tasks that succeeded.
    pub tasks_completed: f64,
    /// Tasks that failed.
    pub tasks_failed: f64,
    /// Mean duration of a task, in milliseconds. 0: none yet.
    pub average_task_duration: f64,
}

impl Load {
    /// Slots that are free; negative if the worker is overbooked.
    #[must_use]
    pub fn available_capacity(&self) -> f64 {
        self.max_concurrent_tasks - self.current_tasks
    }

    /// Share of the tasks that succeeded; 1 if there was none.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        let total = self.tasks_completed + self.tasks_failed;
        if total == 0.0 { 1.0 } else { self.tasks_completed / total }
    }

    /// The weighted sum of the scores, each of which is between 0 and 1.
    #[must_use]
    pub fn priority(&self, weights: &Weights) -> f64 {
        self.capacity_score() * weights.capacity
            + score(self.success_rate()) * weights.success
            + self.speed_score() * weights.speed
    }

    fn capacity_score(&self) -> f64 {
        if self.max_concurrent_tasks > 0.0 {
            score(self.available_capacity() / self.max_concurrent_tasks)
        } else {
            0.0
        }
    }

    fn speed_score(&self) -> f64 {
        if self.average_task_duration > 0.0 {
            score(1.0 / (self.average_task_duration / 1_000.0))
        } else {
            1.0
        }
    }
}

/// Between 0 and 1; NaN, which a record from elsewhere can lead to, becomes 0.
fn score(value: f64) -> f64 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// The place of a worker among others: higher priority, then better health, then fewer current
/// tasks, then earlier registration come first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct RankKey {
    inverse_priority: u64,
    health_and_tasks: u32,
    index: u32,
}

impl RankKey {
    /// Of no worker.
    pub(super) const ZERO: Self = Self { inverse_priority: 0, health_and_tasks: 0, index: 0 };
    const TASK_BITS: u32 = 30;

    pub(super) fn new(priority: f64, health: HealthStatus, current_tasks: f64, index: u32) -> Self {
        // The bits of floats that are not negative are in the order of their values.
        let inverse_priority = !priority.max(0.0).to_bits();
        let tasks = (current_tasks.max(0.0) as u32).min((1 << Self::TASK_BITS) - 1);
        let health_and_tasks = (health as u32) << Self::TASK_BITS | tasks;
        Self { inverse_priority, health_and_tasks, index }
    }

    pub(super) fn index(self) -> u32 {
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(free: f64, max: f64, completed: f64, failed: f64, average: f64) -> f64 {
        Load {
            max_concurrent_tasks: max,
            current_tasks: max - free,
            tasks_completed: completed,
            tasks_failed: failed,
            average_task_duration: average,
        }
        .priority(&Weights::default())
    }

    #[test]
    fn matches_the_documented_examples() {
        assert!((priority(8.0, 10.0, 45.0, 5.0, 5_000.0) - 0.71).abs() < 1e-12);
        assert!((priority(4.0, 5.0, 10.0, 0.0, 3_000.0) - 0.766_666_666_666_666_7).abs() < 1e-12);
    }

    #[test]
    fn clamps_every_score() {
        assert_eq!(priority(-95.0, 5.0, 0.0, 0.0, 0.0), 0.5);
        assert_eq!(priority(0.0, 0.0, 0.0, 0.0, 0.0), 0.5);
        assert_eq!(priority(9.0, 5.0, 2.0, 0.0, 1.0), 1.0);
    }

    #[test]
    fn ranks_by_priority_health_tasks_and_registration() {
        let key = RankKey::new;
        let ordered = [
            key(0.9, HealthStatus::Unhealthy, 7.0, 9),
            key(0.5, HealthStatus::Healthy, 1.0, 5),
            key(0.5, HealthStatus::Healthy, 1.0, 6),
            key(0.5, HealthStatus::Healthy, 2.0, 1),
            key(0.5, HealthStatus::Degraded, 0.0, 0),
            key(0.0, HealthStatus::Healthy, f64::INFINITY, 0),
        ];
        assert!(ordered.is_sorted());
    }
}
