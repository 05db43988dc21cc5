//! The losses over the course of training.

use report::{Axis, Figure, Grid, Key, Line, Panel, ordered};

use super::weight_title;
use crate::ode_sde_gap::report::data::{Loss, ReportData};

/// A loss by name, and its value where there is one.
type Pick = (&'static str, fn(&Loss) -> Option<f64>);
const LOSSES: [Pick; 2] =
    [("denoising loss", |l| Some(l.dsm)), ("mean squared residual", |l| l.residual)];

pub(in super::super) fn losses(data: &ReportData) -> Option<Figure> {
    if data.cells.iter().all(|c| c.losses.len() < 2) {
        return None;
    }
    let (sets, weights) = (data.results.datasets(), data.results.weights());
    let last = data.cells.iter().filter_map(|c| c.losses.last()).map(|l| l.step).max()?;
    let across = Axis::linear(0.0, last as f64, "training step");
    let smooth: Vec<(&str, f64, Vec<Loss>)> =
        data.cells.iter().map(|c| (c.dataset.as_str(), c.w_r, smoothed(&c.losses))).collect();
    let mut panels = Vec::new();
    for (row, (name, of)) in LOSSES.into_iter().enumerate() {
        // The first twentieth falls from the random start and would flatten the rest.
        let late = smooth.iter().flat_map(|(.., v)| &v[v.len() / 20..]).filter_map(of);
        let up = Axis::log_around(late, name);
        for dataset in &sets {
            let panel = Panel::new(across.clone(), up.clone());
            let lines = smooth.iter().filter(|(set, ..)| set == dataset).map(|(_, w, losses)| {
                let place = weights.iter().position(|v| v == w).unwrap_or(0);
                // Curves that coincide stay visible: later ones are thinner.
                let width = 3.2 - 2.0 * place as f64 / weights.len() as f64;
                let points = losses.iter().filter_map(|l| Some((l.step as f64, of(l)?)));
                Line::plain(&ordered(place, weights.len()), width, points.collect())
            });
            panels.push(panel.title(if row == 0 { dataset } else { "" }).lines(lines));
        }
    }
    let legend = weights.iter().enumerate().map(|(k, w)| {
        let line = Line::plain(&ordered(k, weights.len()), 2.4, Vec::new());
        Key::Line(line.named(&weight_title(*w)))
    });
    let grid = Grid::new(panels, sets.len()).height(224.0).legend(legend.collect());
    Some(grid.figure("losses", "Denoising loss and mean squared residual over training"))
}

/// A running mean (in the logarithm) over a thirtieth of the curve, thinned to 300 points.
fn smoothed(losses: &[Loss]) -> Vec<Loss> {
    let half = losses.len() / 60;
    let stride = losses.len().div_ceil(300).max(1);
    let mean = |at: usize, pick: &dyn Fn(&Loss) -> Option<f64>| -> Option<f64> {
        let window = &losses[at.saturating_sub(half)..(at + half + 1).min(losses.len())];
        let logs: Vec<f64> =
            window.iter().filter_map(pick).filter(|v| *v > 0.0).map(f64::ln).collect();
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
    };
    (0..losses.len())
        .step_by(stride)
        .map(|at| Loss {
            step: losses[at].step,
            dsm: mean(at, &|l| Some(l.dsm)).unwrap_or(losses[at].dsm),
            residual: mean(at, &|l| l.residual),
        })
        .collect()
}
