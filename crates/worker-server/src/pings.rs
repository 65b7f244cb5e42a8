//! Pings to connections that have gone quiet, and the end of those that stay so.
//!
//! One task looks at all connections a few times per interval; a connection only notes that
//! something arrived. So pings cost a busy connection nothing and an idle one four bytes, and what
//! counts is looks, not time: a process that was suspended blames nobody for that.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use worker_core::pool::health::presumed_dead_after;

use crate::{
    connection::Connection,
    events::Event,
    panics::lock,
    server::{Run, Shared, Stage},
};

/// Looks per ping interval, and so how exactly it is kept.
const LOOKS: u32 = 10;
/// Pings that may stay without an answer.
const PINGS: u32 = 2;
/// A shorter interval would keep the runtime busy with nothing else.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Pings and drops until the run is stopping.
pub(crate) async fn watch(shared: Arc<Shared>, run: Arc<Run>) {
    let Some(ping_interval) = shared.limits().ping_interval else { return };
    let mut pace = interval(ping_interval.max(SHORTEST_INTERVAL) / LOOKS);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = run.reached(Stage::Stopping) => return,
            _ = pace.tick() => look_at_all(&shared),
        }
    }
}

fn look_at_all(shared: &Shared) {
    // Apart, so that nobody waits for this list while pings are queued.
    let due: Vec<(Arc<Connection>, u32)> = shared
        .connections()
        .values()
        .filter_map(|connection| {
            let looks = look_at(connection);
            looks.is_multiple_of(LOOKS).then(|| (Arc::clone(connection), looks / LOOKS))
        })
        .filter(|(_, pings)| *pings > 0)
        .collect();
    for (connection, pings) in due {
        if pings > PINGS && is_to_blame(shared, &connection) {
            give_up(shared, &connection);
        } else {
            connection.ping();
        }
    }
}

/// Looks since something arrived.
fn look_at(connection: &Connection) -> u32 {
    if connection.is_stalled() {
        // It is not read, so its silence proves nothing.
        connection.hear();
        return 0;
    }
    connection.look()
}

/// Whether silence is all there is to say of it: a peer that has yet to take what waits for it has a
/// deadline for that, and so has one that is closing.
fn is_to_blame(shared: &Shared, connection: &Connection) -> bool {
    let outbox = connection.outbox();
    let is_quiet = outbox.bytes() == 0 && !outbox.is_closed();
    is_quiet && !is_left_to_owner(shared, connection)
}

/// Whether it is a worker whose silence its owner still judges: it finds it dead at the first check
/// after three timeouts, and drops it at the next.
fn is_left_to_owner(shared: &Shared, connection: &Connection) -> bool {
    if lock(connection.bound()).is_none() {
        return false;
    }
    let options = &shared.options;
    let patience =
        presumed_dead_after(options.heartbeat_timeout_ms) + 2.0 * options.health_check_interval_ms;
    let silence = shared.clock.silences(None)(connection.last_chance());
    // Infinite: it has registered, and the owner has not come since. A time that the owner set to NaN
    // is never too long ago.
    silence.is_infinite() || silence.is_nan() || silence <= patience
}

fn give_up(shared: &Shared, connection: &Arc<Connection>) {
    if connection.is_terminated() {
        return;
    }
    shared.counters.ping_timeouts.increment();
    let error = "The peer does not answer pings".into();
    shared.events.push(Event::SocketError { connection: Arc::clone(connection), error });
    connection.terminate();
}
