//! How batches are drawn: laws of the times, proposals, evenly spread rows.

use std::sync::Arc;

use candle_core::DType;
use score_nets::{
    DataSource, Draws, Dsm, FnSource, NetConfig, OutlierWeighting, Proposal, TimeDistribution,
};
use sde_core::{Key, Ou, Sde, Vp, analytic::DataSet};

use crate::common::{Outcome, host, net, zoo};

/// The normal quantile at a false-alarm rate of 1e-6.
const NORMAL: f64 = 4.891_6;
const T_MIN: f64 = 1e-3;

fn laws() -> [TimeDistribution; 6] {
    [
        TimeDistribution::Uniform,
        TimeDistribution::Beta { a: 1.0, b: 2.0 },
        TimeDistribution::Beta { a: 2.5, b: 1.0 },
        TimeDistribution::Beta { a: 2.0, b: 3.0 },
        TimeDistribution::LogSnr,
        TimeDistribution::LogUniform { shift: 0.02 },
    ]
}

/// A density is the inverse of the derivative of the quantile.
#[test]
fn densities_are_those_of_the_quantiles() -> Outcome {
    let sdes: [&dyn Sde; 2] = [&Ou::default(), &Vp::default()];
    for sde in sdes {
        for law in laws() {
            for u in [0.03, 0.2, 0.5, 0.8, 0.97] {
                let h = 1e-5;
                let time = |u| law.time(sde, T_MIN, u);
                let slope = (time(u + h)? - time(u - h)?) / (2.0 * h);
                let product = law.density(sde, T_MIN, time(u)?)? * slope;
                assert!((product - 1.0).abs() < 1e-5, "{law:?} at {u}: {product}");
            }
        }
    }
    Ok(())
}

/// Weighted means over the mixture are means over the law of the loss.
#[test]
fn weights_make_up_for_the_proposal() -> Outcome {
    let (sde, n) = (Ou::default(), 200_000);
    let f = |t: f64| (t + 0.3).recip() + (0.3 * t).sin();
    let quantiles = || (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n));
    for target in [TimeDistribution::Uniform, TimeDistribution::Beta { a: 1.0, b: 2.0 }] {
        let mut expected = 0.0;
        for u in quantiles() {
            expected += f(target.time(&sde, T_MIN, u)?) / f64::from(n);
        }
        for share in [0.0, 0.3, 0.9] {
            let proposal =
                Proposal { share, distribution: TimeDistribution::LogUniform { shift: 0.01 } };
            let (mut mean, mut one) = (0.0, 0.0);
            for u in quantiles() {
                let (t, weight) = proposal.draw(target, &sde, T_MIN, u)?;
                assert!(weight <= 1.0 / (1.0 - share) + 1e-12);
                mean += weight * f(t) / f64::from(n);
                one += weight / f64::from(n);
            }
            assert!((mean / expected - 1.0).abs() < 1e-4, "{target:?} {share}: {mean} {expected}");
            assert!((one - 1.0).abs() < 1e-4, "{target:?} {share}: {one}");
        }
    }
    let error =
        Proposal { share: 1.0, distribution: TimeDistribution::Uniform }.validate().unwrap_err();
    assert_eq!(error.to_string(), "proposal.share = 1: must be in [0, 1)");
    Ok(())
}

fn dsm(n: usize, draws: Draws) -> Dsm {
    let source: Arc<dyn DataSource> = Arc::new(DataSet::Blob);
    Dsm::published(source, n).draws(draws)
}

/// Pairs share data and time and have opposite noise; a batch is a prefix of any longer one.
#[test]
fn stratified_rows_come_in_pairs() -> Outcome {
    let net = net(&NetConfig::published(), DType::F32);
    let batch = dsm(3001, Draws::QuasiMonteCarlo).batch(&net, Key::root(1))?;
    let short = dsm(1200, Draws::QuasiMonteCarlo).batch(&net, Key::root(1))?;
    assert_eq!((&batch.x[..2400], &batch.target[..2400]), (&short.x[..], &short.target[..]));
    for (t, target) in batch.t.chunks_exact(2).zip(batch.target.chunks_exact(4)) {
        assert_eq!(t[0], t[1]);
        assert_eq!(target[..2], [-target[2], -target[3]]);
    }
    // Times are spread evenly: 1500 of them, no quantile off by more than a few.
    let mut t: Vec<f64> = batch.t.iter().step_by(2).copied().collect();
    t.sort_by(f64::total_cmp);
    for (i, t) in t.iter().enumerate() {
        let u = 1.0 - (1.0 - (t - 1e-4) / 10.0).powi(2);
        assert!((u * 1501.0 - i as f64).abs() < 4.0, "time {i} at quantile {u}");
    }
    Ok(())
}

