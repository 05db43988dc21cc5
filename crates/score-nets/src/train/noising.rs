//! Drawing the noised rows of a batch.

use std::{ops::Range, sync::Arc};

use rayon::prelude::*;
use sde_core::{Key, KroneckerSequence, Sde};
use serde::{Deserialize, Serialize};

use super::{Coupling, DataSource, Independent, OutlierWeighting, Proposal, TimeDistribution};
use crate::{Error, Result};

/// Rows that one piece of work takes at a time; what is drawn does not depend on it.
const ROWS_A_TASK: usize = 512;

/// How the rows of a batch are drawn together. Every row has the law the loss asks for either way, so
/// the loss and its gradient are the same in expectation; what changes is their noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draws {
    /// Every row on its own.
    #[default]
    Independent,
    /// Quasi-Monte Carlo with antithetic pairs: times from a randomly shifted [`sde_core::KroneckerSequence`]
    /// (collocation points in a box too), and rows of denoising score matching in pairs with the same `x_0` and `t` and
    /// opposite noise.
    ///
    /// The target `-z / sigma` of a row has a variance that grows like `1 / sigma^2` as `t -> 0`; in
    /// the gradient of a pair it meets the *difference* of the network's derivatives at
    /// `alpha x_0 +- sigma z`, which is of the order of `sigma`, so the divergence is gone.
    #[serde(alias = "stratified")]
    QuasiMonteCarlo,
}

/// How the noised rows `x_t = alpha(t) x_0 + sigma(t) z` of a batch are drawn under a key: data under `fold(0)`,
/// times under `fold(1)`, noise under `fold(2)`, each by the number of the row.
///
/// ```
/// use std::sync::Arc;
/// use score_nets::Noising;
/// use sde_core::{Key, Ou, analytic::DataSet};
/// let noising = Noising::new(Arc::new(DataSet::Checker), 64);
/// let batch = noising.rows(&Ou::default(), Key::root(1), 0..64)?;
/// let part = noising.rows(&Ou::default(), Key::root(1), 32..64)?;
/// assert_eq!((batch.x.len(), &batch.x[64..]), (128, &part.x[..]));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone)]
pub struct Noising {
    /// The data.
    pub source: Arc<dyn DataSource>,
    /// Rows of a batch.
    pub batch: usize,
    /// The smallest time.
    pub t_min: f64,
    /// The law of the times.
    pub time: TimeDistribution,
    /// A law that a share of the times is drawn from instead.
    pub proposal: Proposal,
    /// How rows are drawn together.
    pub draws: Draws,
    /// Whether [`Draws::QuasiMonteCarlo`] makes pairs of one data point and time with opposite noise; times are spread
    /// either way.
    pub antithetic: bool,
    /// Wider noise for a share of the rows.
    pub outlier_weighting: Option<OutlierWeighting>,
    /// Which noise meets which data.
    pub coupling: Arc<dyn Coupling>,
}

/// Noised rows on the host.
///
/// # Shapes
/// `x0`, `z` and `x` are `[B, D]` row by row; all else is `[B]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoisedRows {
    /// The data.
    pub x0: Vec<f64>,
    /// Their noise.
    pub z: Vec<f64>,
    /// `alpha(t) x_0 + sigma(t) z`.
    pub x: Vec<f64>,
    /// The times.
    pub t: Vec<f64>,
    /// What a row counts because its time was drawn from the proposal, 1 on average.
    pub time_weight: Vec<f64>,
    /// What a row counts for lying outside the data; empty without [`Noising::outlier_weighting`].
    pub outlier_weight: Vec<f64>,
}

/// The part of [`NoisedRows`] that one piece of work fills.
struct Task<'a> {
    x0: &'a mut [f64],
    z: &'a mut [f64],
    x: &'a mut [f64],
    t: &'a mut [f64],
    time_weight: &'a mut [f64],
    outlier_weight: &'a mut [f64],
}

