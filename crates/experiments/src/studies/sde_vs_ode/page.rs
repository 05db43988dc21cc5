//! The page of `sde-vs-ode`.

use anyhow::Result;
use ndarray::Array2;

use super::{Config, Length, Look, Paths, Results};
use crate::report::axes::{Axis, Panel};
use crate::report::colormap::{INK, Map, OS, OT, ST};
use crate::report::html::html;
use crate::report::plot::{self, Line};
use crate::report::raster::heat_png;
use crate::report::sheet::{Sheet, Table, maybe};
use crate::report::svg::{Svg, Text};
use crate::report::{Figure, columns};
use crate::studies::target::Target;

pub(super) fn sheet(config: &Config, results: &Results) -> Result<Sheet> {
    let (last_right, last_wrong) = (results.right.last(), results.wrong.last());
    let mut sheet = Sheet {
        title: "One law, two ways: smooth and zigzag".into(),
        lead: "The reverse SDE and the probability-flow ODE of the same exact score have the same law at every time. \
               Their paths have not: those of the ODE are smooth and do not cross, those of the SDE zigzag. The SDE is the \
               flow ODE plus Langevin dynamics, which forgets errors that the flow keeps.".into(),
        ..Sheet::default()
    };
    sheet.section("Trajectories", html!(
        "The same {} starting points under both samplers, {} equal steps; ODE by Heun\u{2019}s method, SDE by Euler-Maruyama.",
        config.paths, config.steps
    ));
    sheet.figure(line(config, &results.line)?,
        "On a line. Background: the density p<sub>t</sub>(x), each time scaled to its own maximum (dark 0, bright 1). White: particles. Noise (t = T) is on the left, data on the right.");
    sheet.figure(plane(config, &results.plane)?,
        "In the plane. Background: the density at the end, p<sub>t</sub> at the smallest t. Rings: where particles start at t = T; discs: where they end. The same starting point has the same colour in both panels.");
    sheet.section("How long is a path?", "The path of the ODE has a length. That of the SDE has none: the more steps, the longer it is, in the limit by \u{221a}2 with every doubling. Mean over 200 particles on the line.");
    sheet.figure(
        lengths(&results.lengths),
        "Mean length of a path against the number of steps, both axes logarithmic.",
    );
    sheet.section("SDE = ODE + Langevin", html!(
        "Each step of the SDE is split into a step of the flow ODE and one of Langevin dynamics at the time reached. The split sampler must have the law of the SDE, also where that is not p<sub>t</sub>: on the right all particles start from a wrong law, N({}, {}\u{b2}) in each coordinate. Samplers have noise of their own. {} particles, squared W<sub>2</sub> on {} \u{d7} {} nodes of \u{b1}{}; target {}.",
        config.wrong_mean, config.wrong_std, config.n, config.window.nodes, config.window.nodes, config.window.half_width, config.target
    ));
    sheet.figure(law(results), "Squared W<sub>2</sub> over time. Grey: the noise floor, what a sample of p<sub>t</sub> of this size has; a line inside it says no more than \u{201c}no difference seen\u{201d}. From the right start all three stay there. From a wrong start the ODE carries its error to the end, the SDE and its split forget it at the same rate, and the distance between the two is that of two samples of one law.");
    if let (Some(r), Some(w)) = (last_right, last_wrong) {
        let mut table = Table {
            name: "law".into(),
            caption: "Squared W<sub>2</sub> at the end; \u{2014}: more than 5 % of a sample outside the window. Floor: samples of the truth in the samplers\u{2019} place. For pairs the floor is that of two samples of the truth, both of this size.".into(),
            head: ["start", "ODE to truth", "SDE to truth", "split to truth", "floor", "SDE to split", "ODE to SDE", "floor of pairs"].map(String::from).to_vec(),
            words: 1,
            ..Table::default()
        };
        for (name, l) in [("right", r), ("wrong", w)] {
            table.rows.push(vec![
                name.into(),
                maybe(l.ode),
                maybe(l.sde),
                maybe(l.split),
                maybe(l.floor),
                maybe(l.sde_split),
                maybe(l.ode_sde),
                maybe(l.floor_pair),
            ]);
        }
        sheet.table(table);
    }
    Ok(sheet)
}

