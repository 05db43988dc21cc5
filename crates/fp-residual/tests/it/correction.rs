//! The correction that gives the ODE the density of the SDE: the formula, its fit, the corrected flow.

use std::sync::{Arc, atomic::AtomicBool};

use candle_core::{DType, Device, Tensor};
use fp_residual::{
    CorrectedFlow, CorrectionData, CorrectionMatching, GapGradient, PathLevel, correction_config,
    fokker_planck::{FiniteVolumes, Grid as Nodes, OnRows},
    gap_paths, prior_mismatch, residual_gradient, score_form_residual, without_correction,
};
use ndarray::{Array2, array};
use score_nets::{
    Activation, Dsm, Kernels, NetConfig, Output, ScoreNet, TimeFeature, TrainConfig, Trainer,
};
use sde_core::{
    FnScore, Key, Potential as _, Reverse, Score, Sde, TimeGrid, analytic::DataSet, sde,
};
use solvers::{Grid, IndependentIncrements, Method, solve};

use crate::common::{Outcome, check, host, net, points, rows, zoo};

/// A Gaussian potential `phi = -x^2 / (2 W(t))` that is the density of no process: `W = w + k t`.
#[derive(Clone, Copy)]
struct Potential {
    w: f64,
    k: f64,
}

impl Potential {
    fn variance(self, t: f64) -> f64 {
        self.w + self.k * t
    }

    /// `grad R / x = W' / W^2 - 2 a / W - g^2 / W^2`.
    fn slope_of_residual(self, sde: &dyn Sde, t: f64) -> f64 {
        let w = self.variance(t);
        (self.k - sde.diffusion_squared(t)) / (w * w) - 2.0 * sde.drift_coef(t) / w
    }

    /// Variance of the reverse SDE at every time of a grid that goes down: `dV/dt = 2 (a + g^2/W) V - g^2`, by Runge-Kutta.
    fn variances(self, sde: &dyn Sde, times: &[f64], noise: f64) -> Vec<f64> {
        let rate = |t: f64, v: f64| {
            let g2 = sde.diffusion_squared(t);
            let drift = sde.drift_coef(t) + 0.5 * (1.0 + noise) * g2 / self.variance(t);
            2.0 * drift * v - noise * g2
        };
        let mut all = vec![sde.prior_std().powi(2)];
        for t in times.windows(2) {
            let (mut v, pieces) = (*all.last().expect("one at least"), 10);
            let h = (t[1] - t[0]) / f64::from(pieces);
            for i in 0..pieces {
                let t = t[0] + h * f64::from(i);
                let k1 = rate(t, v);
                let k2 = rate(t + 0.5 * h, v + 0.5 * h * k1);
                let k3 = rate(t + 0.5 * h, v + 0.5 * h * k2);
                let k4 = rate(t + h, v + h * k3);
                v += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
            }
            all.push(v);
        }
        all
    }
}

/// `grad r = (1/W - 1/V) x` of a Gaussian from the integral along the path of its mean, on which the expectation of a linear
/// function is its value: for every SDE, at every time, with an error of second order in the step.
#[test]
fn the_gradient_of_the_gap_is_the_mean_of_the_integral() -> Outcome {
    for (name, potential) in [
        ("ou:horizon=1", Potential { w: 0.8, k: 0.0 }),
        ("ou:horizon=3", Potential { w: 0.9, k: -0.1 }),
        ("vp", Potential { w: 0.6, k: 0.7 }),
        ("sub-vp", Potential { w: 0.5, k: 0.2 }),
        ("brownian:horizon=2", Potential { w: 0.7, k: 0.9 }),
    ] {
        let sde = sde::parse(name)?;
        let errors = [400, 800].map(|n| {
            let horizon = sde.horizon();
            let times: Vec<f64> =
                (0..=n).map(|i| horizon * (1.0 - 0.98 * f64::from(i) / f64::from(n))).collect();
            let v = potential.variances(&*sde, &times, 1.0);
            let slope = |i: usize| potential.variance(times[i]).recip() - v[i].recip();
            // Forward in time the mean grows at the rate a + g^2 grad r / x; by the midpoint rule on the paths' variances.
            let mut mean = vec![1.0];
            for (i, t) in times.windows(2).enumerate() {
                let rate = |i: usize| {
                    sde.drift_coef(times[i]) + sde.diffusion_squared(times[i]) * slope(i)
                };
                let last = *mean.last().expect("one at least");
                mean.push(last * (0.5 * (rate(i) + rate(i + 1)) * (t[1] - t[0])).exp());
            }
            let at = |i: usize, c: f64| array![[c * mean[i]]];
            let residual = |i: usize| at(i, potential.slope_of_residual(&*sde, times[i]));
            let score = at(0, -potential.variance(horizon).recip());
            let mismatch = prior_mismatch(&*sde, &at(0, 1.0), &score).unwrap();
            let mut gap = GapGradient::start(horizon, mismatch, residual(0));
            let mut worst: f64 = 0.0;
            for i in 1..times.len() {
                gap.advance(&*sde, times[i], residual(i)).unwrap();
                worst = worst.max((gap.value()[[0, 0]] / mean[i] - slope(i)).abs());
            }
            worst
        });
        eprintln!("{name}: {errors:?}");
        assert!(errors[1] < 3e-4 && (3.4..4.6).contains(&(errors[0] / errors[1])), "{errors:?}");
    }
    Ok(())
}

