//! Statistics over numbers.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Control, HandlerError, Output};

/// A request for statistics.
#[derive(Debug, Deserialize)]
pub struct Analysis {}

impl Analysis {
    /// `data` holds doubles in the order of this machine.
    pub(crate) fn run(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        let (doubles, _) = data.as_chunks::<8>();
        let mut values: Vec<f64> = doubles.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect();
        if values.iter().any(|value| !value.is_finite()) {
            let message = "data must be an array of finite numbers".to_owned();
            return Err(HandlerError::InvalidPayload(message));
        }
        control.check()?;
        let moments = Moments::of(&values);
        control.check()?;
        values.sort_unstable_by(f64::total_cmp);
        Ok(Output::default().with("summary", summary(&values, &moments)))
    }
}

/// Sum, mean and deviation.
struct Moments {
    sum: f64,
    mean: f64,
    /// Of the values themselves, not of a population that they are a sample of.
    deviation: f64,
}

impl Moments {
    /// Two passes, which stay exact where the values are large and close to each other.
    fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self { sum: 0.0, mean: 0.0, deviation: 0.0 };
        }
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        let mean = sum / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { sum, mean, deviation: (squares / count).sqrt() }
    }
}

fn summary(sorted: &[f64], moments: &Moments) -> Value {
    json!({
        "count": sorted.len(),
        "min": sorted.first().copied().unwrap_or_default(),
        "max": sorted.last().copied().unwrap_or_default(),
        "mean": finite(moments.mean),
        "stddev": finite(moments.deviation),
        "median": quantile(sorted, 0.5),
        "p90": quantile(sorted, 0.9),
        "p99": quantile(sorted, 0.99),
        "sum": finite(moments.sum),
    })
}

/// The quantile, between two values in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let below = sorted.get(place.floor() as usize).copied().unwrap_or_default();
    let above = sorted.get(place.ceil() as usize).copied().unwrap_or_default();
    // Halves, since the difference of two large values may have no finite value.
    let part = place.fract();
    finite(below * (1.0 - part) + above * part)
}

/// Sums of large values overflow; JSON has no infinity.
fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}
