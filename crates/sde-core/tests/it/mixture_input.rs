//! Mixtures as they come: weights of any size, covariances rounded, ill-conditioned, out of float32.

use ndarray::{Array2, array};
use proptest::prelude::*;
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Ou, Score, ScoreJvp, Sde};

fn one(cov: Array2<f64>) -> sde_core::Result<GaussianMixture> {
    GaussianMixture::new(&[1.0], &Array2::zeros((1, cov.nrows())), &[cov])
}

fn log_density(mixture: &GaussianMixture, x: &[f64], t: f64) -> f64 {
    let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap();
    mixture.under(&Ou::default()).log_density(&x, t).unwrap()[0]
}

fn refusal(cov: Array2<f64>) -> String {
    one(cov).unwrap_err().to_string()
}

/// `log N(0, I)` at 0 in the plane.
const STANDARD: f64 = -1.837_877_066_409_345_3;

/// `D C D` with the correlations `C = L L^T`, `L` of unit rows.
fn scaled(l: &Array2<f64>, d: &[f64]) -> Array2<f64> {
    let c = l.dot(&l.t());
    Array2::from_shape_fn(c.dim(), |(i, j)| d[i] * (c[[i, j]] * d[j]))
}

/// The factor of correlations of three variables.
fn factor(a: f64, b: f64, c: f64) -> Array2<f64> {
    let mut l = array![[1.0, 0.0, 0.0], [a, 1.0, 0.0], [b, c, 1.0]];
    for mut row in l.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    l
}

#[test]
fn rounding_below_zero_is_no_variance() {
    let ou = Ou::default().marginal(0.3);
    let (alpha2, sigma2) = (ou.alpha.powi(2), ou.sigma.powi(2));
    for (covs, name) in [
        (array![[1.0, 0.0], [0.0, -1e-17]], "diagonal"),
        (array![[1.0, 1e-20], [1e-20, -1e-17]], "full"),
        (array![[-1e-18, 0.0], [0.0, 1.0]], "first"),
    ] {
        let mixture = one(covs).unwrap();
        // Variances 1 and 0 at t = 0, on either axis.
        let expected = STANDARD - 0.5 * ((alpha2 + sigma2) * sigma2).ln();
        let found = log_density(&mixture, &[0.0, 0.0], 0.3);
        assert!((found - expected).abs() < 1e-12, "{name}: {found} {expected}");
        let said = mixture.under(&Ou::default()).score(&Array2::zeros((1, 2)), 0.0).unwrap_err();
        assert!(said.to_string().contains("rank-deficient"), "{said}");
        assert!(mixture.sample(Key::root(1), 0, 100).iter().all(|x| x.is_finite()));
    }
    for (cov, value) in [
        (array![[1.0, 0.0], [0.0, -1e-3]], "-0.001"),
        (array![[1.0, 0.0], [0.0, -1e-10]], "-1e-10"),
        (array![[1.0, 2.0], [2.0, 1.0]], "-1"),
        (array![[1e-200, 0.0], [0.0, -1e-203]], "-1e-203"),
    ] {
        let said = refusal(cov);
        assert!(said.contains(value) && said.contains("must not be negative"), "{said}");
        assert!(said.len() < 100, "{said}");
    }
}

#[test]
fn weights_may_have_any_size() {
    let (means, covs) = (array![[-1.0, 0.0], [2.0, 1.0]], [Array2::eye(2), Array2::eye(2) * 0.5]);
    let x = [0.3, -0.2];
    let with = |w: [f64; 2]| GaussianMixture::new(&w, &means, &covs).unwrap();
    let (equal, quarter) = (with([0.5, 0.5]), with([0.25, 0.75]));
    for w in [1e308, 1e-300, 1e-320, 4.0, f64::MAX] {
        assert_eq!(log_density(&with([w, w]), &x, 0.0), log_density(&equal, &x, 0.0), "{w:e}");
    }
    for k in [-1000, -500, -1, 3, 500, 1000] {
        let s = 2.0_f64.powi(k);
        assert_eq!(log_density(&with([s, 3.0 * s]), &x, 0.1), log_density(&quarter, &x, 0.1));
    }
    // A share of 1e-608: no double, but its logarithm is one. log N(x; 60 e1, 0.5 I) - 608 log 10.
    let far = array![[-1000.0, 0.0], [60.0, 0.0]];
    let mixture = GaussianMixture::new(&[1e308, 1e-300], &far, &covs).unwrap();
    let expected = -608.0 * 10.0_f64.ln() - (std::f64::consts::PI).ln();
    let found = log_density(&mixture, &[60.0, 0.0], 0.0);
    assert!((found - expected).abs() < 1e-12 * expected.abs(), "{found} {expected}");
    for w in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let said = GaussianMixture::new(&[1.0, w], &means, &covs).unwrap_err().to_string();
        assert!(said.contains(&format!("weight 1 = {w:?}")), "{said}");
    }
}

