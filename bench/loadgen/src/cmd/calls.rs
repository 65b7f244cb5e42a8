//! `calls`: the server times its own synchronous calls while so many workers are connected.

use std::io;

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    fail,
    report::Report,
    target::Target,
    time::sleep_ms,
    window::{Window, number},
};

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers: usize = args.get("workers", 10)?;
    let ms: f64 = args.get("ms", 30.0)?;
    let calls = args.get("calls", String::new())?;
    let models: usize = args.get("models", 1)?;
    args.refuse_unknown()?;

    let crowd = Crowd::open(target, workers, PARALLEL).await?;
    sleep_ms(200).await;
    let window = Window::begin(control).await?;
    let times = control.get(&format!("/calls?ms={ms}&models={models}&calls={calls}")).await?;
    let window = window.end(control).await?;
    let figures = times.as_object().ok_or_else(|| fail("/calls: no object"))?;
    let report = Report::default()
        .figures(figures.clone())
        .costs(&window, 1.0)
        .fault("missing", workers as f64 - number(&control.get("/stats").await?, "workers"));
    drop(crowd);
    Ok(report)
}
