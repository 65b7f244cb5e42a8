//! Reading, changing and writing images.

use std::{fs, io::Cursor, io::Write as _};

use fast_image_resize::{
    PixelType, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, ImageReader, Limits, RgbaImage,
    codecs::jpeg::JpegEncoder,
};
use serde::Deserialize;

use crate::{Control, HandlerError, Output};

const DEFAULT_MAX_PIXELS: u64 = 100_000_000;
/// The longest side of a result.
const MAX_SIDE: u32 = 65_535;
const DEFAULT_QUALITY: u8 = 80;
const BYTES_PER_PIXEL: u64 = 16;

/// A request to change an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManipulation {
    /// Path of the image; absent: the task's data is the image.
    image: Option<String>,
    #[serde(default)]
    operation: Operation,
    width: Option<u32>,
    height: Option<u32>,
    /// Left and upper edge of a crop. Default: centered.
    x: Option<u32>,
    y: Option<u32>,
    /// Of a rotation: 90, 180 or 270 degrees clockwise.
    angle: Option<i32>,
    #[serde(default)]
    direction: Direction,
    #[serde(default)]
    fit: Fit,
    /// Of a blur: its standard deviation in pixels.
    sigma: Option<f32>,
    format: Option<Format>,
    /// Of JPEG, 1 to 100. Default: 80.
    quality: Option<u8>,
    /// Path that the result is written to; absent: it is returned.
    output: Option<String>,
    max_pixels: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Resize,
    Crop,
    Rotate,
    Flip,
    Grayscale,
    Blur,
    Convert,
    #[default]
    Info,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    #[default]
    Vertical,
    Horizontal,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Fit {
    #[default]
    Cover,
    Contain,
    Fill,
    Inside,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[serde(alias = "jpg")]
    Jpeg,
    Png,
    Webp,
    Gif,
    Bmp,
}

impl Format {
    fn image_format(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::Webp => ImageFormat::WebP,
            Self::Gif => ImageFormat::Gif,
            Self::Bmp => ImageFormat::Bmp,
        }
    }
}

impl ImageManipulation {
    pub(crate) fn run(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        let owned;
        let bytes = match &self.image {
            Some(path) => {
                owned = fs::read(path)
                    .map_err(|source| HandlerError::File { path: path.clone(), source })?;
                &owned
            }
            None => data,
        };
        let (format, width, height) = self.inspect(bytes)?;
        if self.operation == Operation::Info {
            let size = bytes.len();
            return Ok(described(Output::default(), format, width, height, size));
        }
        control.check()?;
        let image = self.decode(bytes, format, width, height)?;
        control.check()?;
        let image = self.apply(image)?;
        control.check()?;
        let format = self.format.map_or(format, Format::image_format);
        let encoded = self.encode(&image, format)?;
        let size = encoded.len();
        let output = match &self.output {
            Some(path) => {
                write_file(path, &encoded)?;
                Output::default().with("path", path.as_str())
            }
            None => Output::of_data(encoded),
        };
        Ok(described(output, format, image.width(), image.height(), size))
    }

