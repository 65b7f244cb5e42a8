//! The server's control port: plain HTTP that answers what the server process has counted and
//! steers what it sends (bench/server/control.mjs).

use std::{cell::RefCell, io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{fail, ws::find_after};

/// A client of the control port, with one connection.
pub struct Control {
    address: SocketAddr,
    stream: RefCell<Option<TcpStream>>,
}

impl Control {
    /// Connects at the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: RefCell::default() }
    }

    /// Asks for a JSON document.
    pub async fn get(&self, path: &str) -> io::Result<Value> {
        let kept = self.stream.borrow_mut().take();
        let mut stream = match kept {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await?;
        let body = answer(&mut stream).await.map_err(|error| fail(format!("{path}: {error}")))?;
        *self.stream.borrow_mut() = Some(stream);
        let value: Value = serde_json::from_slice(&body).map_err(fail)?;
        match value.get("error") {
            Some(error) => Err(fail(format!("{path}: {error}"))),
            None => Ok(value),
        }
    }
}

async fn answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(fail("the control port closed"));
        }
        let Some(head) = find_after(&received, b"\r\n\r\n") else { continue };
        let length: usize = String::from_utf8_lossy(&received[..head])
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .ok_or_else(|| fail("answer without content-length"))?;
        if received.len() >= head + length {
            return Ok(received[head..head + length].to_vec());
        }
    }
}
