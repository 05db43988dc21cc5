//! Densities of the flow, along paths and from borders of cells.

use fp_residual::fokker_planck::{Characteristics, Grid};
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

/// Two ways to the probabilities of cells: from where their borders are carried, and densities at the middles of sub-cells.
#[test]
fn borders_give_the_masses_that_densities_integrate_to() -> Outcome {
    let (sde, data) = (Ou::new(8.0)?, plane());
    let wrong = Scaled::of(&data, &sde, 0.15);
    let grid = Grid::new(2, -2.0, 2.0, 9)?;
    let paths = Characteristics::new(1e-5);
    let found = paths.cells(&sde, &wrong, &grid, 0.0, (1e-4, 31))?;
    assert!(found.total_variation_error <= 1e-4, "{:e}", found.total_variation_error);
    // Sub-cells of an eighth of a spacing: the midpoint rule is off by their square.
    let side = grid.spacing() / 8.0;
    let middle = |i: usize| -2.0 + (i as f64 + 0.5) * side;
    let x = Array2::from_shape_fn((64 * 64, 2), |(row, j)| {
        middle(if j == 0 { row / 64 } else { row % 64 })
    });
    let mut cells = vec![0.0; grid.n_nodes()];
    for (row, log_q) in paths.log_density(&sde, &wrong, &x, 0.0)?.0.iter().enumerate() {
        let node = |i: usize| (i + 4) / 8;
        cells[node(row / 64) * 9 + node(row % 64)] += side * side * log_q.exp();
    }
    let off: f64 = cells.iter().zip(&found.cells).map(|(a, b)| 0.5 * (a - b).abs()).sum();
    assert!(off < found.total_variation_error + 2e-3, "{off:e}");
    Ok(())
}
