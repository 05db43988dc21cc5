//! Analytic targets: derivatives against differences and the Fokker-Planck equation, samplers
//! against the densities.

use ndarray::{Array2, Axis, array};
use sde_core::analytic::{AnalyticScore, DataSet, GaussianMixture};
use sde_core::{Error, Key, Ou, Potential, Score, ScoreJvp, Sde, State, SubVp, Ve, Vp};

fn sdes() -> [Box<dyn Sde>; 4] {
    [Box::<Ou>::default(), Box::<Vp>::default(), Box::<SubVp>::default(), Box::<Ve>::default()]
}

/// Full covariances in three dimensions, one of them of rank 2.
fn full() -> GaussianMixture {
    let covs = [
        array![[1.0, 0.2, 0.0], [0.2, 0.04, 0.0], [0.0, 0.0, 2.25]],
        array![[0.5, 0.1, -0.2], [0.1, 0.6, 0.05], [-0.2, 0.05, 0.3]],
    ];
    let means = array![[0.0, 2.0, -1.0], [1.0, -0.5, 0.5]];
    GaussianMixture::new(&[1.0, 3.0], &means, &covs).unwrap()
}

/// All targets with a closed form under `sde`.
fn targets(sde: &dyn Sde) -> Vec<(&'static str, AnalyticScore<'_>)> {
    let sets = DataSet::ALL.iter().filter_map(|d| Some((d.name(), d.under(sde)?)));
    sets.chain([("full", full().under(sde))]).collect()
}

/// Points where the mass is and out in the tails.
fn points(score: &AnalyticScore<'_>, scale: f64) -> Array2<f64> {
    Array2::zeros((40, score.dim())).normals_like(Key::root(3), 0).unwrap() * scale
}

const TIMES: [f64; 4] = [0.02, 0.1, 0.4, 0.9];

/// `max |a - b| / (1 + scale)` over rows.
fn worst(a: &[f64], b: &[f64], scale: &[f64]) -> f64 {
    let each = a.iter().zip(b).zip(scale);
    each.map(|((a, b), s)| (a - b).abs() / (1.0 + s.abs())).fold(0.0, f64::max)
}

#[test]
fn fokker_planck_holds() {
    for sde in sdes() {
        for (name, score) in targets(&*sde) {
            for (u, scale) in TIMES.iter().flat_map(|u| [(u, 0.5), (u, 2.0), (u, 8.0)]) {
                let t = u * sde.horizon();
                let x = points(&score, scale);
                let d = score.derivatives(&x, &vec![t; x.nrows()]).unwrap();
                let (a, g2) = (sde.drift_coef(t), sde.diffusion_squared(t));
                let squares = d.score.row_dot(&d.score).unwrap();
                let along = d.score.row_dot(&x).unwrap();
                let (mut right, mut size) = (vec![], vec![]);
                for b in 0..x.nrows() {
                    let drift = -a * x.ncols() as f64 - a * along[b];
                    right.push(drift + 0.5 * g2 * (d.laplacian[b] + squares[b]));
                    size.push(drift.abs() + g2 * (d.laplacian[b].abs() + squares[b]));
                }
                let e = worst(&d.d_t, &right, &size);
                assert!(e < 1e-12, "{name} {} t = {t}, scale {scale}: {e:e}", sde.name());
            }
        }
    }
}

