//! A few particles of a data set over time: the ODE's and the SDE's, from the same starts.

use ndarray::{Array3, Axis as Dim};
use report::{Axis, Figure, Grid, Line, Map, Panel};

use super::weight_title;
use crate::ode_sde_gap::report::data::ReportData;

pub(in super::super) fn trajectories(data: &ReportData, dataset: &str) -> Option<Figure> {
    let rows = data.results.rows_of(dataset);
    let cells: Vec<_> = rows
        .iter()
        .filter_map(|r| data.cell(dataset, r.w_r))
        .filter_map(|c| c.paths.as_ref().map(|p| (c.w_r, p)))
        .filter(|(_, p)| p.times.len() > 1)
        .collect();
    let horizon = cells.first()?.1.times[0];
    let ticks = [0.0, 0.01, 0.05, 0.2, 0.5, 1.0].map(|f| f * horizon);
    let across = Axis::sqrt(0.0, horizon, ticks, "time t (noise on the left)").reversed();
    let reach = 1.15 * data.results.half_width.max(1.0);
    let mut panels = Vec::new();
    for (row, name) in ["SDE", "ODE"].into_iter().enumerate() {
        for (w_r, paths) in &cells {
            let states = if row == 0 { &paths.sde } else { &paths.ode };
            let up = Axis::around_zero(reach, &format!("{name}: x_{{1}}"));
            let title = if row == 0 { weight_title(*w_r) } else { String::new() };
            panels.push(
                Panel::new(across.clone(), up).title(&title).lines(lines(&paths.times, states)),
            );
        }
    }
    let grid = Grid::new(panels, cells.len()).height(182.0);
    let label =
        format!("First coordinate of particles of {dataset} over time, SDE above, ODE below");
    Some(grid.figure(format!("trajectories-{dataset}"), &label))
}

/// One line a particle, coloured by the order of the starting points.
fn lines(times: &[f64], states: &Array3<f64>) -> Vec<Line> {
    let particles = states.len_of(Dim(1));
    let mut order: Vec<usize> = (0..particles).collect();
    order.sort_by(|a, b| states[[0, *a, 0]].total_cmp(&states[[0, *b, 0]]));
    let line = |(rank, p): (usize, usize)| {
        let colour = Map::Sequential.hex(0.88 * rank as f64 / particles.max(2) as f64);
        let points = times.iter().enumerate().map(|(k, t)| (*t, states[[k, p, 0]])).collect();
        Line { opacity: 0.9, ..Line::plain(&colour, 1.2, points) }
    };
    order.into_iter().enumerate().map(line).collect()
}
