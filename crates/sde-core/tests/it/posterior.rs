//! Laws of mixtures given measurements and classes, against formulas written out.

use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, LogLikelihood, Score, ScoreJvp, ScoreVjp, Sde, State, Vp};

fn mixture() -> GaussianMixture {
    let covs = [array![[0.5, 0.2], [0.2, 0.3]], array![[0.2, 0.0], [0.0, 0.6]]];
    GaussianMixture::new(&[0.4, 0.6], &array![[-1.0, 0.5], [1.0, 0.0]], &covs).unwrap()
}

fn log_normal(r: f64, var: f64) -> f64 {
    -0.5 * (r * r / var + (std::f64::consts::TAU * var).ln())
}

/// `p(y | x_t) = sum_k w_k(x) N(y; a.mu_k, a C_k a + s^2)` with the law of the data given the state, two by two.
#[test]
fn likelihood_by_the_law_of_the_data() {
    let (vp, law, a, y, s) = (Vp::default(), mixture(), [0.7, -1.2], 0.8, 0.25);
    let posterior = law.given(&array![[a[0], a[1]]], &[y], s).unwrap();
    let likelihood = posterior.likelihood(&vp);
    let x = Array2::zeros((12, 2)).normals_like(Key::root(1), 0).unwrap() * 1.3;
    for t in [0.02, 0.2, 0.6, 0.95] {
        let (found, gradient) = likelihood.log_likelihood(&x, t).unwrap();
        let m = vp.marginal(t);
        for (b, x) in x.outer_iter().enumerate() {
            let (mut top, mut bottom) = (0.0, 0.0);
            for k in 0..2 {
                let (mean, cov) = (law.means(), law.covariance(k));
                // The marginal of the state.
                let v = [
                    m.alpha * m.alpha * cov[[0, 0]] + m.sigma * m.sigma,
                    m.alpha * m.alpha * cov[[0, 1]],
                    m.alpha * m.alpha * cov[[1, 1]] + m.sigma * m.sigma,
                ];
                let det = v[0] * v[2] - v[1] * v[1];
                let inverse = [v[2] / det, -v[1] / det, v[0] / det];
                let r = [x[0] - m.alpha * mean[[k, 0]], x[1] - m.alpha * mean[[k, 1]]];
                let solved =
                    [inverse[0] * r[0] + inverse[1] * r[1], inverse[1] * r[0] + inverse[2] * r[1]];
                let square = r[0] * solved[0] + r[1] * solved[1];
                let weight = law.weights()[k] * (-0.5 * square).exp() / det.sqrt();
                // a.S and the gain of the state on a.x0.
                let seen = [
                    a[0] * cov[[0, 0]] + a[1] * cov[[1, 0]],
                    a[0] * cov[[0, 1]] + a[1] * cov[[1, 1]],
                ];
                let prior = a[0] * mean[[k, 0]] + a[1] * mean[[k, 1]];
                let data = prior + m.alpha * (seen[0] * solved[0] + seen[1] * solved[1]);
                let gain = [
                    inverse[0] * seen[0] + inverse[1] * seen[1],
                    inverse[1] * seen[0] + inverse[2] * seen[1],
                ];
                let var = a[0] * seen[0] + a[1] * seen[1]
                    - m.alpha * m.alpha * (seen[0] * gain[0] + seen[1] * gain[1]);
                top += weight * log_normal(y - data, var + s * s).exp();
                bottom += weight;
            }
            let expected = (top / bottom).ln();
            assert!((found[b] - expected).abs() < 1e-10, "{t}: {} {expected}", found[b]);
        }
        for j in 0..2 {
            let at = |h: f64| {
                let mut x = x.clone();
                x.column_mut(j).mapv_inplace(|v| v + h);
                likelihood.log_likelihood(&x, t).unwrap().0
            };
            for (b, (ahead, behind)) in at(1e-5).iter().zip(at(-1e-5)).enumerate() {
                let slope = (ahead - behind) / 2e-5;
                assert!((gradient[[b, j]] - slope).abs() < 1e-5 * slope.abs().max(1.0), "{t}");
            }
        }
    }
}

