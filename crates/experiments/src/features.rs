//! Features of images, which distances between sets of images are computed from, and what they were made by.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use data::{Dataset, Features, Kind, OpenOptions, Pixels};
use metrics::RandomConvolution;
use ndarray::{Array2, ArrayView2};
use sde_core::Key;
use serde::{Deserialize, Serialize};

/// The share of withheld rows that is called near the training rows.
pub(crate) const NEAR: f64 = 0.05;

/// What makes features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extractor {
    /// A convolution network with the random weights of a seed.
    RandomConv { seed: u64 },
    /// The pixels themselves.
    Pixels,
    /// The classifier of noised data in a file, which `fit` made.
    Classifier(PathBuf),
    /// Nothing: the files hold features, or their mean and covariance.
    File,
}

impl FromStr for Extractor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let seed = || match rest.strip_prefix("seed=").map(str::parse) {
            None if rest.is_empty() => Ok(0),
            Some(Ok(seed)) => Ok(seed),
            _ => Err(format!("`{rest}`: expected seed=N")),
        };
        match name {
            "random-conv" => Ok(Self::RandomConv { seed: seed()? }),
            "pixels" if rest.is_empty() => Ok(Self::Pixels),
            "classifier" if !rest.is_empty() => Ok(Self::Classifier(rest.into())),
            "file" if rest.is_empty() => Ok(Self::File),
            _ => Err(
                "expected `random-conv`, `random-conv:seed=N`, `classifier:FILE`, `pixels` or `file`"
                    .into(),
            ),
        }
    }
}

impl fmt::Display for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RandomConv { seed } => write!(f, "random-conv:seed={seed}"),
            Self::Pixels => f.write_str("pixels"),
            Self::Classifier(path) => write!(f, "classifier:{}", path.display()),
            Self::File => f.write_str("file"),
        }
    }
}

/// What features were made by: figures of different ones do not compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Described {
    /// The extractor, with its seed.
    pub(crate) extractor: String,
    /// BLAKE3 of its weights, doubles of the lowest byte first; none where it has none.
    pub(crate) weights: Option<String>,
    /// Numbers of a feature.
    pub(crate) dimension: usize,
    /// How images were brought to another size.
    pub(crate) resizing: String,
    /// The pixel values that became 0 and 1, of images.
    #[serde(default)]
    pub(crate) range: Option<[f64; 2]>,
}

impl Extractor {
    /// Features of images with pixels from 0 to 1.
    ///
    /// # Errors
    /// Images that are too small or have other channels than the network takes; files in the place of images.
    pub(crate) fn features(
        &self,
        images: ArrayView2<'_, f64>,
        size: [usize; 3],
    ) -> Result<(Array2<f64>, Described)> {
        let (features, weights) = match self {
            Self::RandomConv { seed } => {
                let net = RandomConvolution::new(Key::root(*seed), size)?;
                (net.features(images)?, Some(hash_of(net.parameters())))
            }
            Self::Pixels => (images.to_owned(), None),
            Self::Classifier(_) | Self::File => bail!("{self} makes no features of bare pixels"),
        };
        let (extractor, dimension) = (self.to_string(), features.ncols());
        let resizing = "none".into();
        Ok((features, Described { extractor, weights, dimension, resizing, range: None }))
    }

    /// Whether it makes features of images of this size.
    pub(crate) fn takes(&self, [channels, height, width]: [usize; 3]) -> bool {
        match self {
            Self::RandomConv { .. } => {
                RandomConvolution::new(Key::root(0), [channels, height, width]).is_ok()
            }
            Self::Pixels => true,
            Self::Classifier(_) | Self::File => false,
        }
    }
}

/// BLAKE3 of weights: doubles of the lowest byte first.
pub(crate) fn hash_of(weights: impl Iterator<Item = f64>) -> String {
    let mut hasher = blake3::Hasher::new();
    weights.for_each(|w| {
        hasher.update(&w.to_le_bytes());
    });
    hasher.finalize().to_hex().to_string()
}

/// Features of two sets and, where it is named, of the training rows.
pub(crate) struct Loaded {
    pub(crate) sides: [Features; 2],
    pub(crate) training: Option<Features>,
    pub(crate) described: Described,
}

