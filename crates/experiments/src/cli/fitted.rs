//! `sample` of a model that was fitted to data: rows in the units of the data, in any of their formats.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{Device, Tensor};
use control::{Guidance, Strength};
use data::Labels;
use ndarray::{Array2, s};
use score_nets::{Backend, ScoreModel};
use sde_core::counts::in_memory;
use sde_core::sde::brief;
use sde_core::{Key, Score, Sde};
use serde_json::json;
use solvers::{ConfiguredMethod, Sampler, SolveError};

use super::Output;
use crate::fit::Prepared;
use crate::model::{to_batch, to_rows};

/// What is said of a class and how strongly.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub(super) struct ClassOptions {
    /// The class of every sample, by name or number, of a model with classes (default: no class)
    #[arg(long, value_name = "NAME|K")]
    pub(super) class: Option<String>,
    /// Classifier-free guidance: 1 is the model of the class, more is further from the model without (default: 1)
    #[arg(long, value_name = "W", requires = "class", allow_negative_numbers = true)]
    pub(super) guidance: Option<f64>,
}

impl ClassOptions {
    /// Refuses a class where there are none.
    pub(super) fn refuse(&self) -> Result<()> {
        match &self.class {
            Some(class) => bail!("--class {class}: the model has no classes"),
            None => Ok(()),
        }
    }
}

/// How many samples of which class go where.
pub(super) struct Draw<'a> {
    pub(super) n: u64,
    pub(super) seed: u64,
    pub(super) class: &'a ClassOptions,
    pub(super) out: &'a Path,
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
        let prepared = Prepared::of_model(&model).with_context(|| {
            format!(
                "{}: a model that was not fitted by `experiment fit` has no rows to draw",
                shown()
            )
        })?;
        let prepared = prepared.with_context(shown)?;
        Ok(Some(Self { model, prepared }))
    }

    /// The number of a class.
    fn class(&self, name: &str) -> Result<u32> {
        let n = self.model.n_classes();
        ensure!(n > 0, "--class {name}: the model has no classes");
        let classes = self.prepared.transform.classes();
        let named = classes.iter().position(|c| c == name);
        let number = named.or_else(|| name.parse().ok().filter(|k| *k < n));
        let known = classes.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
        let number = number.with_context(|| format!("--class {name}: expected one of {known}"))?;
        Ok(number as u32)
    }

    /// Its process.
    pub(super) fn sde(&self) -> &dyn Sde {
        self.model.sde()
    }

    /// Draws, turns into rows of data, writes.
    pub(super) fn sample(
        &self,
        sampler: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let (sde, n) = (self.model.sde(), args.n);
        let columns = self.prepared.transform.model_dim() as u64;
        // The rows of the model, those of the data, and what is written.
        in_memory(&[("samples", n), ("columns", columns)], 24)?;
        let class = args.class.class.as_deref().map(|name| self.class(name)).transpose()?;
        let all = class
            .map(|class| Tensor::from_vec(vec![class; n as usize], n as usize, &Device::Cpu))
            .transpose()?;
        let (given, plain) = (self.model.with_labels(all.as_ref())?, self.model.with_labels(None)?);
        let guided;
        let score: &dyn Score<Tensor> = match args.class.guidance {
            None => &given,
            Some(w) => {
                guided = Guidance::new(sde, &given, &plain, Strength::Constant(w));
                &guided
            }
        };
        let mut rows = Array2::zeros((n as usize, self.prepared.transform.model_dim()));
        let like = to_batch(&Array2::zeros((1, rows.ncols())), &self.model)?;
        let mut sink = |first: u64, x: Tensor| {
            let x = to_rows(&x).map_err(|e| SolveError::Setup(sde_core::Error::Model(e.into())))?;
            let first = first as usize;
            rows.slice_mut(s![first..first + x.nrows(), ..]).assign(&x);
            Ok::<(), SolveError>(())
        };
        let summary =
            solvers::sample(sampler, sde, score, n, Key::root(args.seed), &like, &mut sink)?;
        let rows = self.prepared.to_data(rows.view())?;
        let labels = class.map(|class| Labels {
            of: vec![class; n as usize],
            classes: self.prepared.transform.classes().to_vec(),
        });
        output.replacing(args.out);
        data::save(args.out, self.prepared.transform.kind(), rows.view(), labels.as_ref())?;
        let seconds = start.elapsed().as_secs_f64();
        let report = json!({
            "out": args.out, "n": n, "dim": rows.ncols(), "sde": sde.name(), "class": args.class.class,
            "guidance": args.class.guidance, "method": sampler.method.name(), "eta": sampler.eta,
            "end": sampler.end.name(), "nfe": summary.nfe, "seed": args.seed, "seconds": seconds,
        });
        let text = format!(
            "{n} samples in {}: {} on {} with eta = {}, {} evaluations a row, {seconds:.2} s",
            args.out.display(),
            sampler.method.name(),
            brief(&sde.name()),
            sampler.eta,
            summary.nfe
        );
        output.emit(&report, &text)
    }
}
