//! One picture.

use std::path::Path;

use image::{DynamicImage, ImageReader};

use super::Colour;
use crate::{Error, Result};

/// Pixels with the channels last, in 8 or 16 bits.
pub(super) struct Picture {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) deep: bool,
    pub(super) values: Vec<u16>,
}

/// Weights of red, green and blue in ITU-R BT.709 luma.
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];

impl Picture {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        let reader = reader.map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
        let image = reader.decode().map_err(|e| Error::file(path, format!("damaged: {e}")))?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let wide = |bytes: Vec<u8>| bytes.into_iter().map(u16::from).collect();
        let (channels, deep, values): (_, _, Vec<u16>) = match image {
            DynamicImage::ImageLuma8(i) => (1, false, wide(i.into_raw())),
            DynamicImage::ImageLumaA8(i) => (2, false, wide(i.into_raw())),
            DynamicImage::ImageRgb8(i) => (3, false, wide(i.into_raw())),
            DynamicImage::ImageRgba8(i) => (4, false, wide(i.into_raw())),
            DynamicImage::ImageLuma16(i) => (1, true, i.into_raw()),
            DynamicImage::ImageLumaA16(i) => (2, true, i.into_raw()),
            DynamicImage::ImageRgb16(i) => (3, true, i.into_raw()),
            DynamicImage::ImageRgba16(i) => (4, true, i.into_raw()),
            other => {
                let reason = format!("pixels of type {:?} are not read", other.color());
                return Err(Error::file(path, reason));
            }
        };
        Ok(Self { channels, height, width, deep, values }.on_white())
    }

    pub(super) fn largest(&self) -> f64 {
        if self.deep { f64::from(u16::MAX) } else { f64::from(u8::MAX) }
    }

    /// Without its alpha channel, where there is one.
    fn on_white(self) -> Self {
        if !self.channels.is_multiple_of(2) {
            return self;
        }
        let (channels, largest) = (self.channels - 1, self.largest());
        let pixel = |p: &[u16]| {
            let alpha = f64::from(p[channels]) / largest;
            let over =
                move |v: &u16| (f64::from(*v) * alpha + largest * (1.0 - alpha)).round() as u16;
            p[..channels].iter().map(over).collect::<Vec<_>>()
        };
        let values = self.values.chunks_exact(self.channels).flat_map(pixel).collect();
        Self { channels, values, ..self }
    }

    /// In these colours.
    pub(super) fn coloured(self, colour: Colour) -> Self {
        let luma = |p: &[u16]| {
            let sum: f64 = p.iter().zip(LUMA).map(|(v, w)| f64::from(*v) * w).sum();
            sum.round() as u16
        };
        match (colour, self.channels) {
            (Colour::Grey, 3) => {
                let values = self.values.chunks_exact(3).map(luma).collect();
                Self { channels: 1, values, ..self }
            }
            (Colour::Rgb, 1) => {
                let values = self.values.iter().flat_map(|v| [*v; 3]).collect();
                Self { channels: 3, values, ..self }
            }
            _ => self,
        }
    }

    /// What must be the same in all pictures, in words.
    pub(super) fn shape(&self) -> String {
        format!(
            "{}x{} {} of {} bits",
            self.height,
            self.width,
            if self.channels == 1 { "grey" } else { "RGB" },
            if self.deep { 16 } else { 8 }
        )
    }
}
