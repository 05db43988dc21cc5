//! A small SVG writer: the same drawing goes into the page and into the `.svg` and `.png` files.

use std::fmt::Write as _;

use super::html::{Html, html};

/// The typefaces of every figure: the reader's own in a browser, the embedded one in a PNG.
pub(crate) const FONT: &str =
    "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/// Where a text is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The point is the text's left end.
    Start,
    /// The point is its middle.
    Middle,
    /// The point is its right end.
    End,
}

/// How a text looks.
#[derive(Clone, Debug)]
pub(crate) struct Text<'a> {
    /// Height of the letters in pixels.
    pub(crate) size: f64,
    /// Colour.
    pub(crate) fill: &'a str,
    /// Anchor.
    pub(crate) anchor: Anchor,
    /// Weight (400 regular, 600 semibold).
    pub(crate) weight: u32,
    /// Rotation about the anchor, in degrees.
    pub(crate) rotate: f64,
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self { size: 12.0, fill: "#4b5563", anchor: Anchor::Start, weight: 400, rotate: 0.0 }
    }
}

/// A drawing of a fixed size.
#[derive(Clone, Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: Html,
}

/// A coordinate with at most two decimals.
fn num(v: f64) -> String {
    let s = format!("{v:.2}");
    s.trim_end_matches('0').trim_end_matches('.').to_string()
}

impl Svg {
    /// An empty drawing.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: Html::default() }
    }

    /// A straight line.
    pub(crate) fn line(
        &mut self,
        (x0, y0): (f64, f64),
        (x1, y1): (f64, f64),
        stroke: &str,
        width: f64,
    ) {
        self.add(html!(
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="{}"/>"#,
            num(x0),
            num(y0),
            num(x1),
            num(y1),
            stroke,
            num(width)
        ));
    }

    /// A line through `points`; `dash` as in `stroke-dasharray`, empty for a solid one.
    pub(crate) fn polyline(
        &mut self,
        points: &[(f64, f64)],
        stroke: &str,
        width: f64,
        dash: &str,
        opacity: f64,
    ) {
        if points.len() < 2 {
            return;
        }
        let mut d = String::with_capacity(points.len() * 12);
        for (k, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{} {}", if k == 0 { "M" } else { "L" }, num(*x), num(*y));
        }
        let dash = match dash {
            "" => Html::default(),
            dash => html!(r#" stroke-dasharray="{}""#, dash),
        };
        self.add(html!(
            r#"<path d="{}" fill="none" stroke="{}" stroke-width="{}" stroke-opacity="{}" stroke-linejoin="round" stroke-linecap="round"{}/>"#,
            d,
            stroke,
            num(width),
            num(opacity),
            dash
        ));
    }

    /// A disc with an outline and a tooltip.
    pub(crate) fn circle(
        &mut self,
        (x, y): (f64, f64),
        r: f64,
        fill: &str,
        stroke: &str,
        width: f64,
        title: &str,
    ) {
        self.add(html!(
            r#"<circle cx="{}" cy="{}" r="{}" fill="{}" stroke="{}" stroke-width="{}">{}</circle>"#,
            num(x),
            num(y),
            num(r),
            fill,
            stroke,
            num(width),
            tooltip(title)
        ));
    }

    /// A polygonal marker with an outline and a tooltip.
    pub(crate) fn shape(
        &mut self,
        points: &[(f64, f64)],
        fill: &str,
        stroke: &str,
        width: f64,
        title: &str,
    ) {
        let list: Vec<String> =
            points.iter().map(|(x, y)| format!("{},{}", num(*x), num(*y))).collect();
        self.add(html!(
            r#"<polygon points="{}" fill="{}" stroke="{}" stroke-width="{}" stroke-linejoin="round">{}</polygon>"#,
            list.join(" "),
            fill,
            stroke,
            num(width),
            tooltip(title)
        ));
    }

    /// A filled rectangle with a tooltip.
    pub(crate) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        fill: &str,
        radius: f64,
        title: &str,
    ) {
        self.add(html!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" rx="{}" fill="{}">{}</rect>"#,
            num(x),
            num(y),
            num(w),
            num(h),
            num(radius),
            fill,
            tooltip(title)
        ));
    }

    /// The outline of a rectangle.
    pub(crate) fn frame(
        &mut self,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        stroke: &str,
        width: f64,
    ) {
        self.add(html!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="{}" stroke-width="{}"/>"#,
            num(x),
            num(y),
            num(w),
            num(h),
            stroke,
            num(width)
        ));
    }

    /// A text on one line.
    pub(crate) fn text(&mut self, (x, y): (f64, f64), text: &str, style: &Text<'_>) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let rotate = if style.rotate == 0.0 {
            Html::default()
        } else {
            html!(r#" transform="rotate({} {} {})""#, num(style.rotate), num(x), num(y))
        };
        let weight = if style.weight == 400 {
            Html::default()
        } else {
            html!(r#" font-weight="{}""#, style.weight)
        };
        self.add(html!(
            r#"<text x="{}" y="{}" font-size="{}" fill="{}" text-anchor="{}"{}{}>{}</text>"#,
            num(x),
            num(y),
            num(style.size),
            style.fill,
            anchor,
            weight,
            rotate,
            rich(text)
        ));
    }

    /// A PNG, drawn with hard pixel edges.
    pub(crate) fn image(
        &mut self,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        png: &[u8],
        title: &str,
    ) {
        self.add(html!(
            r#"<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" image-rendering="optimizeSpeed" style="image-rendering:pixelated" href="{}">{}</image>"#,
            num(x),
            num(y),
            num(w),
            num(h),
            data_uri(png),
            tooltip(title)
        ));
    }

    /// Opens a group that shows only what lies in the rectangle; close it with [`Svg::end_clip`].
    pub(crate) fn begin_clip(&mut self, (x, y): (f64, f64), (w, h): (f64, f64)) {
        let rect = html!(
            r#"<rect x="{}" y="{}" width="{}" height="{}"/>"#,
            num(x),
            num(y),
            num(w),
            num(h)
        );
        // Of all that a page holds, only the same rectangle has the same name.
        let digest = blake3::Hasher::new()
            .update(self.body.as_bytes())
            .update(rect.as_bytes())
            .finalize()
            .to_hex();
        let id = format!("c{}", &digest[..12]);
        self.add(html!(
            r##"<clipPath id="{}">{}</clipPath><g clip-path="url(#{})">"##,
            id,
            rect,
            id
        ));
    }

    /// Closes the group of [`Svg::begin_clip`].
    pub(crate) fn end_clip(&mut self) {
        self.body.push("</g>\n");
    }

    fn add(&mut self, element: Html) {
        self.body.push(element);
        self.body.push("\n");
    }

    /// The drawing as an element; `label` is what a screen reader says.
    pub(crate) fn finish(&self, label: &str) -> Html {
        html!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}" font-family="{}" role="img" aria-label="{}">
{}</svg>"#,
            num(self.width),
            num(self.height),
            num(self.width),
            num(self.height),
            FONT,
            label,
            self.body
        )
    }
}

