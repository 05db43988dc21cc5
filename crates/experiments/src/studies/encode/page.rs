//! The page of `encode`.

use anyhow::Result;
use metrics::{Change, Estimate};
use report::{
    Axis, Dots, Figure, Grid, Line, Mark, Panel, Sheet, Table, digits, html, palette, short,
};

use super::{Config, Results, Rows, Temperature, Way};
use crate::distance::{self, PAIR, said};
use crate::studies::target::{on_square, root_png};

pub(super) fn page(config: &Config, results: &Results) -> Result<Sheet> {
    let mut sheet = Sheet::new(
        "Data as latents, and back",
        html! {
            "The flow ODE takes every data point to one latent, and back. " (round_trip(results)) " "
            (variance(results.latent_variance))
        },
    );
    sheet.section("Encoding", html! {
        (config.points) " points of " (config.target) " at t = " (config.t_end) ", taken up to t = T by Dormand-Prince, each with steps of its own; exact score, " (config.sde) ". "
        (distance::change_note(1))
    });
    sheet.figure(latents(results), html! {
        "Left: data, coloured by the component each most likely belongs to. Right: their latents, same colours."
    });
    sheet.table(trips(results));
    sheet.section("Interpolation", html! {
        "Between the latents of two data points of different components along the great arc, decoded; beside it the straight line between the data. " (interpolation(&results.ways))
    });
    sheet.figure(ways(config, results)?, html! {
        "Left: arcs between latents. Right: the same arcs decoded (solid, same colours), over the density of the data (square root, dark 0), and the straight lines between the same data (dashed)."
    });
    let numbered: Vec<(usize, &Way)> = (1..).zip(&results.ways).collect();
    sheet.table(
        Table::of("interpolation", 1, &numbered)
            .column("pair", |(k, _)| k.to_string())
            .column("decoded arc", |(_, w)| digits(w.least_arc))
            .column("straight line", |(_, w)| digits(w.least_line))
            .caption(html! {
                "The smallest log-density that is met on the way; larger is better."
            }),
    );
    sheet.section(
        "Temperature",
        html! {
            "Latents from the prior times \u{3c4}, decoded. " (temperature(&results.temperatures))
        },
    );
    sheet.figure(temperatures(results), html! { "Decoded points by temperature, on one scale." });
    sheet.table(Table::of("temperature", 0, &results.temperatures)
        .column("temperature", |t| short(t.tau))
        .column("mean log-density", |t| distance::cell(t.log_density))
        .column("spread", |t| digits(t.spread))
        .caption(html! {
        "Mean log-density under the law of the data with its standard error, and the root of the mean variance of a coordinate."
    }));
    Ok(sheet)
}

fn round_trip(results: &Results) -> String {
    let tight = results.trips.iter().min_by(|a, b| a.tolerance.total_cmp(&b.tolerance));
    tight.map_or(String::new(), |t| {
        format!(
            "Data come back with a root mean square error of {} at a tolerance of {}.",
            said(t.rms),
            short(t.tolerance)
        )
    })
}

/// The variance of the latents against that of the prior, by the test.
fn variance(found: Estimate) -> String {
    let prior = Estimate { value: 1.0, standard_error: 0.0 };
    let verdict = match distance::change(prior, found, 1) {
        Change::Holds => "which is not told from 1",
        Change::Falls => "which is below 1 by the test",
        Change::Rises => "which is above 1 by the test",
    };
    format!(
        "The mean square of a coordinate of the latents is {} times that of the prior, {verdict}.",
        said(found)
    )
}

fn interpolation(ways: &[Way]) -> String {
    if ways.is_empty() {
        return "There is no such pair in this run.".into();
    }
    let better = ways.iter().filter(|w| w.least_arc > w.least_line).count();
    format!(
        "Pairs whose decoded arc has a higher lowest density than the straight line: {better} of {}.",
        ways.len()
    )
}

/// Whether data spread more the higher the temperature.
fn temperature(all: &[Temperature]) -> String {
    let mut sorted: Vec<&Temperature> = all.iter().collect();
    sorted.sort_by(|a, b| a.tau.total_cmp(&b.tau));
    let Some((coldest, hottest)) = sorted.first().zip(sorted.last()) else {
        return "There is no temperature in this run.".into();
    };
    if sorted.len() == 1 {
        return format!(
            "Their spread is {} at \u{3c4} = {}.",
            digits(coldest.spread),
            short(coldest.tau)
        );
    }
    let rising = sorted.windows(2).all(|w| w[0].spread < w[1].spread);
    format!(
        "Their spread goes from {} at \u{3c4} = {} to {} at {}{}.",
        digits(coldest.spread),
        short(coldest.tau),
        digits(hottest.spread),
        short(hottest.tau),
        if rising { ", rising with every step" } else { ", and does not rise with every step" }
    )
}

