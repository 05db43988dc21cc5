//! The predictor-corrector loops of score_sde_pytorch, `get_pc_sampler`.
//!
//! Times are `linspace(T, eps, N)` and steps `1/N`; coefficients of the discrete processes stand in tables of
//! `N` entries, read at `floor(t (N - 1))`; the norms of the Langevin corrector are means over the batch.

use sde_core::{Discretisation, Marginal, Semilinear};
use solvers::steppers::{
    Ancestral, Corrector, EulerMaruyama, NoPredictor, PredictorCorrector, ReverseDiffusion,
};

use super::{Method, Sampler, own};
use crate::prelude::*;

/// A method of one step.
type Predictor = &'static dyn for<'a> Stepper<Rows, Reverse<'a, Rows>>;

pub(super) fn sampler(case: &Value, targets: &Targets) -> Result<Sampler> {
    let n = case.count("N")?;
    ensure!(n >= 2, "N is {n}");
    let sde = targets.sde(case.text("sde")?)?;
    let (horizon, scale) = (sde.horizon(), sde.prior_std());
    let (eps, last) = (case.number("eps")?, (n - 1) as f64);
    let step = 1.0 / n as f64;
    let mut times: Vec<f64> = (0..n).map(|i| horizon + (eps - horizon) * i as f64 / last).collect();
    times.push(times[n - 1] - step);
    let predictors: [(&str, Predictor); 4] = [
        ("euler_maruyama", &EulerMaruyama),
        ("reverse_diffusion", &ReverseDiffusion),
        ("ancestral_sampling", &Ancestral),
        ("none", &NoPredictor),
    ];
    let predictor = one_of(case.text("predictor")?, &predictors)?;
    let (snr, corrections) = (case.or("snr", 0.16)?, case.or("n_steps", 1)?);
    let inner: Method = match case.text("corrector")? {
        "none" => Box::new(predictor),
        "ald" => {
            let corrector = Corrector::Annealed { snr };
            Box::new(PredictorCorrector { predictor, corrector, corrections })
        }
        "langevin" => batch_langevin(predictor, snr, corrections),
        other => bail!("unknown corrector `{other}`"),
    };
    // Steps of one length, wherever the next time lies.
    let stepper = own(Box::new(move |problem, x, t0, _, noise| {
        inner.step(problem, x, t0, t0 - step, &Past::default(), noise)
    }));
    let plain = Sampler::ode(Box::new(Tabled { sde, n }), times, stepper);
    Ok(Sampler { eta: 1.0, scale, in_order: true, quiet_end: true, ..plain })
}

/// The definition of [`Corrector::Langevin`], `e = 2 a (snr |z| / |s|)^2`, with norms that are means
/// over the batch, before a predictor.
fn batch_langevin(predictor: Predictor, snr: f64, corrections: u64) -> Method {
    let norm = |x: &Rows| -> sde_core::Result<f64> {
        let squares = x.row_dot(x)?;
        Ok(squares.iter().map(|s| s.sqrt()).sum::<f64>() / squares.len() as f64)
    };
    own(Box::new(move |problem, x, t0, t1, noise| {
        let sigma = problem.marginal(t0).sigma;
        let alpha = problem.discretise(t0, t1)?.alpha;
        let mut x = x.clone();
        for i in 0..corrections {
            let (z, eps) = (noise.normals(&x, t0, i)?, problem.eps(&x, t0)?);
            let ratio = snr * norm(&z)? / (norm(&eps)? / sigma);
            let e = 2.0 * alpha * alpha * ratio * ratio;
            x = State::lincomb(&[(1.0, &x), (-e / sigma, &eps), ((2.0 * e).sqrt(), &z)])?;
        }
        let step = predictor.step(problem, &x, t0, t1, &Past::default(), noise)?;
        Ok(Step { nfe: step.nfe + corrections, ..step })
    }))
}

/// A process whose discrete form stands in tables of `n` entries: `beta(k / (n - 1)) / n` for VP, `sigma(k / (n - 1))`
/// with a zero before the first for VE; that of others is Euler's.
struct Tabled {
    sde: Box<dyn Sde>,
    n: usize,
}

impl Sde for Tabled {
    fn discretise(&self, t: f64, s: f64) -> sde_core::Result<Discretisation> {
        let last = (self.n - 1) as f64;
        let place = (t * last / self.horizon()).trunc();
        let at = |k: f64| k * self.horizon() / last;
        match self.sde.name().split(':').next() {
            Some("vp") => self.sde.discretise(at(place), at(place) - 1.0 / self.n as f64),
            Some("ve") if place == 0.0 => {
                let variance = self.marginal(0.0).sigma.powi(2);
                Ok(Discretisation { alpha: 1.0, variance, ancestral_variance: 0.0 })
            }
            Some("ve") => self.sde.discretise(at(place), at(place - 1.0)),
            _ => self.sde.discretise(t, s),
        }
    }

    fn name(&self) -> String {
        self.sde.name()
    }
    fn horizon(&self) -> f64 {
        self.sde.horizon()
    }
    fn drift_coef(&self, t: f64) -> f64 {
        self.sde.drift_coef(t)
    }
    fn diffusion_squared(&self, t: f64) -> f64 {
        self.sde.diffusion_squared(t)
    }
    fn marginal(&self, t: f64) -> Marginal {
        self.sde.marginal(t)
    }
    fn time_of_half_log_snr(&self, lambda: f64) -> sde_core::Result<f64> {
        self.sde.time_of_half_log_snr(lambda)
    }
    fn prior_std(&self) -> f64 {
        self.sde.prior_std()
    }
}
