//! Where a network lives, and in which precision.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// A device and an element type.
///
/// ```
/// use score_nets::Backend;
/// let backend = Backend::parse("cpu", "f64")?;
/// assert_eq!(backend.to_string(), "cpu, f64");
/// assert!(Backend::parse("cpu", "bf16").is_err());
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Backend {
    /// Where tensors are.
    pub device: Device,
    /// Their element type.
    pub dtype: DType,
}

impl Backend {
    /// The CPU in single precision.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, dtype: DType::F32 }
    }

    /// The CPU in double precision.
    pub fn cpu_f64() -> Self {
        Self { device: Device::Cpu, dtype: DType::F64 }
    }

    /// A tensor in this element type on this device.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn place(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_dtype(self.dtype)?.to_device(&self.device)?)
    }

    /// Numbers of the host as a tensor of this backend.
    ///
    /// # Errors
    /// Whatever candle fails with, such as another number of values than `shape` has.
    pub fn tensor(&self, values: Vec<f64>, shape: &[usize]) -> Result<Tensor> {
        self.place(&Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// A backend by the names of the command line: `cpu` or `cuda:N`, and `f32`, `f64` or `bf16`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown word, a device that is not there, and an element type that the device
    /// has no arithmetic for.
    pub fn parse(device: &str, dtype: &str) -> Result<Self> {
        let backend = Self { device: parse_device(device)?, dtype: parse_dtype(dtype)? };
        if backend.dtype == DType::BF16 && backend.device.is_cpu() {
            return Err(Error::setting(
                "dtype",
                dtype,
                "has no arithmetic on the CPU: use f32 or f64",
            ));
        }
        Ok(backend)
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.device.location() {
            candle_core::DeviceLocation::Cpu => write!(f, "cpu, ")?,
            candle_core::DeviceLocation::Cuda { gpu_id } => write!(f, "cuda:{gpu_id}, ")?,
            candle_core::DeviceLocation::Metal { gpu_id } => write!(f, "metal:{gpu_id}, ")?,
        }
        write!(f, "{}", self.dtype.as_str())
    }
}

fn parse_dtype(word: &str) -> Result<DType> {
    match word {
        "f32" => Ok(DType::F32),
        "f64" => Ok(DType::F64),
        "bf16" => Ok(DType::BF16),
        _ => Err(Error::setting("dtype", word, "is none of f32, f64, bf16")),
    }
}

fn parse_device(word: &str) -> Result<Device> {
    if word == "cpu" {
        return Ok(Device::Cpu);
    }
    let ordinal = match word {
        "cuda" => Some(0),
        _ => word.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()),
    };
    let Some(ordinal) = ordinal else {
        return Err(Error::setting("device", word, "is neither cpu nor cuda:N"));
    };
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::setting(
            "device",
            word,
            "this program was built without the feature `cuda`",
        ));
    }
    Device::new_cuda(ordinal).map_err(|e| {
        let reason =
            format!("cannot be used: {}", e.to_string().lines().next().unwrap_or_default());
        Error::setting("device", word, reason)
    })
}
