//! Mixtures of Gaussians fitted to rows by expectation-maximisation.

use faer::{Mat, Side};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::GaussianMixture;
use crate::{Error, Key, Result};

/// Most rounds of expectation and maximisation.
const ROUNDS: usize = 300;
/// Rounds end when the mean log-density rises by less than this.
const RISE: f64 = 1e-6;
/// Added to the variances, in units of the mean variance of the rows: a component on a single point keeps a density.
const RIDGE: f64 = 1e-6;

impl GaussianMixture {
    /// The mixture of `k` Gaussians with full covariances that fits the rows best, as far as expectation-maximisation
    /// finds it: from k-means++ centres drawn under `key`, until the mean log-density rises by less than `1e-6`. With
    /// `k = 1` the maximum-likelihood Gaussian. A millionth of the mean variance is added to every variance.
    ///
    /// # Shapes
    /// `rows` is `[N, D]`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `k = 0`, fewer rows than components, rows that are all the same, or an entry that is not
    /// finite.
    ///
    /// # Reference
    /// Dempster, Laird, Rubin 1977; Arthur, Vassilvitskii 2007 (k-means++).
    ///
    /// ```
    /// use sde_core::{Key, analytic::{DataSet, GaussianMixture}};
    /// let rows = DataSet::Blob.sample(Key::root(1), 0, 2000);
    /// let fitted = GaussianMixture::fit(rows.view(), 3, Key::root(2))?;
    /// assert_eq!(fitted.sample(Key::root(3), 0, 5).dim(), (5, 2));
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    pub fn fit(rows: ArrayView2<'_, f64>, k: usize, key: Key) -> Result<Self> {
        let (n, d) = rows.dim();
        let refuse = |name: &str, value: String, reason: String| Error::Parameter {
            name: name.into(),
            value,
            reason,
        };
        if k == 0 || n < k || d == 0 {
            let reason = format!("{n} rows of {d} numbers have no such mixture");
            return Err(refuse("components", k.to_string(), reason));
        }
        if let Some(((i, j), v)) = rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
            let name = format!("row {i}, column {j}");
            return Err(refuse(&name, v.to_string(), "must be finite".into()));
        }
        let variance = rows.var_axis(Axis(0), 0.0).mean().unwrap_or(0.0);
        if variance.is_nan() || variance <= 0.0 {
            return Err(refuse(
                "variance",
                variance.to_string(),
                "the rows are all the same".into(),
            ));
        }
        let ridge = RIDGE * variance;
        let mut shares = nearest(rows, &centres(rows, k, key));
        let mut before = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            let components: Vec<Component> =
                (0..k).filter_map(|c| Component::of(rows, shares.column(c), ridge)).collect();
            let (next, log_density) = expect(rows, &components);
            shares = next;
            if log_density - before < RISE {
                return Self::of_components(&components);
            }
            before = log_density;
        }
        let last = (0..shares.ncols()).filter_map(|c| Component::of(rows, shares.column(c), ridge));
        Self::of_components(&last.collect::<Vec<_>>())
    }

    fn of_components(components: &[Component]) -> Result<Self> {
        let d = components.first().map_or(0, |c| c.mean.len());
        let weights: Vec<f64> = components.iter().map(|c| c.weight).collect();
        let means = Array2::from_shape_fn((components.len(), d), |(k, i)| components[k].mean[i]);
        let covs: Vec<_> = components.iter().map(|c| c.cov.clone()).collect();
        Self::new(&weights, &means, &covs)
    }
}

/// A Gaussian with its share of the rows.
struct Component {
    weight: f64,
    mean: Vec<f64>,
    cov: Array2<f64>,
    /// The lower factor `L` of `cov = L L^T`, row by row.
    factor: Vec<f64>,
    /// `log weight - (1/2) log det(2 pi cov)`.
    log_scale: f64,
}

