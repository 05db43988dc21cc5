//! The sections of the page on the gap: its bounds, where it is made, what a measured one consists of.

use std::path::Path;

use anyhow::Result;
use ndarray::{Array2, s};
use report::{
    Axis, Cell, Figure, Grid, Line, Map, Panel, Sheet, Table, digits, heat_png, html, ordered,
    palette,
};

use super::attribution::Share;
use super::bounds::{Bound, Of, Rigour};
use super::decomposition::Part;
use super::gap_findings::{
    bounds_finding, decomposition_finding, made_finding, measured, told_apart,
};
use super::{Config, Results, Row};

/// Everything after the densities and their distances.
pub(super) fn sections(
    sheet: &mut Sheet,
    config: &Config,
    results: &Results,
    folder: &Path,
) -> Result<()> {
    let joined = |of: fn(&Row) -> String| {
        results.rows.iter().map(of).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    };
    sheet.section("Bounds", html! {
        (joined(bounds_finding)) " Bounds are of the particles that stay within \u{b1}" (config.window.half_width)
        " on both flows, the distance is that of the laws conditioned on the window. Looseness: the bound over the upper and over the lower end of what is measured. Errors of means over paths are standard errors of groups of starting points, plus what halving nodes, times and steps changes (flow coupling) or every other time (integrals of roots); where nothing stands the bound is a sum over the nodes."
    });
    sheet.table(looseness(results));
    sheet.push(html! { p class="note" {
        "\u{201c}On the grid\u{201d}: the theorem has a supremum over the plane of the largest eigenvalue of the potential\u{2019}s Hessian, and its maximum on the nodes is an estimate from below; the growth exp \u{222b}L makes it vacuous long before that matters. \u{201c}No\u{201d}: something else stands in its place, and what comes out is no bound."
    } });
    sheet.table(rates(results));
    sheet.section("When and where", html! {
        (joined(made_finding)) " Shares of intervals of time: of the energy \u{bd}\u{222b}g\u{b2}E|\u{2207}r|\u{b2}; of the mean square displacement between the flows, by what is made in the interval and carried to t = 0 along the ODE, projected on the whole; of the bound with the Jacobian along paths."
    });
    sheet.figure(cumulative(results), html! { "Shares made from the data up to t." });
    sheet.table(shares(results));
    for row in results.rows.iter().filter(|row| told_apart(row)) {
        sheet.figure(maps(config, row, folder)?, html! {
            (row.name) ": above, where the energy is made, g\u{b2}/2 |\u{2207}r|\u{b2} q, r = log q \u{2212} \u{3c6}, q the density of the SDE (each on its own scale); below, the residual R less its mean under q (red: above; the scale ends where a tenth of the window is beyond)."
        });
    }
    super::response_page::section(sheet, config, results, folder)?;
    let sampled = &config.sampled;
    sheet.section("What is measured with samples", html! {
        (joined(decomposition_finding)) " Squared W" sub { "2" } " on the nodes between " (sampled.n) " samples of each, in " (sampled.steps)
        " steps of Euler\u{2019}s method, those outside of the window dropped. Nodes: the laws on the nodes less the laws. Steps: Richardson\u{2019}s extrapolation from as many and twice as many steps with the same starts and the same noise; half as many say how well. Noise: samples of the laws on the nodes, as many, against the laws: mean, and two standard deviations. The error of the sum is not that of its first two parts, whose sum is known better than either."
    });
    sheet.figure(
        waterfall(results),
        html! { "Bars: the parts one after another. Lines: their intervals." },
    );
    sheet.table(parts(results));
    Ok(())
}

fn looseness(results: &Results) -> Table {
    let head = [
        "model",
        "bound",
        "of",
        "rigorous",
        "value",
        "measured, from",
        "to",
        "looseness, from",
        "to",
    ];
    let rows = results.rows.iter().flat_map(|row| {
        row.bounds.bounds.iter().map(|bound| {
            let [low, high] = measured(row, bound.of);
            let over = |end: f64| {
                if end > 0.0 { Cell::number(bound.found.value / end) } else { "\u{2013}".into() }
            };
            vec![
                row.name.as_str().into(),
                bound.name.as_str().into(),
                of(bound).into(),
                rigour(bound).into(),
                Cell::with_error(bound.found.value, Some(bound.found.error).filter(|e| *e > 0.0)),
                Cell::number(low),
                Cell::number(high),
                over(high),
                over(low),
            ]
        })
    });
    Table::new("looseness", 4, &head).rows(rows)
}

