//! Rows in the units of the data, on disk.

mod png;

use std::path::Path;

use ndarray::ArrayView2;

use crate::npy::{Element, RowWriter};
use crate::{Column, ColumnValues, Error, Kind, Labels, Pixels, Result};

/// Writes rows of a kind, whole or not at all; the name says how.
///
/// | name | what is written |
/// |---|---|
/// | `.csv` | a header, whole numbers as such and categories by name; the pixels of an image are columns `p0`, `p1`, ...; labels are the last column, `label` |
/// | `.npy` | an array `[n, d]`, or `[n, channels, height, width]`: bytes or 16 bits for levels, 64-bit integers for a table of whole numbers and categories (their indices), doubles for others |
/// | `.png` | all images on one sheet, row by row in a square |
/// | no ending | a folder of images `00000.png`, ..., in a subfolder for each class where there are labels |
///
/// Levels up to 256 of images are stretched to 0 to 255 in pictures, more than 256 to 16 bits; real pixels from the range
/// of their data to 0 to 255.
///
/// # Errors
/// When the rows are not of the kind, the labels are not theirs, the name has another ending, images are asked of a table,
/// the folder is there already and not empty, or the device is full.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("digits.png");
/// let digits = data::digits();
/// data::save(&path, digits.kind(), digits.rows(0, 100)?.view(), None)?;
/// // Ten rows of ten images with a pixel between them.
/// assert_eq!(image::image_dimensions(&path)?, (89, 89));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save(
    path: &Path,
    kind: &Kind,
    rows: ArrayView2<'_, f64>,
    labels: Option<&Labels>,
) -> Result<()> {
    kind.check(rows)?;
    if rows.is_empty() {
        return Err(Error::file(path, "no rows to write"));
    }
    if let Some(labels) = labels {
        let (n, found) = (rows.nrows(), labels.of.len());
        if n != found || labels.of.iter().any(|l| *l as usize >= labels.classes.len()) {
            let k = labels.classes.len();
            return Err(Error::data(format!("{found} labels of {k} classes for {n} rows")));
        }
    }
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("csv") => csv(path, kind, rows, labels),
        Some("npy") => array(path, kind, rows),
        Some("png") => png::sheet(path, kind, rows),
        None => png::folder(path, kind, rows, labels),
        Some(other) => Err(Error::file(
            path,
            format!("cannot write .{other}: expected .csv, .npy, .png, or a folder's name"),
        )),
    }
}

fn csv(path: &Path, kind: &Kind, rows: ArrayView2<'_, f64>, labels: Option<&Labels>) -> Result<()> {
    let file = atomic_file::AtomicFile::create(path)?;
    let refuse = |e: csv::Error| Error::file(path, format!("cannot write: {e}"));
    let mut writer = csv::Writer::from_writer(file);
    let name = |i| match kind {
        Kind::Table { .. } => kind.name_of(i),
        Kind::Images { .. } => format!("p{i}"),
    };
    let header = (0..kind.dim()).map(name).chain(labels.map(|_| "label".to_owned()));
    writer.write_record(header).map_err(refuse)?;
    for (k, row) in rows.outer_iter().enumerate() {
        for (i, v) in row.iter().enumerate() {
            match kind {
                Kind::Table { columns } => match &columns[i].values {
                    ColumnValues::Categories(of) => writer.write_field(&of[*v as usize]),
                    ColumnValues::Integer => writer.write_field(v.to_string()),
                    // With a point or an exponent also where it is whole: it is read as real again.
                    ColumnValues::Float | ColumnValues::Levels(_) => {
                        writer.write_field(format!("{v:?}"))
                    }
                },
                Kind::Images { pixels: Pixels::Levels(_), .. } => writer.write_field(v.to_string()),
                Kind::Images { .. } => writer.write_field(format!("{v:?}")),
            }
            .map_err(refuse)?;
        }
        if let Some(labels) = labels {
            writer.write_field(&labels.classes[labels.of[k] as usize]).map_err(refuse)?;
        }
        writer.write_record(None::<&[u8]>).map_err(refuse)?;
    }
    let file = writer.into_inner().map_err(|e| Error::file(path, e.error()))?;
    Ok(file.commit()?)
}

fn array(path: &Path, kind: &Kind, rows: ArrayView2<'_, f64>) -> Result<()> {
    let (shape, element) = match kind {
        Kind::Images { channels, height, width, pixels } => {
            let element = match pixels {
                Pixels::Levels(..=256) => Element::U8,
                Pixels::Levels(..=65536) => Element::U16,
                Pixels::Levels(_) => Element::U32,
                Pixels::Real(..) => Element::F64,
            };
            (vec![*channels, *height, *width], element)
        }
        Kind::Table { columns } => {
            let real =
                |c: &Column| matches!(c.values, ColumnValues::Float | ColumnValues::Levels(_));
            let real = columns.iter().any(real);
            (vec![columns.len()], if real { Element::F64 } else { Element::I64 })
        }
    };
    let mut writer = RowWriter::create_typed(path, rows.nrows(), &shape, element)?;
    writer.push(rows)?;
    writer.finish()
}
