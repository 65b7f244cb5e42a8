//! `memory`: what an idle worker costs, also after it has once sent something large.

use std::{io, time::Duration};

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    payload::{self, Shape},
    report::Report,
    target::Target,
    time::{sleep_ms, within},
    window::{Window, number},
    worker,
};

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers: usize = args.get("workers", 1000)?;
    let message: usize = args.get("message", 0)?;
    let settle = args.get("settle", 1500)?;
    args.refuse_unknown()?;

    // A collection first, so that the garbage of the start is not taken for the workers'.
    control.get("/gc").await?;
    let before = control.get("/stats").await?;
    let window = Window::begin(control).await?;
    let mut crowd = Crowd::open(target, workers, PARALLEL).await?;
    if message > 0 {
        let text = payload::progress(0, message, Shape::Ascii);
        for worker in &mut crowd.workers {
            let mut frame = Vec::new();
            worker.frames.text(&mut frame, &[text.as_bytes()]);
            worker::write_all(&worker.stream, &frame).await?;
        }
    }
    let sent = if message > 0 { workers as f64 } else { 0.0 };
    let handled = async || -> io::Result<f64> {
        Ok(number(&control.get("/stats").await?, "counters.messages"))
    };
    within(Duration::from_secs(30), async || Ok(handled().await? >= sent)).await?;
    sleep_ms(settle).await;
    let idle = control.get("/stats").await?;
    control.get("/gc").await?;
    sleep_ms(300).await;
    let window = window.end(control).await?;
    let alive = crowd
        .workers
        .iter_mut()
        .filter_map(|worker| worker.try_read(&mut |_| ()).ok().filter(|_| worker.closed.is_none()))
        .count();
    let each = |bytes: f64| (bytes - number(&before, "rss")) / workers as f64;
    Ok(Report::default()
        .figure("rss_each", each(window.after("rss")))
        .figure("rss_each_before_gc", each(number(&idle, "rss")))
        .figure("rss_mb", window.after("rss") / 1e6)
        .costs(&window, workers as f64)
        .fault("missing", sent - handled().await?)
        .fault("connections_lost", (workers - alive) as f64))
}
