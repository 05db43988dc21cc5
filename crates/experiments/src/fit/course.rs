//! What is written of a training as it goes: `metrics.jsonl`, `metrics.csv`, events for TensorBoard.
//!
//! Losses of batches are appended as they come; after a resume those beyond the checkpoint are dropped, from `metrics.jsonl` here
//! and from the events by their readers ([`Events`]). `metrics.csv` is made from `metrics.jsonl` and the losses on withheld rows,
//! whole, whenever there is one of these.

use std::path::PathBuf;

use anyhow::Result;

use super::curve::{AVERAGES, Point};
use crate::atomic;
use crate::events::Events;
use crate::runs::{Line, Log, Workspace, read_log};

/// The files.
pub(super) struct Course {
    lines: PathBuf,
    table: PathBuf,
    log: Log,
    events: Events,
}

impl Course {
    /// Opens the files of the training of a network that goes on from `step`, whose names have a prefix; hands back the seconds
    /// it has taken so far.
    pub(super) fn open(
        workspace: &Workspace,
        (network, prefix): (&str, &str),
        step: u64,
    ) -> Result<(Self, f64)> {
        let path = |name: &str| workspace.path(&format!("{prefix}{name}"));
        let lines = path("metrics.jsonl");
        let (log, seconds) = Log::open(&lines, network, step)?;
        let events = Events::open(&path("tensorboard"), step)?;
        let table = path("metrics.csv");
        Ok((Self { lines, table, log, events }, seconds))
    }

    /// Losses on a batch.
    pub(super) fn line(&mut self, line: &Line) -> Result<()> {
        self.log.push(line)?;
        for (tag, value) in [
            ("loss/training", line.loss),
            ("learning rate", line.lr),
            ("gradient norm", line.grad_norm),
        ] {
            self.events.scalar(line.step, tag, value)?;
        }
        Ok(())
    }

    /// Losses on the withheld rows: the last point of the curve is new.
    pub(super) fn withheld(&mut self, curve: &[Point]) -> Result<()> {
        if let Some(point) = curve.last() {
            for (name, value) in names().iter().zip(&point.validation) {
                self.events.scalar(point.step, &format!("loss/{name}"), *value)?;
            }
        }
        atomic::write(&self.table, csv(&read_log(&self.lines)?, curve).as_bytes())?;
        Ok(())
    }

    /// A sheet of samples.
    pub(super) fn sheet(&mut self, step: u64, png: &[u8]) -> Result<()> {
        self.events.image(step, "samples", png)
    }
}

/// What losses on withheld rows are called: of the weights, and of each average.
fn names() -> Vec<String> {
    let averages = AVERAGES.iter().map(|width| format!("validation-average-{width}"));
    std::iter::once("validation".to_owned()).chain(averages).collect()
}

/// One row a step, in order; a cell is empty where nothing was measured.
fn csv(lines: &[Line], curve: &[Point]) -> String {
    let names = names();
    let own = ["step", "loss", "dsm", "lr", "grad-norm", "seconds"];
    let mut text =
        own.into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>().join(",");
    text.push('\n');
    let mut steps: Vec<u64> =
        lines.iter().map(|l| l.step).chain(curve.iter().map(|p| p.step)).collect();
    steps.sort_unstable();
    steps.dedup();
    let (mut lines, mut curve) = (lines.iter().peekable(), curve.iter().peekable());
    for step in steps {
        let (line, point) = (lines.next_if(|l| l.step == step), curve.next_if(|p| p.step == step));
        let seconds = line.map(|l| l.seconds).or(point.map(|p| p.seconds));
        let mut cells = vec![Some(step as f64)];
        cells.extend([line.map(|l| l.loss), line.map(|l| l.dsm), line.map(|l| l.lr)]);
        cells.extend([line.map(|l| l.grad_norm), seconds]);
        let validation = |k: usize| point.and_then(|p| p.validation.get(k).copied());
        cells.extend((0..names.len()).map(validation));
        let cells = cells.into_iter().map(|cell| cell.map_or_else(String::new, shown));
        text += &cells.collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    text
}

/// The shortest digits that are read as the same number.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        value.to_string()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_row_and_every_loss_a_column() {
        let line = |step, loss| Line {
            network: "model".into(),
            step,
            loss,
            dsm: loss,
            residual: None,
            lr: 1e-7,
            grad_norm: 2.0,
            seconds: 0.25,
        };
        let point =
            |step, first| Point { step, validation: vec![first, 1.0, 2.0, f64::NAN], seconds: 0.5 };
        let text =
            csv(&[line(5, 0.5), line(10, f64::INFINITY)], &[point(10, 0.125), point(12, 3.0)]);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "step,loss,dsm,lr,grad-norm,seconds,validation,validation-average-0.05,validation-average-0.1,validation-average-0.2",
                "5,0.5,0.5,1e-7,2,0.25,,,,",
                "10,inf,inf,1e-7,2,0.25,0.125,1,2,NaN",
                "12,,,,,0.5,3,1,2,NaN",
            ]
        );
    }
}
