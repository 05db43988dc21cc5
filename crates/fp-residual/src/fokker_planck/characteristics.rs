//! The density of the flow, along its paths.

use ndarray::{Array2, Axis};
use sde_core::sde::check_time;
use sde_core::{Key, Result, ScoreJvp, Sde};
use solvers::Control;
use solvers::density::{Divergence, FlowDensity, flow_log_density, standard_log_prior};

use super::grid::{geometric, outer, refuse};
use super::richardson::{MULTIPLES, density};
use super::{Density, Grid};

/// Points that are followed together.
const BLOCK: u64 = 512;

/// Steps of the coarsest solve; each point doubles them until two solves agree.
const STEPS: usize = 16;

/// The density of the probability-flow ODE (`eta = 0`) without a sample, by the divergence along its paths, from
/// `N(0, prior_std^2 I)` at the horizon:
///
/// `log q(x, t) = log N(X_T) + int_t^T div v dt`, `v = a x - g^2/2 s`, `X_t = x`.
///
/// Every point is followed in steps (Dormand-Prince, even in `log(t + T/100)`) that are halved until two solves agree in the
/// log-density and in the end of the path. A density is smooth along paths and can be rough across them: cells are
/// integrated over ever finer sub-cells with an error estimate, and where that fails ([`Characteristics::cells`])
/// [`super::PriorLattice`] is the way.
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
    /// How often steps are halved at most, from 16 of them; a point that has not converged then has an error
    /// above the tolerance.
    pub halvings: u32,
}

impl Characteristics {
    /// With this tolerance, and eight halvings at most.
    pub fn new(tolerance: f64) -> Self {
        Self { tolerance, halvings: 8 }
    }

    /// Log-densities at rows `x` at time `t`, and their estimated errors: the differences between the last two solves of
    /// each point.
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
                errors[row] = (finer[i] - found[row]).abs().max(apart);
                found[row] = finer[i];
                ends.row_mut(row).assign(&at.row(i));
            }
            open.retain(|row| errors[*row] > self.tolerance);
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

    /// Log-densities at the nodes of a grid, and the probabilities of its cells by the midpoint rule over sub-cells, 2 and 4 a
    /// spacing at first and extrapolated, then 6, 8, 12 and so on, until the estimated error in total variation is below
    /// `tolerance`.
    ///
    /// # Errors
    /// As [`Characteristics::log_density`]; [`sde_core::Error::Parameter`] where `most_resolutions` do not reach the
    /// tolerance, or the error does not halve from one to the next: the density is rough within cells.
    pub fn cells(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        grid: &Grid,
        t: f64,
        (tolerance, most_resolutions): (f64, usize),
    ) -> Result<Density> {
        let (log_density, log_density_error) = self.log_density(sde, score, &grid.points(), t)?;
        let mut levels: Vec<(usize, Vec<f64>)> = vec![];
        let mut best = f64::INFINITY;
        for multiple in MULTIPLES.into_iter().take(most_resolutions.max(2)) {
            let mesh = grid.inner_mesh(2 * multiple)?;
            let (log_q, errors) = self.log_density(sde, score, &mesh.centres(), t)?;
            let mass = |cell: usize| mesh.volume() * log_q[cell].exp();
            let mut values = mesh.node_sums(mass);
            values.extend(&log_density);
            levels.push((multiple, values));
            if levels.len() < 2 {
                continue;
            }
            // What the paths are wrong by, in total variation.
            let along: f64 = (0..mesh.len()).map(|c| mass(c) * errors[c].exp_m1().min(1.0)).sum();
            let all: Vec<_> = levels.iter().map(|(m, values)| (*m, &values[..])).collect();
            let (mut found, ..) = density(grid, t, &all);
            found.total_variation_error += 0.5 * along;
            let before = std::mem::replace(&mut best, found.total_variation_error);
            if best <= tolerance {
                return Ok(Density { log_density, log_density_error, ..found });
            }
            if best > 0.5 * before {
                break;
            }
        }
        let reason = format!(
            "the estimated error in total variation is {best:.1e} with {} resolutions: the density of the flow is rough \
             within cells; carry the prior forward instead, or give a larger one",
            levels.len()
        );
        refuse("tolerance", tolerance, &reason)
    }
}
