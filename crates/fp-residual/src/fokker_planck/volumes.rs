//! Finite volumes for the Fokker-Planck equation of any sampler of the family.

use std::fmt::Debug;

use ndarray::Array2;
use sde_core::counts::in_time;
use sde_core::sde::check_time;
use sde_core::{Error, Result, Sde};

use super::grid::{Mesh, geometric, refuse};
use super::lines::{Layout, Lines};
use super::richardson::{FEWEST, MULTIPLES, density};
use super::{Density, Evolution, Grid, Model};

/// The density of what `dx = (a x - (1 + eta^2)/2 g^2 s) dt + eta g dW` draws, run backward in time from
/// `N(0, prior_std^2 I)` at the horizon, without a sample: with `tau = T - t` it solves
///
/// `d_tau q = -div(B q) + D Lap q`, `B = -a x + (1 + eta^2)/2 g^2 s`, `D = eta^2 g^2 / 2`.
///
/// Cells are finite volumes with the fluxes of Scharfetter and Gummel, which are conservative, positive, exact for the
/// stationary state of a potential, of order two in the side of a cell and upwind where the drift outweighs the noise. Time
/// is split by axis (Strang), coefficients taken in the middle of a step, each axis an L-stable implicit step of order two;
/// the steps are even in `log(t + shift)`. Three resolutions at least, cells and steps refined together, are extrapolated, and the error is estimated
/// from them.
///
/// Small `eta` needs small cells, `h` below `eta^2 / |s|`; for `eta = 0` there is [`super::Characteristics`]. What
/// leaves the box and its margin does not return, and is counted. Mass outside of them is not followed: the margin must hold the
/// prior, and there are no moving coordinates.
///
/// ```
/// use fp_residual::fokker_planck::{FiniteVolumes, Grid, Model};
/// use ndarray::array;
/// use sde_core::{Ou, analytic::GaussianMixture};
///
/// // An exact potential: the sampler draws the data, whatever eta.
/// let data = GaussianMixture::isotropic(&[0.4, 0.6], &array![[-1.0], [0.8]], &[0.3, 0.5])?;
/// let sde = Ou::new(16.0)?;
/// let exact = data.under(&sde);
/// let grid = Grid::new(1, -3.0, 3.0, 31)?.with_margin(2.0)?;
/// let found = FiniteVolumes::new(grid, 1.0).solve(&sde, &Model::of_potential(&exact), &[0.0])?;
/// let truth = exact.log_density(&found.grid.points(), 0.0)?;
/// let q = found.last();
/// for ((log_q, error), log_p) in q.log_density.iter().zip(&q.log_density_error).zip(&truth) {
///     assert!((log_q - log_p).abs() < error + 1e-6 && (log_q.exp() - log_p.exp()).abs() < 1e-5);
/// }
/// # Ok::<(), sde_core::Error>(())
/// ```
///
/// # Reference
/// The equation: Song et al. 2021, arXiv 2011.13456, appendix D; Deveney et al. 2025, arXiv 2311.15996. Scharfetter,
/// Gummel 1969; Strang 1968, "On the construction and comparison of difference schemes".
#[derive(Clone, Debug)]
pub struct FiniteVolumes {
    /// Where the density is wanted.
    pub grid: Grid,
    /// How stochastic the sampler is, above 0.
    pub eta: f64,
    /// Cells a spacing of the coarsest resolution, an even number.
    pub cells: usize,
    /// Steps of the coarsest resolution.
    pub steps: usize,
    /// The times around 0 at which steps become even in `t`, a share of the horizon.
    pub shift: f64,
    /// The largest estimated error in total variation that is accepted; `None` for three resolutions whatever they give.
    pub tolerance: Option<f64>,
    /// How many resolutions are tried at most to reach the tolerance; each is 1, 2, 3, 4, 6, 8, 12, 16, 24 times as
    /// fine as the coarsest.
    pub most_resolutions: usize,
}

impl FiniteVolumes {
    /// Two cells a spacing and 40 steps to begin with, and no tolerance.
    pub fn new(grid: Grid, eta: f64) -> Self {
        let (tolerance, most_resolutions) = (None, 6);
        Self { grid, eta, cells: 2, steps: 40, shift: 0.01, tolerance, most_resolutions }
    }

