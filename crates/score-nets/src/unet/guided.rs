//! The U-Nets of guided-diffusion (Dhariwal and Nichol 2021).

use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    layers::{Form, LabelEmbedding, Linear, Order, Sinusoid},
    ops::Conv,
};

use super::{
    Factor, ImageSize, UNet,
    block::{AttentionOptions, Qkv, ResNames, ResOptions, Skip},
    embed::{Embedding, Features},
    head::Head,
    plan::{Change, Ends, Plan},
    size::{MOST, WIDEST, at_most},
};

const NAMES: ResNames = ResNames {
    norm0: "in_layers.0",
    conv0: "in_layers.2",
    embedding: "emb_layers.1",
    norm1: "out_layers.0",
    conv1: "out_layers.3",
    skip: "skip_connection",
};

const GROUPS: usize = 32;
const EPS: f64 = 1e-5;

/// The arguments of guided-diffusion's `UNetModel`, by their own names and with its defaults;
/// improved-diffusion and consistency_models have the same network.
///
/// `c` is the step, 0 to the last, as a float; the output is the noise, and with learned variances twice the
/// channels, the noise first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidedConfig {
    /// Side of the images, or `[height, width]`.
    pub image_size: ImageSize,
    /// Channels of the images.
    pub in_channels: usize,
    /// Channels of the first level, before its multiplier.
    pub model_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub num_res_blocks: usize,
    /// Levels with attention, by how many times smaller their images are.
    pub attention_resolutions: Vec<usize>,
    /// Probability of dropout.
    #[serde(default)]
    pub dropout: f64,
    /// Multipliers of the channels, a level each.
    #[serde(default = "channel_mult")]
    pub channel_mult: Vec<f64>,
    /// Convolutions where the size changes.
    #[serde(default = "yes")]
    pub conv_resample: bool,
    /// Dimensions of an image, 2.
    #[serde(default = "two")]
    pub dims: usize,
    /// Number of classes, if there are any.
    #[serde(default)]
    pub num_classes: Option<usize>,
    /// Of no consequence here.
    #[serde(default)]
    pub use_checkpoint: bool,
    /// Of no consequence here.
    #[serde(default)]
    pub use_fp16: bool,
    /// Heads of attention.
    #[serde(default = "one")]
    pub num_heads: usize,
    /// Channels of a head, instead of their number; -1: not given.
    #[serde(default = "minus_one")]
    pub num_head_channels: i64,
    /// Heads on the way up; -1: as on the way down.
    #[serde(default = "minus_one")]
    pub num_heads_upsample: i64,
    /// The embedding scales and shifts instead of being added.
    #[serde(default)]
    pub use_scale_shift_norm: bool,
    /// Residual blocks where the size changes.
    #[serde(default)]
    pub resblock_updown: bool,
    /// Queries, keys and values are split before the heads.
    #[serde(default)]
    pub use_new_attention_order: bool,
}

/// The arguments of guided-diffusion's classifier `EncoderUNetModel`.
///
/// The output is the logits of the classes, `[B, out_channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct GuidedEncoderConfig {
    /// Those of the descending half, where `out_channels` is the number of classes.
    #[serde(flatten)]
    pub body: GuidedConfig,
    /// What becomes of the features.
    pub pool: Pool,
}

impl TryFrom<serde_json::Value> for GuidedEncoderConfig {
    type Error = serde_json::Error;

    fn try_from(mut args: serde_json::Value) -> Result<Self, serde_json::Error> {
        let pool = args.as_object_mut().and_then(|args| args.remove("pool"));
        let pool = pool.map(serde_json::from_value).transpose()?.unwrap_or_default();
        Ok(Self { body: serde_json::from_value(args)?, pool })
    }
}

/// How a classifier gathers its features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Their mean.
    #[default]
    Adaptive,
    /// Attention of the mean to the pixels.
    Attention,
    /// The means after every block, and a layer between.
    Spatial,
    /// The same with a normalisation.
    SpatialV2,
}

