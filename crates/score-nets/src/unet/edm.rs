//! The U-Nets of EDM (Karras et al. 2022): `SongUNet` and `DhariwalUNet`.

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

/// Which of EDM's networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdmModel {
    /// DDPM++ and NCSN++.
    #[default]
    SongUNet,
    /// ADM.
    DhariwalUNet,
}

/// The preconditioning around a network (Karras et al. 2022, table 1): `D(x; sigma) = c_skip x + c_out
/// F(c_in x; c_noise)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EdmPrecond {
    /// `c_noise = ln(sigma) / 4`.
    Edm {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
    /// `c_noise = (m - 1) t(sigma)`.
    Vp {
        /// `beta_max - beta_min`.
        beta_d: f64,
        /// `beta(0)`.
        beta_min: f64,
        /// Number of steps.
        m: usize,
    },
    /// `c_noise = ln(sigma / 2)`.
    Ve,
    /// `c_noise = m - 1 - j` for the entry `j` of the table of noise levels that is nearest.
    Iddpm {
        /// Bound of the steps at low noise.
        c_1: f64,
        /// Offset at high noise.
        c_2: f64,
        /// Number of steps.
        m: usize,
    },
}

/// The constructor's arguments of EDM's networks, by their own names; missing ones have the defaults of their
/// class ([`EdmConfig::from_json`]).
///
/// `c` is `c_noise` of the preconditioning; the output is `F`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // They are the original's own.
pub struct EdmConfig {
    pub model_type: EdmModel,
    pub img_resolution: ImageSize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub label_dim: usize,
    pub augment_dim: usize,
    pub model_channels: usize,
    pub channel_mult: Vec<usize>,
    pub channel_mult_emb: usize,
    pub num_blocks: usize,
    pub attn_resolutions: Vec<usize>,
    pub dropout: f64,
    pub label_dropout: f64,
    pub embedding_type: String,
    pub channel_mult_noise: usize,
    pub encoder_type: String,
    pub decoder_type: String,
    pub resample_filter: Vec<f64>,
    /// Channels of a head of attention in `DhariwalUNet`.
    pub channels_per_head: usize,
    /// The preconditioning it was trained with, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precond: Option<EdmPrecond>,
}

impl EdmConfig {
    /// The defaults of a class.
    pub fn new(model: EdmModel, channels: usize, size: impl Into<ImageSize>) -> Self {
        let song = model == EdmModel::SongUNet;
        Self {
            model_type: model,
            img_resolution: size.into(),
            in_channels: channels,
            out_channels: channels,
            label_dim: 0,
            augment_dim: 0,
            model_channels: if song { 128 } else { 192 },
            channel_mult: if song { vec![1, 2, 2, 2] } else { vec![1, 2, 3, 4] },
            channel_mult_emb: 4,
            num_blocks: if song { 4 } else { 3 },
            attn_resolutions: if song { vec![16] } else { vec![32, 16, 8] },
            dropout: 0.1,
            label_dropout: 0.0,
            embedding_type: "positional".into(),
            channel_mult_noise: 1,
            encoder_type: "standard".into(),
            decoder_type: "standard".into(),
            resample_filter: vec![1.0, 1.0],
            channels_per_head: 64,
            precond: None,
        }
    }

    /// A network that trains on a CPU: 32, 64 and 64 channels, a block a level, attention on the smallest
    /// images. There are as many levels, three at most, as the size can be halved.
    ///
    /// ```
    /// use score_nets::{Architecture, Backend, unet::EdmConfig};
    /// let config = EdmConfig { label_dim: 10, ..EdmConfig::small(1, 28) };
    /// let net = Architecture::Edm(config).initial(sde_core::Key::root(1), &Backend::cpu())?;
    /// assert_eq!(net.n_scalars() / 1000, 1259);
    /// # Ok::<(), score_nets::Error>(())
    /// ```
    pub fn small(channels: usize, size: impl Into<ImageSize>) -> Self {
        let size = size.into();
        let [h, w] = size.sides();
        let levels = 1 + (h | w).trailing_zeros().min(2) as usize;
        Self {
            model_channels: 32,
            channel_mult: [1, 2, 2][..levels].to_vec(),
            num_blocks: 1,
            attn_resolutions: vec![w >> (levels - 1)],
            dropout: 0.0,
            ..Self::new(EdmModel::SongUNet, channels, size)
        }
    }

