//! Models by file name: networks, and targets whose scores are known in closed form.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use ndarray::{Array2, s};
use score_nets::{Backend, Kernels, ScoreModel, ScoreNet};
use sde_core::analytic::{AnalyticScore, DataSet, GaussianMixture};
use sde_core::sde::brief;
use sde_core::{Key, Score, Sde};
use serde::Deserialize;
use solvers::{ConfiguredMethod, Sampler, SolveError};

/// What `--model` names.
pub enum Model {
    /// A target in closed form, computed in `f64`.
    Analytic(Analytic),
    /// A trained network.
    Network(Box<ScoreNet>),
}

/// A target in closed form.
#[derive(Clone, Debug)]
pub enum Analytic {
    /// A mixture of Gaussians.
    Mixture(GaussianMixture),
    /// One of the two-dimensional data sets.
    DataSet(DataSet),
}

/// How a network is evaluated.
#[derive(Clone, Debug, Default)]
pub struct Precision {
    /// Device and element type.
    pub backend: Backend,
    /// Arithmetic.
    pub kernels: Kernels,
    /// Weights that do not say which network they belong to are those of arXiv 2311.15996.
    pub published: bool,
}

/// A JSON model, as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum File {
    GaussianMixture {
        weights: Vec<f64>,
        means: Vec<Vec<f64>>,
        covs: Vec<Vec<Vec<f64>>>,
    },
    #[serde(rename = "dataset")]
    DataSet {
        name: String,
    },
}

impl Model {
    /// Opens a model: `.json` for a closed form, anything else is a network's checkpoint.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, has unknown keys or values that no model can have.
    pub fn open(path: &Path, precision: &Precision) -> Result<Self> {
        if path.extension().is_some_and(|e| e == "json") {
            let shown = path.display();
            ensure!(!precision.published, "{shown} is a closed form: it takes no --architecture");
            return Ok(Self::Analytic(Analytic::open(path)?));
        }
        ensure!(path.exists(), "cannot read {}: no such file", path.display());
        let (dtype, device) = (precision.backend.dtype(), precision.backend.device());
        let net = match precision.published {
            true => ScoreNet::open_published(path, dtype, device)?,
            false => ScoreNet::open_as(path, dtype, device)?,
        };
        let net =
            net.with_kernels(precision.kernels).with_context(|| path.display().to_string())?;
        Ok(Self::Network(Box::new(net)))
    }

    /// Dimension of a point.
    pub fn dim(&self) -> usize {
        match self {
            Self::Analytic(target) => target.dim(),
            Self::Network(net) => net.dim(),
        }
    }

    /// Where it computes, and in what element type.
    ///
    /// # Errors
    /// When a network has an element type that no [`Backend`] has.
    pub fn backend(&self) -> Result<Backend> {
        Ok(match self {
            Self::Analytic(_) => Backend::default().with_dtype(DType::F64)?,
            Self::Network(net) => Backend::new(net.device().clone(), net.dtype())?,
        })
    }

    /// The SDE to use: the one that was asked for, or the network's own. A network is the score of
    /// one SDE: it cannot be used under another.
    ///
    /// # Errors
    /// When the SDE is unknown, not given for a closed form, or not the network's.
    pub fn sde(&self, asked: Option<&str>) -> Result<Box<dyn Sde>> {
        let sde = asked.map(sde_core::sde::parse).transpose()?;
        match (self, sde) {
            (Self::Analytic(_), Some(sde)) => Ok(sde),
            (Self::Analytic(_), None) => bail!("a closed form needs an SDE: give --sde"),
            (Self::Network(net), None) => Ok(sde_core::sde::parse(&net.sde().name())?),
            (Self::Network(net), Some(sde)) => {
                let (own, asked) = (net.sde().name(), sde.name());
                ensure!(
                    own == asked,
                    "the network was trained for the sde {}, not for {}",
                    brief(&own),
                    brief(&asked)
                );
                Ok(sde)
            }
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Analytic(target) => target.fmt(f),
            Self::Network(net) => f.debug_tuple("Network").field(net.config()).finish(),
        }
    }
}

impl Analytic {
    fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        Self::from_json(&bytes).with_context(|| format!("{name}"))
    }

    /// Reads a model in JSON.
    ///
    /// # Errors
    /// When it is damaged, has unknown keys or values that no model can have.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        Ok(match serde_json::from_slice(bytes)? {
            File::GaussianMixture { weights, means, covs } => {
                Self::Mixture(mixture(&weights, &means, &covs)?)
            }
            File::DataSet { name } => Self::DataSet(DataSet::parse(&name)?),
        })
    }

    /// Dimension of a point.
    pub fn dim(&self) -> usize {
        match self {
            Self::Mixture(mixture) => mixture.dim(),
            Self::DataSet(_) => 2,
        }
    }

    /// Its density and score at every time of an SDE.
    ///
    /// # Errors
    /// For a data set without a closed form.
    pub fn under<'a>(&self, sde: &'a dyn Sde) -> Result<AnalyticScore<'a>> {
        match self {
            Self::Mixture(mixture) => Ok(mixture.under(sde)),
            Self::DataSet(set) => set.under(sde).with_context(|| {
                format!("the data set {} has no closed form: it can only be drawn from", set.name())
            }),
        }
    }
}

