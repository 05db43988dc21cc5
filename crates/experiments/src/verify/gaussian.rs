//! `gaussian`: exact means and covariances of samplers on Gaussian data, 1e-10.

use std::collections::BTreeMap;
use std::path::Path;
use std::slice;

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use sde_core::analytic::GaussianMixture;
use sde_core::{Score, Sde, TimeGrid};
use serde_json::Value;
use solvers::steppers::{EulerMaruyama, Heun};

use super::case::{Case, Deviation, mixed, normwise};
use super::constants::Common;
use super::linear_maps::{Law, StepSpec, propagate};
use super::{from_file, json};
use crate::model;

const TOLERANCE: f64 = 1e-10;
/// A target may be rank-deficient, and near `t = 0` its score then is a difference that no double
/// resolves. The tolerance gives way by what rounding does to it, up to half of one part in a
/// thousand: a wrong reference is still seen.
const RESOLVED: f64 = 5e-4;

/// What the cases of the file share.
struct Shared {
    common: Common,
    targets: BTreeMap<String, Result<Target>>,
}

/// A Gaussian target.
struct Target {
    law: Law,
    mixture: GaussianMixture,
}

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    from_file(&dir.join("gaussian_refs.json"), |path| {
        let file = json::load(path)?;
        let common = Common::beside(dir)?;
        let mut targets = BTreeMap::new();
        if let Some(given) = file.get("targets") {
            for (name, target) in json::entries(given, "`targets`")? {
                targets.insert(name.to_owned(), Target::read(target));
            }
        }
        let context = Shared { common, targets };
        let list = |key: &str| -> Result<Vec<Value>> {
            match file.get(key) {
                None => Ok(Vec::new()),
                Some(v) => Ok(v.as_array().with_context(|| format!("`{key}` is no list"))?.clone()),
            }
        };
        let mut cases: Vec<Case> =
            list("recursions")?.par_iter().flat_map(|case| context.recursion(case)).collect();
        cases.par_extend(list("gap_sampler")?.par_iter().map(|case| context.gap_sampler(case)));
        cases
            .extend(list("gaussian_pairs")?.iter().enumerate().flat_map(|(i, case)| pair(i, case)));
        Ok(cases)
    })
}

impl Target {
    fn read(value: &Value) -> Result<Self> {
        let (mean, cov) = (json::numbers(value, "mean")?, json::matrix(value, "cov")?);
        let (means, covs) = (slice::from_ref(&mean), slice::from_ref(&cov));
        let mixture = model::mixture(&[1.0], means, covs)?;
        Ok(Self { law: law(mean, &cov)?, mixture })
    }
}

fn law(mean: Vec<f64>, cov: &[Vec<f64>]) -> Result<Law> {
    let dim = mean.len();
    ensure!(cov.len() == dim, "a mean of {dim} entries, a covariance of {} rows", cov.len());
    Ok(Law { mean: Array1::from(mean), cov: model::matrix(cov, dim).context("covariance")? })
}

/// The law of the forward process at `t`.
fn forward(law: &Law, sde: &dyn Sde, t: f64) -> Law {
    let m = sde.marginal(t);
    let eye = Array2::<f64>::eye(law.mean.len());
    Law {
        mean: &law.mean * m.alpha,
        cov: &law.cov * (m.alpha * m.alpha) + eye * (m.sigma * m.sigma),
    }
}

/// A name for a case from the members that identify it.
fn name(case: &Value, keys: &[&str]) -> String {
    let shown = |key: &&str| match case.get(*key) {
        Some(Value::String(s)) => s.clone(),
        Some(other) => format!("{key}{other}"),
        None => format!("no {key}"),
    };
    keys.iter().map(shown).collect::<Vec<_>>().join("/")
}

impl Shared {
    fn target(&self, case: &Value) -> Result<&Target> {
        let name = json::text(case, "target")?;
        match self.targets.get(name) {
            Some(Ok(target)) => Ok(target),
            Some(Err(error)) => bail!("target `{name}`: {error:#}"),
            None => bail!("target `{name}` is not in the file"),
        }
    }

