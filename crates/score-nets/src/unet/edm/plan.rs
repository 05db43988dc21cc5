//! The steps of EDM's networks.

use candle_nn::Init;

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

use super::EdmConfig;

const NAMES: ResNames = ResNames {
    norm0: "norm0",
    conv0: "conv0",
    embedding: "affine",
    norm1: "norm1",
    conv1: "conv1",
    skip: "skip",
};

pub(super) struct Builder<'a> {
    pub(super) config: &'a EdmConfig,
    pub(super) plan: Plan,
    pub(super) song: bool,
}

impl Builder<'_> {
    fn wide(&self) -> usize {
        self.config.model_channels * self.config.channel_mult_emb
    }

    pub(super) fn embedding(&mut self) -> Result<(Embedding, Vec<String>)> {
        let (c, wide) = (self.config, self.wide());
        let noise = c.model_channels * if self.song { c.channel_mult_noise } else { 1 };
        let features = match (self.song, c.embedding_type.as_str()) {
            (true, "fourier") => {
                self.plan.buffers.push(self.plan.full_name("map_noise.freqs"));
                let vb = self.plan.at("map_noise");
                Features::Fourier(Fourier::new(
                    &vb,
                    "freqs",
                    noise / 2,
                    16.0,
                    false,
                    Order::SinCos,
                )?)
            }
            (true, _) => Features::Sinusoid(Sinusoid::new(noise, 1.0, Order::SinCos)?),
            (false, _) => Features::Sinusoid(Sinusoid::new(noise, 0.0, Order::CosSin)?),
        };
        let (k, vb) = (c.label_dim, self.plan.at("map_label"));
        let (before, after) = match (k, self.song) {
            (0, _) => (None, None),
            (_, true) => {
                let scale = (k as f64).sqrt();
                (Some(LabelEmbedding::map(&vb, k, noise, true, scale)?), None)
            }
            (_, false) => (None, Some(LabelEmbedding::map(&vb, k, wide, false, 1.0)?)),
        };
        if c.augment_dim > 0 {
            let shape = (noise, c.augment_dim);
            let vb = self.plan.at("map_augment");
            vb.get_with_hints(shape, "weight", Init::Const(0.0))?;
            self.plan
                .unused
                .push((vb.pp("weight").prefix(), "augmentation labels are never given"));
        }
        let layers = [
            Linear::new(&self.plan.at("map_layer0"), noise, wide, 1.0)?,
            Linear::new(&self.plan.at("map_layer1"), wide, wide, 1.0)?,
        ];
        let mut names =
            vec!["map_layer0.weight", "map_layer0.bias", "map_layer1.weight", "map_layer1.bias"];
        if k > 0 {
            names.push("map_label.weight");
        }
        if before.is_some() {
            names.push("map_label.bias");
        }
        let names = names.iter().map(|n| self.plan.full_name(n)).collect();
        let embedding = Embedding {
            features,
            before,
            layers,
            after,
            n_classes: k,
            label_dropout: c.label_dropout,
        };
        Ok((embedding, names))
    }

    /// `[1, 1, k, k]` of a separable filter, the buffer that the original keeps with every change of size.
    fn filter_buffer(&mut self, name: &str) -> Result<()> {
        let f = &self.config.resample_filter;
        let sum: f64 = f.iter().sum();
        let values = f.iter().flat_map(|a| f.iter().map(move |b| a * b / (sum * sum))).collect();
        let shape = vec![1, 1, f.len(), f.len()];
        self.plan.constant(&format!("{name}.resample_filter"), shape, values)?;
        Ok(())
    }

    /// The filter of a change of size; the original correlates on the way down.
    fn filter(&self, change: Change) -> Result<Option<Resample>> {
        let mut taps = self.config.resample_filter.clone();
        if change == Change::Down {
            taps.reverse();
        }
        change.filter(Some(&taps))
    }

    fn block(&mut self, name: &str, outputs: usize, change: Change, attention: bool) -> Result<()> {
        let (song, c) = (self.song, self.config);
        let (inputs, eps) = (self.plan.channels, if song { 1e-6 } else { 1e-5 });
        let (keeps, resized) = (inputs == outputs, change != Change::Keep);
        let mapped = !keeps || (resized && song);
        let scale = if song { 0.5_f64.sqrt() } else { 1.0 };
        let options = ResOptions {
            outputs,
            embedding: Some(self.wide()),
            groups: (quarter(inputs), quarter(outputs)),
            eps,
            scale_shift: !song,
            resample: self.filter(change)?,
            skip: if mapped { Skip::Map(Form::Conv2d) } else { Skip::Plain },
            scale,
            dropout: c.dropout,
        };
        if resized {
            self.filter_buffer(&format!("{name}.conv0"))?;
            self.filter_buffer(&format!("{name}.skip"))?;
        }
        self.plan.res(name, &NAMES, options, change)?;
        let heads = if song { 1 } else { outputs / c.channels_per_head };
        if !attention || heads == 0 {
            return Ok(());
        }
        if !outputs.is_multiple_of(heads) {
            let reason = format!("gives {heads} heads, which do not divide {outputs} channels");
            return Err(Error::setting("channels_per_head", c.channels_per_head, reason));
        }
        let norm = Some(("norm2", quarter(outputs), eps));
        let (qkv, head_width) = (Qkv::Interleaved, outputs / heads);
        self.plan.attend(name, AttentionOptions { norm, qkv, heads, head_width, scale, pixels: 0 })
    }

    /// The original's names have the width of the image twice.
    fn level(&self) -> String {
        format!("{0}x{0}", self.plan.size[1])
    }

    fn attends(&self) -> bool {
        self.config.attn_resolutions.contains(&self.plan.size[1])
    }

    pub(super) fn encode(&mut self) -> Result<()> {
        let c = self.config;
        let mut image = c.in_channels;
        for (level, mult) in c.channel_mult.iter().enumerate() {
            if level == 0 {
                let first = c.model_channels * if self.song { 1 } else { *mult };
                self.plan.conv(&format!("enc.{}_conv", self.level()), first)?;
            } else {
                let [h, w] = self.plan.size;
                let name = format!("enc.{0}x{0}", w / 2);
                self.block(&format!("{name}_down"), self.plan.channels, Change::Down, false)?;
                debug_assert_eq!(self.plan.size, [h / 2, w / 2]);
                self.image_in(&name, &mut image)?;
            }
            self.plan.push();
            for i in 0..c.num_blocks {
                let name = format!("enc.{}_block{i}", self.level());
                self.block(&name, c.model_channels * mult, Change::Keep, self.attends())?;
                self.plan.push();
            }
        }
        Ok(())
    }

    fn image_in(&mut self, name: &str, image: &mut usize) -> Result<()> {
        let channels = self.plan.channels;
        match (self.song, self.config.encoder_type.as_str()) {
            (true, "skip") => {
                self.filter_buffer(&format!("{name}_aux_down"))?;
                let filter = self.filter(Change::Down)?;
                self.plan.image_down(filter, None);
                let map = self.plan.pixel_map(&format!("{name}_aux_skip"), *image, channels)?;
                let map = Some(map);
                self.plan.image_in(ImageIn { map, scale: 1.0, replace: false, beside: false });
            }
            (true, "residual") => {
                let name = format!("{name}_aux_residual");
                let mut taps = self.config.resample_filter.clone();
                taps.reverse();
                // Padding of filter and convolution at once.
                let pad = 1 + (taps.len() - 1) / 2;
                let filter = Resample::smooth(&taps, pad, pad)?;
                let conv = self.plan.side_conv(&name, *image, channels, Conv::new(2, [0; 4]))?;
                self.filter_buffer(&name)?;
                self.plan.image_down(Some(filter), Some(conv));
                let scale = std::f64::consts::FRAC_1_SQRT_2;
                self.plan.image_in(ImageIn { map: None, scale, replace: true, beside: false });
                *image = channels;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn decode(&mut self) -> Result<()> {
        let c = self.config;
        let last = c.channel_mult.len() - 1;
        let skip = self.song && c.decoder_type == "skip";
        for (level, mult) in c.channel_mult.iter().enumerate().rev() {
            let channels = self.plan.channels;
            if level == last {
                let name = format!("dec.{}", self.level());
                self.block(&format!("{name}_in0"), channels, Change::Keep, true)?;
                self.block(&format!("{name}_in1"), channels, Change::Keep, false)?;
            } else {
                let name = format!("dec.{0}x{0}_up", 2 * self.plan.size[1]);
                self.block(&name, channels, Change::Up, false)?;
            }
            let name = format!("dec.{}", self.level());
            for i in 0..=c.num_blocks {
                let attention = self.attends() && (i == c.num_blocks || !self.song);
                self.plan.pop();
                let outputs = c.model_channels * mult;
                self.block(&format!("{name}_block{i}"), outputs, Change::Keep, attention)?;
            }
            if skip && level < last {
                self.filter_buffer(&format!("{name}_aux_up"))?;
                let filter = self.filter(Change::Up)?;
                self.plan.image_up(filter, None);
            }
            if self.song && (skip || level == 0) {
                let (norm, conv) = (format!("{name}_aux_norm"), format!("{name}_aux_conv"));
                let groups = quarter(self.plan.channels);
                self.plan.image_out((&norm, groups, 1e-6), &conv, c.out_channels)?;
            }
        }
        if !self.song {
            let groups = quarter(self.plan.channels);
            self.plan.image_out(("out_norm", groups, 1e-5), "out_conv", c.out_channels)?;
        }
        Ok(())
    }
}
