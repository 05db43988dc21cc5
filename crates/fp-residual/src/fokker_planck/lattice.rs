//! Probabilities of cells under the flow, by carrying the prior forward.

use ndarray::{Array2, s};
use sde_core::normal::cdf;
use sde_core::sde::check_time;
use sde_core::{Result, ScoreJvp, Sde};
use solvers::{Control, Method, flow};

use super::grid::{geometric, outer, refuse};
use super::richardson::spread;
use super::{Characteristics, Density, Grid};

/// Points that are followed together.
const BLOCK: u64 = 1024;

/// The prior cut into cells that are carried along the flow: probabilities of the cells of a grid under the
/// probability-flow ODE (`eta = 0`), however rough its density.
///
/// A lattice of `points` along every axis covers the prior to `reach` standard deviations. Its points are followed to `t`, the
/// images of what lies between are interpolated (linearly along each axis), and `pieces` of each of its cells along every axis
/// carry their exact Gaussian masses to where they fall. That is positive and conservative; mass beyond the reach is in no
/// cell. The error is estimated by leaving out every other point along every axis.
///
/// ```
/// use fp_residual::fokker_planck::{Characteristics, Grid, PriorLattice};
/// use ndarray::array;
/// use sde_core::{Ou, analytic::GaussianMixture};
/// let data = GaussianMixture::isotropic(&[0.4, 0.6], &array![[-1.0], [0.8]], &[0.3, 0.5])?;
/// let (sde, grid) = (Ou::new(8.0)?, Grid::new(1, -3.0, 3.0, 13)?);
/// let exact = data.under(&sde);
/// let paths = Characteristics::new(1e-6);
/// let rough = PriorLattice::default().cells(&sde, &exact, &grid, 0.0, &paths)?;
/// let smooth = paths.cells(&sde, &exact, &grid, 0.0, (1e-5, 6))?;
/// assert!(rough.total_variation(&smooth) < rough.total_variation_error + 1e-5);
/// assert!(rough.total_variation_error < 5e-3);
/// # Ok::<(), sde_core::Error>(())
/// ```
///
/// # Reference
/// The equation of continuity by particles with weights (Monaghan 1992, "Smoothed particle hydrodynamics", section 2, with
/// cells for kernels).
#[derive(Clone, Copy, Debug)]
pub struct PriorLattice {
    /// Points along an axis, one more than a multiple of two.
    pub points: usize,
    /// Pieces of a lattice cell along an axis.
    pub pieces: usize,
    /// Half the side of the lattice in standard deviations of the prior.
    pub reach: f64,
    /// Steps of the flow (Dormand-Prince).
    pub steps: usize,
}

impl Default for PriorLattice {
    fn default() -> Self {
        Self { points: 901, pieces: 4, reach: 5.5, steps: 60 }
    }
}

impl PriorLattice {
    /// The probabilities of cells at time `t`; log-densities at nodes by `paths`.
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for a lattice that is none; otherwise as [`Characteristics::log_density`].
    pub fn cells(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        grid: &Grid,
        t: f64,
        paths: &Characteristics,
    ) -> Result<Density> {
        if self.points < 3 || self.points.is_multiple_of(2) || self.pieces == 0 {
            return refuse(
                "points",
                self.points,
                "a lattice has an odd number of points and pieces",
            );
        }
        if !(self.reach > 0.0 && self.reach.is_finite()) || self.steps == 0 {
            return refuse("reach", self.reach, "reach and steps must be above zero");
        }
        let t = check_time(sde, t)?;
        let (log_density, log_density_error) = paths.log_density(sde, score, &grid.points(), t)?;
        let (horizon, std) = (sde.horizon(), sde.prior_std());
        let axis = self.axis();
        let places: Vec<f64> = axis.iter().map(|z| z * std).collect();
        let start = Grid::every(&places, grid.dim());
        let images = if t == horizon {
            start
        } else {
            let control = Control::Grid(geometric(horizon, t, self.steps, 0.01 * horizon));
            let found = flow(Method::Dopri5, &control, sde, score, &start, 0, BLOCK);
            found.map_err(outer)?.0
        };
        let cells = self.deposit(grid, &axis, &images, self.pieces);
        let half: Vec<f64> = axis.iter().copied().step_by(2).collect();
        let coarse = self.deposit(grid, &half, &self.every_other(&images, grid), self.pieces);
        let errors: Vec<f64> = cells.iter().zip(&coarse).map(|(a, b)| (a - b).abs()).collect();
        Ok(Density {
            t,
            cells,
            total_variation_error: 0.5 * errors.iter().sum::<f64>(),
            cells_error: spread(grid, &errors),
            log_density,
            log_density_error,
        })
    }

    /// The lattice along an axis, in standard deviations.
    fn axis(&self) -> Vec<f64> {
        let last = (self.points - 1) as f64;
        (0..self.points).map(|i| self.reach * (2.0 * i as f64 / last - 1.0)).collect()
    }

    fn every_other(&self, images: &Array2<f64>, grid: &Grid) -> Array2<f64> {
        if grid.dim() == 1 {
            return images.slice(s![..;2, ..]).to_owned();
        }
        let n = self.points;
        let rows = (0..n).step_by(2).flat_map(|i| (0..n).step_by(2).map(move |j| i * n + j));
        images.select(ndarray::Axis(0), &rows.collect::<Vec<_>>())
    }

    /// Where the masses of lattice cells fall.
    fn deposit(&self, grid: &Grid, axis: &[f64], images: &Array2<f64>, pieces: usize) -> Vec<f64> {
        let n = axis.len();
        let cuts: Vec<f64> = (0..=(n - 1) * pieces)
            .map(|i| {
                let (cell, share) = (i / pieces, (i % pieces) as f64 / pieces as f64);
                let next = axis[(cell + 1).min(n - 1)];
                cdf(axis[cell] + share * (next - axis[cell]))
            })
            .collect();
        let mass = |i: usize| cuts[i + 1] - cuts[i];
        let share = |piece: usize| (piece as f64 + 0.5) / pieces as f64;
        let mut cells = vec![0.0; grid.n_nodes()];
        if grid.dim() == 1 {
            for i in 0..(n - 1) * pieces {
                let (cell, u) = (i / pieces, share(i % pieces));
                let x = (1.0 - u) * images[[cell, 0]] + u * images[[cell + 1, 0]];
                grid.cell_of(&[x]).into_iter().for_each(|c| cells[c] += mass(i));
            }
            return cells;
        }
        for i in 0..(n - 1) * pieces {
            let (row, u) = (i / pieces, share(i % pieces));
            for j in 0..n - 1 {
                let corner = |di: usize, dj: usize| images.row((row + di) * n + j + dj);
                let corners = [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)];
                let side = |c: usize, a: usize| (1.0 - u) * corners[c][a] + u * corners[c + 1][a];
                let (left, right) = ([side(0, 0), side(0, 1)], [side(2, 0), side(2, 1)]);
                for piece in 0..pieces {
                    let v = share(piece);
                    let x = [0, 1].map(|a| (1.0 - v) * left[a] + v * right[a]);
                    let weight = mass(i) * mass(j * pieces + piece);
                    grid.cell_of(&x).into_iter().for_each(|c| cells[c] += weight);
                }
            }
        }
        cells
    }
}
