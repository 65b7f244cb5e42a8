//! The hot part of a server's surface: raw N-API functions on integer handles.
//!
//! napi-derive's class methods cost 1-2 us a call, these 0.04-0.1 us. Their JavaScript signatures
//! stand in `raw.d.ts`. They decide nothing: each converts, calls one method and returns.
#![allow(unsafe_code, reason = "raw N-API calls; what each relies on stands beside it")]

mod arguments;
mod events;
mod registry;
mod threads;

use std::{ffi::c_void, ptr};

use bytes::Bytes;
use napi::sys;
use worker_server::{
    BridgeRead, Fleet, FrameKind, Text, caught,
    core::{
        auth::safe_compare,
        pool::{Slot, health::Verdict},
        protocol::Capabilities,
    },
};

use self::arguments::Call;
use crate::{
    fleets::{self, Owned},
    steady,
};

type Value = sys::napi_value;
type Body = fn(&Call) -> Option<Value>;

/// Defines one trampoline per function and `register`, which exports them all.
macro_rules! export {
    ($($name:literal => $body:path),+ $(,)?) => {
        /// Sets every raw function on `exports`.
        pub(crate) fn register(env: sys::napi_env, exports: Value) -> sys::napi_status {
            $({
                unsafe extern "C" fn trampoline(
                    env: sys::napi_env,
                    info: sys::napi_callback_info,
                ) -> Value {
                    run(env, info, $body)
                }
                let status = define(env, exports, $name, trampoline);
                if status != sys::Status::napi_ok {
                    return status;
                }
            })+
            sys::Status::napi_ok
        }
    };
}

export! {
    "next" => events::next,
    "observeClock" => observe_clock,
    "admit" => admit,
    "acknowledge" => acknowledge,
    "remove" => remove,
    "select" => select,
    "selectAny" => select_any,
    "rank" => rank,
    "nextRanked" => next_ranked,
    "freeSlots" => free_slots,
    "room" => room,
    "lastHeartbeat" => last_heartbeat,
    "heartbeatChunk" => heartbeat_chunk,
    "applyChanges" => apply_changes,
    "markUnhealthy" => mark_unhealthy,
    "nextRecovered" => next_recovered,
    "setCapabilities" => set_capabilities,
    "setCategoryActive" => set_category_active,
    "setPrecedence" => set_precedence,
    "setLastHeartbeat" => set_last_heartbeat,
    "checkHealth" => check_health,
    "nextOverdue" => next_overdue,
    "send" => send,
    "broadcast" => broadcast,
    "close" => close,
    "abandon" => abandon,
    "terminate" => terminate,
    "isOpen" => is_open,
    "sendFrame" => send_frame,
    "unsentBytes" => unsent_bytes,
    "protocol" => protocol,
    "setPaused" => set_paused,
    "setObserved" => set_observed,
    "setEndpoint" => set_endpoint,
    "bridgeRead" => bridge_read,
    "bridgeWrite" => bridge_write,
    "bridgeWriteAscii" => bridge_write_ascii,
    "bridgeFinish" => bridge_finish,
    "bridgeTerminate" => bridge_terminate,
    "stats" => stats,
    "steadyNow" => steady_now,
    "safeCompare" => compare,
    "submitTask" => threads::submit,
    "pendingTasks" => threads::pending,
    "readyTasks" => threads::ready,
    "addSlot" => threads::add_slot,
    "retireSlot" => threads::retire_slot,
    "loseSlot" => threads::lose_slot,
    "cancelTask" => threads::cancel,
    "failPendingTask" => threads::fail_pending,
    "setPoolPaused" => threads::set_paused,
    "setAnnouncesAssignments" => threads::set_announces_assignments,
    "setKeepAlive" => threads::set_keep_alive,
    "poolNow" => threads::now,
    "tendPool" => threads::tend,
    "poolMetrics" => threads::metrics,
    "takeActions" => threads::take_actions,
    "takeTask" => threads::take_task,
    "taskExtra" => threads::task_extra,
    "finishTask" => threads::finish_task,
    "reportProgress" => threads::report_progress,
    "registryHeartbeat" => registry::heartbeat,
    "registryTaskCount" => registry::update_task_count,
    "registryCompletion" => registry::record_completion,
    "registryQuery" => registry::query,
    "registryNextPage" => registry::next_page,
}

/// Adds a function after which the next call panics.
#[cfg(feature = "fault-injection")]
pub(crate) fn register_faults(env: sys::napi_env, exports: Value) -> sys::napi_status {
    unsafe extern "C" fn trampoline(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
        run(env, info, |_| {
            crate::faults::arm();
            None
        })
    }
    define(env, exports, "injectPanic", trampoline)
}

