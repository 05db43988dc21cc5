//! The main figure: squared W2 against the weight of the residual.

use metrics::Estimate;
use report::{Axis, Figure, Grid, Key, Line, Panel, short};

use crate::distance::{self, FLOOR, ODE, PAIR, PAIR_FLOOR, SDE};
use crate::ode_sde_gap::official;
use crate::ode_sde_gap::report::data::ReportData;
use crate::ode_sde_gap::results::Pairs;

const CURVES: [(&str, &str); 3] =
    [("ODE to truth", ODE), ("SDE to truth", SDE), ("ODE to SDE (the gap)", PAIR)];

fn published(dataset: &str, w_r: f64) -> Option<[f64; 3]> {
    Some(official::find(dataset, w_r)?.on_true_nodes().w2)
}

/// A panel a data set, and below it the published networks of the same data set and weights.
pub(in super::super) fn gap(data: &ReportData) -> Figure {
    let results = &data.results;
    let (sets, weights) = (results.datasets(), results.weights());
    let theirs = results.rows.iter().filter_map(|r| published(&r.dataset, r.w_r));
    let ours = results.rows.iter().map(|r| r.w2.each().map(|e| e.value));
    let floors = results.floors.iter().flat_map(|f| f.w2.each()).filter_map(distance::floor_line);
    let up = Axis::log_around(ours.chain(theirs).flatten().chain(floors), "squared W_{2}");
    let names: Vec<String> = weights.iter().map(|w| short(*w)).collect();
    let across = Axis::places(&names, "weight of the residual, w_{R}");
    let place = |w: f64| weights.iter().position(|v| *v == w).unwrap_or(0) as f64;
    let empty = || Panel::new(across.clone(), up.clone());
    let mut panels: Vec<Panel> = Vec::new();
    for dataset in &sets {
        let floor = results.floor_of(dataset);
        let level = |of: fn(&crate::ode_sde_gap::results::Floor) -> &metrics::NoiseFloor| {
            floor.and_then(|f| distance::floor_line(of(f)))
        };
        let rows = results.rows_of(dataset);
        let line = |k: usize| {
            let found = rows.iter().map(|r| (place(r.w_r), Some(r.w2.each()[k])));
            let (name, colour) = CURVES[k];
            Line { name: String::new(), width: 2.4, ..distance::line(name, colour, found) }
        };
        panels.push(
            empty()
                .title(dataset)
                .band_below(level(|f| &f.w2.pair), PAIR_FLOOR, "")
                .band_below(level(|f| &f.w2.to_truth), FLOOR, "")
                .lines((0..Pairs::NAMES.len()).map(line)),
        );
    }
    let known = |dataset: &str| weights.iter().any(|w| published(dataset, *w).is_some());
    if sets.iter().any(|dataset| known(dataset)) {
        for dataset in &sets {
            let line = |k: usize| {
                let found = weights.iter().map(|w| {
                    let exact = |p: [f64; 3]| Estimate { value: p[k], standard_error: 0.0 };
                    (place(*w), published(dataset, *w).map(exact))
                });
                let line = distance::line("", CURVES[k].1, found);
                Line { hollow: true, errors: Vec::new(), width: 1.4, ..line }.dashed("2 4")
            };
            panels.push(empty().title(&format!("{dataset}, published")).lines((0..3).map(line)));
        }
    }
    let mut legend: Vec<Key> =
        CURVES.iter().map(|(name, colour)| Key::Line(Line::new(name, colour, vec![]))).collect();
    legend.push(Key::Area(FLOOR.into(), "below the floor, to truth".into()));
    legend.push(Key::Area(PAIR_FLOOR.into(), "of two samples".into()));
    let grid = Grid::new(panels, sets.len()).height(250.0).legend(legend);
    grid.figure("gap", "Squared Wasserstein-2 distances against the weight of the residual")
}
