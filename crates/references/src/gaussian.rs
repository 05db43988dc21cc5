//! `gaussian`: exact means and covariances of samplers on Gaussian data, 1e-10.

use rayon::prelude::*;
use sde_core::analytic::GaussianMixture;
use solvers::steppers::{EulerMaruyama, Heun};

use crate::prelude::*;

const TOLERANCE: f64 = 1e-10;
/// A target may be rank-deficient, and near `t = 0` its score then is a difference that no double
/// resolves. The tolerance gives way by what rounding does to it, up to half of one part in a
/// thousand: a wrong reference is still seen.
const RESOLVED: f64 = 5e-4;

/// Schemes, each with its `eta` and whether its last step is without noise.
const SCHEMES: [(&str, (f64, bool)); 6] = [
    ("em", (1.0, false)),
    ("em_nonoise", (1.0, true)),
    ("em_lam", (0.5, false)),
    ("euler_ode", (0.0, false)),
    ("heun_ode", (0.0, false)),
    ("song_pc", (1.0, true)),
];

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let file = dir.json("gaussian_refs.json")?;
    let shared = Shared { processes: Targets::of(dir)?, file: &file };
    let recursions = file.items("recursions")?.par_iter().map(|case| shared.recursion(case));
    for (case, found) in file.items("recursions")?.iter().zip(recursions.collect::<Vec<_>>()) {
        let name = name(case, &["target", "sde", "scheme", "N", "eps", "init"]);
        family.group(&name, |family| {
            for (quantity, compared) in found? {
                family.add(format!("{name}{quantity}"), || compared);
            }
            Ok(())
        });
    }
    for case in file.items("gap_sampler")? {
        let name = format!("gap_sampler/{}", name(case, &["target", "nfe", "kind"]));
        family.add(name, || shared.gap_sampler(case));
    }
    for (i, case) in file.items("gaussian_pairs")?.iter().enumerate() {
        let name = format!("gaussian_pairs/{i}");
        family.group(&name, |family| pair(&name, case, family));
    }
    Ok(())
}

/// What the cases of the file share.
struct Shared<'a> {
    processes: Targets,
    file: &'a Value,
}

/// A Gaussian law.
#[derive(Clone, Debug)]
struct Law {
    mean: Array1<f64>,
    cov: Rows,
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

    fn mixture(&self) -> Result<GaussianMixture> {
        let (means, covs) = (self.mean.clone().insert_axis(Axis(0)), [self.cov.clone()]);
        Ok(GaussianMixture::new(&[1.0], &means, &covs)?)
    }

    /// The law of the forward process at `t`.
    fn forward(&self, sde: &dyn Sde, t: f64) -> Self {
        let m = sde.marginal(t);
        let cov = &self.cov * m.alpha.powi(2) + Rows::eye(self.mean.len()) * m.sigma.powi(2);
        Self { mean: &self.mean * m.alpha, cov }
    }

    /// Mean and covariance against those of a case.
    fn compare(&self, case: &Value, tolerance: f64) -> Result<Check> {
        let expected = Self::read(case, "mean", "cov")?;
        let mean = check(&self.mean, &expected.mean, By::Mixed, tolerance)?;
        Ok(mean.and(check(&self.cov, &expected.cov, LARGEST, tolerance)?))
    }
}

