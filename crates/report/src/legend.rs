//! Samples of how things are drawn, with their names.

use crate::colour::{GREY, INK};
use crate::panel::{Line, width};
use crate::svg::{Mark, Point, Stroke, Svg, Text};

/// A short sample of how something is drawn, for a legend.
#[derive(Clone, Debug)]
pub enum Key {
    /// A line, as its first argument is drawn.
    Line(Line),
    /// A filled area of a colour.
    Area(String, String),
    /// A mark of a colour.
    Mark(Mark, String, String),
    /// Words alone.
    Words(String),
}

impl Key {
    fn name(&self) -> &str {
        match self {
            Self::Line(line) => &line.name,
            Self::Area(_, name) | Self::Mark(_, _, name) | Self::Words(name) => name,
        }
    }

    /// Pixels across.
    pub(crate) fn width(&self) -> f64 {
        let sample = match self {
            Self::Line(_) | Self::Area(..) => 34.0,
            Self::Mark(..) => 18.0,
            Self::Words(_) => 0.0,
        };
        sample + width(self.name(), 12.0) + 22.0
    }

    pub(crate) fn draw(&self, svg: &mut Svg, (x, y): Point) {
        let style = Text { size: 12.5, fill: INK, ..Text::default() };
        let indent = match self {
            Self::Line(line) => {
                svg.line(&[(x, y), (x + 26.0, y)], &line.stroke());
                if let Some(mark) = line.mark {
                    let fill = if line.hollow { "#fff" } else { &line.colour };
                    let outline = if line.hollow { &line.colour } else { "#fff" };
                    svg.mark(mark, (x + 13.0, y), 3.8, fill, &Stroke::new(outline, 1.4), "");
                }
                34.0
            }
            Self::Area(colour, _) => {
                svg.rect((x, y - 7.0), (26.0, 14.0), colour, 2.0, "");
                34.0
            }
            Self::Mark(mark, colour, _) => {
                svg.mark(*mark, (x + 6.0, y), 5.0, colour, &Stroke::new("#fff", 1.4), "");
                18.0
            }
            Self::Words(text) => {
                return svg.text((x, y + 4.5), text, &Text { fill: GREY, ..style });
            }
        };
        svg.text((x + indent, y + 4.5), self.name(), &style);
    }
}