impl Component {
    /// Of rows that count by shares; `None` where they add to less than a row.
    fn of(rows: ArrayView2<'_, f64>, shares: ArrayView1<'_, f64>, ridge: f64) -> Option<Self> {
        let (n, d) = rows.dim();
        let total = shares.sum();
        if total < 1.0 - 1e-9 {
            return None;
        }
        let mut mean = vec![0.0; d];
        for (row, share) in rows.rows().into_iter().zip(shares) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += share / total * x);
        }
        let mut cov = Array2::<f64>::zeros((d, d));
        let mut off = vec![0.0; d];
        for (row, share) in rows.rows().into_iter().zip(shares).filter(|(_, s)| **s > 1e-12) {
            off.iter_mut().zip(row).zip(&mean).for_each(|((o, x), m)| *o = x - m);
            for i in 0..d {
                let scaled = share / total * off[i];
                for (j, o) in off[..=i].iter().enumerate() {
                    cov[[i, j]] += scaled * o;
                }
            }
        }
        for i in 0..d {
            cov[[i, i]] += ridge;
            for j in 0..i {
                cov[[j, i]] = cov[[i, j]];
            }
        }
        let llt = Mat::from_fn(d, d, |i, j| cov[[i, j]]).llt(Side::Lower).ok()?;
        let factor: Vec<f64> = (0..d * d).map(|p| llt.L()[(p / d, p % d)]).collect();
        let log_det: f64 = (0..d).map(|i| 2.0 * factor[i * d + i].ln()).sum();
        let weight = total / n as f64;
        let log_scale = weight.ln() - 0.5 * (log_det + d as f64 * std::f64::consts::TAU.ln());
        Some(Self { weight, mean, cov, factor, log_scale })
    }

    /// `log(weight N(x; mean, cov))`; `z` is room for `D` numbers.
    fn log_density(&self, x: ArrayView1<'_, f64>, z: &mut [f64]) -> f64 {
        let d = self.mean.len();
        for i in 0..d {
            let row = &self.factor[i * d..][..d];
            let known: f64 = row[..i].iter().zip(&z[..i]).map(|(l, z)| l * z).sum();
            z[i] = (x[i] - self.mean[i] - known) / row[i];
        }
        self.log_scale - 0.5 * z.iter().map(|z| z * z).sum::<f64>()
    }
}

/// The shares of the components in every row, and the mean log-density.
fn expect(rows: ArrayView2<'_, f64>, components: &[Component]) -> (Array2<f64>, f64) {
    let mut shares = Array2::zeros((rows.nrows(), components.len()));
    let mut z = vec![0.0; rows.ncols()];
    let mut sum = 0.0;
    for (row, mut shares) in rows.rows().into_iter().zip(shares.rows_mut()) {
        for (share, component) in shares.iter_mut().zip(components) {
            *share = component.log_density(row, &mut z);
        }
        let top = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total = shares.iter().map(|l| (l - top).exp()).sum::<f64>();
        shares.mapv_inplace(|l| (l - top).exp() / total);
        sum += top + total.ln();
    }
    (shares, sum / rows.nrows().max(1) as f64)
}

/// Centres by k-means++: each next one a row drawn in proportion to its squared distance to the nearest so far.
fn centres(rows: ArrayView2<'_, f64>, k: usize, key: Key) -> Vec<usize> {
    let mut u = vec![0.0; k];
    key.fill_uniforms(0, &mut u);
    let mut chosen = vec![((u[0] * rows.nrows() as f64) as usize).min(rows.nrows() - 1)];
    let mut nearest = vec![f64::INFINITY; rows.nrows()];
    for u in &u[1..] {
        let last = rows.row(chosen[chosen.len() - 1]);
        for (near, row) in nearest.iter_mut().zip(rows.rows()) {
            *near = near.min(row.iter().zip(last).map(|(a, b)| (a - b) * (a - b)).sum());
        }
        let mut left = u * nearest.iter().sum::<f64>();
        let next = nearest.iter().position(|near| {
            left -= near;
            left < 0.0
        });
        chosen.push(next.unwrap_or(rows.nrows() - 1));
    }
    chosen
}