fn of(bound: &Bound) -> &'static str {
    match bound.of {
        Of::W2 => "W_{2}",
        Of::Entropy => "KL(ODE | SDE)",
        Of::Energy => "energy",
    }
}

fn rigour(bound: &Bound) -> &'static str {
    match bound.rigour {
        Rigour::Yes => "yes",
        Rigour::Grid => "on the grid",
        Rigour::No => "no",
    }
}

/// What bounds rest on.
fn rates(results: &Results) -> Table {
    let head = [
        "model",
        "particles",
        "stay in the window",
        "largest eigenvalue at t = 0: on the nodes",
        "mean",
        "\u{222b}L dt",
        "certified by the layers",
        "\u{222b}L dt",
        "energy along paths",
        "displacement left over",
    ];
    let rows = results.rows.iter().map(|row| {
        let b = &row.bounds;
        let certified = |k: usize| {
            b.certified.map_or(Cell::from("\u{2013}"), |certified| Cell::number(certified[k]))
        };
        vec![
            row.name.as_str().into(),
            b.particles.to_string().into(),
            Cell::with_error(b.stayed.value, Some(b.stayed.error)),
            Cell::number(b.steepest[0]),
            Cell::number(b.steepest[1]),
            Cell::number(b.growth),
            certified(0),
            certified(1),
            Cell::with_error(b.along.value, Some(b.along.error)),
            Cell::number(b.closure),
        ]
    });
    Table::new("rates", 1, &head).rows(rows).caption(html! {
        "L: of g\u{b2}/2 times the largest eigenvalue less the drift\u{2019}s coefficient; the first coupling bound grows with e to its integral. Certified: from norms of the network\u{2019}s layers, over the whole plane and not only the nodes. Energy along paths: from the interpolated \u{2207}r on the flow of the SDE\u{2019}s law; \u{b1} how far the finite volumes\u{2019} own is. Displacement left over: the root mean square of what the integral along paths leaves of the displacement, over the latter."
    })
}

fn shares(results: &Results) -> Table {
    let head = ["model", "t, from", "to", "energy, %", "displacement, %", "Jacobian, %"];
    let rows = results.rows.iter().filter(|row| told_apart(row)).flat_map(|row| {
        row.bounds.shares.iter().map(|share| {
            let percent = |of: f64| Cell::from(format!("{:.1}", 100.0 * of));
            vec![
                row.name.as_str().into(),
                Cell::number(share.from),
                Cell::number(share.to),
                percent(share.energy),
                percent(share.displacement),
                percent(share.jacobian),
            ]
        })
    });
    Table::new("shares", 1, &head).rows(rows)
}

fn cumulative(results: &Results) -> Figure {
    let apart: Vec<&Row> = results.rows.iter().filter(|row| told_apart(row)).collect();
    let panel = |title: &str, of: fn(&Share) -> f64| {
        let course = |row: &Row| -> Vec<(f64, f64)> {
            let mut sum = 0.0;
            let points = row.bounds.shares.iter().map(|share| {
                sum += of(share);
                (share.to, 100.0 * sum)
            });
            points.collect()
        };
        let all: Vec<(f64, f64)> = apart.iter().flat_map(|row| course(row)).collect();
        let low = all.iter().fold(0.0_f64, |low, p| low.min(p.1)) - 5.0;
        let high = all.iter().fold(100.0_f64, |high, p| high.max(p.1)) + 5.0;
        let across = Axis::log_around(all.iter().map(|p| p.0), "t");
        let lines = apart
            .iter()
            .enumerate()
            .map(|(k, row)| Line::new(&row.name, &ordered(k + 1, apart.len() + 1), course(row)));
        Panel::new(across, Axis::linear(low, high, "%")).title(title).lines(lines)
    };
    let panels = vec![
        panel("energy", |s| s.energy),
        panel("displacement", |s| s.displacement),
        panel("Jacobian", |s| s.jacobian),
    ];
    Grid::row(panels)
        .height(230.0)
        .gap(90.0)
        .figure("shares", "Shares of the gap made up to a time")
}

