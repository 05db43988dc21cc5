//! Lower halves of withheld images, filled in given the upper ones.

use anyhow::{Context as _, Result};
use control::{Groups, Measurement, ParticleSystem};
use data::{Dataset, Kind};
use metrics::Estimate;
use ndarray::{Array2, Axis, s};
use score_nets::ScoreModel;
use sde_core::Key;
use sde_core::analytic::GaussianMixture;
use serde::{Deserialize, Serialize};

use super::config::{Fill, Sampling};
use super::judge::Judge;
use super::likelihood::WIDEST;
use super::measure::Ruler;
use super::pictures;
use super::prepared::Prepared;
use crate::on_rows::OnRows;
use crate::particles::Run;
use crate::runs::Workspace;

/// Images filled in between two looks for ctrl-c.
const BLOCK: usize = 32;

/// What filling in came to: shares of the images whose class a classifier of the training rows names afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Filled {
    pub(super) rows: usize,
    pub(super) particles: usize,
    /// By twisted sequential Monte Carlo on the model without classes.
    pub(super) twisted: Estimate,
    /// Effective sample size at the end, in the mean over images.
    #[serde(with = "crate::number")]
    pub(super) effective: f64,
    /// With the mean of the training rows.
    pub(super) mean: Estimate,
    /// With a draw from the posterior of a mixture of Gaussians, one for each class of the training rows.
    pub(super) gaussians: Option<Estimate>,
}

/// What it takes.
pub(super) struct Filling<'a> {
    pub(super) model: &'a ScoreModel,
    pub(super) prepared: &'a Prepared,
    pub(super) sampling: &'a Sampling,
    pub(super) fill: &'a Fill,
    pub(super) key: Key,
}

/// Coordinates of the upper half of an image: those that are known.
fn upper(kind: &Kind) -> Option<Vec<usize>> {
    let Kind::Images { channels, height, width, .. } = *kind else { return None };
    let seen = (0..channels * height * width).filter(|k| k / width % height < height / 2);
    Some(seen.collect())
}

