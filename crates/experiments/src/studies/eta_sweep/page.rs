//! The page of `eta-sweep`.

use metrics::{Change, Estimate};
use report::{Axis, Figure, Grid, Panel, Sheet, Table, html, list, ordered, short};

use super::{Config, Results, Row};
use crate::distance::{self, FLOOR, said};

/// What a score is, in words.
fn about(name: &str) -> &str {
    match name {
        "exact" => "Exact score",
        "blurred" => "Blurred at every time",
        "smoothed" => "Blurred data",
        "wrong-weight" => "Wrong weight",
        other => other,
    }
}

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let lead = html! {
        "Squared W" sub { "2" } " to the truth as \u{3b7} grows: 0 is the flow ODE, 1 the reverse SDE. "
        (scores(results).iter().filter_map(|score| finding(results, score)).collect::<Vec<_>>().join(" "))
    };
    let mut sheet = Sheet::new("How much noise is good?", lead);
    sheet.section("The sweep", html! {
        @if config.models.is_some() { "The scores are networks, each against its own data set." }
        @else {
            "Target " (config.target) ". Blurred at every time: the score of p" sub { "t" } " blurred by N(0, " (config.smoothing) "\u{b2})"
            @if config.smoothing > 0.0 { ", as of a network too smooth; no forward process has these laws, so what is sampled may depend on \u{3b7}." }
            @else { ", which is the exact score." }
            " Blurred data, and the first component\u{2019}s weight times " (config.tilt) ": exact scores of "
            @if config.smoothing > 0.0 && config.tilt != 1.0 { "other data" } @else { "data that may be the same" }
            ". In the limit of small steps every \u{3b7} samples those; what \u{3b7} changes there is the error of the steps."
        }
        " Method " (config.method) ", grid " (config.grid) ", end \u{201c}" (config.end) "\u{201d} at t = " (config.t_end)
        "; " (config.n) " particles, squared W" sub { "2" } " on " (config.window.about()) ". "
        (distance::change_note(pairs(results.etas.len()))) " "
        @if let Some(row) = results.rows.first() { (distance::above_note(&row.floor)) }
    });
    sheet.figure(figure(results), html! {
        "Squared W" sub { "2" } " to the truth (logarithmic) against \u{3b7} (square-root scale), a line a number of steps, bars of one standard error. Grey: the noise floor. A line that breaks off: more than 5 % of the particles left the window or the numbers, or the method does not take such steps."
    });
    sheet.table(table(results));
    sheet
}

fn table(results: &Results) -> Table {
    let mut head = vec!["score".to_string(), "steps".into(), "evaluations".into()];
    head.extend(results.etas.iter().map(|e| format!("\u{3b7} = {}", short(*e))));
    head.push("floor".into());
    let rows = results.rows.iter().map(|row| {
        let found = row.distances.iter().flatten().map(|e| e.value);
        let least = found.fold(f64::INFINITY, f64::min);
        let mut cells = vec![
            about(&row.score).into(),
            row.steps.to_string().into(),
            row.nfe.to_string().into(),
        ];
        cells.extend(row.distances.iter().map(|found| {
            let best = results.etas.len() > 1 && found.is_some_and(|e| e.value == least);
            distance::cell(*found).best(best)
        }));
        cells.push(distance::floor_cell(&row.floor));
        cells
    });
    Table::new("eta-sweep", 1, &head).rows(rows).caption(html! {
        "Squared W" sub { "2" } " with standard errors; the smallest of each line in colour. \u{2014}: more than 5 % of the particles outside the window, or steps that the method does not take."
    })
}

fn scores(results: &Results) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in &results.rows {
        if !names.contains(&row.score.as_str()) {
            names.push(&row.score);
        }
    }
    names
}

