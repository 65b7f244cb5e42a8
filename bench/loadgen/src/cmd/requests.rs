//! `requests`: the server hands out requests, each worker answers at once. Either a closed loop, in
//! which each answer brings the next request, or at a rate. The server measures from its `send` to
//! its handler.

use std::{cell::Cell, io, rc::Rc};

use tokio::task;

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    report::Report,
    target::Target,
    time::sleep_ms,
    window::{Window, number},
    worker::{self, Worker},
    ws::{Event, find_after},
};

pub(super) const HEAD: &[u8] = br#"{"type":"work_complete","requestId":""#;
pub(super) const MIDDLE: &[u8] = br#"","result":""#;
pub(super) const TAIL: &[u8] = br#""}"#;

/// Requests in flight at most, where there is a rate: more is more than the server can do.
const MOST: usize = 10_000;

#[derive(Default)]
struct Seen {
    strange: Cell<u32>,
    lost: Cell<u32>,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers = args.get("workers", 16)?;
    let inflight: usize = args.get("inflight", 4)?;
    let size: usize = args.get("size", 100)?;
    let rate: f64 = args.get("rate", 0.0)?;
    let select: bool = args.get("select", false)?;
    let warmup = args.get("warmup", 1000)?;
    let seconds: f64 = args.get("seconds", 5.0)?;
    args.refuse_unknown()?;

    let crowd = Crowd::open(target, workers, PARALLEL).await?;
    let seen = Rc::new(Seen::default());
    // An answer with an id like "000000:0000" is as long as the request.
    let result = Rc::<[u8]>::from(vec![b'y'; size.saturating_sub(62)]);
    for worker in crowd.workers {
        let (seen, result) = (Rc::clone(&seen), Rc::clone(&result));
        task::spawn_local(async move {
            if answer(worker, &result, &seen).await.is_err() {
                seen.lost.set(seen.lost.get() + 1);
            }
        });
    }
    let start = match rate {
        0.0 => format!("/requests/loop?inflight={inflight}&size={size}&select={select}"),
        _ => format!("/requests/pace?rate={rate}&size={size}&most={MOST}"),
    };
    control.get(&start).await?;
    sleep_ms(warmup).await;
    control.get("/latency/reset").await?;
    let window = Window::begin(control).await?;
    sleep_ms((seconds * 1e3) as u64).await;
    let window = window.end(control).await?;
    control.get("/requests/stop").await?;
    sleep_ms(200).await;
    let end = control.get("/stats").await?;
    let completed = window.grown("counters.completed");
    let mut report = Report::default().figure("per_second", completed / window.seconds);
    for name in ["p50_us", "p99_us", "p999_us"] {
        report = report.figure(name, window.after(&format!("latency.{name}")));
    }
    Ok(report
        .costs(&window, completed)
        .fault("bad", number(&end, "counters.bad"))
        .fault("refused", number(&end, "counters.refused"))
        .fault("unanswered", number(&end, "outstanding"))
        .fault("strange", seen.strange.get())
        .fault("connections_lost", seen.lost.get()))
}

async fn answer(mut worker: Worker, result: &[u8], seen: &Seen) -> io::Result<()> {
    let mut frames = crate::ws::FrameWriter::new(worker.index + 5);
    let mut out = Vec::new();
    loop {
        out.clear();
        worker
            .read(|event| {
                let Event::Message(text) = event else { return };
                match request_id(text) {
                    Some(id) => frames.text(&mut out, &[HEAD, id, MIDDLE, result, TAIL]),
                    None => seen.strange.set(seen.strange.get() + 1),
                }
            })
            .await?;
        worker::write_all(&worker.stream, &out).await?;
    }
}

pub(super) fn request_id(text: &[u8]) -> Option<&[u8]> {
    let rest = &text[find_after(text, br#""requestId":""#)?..];
    Some(&rest[..rest.iter().position(|byte| *byte == b'"')?])
}
