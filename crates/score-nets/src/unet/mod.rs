//! U-Nets: one family of blocks, laid out as published.
//!
//! Every architecture is a plan that puts residual blocks, attention, resampling and image pyramids in a row,
//! under the parameter names and with the constructor arguments of the original:
//! [`DiffusersConfig`] (`UNet2DModel`), [`ScoreSdeConfig`] (NCSN++ and DDPM++), [`EdmConfig`] (`SongUNet`,
//! `DhariwalUNet`), [`GuidedConfig`] (`UNetModel` and the classifier `EncoderUNetModel`). For a network of
//! one's own, [`EdmConfig::small`] is a start.
//!
//! Images are `[B, C, H, W]` outside and channels last within.

mod block;
mod diffusers;
mod edm;
mod embed;
mod first_channels;
mod gradients;
mod guided;
mod head;
mod plan;
mod score_sde;
mod size;
mod steps;

pub use diffusers::DiffusersConfig;
pub use edm::{EdmConfig, EdmModel, EdmPrecond};
pub use first_channels::FirstChannels;
pub use guided::{GuidedConfig, GuidedEncoderConfig, Pool};
pub use score_sde::ScoreSdeConfig;
pub use size::ImageSize;
pub(crate) use size::{WIDEST, at_most};

use candle_core::Tensor;

use crate::{Condition, Error, Jet, Network, Result, layers::reciprocal, network::check_inputs};
use embed::Embedding;
use head::Head;
use steps::{Step, run};

/// What the output is multiplied by.
#[derive(Debug)]
enum Factor {
    One,
    /// `1 / c`.
    Reciprocal,
    /// `1 / table[floor c]`.
    Table(Tensor),
}

/// A U-Net after one of the plans, or the descending half of one with a classifier's head.
///
/// ```
/// use score_nets::{Backend, Condition, Network, Parameters, jvp, unet::EdmConfig};
/// use sde_core::Key;
/// let config = EdmConfig { model_channels: 8, ..EdmConfig::small(1, 8) };
/// let backend = Backend::cpu();
/// let parameters = Parameters::initial(Key::root(1), &backend, |vb| Ok(config.build(vb)?.buffers()))?;
/// let net = config.build(parameters.detached())?;
/// let (x, c) = (backend.tensor(vec![0.1; 64], &[1, 1, 8, 8])?, backend.tensor(vec![0.2], &[1])?);
/// let (y, dy) = jvp(&net, &x, &c, &Condition::default(), Some(&x), None)?;
/// assert_eq!((y.dims(), dy.dims()), (x.dims(), x.dims()));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Debug)]
pub struct UNet {
    channels: (usize, usize),
    size: [usize; 2],
    embedding: Option<Embedding>,
    /// The image becomes `2 x - 1` first.
    centre: bool,
    steps: Vec<Step>,
    head: Option<Head>,
    factor: Factor,
    buffers: Vec<String>,
    constants: Vec<Constant>,
    without_gradient: Vec<(String, &'static str)>,
}

/// A buffer whose values follow from the arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f64>,
}

impl UNet {
    /// The buffers whose values follow from the arguments (filters, tables of noise levels); initial
    /// parameters do not have them yet.
    pub fn constants(&self) -> &[Constant] {
        &self.constants
    }

    /// The image channels last, the noise level, and the embedding.
    fn begin(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<(Jet, Jet, Option<Jet>)> {
        check_inputs(self, &x.value, &c.value, condition)?;
        let row = self.row_shape();
        let mut h = x.map(|t| channels_last(t, &row))?;
        let c = c.map(|t| Ok(t.flatten_all()?))?;
        if self.centre {
            h = h.affine(h.value.affine(2.0, -1.0)?, |t| Ok((t * 2.0)?))?;
        }
        let emb = self.embedding.as_ref().map(|e| e.forward(&c, condition)).transpose()?;
        Ok((h, c, emb))
    }

    /// The output's factor, as a jet that multiplies `[B, H, W, C]`.
    fn scaled(&self, y: Jet, c: &Jet) -> Result<Jet> {
        let as_image = |t: &Tensor| Ok(t.reshape((t.dim(0)?, 1, 1, 1))?);
        match &self.factor {
            Factor::One => Ok(y),
            Factor::Reciprocal => y.mul(&reciprocal(c)?.map(as_image)?),
            Factor::Table(table) => {
                let rows = c.value.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
                let n = table.dim(0)?;
                let place = |c: &f64| {
                    let i = c.floor();
                    if (0.0..n as f64).contains(&i) {
                        return Ok(i as u32);
                    }
                    let reason = format!("must be the number of one of the {n} noise levels");
                    Err(Error::setting("noise level", c, reason))
                };
                let rows: Vec<u32> = rows.iter().map(place).collect::<Result<_>>()?;
                let rows = Tensor::new(rows, table.device())?;
                let factor = as_image(&table.index_select(&rows, 0)?.recip()?)?;
                y.map(|t| Ok(t.broadcast_mul(&factor)?))
            }
        }
    }
}

impl Network for UNet {
    fn row_shape(&self) -> Vec<usize> {
        vec![self.channels.0, self.size[0], self.size[1]]
    }

    fn out_shape(&self) -> Vec<usize> {
        match &self.head {
            Some(_) => vec![self.channels.1],
            None => vec![self.channels.1, self.size[0], self.size[1]],
        }
    }

    fn n_classes(&self) -> usize {
        self.embedding.as_ref().map_or(0, |e| e.n_classes)
    }

    fn forward(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet> {
        let (h, c, emb) = self.begin(x, c, condition)?;
        if let Some(head) = &self.head {
            return head.output(&head.features(&self.steps, h, emb.as_ref(), condition)?);
        }
        let y = run(&self.steps, h, emb.as_ref(), condition, |_, _| Ok(()))?;
        let y = self.scaled(y, &c)?;
        y.map(|t| Ok(t.permute((0, 3, 1, 2))?.contiguous()?))
    }

    fn features(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet> {
        let Some(head) = &self.head else {
            let needs = "a classifier, which this network of images is not".into();
            return Err(Error::Unsupported { what: "a last layer of features", needs });
        };
        let (h, _, emb) = self.begin(x, c, condition)?;
        head.features(&self.steps, h, emb.as_ref(), condition)
    }

    fn buffers(&self) -> Vec<String> {
        self.buffers.clone()
    }

    fn without_gradient(&self) -> Vec<(String, &'static str)> {
        self.without_gradient.clone()
    }
}

/// `[B, C, H, W]` as `[B, H, W, C]`; a derivative may have fewer rows, or broadcast.
fn channels_last(t: &Tensor, row: &[usize]) -> Result<Tensor> {
    let rows = if t.rank() == row.len() + 1 { t.dim(0)? } else { 1 };
    let shape: Vec<usize> = [rows].iter().chain(row).copied().collect();
    Ok(t.broadcast_as(shape)?.permute((0, 2, 3, 1))?.contiguous()?)
}