/// Reads two sets of features, or makes them of images; pixels of all files are in the units of the second set.
///
/// # Errors
/// In one line: files without features or images, images of different sizes or units.
pub(crate) fn load(
    extractor: &Extractor,
    [a, b]: [&Path; 2],
    training: Option<&Path>,
) -> Result<Loaded> {
    if *extractor == Extractor::File {
        return of_files([a, b], training);
    }
    let truth = images(b)?;
    let size = size(truth.kind(), b)?;
    let range = range(truth.kind());
    let made = |path: &Path, images: &Dataset| -> Result<(Features, Described)> {
        same(path, images.kind(), b, truth.kind(), range)?;
        let width = range[1] - range[0];
        let mut rows = images.to_array()?;
        rows.mapv_inplace(|v| (v - range[0]) / width);
        let (rows, described) =
            extractor.features(rows.view(), size).with_context(|| path.display().to_string())?;
        Ok((Features::Rows(rows), described))
    };
    let (first, described) = made(a, &images(a)?)?;
    let (second, _) = made(b, &truth)?;
    let training = training.map(|path| Ok::<_, anyhow::Error>(made(path, &images(path)?)?.0));
    Ok(Loaded {
        sides: [first, second],
        training: training.transpose()?,
        described: Described { range: Some(range), ..described },
    })
}

fn of_files([a, b]: [&Path; 2], path_of_training: Option<&Path>) -> Result<Loaded> {
    let sides = [Features::open(a, None)?, Features::open(b, None)?];
    let training = path_of_training.map(|path| Features::open(path, None)).transpose()?;
    let dimension = sides[1].dim();
    let others = [Some((a, &sides[0])), path_of_training.zip(training.as_ref())];
    for (path, found) in others.into_iter().flatten() {
        let (d, shown, other) = (found.dim(), path.display(), b.display());
        ensure!(d == dimension, "{shown}: features of {d} numbers, {other} has {dimension}");
    }
    let (extractor, resizing) = (Extractor::File.to_string(), "unknown".into());
    let described = Described { extractor, weights: None, dimension, resizing, range: None };
    Ok(Loaded { sides, training, described })
}

/// A folder or a file of images.
fn images(path: &Path) -> Result<Dataset> {
    let data = data::open(path, &OpenOptions::default())?;
    size(data.kind(), path)?;
    Ok(data)
}

pub(crate) fn size(kind: &Kind, path: &Path) -> Result<[usize; 3]> {
    match *kind {
        Kind::Images { channels, height, width, .. } => Ok([channels, height, width]),
        _ => bail!(
            "{}: rows of {} numbers are no images (--features file takes them for features)",
            path.display(),
            kind.dim()
        ),
    }
}

/// The pixel values that become 0 and 1.
fn range(kind: &Kind) -> [f64; 2] {
    match *kind {
        Kind::Images { pixels: Pixels::Levels(n), .. } => [0.0, f64::from(n.max(2)) - 1.0],
        // Images of one value have no range.
        Kind::Images { pixels: Pixels::Real(low, high), .. } if high > low => [low, high],
        _ => [0.0, 1.0],
    }
}

/// Refuses images that are of another size than those they are compared with, or in other units.
fn same(path: &Path, found: &Kind, with: &Path, other: &Kind, range: [f64; 2]) -> Result<()> {
    let (shown, with_shown) = (path.display(), with.display());
    let (of, expected) = (size(found, path)?, size(other, with)?);
    ensure!(
        of == expected,
        "{shown}: images {of:?} [channels, height, width], {with_shown} has {expected:?}"
    );
    let Kind::Images { pixels, .. } = found else { return Ok(()) };
    let Kind::Images { pixels: expected, .. } = other else { return Ok(()) };
    if let (Pixels::Levels(n), Pixels::Levels(m)) = (pixels, expected) {
        ensure!(n == m, "{shown}: pixels of {n} levels, {with_shown} has {m}");
    }
    if let Pixels::Real(low, high) = *pixels {
        // Samples may go beyond the data, not by as much as those are wide.
        let (room, span) = (0.5 * (range[1] - range[0]), high - low);
        ensure!(
            low >= range[0] - room && high <= range[1] + room && span >= 0.1 * room,
            "{shown}: pixels from {low} to {high}, those of {with_shown} from {} to {}: other units?",
            range[0],
            range[1]
        );
    }
    Ok(())
}