impl Shared<'_> {
    fn target(&self, case: &Value) -> Result<Law> {
        let name = case.text("target")?;
        let target = self.file.member("targets").and_then(|targets| targets.member(name));
        target.and_then(|t| Law::read(t, "mean", "cov")).with_context(|| format!("target `{name}`"))
    }

    /// Mean and covariance, and their distance to the target where there is one.
    fn recursion(&self, case: &Value) -> Result<Vec<(&'static str, Result<Check>)>> {
        let target = self.target(case)?;
        let sde = self.processes.sde(case.text("sde")?)?;
        let sde = sde.as_ref();
        let (n, eps, scheme) = (case.count("N")?, case.number("eps")?, case.text("scheme")?);
        ensure!(n >= 1, "N is 0");
        let (eta, quiet_end) = one_of(scheme, &SCHEMES)?;
        let mut steps = pairs(&TimeGrid::Uniform.times(sde, n, sde.horizon(), eps)?);
        if scheme == "song_pc" {
            // Of score_sde: `n` points from `T` to `eps`, but steps of `T / n`.
            let (horizon, last) = (sde.horizon(), (n - 1).max(1) as f64);
            let at = |i: usize| horizon + (eps - horizon) * i as f64 / last;
            steps = (0..n).map(|i| [at(i), at(i) - horizon / n as f64]).collect();
        }
        let start = match case.text("init")? {
            "exact" => target.forward(sde, sde.horizon()),
            "prior" => Law::prior(sde, target.mean.len()),
            other => bail!("unknown init `{other}`: expected exact or prior"),
        };
        let stepper: &Method = if scheme == "heun_ode" { &Heun } else { &EulerMaruyama };
        let score = target.mixture()?.under(sde);
        let end = propagate(stepper, &Reverse::new(sde, &score, eta)?, &steps, quiet_end, start)?;
        let rounding = Rounding::at(&target, sde, eps)?;
        // There is none where the recursion blows up; its huge mean and covariance are compared all
        // the same.
        let distance = case.get("W2_to_p_eps").filter(|w| !w.is_null()).map(|expected| {
            let (expected, p) = (expected.one()?, target.forward(sde, eps));
            let (m1, c1, m2, c2) = (end.mean.view(), end.cov.view(), p.mean.view(), p.cov.view());
            let found = metrics::gaussian_w2(m1, c1, m2, c2)?.sqrt();
            check_one(found, expected, By::Mixed, rounding.of_distance(expected))
        });
        let law = end.compare(case, rounding.of_law());
        Ok([("", law)].into_iter().chain(distance.map(|d| ("/W2_to_p_eps", d))).collect())
    }

    fn gap_sampler(&self, case: &Value) -> Result<Check> {
        let (target, sde) = (self.target(case)?, self.processes.sde("ou")?);
        let sde = sde.as_ref();
        let eta = one_of(case.text("kind")?, &[("sde", 1.0), ("ode", 0.0)])?;
        let n = case.count("nfe")? + 90;
        let steps = pairs(&TimeGrid::OdeSdeGap.times(sde, n, sde.horizon(), 0.0)?);
        let score = target.mixture()?.under(sde);
        let (problem, start) =
            (Reverse::new(sde, &score, eta)?, Law::prior(sde, target.mean.len()));
        propagate(&EulerMaruyama, &problem, &steps, true, start)?.compare(case, TOLERANCE)
    }
}

/// A method on the reverse process.
type Method = dyn for<'a> Stepper<Rows, Reverse<'a, Rows>>;

/// Beginnings and ends of the steps between times.
fn pairs(times: &[f64]) -> Vec<[f64; 2]> {
    times.windows(2).map(|w| [w[0], w[1]]).collect()
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
fn propagate(
    stepper: &Method,
    problem: &Reverse<'_, Rows>,
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
    fn at(target: &Law, sde: &dyn Sde, eps: f64) -> Result<Self> {
        let law = target.forward(sde, eps);
        let rows = Rows::eye(law.mean.len()) + &law.mean;
        let steepest = target.mixture()?.under(sde).score(&rows, eps)?;
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
fn pair(name: &str, case: &Value, family: &mut Family) -> Result<()> {
    let (a, b) = (Law::read(case, "m1", "S1")?, Law::read(case, "m2", "S2")?);
    let (m1, c1, m2, c2) = (a.mean.view(), a.cov.view(), b.mean.view(), b.cov.view());
    for (key, found) in [
        ("W2", metrics::gaussian_w2(m1, c1, m2, c2).map(f64::sqrt)),
        ("KL_1_given_2", metrics::gaussian_kl(m1, c1, m2, c2)),
        ("KL_2_given_1", metrics::gaussian_kl(m2, c2, m1, c1)),
        ("fisher_divergence_1_2", metrics::gaussian_fisher_divergence(m1, c1, m2, c2)),
        ("entropy_1", metrics::gaussian_entropy(c1)),
    ] {
        if key == "W2" || case.get(key).is_some() {
            family.add(format!("{name}/{key}"), || {
                check_one(found?, case.number(key)?, By::Mixed, TOLERANCE)
            });
        }
    }
    Ok(())
}
