//! Sample densities of a data set: SDE, ODE and their difference, by weight, beside the target.

use anyhow::Result;
use ndarray::{Array2, s};
use report::{Anchor, Axis, Figure, Grid, Map, Panel, Svg, Text, bar_png, heat_png, short};

use super::weight_title;
use crate::ode_sde_gap::report::data::ReportData;

/// Two samples above each other, and how far they are apart.
struct Column {
    title: String,
    top: Array2<f64>,
    bottom: Array2<f64>,
    note: String,
}

/// What the colours span: densities from 0, differences both ways.
#[derive(Clone, Copy)]
struct Span {
    density: f64,
    difference: f64,
}

pub(in super::super) fn densities(data: &ReportData, dataset: &str) -> Result<Figure> {
    let columns = columns(data, dataset);
    // Of counts that add up to nothing there is no density to compare.
    let difference = |c: &Column| match c.bottom.dim() == c.top.dim() {
        true => &c.bottom - &c.top,
        false => Array2::zeros(c.top.dim()),
    };
    let differences: Vec<Array2<f64>> = columns.iter().map(difference).collect();
    let reach = differences.iter().map(|d| quantile(&d.mapv(f64::abs), 0.99));
    let span = Span {
        density: columns.first().map_or(0.0, |c| quantile(&c.top, 0.995)).max(1e-12),
        difference: reach.fold(1e-12, f64::max),
    };
    let l = data.results.half_width;
    let axis = |label: &str| Axis {
        ticks: [-l, 0.0, l].map(|v| (v, short(v))).into(),
        ..Axis::linear(-l, l, label)
    };
    let panel = |row: usize, title: &str, values: &Array2<f64>, note: &str| -> Result<Panel> {
        let (name, map, lo, hi) = match row {
            0 => ("SDE", Map::Sequential, 0.0, span.density),
            1 => ("ODE", Map::Sequential, 0.0, span.density),
            _ => ("ODE \u{2212} SDE", Map::Diverging, -span.difference, span.difference),
        };
        let across = Axis { label: note.into(), ..Axis::bare(-l, l) };
        let picture = heat_png(values.view(), map, lo, hi)?;
        Ok(Panel::new(across, axis(name)).title(title).picture(picture, name))
    };
    let mut panels = Vec::new();
    for column in &columns {
        panels.push(panel(0, &column.title, &column.top, "")?);
    }
    for column in &columns {
        panels.push(panel(1, "", &column.bottom, "")?);
    }
    for (column, difference) in columns.iter().zip(&differences) {
        panels.push(panel(2, "", difference, &column.note)?);
    }
    let grid = Grid::new(panels, columns.len()).square(220.0).gap(10.0).margin_right(58.0);
    let (mut svg, places) = grid.draw();
    if let [first, second, third] = places.chunks(columns.len().max(1)).collect::<Vec<_>>()[..] {
        let ends = [first, second, third].map(|row| row[row.len() - 1]);
        bars(&mut svg, ends, span)?;
    }
    let label = format!("Sample densities of {dataset}: SDE, ODE and their difference");
    Ok(Figure::new(format!("densities-{dataset}"), &svg, &label))
}

/// The target with its own noise, then each weight.
fn columns(data: &ReportData, dataset: &str) -> Vec<Column> {
    let results = &data.results;
    let merge = bins_merged(data);
    let spacing = 2.0 * results.half_width / (results.grid.max(2) - 1) as f64;
    let density = |counts: &Array2<f64>| to_density(counts, merge, spacing);
    let note = |w2: f64, tv: f64| format!("W_{{2}}^{{2}} {w2:.4} \u{b7} TV {tv:.3}");
    let truth = data.truths.iter().find(|t| t.dataset == dataset).map(|t| Column {
        title: "target".into(),
        top: density(&t.second),
        bottom: density(&t.third),
        note: results
            .floor_of(dataset)
            .map_or(String::new(), |f| note(f.w2.pair.mean(), f.tv.pair.mean())),
    });
    let rows = results.rows_of(dataset).into_iter().filter_map(|row| {
        let cell = data.cell(dataset, row.w_r)?;
        Some(Column {
            title: weight_title(row.w_r),
            top: density(&cell.sde),
            bottom: density(&cell.ode),
            note: note(row.w2.ode_sde.value, row.tv.ode_sde.value),
        })
    });
    truth.into_iter().chain(rows).collect()
}

/// The colour bars to the right of the last panels, with what they span.
fn bars(svg: &mut Svg, ends: [((f64, f64), (f64, f64)); 3], span: Span) -> Result<()> {
    let [(first, size), (second, _), (third, _)] = ends;
    let x = first.0 + size.0 + 14.0;
    let style = Text { size: 10.5, anchor: Anchor::Start, ..Text::default() };
    let two = |v: f64| if v >= 0.1 { format!("{v:.2}") } else { format!("{v:.3}") };
    let height = second.1 + size.1 - first.1;
    svg.image((x, first.1), (12.0, height), &bar_png(Map::Sequential)?, "density");
    svg.text((x + 17.0, first.1 + 9.0), &two(span.density), &style);
    svg.text((x + 17.0, first.1 + height), "0", &style);
    svg.image((x, third.1), (12.0, size.1), &bar_png(Map::Diverging)?, "difference of densities");
    let reach = two(span.difference);
    svg.text((x + 17.0, third.1 + 9.0), &format!("+{reach}"), &style);
    svg.text((x + 17.0, third.1 + size.1 / 2.0 + 4.0), "0", &style);
    svg.text((x + 17.0, third.1 + size.1), &format!("\u{2212}{reach}"), &style);
    Ok(())
}

/// Bins shown together along each axis, so that a picture of few samples is not mostly grain.
pub(in super::super) fn bins_merged(data: &ReportData) -> usize {
    let results = &data.results;
    let fewest = results.rows.iter().map(|r| r.n_ode.unwrap_or(r.n)).min().unwrap_or(0);
    if fewest < 100_000 && results.grid.is_multiple_of(2) { 2 } else { 1 }
}

fn to_density(counts: &Array2<f64>, merge: usize, spacing: f64) -> Array2<f64> {
    let total = counts.sum();
    if counts.is_empty() || total <= 0.0 {
        return counts.clone();
    }
    let (h, w) = (counts.nrows() / merge, counts.ncols() / merge);
    let area = (merge as f64 * spacing).powi(2);
    Array2::from_shape_fn((h, w), |(i, j)| {
        let rows = i * merge..(i + 1) * merge;
        counts.slice(s![rows, j * merge..(j + 1) * merge]).sum() / (total * area)
    })
}

fn quantile(values: &Array2<f64>, q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let at = (q * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}
