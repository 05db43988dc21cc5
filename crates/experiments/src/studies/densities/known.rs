//! What bounds and maps ask of a model on the nodes, at the times of its evolution.

use anyhow::Result;
use fp_residual::bounds::{GapField, TimeRule};
use fp_residual::fokker_planck::Evolution;
use ndarray::{Array2, Axis, concatenate, s};
use rayon::prelude::*;
use sde_core::log_density_residual;

use super::given::Given;

/// Rows that are evaluated together.
const ROWS: usize = 4096;

/// A model on nodes and at times, all ascending in time.
pub(super) struct Known {
    pub(super) rule: TimeRule,
    pub(super) g_squared: Vec<f64>,
    /// `E |grad r|^2` under the SDE at every time, as the finite volumes have it.
    pub(super) gap: Vec<f64>,
    /// All nodes, and which of them lie in the window.
    pub(super) nodes: Array2<f64>,
    pub(super) inside: Vec<bool>,
    /// Probabilities of cells, and log-densities, a time each.
    pub(super) cells: Vec<Vec<f64>>,
    pub(super) log_density: Vec<Vec<f64>>,
    /// The residual at the nodes.
    pub(super) residual: Vec<Vec<f64>>,
    /// `r` at the horizon: the logarithm of the prior less the potential.
    pub(super) mismatch: Vec<f64>,
    /// `r` between the nodes and times, and from every other of them.
    pub(super) field: GapField,
    pub(super) coarse: GapField,
}

impl Known {
    pub(super) fn new(given: &Given<'_>, evolution: &Evolution, half_width: f64) -> Result<Self> {
        let nodes = evolution.grid.points();
        let mut times: Vec<f64> = evolution.densities.iter().map(|d| d.t).collect();
        let shift = 0.01 * given.sde.horizon();
        let (mut residual, mut values): (Vec<_>, Vec<Vec<f64>>) = (vec![], vec![]);
        for density in &evolution.densities {
            let (phi, at) = given.potential_and_residual(&nodes, density.t)?;
            values.push(ratio(&density.log_density, &phi));
            residual.push(at);
        }
        let mismatch: Vec<f64> = values.first().cloned().unwrap_or_default();
        let field = GapField::new(&evolution.grid, &times, shift, values)?;
        let coarse = field.coarser()?;
        times.reverse();
        residual.reverse();
        let rule = TimeRule::trapezoid(&times)?;
        let reversed = |of: fn(&fp_residual::fokker_planck::Density) -> &Vec<f64>| {
            evolution.densities.iter().rev().map(|d| of(d).clone()).collect()
        };
        let edge = half_width * (1.0 + 1e-9);
        let inside = nodes.outer_iter().map(|x| x.iter().all(|v| v.abs() <= edge)).collect();
        Ok(Self {
            g_squared: rule.diffusion_squared(given.sde),
            gap: evolution.score_gap.iter().rev().map(|gap| gap.max(0.0)).collect(),
            cells: reversed(|d| &d.cells),
            log_density: reversed(|d| &d.log_density),
            rule,
            nodes,
            inside,
            residual,
            mismatch,
            field,
            coarse,
        })
    }

    /// `g^2/2 |grad r|^2 q` at the nodes: what the energy is the integral of over place and time.
    pub(super) fn made(&self, k: usize) -> Vec<f64> {
        let slopes = self.field.gradients(&self.nodes, self.rule.times()[k]);
        let rows = slopes.outer_iter().zip(&self.log_density[k]);
        rows.map(|(g, q)| 0.5 * self.g_squared[k] * g.dot(&g) * q.exp()).collect()
    }

    /// `R` at the nodes less its mean under the SDE.
    pub(super) fn centred_residual(&self, k: usize) -> Vec<f64> {
        let (cells, residual) = (&self.cells[k], &self.residual[k]);
        let mass: f64 = cells.iter().sum();
        let mean = residual.iter().zip(cells).map(|(r, p)| r * p).sum::<f64>() / mass;
        residual.iter().map(|r| r - mean).collect()
    }

