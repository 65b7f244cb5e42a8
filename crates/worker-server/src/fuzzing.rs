//! What the targets in `fuzz/` reach of what is not public. Only with the feature `fuzzing`, and no
//! part of the API.

use worker_core::origin::is_local_or_same_host;

use crate::{
    limits::Limits,
    routes::Routes,
    upgrade::{self, Kind},
    websocket::{Decoder, Incoming},
};

/// The native route of [`classify_head`].
pub const HEALTH_PATH: &str = "/healthz";
/// The endpoint of [`classify_head`].
pub const ENDPOINT: &str = "/live";

/// What a peer sent, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text, or what was made of binary.
    Message(String),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close with its code and reason.
    Close(Option<(u16, String)>),
}

/// Everything up to a close frame or a violation, whose close code comes with it.
pub fn decode<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_message: usize,
    max_fragments: u32,
) -> (Vec<Frame>, Option<u16>) {
    let mut decoder = Decoder::new(max_message, max_fragments);
    let mut frames = Vec::new();
    for chunk in chunks {
        let mut chunk = chunk.to_vec();
        let mut rest = &mut chunk[..];
        loop {
            let frame = match decoder.next(&mut rest) {
                Ok(Some(Incoming::Message(text))) => Frame::Message(text.into_owned()),
                Ok(Some(Incoming::Ping(payload))) => Frame::Ping(payload.into_owned()),
                Ok(Some(Incoming::Pong(_))) => Frame::Pong,
                Ok(Some(Incoming::Close(close))) => {
                    frames.push(Frame::Close(close));
                    return (frames, None);
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error.close_code())),
            };
            frames.push(frame);
        }
    }
    (frames, None)
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Not yet known.
    Incomplete,
    /// An upgrade of a worker, answered natively; how long it is.
    Worker {
        /// In bytes.
        len: usize,
    },
    /// A request for [`HEALTH_PATH`], answered natively; how long it is.
    Native {
        /// In bytes.
        len: usize,
        /// Whether the connection goes on.
        keep_alive: bool,
    },
    /// An upgrade by a page of a foreign origin.
    ForeignOrigin,
    /// Left to the owner.
    Other,
}

/// Classifies a request with the default limits.
pub fn classify_head(bytes: &[u8]) -> Head {
    let routes = Routes::new(Some(HEALTH_PATH));
    routes.set_endpoint(ENDPOINT.to_owned(), true);
    match upgrade::classify(bytes, &Limits::default(), &routes, is_local_or_same_host) {
        None => Head::Incomplete,
        Some(Kind::Worker { len, .. }) => Head::Worker { len },
        Some(Kind::Native { len, keep_alive, .. }) => Head::Native { len, keep_alive },
        Some(Kind::ForeignOrigin(_)) => Head::ForeignOrigin,
        Some(Kind::Other) => Head::Other,
    }
}

/// Whether a request target is that of a native route at `path`, and of an endpoint at `path`.
pub fn match_path(path: &str, target: &str) -> (bool, bool) {
    let routes = Routes::new(Some(path));
    routes.set_endpoint(path.to_owned(), true);
    (routes.native(target).is_some(), routes.is_endpoint(target))
}