/// The gradient has the same mean however a batch is drawn; at small times, where the target's
/// variance diverges, pairs of opposite noise take nearly all of it away.
#[test]
fn draws_change_the_noise_alone() -> Outcome {
    let net = net(&zoo()[1], DType::F32);
    let proposal =
        Proposal { share: 0.5, distribution: TimeDistribution::LogUniform { shift: 0.01 } };
    let dsm = |n, draws| dsm(n, draws).time(TimeDistribution::Beta { a: 1.0, b: 2000.0 });
    let mut found = Vec::new();
    for objective in [
        dsm(256, Draws::Independent),
        dsm(256, Draws::QuasiMonteCarlo),
        dsm(256, Draws::QuasiMonteCarlo).proposal(proposal),
    ] {
        let n = 400;
        let mut draws = Vec::new();
        for k in 0..n {
            let batch = objective.batch(&net, Key::root(6).fold(k))?;
            let (_, grads) = net.score_loss_and_grad(&batch)?;
            draws.push(host(grads.iter().next().flatten().expect("a gradient")));
        }
        let entries = draws[0].len();
        let moments = |j: usize| {
            let mean = draws.iter().map(|g| g[j]).sum::<f64>() / n as f64;
            let square = draws.iter().map(|g| (g[j] - mean).powi(2)).sum::<f64>();
            (mean, square / (n - 1) as f64 / n as f64)
        };
        found.push((0..entries).map(moments).collect::<Vec<_>>());
    }
    let total = |m: &[(f64, f64)]| m.iter().map(|(_, v)| v).sum::<f64>();
    for other in &found[1..] {
        for (j, (a, b)) in found[0].iter().zip(other).enumerate() {
            let error = (a.0 - b.0) / (a.1 + b.1).sqrt();
            // Over a few hundred entries.
            assert!(error.abs() < NORMAL + 1.0, "entry {j}: {error} standard errors");
        }
        let ratio = total(other) / total(&found[0]);
        eprintln!("variance of the gradient, against independent rows: {ratio:.3}");
        assert!(ratio < 0.1, "{ratio}");
    }
    Ok(())
}

/// Points outside the box count for more by a function of the point: under the weights the score is
/// still what the targets are on average wherever one looks, and no weight is large. The data are two
/// points, at the edges of the box.
#[test]
fn tails_leave_the_minimiser_alone() -> Outcome {
    let (dim, n) = (2, 200_000);
    let config = NetConfig { sde: "ou".into(), ..NetConfig::published() };
    let net = net(&config, DType::F32);
    let outliers = OutlierWeighting { share: 0.2, scale: 1.6, half_width: 0.4, blur: 0.1 };
    for draws in [Draws::Independent, Draws::QuasiMonteCarlo] {
        let source: Arc<dyn DataSource> = Arc::new(FnSource::new(dim, |key: Key, first, out| {
            let mut u = vec![0.0; out.len() / 2];
            key.fill_uniforms(first, &mut u);
            for (x, u) in out.chunks_mut(2).zip(u) {
                x.copy_from_slice(&[if u < 0.5 { -0.4 } else { 0.4 }, 0.0]);
            }
            Ok(())
        }));
        let dsm =
            Dsm::published(source, n).draws(draws).outlier_weighting(Some(outliers)).t_min(0.2);
        let batch = dsm.batch(&net, Key::root(3))?;
        // Along the line through both.
        let score = |x: f64, alpha: f64, sigma: f64| {
            let (centre, var) = (alpha * 0.4, sigma * sigma);
            (centre * (centre * x / var).tanh() - x) / var
        };
        // Far out the error would be largest if wider noise had moved the targets.
        let tests: [fn(&[f64]) -> f64; 3] =
            [|x| x[0], |x| x[0].powi(3), |x| f64::from(u8::from(x[0] > 1.5))];
        for (k, test) in tests.iter().enumerate() {
            let rows = batch.x.chunks(dim).zip(batch.target.chunks(dim)).zip(&batch.t);
            let errors: Vec<f64> = rows
                .zip(&batch.weight)
                .map(|(((x, target), t), weight)| {
                    let m = net.sde().marginal(*t);
                    weight * (target[0] - score(x[0], m.alpha, m.sigma)) * test(x)
                })
                .collect();
            let mean = errors.iter().sum::<f64>() / n as f64;
            let square = errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>();
            let error = NORMAL * square.sqrt() / n as f64;
            assert!(mean.abs() < error, "{draws:?}, test {k}: {mean:e} of {error:e}");
        }
        assert!(batch.weight.iter().all(|w| *w <= 1.6_f64.powi(2) / 0.2 + 1e-9));
    }
    Ok(())
}