/// Every row whole to its nearest centre.
fn nearest(rows: ArrayView2<'_, f64>, centres: &[usize]) -> Array2<f64> {
    let mut shares = Array2::zeros((rows.nrows(), centres.len()));
    for (row, mut shares) in rows.rows().into_iter().zip(shares.rows_mut()) {
        let squares = centres
            .iter()
            .map(|c| rows.row(*c).iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
        let best = squares.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        shares[best.map_or(0, |b| b.0)] = 1.0;
    }
    shares
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::Vp;

    /// One component is the sample's mean and covariance; its log-density is the closed form.
    #[test]
    fn one_component_is_the_maximum_likelihood_gaussian() {
        let rows = array![[0.0, 1.0], [2.0, 0.5], [1.0, -1.0], [3.0, 2.0], [-1.0, 0.0]];
        let fitted = GaussianMixture::fit(rows.view(), 1, Key::root(1)).expect("a fit");
        let mean = rows.mean_axis(Axis(0)).expect("rows");
        let off = &rows - &mean;
        let mut cov = off.t().dot(&off) / 5.0;
        let ridge = RIDGE * rows.var_axis(Axis(0), 0.0).mean().expect("rows");
        cov.diag_mut().mapv_inplace(|v| v + ridge);
        let det = cov[[0, 0]] * cov[[1, 1]] - cov[[0, 1]] * cov[[1, 0]];
        let inverse = array![[cov[[1, 1]], -cov[[0, 1]]], [-cov[[1, 0]], cov[[0, 0]]]] / det;
        let vp = Vp::default();
        let found = fitted.under(&vp).log_density(&rows, 0.0).expect("a density");
        for (row, found) in off.rows().into_iter().zip(found) {
            let expected =
                -0.5 * row.dot(&inverse.dot(&row)) - 0.5 * det.ln() - std::f64::consts::TAU.ln();
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// Rows of a known mixture: the fit is no worse than the mixture itself, and not better than the rows allow.
    #[test]
    fn a_mixture_is_found_again() {
        let means = array![[-3.0, 0.0, 1.0], [3.0, 1.0, 0.0], [0.0, -4.0, 2.0]];
        let cov = array![[0.5, 0.3, 0.0], [0.3, 0.6, -0.1], [0.0, -0.1, 0.2]];
        let covs = [cov.clone(), cov.clone() * 2.0, cov * 0.5];
        let truth = GaussianMixture::new(&[0.5, 0.3, 0.2], &means, &covs).expect("a mixture");
        let (train, test) =
            (truth.sample(Key::root(1), 0, 4000), truth.sample(Key::root(2), 0, 4000));
        let fitted = GaussianMixture::fit(train.view(), 3, Key::root(3)).expect("a fit");
        let vp = Vp::default();
        let mean = |m: &GaussianMixture, x: &Array2<f64>| {
            m.under(&vp).log_density(x, 0.0).expect("densities").iter().sum::<f64>() / 4000.0
        };
        // 29 parameters: 29 / (2 n) = 0.0036 nats either way, twice that with room for chance.
        assert!(mean(&fitted, &train) > mean(&truth, &train));
        let lost = mean(&truth, &test) - mean(&fitted, &test);
        assert!((-0.002..0.012).contains(&lost), "{lost}");
    }

    #[test]
    fn what_has_no_mixture_is_refused() {
        let fit = |rows: &Array2<f64>, k| GaussianMixture::fit(rows.view(), k, Key::root(1));
        let rows = array![[0.0, 1.0], [2.0, 0.5]];
        for (rows, k, needle) in [
            (rows.clone(), 0, "components"),
            (rows, 3, "2 rows"),
            (array![[1.0, 1.0], [1.0, 1.0]], 1, "all the same"),
            (array![[1.0, f64::NAN]], 1, "row 0, column 1"),
        ] {
            let error = fit(&rows, k).expect_err("refused").to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
