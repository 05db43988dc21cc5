//! The density of the flow, along its paths.

use ndarray::{Array2, Axis};
use sde_core::sde::check_time;
use sde_core::{Key, Result, ScoreJvp, Sde};
use solvers::density::{Divergence, FlowDensity, flow_log_density, standard_log_prior};
use solvers::{Control, Method, flow};

use super::borders::{Ends, masses};
use super::grid::{geometric, outer, refuse};
use super::richardson::spread;
use super::{Density, Grid};

/// Points that are followed together.
const BLOCK: u64 = 512;

/// Steps of the coarsest solve; each point doubles them until two solves agree.
const STEPS: usize = 12;

/// What is left of the difference of two solves in the finer one: a thirty-second by the order of the method, and a quarter, as
/// of order two, is what kinks of a network leave of it.
const LEFT: f64 = 0.25;

/// How many times its estimated error a path may be off where only that makes it matter.
const DOUBT: f64 = 10.0;

/// The density of the probability-flow ODE (`eta = 0`) without a sample, by the divergence along its paths, from
/// `N(0, prior_std^2 I)` at the horizon:
///
/// `log q(x, t) = log N(X_T) + int_t^T div v dt`, `v = a x - g^2/2 s`, `X_t = x`.
///
/// Every point is followed in steps (Dormand-Prince, even in `log(t + T/100)`) that are halved until two solves agree in the
/// log-density and in the end of the path; a quarter of their difference is the estimated error. A density is smooth along paths
/// and can be rough across them: cells are found from where their borders are carried ([`Characteristics::cells`]).
///
/// ```
/// use fp_residual::fokker_planck::Characteristics;
/// use ndarray::array;
/// use sde_core::{Ou, analytic::GaussianMixture};
/// let data = GaussianMixture::isotropic(&[0.4, 0.6], &array![[-1.0, 0.0], [0.8, 0.2]], &[0.3, 0.5])?;
/// let sde = Ou::new(16.0)?;
/// let (exact, x) = (data.under(&sde), array![[0.3, 0.1], [-1.0, 2.0]]);
/// let (found, error) = Characteristics::new(1e-9).log_density(&sde, &exact, &x, 0.0)?;
/// for ((found, error), truth) in found.iter().zip(&error).zip(exact.log_density(&x, 0.0)?) {
///     // The sampler starts from the prior, not from the law of the data at T, whose mean is e^-16 of theirs.
///     assert!(*error < 1e-9 && (found - truth).abs() < 1e-6);
/// }
/// # Ok::<(), sde_core::Error>(())
/// ```
///
/// # Reference
/// Chen et al. 2018, arXiv 1806.07366, theorem 1; Song et al. 2021, arXiv 2011.13456, appendix D.2.
#[derive(Clone, Copy, Debug)]
pub struct Characteristics {
    /// The largest estimated error of a log-density.
    pub tolerance: f64,
    /// How often steps are halved at most, from 12 of them; a point that has not converged then has an error
    /// above the tolerance.
    pub halvings: u32,
}

impl Characteristics {
    /// With this tolerance, and eight halvings at most.
    pub fn new(tolerance: f64) -> Self {
        Self { tolerance, halvings: 8 }
    }

    /// Log-densities at rows `x` at time `t`, and their estimated errors, from the last two solves of each point.
    ///
    /// # Shapes
    /// `x`: `[N, D]`; the results one value a row.
    ///
    /// # Errors
    /// [`sde_core::Error::Time`] for `t` outside of the process; [`sde_core::Error::Model`] with the error of a path that cannot be solved,
    /// or the model's own.
    pub fn log_density(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        self.until(&|_, error| error <= self.tolerance, sde, score, x, t)
    }

