//! Models in files.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use candle_core::{DType, Device, Tensor};
use sde_core::{Key, Sde};

use super::{Build, ModelConfig, ScoreModel};
use crate::{
    Backend, DataSource, Error, Model, Network, Parameters, Result,
    checkpoint::{self, LoadedCheckpoint, ModelSetup},
    io,
    train::{enough_rows, sigma_data},
};

impl ModelConfig {
    pub(super) fn builder(&self) -> Result<Build> {
        let Some(network) = self.network.clone() else {
            let reason =
                "is built by code that a file does not hold: give it to `ScoreModel::of_network`";
            return Err(Error::setting("network", "none", reason));
        };
        Ok(Arc::new(move |vb| -> Result<Box<dyn Network>> { network.build(vb) }))
    }

    pub(super) fn process(&self) -> Result<Arc<dyn Sde>> {
        Ok(Arc::from(sde_core::sde::parse(&self.sde)?))
    }
}

impl ScoreModel {
    /// Opens a model in the element type of its file, on the CPU: one that was saved or trained here (the average of
    /// a training checkpoint that has one), or another's that says what it is ([`checkpoint::open`]): a folder of
    /// diffusers, a state dict of score_sde_pytorch, EDM or guided-diffusion beside its JSON.
    ///
    /// # Errors
    /// [`Error::File`] for what cannot be read or does not fit together, and where the files do not say what process
    /// the network is for: then [`ScoreModel::from_checkpoint`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(path, None)
    }

    /// As [`ScoreModel::open`], on a backend.
    ///
    /// # Errors
    /// As [`ScoreModel::open`].
    pub fn open_on(path: impl AsRef<Path>, backend: Option<&Backend>) -> Result<Self> {
        let path = path.as_ref();
        let own = |tensors: &BTreeMap<String, Tensor>| {
            let dtype = tensors.values().next().map_or(DType::F32, Tensor::dtype);
            backend.cloned().unwrap_or(Backend { device: Device::Cpu, dtype })
        };
        if path.is_file() && io::kind(path).is_some() {
            let (config, tensors) = io::read_weights::<ModelConfig>(path)?;
            let (config, tensors) = config.for_sampling(tensors);
            return <Self as Model>::from_tensors(config, &tensors, &own(&tensors), path);
        }
        let opened = checkpoint::open(path)?;
        let Some(setup) = opened.conventions.setup()? else {
            let reason = "does not say the process it was trained for: say it in the JSON beside it (`precond`, `sde` \
                          or `diffusion`) or in scheduler_config.json";
            return Err(Error::file(&opened.path, reason));
        };
        Self::from_checkpoint(&opened, &setup, &own(&opened.tensors))
    }

    /// A model of another's network with a process, an input and an output that are said.
    ///
    /// # Errors
    /// [`Error::File`] that lists every tensor that does not fit.
    pub fn from_checkpoint(
        opened: &LoadedCheckpoint,
        setup: &ModelSetup,
        backend: &Backend,
    ) -> Result<Self> {
        let config = ModelConfig {
            network: Some(opened.architecture.clone()),
            output: setup.output,
            preconditioning: setup.preconditioning.clone(),
            sde: setup.sde.name(),
            sigma_data: setup.output.sigma_data(),
            log_variance: None,
            identity: None,
            data: None,
        };
        let build = config.builder()?;
        Self::around(config, build, setup.sde.clone(), opened.parameters(backend)?)
    }

    /// Writes weights and configuration to a safetensors file, through a temporary name. [`ScoreModel::open`] opens it,
    /// unless network or process are one's own: then [`ScoreModel::open_like`].
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written; [`Error::Setting`] for a preconditioning whose constants are
    /// not finite.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.config.check_text()?;
        let (config, tensors) = self.config.clone().for_sampling(self.parameters.state());
        let tensors: Vec<_> = tensors.into_iter().collect();
        io::write(path.as_ref(), &tensors, &io::Header::of_net(&config))
    }

    /// A model like this one with the values in a file: the way to open one whose network or process is one's own.
    ///
    /// # Errors
    /// [`Error::File`] when the file holds another model.
    pub fn open_like(&self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_weights::<ModelConfig>(path)?;
        let (config, tensors) = config.for_sampling(tensors);
        let noted = config.sigma_data.or(self.config.sigma_data);
        let own = ModelConfig { log_variance: None, sigma_data: noted, ..self.config.clone() };
        let plain = |config: &ModelConfig| ModelConfig {
            identity: None,
            data: None,
            sigma_data: noted,
            ..config.clone()
        };
        if plain(&config) != plain(&own) {
            return Err(Error::file(
                path,
                "holds a model of another network, output, input or process",
            ));
        }
        self.of_values(own, &tensors, path)
    }

    /// A model built by the same code with the values of tensors.
    fn of_values(
        &self,
        config: ModelConfig,
        tensors: &BTreeMap<String, Tensor>,
        path: &Path,
    ) -> Result<Self> {
        let (backend, ask) = (self.parameters.backend(), |vb| config.ask(&self.build, vb));
        let parameters = Parameters::from_tensors(tensors, path, backend, ask)?;
        Self::around(config, self.build.clone(), self.sde.clone(), parameters)
    }
}

impl io::Described for ModelConfig {
    const ENTRY: &'static str = io::MODEL;
}

impl Model for ScoreModel {
    type Config = ModelConfig;

    fn config(&self) -> ModelConfig {
        self.config.clone()
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn from_tensors(
        config: ModelConfig,
        tensors: &BTreeMap<String, Tensor>,
        backend: &Backend,
        path: &Path,
    ) -> Result<Self> {
        let (build, sde) = (config.builder()?, config.process()?);
        let parameters =
            Parameters::from_tensors(tensors, path, backend, |vb| config.ask(&build, vb))?;
        Self::around(config, build, sde, parameters)
    }

    fn with_values(&self, tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<Self> {
        self.of_values(self.config.clone(), tensors, path)
    }

    fn duplicate(&self) -> Result<Self> {
        self.copy_to(self.parameters.backend())
    }

    /// Measures `sigma_data` where it was not said.
    fn note_data(&mut self, source: &dyn DataSource, key: Key) -> Result<()> {
        if self.config.sigma_data.is_some() {
            return Ok(());
        }
        match sigma_data(source, key, enough_rows(source.dim())) {
            Ok(measured) => self.config.sigma_data = Some(measured.value),
            // Data that do not vary have none.
            Err(Error::Setting { .. }) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn is_without_gradient(&self, name: &str) -> bool {
        self.live.without_gradient().iter().any(|(n, _)| n == name)
            || self.is_potential() && self.shifts_alone(name).unwrap_or(false)
    }
}
