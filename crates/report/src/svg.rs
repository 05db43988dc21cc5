//! A small SVG writer: the same drawing goes into the page and into the `.svg` and `.png` files.

use base64::Engine as _;
use maud::{Markup, PreEscaped, html};

use crate::colour::GREY;

/// The typefaces of every figure: the reader's own in a browser, the embedded one in a PNG.
const FONT: &str = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/// A place, or a width and a height, in pixels; y grows downwards.
pub type Point = (f64, f64);

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke<'a> {
    /// Colour.
    pub colour: &'a str,
    /// Width in pixels.
    pub width: f64,
    /// As in `stroke-dasharray`; empty for a solid line.
    pub dash: &'a str,
    /// From 0 (invisible) to 1.
    pub opacity: f64,
}

impl<'a> Stroke<'a> {
    /// A solid line.
    #[must_use]
    pub fn new(colour: &'a str, width: f64) -> Self {
        Self { colour, width, dash: "", opacity: 1.0 }
    }
}

/// Where a text is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The point is the text's left end.
    Start,
    /// The point is its middle.
    Middle,
    /// The point is its right end.
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Height of the letters in pixels.
    pub size: f64,
    /// Colour.
    pub fill: &'a str,
    /// Anchor.
    pub anchor: Anchor,
    /// Whether it is set in semibold.
    pub bold: bool,
    /// Rotation about the anchor, in degrees.
    pub rotate: f64,
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self { size: 11.5, fill: GREY, anchor: Anchor::Start, bold: false, rotate: 0.0 }
    }
}

/// The shape of a mark on a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A disc.
    Disc,
    /// A square.
    Square,
    /// A triangle on its base.
    Triangle,
    /// A square on its tip.
    Diamond,
}

impl Mark {
    /// The shape of number `k`, from the first again after the last.
    #[must_use]
    pub fn number(k: usize) -> Self {
        [Self::Disc, Self::Square, Self::Triangle, Self::Diamond][k % 4]
    }
}

/// A drawing of a fixed size.
///
/// ```
/// use report::{Stroke, Svg, Text};
/// let mut svg = Svg::new(200.0, 40.0);
/// svg.line(&[(10.0, 30.0), (190.0, 30.0)], &Stroke::new("#333", 1.0));
/// svg.text((10.0, 20.0), "W_{2} < 1", &Text::default());
/// let drawn = svg.finish("a line").into_string();
/// assert!(drawn.starts_with("<svg") && drawn.contains("&lt; 1"));
/// ```
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// A coordinate with at most two decimals.
fn num(v: f64) -> String {
    let s = format!("{v:.2}");
    s.trim_end_matches('0').trim_end_matches('.').to_string()
}

impl Svg {
    /// An empty drawing.
    #[must_use]
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A line through points; of fewer than two there is none.
    pub fn line(&mut self, points: &[Point], stroke: &Stroke<'_>) {
        if points.len() < 2 {
            return;
        }
        let ends = points.iter().map(|(x, y)| format!("{} {}", num(*x), num(*y)));
        let d = format!("M{}", ends.collect::<Vec<_>>().join("L"));
        let dash = (!stroke.dash.is_empty()).then_some(stroke.dash);
        self.add(html! {
            path d=(d) fill="none" stroke=(stroke.colour) stroke-width=(num(stroke.width))
                stroke-opacity=(num(stroke.opacity)) stroke-dasharray=[dash]
                stroke-linejoin="round" stroke-linecap="round" {}
        });
    }

