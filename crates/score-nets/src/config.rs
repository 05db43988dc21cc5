//! The configuration of a score network: everything but its weights.

use serde::{Deserialize, Serialize};

use crate::{Activation, Error, Result};

/// The function of time that a network sees.
///
/// With `v(t) = alpha^2 V + sigma^2` (`V` the variance of [`Base::Gaussian`], 1 without a base) and
/// the share of noise `r(t) = sigma^2 / v`, which goes from near 0 to 1:
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum TimeFeature {
    /// `t` itself.
    Raw,
    /// `t / T`.
    Fraction,
    /// `-lambda(t) = log(sigma / alpha)`; its derivative has no bound where `sigma(0) = 0`.
    LogSnr,
    /// `r(t)`; slow where the data's detail appears.
    VarianceRatio,
    /// `log(r + floor)`, mapped onto [-1, 1]: even resolution over noise levels down to `floor`, with
    /// a bounded derivative at `t = 0`.
    LogVariance {
        /// The share of noise below which levels are no longer told apart.
        floor: f64,
    },
    /// `sqrt(r + floor)`, the relative noise amplitude.
    RootVariance {
        /// The share of noise below which levels are no longer told apart.
        floor: f64,
    },
    /// `log(t / T + shift)`, mapped onto [-1, 1]: even resolution over times down to `shift T`, and unlike that of noise levels
    /// up to the horizon.
    LogTime {
        /// The share of the horizon below which times are no longer told apart.
        shift: f64,
    },
}

impl Default for TimeFeature {
    fn default() -> Self {
        Self::LogVariance { floor: 0.01 }
    }
}

/// How the time feature `tau` enters the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum TimeEmbedding {
    /// As one input.
    #[default]
    Plain,
    /// As `tau` and `sin(w_j tau), cos(w_j tau)`, `w_j` geometric from 1 to `max-frequency`.
    Fourier {
        /// Number of frequencies.
        bands: usize,
        /// The highest frequency, in radians per unit of `tau`.
        max_frequency: f64,
    },
}

impl TimeEmbedding {
    /// Number of inputs it makes.
    pub fn width(&self) -> usize {
        match *self {
            Self::Plain => 1,
            Self::Fourier { bands, .. } => 1_usize.saturating_add(bands.saturating_mul(2)),
        }
    }
}

/// What the network's output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// A scalar potential `phi`; the score is its gradient.
    #[default]
    Potential,
    /// The score itself, one output a coordinate.
    Score,
}

/// The closed-form part that a network is added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Base {
    /// None: `phi = N(tau(t), x)` (or `s = N(tau(t), x)`).
    #[default]
    None,
    /// The exactly evolving centred Gaussian of variance `v(t) = alpha^2 variance + sigma^2`, and a
    /// network on inputs of variance `input_scale^2`: with `k(t) = input_scale / sqrt(v)`,
    ///
    /// `phi = -|x|^2 / (2 v) - (D/2) log v + N(tau(t), k x)`, or `s = -x / v + k N(tau(t), k x)`.
    Gaussian {
        /// Variance of a coordinate of the data.
        variance: f64,
        /// Standard deviation of the network's inputs: the larger, the finer what it learns first.
        #[serde(default = "one")]
        input_scale: f64,
    },
}

/// Everything about a score network but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetConfig {
    /// Dimension `D` of the data.
    pub dim: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// The activation between layers.
    pub activation: Activation,
    /// The function of time that the network sees.
    #[serde(default)]
    pub time: TimeFeature,
    /// How it enters.
    #[serde(default)]
    pub embedding: TimeEmbedding,
    /// What the output is.
    #[serde(default)]
    pub output: Output,
    /// What the network is added to.
    #[serde(default)]
    pub base: Base,
    /// The forward SDE, by name ([`sde_core::sde::parse`]).
    pub sde: String,
    /// What the network is trained for, in whatever words let its maker know it again; it changes
    /// nothing else, and stays with the weights in every file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

