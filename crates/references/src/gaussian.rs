//! `gaussian`: exact means and covariances of samplers on Gaussian data, 1e-10.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array1, Array2, Axis, s};
use rayon::prelude::*;
use sde_core::analytic::GaussianMixture;
use sde_core::{Reverse, Score, Sde, TimeGrid};
use serde_json::Value;
use solvers::steppers::{EulerMaruyama, Heun};
use solvers::{Noise, Past, Stepper};

use crate::case::{By, Case, Cases, Check, LARGEST, check, check_one};
use crate::read::{Folder, Json};
use crate::flow::Rows;
use crate::targets::Targets;

const TOLERANCE: f64 = 1e-10;
/// A target may be rank-deficient, and near `t = 0` its score then is a difference that no double
/// resolves. The tolerance gives way by what rounding does to it, up to half of one part in a
/// thousand: a wrong reference is still seen.
const RESOLVED: f64 = 5e-4;

/// A Gaussian law.
#[derive(Clone, Debug)]
struct Law {
    mean: Array1<f64>,
    cov: Rows,
}

/// A Gaussian target.
struct Target {
    law: Law,
    mixture: GaussianMixture,
}

/// What the cases of the file share.
struct Shared {
    processes: Targets,
    targets: BTreeMap<String, Result<Target>>,
}

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let Some(file) = dir.json("gaussian_refs.json")? else { return Ok(()) };
    let given = file.get("targets").map_or(Ok(Vec::new()), |t| t.entries())?;
    let targets = given.into_iter().map(|(name, t)| (name.to_owned(), Target::read(t))).collect();
    let shared = Shared { processes: Targets::of(dir)?, targets };
    let recursions = file.items("recursions")?.par_iter();
    cases.extend(recursions.flat_map(|case| shared.recursion(case)).collect::<Vec<_>>());
    for case in file.items("gap_sampler")? {
        let name = format!("gap_sampler/{}", name(case, &["target", "nfe", "kind"]));
        cases.add(name, || shared.gap_sampler(case));
    }
    for (i, case) in file.items("gaussian_pairs")?.iter().enumerate() {
        cases.group(format!("gaussian_pairs/{i}"), |cases| pair(i, case, cases));
    }
    Ok(())
}

impl Target {
    fn read(value: &Value) -> Result<Self> {
        let law = Law::read(value, "mean", "cov")?;
        let (means, covs) = (law.mean.clone().insert_axis(Axis(0)), [law.cov.clone()]);
        Ok(Self { mixture: GaussianMixture::new(&[1.0], &means, &covs)?, law })
    }
}

impl Law {
    fn read(value: &Value, mean: &str, cov: &str) -> Result<Self> {
        let (mean, cov) = (Array1::from(value.numbers(mean)?), value.matrix(cov)?);
        let dim = mean.len();
        ensure!(cov.dim() == (dim, dim), "a mean of {dim} entries, a covariance {:?}", cov.dim());
        Ok(Self { mean, cov })
    }

    /// `N(0, prior_std^2 I)`.
    fn prior(sde: &dyn Sde, dim: usize) -> Self {
        Self { mean: Array1::zeros(dim), cov: Rows::eye(dim) * sde.prior_std().powi(2) }
    }

    /// The law of the forward process at `t`.
    fn forward(&self, sde: &dyn Sde, t: f64) -> Self {
        let m = sde.marginal(t);
        let cov = &self.cov * m.alpha.powi(2) + Rows::eye(self.mean.len()) * m.sigma.powi(2);
        Self { mean: &self.mean * m.alpha, cov }
    }

    fn w2(&self, other: &Self) -> Result<f64> {
        let (m1, c1, m2, c2) =
            (self.mean.view(), self.cov.view(), other.mean.view(), other.cov.view());
        Ok(metrics::gaussian_w2(m1, c1, m2, c2)?.sqrt())
    }

