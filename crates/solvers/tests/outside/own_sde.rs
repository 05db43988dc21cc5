use ndarray::{Array2, array};
use sde_core::{FnScore, Key, Marginal, Result, Sde, sde};
use solvers::{Method, Sampler, SolveError};

/// The variance-preserving process whose time is its noise level, `sigma / alpha = t`.
struct Tangent;

impl Sde for Tangent {
    fn name(&self) -> String {
        "tangent".into()
    }

    fn horizon(&self) -> f64 {
        100.0
    }

    fn drift_coef(&self, t: f64) -> f64 {
        -t / (1.0 + t * t)
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * t / (1.0 + t * t)
    }

    fn marginal(&self, t: f64) -> Marginal {
        let alpha = 1.0 / t.hypot(1.0);
        Marginal { alpha, sigma: t * alpha }
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        sde::check_time(self, (-lambda).exp())
    }

    fn prior_std(&self) -> f64 {
        1.0
    }
}

fn main() -> Result<(), SolveError> {
    // What the process says of itself is true: or the error says where it is not.
    sde::check(&Tangent)?;

    // The score of data N(2, 1/4), as a closure.
    let score = FnScore::new(|x: &Array2<f64>, t: f64| {
        let m = Tangent.marginal(t);
        let variance = 0.25 * m.alpha * m.alpha + m.sigma * m.sigma;
        Ok(x.mapv(|x| (2.0 * m.alpha - x) / variance))
    });

    let sampler = Sampler::builder(Method::DpmSolverPP2M, 0.0, 40);
    let sampler = sampler.grid(sde_core::TimeGrid::Karras { rho: 7.0 });
    let x = sampler.draw(&Tangent, &score, 4000, &array![[0.0]], Key::root(1))?;
    assert!((x.mean().unwrap_or_default() - 2.0).abs() < 0.05);
    assert!((x.std(0.0) - 0.5).abs() < 0.03);
    Ok(())
}
