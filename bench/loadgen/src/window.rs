//! What a stretch of time cost: the server's threads, its event loop, and this generator.

use std::{collections::BTreeMap, fs, io, time::Instant};

use serde_json::{Map, Value, json};

use crate::{control::Control, time::sleep_ms};

/// The start of a stretch of time.
pub struct Window {
    stats: Value,
    cpu: Cpu,
}

/// CPU time of the server's threads and of this process.
struct Cpu {
    /// Nanoseconds by the thread's name; `JS_THREAD` is the one that runs JavaScript.
    threads: BTreeMap<String, u64>,
    own_us: u64,
    at: Instant,
}

const JS_THREAD: &str = "js";

/// The end of a stretch of time, with what happened since its start.
pub struct Ended {
    /// By the server's clock.
    pub seconds: f64,
    before: Value,
    after: Value,
    cpu_before: Cpu,
    cpu_after: Cpu,
}

impl Window {
    /// Asking the server costs its JavaScript thread something, so it comes before the CPU is read
    /// here and after it at the end.
    pub async fn begin(control: &Control) -> io::Result<Self> {
        let stats = control.get("/stats").await?;
        // The server is not done with a request when its answer is here.
        sleep_ms(5).await;
        let cpu = Cpu::read(&stats);
        Ok(Self { stats, cpu })
    }

    /// The stretch is over.
    pub async fn end(self, control: &Control) -> io::Result<Ended> {
        let cpu_after = Cpu::read(&self.stats);
        let after = control.get("/stats").await?;
        let seconds = (number(&after, "now") - number(&self.stats, "now")) / 1e3;
        Ok(Ended { seconds, before: self.stats, after, cpu_before: self.cpu, cpu_after })
    }
}

impl Ended {
    /// By how much a number of the server grew, by its path, e.g. "counters.messages".
    pub fn grown(&self, path: &str) -> f64 {
        number(&self.after, path) - number(&self.before, path)
    }

    /// What the server said at the end.
    pub fn after(&self, path: &str) -> f64 {
        number(&self.after, path)
    }

    /// The costs for each of `units` things that happened.
    pub fn costs(&self, units: f64) -> Map<String, Value> {
        let cpu_seconds = (self.cpu_after.at - self.cpu_before.at).as_secs_f64();
        // The CPU was read over a slightly shorter time than the units were counted.
        let each = |us: f64| us / (units * cpu_seconds / self.seconds).max(f64::MIN_POSITIVE);
        let spent = |name: &str| {
            let before = self.cpu_before.threads.get(name).copied().unwrap_or(0);
            self.cpu_after.threads.get(name).map_or(0, |ns| ns.saturating_sub(before)) as f64 / 1e3
        };
        let threads: Map<String, Value> = self
            .cpu_after
            .threads
            .keys()
            .map(|name| (name.clone(), json!(spent(name) / 1e6 / cpu_seconds)))
            .collect();
        let total: f64 = self.cpu_after.threads.keys().map(|name| spent(name)).sum();
        let own = (self.cpu_after.own_us - self.cpu_before.own_us) as f64;
        let (active, idle) = (self.grown("elu.active"), self.grown("elu.idle"));
        let costs = json!({
            "cpu_us": each(total),
            "js_us": each(spent(JS_THREAD)),
            "elu": active / (active + idle),
            "rss_mb": self.after("rss") / 1e6,
            "thread_share": threads,
            "generator_share": own / 1e6 / cpu_seconds,
        });
        match costs {
            Value::Object(costs) => costs,
            _ => Map::new(),
        }
    }
}

impl Cpu {
    fn read(stats: &Value) -> Self {
        let threads = stats["pid"].as_u64().map(threads_of).unwrap_or_default();
        Self { threads, own_us: own_cpu_us(), at: Instant::now() }
    }
}

/// The number at a path of names with dots between them; NaN if there is none.
pub fn number(value: &Value, path: &str) -> f64 {
    path.split('.').fold(value, |value, name| &value[name]).as_f64().unwrap_or(f64::NAN)
}

fn threads_of(pid: u64) -> BTreeMap<String, u64> {
    let mut threads = BTreeMap::new();
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return threads };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_main = entry.file_name().to_string_lossy() == pid.to_string();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let name = if is_main { JS_THREAD } else { name.trim() };
        // Time on the CPU in nanoseconds, time in the queue, number of slices.
        let schedstat = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        let ns: u64 = schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        *threads.entry(name.to_owned()).or_insert(0) += ns;
    }
    threads
}

fn own_cpu_us() -> u64 {
    // SAFETY: getrusage writes the struct it is given and nothing else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    us(usage.ru_utime) + us(usage.ru_stime)
}
