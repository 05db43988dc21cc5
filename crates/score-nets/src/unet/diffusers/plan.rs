//! The steps of diffusers' networks.

use crate::{
    Error, Result,
    layers::{Form, Fourier, LabelEmbedding, Linear, Order, Resample, Sinusoid},
    ops::Conv,
    unet::{
        block::{AttentionOptions, Qkv, ResNames, ResOptions, Skip},
        embed::{Embedding, Features},
        plan::{Change, Plan, quarter},
        steps::ImageIn,
    },
};

use super::{DiffusersConfig, Kind, Sampler};

const NAMES: ResNames = ResNames {
    norm0: "norm1",
    conv0: "conv1",
    embedding: "time_emb_proj",
    norm1: "norm2",
    conv1: "conv2",
    skip: "conv_shortcut",
};
const QKV: Qkv = Qkv::Apart(Form::Dense, ["to_q", "to_k", "to_v", "to_out.0"]);
/// The filter of the blocks with an image pyramid.
const TAPS: [f64; 4] = [1.0, 3.0, 3.0, 1.0];

impl DiffusersConfig {
    fn wide(&self) -> usize {
        self.time_embedding_dim.unwrap_or(4 * self.block_out_channels[0])
    }

    pub(super) fn embedding(&self, plan: &mut Plan) -> Result<(Embedding, Vec<String>)> {
        let (width, wide) = (self.block_out_channels[0], self.wide());
        let (features, inputs) = if self.time_embedding_type == "fourier" {
            let vb = plan.at("time_proj");
            plan.buffers.push(plan.full_name("time_proj.weight"));
            let f = Fourier::new(&vb, "weight", width, 16.0, true, Order::SinCos)?;
            (Features::Fourier(f), 2 * width)
        } else {
            let order = if self.flip_sin_to_cos { Order::CosSin } else { Order::SinCos };
            (Features::Sinusoid(Sinusoid::new(width, self.freq_shift, order)?), width)
        };
        let layers = [
            Linear::new(&plan.at("time_embedding.linear_1"), inputs, wide, 1.0)?,
            Linear::new(&plan.at("time_embedding.linear_2"), wide, wide, 1.0)?,
        ];
        let table = |k| LabelEmbedding::table(&plan.at("class_embedding"), k, wide);
        let mut names: Vec<String> =
            ["linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"]
                .iter()
                .map(|n| plan.full_name(&format!("time_embedding.{n}")))
                .collect();
        if self.num_class_embeds.is_some() {
            names.push(plan.full_name("class_embedding.weight"));
        }
        let embedding = Embedding {
            features,
            before: None,
            layers,
            after: self.num_class_embeds.map(table).transpose()?,
            n_classes: self.num_class_embeds.unwrap_or(0),
            label_dropout: 0.0,
        };
        Ok((embedding, names))
    }

    /// Groups of a normalisation outside of pyramids.
    fn groups(&self) -> Result<usize> {
        let reason = "must be given for blocks without a skip";
        self.norm_num_groups.ok_or_else(|| Error::setting("norm_num_groups", "null", reason))
    }

    /// A residual block; `shortcut`: with a map past it although the channels stay.
    fn res(&self, plan: &mut Plan, name: &str, res: Res) -> Result<()> {
        let skip = res.outputs != plan.channels || res.shortcut;
        let options = ResOptions {
            outputs: res.outputs,
            embedding: Some(self.wide()),
            groups: res.groups,
            eps: self.norm_eps,
            scale_shift: self.resnet_time_scale_shift == "scale_shift",
            resample: res.change.filter(res.shortcut.then_some(&TAPS[..]))?,
            skip: if skip { Skip::Map(Form::Conv2d) } else { Skip::Plain },
            scale: res.scale,
            dropout: self.dropout,
        };
        plan.res(name, &NAMES, options, res.change)
    }

    fn attend(&self, plan: &mut Plan, name: &str, groups: Option<usize>, scale: f64) -> Result<()> {
        let width = self.attention_head_dim.unwrap_or(plan.channels);
        let heads = plan.channels / width;
        if heads == 0 {
            let reason = format!("is more than the {} channels of `{name}`", plan.channels);
            return Err(Error::setting("attention_head_dim", width, reason));
        }
        let norm = groups.map(|g| ("group_norm", g, self.norm_eps));
        let options =
            AttentionOptions { norm, qkv: QKV, heads, head_width: width, scale, pixels: 0 };
        plan.attend(name, options)
    }

