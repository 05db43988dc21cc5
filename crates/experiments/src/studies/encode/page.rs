//! The page of `encode`.

use anyhow::Result;

use super::{Config, Results, Rows};
use crate::report::axes::{Axis, Panel, short};
use crate::report::colormap::Map;
use crate::report::html::html;
use crate::report::raster::heat_png;
use crate::report::sheet::{Sheet, Table, digits};
use crate::report::svg::Svg;
use crate::report::{Figure, columns};
use crate::studies::sde_vs_ode::density;
use crate::studies::target::Target;

const COLOURS: [&str; 9] = [
    "#2563eb", "#db2777", "#65a30d", "#9333ea", "#0891b2", "#f59e0b", "#dc2626", "#334155",
    "#0d9488",
];

pub(super) fn sheet(config: &Config, results: &Results) -> Result<Sheet> {
    let tight = results.trips.iter().min_by(|a, b| a.tolerance.total_cmp(&b.tolerance));
    let trip = tight.map_or(String::new(), |t| {
        format!(
            " Data come back with a root mean square error of {} at a tolerance of {:e}.",
            digits(t.rms),
            t.tolerance
        )
    });
    let mut sheet = Sheet {
        title: "Data as latents, and back".into(),
        lead: html!(
            "The flow ODE takes every data point to one latent, and back.{} The latents have {} times the variance of the prior.",
            trip,
            digits(results.latent_variance)
        ),
        ..Sheet::default()
    };
    sheet.section("Encoding", html!(
        "{} points of {} at t = {}, taken up to t = T by Dormand-Prince, each with steps of its own; exact score, {}.",
        config.points, config.target, config.t_end, config.sde));
    sheet.figure(latents(config, results), "Left: data, coloured by the component each most likely belongs to. Right: their latents, same colours. Each component fills a region of its own; together they fill the prior.");
    sheet.table(Table {
        name: "round-trip".into(),
        caption: "Data, encoded and decoded again: distance from where they began. Evaluations of the score for a point, both ways.".into(),
        head: ["tolerance", "RMS error", "largest error", "evaluations"].map(String::from).to_vec(), words: 0,
        rows: results.trips.iter().map(|t| vec![digits(t.tolerance), digits(t.rms), digits(t.largest), digits(t.evaluations)]).collect(),
    });
    sheet.section("Interpolation", "Between the latents of two data points of different components along the great arc, decoded; beside it the straight line between the data.");
    sheet.figure(ways(config, results)?, "Left: arcs between latents. Right: the same arcs decoded (solid), over the density of the data (square root, dark 0), and the straight lines between the same data (dashed).");
    sheet.table(Table {
        name: "interpolation".into(),
        caption: "The smallest log-density that is met on the way; larger is better.".into(),
        head: ["pair", "decoded arc", "straight line"].map(String::from).to_vec(),
        words: 1,
        rows: results
            .ways
            .iter()
            .enumerate()
            .map(|(k, w)| vec![(k + 1).to_string(), digits(w.least_arc), digits(w.least_line)])
            .collect(),
    });
    sheet.section("Temperature", "Latents from the prior times \u{3c4}, decoded: below 1 the data are less diverse, above 1 more.");
    sheet.figure(temperatures(results), "Decoded points by temperature, on one scale.");
    sheet.table(Table {
        name: "temperature".into(),
        caption: "Mean log-density under the law of the data, and the root of the mean variance of a coordinate.".into(),
        head: ["temperature", "mean log-density", "spread"].map(String::from).to_vec(), words: 0,
        rows: results.temperatures.iter().map(|t| vec![short(t.tau), digits(t.log_density), digits(t.spread)]).collect(),
    });
    Ok(sheet)
}

fn reach(points: &Rows) -> f64 {
    1.08 * points.iter().flatten().fold(0.5_f64, |m, v| m.max(v.abs()))
}

fn square(x: f64, side: f64, reach: f64, (across, up): (&str, &str)) -> Panel {
    Panel {
        x,
        y: 36.0,
        w: side,
        h: side,
        across: Axis::linear(-reach, reach, across),
        up: Axis::linear(-reach, reach, up),
    }
}

