//! NCSN++ and DDPM++ of score_sde_pytorch (Song et al. 2021).

mod plan;

use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

use super::{
    Factor, ImageSize, UNet,
    plan::{Ends, Plan},
    size::{MOST, WIDEST, at_most},
};
use plan::Builder;

/// The settings of score_sde's `ncsnpp` that make a network, by their own names.
///
/// The JSON may have them in one place or in the sections `data`, `model` and `training` of the original's
/// configuration ([`ScoreSdeConfig::from_json`]). `c` is the label: `999 t` for VP and sub-VP, `sigma` with
/// Fourier features. The output is the noise; that of a network that divides by `sigma` is the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // They are the original's own.
pub struct ScoreSdeConfig {
    pub image_size: ImageSize,
    pub num_channels: usize,
    #[serde(default)]
    pub centered: bool,
    pub nf: usize,
    pub ch_mult: Vec<usize>,
    pub num_res_blocks: usize,
    pub attn_resolutions: Vec<usize>,
    #[serde(default)]
    pub dropout: f64,
    #[serde(default = "yes")]
    pub resamp_with_conv: bool,
    #[serde(default = "yes")]
    pub conditional: bool,
    #[serde(default)]
    pub fir: bool,
    #[serde(default = "taps")]
    pub fir_kernel: Vec<f64>,
    #[serde(default = "yes")]
    pub skip_rescale: bool,
    #[serde(default = "biggan")]
    pub resblock_type: String,
    #[serde(default = "none")]
    pub progressive: String,
    #[serde(default = "none")]
    pub progressive_input: String,
    #[serde(default = "sum")]
    pub progressive_combine: String,
    #[serde(default = "positional")]
    pub embedding_type: String,
    #[serde(default = "sixteen")]
    pub fourier_scale: f64,
    #[serde(default)]
    pub scale_by_sigma: bool,
    #[serde(default = "sigma_min")]
    pub sigma_min: f64,
    #[serde(default = "sigma_max")]
    pub sigma_max: f64,
    #[serde(default = "thousand")]
    pub num_scales: usize,
    #[serde(default = "beta_min")]
    pub beta_min: f64,
    #[serde(default = "beta_max")]
    pub beta_max: f64,
    #[serde(default)]
    pub continuous: Option<bool>,
    /// `vpsde`, `subvpsde` or `vesde`, where it is known.
    #[serde(default)]
    pub sde: Option<String>,
}

fn yes() -> bool {
    true
}
fn taps() -> Vec<f64> {
    vec![1.0, 3.0, 3.0, 1.0]
}
fn biggan() -> String {
    "biggan".into()
}
fn none() -> String {
    "none".into()
}
fn sum() -> String {
    "sum".into()
}
fn positional() -> String {
    "positional".into()
}
fn sixteen() -> f64 {
    16.0
}
fn sigma_min() -> f64 {
    0.01
}
fn sigma_max() -> f64 {
    50.0
}
fn thousand() -> usize {
    1000
}
fn beta_min() -> f64 {
    0.1
}
fn beta_max() -> f64 {
    20.0
}

/// Settings of the original that make no difference to a trained network.
const IDLE: [&str; 26] = [
    "name",
    "normalization",
    "nonlinearity",
    "init_scale",
    "conv_size",
    "attention_type",
    "ema_rate",
    "dataset",
    "random_flip",
    "uniform_dequantization",
    "tfrecords_path",
    "batch_size",
    "n_iters",
    "snapshot_freq",
    "log_freq",
    "eval_freq",
    "snapshot_freq_for_preemption",
    "snapshot_sampling",
    "likelihood_weighting",
    "reduce_mean",
    "n_jitted_steps",
    "loss",
    "grad_clip",
    "num_workers",
    "category",
    "embed_dim",
];

