//! `upstream`: workers send messages to the server's handler, as fast as flow control lets them.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use tokio::{net::TcpStream, task};

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    fail,
    payload::{self, Shape},
    report::Report,
    target::Target,
    time::{sleep_ms, within},
    window::{Window, number},
    worker,
    ws::FrameWriter,
};

/// Bytes that one connection writes before the next has its turn.
const TURN: usize = 32 * 1024;

struct Flood {
    stop: Cell<bool>,
    sent: Cell<u64>,
    lost: Cell<u32>,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers = args.get("workers", 16)?;
    let size = args.get("size", 100)?;
    let batch = args.get("batch", 1)?;
    let shape = args.get("shape", Shape::Ascii)?;
    let warmup = args.get("warmup", 1000)?;
    let seconds: f64 = args.get("seconds", 5.0)?;
    args.refuse_unknown()?;

    // Without a bound, a minute's worth of small messages fits into the kernel.
    let bounded = target.with_send_buffer(128 * 1024);
    let crowd = Crowd::open(&bounded, workers, PARALLEL).await?;
    let flood = Rc::new(Flood { stop: Cell::new(false), sent: Cell::new(0), lost: Cell::new(0) });
    let mut frames = FrameWriter::new(7);
    let mut chunk = Vec::new();
    for number in 0..batch {
        frames.text(&mut chunk, &[payload::progress(number, size, shape).as_bytes()]);
    }
    let chunk: Rc<[u8]> = chunk.into();
    let mut senders = task::JoinSet::new();
    for worker in crowd.workers {
        let (stream, chunk) = (Rc::clone(&worker.stream), Rc::clone(&chunk));
        senders.spawn_local(send(stream, chunk, batch as u64, Rc::clone(&flood)));
        let flood = Rc::clone(&flood);
        task::spawn_local(async move {
            worker.drain().await;
            flood.lost.set(flood.lost.get() + 1);
        });
    }

    sleep_ms(warmup).await;
    let window = Window::begin(control).await?;
    sleep_ms((seconds * 1e3) as u64).await;
    let window = window.end(control).await?;
    flood.stop.set(true);
    while let Some(sender) = senders.join_next().await {
        sender.map_err(fail)??;
    }
    let sent = flood.sent.get() as f64;
    within(Duration::from_secs(30), async || {
        Ok(number(&control.get("/stats").await?, "counters.messages") >= sent)
    })
    .await?;
    let stats = control.get("/stats").await?;
    let handled = window.grown("counters.messages");
    let per_second = handled / window.seconds;
    Ok(Report::default()
        .figure("per_second", per_second)
        .figure("mb_per_second", per_second * size as f64 / 1e6)
        .costs(&window, handled)
        .fault("missing", sent - number(&stats, "counters.messages"))
        .fault("bad", number(&stats, "counters.bad"))
        .fault("connections_lost", flood.lost.get()))
}

async fn send(
    stream: Rc<TcpStream>,
    chunk: Rc<[u8]>,
    messages: u64,
    flood: Rc<Flood>,
) -> io::Result<()> {
    let mut in_turn = 0;
    while !flood.stop.get() {
        worker::write_all(&stream, &chunk).await?;
        flood.sent.set(flood.sent.get() + messages);
        in_turn += chunk.len();
        if in_turn >= TURN {
            in_turn = 0;
            task::yield_now().await;
        }
    }
    Ok(())
}
