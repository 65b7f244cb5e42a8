//! Dates as JavaScript writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last millisecond of the year 9999, the latest that a record can carry.
const MAX: f64 = 253_402_300_799_999.0;

/// Whether this time, in milliseconds since the Unix epoch, can be written down.
#[must_use]
pub fn is_valid(time: f64) -> bool {
    (0.0..=MAX).contains(&time)
}

/// `new Date(time).toISOString()`; a time out of range becomes the nearest that is in range.
#[must_use]
pub fn to_iso(time: f64) -> String {
    // Conversions from f64 saturate, and NaN becomes 0.
    let time = UNIX_EPOCH + Duration::from_millis(time.clamp(0.0, MAX) as u64);
    humantime::format_rfc3339_millis(time).to_string()
}

/// The milliseconds of a date in ISO format.
pub(super) fn from_iso(text: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    let elapsed = SystemTime::duration_since(&time, UNIX_EPOCH).ok()?;
    Some(elapsed.as_millis() as f64).filter(|time| is_valid(*time))
}
