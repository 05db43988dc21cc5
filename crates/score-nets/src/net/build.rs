//! Making networks: fresh, from tensors, from files.

use std::{collections::BTreeMap, path::Path, sync::RwLock};

use candle_core::{DType, Device, Tensor, Var};
use sde_core::Key;

use super::ScoreNet;
use crate::{Error, Kernels, NetConfig, Result, io, time::TimeMap};

impl ScoreNet {
    /// A network with fresh weights and biases, uniform on `+-1/sqrt(fan-in)` under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] when the configuration does not work; [`Error::Unsupported`] for a
    /// `dtype` other than f32 and f64.
    pub fn new(config: NetConfig, key: Key, dtype: DType, device: &Device) -> Result<Self> {
        config.validate()?;
        let mut vars = Vec::new();
        for (l, (name, n_out, n_in)) in config.layers().into_iter().enumerate() {
            let key = key.fold(l as u64);
            let bound = (n_in as f64).sqrt().recip();
            for (part, shape) in [("weight", vec![n_out, n_in]), ("bias", vec![n_out])] {
                let mut values = vec![0.0; shape.iter().product()];
                key.fold(shape.len() as u64).fill_uniforms(0, &mut values);
                values.iter_mut().for_each(|v| *v = bound * (2.0 * *v - 1.0));
                let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
                let tensor = tensor.to_dtype(dtype)?.to_device(device)?;
                vars.push((format!("{name}.{part}"), Var::from_tensor(&tensor)?));
            }
        }
        Self::from_vars(config, vars, dtype, device)
    }

    /// Opens a network: one saved by this crate, the published safetensors of the ODE-SDE-gap
    /// study, or its original PyTorch files (`torch.save` of a whole module).
    ///
    /// # Errors
    /// [`Error::File`] with the file, and the offending tensor where there is one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_net(path)?;
        let dtype = tensors.values().next().map_or(DType::F32, Tensor::dtype);
        Self::from_tensors(config, &tensors, dtype, &Device::Cpu, path)
    }

    /// As [`ScoreNet::open`], from the content of a file.
    ///
    /// # Errors
    /// As [`ScoreNet::open`], with `<bytes>` for the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let path = Path::new("<bytes>");
        let (config, tensors) = io::read_bytes(path, bytes)?;
        let dtype = tensors.values().next().map_or(DType::F32, Tensor::dtype);
        Self::from_tensors(config, &tensors, dtype, &Device::Cpu, path)
    }

    /// As [`ScoreNet::open`], converted to an element type on a device.
    ///
    /// # Errors
    /// As [`ScoreNet::open`].
    pub fn open_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors) = io::read_net(path)?;
        Self::from_tensors(config, &tensors, dtype, device, path)
    }

    /// Reads the weights of a network of the same architecture into this one.
    ///
    /// # Errors
    /// [`Error::File`] naming the tensor that is missing or does not fit; the weights are then
    /// unchanged.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (_, tensors) = io::read_net(path)?;
        self.set_tensors(&tensors, path)
    }

    /// Writes weights and configuration to a safetensors file, through a temporary name.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors: Vec<_> =
            self.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        io::write(path.as_ref(), &tensors, &io::Header::of_net(self.config()))
    }

    /// The same network evaluated by other arithmetic.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the fused kernels were asked for and do not apply.
    pub fn with_kernels(mut self, kernels: Kernels) -> Result<Self> {
        self.kernels = kernels;
        self.parameters_changed();
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
        let fitting = fit(self.config(), tensors, path)?;
        for ((_, var), (_, tensor)) in self.vars.iter().zip(fitting) {
            var.set(&tensor.to_dtype(self.dtype)?.to_device(&self.device)?)?;
        }
        self.parameters_changed();
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
        let mut vars = Vec::new();
        for (name, tensor) in fit(&config, tensors, path)? {
            vars.push((name, Var::from_tensor(&tensor.to_dtype(dtype)?.to_device(device)?)?));
        }
        Self::from_vars(config, vars, dtype, device)
    }

    pub(super) fn from_vars(
        config: NetConfig,
        mut vars: Vec<(String, Var)>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::F64) {
            let needs = format!("element type f32 or f64, not {}", dtype.as_str());
            return Err(Error::Unsupported { what: "a score network", needs });
        }
        vars.sort_by(|a, b| a.0.cmp(&b.0));
        let index = |name: String| {
            vars.iter().position(|v| v.0 == name).expect("every layer has its variables")
        };
        let layers = config.layers();
        let layers = layers
            .iter()
            .map(|(n, ..)| (index(format!("{n}.weight")), index(format!("{n}.bias"))))
            .collect();
        Ok(Self {
            sde: sde_core::sde::parse(&config.sde)?,
            time: TimeMap::new(&config),
            config,
            vars,
            layers,
            dtype,
            device: device.clone(),
            kernels: Kernels::Auto,
            frozen: RwLock::new(None),
        })
    }
}

/// The tensors of a network in the order of its variables, checked for presence, shape and NaN.
fn fit(
    config: &NetConfig,
    tensors: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<Vec<(String, Tensor)>> {
    let mut wanted = BTreeMap::new();
    for (name, n_out, n_in) in config.layers() {
        wanted.insert(format!("{name}.weight"), vec![n_out, n_in]);
        wanted.insert(format!("{name}.bias"), vec![n_out]);
    }
    if let Some(extra) = tensors.keys().find(|n| !wanted.contains_key(*n)) {
        return Err(Error::file(path, format!("unexpected tensor `{extra}`")));
    }
    let mut fitting = Vec::new();
    for (name, shape) in wanted {
        let Some(tensor) = tensors.get(&name) else {
            return Err(Error::file(path, format!("tensor `{name}` is missing")));
        };
        if tensor.dims() != shape {
            let found = tensor.dims();
            let reason = format!("tensor `{name}`: expected shape {shape:?}, found {found:?}");
            return Err(Error::file(path, reason));
        }
        let values = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let reason = format!("tensor `{name}` has the value {} at element {i}", values[i]);
            return Err(Error::file(path, reason));
        }
        fitting.push((name, tensor.clone()));
    }
    Ok(fitting)
}
