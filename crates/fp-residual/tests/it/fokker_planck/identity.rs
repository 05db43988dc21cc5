//! Finite volumes against the identity of the pathwise residual, which solves nothing on a grid.

use fp_residual::fokker_planck::{FiniteVolumes, Grid, Model};
use sde_core::{Key, Ou};
use solvers::Control;
use solvers::density::{PathDensity, sampler_log_density, standard_log_prior};

use super::{Scaled, plane};

/// Log-densities at 225 nodes of a potential that is none: `p_S` differs from `p` by some ten-thousandths, both ways are sure to 1e-5
/// where there is a ten-thousandth of the largest density, and agree to their errors.
#[test]
#[ignore = "slow"]
fn slow_finite_volumes_agree_with_the_identity() -> Result<(), Box<dyn std::error::Error>> {
    let (sde, data) = (Ou::new(12.0)?, plane());
    let wrong = Scaled::of(&data, &sde, 1e-4);
    let model = Model::of_values(|x, t| wrong.values(x, t));
    let grid = Grid::new(2, -1.75, 1.75, 15)?.with_margin(2.5)?;
    let how = FiniteVolumes { cells: 12, steps: 180, ..FiniteVolumes::new(grid.clone(), 1.0) };
    let solved = how.solve(&sde, &model, &[0.0])?;
    let (q, x) = (solved.last(), grid.points());
    let prior = |x: &_| standard_log_prior(&sde, x);
    let by_paths = |steps: i32| {
        let shift = 0.12_f64;
        let at =
            |k: i32| shift * ((12.0 + shift) / shift).powf(f64::from(k) / f64::from(steps)) - shift;
        let mut times: Vec<f64> = (0..=steps).map(at).collect();
        (times[0], times[steps as usize]) = (0.0, 12.0);
        let (control, n_paths) = (Control::Grid(times), 10_000);
        let paths = PathDensity { eta: 1.0, n_paths, control, block_rows: 8000 };
        sampler_log_density(&paths, &sde, &wrong, &x, &prior, Key::root(5), 0)
    };
    let (coarse, fine) = (by_paths(40)?, by_paths(80)?);
    let noise = fine.std_error.as_ref().ok_or("no standard errors")?;
    let top = q.log_density.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let there: Vec<usize> =
        (0..x.nrows()).filter(|i| q.log_density[*i] - top > 1e-4_f64.ln()).collect();
    assert!(there.len() >= 200, "{} points", there.len());
    let truth = data.under(&sde).log_density(&x, 0.0)?;
    let mut moved = 0.0_f64;
    for i in there {
        // The bias of steps falls with their square: a third of the difference is left.
        let steps = (fine.log_density[i] - coarse.log_density[i]).abs() / 3.0;
        let (own, other) = (q.log_density_error[i], 3.5 * noise[i] + steps);
        assert!(own < 1e-5 && other < 1e-5, "{i}: {own:e} {other:e}");
        assert!(noise[i] < 1e-5, "{i}: {:e}", noise[i]);
        let off = (q.log_density[i] - fine.log_density[i]).abs();
        assert!(off < own + other, "{i}: {off:e}, {own:e} {other:e}");
        moved = moved.max((q.log_density[i] - truth[i]).abs());
    }
    assert!(moved > 1e-4, "the wrong potential moves log-densities by {moved:e} only");
    Ok(())
}
