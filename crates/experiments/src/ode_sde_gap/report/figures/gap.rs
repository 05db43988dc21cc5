//! The main figure: squared W2 against the weight of the residual.

use super::weight_name;
use crate::ode_sde_gap::official;
use crate::ode_sde_gap::report::data::ReportData;
use crate::ode_sde_gap::results::Row;
use crate::report::axes::{Axis, Panel, marker};
use crate::report::colormap::{GREY, INK, OS, OT, ST};
use crate::report::svg::{Anchor, Svg, Text};
use crate::report::{Figure, columns};

type Pick<T> = fn(&T) -> f64;

pub(super) fn figure(data: &ReportData) -> Figure {
    let results = &data.results;
    let sets = results.datasets();
    let weights = results.weights();
    let curves: [(&str, &str, Pick<Row>, Pick<official::Official>); 3] = [
        ("ODE to truth", OT, |r| r.ode_truth, |o| o.ode_truth),
        ("SDE to truth", ST, |r| r.sde_truth, |o| o.sde_truth),
        ("ODE to SDE (the gap)", OS, |r| r.ode_sde, |o| o.ode_sde),
    ];
    let published = |dataset: &str, w: f64| official::find(dataset, w).map(|o| o.on_true_nodes());

    let mut values: Vec<f64> = results.floors.iter().map(|f| f.w2).collect();
    for row in &results.rows {
        values.extend([row.ode_truth, row.sde_truth, row.ode_sde]);
        if let Some(o) = published(&row.dataset, row.w_r) {
            values.extend([o.ode_truth, o.sde_truth, o.ode_sde]);
        }
    }
    let up = Axis::log_around(values, "squared W_{2}");
    let names: Vec<String> = weights.iter().map(|w| weight_name(*w)).collect();

    let mut svg = Svg::new(1080.0, 430.0);
    let mut x = 66.0;
    let key = Text { size: 12.5, fill: INK, ..Text::default() };
    for (name, colour, ..) in &curves {
        svg.line((x, 16.0), (x + 26.0, 16.0), colour, 2.4);
        svg.circle((x + 13.0, 16.0), 4.2, colour, "#fff", 1.4, "");
        svg.text((x + 34.0, 20.5), name, &key);
        x += 62.0 + 7.0 * name.len() as f64;
    }
    if results.rows.iter().any(|r| official::find(&r.dataset, r.w_r).is_some()) {
        svg.polyline(&[(x, 16.0), (x + 26.0, 16.0)], GREY, 1.4, "2 4", 1.0);
        svg.circle((x + 13.0, 16.0), 3.4, "#fff", GREY, 1.4, "");
        svg.text((x + 34.0, 20.5), "published networks", &key);
        x += 188.0;
    }
    svg.rect((x, 9.0), (26.0, 14.0), "#eef0f3", 2.0, "");
    svg.text((x + 34.0, 20.5), "within the noise floor", &key);

    let (left, width) = columns(66.0, 1070.0, 26.0, sets.len().max(1));
    for (s, dataset) in sets.iter().enumerate() {
        let panel = Panel {
            x: left[s],
            y: 78.0,
            w: width,
            h: 296.0,
            across: Axis::places(&names, "weight of the residual, w_{R}"),
            up: up.clone(),
        };
        if let Some(floor) = results.floor_of(dataset).filter(|f| f.w2 > 0.0) {
            let (x0, y0) = panel.at(panel.across.lo, floor.w2);
            svg.rect(
                (x0, y0),
                (panel.w, panel.y + panel.h - y0),
                "#eef0f3",
                0.0,
                &format!("noise floor {:.5}", floor.w2),
            );
        }
        panel.draw_axes(&mut svg, s == 0);
        panel.title(&mut svg, dataset);
        let rows = results.rows_of(dataset);
        let place = |w: f64| weights.iter().position(|v| *v == w).unwrap_or(0) as f64;
        for (name, colour, _, pick) in &curves {
            let points: Vec<_> = rows
                .iter()
                .filter_map(|r| published(dataset, r.w_r).map(|o| (place(r.w_r), pick(&o))))
                .collect();
            panel.line(&mut svg, &points, colour, 1.3, "2 4", 0.75);
            for (px, v) in points {
                let title = format!("published, {name}: {v:.5}");
                marker(&mut svg, 0, panel.at(px, v), 3.0, "#fff", colour, &title);
            }
        }
        for (name, colour, pick, _) in &curves {
            let points: Vec<_> = rows.iter().map(|r| (place(r.w_r), pick(r))).collect();
            panel.line(&mut svg, &points, colour, 2.4, "", 1.0);
            for (px, v) in points {
                marker(
                    &mut svg,
                    0,
                    panel.at(px, v),
                    4.6,
                    colour,
                    "#fff",
                    &format!("{name}: {v:.5}"),
                );
            }
        }
        if rows.is_empty() {
            let middle = (panel.x + panel.w / 2.0, panel.y + panel.h / 2.0);
            svg.text(middle, "no networks", &Text { anchor: Anchor::Middle, ..key.clone() });
        }
    }
    Figure::new(
        "gap",
        svg.finish("Squared Wasserstein-2 distances against the weight of the residual"),
    )
}
