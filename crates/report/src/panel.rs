//! A panel: two axes and what is drawn between them, in data coordinates.

use crate::axis::Axis;
use crate::colour::{GRID, INK, RULE};
use crate::number::{digits, short};
use crate::svg::{Anchor, Mark, Point, Stroke, Svg, Text};

/// A line through data, with marks, error bars and a name where they are asked for.
///
/// ```
/// let line = report::Line::new("ODE", "#2563eb", vec![(1.0, 0.2), (2.0, 0.1)]).dashed("5 4");
/// assert_eq!(line.mark, Some(report::Mark::Disc));
/// ```
#[derive(Clone, Debug)]
pub struct Line {
    /// Written beside its right end; empty for none.
    pub name: String,
    /// Data.
    pub points: Vec<Point>,
    /// Half-lengths of vertical bars on the points; empty for none.
    pub errors: Vec<f64>,
    /// Colour.
    pub colour: String,
    /// Width in pixels.
    pub width: f64,
    /// As in `stroke-dasharray`; empty for a solid line.
    pub dash: &'static str,
    /// From 0 (invisible) to 1.
    pub opacity: f64,
    /// Marks on the points.
    pub mark: Option<Mark>,
    /// Whether the marks are filled with white.
    pub hollow: bool,
}

impl Line {
    /// A solid line with discs on its points.
    #[must_use]
    pub fn new(name: &str, colour: &str, points: Vec<Point>) -> Self {
        Self {
            name: name.into(),
            points,
            errors: Vec::new(),
            colour: colour.into(),
            width: 2.0,
            dash: "",
            opacity: 1.0,
            mark: Some(Mark::Disc),
            hollow: false,
        }
    }

    /// A line without name and marks.
    #[must_use]
    pub fn plain(colour: &str, width: f64, points: Vec<Point>) -> Self {
        Self { width, mark: None, ..Self::new("", colour, points) }
    }

    /// With a name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// With a dash pattern.
    #[must_use]
    pub fn dashed(self, dash: &'static str) -> Self {
        Self { dash, ..self }
    }

    pub(crate) fn stroke(&self) -> Stroke<'_> {
        let Self { width, dash, opacity, .. } = *self;
        Stroke { colour: &self.colour, width, dash, opacity }
    }
}

/// Marks of one kind without a line.
#[derive(Clone, Debug)]
pub struct Dots {
    /// Data.
    pub points: Vec<Point>,
    /// What is said at each point; empty for nothing.
    pub tips: Vec<String>,
    /// What is written beside each point where there is room; empty for nothing.
    pub labels: Vec<String>,
    /// Shape.
    pub mark: Mark,
    /// Radius in pixels.
    pub radius: f64,
    /// Colour inside.
    pub fill: String,
    /// Colour of the outline.
    pub outline: String,
}

impl Dots {
    /// Discs of a colour without an outline: a cloud of points.
    #[must_use]
    pub fn cloud(colour: &str, radius: f64, points: Vec<Point>) -> Self {
        Self {
            points,
            tips: Vec::new(),
            labels: Vec::new(),
            mark: Mark::Disc,
            radius,
            fill: colour.into(),
            outline: "none".into(),
        }
    }

    /// A mark with a white outline and a tooltip on every point.
    #[must_use]
    pub fn marks(mark: Mark, colour: &str, points: Vec<Point>, tips: Vec<String>) -> Self {
        Self { mark, tips, outline: "#fff".into(), ..Self::cloud(colour, 5.0, points) }
    }
}

/// Something drawn in a panel.
#[derive(Clone, Debug)]
enum Layer {
    Line(Line),
    Dots(Dots),
    /// The area from the bottom up to a line, behind everything, with a name in its corner.
    Band(Vec<Point>, String, String),
    /// A PNG over the whole panel.
    Picture(Vec<u8>, String),
    /// A bar from one value to another in a row, with a colour and a tooltip.
    Bar(f64, Point, String, String),
    /// A text to the right of a point, not cut off.
    Note(Point, String),
}

