//! Conventions of a network: its noise level, what it predicts, the process it was trained for.

use sde_core::{NoiseTable, sde::Betas};
use serde_json::Value;

use crate::{Architecture, Error, Result, unet::EdmPrecond};

/// What a network's level `c` and its output mean, and the process it was trained for, as far as known.
#[derive(Clone, Debug, PartialEq)]
pub struct Conventions {
    /// What `c` is.
    pub level: NoiseLevel,
    /// What the output is.
    pub prediction: Prediction,
    /// The process of the noise; `None`: the files do not say.
    pub process: Option<Process>,
    /// Half of the output's channels, the second, are about the variance of a step.
    pub learned_variance: bool,
    /// The range that the data were mapped to; `None`: the files do not say.
    pub data: Option<(f64, f64)>,
    /// The noise levels that an iDDPM wrapper has among its tensors, upwards; labels are then by these numbers, rounded
    /// as they are.
    pub levels: Option<NoiseTable>,
}

/// What the level `c` of a network is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoiseLevel {
    /// The number of a step of a discrete process, from 0 up with the noise.
    Step,
    /// A multiple of the time of a continuous process.
    Time {
        /// The factor.
        scale: f64,
    },
    /// The standard deviation of the noise; the network takes the logarithm itself.
    Sigma,
    /// The number of a noise level, counted from the largest.
    FromLargest,
    /// `c_noise` of a preconditioning of EDM.
    CNoise,
    /// Whatever the training gave it.
    Free,
}

/// What the output of a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise `epsilon`.
    Epsilon,
    /// The data `x_0`.
    Sample,
    /// `v = alpha epsilon - sigma x_0`.
    Velocity,
    /// The score.
    Score,
    /// `F` of EDM's preconditioning.
    F,
    /// The logits of classes.
    Logits,
    /// Whatever it was trained for.
    Free,
}

/// The process that adds the noise.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// The discrete process of DDPM.
    Ddpm {
        /// Its betas.
        betas: Betas,
        /// The table is shifted so that the last step has no signal.
        zero_terminal_snr: bool,
    },
    /// The variance-preserving SDE.
    Vp {
        /// `beta(0)`.
        beta_min: f64,
        /// `beta(1)`.
        beta_max: f64,
    },
    /// The sub-VP SDE.
    SubVp {
        /// `beta(0)`.
        beta_min: f64,
        /// `beta(1)`.
        beta_max: f64,
    },
    /// The variance-exploding SDE.
    Ve {
        /// `sigma(0)`.
        sigma_min: f64,
        /// `sigma(1)`.
        sigma_max: f64,
    },
    /// `x_0 + sigma n` with a preconditioning of EDM.
    Edm(EdmPrecond),
}

impl Conventions {
    /// What follows from the architecture and its arguments.
    pub fn of(architecture: &Architecture) -> Self {
        let of = |level, prediction, process| Self {
            level,
            prediction,
            process,
            learned_variance: false,
            data: None,
            levels: None,
        };
        match architecture {
            Architecture::Diffusers(c) if c.time_embedding_type == "fourier" => {
                of(NoiseLevel::Sigma, Prediction::Score, None)
            }
            Architecture::Diffusers(_) => of(NoiseLevel::Step, Prediction::Epsilon, None),
            Architecture::ScoreSde(c) => Self::of_score_sde(c),
            Architecture::Edm(c) => {
                let mut conventions =
                    of(NoiseLevel::CNoise, Prediction::F, c.precond.map(Process::Edm));
                conventions.learned_variance = c.out_channels == 2 * c.in_channels;
                conventions.data = Some((-1.0, 1.0));
                conventions
            }
            Architecture::Guided(c) => {
                let mut conventions = of(NoiseLevel::Step, Prediction::Epsilon, None);
                conventions.learned_variance = c.out_channels == 2 * c.in_channels;
                conventions.data = Some((-1.0, 1.0));
                conventions
            }
            Architecture::GuidedEncoder(_) => of(NoiseLevel::Step, Prediction::Logits, None),
            // Networks of no publication are whatever they are trained for.
            _ => of(NoiseLevel::Free, Prediction::Free, None),
        }
    }

