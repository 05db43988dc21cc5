//! What is known of samples: columns of a table by name, or a part of rows or images by a mask.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use data::{Column, ColumnValues, Kind};
use ndarray::{Array2, ArrayD, Axis};

use super::Fitted;
use crate::fit::Prepared;
use crate::npy;

/// How samples are steered.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Control, of a model that was fitted to data")]
pub(in crate::cli) struct ControlOptions {
    /// Guidance to --class, classifier-free or by --classifier: 1 is the model of the class, more is further from the model without
    /// (default: 1)
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    pub(super) guidance: Option<f64>,
    /// Guide the model without classes to --class by a classifier of noised rows (`fit --classifier`); with --by smc by weighted
    /// particles
    #[arg(long, value_name = "FILE")]
    pub(super) classifier: Option<PathBuf>,
    /// What is known of a column, in the units of the data; a category by its name. May be repeated
    #[arg(long, value_name = "COLUMN=VALUE")]
    given: Vec<String>,
    /// A mask of what is known of a row or an image: 1 (in a picture white) where --values holds. An .npy file of 0 and 1, or
    /// a picture in black and white
    #[arg(long, value_name = "MASK", requires = "values", conflicts_with = "given")]
    condition: Option<PathBuf>,
    /// The known values in the units of the data: one row or image for all samples, or several, each for as many samples. A
    /// data file; of an .npy file what is not known may be NaN
    #[arg(long, value_name = "DATA", requires = "condition")]
    values: Option<PathBuf>,
    /// Standard deviation of the noise on what is known, in the units of the data (default: 0, known exactly)
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    noise: Option<f64>,
    /// The method of conditioning
    #[arg(long, value_enum, value_name = "NAME")]
    by: Option<By>,
    /// Particles a sample, of smc (default: 8)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    particles: Option<u32>,
}

/// Methods of conditioning on what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum By {
    /// What is known is put in, noised as the state is (Song et al. 2021); biased
    Replacement,
    /// The same with time travel, every step taken five times (Lugmayr et al. 2022)
    Repaint,
    /// Steps along the gradient of the distance from what is known (Chung et al. 2023)
    Dps,
    /// Guidance by a likelihood with the covariance of isotropic data (Song et al. 2023)
    Pigdm,
    /// Guidance with the covariance of the model's Jacobian (Boys et al. 2023), with noise on what is known: as many products as
    /// there are known values
    Tmpd,
    /// Steps in the singular basis of what is known (Kawar et al. 2022)
    Ddrm,
    /// Denoised data made consistent (Wang et al. 2023)
    Ddnm,
    /// Twisted sequential Monte Carlo (Wu et al. 2023): right as the particles become many; the default
    #[default]
    Smc,
}

impl By {
    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it has steps of its own, for no method of the registry.
    pub(super) fn has_own_steps(self) -> bool {
        matches!(self, Self::Dps | Self::Ddrm | Self::Ddnm | Self::Smc)
    }
}

/// Coordinates of the data with their values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    /// In order, each once.
    pub(super) columns: Vec<usize>,
    /// `[R, columns]`.
    pub(super) values: Array2<f64>,
    /// Standard deviation of the noise on them.
    pub(super) noise: f64,
}

impl ControlOptions {
    /// Whether something is known of the samples.
    pub(in crate::cli) fn conditions(&self) -> bool {
        !self.given.is_empty() || self.condition.is_some()
    }

    /// Whether weighted particles are steered by a classifier.
    pub(in crate::cli) fn weighs_classes(&self) -> bool {
        self.classifier.is_some() && self.by == Some(By::Smc)
    }

    /// Refuses what only goes with a model that was fitted to data.
    pub(in crate::cli) fn refuse(&self) -> Result<()> {
        let any = self.conditions() || self.guidance.is_some() || self.noise.is_some();
        ensure!(
            !any && self.by.is_none() && self.particles.is_none() && self.classifier.is_none(),
            "--guidance, --classifier, --given, --condition, --noise, --by and --particles are for models that were fitted to data"
        );
        Ok(())
    }