/// Calls `body`; a panic in it becomes a JavaScript exception, nothing else.
fn run(env: sys::napi_env, info: sys::napi_callback_info, body: Body) -> Value {
    let body = || {
        #[cfg(feature = "fault-injection")]
        crate::faults::strike();
        body(&Call::new(env, info))
    };
    match caught(body) {
        Some(value) => value.unwrap_or(ptr::null_mut()),
        None => {
            // SAFETY: both strings are NUL-terminated; a failure leaves `undefined` as the result.
            unsafe {
                sys::napi_throw_error(
                    env,
                    c"ERR_NATIVE_PANIC".as_ptr(),
                    c"the native core panicked; this is a bug in worker-server-native".as_ptr(),
                )
            };
            ptr::null_mut()
        }
    }
}

fn define(
    env: sys::napi_env,
    exports: Value,
    name: &str,
    trampoline: unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> Value,
) -> sys::napi_status {
    let mut function = ptr::null_mut();
    let (text, len) = (name.as_ptr().cast(), name.len() as isize);
    // SAFETY: called while the module is being initialised; the name is copied.
    unsafe {
        let status = sys::napi_create_function(
            env,
            text,
            len,
            Some(trampoline),
            ptr::null_mut::<c_void>(),
            &mut function,
        );
        if status != sys::Status::napi_ok {
            return status;
        }
        let mut key = ptr::null_mut();
        let status = sys::napi_create_string_latin1(env, text, len, &mut key);
        if status != sys::Status::napi_ok {
            return status;
        }
        sys::napi_set_property(env, exports, key, function)
    }
}

/// The server named by the first argument.
fn owned<T>(call: &Call, body: impl FnOnce(&mut Owned) -> T) -> Option<T> {
    fleets::with(call.u32(0)?, body)
}

/// The worker named by the second argument.
fn slot(call: &Call) -> Option<Slot> {
    call.u32(1).map(Slot::new)
}

fn observe_clock(call: &Call) -> Option<Value> {
    let own_now = call.f64(1).filter(|ms| !ms.is_nan());
    owned(call, |owned| owned.fleet.observe_clock(own_now))?;
    None
}

fn admit(call: &Call) -> Option<Value> {
    let slot = owned(call, |owned| {
        let (connection, capabilities) = owned.registering.take()?;
        Some(owned.fleet.admit(connection, capabilities))
    })??;
    call.number(slot.index().into())
}

fn acknowledge(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    owned(call, |owned| owned.fleet.acknowledge(slot))?;
    None
}

fn remove(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    owned(call, |owned| owned.settled().remove(slot))?;
    None
}

fn select(call: &Call) -> Option<Value> {
    let wanted = call.string(1)?;
    let category = call.string(2);
    let found = owned(call, |owned| owned.settled().pool().select(&wanted, category.as_deref()))?;
    call.slot_or_none(found)
}

fn select_any(call: &Call) -> Option<Value> {
    let found = owned(call, |owned| owned.settled().pool().first_usable())?;
    call.slot_or_none(found)
}

fn rank(call: &Call) -> Option<Value> {
    let most = call.u32(1)? as usize;
    let (wanted, category) = (call.string(2), call.string(3));
    let first = owned(call, |owned| {
        let pool = owned.settled().pool();
        owned.ranked = pool.candidates(wanted.as_deref(), category.as_deref(), most);
        owned.ranked.reverse();
        owned.ranked.pop()
    })?;
    call.slot_or_none(first)
}

fn next_ranked(call: &Call) -> Option<Value> {
    let next = owned(call, |owned| owned.ranked.pop())?;
    call.slot_or_none(next)
}

fn free_slots(call: &Call) -> Option<Value> {
    let wanted = call.string(1)?;
    let category = call.string(2);
    let free =
        owned(call, |owned| owned.settled().pool().available_slots(&wanted, category.as_deref()))?;
    call.number(free)
}

fn room(call: &Call) -> Option<Value> {
    let wanted = call.string(1)?;
    let category = call.string(2);
    let room = owned(call, |owned| owned.settled().pool().room(&wanted, category.as_deref()))?;
    call.number(room)
}

fn last_heartbeat(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    let ms = owned(call, |owned| owned.fleet.last_heartbeat_ms(slot))??;
    call.number(ms)
}

fn heartbeat_chunk(call: &Call) -> Option<Value> {
    let number = call.u32(1)? as usize;
    let chunk = owned(call, |owned| owned.fleet.heartbeat_chunk(number).cloned())??;
    call.shared_heartbeats(chunk)
}