    pub(super) fn down(&self, plan: &mut Plan, i: usize, kind: Kind) -> Result<()> {
        let (name, outputs) = (format!("down_blocks.{i}"), self.block_out_channels[i]);
        for j in 0..self.layers_per_block {
            let groups = match kind.pyramid() {
                true => (quarter(plan.channels), quarter(outputs)),
                false => (self.groups()?, self.groups()?),
            };
            let res =
                Res { outputs, groups, change: Change::Keep, shortcut: false, scale: kind.scale() };
            self.res(plan, &format!("{name}.resnets.{j}"), res)?;
            if kind.attention {
                let groups = if kind.pyramid() { 32 } else { self.groups()? };
                self.attend(plan, &format!("{name}.attentions.{j}"), Some(groups), kind.scale())?;
            }
            plan.push();
        }
        if i + 1 == self.block_out_channels.len() {
            return Ok(());
        }
        self.sample(plan, &name, kind, Change::Down)?;
        if kind.pyramid() {
            plan.image_down(Some(Resample::down(&TAPS)?), None);
            let map =
                Some(plan.pixel_map(&format!("{name}.skip_conv"), self.in_channels, outputs)?);
            plan.image_in(ImageIn { map, scale: 1.0, replace: false, beside: false });
        }
        plan.push();
        Ok(())
    }

    /// The change of size at the end of a block.
    fn sample(&self, plan: &mut Plan, name: &str, kind: Kind, change: Change) -> Result<()> {
        let outputs = plan.channels;
        let (many, one) = match change {
            Change::Up => ("upsamplers", "resnet_up"),
            _ => ("downsamplers", "resnet_down"),
        };
        match (kind.sampler, change) {
            (Sampler::Pyramid, _) => {
                let groups = (quarter(outputs), quarter(outputs));
                let res = Res { outputs, groups, change, shortcut: true, scale: kind.scale() };
                self.res(plan, &format!("{name}.{one}"), res)
            }
            (Sampler::Resnet, _) => {
                let groups = (self.groups()?, self.groups()?);
                let res = Res { outputs, groups, change, shortcut: false, scale: 1.0 };
                self.res(plan, &format!("{name}.{many}.0"), res)
            }
            (Sampler::Conv, Change::Up) => {
                plan.resample(change, Resample::nearest());
                plan.conv(&format!("{name}.{many}.0.conv"), outputs)
            }
            (Sampler::Conv, _) => {
                let p = self.downsample_padding;
                // Without padding, zeros at the right and the bottom: the image is halved all the same.
                let pad = if p == 0 { [0, 1, 0, 1] } else { [p; 4] };
                if p > 1 {
                    return Err(Error::setting("downsample_padding", p, "must be 0 or 1"));
                }
                plan.conv_with(&format!("{name}.{many}.0.conv"), outputs, Conv::new(2, pad))
            }
        }
    }

    pub(super) fn middle(&self, plan: &mut Plan) -> Result<()> {
        if self.mid_block_type.is_none() {
            return Ok(());
        }
        let outputs = plan.channels;
        let groups = self.norm_num_groups.unwrap_or(quarter(outputs));
        let scale = 1.0 / self.mid_block_scale_factor;
        let res = || Res {
            outputs,
            groups: (groups, groups),
            change: Change::Keep,
            shortcut: false,
            scale,
        };
        self.res(plan, "mid_block.resnets.0", res())?;
        if self.add_attention {
            let plain = self.resnet_time_scale_shift == "default";
            let norm = self.attn_norm_num_groups.or(plain.then_some(groups));
            self.attend(plan, "mid_block.attentions.0", norm, scale)?;
        }
        self.res(plan, "mid_block.resnets.1", res())
    }

    pub(super) fn up(&self, plan: &mut Plan, i: usize, kind: Kind) -> Result<()> {
        let last = self.block_out_channels.len() - 1;
        let (name, outputs) = (format!("up_blocks.{i}"), self.block_out_channels[last - i]);
        for j in 0..=self.layers_per_block {
            let (own, skipped) = (plan.channels, plan.top());
            plan.pop();
            let groups = match (kind.pyramid(), kind.attention) {
                (false, _) => (self.groups()?, self.groups()?),
                // The library's own rule: a quarter of the skip connection alone.
                (true, true) => ((own + skipped / 4).clamp(1, 32), quarter(outputs)),
                (true, false) => (quarter(own + skipped), quarter(outputs)),
            };
            let res =
                Res { outputs, groups, change: Change::Keep, shortcut: false, scale: kind.scale() };
            self.res(plan, &format!("{name}.resnets.{j}"), res)?;
            let attends = kind.attention && (!kind.pyramid() || j == self.layers_per_block);
            if attends {
                let (groups, j) = if kind.pyramid() { (32, 0) } else { (self.groups()?, j) };
                self.attend(plan, &format!("{name}.attentions.{j}"), Some(groups), kind.scale())?;
            }
        }
        if kind.pyramid() {
            plan.image_up(Some(Resample::up(&TAPS)?), None);
        }
        if i == last {
            return Ok(());
        }
        if kind.pyramid() {
            let norm = format!("{name}.skip_norm");
            let norm = (norm.as_str(), quarter(outputs), self.norm_eps);
            plan.image_out(norm, &format!("{name}.skip_conv"), self.out_channels)?;
        }
        self.sample(plan, &name, kind, Change::Up)
    }
}

/// What varies among the residual blocks.
struct Res {
    outputs: usize,
    groups: (usize, usize),
    change: Change,
    /// With the filter, and a map past the block although the channels stay.
    shortcut: bool,
    scale: f64,
}
