//! Quadrature over time, with running integrals.

use sde_core::{Error, Result, Sde};

/// Nodes a panel of Gauss and Legendre's rule.
const NODES: usize = 16;

/// Times in increasing order with weights, for integrals over `[0, T]` of what is known there.
///
/// ```
/// use fp_residual::bounds::TimeRule;
/// let rule = TimeRule::gauss(2.0, 8)?;
/// let square: Vec<f64> = rule.times().iter().map(|t| t * t).collect();
/// assert!((rule.integral(&square) - 8.0 / 3.0).abs() < 1e-14);
/// let running = rule.running(&square);
/// assert!(rule.times().iter().zip(&running).all(|(t, v)| (v - t.powi(3) / 3.0).abs() < 1e-14));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeRule {
    horizon: f64,
    times: Vec<f64>,
    weights: Vec<f64>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// With the matrix of integrals of Lagrange's polynomials from the start of a panel of length one to its nodes.
    Gauss(Vec<Vec<f64>>),
    Trapezoid,
}

impl TimeRule {
    /// Gauss and Legendre's rule of 16 nodes on each of `panels` panels of `[0, T]`, whose lengths grow towards `T` like those of a
    /// geometric grid of `t + T / 100`. Exact to rounding for what is smooth on short panels; see [`TimeRule::gauss_with_kinks`].
    ///
    /// # Errors
    /// A horizon that is not finite and positive; no panel, or more than a million.
    pub fn gauss(horizon: f64, panels: usize) -> Result<Self> {
        Self::gauss_with_kinks(horizon, panels, &[])
    }

    /// As [`TimeRule::gauss`], with panels that also end at given times: norms have kinks where what they are of passes through zero, and
    /// a kink within a panel costs an error of second order in its length.
    ///
    /// # Errors
    /// As [`TimeRule::gauss`]; a kink outside of the interval.
    ///
    /// ```
    /// use fp_residual::bounds::TimeRule;
    /// let rule = TimeRule::gauss_with_kinks(1.0, 2, &[0.3])?;
    /// assert!((rule.integral(&rule.sample(|t| (t - 0.3).abs())) - 0.29).abs() < 1e-15);
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    pub fn gauss_with_kinks(horizon: f64, panels: usize, kinks: &[f64]) -> Result<Self> {
        check_horizon(horizon)?;
        if panels == 0 || panels > 1_000_000 {
            return Err(Error::Parameter {
                name: "panels".into(),
                value: panels.to_string(),
                reason: "must be from 1 to 1000000".into(),
            });
        }
        if let Some(kink) = kinks.iter().find(|kink| !(0.0..=horizon).contains(*kink)) {
            return Err(Error::Parameter {
                name: "kinks".into(),
                value: kink.to_string(),
                reason: format!("must be from 0 to {horizon}"),
            });
        }
        let offset = 0.01 * horizon;
        let ratio = ((horizon + offset) / offset).ln() / panels as f64;
        let graded = (1..panels).map(|k| offset * (ratio * k as f64).exp_m1());
        let mut borders: Vec<f64> = graded.chain(kinks.iter().copied()).collect();
        borders.extend([0.0, horizon]);
        borders.sort_unstable_by(f64::total_cmp);
        borders.dedup();
        let reference = gauss_legendre(NODES);
        let (mut times, mut weights) = (vec![], vec![]);
        for pair in borders.windows(2) {
            let (from, length) = (pair[0], pair[1] - pair[0]);
            for &(x, w) in &reference {
                times.push(from + length * 0.5 * (1.0 + x));
                weights.push(0.5 * length * w);
            }
        }
        Ok(Self { horizon, times, weights, kind: Kind::Gauss(integrals(&reference)) })
    }

    /// The trapezoidal rule on given times, the first of them 0: of second order in their distances, for what is too expensive to be
    /// known at times of the rule's choice.
    ///
    /// # Errors
    /// Fewer than two times, times that do not begin with 0 or do not increase.
    ///
    /// ```
    /// use fp_residual::bounds::TimeRule;
    /// let rule = TimeRule::trapezoid(&[0.0, 0.5, 2.0])?;
    /// assert_eq!(rule.integral(&[1.0, 2.0, 0.0]), 0.75 + 1.5);
    /// assert!(TimeRule::trapezoid(&[0.0, 2.0, 1.0]).is_err());
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    pub fn trapezoid(times: &[f64]) -> Result<Self> {
        let increasing = times.windows(2).all(|pair| pair[0] < pair[1] && pair[1].is_finite());
        let (true, Some(&horizon), Some(0.0)) = (increasing, times.last(), times.first().copied())
        else {
            return Err(Error::Parameter {
                name: "times".into(),
                value: format!("{times:?}"),
                reason: "must begin with 0 and increase".into(),
            });
        };
        check_horizon(horizon)?;
        let at = |k: usize| times[k.min(times.len() - 1)];
        let weights =
            (0..times.len()).map(|k| 0.5 * (at(k + 1) - at(k.saturating_sub(1)))).collect();
        let kind = Kind::Trapezoid;
        Ok(Self { horizon, times: times.to_vec(), weights, kind })
    }

