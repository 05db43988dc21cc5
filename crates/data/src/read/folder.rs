//! Folders: pictures with a subfolder for each class, or the batches of CIFAR-10.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::picture::Picture;
use super::{OpenOptions, cifar, open_all, stream};
use crate::{Dataset, Error, Kind, Labels, Pixels, Result, Values};

/// What lies in a folder, in alphabetical order; hidden files are passed over.
#[derive(Default)]
struct Listing {
    folders: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
    records: Vec<PathBuf>,
    others: usize,
}

impl Listing {
    fn of(folder: &Path) -> Result<Self> {
        let refuse = |e: std::io::Error| Error::file(folder, format!("cannot read: {e}"));
        let mut found = Self::default();
        for entry in std::fs::read_dir(folder).map_err(refuse)? {
            let path = entry.map_err(refuse)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            if name.starts_with('.') {
                continue;
            }
            match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
                _ if path.is_dir() => found.folders.push(path),
                "png" | "jpg" | "jpeg" => found.pictures.push(path),
                "bin" => found.records.push(path),
                _ => found.others += 1,
            }
        }
        for list in [&mut found.folders, &mut found.pictures, &mut found.records] {
            list.sort();
        }
        Ok(found)
    }
}

pub(super) fn read(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let found = Listing::of(path)?;
    if found.pictures.is_empty() && found.folders.is_empty() && !found.records.is_empty() {
        return records(path, &found.records);
    }
    let none = |found: &Listing| {
        format!("no .png, .jpg or .jpeg file ({} other files)", found.others + found.records.len())
    };
    if found.folders.is_empty() {
        if found.pictures.is_empty() {
            return Err(Error::file(path, none(&found)));
        }
        return of_pictures(path, &found.pictures, options);
    }
    if let Some(picture) = found.pictures.first() {
        let (folder, picture) = (found.folders[0].display(), picture.display());
        let reason = format!("{picture} lies beside the subfolder {folder}: which class is it of?");
        return Err(Error::file(path, reason));
    }
    let (mut pictures, mut labels) = (Vec::new(), Labels { of: vec![], classes: vec![] });
    for folder in found.folders {
        let inside = Listing::of(&folder)?;
        if inside.pictures.is_empty() {
            return Err(Error::file(&folder, none(&inside)));
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        labels.of.extend(inside.pictures.iter().map(|_| labels.classes.len() as u32));
        labels.classes.push(name);
        pictures.extend(inside.pictures);
    }
    of_pictures(path, &pictures, options)?.with_labels(labels)
}

/// All batches but that for testing, where there are others.
fn records(folder: &Path, files: &[PathBuf]) -> Result<Dataset> {
    let is_test = |p: &&PathBuf| p.file_name().is_some_and(|n| n == "test_batch.bin");
    let training: Vec<PathBuf> = files.iter().filter(|p| !is_test(p)).cloned().collect();
    let files = if training.is_empty() { files.to_vec() } else { training };
    match &files[..] {
        [one] => cifar::read(one, stream(one)?),
        _ => open_all(&files, &OpenOptions::default()),
    }
    .map_err(|e| e.of(folder))
}

/// One image a file.
pub(super) fn of_pictures(
    path: &Path,
    files: &[PathBuf],
    options: &OpenOptions,
) -> Result<Dataset> {
    if let Some((height, width)) = options.size {
        if height == 0 || width == 0 {
            return Err(Error::data(format!("images of {height}x{width} pixels")));
        }
        let counts = [files.len(), height, width].map(|n| ("size", n as u64));
        sde_core::counts::in_memory(&counts, 24)?;
    }
    let mut first: Option<(&PathBuf, Picture)> = None;
    let (mut bytes, mut doubles) = (Vec::new(), Vec::new());
    for file in files {
        let mut picture = Picture::open(file)?;
        if let Some(colour) = options.colour {
            picture = picture.coloured(colour);
        }
        if let Some((height, width)) = options.size {
            picture = picture.resized(height, width);
        }
        if let Some((other, reference)) = &first
            && reference.shape() != picture.shape()
        {
            let (found, other) = (picture.shape(), other.display());
            let reason = format!("{found}, but {other} is {}", reference.shape());
            return Err(Error::file(file, reason));
        }
        let values = |c| picture.values.iter().skip(c).step_by(picture.channels);
        for v in (0..picture.channels).flat_map(values) {
            if picture.deep { doubles.push(f64::from(*v)) } else { bytes.push(*v as u8) }
        }
        first.get_or_insert((file, picture));
    }
    let Some((_, Picture { channels, height, width, deep, .. })) = first else {
        return Err(Error::file(path, "no pictures"));
    };
    let size = (files.len(), channels * height * width);
    let values = if deep {
        Values::Doubles(Array2::from_shape_vec(size, doubles).map_err(Error::data)?)
    } else {
        Values::Bytes(Array2::from_shape_vec(size, bytes).map_err(Error::data)?)
    };
    let pixels = Pixels::Levels(if deep { 1 << 16 } else { 256 });
    let kind = Kind::Images { channels, height, width, pixels };
    Dataset::new(kind, values, path.display().to_string())
}