    /// The least and the largest of the residual over the window.
    pub(super) fn oscillation(&self, values: &[f64]) -> f64 {
        let within = || values.iter().zip(&self.inside).filter(|(_, inside)| **inside);
        let most = within().map(|(v, _)| *v).fold(f64::NEG_INFINITY, f64::max);
        most - within().map(|(v, _)| *v).fold(f64::INFINITY, f64::min)
    }
}

impl Given<'_> {
    /// `phi` and `R` at rows.
    pub(super) fn potential_and_residual(
        &self,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let found = in_blocks(x, |x| {
            let times = vec![t; x.nrows()];
            let phi = self.phi.derivatives(x, &times)?;
            let residual = log_density_residual(&phi, x, &times, self.sde)?;
            Ok(phi.potential.into_iter().zip(residual).collect::<Vec<_>>())
        })?;
        Ok(found.into_iter().unzip())
    }

    /// `grad R` at rows, by central differences.
    pub(super) fn grad_residual(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
        let (n, d) = x.dim();
        let at = self.sde.marginal(t);
        let h = self.difference * at.alpha.hypot(at.sigma);
        let mut moved = Vec::with_capacity(2 * d);
        for j in 0..d {
            for step in [h, -h] {
                let mut x = x.clone();
                x.column_mut(j).mapv_inplace(|v| v + step);
                moved.push(x);
            }
        }
        let views: Vec<_> = moved.iter().map(|rows| rows.view()).collect();
        let all = concatenate(Axis(0), &views).map_err(|e| sde_core::Error::Model(e.into()))?;
        let times = vec![t; all.nrows()];
        let phi = self.phi.derivatives(&all, &times)?;
        let residual = log_density_residual(&phi, &all, &times, self.sde)?;
        let slope = |(row, j): (usize, usize)| {
            (residual[2 * j * n + row] - residual[(2 * j + 1) * n + row]) / (2.0 * h)
        };
        Ok(Array2::from_shape_fn((n, d), slope))
    }

    /// The largest eigenvalue of the Hessian of `phi` at rows of the plane.
    pub(super) fn steepest(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        in_blocks(x, |x| {
            let unit =
                |j: usize| Array2::from_shape_fn(x.dim(), |(_, i)| f64::from(u8::from(i == j)));
            let (_, columns) = self.score.score_jvps(x, t, &[unit(0), unit(1)])?;
            let largest = |row: usize| {
                let (a, c) = (columns[0][[row, 0]], columns[1][[row, 1]]);
                let b = 0.5 * (columns[0][[row, 1]] + columns[1][[row, 0]]);
                0.5 * (a + c) + (0.5 * (a - c)).hypot(b)
            };
            Ok((0..x.nrows()).map(largest).collect())
        })
    }
}

/// What is this far below the largest log-density carries no mass that counts, and is not known.
const NOTHING: f64 = 60.0;

/// `log q - phi`; where there is nothing, what it is where there is most, since a spline carries on what is wrong.
fn ratio(log_density: &[f64], phi: &[f64]) -> Vec<f64> {
    let top = log_density.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let there = log_density.iter().zip(phi).find(|(q, _)| **q == top);
    let most = there.map_or(0.0, |(q, phi)| q - phi);
    let of = |(q, phi): (&f64, &f64)| if *q < top - NOTHING { most } else { q - phi };
    log_density.iter().zip(phi).map(of).collect()
}

/// Values of all rows, in blocks side by side.
fn in_blocks<T: Send>(
    x: &Array2<f64>,
    of: impl Fn(&Array2<f64>) -> Result<Vec<T>> + Sync,
) -> Result<Vec<T>> {
    let starts: Vec<usize> = (0..x.nrows()).step_by(ROWS).collect();
    let block = |&first: &usize| {
        let end = (first + ROWS).min(x.nrows());
        of(&x.slice(s![first..end, ..]).to_owned())
    };
    let blocks: Result<Vec<Vec<T>>> = starts.par_iter().map(block).collect();
    Ok(blocks?.into_iter().flatten().collect())
}
