//! Making networks: with initial weights, from tensors, from files.

use std::{collections::BTreeMap, path::Path, sync::RwLock};

use candle_core::{DType, Device, Tensor};
use sde_core::Key;

use super::ScoreNet;
use crate::{
    Backend, Error, Kernels, NetConfig, Parameters, Result,
    io::{self, Nameless},
    mlp::Mlp,
    time::TimeMap,
};

impl ScoreNet {
    /// A network with fresh weights and biases, uniform on `+-1/sqrt(fan-in)` under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] when the configuration does not work; [`Error::Unsupported`] for a
    /// `dtype` other than f32 and f64.
    pub fn new(config: NetConfig, key: Key, dtype: DType, device: &Device) -> Result<Self> {
        config.validate()?;
        let mut tensors = BTreeMap::new();
        for (l, (name, n_out, n_in)) in config.layers().into_iter().enumerate() {
            let key = key.fold(l as u64);
            let bound = (n_in as f64).sqrt().recip();
            for (part, shape) in [("weight", vec![n_out, n_in]), ("bias", vec![n_out])] {
                let mut values = vec![0.0; shape.iter().product()];
                key.fold(shape.len() as u64).fill_uniforms(0, &mut values);
                values.iter_mut().for_each(|v| *v = bound * (2.0 * *v - 1.0));
                let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
                tensors.insert(format!("{name}.{part}"), tensor);
            }
        }
        Self::from_tensors(config, &tensors, dtype, device, Path::new("<fresh>"))
    }

    /// Opens a network that was saved or trained by this crate (the average of a training checkpoint that has one).
    ///
    /// # Errors
    /// [`Error::File`] with the file, and the offending tensor where there is one; for weights that do not say which
    /// network they belong to.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_net(path, Nameless::Refused)?;
        Self::from_tensors(config, &tensors, dtype_of(&tensors), &Device::Cpu, path)
    }

    /// As [`ScoreNet::open`], from the content of a file.
    ///
    /// # Errors
    /// As [`ScoreNet::open`], with `<bytes>` for the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_content(bytes, Nameless::Refused)
    }

    /// As [`ScoreNet::open_published`], from the content of a file.
    ///
    /// # Errors
    /// As [`ScoreNet::open_published`], with `<bytes>` for the file.
    pub fn from_published_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_content(bytes, Nameless::Published)
    }

    fn from_content(bytes: &[u8], nameless: Nameless) -> Result<Self> {
        let path = Path::new("<bytes>");
        let (config, tensors) = io::read_bytes(path, bytes, nameless)?;
        Self::from_tensors(config, &tensors, dtype_of(&tensors), &Device::Cpu, path)
    }

    /// As [`ScoreNet::open`], converted to an element type on a device.
    ///
    /// # Errors
    /// As [`ScoreNet::open`].
    pub fn open_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_net(path, Nameless::Refused)?;
        Self::from_tensors(config, &tensors, dtype, device, path)
    }

    /// As [`ScoreNet::open_as`], and weights that do not say which network they belong to are those of a network of
    /// the ODE-SDE-gap study: softplus with `beta = 100` under the Ornstein-Uhlenbeck process, as safetensors or in
    /// its original PyTorch files (`torch.save` of a whole module).
    ///
    /// # Errors
    /// As [`ScoreNet::open`].
    ///
    /// # Reference
    /// Deveney et al. 2025, arXiv 2311.15996.
    pub fn open_published(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_net(path, Nameless::Published)?;
        Self::from_tensors(config, &tensors, dtype, device, path)
    }

    /// Reads the weights of a network of the same architecture into this one.
    ///
    /// # Errors
    /// [`Error::File`] naming the tensor that is missing or does not fit; the weights are then
    /// unchanged.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (_, tensors) = io::read_net(path, Nameless::Published)?;
        self.set_tensors(&tensors, path)
    }

    /// Writes weights and configuration to a safetensors file, through a temporary name.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors: Vec<_> = self.parameters.state().into_iter().collect();
        io::write(path.as_ref(), &tensors, &io::Header::of_net(self.config()))
    }

    /// The same network evaluated by other arithmetic.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the fused kernels were asked for and do not apply.
    pub fn with_kernels(mut self, kernels: Kernels) -> Result<Self> {
        self.kernels = kernels;
        self.evaluator = RwLock::new(None);
        match kernels == Kernels::Fused && !self.uses_fused()? {
            true => Err(self.no_fused()),
            false => Ok(self),
        }
    }

    pub(crate) fn set_tensors(
        &self,
        tensors: &BTreeMap<String, Tensor>,
        path: &Path,
    ) -> Result<()> {
        let config = self.config.clone();
        let read = Self::from_tensors(config, tensors, self.dtype(), self.device(), path)?;
        for (name, tensor) in read.parameters.iter() {
            self.parameters.set(name, tensor)?;
        }
        Ok(())
    }

    pub(crate) fn from_tensors(
        config: NetConfig,
        tensors: &BTreeMap<String, Tensor>,
        dtype: DType,
        device: &Device,
        path: &Path,
    ) -> Result<Self> {
        config.validate()?;
        let backend = Backend { device: device.clone(), dtype };
        let build = |vb| Mlp::new(vb, &config).map(|_| Vec::new());
        let parameters = Parameters::from_tensors(tensors, path, &backend, build)?;
        Self::around(config, parameters)
    }

    /// The network around parameters that fit it.
    pub(super) fn around(config: NetConfig, parameters: Parameters) -> Result<Self> {
        let dtype = parameters.backend().dtype;
        if !matches!(dtype, DType::F32 | DType::F64) {
            let needs = format!("element type f32 or f64, not {}", dtype.as_str());
            return Err(Error::Unsupported { what: "a score network", needs });
        }
        Ok(Self {
            sde: sde_core::sde::parse(&config.sde)?,
            time: TimeMap::new(&config),
            live: Mlp::new(parameters.live(), &config)?,
            detached: Mlp::new(parameters.detached(), &config)?,
            config,
            parameters,
            kernels: Kernels::Auto,
            evaluator: RwLock::new(None),
        })
    }
}

/// The element type of a file's tensors.
fn dtype_of(tensors: &BTreeMap<String, Tensor>) -> DType {
    tensors.values().next().map_or(DType::F32, Tensor::dtype)
}
