//! A classifier of noised data, `p(c | x_t = x)`: any network of logits under any linear process.

mod file;
mod labelled;
mod loss;

use std::sync::Arc;

use candle_core::Tensor;
use ndarray::{Array2, s};
use sde_core::{Key, Level, Preconditioning, Sde};
use serde::{Deserialize, Serialize};

pub use labelled::LabelledClassifier;
pub use loss::CrossEntropy;

use crate::{
    Architecture, Backend, Condition, Error, Jet, Network, Parameters, Result, check_inputs,
    model::text, net::to_host,
};

/// Everything about a [`Classifier`] but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The network: as many outputs as there are classes.
    pub network: Architecture,
    /// What it is given.
    #[serde(with = "text")]
    pub preconditioning: Preconditioning,
    /// The forward process, by name ([`sde_core::sde::parse`]).
    pub sde: String,
    /// What a row is: how it came from the user's data, in the form of whoever prepared them. It stays with the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl ClassifierConfig {
    /// A network of the library under a process, which is given what a model of Karras et al. 2022 is: the point with unit
    /// variance, and `log(sigma / alpha) / 4`.
    pub fn edm(network: Architecture, sigma_data: f64, sde: &str) -> Self {
        let preconditioning = Preconditioning::edm(sigma_data);
        Self { network, preconditioning, sde: sde.into(), data: None }
    }
}

/// Rows that are evaluated together where only values are asked for.
const BLOCK: usize = 256;

/// A model of the class of noised data,
///
/// `log p(c | x_t = x) = F_c - log sum_k exp F_k`, `F = F(c_in(t) x; c_noise(t))`,
///
/// with [`CrossEntropy`] as its loss. The number of classes is that of the outputs of the network. Its gradient steers a
/// score (`control::ClassifierGuidance`): [`Classifier::with_labels`] is the [`sde_core::LogLikelihood`] of particles with
/// classes. Evaluations are detached from the parameters.
///
/// # Reference
/// Sohl-Dickstein et al. 2015, arXiv 1503.03585; Song et al. 2021, arXiv 2011.13456, appendix I; Dhariwal, Nichol 2021,
/// arXiv 2105.05233, section 4.
///
/// ```
/// use ndarray::array;
/// use score_nets::{Architecture, Backend, Classifier, ClassifierConfig};
/// use sde_core::{Key, LogLikelihood};
/// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 16, "blocks": 1, "outputs": 3}}"#;
/// let config = ClassifierConfig::edm(Architecture::parse(json)?, 0.5, "edm");
/// let classifier = Classifier::new(config, Key::root(1), &Backend::cpu())?;
/// let x = array![[0.1, -0.4], [2.0, 1.0]];
/// let log = classifier.log_probabilities(&x, 0.5)?;
/// assert!(log.rows().into_iter().all(|row| (row.mapv(f64::exp).sum() - 1.0).abs() < 1e-5));
/// // The first particle is of class 2, the second of class 0.
/// let (of_class, gradient) = classifier.with_labels(vec![2, 0])?.log_likelihood(&x, 0.5)?;
/// assert_eq!((of_class[0], of_class[1], gradient.dim()), (log[[0, 2]], log[[1, 0]], (2, 2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Classifier {
    config: ClassifierConfig,
    sde: Arc<dyn Sde>,
    parameters: Parameters,
    /// Around the parameters, with a graph that leads back to them.
    live: Box<dyn Network>,
    /// Around the same values: no operation on it is recorded.
    detached: Box<dyn Network>,
}

impl Classifier {
    /// A classifier with initial parameters under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] when the configuration does not work; [`Error::Shape`] for a network whose output is not one
    /// number for each of two classes or more.
    pub fn new(config: ClassifierConfig, key: Key, backend: &Backend) -> Result<Self> {
        let parameters = config.network.initial(key, backend)?;
        Self::around(config, parameters)
    }

    /// The classifier around parameters that fit it.
    fn around(config: ClassifierConfig, parameters: Parameters) -> Result<Self> {
        let sde = Arc::from(sde_core::sde::parse(&config.sde)?);
        let live = config.network.build(parameters.live())?;
        let detached = config.network.build(parameters.detached())?;
        let found = live.out_shape();
        if found.len() != 1 || found[0] < 2 {
            let what = "output of the network of a classifier".into();
            let expected = vec![found.first().map_or(2, |k| 2.max(*k))];
            return Err(Error::Shape { what, expected, found });
        }
        if live.n_classes() > 0 {
            let reason = "a classifier is not told the class";
            return Err(Error::setting("classes of the network's input", live.n_classes(), reason));
        }
        Ok(Self { config, sde, parameters, live, detached })
    }

