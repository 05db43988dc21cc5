//! The page of a fit.

use std::path::Path;

use anyhow::Result;
use data::Kind;
use metrics::Change;
use report::{Axis, Cell, Figure, Grid, Key, Line, Panel, Sheet, Table, digits, grouped, html};

use super::config::Config;
use super::measure::{Distance, Marginal, Pair};
use super::train::{AVERAGES, Stop};
use super::{Results, pictures};
use crate::distance::{self, above, floor_cell, said};
use crate::runs::read_log;

/// Level of the tests of the columns, shared by all of them.
const LEVEL: f64 = 0.01;

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
    sheet.table(distances(results));
    neighbours(&mut sheet, results);
    likelihood(&mut sheet, config, results);
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

fn of<'a>(results: &'a Results, metric: &str, pair: Pair) -> Option<&'a Distance> {
    results.distances.iter().find(|d| d.metric == metric && d.pair == pair)
}

/// What was found, each sentence a function of the numbers.
fn findings(results: &Results) -> String {
    let sentences = [
        quality(results),
        gap(results),
        classes(results),
        likely(results),
        copies(results),
        agree(results),
    ];
    sentences.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Samples beside withheld rows, and both equations beside each other.
fn quality(results: &Results) -> Option<String> {
    let [ode, sde, training] =
        [Pair::OdeTest, Pair::SdeTest, Pair::TrainTest].map(|pair| of(results, "w2", pair));
    let (ode, sde, training) = (ode?, sde?, training?);
    let judged = |d: &Distance| {
        let word = match distance::change(training.found, d.found, 2) {
            Change::Rises => "further than the training rows are",
            Change::Falls => "nearer than the training rows are",
            Change::Holds => "not told apart from what the training rows have",
        };
        format!("{} ({word})", said(d.found))
    };
    Some(format!(
        "Squared W2 to withheld rows: {} by the ODE, {} by the SDE; training rows have {}.",
        judged(ode),
        judged(sde),
        said(training.found)
    ))
}

fn gap(results: &Results) -> Option<String> {
    let both = of(results, "w2", Pair::OdeSde)?;
    let floor = both.floor.mean();
    Some(match above(both.found, &both.floor) {
        true => format!(
            "Samples of ODE and SDE differ: their squared W2 is {}, above every draw of its floor ({}).",
            said(both.found),
            digits(floor)
        ),
        false => format!(
            "Samples of ODE and SDE are not told apart: their squared W2 is {}, its floor {}.",
            said(both.found),
            digits(floor)
        ),
    })
}

fn percent(share: metrics::Estimate) -> String {
    let hundredfold = metrics::Estimate {
        value: 100.0 * share.value,
        standard_error: 100.0 * share.standard_error,
    };
    format!("{} %", said(hundredfold))
}

fn classes(results: &Results) -> Option<String> {
    let a = results.accuracy.as_ref()?;
    Some(format!(
        "A classifier of the training rows names the class that was asked for in {} of the ODE\u{2019}s samples and {} of the SDE\u{2019}s; of withheld rows it names {}.",
        percent(a.ode),
        percent(a.sde),
        percent(a.test)
    ))
}

fn likely(results: &Results) -> Option<String> {
    let l = &results.likelihood;
    let images = matches!(results.about.kind, Kind::Images { .. });
    let own = match (images, l.given_class) {
        (true, Some(given)) => format!(
            "Withheld images take {} bits a dimension, {} with their class known.",
            bits(results, l.plain),
            bits(results, given)
        ),
        (true, None) => {
            format!("Withheld images take {} bits a dimension.", bits(results, l.plain))
        }
        _ => format!("The mean log-density of withheld rows is {} nats.", said(l.plain)),
    };
    if images {
        return Some(own);
    }
    let beside = l.fitted.iter().map(|f| {
        let change = distance::change(
            metrics::Estimate { value: 0.0, standard_error: 0.0 },
            f.above,
            l.fitted.len(),
        );
        let word = match change {
            Change::Rises => "above",
            Change::Falls => "below",
            Change::Holds => "not told apart from",
        };
        format!("{word} {} (difference {})", mixture(f.components), said(f.above))
    });
    let beside: Vec<String> = beside.collect();
    Some(if beside.is_empty() { own } else { format!("{} It is {}.", own, report::list(&beside)) })
}

fn mixture(components: usize) -> String {
    match components {
        1 => "the Gaussian of the training rows".into(),
        k => format!("a mixture of {k} Gaussians"),
    }
}

/// Bits a dimension of a log-density in nats a row of the data.
fn bits(results: &Results, found: metrics::Estimate) -> String {
    let unit = results.about.kind.dim().saturating_sub(results.about.constants.len()).max(1) as f64
        * std::f64::consts::LN_2;
    said(metrics::Estimate {
        value: -found.value / unit,
        standard_error: found.standard_error / unit,
    })
}

fn copies(results: &Results) -> Option<String> {
    let shares: Vec<String> = results
        .neighbours
        .iter()
        .filter_map(|n| {
            Some(format!("{} of the {}", percent(n.near_training?), n.of.to_uppercase()))
        })
        .collect();
    (!shares.is_empty()).then(|| {
        format!(
            "Nearer to a training row than the nearest twentieth of the withheld rows are: {}.",
            report::list(&shares)
        )
    })
}

/// Columns whose distribution differs, by the test that the section on them states.
fn differing(marginals: &[Marginal], which: usize) -> Vec<&str> {
    let level = LEVEL / (2 * marginals.len()).max(1) as f64;
    marginals.iter().filter(|m| m.p_values[which] < level).map(|m| m.name.as_str()).collect()
}

fn agree(results: &Results) -> Option<String> {
    let m = &results.marginals;
    if m.is_empty() {
        return None;
    }
    let said = |which: usize, name: &str| match differing(m, which).as_slice() {
        [] => format!("no column of the {name}\u{2019}s samples differs from withheld rows"),
        some if some.len() > 6 => {
            format!(
                "{} of {} columns of the {name}\u{2019}s samples differ from withheld rows",
                some.len(),
                m.len()
            )
        }
        some => format!(
            "of the {name}\u{2019}s samples these differ from withheld rows: {}",
            report::list(some)
        ),
    };
    let text = format!("Column by column, {}; {}.", said(0, "ODE"), said(1, "SDE"));
    Some(text)
}

fn about(sheet: &mut Sheet, config: &Config, results: &Results) {
    let a = &results.about;
    let [training, validation, test] = a.rows.map(|n| grouped(n as u64));
    sheet.section("Data", html! {
        (a.source) ": " (training) " rows for training, " (validation) " that decide when it ends and which weights are kept, "
        (test) " withheld for this report."
        @if !a.classes.is_empty() {
            " " (a.classes.len()) " classes" @if config.data.conditional { ", which the model is told" } "."
        }
        @if !a.constants.is_empty() {
            " Constant and put back: " (report::list(&a.constants.iter().map(|c| c.0.clone()).collect::<Vec<_>>())) "."
        }
        @if a.left_out > 0 {
            " " (a.left_out) " withheld rows are left out: they differ from the training rows in a column that is constant there, which this model gives no density."
        }
    });
}

fn samples(sheet: &mut Sheet, results: &Results, folder: &Path) -> Result<()> {
    let s = &results.drawn;
    sheet.section("Samples", html! {
        (grouped(s[0].rows as u64)) " rows by each equation: the probability-flow ODE in " (s[0].nfe) " evaluations of the network a row ("
        (report::duration(s[0].seconds)) " in all), the reverse SDE in " (s[1].nfe) " (" (report::duration(s[1].seconds)) ")."
    });
    match &results.about.kind {
        Kind::Images { .. } => pictures::sheets(sheet, folder),
        _ => {
            if let Some(figure) = pictures::pairs(results, &withheld(folder)?, folder)? {
                sheet.figure(
                    figure,
                    html! { "Pairs of the first columns; at most 800 rows of each." },
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

fn distances(results: &Results) -> Table {
    let name = |metric: &str| match metric {
        "w2" => "W_{2}^{2}".to_owned(),
        "sliced" => "sliced W_{2}^{2}".to_owned(),
        other => other.to_owned(),
    };
    let rows = results.distances.iter().map(|d| {
        vec![
            d.pair.name().into(),
            name(&d.metric).into(),
            distance::cell(Some(d.found)),
            floor_cell(&d.floor),
            (if above(d.found, &d.floor) { "above" } else { "within" }).into(),
        ]
    });
    Table::new("distances", 2, &["between", "distance", "found", "floor", ""]).rows(rows)
}

fn neighbours(sheet: &mut Sheet, results: &Results) {
    if results.neighbours.is_empty() {
        return;
    }
    sheet.section("Neighbours", html! {
        "Precision, recall, density and coverage against withheld rows, by the balls that reach the " (super::measure::NEIGHBOURS)
        "th neighbour. Near training: nearer to a training row than the nearest twentieth of the withheld rows are. Authentic: further from the nearest training row than that one is from its own."
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
        ", plus log |det| = " (digits(l.log_abs_det)) " of the map from rows of the data to rows of the model. Whole numbers have uniform noise on their cells; what is said is then a lower bound of their log-probability. "
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

#[cfg(test)]
mod tests {
    use data::{Column, Pixels};
    use metrics::{Estimate, NoiseFloor};

    use super::super::likelihood::Fitted;
    use super::super::measure::Neighbours;
    use super::super::{About, Accuracy, Likelihood, Trained};
    use super::*;

    fn at(value: f64, standard_error: f64) -> Estimate {
        Estimate { value, standard_error }
    }

    fn distance(pair: Pair, found: Estimate) -> Distance {
        let floor = NoiseFloor { size: [9, 9], values: vec![0.9, 1.1] };
        Distance { metric: "w2".into(), pair, found, floor }
    }

    /// A table of two columns, as near to withheld rows as the training rows are, better than both mixtures.
    fn table() -> Results {
        let marginal = |name: &str| Marginal {
            name: name.into(),
            means: [at(0.0, 0.1); 3],
            deviations: [1.0; 3],
            differences: [0.01; 2],
            p_values: [0.5; 2],
        };
        let kind = Kind::Table { columns: vec![Column::float("height"), Column::float("rings")] };
        let fitted = |components, above| Fitted { components, found: at(-3.0, 0.1), above };
        Results {
            about: About {
                source: "trees.csv".into(),
                hash: String::new(),
                kind,
                classes: Vec::new(),
                rows: [80, 10, 10],
                left_out: 0,
                constants: Vec::new(),
                sigma_data: 1.0,
                model_dim: 2,
            },
            trained: Trained::default(),
            drawn: Default::default(),
            distances: vec![
                distance(Pair::OdeTest, at(1.0, 0.1)),
                distance(Pair::SdeTest, at(1.0, 0.1)),
                distance(Pair::TrainTest, at(1.0, 0.1)),
                distance(Pair::OdeSde, at(1.0, 0.1)),
            ],
            neighbours: vec![Neighbours {
                of: "ode".into(),
                precision: at(0.9, 0.01),
                recall: at(0.9, 0.01),
                density: at(1.0, 0.01),
                coverage: at(0.9, 0.01),
                near_training: Some(at(0.04, 0.01)),
                authentic: None,
            }],
            marginals: vec![marginal("height"), marginal("rings")],
            accuracy: None,
            likelihood: Likelihood {
                rows: 10,
                exact: true,
                plain: at(-2.0, 0.1),
                given_class: None,
                of_probes: None,
                doubled: 0.0,
                doubled_rows: 10,
                prior: 0.0,
                fitted: vec![fitted(1, at(1.0, 0.1)), fitted(10, at(0.5, 0.1))],
                log_abs_det: 0.0,
            },
            seconds: 1.0,
        }
    }

    #[track_caller]
    fn says(results: &Results, needles: &[&str]) {
        let text = findings(results);
        for needle in needles {
            assert!(text.contains(needle), "no {needle:?} in {text}");
        }
    }

    /// Each sentence on made-up numbers, and on numbers that say the opposite.
    #[test]
    fn sentences_follow_the_numbers() {
        let good = table();
        says(
            &good,
            &[
                "not told apart from what the training rows have",
                "ODE and SDE are not told apart",
                "above the Gaussian of the training rows (difference 1.00",
                "above a mixture of 10 Gaussians",
                "no column of the ODE\u{2019}s samples differs",
                "4.0 \u{b1} 1.0 % of the ODE",
            ],
        );
        let mut bad = table();
        bad.distances = vec![
            distance(Pair::OdeTest, at(5.0, 0.1)),
            distance(Pair::SdeTest, at(0.1, 0.01)),
            distance(Pair::TrainTest, at(1.0, 0.1)),
            distance(Pair::OdeSde, at(5.0, 0.1)),
        ];
        bad.marginals[1].p_values = [1e-9, 0.5];
        bad.likelihood.fitted[0].above = at(-1.0, 0.1);
        bad.likelihood.fitted[1].above = at(0.1, 0.1);
        says(
            &bad,
            &[
                "by the ODE",
                "further than the training rows are",
                "nearer than the training rows are",
                "ODE and SDE differ",
                "below the Gaussian of the training rows (difference -1.00",
                "not told apart from a mixture of 10 Gaussians",
                "of the ODE\u{2019}s samples these differ from withheld rows: rings",
                "no column of the SDE\u{2019}s samples differs",
            ],
        );
    }

    /// Of images: bits a dimension, with and without classes, and what a classifier sees.
    #[test]
    fn images_take_bits() {
        let mut results = table();
        let pixels = Pixels::Levels(17);
        results.about.kind = Kind::Images { channels: 1, height: 2, width: 2, pixels };
        results.marginals.clear();
        // Four pixels: 8 bits in all are 2 a dimension.
        results.likelihood.plain = at(-8.0 * std::f64::consts::LN_2, 0.0);
        says(&results, &["Withheld images take 2.00 bits a dimension."]);
        assert!(!findings(&results).contains("classifier"));
        results.likelihood.given_class = Some(at(-4.0 * std::f64::consts::LN_2, 0.0));
        let (test, ode, sde) = (at(0.99, 0.01), at(0.5, 0.02), at(0.75, 0.02));
        results.accuracy = Some(Accuracy { test, ode, sde });
        says(
            &results,
            &["2.00 bits a dimension, 1.00 with their class known", "in 50.0 \u{b1} 2.0 %"],
        );
    }
}
