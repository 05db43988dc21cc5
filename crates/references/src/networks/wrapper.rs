//! The wrappers of Karras et al. by their names: a preconditioning each, and a range of noise levels.

use anyhow::{Result, bail};
use score_nets::{Architecture, ModelConfig};
use sde_core::schedule::iddpm_sigmas;
use sde_core::{Edm, Label, NoiseTable, Parametrisation, Preconditioning, Sde, Vp};
use serde_json::Value;

use crate::read::Json;

/// The four functions of a wrapper.
#[derive(Clone, Debug)]
pub(super) struct Wrapper {
    preconditioning: Preconditioning,
    output: Parametrisation,
    kind: Kind,
}

/// The wrappers by the names of their authors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Edm,
    Vp { beta_min: f64, beta_d: f64 },
    Ve,
    Iddpm { steps: usize, c1: f64, c2: f64 },
}

impl Wrapper {
    /// The wrapper of a name with its constants; `table` is the one that a file of improved DDPM holds.
    pub(super) fn read(name: &str, constants: &Value, table: Option<&[f64]>) -> Result<Self> {
        let number = |key: &str| constants.number(key);
        let (preconditioning, output, kind) = match name {
            "EDM" => {
                let sigma_data = number("sigma_data")?;
                let output = Parametrisation::F { sigma_data };
                (Preconditioning::edm(sigma_data), output, Kind::Edm)
            }
            "VP" => {
                let (beta_min, beta_d) = (number("beta_min")?, number("beta_d")?);
                let scale = number("M")? - 1.0;
                let text = format!("vp:beta0={beta_min},beta1={},scale={scale}", beta_min + beta_d);
                (text.parse()?, Parametrisation::Eps, Kind::Vp { beta_min, beta_d })
            }
            "VE" => ("ve".parse()?, Parametrisation::SigmaScore, Kind::Ve),
            "iDDPM" => {
                let (steps, c1, c2) = (constants.count("M")?, number("C_1")?, number("C_2")?);
                let ratios = match table {
                    None => NoiseTable::iddpm(steps, c1, c2)?,
                    Some(falling) => {
                        NoiseTable::new(falling.iter().rev().copied().collect::<Vec<_>>())?
                    }
                };
                let kind = Kind::Iddpm { steps, c1, c2 };
                (Preconditioning::table(ratios, -1.0), Parametrisation::Eps, kind)
            }
            other => bail!("nothing here knows the wrapper `{other}`"),
        };
        Ok(Self { preconditioning, output, kind })
    }

    /// Whether the labels reach hundreds, rather than being logarithms.
    pub(super) fn has_large_labels(&self) -> bool {
        matches!(self.preconditioning.label, Label::VpTime { .. } | Label::Step { .. })
    }

    /// The range of noise levels that the wrapper states, infinity as 1e300.
    pub(super) fn range(&self) -> Result<[f64; 2]> {
        Ok(match self.kind {
            Kind::Edm => [0.0, 1e300],
            Kind::Ve => [0.02, 100.0],
            Kind::Vp { beta_min, beta_d } => {
                let sde = Vp::new(beta_min, beta_min + beta_d)?;
                [1e-5, 1.0].map(|t| (-sde.half_log_snr(t)).exp())
            }
            Kind::Iddpm { steps, c1, c2 } => {
                let falling = iddpm_sigmas(steps, c1, c2);
                [falling[steps - 1], falling[0]]
            }
        })
    }

    /// The same range in single precision, as it is shipped: differences to 1 lose digits at its lower end.
    pub(super) fn single_range(&self) -> Result<[f64; 2]> {
        Ok(match self.kind {
            Kind::Vp { beta_min, beta_d } => {
                let (beta_min, beta_d) = (beta_min as f32, beta_d as f32);
                let sigma = |t: f32| ((0.5 * beta_d * (t * t) + beta_min * t).exp() - 1.0).sqrt();
                [1e-5, 1.0].map(|t| f64::from(sigma(t)))
            }
            Kind::Iddpm { steps, c1, c2 } => {
                let quarter = std::f32::consts::FRAC_PI_2;
                let angle = |j: usize| quarter * j as f32 / steps as f32 / (c2 + 1.0) as f32;
                let alpha_bar = |j: usize| angle(j).sin().powi(2);
                let before = |u: f32, j: usize| {
                    let ratio = (alpha_bar(j - 1) / alpha_bar(j)).max(c1 as f32);
                    ((u * u + 1.0) / ratio - 1.0).sqrt()
                };
                let (first, all) = (before(0.0, steps), (1..=steps).rev().fold(0.0, before));
                [first, all].map(f64::from)
            }
            _ => self.range()?,
        })
    }

    /// The table of improved DDPM in double precision, falling to the zero at its end.
    pub(super) fn table(&self) -> Result<Vec<f64>> {
        let Kind::Iddpm { steps, c1, c2 } = self.kind else { bail!("a wrapper without a table") };
        let mut falling = iddpm_sigmas(steps, c1, c2);
        falling.push(0.0);
        Ok(falling)
    }

    /// Place and value of the level of the table next to `sigma`, places counted from the largest.
    pub(super) fn nearest(&self, sigma: f64) -> Result<(usize, f64)> {
        let Label::Step { table, .. } = &self.preconditioning.label else {
            bail!("a wrapper without a table")
        };
        let rising = table.nearest(sigma);
        Ok((table.ratios().len() - 1 - rising, table.ratios()[rising]))
    }

    /// A network in this wrapper, as a model of the score at times that are noise levels.
    pub(super) fn around(&self, network: Architecture) -> ModelConfig {
        ModelConfig {
            network: Some(network),
            output: self.output,
            preconditioning: self.preconditioning.clone(),
            sde: Edm::default().name(),
            sigma_data: None,
            log_variance: None,
            identity: None,
            data: None,
        }
    }
}
