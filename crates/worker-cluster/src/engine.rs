//! A connection that is made again when it is lost.

use std::{
    future::Future,
    sync::{Mutex as StdMutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, RedisError, RedisResult, Value, aio::MultiplexedConnection, cmd,
};
use tokio::{sync::Mutex, time};

use crate::{
    error::{EngineError, Meaning, meaning, reason},
    keys::Keys,
    options::{EngineOptions, Topology},
};

/// The longest pause between two attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Pause before a server that is not ready is asked again.
const NOT_READY_PAUSE: Duration = Duration::from_millis(50);

/// An engine. Connects at the first call; nothing waits for it in between.
pub struct Engine {
    pub(crate) options: EngineOptions,
    pub(crate) keys: Keys,
    state: Mutex<State>,
    /// The id of the last event before the first call.
    first_event: OnceLock<String>,
    warnings: StdMutex<Vec<String>>,
}

#[derive(Default)]
struct State {
    connection: Option<Connected>,
    failures: u32,
    /// Until then an attempt to connect fails at once.
    pause: Option<(Instant, EngineError)>,
    /// Counts connections, so that a caller drops only the one that it has used.
    generation: u64,
    has_warned: bool,
}

#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    generation: u64,
}

/// Whether a command may be sent a second time after its reply was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Read,
    Change,
}