/// A mixture from nested lists.
///
/// # Errors
/// When lists differ in length, or hold values that no mixture can have.
pub fn mixture(
    weights: &[f64],
    means: &[Vec<f64>],
    covs: &[Vec<Vec<f64>>],
) -> Result<GaussianMixture> {
    let k = weights.len();
    ensure!(means.len() == k, "{k} weights, but {} means", means.len());
    ensure!(covs.len() == k, "{k} weights, but {} covs", covs.len());
    let dim = means.first().map_or(0, Vec::len);
    let means = matrix(means, dim).context("means")?;
    let covs: Result<Vec<_>> = covs
        .iter()
        .enumerate()
        .map(|(i, cov)| {
            ensure!(cov.len() == dim, "covs[{i}]: expected {dim} rows, found {}", cov.len());
            matrix(cov, dim).with_context(|| format!("covs[{i}]"))
        })
        .collect();
    Ok(GaussianMixture::new(weights, &means, &covs?)?)
}

/// An array from its rows.
///
/// # Errors
/// When a row has another length than `columns`.
pub fn matrix(rows: &[Vec<f64>], columns: usize) -> Result<Array2<f64>> {
    for (i, row) in rows.iter().enumerate() {
        ensure!(row.len() == columns, "row {i}: expected {columns} entries, found {}", row.len());
    }
    Ok(Array2::from_shape_fn((rows.len(), columns), |(i, j)| rows[i][j]))
}

/// The rows of an array.
pub(crate) fn rows(x: &Array2<f64>) -> Vec<Vec<f64>> {
    x.rows().into_iter().map(|row| row.to_vec()).collect()
}

/// Rows as a tensor of a network's element type, where the network is.
///
/// # Shapes
/// `[B, D]` for `rows` of `[B, D]`.
///
/// # Errors
/// Whatever candle fails with.
pub fn to_tensor(rows: &Array2<f64>, net: &ScoreNet) -> Result<Tensor> {
    shaped(rows, &[rows.ncols()], (net.dtype(), net.device()))
}

/// Rows as a tensor of the shape that a model has them in.
///
/// # Shapes
/// `[B, C, H, W]` for `rows` of `[B, C H W]` and a model of images, `[B, D]` otherwise.
///
/// # Errors
/// When the rows have another number of entries; whatever candle fails with.
pub(crate) fn to_batch(rows: &Array2<f64>, model: &ScoreModel) -> Result<Tensor> {
    shaped(rows, &model.row_shape(), (model.dtype(), model.device()))
}

fn shaped(rows: &Array2<f64>, row: &[usize], to: (DType, &Device)) -> Result<Tensor> {
    let shape: Vec<usize> = [rows.nrows()].iter().chain(row).copied().collect();
    let flat: Vec<f64> = rows.iter().copied().collect();
    let host = Tensor::from_vec(flat, shape, &Device::Cpu)?.to_dtype(to.0)?;
    Ok(host.to_device(to.1)?)
}

/// The numbers of a tensor.
pub(crate) fn to_numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// A tensor as rows.
///
/// # Shapes
/// `[B, ...]` becomes `[B, D]`, each row flattened.
///
/// # Errors
/// When it has no dimension; whatever candle fails with.
pub fn to_rows(tensor: &Tensor) -> Result<Array2<f64>> {
    let n = tensor.dim(0)?;
    let flat = to_numbers(tensor)?;
    Ok(Array2::from_shape_vec((n, flat.len() / n.max(1)), flat)?)
}

/// Rows `[n, D]` that a sampler draws by a score of a model, and the evaluations for one of them; `go_on` hears of every
/// block of rows, and ends the drawing by an error.
///
/// # Errors
/// Whatever sampling fails with, and `go_on`.
pub(crate) fn drawn_rows(
    sampler: &Sampler<ConfiguredMethod>,
    model: &ScoreModel,
    score: &dyn Score<Tensor>,
    (n, key): (usize, Key),
    go_on: &mut (dyn FnMut(u64) -> Result<()> + Send),
) -> Result<(Array2<f64>, u64)> {
    let mut rows = Array2::zeros((n, model.dim()));
    let like = to_batch(&Array2::zeros((1, model.dim())), model)?;
    let mut sink = |first: u64, x: Tensor| {
        let x = to_rows(&x)?;
        go_on(x.nrows() as u64)?;
        let first = first as usize;
        rows.slice_mut(s![first..first + x.nrows(), ..]).assign(&x);
        Ok::<(), Stopped>(())
    };
    let summary = solvers::sample(sampler, model.sde(), score, n as u64, key, &like, &mut sink);
    let nfe = summary.map_err(|e| e.0)?.nfe;
    Ok((rows, nfe))
}

/// An error of ours on its way through a solver.
struct Stopped(anyhow::Error);

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl From<SolveError> for Stopped {
    fn from(error: SolveError) -> Self {
        Self(error.into())
    }
}
