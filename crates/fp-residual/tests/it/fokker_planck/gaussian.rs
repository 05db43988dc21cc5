//! Affine scores, of which everything is known.

use fp_residual::fokker_planck::{
    Characteristics, Density, FiniteVolumes, Grid, Model, gaussian_moments,
};
use ndarray::{Array1, Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{FnScore, Ou, Vp};

use super::log_normal;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The potential `-x^2 / (2 a)` at all times, under the OU process on [0, 1]: with `k = (1 + eta^2)/(2 a) - 1` the variance is
/// `e^{-2k} / 2 + eta^2 (1 - e^{-2k}) / (2k)`.
fn variance(a: f64, eta: f64) -> f64 {
    let k = 0.5 * (1.0 + eta * eta) / a - 1.0;
    0.5 * (-2.0 * k).exp() + eta * eta * (1.0 - (-2.0 * k).exp()) / (2.0 * k)
}

fn affine(a: f64) -> impl Fn(f64) -> (Array2<f64>, Array1<f64>) {
    move |_| (Array2::eye(1) / -a, Array1::zeros(1))
}

#[test]
fn moments_are_those_of_the_closed_form() -> Outcome {
    let sde = Ou::new(1.0)?;
    for eta in [0.0, 0.3, 0.5, 1.0, 1.5] {
        let (mean, v) = gaussian_moments(&sde, eta, 1, &affine(0.8), 0.0)?;
        assert_eq!(mean[0], 0.0);
        assert!((v[[0, 0]] - variance(0.8, eta)).abs() < 1e-11, "{eta}: {v}");
    }
    Ok(())
}

/// For an exact affine score and its marginal law at the horizon as the prior there is nothing to be wrong about; the mean of data
/// is found however far `eta` goes, up to what the prior forgets, `e^-16`.
#[test]
fn moments_of_an_exact_score_are_those_of_the_data() -> Outcome {
    let sde = Ou::new(16.0)?;
    let (m, cov) = (array![0.7, -0.3], array![[0.5, 0.2], [0.2, 0.3]]);
    let score = |t: f64| {
        let decay = (-2.0 * t).exp();
        let law = &cov * decay + Array2::<f64>::eye(2) * (0.5 * (1.0 - decay));
        let det = law[[0, 0]] * law[[1, 1]] - law[[0, 1]] * law[[1, 0]];
        let inverse = array![[law[[1, 1]], -law[[0, 1]]], [-law[[1, 0]], law[[0, 0]]]] / det;
        let offset = inverse.dot(&m) * (-t).exp();
        (-inverse, offset)
    };
    for eta in [0.0, 1.0] {
        let (mean, v) = gaussian_moments(&sde, eta, 2, &score, 0.0)?;
        assert!((&mean - &m).iter().all(|e| e.abs() < 1e-6), "{eta}: {mean}");
        assert!((&v - &cov).iter().all(|e| e.abs() < 1e-6), "{eta}: {v}");
    }
    Ok(())
}

#[test]
fn finite_volumes_reach_one_part_in_a_hundred_million() -> Outcome {
    let (sde, model) =
        (Ou::new(1.0)?, Model::of_values(|x, _| Ok(x.iter().map(|x| -x * x / 1.6).collect())));
    for eta in [0.5, 1.0, 1.5] {
        let grid = Grid::new(1, -2.1, 2.1, 7)?.with_margin(6.0)?;
        let how = FiniteVolumes { cells: 48, steps: 100, ..FiniteVolumes::new(grid, eta) };
        let found = how.solve(&sde, &model, &[0.0])?;
        for (x, log_q) in found.grid.axis().iter().zip(&found.last().log_density) {
            let off = log_q - log_normal(*x, variance(0.8, eta));
            assert!(off.abs() < 1e-8, "eta {eta}, x {x}: {off:e}");
        }
        assert!(found.imbalance < 1e-12 && found.outside_at_start.abs() < 1e-12);
    }
    Ok(())
}

/// Another process, whose noise grows two hundred times, and a score instead of a potential.
#[test]
fn other_processes_and_vector_scores_give_the_same_law() -> Outcome {
    let sde = Vp::default();
    let score = FnScore::new(|x: &Array2<f64>, _| Ok(x / -1.3));
    let values = Model::of_values(|x, _| Ok(x.iter().map(|x| -x * x / 2.6).collect()));
    let (_, v) = gaussian_moments(&sde, 1.0, 1, &affine(1.3), 1e-3)?;
    for model in [values, Model::Score(&score)] {
        let how = FiniteVolumes::new(Grid::new(1, -3.0, 3.0, 31)?.with_margin(6.0)?, 1.0);
        let found = how.with_tolerance(1e-5).solve(&sde, &model, &[0.5, 1e-3])?;
        let q = found.last();
        assert!(q.total_variation_error <= 1e-5);
        let truth = Density::known(&found.grid, 1e-3, 8, |x| {
            Ok(x.iter().map(|x| log_normal(*x, v[[0, 0]])).collect())
        })?;
        assert!(q.total_variation(&truth) < q.total_variation_error);
    }
    Ok(())
}

/// Where axes are not those of the law, splitting has an error, and it is extrapolated too.
#[test]
fn planes_agree_with_the_moments() -> Outcome {
    let sde = Ou::new(1.0)?;
    let matrix = -array![[1.4, 0.6], [0.6, 2.4]];
    let score = |_| (matrix.clone(), Array1::zeros(2));
    let model = Model::of_values(|x, _| {
        Ok(x.rows().into_iter().map(|x| 0.5 * x.dot(&matrix.dot(&x))).collect())
    });
    let vector = FnScore::new(|x: &Array2<f64>, _| Ok(x.dot(&matrix)));
    let grid = Grid::new(2, -2.0, 2.0, 13)?.with_margin(4.0)?;
    for eta in [0.0, 1.0] {
        let (_, cov) = gaussian_moments(&sde, eta, 2, &score, 0.0)?;
        let law = GaussianMixture::new(&[1.0], &array![[0.0, 0.0]], &[cov])?;
        let exact = law.under(&sde);
        let truth = Density::known(&grid, 0.0, 4, |x| exact.log_density(x, 0.0))?;
        let q = if eta == 0.0 {
            let flow = Linear(matrix.clone());
            Characteristics::new(1e-9).cells(&sde, &flow, &grid, 0.0, (1e-6, 31))?
        } else {
            let how = FiniteVolumes { steps: 20, ..FiniteVolumes::new(grid.clone(), eta) };
            let other = how.solve(&sde, &Model::Score(&vector), &[0.0])?;
            let found = how.solve(&sde, &model, &[0.0])?;
            let apart = found.last().total_variation(other.last());
            assert!(apart < found.error() + other.error(), "{apart:e}");
            assert!(found.error() < 1e-3 && found.imbalance < 1e-12, "{:e}", found.error());
            found.last().clone()
        };
        let off = q.total_variation(&truth);
        assert!(off < q.total_variation_error, "eta {eta}: {off:e} {:e}", q.total_variation_error);
        for ((a, b), error) in
            q.log_density.iter().zip(&truth.log_density).zip(&q.log_density_error)
        {
            assert!((a - b).abs() < error + 1e-9, "eta {eta}: {:e} {error:e}", a - b);
        }
    }
    Ok(())
}

/// A linear score.
struct Linear(Array2<f64>);

impl sde_core::Score<Array2<f64>> for Linear {
    fn score(&self, x: &Array2<f64>, _: f64) -> sde_core::Result<Array2<f64>> {
        Ok(x.dot(&self.0))
    }
}

impl sde_core::ScoreJvp<Array2<f64>> for Linear {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        _: f64,
        v: &Array2<f64>,
    ) -> sde_core::Result<(Array2<f64>, Array2<f64>)> {
        Ok((x.dot(&self.0), v.dot(&self.0)))
    }

    fn divergence(&self, x: &Array2<f64>, _: f64) -> sde_core::Result<Vec<f64>> {
        Ok(vec![self.0.diag().sum(); x.nrows()])
    }
}
