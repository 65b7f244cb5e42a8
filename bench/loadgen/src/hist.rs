//! A log-linear histogram of times: 64 buckets per power of two of nanoseconds, so a quantile is
//! within 1.6 % of the true one.

use serde_json::{Map, Value, json};

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// Counts of durations in nanoseconds.
pub struct Hist {
    counts: Vec<u32>,
    total: u64,
    max: u64,
}

impl Default for Hist {
    fn default() -> Self {
        Self { counts: vec![0; (64 * SUB) as usize], total: 0, max: 0 }
    }
}

impl Hist {
    /// Counts one.
    pub fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// The least duration that the given share of all does not exceed.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64) * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return upper_edge(index).min(self.max);
            }
        }
        self.max
    }

    /// `p50_us`, `p99_us` and `p999_us`; nothing if nothing was counted.
    pub fn figures(&self) -> Map<String, Value> {
        if self.total == 0 {
            return Map::new();
        }
        [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)]
            .into_iter()
            .map(|(name, share)| (name.to_owned(), json!(self.quantile(share) as f64 / 1e3)))
            .collect()
    }
}

fn bucket(ns: u64) -> usize {
    if ns < SUB {
        return ns as usize;
    }
    let shift = 63 - ns.leading_zeros() - SUB_BITS;
    (((u64::from(shift) + 1) << SUB_BITS) + ((ns >> shift) - SUB)) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    ((SUB + (bucket & (SUB - 1)) + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut hist = Hist::default();
        for i in 1..=100_000 {
            hist.add(i * 100);
        }
        for share in [0.5, 0.9, 0.99, 0.999] {
            let want = 100_000.0 * 100.0 * share;
            let got = hist.quantile(share) as f64;
            assert!((got - want).abs() / want < 0.017, "{share}: {got} for {want}");
        }
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..2000).chain([1 << 20, (1 << 40) + 12345, u64::MAX / 2]) {
            let index = bucket(value);
            assert!(value <= upper_edge(index));
            assert!(index == 0 || value > upper_edge(index - 1));
        }
    }
}
