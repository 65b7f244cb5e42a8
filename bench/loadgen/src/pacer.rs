//! Doing things at a rate, whatever the server does meanwhile.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    time::{Interval, interval},
};

/// Tells every millisecond how many things are due.
pub struct Pacer {
    rate: f64,
    begin: Instant,
    done: u64,
    tick: Interval,
}

impl Pacer {
    /// So many a second.
    pub fn new(rate: f64) -> Self {
        let tick = interval(Duration::from_millis(1));
        Self { rate, begin: Instant::now(), done: 0, tick }
    }

    /// Waits for the next tick; the numbers of what is due.
    pub async fn due(&mut self) -> std::ops::Range<u64> {
        self.tick.tick().await;
        let due = (self.begin.elapsed().as_secs_f64() * self.rate) as u64;
        let range = self.done..due;
        self.done = due;
        range
    }
}

/// Sends whole frames without waiting: what the socket does not take is kept and goes first the
/// next time.
#[derive(Default)]
pub struct Unsent {
    rest: Vec<u8>,
}

impl Unsent {
    /// False: earlier bytes still wait, and this frame was not taken.
    pub fn offer(&mut self, stream: &TcpStream, frame: &[u8]) -> io::Result<bool> {
        while !self.rest.is_empty() {
            match stream.try_write(&self.rest) {
                Ok(length) => drop(self.rest.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match stream.try_write(frame) {
            Ok(length) => self.rest.extend_from_slice(&frame[length..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}
