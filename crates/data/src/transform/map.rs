//! What becomes of one column, or of the pixels of one channel.

use serde::{Deserialize, Serialize};

/// A column and the coordinates that it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ColumnMap {
    /// None: every value is this one.
    Constant(f64),
    /// One.
    Affine(Affine),
    /// One: that of the place of its value among these, which ascend.
    Levels { of: Vec<f64>, affine: Affine },
    /// One for each category.
    OneHot {
        /// Whether noise is added.
        dequantised: bool,
        /// Their number.
        n: usize,
        shift: f64,
        scale: f64,
    },
}

/// `z = (x + u - shift) / scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Affine {
    pub(super) shift: f64,
    pub(super) scale: f64,
    pub(super) cell: Cell,
    /// The values that come back: those between, where there are ends.
    pub(super) ends: Option<(f64, f64)>,
}

/// What a value stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cell {
    /// Itself.
    Point,
    /// Itself; the nearest whole number comes back.
    Rounded,
    /// The cell from it to the next whole number.
    Dequantised,
}

/// The place of a number among those that ascend: a whole one for each of them, and linear between.
pub(super) fn place(of: &[f64], x: f64) -> f64 {
    let at = of.partition_point(|v| *v < x).clamp(1, of.len().max(2) - 1);
    match of.get(at - 1..=at) {
        Some([low, high]) => (at - 1) as f64 + (x - low) / (high - low),
        _ => 0.0,
    }
}

impl Affine {
    /// The coordinate of `x`, with `u` where noise is added. Noise that rounding would carry into the next cell is replaced
    /// by the middle of the cell.
    fn put(&self, x: f64, u: f64) -> Result<f64, String> {
        let at = |u: f64| (x + u - self.shift) / self.scale;
        let tries = match self.cell {
            Cell::Point => return Ok(at(0.0)),
            Cell::Rounded => [at(0.0); 2],
            Cell::Dequantised => [at(u), at(0.5)],
        };
        let found = tries.into_iter().find(|z| self.take(*z) == x);
        found.ok_or_else(|| format!("{x} is too large: it would not come back as it is"))
    }

    fn take(&self, z: f64) -> f64 {
        let y = z * self.scale + self.shift;
        let x = match self.cell {
            Cell::Point => y,
            Cell::Rounded => y.round(),
            Cell::Dequantised => y.floor(),
        };
        // A minus of zero, of rounding, is none of the data.
        let x = if self.cell == Cell::Point { x } else { x + 0.0 };
        self.ends.map_or(x, |(low, high)| x.clamp(low, high))
    }
}

impl ColumnMap {
    /// Coordinates.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Affine(_) | Self::Levels { .. } => 1,
            Self::OneHot { n, .. } => *n,
        }
    }

    /// Writes the coordinates of `x` over the uniform numbers in `z`.
    pub(super) fn put(&self, x: f64, z: &mut [f64]) -> Result<(), String> {
        match self {
            Self::Constant(value) if x == *value => {}
            Self::Constant(value) => {
                return Err(format!(
                    "{x}, where the data that were fitted have {value} throughout"
                ));
            }
            Self::Affine(affine) => z[0] = affine.put(x, z[0])?,
            Self::Levels { of, affine } => z[0] = affine.put(place(of, x), z[0])?,
            Self::OneHot { dequantised, shift, scale, .. } => {
                let u = z.to_vec();
                let fill = |z: &mut [f64], u: &dyn Fn(usize) -> f64| {
                    for (j, z) in z.iter_mut().enumerate() {
                        let y = f64::from(j as f64 == x) + u(j);
                        *z = (y - shift) / scale;
                    }
                };
                fill(z, &|j| if *dequantised { u[j] } else { 0.0 });
                if *dequantised && self.take(z) != x {
                    fill(z, &|_| 0.5);
                }
            }
        }
        Ok(())
    }

    /// The value of coordinates.
    pub(super) fn take(&self, z: &[f64]) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Affine(affine) => affine.take(z[0]),
            // The place lies between the ends; of no number it is none.
            Self::Levels { of, affine } => match affine.take(z[0]) {
                place if place.is_finite() => of[place as usize],
                none => none,
            },
            Self::OneHot { shift, scale, .. } => {
                let (mut best, mut most) = (0, f64::NEG_INFINITY);
                for (j, z) in z.iter().enumerate() {
                    let y = z * scale + shift;
                    if y > most {
                        (best, most) = (j, y);
                    }
                }
                best as f64
            }
        }
    }

    /// Shift and scale; those of a constant change nothing.
    pub(super) fn affine(&self) -> (f64, f64) {
        match self {
            Self::Constant(_) => (0.0, 1.0),
            Self::Affine(affine) | Self::Levels { affine, .. } => (affine.shift, affine.scale),
            Self::OneHot { shift, scale, .. } => (*shift, *scale),
        }
    }

    /// Whether noise is added.
    pub(super) fn dequantised(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Affine(affine) | Self::Levels { affine, .. } => affine.cell == Cell::Dequantised,
            Self::OneHot { dequantised, .. } => *dequantised,
        }
    }

    /// `log |dz/dx|`.
    pub(super) fn log_abs_det(&self) -> f64 {
        match self {
            Self::Constant(_) => 0.0,
            Self::Affine(affine) | Self::Levels { affine, .. } => -affine.scale.ln(),
            Self::OneHot { n, scale, .. } => -scale.ln() * *n as f64,
        }
    }
}
