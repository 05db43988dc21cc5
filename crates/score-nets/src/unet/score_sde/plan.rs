//! The steps of score_sde's networks.

use crate::{
    Result,
    layers::{Form, Fourier, Linear, Order, Resample, Sinusoid},
    ops::Conv,
    unet::{
        block::{AttentionOptions, Qkv, ResNames, ResOptions, Skip},
        embed::{Embedding, Features},
        plan::{Change, Plan, quarter},
        steps::ImageIn,
    },
};

use super::ScoreSdeConfig;

const fn names(skip: &'static str) -> ResNames {
    ResNames {
        norm0: "GroupNorm_0",
        conv0: "Conv_0",
        embedding: "Dense_0",
        norm1: "GroupNorm_1",
        conv1: "Conv_1",
        skip,
    }
}

const QKV: Qkv = Qkv::Apart(Form::Nin, ["NIN_0", "NIN_1", "NIN_2", "NIN_3"]);
const EPS: f64 = 1e-6;

/// Modules are numbered as they come.
pub(super) struct Builder<'a> {
    config: &'a ScoreSdeConfig,
    pub(super) plan: Plan,
    module: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(config: &'a ScoreSdeConfig, plan: Plan) -> Self {
        Self { config, plan, module: 0 }
    }

    /// The name of the next module.
    fn next(&mut self) -> String {
        self.module += 1;
        format!("all_modules.{}", self.module - 1)
    }

    fn scale(&self) -> f64 {
        if self.config.skip_rescale { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 }
    }

    fn taps(&self) -> Option<&[f64]> {
        self.config.fir.then_some(self.config.fir_kernel.as_slice())
    }

    pub(super) fn embedding(&mut self) -> Result<(Option<Embedding>, Vec<String>)> {
        let nf = self.config.nf;
        let (features, inputs) = if self.config.embedding_type == "fourier" {
            let name = self.next();
            self.plan.buffers.push(self.plan.full_name(&format!("{name}.W")));
            let scale = self.config.fourier_scale;
            let f = Fourier::new(&self.plan.at(&name), "W", nf, scale, true, Order::SinCos)?;
            (Features::Fourier(f), 2 * nf)
        } else {
            (Features::Sinusoid(Sinusoid::new(nf, 1.0, Order::SinCos)?), nf)
        };
        if !self.config.conditional {
            return Ok((None, Vec::new()));
        }
        let (first, second) = (self.next(), self.next());
        let layers = [
            Linear::new(&self.plan.at(&first), inputs, 4 * nf, 1.0)?,
            Linear::new(&self.plan.at(&second), 4 * nf, 4 * nf, 1.0)?,
        ];
        let both = [&first, &second];
        let names = both.iter().flat_map(|m| [format!("{m}.weight"), format!("{m}.bias")]);
        let names = names.map(|n| self.plan.full_name(&n)).collect();
        let embedding = Embedding {
            features,
            before: None,
            layers,
            after: None,
            n_classes: 0,
            label_dropout: 0.0,
        };
        Ok((Some(embedding), names))
    }

    fn res(&mut self, outputs: usize, change: Change) -> Result<()> {
        let name = self.next();
        let c = self.config;
        let biggan = c.resblock_type == "biggan";
        let plain = outputs == self.plan.channels && change == Change::Keep;
        let form = if biggan { Form::Conv2d } else { Form::Nin };
        let options = ResOptions {
            outputs,
            embedding: c.conditional.then_some(4 * c.nf),
            groups: (quarter(self.plan.channels), quarter(outputs)),
            eps: EPS,
            scale_shift: false,
            resample: change.filter(self.taps())?,
            skip: if plain { Skip::Plain } else { Skip::Map(form) },
            scale: self.scale(),
            dropout: c.dropout,
        };
        let names = if biggan { names("Conv_2") } else { names("NIN_0") };
        self.plan.res(&name, &names, options, change)
    }

    fn attend(&mut self) -> Result<()> {
        let (name, channels) = (self.next(), self.plan.channels);
        let norm = Some(("GroupNorm_0", quarter(channels), EPS));
        let options = AttentionOptions {
            norm,
            qkv: QKV,
            heads: 1,
            head_width: channels,
            scale: self.scale(),
            pixels: 0,
        };
        self.plan.attend(&name, options)
    }

    /// The original looks at the width of the image.
    fn attends(&self) -> bool {
        self.config.attn_resolutions.contains(&self.plan.size[1])
    }

    pub(super) fn descend(&mut self) -> Result<()> {
        let c = self.config;
        let name = self.next();
        self.plan.conv(&name, c.nf)?;
        self.plan.push();
        let mut image = c.num_channels;
        for (level, mult) in c.ch_mult.iter().enumerate() {
            for _ in 0..c.num_res_blocks {
                self.res(c.nf * mult, Change::Keep)?;
                if self.attends() {
                    self.attend()?;
                }
                self.plan.push();
            }
            if level + 1 < c.ch_mult.len() {
                self.halve()?;
                self.image_in(&mut image)?;
                self.plan.push();
            }
        }
        let channels = self.plan.channels;
        self.res(channels, Change::Keep)?;
        self.attend()?;
        self.res(channels, Change::Keep)
    }

    fn halve(&mut self) -> Result<()> {
        let channels = self.plan.channels;
        if self.config.resblock_type == "biggan" {
            return self.res(channels, Change::Down);
        }
        let name = self.next();
        match (self.config.resamp_with_conv, self.taps().map(<[f64]>::to_vec)) {
            (true, None) => {
                let conv = Conv::new(2, [0, 1, 0, 1]);
                self.plan.conv_with(&format!("{name}.Conv_0"), channels, conv)
            }
            (true, Some(taps)) => {
                self.plan.resample(Change::Keep, smooth(&taps)?);
                self.plan.conv_with(&format!("{name}.Conv2d_0"), channels, Conv::new(2, [0; 4]))
            }
            (false, taps) => {
                let filter = Change::Down.filter(taps.as_deref())?;
                self.plan.resample(Change::Down, filter.unwrap_or(Resample::mean()));
                Ok(())
            }
        }
    }

    fn double(&mut self) -> Result<()> {
        let channels = self.plan.channels;
        if self.config.resblock_type == "biggan" {
            return self.res(channels, Change::Up);
        }
        let name = self.next();
        let taps = self.taps().map(<[f64]>::to_vec);
        let filter = Change::Up.filter(taps.as_deref())?;
        self.plan.resample(Change::Up, filter.unwrap_or(Resample::nearest()));
        if self.config.resamp_with_conv {
            let part = if taps.is_some() { "Conv2d_0" } else { "Conv_0" };
            self.plan.conv(&format!("{name}.{part}"), channels)?;
        }
        Ok(())
    }

    /// The progressive input, of `image` channels.
    fn image_in(&mut self, image: &mut usize) -> Result<()> {
        let c = self.config;
        let channels = self.plan.channels;
        let taps = self.taps().map(<[f64]>::to_vec);
        match c.progressive_input.as_str() {
            "input_skip" => {
                self.next();
                self.plan.image_down(Change::Down.filter(taps.as_deref())?, None);
                let name = self.next();
                let map = self.plan.pixel_map(&format!("{name}.Conv"), *image, channels)?;
                let beside = c.progressive_combine == "cat";
                self.plan.image_in(ImageIn { map: Some(map), scale: 1.0, replace: false, beside });
                if beside {
                    self.plan.channels *= 2;
                }
            }
            "residual" => {
                let name = self.next();
                let (filter, part, pad) = match &taps {
                    Some(taps) => (Some(smooth(taps)?), "Conv2d_0", [0; 4]),
                    None => (None, "Conv_0", [0, 1, 0, 1]),
                };
                let (name, conv) = (format!("{name}.{part}"), Conv::new(2, pad));
                let conv = self.plan.side_conv(&name, *image, channels, conv)?;
                self.plan.image_down(filter, Some(conv));
                let scale = self.scale();
                self.plan.image_in(ImageIn { map: None, scale, replace: true, beside: false });
                *image = channels;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn ascend(&mut self) -> Result<()> {
        let c = self.config;
        let mut image = 0;
        for (level, mult) in c.ch_mult.iter().enumerate().rev() {
            for _ in 0..=c.num_res_blocks {
                self.plan.pop();
                self.res(c.nf * mult, Change::Keep)?;
            }
            if self.attends() {
                self.attend()?;
            }
            self.image_out(&mut image)?;
            if level != 0 {
                self.double()?;
            }
        }
        if c.progressive != "output_skip" {
            self.plan.forget();
            self.output(c.num_channels)?;
        }
        Ok(())
    }

    /// A normalisation, an activation and a convolution to the outgoing image.
    fn output(&mut self, outputs: usize) -> Result<()> {
        let (norm, conv, groups) = (self.next(), self.next(), quarter(self.plan.channels));
        self.plan.image_out((&norm, groups, EPS), &conv, outputs)
    }

    /// The progressive output; `image` is 0 before there is one.
    fn image_out(&mut self, image: &mut usize) -> Result<()> {
        let c = self.config;
        let channels = self.plan.channels;
        let taps = self.taps().map(<[f64]>::to_vec);
        match (c.progressive.as_str(), *image) {
            ("none", _) => return Ok(()),
            ("output_skip", old) => {
                if old > 0 {
                    self.next();
                    self.plan.image_up(Change::Up.filter(taps.as_deref())?, None);
                }
                self.output(c.num_channels)?;
                *image = c.num_channels;
            }
            (_, 0) => {
                self.output(channels)?;
                *image = channels;
            }
            (_, old) => {
                let name = self.next();
                let part = if taps.is_some() { "Conv2d_0" } else { "Conv_0" };
                let name = format!("{name}.{part}");
                let conv = self.plan.side_conv(&name, old, channels, Conv::same(3))?;
                self.plan.image_up(Change::Up.filter(taps.as_deref())?, Some(conv));
                let scale = self.scale();
                self.plan.merge(scale);
                *image = channels;
            }
        }
        Ok(())
    }
}

/// The filter before a 3 x 3 convolution of stride 2 without padding, all zeros of both at once.
fn smooth(taps: &[f64]) -> Result<Resample> {
    let p = taps.len();
    Resample::smooth(taps, p.div_ceil(2), p / 2)
}
