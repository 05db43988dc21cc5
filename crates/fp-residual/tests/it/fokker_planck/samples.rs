//! Finite volumes against very many samples of the same sampler, counted on the nodes of the published histograms.

use fp_residual::fokker_planck::{FiniteVolumes, Grid, Model};
use ndarray::{Array2, Zip, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Ou, Score, TimeGrid};
use solvers::{End, Method, Sampler, SolveError, sample};

/// `(1 - c e^-t) log p_t` of two clusters at `+m` and `-m`, of deviation `STD`, whose score is a hyperbolic tangent.
struct Pair {
    c: f64,
}

const MEAN: [f64; 2] = [1.1, 0.6];
const STD: f64 = 0.45;

impl Pair {
    fn factor(&self, t: f64) -> f64 {
        1.0 - self.c * (-t).exp()
    }

    /// Variance, and the mean over the variance.
    fn at(t: f64) -> (f64, [f64; 2]) {
        let decay = (-t).exp();
        let v = STD * STD * decay * decay + 0.5 * (1.0 - decay * decay);
        (v, MEAN.map(|m| m * decay / v))
    }

    /// The potential, but for a constant of the time.
    fn values(&self, x: &Array2<f64>, t: f64) -> Vec<f64> {
        let (v, m) = Self::at(t);
        let log = |x: ndarray::ArrayView1<'_, f64>| {
            let along = (m[0] * x[0] + m[1] * x[1]).abs();
            along + (-2.0 * along).exp().ln_1p() - (x[0] * x[0] + x[1] * x[1]) / (2.0 * v)
        };
        x.rows().into_iter().map(|x| self.factor(t) * log(x)).collect()
    }
}

impl Score<Array2<f64>> for Pair {
    fn score(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
        let ((v, m), factor) = (Self::at(t), self.factor(t));
        let mut s = x.clone();
        Zip::from(s.rows_mut()).for_each(|mut x| {
            let side = (m[0] * x[0] + m[1] * x[1]).tanh();
            (x[0], x[1]) = (factor * (m[0] * side - x[0] / v), factor * (m[1] * side - x[1] / v));
        });
        Ok(s)
    }
}

/// The deviate of the normal distribution that a chi-square of `counts` against `expected` probabilities is as unlikely as
/// (Wilson and Hilferty 1931); classes of fewer than 10 are put together.
fn chi_square(counts: &[u64], expected: &[f64]) -> f64 {
    let n: u64 = counts.iter().sum();
    let (mut square, mut classes, mut rest) = (0.0, 0.0, [0.0; 2]);
    let mut add = |count: f64, mean: f64| {
        square += (count - mean).powi(2) / mean;
        classes += 1.0;
    };
    for (&count, p) in counts.iter().zip(expected) {
        let mean = p * n as f64;
        if mean < 10.0 {
            rest = [rest[0] + count as f64, rest[1] + mean];
        } else {
            add(count as f64, mean);
        }
    }
    add(rest[0], rest[1]);
    let k = 2.0 / (9.0 * (classes - 1.0));
    ((square / (classes - 1.0)).cbrt() - (1.0 - k)) / k.sqrt()
}

/// Probabilities of the cells and of all that is outside of them.
fn classes(cells: &[f64]) -> Vec<f64> {
    cells.iter().copied().chain([1.0 - cells.iter().sum::<f64>()]).collect()
}

/// Of 10^8 samples of the SDE in 128 steps of order two a chi-square on 64 x 64 nodes and what is outside tells nothing at a
/// thousandth, and tells the law of the right potential at once.
#[test]
#[ignore = "slow"]
fn slow_a_hundred_million_samples_agree() -> Result<(), Box<dyn std::error::Error>> {
    const N: u64 = 100_000_000;
    let (sde, pair, grid) = (Ou::new(3.0)?, Pair { c: 0.15 }, Grid::published());
    let law = |pair: &Pair| -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        let model = Model::of_values(|x, t| Ok(pair.values(x, t)));
        let how = FiniteVolumes { steps: 48, ..FiniteVolumes::new(grid.clone(), 1.0) };
        let found = how.solve(&sde, &model, &[0.0])?;
        let error = found.last().total_variation_error;
        assert!(error < 2e-5, "the estimated error is {error:e}");
        Ok(classes(&found.last().cells))
    };
    let builder = Sampler::builder(Method::Heun, 1.0, 128).stop(0.0).grid(TimeGrid::Quadratic);
    let sampler = builder.end(End::Plain).block_rows(4096).build(&sde)?;
    let (nodes, outside) = (grid.axis(), grid.n_nodes());
    let (first, h, n) = (nodes[0], nodes[1] - nodes[0], nodes.len());
    let mut counts = vec![0_u64; outside + 1];
    let mut sink = |_: u64, x: Array2<f64>| {
        for x in x.rows() {
            let [i, j] = [x[0], x[1]].map(|x| (x - first) / h);
            let end = (n - 1) as f64;
            let inside = [i, j].iter().all(|i| (0.0..=end).contains(i));
            counts[if inside { i.round() as usize * n + j.round() as usize } else { outside }] += 1;
        }
        Ok::<(), SolveError>(())
    };
    sample(&sampler, &sde, &pair, N, Key::root(11), &Array2::zeros((1, 2)), &mut sink)?;
    let (found, right) = (chi_square(&counts, &law(&pair)?), law(&Pair { c: 0.0 })?);
    let truth = chi_square(&counts, &right);
    eprintln!("deviates {found:.2} and {truth:.0}");
    assert!(found < 3.09, "{found}");
    assert!(truth > 100.0, "{truth}");
    Ok(())
}

/// The hyperbolic tangent is the score of the mixture.
#[test]
fn the_pair_is_a_mixture() -> Result<(), Box<dyn std::error::Error>> {
    let [a, b] = MEAN;
    let data = GaussianMixture::isotropic(&[0.5; 2], &array![[a, b], [-a, -b]], &[STD; 2])?;
    let (sde, x) = (Ou::new(3.0)?, array![[0.3, -1.2], [2.0, 0.1], [-0.7, 0.6]]);
    for t in [0.0, 0.4, 2.0] {
        let (expected, found) = (data.under(&sde).score(&x, t)?, Pair { c: 0.0 }.score(&x, t)?);
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12),
            "{found} {expected}"
        );
        let (log, values) = (data.under(&sde).log_density(&x, t)?, Pair { c: 0.0 }.values(&x, t));
        assert!((log[1] - log[0] - (values[1] - values[0])).abs() < 1e-12);
    }
    Ok(())
}
