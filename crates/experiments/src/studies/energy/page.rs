//! The page of `energy`.

use anyhow::Result;

use super::{Chains, Config, Results};
use crate::report::axes::{Axis, Panel};
use crate::report::colormap::{GREY, Map, OS, OT, ST};
use crate::report::html::html;
use crate::report::plot::{self, Line};
use crate::report::raster::heat_png;
use crate::report::sheet::{Sheet, Table, digits, maybe};
use crate::report::svg::{Svg, Text};
use crate::report::{Figure, columns};

pub(super) fn sheet(config: &Config, results: &Results) -> Result<Sheet> {
    let mut sheet = Sheet {
        title: "A potential as an energy".into(),
        lead: html!(
            "The network learned a potential \u{3c6}, so exp \u{3c6} is a density up to a constant. At t = {} it differs from the true one by {} in total variation (0: equal, 1: nothing in common). Langevin chains on it sample it, where they can cross between modes.",
            config.t,
            digits(results.total_variation)
        ),
        ..Sheet::default()
    };
    sheet.section("Density", html!("{}: exp \u{3c6}(x, t) at t = {}, normalised over \u{b1}{}, beside the exact p<sub>t</sub>. Network of {:?} hidden units, {} steps on {} points.",
        config.training.data_set, config.t, config.window.half_width, config.training.hidden, config.training.steps, config.training.batch));
    sheet.figure(contours(config, results)?, "Left and middle on one colour scale (square root of the density, dark 0). Right: learned minus true; red is too much, blue too little.");
    sheet.section("Langevin chains", html!("x \u{2190} x + h s + \u{221a}(2h) z with h = {} on \u{3c6}(\u{b7}, t): {} chains from N(0, 1.5\u{b2}), from the middle mode, and annealed: from N(0, 1.5\u{b2}) with t falling from {} in {} levels over the first two thirds of the steps. Squared W<sub>2</sub> to the truth, for the learned energy and for the exact one.", config.step, config.n, config.hottest, config.levels));
    sheet.figure(distances(results), "Squared W<sub>2</sub> against steps, both axes logarithmic. Solid: learned energy; dashed: exact. Grey: the noise floor. Chains that start in one mode stay there for long, on the exact energy too: that is a property of Langevin dynamics, not of the network.");
    sheet.figure(
        ends(config, results),
        "Where chains on the learned energy ended, the first 600 of each.",
    );
    let mut head = vec!["energy".to_string(), "start".into()];
    head.extend(config.looks.iter().map(|k| format!("{k} steps")));
    head.push("floor".into());
    sheet.table(Table {
        name: "chains".into(),
        caption: "Squared W<sub>2</sub> to the truth; \u{2014}: more than 5 % of the chains outside the window.".into(),
        head,
        words: 2,
        rows: results
            .chains
            .iter()
            .map(|c| {
                let mut row = vec![c.energy.clone(), c.start.clone()];
                row.extend(c.looks.iter().map(|l| maybe(l.w2)));
                row.push(maybe(results.floor));
                row
            })
            .collect(),
    });
    Ok(sheet)
}

fn contours(config: &Config, results: &Results) -> Result<Figure> {
    let reach = config.window.half_width;
    let learned = crate::model::matrix(&results.learned, config.pixels)?;
    let truth = crate::model::matrix(&results.truth, config.pixels)?;
    let top = truth.iter().copied().fold(1e-12, f64::max);
    let difference = &learned - &truth;
    let most = difference.iter().fold(1e-12_f64, |m, v| m.max(v.abs()));
    let root = |x: &ndarray::Array2<f64>| {
        heat_png(&x.mapv(|v| (v / top).max(0.0).sqrt()), Map::Sequential, 0.0, 1.1)
    };
    let pictures = [
        ("learned: exp \u{3c6}", root(&learned)?),
        ("true: p_{t}", root(&truth)?),
        ("learned \u{2212} true", heat_png(&difference, Map::Diverging, -most, most)?),
    ];
    let mut svg = Svg::new(1080.0, 420.0);
    let (left, width) = columns(66.0, 1066.0, 20.0, 3);
    for (k, (name, picture)) in pictures.iter().enumerate() {
        let panel = Panel {
            x: left[k],
            y: 36.0,
            w: width,
            h: width,
            across: Axis::linear(-reach, reach, "x_{1}"),
            up: Axis::linear(-reach, reach, "x_{2}"),
        };
        panel.draw_axes(&mut svg, k == 0);
        panel.title(&mut svg, name);
        svg.image((panel.x, panel.y), (width, width), picture, name);
    }
    let note = Text { size: 11.0, fill: GREY, ..Text::default() };
    svg.text(
        (left[2] + 120.0, 24.0),
        &format!("\u{b1}{} at most; density up to {}", digits(most), digits(top)),
        &note,
    );
    Ok(Figure::new("contours", svg.finish("Learned and true density, and their difference")))
}

fn colour(start: &str) -> &'static str {
    match start {
        "annealed" => ST,
        "wide" => OS,
        _ => OT,
    }
}

fn distances(results: &Results) -> Figure {
    let all = results.chains.iter().flat_map(|c| &c.looks);
    let mut up = Axis::log_around(
        all.clone().filter_map(|l| l.w2).chain(results.floor),
        "squared W_{2} to the truth",
    );
    up.lo *= 0.7;
    let mut svg = Svg::new(860.0, 380.0);
    let across = Axis::log_around(all.map(|l| l.steps as f64), "steps");
    let panel = Panel { x: 72.0, y: 20.0, w: 600.0, h: 300.0, across, up };
    panel.draw_axes(&mut svg, true);
    if let Some(floor) = results.floor {
        let ends = [(panel.across.lo, floor), (panel.across.hi, floor)];
        plot::floor(&mut svg, &panel, &ends, "noise floor");
    }
    let line = |c: &Chains| {
        let points =
            c.looks.iter().filter(|l| l.steps > 0).filter_map(|l| Some((l.steps as f64, l.w2?)));
        let line = Line::new(
            if c.energy == "learned" { &c.start } else { "" },
            colour(&c.start),
            points.collect(),
        );
        if c.energy == "learned" { line } else { line.plain(1.4, "5 4") }
    };
    let lines: Vec<Line> = results.chains.iter().map(line).collect();
    plot::lines(&mut svg, &panel, &lines);
    Figure::new("chains", svg.finish("Squared W2 of Langevin chains to the truth against steps"))
}

fn ends(config: &Config, results: &Results) -> Figure {
    let reach = config.window.half_width;
    let mut svg = Svg::new(1080.0, 420.0);
    let (left, width) = columns(66.0, 1066.0, 20.0, 3);
    for (k, chains) in results.chains.iter().filter(|c| c.energy == "learned").enumerate() {
        let panel = Panel {
            x: left[k % 3],
            y: 36.0,
            w: width,
            h: width,
            across: Axis::linear(-reach, reach, "x_{1}"),
            up: Axis::linear(-reach, reach, "x_{2}"),
        };
        panel.draw_axes(&mut svg, k == 0);
        panel.title(&mut svg, &chains.start);
        svg.begin_clip((panel.x, panel.y), (panel.w, panel.h));
        for p in &chains.ends {
            svg.circle(panel.at(p[0], p[1]), 1.8, colour(&chains.start), "none", 0.0, "");
        }
        svg.end_clip();
    }
    Figure::new("ends", svg.finish("Where Langevin chains ended"))
}