    fn of_score_sde(c: &crate::unet::ScoreSdeConfig) -> Self {
        let (beta_min, beta_max) = (c.beta_min, c.beta_max);
        let ve = Process::Ve { sigma_min: c.sigma_min, sigma_max: c.sigma_max };
        let fourier = c.embedding_type == "fourier";
        let process = match c.sde.as_deref().map(|s| s.trim_end_matches("sde")) {
            Some("vp") => Some(Process::Vp { beta_min, beta_max }),
            Some("subvp") => Some(Process::SubVp { beta_min, beta_max }),
            Some("ve") => Some(ve),
            // Dividing by sigma is what only networks of this process do.
            _ if fourier && c.scale_by_sigma => Some(ve),
            _ => None,
        };
        let exploding = matches!(process, Some(Process::Ve { .. }));
        let level = match (fourier, exploding || c.scale_by_sigma, c.continuous) {
            (true, ..) => NoiseLevel::Sigma,
            (_, true, _) => NoiseLevel::FromLargest,
            (_, _, Some(false)) => NoiseLevel::Step,
            _ => NoiseLevel::Time { scale: (c.num_scales - 1) as f64 },
        };
        let score = exploding || c.scale_by_sigma;
        let prediction = if score { Prediction::Score } else { Prediction::Epsilon };
        let low = if c.centered { -1.0 } else { 0.0 };
        let data = Some((low, 1.0));
        Self { level, prediction, process, learned_variance: false, data, levels: None }
    }

    /// What a `scheduler_config.json` of diffusers adds.
    ///
    /// # Errors
    /// [`Error::Setting`] for a schedule or a prediction that is not known.
    pub fn schedule(&mut self, json: &Value) -> Result<()> {
        let class = json.get("_class_name").and_then(Value::as_str).unwrap_or_default();
        let number =
            |name: &str, default: f64| json.get(name).and_then(Value::as_f64).unwrap_or(default);
        let word = |name: &str| json.get(name).and_then(Value::as_str);
        let flag = |name: &str| json.get(name).and_then(Value::as_bool).unwrap_or(false);
        if class.starts_with("ScoreSdeVe") {
            let (sigma_min, sigma_max) = (number("sigma_min", 0.01), number("sigma_max", 1348.0));
            self.process = Some(Process::Ve { sigma_min, sigma_max });
            self.prediction = Prediction::Score;
            return Ok(());
        }
        let steps = number("num_train_timesteps", 1000.0);
        if !((1.0..=1e7).contains(&steps) && steps.fract() == 0.0) {
            return Err(Error::setting("num_train_timesteps", steps, "must be a number of steps"));
        }
        let steps = steps as usize;
        let (start, end) = (number("beta_start", 1e-4), number("beta_end", 0.02));
        let listed = json.get("trained_betas").filter(|list| !list.is_null());
        let betas = match (listed, word("beta_schedule").unwrap_or("linear")) {
            (Some(list), _) => Betas::Listed(
                list.as_array()
                    .and_then(|all| all.iter().map(Value::as_f64).collect())
                    .ok_or_else(|| Error::setting("trained_betas", list, "must be numbers"))?,
            ),
            (_, "linear") => Betas::Linear { start, end, steps },
            (_, "scaled_linear") => Betas::ScaledLinear { start, end, steps },
            (_, "squaredcos_cap_v2") => Betas::SquaredCosine { steps },
            (_, "sigmoid") => Betas::Sigmoid { start, end, steps },
            (_, other) => {
                let reason = "must be one of linear, scaled_linear, squaredcos_cap_v2, sigmoid";
                return Err(Error::setting("beta_schedule", other, reason));
            }
        };
        let zero_terminal_snr = flag("rescale_betas_zero_snr");
        self.process = Some(Process::Ddpm { betas, zero_terminal_snr });
        self.prediction = match word("prediction_type").unwrap_or("epsilon") {
            "epsilon" => Prediction::Epsilon,
            "sample" => Prediction::Sample,
            "v_prediction" => Prediction::Velocity,
            other => {
                let reason = "must be one of epsilon, sample, v_prediction";
                return Err(Error::setting("prediction_type", other, reason));
            }
        };
        self.data = Some((-1.0, 1.0));
        Ok(())
    }

