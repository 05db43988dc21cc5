//! Extrapolation to cells and steps of no size, and what it says of the error.

use super::{Density, Grid};

/// Multiples of the coarsest resolution, in the order in which they are tried.
pub(super) const MULTIPLES: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

/// Fewest resolutions that an error can be estimated from.
pub(super) const FEWEST: usize = 3;

/// Values at three resolutions, `m` times as fine as the coarsest each.
pub(super) type Three<'a> = [(usize, &'a [f64]); FEWEST];

/// The limit of values whose errors are those of a method of order two, and the estimated error.
///
/// With `T_ab` the value from resolutions `a` and `b` without their term in `1/m^2`, it is `T_abc`, without that in
/// `1/m^4` too, and the estimate is `|T_bc - T_ab|`. For `m` of 1, 2, 3 the error of `T_abc` is an eighth of that where
/// `1/m^3` leads (implicit steps have such a term), and less where `1/m^4` does; where the two cancel in the estimate they need not
/// in the value, so that it is also believed of what is around ([`spread`]).
///
/// # Reference
/// Richardson 1911, "The approximate arithmetical solution by finite differences"; the tableau of Neville.
pub(super) fn limit([a, b, c]: Three<'_>) -> (Vec<f64>, Vec<f64>) {
    let [x, y, z] = [a.0, b.0, c.0].map(|m| (m as f64).powi(2));
    let at = |i: usize| {
        let (a, b, c) = (a.1[i], b.1[i], c.1[i]);
        let ab = b + (b - a) * x / (y - x);
        let bc = c + (c - b) * y / (z - y);
        let all = bc + (bc - ab) * x / (z - x);
        (all, (bc - ab).abs())
    };
    (0..c.1.len()).map(at).unzip()
}

/// What one resolution gives at one time, behind one another: probabilities of cells, log-densities at nodes, and
/// `extra` numbers.
pub(super) fn density(grid: &Grid, t: f64, three: Three<'_>) -> (Density, Vec<f64>, Vec<f64>) {
    let n = grid.n_nodes();
    let (values, errors) = limit(three);
    let finest = three[FEWEST - 1].1;
    // A probability that extrapolation takes below zero is that of the finest resolution, and as uncertain.
    let (mut cells, mut cells_error) = (values[..n].to_vec(), errors[..n].to_vec());
    for (i, (cell, error)) in cells.iter_mut().zip(&mut cells_error).enumerate() {
        if *cell < 0.0 {
            *error += finest[i] - *cell;
            *cell = finest[i];
        }
    }
    let density = Density {
        t,
        total_variation_error: 0.5 * cells_error.iter().sum::<f64>(),
        cells,
        cells_error: spread(grid, &cells_error),
        log_density: values[n..2 * n].to_vec(),
        log_density_error: log_errors(grid, &values[n..2 * n], &errors[n..2 * n]),
    };
    (density, values[2 * n..].to_vec(), errors[2 * n..].to_vec())
}

/// Errors of log-densities, spread as such or as errors of densities, whichever is less: what is wrong in a tail says nothing of where
/// the mass is, and the other way round.
fn log_errors(grid: &Grid, log_density: &[f64], errors: &[f64]) -> Vec<f64> {
    let top = log_density.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let density: Vec<f64> = log_density.iter().map(|l| (l - top).exp()).collect();
    let absolute: Vec<f64> = errors.iter().zip(&density).map(|(e, p)| e * p).collect();
    let (relative, absolute) = (spread(grid, errors), spread(grid, &absolute));
    let least = |((r, a), p): ((&f64, &f64), &f64)| r.min(a / p);
    relative.iter().zip(&absolute).zip(&density).map(least).collect()
}

/// How much of an error is believed of the next node.
const SHARED: f64 = 0.7;

/// Errors that fall from node to node by [`SHARED`] at most: where an error changes its sign the estimate vanishes, or where
/// two parts of it cancel, and the error of what is around does not.
pub(super) fn spread(grid: &Grid, errors: &[f64]) -> Vec<f64> {
    let n = grid.axis().len();
    let mut spread = errors.to_vec();
    let strides = if grid.dim() == 2 { &[n, 1][..] } else { &[1] };
    for &stride in strides {
        for i in 0..spread.len() {
            if i / stride % n > 0 {
                spread[i] = spread[i].max(SHARED * spread[i - stride]);
            }
        }
        for i in (0..spread.len()).rev() {
            if i / stride % n + 1 < n {
                spread[i] = spread[i].max(SHARED * spread[i + stride]);
            }
        }
    }
    spread
}
