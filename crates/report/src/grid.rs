//! Panels in rows and columns: figures.

use maud::Markup;

use crate::error::Result;
use crate::legend::Key;
use crate::panel::{Panel, Placed};
use crate::raster::render;
use crate::svg::{Point, Svg};

/// A drawing with a name.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without its ending, and its place in a page.
    pub name: String,
    /// The drawing.
    pub svg: Markup,
}

impl Figure {
    /// A named drawing; `label` is what a screen reader says.
    #[must_use]
    pub fn new(name: impl Into<String>, svg: &Svg, label: &str) -> Self {
        Self { name: name.into(), svg: svg.finish(label) }
    }

    /// The drawing as PNG, at twice its size.
    ///
    /// # Errors
    /// When the drawing cannot be rendered.
    pub fn png(&self) -> Result<Vec<u8>> {
        render(&self.svg.0, 2.0)
    }
}

/// How high panels are.
#[derive(Clone, Copy, Debug)]
enum Height {
    Pixels(f64),
    /// As wide as high, and not wider than this.
    Square(f64),
}

/// Panels in rows and columns. Neighbours with the same axis share its ticks and name; names of lines
/// are written beside the last panel of a row; margins are as wide as the texts in them.
#[derive(Clone, Debug)]
pub struct Grid {
    panels: Vec<Panel>,
    columns: usize,
    width: f64,
    height: Height,
    legend: Vec<Key>,
    gap: f64,
    margin_right: f64,
}

/// Where the panels of a drawing are.
struct Layout {
    /// Left edge and width of each column.
    left: Vec<f64>,
    width: f64,
    /// Top edge of each row.
    top: Vec<f64>,
    height: f64,
    /// Lower end of everything.
    bottom: f64,
}

impl Grid {
    /// Panels, so many in a row, filled row by row.
    #[must_use]
    pub fn new(panels: Vec<Panel>, columns: usize) -> Self {
        let columns = columns.clamp(1, panels.len().max(1));
        let height = Height::Pixels(300.0);
        let (gap, margin_right, legend) = (24.0, 0.0, Vec::new());
        Self { panels, columns, width: 1080.0, height, legend, gap, margin_right }
    }

    /// Panels side by side.
    #[must_use]
    pub fn row(panels: Vec<Panel>) -> Self {
        let columns = panels.len();
        Self::new(panels, columns)
    }

    /// With panels of this height.
    #[must_use]
    pub fn height(self, pixels: f64) -> Self {
        Self { height: Height::Pixels(pixels), ..self }
    }

    /// With square panels not larger than this.
    #[must_use]
    pub fn square(self, most: f64) -> Self {
        Self { height: Height::Square(most), ..self }
    }

    /// With a width of the whole, 1080 otherwise.
    #[must_use]
    pub fn width(self, pixels: f64) -> Self {
        Self { width: pixels, ..self }
    }

    /// With panels so far apart at least, 24 pixels otherwise.
    #[must_use]
    pub fn gap(self, pixels: f64) -> Self {
        Self { gap: pixels, ..self }
    }

    /// With room on the right, for what is drawn there afterwards.
    #[must_use]
    pub fn margin_right(self, pixels: f64) -> Self {
        Self { margin_right: pixels, ..self }
    }

    /// With a line of samples above.
    #[must_use]
    pub fn legend(self, legend: Vec<Key>) -> Self {
        Self { legend, ..self }
    }

    /// The drawing as a figure; `label` is what a screen reader says.
    #[must_use]
    pub fn figure(&self, name: impl Into<String>, label: &str) -> Figure {
        Figure::new(name, &self.draw().0, label)
    }

    /// The drawing, and upper left corner and size of every panel in it.
    #[must_use]
    pub fn draw(&self) -> (Svg, Vec<(Point, Point)>) {
        let layout = self.layout();
        let mut svg = Svg::new(self.width, layout.bottom);
        let mut at = (layout.left.first().copied().unwrap_or(20.0), 16.0);
        for key in &self.legend {
            if at.0 + key.width() > self.width && at.0 > layout.left[0] {
                at = (layout.left[0], at.1 + 24.0);
            }
            key.draw(&mut svg, at);
            at.0 += key.width();
        }
        let mut places = Vec::new();
        for (k, panel) in self.panels.iter().enumerate() {
            let corner = (layout.left[k % self.columns], layout.top[k / self.columns]);
            let size = (layout.width, layout.height);
            let (left, below, names) = (self.left(k), self.below(k), self.names(k));
            Placed { panel, corner, size, left, below, names }.draw(&mut svg);
            places.push((corner, size));
        }
        (svg, places)
    }

    /// Whether the vertical axis of panel `k` is written: not where its neighbour has the same.
    fn left(&self, k: usize) -> bool {
        k.is_multiple_of(self.columns) || self.panels[k].up != self.panels[k - 1].up
    }

    /// Whether the horizontal axis of panel `k` is written: not where the one below has the same.
    fn below(&self, k: usize) -> bool {
        let next = self.panels.get(k + self.columns);
        next.is_none_or(|next| next.across != self.panels[k].across)
    }

    /// Whether panel `k` is the last of its row.
    fn names(&self, k: usize) -> bool {
        (k + 1).is_multiple_of(self.columns) || k + 1 == self.panels.len()
    }

    /// Lines that the legend takes.
    fn legend_height(&self, left: f64) -> f64 {
        let (mut x, mut lines) = (left, usize::from(!self.legend.is_empty()));
        for key in &self.legend {
            if x + key.width() > self.width && x > left {
                (x, lines) = (left, lines + 1);
            }
            x += key.width();
        }
        24.0 * lines as f64
    }

    fn layout(&self) -> Layout {
        let all = || self.panels.iter().enumerate();
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let first = |k: &usize| k.is_multiple_of(self.columns);
        let left = most(&mut all().filter(|(k, _)| first(k)).map(|(_, p)| p.room_left()));
        let inner = all().filter(|(k, _)| !first(k) && self.left(*k));
        let gap = most(&mut inner.map(|(_, p)| p.room_left() + 12.0)).max(self.gap);
        let ends = all().filter(|(k, _)| self.names(*k));
        let names = most(&mut ends.map(|(k, p)| p.room_right(self.names(k))));
        let right = names + self.margin_right;
        // Names beside a panel that has others to its right would lie on those.
        let columns = self.columns as f64;
        let mut width = (self.width - left - right - gap * (columns - 1.0)) / columns;
        let height = match self.height {
            Height::Pixels(height) => height,
            Height::Square(most) => {
                width = width.min(most);
                width
            }
        };
        let rows = self.panels.len().div_ceil(self.columns);
        let (mut top, mut y) = (Vec::new(), self.legend_height(left) + 8.0);
        for row in 0..rows {
            let of_row = || all().filter(|(k, _)| k / self.columns == row);
            y += if of_row().any(|(_, p)| !p.title.is_empty()) { 28.0 } else { 6.0 };
            top.push(y);
            let below = of_row().filter(|(k, _)| self.below(*k)).map(|(_, p)| p.room_below());
            y += height + below.fold(10.0, f64::max);
        }
        let left = (0..self.columns).map(|c| left + c as f64 * (width + gap)).collect();
        Layout { left, width, top, height, bottom: y + 4.0 }
    }
}