    /// Format and size, from the head of the file only.
    fn inspect(&self, bytes: &[u8]) -> Result<(ImageFormat, u32, u32), HandlerError> {
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| unreadable(&error))?;
        let format = reader.format().ok_or_else(|| unreadable(&"unknown format"))?;
        let (width, height) = reader.into_dimensions().map_err(|error| unreadable(&error))?;
        self.limit_pixels(width, height)?;
        Ok((format, width, height))
    }

    fn limit_pixels(&self, width: u32, height: u32) -> Result<(), HandlerError> {
        let most = self.max_pixels.unwrap_or(DEFAULT_MAX_PIXELS);
        if u64::from(width) * u64::from(height) <= most {
            return Ok(());
        }
        let message = format!("an image of {width} x {height} has more than {most} pixels");
        Err(HandlerError::TooLarge(message))
    }

    fn decode(
        &self,
        bytes: &[u8],
        format: ImageFormat,
        width: u32,
        height: u32,
    ) -> Result<DynamicImage, HandlerError> {
        if format == ImageFormat::Jpeg
            && self.operation == Operation::Resize
            && let Some(image) = self.decode_scaled(bytes, width, height)
        {
            return Ok(image);
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(self.max_pixels.unwrap_or(DEFAULT_MAX_PIXELS) * BYTES_PER_PIXEL);
        reader.limits(limits);
        reader.decode().map_err(|error| unreadable(&error))
    }

    /// A JPEG can be read at a half, a quarter or an eighth of its size at a part of the cost.
    fn decode_scaled(&self, bytes: &[u8], width: u32, height: u32) -> Option<DynamicImage> {
        let (target_width, target_height) = self.scaled_size(width, height).ok()?;
        let least = |side: u32| u16::try_from(side).ok();
        let mut decoder = jpeg_decoder::Decoder::new(bytes);
        let (scaled_width, scaled_height) =
            decoder.scale(least(target_width)?, least(target_height)?).ok()?;
        if u32::from(scaled_width) == width {
            return None;
        }
        let pixels = decoder.decode().ok()?;
        let (width, height) = (scaled_width.into(), scaled_height.into());
        match decoder.info()?.pixel_format {
            jpeg_decoder::PixelFormat::RGB24 => {
                image::RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
            }
            jpeg_decoder::PixelFormat::L8 => {
                image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
            }
            _ => None,
        }
    }

    fn apply(&self, image: DynamicImage) -> Result<DynamicImage, HandlerError> {
        match self.operation {
            Operation::Resize => self.resize(&image),
            Operation::Crop => self.crop(&image),
            Operation::Rotate => self.rotate(&image),
            Operation::Flip => Ok(match self.direction {
                Direction::Vertical => image.flipv(),
                Direction::Horizontal => image.fliph(),
            }),
            Operation::Grayscale => Ok(image.grayscale()),
            Operation::Blur => self.blur(&image),
            Operation::Convert | Operation::Info => Ok(image),
        }
    }

    /// The size that the image is scaled to; `cover` and `contain` cut or fill up afterwards.
    fn scaled_size(&self, width: u32, height: u32) -> Result<(u32, u32), HandlerError> {
        let (wanted_width, wanted_height) = self.wanted_size()?;
        let horizontal = wanted_width.map(|wanted| f64::from(wanted) / f64::from(width.max(1)));
        let vertical = wanted_height.map(|wanted| f64::from(wanted) / f64::from(height.max(1)));
        let factor = match (horizontal, vertical) {
            (Some(horizontal), Some(vertical)) => match self.fit {
                Fit::Fill => {
                    let size = (wanted_width.unwrap_or(width), wanted_height.unwrap_or(height));
                    return Ok(size);
                }
                Fit::Cover => horizontal.max(vertical),
                Fit::Contain | Fit::Inside => horizontal.min(vertical),
            },
            (Some(factor), None) | (None, Some(factor)) => factor,
            (None, None) => {
                let message = "a resize needs width or height".to_owned();
                return Err(HandlerError::InvalidPayload(message));
            }
        };
        let scaled = |side: u32| (f64::from(side) * factor).round().max(1.0) as u32;
        Ok((scaled(width), scaled(height)))
    }

    fn wanted_size(&self) -> Result<(Option<u32>, Option<u32>), HandlerError> {
        for side in [self.width, self.height].into_iter().flatten() {
            if side == 0 || side > MAX_SIDE {
                return Err(HandlerError::InvalidPayload(format!(
                    "width and height must be from 1 to {MAX_SIDE}"
                )));
            }
        }
        Ok((self.width, self.height))
    }

    fn resize(&self, image: &DynamicImage) -> Result<DynamicImage, HandlerError> {
        let (width, height) = self.scaled_size(image.width(), image.height())?;
        self.limit_pixels(width, height)?;
        let scaled = scale(image, width, height)?;
        let (Some(wanted_width), Some(wanted_height)) = (self.width, self.height) else {
            return Ok(scaled);
        };
        match self.fit {
            Fit::Fill | Fit::Inside => Ok(scaled),
            Fit::Cover => {
                let x = width.saturating_sub(wanted_width) / 2;
                let y = height.saturating_sub(wanted_height) / 2;
                Ok(scaled.crop_imm(x, y, wanted_width, wanted_height))
            }
            Fit::Contain => {
                self.limit_pixels(wanted_width, wanted_height)?;
                let mut canvas = DynamicImage::new(wanted_width, wanted_height, scaled.color());
                let x = wanted_width.saturating_sub(width) / 2;
                let y = wanted_height.saturating_sub(height) / 2;
                image::imageops::overlay(&mut canvas, &scaled, x.into(), y.into());
                Ok(canvas)
            }
        }
    }

    fn crop(&self, image: &DynamicImage) -> Result<DynamicImage, HandlerError> {
        let (Some(width), Some(height)) = self.wanted_size()? else {
            return Err(HandlerError::InvalidPayload("a crop needs width and height".to_owned()));
        };
        let x = self.x.unwrap_or(image.width().saturating_sub(width) / 2);
        let y = self.y.unwrap_or(image.height().saturating_sub(height) / 2);
        let fits = x.checked_add(width).is_some_and(|right| right <= image.width())
            && y.checked_add(height).is_some_and(|bottom| bottom <= image.height());
        if !fits {
            return Err(HandlerError::InvalidPayload(format!(
                "a crop of {width} x {height} at {x}, {y} is not inside of {} x {}",
                image.width(),
                image.height()
            )));
        }
        Ok(image.crop_imm(x, y, width, height))
    }

    fn rotate(&self, image: &DynamicImage) -> Result<DynamicImage, HandlerError> {
        match self.angle.unwrap_or(90).rem_euclid(360) {
            0 => Ok(image.clone()),
            90 => Ok(image.rotate90()),
            180 => Ok(image.rotate180()),
            270 => Ok(image.rotate270()),
            _ => {
                let message = "angle must be a multiple of 90 degrees".to_owned();
                Err(HandlerError::InvalidPayload(message))
            }
        }
    }

    fn blur(&self, image: &DynamicImage) -> Result<DynamicImage, HandlerError> {
        let sigma = self.sigma.unwrap_or(2.0);
        if !(0.1..=1000.0).contains(&sigma) {
            return Err(HandlerError::InvalidPayload("sigma must be from 0.1 to 1000".to_owned()));
        }
        Ok(image.fast_blur(sigma))
    }

    fn encode(&self, image: &DynamicImage, format: ImageFormat) -> Result<Vec<u8>, HandlerError> {
        let mut encoded = Vec::new();
        let result = match format {
            ImageFormat::Jpeg => {
                let quality = self.quality.unwrap_or(DEFAULT_QUALITY);
                if !(1..=100).contains(&quality) {
                    let message = "quality must be from 1 to 100".to_owned();
                    return Err(HandlerError::InvalidPayload(message));
                }
                let encoder = JpegEncoder::new_with_quality(&mut encoded, quality);
                match image {
                    DynamicImage::ImageLuma8(gray) => encoder.write_image(
                        gray,
                        gray.width(),
                        gray.height(),
                        ExtendedColorType::L8,
                    ),
                    other => {
                        let rgb = other.to_rgb8();
                        encoder.write_image(
                            &rgb,
                            rgb.width(),
                            rgb.height(),
                            ExtendedColorType::Rgb8,
                        )
                    }
                }
            }
            ImageFormat::WebP => {
                let rgba = DynamicImage::ImageRgba8(image.to_rgba8());
                rgba.write_to(&mut Cursor::new(&mut encoded), format)
            }
            ImageFormat::Gif => {
                let rgba = DynamicImage::ImageRgba8(image.to_rgba8());
                rgba.write_to(&mut Cursor::new(&mut encoded), format)
            }
            _ => image.write_to(&mut Cursor::new(&mut encoded), format),
        };
        result.map_err(|error| {
            HandlerError::InvalidPayload(format!("the image cannot be written: {error}"))
        })?;
        Ok(encoded)
    }
}

