//! Both flows of a model along paths from the same points of the prior.

use ndarray::{Array2, Axis, concatenate, s};
use rayon::prelude::*;
use sde_core::{Result, Reverse, Score, ScoreJvp, Sde};

use super::follow::{LawFlow, Variation, along, downward, joined_rows, no_rows};
use super::matrix::largest_eigenvalue;
use super::rule::TimeRule;

/// Rows that are followed together.
const BLOCK: usize = 256;

/// Places of both flows at the times of a rule and at both ends, from the horizon down.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlowPair {
    /// Times, descending from the horizon to 0.
    pub times: Vec<f64>,
    /// Along the flow of the SDE's law, `[N, D]` a time.
    pub sde: Vec<Array2<f64>>,
    /// Along the probability-flow ODE.
    pub ode: Vec<Array2<f64>>,
}

impl FlowPair {
    /// Both flows from the same rows, each time by `steps` steps of Runge and Kutta's method of order 4 to the next.
    ///
    /// # Errors
    /// As [`flow_coupling`](super::flow_coupling).
    ///
    /// ```
    /// use fp_residual::bounds::{FlowPair, TimeRule};
    /// use ndarray::{Array2, array};
    /// use sde_core::{FnScore, Ou};
    /// // The model of `flow_coupling`'s example: the displacement is linear in the start.
    /// let sde = Ou::new(1.0)?;
    /// let model = FnScore::new(|x: &Array2<f64>, _| Ok(x / -0.8));
    /// let law = FnScore::new(|x: &Array2<f64>, t: f64| Ok(x / -(2.0 - 1.5 * (0.5 * (t - 1.0)).exp())));
    /// let start = array![[0.5_f64.sqrt()], [2.0_f64.sqrt()]];
    /// let rule = TimeRule::trapezoid(&[0.0, 0.1, 0.3, 0.6, 1.0])?;
    /// let found = FlowPair::follow(&sde, &model, &law, &start, &rule, 32)?;
    /// let apart = found.displacements();
    /// assert!((apart[[0, 0]] - 0.015294054).abs() < 1e-8, "{apart}");
    /// assert!((apart[[1, 0]] - 2.0 * apart[[0, 0]]).abs() < 1e-10, "{apart:e}");
    /// assert_eq!(found.within(1.5), [true, false]);
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    pub fn follow(
        sde: &dyn Sde,
        score: &dyn Score<Array2<f64>>,
        law: &dyn Score<Array2<f64>>,
        start: &Array2<f64>,
        rule: &TimeRule,
        steps: usize,
    ) -> Result<Self> {
        let times = downward(sde, start, rule)?;
        let ode = in_blocks(start, |x| along(&Reverse::ode(sde, score), x, &times, steps))?;
        let flow = LawFlow { sde, score, law };
        let sde = in_blocks(start, |x| along(&flow, x, &times, steps))?;
        Ok(Self { times, sde, ode })
    }

    /// $X^S_0 - X^O_0$, a row a particle.
    #[must_use]
    pub fn displacements(&self) -> Array2<f64> {
        let last = self.times.len() - 1;
        &self.sde[last] - &self.ode[last]
    }

    /// The particles whose places are in the cube of this half-width on both flows at all of the times.
    #[must_use]
    pub fn within(&self, half_width: f64) -> Vec<bool> {
        let all = || self.sde.iter().chain(&self.ode);
        let inside = |row: usize| all().all(|x| x.row(row).iter().all(|v| v.abs() <= half_width));
        (0..self.ode[0].nrows()).map(inside).collect()
    }
}

/// What becomes of the gap's gradient at one time on the way to 0.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Carried {
    /// The time.
    pub t: f64,
    /// $\nabla r(X^S_t, t)$, `[N, D]`.
    pub gradient: Array2<f64>,
    /// $D\Phi_{0 \leftarrow t}(X^S_t) \nabla r(X^S_t, t)$, `[N, D]`.
    pub moved: Array2<f64>,
    /// $\|D\Phi_{0 \leftarrow t}(X^S_t)\|$, the largest singular value.
    pub growth: Vec<f64>,
}

