//! Many workers at once.

use std::{cell::Cell, io, rc::Rc, time::Instant};

use tokio::task::JoinSet;

use crate::{fail, hist::Hist, target::Target, worker::Worker};

/// Connections being opened at the same time, where a command does not say.
pub const PARALLEL: usize = 64;

/// Workers that have registered, by index, and how long each took.
pub struct Crowd {
    /// In order of their index.
    pub workers: Vec<Worker>,
    /// From connecting to the acknowledgement.
    pub times: Hist,
}

impl Crowd {
    /// Connects and registers `count` workers, `parallel` at a time.
    pub async fn open(target: &Target, count: usize, parallel: usize) -> io::Result<Self> {
        let next = Rc::new(Cell::new(0));
        let mut lanes = JoinSet::new();
        for _ in 0..parallel.min(count) {
            lanes.spawn_local(lane(target.clone(), count, Rc::clone(&next)));
        }
        let mut all = Vec::with_capacity(count);
        while let Some(lane) = lanes.join_next().await {
            all.extend(lane.map_err(fail)??);
        }
        all.sort_by_key(|(worker, _)| worker.index);
        let mut times = Hist::default();
        all.iter().for_each(|(_, ns)| times.add(*ns));
        Ok(Self { workers: all.into_iter().map(|(worker, _)| worker).collect(), times })
    }
}

async fn lane(
    target: Target,
    count: usize,
    next: Rc<Cell<usize>>,
) -> io::Result<Vec<(Worker, u64)>> {
    let mut opened = Vec::new();
    while next.get() < count {
        let index = next.replace(next.get() + 1);
        let begin = Instant::now();
        let named = |error: io::Error| fail(format!("worker {index}: {error}"));
        let mut worker = Worker::open(&target, index).await.map_err(named)?;
        worker.register(&target).await.map_err(named)?;
        opened.push((worker, begin.elapsed().as_nanos() as u64));
    }
    Ok(opened)
}
