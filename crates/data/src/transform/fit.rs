//! Shifts and scales from data.

use super::map::{Affine, Cell, ColumnMap, place};
use super::{FittedTo, Transform};
use crate::{Column, ColumnValues, Dataset, Error, Kind, Pixels, Result};

/// How data are to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformOptions {
    /// Whether whole numbers, categories and levels get uniform noise, so that they have a density.
    pub dequantise: bool,
    /// Whether columns of tables are shifted to mean 0 and scaled to variance 1 (that of their noise included).
    pub standardise: bool,
    /// What becomes of categories.
    pub categories: Categories,
    /// To what the levels of images are scaled.
    pub images: ImageScale,
}

impl Default for TransformOptions {
    fn default() -> Self {
        Self {
            dequantise: true,
            standardise: true,
            categories: Categories::OneHot,
            images: ImageScale::MinusOneToOne,
        }
    }
}

/// What becomes of a column of categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Categories {
    /// A coordinate for each: no order is put into them.
    OneHot,
    /// One coordinate, their index.
    Ordinal,
}

/// To what the pixels of images are scaled. With `L` levels and noise, level `v` becomes `(v + u) / L` on [0, 1]; without
/// noise, `v / (L - 1)`. Real pixels are scaled from the smallest and the largest of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageScale {
    /// [-1, 1]: offset of the bits a dimension `log2 (L / 2)`, 7 for 256 levels.
    MinusOneToOne,
    /// [0, 1]: offset `log2 L`, 8 for 256 levels.
    ZeroToOne,
    /// Mean 0 and variance 1 over the pixels of a channel.
    Standardised,
}

impl ImageScale {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::MinusOneToOne, Self::ZeroToOne, Self::Standardised];

    /// The name [`ImageScale::parse`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinusOneToOne => "-1..1",
            Self::ZeroToOne => "0..1",
            Self::Standardised => "standardised",
        }
    }

    /// The scale of a name.
    ///
    /// # Errors
    /// For a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|s| s.name() == name.trim()).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|s| s.name()).collect();
            Error::data(format!("unknown scale `{name}`: expected one of {}", names.join(", ")))
        })
    }
}

/// Below this, four roundings of numbers twice as large stay within half a whole number.
const MOST: f64 = (1_u64 << 48) as f64;

/// What is known of a column or a channel.
#[derive(Clone, Copy)]
struct Statistics {
    low: f64,
    high: f64,
    mean: f64,
    /// Population variance over the square of `high - low`.
    relative_variance: f64,
}

impl Statistics {
    fn constant(&self) -> bool {
        self.low == self.high
    }

    /// The standard deviation, with that of noise on (0, 1).
    fn deviation(&self, dequantised: bool) -> f64 {
        let range = self.high - self.low;
        if dequantised {
            (self.relative_variance * range * range + 1.0 / 12.0).sqrt()
        } else {
            self.relative_variance.sqrt() * range
        }
    }
}

impl Transform {
    /// The transform for data, with the statistics of these rows: those for training.
    ///
    /// # Errors
    /// When every column is constant, real images have one value, or a column's range is beyond a double.
    pub fn fit(data: &Dataset, options: &TransformOptions) -> Result<Self> {
        let maps = match data.kind() {
            Kind::Table { columns } => {
                let placed = |i: usize, v: f64| match &columns[i].values {
                    ColumnValues::Levels(of) if options.dequantise => place(of, v),
                    _ => v,
                };
                let statistics = statistics(data, columns.len(), 1, &placed)?;
                let maps = columns.iter().zip(&statistics);
                maps.map(|(c, s)| of_column(c, s, options)).collect::<Result<Vec<_>>>()?
            }
            Kind::Images { channels, height, width, pixels } => {
                let scale = options.images;
                let needed = scale == ImageScale::Standardised;
                let statistics = match needed {
                    true => statistics(data, *channels, height * width, &|_, v| v)?,
                    false => Vec::new(),
                };
                let map = |c: usize| of_channel(c, *pixels, statistics.get(c), options);
                (0..*channels).map(map).collect::<Result<_>>()?
            }
        };
        let fitted_to =
            FittedTo { source: data.source().to_owned(), hash: data.hash(), rows: data.len() };
        let classes = data.labels().map(|l| l.classes.clone()).unwrap_or_default();
        let transform = Self { kind: data.kind().clone(), maps, classes, fitted_to };
        if transform.model_dim() == 0 {
            let constants = transform.constants();
            let first = constants.first().map(|(name, v)| format!("{name} is {v}"));
            let first = first.unwrap_or_default();
            return Err(Error::data(format!(
                "every column of {} rows is constant: {first} throughout",
                data.len()
            )));
        }
        Ok(transform)
    }
}

