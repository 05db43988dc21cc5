//! The benchmark of the literature: 25 Gaussians in eight dimensions, of which a few random sums are seen.

use control::steppers::{Ddnm, Ddrm, DpsStep, Replacement, TimeTravel};
use control::{Covariance, Measurement, Proposal, ReconstructionGuidance, TwistedSmc};
use ndarray::{Array1, Array2};
use sde_core::analytic::{GaussianMixture, Posterior};
use sde_core::{Key, Score, TimeGrid, Vp};
use solvers::steppers::ExponentialEulerMaruyama;
use solvers::{CustomStepper, Method, Sampler, Scheme};

use crate::common::{by, normals, squared_w2};

const D: usize = 8;
const SAMPLES: usize = 1000;
const STEPS: usize = 100;

/// One problem: the prior, a measurement of `m` numbers and the exact posterior.
struct Problem {
    prior: GaussianMixture,
    seen: Measurement,
    exact: Posterior,
    m: usize,
}

/// Means `(8 i, 8 j, 8 i, 8 j, ...)` for `i` and `j` from -2 to 2, unit covariances, random weights; `A` with random singular
/// vectors and singular values, noise of up to half the largest.
///
/// # Reference
/// Cardoso et al. 2023, arXiv 2308.07983, section 4 and appendix B.
fn problem(seed: u64, m: usize) -> Problem {
    let key = Key::root(seed);
    let mean = |k: usize, j: usize| 8.0 * ([k / 5, k % 5][j % 2] as f64 - 2.0);
    let means = Array2::from_shape_fn((25, D), |(k, j)| mean(k, j));
    let mut z = [0.0; 25];
    key.fold(0).fill_normals(0, &mut z);
    let weights: Vec<f64> = z.iter().map(|z| z * z).collect();
    let prior = GaussianMixture::isotropic(&weights, &means, &[1.0; 25]).unwrap();
    let mut u = vec![0.0; m + 1];
    key.fold(1).fill_uniforms(0, &mut u);
    // Orthonormal rows by Gram and Schmidt, times singular values.
    let mut a = normals(key.fold(2).seed(), m, D);
    for i in 0..m {
        for k in 0..i {
            let share = a.row(i).dot(&a.row(k));
            let other = a.row(k).to_owned();
            a.row_mut(i).scaled_add(-share, &other);
        }
        let norm = a.row(i).dot(&a.row(i)).sqrt();
        a.row_mut(i).mapv_inplace(|v| v / norm);
    }
    let left = normals(key.fold(3).seed(), m, m);
    let scaled = Array2::from_shape_fn((m, D), |(i, j)| (0.2 + u[i]) * a[[i, j]]);
    let a = if m == 1 { scaled } else { left.dot(&scaled) };
    let noise = 0.1 + 0.4 * u[m];
    let truth = prior.sample(key.fold(4), 0, 1);
    let y: Array1<f64> =
        a.dot(&truth.row(0)) + normals(key.fold(5).seed(), 1, m).row(0).mapv(|z| noise * z);
    let exact = prior.given(&a, &y.to_vec(), noise).unwrap();
    Problem { prior, seen: by(&a, &y.to_vec(), noise), exact, m }
}

fn draw(
    scheme: impl Scheme<Array2<f64>>,
    score: &dyn Score<Array2<f64>>,
    (eta, steps): (f64, usize),
) -> Array2<f64> {
    let plan = Sampler::builder(scheme, eta, steps).stop(0.0);
    let (vp, like) = (Vp::default(), Array2::zeros((1, D)));
    plan.draw(&vp, score, SAMPLES as u64, &like, Key::root(1)).unwrap()
}

/// Samples of every heuristic, with as many evaluations of the score and of its products as the particles have, or a few more.
fn heuristics(p: &Problem) -> Vec<(&'static str, Array2<f64>)> {
    let vp = Vp::default();
    let score = p.prior.under(&vp);
    let (_, cov) = p.prior.moments();
    let data_variance = cov.diag().mean().unwrap();
    let budget = (1 + p.m) * STEPS;
    let guided = |c| ReconstructionGuidance::new(&vp, &score, p.seen.clone(), c);
    let inner = Method::ExponentialEulerMaruyama;
    let one = Covariance::Isotropic { data_variance: 1.0 };
    let own = Covariance::Isotropic { data_variance };
    let dps = DpsStep::new(ExponentialEulerMaruyama, &vp, &score, p.seen.clone(), 1.0);
    let repaint = TimeTravel::repaint(inner, p.seen.clone(), 10, 1 + p.m).unwrap();
    vec![
        ("replacement", draw(Replacement::new(inner, p.seen.clone()), &score, (1.0, budget))),
        ("repaint", draw(repaint, &score, (1.0, STEPS))),
        ("ddrm", draw(CustomStepper(Ddrm::new(p.seen.clone())), &score, (0.0, budget))),
        ("ddnm+", draw(CustomStepper(Ddnm::new(p.seen.clone())), &score, (0.0, budget))),
        ("dps", draw(CustomStepper(dps), &score, (1.0, budget.div_ceil(2)))),
        ("pigdm", draw(inner, &guided(one), (1.0, budget.div_ceil(2)))),
        ("pigdm, data variance", draw(inner, &guided(own), (1.0, budget.div_ceil(2)))),
        ("row sums", draw(inner, &guided(Covariance::RowSum), (1.0, budget.div_ceil(2)))),
        ("tmpd", draw(inner, &guided(Covariance::Full), (1.0, STEPS))),
    ]
}

/// Particles beat every heuristic, each with a thousand samples at the same cost, in squared W2 to the exact posterior.
#[test]
#[ignore = "slow"]
fn slow_particles_beat_heuristics() {
    let vp = Vp::default();
    for (seed, m) in [(1, 1), (2, 2), (3, 4)] {
        let p = problem(seed, m);
        let sample = |seed| p.exact.mixture().sample(Key::root(seed), 0, SAMPLES);
        let truth = sample(100);
        let floor = (0..4).map(|i| squared_w2(&sample(101 + i), &truth)).sum::<f64>() / 4.0;
        let score = p.prior.under(&vp);
        let twist = ReconstructionGuidance::tmpd(&vp, &score, p.seen.clone());
        let times = TimeGrid::Quadratic.times(&vp, STEPS, 1.0, 0.0).unwrap();
        let smc = TwistedSmc::new(SAMPLES, times).unwrap();
        let found = smc.run(&vp, Proposal::Gradient(&twist), 1, D, Key::root(2)).unwrap();
        let particles = squared_w2(&found[0].equal(Key::root(3)), &truth);
        eprintln!("m = {m}: floor {floor:.3}, particles {particles:.3}");
        let free = Proposal::Observation { score: &score, measurement: &p.seen };
        let free = smc.run(&vp, free, 1, D, Key::root(4)).unwrap();
        let free = squared_w2(&free[0].equal(Key::root(5)), &truth);
        eprintln!("  without gradients {free:.3}");
        for (name, x) in heuristics(&p) {
            let value = squared_w2(&x, &truth);
            eprintln!("  {name} {value:.3}");
            assert!(particles < value, "m = {m}: {particles} above {value} of {name}");
        }
    }
}