/// Paths of the SDE of a Gaussian potential with the integral along them.
fn gaussian_paths(
    potential: Potential,
    sde: &dyn Sde,
    n: usize,
) -> sde_core::Result<CorrectionData> {
    let score = FnScore::new(move |x: &Array2<f64>, t| Ok(x * -potential.variance(t).recip()));
    let residual = |x: &Array2<f64>, t: f64| Ok(x * potential.slope_of_residual(sde, t));
    let times = TimeGrid::Quadratic.times(sde, 100, sde.horizon(), 0.0)?;
    let like = Array2::zeros((1, 1));
    let paths = gap_paths(sde, &score, &residual, &times, n, Key::root(1), &like)?;
    let mut data = CorrectionData::new(1);
    for path in paths {
        let host = |x: &Array2<f64>| x.iter().copied().collect();
        data.push(PathLevel { t: path.t, x: host(&path.x), target: host(&path.gap) });
    }
    Ok(data)
}

/// Differences on the fused kernels are the gradient of the residual.
#[test]
fn gradients_of_the_residual_by_differences() -> Outcome {
    for config in zoo().iter().filter(|c| c.output == Output::Potential) {
        let (single, d) = (net(config, DType::F32), config.dim);
        let x = points(3, 30, d);
        for share in [0.01, 0.5] {
            let t = share * single.sde().horizon();
            let wide = single.copy_as(DType::F64)?;
            let exact = host(&score_form_residual(&wide, &rows(&x, d, DType::F64), &[t; 30])?);
            let fused = host(&residual_gradient(&single, &rows(&x, d, DType::F32), t)?);
            // Truncation, and the rounding of the terms of the residual over the distance of the points.
            let phi = wide.derivatives(&rows(&x, d, DType::F64), &[t; 30])?;
            let terms = phi.d_t.iter().chain(&phi.laplacian).fold(1.0_f64, |m, v| m.max(v.abs()));
            let scale = exact.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let allowed = 1e-3 * scale + 8.0 * f64::from(f32::EPSILON) * terms / 3e-3;
            check(&format!("{} {t}", config.sde), &fused, &exact, allowed / scale);
            let composite = net(config, DType::F32).with_kernels(Kernels::Composite)?;
            let slow = host(&residual_gradient(&composite, &rows(&x, d, DType::F32), t)?);
            check("composite", &slow, &exact, 1e-4);
        }
    }
    Ok(())
}

/// A correction trained on paths.
fn fitted(data: CorrectionData, sde: &str, steps: u64) -> Result<ScoreNet, score_nets::Error> {
    let config = NetConfig {
        dim: 1,
        hidden: vec![12, 12],
        activation: Activation::Tanh,
        time: TimeFeature::LogTime { shift: 1e-2 },
        sde: sde.into(),
        ..NetConfig::published()
    };
    let net = ScoreNet::new(config, Key::root(3), DType::F32, &Device::Cpu)?;
    let matching = CorrectionMatching::new(Arc::new(data), 2000);
    let mut trainer =
        Trainer::new(net, TrainConfig::soap_cosine(steps))?.term(1.0, Box::new(matching));
    trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    Ok(trainer.into_net())
}

/// The images under the ODE of a score of the middles of `n` equal parts of the prior. Maps of a line keep the order.
fn quantiles_of_ode(score: &dyn Score<Tensor>, sde: &dyn Sde, n: usize) -> Vec<f64> {
    let prior: Vec<f64> = (0..n)
        .map(|i| sde.prior_std() * sde_core::normal::quantile((i as f64 + 0.5) / n as f64))
        .collect();
    let (horizon, x) = (sde.horizon(), rows(&prior, 1, DType::F32));
    let mut grid = Grid::new(TimeGrid::Quadratic.times(sde, 100, horizon, 0.0).unwrap()).unwrap();
    let noise = IndependentIncrements::new(Key::root(0), 0);
    let (stepper, problem) = (Method::Heun.stepper(), Reverse::ode(sde, score));
    host(&solve(&*stepper, &problem, x, horizon, &mut grid, &noise, &mut ()).unwrap().x)
}

