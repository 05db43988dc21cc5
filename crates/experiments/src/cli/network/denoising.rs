//! How the files and the flags say that a network is preconditioned.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use score_nets::checkpoint::{LoadedCheckpoint, ModelSetup, Prediction};
use sde_core::{Edm, InputScale, Label, Parametrisation, Preconditioning, Sde, sde};

/// Whether a network is evaluated as a denoiser, and how where no file says so.
#[derive(Debug, clap::Args)]
pub(super) struct DenoiseOptions {
    /// Evaluate the expected data D(x; t) instead of the bare network
    #[arg(long)]
    pub(super) denoised: bool,
    /// What the network is given (default: what its files say): edm:sigma-data=0.5, vp, ve, iddpm, none,
    /// time:scale=999, step, log-sigma
    #[arg(long, value_name = "P", requires = "denoised")]
    preconditioning: Option<String>,
    /// What it gives (default: what its files say, or what goes with --preconditioning): eps, x0, v, score,
    /// sigma-score, edm-f:sigma-data=0.5
    #[arg(long, value_name = "O", requires = "denoised")]
    parametrisation: Option<String>,
    /// The process whose time t is (default: what its files say, or edm, whose time is sigma)
    #[arg(long, value_name = "S", requires = "denoised")]
    sde: Option<String>,
}

impl DenoiseOptions {
    /// A checkpoint of ours is asked about nothing that it says.
    pub(super) fn none_said(&self) -> Result<()> {
        let said = [&self.preconditioning, &self.parametrisation, &self.sde];
        ensure!(
            said.iter().all(|s| s.is_none()),
            "--preconditioning, --parametrisation and --sde are for published networks: a checkpoint of ours says \
             what it is"
        );
        Ok(())
    }

    /// What the files and the flags say; flags come first.
    pub(super) fn setup(&self, opened: &LoadedCheckpoint) -> Result<ModelSetup> {
        let conventions = &opened.conventions;
        ensure!(conventions.prediction != Prediction::Logits, "a classifier denoises nothing");
        let files = conventions.setup()?;
        let Some(preconditioning) = &self.preconditioning else {
            let Some(mut setup) = files else {
                bail!(
                    "{} does not say how it is preconditioned: give --preconditioning, or say its process in the \
                     JSON beside it (`precond`, `sde` or `diffusion`) or in scheduler_config.json",
                    opened.path.display()
                );
            };
            if let Some(output) = &self.parametrisation {
                setup.output = output.parse()?;
            }
            if let Some(name) = &self.sde {
                setup = ModelSetup { sde: Arc::from(sde::parse(name)?), offset: 0.0, ..setup };
            }
            return Ok(setup);
        };
        let preconditioning: Preconditioning = preconditioning.parse()?;
        let output = match &self.parametrisation {
            Some(output) => output.parse()?,
            None => usual(&preconditioning).unwrap_or(conventions.output()),
        };
        let sde: Arc<dyn Sde> = match &self.sde {
            Some(name) => Arc::from(sde::parse(name)?),
            None => Arc::new(Edm::default()),
        };
        Ok(ModelSetup { sde, preconditioning, output, offset: 0.0 })
    }
}

/// The output that goes with a preconditioning of Karras et al.
fn usual(preconditioning: &Preconditioning) -> Option<Parametrisation> {
    Some(match (&preconditioning.input, &preconditioning.label) {
        (_, Label::VpTime { .. } | Label::Step { .. }) => Parametrisation::Eps,
        (InputScale::Unit { sigma_data }, Label::LogRatio { .. }) => {
            Parametrisation::F { sigma_data: *sigma_data }
        }
        (InputScale::Signal, Label::LogRatio { unit, .. }) if *unit == 1.0 => {
            Parametrisation::Score
        }
        (InputScale::Signal, Label::LogRatio { .. }) => Parametrisation::SigmaScore,
        _ => return None,
    })
}
