//! Figures: the gap by weight, the residual over time, densities, samples.

use std::path::Path;

use anyhow::{Context as _, Result};
use report::{Axis, Dots, Figure, Grid, Key, Line, Mark, PALETTE, Panel, digits};

use super::findings::{Interval, Of, above_floor, over_seeds, values};
use super::measure::Space;
use super::{Config, Results, name};
use crate::distance::{ODE, PAIR, SDE};
use crate::fit::Pair;

/// A quantity over the weights: a disc a seed, the mean with its interval.
fn by_weight(config: &Config, results: &Results, title: &str, lines: &[(&str, Of)]) -> Panel {
    let names: Vec<String> = config.weights.iter().map(|w| digits(*w)).collect();
    let mut low = 0.0_f64;
    let mut high = f64::MIN_POSITIVE;
    let mut drawn = Vec::new();
    for (k, (colour, of)) in lines.iter().enumerate() {
        // Beside each other, so that no interval hides another.
        let shift = 0.12 * (k as f64 - 0.5 * (lines.len() as f64 - 1.0));
        let (mut means, mut errors, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
        for (i, weight) in config.weights.iter().enumerate() {
            let Some((found, _)) = over_seeds(config, results, *weight, of) else { continue };
            let Interval { mean, half } = found;
            let across = i as f64 + shift;
            low = low.min(mean - half);
            high = high.max(mean + half);
            means.push((across, mean));
            errors.push(half);
            let of_seeds = values(results, *weight, of).unwrap_or_default();
            seeds.extend(of_seeds.into_iter().map(|v| (across, v)));
        }
        drawn.push((
            Line { errors, ..Line::plain(colour, 1.6, means) },
            Dots::cloud(colour, 2.4, seeds),
        ));
    }
    let room = 0.05 * (high - low);
    let up = Axis::linear(low - room, high + room, "");
    let mut panel = Panel::new(Axis::places(&names, "weight of the residual"), up).title(title);
    for (line, dots) in drawn {
        panel = panel.line(line).dots(dots);
    }
    panel
}

/// Squared W2 less its floor, by weight.
pub(super) fn gap(config: &Config, results: &Results) -> Figure {
    let pairs = [(Pair::OdeSde, PAIR), (Pair::OdeTest, ODE), (Pair::SdeTest, SDE)];
    let panel = |space: Space| {
        let lines = pairs.map(|(pair, colour)| (colour, above_floor(space, "w2", pair)));
        let title = format!("squared W_{{2}} less floor, {}", space.name());
        by_weight(config, results, &title, &lines)
    };
    let shown = |space: &Space| {
        results.copies.iter().any(|d| d.space == *space && d.distance.metric == "w2")
    };
    let panels = Space::BOTH.into_iter().filter(shown).map(panel).collect();
    let legend = [("ODE to SDE", PAIR), ("ODE to withheld", ODE), ("SDE to withheld", SDE)];
    let legend = legend.map(|(text, colour)| Key::Mark(Mark::Disc, colour.into(), text.into()));
    Grid::row(panels)
        .legend(legend.into())
        .figure("gap", "Squared W2 between samples less its floor, by weight of the residual")
}

/// Densities by weight.
pub(super) fn densities(config: &Config, results: &Results) -> Figure {
    let panels = vec![
        by_weight(
            config,
            results,
            "log p at withheld images, SDE less ODE (nats)",
            &[
                (PAIR, Box::new(|c| Some(c.densities.above.value))),
                (SDE, Box::new(|c| Some(c.densities.bound_above.value))),
            ],
        ),
        by_weight(
            config,
            results,
            "bits/dim of the ODE",
            &[(ODE, Box::new(|c| Some(c.densities.bits.value)))],
        ),
    ];
    let legend = [("by the identity", PAIR), ("its lower bound", SDE), ("ODE", ODE)];
    let legend = legend.map(|(text, colour)| Key::Mark(Mark::Disc, colour.into(), text.into()));
    Grid::row(panels)
        .legend(legend.into())
        .figure("densities", "Log-densities of both samplers by weight of the residual")
}

/// The residual over time, a line for each weight.
pub(super) fn residual(config: &Config, results: &Results) -> Figure {
    let mut lines = Vec::new();
    for (k, weight) in config.weights.iter().enumerate() {
        let (mut points, mut errors) = (Vec::new(), Vec::new());
        for (i, t) in config.times.iter().enumerate() {
            let of: Of = Box::new(move |c| c.residual.get(i).map(|e| e.found.value));
            let Some((found, _)) = over_seeds(config, results, *weight, &of) else { continue };
            // An estimate without bias may be negative, which has no place on a logarithmic axis.
            if found.mean > 0.0 {
                points.push((*t, found.mean));
                errors.push(found.half);
            }
        }
        let colour = PALETTE[k % PALETTE.len()];
        lines.push(
            Line { errors, ..Line::plain(colour, 1.6, points) }
                .named(&format!("weight {}", digits(*weight))),
        );
    }
    let all = || lines.iter().flat_map(|l| l.points.iter());
    let across = Axis::log_around(config.times.iter().copied(), "t");
    let up =
        Axis::log_around(all().map(|p| p.1), "squared drift of the expected data, a coordinate");
    let legend = lines.iter().cloned().map(Key::Line).collect();
    Grid::row(vec![Panel::new(across, up).lines(lines)])
        .width(760.0)
        .legend(legend)
        .figure("residual", "The residual of the score over time, by weight")
}

/// Samples of both equations from the same noise, for the ends of the weights.
pub(super) fn samples(config: &Config, folder: &Path) -> Result<Figure> {
    let mut panels = Vec::new();
    for weight in [config.weights[0], config.weights[config.weights.len() - 1]] {
        for (equation, word) in [("ode", "ODE"), ("sde", "SDE")] {
            let path = folder.join(format!("samples/{equation}-{}.png", name(weight, 0)));
            let png =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let title = format!("{word}, weight {}", digits(weight));
            let panel = Panel::new(Axis::bare(0.0, 1.0), Axis::bare(0.0, 1.0)).title(&title);
            panels.push(panel.picture(png, &title));
        }
    }
    Ok(Grid::new(panels, 4)
        .square(230.0)
        .figure("samples", "Samples of ODE and SDE that begin at the same noise"))
}
