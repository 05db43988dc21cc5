//! Densities of samplers against closed forms, the path integral and each other.

use fp_residual::fokker_planck::{
    Characteristics, Density, FiniteVolumes, Grid, Model, gaussian_moments,
};
use ndarray::{Array1, Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Ou, Sde};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A normal log-density of variance `v`.
fn log_normal(x: f64, v: f64) -> f64 {
    -0.5 * (x * x / v + (std::f64::consts::TAU * v).ln())
}

#[test]
fn explore() -> Outcome {
    let model =
        Model::of_values(|x, _| Ok(x.rows().into_iter().map(|x| -x.dot(&x) / 1.6).collect()));
    let sde = Ou::new(1.0)?;
    for eta in [1.0, 0.5, 1.5] {
        let score = |_: f64| (Array2::eye(1) / -0.8, Array1::zeros(1));
        let (_, v) = gaussian_moments(&sde, eta, 1, &score, 0.0)?;
        let v = v[[0, 0]];
        println!("eta {eta} V {v}");
        for (cells, steps) in [(2, 10), (2, 20), (4, 20), (4, 40), (8, 80), (16, 160)] {
            let mut how = FiniteVolumes::new(Grid::new(1, -3.0, 3.0, 31)?.with_margin(6.0)?, eta);
            how.cells = cells;
            how.steps = steps;
            let start = std::time::Instant::now();
            let found = how.solve(&sde, &model, &[0.0])?;
            let q = found.last();
            let mut worst = (0.0_f64, 0.0_f64, 0.0_f64);
            for ((x, l), e) in
                found.grid.axis().iter().zip(&q.log_density).zip(&q.log_density_error)
            {
                let off = (l - log_normal(*x, v)).abs();
                worst.0 = worst.0.max(off);
                worst.1 = worst.1.max(*e);
                worst.2 = worst.2.max(off / e);
            }
            let truth = Density::known(&found.grid, 0.0, 32, |x| {
                Ok(x.iter().map(|x| log_normal(*x, v)).collect())
            })?;
            println!("true tv {:.2e}", truth.total_variation(q));
            println!(
                "{cells} {steps} worst {:.2e} estimated {:.2e} ratio {:.2} tv est {:.2e} imbalance {:.1e} clipped {:.1e} out {:.1e} left {:.1e} gap {} +- {:.1e} in {:?}",
                worst.0,
                worst.1,
                worst.2,
                q.total_variation_error,
                found.imbalance,
                found.clipped,
                found.outside_at_start,
                found.left[0],
                found.score_gap[0],
                found.score_gap_error[0],
                start.elapsed()
            );
        }
    }
    Ok(())
}