#[test]
fn derivatives_match_differences() {
    for sde in sdes() {
        for (name, score) in targets(&*sde) {
            for u in TIMES {
                let t = u * sde.horizon();
                let x = points(&score, 2.0);
                let n = x.nrows();
                let d = score.derivatives(&x, &vec![t; n]).unwrap();
                let m = sde.marginal(t);
                // Scores of neighbouring components differ by 1 / sigma^2.
                let h = 1e-4 * m.sigma.min(1.0).powi(2);
                let mut laplacian = vec![0.0; n];
                for i in 0..x.ncols() {
                    let moved = |h: f64| {
                        let mut x = x.clone();
                        x.column_mut(i).mapv_inplace(|v| v + h);
                        x
                    };
                    let (p, q) = (moved(h), moved(-h));
                    let (lp, lq) =
                        (score.log_density(&p, t).unwrap(), score.log_density(&q, t).unwrap());
                    let slope: Vec<f64> =
                        lp.iter().zip(&lq).map(|(p, q)| (p - q) / (2.0 * h)).collect();
                    let s = d.score.column(i).to_vec();
                    let size: Vec<f64> = s.iter().map(|s| s.abs() + 1.0 / m.sigma).collect();
                    let e = worst(&slope, &s, &size);
                    assert!(e < 1e-6, "{name} {} score[{i}] at {t}: {e:e}", sde.name());
                    let (sp, sq) = (score.score(&p, t).unwrap(), score.score(&q, t).unwrap());
                    let v = Array2::from_shape_fn(x.dim(), |(_, j)| f64::from(u8::from(i == j)));
                    let (s2, jv) = score.score_jvp(&x, t, &v).unwrap();
                    assert_eq!(s2, d.score);
                    let jacobian = (&sp - &sq) / (2.0 * h);
                    let flat = |a: &Array2<f64>| a.iter().copied().collect::<Vec<_>>();
                    let size = vec![1.0 / (m.sigma * m.sigma); jv.len()];
                    let e = worst(&flat(&jacobian), &flat(&jv), &size);
                    assert!(e < 1e-6, "{name} {} jvp[{i}] at {t}: {e:e}", sde.name());
                    for (l, j) in laplacian.iter_mut().zip(jv.column(i)) {
                        *l += j;
                    }
                }
                let e = worst(&laplacian, &d.laplacian, &d.laplacian);
                assert!(e < 1e-9, "{name} {} laplacian at {t}: {e:e}", sde.name());
                assert_eq!(score.divergence(&x, t).unwrap(), d.laplacian);
                let k = 1e-5 * t;
                let (p, q) =
                    (score.log_density(&x, t + k).unwrap(), score.log_density(&x, t - k).unwrap());
                let slope: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (p - q) / (2.0 * k)).collect();
                let size: Vec<f64> = d.potential.iter().map(|p| p.abs() / t).collect();
                let e = worst(&slope, &d.d_t, &size);
                assert!(e < 1e-6, "{name} {} d_t at {t}: {e:e}", sde.name());
            }
        }
    }
}

/// Rows have their own times, and rows do not see each other.
#[test]
fn rows_are_independent() {
    let vp = Vp::default();
    for (name, score) in targets(&vp) {
        let x = points(&score, 1.5);
        let t: Vec<f64> = (0..x.nrows()).map(|b| 0.01 + 0.02 * b as f64).collect();
        let all = score.derivatives(&x, &t).unwrap();
        for (b, t) in t.iter().enumerate() {
            let one = x.slice_rows(b, 1).unwrap();
            let d = score.derivatives(&one, &[*t]).unwrap();
            assert_eq!(d.score.row(0), all.score.row(b), "{name}");
            assert_eq!(
                (d.potential[0], d.d_t[0], d.laplacian[0]),
                (all.potential[b], all.d_t[b], all.laplacian[b])
            );
            assert_eq!(score.score(&one, *t).unwrap().row(0), all.score.row(b));
            assert_eq!(score.log_density(&one, *t).unwrap()[0], all.potential[b]);
        }
    }
}

/// Densities integrate to one, on a grid that covers all of the mass.
#[test]
fn densities_are_normalised() {
    let ou = Ou::default();
    for data in DataSet::ALL {
        let Some(score) = data.under(&ou) else { continue };
        for t in [0.02, 0.5, 5.0] {
            let (n, half) = (400_usize, 8.0);
            let step = 2.0 * half / n as f64;
            let at = |i: usize| (i as f64 + 0.5) * step - half;
            let x =
                Array2::from_shape_fn((n * n, 2), |(k, j)| at(if j == 0 { k / n } else { k % n }));
            let p = score.log_density(&x, t).unwrap();
            let total: f64 = p.iter().map(|p| p.exp()).sum::<f64>() * step * step;
            assert!((total - 1.0).abs() < 1e-6, "{} {t}: {total}", data.name());
        }
    }
}