fn trips(results: &Results) -> Table {
    Table::of("round-trip", 0, &results.trips)
        .column("tolerance", |t| short(t.tolerance))
        .column("RMS error", |t| distance::cell(Some(t.rms)))
        .column("largest error", |t| digits(t.largest))
        .column("evaluations", |t| digits(t.evaluations))
        .caption(html! {
        "Data, encoded and decoded again: distance from where they began, with the standard error over the points. Evaluations of the score for a point, both ways."
    })
}

fn reach<'a>(points: impl IntoIterator<Item = &'a Vec<f64>>) -> f64 {
    1.08 * points.into_iter().flatten().fold(0.5_f64, |m, v| m.max(v.abs()))
}

fn pairs(rows: &Rows) -> Vec<(f64, f64)> {
    rows.iter().map(|p| (p[0], p[1])).collect()
}

const X: [&str; 2] = ["x_{1}", "x_{2}"];
const Z: [&str; 2] = ["z_{1}", "z_{2}"];

fn latents(results: &Results) -> Figure {
    let most = results.components.iter().copied().max().unwrap_or(0);
    let panels =
        [("Data", &results.data, X), ("Latents", &results.latents, Z)].map(|(name, all, axes)| {
            (0..=most).fold(Panel::plane(reach(all), axes).title(name), |panel, c| {
                let of = all.iter().zip(&results.components).filter(|(_, k)| **k == c);
                panel.dots(Dots::cloud(palette(c), 2.4, of.map(|(p, _)| (p[0], p[1])).collect()))
            })
        });
    let grid = Grid::row(panels.into()).square(430.0);
    grid.figure("latents", "Data and their latents, coloured by component")
}

fn ways(config: &Config, results: &Results) -> Result<Figure> {
    let mixture = config.target.mixture()?;
    let score = mixture.under(&*config.sde);
    let wide = reach(&results.data);
    let heat = on_square(&|x| Ok(score.log_density(x, config.t_end)?), wide, 120)?;
    let mut left = Panel::plane(reach(&results.latents), Z)
        .title("Arcs between latents")
        .dots(Dots::cloud("#d1d5db", 1.6, pairs(&results.latents)));
    let mut right = Panel::plane(wide, X)
        .title("Decoded, over the density")
        .picture(root_png(heat)?, "density");
    for (k, way) in results.ways.iter().enumerate() {
        let (colour, arc) = (palette(k), pairs(&way.arc));
        left = left.line(Line::plain(colour, 2.2, pairs(&way.latents)));
        let Some(ends) = arc.first().zip(arc.last()).map(|(a, b)| vec![*a, *b]) else { continue };
        // A light edge sets the line off from the dark ground.
        right = right
            .line(Line::plain(colour, 1.6, ends.clone()).dashed("5 4"))
            .line(Line { opacity: 0.9, ..Line::plain("#ffffff", 3.6, arc.clone()) })
            .line(Line::plain(colour, 2.0, arc))
            .dots(Dots::marks(Mark::Disc, colour, ends, Vec::new()));
    }
    let label = "Arcs between latents, and the same decoded over the density";
    Ok(Grid::row(vec![left, right]).square(430.0).figure("interpolation", label))
}

fn temperatures(results: &Results) -> Figure {
    let wide = reach(results.temperatures.iter().flat_map(|t| &t.decoded));
    let axis = |name| Axis::around_zero(wide, name);
    let panels = results.temperatures.iter().map(|t| {
        Panel::new(axis(X[0]), axis(X[1]))
            .title(&format!("\u{3c4} = {}", short(t.tau)))
            .dots(Dots::cloud(PAIR, 1.7, pairs(&t.decoded)))
    });
    let grid = Grid::row(panels.collect()).square(330.0);
    grid.figure("temperature", "Decoded points by temperature")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_follow_the_numbers() {
        let at = |value| variance(Estimate { value, standard_error: 0.05 });
        assert!(at(1.03).contains("not told from 1"));
        assert!(at(0.5).contains("below 1 by") && at(1.5).contains("above 1 by"));
        let way = |least_arc, least_line| Way {
            latents: Rows::new(),
            arc: Rows::new(),
            least_arc,
            least_line,
        };
        let said = interpolation(&[way(-3.0, -9.0), way(-9.0, -3.0), way(-9.0, -3.0)]);
        assert!(
            said.ends_with("a higher lowest density than the straight line: 1 of 3."),
            "{said}"
        );
        assert!(interpolation(&[]).contains("no such pair"));
        let warm = |tau, spread| Temperature {
            tau,
            log_density: Estimate::default(),
            spread,
            decoded: Rows::new(),
        };
        assert!(
            temperature(&[warm(1.0, 2.0), warm(0.5, 1.0)]).ends_with("rising with every step.")
        );
        assert!(temperature(&[warm(0.5, 2.0), warm(1.0, 1.0)]).contains("does not rise"));
        assert_eq!(temperature(&[warm(1.0, 2.0)]), "Their spread is 2.00 at \u{3c4} = 1.");
    }
}