    /// Refuses options that do not go together; `stepped` is whether a method or its eta was named.
    pub(in crate::cli) fn check(&self, stepped: bool) -> Result<()> {
        let (known, weighs) = (self.conditions(), self.weighs_classes());
        ensure!(
            !known || self.classifier.is_none(),
            "--classifier does not go with --given or --condition"
        );
        for (flag, given) in [
            ("--noise", self.noise.is_some()),
            ("--by", self.by.is_some() && !weighs),
            ("--particles", self.particles.is_some() && !weighs),
        ] {
            ensure!(
                known || !given,
                "{flag} needs --given or --condition: nothing is known of the samples"
            );
        }
        ensure!(
            !weighs || self.guidance.is_none(),
            "--guidance does not go with --classifier and --by smc, which weighs particles for the class itself"
        );
        let by = self.by();
        ensure!(
            by == By::Smc || self.particles.is_none(),
            "--particles are of --by smc, not of {}",
            by.name()
        );
        ensure!(
            !((known || weighs) && stepped && by.has_own_steps()),
            "--method and --eta do not go with --by {}, which has steps of its own (with replacement, repaint, pigdm and tmpd they do)",
            by.name()
        );
        let noise = self.noise.unwrap_or(0.0);
        ensure!(
            noise.is_finite() && noise >= 0.0,
            "--noise is {noise}, expected a finite value of at least 0"
        );
        // A network's Jacobian has negative eigenvalues at high noise: those count as no variance, and something must be left.
        ensure!(
            !(known && by == By::Tmpd && noise == 0.0),
            "--by tmpd needs --noise above 0: the Jacobian of a network alone is no covariance at high noise"
        );
        Ok(())
    }

    pub(super) fn by(&self) -> By {
        self.by.unwrap_or_default()
    }

    pub(super) fn particles(&self) -> usize {
        self.particles.unwrap_or(8) as usize
    }
}

impl Fitted {
    /// What is known of the samples.
    pub(super) fn known(&self, options: &ControlOptions) -> Result<Option<Known>> {
        let noise = options.noise.unwrap_or(0.0);
        if let (Some(mask), Some(values)) = (&options.condition, &options.values) {
            let columns = mask_of(mask, self.prepared.transform.kind())?;
            let values = self.values(values, &columns, noise)?;
            return Ok(Some(Known { columns, values, noise }));
        }
        if options.given.is_empty() {
            return Ok(None);
        }
        Ok(Some(of_columns(&options.given, &self.prepared, noise)?))
    }

    /// The known values of a file, `[R, columns]`.
    fn values(&self, path: &Path, columns: &[usize], noise: f64) -> Result<Array2<f64>> {
        let shown = || path.display().to_string();
        let kind = self.prepared.transform.kind();
        if path.extension().is_none_or(|e| e != "npy") {
            return Ok(self.rows(path)?.to_array()?.select(Axis(1), columns));
        }
        let rows = in_rows(npy::read(path)?, kind.dim()).with_context(shown)?;
        let values = rows.select(Axis(1), columns);
        let bad = values.indexed_iter().find(|(_, v)| !v.is_finite());
        if let Some(((row, k), v)) = bad {
            bail!(
                "{}: row {row}, column {}: {v} is no finite number",
                shown(),
                kind.name_of(columns[k])
            );
        }
        if noise == 0.0 {
            kind.check(filled(&self.prepared, columns, &values)?.view()).with_context(shown)?;
        }
        Ok(values)
    }
}

/// Rows of data with these values in these columns, and in the others what a row of zeros of the model is.
pub(super) fn filled(
    prepared: &Prepared,
    columns: &[usize],
    values: &Array2<f64>,
) -> Result<Array2<f64>> {
    let transform = &prepared.transform;
    let middle = transform.from_model(Array2::zeros((1, transform.model_dim())).view())?;
    let size = [("rows", values.nrows() as u64), ("columns", middle.ncols() as u64)];
    sde_core::counts::in_memory(&size, 16)?;
    let mut rows = Array2::from_shape_fn((values.nrows(), middle.ncols()), |(_, j)| middle[[0, j]]);
    for (k, column) in columns.iter().enumerate() {
        rows.column_mut(*column).assign(&values.column(k));
    }
    Ok(rows)
}

/// An array as rows of so many numbers.
fn in_rows(array: ArrayD<f64>, dim: usize) -> Result<Array2<f64>> {
    let shape = array.shape().to_vec();
    let whole = array.len() == dim || shape.first().is_some_and(|n| n * dim == array.len());
    ensure!(whole && !array.is_empty(), "an array {shape:?}, expected rows of {dim} numbers");
    let n = array.len() / dim;
    Ok(Array2::from_shape_vec((n, dim), array.iter().copied().collect())?)
}

/// The coordinates that a mask says are known.
fn mask_of(path: &Path, kind: &Kind) -> Result<Vec<usize>> {
    let shown = path.display();
    let picture = path.extension().is_some_and(|e| e != "npy");
    let (mask, one) = if picture { picture_of(path, kind)? } else { (npy::read(path)?, 1.0) };
    let (shape, dim) = (mask.shape().to_vec(), kind.dim());
    let pixels = match kind {
        Kind::Images { height, width, .. } => height * width,
        _ => dim,
    };
    ensure!(
        mask.len() == dim || mask.len() == pixels,
        "{shown}: a mask {shape:?} for rows of {dim} numbers"
    );
    let flat: Vec<f64> = mask.iter().copied().collect();
    if let Some(i) = flat.iter().position(|v| *v != 0.0 && *v != one) {
        bail!("{shown}: entry {i} of the mask is {}, expected 0 or {one}", flat[i]);
    }
    // A mask of pixels is that of every channel.
    let known: Vec<usize> = (0..dim).filter(|i| flat[i % flat.len()] == one).collect();
    ensure!(!known.is_empty(), "{shown}: the mask says that nothing is known");
    Ok(known)
}