impl Engine {
    /// Does not connect yet.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self {
            keys: Keys::new(&options.prefix),
            options,
            state: Mutex::default(),
            first_event: OnceLock::new(),
            warnings: StdMutex::default(),
        }
    }

    /// Takes what the user should know of the engine.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of the last event before the first call; none before that.
    pub(crate) fn first_event(&self) -> Option<&str> {
        self.first_event.get().map(String::as_str)
    }

    /// Sends a command and waits for its reply, at most as long as the options say.
    pub(crate) async fn run<T, F>(
        &self,
        effect: Effect,
        command: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let deadline = time::Instant::now() + self.options.command_timeout;
        let mut is_second = false;
        loop {
            let connected = match time::timeout_at(deadline, self.connected()).await {
                Ok(connected) => connected?,
                Err(_) => return Err(self.unavailable("no connection in time")),
            };
            let result = time::timeout_at(deadline, command(connected.connection)).await;
            let error = match result {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => {
                    self.drop_connection(connected.generation).await;
                    return Err(self.lost(effect, "no reply in time".to_owned()));
                }
            };
            match meaning(&error) {
                Meaning::Auth => {
                    let (address, reason) = (self.options.address(), reason(&error));
                    return Err(EngineError::Auth { address, reason });
                }
                Meaning::Refused => {
                    let (address, reason) = (self.options.address(), reason(&error));
                    return Err(EngineError::Refused { address, reason });
                }
                Meaning::NotDone => {
                    self.drop_connection(connected.generation).await;
                    if time::Instant::now() + NOT_READY_PAUSE >= deadline {
                        return Err(self.unavailable(&reason(&error)));
                    }
                    time::sleep(NOT_READY_PAUSE).await;
                }
                Meaning::Lost => {
                    self.drop_connection(connected.generation).await;
                    if effect == Effect::Change || is_second {
                        return Err(self.lost(effect, reason(&error)));
                    }
                    is_second = true;
                }
            }
        }
    }

    /// A connection of its own, for commands that wait.
    pub(crate) async fn own_connection(&self) -> Result<MultiplexedConnection, EngineError> {
        let limit = self.options.command_timeout;
        match time::timeout(limit, self.connect_to_owner(None)).await {
            Ok(connection) => connection,
            Err(_) => Err(self.unavailable("no connection in time")),
        }
    }

    async fn connected(&self) -> Result<Connected, EngineError> {
        let mut state = self.state.lock().await;
        if let Some(connected) = &state.connection {
            return Ok(connected.clone());
        }
        if let Some((until, error)) = &state.pause
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let limit = self.options.command_timeout;
        let attempt = time::timeout(limit, self.connect_to_owner(Some(limit))).await;
        let attempt = attempt.unwrap_or_else(|_| Err(self.unavailable("no connection in time")));
        match attempt {
            Ok(mut connection) => {
                self.greet(&mut connection, &mut state).await?;
                state.failures = 0;
                state.pause = None;
                state.generation += 1;
                let generation = state.generation;
                let connected = Connected { connection, generation };
                state.connection = Some(connected.clone());
                Ok(connected)
            }
            Err(error) => {
                state.failures += 1;
                state.pause = Some((Instant::now() + pause(state.failures), error.clone()));
                Err(error)
            }
        }
    }

    async fn drop_connection(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(|current| current.generation == generation) {
            state.connection = None;
        }
    }

    /// Checks the version, and notes the last event before the first call.
    async fn greet(
        &self,
        connection: &mut MultiplexedConnection,
        state: &mut State,
    ) -> Result<(), EngineError> {
        let failed = |error: RedisError| self.connect_error(&error);
        if !state.has_warned {
            let info: String = cmd("INFO").query_async(connection).await.map_err(failed)?;
            self.check_version(&info)?;
            if let Some(policy) = field(&info, "maxmemory_policy")
                && policy != "noeviction"
            {
                let address = self.options.address();
                let warning = format!(
                    "{address} has maxmemory-policy {policy}: it may forget workers; set noeviction"
                );
                self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
            }
            state.has_warned = true;
        }
        if self.first_event.get().is_none() {
            let last = last_event(connection, &self.keys.events()).await.map_err(failed)?;
            // Somebody else may have been faster, with the same.
            let _ = self.first_event.set(last);
        }
        Ok(())
    }

    fn check_version(&self, info: &str) -> Result<(), EngineError> {
        let version = field(info, "redis_version").unwrap_or_default();
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        let version_number: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version_number < (6, 2) {
            return Err(EngineError::Version {
                address: self.options.address(),
                version: version.to_owned(),
            });
        }
        Ok(())
    }

    /// Connects to the server that has the keys. With `limit`, replies must come in that time.
    async fn connect_to_owner(
        &self,
        limit: Option<Duration>,
    ) -> Result<MultiplexedConnection, EngineError> {
        match &self.options.topology {
            Topology::Single(url) => {
                let client = self.options.client(url);
                self.open(client, limit).await.map_err(|error| self.connect_error(&error))
            }
            Topology::Cluster(urls) => {
                self.first_of(urls, |url| self.connect_in_cluster(url, limit)).await
            }
            Topology::Sentinel { urls, master, .. } => {
                self.first_of(urls, |url| self.connect_by_sentinel(url, master, limit)).await
            }
        }
    }

    /// The first connection that comes about; else the last error.
    async fn first_of<'a, F>(
        &self,
        urls: &'a [String],
        connect: impl Fn(&'a str) -> F,
    ) -> Result<MultiplexedConnection, EngineError>
    where
        F: Future<Output = RedisResult<MultiplexedConnection>>,
    {
        let mut last = self.unavailable("there is no address");
        // One server that does not answer must not use up the time of all.
        let limit = self.options.command_timeout / (urls.len() as u32 + 1);
        for url in urls {
            match time::timeout(limit, connect(url)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = self.connect_error(&error),
                Err(_) => last = self.unavailable("no connection in time"),
            }
        }
        Err(last)
    }

    /// A server of a cluster says who has a key.
    async fn connect_in_cluster(
        &self,
        url: &str,
        limit: Option<Duration>,
    ) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.open(self.options.client(url), limit).await?;
        let probe: RedisResult<Value> =
            cmd("EXISTS").arg(self.keys.ids()).query_async(&mut connection).await;
        let Err(error) = probe else { return Ok(connection) };
        // The address is of the form `host:port`; the host may be an IPv6 address.
        let owner = error.redirect_node().and_then(|(address, _)| address.rsplit_once(':'));
        let Some((host, port)) = owner else { return Err(error) };
        let Ok(port) = port.parse() else { return Err(error) };
        let client = self.options.sibling_client(url, host, port);
        let mut owner = self.open(client, limit).await?;
        let _: Value = cmd("EXISTS").arg(self.keys.ids()).query_async(&mut owner).await?;
        Ok(owner)
    }

    async fn connect_by_sentinel(
        &self,
        url: &str,
        master: &str,
        limit: Option<Duration>,
    ) -> RedisResult<MultiplexedConnection> {
        let mut sentinel = self.open(self.options.sentinel_client(url), limit).await?;
        let found: Option<(String, u16)> = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(master)
            .query_async(&mut sentinel)
            .await?;
        let Some((host, port)) = found else {
            return Err((redis::ErrorKind::MasterNameNotFoundBySentinel, "unknown master").into());
        };
        let client = self.options.sibling_client(url, &host, port);
        let mut connection = self.open(client, limit).await?;
        let role: Vec<Value> = cmd("ROLE").query_async(&mut connection).await?;
        let is_master = role
            .first()
            .is_some_and(|role| matches!(role, Value::BulkString(name) if name == b"master"));
        if is_master {
            Ok(connection)
        } else {
            Err((redis::ErrorKind::Io, "the server is no master yet").into())
        }
    }

    async fn open(
        &self,
        client: RedisResult<Client>,
        limit: Option<Duration>,
    ) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.command_timeout))
            .set_response_timeout(limit);
        client?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn connect_error(&self, error: &RedisError) -> EngineError {
        match meaning(error) {
            Meaning::Auth => {
                EngineError::Auth { address: self.options.address(), reason: reason(error) }
            }
            _ => self.unavailable(&reason(error)),
        }
    }

    fn lost(&self, effect: Effect, reason: String) -> EngineError {
        match effect {
            Effect::Read => self.unavailable(&reason),
            Effect::Change => EngineError::ReplyLost { address: self.options.address(), reason },
        }
    }

    fn unavailable(&self, reason: &str) -> EngineError {
        let (address, reason) = (self.options.address(), reason.to_owned());
        EngineError::Unavailable { address, reason }
    }
}

/// The id of the last event; `0-0`: there is none.
pub(crate) async fn last_event(
    connection: &mut MultiplexedConnection,
    stream: &str,
) -> RedisResult<String> {
    let last: Vec<(String, Value)> = cmd("XREVRANGE")
        .arg(stream)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(connection)
        .await?;
    Ok(last.into_iter().next().map_or_else(|| "0-0".to_owned(), |(id, _)| id))
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Longer after each failure, and different for each process, so that they do not all come at once.
pub(crate) fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(MAX_PAUSE);
    let share = 0.5 + jitter() / 2.0;
    longest.mul_f64(share)
}

/// Between 0 and 1.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    // A new state is seeded by the system.
    let random = RandomState::new().hash_one(0);
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
