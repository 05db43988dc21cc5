//! What is drawn at random, each a function of a key alone.

use ndarray::Array2;
use sde_core::Key;
use sde_core::counts::in_memory;

use crate::error::{Error, Result};

/// `size` different numbers below `n`, in ascending order, each set of them equally likely.
pub(crate) fn choose(key: Key, n: usize, size: usize) -> Vec<usize> {
    let mut chosen = shuffled(key, n, size);
    chosen.sort_unstable();
    chosen
}

/// The first `size` entries of a uniformly random order of `0..n`.
pub(crate) fn shuffled(key: Key, n: usize, size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut uniforms = vec![0.0; size];
    key.fill_uniforms(0, &mut uniforms);
    for (i, u) in uniforms.iter().enumerate() {
        // The uniform is below one, its product may round up to the count.
        order.swap(i, i + ((u * (n - i) as f64) as usize).min(n - i - 1));
    }
    order.truncate(size);
    order
}

/// Independent directions, uniform on the unit sphere.
///
/// # Shapes
/// Returns `[dim, count]`, one direction a column. Direction k is the same whatever the count.
///
/// # Errors
/// A dimension or count of zero; more than memory holds.
///
/// # Reference
/// M. E. Muller, *A note on a method for generating points uniformly on n-dimensional spheres*,
/// 1959: normals, divided by their length.
///
/// ```
/// use sde_core::Key;
/// let directions = metrics::random_directions(3, 10, Key::root(1))?;
/// let length = directions.column(7).dot(&directions.column(7)).sqrt();
/// assert!((length - 1.0).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn random_directions(dim: usize, count: usize, key: Key) -> Result<Array2<f64>> {
    for (name, value) in [("dimension", dim), ("number of directions", count)] {
        if value == 0 {
            return Err(Error::InvalidParameter { name, expected: ">= 1", value: 0.0 });
        }
    }
    in_memory(&[("projections", count as u64), ("dimensions", dim as u64)], 8)
        .map_err(Error::Excess)?;
    let mut directions = Array2::zeros((dim, count));
    let mut normals = vec![0.0; dim];
    for (k, mut column) in directions.columns_mut().into_iter().enumerate() {
        key.fill_normals((k * dim) as u64, &mut normals);
        // Exactly zero at no key that will be met; then the first axis.
        let length = normals.iter().map(|z| z * z).sum::<f64>().sqrt();
        if length == 0.0 {
            normals[0] = 1.0;
        }
        let length = if length == 0.0 { 1.0 } else { length };
        column.iter_mut().zip(&normals).for_each(|(entry, z)| *entry = z / length);
    }
    Ok(directions)
}
