//! Sheets of images, and quantiles of columns.

use std::path::Path;

use anyhow::{Context as _, Result};
use data::{Dataset, Kind};
use ndarray::{Array2, ArrayView2, Axis as Along, s};
use report::{Axis, Figure, Grid, Line, Panel, Sheet, html};

use super::Results;
use super::draw::{Equation, drawn};
use crate::distance::{ODE, SDE};
use crate::runs::Workspace;

/// Images of a sheet.
const SHOWN: usize = 100;
/// Samples beside the training rows that are nearest to them.
const BESIDE: usize = 24;
/// Columns that are drawn.
const DRAWN: usize = 12;

/// Pictures of images: withheld ones, samples, and samples above the training images nearest to them.
pub(super) fn draw(training: &Dataset, test: &Dataset, workspace: &Workspace) -> Result<()> {
    let kind = test.kind();
    if !matches!(kind, Kind::Images { .. }) {
        return Ok(());
    }
    let save = |name: &str, rows: ArrayView2<'_, f64>| {
        data::save(&workspace.path(&format!("samples/{name}.png")), kind, rows, None)
    };
    save("test", test.rows(0, SHOWN)?.view())?;
    let folder = workspace.folder.root();
    let of_training = training.rows(0, 20_000)?;
    for equation in Equation::BOTH {
        let rows = drawn(folder, equation)?;
        save(equation.name(), rows.slice(s![..SHOWN.min(rows.nrows()), ..]))?;
        let first = rows.slice(s![..BESIDE.min(rows.nrows()), ..]);
        let found = metrics::nearest_rows(first, of_training.view())?;
        let places: Vec<usize> = found.iter().map(|row| row.index).collect();
        let near = of_training.select(Along(0), &places);
        let pairs = paired(first, near.view())?;
        save(&format!("{}-nearest", equation.name()), pairs.view())?;
    }
    Ok(())
}

/// Sheets of samples that were drawn after these steps of the training, those that are there.
pub(super) fn course(sheet: &mut Sheet, folder: &Path, steps: &[u64]) {
    let panel = |step: &u64| {
        let png = std::fs::read(folder.join(super::sheets::name(*step))).ok()?;
        let title = format!("step {}", report::grouped(*step));
        let panel = Panel::new(Axis::bare(0.0, 1.0), Axis::bare(0.0, 1.0)).title(&title);
        Some(panel.picture(png, &title))
    };
    let panels: Vec<Panel> = steps.iter().filter_map(panel).collect();
    if panels.is_empty() {
        return;
    }
    let figure = Grid::row(panels).square(200.0).figure("course", "Samples as the training went");
    sheet.figure(figure, html! { "Samples as the training went: the same noise every time, by the ODE in few steps, of the average of the weights whose loss on the validation rows was the least then." });
}

/// Rows of a square sheet: some rows of `above`, then those of `below` that belong to them, and so on.
fn paired(above: ArrayView2<'_, f64>, below: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let across = (2.0 * above.nrows() as f64).sqrt().ceil() as usize;
    let mut pairs = Array2::zeros((0, above.ncols()));
    for from in (0..above.nrows()).step_by(across.max(1)) {
        let to = (from + across).min(above.nrows());
        if to - from < across && from > 0 {
            break;
        }
        pairs.append(Along(0), above.slice(s![from..to, ..]))?;
        pairs.append(Along(0), below.slice(s![from..to, ..]))?;
    }
    Ok(pairs)
}

/// Withheld images above what they became with their lower halves filled in.
pub(super) fn filled(
    kind: &Kind,
    known: ArrayView2<'_, f64>,
    filled: ArrayView2<'_, f64>,
    workspace: &Workspace,
) -> Result<()> {
    let first = s![..BESIDE.min(known.nrows()), ..];
    let pairs = paired(known.slice(first), filled.slice(first))?;
    Ok(data::save(&workspace.path("samples/filled.png"), kind, pairs.view(), None)?)
}

/// The pictures that [`draw`] and [`filled`] have left.
pub(super) fn sheets(sheet: &mut Sheet, results: &Results, folder: &Path) -> Result<()> {
    let picture = |name: &str, title: &str| -> Result<Panel> {
        let path = folder.join(format!("samples/{name}.png"));
        let png =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Panel::new(Axis::bare(0.0, 1.0), Axis::bare(0.0, 1.0)).title(title).picture(png, title))
    };
    let panels = vec![picture("test", "withheld")?, picture("ode", "ODE")?, picture("sde", "SDE")?];
    sheet.figure(
        Grid::row(panels)
            .square(330.0)
            .figure("samples", "Withheld images, and samples of the ODE and of the SDE"),
        html! { "The first images of each." },
    );
    let panels = vec![
        picture("ode-nearest", "ODE, and nearest in training")?,
        picture("sde-nearest", "SDE, and nearest in training")?,
    ];
    sheet.figure(
        Grid::row(panels).square(330.0).figure("nearest", "Samples above the training images nearest to them"),
        html! { "Rows of samples, each above the row of the training images that are nearest to them." },
    );
    if let Some(filled) = &results.filled {
        sheet.figure(
            Grid::row(vec![picture("filled", "withheld, and filled in")?])
                .square(330.0)
                .figure("filled", "Withheld images above the same with their lower halves filled in"),
            html! {
                "Rows of withheld images, each above the row of the same with the lower half filled in, given the upper half, by twisted sequential Monte Carlo with "
                (filled.particles) " particles on the model without classes."
            },
        );
    }
    Ok(())
}