/// The gap's gradient along the flow of the SDE's law, and where the flow of the ODE carries it, at the times of a rule (ascending).
///
/// $X^O_0 - X^S_0 = \int_0^T D\Phi_{0 \leftarrow t}(X^S_t) \frac{g^2}{2} \nabla r(X^S_t, t) dt$ (Alekseev and Groebner): the
/// integral of `moved` is the displacement, particle by particle, and says when it comes about. From the points of every time the
/// ODE is followed with its variational equation along every axis: `D` directional derivatives a stage, so many solves as times.
///
/// # Errors
/// As [`flow_coupling`](super::flow_coupling).
///
/// ```
/// use fp_residual::bounds::{FlowPair, TimeRule, carried};
/// use ndarray::array;
/// use sde_core::{Ou, analytic::GaussianMixture};
/// // An exact model is its own law: nothing to carry.
/// let sde = Ou::new(3.0)?;
/// let model = GaussianMixture::isotropic(&[1.0], &array![[0.0, 0.0]], &[1.0])?.under(&sde);
/// let rule = TimeRule::trapezoid(&[0.0, 1.0, 3.0])?;
/// let pair = FlowPair::follow(&sde, &model, &model, &array![[0.6, 0.1]], &rule, 16)?;
/// let found = carried(&sde, &model, &model, &pair, 16)?;
/// assert!(found[1].moved[[0, 0]].abs() < 1e-12);
/// // The ODE spreads a variance of (1 + e^-2)/2 to one.
/// assert!((found[1].growth[0] - (0.5 * (1.0 + (-2.0_f64).exp())).powf(-0.5)).abs() < 1e-6);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn carried(
    sde: &dyn Sde,
    score: &dyn ScoreJvp<Array2<f64>>,
    law: &dyn Score<Array2<f64>>,
    pair: &FlowPair,
    steps: usize,
) -> Result<Vec<Carried>> {
    let mut all = Vec::with_capacity(pair.times.len());
    for (k, (x, &t)) in pair.sde.iter().zip(&pair.times).enumerate().rev() {
        let gradient = law.score(x, t)? - score.score(x, t)?;
        let columns = jacobians(sde, score, x, &pair.times[k..], steps)?;
        let mut moved = Array2::zeros(x.dim());
        for (j, column) in columns.iter().enumerate() {
            moved = moved + column * &gradient.slice(s![.., j..=j]);
        }
        let growth = (0..x.nrows()).map(|row| norm(&columns, row)).collect();
        all.push(Carried { t, gradient, moved, growth });
    }
    Ok(all)
}

/// The columns of $D\Phi$ from the first of the times to the last, `[N, D]` each.
fn jacobians(
    sde: &dyn Sde,
    score: &dyn ScoreJvp<Array2<f64>>,
    x: &Array2<f64>,
    times: &[f64],
    steps: usize,
) -> Result<Vec<Array2<f64>>> {
    let (n, d) = x.dim();
    let unit = |j: usize| Array2::from_shape_fn((n, d), |(_, i)| f64::from(u8::from(i == j)));
    let joined: Vec<Array2<f64>> = (0..d)
        .map(|j| concatenate(Axis(1), &[x.view(), unit(j).view()]).map_err(joined_rows))
        .collect::<Result<_>>()?;
    let views: Vec<_> = joined.iter().map(|rows| rows.view()).collect();
    let start = concatenate(Axis(0), &views).map_err(joined_rows)?;
    let mut ends = in_blocks(&start, |rows| {
        let states = along(&Variation { sde, score }, rows, times, steps)?;
        Ok(states.into_iter().next_back().into_iter().collect())
    })?;
    let Some(end) = ends.pop() else { return Err(no_rows()) };
    Ok((0..d).map(|j| end.slice(s![j * n..(j + 1) * n, d..]).to_owned()).collect())
}

/// The largest singular value of the matrix of a row.
fn norm(columns: &[Array2<f64>], row: usize) -> f64 {
    let d = columns.len();
    let product =
        Array2::from_shape_fn((d, d), |(i, j)| columns[i].row(row).dot(&columns[j].row(row)));
    largest_eigenvalue(&product).max(0.0).sqrt()
}

/// States of all rows, in blocks that are solved side by side; no row depends on the others.
pub(super) fn in_blocks(
    start: &Array2<f64>,
    solve: impl Fn(Array2<f64>) -> Result<Vec<Array2<f64>>> + Sync,
) -> Result<Vec<Array2<f64>>> {
    let starts: Vec<usize> = (0..start.nrows()).step_by(BLOCK).collect();
    let blocks: Vec<Vec<Array2<f64>>> = starts
        .par_iter()
        .map(|&first| {
            let end = (first + BLOCK).min(start.nrows());
            solve(start.slice(s![first..end, ..]).to_owned())
        })
        .collect::<Result<_>>()?;
    let times = blocks.first().map_or(0, Vec::len);
    let joined = |k: usize| {
        let parts: Vec<_> = blocks.iter().map(|block| block[k].view()).collect();
        concatenate(Axis(0), &parts).map_err(joined_rows)
    };
    (0..times).map(joined).collect()
}