    /// With resolutions refined until the estimated error in total variation is below this.
    #[must_use]
    pub fn with_tolerance(self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self }
    }

    /// The density at `times`, descending, of the sampler that starts at the horizon.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `eta` not above zero, times that do not descend, settings that make no sense, and a
    /// tolerance that the resolutions allowed do not reach; [`Error::Time`] for times outside of the process;
    /// [`Error::Excess`] for more cells or steps than there is memory or time for; whatever the model fails with.
    pub fn solve(&self, sde: &dyn Sde, model: &Model<'_>, times: &[f64]) -> Result<Evolution> {
        self.check(sde, times)?;
        let mut levels = Vec::new();
        let wanted = if self.tolerance.is_some() { self.most_resolutions } else { FEWEST };
        for multiple in MULTIPLES.into_iter().take(wanted.max(FEWEST)) {
            levels.push(Run { how: self, sde, model, times }.level(multiple)?);
            let Some(three) = levels.last_chunk::<FEWEST>() else { continue };
            let found = self.extrapolated(three);
            if self.tolerance.is_none_or(|tolerance| found.error() <= tolerance) {
                return Ok(found);
            }
        }
        let finest = levels.last_chunk::<FEWEST>().map(|three| self.extrapolated(three));
        let (error, (cells, steps)) =
            finest.map_or((f64::NAN, (0, 0)), |f| (f.error(), f.resolutions[FEWEST - 1]));
        let reason = format!(
            "the estimated error in total variation is {error:.1e} with {cells} cells a spacing and {steps} steps: allow more \
             resolutions or begin with a finer one"
        );
        refuse("tolerance", self.tolerance.unwrap_or(f64::NAN), &reason)
    }

    fn check(&self, sde: &dyn Sde, times: &[f64]) -> Result<()> {
        if !(self.eta > 0.0 && self.eta.is_finite()) {
            return refuse(
                "eta",
                self.eta,
                "finite volumes need noise: for the flow there are characteristics",
            );
        }
        if self.steps == 0 || !(self.shift > 0.0 && self.shift.is_finite()) {
            return refuse("steps", self.steps, "steps and their shift must be above zero");
        }
        if times.is_empty() {
            return refuse("times", "none", "at least one is needed");
        }
        let mut before = f64::INFINITY;
        for &t in times {
            if check_time(sde, t)? >= before {
                return refuse("times", t, "they must descend");
            }
            before = t;
        }
        let (horizon, std) = (sde.horizon(), sde.prior_std());
        if !(sde.drift_coef(horizon).is_finite()
            && sde.diffusion_squared(horizon).is_finite()
            && std > 0.0)
        {
            return refuse("sde", sde.name(), "its coefficients are infinite at the horizon");
        }
        Ok(())
    }

    /// Three resolutions as one.
    fn extrapolated(&self, levels: &[Level; FEWEST]) -> Evolution {
        let n = levels[0].snapshots.len();
        let (mut densities, mut gaps): (Vec<Density>, Vec<[f64; 4]>) = (vec![], vec![]);
        for i in 0..n {
            let of = |l: usize| (levels[l].multiple, &levels[l].snapshots[i].values[..]);
            let t = levels[0].snapshots[i].t;
            let (density, values, errors) = density(&self.grid, t, &[of(0), of(1), of(2)]);
            densities.push(density);
            gaps.push([values[0], errors[0], values[1], errors[1]]);
        }
        let worst = |of: fn(&Level) -> f64| levels.iter().map(of).fold(0.0, f64::max);
        Evolution {
            grid: self.grid.clone(),
            densities,
            score_gap: gaps.iter().map(|g| g[0]).collect(),
            score_gap_error: gaps.iter().map(|g| g[1]).collect(),
            left: gaps.iter().map(|g| g[2]).collect(),
            imbalance: worst(|l| l.imbalance),
            outside_at_start: levels[FEWEST - 1].outside,
            clipped: worst(|l| l.clipped),
            resolutions: levels.iter().map(|l| (l.cells, l.steps)).collect(),
        }
    }
}

/// One resolution.
#[derive(Debug)]
struct Level {
    multiple: usize,
    cells: usize,
    steps: usize,
    snapshots: Vec<Snapshot>,
    outside: f64,
    imbalance: f64,
    clipped: f64,
}