/// A number that is seen without noise is certain, and the rest has the law given it.
#[test]
fn without_noise() {
    let posterior = mixture().given(&array![[1.0, 0.0]], &[0.3], 0.0).unwrap();
    let found = posterior.mixture();
    for k in 0..2 {
        let (prior, cov) = (mixture().covariance(k), found.covariance(k));
        assert!(cov[[0, 0]].abs() < 1e-15 && cov[[0, 1]].abs() < 1e-15);
        let expected = prior[[1, 1]] - prior[[0, 1]].powi(2) / prior[[0, 0]];
        assert!((cov[[1, 1]] - expected).abs() < 1e-15);
        assert!((found.means()[[k, 0]] - 0.3).abs() < 1e-15);
    }
    let x = found.sample(Key::root(2), 0, 100);
    assert!(x.column(0).iter().all(|x| (x - 0.3).abs() < 1e-7));
    // Far from every component weights are beyond the range of a double, and still add to one.
    let far = mixture().given(&array![[1.0, 0.0]], &[1e4], 0.0).unwrap();
    assert!((far.mixture().weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(far.log_evidence() < -1e7);
    let same = array![[1.0, 0.0], [2.0, 0.0]];
    let error = mixture().given(&same, &[0.0, 0.0], 0.0).unwrap_err().to_string();
    assert!(
        error.starts_with("s = 0: the measurement has no density under component 0"),
        "{error}"
    );
    assert!(mixture().given(&same, &[0.0, 0.0], 0.1).is_ok());
    assert!(mixture().given(&same, &[0.0], 0.1).is_err());
    assert!(mixture().given(&same, &[0.0, f64::NAN], 0.1).is_err());
    assert!(mixture().given(&same, &[0.0, 0.0], -1.0).is_err());
}

/// Probabilities of classes add to one, and their gradients to nothing.
#[test]
fn classes_are_a_partition() {
    let covs = vec![Array2::eye(2) * 0.2; 3];
    let means = array![[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
    let law = GaussianMixture::new(&[0.2, 0.3, 0.5], &means, &covs).unwrap();
    let classes = law.classes(&[1, 0, 1]).unwrap();
    assert_eq!(classes.count(), 2);
    assert!((classes.log_prior()[1] - 0.7_f64.ln()).abs() < 1e-14);
    let vp = Vp::default();
    let all = classes.under(&vp);
    let x = Array2::zeros((8, 2)).normals_like(Key::root(3), 0).unwrap();
    let (a, b) = (all.log_class(0, &x, 0.2).unwrap(), all.log_class(1, &x, 0.2).unwrap());
    for i in 0..8 {
        assert!((a.0[i].exp() + b.0[i].exp() - 1.0).abs() < 1e-12);
        for j in 0..2 {
            let sum = a.0[i].exp() * a.1[[i, j]] + b.0[i].exp() * b.1[[i, j]];
            assert!(sum.abs() < 1e-11, "{sum:e}");
        }
    }
    assert!(law.classes(&[0, 1]).is_err());
    assert!(law.classes(&[0, 2, 2]).is_err());
    assert!(law.classes(&[0, 1, usize::MAX]).is_err());
}

/// The pullback is the transpose of the directional derivative, as often as it is called.
#[test]
fn pullbacks() {
    let vp = Vp::default();
    let score = mixture().under(&vp);
    let normals = |seed| Array2::zeros((6, 2)).normals_like(Key::root(seed), 0).unwrap();
    let (x, u, v) = (normals(4), normals(5), normals(6));
    let (s, pull) = score.score_vjp(&x, 0.3).unwrap();
    assert_eq!(s, score.score(&x, 0.3).unwrap());
    for (a, b) in [(&u, &v), (&v, &u)] {
        let jb = score.score_jvp(&x, 0.3, b).unwrap().1;
        let (left, right) = (a.row_dot(&jb).unwrap(), b.row_dot(&pull(a).unwrap()).unwrap());
        assert!(left.iter().zip(&right).all(|(l, r)| (l - r).abs() < 1e-12 * l.abs().max(1.0)));
    }
    assert!(pull(&Array2::zeros((5, 2))).is_err());
}
