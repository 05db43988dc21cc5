//! The figures of `guidance`.

use anyhow::Result;
use metrics::Estimate;
use ndarray::Array2;
use report::{Axis, Dots, Figure, Grid, INK, Key, Line, Map, Panel, RULE, heat_png, short};
use sde_core::analytic::GaussianMixture;

use super::tree::Trees;
use super::{CLASS, Config, Kind, Results, Row, findings};
use crate::distance::{self, FLOOR};
use crate::studies::target::on_square;

/// Samples that a panel shows.
pub(super) const POINTS: usize = 250;
/// Panels of a row of samples.
const SHOWN: usize = 4;
/// Half the width of the panels of samples.
const REACH: f64 = 2.0;
/// Pixels of the density's picture along each side.
const NODES: usize = 220;

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Free => "#2563eb",
        Kind::Interval => "#0d9488",
        Kind::Auto => "#c2410c",
        Kind::PlusPlus => "#9333ea",
    }
}

/// Levels of both classes' densities: that of the class in blue, the other in red.
fn contours(config: &Config, results: &Results) -> Result<Vec<u8>> {
    let (_, classes) = Trees { generations: config.generations }.widened(0.0)?;
    let bands = |mixture: &GaussianMixture| -> Result<Array2<f64>> {
        let law = mixture.under(&*config.sde);
        let density = on_square(&|x| Ok(law.log_density(x, 0.0)?), REACH, NODES)?;
        let levels = results.exact.levels;
        let passed = |v: f64| levels.iter().filter(|l| v > l.exp()).count() as f64;
        Ok(density.mapv(passed))
    };
    let (own, other) = (bands(classes.class(CLASS))?, bands(classes.class(1 - CLASS))?);
    Ok(heat_png((other * 0.11 - own * 0.17).view(), Map::Diverging, -1.0, 1.0)?)
}

