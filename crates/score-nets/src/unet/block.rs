//! The two blocks that every U-Net is made of: residual convolutions and self-attention.

use candle_nn::VarBuilder;

use crate::{
    Condition, Jet, Result,
    layers::{
        Conv2d, Dropout, Form, GroupNorm, Linear, Resample, add_channels, add_scaled, attention,
        silu,
    },
};

/// Gain of the last layer of a block or a network at first: next to nothing, and not nothing, so that every
/// parameter has a gradient.
pub(super) const LAST: f64 = 1e-5;

/// The names of a residual block's parts.
pub(super) struct ResNames {
    pub(super) norm0: &'static str,
    pub(super) conv0: &'static str,
    pub(super) embedding: &'static str,
    pub(super) norm1: &'static str,
    pub(super) conv1: &'static str,
    pub(super) skip: &'static str,
}

/// What leads past the convolutions of a residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// Nothing but the resampling.
    Plain,
    /// A linear map of single pixels.
    Map(Form),
}

/// How a residual block is made.
#[derive(Clone, Debug)]
pub(super) struct ResOptions {
    pub(super) outputs: usize,
    /// Width of the embedding; `None`: the block sees none.
    pub(super) embedding: Option<usize>,
    pub(super) groups: (usize, usize),
    pub(super) eps: f64,
    /// The embedding scales and shifts what is normalised; otherwise it is added before.
    pub(super) scale_shift: bool,
    /// Between the first activation and the first convolution, and before the skip.
    pub(super) resample: Option<Resample>,
    pub(super) skip: Skip,
    /// The sum of both ways is multiplied by this.
    pub(super) scale: f64,
    pub(super) dropout: f64,
}

/// `scale (skip(x) + conv1(dropout(silu(norm1(conv0(silu(norm0(x)))))))`, with the embedding at `norm1`.
#[derive(Debug)]
pub(super) struct ResBlock {
    pub(super) part_names: [String; 4],
    pub(super) norm0: GroupNorm,
    conv0: Conv2d,
    embedding: Option<Linear>,
    pub(super) norm1: GroupNorm,
    conv1: Conv2d,
    skip: Option<Linear>,
    dropout: Dropout,
    pub(super) options: ResOptions,
}

impl ResBlock {
    pub(super) fn new(
        vb: &VarBuilder<'static>,
        names: &ResNames,
        inputs: usize,
        options: ResOptions,
    ) -> Result<Self> {
        let ResOptions { outputs, groups, eps, .. } = options;
        let norm0 = GroupNorm::new(&vb.pp(names.norm0), inputs, groups.0, eps)?;
        let conv0 = Conv2d::new(&vb.pp(names.conv0), inputs, outputs, 3, 1.0)?;
        let width = if options.scale_shift { 2 * outputs } else { outputs };
        let embedding = match options.embedding {
            Some(e) => Some(Linear::new(&vb.pp(names.embedding), e, width, 1.0)?),
            None => None,
        };
        let norm1 = GroupNorm::new(&vb.pp(names.norm1), outputs, groups.1, eps)?;
        let conv1 = Conv2d::new(&vb.pp(names.conv1), outputs, outputs, 3, LAST)?;
        let skip = match options.skip {
            Skip::Plain => None,
            Skip::Map(form) => {
                Some(Linear::with_form(&vb.pp(names.skip), inputs, outputs, 1.0, form)?)
            }
        };
        let name = vb.prefix();
        let part = |part: &str| vb.pp(part).prefix();
        let skip_bias = if options.skip == Skip::Map(Form::Nin) { "b" } else { "bias" };
        let part_names = [
            part(names.conv0) + ".bias",
            part(names.embedding),
            part(names.conv1) + ".bias",
            format!("{}.{skip_bias}", part(names.skip)),
        ];
        let dropout = Dropout::new(options.dropout, &name)?;
        Ok(Self { part_names, norm0, conv0, embedding, norm1, conv1, skip, dropout, options })
    }

    /// `emb` is the embedding `[B, E]` after its activation.
    pub(super) fn forward(&self, x: &Jet, emb: Option<&Jet>, condition: &Condition) -> Result<Jet> {
        let mut h = self.norm0.forward_silu(x)?;
        let mut past = x.clone();
        if let Some(resample) = &self.options.resample {
            (h, past) = (resample.forward(&h)?, resample.forward(&past)?);
        }
        let h = self.conv0.forward(&h)?;
        let h = self.embedded(h, emb)?;
        let h = self.conv1.forward(&self.dropout.forward(&h, condition)?)?;
        if let Some(skip) = &self.skip {
            past = skip.forward(&past)?;
        }
        add_scaled(&past, &h, self.options.scale)
    }