/// With the filter of the common tools (Lanczos), which is what a reduced photograph needs. The
/// result has the kind of pixels of the image, with eight bits for each channel.
fn scale(image: &DynamicImage, width: u32, height: u32) -> Result<DynamicImage, HandlerError> {
    if (image.width(), image.height()) == (width, height) {
        return Ok(image.clone());
    }
    let source = image.to_rgba8();
    let source = ImageRef::new(image.width(), image.height(), &source, PixelType::U8x4)
        .map_err(|error| unreadable(&error))?;
    let mut scaled = Image::new(width, height, PixelType::U8x4);
    let options = ResizeOptions::new().use_alpha(image.color().has_alpha());
    Resizer::new().resize(&source, &mut scaled, &options).map_err(|error| unreadable(&error))?;
    let scaled = RgbaImage::from_raw(width, height, scaled.into_vec())
        .map(DynamicImage::ImageRgba8)
        .ok_or_else(|| unreadable(&"its size changed"))?;
    Ok(match (image.color().has_color(), image.color().has_alpha()) {
        (true, true) => scaled,
        (true, false) => DynamicImage::ImageRgb8(scaled.to_rgb8()),
        (false, true) => DynamicImage::ImageLumaA8(scaled.to_luma_alpha8()),
        (false, false) => DynamicImage::ImageLuma8(scaled.to_luma8()),
    })
}

fn described(output: Output, format: ImageFormat, width: u32, height: u32, size: usize) -> Output {
    let name = match format {
        ImageFormat::Jpeg => "jpeg",
        ImageFormat::Png => "png",
        ImageFormat::WebP => "webp",
        ImageFormat::Gif => "gif",
        ImageFormat::Bmp => "bmp",
        _ => "unknown",
    };
    output.with("format", name).with("width", width).with("height", height).with("size", size)
}

fn write_file(path: &str, content: &[u8]) -> Result<(), HandlerError> {
    let failed = |source| HandlerError::File { path: path.to_owned(), source };
    fs::File::create(path).and_then(|mut file| file.write_all(content)).map_err(failed)
}

fn unreadable(error: &dyn std::fmt::Display) -> HandlerError {
    HandlerError::CorruptData(format!("the image cannot be read: {error}"))
}