impl Filling<'_> {
    /// Fills in the first of the withheld images, and has a classifier name them.
    pub(super) fn measure(
        &self,
        training: &Dataset,
        test: &Dataset,
        workspace: &Workspace,
    ) -> Result<Option<Filled>> {
        let (Some(seen), Some(learned), Some(labels)) =
            (upper(test.kind()), training.labels(), test.labels())
        else {
            return Ok(None);
        };
        let n = test.len().min(self.fill.rows);
        let ruler = Ruler::new(training)?;
        let rows = training.to_array()?;
        let judge = Judge::fit(ruler.put(rows.view())?.view(), &learned.of, learned.classes.len())?;
        let known = test.rows(0, n)?;
        let whole = |mut filled: Array2<f64>| {
            for column in &seen {
                filled.column_mut(*column).assign(&known.column(*column));
            }
            filled
        };
        let accuracy = |filled: &Array2<f64>| -> Result<Estimate> {
            Ok(judge.accuracy(ruler.put(filled.view())?.view(), &labels.of[..n]))
        };
        let z = self.prepared.to_model(known.view(), self.key.fold(0), 0)?;
        let (drawn, effective) = self.twisted(&known, &seen, workspace)?;
        let drawn = whole(self.prepared.to_data(drawn.view())?);
        pictures::filled(test.kind(), known.view(), drawn.view(), workspace)?;
        crate::npy::write(&workspace.path("samples/filled.npy"), drawn.view())?;
        let mut mean = rows.mean_axis(Axis(0)).context("no training rows")?;
        if let Kind::Images { pixels: data::Pixels::Levels(_), .. } = test.kind() {
            // The mean of levels is none of them: the classifier is shown the nearest.
            mean.mapv_inplace(f64::round);
        }
        let mean = whole(mean.broadcast(known.dim()).context("no training rows")?.to_owned());
        let gaussians = self.gaussians(&rows, &learned.of, &z, &seen)?.map(whole);
        Ok(Some(Filled {
            rows: n,
            particles: self.fill.particles,
            twisted: accuracy(&drawn)?,
            effective,
            mean: accuracy(&mean)?,
            gaussians: gaussians.map(|g| accuracy(&g)).transpose()?,
        }))
    }

    /// Known numbers as coordinates of the model, levels by the middles of their cells, and their standard deviation: that of
    /// the uniform noise on a cell, by which particles tell a poor guess from a good one.
    fn known(&self, rows: &Array2<f64>, seen: &[usize]) -> (Array2<f64>, f64) {
        let places: Vec<_> = seen.iter().map(|k| self.prepared.transform.coordinates(*k)).collect();
        let y = Array2::from_shape_fn((rows.nrows(), seen.len()), |(i, k)| {
            places[k].middle(rows[[i, seen[k]]])
        });
        // That of all pixels is one.
        (y, places.first().map_or(0.0, |place| place.deviation(0.0)))
    }

    /// A draw for each row of the data, from particles of its own, and their effective number in the mean.
    fn twisted(
        &self,
        rows: &Array2<f64>,
        seen: &[usize],
        workspace: &Workspace,
    ) -> Result<(Array2<f64>, f64)> {
        let (model, sde, particles) = (self.model, self.model.sde(), self.fill.particles);
        let end = self.sampling.t_end;
        let times = self.sampling.grid.times(sde, self.fill.steps, sde.horizon(), end)?;
        let score = OnRows { inner: model.with_labels(None)?, model };
        let variance = model.config().sigma_data.unwrap_or(1.0).powi(2);
        let (all, noise) = self.known(rows, seen);
        let dim = rows.ncols();
        let mut drawn = Array2::zeros(rows.dim());
        let mut effective = 0.0;
        let (n, each) = (rows.nrows() as u64, self.fill.image_cost());
        let mut bar = workspace.progress.part("fill in", "fill", (n, 0), each);
        for first in (0..rows.nrows()).step_by(BLOCK) {
            workspace.go_on()?;
            let y = all.slice(s![first..(first + BLOCK).min(rows.nrows()), ..]).to_owned();
            let n = y.nrows();
            let known = Measurement::new(Groups::columns(dim, seen)?, y, noise)?;
            let key = self.key.fold(1).fold(first as u64);
            let times = times.clone();
            let run = Run { sde, score: &score, variance, times, particles, key };
            let found = run.samples(&known, n)?;
            drawn.slice_mut(s![first..first + n, ..]).assign(&found.rows);
            let last = |system: &ParticleSystem| system.effective.last().copied();
            bar.advance(n as u64);
            effective += found.systems.iter().filter_map(last).sum::<f64>();
        }
        Ok((drawn, effective / rows.nrows() as f64))
    }

    /// A draw for each row given its upper half, of the mixture of one Gaussian for each class.
    fn gaussians(
        &self,
        training: &Array2<f64>,
        labels: &[u32],
        z: &Array2<f64>,
        seen: &[usize],
    ) -> Result<Option<Array2<f64>>> {
        let dim = z.ncols();
        if dim > WIDEST {
            return Ok(None);
        }
        let all = self.prepared.to_model(training.view(), self.key.fold(3), 0)?;
        let classes = labels.iter().max().map_or(0, |k| k + 1);
        let (mut weights, mut means, mut covariances) = (Vec::new(), Vec::new(), Vec::new());
        for class in 0..classes {
            let of: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == class).collect();
            // A covariance of fewer rows has no inverse.
            if of.len() <= dim {
                continue;
            }
            let rows = all.select(Axis(0), &of);
            let mean = rows.mean_axis(Axis(0)).context("an empty class")?;
            let centred = &rows - &mean;
            weights.push(of.len() as f64);
            covariances.push(centred.t().dot(&centred) / of.len() as f64);
            means.push(mean);
        }
        if weights.is_empty() {
            return Ok(None);
        }
        let means: Vec<_> = means.iter().map(|m| m.view()).collect();
        let means = ndarray::stack(Axis(0), &means)?;
        let mixture = GaussianMixture::new(&weights, &means, &covariances)?;
        let a = Array2::from_shape_fn((seen.len(), dim), |(m, k)| f64::from(seen[m] == k));
        let mut drawn = Array2::zeros(z.dim());
        for (i, row) in z.rows().into_iter().enumerate() {
            let y: Vec<f64> = seen.iter().map(|k| row[*k]).collect();
            let posterior = mixture.given(&a, &y, 0.0)?;
            let one = posterior.mixture().sample(self.key.fold(4), i as u64, 1);
            drawn.row_mut(i).assign(&one.row(0));
        }
        self.prepared.to_data(drawn.view()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_halves_are_the_first_rows_of_every_channel() {
        let kind =
            Kind::Images { channels: 2, height: 3, width: 2, pixels: data::Pixels::Levels(17) };
        assert_eq!(upper(&kind), Some(vec![0, 1, 6, 7]));
        assert_eq!(upper(&Kind::Table { columns: Vec::new() }), None);
    }
}