/// For Gaussian noise around nothing the mean weight is the integral of the tilted density,
/// `scale^D`; as many rows as are asked for have wider noise; `scale = 1` weighs every row 1.
#[test]
fn outliers_weigh_as_wider_noise_would() -> Outcome {
    let n = 400_000;
    let net = net(&NetConfig { sde: "ou".into(), ..NetConfig::published() }, DType::F32);
    for draws in [Draws::Independent, Draws::QuasiMonteCarlo] {
        let batch = |scale, half_width| {
            let nothing = |_: Key, _, out: &mut [f64]| {
                out.fill(0.0);
                Ok(())
            };
            let source: Arc<dyn DataSource> = Arc::new(FnSource::new(2, nothing));
            let outliers = OutlierWeighting { share: 0.3, scale, half_width, blur: 0.0 };
            Dsm::published(source, n)
                .draws(draws)
                .outlier_weighting(Some(outliers))
                .batch(&net, Key::root(4))
        };
        let rows = batch(1.5, 0.0)?;
        let mean = rows.weight.iter().sum::<f64>() / n as f64;
        let square = rows.weight.iter().map(|w| (w - mean).powi(2)).sum::<f64>();
        let error = NORMAL * square.sqrt() / n as f64;
        assert!((mean - 2.25).abs() < error, "{draws:?}: {mean} within {error}");
        // The mean square of the noise is 0.7 + 0.3 * 1.5^2.
        let squares = rows.target.chunks(2).zip(&rows.t).map(|(target, t)| {
            let sigma = net.sde().marginal(*t).sigma;
            sigma * sigma * target.iter().map(|z| z * z).sum::<f64>() / 2.0
        });
        let mean = squares.sum::<f64>() / n as f64;
        assert!((mean - (0.7 + 0.3 * 2.25)).abs() < 0.02, "{draws:?}: {mean}");
        let plain = batch(1.0, 0.0)?;
        assert!(plain.weight.iter().all(|w| (w - 1.0).abs() < 1e-15));
        // Inside of the box only the draws differ, and their weights make up for that.
        let inside = batch(1.5, 1e6)?;
        let mean = inside.weight.iter().sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < 0.01, "{draws:?}: {mean}");
    }
    Ok(())
}

#[test]
fn outlier_weighting_that_cannot_work_is_refused() -> Outcome {
    let net = net(&NetConfig { sde: "ou".into(), ..NetConfig::published() }, DType::F32);
    let good = OutlierWeighting { share: 0.1, scale: 2.0, half_width: 3.0, blur: 0.2 };
    for (bad, message) in [
        (
            OutlierWeighting { share: 0.0, ..good },
            "outlier-weighting.share = 0: must be between 0 and 1",
        ),
        (
            OutlierWeighting { scale: 0.5, ..good },
            "outlier-weighting.scale = 0.5: must be finite and at least 1",
        ),
        (
            OutlierWeighting { blur: -1.0, ..good },
            "outlier-weighting.blur = -1: must be finite and not negative",
        ),
        (
            OutlierWeighting { half_width: f64::NAN, ..good },
            "outlier-weighting.half-width = NaN: must be finite and not negative",
        ),
    ] {
        assert_eq!(bad.validate().unwrap_err().to_string(), message);
    }
    // The Gaussians of `blob` reach beyond the box, where small noise makes the distance huge.
    let blob = |outliers| {
        let dsm =
            dsm(30_000, Draws::QuasiMonteCarlo).time(TimeDistribution::Beta { a: 1.0, b: 2000.0 });
        dsm.outlier_weighting(Some(outliers)).batch(&net, Key::root(1))
    };
    let error = blob(OutlierWeighting { blur: 0.0, ..good }).unwrap_err().to_string();
    assert!(
        error.starts_with("outlier-weighting.half-width = 3: the data leave the box"),
        "{error}"
    );
    blob(good)?;
    Ok(())
}
