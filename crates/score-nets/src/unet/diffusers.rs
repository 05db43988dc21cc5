//! `UNet2DModel` of diffusers.

mod plan;

use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

use super::{
    Factor, ImageSize, UNet,
    plan::{Ends, Plan, quarter},
    size::{MOST, WIDEST, at_most},
};

/// The arguments of `UNet2DModel`, by their own names and with the library's defaults.
///
/// `c` is the step (`positional`) or the noise level `sigma` (`fourier`, where the output is divided by it).
/// Blocks are `DownBlock2D`, `AttnDownBlock2D`, `ResnetDownsampleBlock2D`, `SkipDownBlock2D`,
/// `AttnSkipDownBlock2D` and their counterparts on the way up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)] // They are diffusers' own and documented there.
pub struct DiffusersConfig {
    pub sample_size: Option<ImageSize>,
    pub in_channels: usize,
    pub out_channels: usize,
    pub center_input_sample: bool,
    pub time_embedding_type: String,
    pub time_embedding_dim: Option<usize>,
    pub freq_shift: f64,
    pub flip_sin_to_cos: bool,
    pub down_block_types: Vec<String>,
    pub mid_block_type: Option<String>,
    pub up_block_types: Vec<String>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub mid_block_scale_factor: f64,
    pub downsample_padding: usize,
    pub downsample_type: String,
    pub upsample_type: String,
    pub dropout: f64,
    pub act_fn: String,
    pub attention_head_dim: Option<usize>,
    pub norm_num_groups: Option<usize>,
    pub attn_norm_num_groups: Option<usize>,
    pub norm_eps: f64,
    pub resnet_time_scale_shift: String,
    pub add_attention: bool,
    pub class_embed_type: Option<String>,
    pub num_class_embeds: Option<usize>,
    pub num_train_timesteps: Option<usize>,
}

impl Default for DiffusersConfig {
    fn default() -> Self {
        let blocks = |first: &str, rest: &str, last: &str| {
            [first, rest, rest, last].map(String::from).to_vec()
        };
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: "positional".into(),
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: blocks("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            mid_block_type: Some("UNetMidBlock2D".into()),
            up_block_types: blocks("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: "conv".into(),
            upsample_type: "conv".into(),
            dropout: 0.0,
            act_fn: "silu".into(),
            attention_head_dim: Some(8),
            norm_num_groups: Some(32),
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: "default".into(),
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
        }
    }
}

/// How the size changes at the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampler {
    /// By a convolution.
    Conv,
    /// By a residual block.
    Resnet,
    /// By a residual block with a filter, beside an image pyramid.
    Pyramid,
}

/// A kind of block.
#[derive(Clone, Copy, Debug)]
struct Kind {
    attention: bool,
    sampler: Sampler,
}

impl Kind {
    fn pyramid(self) -> bool {
        self.sampler == Sampler::Pyramid
    }

    /// What residual and attention blocks are multiplied by.
    fn scale(self) -> f64 {
        if self.pyramid() { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 }
    }
}

impl DiffusersConfig {
    /// The arguments in a `config.json`, whose keys with a leading underscore are notes.
    ///
    /// # Errors
    /// [`Error::Setting`] for another class than `UNet2DModel` and for arguments it does not have.
    pub fn from_json(config: &serde_json::Value) -> Result<Self> {
        let mut config = config.clone();
        if let Some(map) = config.as_object_mut() {
            if let Some(class) = map.get("_class_name")
                && class != "UNet2DModel"
            {
                return Err(Error::setting("_class_name", class, "must be UNet2DModel"));
            }
            map.retain(|key, _| !key.starts_with('_'));
        }
        serde_json::from_value(config).map_err(|e| Error::setting("arguments", "diffusers", e))
    }

