//! Folders: pictures with a subfolder for each class or a table of labels, or the batches of CIFAR-10.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::picture::Picture;
use super::{OpenOptions, cifar, contents, labels_of, open_all, stream};
use crate::{ColumnValues, Dataset, Error, Kind, Labels, Pixels, Result, Values};

/// The table of labels in a folder of pictures.
const LABELS: &str = "labels.csv";

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
        let data = of_pictures(path, &found.pictures, options)?;
        let table = path.join(LABELS);
        if options.labels.is_some() || !table.is_file() {
            return Ok(data);
        }
        return match by_name(&found.pictures, path, &table)? {
            Some(labels) => data.with_labels(labels),
            None => Err(Error::file(&table, "expected the columns `file` and `label`")),
        };
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

/// The labels of the pictures in a folder by a table of file names and labels; none where the file is something else.
pub(super) fn labels(folder: &Path, table: &Path) -> Result<Option<Labels>> {
    let found = Listing::of(folder)?;
    if found.pictures.is_empty() { Ok(None) } else { by_name(&found.pictures, folder, table) }
}

/// The labels of pictures, in their order, by the columns `file` and `label` of a table, or by its two columns.
fn by_name(pictures: &[PathBuf], folder: &Path, table: &Path) -> Result<Option<Labels>> {
    let data = contents(table, &OpenOptions::default(), None)?;
    let Kind::Table { columns } = data.kind() else { return Ok(None) };
    let named = |name: &str| columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
    let (file, label) = match (named("file"), named("label")) {
        (Some(file), Some(label)) => (file, label),
        _ if columns.len() == 2 => (0, 1),
        _ => return Ok(None),
    };
    let within = |row: usize, reason: String| {
        let column = &columns[file].name;
        Error::file(table, format!("row {row}, column `{column}`: {reason}"))
    };
    let ColumnValues::Categories(names) = &columns[file].values else {
        return Err(within(0, "a number, expected the name of a file".into()));
    };
    let values = data.to_array()?;
    let rows = labels_of(&columns[label], values.column(label).iter().copied());
    let Labels { of: rows, classes } = rows.map_err(|e| e.of(table))?;
    let known: HashMap<&str, usize> = pictures
        .iter()
        .enumerate()
        .filter_map(|(place, picture)| Some((picture.file_name()?.to_str()?, place)))
        .collect();
    // The row of every picture.
    let mut places = vec![None; pictures.len()];
    for (row, index) in values.column(file).iter().enumerate() {
        let name = &names[*index as usize];
        let Some(&place) = known.get(name.as_str()) else {
            return Err(within(row, format!("`{name}` is no picture in {}", folder.display())));
        };
        if let Some(first) = places[place].replace(row) {
            return Err(within(row, format!("`{name}` is in row {first} already")));
        }
    }
    if let Some(place) = places.iter().position(Option::is_none) {
        let reason = format!("no label for {}", pictures[place].display());
        return Err(Error::file(table, reason));
    }
    let of = places.into_iter().flatten().map(|row| rows[row]).collect();
    Ok(Some(Labels { of, classes }))
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
