//! The page of a fit.

use std::path::Path;

use anyhow::Result;
use data::{Column, ColumnValues, Kind};
use report::{Axis, Cell, Figure, Grid, Key, Line, Panel, Sheet, Table, digits, grouped, html};

use super::config::Config;
use super::curve::AVERAGES;
use super::findings::{LEVEL, bits, findings, mixture};
use super::tables::distances;
use super::train::Stop;
use super::{Results, classifier, features, pictures, sheets};
use crate::distance;
use crate::runs::read_log;

pub(super) fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
    let mut sheet = Sheet::new(title(results), html! { (findings(results)) });
    about(&mut sheet, config, results);
    samples(&mut sheet, results, folder)?;
    sheet.section("Distances", html! {
        "Between equally many rows: " (results.distances.first().map_or(0, |d| d.floor.size[0]))
        " of each side. " (units(&results.about.kind))
        " W2 is exact optimal transport. \u{201c}Training to test\u{201d} is what a sampler would have that copies the training rows. "
        (floor_note(results)) " " (distance::change_note(2))
    });
    sheet.table(distances("distances", &results.distances));
    if let Some(found) = &results.features {
        features::section(&mut sheet, found);
    }
    neighbours(&mut sheet, results);
    likelihood(&mut sheet, config, results);
    if let (Some(own), Some(found)) = (&config.classifier, &results.classified) {
        classifier::section(&mut sheet, own, found);
    }
    columns(&mut sheet, results, folder)?;
    training(&mut sheet, config, results, folder)?;
    Ok(sheet)
}

fn title(results: &Results) -> String {
    let kind = match &results.about.kind {
        Kind::Images { channels, height, width, .. } => {
            let colours = if *channels == 1 { "grey" } else { "colour" };
            format!("{height} \u{d7} {width} {colours} images")
        }
        Kind::Table { columns } => format!("a table of {} columns", columns.len()),
        _ => "data".into(),
    };
    let rows: usize = results.about.rows.iter().sum();
    format!("A model of {kind}, {} rows", grouped(rows as u64))
}

fn about(sheet: &mut Sheet, config: &Config, results: &Results) {
    let a = &results.about;
    let [training, validation, test] = a.rows.map(|n| grouped(n as u64));
    let levels = levels(&a.kind);
    sheet.section("Data", html! {
        (a.source) ": " (training) " rows for training, " (validation) " that decide when it ends and which weights are kept, "
        (test) " withheld for this report."
        @if !a.classes.is_empty() {
            " " (a.classes.len()) " classes" @if config.data.conditional { ", which the model is told" } "."
        }
        @if !a.constants.is_empty() {
            " Constant and put back: " (report::list(&a.constants.iter().map(|c| c.0.clone()).collect::<Vec<_>>())) "."
        }
        @if !levels.is_empty() {
            " Real numbers that take few values, drawn as these alone: " (report::list(&levels)) "."
        }
        @if a.left_out > 0 {
            " " (a.left_out) " withheld rows are left out: they differ from the training rows in a column that is constant there, which this model gives no density."
        }
    });
}

/// Columns of levels with their number.
fn levels(kind: &Kind) -> Vec<String> {
    let Kind::Table { columns } = kind else { return Vec::new() };
    let of = |column: &Column| match &column.values {
        ColumnValues::Levels(of) => Some(format!("{} ({})", column.name, of.len())),
        _ => None,
    };
    columns.iter().filter_map(of).collect()
}

fn samples(sheet: &mut Sheet, results: &Results, folder: &Path) -> Result<()> {
    let s = &results.drawn;
    sheet.section("Samples", html! {
        (grouped(s[0].rows as u64)) " rows by each equation: the probability-flow ODE in " (s[0].nfe) " evaluations of the network a row ("
        (report::duration(s[0].seconds)) " in all), the reverse SDE in " (s[1].nfe) " (" (report::duration(s[1].seconds)) ")."
    });
    match &results.about.kind {
        Kind::Images { .. } => pictures::sheets(sheet, results, folder),
        _ => {
            if let Some(figure) = pictures::pairs(results, &withheld(folder)?, folder)? {
                sheet.figure(
                    figure,
                    html! { "Pairs of columns, the first of those with a hundred values or most of them; at most 800 rows of each." },
                );
            }
            Ok(())
        }
    }
}