    /// Mean and covariance against those of a case.
    fn compare(&self, case: &Value, tolerance: f64) -> Result<Check> {
        let expected = Self::read(case, "mean", "cov")?;
        let flat = |a: &Rows| a.iter().copied().collect::<Vec<f64>>();
        let mean = check(&self.mean.to_vec(), &expected.mean.to_vec(), By::Mixed, tolerance)?;
        Ok(mean.and(check(&flat(&self.cov), &flat(&expected.cov), LARGEST, tolerance)?))
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
        let name = case.text("target")?;
        match self.targets.get(name) {
            Some(Ok(target)) => Ok(target),
            Some(Err(error)) => bail!("target `{name}`: {error:#}"),
            None => bail!("target `{name}` is not in the file"),
        }
    }

    /// Mean and covariance as one case, the distance to the target as another.
    fn recursion(&self, case: &Value) -> Vec<Case> {
        let name = name(case, &["target", "sde", "scheme", "N", "eps", "init"]);
        self.run_recursion(&name, case).unwrap_or_else(|e| vec![Case::of(name, Err(e))])
    }

    fn run_recursion(&self, name: &str, case: &Value) -> Result<Vec<Case>> {
        let target = self.target(case)?;
        let sde = self.processes.sde(case.text("sde")?)?;
        let sde = sde.as_ref();
        let (n, eps) = (case.count("N")?, case.number("eps")?);
        ensure!(n >= 1, "N is 0");
        let scheme = case.text("scheme")?;
        let times = TimeGrid::Uniform.times(sde, n, sde.horizon(), eps)?;
        let mut steps: Vec<[f64; 2]> = times.windows(2).map(|w| [w[0], w[1]]).collect();
        let (eta, quiet_end) = match scheme {
            "em" => (1.0, false),
            "em_nonoise" => (1.0, true),
            "em_lam" => (0.5, false),
            "euler_ode" | "heun_ode" => (0.0, false),
            // Of score_sde: `n` points from `T` to `eps`, but steps of `T / n`.
            "song_pc" => {
                let (horizon, last) = (sde.horizon(), (n - 1).max(1) as f64);
                let at = |i: usize| horizon + (eps - horizon) * i as f64 / last;
                steps = (0..n).map(|i| [at(i), at(i) - horizon / n as f64]).collect();
                (1.0, true)
            }
            other => bail!("unknown scheme `{other}`"),
        };
        let start = match case.text("init")? {
            "exact" => target.law.forward(sde, sde.horizon()),
            "prior" => Law::prior(sde, target.law.mean.len()),
            other => bail!("unknown init `{other}`: expected exact or prior"),
        };
        let score = target.mixture.under(sde);
        let problem = Reverse::new(sde, &score, eta)?;
        let end = if scheme == "heun_ode" {
            propagate(&Heun, &problem, &steps, quiet_end, start)?
        } else {
            propagate(&EulerMaruyama, &problem, &steps, quiet_end, start)?
        };
        let rounding = Rounding::at(target, sde, eps)?;
        let mut cases = vec![Case::of(name, end.compare(case, rounding.of_law()))];
        // There is none where the recursion blows up; its huge mean and covariance are compared all
        // the same.
        if let Some(expected) = case.get("W2_to_p_eps").filter(|w| !w.is_null()) {
            let expected = expected.one().context("`W2_to_p_eps`")?;
            let found = end.w2(&target.law.forward(sde, eps));
            let tolerance = rounding.of_distance(expected);
            let compared = found.and_then(|f| check_one(f, expected, By::Mixed, tolerance));
            cases.push(Case::of(format!("{name}/W2_to_p_eps"), compared));
        }
        Ok(cases)
    }

