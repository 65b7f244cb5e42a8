//! `soak`: requests at a rate for a long time, while workers come and go, and everything is counted
//! at both ends.
//!
//! A worker answers each request with a `work_progress` and a `work_complete`, and now and then a
//! heartbeat. Those who go say so with a close frame and read on until the server has closed too,
//! so every message has to arrive: what they answered before, and what was sent to them meanwhile.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    time::Duration,
};

use tokio::{net::TcpStream, task};

use super::requests::{HEAD, MIDDLE, TAIL, request_id};
use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    pacer::Pacer,
    payload::{self, Shape},
    report::Report,
    target::Target,
    time::{sleep_ms, within},
    window::{Window, number},
    worker::{self, Worker},
    ws::{Event, FrameWriter, find_after},
};

/// Requests from one heartbeat of a worker to its next.
const HEARTBEAT_EVERY: u64 = 10;

/// What the workers have seen and done.
#[derive(Default)]
struct Ledger {
    requests: Cell<u64>,
    answers: Cell<u64>,
    heartbeats: Cell<u64>,
    heartbeat_acks: Cell<u64>,
    strange: Cell<u32>,
    lost: Cell<u32>,
    left: Cell<u64>,
    /// The connections of those who are there, the oldest first.
    present: RefCell<VecDeque<Rc<Leaver>>>,
}

/// How a worker is told to go.
struct Leaver {
    stream: Rc<TcpStream>,
    is_writing: Cell<bool>,
    has_left: Cell<bool>,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers: usize = args.get("workers", 10_000)?;
    let rate: f64 = args.get("rate", 10_000.0)?;
    let most: usize = args.get("most", 10_000)?;
    let churn: f64 = args.get("churn", 20.0)?;
    let seconds: f64 = args.get("seconds", 60.0)?;
    args.refuse_unknown()?;

    let ledger = Rc::new(Ledger::default());
    for worker in Crowd::open(target, workers, PARALLEL).await?.workers {
        employ(worker, target, &ledger);
    }
    control.get(&format!("/requests/pace?rate={rate}&size=100&most={most}")).await?;
    let window = Window::begin(control).await?;
    let churning = task::spawn_local(replace(target.clone(), workers, churn, Rc::clone(&ledger)));
    sleep_ms((seconds * 1e3) as u64).await;
    let window = window.end(control).await?;
    churning.abort();
    control.get("/requests/stop").await?;
    let settled = within(Duration::from_secs(10), async || {
        Ok(number(&control.get("/stats").await?, "outstanding") == 0.0)
    });
    settled.await?;
    sleep_ms(500).await;
    let end = control.get("/stats").await?;
    let count = |cell: &Cell<u64>| cell.get() as f64;
    let of_server = |path: &str| number(&end, path);
    let completed = window.grown("counters.completed");
    Ok(Report::default()
        .figure("per_second", completed / window.seconds)
        .figure("p99_us", window.after("latency.p99_us"))
        .figure("requests", of_server("dispatched"))
        .figure("replaced", count(&ledger.left))
        .figure("left_unanswered", of_server("counters.pending"))
        .costs(&window, completed)
        .fault("requests_lost", of_server("dispatched") - count(&ledger.requests))
        .fault("progress_lost", count(&ledger.answers) - of_server("counters.messages"))
        .fault("answers_lost", count(&ledger.answers) - of_server("counters.completed"))
        .fault("heartbeats_lost", count(&ledger.heartbeats) - count(&ledger.heartbeat_acks))
        .fault(
            "unaccounted",
            of_server("dispatched")
                - of_server("counters.completed")
                - of_server("counters.pending"),
        )
        .fault("bad", of_server("counters.bad"))
        .fault("strange", ledger.strange.get())
        .fault("connections_lost", ledger.lost.get()))
}

/// So many a second go, and new ones with new names come.
async fn replace(target: Target, workers: usize, churn: f64, ledger: Rc<Ledger>) {
    let mut pacer = Pacer::new(churn);
    loop {
        for number in pacer.due().await {
            // One in the middle of a frame goes later.
            let oldest = ledger.present.borrow_mut().pop_front();
            if let Some(leaver) = oldest
                && !leaver.try_leave()
            {
                ledger.present.borrow_mut().push_back(leaver);
                continue;
            }
            let (target, ledger) = (target.from(workers), Rc::clone(&ledger));
            task::spawn_local(async move {
                match open(&target, number as usize).await {
                    Ok(worker) => employ(worker, &target, &ledger),
                    Err(_) => ledger.lost.set(ledger.lost.get() + 1),
                }
            });
        }
    }
}

async fn open(target: &Target, index: usize) -> io::Result<Worker> {
    let mut worker = Worker::open(target, index).await?;
    worker.register(target).await?;
    Ok(worker)
}

impl Leaver {
    fn try_leave(&self) -> bool {
        if self.is_writing.get() {
            return false;
        }
        let mut frame = Vec::new();
        FrameWriter::new(1).close(&mut frame, 1000);
        self.has_left.set(true);
        // A few bytes on a connection that is not full; if they do not fit, messages are missing.
        self.stream.try_write(&frame).is_ok()
    }
}

/// Lets a worker work until it is told to go.
fn employ(worker: Worker, target: &Target, ledger: &Rc<Ledger>) {
    let stream = Rc::clone(&worker.stream);
    let leaver =
        Rc::new(Leaver { stream, is_writing: Cell::new(false), has_left: Cell::new(false) });
    ledger.present.borrow_mut().push_back(Rc::clone(&leaver));
    let (id, ledger) = (target.worker_id(worker.index), Rc::clone(ledger));
    task::spawn_local(async move {
        let _ = work(worker, &id, &leaver, &ledger).await;
        if leaver.has_left.get() {
            bump(&ledger.left, 1);
        } else {
            ledger.lost.set(ledger.lost.get() + 1);
        }
    });
}

/// Returns when the connection has ended.
async fn work(mut worker: Worker, id: &str, leaver: &Leaver, ledger: &Ledger) -> io::Result<()> {
    let heartbeat = format!(r#"{{"type":"heartbeat","workerId":"{id}","timestamp":1}}"#);
    let mut frames = FrameWriter::new(worker.index + 5);
    let (mut out, mut number) = (Vec::new(), 0);
    while worker.closed.is_none() {
        out.clear();
        let (mut answers, mut heartbeats) = (0, 0);
        worker
            .read(|event| {
                let Event::Message(text) = event else { return };
                let Some(request) = request_id(text) else {
                    let is_ack = find_after(text, b"\"heartbeat_ack\"").is_some();
                    bump(&ledger.heartbeat_acks, u64::from(is_ack));
                    ledger.strange.set(ledger.strange.get() + u32::from(!is_ack));
                    return;
                };
                number += 1;
                bump(&ledger.requests, 1);
                // Behind a close frame nothing may come.
                if leaver.has_left.get() {
                    return;
                }
                let progress = payload::progress(number as usize, 100, Shape::Ascii);
                frames.text(&mut out, &[progress.as_bytes()]);
                frames.text(&mut out, &[HEAD, request, MIDDLE, TAIL]);
                answers += 1;
                if number % HEARTBEAT_EVERY == 0 {
                    frames.text(&mut out, &[heartbeat.as_bytes()]);
                    heartbeats += 1;
                }
            })
            .await?;
        leaver.is_writing.set(true);
        worker::write_all(&worker.stream, &out).await?;
        leaver.is_writing.set(false);
        bump(&ledger.answers, answers);
        bump(&ledger.heartbeats, heartbeats);
    }
    Ok(())
}

fn bump(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get() + by);
}
