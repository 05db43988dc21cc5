//! The page of `energy`.

use anyhow::Result;
use metrics::{Change, Estimate, NoiseFloor};
use report::{
    Axis, Dots, Figure, Grid, Key, Line, Map, Mark, Panel, Sheet, Table, heat_png, html, list,
};

use super::{Chains, Config, Results, SHOWN};
use crate::distance::{self, FLOOR, ODE, PAIR, SDE, said};

pub(super) fn page(config: &Config, results: &Results) -> Result<Sheet> {
    let mut sheet = Sheet::new(
        "A potential as an energy",
        html! {
            "The network learned a potential \u{3c6}, so exp \u{3c6} is a density up to a constant. At t = " (config.t)
            ", both normalised on \u{b1}" (config.window.half_width) ", it differs from the true one by "
            (report::digits(results.total_variation)) " in total variation (0: equal, 1: nothing in common). " (findings(results))
        },
    );
    sheet.section("Density", html! {
        (config.training.data_set) ": exp \u{3c6}(x, t) at t = " (config.t) ", normalised over \u{b1}" (config.window.half_width)
        ", beside the exact p" sub { "t" } ". Network of " (format!("{:?}", config.training.hidden)) " hidden units, "
        (config.training.steps) " steps on " (config.training.batch) " points."
    });
    sheet.figure(contours(config, results)?, html! {
        "Left and middle on one colour scale (square root of the density, dark 0, cut above 1.2 times the largest true one). Right: learned minus true; red is too much, blue too little."
    });
    sheet.section("Langevin chains", html! {
        "x \u{2190} x + h s + \u{221a}(2h) z with h = " (config.step) " on \u{3c6}(\u{b7}, t): " (config.n)
        " chains from N(0, 1.5\u{b2}), from the middle mode, and annealed: from N(0, 1.5\u{b2}) with t falling from "
        (config.hottest) " in " (config.levels) " levels over the first two thirds of the steps. Squared W" sub { "2" }
        " to the truth on " (config.window.about()) ", for the learned energy and for the exact one. "
        (distance::above_note(&results.floor)) " " (distance::change_note(1))
    });
    sheet.figure(distances(results), html! {
        "Squared W" sub { "2" } " against steps, both axes logarithmic, bars of one standard error. Grey: the noise floor. Where chains on the exact energy are above the floor as well, the chains are off by themselves: too few steps, or too long ones. What lies between the two lines is the network\u{2019}s."
    });
    sheet.figure(
        ends(config, results),
        html! {
            "Where chains on the learned energy ended, the first of each (at most " (SHOWN) ")."
        },
    );
    sheet.table(table(config, results));
    Ok(sheet)
}

/// What is left of the distance at the end, and whose it is: one sentence a start.
fn findings(results: &Results) -> String {
    if let Some(reason) = distance::unmeasured(&results.floor) {
        return reason;
    }
    let of = |energy: &str, start: &str| {
        let chains = results.chains.iter().find(|c| c.energy == energy && c.start == start);
        chains.and_then(|c| c.snapshots.last()?.w2)
    };
    let starts = results.chains.iter().filter(|c| c.energy == "learned").map(|c| c.start.as_str());
    let sentence = |start: &str| {
        let (learned, exact) = match (of("learned", start), of("exact", start)) {
            (Some(learned), Some(exact)) => (learned, exact),
            (learned, exact) => return left(start, [("learned", learned), ("exact", exact)]),
        };
        format!(
            "Chains from the start \u{201c}{start}\u{201d} end at {} on the learned energy and {} on the exact one, {}.",
            said(learned),
            said(exact),
            verdict(learned, exact, &results.floor)
        )
    };
    starts.map(sentence).collect::<Vec<_>>().join(" ")
}