/// Two axes and layers, drawn in the order they were added.
///
/// ```
/// use report::{Axis, Line, Panel};
/// let panel = Panel::new(Axis::linear(0.0, 2.0, "t"), Axis::linear(0.0, 1.0, "x"))
///     .title("decay")
///     .line(Line::new("exp", "#333", vec![(0.0, 1.0), (2.0, 0.135)]));
/// let drawn = report::Grid::row(vec![panel]).figure("decay", "exp(-t)");
/// assert!(drawn.svg.into_string().contains("decay"));
/// ```
#[derive(Clone, Debug)]
pub struct Panel {
    pub(crate) across: Axis,
    pub(crate) up: Axis,
    pub(crate) title: String,
    layers: Vec<Layer>,
}

impl Panel {
    /// An empty panel.
    #[must_use]
    pub fn new(across: Axis, up: Axis) -> Self {
        Self { across, up, title: String::new(), layers: Vec::new() }
    }

    /// A panel of the plane, `reach` in every direction.
    #[must_use]
    pub fn plane(reach: f64, names: [&str; 2]) -> Self {
        Self::new(Axis::around_zero(reach, names[0]), Axis::around_zero(reach, names[1]))
    }

    /// With a heading.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        Self { title: title.into(), ..self }
    }

    fn with(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// With a line.
    #[must_use]
    pub fn line(self, line: Line) -> Self {
        self.with(Layer::Line(line))
    }

    /// With several lines.
    #[must_use]
    pub fn lines(self, lines: impl IntoIterator<Item = Line>) -> Self {
        lines.into_iter().fold(self, Self::line)
    }

    /// With marks.
    #[must_use]
    pub fn dots(self, dots: Dots) -> Self {
        self.with(Layer::Dots(dots))
    }

    /// With the area below a line filled: values in it say nothing.
    #[must_use]
    pub fn band(self, points: Vec<Point>, colour: &str, name: &str) -> Self {
        self.with(Layer::Band(points, colour.into(), name.into()))
    }

    /// With the area below a constant filled, where there is one.
    #[must_use]
    pub fn band_below(self, value: Option<f64>, colour: &str, name: &str) -> Self {
        let ends = (self.across.lo, self.across.hi);
        match value {
            Some(v) => self.band(vec![(ends.0, v), (ends.1, v)], colour, name),
            None => self,
        }
    }

    /// With a picture over the whole panel.
    #[must_use]
    pub fn picture(self, png: Vec<u8>, tip: &str) -> Self {
        self.with(Layer::Picture(png, tip.into()))
    }

    /// With a bar `from..to` in a row.
    #[must_use]
    pub fn bar(self, row: f64, from_to: Point, colour: &str, tip: String) -> Self {
        self.with(Layer::Bar(row, from_to, colour.into(), tip))
    }

    /// With a text to the right of a point.
    #[must_use]
    pub fn note(self, at: Point, text: String) -> Self {
        self.with(Layer::Note(at, text))
    }

    /// With a text to the right of the panel, at the height of a value.
    #[must_use]
    pub fn note_right(self, up: f64, text: String) -> Self {
        let end = self.across.hi;
        self.note((end, up), text)
    }

    /// Names of lines with the height of their right ends, as a fraction of the panel from the top.
    fn names(&self) -> impl Iterator<Item = (f64, &Line)> {
        let lines = self.layers.iter().filter_map(|layer| match layer {
            Layer::Line(line) if !line.name.is_empty() => Some(line),
            _ => None,
        });
        lines.filter_map(|line| {
            let (_, y) = line.points.iter().rfind(|(_, y)| y.is_finite())?;
            Some((1.0 - self.up.fraction(*y), line))
        })
    }

    /// Pixels that texts need to the right of the panel.
    pub(crate) fn room_right(&self, names: bool) -> f64 {
        let names = self.names().filter(|_| names).map(|(_, line)| width(&line.name, 12.0) + 10.0);
        let notes = self.layers.iter().filter_map(|layer| match layer {
            // Those inside the panel have room there.
            Layer::Note((x, _), text) if self.across.fraction(*x) > 0.7 => Some(width(text, 11.0)),
            _ => None,
        });
        names.chain(notes).fold(4.0, f64::max) + 10.0
    }

    /// Pixels that ticks and name of the vertical axis need.
    pub(crate) fn room_left(&self) -> f64 {
        let ticks = self.up.ticks.iter().map(|(_, name)| width(name, 11.5)).fold(0.0, f64::max);
        ticks + if self.up.label.is_empty() { 14.0 } else { 34.0 }
    }

    /// Pixels that ticks and name of the horizontal axis need.
    pub(crate) fn room_below(&self) -> f64 {
        let ticks = self.across.ticks.iter().any(|(_, name)| !name.is_empty());
        let label = !self.across.label.is_empty();
        if label {
            44.0
        } else if ticks {
            26.0
        } else {
            8.0
        }
    }
}

