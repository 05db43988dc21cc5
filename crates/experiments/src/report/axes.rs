//! A panel with two axes: from data to pixels, ticks and grid.

use super::colormap::{GREY, GRID, INK};
use super::svg::{Anchor, Svg, Text};

/// How data become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Proportional.
    Linear,
    /// Logarithmic.
    Log,
    /// By the square root: opens up small times.
    Sqrt,
}

impl Scale {
    fn map(self, v: f64) -> f64 {
        match self {
            Self::Linear => v,
            Self::Log => v.max(f64::MIN_POSITIVE).log10(),
            Self::Sqrt => v.max(0.0).sqrt(),
        }
    }
}

/// One axis: its scale, range, ticks and name.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Scale.
    pub(crate) scale: Scale,
    /// The value at the left or bottom end (may be the larger one).
    pub(crate) lo: f64,
    /// The value at the other end.
    pub(crate) hi: f64,
    /// Ticks: value and label (empty: a grid line only).
    pub(crate) ticks: Vec<(f64, String)>,
    /// Name.
    pub(crate) label: String,
}

impl Axis {
    /// A linear axis with ticks at round numbers.
    pub(crate) fn linear(lo: f64, hi: f64, label: &str) -> Self {
        let (lo, hi) = if hi > lo { (lo, hi) } else { (lo - 0.5, lo + 0.5) };
        let raw = (hi - lo) / 4.6;
        let mag = 10f64.powf(raw.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * mag).find(|s| *s >= raw).unwrap_or(raw);
        // Where neighbouring doubles are further apart than the ticks, or overflow, there are none.
        let first = (lo / step - 1e-9).ceil();
        let ticks = (0..16)
            .map(|k| (first + f64::from(k)) * step)
            .take_while(|v| *v <= hi + 1e-9 * step)
            .map(|v| (v, short(v)))
            .collect();
        Self { scale: Scale::Linear, lo, hi, ticks, label: label.into() }
    }

    /// A logarithmic axis that holds every positive value of `values`, with room at both ends.
    pub(crate) fn log_around(values: impl IntoIterator<Item = f64>, label: &str) -> Self {
        let (mut lo, mut hi) = (f64::INFINITY, 0.0_f64);
        for v in values.into_iter().filter(|v| v.is_finite() && *v > 0.0) {
            lo = lo.min(v);
            hi = hi.max(v);
        }
        if hi == 0.0 {
            (lo, hi) = (0.1, 1.0);
        }
        let room = ((hi / lo).log10() * 0.08).max(0.08);
        Self::log(lo * 10f64.powf(-room), hi * 10f64.powf(room), label)
    }

    /// A logarithmic axis from `lo` to `hi`.
    pub(crate) fn log(lo: f64, hi: f64, label: &str) -> Self {
        let decades = (hi / lo).log10();
        if decades < 0.75 {
            // Too short for powers of ten: ticks as on a linear axis.
            return Self { scale: Scale::Log, ..Self::linear(lo, hi, label) };
        }
        let (fine, every) = (decades < 2.6, if decades > 5.0 { 2 } else { 1 });
        let mut ticks = Vec::new();
        // No double lies beyond these powers, whatever became of the ends.
        let power = |v: f64| v.log10().clamp(-330.0, 310.0);
        for k in power(lo).floor() as i32..=power(hi).ceil() as i32 {
            for m in [1.0, 2.0, 5.0] {
                let v = m * 10f64.powi(k);
                let named = fine || k % every == 0;
                if v >= lo * (1.0 - 1e-9) && v <= hi * (1.0 + 1e-9) && (m == 1.0 || fine) {
                    ticks.push((v, if named { short(v) } else { String::new() }));
                }
            }
        }
        Self { scale: Scale::Log, lo, hi, ticks, label: label.into() }
    }

    /// An axis of named places `0, 1, ..`, with half a place of room at both ends.
    pub(crate) fn places(names: &[String], label: &str) -> Self {
        let ticks = names.iter().enumerate().map(|(k, n)| (k as f64, n.clone())).collect();
        let hi = names.len() as f64 - 1.0;
        Self { scale: Scale::Linear, lo: -0.35, hi: hi + 0.35, ticks, label: label.into() }
    }

    fn fraction(&self, v: f64) -> f64 {
        let (a, b) = (self.scale.map(self.lo), self.scale.map(self.hi));
        (self.scale.map(v) - a) / (b - a)
    }
}

