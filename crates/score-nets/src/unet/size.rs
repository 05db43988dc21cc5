//! Sizes of images in files and arguments.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A square image by its side, or `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImageSize {
    /// Height and width.
    Square(usize),
    /// Height, then width.
    Sides([usize; 2]),
}

impl From<usize> for ImageSize {
    fn from(side: usize) -> Self {
        Self::Square(side)
    }
}

impl From<[usize; 2]> for ImageSize {
    fn from(sides: [usize; 2]) -> Self {
        Self::Sides(sides)
    }
}

impl ImageSize {
    /// `[height, width]`.
    pub fn sides(self) -> [usize; 2] {
        match self {
            Self::Square(n) => [n, n],
            Self::Sides(sides) => sides,
        }
    }

    /// `[height, width]` of an image that can be halved `halvings` times.
    pub(super) fn checked(self, halvings: usize) -> Result<[usize; 2]> {
        let sides @ [h, w] = self.sides();
        at_most("image size", h.max(w), WIDEST)?;
        let unit = u32::try_from(halvings).ok().and_then(|n| 2_usize.checked_pow(n));
        if unit.is_some_and(|unit| h > 0 && w > 0 && h % unit == 0 && w % unit == 0) {
            return Ok(sides);
        }
        let unit = unit.map_or("a power of 2".to_string(), |u| u.to_string());
        let reason = format!(
            "height and width must be multiples of {unit}: the network halves the image {halvings} times"
        );
        Err(Error::setting("image size", format!("{h} x {w}"), reason))
    }
}

/// Refuses numbers that no network has, before anything is as large as they are.
pub(crate) fn at_most(name: &str, n: usize, most: usize) -> Result<()> {
    if n <= most {
        return Ok(());
    }
    Err(Error::setting(name, n, format!("must be at most {most}")))
}

/// Channels, features, classes at most.
pub(crate) const WIDEST: usize = 1 << 16;

/// Blocks of a level and multipliers of channels at most.
pub(crate) const MOST: usize = 1 << 8;