/// About how wide a text is.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let marks = text.matches("_{").count() + text.matches("^{").count();
    (text.chars().count() - 3 * marks) as f64 * 0.6 * size
}

/// A panel with its place in a drawing.
pub(crate) struct Placed<'a> {
    pub(crate) panel: &'a Panel,
    pub(crate) corner: Point,
    pub(crate) size: Point,
    /// Whether ticks and name of the axes are written.
    pub(crate) left: bool,
    pub(crate) below: bool,
    /// Whether names of lines are written.
    pub(crate) names: bool,
}

impl Placed<'_> {
    /// The pixel of a data point.
    fn at(&self, (x, y): Point) -> Point {
        let (across, up) = (self.panel.across.fraction(x), self.panel.up.fraction(y));
        (self.corner.0 + self.size.0 * across, self.corner.1 + self.size.1 * (1.0 - up))
    }

    pub(crate) fn draw(&self, svg: &mut Svg) {
        let Self { corner: (x, y), size: (w, h), panel, .. } = *self;
        for layer in &panel.layers {
            if let Layer::Band(points, colour, name) = layer {
                self.band(svg, points, colour, name);
            }
        }
        self.axes(svg);
        let title = Text { size: 13.5, fill: INK, bold: true, ..Text::default() };
        svg.text((x, y - 12.0), &panel.title, &title);
        svg.clipped((x - 5.0, y - 5.0), (w + 10.0, h + 10.0), |svg| {
            let mut taken = Vec::new();
            for layer in &panel.layers {
                match layer {
                    Layer::Line(line) => self.line(svg, line),
                    Layer::Dots(dots) => self.dots(svg, dots, &mut taken),
                    Layer::Picture(png, tip) => svg.image((x, y), (w, h), png, tip),
                    Layer::Bar(row, ends, colour, tip) => self.bar(svg, *row, *ends, colour, tip),
                    Layer::Band(..) | Layer::Note(..) => {}
                }
            }
        });
        for layer in &panel.layers {
            if let Layer::Note(at, text) = layer {
                let (x, y) = self.at(*at);
                svg.text((x + 8.0, y + 4.0), text, &Text { size: 11.0, ..Text::default() });
            }
        }
        if self.names {
            self.names(svg);
        }
    }

    /// Grid lines, ticks and names.
    fn axes(&self, svg: &mut Svg) {
        let Self { corner: (x, y), size: (w, h), panel, .. } = *self;
        let (across, up) = (&panel.across, &panel.up);
        for (v, name) in &up.ticks {
            let (_, py) = self.at((across.lo, *v));
            let width = if name.is_empty() { 0.5 } else { 1.0 };
            svg.line(&[(x, py), (x + w, py)], &Stroke::new(GRID, width));
            if self.left {
                let style = Text { anchor: Anchor::End, ..Text::default() };
                svg.text((x - 8.0, py + 4.0), name, &style);
            }
        }
        let base = y + h;
        let rule = Stroke::new(RULE, 1.0);
        svg.line(&[(x, base), (x + w, base)], &rule);
        for (v, name) in &across.ticks {
            let (px, _) = self.at((*v, up.lo));
            let long = if name.is_empty() { 3.0 } else { 5.0 };
            svg.line(&[(px, base), (px, base + long)], &rule);
            if self.below {
                let style = Text { anchor: Anchor::Middle, ..Text::default() };
                svg.text((px, base + 18.0), name, &style);
            }
        }
        let name = Text { size: 12.0, fill: INK, anchor: Anchor::Middle, ..Text::default() };
        if self.below {
            let down = if across.ticks.is_empty() { 19.0 } else { 36.0 };
            svg.text((x + w / 2.0, base + down), &across.label, &name);
        }
        if self.left {
            let at = (x - panel.room_left() + 12.0, y + h / 2.0);
            svg.text(at, &up.label, &Text { rotate: -90.0, ..name });
        }
    }

    fn band(&self, svg: &mut Svg, points: &[Point], colour: &str, name: &str) {
        let Some((first, last)) = points.first().zip(points.last()) else { return };
        let up = &self.panel.up;
        let inside = |v: f64| v.clamp(up.lo.min(up.hi), up.hi.max(up.lo));
        let mut corners: Vec<Point> =
            points.iter().map(|(x, y)| self.at((*x, inside(*y)))).collect();
        corners.extend([self.at((last.0, up.lo)), self.at((first.0, up.lo))]);
        svg.polygon(&corners, colour, &Stroke::new("none", 0.0), name);
        if !name.is_empty() {
            let (x, y) = corners[0];
            svg.text((x + 7.0, y + 14.0), name, &Text { size: 11.0, ..Text::default() });
        }
    }

    fn line(&self, svg: &mut Svg, line: &Line) {
        let pixels: Vec<Point> = line.points.iter().map(|p| self.at(*p)).collect();
        svg.line(&thinned(&pixels), &line.stroke());
        for ((x, y), error) in line.points.iter().zip(&line.errors) {
            // On a logarithmic axis there is no end below zero.
            let low = if self.panel.up.scale == crate::Scale::Log { 1e-3 * y } else { f64::MIN };
            let ends = [self.at((*x, (y - error).max(low))), self.at((*x, y + error))];
            svg.line(&ends, &Stroke { dash: "", width: 1.2, ..line.stroke() });
        }
        let Some(mark) = line.mark else { return };
        for ((x, y), pixel) in line.points.iter().zip(&pixels) {
            let tip = format!("{}: {} at {}", line.name, digits(*y), short(*x));
            let (fill, outline) = match line.hollow {
                true => ("#fff", line.colour.as_str()),
                false => (line.colour.as_str(), "#fff"),
            };
            svg.mark(mark, *pixel, 3.8, fill, &Stroke::new(outline, 1.4), &tip);
        }
    }

    fn dots(&self, svg: &mut Svg, dots: &Dots, taken: &mut Vec<Point>) {
        let outline = Stroke::new(&dots.outline, if dots.outline == "none" { 0.0 } else { 1.6 });
        for (k, point) in dots.points.iter().enumerate() {
            let (x, y) = self.at(*point);
            let tip = dots.tips.get(k).map_or("", String::as_str);
            svg.mark(dots.mark, (x, y), dots.radius, &dots.fill, &outline, tip);
            let Some(label) = dots.labels.get(k) else { continue };
            // A text that would lie on another is left out; the tooltip has it.
            if taken.iter().all(|(a, b)| (x - a).abs() > 20.0 || (y - b).abs() > 11.0) {
                svg.text((x + 7.5, y - 6.0), label, &Text { size: 10.5, ..Text::default() });
                taken.push((x, y));
            }
        }
    }

    fn bar(&self, svg: &mut Svg, row: f64, (from, to): Point, colour: &str, tip: &str) {
        let ((a, y), (b, _)) = (self.at((from, row)), self.at((to, row)));
        if b - a > 0.2 {
            svg.rect((a, y - 7.0), (b - a, 14.0), colour, 1.5, tip);
        }
    }

    /// Names of lines to the right, pushed apart where they would lie on each other.
    fn names(&self, svg: &mut Svg) {
        const APART: f64 = 14.0;
        let (top, height) = (self.corner.1, self.size.1);
        let mut labels: Vec<(f64, &Line)> = self
            .panel
            .names()
            .map(|(fraction, line)| (top + height * fraction.clamp(0.0, 1.0), line))
            .collect();
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Down the list each keeps its distance from the one above; then the list is pushed back up.
        for k in 1..labels.len() {
            labels[k].0 = labels[k].0.max(labels[k - 1].0 + APART);
        }
        let mut limit = top + height + 6.0;
        for (y, _) in labels.iter_mut().rev() {
            *y = y.min(limit);
            limit = *y - APART;
        }
        let x = self.corner.0 + self.size.0 + 10.0;
        for (y, line) in labels {
            let style = Text { fill: &line.colour, bold: true, ..Text::default() };
            svg.text((x, y + 4.0), &line.name, &style);
        }
    }
}

/// A line without the points that lie less than half a pixel across and 1.5 up from the one before.
fn thinned(pixels: &[Point]) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    for (k, at) in pixels.iter().enumerate() {
        let far = kept.last().is_none_or(|q| (at.0 - q.0).abs() > 0.5 || (at.1 - q.1).abs() > 1.5);
        if far || k + 1 == pixels.len() {
            kept.push(*at);
        }
    }
    kept
}
