//! The space that solvers work on: tensors against arrays.

use anyhow::Result;
use ndarray::Array2;
use sde_core::{Key, State, Tolerance, Unit};

use super::{Found, Place, host};

const ROWS: usize = 300;
const WIDTH: usize = 3;

/// Numbers that every element type but `bf16` holds exactly.
fn rows(seed: u64) -> Vec<f64> {
    let mut single = vec![0.0_f32; ROWS * WIDTH];
    Key::root(seed).fill_normals_f32(0, &mut single);
    single.into_iter().map(f64::from).collect()
}

/// Every operation of [`State`]; an array of `f64` is the reference.
pub(super) fn operations(place: &Place) -> Result<Vec<Found>> {
    let values = [rows(1), rows(2), rows(3)];
    if place.reference {
        let array = |x: &Vec<f64>| Array2::from_shape_vec((ROWS, WIDTH), x.clone());
        let [x, y, e] = [array(&values[0])?, array(&values[1])?, array(&values[2])?];
        return found(&x, &y, &e, &|x| Ok(x.iter().copied().collect()));
    }
    let tensor = |x: &Vec<f64>| place.tensor(x, WIDTH);
    let [x, y, e] = [tensor(&values[0])?, tensor(&values[1])?, tensor(&values[2])?];
    found(&x, &y, &e, &|x| host(x))
}

fn found<S: State>(
    x: &S,
    y: &S,
    e: &S,
    host: &dyn Fn(&S) -> Result<Vec<f64>>,
) -> Result<Vec<Found>> {
    let tolerance = Tolerance { abs: 1e-3, rel: 1e-2 };
    let factors: Vec<f64> = (0..ROWS).map(|row| 0.1 * row as f64 - 7.0).collect();
    let sum = S::lincomb(&[(0.3, x), (-1.7, y), (2.5, e)])?;
    let norms = [Unit::Sum, Unit::Max].map(|unit| e.weighted_rms_in(x, y, tolerance, unit));
    let norms = norms.into_iter().collect::<sde_core::Result<Vec<f64>>>()?;
    let parts = [x.slice_rows(0, 7)?, y.slice_rows(7, 20)?, e.slice_rows(0, 1)?];
    let bad = S::lincomb(&[(f64::INFINITY, x)])?;
    let finite = [x, &bad].map(|x| x.all_finite().map(|finite| f64::from(u8::from(finite))));
    let finite = finite.into_iter().collect::<sde_core::Result<Vec<f64>>>()?;
    // A term of a sum is rounded twice; the largest of the three is 2.5 times a number.
    Ok(vec![
        Found::new("linear combination", 8.0, host(&sum)?),
        Found::new("rows scaled", 2.0, host(&x.scale_rows(&factors)?)?),
        Found::new("error norms", 8.0, norms),
        Found::new("row dot products", 8.0, x.row_dot(y)?),
        Found::new("rows cut and joined", 0.0, host(&S::concat_rows(&parts)?)?),
        Found::new("finite or not", 0.0, finite),
    ])
}

/// Random numbers: those of the key, uploaded, whatever the device.
pub(super) fn noise(place: &Place) -> Result<Vec<Found>> {
    let (key, first) = (Key::root(4), 5);
    let like = place.tensor(&rows(1), WIDTH)?;
    let (normals, signs) = if place.reference {
        // Straight from the key, in the type that tensors are filled in.
        let (mut normals, mut signs) = (vec![0.0; ROWS * WIDTH], vec![0.0; ROWS * WIDTH]);
        let number = first * WIDTH as u64;
        if place.dtype() == candle_core::DType::F64 {
            key.fill_normals(number, &mut normals);
        } else {
            let mut single = vec![0.0_f32; ROWS * WIDTH];
            key.fill_normals_f32(number, &mut single);
            normals = single.into_iter().map(f64::from).collect();
        }
        key.fill_signs(number, &mut signs);
        // What the element type does not hold is rounded.
        (host(&place.tensor(&normals, WIDTH)?)?, signs)
    } else {
        (host(&like.normals_like(key, first)?)?, host(&like.signs_like(key, first)?)?)
    };
    Ok(vec![Found::new("normals", 0.0, normals), Found::new("signs", 0.0, signs)])
}