/// Pairs of so many.
fn pairs(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// Which etas are further from the truth than the best, for a score at its largest number of steps.
fn finding(results: &Results, score: &str) -> Option<String> {
    let row = results.rows.iter().filter(|r| r.score == score).max_by_key(|r| r.steps)?;
    let (name, steps) = (about(score), row.steps);
    if let Some(reason) = distance::unmeasured(&row.floor) {
        return Some(format!("{name}: {reason}"));
    }
    let found: Vec<(f64, Estimate)> = results
        .etas
        .iter()
        .zip(&row.distances)
        .filter_map(|(eta, d)| Some((*eta, (*d)?)))
        .collect();
    let lost: Vec<String> = results
        .etas
        .iter()
        .zip(&row.distances)
        .filter(|(_, d)| d.is_none())
        .map(|(eta, _)| short(*eta))
        .collect();
    let Some((best, least)) = found.iter().min_by(|a, b| a.1.value.total_cmp(&b.1.value)).copied()
    else {
        return Some(format!("{name}, {steps} steps: there is a distance at no \u{3b7}."));
    };
    let is_worse = |(_, d): &&(f64, Estimate)| {
        distance::change(least, *d, pairs(results.etas.len())) == Change::Rises
    };
    let worse: Vec<String> = found
        .iter()
        .filter(is_worse)
        .map(|(eta, d)| format!("{} ({})", short(*eta), said(*d)))
        .collect();
    let floor = if distance::above(least, &row.floor) { "above" } else { "within" };
    let mut text = format!(
        "{name}, {steps} steps: smallest at \u{3b7} = {} with {}, {floor} its floor",
        short(best),
        said(least)
    );
    text += &match (found.len(), worse.as_slice()) {
        (1, _) => String::new(),
        (_, []) => "; by the test no other \u{3b7} is further from the truth".into(),
        _ => format!("; further from the truth by the test: \u{3b7} = {}", list(&worse)),
    };
    if !lost.is_empty() {
        text += &format!("; without a distance: \u{3b7} = {}", list(&lost));
    }
    Some(text + ".")
}

fn figure(results: &Results) -> Figure {
    let scores = scores(results);
    let per_line = if scores.len() == 4 { 2 } else { scores.len().min(3) };
    let found = results.rows.iter().flat_map(|r| r.distances.iter().copied());
    let floors = results.rows.iter().map(|r| &r.floor);
    let up = distance::axis(found, floors, "squared W_{2} to the truth");
    let top = results.etas.iter().copied().fold(0.1, f64::max);
    let ticks = results.etas.iter().copied().filter(|e| *e != 0.1 || top < 4.0);
    let across = Axis::sqrt(0.0, 1.03 * top, ticks, "\u{3b7}");
    let panels = scores.iter().map(|score| {
        let rows: Vec<&Row> = results.rows.iter().filter(|r| r.score == *score).collect();
        let floor = rows.first().and_then(|row| distance::floor_line(&row.floor));
        let lines = rows.iter().enumerate().map(|(k, row)| {
            let found = results.etas.iter().copied().zip(row.distances.iter().copied());
            let name = format!("{} steps", row.steps);
            distance::line(&name, &ordered(k + 1, rows.len() + 1), found)
        });
        Panel::new(across.clone(), up.clone())
            .title(about(score))
            .band_below(floor, FLOOR, "noise floor")
            .lines(lines)
    });
    let grid = Grid::new(panels.collect(), per_line).height(260.0);
    grid.figure("eta-sweep", "Squared W2 to the truth against eta")
}

#[cfg(test)]
mod tests {
    use metrics::NoiseFloor;

    use super::*;

    /// Made-up distances and what is said of them.
    #[test]
    fn sentences_follow_the_numbers() {
        let results = |found: [f64; 3], error: f64| Results {
            etas: vec![0.0, 1.0, 4.0],
            rows: vec![Row {
                score: "wrong-weight".into(),
                steps: 60,
                nfe: 60,
                floor: NoiseFloor { size: [9, 9], values: vec![0.1, 0.2] },
                distances: found
                    .map(|value| Some(Estimate { value, standard_error: error }))
                    .into(),
            }],
        };
        let said = |r: &Results| finding(r, "wrong-weight").expect("a finding");
        let noise = said(&results([0.51, 0.5, 0.49], 0.1));
        assert!(
            noise.contains("no other \u{3b7} is further") && noise.contains("above its floor"),
            "{noise}"
        );
        let clear = said(&results([0.51, 0.4, 0.11], 0.01));
        assert!(
            clear.contains("smallest at \u{3b7} = 4 with 0.110 \u{b1} 0.010, within its floor"),
            "{clear}"
        );
        assert!(clear.contains("0 (0.510 \u{b1} 0.010) and 1 (0.400"), "{clear}");
        let other = said(&results([0.11, 0.4, 0.51], 0.01));
        assert!(other.contains("smallest at \u{3b7} = 0 "), "{other}");
        // An eta whose samples left the window is named, and so is a score without any distance.
        let mut lost = results([0.11, 0.4, 0.51], 0.01);
        lost.rows[0].distances[2] = None;
        let text = said(&lost);
        assert!(
            text.ends_with("1 (0.400 \u{b1} 0.010); without a distance: \u{3b7} = 4."),
            "{text}"
        );
        lost.rows[0].distances[1] = None;
        let text = said(&lost);
        assert!(!text.contains("further") && text.contains("\u{3b7} = 1 and 4."), "{text}");
        lost.rows[0].distances[0] = None;
        assert!(said(&lost).contains("there is a distance at no \u{3b7}"));
        lost.rows[0].floor = NoiseFloor::default();
        assert!(said(&lost).contains("No distance to the truth is measured"));
    }
}