    /// The network.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make none; whatever the source of the tensors fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<UNet> {
        let levels = self.levels()?;
        let reason = "must be given: a network has to know the size of its images";
        let size = self.sample_size.ok_or_else(|| Error::setting("sample_size", "null", reason))?;
        let size = size.checked(levels - 1)?;
        let (down, up) = self.kinds()?;
        let mut plan = Plan::new(vb, self.in_channels, size);
        let (embedding, names) = self.embedding(&mut plan)?;
        plan.conv("conv_in", self.block_out_channels[0])?;
        plan.push();
        for (i, kind) in down.into_iter().enumerate() {
            self.down(&mut plan, i, kind)?;
        }
        self.middle(&mut plan)?;
        for (i, kind) in up.into_iter().enumerate() {
            self.up(&mut plan, i, kind)?;
        }
        let groups = self.norm_num_groups.unwrap_or(quarter(plan.channels));
        plan.image_out(("conv_norm_out", groups, self.norm_eps), "conv_out", self.out_channels)?;
        let fourier = self.time_embedding_type == "fourier";
        let ends = Ends {
            embedding: Some(embedding),
            embedding_names: names,
            centre: self.center_input_sample,
            head: None,
            factor: if fourier { Factor::Reciprocal } else { Factor::One },
        };
        Ok(plan.finish(self.in_channels, self.out_channels, size, ends))
    }

    /// The number of levels; and the words that have one meaning here.
    fn levels(&self) -> Result<usize> {
        let n = self.block_out_channels.len();
        if n == 0 || self.down_block_types.len() != n || self.up_block_types.len() != n {
            let lengths =
                format!("{n}, {}, {}", self.down_block_types.len(), self.up_block_types.len());
            let reason = "must be equally many, one or more";
            let names = "block_out_channels, down_block_types, up_block_types";
            return Err(Error::setting(names, lengths, reason));
        }
        let one_of = |name: &str, word: &str, known: &[&str]| {
            if known.contains(&word) {
                return Ok(());
            }
            Err(Error::setting(name, word, format!("must be one of {}", known.join(", "))))
        };
        one_of("act_fn", &self.act_fn, &["silu", "swish"])?;
        one_of(
            "resnet_time_scale_shift",
            &self.resnet_time_scale_shift,
            &["default", "scale_shift"],
        )?;
        one_of("downsample_type", &self.downsample_type, &["conv", "resnet"])?;
        one_of("upsample_type", &self.upsample_type, &["conv", "resnet"])?;
        one_of("time_embedding_type", &self.time_embedding_type, &["positional", "fourier"])?;
        if let Some(word) = &self.mid_block_type {
            one_of("mid_block_type", word, &["UNetMidBlock2D"])?;
        }
        if let Some(word) = &self.class_embed_type {
            return Err(Error::setting(
                "class_embed_type",
                word,
                "is not known: only classes by number",
            ));
        }
        let widths = self.block_out_channels.iter().copied().chain(self.num_class_embeds);
        let ends = [self.in_channels, self.out_channels, self.time_embedding_dim.unwrap_or(0)];
        let widest = widths.chain(ends).max().unwrap_or(0);
        at_most("number of channels or classes", widest, WIDEST)?;
        at_most("layers_per_block", self.layers_per_block, MOST)?;
        if self.attention_head_dim == Some(0) {
            return Err(Error::setting("attention_head_dim", 0, "must be positive"));
        }
        if !(self.mid_block_scale_factor > 0.0 && self.mid_block_scale_factor.is_finite()) {
            let reason = "must be positive";
            return Err(Error::setting(
                "mid_block_scale_factor",
                self.mid_block_scale_factor,
                reason,
            ));
        }
        Ok(n)
    }

    /// The kinds of blocks. Pyramids must reach from the input down and up to the output.
    fn kinds(&self) -> Result<(Vec<Kind>, Vec<Kind>)> {
        let last = self.down_block_types.len() - 1;
        let read = |words: &[String], down: bool| -> Result<Vec<Kind>> {
            words.iter().map(|w| self.kind(w, down)).collect()
        };
        let (down, up) = (read(&self.down_block_types, true)?, read(&self.up_block_types, false)?);
        let first_plain = down.iter().position(|k| !k.pyramid()).unwrap_or(last);
        if let Some(i) = (first_plain + 1..last).find(|i| down[*i].pyramid()) {
            let reason = "needs blocks with a skip before it as well";
            return Err(Error::setting("down_block_types", &self.down_block_types[i], reason));
        }
        let first = up.iter().position(|k| k.pyramid()).unwrap_or(last);
        if let Some(i) = (first..=last).find(|i| *i > first && !up[*i].pyramid()) {
            let reason = "needs to be a block with a skip, as the one before it";
            return Err(Error::setting("up_block_types", &self.up_block_types[i], reason));
        }
        let images =
            [("in_channels", self.in_channels, &down), ("out_channels", self.out_channels, &up)];
        for (name, channels, kinds) in images {
            if channels != 3 && kinds[..last].iter().any(|k| k.pyramid()) {
                return Err(Error::setting(
                    name,
                    channels,
                    "must be 3 with blocks that have a skip",
                ));
            }
        }
        Ok((down, up))
    }

    fn kind(&self, word: &str, down: bool) -> Result<Kind> {
        let (name, own) = match down {
            true => ("down_block_types", &self.downsample_type),
            false => ("up_block_types", &self.upsample_type),
        };
        let own = if own == "resnet" { Sampler::Resnet } else { Sampler::Conv };
        let known = match down {
            true => [
                "DownBlock2D",
                "AttnDownBlock2D",
                "ResnetDownsampleBlock2D",
                "SkipDownBlock2D",
                "AttnSkipDownBlock2D",
            ],
            false => [
                "UpBlock2D",
                "AttnUpBlock2D",
                "ResnetUpsampleBlock2D",
                "SkipUpBlock2D",
                "AttnSkipUpBlock2D",
            ],
        };
        let kinds = [
            (false, Sampler::Conv),
            (true, own),
            (false, Sampler::Resnet),
            (false, Sampler::Pyramid),
            (true, Sampler::Pyramid),
        ];
        let plain = word.strip_prefix("UNetRes").unwrap_or(word);
        match known.iter().position(|k| *k == plain) {
            Some(i) => Ok(Kind { attention: kinds[i].0, sampler: kinds[i].1 }),
            None => Err(Error::setting(name, word, format!("must be one of {}", known.join(", ")))),
        }
    }
}