fn latents(config: &Config, results: &Results) -> Figure {
    let mut svg = Svg::new(1080.0, 520.0);
    let _ = config;
    for (k, (name, points, axes)) in [
        ("Data", &results.data, ("x_{1}", "x_{2}")),
        ("Latents", &results.latents, ("z_{1}", "z_{2}")),
    ]
    .into_iter()
    .enumerate()
    {
        let panel = square(66.0 + 510.0 * k as f64, 430.0, reach(points), axes);
        panel.draw_axes(&mut svg, true);
        panel.title(&mut svg, name);
        for (p, c) in points.iter().zip(&results.components) {
            svg.circle(panel.at(p[0], p[1]), 2.4, COLOURS[c % COLOURS.len()], "#fff", 0.4, "");
        }
    }
    Figure::new("latents", svg.finish("Data and their latents, coloured by component"))
}

fn ways(config: &Config, results: &Results) -> Result<Figure> {
    let mut svg = Svg::new(1080.0, 520.0);
    let panel = square(66.0, 430.0, reach(&results.latents), ("z_{1}", "z_{2}"));
    panel.draw_axes(&mut svg, true);
    panel.title(&mut svg, "Arcs between latents");
    for p in &results.latents {
        svg.circle(panel.at(p[0], p[1]), 1.6, "#d1d5db", "none", 0.0, "");
    }
    let pairs = |rows: &Rows| rows.iter().map(|p| (p[0], p[1])).collect::<Vec<_>>();
    for (k, way) in results.ways.iter().enumerate() {
        panel.line(&mut svg, &pairs(&way.latents), COLOURS[k % COLOURS.len()], 2.2, "", 1.0);
    }
    let sde = sde_core::sde::parse(&config.sde)?;
    let mixture = Target::parse(&config.target)?.mixture()?;
    let score = mixture.under(&*sde);
    let wide = reach(&results.data);
    let heat = density(&|x| Ok(score.log_density(x, config.t_end)?), wide, 120)?;
    let top = heat.iter().copied().fold(0.0, f64::max);
    let picture = heat_png(&heat.mapv(|v| (v / top).sqrt()), Map::Sequential, 0.0, 1.35)?;
    let panel = square(576.0, 430.0, wide, ("x_{1}", "x_{2}"));
    panel.draw_axes(&mut svg, true);
    panel.title(&mut svg, "Decoded, over the density");
    svg.image((panel.x, panel.y), (panel.w, panel.h), &picture, "density");
    for way in &results.ways {
        let points = pairs(&way.arc);
        if let (Some(a), Some(b)) = (points.first(), points.last()) {
            panel.line(&mut svg, &[*a, *b], "#fbbf24", 1.3, "5 4", 0.9);
            panel.line(&mut svg, &points, "#ffffff", 2.0, "", 1.0);
            for end in [a, b] {
                svg.circle(panel.at(end.0, end.1), 4.0, "#fff", "#1f2937", 1.2, "");
            }
        }
    }
    Ok(Figure::new(
        "interpolation",
        svg.finish("Arcs between latents, and the same decoded over the density"),
    ))
}

fn temperatures(results: &Results) -> Figure {
    let n = results.temperatures.len().max(1);
    let all: Rows = results.temperatures.iter().flat_map(|t| t.decoded.clone()).collect();
    let wide = reach(&all);
    let (left, width) = columns(66.0, 1066.0, 16.0, n);
    let side = width.min(330.0);
    let mut svg = Svg::new(1080.0, side + 90.0);
    for (k, t) in results.temperatures.iter().enumerate() {
        let panel = square(left[k], side, wide, ("x_{1}", "x_{2}"));
        panel.draw_axes(&mut svg, k == 0);
        panel.title(&mut svg, &format!("\u{3c4} = {}", short(t.tau)));
        for p in &t.decoded {
            svg.circle(panel.at(p[0], p[1]), 1.7, "#4338ca", "none", 0.0, "");
        }
    }
    Figure::new("temperature", svg.finish("Decoded points by temperature"))
}
