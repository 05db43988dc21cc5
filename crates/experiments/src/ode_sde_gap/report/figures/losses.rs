//! The losses over the course of training.

use super::weight_name;
use crate::ode_sde_gap::report::data::{Loss, ReportData};
use crate::report::axes::{Axis, Panel};
use crate::report::colormap::{INK, weight};
use crate::report::svg::{Svg, Text};
use crate::report::{Figure, columns};

pub(super) fn figure(data: &ReportData) -> Option<Figure> {
    if data.cells.iter().all(|c| c.losses.len() < 2) {
        return None;
    }
    let sets = data.results.datasets();
    let weights = data.results.weights();
    let last = data.cells.iter().filter_map(|c| c.losses.last()).map(|l| l.step).max().unwrap_or(1);
    let smooth: Vec<(&str, f64, Vec<Loss>)> =
        data.cells.iter().map(|c| (c.dataset.as_str(), c.w_r, smoothed(&c.losses))).collect();
    // The first twentieth falls from the random start and would flatten the rest.
    let late = |v: &Vec<Loss>| v[v.len() / 20..].to_vec();
    let dsm = Axis::log_around(
        smooth.iter().flat_map(|(.., v)| late(v)).map(|l| l.dsm),
        "denoising loss",
    );
    let residual = Axis::log_around(
        smooth.iter().flat_map(|(.., v)| late(v)).filter_map(|l| l.residual),
        "mean squared residual",
    );

    let mut svg = Svg::new(1080.0, 610.0);
    let key = Text { size: 12.5, fill: INK, ..Text::default() };
    let mut x = 66.0;
    for (k, w) in weights.iter().enumerate() {
        svg.line((x, 14.0), (x + 24.0, 14.0), &weight(k, weights.len()), 2.4);
        let name = format!("w_{{R}} = {}", weight_name(*w));
        svg.text((x + 31.0, 18.5), &name, &key);
        x += 122.0;
    }
    let (left, width) = columns(66.0, 1056.0, 30.0, sets.len().max(1));
    for (s, dataset) in sets.iter().enumerate() {
        for (r, up) in [&dsm, &residual].into_iter().enumerate() {
            let panel = Panel {
                x: left[s],
                y: 66.0 + 264.0 * r as f64,
                w: width,
                h: 224.0,
                across: Axis::linear(0.0, last as f64, if r == 1 { "training step" } else { "" }),
                up: up.clone(),
            };
            panel.draw_axes(&mut svg, s == 0);
            if r == 0 {
                panel.title(&mut svg, dataset);
            }
            svg.begin_clip((panel.x, panel.y - 4.0), (panel.w, panel.h + 4.0));
            for (name, w_r, losses) in &smooth {
                if name != dataset {
                    continue;
                }
                let place = weights.iter().position(|w| w == w_r).unwrap_or(0);
                let colour = weight(place, weights.len());
                // Curves that coincide stay visible: later ones are thinner.
                let width = 3.2 - 2.0 * place as f64 / weights.len() as f64;
                let points: Vec<(f64, f64)> = losses
                    .iter()
                    .filter_map(|l| Some((l.step as f64, if r == 0 { l.dsm } else { l.residual? })))
                    .collect();
                panel.line(&mut svg, &points, &colour, width, "", 1.0);
            }
            svg.end_clip();
        }
    }
    Some(Figure::new(
        "losses",
        svg.finish("Denoising loss and mean squared residual over training"),
    ))
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
