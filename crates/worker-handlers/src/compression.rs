//! Compression and decompression.

use std::io::{self, Read, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::{
    Compression as Level, read::MultiGzDecoder, read::ZlibDecoder, write::GzEncoder,
    write::ZlibEncoder,
};
use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use serde::Deserialize;

use crate::{Control, DEFAULT_MAX_OUTPUT, HandlerError, Output, PIECE};

/// The size of the window that brotli uses, as a power of two; what `node:zlib` uses.
const BROTLI_WINDOW: i32 = 22;
const BROTLI_BUFFER: usize = 64 * 1024;

/// A request to compress or decompress.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compression {
    #[serde(default)]
    operation: Operation,
    #[serde(default)]
    algorithm: Algorithm,
    level: Option<i32>,
    max_output_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    #[default]
    Compress,
    Decompress,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    #[default]
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    Lz4,
}

impl Compression {
    pub(crate) fn run(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        let result = match self.operation {
            Operation::Compress => self.compress(data, control)?,
            Operation::Decompress => self.decompress(data, control)?,
        };
        let size = result.len();
        Ok(Output::of_data(result).with("originalSize", data.len()).with("size", size))
    }

    fn compress(&self, data: &[u8], control: &Control) -> Result<Vec<u8>, HandlerError> {
        let into = Vec::with_capacity(data.len() / 3 + 64);
        match self.algorithm {
            Algorithm::Gzip => {
                let mut encoder = GzEncoder::new(into, self.deflate_level()?);
                feed(&mut encoder, data, control)?;
                encoder.finish().map_err(internal)
            }
            Algorithm::Deflate => {
                let mut encoder = ZlibEncoder::new(into, self.deflate_level()?);
                feed(&mut encoder, data, control)?;
                encoder.finish().map_err(internal)
            }
            Algorithm::Brotli => {
                let params = BrotliEncoderParams {
                    quality: self.level_in(0, 11, 11)?,
                    lgwin: BROTLI_WINDOW,
                    size_hint: data.len(),
                    ..BrotliEncoderParams::default()
                };
                let mut encoder =
                    brotli::CompressorWriter::with_params(into, BROTLI_BUFFER, &params);
                feed(&mut encoder, data, control)?;
                Ok(encoder.into_inner())
            }
            Algorithm::Zstd => {
                let level = self.level_in(-7, 22, 3)?;
                let mut encoder =
                    zstd::stream::write::Encoder::new(into, level).map_err(internal)?;
                encoder.set_pledged_src_size(Some(data.len() as u64)).map_err(internal)?;
                feed(&mut encoder, data, control)?;
                encoder.finish().map_err(internal)
            }
            Algorithm::Lz4 => {
                if self.level.is_some() {
                    return Err(HandlerError::InvalidPayload("lz4 has no level".to_owned()));
                }
                let mut encoder = FrameEncoder::new(into);
                feed(&mut encoder, data, control)?;
                encoder.finish().map_err(|error| HandlerError::CorruptData(error.to_string()))
            }
        }
    }

    fn decompress(&self, data: &[u8], control: &Control) -> Result<Vec<u8>, HandlerError> {
        let most = self.max_output_bytes.unwrap_or(DEFAULT_MAX_OUTPUT);
        match self.algorithm {
            Algorithm::Gzip => drain(MultiGzDecoder::new(data), most, control),
            Algorithm::Deflate => drain(ZlibDecoder::new(data), most, control),
            Algorithm::Brotli => {
                drain(brotli::Decompressor::new(data, BROTLI_BUFFER), most, control)
            }
            Algorithm::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(data).map_err(corrupt)?;
                drain(decoder, most, control)
            }
            Algorithm::Lz4 => drain(FrameDecoder::new(data), most, control),
        }
    }

    fn deflate_level(&self) -> Result<Level, HandlerError> {
        Ok(Level::new(self.level_in(0, 9, 6)? as u32))
    }

    fn level_in(&self, least: i32, most: i32, default: i32) -> Result<i32, HandlerError> {
        match self.level {
            None => Ok(default),
            Some(level) if (least..=most).contains(&level) => Ok(level),
            Some(level) => Err(HandlerError::InvalidPayload(format!(
                "level must be from {least} to {most}, not {level}"
            ))),
        }
    }
}

fn feed(encoder: &mut impl Write, data: &[u8], control: &Control) -> Result<(), HandlerError> {
    for piece in data.chunks(PIECE) {
        control.check()?;
        encoder.write_all(piece).map_err(internal)?;
    }
    Ok(())
}

fn drain(mut decoder: impl Read, most: usize, control: &Control) -> Result<Vec<u8>, HandlerError> {
    let mut result = Vec::new();
    loop {
        control.check()?;
        let read = (&mut decoder).take(PIECE as u64).read_to_end(&mut result).map_err(corrupt)?;
        if result.len() > most {
            let message = format!("the decompressed data is larger than {most} bytes");
            return Err(HandlerError::TooLarge(message));
        }
        if read < PIECE {
            return Ok(result);
        }
    }
}

fn corrupt(error: io::Error) -> HandlerError {
    HandlerError::CorruptData(format!("the data cannot be decompressed: {error}"))
}

fn internal(error: io::Error) -> HandlerError {
    HandlerError::CorruptData(format!("the data cannot be compressed: {error}"))
}
