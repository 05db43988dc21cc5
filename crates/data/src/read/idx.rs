//! IDX: the format of MNIST.

use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};

use super::arrays::{Held, Numbers, dataset};
use super::{OpenOptions, labels_of_file};
use crate::npy::Element;
use crate::{Dataset, Error, Result};

/// # Reference
/// Y. LeCun, "The MNIST database of handwritten digits": two zero bytes, the type, the number of dimensions, each
/// dimension in four bytes, the numbers, all in big-endian order.
pub(super) fn read(path: &Path, reader: impl Read, options: &OpenOptions) -> Result<Dataset> {
    let numbers = numbers(reader).map_err(|e| e.of(path))?;
    let data = dataset(numbers, options, path.display().to_string()).map_err(|e| e.of(path))?;
    match (&options.labels, beside(path)) {
        (None, Some(file)) => {
            let labels = labels_of_file(&file)?;
            let n = labels.of.len();
            let reason = format!("{n} labels for the {} rows of {}", data.len(), path.display());
            data.with_labels(labels).map_err(|_| Error::file(&file, reason))
        }
        _ => Ok(data),
    }
}

/// The labels of `train-images-idx3-ubyte.gz` are in `train-labels-idx1-ubyte.gz`, where there is one.
fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let other = match labels.strip_suffix(".gz") {
        Some(plain) => plain.to_owned(),
        None => format!("{labels}.gz"),
    };
    let there = |name: String| Some(path.with_file_name(name)).filter(|p| p.is_file());
    if labels == name { None } else { there(labels).or_else(|| there(other)) }
}

fn numbers(mut reader: impl Read) -> Result<Numbers> {
    let cannot = |e: std::io::Error| Error::data(format!("cannot read: {e}"));
    let mut start = [0; 4];
    reader.read_exact(&mut start).map_err(cannot)?;
    let element = match start[2] {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        other => return Err(Error::data(format!("IDX numbers of type {other} are not known"))),
    };
    let mut shape = Vec::new();
    for _ in 0..start[3] {
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(cannot)?;
        shape.push(u32::from_be_bytes(length) as usize);
    }
    let promised = shape.iter().try_fold(element.bytes(), |n, d| n.checked_mul(*d));
    let promised =
        promised.ok_or_else(|| Error::data(format!("IDX shape {shape:?} is too large")))?;
    // Memory grows with what is read, whatever the header promises.
    let mut bytes = Vec::new();
    reader.take(promised as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() != promised {
        let (wrong, found) = if bytes.len() < promised {
            ("truncated", bytes.len().to_string())
        } else {
            ("too long", format!("more than {promised}"))
        };
        return Err(Error::data(format!(
            "IDX shape {shape:?} needs {promised} bytes, found {found}: the file is {wrong}"
        )));
    }
    let values = if element == Element::U8 {
        Held::Bytes(ArrayD::from_shape_vec(IxDyn(&shape), bytes).map_err(Error::data)?)
    } else {
        let mut values = Vec::new();
        element.decode(&bytes, true, &mut values);
        Held::Doubles(ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(Error::data)?)
    };
    Ok(Numbers { values, element })
}