fn tooltip(title: &str) -> Html {
    if title.is_empty() { Html::default() } else { html!("<title>{}</title>", title) }
}

/// Subscripts written `_{..}` and superscripts written `^{..}` as shifted spans.
fn rich(text: &str) -> Html {
    let mut out = Html::default();
    let mut rest = text;
    let mut undo = 0.0;
    let plain = |out: &mut Html, s: &str, undo: &mut f64| {
        if s.is_empty() {
            return;
        }
        if *undo == 0.0 {
            out.push(html!("{}", s));
        } else {
            out.push(html!(r#"<tspan dy="{}em">{}</tspan>"#, num(*undo), s));
            *undo = 0.0;
        }
    };
    while let Some(at) = rest.find("_{").into_iter().chain(rest.find("^{")).min() {
        let Some(len) = rest[at..].find('}') else { break };
        plain(&mut out, &rest[..at], &mut undo);
        let shift = if rest[at..].starts_with('_') { 0.28 } else { -0.44 };
        // Lengths in em count the span's own size, three quarters of the text's.
        let dy = shift + undo / 0.75;
        let inner = &rest[at + 2..at + len];
        out.push(html!(r#"<tspan dy="{}em" font-size="75%">{}</tspan>"#, num(dy), inner));
        undo = -shift * 0.75;
        rest = &rest[at + len + 1..];
    }
    plain(&mut out, rest, &mut undo);
    out
}

/// A PNG as a data URI.
pub(crate) fn data_uri(png: &[u8]) -> String {
    use base64::Engine as _;
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))
}