/// Withheld rows of a table.
fn withheld(folder: &Path) -> Result<ndarray::Array2<f64>> {
    Ok(crate::npy::read_rows(&folder.join("samples/test.npy"))?)
}

/// What distances are measured in.
fn units(kind: &Kind) -> &'static str {
    match kind {
        Kind::Images { .. } => "Pixels are scaled to [0, 1].",
        _ => "Columns are scaled to the variance 1 of the training rows.",
    }
}

fn floor_note(results: &Results) -> String {
    results.distances.first().map_or_else(String::new, |d| distance::above_note(&d.floor))
}

fn neighbours(sheet: &mut Sheet, results: &Results) {
    if results.neighbours.is_empty() {
        return;
    }
    sheet.section("Neighbours", html! {
        "Precision, recall, density and coverage against withheld rows, by the balls that reach the " (super::measure::NEIGHBOURS)
        "th neighbour; their standard errors from " (super::measure::QUARTERS) " random quarters of both sides. Near training: nearer to a training row than the nearest twentieth of the withheld rows are. Authentic: further from the nearest training row than that one is from its own."
    });
    let share = |e: Option<metrics::Estimate>| distance::cell(e);
    let rows = results.neighbours.iter().map(|n| {
        vec![
            n.of.as_str().into(),
            distance::cell(Some(n.precision)),
            distance::cell(Some(n.recall)),
            distance::cell(Some(n.density)),
            distance::cell(Some(n.coverage)),
            share(n.near_training),
            share(n.authentic),
        ]
    });
    let head = ["of", "precision", "recall", "density", "coverage", "near training", "authentic"];
    sheet.table(Table::new("neighbours", 1, &head).rows(rows));
}

fn likelihood(sheet: &mut Sheet, config: &Config, results: &Results) {
    let l = &results.likelihood;
    sheet.section("Likelihood", html! {
        "Log-density of " (grouped(l.rows as u64)) " withheld rows along the probability-flow ODE, "
        @if l.exact { "with the exact divergence" } @else { "with " (config.measuring.probes) " random probes of the divergence" }
        ", from t = " (config.sampling.t_end) " up to the horizon in " (config.measuring.likelihood_steps) " steps"
        ", plus log |det| = " (digits(l.log_abs_det)) " of the map from rows of the data to rows of the model. Whole numbers, categories and levels have uniform noise on cells of volume 1; what is said is then a lower bound of their log-probability. "
        "Twice the steps change the mean by " (digits(l.doubled)) " nats (" (l.doubled_rows)
        " rows). The normal that the flow starts from costs at least " (digits(l.prior))
        " nats (a Gaussian with the moments of the data at the horizon)."
        @if let Some(error) = l.of_probes { " Standard error from the probes alone: " (digits(error)) " nats." }
    });
    let row = |name: String, found: metrics::Estimate, above: Option<metrics::Estimate>| {
        vec![
            name.into(),
            distance::cell(Some(found)),
            bits(results, found).into(),
            distance::cell(above),
        ]
    };
    let mut rows = vec![row("this model".into(), l.plain, None)];
    rows.extend(l.given_class.map(|g| row("this model, class known".into(), g, None)));
    rows.extend(l.fitted.iter().map(|f| row(mixture(f.components), f.found, Some(f.above))));
    sheet.table(
        Table::new("likelihood", 1, &["", "nats a row", "bits a dimension", "this model above it"])
            .rows(rows),
    );
}

fn columns(sheet: &mut Sheet, results: &Results, folder: &Path) -> Result<()> {
    if results.marginals.is_empty() {
        return Ok(());
    }
    sheet.section("Columns", html! {
        "Each column of the samples beside that of the withheld rows, in the units of the data. D is the largest difference of the distribution functions; columns are said to differ where it would be larger with a probability below "
        (100.0 * LEVEL) " % shared by all " (2 * results.marginals.len()) " tests (Kolmogorov\u{2013}Smirnov, Bonferroni)."
    });
    let figure = pictures::columns(results, &withheld(folder)?, folder)?;
    sheet.figure(figure, html! { "Quantiles of samples against those of withheld rows; on the diagonal they are equal. At most 12 columns." });
    let rows =
        results.marginals.iter().map(|m| {
            let mut row: Vec<Cell> = vec![m.name.as_str().into()];
            row.extend(m.means.iter().zip(m.deviations).flat_map(|(mean, deviation)| {
                [distance::cell(Some(*mean)), Cell::number(deviation)]
            }));
            row.extend(m.differences.iter().map(|d| Cell::number(*d)));
            row
        });
    let head = ["column", "mean", "std", "mean", "std", "mean", "std", "D_{ODE}", "D_{SDE}"];
    let mut table = Table::new("columns", 1, &head).rows(rows);
    table.groups = vec![
        (String::new(), 1),
        ("withheld".into(), 2),
        ("ODE".into(), 2),
        ("SDE".into(), 2),
        (String::new(), 2),
    ];
    sheet.table(if results.marginals.len() > 30 { table.folded("all columns") } else { table });
    Ok(())
}