    fn recursion(&self, case: &Value) -> Vec<Case> {
        let name = name(case, &["target", "sde", "scheme", "N", "eps", "init"]);
        self.run_recursion(&name, case).unwrap_or_else(|e| vec![Case::failed(&name, e)])
    }

    /// Mean and covariance as one case, the distance to the target as another.
    fn run_recursion(&self, name: &str, case: &Value) -> Result<Vec<Case>> {
        let target = self.target(case)?;
        let sde = self.common.sde(json::text(case, "sde")?)?;
        let sde = sde.as_ref();
        let (n, eps) = (json::count(case, "N")?, json::number(case, "eps")?);
        let scheme = json::text(case, "scheme")?;
        ensure!(n >= 1, "N is 0");
        let times = TimeGrid::Uniform.times(sde, n, sde.horizon(), eps)?;
        let noisy = |last: bool| -> Vec<StepSpec> {
            let step = |(i, w): (usize, &[f64])| StepSpec {
                from: w[0],
                to: w[1],
                noise: last || i + 1 < n,
            };
            times.windows(2).enumerate().map(step).collect()
        };
        let (eta, steps) = match scheme {
            "em" => (1.0, noisy(true)),
            "em_nonoise" => (1.0, noisy(false)),
            "em_lam" => (0.5, noisy(true)),
            "euler_ode" | "heun_ode" => (0.0, noisy(true)),
            "song_pc" => (1.0, song_pc(sde, n, eps)),
            other => bail!("unknown scheme `{other}`"),
        };
        let start = match json::text(case, "init")? {
            "exact" => forward(&target.law, sde, sde.horizon()),
            "prior" => prior(sde, target.law.mean.len()),
            other => bail!("unknown init `{other}`: expected exact or prior"),
        };
        let score = target.mixture.under(sde);
        let end = if scheme == "heun_ode" {
            propagate(&Heun, sde, &score, eta, &steps, start)?
        } else {
            propagate(&EulerMaruyama, sde, &score, eta, &steps, start)?
        };
        let rounding = Rounding::at(target, sde, eps)?;
        let law = Case::of(name, compare(&end, case, rounding.of_law()));
        // There is none where the recursion blows up; its huge mean and covariance are compared all
        // the same.
        let Some(expected) = case.get("W2_to_p_eps").filter(|w| !w.is_null()) else {
            return Ok(vec![law]);
        };
        let expected = json::one(expected).context("`W2_to_p_eps`")?;
        let name = format!("{name}/W2_to_p_eps");
        let found = distance(&end, &forward(&target.law, sde, eps));
        let tolerance = rounding.of_distance(expected);
        let distance = found.and_then(|found| mixed(&[found], &[expected], tolerance));
        Ok(vec![law, Case::of(name, distance)])
    }

    fn gap_sampler(&self, case: &Value) -> Case {
        let name = format!("gap_sampler/{}", name(case, &["target", "nfe", "kind"]));
        Case::of(name, self.run_gap_sampler(case))
    }

    fn run_gap_sampler(&self, case: &Value) -> Result<Deviation> {
        let target = self.target(case)?;
        let sde = self.common.sde("ou")?;
        let sde = sde.as_ref();
        let nfe = json::count(case, "nfe")?;
        let eta = match json::text(case, "kind")? {
            "sde" => 1.0,
            "ode" => 0.0,
            other => bail!("unknown kind `{other}`: expected sde or ode"),
        };
        let n = nfe + 90;
        let times = TimeGrid::OdeSdeGap.times(sde, n, sde.horizon(), 0.0)?;
        let step = |(i, w): (usize, &[f64])| StepSpec { from: w[0], to: w[1], noise: i + 1 < n };
        let steps: Vec<StepSpec> = times.windows(2).enumerate().map(step).collect();
        let score = target.mixture.under(sde);
        let start = prior(sde, target.law.mean.len());
        compare(&propagate(&EulerMaruyama, sde, &score, eta, &steps, start)?, case, TOLERANCE)
    }
}

/// The sampler of the score-SDE code: `n` points from `T` to `eps`, but steps of `T / n`; the last
/// one without noise.
fn song_pc(sde: &dyn Sde, n: usize, eps: f64) -> Vec<StepSpec> {
    let (horizon, last) = (sde.horizon(), (n - 1).max(1) as f64);
    let step = |i: usize| {
        let from = horizon + (eps - horizon) * i as f64 / last;
        StepSpec { from, to: from - horizon / n as f64, noise: i + 1 < n }
    };
    (0..n).map(step).collect()
}