/// What is kept of a time: probabilities of cells, log-densities at nodes, the gap of scores and what left.
#[derive(Debug)]
struct Snapshot {
    t: f64,
    values: Vec<f64>,
}

/// A solve at one resolution after the other.
struct Run<'a> {
    how: &'a FiniteVolumes,
    sde: &'a dyn Sde,
    model: &'a Model<'a>,
    times: &'a [f64],
}

/// The densities in all cells, and an account of the mass.
struct State {
    q: Vec<f64>,
    left: f64,
    clipped: f64,
}

impl Run<'_> {
    fn level(&self, multiple: usize) -> Result<Level> {
        let cells = self.how.cells * multiple;
        let mesh = self.how.grid.mesh(cells)?;
        let intervals = self.intervals(multiple);
        let steps: usize = intervals.iter().map(|i| i.len() - 1).sum();
        let work = [("cells", mesh.len() as u64), ("steps", steps as u64)];
        in_time(&work).map_err(Error::Excess)?;
        let mut state = State { q: self.prior(&mesh), left: 0.0, clipped: 0.0 };
        let mass = |state: &State| mesh.volume() * state.q.iter().sum::<f64>();
        let (start, mut imbalance, mut snapshots) = (mass(&state), 0.0_f64, vec![]);
        for interval in &intervals {
            for step in interval.windows(2) {
                self.step(&mesh, &mut state, step[0], step[1])?;
                let account = mass(&state) + (state.left - state.clipped) * mesh.volume();
                imbalance = imbalance.max((account - start).abs());
            }
            let t = *interval.last().expect("an interval has an end");
            snapshots.push(self.snapshot(&mesh, &state, t)?);
        }
        let clipped = state.clipped * mesh.volume();
        let outside = 1.0 - start;
        Ok(Level { multiple, cells, steps, snapshots, outside, imbalance, clipped })
    }

    /// Times of the steps up to each time asked for, from that before it: the same share of the steps at every resolution.
    fn intervals(&self, multiple: usize) -> Vec<Vec<f64>> {
        let (horizon, last) = (self.sde.horizon(), *self.times.last().expect("checked"));
        let shift = self.how.shift * horizon;
        let clock = |t: f64| (t + shift).ln();
        let whole = clock(horizon) - clock(last);
        let mut from = horizon;
        let mut intervals = vec![];
        for &to in self.times {
            let length = clock(from) - clock(to);
            let least = usize::from(to < from);
            let share = self.how.steps as f64 * length / whole.max(f64::MIN_POSITIVE);
            let n = (share.round() as usize).max(least) * multiple;
            intervals.push(geometric(from, to, n, shift));
            from = to;
        }
        intervals
    }

    /// The prior at the middles of cells.
    fn prior(&self, mesh: &Mesh) -> Vec<f64> {
        let variance = self.sde.prior_std().powi(2);
        let scale = (std::f64::consts::TAU * variance).powf(-0.5 * mesh.dim as f64);
        let at = |x: ndarray::ArrayView1<'_, f64>| scale * (-0.5 * x.dot(&x) / variance).exp();
        let centres: Array2<f64> = mesh.centres();
        centres.rows().into_iter().map(at).collect()
    }

    /// From `t` down to `s`, by axis: half a step along each but the last, a whole one along the last, and back.
    fn step(&self, mesh: &Mesh, state: &mut State, t: f64, s: f64) -> Result<()> {
        let (middle, tau) = (0.5 * (t + s), t - s);
        let axes = self.lines(mesh, middle)?;
        let half = mesh.dim - 1;
        for (i, axis) in (0..half).chain([half]).chain((0..half).rev()).enumerate() {
            let share = if i == half { 1.0 } else { 0.5 };
            state.left += axes[axis].advance(&mut state.q, share * tau);
            for q in state.q.iter_mut().filter(|q| **q < 0.0) {
                state.clipped -= *q;
                *q = 0.0;
            }
        }
        match state.q.iter().position(|q| !q.is_finite()) {
            Some(row) => Err(Error::NonFinite { what: "the density", value: state.q[row], row }),
            None => Ok(()),
        }
    }

    /// The operators of the axes at `t`.
    fn lines(&self, mesh: &Mesh, t: f64) -> Result<Vec<Lines>> {
        let (g2, eta2) = (self.sde.diffusion_squared(t), self.how.eta.powi(2));
        let (a, pull) = (self.sde.drift_coef(t), 0.5 * (1.0 + eta2) * g2);
        let (h, faces) = (mesh.h(), mesh.faces());
        let differences = self.model.differences(mesh, t)?;
        let axis = |(axis, phi): (usize, &Vec<f64>)| {
            let layout = Layout::of(axis, mesh.n, mesh.dim);
            let inner = Layout { n: mesh.n - 1, ..layout };
            let beta = |i: usize, l: usize| pull * phi[inner.at(i, l)] - a * h * faces[i + 1];
            Lines::new(layout, h, 0.5 * eta2 * g2, beta)
        };
        Ok(differences.iter().enumerate().map(axis).collect())
    }

    fn snapshot(&self, mesh: &Mesh, state: &State, t: f64) -> Result<Snapshot> {
        let (q, volume) = (&state.q, mesh.volume());
        let log = |cell: usize| q[cell].max(f64::MIN_POSITIVE).ln();
        let mut values = mesh.node_sums(|cell| q[cell] * volume);
        values.extend(mesh.at_nodes(log));
        values.push(self.score_gap(mesh, q, t)?);
        values.push(state.left * volume);
        Ok(Snapshot { t, values })
    }

    /// The integral of `q |grad log q - s|^2` over the box, from differences over faces; those on its border count half.
    fn score_gap(&self, mesh: &Mesh, q: &[f64], t: f64) -> Result<f64> {
        let (h, mut sum) = (mesh.h(), 0.0);
        for (axis, phi) in self.model.differences(mesh, t)?.iter().enumerate() {
            let cells = Layout::of(axis, mesh.n, mesh.dim);
            let inner = Layout { n: mesh.n - 1, ..cells };
            for l in (0..cells.across).filter(|l| mesh.dim == 1 || mesh.inside(*l)) {
                for i in 0..mesh.n - 1 {
                    let share = [i, i + 1].iter().filter(|i| mesh.inside(**i)).count();
                    let (below, above) = (q[cells.at(i, l)], q[cells.at(i + 1, l)]);
                    if share == 0 || below <= 0.0 || above <= 0.0 {
                        continue;
                    }
                    let slope = ((above / below).ln() - phi[inner.at(i, l)]) / h;
                    sum += 0.25 * share as f64 * (below + above) * slope * slope;
                }
            }
        }
        Ok(sum * mesh.volume())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use sde_core::Ou;
    use sde_core::analytic::GaussianMixture;

    use super::*;

    /// Without extrapolation the error falls with the square of the side and of the step, on a line and in a plane: least squares
    /// over four dyadic levels.
    #[test]
    fn one_resolution_is_of_order_two() -> Result<()> {
        let sde = Ou::new(8.0)?;
        for dim in [1, 2] {
            let means = array![[-0.8, 0.3], [0.7, -0.2]];
            let means = means.slice(ndarray::s![.., ..dim]).to_owned();
            let data = GaussianMixture::isotropic(&[0.4, 0.6], &means, &[0.6, 0.5])?;
            let exact = data.under(&sde);
            let model = Model::of_values(|x, t| exact.log_density(x, t));
            let grid = Grid::new(dim, -1.5, 1.5, 6)?.with_margin(2.4)?;
            let truth = Density::known(&grid, 0.0, 8, |x| exact.log_density(x, 0.0))?;
            let how = FiniteVolumes { steps: 24, ..FiniteVolumes::new(grid, 1.0) };
            let run = Run { how: &how, sde: &sde, model: &model, times: &[0.0] };
            let points: Result<Vec<(f64, f64)>> = [1, 2, 4, 8]
                .into_iter()
                .map(|multiple| {
                    let level = run.level(multiple)?;
                    let cells = &level.snapshots[0].values[..truth.cells.len()];
                    let off = cells.iter().zip(&truth.cells).map(|(a, b)| (a - b).abs());
                    Ok((f64::from(multiple as u32).ln(), off.sum::<f64>().ln()))
                })
                .collect();
            let points = points?;
            let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / 4.0;
            let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
            let along: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
            let order = -along / points.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>();
            assert!((order - 2.0).abs() < 0.15, "{dim}: {order} {points:?}");
        }
        Ok(())
    }
}
