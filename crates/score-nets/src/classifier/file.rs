//! Classifiers in files, and as what a trainer trains.

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};

use super::{Classifier, ClassifierConfig};
use crate::{Backend, Model, Parameters, Result, io, model::check_text};

impl io::Described for ClassifierConfig {
    const ENTRY: &'static str = io::CLASSIFIER;
}

impl Classifier {
    /// Opens a classifier that was saved or trained here, in the element type of its file, on the CPU; of a checkpoint of
    /// training the average, where it has one.
    ///
    /// # Errors
    /// [`crate::Error::File`] for what cannot be read or does not fit together.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(path, None)
    }

    /// As [`Classifier::open`], on a backend.
    ///
    /// # Errors
    /// As [`Classifier::open`].
    pub fn open_on(path: impl AsRef<Path>, backend: Option<&Backend>) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_weights::<ClassifierConfig>(path)?;
        let dtype = tensors.values().next().map_or(DType::F32, Tensor::dtype);
        let backend = backend.cloned().unwrap_or(Backend { device: Device::Cpu, dtype });
        Self::from_tensors(config, &tensors, &backend, path)
    }

    /// Writes weights and configuration to a safetensors file, through a temporary name.
    ///
    /// # Errors
    /// [`crate::Error::File`] when the file cannot be written; [`crate::Error::Setting`] for a preconditioning whose
    /// constants are not finite.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        check_text(&self.config.preconditioning)?;
        let tensors: Vec<_> = self.parameters.state().into_iter().collect();
        io::write(path.as_ref(), &tensors, &io::Header::of_net(&self.config))
    }
}

impl Model for Classifier {
    type Config = ClassifierConfig;

    fn config(&self) -> ClassifierConfig {
        self.config.clone()
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn from_tensors(
        config: ClassifierConfig,
        tensors: &BTreeMap<String, Tensor>,
        backend: &Backend,
        path: &Path,
    ) -> Result<Self> {
        let ask = |vb| Ok(config.network.build(vb)?.buffers());
        let parameters = Parameters::from_tensors(tensors, path, backend, ask)?;
        Self::around(config, parameters)
    }

    fn with_values(&self, tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<Self> {
        Self::from_tensors(self.config.clone(), tensors, self.parameters.backend(), path)
    }

    fn duplicate(&self) -> Result<Self> {
        let parameters = self.parameters.copy_to(self.parameters.backend())?;
        Self::around(self.config.clone(), parameters)
    }

    fn is_without_gradient(&self, name: &str) -> bool {
        self.live.without_gradient().iter().any(|(n, _)| n == name)
    }
}
