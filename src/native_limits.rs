//! Limits as JavaScript gives them.

use std::time::Duration;

use napi_derive::napi;
use worker_server::Limits;

/// A time that is infinite, or as good as: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// See `worker_server::Limits`; what is absent has its default. Infinity: no limit.
#[napi(object)]
pub struct NativeLimits {
    pub max_message_bytes: Option<f64>,
    pub max_unregistered_message_bytes: Option<f64>,
    pub max_message_fragments: Option<f64>,
    pub max_unregistered_messages: Option<f64>,
    pub max_token_attempts: Option<f64>,
    pub max_outbox_bytes: Option<f64>,
    pub max_total_outbox_bytes: Option<f64>,
    pub max_backlog_bytes: Option<f64>,
    pub max_total_backlog_bytes: Option<f64>,
    pub max_total_incomplete_bytes: Option<f64>,
    pub max_connections: Option<f64>,
    pub max_request_head_bytes: Option<f64>,
    pub max_request_headers: Option<f64>,
    pub max_models: Option<f64>,
    pub max_id_bytes: Option<f64>,
    pub max_name_bytes: Option<f64>,
    pub max_depth: Option<f64>,
    pub registration_timeout_ms: Option<f64>,
    pub request_head_timeout_ms: Option<f64>,
    pub write_timeout_ms: Option<f64>,
    pub close_timeout_ms: Option<f64>,
    pub keep_alive_ms: Option<f64>,
    pub ping_interval_ms: Option<f64>,
}

impl From<NativeLimits> for Limits {
    fn from(given: NativeLimits) -> Self {
        let mut limits = Self::default();
        set_count(&mut limits.message_bytes, given.max_message_bytes);
        set_count(&mut limits.unregistered_message_bytes, given.max_unregistered_message_bytes);
        if let Some(fragments) = given.max_message_fragments {
            limits.message_fragments = fragments as u32;
        }
        if let Some(messages) = given.max_unregistered_messages {
            limits.unregistered_messages = Some(messages as u32);
        }
        if let Some(attempts) = given.max_token_attempts {
            limits.token_attempts = attempts as u32;
        }
        set_count(&mut limits.outbox_bytes, given.max_outbox_bytes);
        set_count(&mut limits.total_outbox_bytes, given.max_total_outbox_bytes);
        set_count(&mut limits.backlog_bytes, given.max_backlog_bytes);
        set_count(&mut limits.total_backlog_bytes, given.max_total_backlog_bytes);
        set_count(&mut limits.total_incomplete_bytes, given.max_total_incomplete_bytes);
        set_count(&mut limits.connections, given.max_connections);
        set_count(&mut limits.request_head_bytes, given.max_request_head_bytes);
        set_count(&mut limits.request_headers, given.max_request_headers);
        set_count(&mut limits.registration.max_models, given.max_models);
        set_count(&mut limits.registration.max_id_bytes, given.max_id_bytes);
        set_count(&mut limits.registration.max_name_bytes, given.max_name_bytes);
        set_count(&mut limits.registration.max_depth, given.max_depth);
        set_time(&mut limits.registration_timeout, given.registration_timeout_ms);
        set_time(&mut limits.request_head_timeout, given.request_head_timeout_ms);
        set_time(&mut limits.write_timeout, given.write_timeout_ms);
        set_time(&mut limits.close_timeout, given.close_timeout_ms);
        set_pace(&mut limits.keepalive, given.keep_alive_ms);
        set_pace(&mut limits.ping_interval, given.ping_interval_ms);
        limits
    }
}

fn set_count(limit: &mut usize, given: Option<f64>) {
    if let Some(count) = given {
        // Saturates: infinity is as much as there can be.
        *limit = count as usize;
    }
}

fn set_time(limit: &mut Duration, given: Option<f64>) {
    if let Some(ms) = given {
        *limit = duration_of(ms);
    }
}

fn set_pace(limit: &mut Option<Duration>, given: Option<f64>) {
    if let Some(ms) = given {
        *limit = ms.is_finite().then(|| duration_of(ms));
    }
}

/// Milliseconds; what is no duration is as long as can be.
pub(crate) fn duration_of(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1_000.0).map_or(LONGEST, |duration| duration.min(LONGEST))
}
