//! Event files, which TensorBoard reads: scalars and images against steps.
//!
//! - `record`: a record of bytes with its checksums; `message`: an event in the wire format of protocol buffers.

mod message;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use message::{Event, What};

/// What the name of every event file begins with; a number follows, in whose order they are read.
const NAME: &str = "events.out.tfevents.";

/// An event file of one sitting.
///
/// Every sitting writes a file of its own, which begins by saying that the steps after the checkpoint that it goes on from are
/// void: readers drop what earlier files have of them. A file that ends in the middle of a record, because its process was
/// killed, is read up to there.
#[derive(Debug)]
pub(crate) struct Events {
    file: File,
    path: PathBuf,
}

impl Events {
    /// The next file in a folder, of a training that goes on from `step`.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub(crate) fn open(folder: &Path, step: u64) -> Result<Self> {
        let refuse = || format!("cannot write {}", folder.display());
        fs::create_dir_all(folder).with_context(refuse)?;
        let mut last = 0;
        for entry in fs::read_dir(folder).with_context(refuse)? {
            let name = entry.with_context(refuse)?.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix(NAME)?.parse::<u64>().ok());
            last = last.max(number.unwrap_or(0));
        }
        let path = folder.join(format!("{NAME}{:06}", last.saturating_add(1)));
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let mut events = Self { file, path };
        events.push(0, &What::Version)?;
        events.push(step.saturating_add(1), &What::Start)?;
        Ok(events)
    }

    /// A number at a step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn scalar(&mut self, step: u64, tag: &str, value: f64) -> Result<()> {
        self.push(step, &What::Scalar(tag, value as f32))
    }

    /// A PNG at a step.
    ///
    /// # Errors
    /// When it is no PNG, or cannot be written.
    pub(crate) fn image(&mut self, step: u64, tag: &str, png: &[u8]) -> Result<()> {
        let [height, width, channels] = size_of_png(png).context("no PNG")?;
        self.push(step, &What::Image { tag, height, width, channels, png })
    }

    fn push(&mut self, step: u64, what: &What<'_>) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = now.map_or(0.0, |since| since.as_secs_f64());
        let record = record::framed(&Event { time, step, what }.encoded());
        self.file
            .write_all(&record)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Height, width and channels in the header of a PNG.
fn size_of_png(png: &[u8]) -> Option<[u32; 3]> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..)?.strip_prefix(b"IHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?));
    let channels = match header.get(9)? {
        0 => 1,
        4 => 2,
        6 => 4,
        _ => 3,
    };
    Some([number(4)?, number(0)?, channels])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole files of two sittings: the second begins where the first was resumed from.
    #[test]
    fn a_sitting_has_a_file_of_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("tensorboard");
        let mut first = Events::open(&folder, 0).expect("a file");
        first.scalar(5, "loss", 0.5).expect("written");
        first.scalar(10, "loss", 0.25).expect("written");
        let mut second = Events::open(&folder, 5).expect("a file");
        second.scalar(10, "loss", 0.25).expect("written");
        let names = ["events.out.tfevents.000001", "events.out.tfevents.000002"];
        let all: Vec<Vec<u8>> =
            names.iter().map(|name| fs::read(folder.join(name)).expect("a file")).collect();
        let events = |bytes: &[u8]| record::unframed(bytes).expect("records");
        assert_eq!((events(&all[0]).len(), events(&all[1]).len()), (4, 3));
        // brain.Event:2, then the start at step 6 (field 2), status 1 (field 7).
        assert!(events(&all[1])[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        assert!(events(&all[1])[1].ends_with(b"\x10\x06\x3a\x02\x08\x01"));
    }

    #[test]
    fn the_size_of_a_png_is_in_its_header() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.png");
        image::RgbImage::new(7, 3).save(&path).expect("written");
        assert_eq!(size_of_png(&fs::read(&path).expect("a file")), Some([3, 7, 3]));
        image::GrayImage::new(2, 9).save(&path).expect("written");
        assert_eq!(size_of_png(&fs::read(&path).expect("a file")), Some([9, 2, 1]));
        assert_eq!(size_of_png(b"\x89PNG\r\n\x1a\n1234IHDR12"), None);
        assert_eq!(size_of_png(b"GIF"), None);
    }
}
