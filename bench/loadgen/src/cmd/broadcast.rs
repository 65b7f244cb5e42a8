//! `broadcast`: one message to everyone, or several in a row, one per turn of the server's event
//! loop; the next when the last one has arrived.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use serde_json::Value;
use tokio::{sync::Notify, task, time::timeout};

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    report::Report,
    target::Target,
    time::monotonic_ns,
    window::{Window, number},
    worker::Worker,
    ws::Event,
};

/// Rows that only make the server's code warm.
const WARMUP: usize = 10;

#[derive(Default)]
struct Arrived {
    expected: Cell<u64>,
    count: Cell<u64>,
    last_ns: Cell<u64>,
    lost: Cell<u32>,
    everywhere: Notify,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers: usize = args.get("workers", 1000)?;
    let count: usize = args.get("count", 50)?;
    let row: usize = args.get("row", 1)?;
    let size: usize = args.get("size", 100)?;
    args.refuse_unknown()?;

    let crowd = Crowd::open(target, workers, PARALLEL).await?;
    let arrived = Rc::new(Arrived::default());
    for worker in crowd.workers {
        let arrived = Rc::clone(&arrived);
        task::spawn_local(async move {
            count_arrivals(worker, &arrived).await;
            arrived.lost.set(arrived.lost.get() + 1);
        });
    }
    let several = async || -> io::Result<(f64, f64)> {
        arrived.expected.set(arrived.expected.get() + (workers * row) as u64);
        let call: Value = control.get(&format!("/broadcast?size={size}&count={row}")).await?;
        let complete = async {
            while arrived.count.get() < arrived.expected.get() {
                arrived.everywhere.notified().await;
            }
        };
        // What is missing is counted at the end.
        let _ = timeout(Duration::from_secs(20), complete).await;
        let total_ms = (arrived.last_ns.get() as f64 - number(&call, "beginNs")) / 1e6;
        Ok((number(&call, "callMs") / row as f64, total_ms / row as f64))
    };
    for _ in 0..WARMUP.min(count) {
        several().await?;
    }
    let window = Window::begin(control).await?;
    let (mut blocked, mut total) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (call_ms, total_ms) = several().await?;
        blocked.push(call_ms);
        total.push(total_ms);
    }
    let window = window.end(control).await?;
    Ok(Report::default()
        .figure("blocked_ms", median(blocked))
        .figure("total_ms", median(total))
        .costs(&window, (count * row) as f64)
        .fault("missing", (arrived.expected.get() - arrived.count.get()) as f64)
        .fault("connections_lost", arrived.lost.get()))
}

async fn count_arrivals(mut worker: Worker, arrived: &Arrived) {
    loop {
        let mut count = 0;
        let result =
            worker.read(|event| count += u64::from(matches!(event, Event::Message(_)))).await;
        arrived.count.set(arrived.count.get() + count);
        if arrived.count.get() >= arrived.expected.get() {
            arrived.last_ns.set(monotonic_ns());
            arrived.everywhere.notify_one();
        }
        if result.is_err() || worker.closed.is_some() {
            return;
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