/// A number as short as it can be said: `0.002`, `20`, `1e-6`.
pub(crate) fn short(v: f64) -> String {
    let v = if v.abs() < 1e-12 { 0.0 } else { v };
    if v != 0.0 && !(1e-4..1e5).contains(&v.abs()) {
        let s = format!("{v:.1e}").replace(".0e", "e");
        return s.replace('-', "\u{2212}");
    }
    let s = format!("{v:.5}");
    let s = if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.') } else { &s };
    s.replace('-', "\u{2212}")
}

/// A rectangle of a drawing with axes.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// Left edge.
    pub(crate) x: f64,
    /// Top edge.
    pub(crate) y: f64,
    /// Width.
    pub(crate) w: f64,
    /// Height.
    pub(crate) h: f64,
    /// Horizontal axis.
    pub(crate) across: Axis,
    /// Vertical axis.
    pub(crate) up: Axis,
}

impl Panel {
    /// The pixel of a point.
    pub(crate) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x + self.w * self.across.fraction(x), self.y + self.h * (1.0 - self.up.fraction(y)))
    }

    /// Grid, ticks and names; `name_up` false leaves out the vertical labels (inner panels).
    pub(crate) fn draw_axes(&self, svg: &mut Svg, name_up: bool) {
        let small = Text { size: 11.5, fill: GREY, ..Text::default() };
        for (v, name) in &self.up.ticks {
            let (_, y) = self.at(self.across.lo, *v);
            svg.line(
                (self.x, y),
                (self.x + self.w, y),
                GRID,
                if name.is_empty() { 0.5 } else { 1.0 },
            );
            if name_up {
                svg.text(
                    (self.x - 8.0, y + 4.0),
                    name,
                    &Text { anchor: Anchor::End, ..small.clone() },
                );
            }
        }
        let base = self.y + self.h;
        svg.line((self.x, base), (self.x + self.w, base), "#9ca3af", 1.0);
        for (v, name) in &self.across.ticks {
            let (x, _) = self.at(*v, self.up.lo);
            svg.line(
                (x, base),
                (x, base + if name.is_empty() { 3.0 } else { 5.0 }),
                "#9ca3af",
                1.0,
            );
            svg.text((x, base + 18.0), name, &Text { anchor: Anchor::Middle, ..small.clone() });
        }
        let name = Text { size: 12.0, fill: INK, anchor: Anchor::Middle, ..Text::default() };
        svg.text((self.x + self.w / 2.0, base + 36.0), &self.across.label, &name);
        if name_up {
            let at = (self.x - 52.0, self.y + self.h / 2.0);
            svg.text(at, &self.up.label, &Text { rotate: -90.0, ..name });
        }
    }

    /// The heading above the panel.
    pub(crate) fn title(&self, svg: &mut Svg, text: &str) {
        let style = Text { size: 13.5, fill: INK, weight: 600, ..Text::default() };
        svg.text((self.x, self.y - 12.0), text, &style);
    }

    /// A line through data points.
    pub(crate) fn line(
        &self,
        svg: &mut Svg,
        points: &[(f64, f64)],
        stroke: &str,
        width: f64,
        dash: &str,
        opacity: f64,
    ) {
        let pixels: Vec<_> = points.iter().map(|(x, y)| self.at(*x, *y)).collect();
        svg.polyline(&pixels, stroke, width, dash, opacity);
    }
}

/// Draws marker number `kind` (disc, square, triangle, diamond, ...).
pub(crate) fn marker(
    svg: &mut Svg,
    kind: usize,
    (x, y): (f64, f64),
    r: f64,
    fill: &str,
    stroke: &str,
    title: &str,
) {
    match kind % 4 {
        0 => svg.circle((x, y), r, fill, stroke, 1.6, title),
        1 => {
            let a = 0.88 * r;
            svg.shape(
                &[(x - a, y - a), (x + a, y - a), (x + a, y + a), (x - a, y + a)],
                fill,
                stroke,
                1.6,
                title,
            );
        }
        2 => {
            let (a, b) = (1.1 * r, 0.95 * r);
            svg.shape(&[(x - a, y + b), (x + a, y + b), (x, y - a)], fill, stroke, 1.6, title);
        }
        _ => {
            let a = 1.25 * r;
            svg.shape(&[(x - a, y), (x, y - a), (x + a, y), (x, y + a)], fill, stroke, 1.6, title);
        }
    }
}
