//! The page of `eta-sweep`.

use super::{Config, Results, Row};
use crate::report::axes::{Axis, Panel, Scale, short};
use crate::report::colormap::weight;
use crate::report::html::{Html, html};
use crate::report::plot::{self, Line};
use crate::report::sheet::{Sheet, Table, digits, maybe};
use crate::report::svg::Svg;
use crate::report::{Figure, columns};

/// What a score is, in words.
fn about(name: &str) -> String {
    match name {
        "exact" => "exact score".into(),
        "blurred" => "blurred at every time".into(),
        "smoothed" => "blurred data".into(),
        "wrong-weight" => "wrong weight".into(),
        other => other.into(),
    }
}

pub(super) fn sheet(config: &Config, results: &Results) -> Sheet {
    let scores = scores(results);
    let mut sheet = Sheet {
        title: "How much noise is good?".into(),
        lead: html!(
            "Squared W<sub>2</sub> to the truth as \u{3b7} grows: 0 is the flow ODE, 1 the reverse SDE. {}",
            finding(results)
        ),
        ..Sheet::default()
    };
    let wrong = if config.models.is_some() {
        Html::from("The scores are networks, each against its own data set.")
    } else {
        html!(
            "Target {}. Blurred at every time: the score of p<sub>t</sub> blurred by N(0, {}\u{b2}), as of a network too smooth; no forward process has these laws, so what is sampled may depend on \u{3b7}. Blurred data, and the first component\u{2019}s weight times {}: exact scores of other data, so every \u{3b7} samples those, and the distance is theirs.",
            config.target,
            config.smoothing,
            config.tilt
        )
    };
    sheet.section("The sweep", html!(
        "{} Method {}, grid {}, end \u{201c}{}\u{201d} at t = {}; {} particles, squared W<sub>2</sub> on {} \u{d7} {} nodes of \u{b1}{}.",
        wrong, config.method, config.grid, config.end, config.t_end, config.n,
        config.window.nodes, config.window.nodes, config.window.half_width
    ));
    sheet.figure(figure(results, &scores), "Squared W<sub>2</sub> to the truth (logarithmic) against \u{3b7} (square-root scale), one line a number of steps. Grey: the noise floor. A line that breaks off: the sampler left the window or the numbers (its steps are too long for so much noise).");
    let mut head = vec!["score".to_string(), "steps".into(), "evaluations".into()];
    head.extend(results.etas.iter().map(|e| format!("\u{3b7} = {}", short(*e))));
    head.push("floor".into());
    let rows = results.rows.iter().map(|r| {
        let best = r.distances.iter().filter_map(|d| d.w2).fold(f64::INFINITY, f64::min);
        let mut cells = vec![about(&r.score), r.steps.to_string(), r.nfe.to_string()];
        cells.extend(r.distances.iter().map(|d| {
            let mark = if d.w2 == Some(best) && results.etas.len() > 1 { "*" } else { "" };
            format!("{mark}{}", maybe(d.w2))
        }));
        cells.push(maybe(r.floor));
        cells
    });
    sheet.table(Table {
        name: "eta-sweep".into(),
        caption: "Squared W<sub>2</sub>; the smallest of each line in colour. A difference of less than the floor may be chance. \u{2014}: more than 5 % of the particles outside the window, or steps that the method does not take.".into(),
        head, words: 1,
        rows: rows.collect(),
    });
    sheet
}

fn scores(results: &Results) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in &results.rows {
        if !names.contains(&row.score) {
            names.push(row.score.clone());
        }
    }
    names
}

/// Where the smallest distance lies for each score, at its largest number of steps.
fn finding(results: &Results) -> String {
    let mut text = Vec::new();
    for score in scores(results) {
        let Some(row) = results.rows.iter().filter(|r| r.score == score).max_by_key(|r| r.steps)
        else {
            continue;
        };
        let found = results.etas.iter().zip(&row.distances).filter_map(|(e, d)| Some((*e, d.w2?)));
        let all: Vec<(f64, f64)> = found.collect();
        let Some(best) = all.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let worst = all.iter().map(|a| a.1).fold(0.0, f64::max);
        text.push(if row.floor.is_some_and(|floor| worst - best.1 < floor) {
            format!(
                "{}, {} steps: no \u{3b7} differs from another by more than the floor.",
                capital(&about(&score)),
                row.steps
            )
        } else {
            let ode = all
                .iter()
                .find(|a| a.0 == 0.0)
                .map(|a| format!(", against {} of the ODE", digits(a.1)));
            format!(
                "{}, {} steps: smallest at \u{3b7} = {} with {}{}.",
                capital(&about(&score)),
                row.steps,
                short(best.0),
                digits(best.1),
                ode.unwrap_or_default()
            )
        });
    }
    text.join(" ")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| format!("{}{}", c.to_uppercase(), chars.as_str()))
}

fn figure(results: &Results, scores: &[String]) -> Figure {
    let per_line = if scores.len() == 4 { 2 } else { scores.len().min(3) };
    let lines = scores.len().div_ceil(per_line.max(1));
    let mut svg = Svg::new(1080.0, 350.0 * lines as f64 + 10.0);
    let values =
        results.rows.iter().flat_map(|r| r.distances.iter().filter_map(|d| d.w2).chain(r.floor));
    let mut up = Axis::log_around(values, "squared W_{2} to the truth");
    up.lo *= 0.7;
    let top = results.etas.iter().copied().fold(0.0, f64::max);
    let (left, width) = columns(66.0, 990.0, 30.0, per_line.max(1));
    for (k, score) in scores.iter().enumerate() {
        let rows: Vec<&Row> = results.rows.iter().filter(|r| r.score == *score).collect();
        let ticks = results.etas.iter().filter(|e| **e != 0.1 || top < 4.0);
        let across = Axis {
            scale: Scale::Sqrt,
            lo: 0.0,
            hi: 1.03 * top.max(0.1),
            ticks: ticks.map(|e| (*e, short(*e))).collect(),
            label: "\u{3b7}".into(),
        };
        let (column, line) = (k % per_line, k / per_line);
        let panel = Panel {
            x: left[column],
            y: 36.0 + 350.0 * line as f64,
            w: width,
            h: 260.0,
            across,
            up: up.clone(),
        };
        panel.draw_axes(&mut svg, column == 0);
        panel.title(&mut svg, &about(score));
        if let Some(floor) = rows.first().and_then(|row| row.floor) {
            plot::floor(&mut svg, &panel, &[(0.0, floor), (1.03 * top, floor)], "noise floor");
        }
        let last = column + 1 == per_line || k + 1 == scores.len();
        let drawn: Vec<Line> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let points =
                    results.etas.iter().zip(&row.distances).filter_map(|(e, d)| Some((*e, d.w2?)));
                let name = if last { format!("{} steps", row.steps) } else { String::new() };
                Line::new(&name, &weight(i + 1, rows.len() + 1), points.collect())
            })
            .collect();
        plot::lines(&mut svg, &panel, &drawn);
    }
    Figure::new("eta-sweep", svg.finish("Squared W2 to the truth against eta"))
}