/// `-x^T S^-1 x / 2 - log det(2 pi S) / 2` by `S = D L L^T D`: no digit depends on `D`.
#[test]
fn ill_conditioned_covariances_are_definite() {
    let cov = array![[1.0, 0.5e-8], [0.5e-8, 1e-16]];
    // 50 digits: -log(2 pi) - log(0.75e-16)/2 - 0.01/1.5 (1 - 0.5 + ... ) at (0.1, 1e-9).
    let found = log_density(&one(cov).unwrap(), &[0.1, 0.1e-8], 0.0);
    assert!((found - 16.719_978_047).abs() < 1e-9, "{found}");
    let l = factor(0.6, -0.4, 0.9);
    let z = [0.3, -1.2, 0.8];
    for d in [[1.0, 1e-4, 1e-8], [1e-12, 1e3, 1.0], [1e-100, 1.0, 1e-50], [3e-149, 2e-149, 1e-140]]
    {
        let mixture = one(scaled(&l, &d)).unwrap();
        let x: Vec<f64> =
            (0..3).map(|i| d[i] * (0..3).map(|j| l[[i, j]] * z[j]).sum::<f64>()).collect();
        let logs: f64 = (0..3).map(|i| (d[i] * l[[i, i]]).ln()).sum();
        let square: f64 = z.iter().map(|z| z * z).sum();
        let expected = 1.5 * STANDARD - logs - 0.5 * square;
        let found = log_density(&mixture, &x, 0.0);
        assert!(
            (found - expected).abs() < 1e-10 * expected.abs().max(1.0),
            "{d:?}: {found} {expected}"
        );
        // The score: D S^-1 x = L^-T z, whatever D.
        let at = Array2::from_shape_vec((1, 3), x).unwrap();
        let ou = Ou::default();
        let score = mixture.under(&ou).score(&at, 0.0).unwrap();
        let u2 = z[2] / l[[2, 2]];
        let u1 = (z[1] - l[[2, 1]] * u2) / l[[1, 1]];
        let u0 = (z[0] - l[[1, 0]] * u1 - l[[2, 0]] * u2) / l[[0, 0]];
        for (i, u) in [u0, u1, u2].into_iter().enumerate() {
            let found = -score[[0, i]] * d[i];
            assert!((found - u).abs() < 1e-9 * 4.0, "{d:?} {i}: {found} {u}");
        }
        // Samples in units of D have the correlations: 4.9 standard errors of a correlation of 20 000 rows.
        let s = mixture.sample(Key::root(7), 0, 20_000);
        let c = l.dot(&l.t());
        for (i, j) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
            let mean = s.rows().into_iter().map(|r| r[i] / d[i] * (r[j] / d[j])).sum::<f64>() / 2e4;
            let error = ((1.0 + c[[i, j]].powi(2)) / 2e4).sqrt();
            assert!((mean - c[[i, j]]).abs() < 4.9 * error, "{d:?} {i} {j}: {mean}");
        }
    }
}

#[test]
fn symmetry_is_asked_for_in_single_precision() {
    let up = |x: f32| f64::from(f32::from_bits(x.to_bits() + 1));
    let (a, b) = (f64::from(0.3_f32), up(0.3_f32));
    let found = one(array![[1.0, a], [b, 0.5]]).unwrap();
    let mean = 0.5 * (a + b);
    let even = one(array![[1.0, mean], [mean, 0.5]]).unwrap();
    for t in [0.0, 0.7] {
        let gap = log_density(&found, &[0.3, 0.8], t) - log_density(&even, &[0.3, 0.8], t);
        assert!(gap.abs() < 1e-14, "{gap}");
    }
    for scale in [1e-200_f64, 1.0, 1e200] {
        assert!(one(array![[1.0, a], [b, 0.5]] * scale).is_ok());
        let said = refusal(array![[1.0, 0.3], [0.3001, 0.5]] * scale);
        assert!(
            said.contains("[0,1]") && said.contains("[1,0]") && said.contains("symmetric"),
            "{said}"
        );
        assert!(said.contains(&format!("{:?}", 0.3 * scale)) && said.len() < 140, "{said}");
    }
    // Data of rank one in single precision: singular to its rounding.
    let v = [0.1_f32, 0.7, -0.3];
    let cov = Array2::from_shape_fn((3, 3), |(i, j)| f64::from(v[i] * v[j]));
    assert!(log_density(&one(cov).unwrap(), &[0.0; 3], 0.5).is_finite());
}