fn apply_changes(call: &Call) -> Option<Value> {
    owned(call, |owned| {
        owned.settled();
    })?;
    None
}

fn mark_unhealthy(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    owned(call, |owned| owned.fleet.mark_unhealthy(slot))?;
    None
}

fn next_recovered(call: &Call) -> Option<Value> {
    let slot = owned(call, |owned| owned.fleet.next_recovered())?;
    call.slot_or_none(slot)
}

fn set_capabilities(call: &Call) -> Option<Value> {
    let (slot, json) = (slot(call)?, call.string(2)?);
    let mut capabilities = Capabilities::parse(&json);
    if let Some(max) = call.f64(3) {
        // JSON has no infinity, JavaScript does.
        capabilities.max_concurrent_requests = max;
    }
    owned(call, |owned| owned.settled().set_capabilities(slot, capabilities))?;
    None
}

fn set_category_active(call: &Call) -> Option<Value> {
    let (slot, category, count) = (slot(call)?, call.string(2)?, call.f64(3));
    owned(call, |owned| owned.settled().pool().set_category_active(slot, &category, count))?;
    None
}

fn set_precedence(call: &Call) -> Option<Value> {
    let (slot, precedence) = (slot(call)?, call.f64(2)?);
    owned(call, |owned| owned.settled().pool().set_precedence(slot, precedence))?;
    None
}

fn set_last_heartbeat(call: &Call) -> Option<Value> {
    let (slot, ms) = (slot(call)?, call.f64(2)?);
    owned(call, |owned| owned.fleet.set_last_heartbeat(slot, ms))?;
    None
}

fn check_health(call: &Call) -> Option<Value> {
    let (own_now, timeout) = (call.f64(1).filter(|ms| !ms.is_nan()), call.f64(2)?);
    let count = owned(call, |owned| {
        owned.overdue = owned.fleet.overdue(own_now, timeout);
        owned.overdue.reverse();
        owned.overdue.len()
    })?;
    call.number(count as f64)
}

fn next_overdue(call: &Call) -> Option<Value> {
    let slot = owned(call, |owned| {
        let (slot, verdict, silence_ms) = owned.overdue.pop()?;
        owned.view.write([
            silence_ms,
            f64::from(u8::from(verdict == Verdict::PresumedDead)),
            0.0,
            0.0,
        ]);
        Some(slot)
    })?;
    call.slot_or_none(slot)
}

fn send(call: &Call) -> Option<Value> {
    let (slot, text) = (slot(call)?, call.framed_text(2)?);
    let sent = owned(call, |owned| owned.fleet.send(slot, Fleet::text_frame(text)).is_ok())?;
    call.boolean(sent)
}

fn broadcast(call: &Call) -> Option<Value> {
    let frame = Fleet::text_frame(call.framed_text(1)?);
    owned(call, |owned| owned.fleet.broadcast(frame))?;
    None
}

fn close(call: &Call) -> Option<Value> {
    let (slot, code, reason) = (slot(call)?, call.u32(2)?, call.string(3)?);
    let code = u16::try_from(code).ok()?;
    owned(call, |owned| owned.fleet.close(slot, code, &reason))?;
    None
}

fn abandon(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    owned(call, |owned| owned.fleet.abandon(slot))?;
    None
}

fn terminate(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    owned(call, |owned| owned.fleet.terminate(slot))?;
    None
}

fn is_open(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    let open = owned(call, |owned| owned.fleet.is_open(slot))?;
    call.boolean(open)
}

fn send_frame(call: &Call) -> Option<Value> {
    let (slot, first) = (slot(call)?, call.u32(2)?);
    let kind = FrameKind::of(u8::try_from(first & 0x0f).ok()?)?;
    let frame = call.with_bytes(3, |bytes| Fleet::frame(kind, first & 0x80 != 0, bytes))?;
    let sent = owned(call, |owned| owned.fleet.send(slot, frame).is_ok())?;
    call.boolean(sent)
}

fn unsent_bytes(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    let bytes = owned(call, |owned| owned.fleet.unsent_bytes(slot))?;
    call.number(bytes as f64)
}

fn protocol(call: &Call) -> Option<Value> {
    let slot = slot(call)?;
    let protocol = owned(call, |owned| owned.fleet.protocol(slot).map(Text::from))??;
    call.text(&protocol)
}

fn set_paused(call: &Call) -> Option<Value> {
    let (slot, is_paused) = (slot(call)?, call.bool(2)?);
    owned(call, |owned| owned.fleet.set_paused(slot, is_paused))?;
    None
}