impl Noising {
    /// `batch` independent rows of `source` at uniform times from 1e-4 on.
    pub fn new(source: Arc<dyn DataSource>, batch: usize) -> Self {
        Self {
            source,
            batch,
            t_min: 1e-4,
            time: TimeDistribution::Uniform,
            proposal: Proposal::default(),
            draws: Draws::Independent,
            antithetic: true,
            outlier_weighting: None,
            coupling: Arc::new(Independent),
        }
    }

    /// Rows `rows` of the batch under `key`; where they come in pairs, their first is an even number. A rule of
    /// pairs sees the whole batch, so that a part of it has the same pairs.
    ///
    /// # Errors
    /// [`Error::Setting`] for no rows, rows that are not in a coupled batch, or a setting that does not work;
    /// whatever the data fail with.
    pub fn rows(&self, sde: &dyn Sde, key: Key, rows: Range<u64>) -> Result<NoisedRows> {
        let (d, n) = (self.source.dim(), rows.end.saturating_sub(rows.start) as usize);
        if n == 0 || d == 0 {
            return Err(Error::setting("batch", n * d, "must be at least 1"));
        }
        if let Some(outliers) = &self.outlier_weighting {
            outliers.validate()?;
        }
        let coupled = self.coupled(key, d, &rows)?;
        let zeros = |n| vec![0.0; n];
        let mut all = NoisedRows {
            x0: zeros(n * d),
            z: zeros(n * d),
            x: zeros(n * d),
            t: zeros(n),
            time_weight: zeros(n),
            outlier_weight: zeros(if self.outlier_weighting.is_some() { n } else { 0 }),
        };
        // Without outlier weighting there is nothing to hand out.
        let mut none = vec![[0.0; 0]; n.div_ceil(ROWS_A_TASK)];
        let mut outliers: Vec<&mut [f64]> = match self.outlier_weighting {
            Some(_) => all.outlier_weight.chunks_mut(ROWS_A_TASK).collect(),
            None => none.iter_mut().map(|none| none.as_mut_slice()).collect(),
        };
        let tasks = all.x0.par_chunks_mut(ROWS_A_TASK * d);
        let tasks = tasks.zip(all.z.par_chunks_mut(ROWS_A_TASK * d));
        let tasks = tasks.zip(all.x.par_chunks_mut(ROWS_A_TASK * d));
        let tasks = tasks.zip(all.t.par_chunks_mut(ROWS_A_TASK));
        let tasks = tasks.zip(all.time_weight.par_chunks_mut(ROWS_A_TASK));
        let tasks = tasks.zip(outliers.par_iter_mut()).enumerate();
        tasks.try_for_each(|(i, (((((x0, z), x), t), share), weight))| {
            let before = i * ROWS_A_TASK;
            let u = self.draw(key, rows.start + before as u64, x0, z)?;
            if let Some(coupled) = &coupled {
                z.copy_from_slice(&coupled[before * d..][..z.len()]);
            }
            self.noise(sde, d, &u, Task { x0, z, x, t, time_weight: share, outlier_weight: weight })
        })?;
        Ok(all)
    }

    /// The classes of rows `rows` of the batch under `key`: those of the data that [`Noising::rows`] draws.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for data without labels; whatever the data fail with.
    pub fn labels(&self, key: Key, rows: Range<u64>) -> Result<Vec<u32>> {
        let (group, n) = (self.group(), rows.end.saturating_sub(rows.start) as usize);
        let mut labels = vec![0; n.div_ceil(group)];
        self.source.fill_labels(key.fold(0), rows.start / group as u64, &mut labels)?;
        let each = labels.into_iter().flat_map(|label| std::iter::repeat_n(label, group));
        Ok(each.take(n).collect())
    }

    /// Rows that share data and a time, with opposite noise.
    fn group(&self) -> usize {
        if self.antithetic && self.draws == Draws::QuasiMonteCarlo { 2 } else { 1 }
    }

