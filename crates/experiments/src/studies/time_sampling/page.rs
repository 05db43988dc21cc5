//! The page: factors by process, before and after training.

use anyhow::{Context as _, Result};

use super::{Config, Process, Results, Row};
use crate::report::Figure;
use crate::report::axes::{Axis, Panel, marker};
use crate::report::colormap::{INK, OS, OT};
use crate::report::html::{Html, html};
use crate::report::sheet::{Sheet, Table, digits, maybe};
use crate::report::svg::{Anchor, Svg, Text};

/// Below it, two laws are one: rounding in their inverses.
const SAME: f64 = 1e-6;

pub(super) fn sheet(config: &Config, results: &Results) -> Result<Sheet> {
    let mut sheet = Sheet {
        title: "What does importance sampling of the times save?".into(),
        lead: lead(config, results)?,
        ..Sheet::default()
    };
    let parameters = results.processes.first().map_or(0, |p| p.parameters);
    sheet.section("Two laws, one loss", html!(
        "The likelihood loss (weight g\u{b2} on the error of the score) is an integral over the time from {} of the horizon on. It is estimated by uniform times, and by times from the law proportional to g\u{b2}/\u{3c3}\u{b2} with the weight \u{3c3}\u{b2} and the constant that makes it the same integral (Song et al. 2021, arXiv 2101.09258). Data: {}. Networks: residual MLPs of {} parameters, conditioned as by Karras et al. with the deviation of the data as it was measured, fresh and after {} steps of Adam on {} points each. {} rows under each law and each of {} seeds, one time a row.",
        config.t_min, config.data_set, parameters, config.training.steps, config.training.batch, config.rows, config.seeds));
    for process in results.processes.iter().filter(|p| p.laws_apart < SAME) {
        sheet.section(&process.sde, html!(
            "Its g\u{b2}/\u{3c3}\u{b2} is constant: the two laws are one (their distribution functions differ by {} at most), and what its factors differ from 1 by is chance.",
            digits(process.laws_apart)));
    }
    sheet.figure(figure(results), "Variance under uniform times over that under the importance law (logarithmic), by process; bars: two standard errors. Discs: the loss of a row. Diamonds: its gradient, summed over all parameters. Filled: after training. The line is at 1.");
    sheet.section("Held against each other", agreement(results));
    sheet.table(table(results));
    sheet.table(Table {
        name: "processes".into(),
        caption: "The deviation of the data that each network is conditioned by, from rows of its own; the largest difference of the distribution functions of the two laws.".into(),
        head: ["process", "\u{3c3}_data", "laws apart"].map(String::from).to_vec(),
        words: 1,
        rows: results
            .processes
            .iter()
            .map(|p: &Process| vec![p.sde.clone(), digits(p.sigma_data), digits(p.laws_apart)])
            .collect(),
    });
    Ok(sheet)
}

/// The factors of the trained networks, largest and smallest.
fn lead(config: &Config, results: &Results) -> Result<Html> {
    let of = |quantity: &str| -> Result<(&Row, &Row)> {
        let mut rows: Vec<&Row> =
            results.rows.iter().filter(|r| r.trained && r.quantity == quantity).collect();
        rows.sort_by(|a, b| a.factor.total_cmp(&b.factor));
        Ok((rows.last().context("no rows")?, rows.first().context("no rows")?))
    };
    let shown = |row: &Row| {
        format!(
            "{} \u{b1} {} ({})",
            digits(row.factor),
            digits(row.standard_error),
            row.sde.split(':').next().unwrap_or_default()
        )
    };
    let ((most, least), (steepest, flattest)) = (of("loss")?, of("gradient")?);
    Ok(html!(
        "On {}, after training, it divides the variance of the loss of a row by {} at most and by {} at least, that of its gradient by {} and {}. A factor is what the batch would have to grow by for the same error.",
        config.data_set,
        shown(most),
        shown(least),
        shown(steepest),
        shown(flattest)
    ))
}

/// How far the means under the two laws, estimates of the same number, are apart.
fn agreement(results: &Results) -> Html {
    let far = results.rows.iter().filter_map(|row| {
        let ([a, b], [da, db]) = (row.means?, row.mean_errors?);
        Some((a - b).abs() / da.hypot(db))
    });
    let most = far.clone().fold(0.0, f64::max);
    html!(
        "The means of the loss under the two laws estimate the same number. In {} pairs they are {} standard errors apart at most.",
        far.count(),
        digits(most)
    )
}

fn table(results: &Results) -> Table {
    let head = [
        "process",
        "network",
        "quantity",
        "variance, uniform",
        "variance, importance",
        "factor",
        "its standard error",
        "mean, uniform",
        "mean, importance",
    ];
    let cells = |r: &Row| {
        vec![
            r.sde.clone(),
            if r.trained { "trained" } else { "fresh" }.into(),
            r.quantity.clone(),
            digits(r.variances[0]),
            digits(r.variances[1]),
            digits(r.factor),
            digits(r.standard_error),
            maybe(r.means.map(|m| m[0])),
            maybe(r.means.map(|m| m[1])),
        ]
    };
    Table {
        name: "time-sampling".into(),
        caption: "Variances of a single row, averaged over the seeds; that of the gradient is summed over all parameters. The standard error of a factor is from leaving out a seed at a time.".into(),
        head: head.map(String::from).to_vec(),
        words: 3,
        rows: results.rows.iter().map(cells).collect(),
    }
}

fn figure(results: &Results) -> Figure {
    let n = results.processes.len() as f64;
    let ends = |r: &Row| {
        let (low, high) = (r.factor - 2.0 * r.standard_error, r.factor + 2.0 * r.standard_error);
        // Where the error is as large as the factor, a bar of it has no lower end on this axis.
        (low.max(0.1 * r.factor), high)
    };
    let values = results.rows.iter().flat_map(|r| [ends(r).0, ends(r).1]);
    let panel = Panel {
        x: 170.0,
        y: 20.0,
        w: 840.0,
        h: 96.0 * n,
        across: Axis::log_around(values.chain([1.0]), "factor of the variances"),
        up: Axis { ticks: vec![], ..Axis::linear(0.0, n, "") },
    };
    let mut svg = Svg::new(1080.0, panel.h + 75.0);
    panel.draw_axes(&mut svg, false);
    panel.line(&mut svg, &[(1.0, 0.0), (1.0, n)], "#9ca3af", 1.2, "4 3", 1.0);
    for (k, process) in results.processes.iter().enumerate() {
        let top = n - k as f64;
        let (_, y) = panel.at(1.0, top - 0.5);
        let name = Text { size: 12.0, fill: INK, anchor: Anchor::End, ..Text::default() };
        svg.text((panel.x - 10.0, y + 4.0), &process.sde, &name);
        // The rows of a process stand together, in one order.
        for (i, row) in results.rows.iter().skip(4 * k).take(4).enumerate() {
            let at = top - 0.2 - 0.2 * i as f64;
            let colour = if row.quantity == "loss" { OS } else { OT };
            let (low, high) = ends(row);
            panel.line(&mut svg, &[(low, at), (high, at)], colour, 1.6, "", 0.8);
            let fill = if row.trained { colour } else { "#fff" };
            let kind = if row.quantity == "loss" { 0 } else { 3 };
            let said = format!("{} \u{b1} {}", digits(row.factor), digits(row.standard_error));
            marker(&mut svg, kind, panel.at(row.factor, at), 4.5, fill, colour, &said);
        }
    }
    Figure::new("factors", svg.finish("Factors of the variances under two laws of the times"))
}
