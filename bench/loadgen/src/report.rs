//! What a command found out, as one line of JSON.

use serde_json::{Map, Value, json};

use crate::{hist::Hist, window::Ended};

/// Figures, what they cost, and how many things went wrong.
#[derive(Default)]
pub struct Report {
    figures: Map<String, Value>,
    costs: Map<String, Value>,
    faults: Map<String, Value>,
}

impl Report {
    /// Adds a figure.
    pub fn figure(mut self, name: &str, value: f64) -> Self {
        self.figures.insert(name.to_owned(), json!(value));
        self
    }

    /// Adds figures that come as an object.
    pub fn figures(mut self, figures: Map<String, Value>) -> Self {
        self.figures.extend(figures);
        self
    }

    /// Adds the quantiles.
    pub fn times(self, times: &Hist) -> Self {
        self.figures(times.figures())
    }

    /// Adds the costs for each of `units`.
    pub fn costs(mut self, window: &Ended, units: f64) -> Self {
        self.costs = window.costs(units);
        self
    }

    /// Counts something that must not happen; the benchmark complains unless it is 0.
    pub fn fault(mut self, name: &str, count: impl Into<f64>) -> Self {
        self.faults.insert(name.to_owned(), json!(count.into()));
        self
    }

    /// The whole.
    pub fn into_json(self) -> Value {
        json!({ "figures": self.figures, "costs": self.costs, "faults": self.faults })
    }
}