    /// Everything but the weights.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The forward process.
    pub fn sde(&self) -> &dyn Sde {
        &*self.sde
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The shape of a row of the data.
    pub fn row_shape(&self) -> Vec<usize> {
        self.live.row_shape()
    }

    /// Numbers in a row of the data.
    pub fn dim(&self) -> usize {
        self.row_shape().iter().product()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.live.out_shape()[0]
    }

    /// The likelihood of particles with these classes: one a particle, or one for all.
    ///
    /// # Errors
    /// [`Error::Setting`] for a label that is no class, or for none at all.
    pub fn with_labels(&self, labels: Vec<u32>) -> Result<LabelledClassifier<'_>> {
        LabelledClassifier::new(self, labels)
    }

    /// `log p(c | x_t = x)` of every row and class.
    ///
    /// # Shapes
    /// `x` is `[B, D]`, what is returned `[B, K]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` does not fit; a time that is not finite.
    pub fn log_probabilities(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        self.in_blocks(x, self.n_classes(), |x| {
            let t = vec![t; x.dim(0)?];
            self.log_softmax(&*self.detached, x, &t, &Condition::default())
        })
    }

    /// What the last linear map of the network is applied to, of every row at time `t`.
    ///
    /// # Shapes
    /// `x` is `[B, D]`, what is returned `[B, F]`.
    ///
    /// # Errors
    /// As [`Classifier::log_probabilities`]; [`Error::Unsupported`] for a network without such a layer.
    pub fn features(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        self.in_blocks(x, 0, |x| {
            let (u, c) = self.inputs(x, &vec![t; x.dim(0)?])?;
            let (u, c) = (Jet::constant(u), Jet::constant(c));
            Ok(self.detached.features(&u, &c, &Condition::default())?.value)
        })
    }

    /// A function of rows, some at a time; `width` is that of its value where there are no rows.
    fn in_blocks(
        &self,
        x: &Array2<f64>,
        width: usize,
        f: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((x.nrows(), width));
        for first in (0..x.nrows()).step_by(BLOCK) {
            let end = (first + BLOCK).min(x.nrows());
            let found = f(&self.tensor(&x.slice(s![first..end, ..]).to_owned())?)?;
            if out.ncols() != found.dim(1)? {
                out = Array2::zeros((x.nrows(), found.dim(1)?));
            }
            let flat = to_host(&found)?;
            let values = flat.chunks(out.ncols().max(1));
            for (mut row, values) in
                out.slice_mut(s![first..end, ..]).rows_mut().into_iter().zip(values)
            {
                row.iter_mut().zip(values).for_each(|(out, value)| *out = *value);
            }
        }
        Ok(out)
    }

    /// Rows in the shape and the element type of the network.
    fn tensor(&self, x: &Array2<f64>) -> Result<Tensor> {
        let (rows, dim) = x.dim();
        if dim != self.dim() {
            let (expected, found) = (vec![rows, self.dim()], vec![rows, dim]);
            return Err(Error::Shape { what: "batch x".into(), expected, found });
        }
        let shape: Vec<usize> = [rows].into_iter().chain(self.row_shape()).collect();
        self.parameters.backend().tensor(x.iter().copied().collect(), &shape)
    }

    /// What the network is given: `c_in x`, `[B, ...]`, and `c_noise`, `[B]`.
    fn inputs(&self, x: &Tensor, t: &[f64]) -> Result<(Tensor, Tensor)> {
        let (sde, backend) = (&*self.sde, self.parameters.backend());
        if let Some(&t) = t.iter().find(|t| !t.is_finite()) {
            return Err(sde_core::Error::Time { t, horizon: sde.horizon() }.into());
        }
        if x.dtype() != backend.dtype {
            let (own, found) = (backend.dtype.as_str(), x.dtype().as_str());
            let needs = format!("batches of {own}, not {found}");
            return Err(Error::Unsupported { what: "this network", needs });
        }
        let Preconditioning { input, label } = &self.config.preconditioning;
        let at = |t: &f64| (input.at(&Level::at(sde, *t)), label.at(sde, *t));
        let (c_in, c_noise): (Vec<f64>, Vec<f64>) = t.iter().map(at).unzip();
        let mut column = vec![1; x.rank()];
        column[0] = t.len();
        let c_noise = backend.tensor(c_noise, &[t.len()])?;
        check_inputs(&*self.live, x, &c_noise, &Condition::default())?;
        Ok((x.broadcast_mul(&backend.tensor(c_in, &column)?)?, c_noise))
    }

    /// `log p(c | x_t)` of rows at their times, `[B, K]`.
    fn log_softmax(
        &self,
        net: &dyn Network,
        x: &Tensor,
        t: &[f64],
        condition: &Condition,
    ) -> Result<Tensor> {
        let (u, c) = self.inputs(x, t)?;
        let logits = net.forward(&Jet::constant(u), &Jet::constant(c), condition)?.value;
        let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
        let sum = shifted.exp()?.sum_keepdim(1)?;
        Ok(shifted.broadcast_sub(&sum.log()?)?)
    }
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classifier").field("config", &self.config).finish_non_exhaustive()
    }
}
