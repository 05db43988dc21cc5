//! Sample densities of a data set: SDE, ODE and their difference, by weight, beside the target.

use anyhow::Result;
use ndarray::Array2;

use super::weight_name;
use crate::ode_sde_gap::report::data::ReportData;
use crate::report::axes::short;
use crate::report::colormap::{GREY, INK, Map};
use crate::report::raster::{bar_png, heat_png};
use crate::report::svg::{Anchor, Svg, Text};
use crate::report::{Figure, columns};

pub(super) fn figure(data: &ReportData, dataset: &str) -> Result<Figure> {
    let results = &data.results;
    let rows = results.rows_of(dataset);
    let truth = data.truths.iter().find(|t| t.dataset == dataset);
    let fewest = results.rows.iter().map(|r| r.n_ode.unwrap_or(r.n)).min().unwrap_or(0);
    let merge = merge_factor(fewest, results.grid);
    let spacing = 2.0 * results.half_width / (results.grid.max(2) - 1) as f64;
    let density = |counts: &Array2<f64>| to_density(counts, merge, spacing);

    // Columns: the target with its own noise, then each weight.
    let mut cols: Vec<Column> = Vec::new();
    if let Some(t) = truth {
        cols.push(Column {
            title: "target".into(),
            top: density(&t.first),
            bottom: density(&t.second),
            note: results
                .floor_of(dataset)
                .map(|f| format!("W_{{2}}^{{2}} {} \u{b7} TV {}", digits(f.w2), short3(f.tv)))
                .unwrap_or_default(),
        });
    }
    for row in &rows {
        if let Some(cell) = data.cell(dataset, row.w_r) {
            cols.push(Column {
                title: format!("w_{{R}} = {}", weight_name(row.w_r)),
                top: density(&cell.sde),
                bottom: density(&cell.ode),
                note: format!(
                    "W_{{2}}^{{2}} {} \u{b7} TV {}",
                    digits(row.ode_sde),
                    short3(row.tv_ode_sde)
                ),
            });
        }
    }
    let reference = cols.first().map(|c| c.top.clone()).unwrap_or_default();
    let top_density = quantile(&reference, 0.995).max(1e-12);
    // Of counts that add up to nothing there is no density to compare.
    let difference = |c: &Column| match c.bottom.dim() == c.top.dim() {
        true => &c.bottom - &c.top,
        false => Array2::zeros(c.top.dim()),
    };
    let differences: Vec<Array2<f64>> = cols.iter().map(difference).collect();
    let reach = differences.iter().map(|d| quantile(&d.mapv(f64::abs), 0.99)).fold(1e-12, f64::max);

    let (label, bar) = (64.0, 62.0);
    let (left, side) = columns(label, 1080.0 - bar, 10.0, cols.len().max(1));
    let side = side.min(220.0);
    let left: Vec<f64> =
        left.iter().enumerate().map(|(k, _)| label + k as f64 * (side + 10.0)).collect();
    let (head, gap) = (34.0, 10.0);
    let y = |r: usize| head + r as f64 * (side + gap);
    let mut svg = Svg::new(1080.0, y(2) + side + 30.0);

    let name =
        Text { size: 12.5, fill: INK, anchor: Anchor::Middle, weight: 600, ..Text::default() };
    for (r, text) in ["SDE", "ODE", "ODE \u{2212} SDE"].iter().enumerate() {
        svg.text((label - 40.0, y(r) + side / 2.0), text, &Text { rotate: -90.0, ..name.clone() });
    }
    let nodes = Text { size: 10.5, fill: GREY, anchor: Anchor::End, ..Text::default() };
    for r in 0..3 {
        for v in [-1.0_f64, 0.0, 1.0] {
            let py = y(r) + side * (0.5 - 0.5 * v);
            let py = py
                + if v > 0.0 {
                    8.0
                } else if v < 0.0 {
                    0.0
                } else {
                    4.0
                };
            svg.text((label - 6.0, py), &short(v * results.half_width), &nodes);
        }
    }
    for (c, col) in cols.iter().enumerate() {
        svg.text((left[c] + side / 2.0, 20.0), &col.title, &name);
        if c == 0 && truth.is_some() {
            let style = Text { size: 11.0, fill: "#fff", ..Text::default() };
            for (r, text) in ["sample 1", "sample 2"].iter().enumerate() {
                picture(
                    &mut svg,
                    [&col.top, &col.bottom][r],
                    Map::Sequential,
                    0.0,
                    top_density,
                    (left[c], y(r)),
                    side,
                )?;
                svg.text((left[c] + 8.0, y(r) + 17.0), text, &style);
            }
        } else {
            for (r, image) in [&col.top, &col.bottom].into_iter().enumerate() {
                picture(&mut svg, image, Map::Sequential, 0.0, top_density, (left[c], y(r)), side)?;
            }
        }
        picture(&mut svg, &differences[c], Map::Diverging, -reach, reach, (left[c], y(2)), side)?;
        let style = Text { size: 11.5, fill: GREY, anchor: Anchor::Middle, ..Text::default() };
        svg.text((left[c] + side / 2.0, y(2) + side + 19.0), &col.note, &style);
    }
    let end = left.last().copied().unwrap_or(label) + side + 14.0;
    let scale = Text { size: 10.5, fill: GREY, ..Text::default() };
    svg.image((end, y(0)), (12.0, 2.0 * side + gap), &bar_png(Map::Sequential)?, "density");
    svg.text((end + 17.0, y(0) + 9.0), &two(top_density), &scale);
    svg.text((end + 17.0, y(1) + side), "0", &scale);
    svg.image((end, y(2)), (12.0, side), &bar_png(Map::Diverging)?, "difference of densities");
    svg.text((end + 17.0, y(2) + 9.0), &format!("+{}", two(reach)), &scale);
    svg.text((end + 17.0, y(2) + side / 2.0 + 4.0), "0", &scale);
    svg.text((end + 17.0, y(2) + side), &format!("\u{2212}{}", two(reach)), &scale);
    let label = format!("Sample densities of {dataset}: SDE, ODE and their difference");
    Ok(Figure::new(format!("densities-{dataset}"), svg.finish(&label)))
}