/// Weights to show, the model alone among them where it is there.
fn shown(rows: &[&Row]) -> Vec<usize> {
    let n = rows.len();
    if n <= SHOWN {
        return (0..n).collect();
    }
    let mut all: Vec<usize> = (0..SHOWN).map(|k| k * (n - 1) / (SHOWN - 1)).collect();
    if let Some(one) = rows.iter().position(|r| r.weight == 1.0).filter(|k| !all.contains(k)) {
        // In the place of the inner one that is nearest.
        let inner = 1..SHOWN - 1;
        let nearest = inner.min_by_key(|k| all[*k].abs_diff(one)).unwrap_or(1);
        all[nearest] = one;
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Samples of every way at some weights, over the density.
pub(super) fn samples(config: &Config, results: &Results, k: usize, width: f64) -> Result<Figure> {
    let picture = contours(config, results)?;
    let mut panels = Vec::new();
    let most =
        Kind::ALL.map(|kind| shown(&findings::of(results, width, kind).collect::<Vec<_>>()).len());
    let columns = most.into_iter().max().unwrap_or(1).max(1);
    for kind in Kind::ALL {
        let rows: Vec<&Row> = findings::of(results, width, kind).collect();
        let shown = shown(&rows);
        for at in &shown {
            let row = rows[*at];
            let points = row.points.iter().map(|p| (p[0], p[1])).collect();
            let bare = Axis::bare(-REACH, REACH);
            panels.push(
                Panel::new(bare.clone(), bare)
                    .title(&format!("{}, {}", kind.name(), short(row.weight)))
                    .picture(picture.clone(), "density")
                    .dots(Dots::cloud(INK, 1.3, points)),
            );
        }
        // A row a way, also where it has fewer weights.
        panels.extend(
            (shown.len()..columns).map(|_| Panel::new(Axis::bare(0.0, 1.0), Axis::bare(0.0, 1.0))),
        );
    }
    let grid = Grid::new(panels, columns).square(250.0);
    Ok(grid.figure(format!("samples-{k}"), "Samples at several weights over the density"))
}

/// A measure over the weight.
struct Curve {
    name: &'static str,
    /// The value, and what exact samples have.
    of: fn(&Row) -> Option<Estimate>,
    exact: f64,
    log: bool,
}

const CURVES: [Curve; 4] = [
    Curve { name: "squared W_{2}", of: |r| r.found?.w2, exact: 0.0, log: true },
    Curve {
        name: "log-density, less exact",
        of: |r| Some(r.found?.log_density),
        exact: 0.0,
        log: false,
    },
    Curve {
        name: "variance over the class\u{2019}s",
        of: |r| Some(r.found?.spread),
        exact: 1.0,
        log: false,
    },
    Curve {
        name: "share at low density",
        of: |r| Some(r.found?.outliers),
        exact: super::measure::LOW,
        log: false,
    },
];

/// Every measure over the weight: above for those with weights from 1 on, below for CFG++.
pub(super) fn curves(results: &Results) -> Figure {
    let widths = findings::widths(results);
    let mut panels = Vec::new();
    for group in [&Kind::ALL[..3], &Kind::ALL[3..]] {
        let rows = || results.rows.iter().filter(|r| group.contains(&r.kind));
        let ends = rows().map(|r| r.weight);
        let (low, high) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), w| (a.min(w), b.max(w)));
        let name = if group.len() > 1 { "weight" } else { "weight of CFG++" };
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        let across = Axis::linear(low, high, name);
        for curve in &CURVES {
            let line = |kind: Kind, k: usize, width: f64| {
                let own = findings::of(results, width, kind).map(|r| (r.weight, (curve.of)(r)));
                let found: Vec<(f64, Estimate)> = own.filter_map(|(w, e)| Some((w, e?))).collect();
                let errors = found.iter().map(|f| f.1.standard_error).collect();
                let points = found.iter().map(|f| (f.0, f.1.value)).collect();
                let line = Line { errors, ..Line::new("", colour(kind), points) };
                Line { hollow: k > 0, ..line.dashed(if k > 0 { "5 3" } else { "" }) }
            };
            let lines = group.iter().flat_map(|kind| {
                widths.iter().enumerate().map(move |(k, width)| (*kind, k, *width))
            });
            let panel = Panel::new(across.clone(), up(results, curve)).title(curve.name);
            let panel = if curve.log {
                panel.band_below(distance::floor_line(&results.exact.floor), FLOOR, "noise floor")
            } else {
                let ends = vec![(low, curve.exact), (high, curve.exact)];
                panel.line(Line::plain(RULE, 1.2, ends).dashed("2 3"))
            };
            panels.push(panel.lines(lines.map(|(kind, k, width)| line(kind, k, width))));
        }
    }
    let grid = Grid::new(panels, CURVES.len()).height(210.0).legend(legend(&widths));
    grid.figure("curves", "Distance, log-density, variance and outliers over the weight")
}

fn legend(widths: &[f64]) -> Vec<Key> {
    let kind = |k: &Kind| Key::Line(Line::new(k.name(), colour(*k), vec![]));
    let width = |(k, w): (usize, &f64)| {
        let line = Line::new(&findings::model(*w), RULE, vec![]);
        Key::Line(Line { hollow: k > 0, ..line.dashed(if k > 0 { "5 3" } else { "" }) })
    };
    Kind::ALL.iter().map(kind).chain(widths.iter().enumerate().map(width)).collect()
}

/// The vertical axis of a measure, the same for all ways.
fn up(results: &Results, curve: &Curve) -> Axis {
    if curve.log {
        let floor = distance::floor_line(&results.exact.floor);
        let values = results.rows.iter().filter_map(curve.of).map(|e| e.value);
        return Axis::log_around(values.chain(floor), "");
    }
    // Away from the class everything is so large that nothing else would be seen.
    let least = |r: &Row| if r.kind == Kind::PlusPlus { f64::MIN_POSITIVE } else { 1.0 };
    let guided = results.rows.iter().filter(|r| r.weight >= least(r));
    let values = guided.filter_map(curve.of).map(|e| e.value);
    let ends = values.fold((curve.exact, curve.exact), |(a, b), v| (a.min(v), b.max(v)));
    let room = 0.05 * (ends.1 - ends.0).max(1e-3);
    Axis::linear(ends.0 - room, ends.1 + room, "")
}
