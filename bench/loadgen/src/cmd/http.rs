//! `http`: GET over kept-alive connections, one request outstanding on each.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Instant,
};

use tokio::{io::AsyncReadExt, net::TcpStream, task};

use crate::{
    args::Args, control::Control, fail, hist::Hist, report::Report, target::Target, time::sleep_ms,
    window::Window, worker, ws::find_after,
};

#[derive(Default)]
struct Seen {
    answers: Cell<u64>,
    bad: Cell<u32>,
    lost: Cell<u32>,
    times: RefCell<Hist>,
}

/// See `USAGE`.
pub async fn run(args: &Args, target: &Target, control: &Control) -> io::Result<Report> {
    let connections = args.get("connections", 16)?;
    let path = args.get("path", "/status".to_owned())?;
    let block: u64 = args.get("block", 0)?;
    let warmup = args.get("warmup", 1000)?;
    let seconds: f64 = args.get("seconds", 5.0)?;
    args.refuse_unknown()?;

    let seen = Rc::new(Seen::default());
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", target.address);
    for _ in 0..connections {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (request, seen) = (request.clone(), Rc::clone(&seen));
        task::spawn_local(async move {
            if ask(stream, request.as_bytes(), &seen).await.is_err() {
                seen.lost.set(seen.lost.get() + 1);
            }
        });
    }
    sleep_ms(warmup).await;
    seen.times.take();
    let answers = seen.answers.get();
    let window = Window::begin(control).await?;
    sleep_ms((seconds * 1e3) as u64).await;
    let answers = (seen.answers.get() - answers) as f64;
    let window = window.end(control).await?;
    let mut report = Report::default()
        .figure("per_second", answers / window.seconds)
        .times(&seen.times.take())
        .costs(&window, answers);
    if block > 0 {
        report = report.figure("per_second_blocked", blocked(control, &seen, block).await?);
    }
    Ok(report.fault("bad", seen.bad.get()).fault("connections_lost", seen.lost.get()))
}

/// Answers a second while the server's JavaScript thread is busy with something else.
async fn blocked(control: &Control, seen: &Seen, ms: u64) -> io::Result<f64> {
    // Answered first; the blocking begins a moment later.
    control.get(&format!("/block?ms={ms}")).await?;
    sleep_ms(ms / 4).await;
    let (before, begin) = (seen.answers.get(), Instant::now());
    sleep_ms(ms / 2).await;
    Ok((seen.answers.get() - before) as f64 / begin.elapsed().as_secs_f64())
}

async fn ask(mut stream: TcpStream, request: &[u8], seen: &Seen) -> io::Result<()> {
    let mut received = Vec::with_capacity(4096);
    loop {
        let begin = Instant::now();
        worker::write_all(&stream, request).await?;
        received.clear();
        let is_good = loop {
            if stream.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((length, is_ok)) = response(&received).map_err(fail)? {
                break is_ok && length == received.len();
            }
        };
        seen.times.borrow_mut().add(begin.elapsed().as_nanos() as u64);
        seen.answers.set(seen.answers.get() + 1);
        seen.bad.set(seen.bad.get() + u32::from(!is_good));
    }
}

/// The length of the response at the start of `received`, once it is complete, and whether it says
/// 200.
fn response(received: &[u8]) -> Result<Option<(usize, bool)>, String> {
    let Some(head) = find_after(received, b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&received[..head]).map_err(|error| error.to_string())?;
    let is_ok = text.starts_with("HTTP/1.1 200");
    for (name, value) in text.split("\r\n").filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            let length: usize = value.trim().parse().map_err(|_| "bad content-length")?;
            return Ok((received.len() >= head + length).then_some((head + length, is_ok)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(chunked(received, head)?.map(|end| (end, is_ok)));
        }
    }
    Err("response without a length".into())
}

/// Where the chunks that begin at `at` end, once they are all there.
fn chunked(received: &[u8], mut at: usize) -> Result<Option<usize>, String> {
    loop {
        let Some(line) = find_after(&received[at..], b"\r\n") else { return Ok(None) };
        let hex = std::str::from_utf8(&received[at..at + line - 2]).map_err(|e| e.to_string())?;
        let size = usize::from_str_radix(hex, 16).map_err(|_| "bad chunk size")?;
        at += line + size + 2;
        if at > received.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::response;

    #[test]
    fn lengths() {
        let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(response(fixed).unwrap(), Some((fixed.len(), true)));
        assert_eq!(response(&fixed[..fixed.len() - 1]).unwrap(), None);
        let head = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = format!("{head}3\r\nabc\r\n0\r\n\r\n").into_bytes();
        assert_eq!(response(&chunks).unwrap(), Some((chunks.len(), false)));
        for length in 0..chunks.len() {
            assert_eq!(response(&chunks[..length]).unwrap(), None);
        }
    }
}
