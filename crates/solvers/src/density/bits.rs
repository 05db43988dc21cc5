//! Bits a dimension, for data of 256 levels.

use sde_core::{Error, Key, Result};

/// Levels of a coordinate.
const LEVELS: f64 = 256.0;

/// To what interval the levels 0 to 255 of a coordinate are scaled. With uniform dequantisation, `u`
/// on (0, 1), level `v` becomes `(v + u) / 256` on [0, 1], or twice that less 1 on [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// [0, 1].
    ZeroToOne,
    /// [-1, 1].
    MinusOneToOne,
}

impl Pixels {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::ZeroToOne, Self::MinusOneToOne];

    /// The name [`Pixels::parse`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroToOne => "0..1",
            Self::MinusOneToOne => "-1..1",
        }
    }

    /// The scaling of a name.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|p| p.name() == name.trim()).ok_or_else(|| Error::Unknown {
            what: "range of the data",
            name: name.into(),
            expected: Self::ALL.iter().map(|p| p.name().into()).collect(),
        })
    }

    /// The interval itself.
    ///
    /// ```
    /// use solvers::density::Pixels;
    /// assert!(Pixels::MinusOneToOne.range().contains(&-0.5));
    /// assert!(!Pixels::ZeroToOne.range().contains(&-0.5));
    /// ```
    pub fn range(self) -> std::ops::RangeInclusive<f64> {
        1.0 - self.length()..=1.0
    }

    /// Length of the interval.
    fn length(self) -> f64 {
        match self {
            Self::ZeroToOne => 1.0,
            Self::MinusOneToOne => 2.0,
        }
    }
}

/// Bits a dimension of levels whose dequantised data have the log-density `log_density` (natural
/// logarithm) in `dim` dimensions:
///
/// `-log p / (D log 2) + log2 256` for data on [0, 1], `-log p / (D log 2) + 7` on [-1, 1],
///
/// since a level is a cell of length 1/256, or 2/256, in every coordinate. The mean over the
/// dequantisation is an upper bound of `-log2 P / D` of the levels.
///
/// # Reference
/// Theis, van den Oord, Bethge 2016, arXiv 1511.01844, section 3.1; Song et al. 2021, arXiv
/// 2011.13456, appendix D.2.
///
/// ```
/// use solvers::density::{Pixels, bits_per_dim};
/// // Uniform data on [-1, 1]^2: eight bits.
/// assert_eq!(bits_per_dim(0.25_f64.ln(), 2, Pixels::MinusOneToOne), 8.0);
/// ```
pub fn bits_per_dim(log_density: f64, dim: usize, pixels: Pixels) -> f64 {
    (LEVELS / pixels.length()).log2() - log_density / (dim as f64 * std::f64::consts::LN_2)
}

/// Levels 0 to 255 with a uniform number added and scaled, as [`Pixels`] says: a uniform draw from the
/// cell of each. Entry `i` uses number `first + i` of the key, so that `first = first_row * D` for rows
/// of `D`.
///
/// # Errors
/// [`Error::Parameter`] for a level that is none.
///
/// ```
/// use sde_core::Key;
/// use solvers::density::{Pixels, dequantise};
/// let x = dequantise(&[0.0, 255.0], Pixels::ZeroToOne, Key::root(1), 0)?;
/// assert!(0.0 < x[0] && x[0] < 1.0 / 256.0 && 255.0 / 256.0 < x[1] && x[1] < 1.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn dequantise(levels: &[f64], pixels: Pixels, key: Key, first: u64) -> Result<Vec<f64>> {
    let level = |v: f64| (0.0..LEVELS).contains(&v) && v.fract() == 0.0;
    if let Some((i, v)) = levels.iter().enumerate().find(|(_, v)| !level(**v)) {
        return Err(Error::Parameter {
            name: format!("level {}", first + i as u64),
            value: v.to_string(),
            reason: "must be a whole number from 0 to 255".into(),
        });
    }
    let mut u = vec![0.0; levels.len()];
    key.fill_uniforms(first, &mut u);
    let length = pixels.length();
    let scaled = |(v, u): (&f64, &f64)| length * (v + u) / LEVELS - (length - 1.0);
    Ok(levels.iter().zip(&u).map(scaled).collect())
}
