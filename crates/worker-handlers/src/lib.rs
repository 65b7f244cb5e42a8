//! Tasks that need no JavaScript: compression, encryption, statistics, files and images.
//!
//! Each runs to its end on the calling thread, in pieces; between two pieces it asks its
//! [`Control`] whether to go on.

#![forbid(unsafe_code)]

mod analysis;
mod compression;
mod control;
mod encryption;
mod error;
mod files;
mod images;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::{control::Control, error::HandlerError};

/// Bytes that are handled between two looks at the control.
const PIECE: usize = 256 * 1024;
/// Most bytes that a task may produce, unless its request says otherwise.
const DEFAULT_MAX_OUTPUT: usize = 1024 * 1024 * 1024;

/// What a task is asked to do, without its data.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Request {
    /// Compress or decompress the data.
    Compression(compression::Compression),
    /// Encrypt, decrypt or hash the data, or derive a key from it.
    Encryption(encryption::Encryption),
    /// Statistics over the data: doubles in the order of this machine.
    Analysis(analysis::Analysis),
    /// Read or write a file.
    FileIo(files::FileIo),
    /// Change an image.
    ImageManipulation(images::ImageManipulation),
}

/// What a task returns.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// The fields of the result.
    pub fields: Map<String, Value>,
    /// The field `data`, if the result has one.
    pub data: Option<Vec<u8>>,
}

impl Output {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    fn of_data(data: Vec<u8>) -> Self {
        Self { fields: Map::new(), data: Some(data) }
    }
}

/// Runs a task.
///
/// # Errors
/// When the request is not valid, the data is not what it should be, or `control` says to end.
pub fn run(request: &str, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
    let request: Request = serde_json::from_str(request)
        .map_err(|error| HandlerError::InvalidPayload(readable(&error)))?;
    control.check()?;
    match request {
        Request::Compression(compression) => compression.run(data, control),
        Request::Encryption(encryption) => encryption.run(data, control),
        Request::Analysis(analysis) => analysis.run(data, control),
        Request::FileIo(file_io) => file_io.run(data, control),
        Request::ImageManipulation(manipulation) => manipulation.run(data, control),
    }
}

/// The error without its place in the text, which the user has never seen.
fn readable(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
