//! From the conventions in the files to the setup of a model of the score.

use std::sync::Arc;

use sde_core::{
    Discrete, Edm, InputScale, Label, NoiseTable, Parametrisation, Preconditioning, Sde, SubVp, Ve,
    Vp,
};

use super::{Conventions, NoiseLevel, Prediction, Process};
use crate::{Result, unet::EdmPrecond};

/// What a network needs beside its weights to be a model of the score: the process, the preconditioning of its input and
/// the parametrisation of its output.
#[derive(Clone)]
pub struct ModelSetup {
    /// The forward process.
    pub sde: Arc<dyn Sde>,
    /// What the network is given.
    pub preconditioning: Preconditioning,
    /// What its output stands for.
    pub output: Parametrisation,
    /// What is added to a time as the network's own code counts it: its steps count from 0, times of a process in
    /// discrete time from 1.
    pub offset: f64,
}

impl Conventions {
    /// What the network predicts, whatever its process.
    pub fn output(&self) -> Parametrisation {
        match self.prediction {
            Prediction::Sample => Parametrisation::X0,
            Prediction::Velocity => Parametrisation::V,
            Prediction::Score => Parametrisation::Score,
            Prediction::F => Parametrisation::F { sigma_data: 0.5 },
            Prediction::Epsilon | Prediction::Logits | Prediction::Free => Parametrisation::Eps,
        }
    }

    /// The model of the score that the files describe; `None` where they do not say enough, or the network is a
    /// classifier.
    ///
    /// # Errors
    /// [`crate::Error::Sde`] for constants that no process can have.
    pub fn setup(&self) -> Result<Option<ModelSetup>> {
        let output = self.output();
        let with = |sde: Arc<dyn Sde>, label: Label| {
            let preconditioning = Preconditioning { input: InputScale::One, label };
            Some(ModelSetup { sde, preconditioning, output, offset: 0.0 })
        };
        let time = |scale: f64| Label::Time { scale, offset: 0.0 };
        if matches!(self.prediction, Prediction::Logits | Prediction::Free) {
            return Ok(None);
        }
        Ok(match (&self.process, self.level) {
            (Some(Process::Edm(precond)), _) => Some(wrapper(*precond, self.levels.as_ref())?),
            (Some(Process::Ddpm { betas, zero_terminal_snr }), NoiseLevel::Step) => {
                let mut sde = Discrete::of(betas.clone())?;
                if *zero_terminal_snr {
                    sde = sde.zero_terminal_snr()?;
                }
                let label = Label::Time { scale: 1.0, offset: -1.0 };
                with(Arc::new(sde), label).map(|setup| ModelSetup { offset: 1.0, ..setup })
            }
            (Some(Process::Vp { beta_min, beta_max }), NoiseLevel::Time { scale }) => {
                with(Arc::new(Vp::new(*beta_min, *beta_max)?), time(scale))
            }
            (Some(Process::SubVp { beta_min, beta_max }), NoiseLevel::Time { scale }) => {
                with(Arc::new(SubVp::new(*beta_min, *beta_max)?), time(scale))
            }
            (Some(Process::Ve { sigma_min, sigma_max }), NoiseLevel::Sigma) => {
                with(Arc::new(Ve::new(*sigma_min, *sigma_max)?), Label::Ratio)
            }
            (None, NoiseLevel::Sigma) => with(Arc::new(Edm::default()), Label::Ratio),
            _ => None,
        })
    }
}

fn wrapper(precond: EdmPrecond, levels: Option<&NoiseTable>) -> Result<ModelSetup> {
    let (preconditioning, output) = match precond {
        EdmPrecond::Edm { sigma_data } => {
            (Preconditioning::edm(sigma_data), Parametrisation::F { sigma_data })
        }
        EdmPrecond::Vp { beta_d, beta_min, m } => {
            let scale = m.saturating_sub(1) as f64;
            let label = Label::VpTime { beta0: beta_min, beta1: beta_min + beta_d, scale };
            let input = InputScale::Unit { sigma_data: 1.0 };
            (Preconditioning { input, label }, Parametrisation::Eps)
        }
        EdmPrecond::Ve => ("ve".parse()?, Parametrisation::SigmaScore),
        EdmPrecond::Iddpm { c_1, c_2, m } => {
            let levels = match levels {
                Some(levels) => levels.clone(),
                None => NoiseTable::iddpm(m, c_1, c_2)?,
            };
            (Preconditioning::table(levels, -1.0), Parametrisation::Eps)
        }
    };
    Ok(ModelSetup { sde: Arc::new(Edm::default()), preconditioning, output, offset: 0.0 })
}