fn training(sheet: &mut Sheet, config: &Config, results: &Results, folder: &Path) -> Result<()> {
    let t = &results.trained;
    let rows = t.steps as f64 * config.training.batch as f64;
    let kept = match t.best_average {
        0 => "the weights as they were".to_owned(),
        k => format!("their average of relative width {}", AVERAGES[k - 1]),
    };
    sheet.section("Training", html! {
        (grouped(t.parameters as u64)) " parameters; " (grouped(t.steps)) " of " (grouped(t.planned)) " steps of " (config.training.batch)
        " rows in " (report::duration(t.seconds)) " (" (digits(rows / t.seconds.max(1e-9))) " rows a second)."
        @match t.stopped {
            Some(Stop::Validation) => " It ended early: the loss on the validation rows fell no more.",
            Some(Stop::Time) => " It ended early: the time was up.",
            None => "",
        }
        " Kept: " (kept) " at step " (grouped(t.best_step)) ", with a validation loss of " (report::maybe(t.best())) "."
    });
    let figure = curves(results, folder)?;
    sheet.figure(figure, html! { "Loss on training batches (grey) and on the validation rows: of the weights (thin) and of their averages. A dot: what was kept." });
    pictures::course(sheet, folder, &sheets::steps(&t.curve, t.planned));
    Ok(())
}

fn curves(results: &Results, folder: &Path) -> Result<Figure> {
    let t = &results.trained;
    let log = read_log(&folder.join("metrics.jsonl")).unwrap_or_default();
    let every = (log.len() / 300).max(1);
    let batches: Vec<(f64, f64)> = log
        .chunks(every)
        .map(|c| {
            let mean = c.iter().map(|l| l.loss).sum::<f64>() / c.len() as f64;
            (c[c.len() / 2].step as f64, mean)
        })
        .collect();
    let validation = |place: usize| -> Vec<(f64, f64)> {
        t.curve.iter().filter_map(|p| Some((p.step as f64, *p.validation.get(place)?))).collect()
    };
    let all = batches.iter().copied().chain((0..=AVERAGES.len()).flat_map(validation));
    let up = Axis::log_around(all.map(|p| p.1).filter(|v| v.is_finite() && *v > 0.0), "loss");
    let across = Axis::linear(0.0, t.steps as f64, "steps");
    let mut panel = Panel::new(across, up).line(Line::plain("#9ca3af", 1.0, batches));
    for place in 0..=AVERAGES.len() {
        let colour = report::ordered(place, AVERAGES.len() + 1);
        panel =
            panel.line(Line::plain(&colour, if place == 0 { 1.0 } else { 1.8 }, validation(place)));
    }
    if let Some(best) = t.best() {
        let at = vec![(t.best_step as f64, best)];
        panel = panel.dots(report::Dots::cloud("#111827", 4.0, at));
    }
    let names = ["weights".to_owned()]
        .into_iter()
        .chain(AVERAGES.iter().map(|r| format!("average {r}")))
        .enumerate()
        .map(|(k, name)| {
            Key::Line(
                Line::plain(&report::ordered(k, AVERAGES.len() + 1), 1.8, Vec::new()).named(&name),
            )
        });
    let legend = [Key::Line(Line::plain("#9ca3af", 1.0, Vec::new()).named("training batches"))];
    let grid =
        Grid::row(vec![panel]).width(860.0).legend(legend.into_iter().chain(names).collect());
    Ok(grid.figure("training", "Losses against steps"))
}
