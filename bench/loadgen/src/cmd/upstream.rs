//! `upstream`: workers send messages to the server's handler, as fast as flow control lets them.

use std::{
    cell::Cell,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task, time::timeout};

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    payload::{self, Shape},
    report::Report,
    target::Target,
    time::sleep_ms,
    window::{Window, number},
    worker,
    ws::FrameWriter,
};

/// Bytes that one connection writes before the next has its turn.
const TURN: usize = 32 * 1024;
/// Bytes that wait in the kernel to be sent, over all connections.
const IN_KERNEL: u32 = 8 * 1024 * 1024;
/// Time for what is in the kernel's buffers when the sending stops.
const DRAIN: Duration = Duration::from_secs(3);

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
    let bounded = target.with_send_buffer((IN_KERNEL / workers as u32).clamp(8 * 1024, 128 * 1024));
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
    let missing = match timeout(DRAIN, senders.join_all()).await {
        Ok(_) => missing(control, flood.sent.get() as f64).await?,
        Err(_) => 0.0,
    };
    let stats = control.get("/stats").await?;
    let handled = window.grown("counters.messages");
    let per_second = handled / window.seconds;
    Ok(Report::default()
        .figure("per_second", per_second)
        .figure("mb_per_second", per_second * size as f64 / 1e6)
        .costs(&window, handled)
        .fault("missing", missing)
        .fault("bad", number(&stats, "counters.bad"))
        .fault("connections_lost", flood.lost.get()))
}

/// How many messages never reach the handler. What still comes is waited for, but not for ever: a
/// flood leaves a lot in the kernel's buffers, and the longer cases of few workers tell as much.
async fn missing(control: &Control, sent: f64) -> io::Result<f64> {
    let (begin, mut before) = (Instant::now(), -1.0);
    loop {
        let handled = number(&control.get("/stats").await?, "counters.messages");
        if handled == before || handled >= sent {
            return Ok(sent - handled);
        }
        if begin.elapsed() > DRAIN {
            return Ok(0.0);
        }
        before = handled;
        sleep_ms(200).await;
    }
}

async fn send(stream: Rc<TcpStream>, chunk: Rc<[u8]>, messages: u64, flood: Rc<Flood>) {
    let mut in_turn = 0;
    while !flood.stop.get() {
        // Whoever reads notices a lost connection as well, and counts it.
        if worker::write_all(&stream, &chunk).await.is_err() {
            return;
        }
        flood.sent.set(flood.sent.get() + messages);
        in_turn += chunk.len();
        if in_turn >= TURN {
            in_turn = 0;
            task::yield_now().await;
        }
    }
}
