//! `registrations`: how fast workers connect and register.

use std::{io, time::Instant};

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    report::Report,
    target::Target,
    window::{Window, number},
};

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers: usize = args.get("workers", 5000)?;
    let parallel: usize = args.get("parallel", PARALLEL)?;
    args.refuse_unknown()?;

    // The first ones only make the server's code warm.
    let warm = workers / 5;
    let early = Crowd::open(target, warm, parallel).await?;
    let later = target.from(warm);
    let window = Window::begin(control).await?;
    let begin = Instant::now();
    let crowd = Crowd::open(&later, workers, parallel).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let window = window.end(control).await?;
    let stats = control.get("/stats").await?;
    let registered = (early.workers.len() + crowd.workers.len()) as f64;
    Ok(Report::default()
        .figure("per_second", workers as f64 / seconds)
        .times(&crowd.times)
        .costs(&window, workers as f64)
        .fault("missing", registered - number(&stats, "workers")))
}
