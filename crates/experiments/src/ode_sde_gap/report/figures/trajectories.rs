//! A few particles of a data set over time: the ODE's and the SDE's, from the same starts.

use anyhow::Result;
use ndarray::{Array3, Axis as Dim};

use super::weight_name;
use crate::ode_sde_gap::report::data::ReportData;
use crate::report::axes::{Axis, Panel, Scale, short};
use crate::report::colormap::Map;
use crate::report::svg::Svg;
use crate::report::{Figure, columns};

pub(super) fn figure(data: &ReportData, dataset: &str) -> Result<Option<Figure>> {
    let rows = data.results.rows_of(dataset);
    let cells: Vec<_> = rows
        .iter()
        .filter_map(|r| data.cell(dataset, r.w_r))
        .filter_map(|c| c.paths.as_ref().map(|p| (c.w_r, p)))
        .filter(|(_, p)| p.times.len() > 1)
        .collect();
    if cells.is_empty() {
        return Ok(None);
    }
    let reach = 1.15 * data.results.half_width.max(1.0);
    let mut svg = Svg::new(1080.0, 468.0);
    let (left, width) = columns(66.0, 1062.0, 30.0, cells.len());
    let width = width.min(330.0);
    let left: Vec<f64> = (0..left.len()).map(|c| left[0] + c as f64 * (width + 30.0)).collect();
    for (c, (w_r, paths)) in cells.iter().enumerate() {
        let t_max = paths.times[0];
        let ticks =
            [0.0, 0.01, 0.05, 0.2, 0.5, 1.0].map(|f| (f * t_max, short(f * t_max))).to_vec();
        for (r, (who, states)) in [("SDE", &paths.sde), ("ODE", &paths.ode)].into_iter().enumerate()
        {
            let mut up = Axis::linear(-reach, reach, &format!("{who}: x_{{1}}"));
            up.ticks.retain(|(v, _)| v.abs() <= reach);
            let label = if r == 1 { "time t (noise on the left)" } else { "" };
            let across = Axis {
                scale: Scale::Sqrt,
                lo: t_max,
                hi: 0.0,
                ticks: if r == 1 { ticks.clone() } else { vec![] },
                label: label.into(),
            };
            let panel =
                Panel { x: left[c], y: 36.0 + 202.0 * r as f64, w: width, h: 182.0, across, up };
            panel.draw_axes(&mut svg, c == 0);
            if r == 0 {
                panel.title(&mut svg, &format!("w_{{R}} = {}", weight_name(*w_r)));
            }
            svg.begin_clip((panel.x, panel.y), (panel.w, panel.h));
            draw(&mut svg, &panel, &paths.times, states);
            svg.end_clip();
        }
    }
    let label =
        format!("First coordinate of particles of {dataset} over time, SDE above, ODE below");
    Ok(Some(Figure::new(format!("trajectories-{dataset}"), svg.finish(&label))))
}

/// One line a particle, coloured by the order of the starting points.
fn draw(svg: &mut Svg, panel: &Panel, times: &[f64], states: &Array3<f64>) {
    let particles = states.len_of(Dim(1));
    let mut order: Vec<usize> = (0..particles).collect();
    order.sort_by(|a, b| states[[0, *a, 0]].total_cmp(&states[[0, *b, 0]]));
    for (rank, p) in order.into_iter().enumerate() {
        let [r, g, b] = Map::Sequential.rgb(0.88 * rank as f64 / particles.max(2) as f64);
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (k, t) in times.iter().enumerate() {
            let at = panel.at(*t, states[[k, p, 0]]);
            // Points closer than half a pixel across are left out of the drawing.
            let far =
                points.last().is_none_or(|q| (at.0 - q.0).abs() > 0.5 || (at.1 - q.1).abs() > 1.5);
            if far || k + 1 == times.len() {
                points.push(at);
            }
        }
        svg.polyline(&points, &format!("#{r:02x}{g:02x}{b:02x}"), 1.2, "", 0.9);
    }
}
