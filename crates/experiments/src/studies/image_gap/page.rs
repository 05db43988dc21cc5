//! The page.

use std::path::Path;

use anyhow::Result;
use metrics::Estimate;
use report::{Cell, DASH, Sheet, Table, digits, grouped, html};

use super::findings::{LEVEL, findings, over_seeds, quantities};
use super::measure::{EXTRACTOR, Measured, Space};
use super::{Config, Results, figures};
use crate::distance::{self, above, floor_cell, said};

pub(super) fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
    let [training, withheld] = results.rows.map(|n| grouped(n as u64));
    let mut sheet = Sheet::new(
        "The gap of ODE and SDE on images, with and without the residual of the score",
        html! {
            "A U-Net of " (grouped(results.parameters as u64)) " parameters on " (config.data.path) " (" (training)
            " images for training, " (withheld) " withheld). " (config.seeds) " seeds: of each a network is trained for "
            (config.training.steps) " steps, and from it one for every weight w of the residual for "
            (config.residual.steps) " steps more, with the loss plus w times the residual; w = 0 is trained on just as long. Networks of one seed share initial weights, batches, samples\u{2019} noise and paths."
        },
    );
    sheet.section("What the numbers say", html! {
        "Means over the seeds with intervals of Student\u{2019}s t at " (percent(1.0 - LEVEL))
        ", each for itself; differences are those of pairs of networks of one seed. They cover chance between trainings, not other data or networks. \u{201c}Lower\u{201d} and \u{201c}higher\u{201d}: 0 is outside the interval of the difference."
        ul { @for line in findings(config, results) { li { (line) } } }
        (numerics(results))
    });
    sheet.figure(figures::gap(config, results), html! {
        "Squared W2 of " (rows(config, results)) " images a side, less the mean floor of two samples of one law; vertical lines: intervals over the seeds, small discs: the seeds. Below 0 a distance is within its floor. Pixels from 0 to 1; features of "
        (EXTRACTOR.to_string()) ", a convolution network of random weights."
    });
    sheet.figure(figures::densities(config, results), html! {
        "Left: at " (config.density.points) " withheld images, the log-density of the reverse SDE less that of the ODE, by the identity along " (config.density.paths)
        " paths (the logarithm of a mean of weights) and its lower bound (the mean of their logarithms). Right: bits a dimension of "
        (results.cells.first().map_or(0, |c| c.densities.rows)) " withheld images by the ODE."
    });
    sheet.figure(figures::residual(config, results), html! {
        "E |r|\u{b2} (2 \u{3c3}\u{2074} / (g\u{b2} \u{3b1}))\u{b2} / D at noised withheld images given their class: where the score is a gradient, the squared drift of the expected data along the model\u{2019}s own reverse SDE in a unit of log(\u{3b1}/\u{3c3}). Estimated without bias by random probes; what came out negative is not drawn."
    });
    sheet.figure(
        figures::samples(config, folder)?,
        html! {
            "The first seed; the same noise at the start and the same classes everywhere."
        },
    );
    sheet.section("All numbers", html! {
        "Means over the seeds with their intervals; from the second weight on the difference to the first, of pairs."
    });
    sheet.table(numbers(config, results));
    sheet.table(distances(results));
    sheet.table(seconds(config, results));
    Ok(sheet)
}

fn percent(share: f64) -> String {
    format!("{} %", digits(100.0 * share))
}

fn rows(config: &Config, results: &Results) -> usize {
    results.copies.first().map_or(config.measuring.rows, |d| d.distance.floor.size[0])
}

/// What steps of finite length do.
fn numerics(results: &Results) -> String {
    let of = |found: &[Measured]| {
        let w2 = found.iter().find(|d| d.space == Space::Pixels && d.distance.metric == "w2");
        w2.map_or_else(String::new, |d| {
            let is = if above(d.distance.found, &d.distance.floor) { "above" } else { "within" };
            let (found, floor) = (said(d.distance.found), digits(d.distance.floor.mean()));
            format!("squared W2 of SDE samples to those in twice the steps is {found}, {is} its floor {floor}")
        })
    };
    let doubled = results.doubled.iter().map(|d| {
        format!(
            "With the weight {}, twice the steps move an ODE sample by {} (mean square, pixels), and {}.",
            digits(d.weight),
            digits(d.ode),
            of(&d.sde)
        )
    });
    let finer = results.finer.iter().map(|f| {
        format!(
            "There they change the log-density of the ODE by {} nats, that of the SDE by {} and its lower bound by {} (means over images, other paths).",
            said(f.ode),
            said(f.sde),
            said(f.bound)
        )
    });
    let all: Vec<String> = doubled.zip(finer).map(|(a, b)| format!("{a} {b}")).collect();
    all.join(" ")
}

fn numbers(config: &Config, results: &Results) -> Table {
    let mut head = vec!["".to_string()];
    for (k, weight) in config.weights.iter().enumerate() {
        head.push(format!("w = {}", digits(*weight)));
        if k > 0 {
            head.push("difference".into());
        }
    }
    let rows = quantities(results).into_iter().map(|quantity| {
        let mut row: Vec<Cell> = vec![quantity.name.as_str().into()];
        for (k, weight) in config.weights.iter().enumerate() {
            let found = over_seeds(config, results, *weight, &quantity.of);
            row.push(found.map_or(DASH.into(), |f| f.0.said().into()));
            if k > 0 {
                let beside = found.and_then(|f| f.1);
                row.push(beside.map_or(DASH.into(), |d| d.said().into()));
            }
        }
        row
    });
    Table::new("numbers", 1, &head).rows(rows).caption(html! {
        "Distances as they are, with their floors in them; log-densities in nats an image of the data. The residual is the mean over the times of the figure."
    })
}

/// Distances of all networks beside their floors.
fn distances(results: &Results) -> Table {
    let line = |who: String, d: &Measured| {
        let d = (d.space.name(), &d.distance);
        vec![
            who.into(),
            d.1.pair.name().into(),
            d.1.metric.as_str().into(),
            d.0.into(),
            distance::cell(Some(d.1.found)),
            floor_cell(&d.1.floor),
            (if above(d.1.found, &d.1.floor) { "above" } else { "within" }).into(),
        ]
    };
    let copies = results.copies.iter().map(|d| line(String::new(), d));
    let cells = results.cells.iter().flat_map(|cell| {
        let who = format!("w = {}, seed {}", digits(cell.weight), cell.seed);
        cell.distances.iter().map(move |d| (who.clone(), d))
    });
    let all: Vec<_> = copies.chain(cells.map(|(who, d)| line(who, d))).collect();
    Table::new("distances", 4, &["network", "between", "distance", "in", "found", "floor", ""])
        .rows(all)
        .folded("Distances of every network with their floors")
}

fn seconds(config: &Config, results: &Results) -> Table {
    let rows = config.weights.iter().map(|weight| {
        let of: Vec<&super::Cell> = results.cells.iter().filter(|c| c.weight == *weight).collect();
        let mean = |f: &dyn Fn(&super::Cell) -> f64| {
            Estimate::of_mean(&of.iter().map(|c| f(c)).collect::<Vec<_>>())
        };
        vec![
            digits(*weight).into(),
            distance::cell(mean(&|c| c.seconds)),
            distance::cell(mean(&|c| c.densities.effective)),
        ]
    });
    let head = [
        "weight",
        "seconds of training with it",
        "equal weights that the paths of an image are worth",
    ];
    Table::new("seconds", 0, &head).rows(rows).caption(html! {
        "Means over the seeds with their standard errors, of " (config.density.paths) " paths; seconds of wall time on whatever else the machine did."
    })
}