    fn gap_sampler(&self, case: &Value) -> Result<Check> {
        let (target, sde) = (self.target(case)?, self.processes.sde("ou")?);
        let sde = sde.as_ref();
        let eta = match case.text("kind")? {
            "sde" => 1.0,
            "ode" => 0.0,
            other => bail!("unknown kind `{other}`: expected sde or ode"),
        };
        let times = TimeGrid::OdeSdeGap.times(sde, case.count("nfe")? + 90, sde.horizon(), 0.0)?;
        let steps: Vec<[f64; 2]> = times.windows(2).map(|w| [w[0], w[1]]).collect();
        let score = target.mixture.under(sde);
        let problem = Reverse::new(sde, &score, eta)?;
        let start = Law::prior(sde, target.law.mean.len());
        propagate(&EulerMaruyama, &problem, &steps, true, start)?.compare(case, TOLERANCE)
    }
}

/// Increments that are one standard deviation along one axis in each of the last rows.
struct UnitIncrements {
    dim: usize,
    on: bool,
}

impl Noise<Rows> for UnitIncrements {
    fn increment(&self, like: &Rows, t0: f64, t1: f64) -> sde_core::Result<Rows> {
        let one = if self.on { (t1 - t0).abs().sqrt() } else { 0.0 };
        let first = 1 + self.dim;
        Ok(Rows::from_shape_fn(like.dim(), |(i, j)| if i == first + j { one } else { 0.0 }))
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// The law after `steps` of a one-step method, exactly: on Gaussian data every step is an affine map, which the
/// stepper itself is asked for. Row 0 of what it sees is the mean; then the mean displaced along each axis; then
/// the mean with a unit of noise along each axis. Differences to row 0 are the map's columns.
fn propagate<'a>(
    stepper: &dyn Stepper<Rows, Reverse<'a, Rows>>,
    problem: &Reverse<'a, Rows>,
    steps: &[[f64; 2]],
    quiet_end: bool,
    start: Law,
) -> Result<Law> {
    let dim = start.mean.len();
    let Law { mut mean, mut cov } = start;
    for (i, [from, to]) in steps.iter().enumerate() {
        let moved = |(row, j): (usize, usize)| mean[j] + f64::from(u8::from(row == 1 + j));
        let rows = Array2::from_shape_fn((1 + 2 * dim, dim), moved);
        let noise = UnitIncrements { dim, on: !quiet_end || i + 1 < steps.len() };
        let end = stepper.step(problem, &rows, *from, *to, &Past::default(), &noise)?.x;
        mean = end.row(0).to_owned();
        // Rows of the difference are columns of the map.
        let columns = &end.slice(s![1.., ..]) - &mean;
        let (moved, added) = (columns.slice(s![..dim, ..]), columns.slice(s![dim.., ..]));
        cov = moved.t().dot(&cov).dot(&moved) + added.t().dot(&added);
    }
    Ok(Law { mean, cov })
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
        let law = target.law.forward(sde, eps);
        let rows = Rows::eye(law.mean.len()) + &law.mean;
        let steepest = target.mixture.under(sde).score(&rows, eps)?;
        let largest = |a: &Rows| a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
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

/// Distance, divergences and entropy of two Gaussians: those that the case holds.
fn pair(index: usize, case: &Value, cases: &mut Cases) -> Result<()> {
    let (a, b) = (Law::read(case, "m1", "S1")?, Law::read(case, "m2", "S2")?);
    let (m1, c1, m2, c2) = (a.mean.view(), a.cov.view(), b.mean.view(), b.cov.view());
    let values = [
        ("W2", a.w2(&b)),
        ("KL_1_given_2", metrics::gaussian_kl(m1, c1, m2, c2).map_err(Into::into)),
        ("KL_2_given_1", metrics::gaussian_kl(m2, c2, m1, c1).map_err(Into::into)),
        (
            "fisher_divergence_1_2",
            metrics::gaussian_fisher_divergence(m1, c1, m2, c2).map_err(Into::into),
        ),
        ("entropy_1", metrics::gaussian_entropy(c1).map_err(Into::into)),
    ];
    for (key, found) in values {
        if key == "W2" || case.get(key).is_some() {
            cases.add(format!("gaussian_pairs/{index}/{key}"), || {
                check_one(found?, case.number(key)?, By::Mixed, TOLERANCE)
            });
        }
    }
    Ok(())
}
