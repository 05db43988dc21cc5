//! Finite volumes on densities with several modes.

use fp_residual::fokker_planck::{Density, FiniteVolumes, Grid, Model};
use sde_core::{Key, Ou, TimeGrid};
use solvers::Control;
use solvers::density::{PathDensity, sampler_log_density, standard_log_prior};

use super::{Scaled, line, plane};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A potential without a residual gives the truth for every `eta`, and no gap of scores.
#[test]
fn an_exact_potential_gives_the_data() -> Outcome {
    let sde = Ou::new(8.0)?;
    let (data, grid) = (plane(), Grid::new(2, -2.5, 2.5, 21)?.with_margin(1.5)?);
    let exact = data.under(&sde);
    let model = Model::of_potential(&exact);
    let truth = Density::known(&grid, 0.0, 4, |x| exact.log_density(x, 0.0))?;
    let own = Density::of_potential(&grid, 0.0, 4, &model)?;
    assert!(own.total_variation(&truth) < 1e-5 + own.total_variation_error);
    for eta in [1.0, 1.5] {
        let how = FiniteVolumes { steps: 20, ..FiniteVolumes::new(grid.clone(), eta) };
        let found = how.solve(&sde, &model, &[1.0, 0.0])?;
        let q = found.last();
        let off = q.total_variation(&truth);
        assert!(off < q.total_variation_error && off < 3e-4, "eta {eta}: {off:e}");
        assert!(found.imbalance < 1e-12, "{:e}", found.imbalance);
        for (gap, error) in found.score_gap.iter().zip(&found.score_gap_error) {
            assert!(gap.abs() < error + 1e-4, "{gap:e} {error:e}");
        }
    }
    Ok(())
}

/// What leaves a box that is too small is accounted for, and probabilities stay probabilities.
#[test]
fn mass_that_leaves_is_counted() -> Outcome {
    let sde = Ou::new(2.0)?;
    // A potential that grows outward: samplers run away.
    let model =
        Model::of_values(|x, _| Ok(x.rows().into_iter().map(|x| 0.3 * x.dot(&x)).collect()));
    let grid = Grid::new(2, -1.0, 1.0, 9)?.with_margin(1.0)?;
    let how = FiniteVolumes { steps: 30, ..FiniteVolumes::new(grid, 1.0) };
    let found = how.solve(&sde, &model, &[2.0, 1.0, 0.0])?;
    assert!(found.left[0] == 0.0 && found.left[1] > 0.05 && found.left[2] > found.left[1]);
    assert!(found.imbalance < 1e-12 && found.clipped < 1e-12, "{found:?}");
    for density in &found.densities {
        assert!(density.cells.iter().all(|p| *p >= 0.0));
    }
    let whole = found.last().mass() + found.left[2] + found.outside_at_start;
    assert!(whole < 1.0 && found.last().mass() < 0.5, "{whole}");
    Ok(())
}

/// Estimated errors hold against a run with four times the cells and the steps.
#[test]
fn errors_are_as_estimated() -> Outcome {
    let (sde, data) = (Ou::new(8.0)?, line());
    let wrong = Scaled::of(&data, &sde, 0.15);
    let model = Model::of_potential(&wrong);
    for eta in [0.3, 0.5, 1.0, 1.5] {
        let grid = Grid::new(1, -3.0, 3.0, 31)?.with_margin(2.0)?;
        let how = FiniteVolumes { steps: 20, ..FiniteVolumes::new(grid, eta) };
        let finer = FiniteVolumes { cells: 8, steps: 80, ..how.clone() };
        let (coarse, fine) =
            (how.solve(&sde, &model, &[0.5, 0.0])?, finer.solve(&sde, &model, &[0.5, 0.0])?);
        for (a, b) in coarse.densities.iter().zip(&fine.densities) {
            let off = a.total_variation(b);
            assert!(
                off < a.total_variation_error,
                "eta {eta}: {off:e} {:e}",
                a.total_variation_error
            );
            let nodes = a.log_density.iter().zip(&b.log_density).zip(&a.log_density_error);
            for (i, ((x, y), error)) in nodes.enumerate() {
                assert!((x - y).abs() < *error, "eta {eta}, node {i}: {:e} {error:e}", x - y);
            }
        }
        for (i, error) in coarse.score_gap_error.iter().enumerate() {
            let off = coarse.score_gap[i] - fine.score_gap[i];
            assert!(off.abs() < *error, "eta {eta}: gap {off:e} {error:e}");
        }
    }
    Ok(())
}

/// The density is that of the path integral over the residual, which knows no grid.
#[test]
fn the_path_integral_gives_the_same_density() -> Outcome {
    let (sde, data) = (Ou::new(6.0)?, line());
    let wrong = Scaled::of(&data, &sde, 0.15);
    let grid = Grid::new(1, -2.4, 2.4, 9)?.with_margin(3.0)?;
    let how = FiniteVolumes { cells: 16, ..FiniteVolumes::new(grid, 1.0) };
    let found = how.solve(&sde, &Model::of_potential(&wrong), &[0.0])?;
    let mut times = TimeGrid::Quadratic.times(&sde, 150, 6.0, 0.0)?;
    times.reverse();
    let paths =
        PathDensity { eta: 1.0, n_paths: 2000, control: Control::Grid(times), block_rows: 512 };
    let prior = |x: &_| standard_log_prior(&sde, x);
    let x = found.grid.points();
    let by_paths = sampler_log_density(&paths, &sde, &wrong, &x, &prior, Key::root(1), 0)?;
    let errors = by_paths.std_error.expect("many paths");
    // 5.3 standard errors at 9 points are a false alarm in 1e6; the steps are wrong by less than 2e-3.
    for (i, error) in errors.iter().enumerate() {
        let off = found.last().log_density[i] - by_paths.log_density[i];
        assert!(off.abs() < 5.3 * error + 2e-3, "node {i}: {off:e} {error:e}");
        assert!(*error < 0.02, "node {i}: {error:e}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_solved_is_refused_by_name() -> Outcome {
    let (sde, data) = (Ou::new(8.0)?, line());
    let wrong = Scaled::of(&data, &sde, 0.15);
    let model = Model::of_potential(&wrong);
    let how = |eta| FiniteVolumes::new(Grid::new(1, -3.0, 3.0, 31).expect("a grid"), eta);
    let refused = |how: FiniteVolumes, times: &[f64]| {
        how.solve(&sde, &model, times).expect_err("refused").to_string()
    };
    assert!(refused(how(0.0), &[0.0]).contains("characteristics"));
    assert!(refused(how(1.0), &[]).contains("times"));
    assert!(refused(how(1.0), &[0.0, 1.0]).contains("descend"));
    assert!(refused(how(1.0), &[9.0]).contains("time t = 9"));
    let odd = FiniteVolumes { cells: 3, ..how(1.0) };
    assert!(refused(odd, &[0.0]).contains("even"));
    let few = FiniteVolumes { most_resolutions: 3, ..how(0.1).with_tolerance(1e-9) };
    let reason = refused(few, &[0.0]);
    assert!(
        reason.starts_with("tolerance = 0.000000001: the estimated error")
            && reason.contains("finer"),
        "{reason}"
    );
    assert!(Grid::new(3, 0.0, 1.0, 4).is_err() && Grid::new(2, 1.0, 0.0, 4).is_err());
    assert!(Grid::new(2, 0.0, 1.0, 1).is_err() && Grid::new(2, 0.0, 1.0, 1 << 40).is_err());
    Ok(())
}
