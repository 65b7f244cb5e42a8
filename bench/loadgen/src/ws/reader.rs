//! Frames received.

use super::opcode;

/// What a server sent.
pub enum Event<'a> {
    Message(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(u16),
}

/// Takes frames out of a stream, however it is cut.
#[derive(Default)]
pub struct Reader {
    /// The bytes of a frame that is not complete.
    partial: Vec<u8>,
    /// What there is of a fragmented message.
    fragments: Vec<u8>,
}

impl Reader {
    /// Takes bytes as they came from the socket.
    pub fn feed(&mut self, data: &[u8], mut on_event: impl FnMut(Event)) -> Result<(), String> {
        if self.partial.is_empty() {
            let used = self.scan(data, &mut on_event)?;
            self.partial.extend_from_slice(&data[used..]);
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.partial);
        held.extend_from_slice(data);
        let used = self.scan(&held, &mut on_event)?;
        held.drain(..used);
        // A connection that fell idle keeps no buffer.
        self.partial = if held.is_empty() { Vec::new() } else { held };
        Ok(())
    }

    /// Returns how many bytes were complete frames.
    fn scan(&mut self, data: &[u8], on_event: &mut impl FnMut(Event)) -> Result<usize, String> {
        let mut at = 0;
        while let Some(header) = Header::parse(&data[at..])? {
            let start = at + header.length;
            let end = start + header.payload;
            if end > data.len() {
                break;
            }
            self.take(&header, &data[start..end], on_event)?;
            at = end;
        }
        Ok(at)
    }

    fn take(
        &mut self,
        header: &Header,
        payload: &[u8],
        on_event: &mut impl FnMut(Event),
    ) -> Result<(), String> {
        match header.opcode {
            0x0..=0x2 if header.fin && self.fragments.is_empty() => {
                on_event(Event::Message(payload))
            }
            0x0..=0x2 => {
                self.fragments.extend_from_slice(payload);
                if header.fin {
                    on_event(Event::Message(&std::mem::take(&mut self.fragments)));
                }
            }
            opcode::CLOSE => on_event(Event::Close(match payload {
                [high, low, ..] => u16::from_be_bytes([*high, *low]),
                _ => 1005,
            })),
            opcode::PING => on_event(Event::Ping(payload)),
            opcode::PONG => on_event(Event::Pong),
            other => return Err(format!("unknown opcode {other:#x}")),
        }
        Ok(())
    }
}

struct Header {
    fin: bool,
    opcode: u8,
    /// Bytes of the header itself.
    length: usize,
    /// Bytes of the payload.
    payload: usize,
}

impl Header {
    fn parse(data: &[u8]) -> Result<Option<Self>, String> {
        let &[first, second, ref rest @ ..] = data else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(format!("reserved bits set in frame header {first:#x}"));
        }
        if second & 0x80 != 0 {
            return Err("server sent a masked frame".into());
        }
        let (length, payload) = match second {
            126 => match rest {
                &[a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
                _ => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(bytes) => (10, u64::from_be_bytes(*bytes) as usize),
                None => return Ok(None),
            },
            small => (2, usize::from(small)),
        };
        Ok(Some(Self { fin: first & 0x80 != 0, opcode: first & 0x0f, length, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![if fin { 0x80 } else { 0 } | opcode];
        match payload.len() {
            n if n < 126 => frame.push(n as u8),
            n if n < 65_536 => {
                frame.push(126);
                frame.extend((n as u16).to_be_bytes());
            }
            n => {
                frame.push(127);
                frame.extend((n as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn collect(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut reader = Reader::default();
        let mut got = Vec::new();
        for piece in stream.chunks(step) {
            let keep = |event: Event| {
                got.push(match event {
                    Event::Message(text) => text.to_vec(),
                    Event::Ping(payload) => [b"ping:", payload].concat(),
                    Event::Pong => b"pong".to_vec(),
                    Event::Close(code) => format!("close:{code}").into_bytes(),
                });
            };
            reader.feed(piece, keep).unwrap();
        }
        got
    }

    #[test]
    fn frames_survive_any_split() {
        let (big, mid) = (vec![b'x'; 70_000], vec![b'y'; 300]);
        let stream = [
            server_frame(true, 1, b"hello"),
            server_frame(true, 1, &mid),
            server_frame(true, 9, b"p"),
            server_frame(true, 1, &big),
            server_frame(false, 1, b"ab"),
            server_frame(true, 0, b"cd"),
            server_frame(true, 8, &4001u16.to_be_bytes()),
        ]
        .concat();
        let want: [&[u8]; 6] = [b"hello", &mid, b"ping:p", &big, b"abcd", b"close:4001"];
        for step in [1, 2, 3, 7, 125, 1000, 65_536, 1 << 20] {
            assert_eq!(collect(&stream, step), want, "step {step}");
        }
    }

    #[test]
    fn masked_server_frames_are_refused() {
        assert!(Reader::default().feed(&[0x81, 0x80, 1, 2, 3, 4], |_| ()).is_err());
    }
}