/// Means and covariances at the edges of the range: right, or refused in words.
#[test]
fn sizes_at_the_edges() {
    let ou = Ou::default();
    let far = GaussianMixture::isotropic(&[1.0, 1.0], &array![[-1e300], [1e300]], &[1e290, 1e-3]);
    let said = far.unwrap_err().to_string();
    assert!(said.contains("finite") || said.contains("too large"), "{said}");
    let far =
        GaussianMixture::isotropic(&[1.0, 3.0], &array![[-1e300], [1e300]], &[1.0, 0.1]).unwrap();
    let at = array![[1e300]];
    // Three quarters of N(., 0.01), at its mean.
    let expected = (0.75 / 0.1_f64).ln() + 0.5 * STANDARD;
    let found = far.under(&ou).log_density(&at, 0.0).unwrap()[0];
    assert!((found - expected).abs() < 1e-13, "{found} {expected}");
    assert_eq!(far.under(&ou).score(&at, 0.0).unwrap(), array![[0.0]]);
    assert!((far.under(&ou).divergence(&at, 0.0).unwrap()[0] + 100.0).abs() < 1e-9);
    for scale in [1e-300_f64, 1e-150, 1e150, 1e299] {
        let cov = array![[2.0, 0.6], [0.6, 1.0]] * scale;
        let expected = STANDARD - 0.5 * 1.64_f64.ln() - scale.ln();
        let found = log_density(&one(cov).unwrap(), &[0.0, 0.0], 0.0);
        assert!((found - expected).abs() < 1e-12 * expected.abs(), "{scale:e}: {found} {expected}");
    }
    assert!(refusal(array![[1e305]]).contains("too large"));
    let tiny = one(array![[1e-310]]).unwrap();
    let said = tiny.under(&ou).log_density(&array![[0.0]], 0.0).unwrap_err().to_string();
    assert!(said.contains("1e-310") && said.len() < 100, "{said}");
}

proptest! {
    /// Scaling a coordinate by a power of two moves a log-density by the logarithm of it, and nothing else.
    #[test]
    fn scaled_coordinates_change_no_digit(
        (a, b, c) in (-3.0..3.0, -3.0..3.0, -3.0..3.0),
        (k0, k1, k2) in (-150..150_i32, -150..150_i32, -150..150_i32),
        z in (-2.0..2.0, -2.0..2.0, -2.0..2.0),
    ) {
        let l = factor(a, b, c);
        let (d, z) = ([k0, k1, k2].map(|k| 2.0_f64.powi(k)), [z.0, z.1, z.2]);
        let x: Vec<f64> = (0..3).map(|i| d[i] * (0..3).map(|j| l[[i, j]] * z[j]).sum::<f64>()).collect();
        let logs: f64 = (0..3).map(|i| (d[i] * l[[i, i]]).ln()).sum();
        let expected = 1.5 * STANDARD - logs - 0.5 * z.iter().map(|z| z * z).sum::<f64>();
        let found = log_density(&one(scaled(&l, &d)).unwrap(), &x, 0.0);
        // C has a condition of up to 1e4 here.
        prop_assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} {expected}");
    }

    /// Any numbers are read or refused in one short line, and what is read has a density at t > 0.
    #[test]
    fn any_matrix_is_read_or_refused(
        entries in prop::array::uniform4((-1.0..1.0_f64, -320..308_i32)),
        mirrored in any::<bool>(),
    ) {
        let [a, b, c, d] = entries.map(|(m, e)| m * 10.0_f64.powi(e));
        let cov = array![[a.abs(), b], [if mirrored { b } else { c }, d.abs()]];
        match one(cov) {
            Ok(mixture) => {
                let ou = Ou::default();
                let found = mixture.under(&ou).log_density(&array![[0.0, 0.0]], 0.5);
                prop_assert!(found.unwrap()[0].is_finite());
            }
            Err(e) => {
                let said = e.to_string();
                prop_assert!(!said.contains('\n') && said.len() < 160, "{}", said);
            }
        }
    }
}
