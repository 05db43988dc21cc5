//! Residual networks of tables.

use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::{
    Condition, Error, Jet, Network, Result,
    layers::{
        Dropout, Fourier, GroupNorm, LabelEmbedding, Linear, Order, check_probability, drop_labels,
        silu,
    },
    network::check_inputs,
    unet::{WIDEST, at_most},
};

/// The arguments of a [`ResidualMlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualMlpConfig {
    /// Numbers in a row.
    pub dim: usize,
    /// Features.
    pub width: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Width of the embedding of the noise level.
    #[serde(default = "default_embedding")]
    pub embedding: usize,
    /// Standard deviation of its frequencies: about one over the change of `c` that matters.
    #[serde(default = "default_scale")]
    pub fourier_scale: f64,
    /// Number of classes; 0 for none.
    #[serde(default)]
    pub classes: usize,
    /// Numbers of the output; those of a row where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// Probability of dropout.
    #[serde(default)]
    pub dropout: f64,
    /// Probability of a row to lose its class in training.
    #[serde(default)]
    pub label_dropout: f64,
}

fn default_embedding() -> usize {
    128
}

fn default_scale() -> f64 {
    1.0
}

impl ResidualMlpConfig {
    /// Four blocks of 256 features.
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            width: 256,
            blocks: 4,
            embedding: default_embedding(),
            fourier_scale: default_scale(),
            classes: 0,
            outputs: None,
            dropout: 0.0,
            label_dropout: 0.0,
        }
    }

    /// The network.
    ///
    /// # Errors
    /// [`Error::Setting`] for sizes of 0 and an odd or small embedding; whatever the source of the tensors
    /// fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<ResidualMlp> {
        let outputs = self.outputs.unwrap_or(self.dim);
        for (name, n) in [
            ("dim", self.dim),
            ("width", self.width),
            ("blocks", self.blocks),
            ("outputs", outputs),
        ] {
            if n == 0 {
                return Err(Error::setting(name, n, "must be positive"));
            }
            at_most(name, n, WIDEST)?;
        }
        at_most("embedding or classes", self.embedding.max(self.classes), WIDEST)?;
        if self.embedding < 2 || !self.embedding.is_multiple_of(2) {
            return Err(Error::setting("embedding", self.embedding, "must be even and positive"));
        }
        if !(self.fourier_scale > 0.0 && self.fourier_scale.is_finite()) {
            return Err(Error::setting("fourier_scale", self.fourier_scale, "must be positive"));
        }
        check_probability("label_dropout", self.label_dropout)?;
        let (e, w) = (self.embedding, self.width);
        let time = vb.pp("time");
        let features =
            Fourier::new(&time, "frequencies", e / 2, self.fourier_scale, false, Order::SinCos)?;
        let label = match self.classes {
            0 => None,
            k => Some(LabelEmbedding::table(&vb.pp("label"), k, e)?),
        };
        let block = |i: usize| Block::new(&vb.pp("blocks").pp(i), w, e, self.dropout);
        Ok(ResidualMlp {
            features,
            time: [Linear::new(&time.pp(0), e, e, 1.0)?, Linear::new(&time.pp(1), e, e, 1.0)?],
            label,
            input: Linear::new(&vb.pp("input"), self.dim, w, 1.0)?,
            blocks: (0..self.blocks).map(block).collect::<Result<_>>()?,
            norm: GroupNorm::new(&vb.pp("norm"), w, 1, 1e-5)?,
            output: Linear::new(&vb.pp("output"), w, outputs, 1e-5)?,
            frequencies: time.pp("frequencies").prefix(),
            config: self.clone(),
        })
    }
}