/// Quantiles of the samples' columns against those of withheld rows.
pub(super) fn columns(results: &Results, test: &Array2<f64>, folder: &Path) -> Result<Figure> {
    let samples = [drawn(folder, Equation::Ode)?, drawn(folder, Equation::Sde)?];
    let panels = results.marginals.iter().enumerate().take(DRAWN).map(|(i, marginal)| {
        let truth = quantiles(test.column(i).to_vec());
        let (low, high) = (truth[0], truth[truth.len() - 1]);
        let high = if high > low { high } else { low + 1.0 };
        let line = |rows: &Array2<f64>, colour: &str| {
            let found = quantiles(rows.column(i).to_vec());
            Line::plain(colour, 1.6, truth.iter().copied().zip(found).collect())
        };
        Panel::new(Axis::linear(low, high, "withheld"), Axis::linear(low, high, "samples"))
            .title(&marginal.name)
            .line(Line::plain(report::GREY, 1.0, vec![(low, low), (high, high)]))
            .line(line(&samples[0], ODE))
            .line(line(&samples[1], SDE).dashed("5 3"))
    });
    let panels: Vec<Panel> = panels.collect();
    let legend = [("ODE", ODE, ""), ("SDE", SDE, "5 3")].map(|(name, colour, dash)| {
        let line = Line::plain(colour, 1.6, Vec::new()).named(name);
        report::Key::Line(if dash.is_empty() { line } else { line.dashed(dash) })
    });
    let grid = Grid::new(panels, 4).square(220.0).legend(legend.into());
    Ok(grid.figure("columns", "Quantiles of samples against quantiles of withheld rows"))
}

/// From the 0.5 % to the 99.5 % quantile, in steps.
fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    (0..=100).map(|k| values[((0.005 + 0.0099 * f64::from(k)) * last).round() as usize]).collect()
}

/// How many of these numbers differ, up to a hundred.
fn different(values: impl Iterator<Item = f64>) -> usize {
    let mut found = std::collections::BTreeSet::new();
    values.map(f64::to_bits).find(|bits| found.insert(*bits) && found.len() == 100);
    found.len()
}

/// Scatter plots of columns, pair by pair, those of many values before those of few: withheld rows, samples of the ODE, samples of the SDE.
pub(super) fn pairs(
    results: &Results,
    test: &Array2<f64>,
    folder: &Path,
) -> Result<Option<Figure>> {
    let n = results.marginals.len().min(4);
    if n < 2 {
        return Ok(None);
    }
    let samples = [drawn(folder, Equation::Ode)?, drawn(folder, Equation::Sde)?];
    let sides: [(&str, &Array2<f64>, &str); 3] =
        [("withheld", test, "#374151"), ("ODE", &samples[0], ODE), ("SDE", &samples[1], SDE)];
    let mut order: Vec<usize> = (0..results.marginals.len()).collect();
    order.sort_by_cached_key(|k| std::cmp::Reverse(different(test.column(*k).iter().copied())));
    let couples: Vec<(usize, usize)> = (0..n)
        .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
        .take(3)
        .map(|(i, j)| (order[i], order[j]))
        .collect();
    let mut panels = Vec::new();
    for (i, j) in couples {
        let ends = |k: usize| {
            let truth = quantiles(test.column(k).to_vec());
            let (low, high) = (truth[0], truth[truth.len() - 1]);
            let room = if high > low { 0.05 * (high - low) } else { 1.0 };
            (low - room, high + room)
        };
        let ((x0, x1), (y0, y1)) = (ends(i), ends(j));
        for (name, rows, colour) in sides {
            let inside = |p: &(f64, f64)| (x0..=x1).contains(&p.0) && (y0..=y1).contains(&p.1);
            let points =
                rows.rows().into_iter().map(|r| (r[i], r[j])).filter(inside).take(800).collect();
            let names = (&results.marginals[i].name, &results.marginals[j].name);
            panels.push(
                Panel::new(Axis::linear(x0, x1, names.0), Axis::linear(y0, y1, names.1))
                    .title(name)
                    .dots(report::Dots::cloud(colour, 1.4, points)),
            );
        }
    }
    let grid = Grid::new(panels, 3).square(280.0);
    Ok(Some(grid.figure(
        "pairs",
        "Pairs of columns: withheld rows, samples of the ODE, samples of the SDE",
    )))
}