/// The pixels of a black and white picture, and its white.
fn picture_of(path: &Path, kind: &Kind) -> Result<(ArrayD<f64>, f64)> {
    let data = data::open(path, &data::OpenOptions::default())?;
    let (Kind::Images { height, width, pixels, .. }, Kind::Images { height: h, width: w, .. }) =
        (data.kind(), kind)
    else {
        bail!("{}: a mask is an .npy file, or for images a picture", path.display());
    };
    ensure!(
        (height, width) == (h, w) && data.len() == 1,
        "{}: a mask of {height}x{width} pixels for images of {h}x{w}",
        path.display()
    );
    let white = match pixels {
        data::Pixels::Levels(n) => f64::from(*n) - 1.0,
        data::Pixels::Real(_, high) => *high,
    };
    Ok((data.to_array()?.into_dyn(), white))
}

/// Columns of a table with a value each.
fn of_columns(texts: &[String], prepared: &Prepared, noise: f64) -> Result<Known> {
    let transform = &prepared.transform;
    let Kind::Table { columns } = transform.kind() else {
        bail!("--given is for tables: of images give --condition and --values");
    };
    let mut known: Vec<(usize, f64)> = Vec::new();
    for text in texts {
        let (at, value) = assignment(text, columns)?;
        ensure!(!known.iter().any(|k| k.0 == at), "--given {text}: the column is given twice");
        let constants = transform.constants();
        if let Some((_, always)) = constants.iter().find(|(name, _)| *name == columns[at].name) {
            ensure!(
                *always == value,
                "--given {text}: the data that were fitted have {always} throughout"
            );
        }
        if noise == 0.0 {
            let one = Array2::from_elem((1, 1), value);
            let row = filled(prepared, &[at], &one)?;
            transform.kind().check(row.view()).with_context(|| format!("--given {text}"))?;
        }
        known.push((at, value));
    }
    known.sort_by_key(|k| k.0);
    let values = Array2::from_shape_fn((1, known.len()), |(_, k)| known[k].1);
    Ok(Known { columns: known.into_iter().map(|k| k.0).collect(), values, noise })
}

/// The place and the number of `COLUMN=VALUE`, where a name may have a `=` in it.
fn assignment(text: &str, columns: &[Column]) -> Result<(usize, f64)> {
    let splits = text.match_indices('=').map(|(at, _)| (text[..at].trim(), text[at + 1..].trim()));
    let found = splits
        .into_iter()
        .find_map(|(name, value)| Some((columns.iter().position(|c| c.name == name)?, value)));
    let few = |names: &mut dyn Iterator<Item = &String>| {
        names.take(20).cloned().collect::<Vec<_>>().join(", ")
    };
    let (at, value) = found.with_context(|| {
        let names = few(&mut columns.iter().map(|c| &c.name));
        format!("--given {text}: expected COLUMN=VALUE with one of the columns {names}")
    })?;
    let number = match &columns[at].values {
        ColumnValues::Categories(of) => {
            let place = of.iter().position(|c| c == value);
            let place = place.with_context(|| {
                format!("--given {text}: `{value}` is none of {}", few(&mut of.iter()))
            })?;
            place as f64
        }
        _ => {
            let number = value.parse::<f64>().ok().filter(|v| v.is_finite());
            number.with_context(|| format!("--given {text}: `{value}` is no finite number"))?
        }
    };
    Ok((at, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_signs_in_them_and_categories_go_by_name() {
        let names = ["ash", "a=b"].map(String::from).to_vec();
        let columns =
            [Column::float("x"), Column::integer("x=y"), Column::categories("tree", names)];
        let found = |text: &str| assignment(text, &columns).map_err(|e| e.to_string());
        assert_eq!(found("x=1.5"), Ok((0, 1.5)));
        assert_eq!(found("x=y=3"), Err("--given x=y=3: `y=3` is no finite number".into()));
        assert_eq!(found("tree=a=b"), Ok((2, 1.0)));
        assert_eq!(found(" tree = ash"), Ok((2, 0.0)));
        let error = found("tree=elm").expect_err("refused");
        assert!(error.contains("`elm` is none of ash, a=b"), "{error}");
        let error = found("y=1").expect_err("refused");
        assert!(error.contains("x, x=y, tree"), "{error}");
    }
}
