//! The binary version of CIFAR-10.

use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use crate::{Dataset, Error, Kind, Labels, Pixels, Result, Values};

const PIXELS: usize = 3 * 32 * 32;

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// # Reference
/// A. Krizhevsky 2009, "Learning multiple layers of features from tiny images": records of a label and 3072 pixels, red,
/// green and blue, each row by row.
pub(super) fn read(path: &Path, mut reader: impl Read) -> Result<Dataset> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(PIXELS + 1) {
        let n = bytes.len();
        let reason = format!("{n} bytes are no records of CIFAR-10, which have {}", PIXELS + 1);
        return Err(Error::file(path, reason));
    }
    let n = bytes.len() / (PIXELS + 1);
    let (mut pixels, mut of) = (Vec::with_capacity(n * PIXELS), Vec::with_capacity(n));
    for (row, record) in bytes.chunks_exact(PIXELS + 1).enumerate() {
        if usize::from(record[0]) >= CLASSES.len() {
            let reason = format!("row {row}: label {} of CIFAR-10's 10 classes", record[0]);
            return Err(Error::file(path, reason));
        }
        of.push(u32::from(record[0]));
        pixels.extend_from_slice(&record[1..]);
    }
    let kind = Kind::Images { channels: 3, height: 32, width: 32, pixels: Pixels::Levels(256) };
    let pixels = Array2::from_shape_vec((n, PIXELS), pixels).map_err(Error::data)?;
    let classes = CLASSES.map(str::to_owned).to_vec();
    Dataset::new(kind, Values::Bytes(pixels), path.display().to_string())?
        .with_labels(Labels { of, classes })
}