/// Far from all mass everything stays finite and points inward.
#[test]
fn tails_are_finite() {
    for sde in sdes() {
        for (name, score) in targets(&*sde) {
            for t in [1e-5, 1e-3, 0.5] {
                let x = Array2::from_elem((1, score.dim()), 50.0);
                let d = score.derivatives(&x, &[t]).unwrap();
                let all = [d.potential[0], d.d_t[0], d.laplacian[0]];
                assert!(all.iter().all(|v| v.is_finite()), "{name} {} {t}: {all:?}", sde.name());
                assert!(d.score.iter().all(|s| s.is_finite() && *s < 0.0), "{name} {}", sde.name());
            }
        }
    }
}

#[test]
fn samples_have_the_moments() {
    let n = 200_000;
    for data in DataSet::ALL {
        let x = data.sample(Key::root(8), 0, n);
        // Fourth moments are below 40: thresholds of 4.9 standard errors.
        for column in x.axis_iter(Axis(1)) {
            let mean = column.mean().unwrap();
            assert!(mean.abs() < 4.9 * (data.variance() / n as f64).sqrt(), "{}", data.name());
            let square = column.mapv(|x| x * x).mean().unwrap();
            let error = 4.9 * (40.0 / n as f64).sqrt();
            assert!((square - data.variance()).abs() < error, "{} {square}", data.name());
        }
        let parts = [data.sample(Key::root(8), 0, 7), data.sample(Key::root(8), 7, 93)];
        assert_eq!(State::concat_rows(&parts).unwrap(), x.slice_rows(0, 100).unwrap());
    }
    let x = full().sample(Key::root(9), 0, n);
    let mean = x.mean_axis(Axis(0)).unwrap();
    let centred = &x - &mean;
    let cov = centred.t().dot(&centred) / n as f64;
    // 0.25 S_0 + 0.75 S_1 and the spread of the means (3/16 of the square of their distance).
    let gap = [1.0, -2.5, 1.5];
    let expected = array![[0.625, 0.125, -0.15], [0.125, 0.46, 0.0375], [-0.15, 0.0375, 0.7875]]
        + Array2::from_shape_fn((3, 3), |(i, j)| 3.0 / 16.0 * gap[i] * gap[j]);
    for (c, e) in cov.iter().zip(&expected) {
        assert!((c - e).abs() < 4.9 * (12.0 / n as f64).sqrt(), "{cov} {expected}");
    }
}

