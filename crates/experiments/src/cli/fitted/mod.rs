//! Models that were fitted to data: samples, densities and latents in the units of the data, in any of their formats.

mod densities;
mod draw;
mod given;
mod latents;
mod measured;
mod said;
mod steered;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{Device, Tensor};
use data::{Dataset, Labels};
use score_nets::{Backend, LabelledModel, ScoreModel};
use sde_core::Sde;
use sde_core::sde::brief;

pub(super) use densities::Densities;
pub(super) use draw::{Draw, Unsaid};
pub(super) use given::ControlOptions;
pub(super) use latents::Flow;

use crate::checks::data_path;
use crate::fit::{Prepared, Usual};

/// The class of rows, of a model with classes.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub(super) struct ClassOptions {
    /// The class of every row, by name or number, of a fitted model with classes (default: no class)
    #[arg(long, value_name = "NAME|K")]
    pub(super) class: Option<String>,
    /// Instead of --class: a row has the class of the same row of this data file
    #[arg(long, value_name = "DATA", conflicts_with = "class")]
    pub(super) class_of: Option<PathBuf>,
}

impl ClassOptions {
    /// Refuses a class where there are none.
    pub(super) fn refuse(&self) -> Result<()> {
        match (&self.class, &self.class_of) {
            (Some(class), _) => bail!("--class {class}: the model has no classes"),
            (_, Some(path)) => bail!("--class-of {}: the model has no classes", path.display()),
            _ => Ok(()),
        }
    }
}

/// A model and what its rows are.
pub(super) struct Fitted {
    model: ScoreModel,
    prepared: Prepared,
}

impl Fitted {
    /// The model in a file, where it was fitted to data.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(super) fn open(path: &Path, backend: &Backend) -> Result<Option<Self>> {
        if !super::network::is_score_model(path) {
            return Ok(None);
        }
        let model = ScoreModel::open_on(path, Some(backend))?;
        let shown = || path.display().to_string();
        let prepared = Prepared::noted_in(model.config().data.as_ref()).with_context(|| {
            format!(
                "{}: a model that was not fitted by `experiment fit` has no rows to draw",
                shown()
            )
        })?;
        let prepared = prepared.with_context(shown)?;
        let (model_dim, dim) = (model.dim(), prepared.transform.model_dim());
        ensure!(
            model_dim == dim,
            "{}: a network of {model_dim} numbers for data of {dim}",
            shown()
        );
        Ok(Some(Self { model, prepared }))
    }

    /// Its process.
    pub(super) fn sde(&self) -> &dyn Sde {
        self.model.sde()
    }

    /// Refuses another process than its own.
    pub(super) fn check_sde(&self, asked: Option<&str>) -> Result<()> {
        let Some(asked) = asked else { return Ok(()) };
        let (own, asked) = (self.sde().name(), sde_core::sde::parse(asked)?.name());
        ensure!(
            own == asked,
            "the network was trained for the sde {}, not for {}",
            brief(&own),
            brief(&asked)
        );
        Ok(())
    }

    /// Coordinates of its latents.
    pub(super) fn dim(&self) -> usize {
        self.model.dim()
    }

    /// What is done where nothing else is said.
    pub(super) fn usual(&self) -> Usual {
        self.prepared.usual(self.sde())
    }

    /// Rows of a data file, in the columns and the units of the model's.
    fn rows(&self, path: &Path) -> Result<Dataset> {
        let kind = self.prepared.transform.kind();
        if data_path(path)? == crate::checks::DIGITS {
            return Ok(data::digits().conform(kind)?);
        }
        let columns = [self.prepared.labels.as_str(), "label"];
        let columns = columns.into_iter().filter(|c| !c.is_empty()).collect::<Vec<_>>();
        Ok(data::open_as(path, kind, &columns)?)
    }

    /// The number of one of `n` classes.
    fn class(&self, name: &str, n: usize) -> Result<u32> {
        ensure!(n > 0, "--class {name}: the model has no classes");
        let classes = self.prepared.transform.classes();
        let named = classes.iter().position(|c| c == name);
        let number = named.or_else(|| name.parse().ok().filter(|k| *k < n));
        let known = classes.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
        let number = number.with_context(|| format!("--class {name}: expected one of {known}"))?;
        Ok(number as u32)
    }

    /// The classes of `n` rows, where they are said.
    fn classes(&self, options: &ClassOptions, n: usize) -> Result<Option<Labels>> {
        self.classes_of(options, n, self.model.n_classes())
    }

    /// The classes of `n` rows, where they are said and a model has so many.
    fn classes_of(&self, options: &ClassOptions, n: usize, all: usize) -> Result<Option<Labels>> {
        let classes = self.prepared.transform.classes();
        if let Some(name) = &options.class {
            let of = vec![self.class(name, all)?; n];
            return Ok(Some(Labels { of, classes: classes.to_vec() }));
        }
        let Some(path) = &options.class_of else { return Ok(None) };
        let shown = path.display();
        ensure!(all > 0, "--class-of {shown}: the model has no classes");
        let data = self.rows(path)?;
        let labels = data.labels().with_context(|| {
            format!(
                "--class-of {shown}: the file says no classes (a column `label`, subfolders, ...)"
            )
        })?;
        let found = labels.of.len();
        ensure!(found == n, "--class-of {shown}: {found} rows, expected {n}");
        let among = labels.among(classes);
        Ok(Some(among.with_context(|| format!("--class-of {shown}"))?))
    }

    /// The model of rows with these classes, each of so many particles.
    fn labelled(&self, labels: Option<&Labels>, particles: usize) -> Result<LabelledModel<'_>> {
        let Some(labels) = labels else { return Ok(self.model.with_labels(None)?) };
        let n = labels.of.len() * particles;
        let classes = self.model.n_classes() as u64;
        sde_core::counts::in_memory(&[("particles", n as u64), ("classes", classes)], 12)?;
        let all = labels.of.iter().flat_map(|class| std::iter::repeat_n(*class, particles));
        let all = Tensor::from_vec(all.collect::<Vec<_>>(), n, &Device::Cpu)?;
        Ok(self.model.with_labels(Some(&all))?)
    }
}
