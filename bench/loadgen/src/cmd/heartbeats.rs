//! `heartbeats`: what keeping workers alive costs, and how fast it is answered.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
};

use tokio::{net::TcpStream, task};

use crate::{
    args::Args,
    control::Control,
    crowd::{Crowd, PARALLEL},
    fail,
    hist::Hist,
    pacer::{Pacer, Unsent},
    report::Report,
    target::Target,
    time::{monotonic_ns, sleep_ms},
    window::Window,
    worker::{self, Worker},
    ws::{Event, find_after},
};

const STAMP: &str = "2026-01-02T03:04:05.678Z";

/// One worker's heart.
struct Heart {
    stream: Rc<TcpStream>,
    frame: Vec<u8>,
    /// When those were sent that are not answered yet; answers come in order.
    sent: RefCell<VecDeque<u64>>,
}

#[derive(Default)]
struct Seen {
    answers: Cell<u64>,
    strange: Cell<u32>,
    lost: Cell<u32>,
    times: RefCell<Hist>,
    /// Each answer brings the next heartbeat.
    is_loop: Cell<bool>,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let workers = args.get("workers", 1000)?;
    let rate: f64 = args.get("rate", 10_000.0)?;
    let warmup = args.get("warmup", 1000)?;
    let seconds: f64 = args.get("seconds", 5.0)?;
    args.refuse_unknown()?;

    let crowd = Crowd::open(target, workers, PARALLEL).await?;
    let seen = Rc::new(Seen::default());
    seen.is_loop.set(rate == 0.0);
    let mut hearts = Vec::new();
    for worker in crowd.workers {
        let heart = Rc::new(Heart::new(&worker, target));
        hearts.push(Rc::clone(&heart));
        let seen = Rc::clone(&seen);
        task::spawn_local(async move {
            if listen(worker, &heart, &seen).await.is_err() {
                seen.lost.set(seen.lost.get() + 1);
            }
        });
    }
    let beating = task::spawn_local(beat(hearts.clone(), rate));
    sleep_ms(warmup).await;
    seen.times.take();
    let answers = seen.answers.get();
    let window = Window::begin(control).await?;
    sleep_ms((seconds * 1e3) as u64).await;
    let answers = (seen.answers.get() - answers) as f64;
    let window = window.end(control).await?;
    let times = seen.times.take();
    beating.abort();
    seen.is_loop.set(false);
    sleep_ms(300).await;
    let unanswered: usize = hearts.iter().map(|heart| heart.sent.borrow().len()).sum();
    Ok(Report::default()
        .figure("per_second", answers / window.seconds)
        .times(&times)
        .costs(&window, answers)
        .fault("unanswered", unanswered as f64)
        .fault("strange", seen.strange.get())
        .fault("connections_lost", seen.lost.get()))
}

impl Heart {
    fn new(worker: &Worker, target: &Target) -> Self {
        let id = target.worker_id(worker.index);
        let text = format!(r#"{{"type":"heartbeat","workerId":"{id}","timestamp":"{STAMP}"}}"#);
        let mut frame = Vec::new();
        crate::ws::FrameWriter::new(worker.index + 3).text(&mut frame, &[text.as_bytes()]);
        Self { stream: Rc::clone(&worker.stream), frame, sent: RefCell::default() }
    }
}

async fn beat(hearts: Vec<Rc<Heart>>, rate: f64) -> io::Result<()> {
    if rate == 0.0 {
        for heart in &hearts {
            heart.sent.borrow_mut().push_back(monotonic_ns());
            worker::write_all(&heart.stream, &heart.frame).await?;
        }
        return Ok(());
    }
    let mut pacer = Pacer::new(rate);
    let mut unsent: Vec<Unsent> = hearts.iter().map(|_| Unsent::default()).collect();
    loop {
        for number in pacer.due().await {
            let index = (number % hearts.len() as u64) as usize;
            let heart = &hearts[index];
            if unsent[index].offer(&heart.stream, &heart.frame)? {
                heart.sent.borrow_mut().push_back(monotonic_ns());
            }
        }
    }
}

async fn listen(mut worker: Worker, heart: &Heart, seen: &Seen) -> io::Result<()> {
    loop {
        let mut answers = 0;
        worker
            .read(|event| {
                let Event::Message(text) = event else { return };
                let is_answer = find_after(text, b"\"heartbeat_ack\"").is_some()
                    && find_after(text, STAMP.as_bytes()).is_some();
                answers += u64::from(is_answer);
                seen.strange.set(seen.strange.get() + u32::from(!is_answer));
            })
            .await?;
        let now = monotonic_ns();
        for _ in 0..answers {
            if let Some(sent) = heart.sent.borrow_mut().pop_front() {
                seen.times.borrow_mut().add(now - sent);
            }
        }
        seen.answers.set(seen.answers.get() + answers);
        if answers > 0 && seen.is_loop.get() {
            heart.sent.borrow_mut().push_back(monotonic_ns());
            worker::write_all(&heart.stream, &heart.frame).await?;
        }
        if worker.closed.is_some() {
            return Err(fail("closed"));
        }
    }
}
