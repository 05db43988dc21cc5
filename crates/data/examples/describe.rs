//! What files hold: `cargo run -p data --example describe -- FILE...`; `FILE:ARRAY` names an array of an archive.
#![allow(clippy::print_stdout)]

use std::path::Path;

use data::{Dataset, Kind, OpenOptions, Transform, TransformOptions};
use sde_core::{Key, MainError};

fn main() -> Result<(), MainError> {
    for word in std::env::args().skip(1) {
        let (path, array) = match word.split_once(".npz:") {
            Some((stem, array)) => (format!("{stem}.npz"), Some(array.to_owned())),
            None => (word, None),
        };
        match data::open(Path::new(&path), &OpenOptions { array, ..OpenOptions::default() }) {
            Ok(data) => describe(&data)?,
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

fn describe(data: &Dataset) -> Result<(), data::Error> {
    let kind = match data.kind() {
        Kind::Table { columns } => format!("{} columns", columns.len()),
        other => format!("{other:?}"),
    };
    let transform = Transform::fit(data, &TransformOptions::default())?;
    let few = data.rows(0, 1000)?;
    let z = transform.to_model(few.view(), Key::root(0), 0)?;
    let back = transform.from_model(z.view())?;
    let off = (&back - &few).iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    println!(
        "{}: {} rows, {kind}, {} classes; {} coordinates of a model, {} constant columns; back within {off:e}",
        data.source(),
        data.len(),
        data.n_classes(),
        transform.model_dim(),
        transform.constants().len(),
    );
    Ok(())
}