fn line(config: &Config, paths: &Paths) -> Result<Figure> {
    let sde = config.sde()?;
    let score = Target::parse(&config.line)?.mixture()?;
    let score = score.under(&*sde);
    let (horizon, end) = (paths.times[0], paths.times[paths.times.len() - 1]);
    let reach = 3.2;
    let (w, h) = (240, 160);
    let xs =
        Array2::from_shape_fn((h, 1), |(i, _)| -reach + 2.0 * reach * (i as f64 + 0.5) / h as f64);
    let mut heat = Array2::zeros((h, w));
    for j in 0..w {
        let t = horizon + (end - horizon) * (j as f64 + 0.5) / w as f64;
        let log = score.log_density(&xs, t)?;
        let top = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (i, l) in log.iter().enumerate() {
            heat[[i, j]] = (l - top).exp();
        }
    }
    let picture = heat_png(&heat, Map::Sequential, 0.0, 1.15)?;
    let mut svg = Svg::new(1080.0, 390.0);
    let (left, width) = columns(66.0, 1066.0, 30.0, 2);
    for (k, (name, states)) in
        [("SDE: zigzag", &paths.sde), ("ODE: smooth", &paths.ode)].into_iter().enumerate()
    {
        let mut across = Axis::linear(0.0, horizon, "time t");
        (across.lo, across.hi) = (horizon, end);
        across.ticks.retain(|(v, _)| *v >= end - 1e-9 || *v == 0.0);
        let panel = Panel {
            x: left[k],
            y: 36.0,
            w: width,
            h: 300.0,
            across,
            up: Axis::linear(-reach, reach, "x"),
        };
        panel.draw_axes(&mut svg, k == 0);
        panel.title(&mut svg, name);
        svg.image((panel.x, panel.y), (panel.w, panel.h), &picture, "density");
        svg.begin_clip((panel.x, panel.y), (panel.w, panel.h));
        for p in 0..states[0].len() {
            let points: Vec<_> =
                paths.times.iter().zip(states).map(|(t, x)| (*t, x[p][0])).collect();
            panel.line(&mut svg, &points, "#1f2937", 2.4, "", 0.35);
            panel.line(&mut svg, &points, "#ffffff", 1.15, "", 0.95);
        }
        svg.end_clip();
    }
    Ok(Figure::new(
        "trajectories-line",
        svg.finish("Trajectories of SDE and ODE on a line over the density"),
    ))
}

fn plane(config: &Config, paths: &Paths) -> Result<Figure> {
    /// More would hide each other.
    const SHOWN: usize = 5;
    const COLOURS: [&str; SHOWN] = ["#ffffff", "#fb7185", "#fbbf24", "#a3e635", "#67e8f9"];
    let sde = config.sde()?;
    let score = Target::parse(&config.plane)?.mixture()?;
    let score = score.under(&*sde);
    let end = paths.times[paths.times.len() - 1];
    let reach = 3.2;
    let density = density(&|x| Ok(score.log_density(x, end)?), reach, 120)?;
    let top = density.iter().copied().fold(0.0, f64::max);
    // The square root opens up the flanks.
    let picture = heat_png(&density.mapv(|v| (v / top).sqrt()), Map::Sequential, 0.0, 1.35)?;
    let mut svg = Svg::new(1080.0, 540.0);
    for (k, (name, states)) in [("SDE", &paths.sde), ("ODE", &paths.ode)].into_iter().enumerate() {
        let panel = Panel {
            x: 66.0 + 490.0 * k as f64,
            y: 36.0,
            w: 450.0,
            h: 450.0,
            across: Axis::linear(-reach, reach, "x_{1}"),
            up: Axis::linear(-reach, reach, "x_{2}"),
        };
        panel.draw_axes(&mut svg, k == 0);
        panel.title(&mut svg, name);
        svg.image((panel.x, panel.y), (panel.w, panel.h), &picture, "density");
        svg.begin_clip((panel.x, panel.y), (panel.w, panel.h));
        for p in 0..states[0].len().min(SHOWN) {
            let points: Vec<_> = states.iter().map(|x| (x[p][0], x[p][1])).collect();
            panel.line(&mut svg, &points, COLOURS[p], 1.2, "", 0.9);
        }
        for p in 0..states[0].len().min(SHOWN) {
            let at = |x: &Vec<Vec<f64>>| panel.at(x[p][0], x[p][1]);
            svg.circle(at(&states[0]), 4.5, "#1f2937", COLOURS[p], 1.8, "start");
            svg.circle(at(&states[states.len() - 1]), 4.5, COLOURS[p], "#1f2937", 1.2, "end");
        }
        svg.end_clip();
    }
    Ok(Figure::new(
        "trajectories-plane",
        svg.finish("Trajectories of SDE and ODE in the plane over the density"),
    ))
}

