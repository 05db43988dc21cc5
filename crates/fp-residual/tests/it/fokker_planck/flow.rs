//! Densities of the flow, along paths and by cells of the prior.

use fp_residual::fokker_planck::{Characteristics, Grid, PriorLattice};
use ndarray::Array2;
use sde_core::{Key, Ou, Tolerance};
use solvers::Control;
use solvers::density::{
    Divergence, FlowDensity, PathDensity, flow_log_density, sampler_log_density, standard_log_prior,
};

use super::{Scaled, plane};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Halved steps against steps that are chosen row by row, and against the line integral of the residual.
#[test]
fn characteristics_agree_with_adaptive_steps_and_the_residual() -> Outcome {
    let (sde, data) = (Ou::new(8.0)?, plane());
    let wrong = Scaled::of(&data, &sde, 0.15);
    let mut x = Array2::zeros((12, 2));
    Key::root(1).fill_normals(0, x.as_slice_mut().expect("in one piece"));
    let (found, errors) = Characteristics::new(1e-9).log_density(&sde, &wrong, &x, 0.0)?;
    let tol = Tolerance { abs: 1e-11, rel: 1e-11 };
    let control = Control::Adaptive { t_start: 0.0, t_end: 8.0, tol };
    let flow =
        FlowDensity { divergence: Divergence::Exact, control: control.clone(), block_rows: 1 };
    let prior = |x: &_| standard_log_prior(&sde, x);
    let chosen = flow_log_density(&flow, &sde, &wrong, &x, &prior, Key::root(0), 0)?;
    let paths = PathDensity { eta: 0.0, n_paths: 1, control, block_rows: 1 };
    let line = sampler_log_density(&paths, &sde, &wrong, &x, &prior, Key::root(0), 0)?;
    for i in 0..x.nrows() {
        assert!(errors[i] < 1e-9, "row {i}: {:e}", errors[i]);
        assert!((found[i] - chosen.log_density[i]).abs() < errors[i] + 1e-8, "row {i}");
        assert!((found[i] - line.log_density[i]).abs() < errors[i] + 1e-8, "row {i}");
    }
    Ok(())
}

/// Two ways to the probabilities of cells: backward from the middles of sub-cells, forward from the prior.
#[test]
fn the_prior_carried_forward_gives_the_same_cells() -> Outcome {
    let (sde, data) = (Ou::new(8.0)?, plane());
    let wrong = Scaled::of(&data, &sde, 0.15);
    let grid = Grid::new(2, -2.0, 2.0, 9)?;
    let paths = Characteristics::new(1e-6);
    let smooth = paths.cells(&sde, &wrong, &grid, 0.0, (1e-3, 5))?;
    let lattice = PriorLattice { points: 121, ..PriorLattice::default() };
    let carried = lattice.cells(&sde, &wrong, &grid, 0.0, &paths)?;
    let off = smooth.total_variation(&carried);
    assert!(carried.total_variation_error < 0.02, "{:e}", carried.total_variation_error);
    assert!(off < carried.total_variation_error + smooth.total_variation_error, "{off:e}");
    assert!((smooth.mass() - carried.mass()).abs() < 2e-3);
    assert!(carried.cells.iter().all(|p| *p >= 0.0));
    Ok(())
}

#[test]
fn a_density_rough_within_cells_is_refused_with_the_way_out() -> Outcome {
    let (sde, data) = (Ou::new(8.0)?, plane());
    let exact = data.under(&sde);
    let grid = Grid::new(2, -2.0, 2.0, 3)?;
    let found = Characteristics::new(1e-6).cells(&sde, &exact, &grid, 0.0, (1e-12, 3));
    let reason = found.expect_err("refused").to_string();
    assert!(reason.contains("carry the prior forward"), "{reason}");
    Ok(())
}
