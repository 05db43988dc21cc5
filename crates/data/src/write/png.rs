//! Images as PNG files.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageFormat};
use ndarray::{ArrayView1, ArrayView2};

use crate::{Error, Kind, Labels, Pixels, Result};

/// Pixels between the images of a sheet.
const GAP: usize = 1;

/// The size of images and their values in a picture.
struct Look {
    channels: usize,
    height: usize,
    width: usize,
    pixels: Pixels,
}

impl Look {
    fn of(path: &Path, kind: &Kind) -> Result<Self> {
        match *kind {
            Kind::Images { channels: channels @ (1 | 3), height, width, pixels } => {
                Ok(Self { channels, height, width, pixels })
            }
            Kind::Images { channels, .. } => {
                Err(Error::file(path, format!("no picture has {channels} channels")))
            }
            Kind::Table { .. } => Err(Error::file(path, "rows of a table are no images")),
        }
    }

    fn deep(&self) -> bool {
        matches!(self.pixels, Pixels::Levels(257..))
    }

    /// White.
    fn largest(&self) -> u16 {
        if self.deep() { u16::MAX } else { u16::from(u8::MAX) }
    }

    fn value(&self, v: f64) -> u16 {
        let (low, high) = match self.pixels {
            Pixels::Levels(n) => (0.0, f64::from(n) - 1.0),
            Pixels::Real(low, high) => (low, high),
        };
        let share = if high > low { ((v - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        (share * f64::from(self.largest())).round() as u16
    }

    /// Writes an image into a canvas `across` pixels wide, with the channels last.
    fn draw(&self, row: ArrayView1<'_, f64>, canvas: &mut [u16], across: usize, corner: usize) {
        for (i, v) in row.iter().enumerate() {
            let (c, place) = (i / (self.height * self.width), i % (self.height * self.width));
            let pixel = corner + place / self.width * across + place % self.width;
            canvas[pixel * self.channels + c] = self.value(*v);
        }
    }

    fn encode(&self, path: &Path, canvas: Vec<u16>, across: usize) -> Result<Vec<u8>> {
        let down = canvas.len() / self.channels / across;
        let size = (u32::try_from(across), u32::try_from(down));
        let (Ok(w), Ok(h)) = size else {
            return Err(Error::file(path, format!("a picture of {down}x{across} pixels")));
        };
        let bytes = || canvas.iter().map(|v| *v as u8).collect();
        let image = match (self.channels, self.deep()) {
            (1, false) => ImageBuffer::from_raw(w, h, bytes()).map(DynamicImage::ImageLuma8),
            (1, true) => ImageBuffer::from_raw(w, h, canvas).map(DynamicImage::ImageLuma16),
            (_, false) => ImageBuffer::from_raw(w, h, bytes()).map(DynamicImage::ImageRgb8),
            (_, true) => ImageBuffer::from_raw(w, h, canvas).map(DynamicImage::ImageRgb16),
        };
        let mut png = Cursor::new(Vec::new());
        let image = image.ok_or_else(|| Error::file(path, "pixels of another number"))?;
        image.write_to(&mut png, ImageFormat::Png).map_err(|e| Error::file(path, e))?;
        Ok(png.into_inner())
    }
}

/// All images in rows, as many in a row as there are rows or one more.
pub(super) fn sheet(path: &Path, kind: &Kind, rows: ArrayView2<'_, f64>) -> Result<()> {
    let look = Look::of(path, kind)?;
    let n = rows.nrows();
    let columns = (n as f64).sqrt().ceil() as usize;
    let down = n.div_ceil(columns) * (look.height + GAP) - GAP;
    let across = columns * (look.width + GAP) - GAP;
    let counts = [("height", down as u64), ("width", across as u64)];
    sde_core::counts::in_memory(&counts, 4 * look.channels as u64)?;
    let mut canvas = vec![look.largest(); down * across * look.channels];
    for (k, row) in rows.outer_iter().enumerate() {
        let corner = k / columns * (look.height + GAP) * across + k % columns * (look.width + GAP);
        look.draw(row, &mut canvas, across, corner);
    }
    Ok(atomic_file::write(path, &look.encode(path, canvas, across)?)?)
}

/// A file for each image, in a folder that appears when all are there.
pub(super) fn folder(
    path: &Path,
    kind: &Kind,
    rows: ArrayView2<'_, f64>,
    labels: Option<&Labels>,
) -> Result<()> {
    let look = Look::of(path, kind)?;
    let refuse = |e: std::io::Error| Error::file(path, format!("cannot write: {e}"));
    if std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) || path.is_file() {
        return Err(Error::file(path, "is there already, and not empty"));
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let building = tempfile::Builder::new().prefix(".images.").tempdir_in(parent);
    let building = building.map_err(refuse)?;
    // A temporary folder is private; this one will be as any other.
    let inside = building.path().join("images");
    std::fs::create_dir(&inside).map_err(refuse)?;
    for class in labels.map_or(&[][..], |l| &l.classes) {
        let plain =
            !class.contains(['/', '\\']) && class != "." && class != ".." && !class.is_empty();
        if !plain {
            return Err(Error::file(path, format!("class `{class}` cannot be a folder's name")));
        }
    }
    let digits = rows.nrows().to_string().len().max(5);
    for (k, row) in rows.outer_iter().enumerate() {
        let mut canvas = vec![0; look.channels * look.height * look.width];
        look.draw(row, &mut canvas, look.width, 0);
        let folder = match labels {
            Some(labels) => inside.join(&labels.classes[labels.of[k] as usize]),
            None => inside.clone(),
        };
        std::fs::create_dir_all(&folder).map_err(refuse)?;
        let png = look.encode(path, canvas, look.width)?;
        std::fs::write(folder.join(format!("{k:0digits$}.png")), png).map_err(refuse)?;
    }
    if path.is_dir() {
        std::fs::remove_dir(path).map_err(refuse)?;
    }
    std::fs::rename(&inside, path).map_err(refuse)
}