    /// The same, until the log-density and the error of each point are `enough`.
    fn until(
        &self,
        enough: &dyn Fn(f64, f64) -> bool,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let t = check_time(sde, t)?;
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            return refuse("tolerance", self.tolerance, "must be above zero");
        }
        if t == sde.horizon() || x.nrows() == 0 {
            return Ok((standard_log_prior(sde, x)?, vec![0.0; x.nrows()]));
        }
        let mut open: Vec<usize> = (0..x.nrows()).collect();
        let (mut found, mut ends) = self.follow(sde, score, x, t, STEPS)?;
        let (mut errors, std) = (vec![f64::INFINITY; x.nrows()], sde.prior_std());
        for halving in 1..=self.halvings.max(1) {
            let points = x.select(Axis(0), &open);
            let (finer, at) = self.follow(sde, score, &points, t, STEPS << halving)?;
            for (i, &row) in open.iter().enumerate() {
                let moved = &at.row(i) - &ends.row(row);
                let apart = moved.iter().fold(0.0_f64, |most, d| most.max(d.abs())) / std;
                errors[row] = LEFT * (finer[i] - found[row]).abs().max(apart);
                found[row] = finer[i];
                ends.row_mut(row).assign(&at.row(i));
            }
            open.retain(|row| !enough(found[*row], errors[*row]));
            if open.is_empty() {
                break;
            }
        }
        Ok((found, errors))
    }

    /// Log-densities and ends of paths in so many steps.
    fn follow(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        x: &Array2<f64>,
        t: f64,
        steps: usize,
    ) -> Result<(Vec<f64>, Array2<f64>)> {
        let horizon = sde.horizon();
        let control = Control::Grid(geometric(t, horizon, steps, 0.01 * horizon));
        let flow = FlowDensity { divergence: Divergence::Exact, control, block_rows: BLOCK };
        let prior = |x: &Array2<f64>| standard_log_prior(sde, x);
        let found =
            flow_log_density(&flow, sde, score, x, &prior, Key::root(0), 0).map_err(outer)?;
        Ok((found.log_density, found.latent))
    }

    /// Log-densities at the nodes of a grid, and the probabilities of its cells: the prior's of what the flow takes them to, from
    /// where it takes their borders. Sides are halved where their images bend or jump, until the estimated error in total
    /// variation is below `tolerance` or they are halved `most_halvings` times (31 at most), or twice as many places do not take it
    /// below 0.7 of what it was: then the error that is returned is above the tolerance, as it is of a flow that parts neighbouring
    /// numbers of its network's precision, or one that folds the plane. Paths from places of little density are followed as well as
    /// that asks for.
    ///
    /// # Errors
    /// As [`Characteristics::log_density`].
    pub fn cells(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        grid: &Grid,
        t: f64,
        (tolerance, most_halvings): (f64, usize),
    ) -> Result<Density> {
        let t = check_time(sde, t)?;
        let volume = grid.volume();
        let enough = |log_q: f64, error: f64| {
            let most = (log_q + DOUBT * error).exp();
            error * (most * volume).min(1.0) <= self.tolerance
        };
        let (log_density, log_density_error) =
            self.until(&enough, sde, score, &grid.points(), t)?;
        let std = sde.prior_std();
        let carry = |x: &Array2<f64>| self.carry(sde, score, x, t);
        let found = masses(grid, std, (tolerance, most_halvings), &carry)?;
        Ok(Density {
            t,
            cells: found.cells,
            total_variation_error: 0.5 * found.errors.iter().sum::<f64>(),
            cells_error: spread(grid, &found.errors),
            log_density,
            log_density_error,
        })
    }

    /// Where the flow takes rows from `t`, and where it takes them by how much less sure the solve of half as many steps
    /// is; steps are halved until they agree to a tenth of the tolerance in standard deviations of the prior, where that has mass: cells see
    /// a few times as much.
    fn carry(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<Ends> {
        let (horizon, std) = (sde.horizon(), sde.prior_std());
        if t == horizon {
            return Ok([x.clone(), x.clone()]);
        }
        let follow = |x: &Array2<f64>, steps: usize| -> Result<Array2<f64>> {
            let control = Control::Grid(geometric(t, horizon, steps, 0.01 * horizon));
            Ok(flow(Method::Dopri5, &control, sde, score, x, 0, BLOCK).map_err(outer)?.0)
        };
        let mut open: Vec<usize> = (0..x.nrows()).collect();
        let mut ends = follow(x, STEPS)?;
        let mut off = Array2::zeros(x.dim());
        for halving in 1..=self.halvings.max(1) {
            let finer = follow(&x.select(Axis(0), &open), STEPS << halving)?;
            for (end, &row) in finer.rows().into_iter().zip(&open) {
                off.row_mut(row).assign(&(LEFT * (&ends.row(row) - &end)));
                ends.row_mut(row).assign(&end);
            }
            open.retain(|row| {
                let length = |v: ndarray::ArrayView1<'_, f64>| v.dot(&v).sqrt() / std;
                let off = length(off.row(*row));
                // As much mass as there is where the path may end.
                let near = (length(ends.row(*row)) - DOUBT * off).max(0.0);
                (-0.5 * near * near).exp() * off > 0.25 * self.tolerance
            });
            if open.is_empty() {
                break;
            }
        }
        let coarser = &ends + &off;
        Ok([ends, coarser])
    }
}
