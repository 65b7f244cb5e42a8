//! Reading and writing files.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    time::UNIX_EPOCH,
};

use serde::Deserialize;

use crate::{Control, DEFAULT_MAX_OUTPUT, HandlerError, Output, PIECE, encryption::Hasher};

/// A request to read or write a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileIo {
    path: String,
    #[serde(default)]
    operation: Operation,
    /// Of a hash. Default: sha256.
    algorithm: Option<String>,
    max_output_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    #[default]
    Read,
    Write,
    Hash,
    Stat,
    Lines,
}

impl FileIo {
    pub(crate) fn run(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        match self.operation {
            Operation::Read => {
                let content = self.read(control)?;
                let size = content.len();
                Ok(Output::of_data(content).with("size", size))
            }
            Operation::Write => self.write(data, control),
            Operation::Hash => self.hash(control),
            Operation::Stat => self.stat(),
            Operation::Lines => self.lines(control),
        }
    }

    fn open(&self) -> Result<File, HandlerError> {
        File::open(&self.path).map_err(|source| self.failed(source))
    }

    fn read(&self, control: &Control) -> Result<Vec<u8>, HandlerError> {
        let most = self.max_output_bytes.unwrap_or(DEFAULT_MAX_OUTPUT);
        let mut content = Vec::new();
        self.each_piece(control, |piece| {
            content.extend_from_slice(piece);
            if content.len() > most {
                let message = format!("{} is larger than {most} bytes", self.path);
                return Err(HandlerError::TooLarge(message));
            }
            Ok(())
        })?;
        Ok(content)
    }

    fn each_piece(
        &self,
        control: &Control,
        mut take: impl FnMut(&[u8]) -> Result<(), HandlerError>,
    ) -> Result<(), HandlerError> {
        let mut file = self.open()?;
        let mut buffer = vec![0; PIECE];
        loop {
            control.check()?;
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error)),
            };
            take(buffer.get(..read).unwrap_or_default())?;
        }
    }

    fn write(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        let mut file = File::create(&self.path).map_err(|source| self.failed(source))?;
        for piece in data.chunks(PIECE) {
            control.check()?;
            file.write_all(piece).map_err(|source| self.failed(source))?;
        }
        Ok(Output::default().with("path", self.path.as_str()).with("size", data.len()))
    }

    fn hash(&self, control: &Control) -> Result<Output, HandlerError> {
        let mut hasher = Hasher::new(self.algorithm.as_deref().unwrap_or("sha256"))?;
        let mut size = 0;
        self.each_piece(control, |piece| {
            hasher.update(piece);
            size += piece.len();
            Ok(())
        })?;
        Ok(Output::default().with("digest", hasher.hex()).with("size", size))
    }

    fn stat(&self) -> Result<Output, HandlerError> {
        let metadata = fs::metadata(&self.path).map_err(|source| self.failed(source))?;
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Output::default()
            .with("size", metadata.len())
            .with("isFile", metadata.is_file())
            .with("isDirectory", metadata.is_dir())
            .with("mtimeMs", modified.map_or(0.0, |since| since.as_secs_f64() * 1_000.0)))
    }

    fn lines(&self, control: &Control) -> Result<Output, HandlerError> {
        let content = self.read(control)?;
        let text = String::from_utf8(content)
            .map_err(|_| HandlerError::CorruptData(format!("{} is no UTF-8 text", self.path)))?;
        let lines: Vec<&str> = text.lines().collect();
        let count = lines.len();
        Ok(Output::default().with("lines", lines).with("count", count))
    }

    fn failed(&self, source: io::Error) -> HandlerError {
        HandlerError::File { path: self.path.clone(), source }
    }
}