    /// A mark of radius `r` with an outline and a tooltip.
    pub fn mark(
        &mut self,
        mark: Mark,
        (x, y): Point,
        r: f64,
        fill: &str,
        stroke: &Stroke<'_>,
        tip: &str,
    ) {
        let (width, opacity) = (num(stroke.width), num(stroke.opacity));
        let corners: &[Point] = match mark {
            Mark::Disc => {
                return self.add(html! {
                    circle cx=(num(x)) cy=(num(y)) r=(num(r)) fill=(fill) stroke=(stroke.colour)
                        stroke-width=(width) opacity=(opacity) { (tooltip(tip)) }
                });
            }
            Mark::Square => &[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
            Mark::Triangle => &[(-1.1, 0.95), (1.1, 0.95), (0.0, -0.95)],
            Mark::Diamond => &[(-1.25, 0.0), (0.0, -1.25), (1.25, 0.0), (0.0, 1.25)],
        };
        let corners: Vec<Point> = corners.iter().map(|(a, b)| (x + r * a, y + r * b)).collect();
        self.polygon(&corners, fill, stroke, tip);
    }

    /// A filled polygon with an outline and a tooltip.
    pub fn polygon(&mut self, corners: &[Point], fill: &str, stroke: &Stroke<'_>, tip: &str) {
        let list: Vec<String> =
            corners.iter().map(|(x, y)| format!("{},{}", num(*x), num(*y))).collect();
        self.add(html! {
            polygon points=(list.join(" ")) fill=(fill) stroke=(stroke.colour)
                stroke-width=(num(stroke.width)) opacity=(num(stroke.opacity))
                stroke-linejoin="round" { (tooltip(tip)) }
        });
    }

    /// A filled rectangle with a tooltip.
    pub fn rect(&mut self, (x, y): Point, (w, h): Point, fill: &str, radius: f64, tip: &str) {
        self.add(html! {
            rect x=(num(x)) y=(num(y)) width=(num(w)) height=(num(h)) rx=(num(radius)) fill=(fill)
                { (tooltip(tip)) }
        });
    }

    /// A text on one line, with subscripts written `_{..}` and superscripts `^{..}`.
    pub fn text(&mut self, (x, y): Point, text: &str, style: &Text<'_>) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turned = style.rotate != 0.0;
        let turn = turned.then(|| format!("rotate({} {} {})", num(style.rotate), num(x), num(y)));
        self.add(html! {
            text x=(num(x)) y=(num(y)) font-size=(num(style.size)) fill=(style.fill)
                text-anchor=(anchor) font-weight=[style.bold.then_some(600)] transform=[turn]
                { (rich(text)) }
        });
    }

    /// A PNG, drawn with hard pixel edges.
    pub fn image(&mut self, (x, y): Point, (w, h): Point, png: &[u8], tip: &str) {
        let data = base64::engine::general_purpose::STANDARD.encode(png);
        self.add(html! {
            image x=(num(x)) y=(num(y)) width=(num(w)) height=(num(h)) preserveAspectRatio="none"
                image-rendering="optimizeSpeed" style="image-rendering:pixelated"
                href={ "data:image/png;base64," (data) } { (tooltip(tip)) }
        });
    }

    /// What `draw` draws, cut off at a rectangle.
    pub fn clipped(&mut self, (x, y): Point, (w, h): Point, draw: impl FnOnce(&mut Self)) {
        let rect = html! { rect x=(num(x)) y=(num(y)) width=(num(w)) height=(num(h)) {} };
        // Drawings of one page may share a name where they share the rectangle, and nowhere else.
        let id = format!("clip-{}-{}-{}-{}", num(x), num(y), num(w), num(h));
        self.add(html! { clipPath id=(id) { (rect) } });
        self.body += &format!("<g clip-path=\"url(#{id})\">\n");
        draw(self);
        self.body += "</g>\n";
    }

    fn add(&mut self, element: Markup) {
        self.body += &element.into_string();
        self.body.push('\n');
    }

    /// The drawing as an element; `label` is what a screen reader says.
    #[must_use]
    pub fn finish(&self, label: &str) -> Markup {
        let (w, h) = (num(self.width), num(self.height));
        let drawn = html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (w) " " (h) } width=(w)
                height=(h) font-family=(FONT) role="img" aria-label=(label) {
                "\n" (PreEscaped(&self.body))
            }
        };
        // No XML may hold these, escaped or not.
        let forbidden = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        PreEscaped(drawn.into_string().replace(forbidden, "\u{fffd}"))
    }
}

fn tooltip(tip: &str) -> Markup {
    html! { @if !tip.is_empty() { title { (tip) } } }
}

/// Subscripts and superscripts as shifted spans; what follows one is shifted back.
fn rich(text: &str) -> Markup {
    let mut out = html! {};
    let (mut rest, mut undo) = (text, 0.0);
    let plain = |out: &mut Markup, s: &str, undo: &mut f64| {
        let back = std::mem::take(undo);
        out.0 += &html! {
            @if back == 0.0 { (s) } @else { tspan dy={ (num(back)) "em" } { (s) } }
        }
        .into_string();
    };
    while let Some(at) = rest.find("_{").into_iter().chain(rest.find("^{")).min() {
        let Some(len) = rest[at..].find('}') else { break };
        if at > 0 {
            plain(&mut out, &rest[..at], &mut undo);
        }
        let shift = if rest[at..].starts_with('_') { 0.28 } else { -0.44 };
        // Lengths in em count the span's own size, three quarters of the text's.
        let dy = num(shift + undo / 0.75);
        let inner = html! { tspan dy={ (dy) "em" } font-size="75%" { (&rest[at + 2..at + len]) } };
        out.0 += &inner.into_string();
        undo = -shift * 0.75;
        rest = &rest[at + len + 1..];
    }
    if !rest.is_empty() {
        plain(&mut out, rest, &mut undo);
    }
    out
}