/// Where the gap is made, and the residual, at some times.
fn maps(config: &Config, row: &Row, folder: &Path) -> Result<Figure> {
    let n = config.tiles().n();
    let all: Array2<f64> =
        crate::npy::read_rows(&folder.join(format!("attribution/{}.npy", row.name)))?;
    // The first index is x; a picture's first is y.
    let at = |slot: usize| all.slice(s![slot * n..(slot + 1) * n, ..]).t().to_owned();
    let reach = config.window.half_width;
    let panel = |name: String, picture: Vec<u8>| {
        let panel = Panel::plane(reach, ["x_{1}", "x_{2}"]).title(&name);
        panel.picture(picture, &name)
    };
    let (mut made, mut residuals) = (vec![], vec![]);
    for (k, t) in row.maps.iter().enumerate() {
        let (energy, residual) = (at(2 * k), at(2 * k + 1));
        let top = energy.iter().copied().fold(1e-300, f64::max);
        let name = format!("t = {}: up to {}", digits(*t), digits(top));
        made.push(panel(name, heat_png(energy.view(), Map::Sequential, 0.0, top)?));
        let mut sizes: Vec<f64> = residual.iter().map(|v| v.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let most = sizes[sizes.len() * 9 / 10].max(1e-300);
        let name = format!("R (\u{b1}{})", digits(most));
        residuals.push(panel(name, heat_png(residual.view(), Map::Diverging, -most, most)?));
    }
    let columns = made.len();
    made.extend(residuals);
    let label = format!("Where the gap of {} is made, and its residual", row.name);
    Ok(Grid::new(made, columns).square(240.0).figure(format!("made-{}", row.name), &label))
}

/// Parts by name, the sum and what is measured.
fn named(row: &Row) -> [(&'static str, Part); 4] {
    let d = &row.decomposition;
    [
        ("between the laws", d.continuous),
        ("nodes", d.binning),
        ("steps", d.steps_add),
        ("noise", d.noise),
    ]
}

fn parts(results: &Results) -> Table {
    let head = [
        "model",
        "between the laws",
        "nodes",
        "steps",
        "noise",
        "sum",
        "measured",
        "outside, %: ODE",
        "SDE",
        "at the border they would add",
    ];
    let cell = |part: Part| Cell::with_error(part.middle(), Some(part.half()));
    let rows = results.rows.iter().map(|row| {
        let d = &row.decomposition;
        let mut cells: Vec<Cell> = vec![row.name.as_str().into()];
        cells.extend(named(row).map(|(_, part)| cell(part)));
        cells.extend([cell(d.sum), Cell::number(d.measured)]);
        cells.extend(d.outside.map(|share| Cell::from(format!("{:.3}", 100.0 * share))));
        cells.push(cell(d.escaped));
        cells
    });
    Table::new("parts", 1, &head).rows(rows).caption(html! {
        "Squared W" sub { "2" } ": the middles of intervals and their halves. What lies outside is dropped from both, and no part of the sum; the last column puts it to the nearest node of the border, from where it has gone on."
    })
}

fn waterfall(results: &Results) -> Figure {
    let panels = results.rows.iter().map(|row| {
        let d = &row.decomposition;
        let all = named(row);
        let names: Vec<&str> =
            all.iter().map(|(name, _)| *name).chain(["sum", "measured"]).collect();
        let (mut at, mut from, mut low, mut high) = (0.0_f64, vec![], 0.0_f64, d.measured);
        for (_, part) in &all {
            from.push(at);
            low = low.min(at + part.low);
            high = high.max(at + part.high);
            at += part.middle();
        }
        let (low, high) = (low.min(d.sum.low), high.max(d.sum.high));
        let room = 0.04 * (high - low);
        let axis = Axis::linear(low - room, high + room, "squared W_{2}");
        let mut panel = Panel::new(axis, Axis::rows(&names)).title(&row.name);
        let mut draw = |k: usize, from: f64, part: Part, colour: &str| {
            let (a, b) = (from, from + part.middle());
            let tip = format!("{} \u{b1} {}", digits(part.middle()), digits(part.half()));
            panel = panel.clone().bar(k as f64, (a.min(b), a.max(b)), colour, tip);
            let ends = vec![(from + part.low, k as f64), (from + part.high, k as f64)];
            panel = panel.clone().line(Line::plain("#1f2937", 1.6, ends));
        };
        for (k, ((_, part), from)) in all.iter().zip(&from).enumerate() {
            draw(k, *from, *part, palette(k));
        }
        draw(4, 0.0, d.sum, "#9ca3af");
        draw(5, 0.0, Part { low: d.measured, high: d.measured }, "#334155");
        panel
    });
    let columns = results.rows.len().min(2);
    Grid::new(panels.collect(), columns)
        .height(132.0)
        .gap(110.0)
        .figure("parts", "Parts of the measured distance between samples of ODE and SDE")
}