/// Counts of noisy samples in cells against the density: a chi-square test at 1e-6.
/// Densities of the data themselves integrate to one and have the variance that is stated, by the midpoint rule on cells that the
/// edges of the checkerboard are edges of.
#[test]
fn data_have_the_densities_stated() {
    let (n, h) = (504, 1.0 / 36.0);
    let at = |k: usize| (k as f64 + 0.5) * h - 7.0;
    let x =
        Array2::from_shape_fn((n * n, 2), |(row, i)| at(if i == 0 { row / n } else { row % n }));
    for set in DataSet::ALL {
        let p: Vec<f64> = set.log_density(&x).unwrap().iter().map(|l| l.exp() * h * h).collect();
        let total: f64 = p.iter().sum();
        assert!((total - 1.0).abs() < 1e-8, "{}: {total}", set.name());
        for axis in 0..2 {
            let square = |(p, x): (&f64, ndarray::ArrayView1<'_, f64>)| p * x[axis] * x[axis];
            let found: f64 = p.iter().zip(x.outer_iter()).map(square).sum();
            // The midpoint rule on a piece of a constant leaves h^2 / 12.
            let error = (found - set.variance()).abs();
            assert!(error < h * h / 12.0 + 1e-8, "{}: {found}", set.name());
        }
        let ou = Ou::default();
        if let Some(score) = set.under(&ou) {
            let inside = array![[0.4, 0.7], [-0.6, -0.8]];
            let (own, noised) =
                (set.log_density(&inside).unwrap(), score.log_density(&inside, 1e-12).unwrap());
            for (a, b) in own.iter().zip(&noised) {
                assert!((a - b).abs() < 1e-9, "{}: {a} {b}", set.name());
            }
        }
    }
    assert!(DataSet::Blob.log_density(&Array2::zeros((1, 3))).is_err());
}

#[test]
fn samples_follow_the_densities() {
    let ou = Ou::default();
    let (n, t, cells, half) = (400_000, 0.1, 24_usize, 4.8);
    let m = ou.marginal(t);
    for data in DataSet::ALL.iter().filter(|data| data.under(&ou).is_some()) {
        let x = data.sample(Key::root(4), 0, n);
        let z = x.normals_like(Key::root(5), 0).unwrap();
        let x = State::lincomb(&[(m.alpha, &x), (m.sigma, &z)]).unwrap();
        let width = 2.0 * half / cells as f64;
        let mut counts = vec![0.0; cells * cells];
        let mut inside = 0.0;
        for row in x.outer_iter() {
            let cell = |v: f64| ((v + half) / width).floor();
            let (i, j) = (cell(row[0]), cell(row[1]));
            let range = 0.0..cells as f64;
            if range.contains(&i) && range.contains(&j) {
                counts[i as usize * cells + j as usize] += 1.0;
                inside += 1.0;
            }
        }
        assert!(inside > 0.999 * n as f64);
        // Cell masses by a 16 x 16 midpoint rule.
        let fine = 16;
        let at = |cell: usize, k: usize| {
            (cell as f64 + (k as f64 + 0.5) / f64::from(fine as u32)) * width - half
        };
        let score = data.under(&ou).unwrap();
        let mut statistic = 0.0;
        let mut used = 0.0;
        for i in 0..cells {
            for j in 0..cells {
                let grid = Array2::from_shape_fn((fine * fine, 2), |(k, c)| {
                    if c == 0 { at(i, k / fine) } else { at(j, k % fine) }
                });
                let p: f64 = score.log_density(&grid, t).unwrap().iter().map(|p| p.exp()).sum();
                let expected = n as f64 * p * (width / fine as f64).powi(2);
                if expected > 20.0 {
                    statistic += (counts[i * cells + j] - expected).powi(2) / expected;
                    used += 1.0;
                }
            }
        }
        // Wilson-Hilferty quantile of chi-square at 1e-6.
        let c = 2.0 / (9.0 * used);
        let limit = used * (1.0_f64 - c + 4.753_4 * f64::sqrt(c)).powi(3);
        assert!(used > 150.0 && statistic < limit, "{} {statistic} {limit}", data.name());
    }
}

/// Tweedie's formula where it has digits, and what it tends to where it has none: the mean of the data,
/// moved towards `x` by `alpha` of it.
#[test]
fn expected_data_have_all_digits() {
    for sde in sdes() {
        for (name, score) in targets(&*sde) {
            for u in TIMES {
                let t = u * sde.horizon();
                let m = sde.marginal(t);
                let x = points(&score, 2.0);
                let found = score.denoised(&x, t).unwrap().unwrap();
                let formula = (&x + score.score(&x, t).unwrap() * m.sigma.powi(2)) / m.alpha;
                let lost = 1e-13 * (m.sigma.max(1.0) / m.alpha).powi(2);
                let e = (&found - &formula).iter().fold(0.0_f64, |e, d| e.max(d.abs()));
                assert!(e < 1e-12 + lost, "{name} {} t = {t}: {e:e} {lost:e}", sde.name());
            }
        }
    }
    for horizon in [30.0, 200.0, 740.0, 800.0] {
        let ou = Ou::new(horizon).unwrap();
        let alpha = ou.marginal(horizon).alpha;
        let x = array![[0.4, -1.0], [-2.0, 0.1]];
        // The checkerboard's cells lie along its diagonal more than across.
        for (set, shared) in [(DataSet::Blob, 0.0), (DataSet::Checker, 0.5625)] {
            let score = set.under(&ou).unwrap();
            let found = score.denoised(&x, horizon).unwrap().unwrap();
            for ((i, j), d) in found.indexed_iter() {
                let along = set.variance() * x[[i, j]] + shared * x[[i, 1 - j]];
                let e = (d - 2.0 * alpha * along).abs();
                assert!(e < 1e-14 + 20.0 * alpha * alpha, "{horizon}: {d}");
            }
        }
    }
}

/// Cells far narrower than the noise: density, score and derivatives of a point in the tail against
/// those of a single normal, to which they tend like the width squared.
#[test]
fn cells_narrower_than_rounding_are_points() {
    for horizon in [25.0, 100.0, 800.0] {
        let ou = Ou::new(horizon).unwrap();
        let score = DataSet::Checker.under(&ou).unwrap();
        let x = array![[0.0, 0.0], [0.7, -0.2], [6.0, 5.0], [-30.0, 2.0]];
        let d = score.derivatives(&x, &[horizon; 4]).unwrap();
        for (b, x) in x.outer_iter().enumerate() {
            let square = x.dot(&x);
            let log = -square - std::f64::consts::PI.ln();
            assert!((d.potential[b] - log).abs() < 1e-7 * (1.0 + square), "{}", d.potential[b]);
            assert!((d.laplacian[b] + 4.0).abs() < 1e-7 && d.d_t[b].abs() < 1e-7 * (1.0 + square));
            for (s, x) in d.score.row(b).iter().zip(x) {
                assert!((s + 2.0 * x).abs() < 1e-7 * (1.0 + x.abs()), "{s} {x}");
            }
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let one = |cov: Array2<f64>| GaussianMixture::new(&[1.0], &array![[0.0, 0.0]], &[cov]);
    let parameter = |r: Result<GaussianMixture, Error>| matches!(r, Err(Error::Parameter { .. }));
    assert!(parameter(one(array![[1.0, 0.5], [0.4, 1.0]])));
    assert!(parameter(one(array![[1.0, 2.0], [2.0, 1.0]])));
    assert!(parameter(one(array![[f64::NAN, 0.0], [0.0, 1.0]])));
    assert!(matches!(one(array![[1.0]]), Err(Error::Shape { .. })));
    let eye = Array2::eye(2);
    assert!(parameter(GaussianMixture::new(
        &[0.0],
        &array![[0.0, 0.0]],
        std::slice::from_ref(&eye)
    )));
    assert!(matches!(
        GaussianMixture::new(&[1.0, 1.0], &array![[0.0, 0.0]], &[eye]),
        Err(Error::Shape { .. })
    ));
    let vp = Vp::default();
    let score = full().under(&vp);
    assert!(matches!(score.score(&array![[0.0, 0.0]], 0.5), Err(Error::Shape { .. })));
    assert!(matches!(score.score(&array![[0.0, 0.0, 0.0]], 1.5), Err(Error::Time { .. })));
    // Rank-deficient data have no density.
    assert!(matches!(score.score(&array![[0.0, 0.0, 0.0]], 0.0), Err(Error::Parameter { .. })));
    let checker = DataSet::Checker.under(&vp).unwrap();
    assert!(matches!(checker.score(&array![[0.0, 0.0]], 0.0), Err(Error::Parameter { .. })));
    assert!(DataSet::Circles2.under(&vp).is_none());
    assert!(DataSet::parse("rings").is_err() && DataSet::parse("blob").is_ok());
}

#[cfg(feature = "candle")]
#[test]
fn tensors_get_the_same_numbers() {
    use candle_core::{Device, Tensor};
    let vp = Vp::default();
    let tensor = |x: &Array2<f64>| {
        let flat: Vec<f64> = x.iter().copied().collect();
        Tensor::from_vec(flat, x.dim(), &Device::Cpu).unwrap()
    };
    let flat = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (_, score) in targets(&vp) {
        let x = points(&score, 1.0);
        let s = score.score(&x, 0.3).unwrap();
        assert_eq!(flat(&score.score(&tensor(&x), 0.3).unwrap()), s.into_raw_vec_and_offset().0);
        let (_, j) = score.score_jvp(&x, 0.3, &x).unwrap();
        let (_, tj) = score.score_jvp(&tensor(&x), 0.3, &tensor(&x)).unwrap();
        assert_eq!(flat(&tj), j.into_raw_vec_and_offset().0);
        let d = Potential::derivatives(&score, &x, &[0.3; 40]).unwrap();
        let td = Potential::derivatives(&score, &tensor(&x), &[0.3; 40]).unwrap();
        assert_eq!((d.d_t, d.laplacian), (td.d_t, td.laplacian));
    }
}