    /// The second normalisation and activation, with the embedding before or after the former.
    fn embedded(&self, h: Jet, emb: Option<&Jet>) -> Result<Jet> {
        let (Some(linear), Some(emb)) = (&self.embedding, emb) else {
            return self.norm1.forward_silu(&h);
        };
        let e = linear.forward(emb)?;
        if !self.options.scale_shift {
            return self.norm1.forward_silu(&add_channels(&h, &e)?);
        }
        // [B, C] twice
        let n = self.options.outputs;
        let scale = e.map(|t| Ok(t.narrow(1, 0, n)?.unsqueeze(1)?.unsqueeze(1)?))?;
        let scale = scale.affine((&scale.value + 1.0)?, |t| Ok(t.clone()))?;
        let shift = e.map(|t| Ok(t.narrow(1, n, n)?.contiguous()?))?;
        silu(&add_channels(&self.norm1.forward(&h)?.mul(&scale)?, &shift)?)
    }
}

/// How queries, keys and values come out of the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qkv {
    /// Three maps and one of the output, each of this form, under these names.
    Apart(Form, [&'static str; 4]),
    /// One map `qkv` and `proj`: in every head, channel by channel its query, key and value (EDM).
    Interleaved,
    /// One map `qkv` and `proj_out`: in every head, its queries, keys and values.
    ByHead,
    /// One map `qkv` and `proj_out`: the queries of all heads, the keys, the values.
    ByKind,
}

/// How an attention block is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttentionOptions {
    pub(super) norm: Option<(&'static str, usize, f64)>,
    pub(super) qkv: Qkv,
    pub(super) heads: usize,
    pub(super) head_width: usize,
    pub(super) scale: f64,
    /// Pixels of the image it looks at.
    pub(super) pixels: usize,
}

/// `scale (x + proj(attention(norm(x))))`.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) name: String,
    pub(super) norm: Option<GroupNorm>,
    maps: Vec<Linear>,
    output: Linear,
    pub(super) options: AttentionOptions,
}

impl Attention {
    pub(super) fn new(
        vb: &VarBuilder<'static>,
        channels: usize,
        options: AttentionOptions,
    ) -> Result<Self> {
        let norm = match options.norm {
            Some((name, groups, eps)) => Some(GroupNorm::new(&vb.pp(name), channels, groups, eps)?),
            None => None,
        };
        let inner = options.heads * options.head_width;
        let map = |name: &str, i: usize, o: usize, gain: f64, form: Form| {
            Linear::with_form(&vb.pp(name), i, o, gain, form)
        };
        let (maps, output) = match options.qkv {
            Qkv::Apart(form, names) => {
                let maps = names[..3].iter().map(|n| map(n, channels, inner, 1.0, form));
                (maps.collect::<Result<_>>()?, map(names[3], inner, channels, LAST, form)?)
            }
            Qkv::Interleaved => (
                vec![map("qkv", channels, 3 * inner, 1.0, Form::Conv2d)?],
                map("proj", inner, channels, LAST, Form::Conv2d)?,
            ),
            Qkv::ByHead | Qkv::ByKind => (
                vec![map("qkv", channels, 3 * inner, 1.0, Form::Conv1d)?],
                map("proj_out", inner, channels, LAST, Form::Conv1d)?,
            ),
        };
        Ok(Self { name: vb.prefix(), norm, maps, output, options })
    }

    pub(super) fn forward(&self, x: &Jet) -> Result<Jet> {
        let dims = x.value.dims().to_vec();
        let (h, w, channels) = (dims[1], dims[2], dims[3]);
        let n = match &self.norm {
            Some(norm) => norm.forward(x)?,
            None => x.clone(),
        };
        let pixels = n.map(|t| Ok(t.contiguous()?.reshape((t.dim(0)?, h * w, channels))?))?;
        let [q, k, v] = self.split(&pixels)?;
        let scale = 1.0 / (self.options.head_width as f64).sqrt();
        let a = attention(&q, &k, &v, scale)?;
        let inner = self.options.heads * self.options.head_width;
        let a = a.map(|t| Ok(t.contiguous()?.reshape((t.dim(0)?, h, w, inner))?))?;
        add_scaled(x, &self.output.forward(&a)?, self.options.scale)
    }

    /// Queries, keys and values, each `[B, N, heads, d]`.
    fn split(&self, x: &Jet) -> Result<[Jet; 3]> {
        let AttentionOptions { heads, head_width: d, qkv, .. } = self.options;
        if let Qkv::Apart(..) = qkv {
            let part = |map: &Linear| {
                let y = map.forward(x)?;
                y.map(|t| Ok(t.reshape((t.dim(0)?, t.dim(1)?, heads, d))?))
            };
            return Ok([part(&self.maps[0])?, part(&self.maps[1])?, part(&self.maps[2])?]);
        }
        let y = self.maps[0].forward(x)?;
        // The dimension of three among heads and channels.
        let (shape, three) = match qkv {
            Qkv::Interleaved => ([heads, d, 3], 4),
            Qkv::ByHead => ([heads, 3, d], 3),
            _ => ([3, heads, d], 2),
        };
        let part = |i: usize| {
            y.map(|t| {
                let (b, n) = (t.dim(0)?, t.dim(1)?);
                let t = t.reshape((b, n, shape[0], shape[1], shape[2]))?;
                Ok(t.narrow(three, i, 1)?.squeeze(three)?.contiguous()?)
            })
        };
        Ok([part(0)?, part(1)?, part(2)?])
    }
}