fn set_observed(call: &Call) -> Option<Value> {
    let (slot, is_observed) = (slot(call)?, call.bool(2)?);
    owned(call, |owned| owned.fleet.set_observed(slot, is_observed))?;
    None
}

fn set_endpoint(call: &Call) -> Option<Value> {
    let (target, present) = (call.string(1)?, call.bool(2)?);
    owned(call, |owned| owned.fleet.set_endpoint(target, present))?;
    None
}

/// Bytes read, behind the first so many of the buffer; half a byte more: they were the peer's last;
/// 0: none now; -1: the peer's side has ended; -2: the connection is gone.
fn bridge_read(call: &Call) -> Option<Value> {
    let (id, from) = (call.u32(1)?, call.u32(3).unwrap_or_default() as usize);
    let read = call.with_bytes(2, |buffer| {
        let room = buffer.get_mut(from..).unwrap_or_default();
        owned(call, |owned| match owned.fleet.bridge(id).map(|bridge| bridge.read(room)) {
            Some(BridgeRead::Bytes(len)) => len as f64,
            Some(BridgeRead::Last(len)) => len as f64 + 0.5,
            Some(BridgeRead::Pending) => 0.0,
            Some(BridgeRead::End) => -1.0,
            None => -2.0,
        })
    })??;
    call.number(read)
}

fn bridge_write(call: &Call) -> Option<Value> {
    let id = call.u32(1)?;
    let bytes = call.with_bytes(2, |bytes| Bytes::copy_from_slice(bytes))?;
    let goes_on = owned(call, |owned| owned.fleet.write_to_bridge(id, bytes))?;
    call.boolean(goes_on)
}

/// As `bridge_write`, of a string that is plain ASCII; nothing: it is not, and nothing is written.
fn bridge_write_ascii(call: &Call) -> Option<Value> {
    let (id, text) = (call.u32(1)?, call.ascii(2)?);
    let goes_on = owned(call, |owned| owned.fleet.write_to_bridge(id, text.into()))?;
    call.boolean(goes_on)
}

fn bridge_finish(call: &Call) -> Option<Value> {
    let id = call.u32(1)?;
    owned(call, |owned| owned.fleet.bridge(id).map(|bridge| bridge.finish()))?;
    None
}

fn bridge_terminate(call: &Call) -> Option<Value> {
    let id = call.u32(1)?;
    owned(call, |owned| owned.fleet.bridge(id).map(|bridge| bridge.terminate()))?;
    None
}

/// JSON, since this is rarely called and JavaScript is to make the object.
fn stats(call: &Call) -> Option<Value> {
    let stats = owned(call, |owned| owned.fleet.stats())?;
    let fields = [
        ("connections", stats.connections as u64),
        ("outboxBytes", stats.outbox_bytes as u64),
        ("backlogBytes", stats.backlog_bytes as u64),
        ("incompleteBytes", stats.incomplete_bytes as u64),
        ("eventLoopLagMs", stats.owner_lag_ms),
        ("connectionsAccepted", stats.connections_accepted),
        ("connectionsRefused", stats.connections_refused),
        ("tokensRefused", stats.tokens_refused),
        ("originsRefused", stats.origins_refused),
        ("registrationsRefused", stats.registrations_refused),
        ("registrationTimeouts", stats.registration_timeouts),
        ("requestHeadTimeouts", stats.request_head_timeouts),
        ("writeTimeouts", stats.write_timeouts),
        ("pingTimeouts", stats.ping_timeouts),
        ("backlogPauses", stats.backlog_pauses),
        ("closeTimeouts", stats.close_timeouts),
        ("acceptsFailed", stats.accepts_failed),
        ("protocolErrors", stats.protocol_errors),
        ("messagesTooLarge", stats.messages_too_large),
        ("messagesTooFragmented", stats.messages_too_fragmented),
        ("messageTimeouts", stats.message_timeouts),
        ("messagePauses", stats.message_pauses),
        ("messagesGivenUp", stats.messages_given_up),
        ("messagesInvalid", stats.messages_invalid),
        ("messagesDropped", stats.messages_dropped),
        ("heartbeatsRefused", stats.heartbeats_refused),
        ("sendsRefused", stats.sends_refused),
        ("bytesDropped", stats.bytes_dropped),
    ];
    let fields = fields.map(|(name, value)| format!(r#""{name}":{value}"#));
    call.text(&format!("{{{}}}", fields.join(",")).into())
}

fn steady_now(call: &Call) -> Option<Value> {
    call.number(steady::now())
}

fn compare(call: &Call) -> Option<Value> {
    let (left, right) = (call.string(0)?, call.string(1)?);
    call.boolean(safe_compare(&left, &right))
}