impl ScoreSdeConfig {
    /// The settings in a JSON, flat or in sections, perhaps below `config`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that is unknown, missing or of another kind.
    pub fn from_json(json: &Value) -> Result<Self> {
        let json = json.get("config").unwrap_or(json);
        let wrong = |e: &dyn std::fmt::Display| Error::setting("arguments", "score-sde", e);
        let map = json.as_object().ok_or_else(|| wrong(&"must be an object"))?;
        let sections = ["training", "data", "model"];
        let mut flat = Map::new();
        for (key, value) in map {
            match value.as_object() {
                Some(inner) if sections.contains(&key.as_str()) => flat.extend(inner.clone()),
                // Sections about other things.
                _ if ["sampling", "eval", "optim"].contains(&key.as_str()) => {}
                _ if ["seed", "device"].contains(&key.as_str()) => {}
                _ => drop(flat.insert(key.clone(), value.clone())),
            }
        }
        let fixed =
            [("normalization", "GroupNorm"), ("nonlinearity", "swish"), ("attention_type", "ddpm")];
        for (name, only) in fixed {
            if let Some(value) = flat.get(name)
                && value != only
            {
                return Err(Error::setting(name, value, format!("must be {only}")));
            }
        }
        flat.retain(|key, _| !IDLE.contains(&key.as_str()));
        serde_json::from_value(Value::Object(flat)).map_err(|e| wrong(&e))
    }

    /// The network.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make none; whatever the source of the tensors fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<UNet> {
        self.check()?;
        let size = self.image_size.checked(self.ch_mult.len() - 1)?;
        let mut b = Builder::new(self, Plan::new(vb, self.num_channels, size));
        let table = b.plan.constant("sigmas", vec![self.num_scales], self.sigmas())?;
        let (embedding, embedding_names) = b.embedding()?;
        b.descend()?;
        b.ascend()?;
        let factor = match (self.scale_by_sigma, self.embedding_type.as_str()) {
            (false, _) => Factor::One,
            (true, "fourier") => Factor::Reciprocal,
            _ => Factor::Table(table),
        };
        let ends = Ends { embedding, embedding_names, centre: !self.centered, head: None, factor };
        Ok(b.plan.finish(self.num_channels, self.num_channels, size, ends))
    }

    /// The noise levels of SMLD, the largest first.
    fn sigmas(&self) -> Vec<f64> {
        let (from, to) = (self.sigma_max.ln(), self.sigma_min.ln());
        let steps = (self.num_scales - 1).max(1) as f64;
        (0..self.num_scales).map(|i| (from + (to - from) * i as f64 / steps).exp()).collect()
    }

    fn check(&self) -> Result<()> {
        let one_of = |name: &str, word: &str, known: &[&str]| {
            if known.contains(&word) {
                return Ok(());
            }
            Err(Error::setting(name, word, format!("must be one of {}", known.join(", "))))
        };
        one_of("resblock_type", &self.resblock_type, &["biggan", "ddpm"])?;
        one_of("progressive", &self.progressive, &["none", "output_skip", "residual"])?;
        one_of("progressive_input", &self.progressive_input, &["none", "input_skip", "residual"])?;
        one_of("progressive_combine", &self.progressive_combine, &["sum", "cat"])?;
        one_of("embedding_type", &self.embedding_type, &["positional", "fourier"])?;
        if let Some(sde) = &self.sde {
            one_of("sde", sde, &["vpsde", "subvpsde", "vesde", "vp", "subvp", "ve"])?;
        }
        if self.ch_mult.is_empty() {
            return Err(Error::setting("ch_mult", "[]", "must have a number for every level"));
        }
        if self.num_scales == 0 || self.num_scales > 1 << 20 {
            return Err(Error::setting("num_scales", self.num_scales, "must be 1 to 2^20"));
        }
        at_most("nf or num_channels", self.nf.max(self.num_channels), WIDEST)?;
        let most = self.ch_mult.iter().copied().chain([self.num_res_blocks]).max();
        at_most("num_res_blocks or a multiplier", most.unwrap_or(0), MOST)?;
        at_most("taps of fir_kernel", self.fir_kernel.len(), MOST)?;
        let positive = self.sigma_min > 0.0 && self.sigma_max > 0.0;
        if !(positive && self.sigma_min.is_finite() && self.sigma_max.is_finite()) {
            let values = format!("{}, {}", self.sigma_min, self.sigma_max);
            return Err(Error::setting("sigma_min, sigma_max", values, "must be positive"));
        }
        Ok(())
    }
}