/// Whose the distances of chains on the learned and on the exact energy are.
fn verdict(learned: Estimate, exact: Estimate, floor: &NoiseFloor) -> &'static str {
    let above = [learned, exact].map(|d| distance::above(d, floor));
    match (above, distance::change(exact, learned, 1)) {
        ([false, false], _) => "both within the floor",
        ([false, true], _) => "the exact one alone above the floor",
        ([true, false], Change::Rises) => {
            "the learned one alone above the floor: what is left is the network\u{2019}s"
        }
        ([true, false], _) => "the learned one alone above the floor, but the two not told apart",
        ([true, true], Change::Rises) => {
            "both above the floor, the learned one further: part of it is the network\u{2019}s"
        }
        ([true, true], Change::Holds) => {
            "both above the floor and not told apart: the chains are off by themselves"
        }
        ([true, true], Change::Falls) => {
            "both above the floor, the exact one further: the chains are off by themselves"
        }
    }
}

/// Chains of which some have no distance at their end.
fn left(start: &str, ends: [(&str, Option<Estimate>); 2]) -> String {
    let gone: Vec<&str> = ends.iter().filter(|(_, e)| e.is_none()).map(|(name, _)| *name).collect();
    let energies = if gone.len() == 1 { "energy" } else { "energies" };
    let stayed = ends.iter().find_map(|(name, e)| Some((name, (*e)?)));
    let stayed = stayed
        .map_or(String::new(), |(name, e)| format!("; on the {name} one they end at {}", said(e)));
    format!(
        "Chains from the start \u{201c}{start}\u{201d} left the window on the {} {energies}{stayed}.",
        list(&gone)
    )
}

fn table(config: &Config, results: &Results) -> Table {
    let mut head = vec!["energy".to_string(), "start".into()];
    head.extend(config.snapshots.iter().map(|k| format!("{k} steps")));
    head.push("floor".into());
    let rows = results.chains.iter().map(|c| {
        let mut row = vec![c.energy.as_str().into(), c.start.as_str().into()];
        row.extend(c.snapshots.iter().map(|l| distance::cell(l.w2)));
        row.push(distance::floor_cell(&results.floor));
        row
    });
    Table::new("chains", 2, &head).rows(rows).caption(html! {
        "Squared W" sub { "2" } " to the truth with standard errors; \u{2014}: more than 5 % of the chains outside the window."
    })
}

fn contours(config: &Config, results: &Results) -> Result<Figure> {
    let reach = config.window.half_width;
    let learned = crate::model::matrix(&results.learned, config.pixels)?;
    let truth = crate::model::matrix(&results.truth, config.pixels)?;
    let top = truth.iter().copied().fold(1e-12, f64::max);
    let difference = &learned - &truth;
    let most = difference.iter().fold(1e-12_f64, |m, v| m.max(v.abs()));
    let root = |x: &ndarray::Array2<f64>| {
        heat_png(x.mapv(|v| (v / top).max(0.0).sqrt()).view(), Map::Sequential, 0.0, 1.1)
    };
    let reached = report::digits(learned.iter().copied().fold(0.0, f64::max));
    let (up_to, within) = (report::digits(top), report::digits(most));
    let pictures = [
        (format!("learned: exp \u{3c6} (up to {reached})"), root(&learned)?),
        (format!("true: p_{{t}} (up to {up_to})"), root(&truth)?),
        (
            format!("learned \u{2212} true (\u{b1}{within})"),
            heat_png(difference.view(), Map::Diverging, -most, most)?,
        ),
    ];
    let panels = pictures.into_iter().map(|(name, picture)| {
        Panel::plane(reach, ["x_{1}", "x_{2}"]).title(&name).picture(picture, &name)
    });
    let grid = Grid::row(panels.collect()).square(330.0);
    Ok(grid.figure("contours", "Learned and true density, and their difference"))
}

fn colour(start: &str) -> &'static str {
    match start {
        "annealed" => SDE,
        "wide" => PAIR,
        _ => ODE,
    }
}