    /// Arguments in a JSON: of the network's constructor or of the preconditioning's around it, flat or in
    /// the sections `base` and `net`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an argument that is unknown, missing or of another kind.
    pub fn from_json(json: &Value) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::setting("arguments", "edm", e);
        let map = json.as_object().ok_or_else(|| wrong(&"must be an object"))?;
        let mut flat = Map::new();
        for (key, value) in map {
            match value.as_object() {
                Some(inner) if key == "base" || key == "net" => flat.extend(inner.clone()),
                _ if value.is_null() => {}
                _ => drop(flat.insert(key.clone(), value.clone())),
            }
        }
        for idle in ["use_fp16", "epsilon_t"] {
            flat.remove(idle);
        }
        let precond = take_precond(&mut flat)?;
        let model = match flat.get("model_type") {
            Some(model) => serde_json::from_value(model.clone()).map_err(|e| wrong(&e))?,
            None => EdmModel::SongUNet,
        };
        let twice = matches!(precond, Some(EdmPrecond::Iddpm { .. }));
        if let Some(channels) = flat.remove("img_channels") {
            let n = channels.as_u64().ok_or_else(|| wrong(&"img_channels must be a number"))?;
            flat.entry("in_channels").or_insert(n.into());
            let out = if twice { 2 * n } else { n };
            flat.entry("out_channels").or_insert(out.into());
        }
        for needed in ["img_resolution", "in_channels", "out_channels"] {
            if !flat.contains_key(needed) {
                return Err(wrong(&format!("missing field `{needed}`")));
            }
        }
        let defaults = serde_json::to_value(Self::new(model, 1, 1)).map_err(|e| wrong(&e))?;
        if let Value::Object(defaults) = defaults {
            for (key, value) in defaults {
                flat.entry(key).or_insert(value);
            }
        }
        let config: Self = serde_json::from_value(Value::Object(flat)).map_err(|e| wrong(&e))?;
        Ok(Self { precond, ..config })
    }

    /// The network.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make none; whatever the source of the tensors fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<UNet> {
        self.check()?;
        let size = self.img_resolution.checked(self.channel_mult.len() - 1)?;
        let mut b = Builder {
            config: self,
            plan: Plan::new(vb, self.in_channels, size),
            song: self.model_type == EdmModel::SongUNet,
        };
        let (embedding, embedding_names) = b.embedding()?;
        b.encode()?;
        b.decode()?;
        let ends = Ends {
            embedding: Some(embedding),
            embedding_names,
            centre: false,
            head: None,
            factor: Factor::One,
        };
        Ok(b.plan.finish(self.in_channels, self.out_channels, size, ends))
    }

    fn check(&self) -> Result<()> {
        let one_of = |name: &str, word: &str, known: &[&str]| {
            if known.contains(&word) {
                return Ok(());
            }
            Err(Error::setting(name, word, format!("must be one of {}", known.join(", "))))
        };
        one_of("embedding_type", &self.embedding_type, &["positional", "fourier"])?;
        one_of("encoder_type", &self.encoder_type, &["standard", "skip", "residual"])?;
        one_of("decoder_type", &self.decoder_type, &["standard", "skip"])?;
        if self.channel_mult.is_empty() {
            return Err(Error::setting("channel_mult", "[]", "must have a number for every level"));
        }
        if !self.resample_filter.len().is_multiple_of(2) {
            let filter = format!("{:?}", self.resample_filter);
            return Err(Error::setting(
                "resample_filter",
                filter,
                "must have an even number of taps",
            ));
        }
        if self.channels_per_head == 0 {
            return Err(Error::setting("channels_per_head", 0, "must be positive"));
        }
        let widths = [self.in_channels, self.out_channels, self.model_channels];
        let widest = widths.into_iter().chain([self.label_dim, self.augment_dim]).max();
        at_most("number of channels or classes", widest.unwrap_or(0), WIDEST)?;
        let counts = [self.num_blocks, self.channel_mult_emb, self.channel_mult_noise];
        let most = counts.into_iter().chain(self.channel_mult.iter().copied()).max();
        at_most("num_blocks or a multiplier", most.unwrap_or(0), MOST)?;
        at_most("taps of resample_filter", self.resample_filter.len(), MOST)?;
        crate::layers::check_probability("label_dropout", self.label_dropout)
    }
}

/// Takes what is about the preconditioning out of the arguments.
fn take_precond(flat: &mut Map<String, Value>) -> Result<Option<EdmPrecond>> {
    let class = flat.remove("class_name").or(flat.remove("precond"));
    let mut number = |name: &str, default: f64| match flat.remove(name) {
        None => Ok(default),
        Some(value) => {
            value.as_f64().ok_or_else(|| Error::setting(name, value, "must be a number"))
        }
    };
    let (sigma_data, beta_d, beta_min) =
        (number("sigma_data", 0.5)?, number("beta_d", 19.9)?, number("beta_min", 0.1)?);
    let (m, c_1, c_2) = (number("M", 1000.0)?, number("C_1", 0.001)?, number("C_2", 0.008)?);
    for bound in ["sigma_min", "sigma_max"] {
        number(bound, 0.0)?;
    }
    let Some(class) = class else { return Ok(None) };
    if !((1.0..=1e7).contains(&m) && m.fract() == 0.0) {
        return Err(Error::setting("M", m, "must be a number of steps"));
    }
    if class.is_object() {
        let wrong = |e| Error::setting("precond", &class, e);
        return serde_json::from_value(class.clone()).map(Some).map_err(wrong);
    }
    let word = class.as_str().unwrap_or_default();
    let word = word.strip_prefix("training.networks.").unwrap_or(word);
    match word.strip_suffix("Precond").unwrap_or(word) {
        "EDM" => Ok(Some(EdmPrecond::Edm { sigma_data })),
        "VP" => Ok(Some(EdmPrecond::Vp { beta_d, beta_min, m: m as usize })),
        // In files of ours the one without constants is a word too.
        "VE" | "ve" => Ok(Some(EdmPrecond::Ve)),
        "iDDPM" => Ok(Some(EdmPrecond::Iddpm { c_1, c_2, m: m as usize })),
        _ => Err(Error::setting("precond", class, "must be one of EDM, VP, VE, iDDPM")),
    }
}