fn channel_mult() -> Vec<f64> {
    vec![1.0, 2.0, 4.0, 8.0]
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn minus_one() -> i64 {
    -1
}

impl GuidedConfig {
    /// The network.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make none; whatever the source of the tensors fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<UNet> {
        let size = self.checked_size()?;
        let mut plan = Plan::new(vb, self.in_channels, size);
        let embedding = self.embedding(&plan, self.num_classes)?;
        self.descend(&mut plan)?;
        self.ascend(&mut plan)?;
        plan.image_out(("out.0", GROUPS, EPS), "out.2", self.out_channels)?;
        let ends = self.ends(&plan, embedding, None);
        Ok(plan.finish(self.in_channels, self.out_channels, size, ends))
    }

    fn ends(&self, plan: &Plan, embedding: Embedding, head: Option<Head>) -> Ends {
        let label = (embedding.n_classes > 0).then_some("label_emb.weight");
        let names = ["0.weight", "0.bias", "2.weight", "2.bias"].map(|n| format!("time_embed.{n}"));
        let names = names.iter().map(String::as_str).chain(label);
        Ends {
            embedding_names: names.map(|n| plan.full_name(n)).collect(),
            embedding: Some(embedding),
            centre: false,
            head,
            factor: Factor::One,
        }
    }

    fn checked_size(&self) -> Result<[usize; 2]> {
        if self.dims != 2 {
            return Err(Error::setting(
                "dims",
                self.dims,
                "must be 2: these are networks of images",
            ));
        }
        if self.channel_mult.is_empty() {
            return Err(Error::setting("channel_mult", "[]", "must have a number for every level"));
        }
        let widths = [self.in_channels, self.out_channels, self.model_channels];
        let widest = widths.into_iter().chain(self.num_classes).max().unwrap_or(0);
        at_most("number of channels or classes", widest, WIDEST)?;
        at_most("num_res_blocks", self.num_res_blocks, MOST)?;
        self.image_size.checked(self.channel_mult.len() - 1)
    }

    fn embedding(&self, plan: &Plan, classes: Option<usize>) -> Result<Embedding> {
        let (width, wide) = (self.model_channels, 4 * self.model_channels);
        let features = Features::Sinusoid(Sinusoid::new(width, 0.0, Order::CosSin)?);
        let layers = [
            Linear::new(&plan.at("time_embed.0"), width, wide, 1.0)?,
            Linear::new(&plan.at("time_embed.2"), wide, wide, 1.0)?,
        ];
        let table = |k| LabelEmbedding::table(&plan.at("label_emb"), k, wide);
        Ok(Embedding {
            features,
            before: None,
            layers,
            after: classes.map(table).transpose()?,
            n_classes: classes.unwrap_or(0),
            label_dropout: 0.0,
        })
    }

    fn width(&self, mult: f64) -> Result<usize> {
        let width = mult * self.model_channels as f64;
        if width >= 1.0 && mult <= MOST as f64 {
            return Ok(width as usize);
        }
        Err(Error::setting(
            "channel_mult",
            mult,
            "must be a multiplier from 1 / model_channels to 256",
        ))
    }

    fn res(&self, plan: &mut Plan, name: &str, outputs: usize, change: Change) -> Result<()> {
        let plain = outputs == plan.channels;
        let options = ResOptions {
            outputs,
            embedding: Some(4 * self.model_channels),
            groups: (GROUPS, GROUPS),
            eps: EPS,
            scale_shift: self.use_scale_shift_norm,
            resample: change.filter(None)?,
            skip: if plain { Skip::Plain } else { Skip::Map(Form::Conv2d) },
            scale: 1.0,
            dropout: self.dropout,
        };
        plan.res(name, &NAMES, options, change)
    }

    fn attend(&self, plan: &mut Plan, name: &str, up: bool) -> Result<()> {
        let channels = plan.channels;
        let heads = match (self.num_head_channels, up, self.num_heads_upsample) {
            (-1, true, n) if n != -1 => usize::try_from(n).unwrap_or(0),
            (-1, ..) => self.num_heads,
            (d, ..) => match usize::try_from(d) {
                Ok(d) if d > 0 && channels.is_multiple_of(d) => channels / d,
                _ => {
                    let reason = format!("must divide the {channels} channels of `{name}`");
                    return Err(Error::setting("num_head_channels", d, reason));
                }
            },
        };
        if heads == 0 || !channels.is_multiple_of(heads) {
            let reason = format!("must divide the {channels} channels of `{name}`");
            return Err(Error::setting("num_heads", heads, reason));
        }
        let qkv = if self.use_new_attention_order { Qkv::ByKind } else { Qkv::ByHead };
        let norm = Some(("norm", GROUPS, EPS));
        let head_width = channels / heads;
        plan.attend(name, AttentionOptions { norm, qkv, heads, head_width, scale: 1.0, pixels: 0 })
    }

    fn descend(&self, plan: &mut Plan) -> Result<()> {
        let mut n = 0;
        plan.conv("input_blocks.0.0", self.width(self.channel_mult[0])?)?;
        plan.push();
        for (level, &mult) in self.channel_mult.iter().enumerate() {
            for _ in 0..self.num_res_blocks {
                n += 1;
                self.res(plan, &format!("input_blocks.{n}.0"), self.width(mult)?, Change::Keep)?;
                if self.attends(level) {
                    self.attend(plan, &format!("input_blocks.{n}.1"), false)?;
                }
                plan.push();
            }
            if level + 1 < self.channel_mult.len() {
                n += 1;
                self.halve(plan, &format!("input_blocks.{n}.0"))?;
                plan.push();
            }
        }
        let channels = plan.channels;
        self.res(plan, "middle_block.0", channels, Change::Keep)?;
        self.attend(plan, "middle_block.1", false)?;
        self.res(plan, "middle_block.2", channels, Change::Keep)
    }

    fn attends(&self, level: usize) -> bool {
        self.attention_resolutions.contains(&(1 << level))
    }

    fn halve(&self, plan: &mut Plan, name: &str) -> Result<()> {
        let channels = plan.channels;
        match (self.resblock_updown, self.conv_resample) {
            (true, _) => self.res(plan, name, channels, Change::Down),
            (_, true) => plan.conv_with(&format!("{name}.op"), channels, Conv::new(2, [1; 4])),
            _ => {
                plan.resample(Change::Down, crate::layers::Resample::mean());
                Ok(())
            }
        }
    }

    fn ascend(&self, plan: &mut Plan) -> Result<()> {
        let mut n = 0;
        for (level, &mult) in self.channel_mult.iter().enumerate().rev() {
            for i in 0..=self.num_res_blocks {
                plan.pop();
                let name = format!("output_blocks.{n}");
                self.res(plan, &format!("{name}.0"), self.width(mult)?, Change::Keep)?;
                let mut part = 1;
                if self.attends(level) {
                    self.attend(plan, &format!("{name}.1"), true)?;
                    part = 2;
                }
                if level > 0 && i == self.num_res_blocks {
                    self.double(plan, &format!("{name}.{part}"))?;
                }
                n += 1;
            }
        }
        Ok(())
    }

    fn double(&self, plan: &mut Plan, name: &str) -> Result<()> {
        let channels = plan.channels;
        if self.resblock_updown {
            return self.res(plan, name, channels, Change::Up);
        }
        plan.resample(Change::Up, crate::layers::Resample::nearest());
        if self.conv_resample {
            plan.conv(&format!("{name}.conv"), channels)?;
        }
        Ok(())
    }
}