fn distances(results: &Results) -> Figure {
    let floor = distance::floor_line(&results.floor);
    let all = results.chains.iter().flat_map(|c| &c.snapshots);
    let found = all.clone().map(|l| l.w2);
    let up = distance::axis(found, [&results.floor], "squared W_{2} to the truth");
    let across = Axis::log_around(all.map(|l| l.steps as f64), "steps");
    let line = |c: &Chains| {
        let found = c.snapshots.iter().filter(|l| l.steps > 0).map(|l| (l.steps as f64, l.w2));
        let learned = c.energy == "learned";
        let line = distance::line(if learned { &c.start } else { "" }, colour(&c.start), found);
        if learned { line } else { Line { mark: None, width: 1.4, ..line }.dashed("5 4") }
    };
    let panel = Panel::new(across, up)
        .band_below(floor, FLOOR, "noise floor")
        .lines(results.chains.iter().map(line));
    let sample = |name: &str| Line::plain("#4b5563", 1.6, Vec::new()).named(name);
    let legend = vec![
        Key::Line(Line { mark: Some(Mark::Disc), ..sample("learned energy") }),
        Key::Line(sample("exact energy").dashed("5 4")),
    ];
    let grid = Grid::row(vec![panel]).width(860.0).legend(legend);
    grid.figure("chains", "Squared W2 of Langevin chains to the truth against steps")
}

fn ends(config: &Config, results: &Results) -> Figure {
    let panels = results.chains.iter().filter(|c| c.energy == "learned").map(|chains| {
        let points = chains.ends.iter().map(|p| (p[0], p[1])).collect();
        Panel::plane(config.window.half_width, ["x_{1}", "x_{2}"])
            .title(&chains.start)
            .dots(Dots::cloud(colour(&chains.start), 1.8, points))
    });
    Grid::row(panels.collect()).square(330.0).figure("ends", "Where Langevin chains ended")
}

#[cfg(test)]
mod tests {
    use super::super::Snapshot;
    use super::*;

    /// Made-up ends of chains and whose fault they are said to be.
    #[test]
    fn sentences_follow_the_numbers() {
        let floor = NoiseFloor { size: [9, 9], values: vec![0.08, 0.1] };
        let of = |learned: Option<f64>, exact: Option<f64>, floor: &NoiseFloor| {
            let chains = [("learned", learned), ("exact", exact)].map(|(energy, value)| {
                let w2 = value.map(|value| Estimate { value, standard_error: 0.02 });
                let snapshots = vec![Snapshot { steps: 9, w2 }];
                let (energy, start) = (energy.into(), "one mode".into());
                Chains { energy, start, snapshots, ends: Vec::new() }
            });
            let (chains, floor) = (chains.into(), floor.clone());
            findings(&Results { chains, floor, ..Results::default() })
        };
        let said = |learned: f64, exact: f64| of(Some(learned), Some(exact), &floor);
        for (learned, exact, needle) in [
            (0.09, 0.05, "both within the floor"),
            (0.5, 0.09, "what is left is the network\u{2019}s"),
            (0.13, 0.09, "but the two not told apart"),
            (0.5, 0.48, "not told apart: the chains are off by themselves"),
            (0.9, 0.4, "part of it is the network\u{2019}s"),
            (0.4, 0.9, "the exact one further: the chains are off by themselves"),
            (0.05, 0.4, "the exact one alone above"),
        ] {
            let text = said(learned, exact);
            assert!(text.contains(needle), "{learned} {exact}: {text}");
        }
        let text = of(None, Some(0.4), &floor);
        assert!(text.contains("left the window on the learned energy; on the exact one"), "{text}");
        let text = of(None, None, &floor);
        assert!(text.ends_with("left the window on the learned and exact energies."), "{text}");
        // A window without the truth: no chain is said to have left it.
        let text = of(None, None, &NoiseFloor::default());
        assert!(text.starts_with("No distance") && !text.contains("left"), "{text}");
    }
}
