//! The residual against the distances, and against the denoising loss.

use super::weight_name;
use crate::ode_sde_gap::report::data::ReportData;
use crate::ode_sde_gap::results::Row;
use crate::report::axes::{Axis, Panel, marker};
use crate::report::colormap::{GREY, INK, SETS};
use crate::report::svg::{Svg, Text};
use crate::report::{Figure, columns};

type Pick = fn(&Row) -> f64;

pub(super) fn against_w2(data: &ReportData) -> Figure {
    let panels: [(&str, Pick, &str, Pick); 2] = [
        ("On points of p_{t}", |r| r.residual_on_path, "mean squared residual", |r| r.ode_sde),
        ("Over the collocation box", |r| r.residual, "mean squared residual", |r| r.ode_sde),
    ];
    let mut svg = Svg::new(710.0, 390.0);
    let (left, width) = columns(66.0, 700.0, 30.0, 2);
    for (k, (title, x, x_name, y)) in panels.iter().enumerate() {
        let name = if k == 0 { "squared W_{2}, ODE to SDE" } else { "" };
        scatter(&mut svg, data, (left[k], width), title, (*x, x_name), (*y, name));
    }
    legend(&mut svg, data, 66.0);
    Figure::new(
        "residual-w2",
        svg.finish("Mean squared Fokker-Planck residual against squared W2 of ODE and SDE"),
    )
}

pub(super) fn against_dsm(data: &ReportData) -> Figure {
    let mut svg = Svg::new(370.0, 390.0);
    let y = "mean squared residual (p_{t})";
    scatter(
        &mut svg,
        data,
        (66.0, 294.0),
        "The price in the denoising loss",
        (|r| r.dsm_loss, "held-out DSM loss"),
        (|r| r.residual_on_path, y),
    );
    Figure::new(
        "residual-dsm",
        svg.finish("Mean squared Fokker-Planck residual against the denoising loss"),
    )
}

fn legend(svg: &mut Svg, data: &ReportData, mut x: f64) {
    for (s, dataset) in data.results.datasets().iter().enumerate() {
        let colour = SETS[s % SETS.len()];
        marker(svg, s, (x + 6.0, 14.0), 5.0, colour, "#fff", "");
        svg.text((x + 18.0, 18.5), dataset, &Text { size: 12.5, fill: INK, ..Text::default() });
        x += 46.0 + 7.4 * dataset.len() as f64;
    }
    svg.text((x, 18.5), "numbers: w_{R}", &Text { size: 12.0, fill: GREY, ..Text::default() });
}

fn scatter(
    svg: &mut Svg,
    data: &ReportData,
    (left, width): (f64, f64),
    title: &str,
    (x, x_name): (Pick, &str),
    (y, y_name): (Pick, &str),
) {
    let rows = &data.results.rows;
    let panel = Panel {
        x: left,
        y: 66.0,
        w: width,
        h: 274.0,
        across: Axis::log_around(rows.iter().map(x), x_name),
        up: Axis::log_around(rows.iter().map(y), y_name),
    };
    panel.draw_axes(svg, !y_name.is_empty());
    panel.title(svg, title);
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for (s, dataset) in data.results.datasets().iter().enumerate() {
        let colour = SETS[s % SETS.len()];
        let points: Vec<(f64, f64, f64)> = data
            .results
            .rows_of(dataset)
            .iter()
            .map(|r| (x(r), y(r), r.w_r))
            .filter(|(a, b, _)| *a > 0.0 && *b > 0.0)
            .collect();
        let line: Vec<_> = points.iter().map(|(a, b, _)| (*a, *b)).collect();
        panel.line(svg, &line, colour, 1.4, "", 0.45);
        for (a, b, w) in points {
            let (px, py) = panel.at(a, b);
            let w = weight_name(w);
            marker(
                svg,
                s,
                (px, py),
                5.0,
                colour,
                "#fff",
                &format!("{dataset}, w_R = {w}: {a:.4} / {b:.5}"),
            );
            // A number that would lie on another is left out; the tooltip has it.
            let free =
                taken.iter().all(|(qx, qy)| (px - qx).abs() > 20.0 || (py - qy).abs() > 11.0);
            if free {
                svg.text(
                    (px + 7.5, py - 6.0),
                    &w,
                    &Text { size: 10.5, fill: GREY, ..Text::default() },
                );
                taken.push((px, py));
            }
        }
    }
}