/// A residual network of rows of numbers: `h <- h + W_2 dropout(silu((1 + s) W_1 silu(norm h) + b))`, `s`
/// and `b` from an embedding of noise level and class, between a linear map in and one out.
///
/// ```
/// use score_nets::{Backend, Condition, Jet, Network, Parameters, ResidualMlpConfig};
/// let config = ResidualMlpConfig { width: 16, ..ResidualMlpConfig::new(5) };
/// let (key, backend) = (sde_core::Key::root(1), Backend::cpu());
/// let parameters = Parameters::initial(key, &backend, |vb| Ok(config.build(vb)?.buffers()))?;
/// let net = config.build(parameters.detached())?;
/// let x = Jet::constant(backend.tensor(vec![0.3; 10], &[2, 5])?);
/// let c = Jet::constant(backend.tensor(vec![0.1, 0.2], &[2])?);
/// let y = net.forward(&x, &c, &Condition::default())?;
/// assert_eq!(y.value.dims(), [2, 5]);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Debug)]
pub struct ResidualMlp {
    features: Fourier,
    time: [Linear; 2],
    label: Option<LabelEmbedding>,
    input: Linear,
    blocks: Vec<Block>,
    norm: GroupNorm,
    output: Linear,
    frequencies: String,
    config: ResidualMlpConfig,
}

#[derive(Debug)]
struct Block {
    norm: GroupNorm,
    first: Linear,
    embedding: Linear,
    dropout: Dropout,
    second: Linear,
}

impl Block {
    fn new(vb: &VarBuilder<'static>, width: usize, embedding: usize, dropout: f64) -> Result<Self> {
        Ok(Self {
            norm: GroupNorm::new(&vb.pp("norm"), width, 1, 1e-5)?,
            first: Linear::new(&vb.pp("first"), width, width, 1.0)?,
            embedding: Linear::new(&vb.pp("embedding"), embedding, 2 * width, 1.0)?,
            dropout: Dropout::new(dropout, &vb.prefix())?,
            second: Linear::new(&vb.pp("second"), width, width, 1e-5)?,
        })
    }

    fn forward(&self, h: &Jet, e: &Jet, condition: &Condition) -> Result<Jet> {
        let z = self.first.forward(&self.norm.forward_silu(h)?)?;
        let e = self.embedding.forward(e)?;
        let width = z.value.dim(1)?;
        let scale = e.map(|t| Ok(t.narrow(1, 0, width)?))?;
        let scale = scale.affine((&scale.value + 1.0)?, |t| Ok(t.clone()))?;
        let shift = e.map(|t| Ok(t.narrow(1, width, width)?))?;
        let z = silu(&z.mul(&scale)?.add(&shift)?)?;
        h.add(&self.second.forward(&self.dropout.forward(&z, condition)?)?)
    }
}

impl Network for ResidualMlp {
    fn row_shape(&self) -> Vec<usize> {
        vec![self.config.dim]
    }

    fn out_shape(&self) -> Vec<usize> {
        vec![self.config.outputs.unwrap_or(self.config.dim)]
    }

    fn n_classes(&self) -> usize {
        self.config.classes
    }

    fn forward(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet> {
        self.output.forward(&self.features(x, c, condition)?)
    }

    fn features(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet> {
        let rows = check_inputs(self, &x.value, &c.value, condition)?;
        let mut e = self.features.forward(&c.map(|t| Ok(t.flatten_all()?))?)?;
        e = self.time[1].forward(&silu(&self.time[0].forward(&e)?)?)?;
        if let Some(label) = &self.label {
            let p = self.config.label_dropout;
            let condition = drop_labels(condition, p, rows, self.config.classes, &x.value)?;
            if let Some(weights) = condition.one_hot(rows, self.config.classes, &x.value)? {
                e = e.add(&label.forward(&weights)?)?;
            }
        }
        let e = silu(&e)?;
        let as_rows = |t: &candle_core::Tensor| {
            let rows = if t.rank() == 2 { t.dim(0)? } else { 1 };
            Ok(t.broadcast_as((rows, self.config.dim))?.contiguous()?)
        };
        let mut h = self.input.forward(&x.map(as_rows)?)?;
        for block in &self.blocks {
            h = block.forward(&h, &e, condition)?;
        }
        self.norm.forward_silu(&h)
    }

    fn buffers(&self) -> Vec<String> {
        vec![self.frequencies.clone()]
    }
}
