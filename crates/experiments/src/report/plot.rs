//! Lines in a panel with their names beside them, and the band of a noise floor.

use super::axes::{Panel, marker};
use super::colormap::GREY;
use super::svg::{Svg, Text};

/// One line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Written at its right end; empty for none.
    pub(crate) name: String,
    /// Data, by rising x.
    pub(crate) points: Vec<(f64, f64)>,
    /// Colour.
    pub(crate) colour: String,
    /// Width in pixels.
    pub(crate) width: f64,
    /// As in `stroke-dasharray`.
    pub(crate) dash: &'static str,
    /// Markers of this kind on the points.
    pub(crate) mark: Option<usize>,
}

impl Line {
    /// A solid line with discs on its points.
    pub(crate) fn new(name: &str, colour: &str, points: Vec<(f64, f64)>) -> Self {
        let (name, colour) = (name.into(), colour.into());
        Self { name, points, colour, width: 2.0, dash: "", mark: Some(0) }
    }

    /// Without markers, with a dash pattern.
    pub(crate) fn plain(self, width: f64, dash: &'static str) -> Self {
        Self { width, dash, mark: None, ..self }
    }
}

/// Draws lines, cut off at the panel, and their names to the right of it.
pub(crate) fn lines(svg: &mut Svg, panel: &Panel, lines: &[Line]) {
    svg.begin_clip((panel.x - 5.0, panel.y - 5.0), (panel.w + 10.0, panel.h + 10.0));
    for line in lines {
        panel.line(svg, &line.points, &line.colour, line.width, line.dash, 1.0);
        if let Some(kind) = line.mark {
            for (x, y) in &line.points {
                let tip = format!(
                    "{}: {} at {}",
                    line.name,
                    super::sheet::digits(*y),
                    super::axes::short(*x)
                );
                marker(svg, kind, panel.at(*x, *y), 3.6, &line.colour, "#fff", &tip);
            }
        }
    }
    svg.end_clip();
    names(svg, panel, lines);
}

/// The names at the right end, pushed apart where they would lie on each other.
fn names(svg: &mut Svg, panel: &Panel, lines: &[Line]) {
    const APART: f64 = 14.0;
    let mut labels: Vec<(f64, &Line)> = lines
        .iter()
        .filter(|l| !l.name.is_empty())
        .filter_map(|l| {
            let (x, y) = l.points.iter().rfind(|(_, y)| y.is_finite())?;
            Some((panel.at(*x, *y).1.clamp(panel.y, panel.y + panel.h), l))
        })
        .collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Down the list each keeps its distance from the one above; then the list is pushed back up.
    for k in 1..labels.len() {
        labels[k].0 = labels[k].0.max(labels[k - 1].0 + APART);
    }
    let mut limit = panel.y + panel.h + 6.0;
    for (y, _) in labels.iter_mut().rev() {
        *y = y.min(limit);
        limit = *y - APART;
    }
    for (y, line) in labels {
        let style = Text { size: 11.5, fill: &line.colour, weight: 600, ..Text::default() };
        svg.text((panel.x + panel.w + 10.0, y + 4.0), &line.name, &style);
    }
}

/// The band below a noise floor: no value in it says anything.
pub(crate) fn floor(svg: &mut Svg, panel: &Panel, points: &[(f64, f64)], name: &str) {
    let Some((first, last)) = points.first().zip(points.last()) else { return };
    let inside = |v: f64| v.clamp(panel.up.lo.min(panel.up.hi), panel.up.hi.max(panel.up.lo));
    let mut outline: Vec<(f64, f64)> =
        points.iter().map(|(x, y)| panel.at(*x, inside(*y))).collect();
    outline.push(panel.at(last.0, panel.up.lo));
    outline.push(panel.at(first.0, panel.up.lo));
    svg.shape(&outline, "#e5e7eb", "none", 0.0, "noise floor");
    if !name.is_empty() {
        let (x, y) = panel.at(first.0, panel.up.lo);
        svg.text((x + 7.0, y - 6.0), name, &Text { size: 11.0, fill: GREY, ..Text::default() });
    }
}
