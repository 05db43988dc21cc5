//! The section of the page on what the residual does to the densities.

use std::path::Path;

use anyhow::Result;
use report::{Cell, Figure, Grid, Map, Panel, Sheet, Table, digits, heat_png, html};

use super::gap_findings::told_apart;
use super::response::{Part, maps};
use super::{Config, Results, Row};

pub(super) fn section(
    sheet: &mut Sheet,
    config: &Config,
    results: &Results,
    folder: &Path,
) -> Result<()> {
    let found: Vec<String> =
        results.rows.iter().filter(|row| told_apart(row)).map(finding).collect();
    sheet.section("What the residual does to the densities", html! {
        (found.join(" ")) " log p \u{2212} \u{3c6} at the time of the data is, along the path of the ODE through a place, what the prior is off by at its end and the integral of the residual R; for the SDE, to first order in R, the mean of the same over the noised place. Parts by the prior and by intervals of time, each less its mean: root mean squares under the law of the SDE, where there is a ten-thousandth of its largest density. Left over: what the sum leaves of the densities solved for, of the ODE the error of both, of the SDE the higher orders."
    });
    sheet.table(table(results));
    for row in results.rows.iter().filter(|row| told_apart(row)) {
        sheet.figure(figure(config, row, folder)?, html! {
            (row.name) ": parts of log p \u{2212} \u{3c6} (red: the sampler draws more there than e" sup { "\u{3c6}" } " says), above of the ODE, below of the SDE; one scale, which ends where a tenth of the places is beyond."
        });
    }
    Ok(())
}

fn name(part: &Part) -> String {
    match part.interval {
        None => "the prior".into(),
        Some([from, to]) => format!("t = {} to {}", digits(from), digits(to)),
    }
}

fn finding(row: &Row) -> String {
    let r = &row.responses;
    let first = &r.parts[0];
    let most = r.parts.iter().fold(first, |best, p| if p.apart > best.apart { p } else { best });
    format!(
        "{}: log p of the ODE less that of the SDE is {} root mean square; the largest part, {}, is from {}. Left over is {} (ODE) and {} (SDE).",
        row.name,
        digits(r.sum.apart),
        digits(most.apart),
        name(most),
        digits(r.left_over[0]),
        digits(r.left_over[1])
    )
}

fn table(results: &Results) -> Table {
    let head = ["model", "from", "ODE", "SDE, first order", "ODE \u{2212} SDE"];
    let rows = results.rows.iter().filter(|row| told_apart(row)).flat_map(|row| {
        let line = |from: String, part: &Part| {
            vec![
                Cell::from(row.name.as_str()),
                from.into(),
                Cell::number(part.ode),
                Cell::number(part.sde),
                Cell::number(part.apart),
            ]
        };
        let r = &row.responses;
        let left = vec![
            row.name.as_str().into(),
            "left over".into(),
            Cell::number(r.left_over[0]),
            Cell::number(r.left_over[1]),
            "\u{2013}".into(),
        ];
        let parts = r.parts.iter().map(|part| line(name(part), part));
        parts.chain([line("all".into(), &r.sum), left]).collect::<Vec<_>>()
    });
    Table::new("responses", 2, &head).rows(rows)
}

fn figure(config: &Config, row: &Row, folder: &Path) -> Result<Figure> {
    let path = folder.join(format!("attribution/{}-response.npy", row.name));
    let all = maps(config.tiles().n(), &path)?;
    let columns = all.len() / 2;
    let mut sizes: Vec<f64> = all.iter().flatten().map(|v| v.abs()).filter(|v| *v > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    // The scale ends where a tenth of the places is beyond.
    let most = sizes.get(sizes.len() * 9 / 10).copied().unwrap_or(0.0).max(1e-300);
    let names = row.responses.parts.iter().map(name).chain(["all".into()]);
    let names: Vec<String> = names.collect();
    let mut panels = vec![];
    for (k, map) in all.iter().enumerate() {
        let law = if k < columns { "ODE" } else { "SDE" };
        let title = match k % columns {
            0 => format!("{law}, {} (\u{b1}{})", names[0], digits(most)),
            part => format!("{law}, {}", names[part]),
        };
        let picture = heat_png(map.view(), Map::Diverging, -most, most)?;
        let panel = Panel::plane(config.window.half_width, ["x_{1}", "x_{2}"]).title(&title);
        panels.push(panel.picture(picture, &title));
    }
    let label = format!("What the residual does to the densities of {}", row.name);
    Ok(Grid::new(panels, columns).square(210.0).figure(format!("response-{}", row.name), &label))
}
