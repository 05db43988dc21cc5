//! Data files of any format as points: tables with names and categories, images.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use data::{Column, ColumnValues, Dataset, Kind, OpenOptions, Pixels};
use ndarray::Array2;

use crate::checks::{DIGITS, data_path};

/// Whether a file is read as data, not as an array of points. What is neither a file nor a folder, a pipe, holds an array.
pub(super) fn is_data(path: &Path) -> bool {
    let pipe = path.exists() && !path.is_file() && !path.is_dir();
    !pipe && path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("npy"))
}

/// The points of one or two data files, in the same coordinates.
///
/// Numbers are as they stand; a column of `k` categories becomes `k` coordinates, `1 / sqrt 2` for the one that a row has, so
/// that rows that differ in a name alone are 1 apart. Classes are no coordinates.
///
/// # Errors
/// When the columns, the sizes or the categories of one are not those of the other.
pub(super) fn points(a: &Path, b: Option<&Path>) -> Result<(Array2<f64>, Option<Array2<f64>>)> {
    let mut first = open(a, None)?;
    let Some(b) = b else { return Ok((coordinates(&first)?, None)) };
    let mut second = open(b, None)?;
    // The classes that `sample` writes are a column of one file alone.
    match (has_label(&first), has_label(&second)) {
        (true, false) => first = open(a, Some("label"))?,
        (false, true) => second = open(b, Some("label"))?,
        _ => {}
    }
    let kind = common(first.kind(), second.kind())
        .with_context(|| format!("{} beside {}", b.display(), a.display()))?;
    let both = (first.conform(&kind)?, second.conform(&kind)?);
    same_units((a, &first), (b, &second))?;
    Ok((coordinates(&both.0)?, Some(coordinates(&both.1)?)))
}

/// Refuses pictures, whose levels are stretched to 255, beside an array of fewer levels.
fn same_units(a: (&Path, &Dataset), b: (&Path, &Dataset)) -> Result<()> {
    let picture = |path: &Path| {
        let shown = ["png", "jpg", "jpeg"];
        path.is_dir()
            || path.extension().is_some_and(|e| shown.iter().any(|s| e.eq_ignore_ascii_case(s)))
    };
    let (pictures, (path, array)) = match (picture(a.0), picture(b.0)) {
        (true, false) => (a.0, b),
        (false, true) => (b.0, a),
        _ => return Ok(()),
    };
    if !matches!(array.kind(), Kind::Images { .. }) {
        return Ok(());
    }
    let largest = array.to_array()?.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    ensure!(
        largest > 127.0,
        "{}: the largest value is {largest}, beside {}, pictures of levels from 0 to 255: not in the same units (write both alike)",
        path.display(),
        pictures.display()
    );
    Ok(())
}

fn open(path: &Path, labels: Option<&str>) -> Result<Dataset> {
    if data_path(path)? == DIGITS {
        return Ok(data::digits());
    }
    let labels = labels.map(str::to_owned);
    Ok(data::open(path, &OpenOptions { labels, ..OpenOptions::default() })?)
}

fn has_label(data: &Dataset) -> bool {
    match data.kind() {
        Kind::Table { columns } => columns.iter().any(|c| c.name == "label"),
        _ => false,
    }
}

/// What rows of both are rows of: numbers are real, and of two lists of categories it is the longer.
fn common(a: &Kind, b: &Kind) -> Result<Kind> {
    match (a, b) {
        (Kind::Table { columns: a }, Kind::Table { columns: b }) => {
            let both = a.iter().enumerate().map(|(i, column)| {
                let other = b.iter().find(|c| c.name == column.name).or(b.get(i));
                let names = |c: &Column| match &c.values {
                    ColumnValues::Categories(of) => Some(of.clone()),
                    _ => None,
                };
                match (names(column), other.and_then(names)) {
                    (Some(a), Some(b)) if b.len() > a.len() => Column::categories(&column.name, b),
                    (Some(a), _) => Column::categories(&column.name, a),
                    (None, _) => Column::float(&column.name),
                }
            });
            Ok(Kind::Table { columns: both.collect() })
        }
        (Kind::Images { channels, height, width, pixels }, Kind::Images { pixels: other, .. }) => {
            if let (Pixels::Levels(n), Pixels::Levels(m)) = (pixels, other)
                && (*n > 256) != (*m > 256)
            {
                bail!("pixels of {m} levels beside pixels of {n}: they are not in the same units");
            }
            let (channels, height, width) = (*channels, *height, *width);
            Ok(Kind::Images { channels, height, width, pixels: Pixels::Real(0.0, 1.0) })
        }
        (a, _) => Ok(a.clone()),
    }
}

fn coordinates(data: &Dataset) -> Result<Array2<f64>> {
    let rows = data.to_array()?;
    let Kind::Table { columns } = data.kind() else { return Ok(rows) };
    let widths: Vec<usize> = columns
        .iter()
        .map(|c| match &c.values {
            ColumnValues::Categories(of) => of.len(),
            _ => 1,
        })
        .collect();
    let width: usize = widths.iter().sum();
    sde_core::counts::in_memory(&[("rows", rows.nrows() as u64), ("columns", width as u64)], 8)?;
    let mut out = Array2::zeros((rows.nrows(), width));
    for (row, mut out) in rows.rows().into_iter().zip(out.rows_mut()) {
        let mut first = 0;
        for ((value, column), width) in row.iter().zip(columns).zip(&widths) {
            match &column.values {
                ColumnValues::Categories(_) => {
                    out[first + *value as usize] = std::f64::consts::FRAC_1_SQRT_2;
                }
                _ => out[first] = *value,
            }
            first += width;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn another_name_is_one_away() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let columns = vec![Column::float("x"), Column::categories("name", names)];
        let rows = array![[2.0, 0.0], [2.0, 2.0], [3.0, 2.0]];
        let data = Dataset::table(columns, rows, "made up").expect("rows");
        let points = coordinates(&data).expect("points");
        assert_eq!(points.dim(), (3, 4));
        let apart =
            |i: usize, j: usize| (&points.row(i) - &points.row(j)).mapv(|d| d * d).sum().sqrt();
        assert!((apart(0, 1) - 1.0).abs() < 1e-15 && (apart(1, 2) - 1.0).abs() < 1e-15);
        assert!((apart(0, 2) - 2.0_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_longer_list_of_categories_is_taken() {
        let list = |names: &[&str]| {
            let names = names.iter().map(|n| (*n).to_owned()).collect();
            Kind::Table { columns: vec![Column::categories("name", names), Column::integer("n")] }
        };
        let found = common(&list(&["a"]), &list(&["a", "b"])).expect("tables");
        let Kind::Table { columns } = &found else { panic!("a table") };
        assert_eq!(columns[0], Column::categories("name", vec!["a".into(), "b".into()]));
        assert_eq!(columns[1], Column::float("n"));
        let images =
            |n| Kind::Images { channels: 1, height: 1, width: 1, pixels: Pixels::Levels(n) };
        assert!(common(&images(17), &images(256)).is_ok());
        assert!(common(&images(1 << 16), &images(256)).is_err());
    }
}