/// On a mis-specified Gaussian the corrected ODE has the variance of the SDE, and W2 between the two falls.
#[test]
fn the_corrected_ode_has_the_density_of_the_sde() -> Outcome {
    let (name, potential) = ("ou:horizon=4", Potential { w: 0.6, k: 0.0 });
    let sde = sde::parse(name)?;
    let correction = fitted(gaussian_paths(potential, &*sde, 8000)?, name, 400)?;
    let model = FnScore::new(move |x: &Tensor, t| {
        Ok(x.affine(-potential.variance(t).recip(), 0.0).map_err(score_nets::Error::from)?)
    });
    let times: Vec<f64> = (0..=400).map(|i| 4.0 - 0.01 * f64::from(i)).collect();
    let ends = [0.0, 1.0].map(|eta2| *potential.variances(&*sde, &times, eta2).last().unwrap());
    // Between what the ODE makes of the quantiles of the prior and the quantiles of the SDE's Gaussian.
    let n = 400;
    let distance = |score: &dyn Score<Tensor>| {
        let found = quantiles_of_ode(score, &*sde, n);
        let squares = found.iter().enumerate().map(|(i, x)| {
            let z = sde_core::normal::quantile((i as f64 + 0.5) / n as f64);
            (x - ends[1].sqrt() * z).powi(2)
        });
        let variance = found.iter().map(|x| x * x).sum::<f64>() / n as f64;
        ((squares.sum::<f64>() / n as f64).sqrt(), variance)
    };
    let (before, after) = (distance(&model), distance(&CorrectedFlow::ode(&model, &correction)));
    eprintln!("ODE, SDE {ends:?}: before {before:?}, after {after:?}");
    assert!((before.1 / ends[0] - 1.0).abs() < 0.02, "the ODE alone: {before:?}, {ends:?}");
    assert!((after.1 / ends[1] - 1.0).abs() < 0.03, "the corrected ODE: {after:?}, {ends:?}");
    assert!(after.0 < before.0 / 25.0, "W2 {} before, {} after", before.0, after.0);
    Ok(())
}

/// The share of `E |grad r|^2` that a correction explains on held-out paths, `E[2 grad psi . A - |grad psi|^2]`, with its
/// standard error: the whole of it less the error of the fit.
fn explained(psi: &ScoreNet, level: &PathLevel) -> (f64, f64) {
    let score = host(&psi.score(&rows(&level.x, 2, DType::F32), level.t).unwrap());
    let each = score.chunks(2).zip(level.target.chunks(2));
    let of_row =
        |(p, a): (&[f64], &[f64])| p.iter().zip(a).map(|(p, a)| p * (2.0 * a - p)).sum::<f64>();
    let found: Vec<f64> = each.map(of_row).collect();
    let n = found.len() as f64;
    let mean = found.iter().sum::<f64>() / n;
    let variance = found.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// What a network learns from paths is the gap of scores that finite volumes find without paths: never more of it, and most.
#[test]
#[ignore = "slow"]
fn slow_a_correction_explains_the_gap_of_scores() -> Outcome {
    let (data, key) = (DataSet::Blob, Key::root(1));
    let config = NetConfig::with_gaussian_base(
        2,
        vec![48; 2],
        Activation::Tanh,
        data.variance(),
        "ou:horizon=6",
    );
    let net = ScoreNet::new(config, key, DType::F32, &Device::Cpu)?;
    let dsm = Dsm::new(Arc::new(data), 1000);
    let mut trainer = Trainer::new(net, TrainConfig::soap_cosine(300))?.term(1.0, Box::new(dsm));
    trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    let net = trainer.into_net();

    let looked = [1.0, 0.5, 0.25, 0.1];
    let grid = Nodes::new(2, -3.5, 3.5, 36)?.with_margin(1.0)?;
    let model = OnRows(&net);
    let found = FiniteVolumes::new(grid, 1.0).solve(net.sde(), &model.model(), &looked)?;
    let mut times = TimeGrid::Quadratic.times(net.sde(), 100, 6.0, 0.0)?;
    times.extend(looked);
    times.sort_by(|a, b| b.total_cmp(a));
    times.dedup();
    let paths = |n: usize, key: Key| CorrectionData::of_network(&net, &times, n, key);
    let matching = CorrectionMatching::new(Arc::new(paths(12_000, key.fold(1))?), 3000);
    let psi = without_correction(correction_config(net.config(), vec![48; 2]), key.fold(2), &net)?;
    let mut trainer =
        Trainer::new(psi, TrainConfig::soap_cosine(1000))?.term(1.0, Box::new(matching));
    trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    let (psi, held) = (trainer.into_net(), paths(8000, key.fold(3))?);
    for ((t, gap), error) in looked.iter().zip(&found.score_gap).zip(&found.score_gap_error) {
        let level = held.levels().iter().find(|level| level.t == *t).expect("was asked for");
        let (part, deviation) = explained(&psi, level);
        eprintln!("t = {t}: {part:.5} +- {deviation:.5} of {gap:.5} +- {error:.5}");
        assert!(part < gap + error + 4.0 * deviation, "t = {t}: {part} of {gap}");
        assert!(part + 4.0 * deviation > 0.6 * gap, "t = {t}: {part} of {gap}");
    }
    Ok(())
}
