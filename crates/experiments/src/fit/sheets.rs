//! Sheets of samples while a model is trained.

use std::path::PathBuf;

use anyhow::Result;
use ndarray::Array2;
use score_nets::ScoreModel;
use sde_core::Key;

use super::config::{Sampling, Training};
use super::curve::Point;
use super::draw::{Equation, sampled};
use super::prepared::Prepared;
use crate::runs::Workspace;

/// Shares of the steps after which a sheet is drawn.
const SHARES: [f64; 5] = [1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0, 1.0];

/// Share of the work of training that all sheets together may take.
const COST: f64 = 0.01;

/// Evaluations of the network that a row of a training batch costs: forward, and twice as much back.
const OF_A_ROW: f64 = 3.0;

/// Steps of the ODE, of two evaluations each.
const STEPS: usize = 8;

/// Images of a sheet, at least and at most.
const IMAGES: std::ops::RangeInclusive<usize> = 4..=100;

/// How sheets are drawn.
pub(super) struct Sheets<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) sampling: &'a Sampling,
    pub(super) key: Key,
}

/// Images of a sheet, the largest square that the cost allows; none where four are too many.
pub(super) fn images(training: &Training, planned: u64) -> Option<usize> {
    let work = OF_A_ROW * training.batch as f64 * planned as f64;
    let allowed = COST * work / (SHARES.len() as f64 * 2.0 * STEPS as f64);
    let side = allowed.sqrt().floor() as usize;
    let images = (side.min(10)).pow(2);
    IMAGES.contains(&images).then_some(images)
}

/// Whether a sheet is due after `step`, the step before which losses were measured being `before`.
fn due(before: u64, step: u64, planned: u64) -> bool {
    let at = SHARES.map(|share| share * planned as f64);
    at.iter().any(|at| (before as f64) < *at && *at <= step as f64)
}

/// Whether a sheet is due at the last of these points.
pub(super) fn due_at(curve: &[Point], planned: u64) -> bool {
    let Some((last, rest)) = curve.split_last() else { return false };
    due(rest.last().map_or(0, |p| p.step), last.step, planned)
}

/// The steps of all sheets of a training.
pub(super) fn steps(curve: &[Point], planned: u64) -> Vec<u64> {
    let drawn = |n: &usize| due_at(&curve[..*n], planned);
    (1..=curve.len()).filter(drawn).map(|n| curve[n - 1].step).collect()
}

/// The file of the sheet of a step, in the run's folder.
pub(super) fn name(step: u64) -> String {
    format!("samples/step-{step:07}.png")
}

impl Sheets<'_> {
    /// Draws a sheet by the probability-flow ODE, the same noise every time, classes in turn; writes it and hands back its file.
    pub(super) fn draw(
        &self,
        model: &ScoreModel,
        (images, step): (usize, u64),
        workspace: &Workspace,
    ) -> Result<PathBuf> {
        let sampling = Sampling {
            n: images,
            ode_steps: STEPS.min(self.sampling.ode_steps),
            ..self.sampling.clone()
        };
        let labels: Option<Vec<u32>> = (model.n_classes() > 0)
            .then(|| (0..images).map(|k| (k % model.n_classes()) as u32).collect());
        let found: (Array2<f64>, _) = sampled(
            (model, self.prepared),
            &sampling,
            Equation::Ode,
            labels.as_deref(),
            self.key,
            &mut |_| workspace.go_on(),
        )?;
        let path = workspace.path(&name(step));
        data::save(&path, self.prepared.transform.kind(), found.0.view(), None)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_come_at_powers_of_two() {
        let point = |step| Point { step, validation: vec![1.0], seconds: 0.0 };
        // Forty losses, of 1000 steps.
        let curve: Vec<Point> = (1..=40).map(|k| point(25 * k)).collect();
        assert_eq!(steps(&curve, 1000), [75, 125, 250, 500, 1000]);
        // One that ends early has no last sheet; one of few points a sheet at some of them.
        assert_eq!(steps(&curve[..30], 1000), [75, 125, 250, 500]);
        assert_eq!(steps(&[point(500), point(1000)], 1000), [500, 1000]);
        assert!(steps(&[], 1000).is_empty());
    }

    #[test]
    fn sheets_cost_a_hundredth_of_the_training() {
        let config: super::super::Config =
            toml::from_str(include_str!("../../configs/digits/quick.toml")).expect("a preset");
        let mut training = config.training;
        for (batch, planned, expected) in
            [(128, 1500, Some(64)), (128, 100_000, Some(100)), (32, 100, None), (128, 100, Some(4))]
        {
            training.batch = batch;
            let found = images(&training, planned);
            assert_eq!(found, expected, "{batch} rows, {planned} steps");
            let cost = 5.0 * 16.0 * found.unwrap_or(0) as f64;
            assert!(cost <= 0.01 * 3.0 * (batch as u64 * planned) as f64);
        }
    }
}