    /// The times at which profiles are given.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The end of the interval.
    #[must_use]
    pub fn horizon(&self) -> f64 {
        self.horizon
    }

    /// Values of a function at the times.
    #[must_use]
    pub fn sample(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        self.times.iter().map(|&t| f(t)).collect()
    }

    /// $g(t)^2$ at the times.
    #[must_use]
    pub fn diffusion_squared(&self, sde: &dyn Sde) -> Vec<f64> {
        self.sample(|t| sde.diffusion_squared(t))
    }

    /// $\int_0^T v dt$ of values at the times.
    ///
    /// # Panics
    /// Where there are not as many values as times.
    #[must_use]
    pub fn integral(&self, values: &[f64]) -> f64 {
        assert_eq!(values.len(), self.times.len(), "values at the times of a rule");
        self.weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
    }

    /// $\int_0^t v ds$ at every time of the rule.
    ///
    /// # Panics
    /// As [`TimeRule::integral`].
    #[must_use]
    pub fn running(&self, values: &[f64]) -> Vec<f64> {
        assert_eq!(values.len(), self.times.len(), "values at the times of a rule");
        let mut sum = 0.0;
        match &self.kind {
            Kind::Trapezoid => (0..values.len())
                .map(|k| {
                    if k > 0 {
                        let step = self.times[k] - self.times[k - 1];
                        sum += 0.5 * step * (values[k] + values[k - 1]);
                    }
                    sum
                })
                .collect(),
            Kind::Gauss(_) => {
                let mut out = Vec::with_capacity(values.len());
                for (k, values) in values.chunks(NODES).enumerate() {
                    out.extend(self.within(k, values).iter().map(|inner| sum + inner));
                    sum += self.over(k, values);
                }
                out
            }
        }
    }

    /// The nodes of every panel of Gauss and Legendre's rule; of another rule none.
    pub(super) fn panels(&self) -> Vec<std::ops::Range<usize>> {
        match self.kind {
            Kind::Gauss(_) => {
                (0..self.times.len() / NODES).map(|k| k * NODES..(k + 1) * NODES).collect()
            }
            Kind::Trapezoid => vec![],
        }
    }

    /// Integrals from the start of a panel to its nodes, of values at these.
    pub(super) fn within(&self, panel: usize, values: &[f64]) -> Vec<f64> {
        let Kind::Gauss(integrals) = &self.kind else { return vec![] };
        let length: f64 = self.weights[panel * NODES..(panel + 1) * NODES].iter().sum();
        let row = |row: &Vec<f64>| length * row.iter().zip(values).map(|(w, v)| w * v).sum::<f64>();
        integrals.iter().map(row).collect()
    }

    /// The integral over a panel, of values at its nodes.
    pub(super) fn over(&self, panel: usize, values: &[f64]) -> f64 {
        let weights = &self.weights[panel * NODES..(panel + 1) * NODES];
        weights.iter().zip(values).map(|(w, v)| w * v).sum()
    }
}

fn check_horizon(horizon: f64) -> Result<()> {
    if horizon.is_finite() && horizon > 0.0 {
        return Ok(());
    }
    Err(Error::Parameter {
        name: "horizon".into(),
        value: horizon.to_string(),
        reason: "must be finite and positive".into(),
    })
}

/// Legendre's polynomials of degrees `0..=n` at a point.
fn legendre(n: usize, x: f64) -> Vec<f64> {
    let mut values = vec![1.0, x];
    for k in 1..n {
        let degree = k as f64;
        let next = ((2.0 * degree + 1.0) * x * values[k] - degree * values[k - 1]) / (degree + 1.0);
        values.push(next);
    }
    values
}

/// Nodes in (-1, 1), increasing, and weights.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let rule = |i: usize| {
        let mut x = -(std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..50 {
            let values = legendre(n, x);
            slope = n as f64 * (x * values[n] - values[n - 1]) / (x * x - 1.0);
            let step = values[n] / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(rule).collect()
}

/// Integrals of Lagrange's polynomials from the start of a panel of length one to its nodes, `[node][polynomial]`.
///
/// As $\ell_j = w_j \sum_k \frac{2k+1}{2} P_k(x_j) P_k$ and $(2k+1) \int_{-1}^x P_k = P_{k+1}(x) - P_{k-1}(x)$.
fn integrals(rule: &[(f64, f64)]) -> Vec<Vec<f64>> {
    let n = rule.len();
    let at: Vec<Vec<f64>> = rule.iter().map(|&(x, _)| legendre(n, x)).collect();
    let entry = |i: usize, j: usize| {
        let (x, weight) = (rule[i].0, rule[j].1);
        let sum: f64 = (1..n).map(|k| at[j][k] * (at[i][k + 1] - at[i][k - 1])).sum();
        0.25 * weight * (x + 1.0 + sum)
    };
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}