/// Statistics of `n` groups of `size` adjacent coordinates, `placed` the number of a value of a group.
fn statistics(
    data: &Dataset,
    n: usize,
    size: usize,
    placed: &dyn Fn(usize, f64) -> f64,
) -> Result<Vec<Statistics>> {
    let count = data.len() as f64 * size as f64;
    let start = Statistics {
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
        mean: 0.0,
        relative_variance: 0.0,
    };
    let mut all = vec![start; n];
    let mut row = vec![0.0; data.dim()];
    for k in 0..data.len() {
        data.row(k, &mut row);
        for (i, (values, s)) in row.chunks(size).zip(&mut all).enumerate() {
            for v in values.iter().map(|v| placed(i, *v)) {
                (s.low, s.high) = (s.low.min(v), s.high.max(v));
                s.mean += v / count;
            }
        }
    }
    for (i, s) in all.iter_mut().enumerate() {
        if !(s.high - s.low).is_finite() {
            let (name, low, high) = (data.kind().name_of(i * size), s.low, s.high);
            return Err(Error::data(format!(
                "column {name}: the range {low:e} to {high:e} is too wide"
            )));
        }
        s.mean = s.mean.clamp(s.low, s.high);
    }
    for k in 0..data.len() {
        data.row(k, &mut row);
        for (i, (values, s)) in row.chunks(size).zip(&mut all).enumerate() {
            if s.constant() {
                continue;
            }
            for v in values.iter().map(|v| placed(i, *v)) {
                s.relative_variance += ((v - s.mean) / (s.high - s.low)).powi(2) / count;
            }
        }
    }
    Ok(all)
}

fn of_column(column: &Column, s: &Statistics, options: &TransformOptions) -> Result<ColumnMap> {
    let noise = options.dequantise;
    let levels = match &column.values {
        ColumnValues::Levels(of) if noise => Some(of),
        _ => None,
    };
    if s.constant() {
        return Ok(ColumnMap::Constant(levels.map_or(s.low, |of| of[s.low as usize])));
    }
    let (cell, ends) = match &column.values {
        ColumnValues::Float => (Cell::Point, None),
        ColumnValues::Levels(of) if noise => (whole(noise), Some((0.0, of.len() as f64 - 1.0))),
        ColumnValues::Levels(_) => (Cell::Point, None),
        ColumnValues::Integer => (whole(noise), None),
        ColumnValues::Categories(of) if options.categories == Categories::Ordinal => {
            (whole(noise), Some((0.0, of.len() as f64 - 1.0)))
        }
        ColumnValues::Categories(of) => return Ok(one_hot(of.len(), options)),
    };
    let noisy = cell == Cell::Dequantised;
    let (shift, scale) = if options.standardise {
        (s.mean + if noisy { 0.5 } else { 0.0 }, s.deviation(noisy))
    } else {
        (0.0, 1.0)
    };
    let map = Affine { shift, scale, cell, ends };
    let end = if s.high.abs() > s.low.abs() { s.high } else { s.low };
    if cell != Cell::Point && end.abs() > MOST {
        return Err(Error::data(format!(
            "column {}: {end} is too large: whole numbers beyond 2^48 would not come back as they are",
            column.name
        )));
    }
    let map = affine(&column.name, map)?;
    Ok(match levels {
        Some(of) => ColumnMap::Levels { of: of.clone(), affine: map },
        None => ColumnMap::Affine(map),
    })
}

/// A one-hot code keeps its scale: the noise on (0, 1) has a deviation of 0.29, a category of one row in a thousand 0.03.
fn one_hot(n: usize, options: &TransformOptions) -> ColumnMap {
    let (shift, scale) = match (options.standardise, options.dequantise) {
        (false, _) => (0.0, 1.0),
        // The middle of the two cells, [0, 1] and [1, 2], or of the two points.
        (true, true) => (1.0, 0.5),
        (true, false) => (0.5, 0.5),
    };
    ColumnMap::OneHot { n, dequantised: options.dequantise, shift, scale }
}

fn whole(noise: bool) -> Cell {
    if noise { Cell::Dequantised } else { Cell::Rounded }
}

fn of_channel(
    channel: usize,
    pixels: Pixels,
    statistics: Option<&Statistics>,
    options: &TransformOptions,
) -> Result<ColumnMap> {
    let (cell, low, high, ends) = match pixels {
        Pixels::Levels(n) => {
            let cell = whole(options.dequantise);
            let last = f64::from(n) - 1.0;
            let high = if cell == Cell::Dequantised { f64::from(n) } else { last };
            (cell, 0.0, high, Some((0.0, last)))
        }
        Pixels::Real(low, high) => (Cell::Point, low, high, None),
    };
    let noisy = cell == Cell::Dequantised;
    let (shift, scale) = match (options.images, statistics) {
        (ImageScale::ZeroToOne, _) => (low, high - low),
        (ImageScale::Standardised, Some(s)) => {
            (s.mean + if noisy { 0.5 } else { 0.0 }, s.deviation(noisy))
        }
        _ => (low + (high - low) / 2.0, (high - low) / 2.0),
    };
    let map = affine(&format!("channel {channel}"), Affine { shift, scale, cell, ends })?;
    Ok(ColumnMap::Affine(map))
}

fn affine(name: &str, map: Affine) -> Result<Affine> {
    if !(map.scale.is_normal() && map.scale > 0.0 && map.shift.is_finite()) {
        let scale = map.scale;
        return Err(Error::data(format!(
            "column {name}: a deviation of {scale:e}: the column is constant, or too close to it"
        )));
    }
    Ok(map)
}
