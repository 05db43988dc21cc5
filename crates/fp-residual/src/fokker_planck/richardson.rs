//! Extrapolation to cells and steps of no size, and what it says of the error.

use super::{Density, Grid};

/// Multiples of the coarsest resolution, in the order in which they are tried.
pub(super) const MULTIPLES: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

/// Fewest resolutions that an error can be estimated from.
pub(super) const FEWEST: usize = 3;

/// Values at resolutions that are `m` times as fine as the coarsest, ascending.
pub(super) type Level<'a> = (usize, &'a [f64]);

/// The limit of values whose errors are those of a method of order two, and the estimated error.
///
/// With `T_ab` the value from resolutions `a` and `b` without their term in `1/m^2`, it is `T_abc`, without that in
/// `1/m^4` too, and the estimate is `|T_bc - T_ab|`. For `m` of 1, 2, 3 the error of `T_abc` is an eighth of that where
/// `1/m^3` leads (implicit steps have such a term), and less where `1/m^4` does; where the two cancel in the estimate they need not
/// in the value, so that it is also believed of what is around ([`spread`]). Of two resolutions it is `T_ab`, and the estimate its
/// difference from `b`. Of more the three finest count.
///
/// # Reference
/// Richardson 1911, "The approximate arithmetical solution by finite differences"; the tableau of Neville.
pub(super) fn limit(levels: &[Level<'_>]) -> (Vec<f64>, Vec<f64>) {
    let square = |m: usize| (m as f64).powi(2);
    // Of a value at resolution `q` and one that is finer, `r`, without the term that falls as their ratio.
    let without = |coarse: f64, fine: f64, q: usize, r: usize| {
        fine + (fine - coarse) * square(q) / (square(r) - square(q))
    };
    let at = |i: usize| match *levels {
        [.., (l, a), (m, b), (n, c)] => {
            let (ab, bc) = (without(a[i], b[i], l, m), without(b[i], c[i], m, n));
            (without(ab, bc, l, n), (bc - ab).abs())
        }
        [(l, a), (m, b)] => {
            let ab = without(a[i], b[i], l, m);
            (ab, (ab - b[i]).abs())
        }
        ref few => (few[0].1[i], f64::INFINITY),
    };
    (0..levels[0].1.len()).map(at).unzip()
}

/// The density at one time from what resolutions gave, behind one another: probabilities of cells, log-densities at nodes, and
/// other numbers, whose limits and errors come behind it.
pub(super) fn density(grid: &Grid, t: f64, levels: &[Level<'_>]) -> (Density, Vec<f64>, Vec<f64>) {
    let n = grid.n_nodes();
    let (values, errors) = limit(levels);
    let finest = levels[levels.len() - 1].1;
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