/// A density on a square grid, row 0 at the bottom.
pub(crate) fn density(
    log: &dyn Fn(&Array2<f64>) -> Result<Vec<f64>>,
    reach: f64,
    nodes: usize,
) -> Result<Array2<f64>> {
    let at = |k: usize| -reach + 2.0 * reach * (k as f64 + 0.5) / nodes as f64;
    let points = Array2::from_shape_fn((nodes * nodes, 2), |(k, c)| {
        if c == 0 { at(k % nodes) } else { at(k / nodes) }
    });
    let values: Vec<f64> = log(&points)?.iter().map(|l| l.exp()).collect();
    Ok(Array2::from_shape_vec((nodes, nodes), values)?)
}

fn lengths(lengths: &[Length]) -> Figure {
    let mut svg = Svg::new(620.0, 330.0);
    let pick =
        |f: fn(&Length) -> f64| lengths.iter().map(|l| (l.steps as f64, f(l))).collect::<Vec<_>>();
    let (ode, sde) = (pick(|l| l.ode), pick(|l| l.sde));
    let mut across = Axis::log_around(ode.iter().map(|p| p.0), "steps");
    across.ticks = lengths.iter().map(|l| (l.steps as f64, l.steps.to_string())).collect();
    let panel = Panel {
        x: 66.0,
        y: 20.0,
        w: 470.0,
        h: 260.0,
        across,
        up: Axis::log_around(ode.iter().chain(&sde).map(|p| p.1), "mean length of a path"),
    };
    panel.draw_axes(&mut svg, true);
    plot::lines(&mut svg, &panel, &[Line::new("SDE", ST, sde), Line::new("ODE", OT, ode)]);
    Figure::new("lengths", svg.finish("Mean length of paths against the number of steps"))
}

fn law(results: &Results) -> Figure {
    let mut svg = Svg::new(1080.0, 390.0);
    let all = results.right.iter().chain(&results.wrong);
    let values = all.flat_map(|l| [l.ode, l.sde, l.split, l.sde_split, l.floor]).flatten();
    let mut up = Axis::log_around(values, "squared W_{2}");
    up.lo *= 0.5;
    let horizon = results.right.first().map_or(1.0, |l| l.t);
    let (left, width) = columns(66.0, 940.0, 40.0, 2);
    for (k, (name, looks)) in
        [("Right start: p_{T}", &results.right), ("Wrong start", &results.wrong)]
            .into_iter()
            .enumerate()
    {
        let mut across = Axis::linear(0.0, horizon, "time t");
        (across.lo, across.hi) = (1.02 * horizon, 0.0);
        let panel = Panel { x: left[k], y: 36.0, w: width, h: 300.0, across, up: up.clone() };
        panel.draw_axes(&mut svg, k == 0);
        panel.title(&mut svg, name);
        let points = |f: fn(&Look) -> Option<f64>| {
            looks.iter().filter_map(|l| Some((l.t, f(l).filter(|v| *v > 0.0)?))).collect::<Vec<_>>()
        };
        plot::floor(&mut svg, &panel, &points(|l| l.floor), "noise floor");
        let named = |name: &str| if k == 1 { name.to_string() } else { String::new() };
        plot::lines(
            &mut svg,
            &panel,
            &[
                Line::new(&named("ODE to truth"), OT, points(|l| l.ode)),
                Line::new(&named("SDE to truth"), ST, points(|l| l.sde)),
                Line {
                    mark: Some(1),
                    dash: "5 4",
                    ..Line::new(&named("split to truth"), "#7c3aed", points(|l| l.split))
                },
                Line {
                    mark: Some(2),
                    dash: "2 4",
                    ..Line::new(&named("SDE to split"), OS, points(|l| l.sde_split))
                },
            ],
        );
    }
    let note = Text { size: 11.0, fill: INK, ..Text::default() };
    svg.text((left[0] + width - 96.0, 30.0), "data on the right", &note);
    Figure::new("law", svg.finish("Squared W2 of ODE, SDE and split sampler over time"))
}