impl NetConfig {
    /// The potential network of Deveney et al., arXiv 2311.15996: 3-80-80-80-1, softplus with
    /// `beta = 100`, inputs `(t, x, y)`, Ornstein-Uhlenbeck process on [0, 10].
    ///
    /// ```
    /// let net = score_nets::NetConfig::published();
    /// assert_eq!((net.n_inputs(), net.n_parameters()), (3, 13_361));
    /// ```
    pub fn published() -> Self {
        Self {
            dim: 2,
            hidden: vec![80; 3],
            activation: Activation::Softplus { beta: 100.0 },
            time: TimeFeature::Raw,
            embedding: TimeEmbedding::Plain,
            output: Output::Potential,
            base: Base::None,
            sde: "ou".into(),
            identity: None,
        }
    }

    /// A potential on top of the Gaussian of the data's `variance`, with the default time feature.
    pub fn with_gaussian_base(
        dim: usize,
        hidden: Vec<usize>,
        activation: Activation,
        variance: f64,
        sde: &str,
    ) -> Self {
        Self {
            dim,
            hidden,
            activation,
            time: TimeFeature::default(),
            embedding: TimeEmbedding::Plain,
            output: Output::Potential,
            base: Base::Gaussian { variance, input_scale: 1.0 },
            sde: sde.into(),
            identity: None,
        }
    }

    /// Number of inputs of the network: those of time, then those of space.
    pub fn n_inputs(&self) -> usize {
        self.embedding.width().saturating_add(self.dim)
    }

    /// Number of outputs of the network.
    pub fn n_outputs(&self) -> usize {
        match self.output {
            Output::Potential => 1,
            Output::Score => self.dim,
        }
    }

    /// Name and `(outputs, inputs)` of every layer, in order: `input`, `hidden1`, ..., `output`.
    pub fn layers(&self) -> Vec<(String, usize, usize)> {
        let mut widths = vec![self.n_inputs()];
        widths.extend(&self.hidden);
        widths.push(self.n_outputs());
        let last = widths.len() - 2;
        let name = |i: usize| match i {
            i if i == last => "output".to_string(),
            0 => "input".to_string(),
            i => format!("hidden{i}"),
        };
        (0..=last).map(|i| (name(i), widths[i + 1], widths[i])).collect()
    }

    /// Number of trainable scalars.
    pub fn n_parameters(&self) -> usize {
        let layers = self.layers();
        let sizes = layers.iter().map(|(_, o, i)| o.saturating_mul(i.saturating_add(1)));
        sizes.fold(0, usize::saturating_add)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Sde`] naming the first setting that does not work.
    pub fn validate(&self) -> Result<()> {
        let positive = |name: &str, v: f64| match v.is_finite() && v > 0.0 {
            true => Ok(()),
            false => Err(Error::setting(name, v, "must be finite and positive")),
        };
        if self.dim == 0 {
            return Err(Error::setting("dim", 0, "must be at least 1"));
        }
        if self.hidden.is_empty() || self.hidden.contains(&0) {
            let shown = format!("{:?}", self.hidden);
            return Err(Error::setting(
                "hidden",
                shown,
                "needs at least one layer, none of width 0",
            ));
        }
        if let Activation::Softplus { beta } = self.activation {
            positive("activation.beta", beta)?;
        }
        if let TimeFeature::LogVariance { floor } | TimeFeature::RootVariance { floor } = self.time
        {
            positive("time.floor", floor)?;
        }
        if let TimeFeature::LogTime { shift } = self.time {
            positive("time.shift", shift)?;
        }
        if let TimeEmbedding::Fourier { bands, max_frequency } = self.embedding {
            if bands == 0 {
                return Err(Error::setting("embedding.bands", 0, "must be at least 1"));
            }
            positive("embedding.max-frequency", max_frequency)?;
        }
        if let Base::Gaussian { variance, input_scale } = self.base {
            positive("base.variance", variance)?;
            positive("base.input-scale", input_scale)?;
        }
        sde_core::sde::parse(&self.sde)?;
        Ok(())
    }
}

fn one() -> f64 {
    1.0
}
