//! The page of `densities`.

use std::path::Path;

use anyhow::Result;
use ndarray::{Array2, s};
use report::{
    Axis, Cell, Figure, Grid, Line, Map, Panel, Sheet, Table, digits, duration, heat_png, html,
    ordered,
};

use super::findings::{between, finding};
use super::{Config, Found, Law, Results, Row};

pub(super) fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
    let lead = html! {
        "Densities that the probability-flow ODE and the reverse SDE draw from, computed without a sample. "
        (results.rows.iter().map(finding).collect::<Vec<_>>().join(" "))
    };
    let mut sheet = Sheet::new("The laws of ODE and SDE", lead);
    sheet.section("Densities", html! {
        @if config.models.is_some() { "Networks, each against its own data set." }
        @else {
            "Target " (config.target) ". Blurred: the potential log(p" sub { "t" } " * N(0, " (config.smoothing) "\u{b2})), as of a network too smooth."
        }
        " The SDE by finite volumes, the ODE along its paths, from N(0, \u{3c3}\u{b2}) at the horizon to t = 0; own: exp \u{3c6} normalised. All on "
        (config.window.about()) ", in tiles of half their distance."
    });
    for row in &results.rows {
        sheet.figure(heat(config, row, folder)?, html! {
            (row.name) ": square roots of the densities on one colour scale, and ODE minus SDE (red: the ODE has more)."
        });
    }
    sheet.table(laws(results));
    sheet.section("Distances", html! {
        "Between laws conditioned on the window. W" sub { "2" } " of the laws, not of what is counted on nodes: what moves by much less than the distance of two nodes costs its square here, and on nodes that distance times it. The interval is that of densities that are constant on tiles, widened by what the laws are wrong by: the side of a tile times the root of the error in total variation. Errors of total variation are those of the solutions and of the tiles; of relative entropies those of the tiles."
    });
    sheet.table(distances(results));
    sheet.section("The gap of the scores", html! {
        "E" sub { "SDE" } " |\u{2207} log q " "\u{2212} s|\u{b2} over time: the velocities of the two flows differ by g\u{b2}/2 times \u{2207} log q \u{2212} s, q the density of the SDE. Half its integral with g\u{b2} is the relative entropy of the SDE\u{2019}s paths to the same law noised forward."
    });
    sheet.figure(
        profile(results),
        html! {
            "Both axes logarithmic; left out where the estimated error is as large as the value."
        },
    );
    super::gap_page::sections(&mut sheet, config, results, folder)?;
    Ok(sheet)
}

fn with_error(found: Found) -> Cell {
    Cell::with_error(found.value, Some(found.error))
}

fn laws(results: &Results) -> Table {
    let head = ["model", "law", "outside the window", "error in total variation", "time"];
    let rows = results.rows.iter().flat_map(|row| {
        row.solved.iter().map(|law| {
            vec![
                row.name.as_str().into(),
                law.law.name().into(),
                with_error(law.outside),
                Cell::number(law.error),
                duration(law.seconds).into(),
            ]
        })
    });
    Table::new("laws", 2, &head).rows(rows)
}

fn distances(results: &Results) -> Table {
    let head = [
        "model",
        "between",
        "W_{2}",
        "W_{2}^{2}, from",
        "to",
        "W_{2}^{2} on nodes",
        "total variation",
        "KL",
        "KL, reversed",
    ];
    let rows = results.rows.iter().flat_map(|row| {
        row.pairs.iter().map(|pair| {
            vec![
                row.name.as_str().into(),
                format!("{} and {}", pair.of[0].name(), pair.of[1].name()).into(),
                between(pair.found.squared()).into(),
                Cell::number(pair.found.squared()[0]),
                Cell::number(pair.found.squared()[1]),
                Cell::number(pair.found.on_nodes),
                with_error(pair.found.total_variation),
                with_error(pair.found.kl),
                with_error(pair.found.reverse_kl),
            ]
        })
    });
    Table::new("distances", 2, &head).rows(rows)
}

/// Densities of a model beside each other.
fn heat(config: &Config, row: &Row, folder: &Path) -> Result<Figure> {
    let n = config.tiles().n();
    let all: Array2<f64> =
        crate::npy::read_rows(&folder.join(format!("densities/{}.npy", row.name)))?;
    // The first index is x; a picture's first is y.
    let law = |k: usize| all.slice(s![k * n..(k + 1) * n, ..]).t().to_owned();
    let top = law(0).iter().copied().fold(1e-12, f64::max);
    let reach = config.window.half_width;
    let panel = |name: &str, picture: Vec<u8>| {
        Panel::plane(reach, ["x_{1}", "x_{2}"]).title(name).picture(picture, name)
    };
    let mut panels = Vec::new();
    for (k, which) in Law::ALL.into_iter().enumerate() {
        let root = law(k).mapv(|v| (v / top).max(0.0).sqrt());
        panels.push(panel(which.name(), heat_png(root.view(), Map::Sequential, 0.0, 1.1)?));
    }
    let difference = law(3) - law(2);
    let most = difference.iter().fold(1e-12_f64, |m, v| m.max(v.abs()));
    let name = format!("ODE \u{2212} SDE (\u{b1}{})", digits(most));
    panels.push(panel(&name, heat_png(difference.view(), Map::Diverging, -most, most)?));
    let label = format!("Densities of {}: truth, own, SDE, ODE, and the difference", row.name);
    Ok(Grid::row(panels).square(220.0).figure(format!("densities-{}", row.name), &label))
}

fn profile(results: &Results) -> Figure {
    let known = |row: &Row| -> Vec<(f64, Found)> {
        let pairs = row.times.iter().copied().zip(row.gap.iter().copied());
        pairs.filter(|(t, g)| *t > 0.0 && g.value > g.error).collect()
    };
    let all: Vec<(f64, Found)> = results.rows.iter().flat_map(known).collect();
    let across = Axis::log_around(all.iter().map(|p| p.0), "t");
    let up = Axis::log_around(all.iter().map(|p| p.1.value), "E |\u{2207} log q \u{2212} s|\u{b2}");
    let lines = results.rows.iter().enumerate().map(|(k, row)| {
        let points = known(row).into_iter().map(|(t, g)| (t, g.value)).collect();
        let energy = format!(
            "{} (energy {} \u{b1} {})",
            row.name,
            digits(row.energy.value),
            digits(row.energy.error)
        );
        Line::new(&energy, &ordered(k + 1, results.rows.len() + 1), points)
    });
    let panel = Panel::new(across, up).lines(lines);
    Grid::row(vec![panel]).width(860.0).figure("profile", "The gap of the scores over time")
}