fn prior(sde: &dyn Sde, dim: usize) -> Law {
    let variance = sde.prior_std() * sde.prior_std();
    Law { mean: Array1::zeros(dim), cov: Array2::eye(dim) * variance }
}

/// What double precision can tell about a case.
struct Rounding {
    /// The largest entry of the covariance `P` of `p_eps`.
    size: f64,
    /// The condition number of `P`.
    condition: f64,
}

impl Rounding {
    /// Where the score, `-P^-1 (x - m)`, is steepest: at the end.
    fn at(target: &Target, sde: &dyn Sde, eps: f64) -> Result<Self> {
        let law = forward(&target.law, sde, eps);
        let dim = law.mean.len();
        let rows = Array2::from_shape_fn((dim, dim), |(i, j)| {
            law.mean[j] + if i == j { 1.0 } else { 0.0 }
        });
        let steepest = target.mixture.under(sde).score(&rows, eps)?;
        let largest = |a: &Array2<f64>| a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let size = largest(&law.cov);
        Ok(Self { size, condition: (size * largest(&steepest)).max(1.0) })
    }

    /// An inverse is known to its condition number times the unit of rounding, relatively.
    fn of_law(&self) -> f64 {
        (f64::EPSILON * self.condition).clamp(TOLERANCE, RESOLVED)
    }

    /// The square of a distance is a difference of terms of that precision, and the law it is
    /// taken from another. Of a distance that this leaves no digits of, only the size is known.
    fn of_distance(&self, distance: f64) -> f64 {
        // A handful of roundings on the way.
        let unit = 8.0 * f64::EPSILON * self.condition;
        let rounding = unit * (self.size / (2.0 * distance) + distance);
        let resolved = rounding <= RESOLVED * distance;
        (if resolved { rounding } else { (unit * self.size).sqrt() }).max(TOLERANCE)
    }
}

/// Mean and covariance against those of a case.
fn compare(end: &Law, case: &Value, tolerance: f64) -> Result<Deviation> {
    let expected = law(json::numbers(case, "mean")?, &json::matrix(case, "cov")?)?;
    let flat = |a: &Array2<f64>| a.iter().copied().collect::<Vec<f64>>();
    let mean = mixed(&end.mean.to_vec(), &expected.mean.to_vec(), tolerance)?;
    Ok(mean.max(normwise(&flat(&end.cov), &flat(&expected.cov), tolerance)?))
}

fn distance(a: &Law, b: &Law) -> Result<f64> {
    let squared = metrics::gaussian_w2(a.mean.view(), a.cov.view(), b.mean.view(), b.cov.view())?;
    Ok(squared.sqrt())
}

/// Distance, divergences and entropy of two Gaussians: those that the case holds.
fn pair(index: usize, case: &Value) -> Vec<Case> {
    let compared = |key: &str| {
        let read = |m: &str, s: &str| law(json::numbers(case, m)?, &json::matrix(case, s)?);
        let (a, b) = (read("m1", "S1")?, read("m2", "S2")?);
        let (m1, c1, m2, c2) = (a.mean.view(), a.cov.view(), b.mean.view(), b.cov.view());
        let found = match key {
            "W2" => distance(&a, &b)?,
            "KL_1_given_2" => metrics::gaussian_kl(m1, c1, m2, c2)?,
            "KL_2_given_1" => metrics::gaussian_kl(m2, c2, m1, c1)?,
            "fisher_divergence_1_2" => metrics::gaussian_fisher_divergence(m1, c1, m2, c2)?,
            _ => metrics::gaussian_entropy(c1)?,
        };
        mixed(&[found], &[json::number(case, key)?], TOLERANCE)
    };
    ["W2", "KL_1_given_2", "KL_2_given_1", "fisher_divergence_1_2", "entropy_1"]
        .into_iter()
        .filter(|key| *key == "W2" || case.get(key).is_some())
        .map(|key| Case::of(format!("gaussian_pairs/{index}/{key}"), compared(key)))
        .collect()
}