    /// What the JSON beside a state dict of guided-diffusion adds in `diffusion`: the library's own
    /// `noise_schedule`, `diffusion_steps` and `predict_xstart`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a schedule that is not known.
    pub fn note(&mut self, json: &Value) -> Result<()> {
        let Some(diffusion) = json.get("diffusion") else { return Ok(()) };
        let steps = diffusion.get("diffusion_steps").or(diffusion.get("steps"));
        let steps = steps.and_then(Value::as_u64).unwrap_or(1000);
        if !(1..=10_000_000).contains(&steps) {
            return Err(Error::setting("diffusion_steps", steps, "must be a number of steps"));
        }
        let word = diffusion.get("noise_schedule").and_then(Value::as_str).unwrap_or("linear");
        let (scale, steps) = (1000.0 / steps as f64, steps as usize);
        let betas = match word {
            "linear" => Betas::Linear { start: scale * 1e-4, end: scale * 0.02, steps },
            "cosine" => Betas::SquaredCosine { steps },
            other => {
                return Err(Error::setting(
                    "noise_schedule",
                    other,
                    "must be one of linear, cosine",
                ));
            }
        };
        self.process = Some(Process::Ddpm { betas, zero_terminal_snr: false });
        if diffusion.get("predict_xstart").and_then(Value::as_bool).unwrap_or(false) {
            self.prediction = Prediction::Sample;
        }
        Ok(())
    }
}

impl std::fmt::Display for Conventions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            NoiseLevel::Step => "the number of the step".to_string(),
            NoiseLevel::Time { scale } => format!("{scale} t"),
            NoiseLevel::Sigma => "sigma".to_string(),
            NoiseLevel::FromLargest => "the number of the noise level from the largest".to_string(),
            NoiseLevel::CNoise => "c_noise".to_string(),
            NoiseLevel::Free => "as trained".to_string(),
        };
        let prediction = match self.prediction {
            Prediction::Epsilon => "epsilon",
            Prediction::Sample => "x0",
            Prediction::Velocity => "v",
            Prediction::Score => "the score",
            Prediction::F => "F of EDM",
            Prediction::Logits => "logits",
            Prediction::Free => "as trained",
        };
        write!(f, "level: {level}; output: {prediction}")?;
        if self.learned_variance {
            write!(f, ", then the variance's")?;
        }
        match &self.process {
            None => write!(f, "; process: not said"),
            Some(Process::Ddpm { betas, zero_terminal_snr }) => {
                write!(f, "; process: DDPM, {} steps, betas ", betas.steps())?;
                match betas {
                    Betas::Linear { start, end, .. } => write!(f, "linear from {start} to {end}")?,
                    Betas::ScaledLinear { start, end, .. } => {
                        write!(f, "with roots linear from {start} to {end}")?;
                    }
                    Betas::SquaredCosine { .. } => write!(f, "cosine")?,
                    Betas::Sigmoid { start, end, .. } => {
                        write!(f, "sigmoid from {start} to {end}")?;
                    }
                    Betas::Listed(_) => write!(f, "as listed")?,
                }
                write!(f, "{}", if *zero_terminal_snr { ", no signal at the end" } else { "" })
            }
            Some(Process::Vp { beta_min, beta_max }) => {
                write!(f, "; process: VP, beta {beta_min} to {beta_max}")
            }
            Some(Process::SubVp { beta_min, beta_max }) => {
                write!(f, "; process: sub-VP, beta {beta_min} to {beta_max}")
            }
            Some(Process::Ve { sigma_min, sigma_max }) => {
                write!(f, "; process: VE, sigma {sigma_min} to {sigma_max}")
            }
            Some(Process::Edm(precond)) => write!(f, "; process: EDM, {precond:?}"),
        }
    }
}