struct Column {
    title: String,
    top: Array2<f64>,
    bottom: Array2<f64>,
    note: String,
}

fn picture(
    svg: &mut Svg,
    values: &Array2<f64>,
    map: Map,
    lo: f64,
    hi: f64,
    at: (f64, f64),
    side: f64,
) -> Result<()> {
    svg.image(at, (side, side), &heat_png(values, map, lo, hi)?, "");
    if map == Map::Diverging {
        svg.frame(at, (side, side), "#d1d5db", 1.0);
    }
    Ok(())
}

/// Bins shown together, so that a picture of few samples is not mostly grain.
fn merge_factor(n: u64, grid: usize) -> usize {
    if n < 100_000 && grid.is_multiple_of(2) { 2 } else { 1 }
}

fn to_density(counts: &Array2<f64>, merge: usize, spacing: f64) -> Array2<f64> {
    let total = counts.sum();
    if counts.is_empty() || total <= 0.0 {
        return counts.clone();
    }
    let (h, w) = (counts.nrows() / merge, counts.ncols() / merge);
    let area = (merge as f64 * spacing).powi(2);
    Array2::from_shape_fn((h, w), |(i, j)| {
        let block =
            counts.slice(ndarray::s![i * merge..(i + 1) * merge, j * merge..(j + 1) * merge]);
        block.sum() / (total * area)
    })
}

fn quantile(values: &Array2<f64>, q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let at = (q * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

fn digits(v: f64) -> String {
    format!("{v:.4}")
}

fn short3(v: f64) -> String {
    format!("{v:.3}")
}

fn two(v: f64) -> String {
    if v >= 0.1 { format!("{v:.2}") } else { format!("{v:.3}") }
}
