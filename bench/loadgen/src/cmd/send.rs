//! `send`: the server sends so many messages to one worker, or to all of them in turn.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use tokio::task;

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    report::Report,
    target::Target,
    time::{monotonic_ns, within},
    window::{Window, number},
    worker::Worker,
    ws::{Event, number_after},
};

/// What has arrived.
#[derive(Default)]
struct Arrived {
    count: Cell<u64>,
    last_ns: Cell<u64>,
    disordered: Cell<u32>,
    lost: Cell<u32>,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers = args.get("workers", 1000)?;
    let count: u64 = args.get("count", 100_000)?;
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
    // The first ones only make the server's code warm.
    send(control, &arrived, count / 5, size).await?;
    let window = Window::begin(control).await?;
    let seconds = send(control, &arrived, count, size).await?;
    let missing = count + count / 5 - arrived.count.get();
    let window = window.end(control).await?;
    let stats = control.get("/stats").await?;
    Ok(Report::default()
        .figure("per_second", count as f64 / seconds)
        .figure("call_ns", number(&stats, "send.callMs") * 1e6 / count as f64)
        .costs(&window, count as f64)
        .fault("missing", missing as f64)
        .fault("disordered", arrived.disordered.get())
        .fault("connections_lost", arrived.lost.get()))
}

/// Seconds from the server's first send to the last arrival.
async fn send(control: &Control, arrived: &Arrived, count: u64, size: usize) -> io::Result<f64> {
    let expected = arrived.count.get() + count;
    control.get(&format!("/send?count={count}&size={size}")).await?;
    within(Duration::from_secs(30), async || Ok(arrived.count.get() >= expected)).await?;
    let begin = number(&control.get("/stats").await?, "send.beginNs");
    Ok((arrived.last_ns.get() as f64 - begin) / 1e9)
}

async fn count_arrivals(mut worker: Worker, arrived: &Arrived) {
    let mut previous = None;
    loop {
        let mut count = 0;
        let result = worker
            .read(|event| {
                let Event::Message(text) = event else { return };
                let number = number_after(text, br#""seq":"#);
                if number <= previous {
                    arrived.disordered.set(arrived.disordered.get() + 1);
                }
                previous = number;
                count += 1;
            })
            .await;
        arrived.count.set(arrived.count.get() + count);
        arrived.last_ns.set(monotonic_ns());
        if result.is_err() || worker.closed.is_some() {
            return;
        }
    }
}