impl GuidedEncoderConfig {
    /// The classifier.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make none; whatever the source of the tensors fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<UNet> {
        let body = &self.body;
        if body.num_classes.is_some() {
            let reason = "a classifier is not told the class: its classes are `out_channels`";
            return Err(Error::setting("num_classes", body.num_classes.unwrap_or(0), reason));
        }
        let size = body.checked_size()?;
        let mut plan = Plan::new(vb, body.in_channels, size);
        let embedding = body.embedding(&plan, None)?;
        body.descend(&mut plan)?;
        let head = self.head(&plan)?;
        let ends = body.ends(&plan, embedding, Some(head));
        Ok(plan.finish(body.in_channels, body.out_channels, size, ends))
    }

    fn head(&self, plan: &Plan) -> Result<Head> {
        let (vb, channels, outputs) = (plan.at("out"), plan.channels, self.body.out_channels);
        match self.pool {
            Pool::Adaptive => Head::mean(&vb, channels, outputs),
            Pool::Attention => {
                let d = self.body.num_head_channels;
                let width = usize::try_from(d).ok().filter(|d| *d > 0 && channels % d == 0);
                let reason = format!("must divide {channels} channels for pool `attention`");
                let width = width.ok_or(Error::setting("num_head_channels", d, reason))?;
                Head::attention(&vb, channels, outputs, width, plan.size[0] * plan.size[1])
            }
            Pool::Spatial | Pool::SpatialV2 => {
                let features = plan.skip_channels() + channels;
                Head::spatial(&vb, features, outputs, self.pool == Pool::SpatialV2)
            }
        }
    }
}