    /// What a group draws uniformly: its time and, with outlier weighting, whether its noise is wider.
    fn axes(&self) -> usize {
        1 + usize::from(self.outlier_weighting.is_some())
    }

    /// Writes data and noise from row `first` on, and returns the uniform numbers of the groups.
    fn draw(&self, key: Key, first: u64, x0: &mut [f64], z: &mut [f64]) -> Result<Vec<f64>> {
        let (d, group, axes) = (self.source.dim(), self.group(), self.axes());
        let (data, times, noise) = (key.fold(0), key.fold(1), key.fold(2));
        let (first, groups) = (first / group as u64, (x0.len() / d).div_ceil(group));
        let mut u = vec![0.0; groups * axes];
        match self.draws {
            Draws::Independent => times.fill_uniforms(first * axes as u64, &mut u),
            Draws::QuasiMonteCarlo => {
                KroneckerSequence::new(times, axes).fill_uniforms(first, &mut u)
            }
        }
        if group == 1 {
            self.source.fill(data, first, x0)?;
            noise.fill_normals(first * d as u64, z);
            return Ok(u);
        }
        let mut rows = vec![0.0; groups * d];
        self.source.fill(data, first, &mut rows)?;
        for (x, row) in x0.chunks_mut(group * d).zip(rows.chunks(d)) {
            x.chunks_mut(d).for_each(|x| x.copy_from_slice(row));
        }
        noise.fill_normals(first * d as u64, &mut rows);
        for (z, row) in z.chunks_mut(group * d).zip(rows.chunks(d)) {
            z[..d].copy_from_slice(row);
            z[d..].iter_mut().zip(row).for_each(|(z, row)| *z = -row);
        }
        Ok(u)
    }

    /// The noise that the coupling gives to rows; `None` where every row keeps its own.
    fn coupled(&self, key: Key, d: usize, rows: &Range<u64>) -> Result<Option<Vec<f64>>> {
        if self.coupling.is_independent() {
            return Ok(None);
        }
        if rows.end > self.batch as u64 {
            let reason = format!("has no row {}", rows.end - 1);
            return Err(Error::setting("batch", self.batch, reason));
        }
        let (mut x0, mut z) = (vec![0.0; self.batch * d], vec![0.0; self.batch * d]);
        self.draw(key, 0, &mut x0, &mut z)?;
        let pairs = self.coupling.pair(&x0, &z, d)?;
        let own = &pairs[rows.start as usize..rows.end as usize];
        Ok(Some(own.iter().flat_map(|&j| &z[j * d..(j + 1) * d]).copied().collect()))
    }

    /// Times, and the rows at them.
    fn noise(&self, sde: &dyn Sde, d: usize, u: &[f64], task: Task<'_>) -> Result<()> {
        let group = self.group();
        let rows = task.x0.chunks(group * d).zip(task.z.chunks_mut(group * d));
        let rows = rows.zip(task.x.chunks_mut(group * d)).zip(task.t.chunks_mut(group));
        let rows = rows.zip(task.time_weight.chunks_mut(group)).zip(u.chunks(self.axes()));
        let mut weights = task.outlier_weight.chunks_mut(group);
        for (((((x0, z), x), t), share), u) in rows {
            let (time, counts) = self.proposal.draw(self.time, sde, self.t_min, u[0])?;
            t.fill(time);
            share.fill(counts);
            let m = sde.marginal(time);
            if let Some(outliers) = self.outlier_weighting.filter(|outliers| u[1] < outliers.share)
            {
                z.iter_mut().for_each(|z| *z *= outliers.scale);
            }
            for ((x, x0), z) in x.iter_mut().zip(x0).zip(&*z) {
                *x = m.alpha * x0 + m.sigma * z;
            }
            let (Some(outliers), Some(weights)) = (&self.outlier_weighting, weights.next()) else {
                continue;
            };
            for ((x, z), weight) in x.chunks(d).zip(z.chunks(d)).zip(weights) {
                *weight = outliers.weight(x, z, m.alpha, m.sigma);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
