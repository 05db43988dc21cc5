//! Where a network computes, and in what element type.

use std::fmt;

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// A device and an element type, as the words of a command line name them.
///
/// `cpu` and `f32` or `f64` work everywhere; `cuda:N`, the CUDA device `N`, and `bf16` need a build with
/// the feature `cuda`. Everything in a process that names the same device gets the same one: tensors
/// meet on it.
///
/// ```
/// use score_nets::{Backend, NetConfig, ScoreNet};
/// use sde_core::Key;
/// let backend = Backend::parse("cpu", "f64")?;
/// assert_eq!((backend.device_name().as_str(), backend.dtype_name()), ("cpu", "f64"));
/// let net = ScoreNet::new(NetConfig::published(), Key::root(1), backend.dtype(), backend.device())?;
/// assert_eq!(net.dtype(), backend.dtype());
/// let refused = Backend::parse("gpu", "f32").map_err(|e| e.to_string());
/// assert!(refused.is_err_and(|e| e == "device = gpu: expected cpu or cuda:N, the CUDA device N"));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Backend {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Default for Backend {
    /// `f32` on the CPU.
    fn default() -> Self {
        Self { device: Device::Cpu, dtype: DType::F32 }
    }
}

impl Backend {
    /// The device `cpu` or `cuda:N` with the element type `f32`, `f64` or `bf16`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a word that is none of these, a device that is not there, a CUDA device in
    /// a build without the feature `cuda`, `bf16` on the CPU.
    pub fn parse(device: &str, dtype: &str) -> Result<Self> {
        let dtype = match dtype.trim() {
            "f32" => DType::F32,
            "f64" => DType::F64,
            "bf16" => DType::BF16,
            other => return Err(Error::setting("dtype", other, "expected f32, f64 or bf16")),
        };
        Self::new(open(device.trim())?, dtype)
    }

    /// A device that is there with an element type.
    ///
    /// # Errors
    /// [`Error::Setting`] for an element type that networks have not, or not on this device.
    pub fn new(device: Device, dtype: DType) -> Result<Self> {
        match dtype {
            DType::F32 | DType::F64 => Ok(Self { device, dtype }),
            DType::BF16 if !device.is_cpu() => Ok(Self { device, dtype }),
            DType::BF16 => {
                Err(Error::setting("dtype", "bf16", "the CPU computes in f32 and f64 only"))
            }
            other => Err(Error::setting("dtype", other.as_str(), "expected f32, f64 or bf16")),
        }
    }

    /// The CPU in single precision.
    pub fn cpu() -> Self {
        Self::default()
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

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The same device with another element type.
    ///
    /// # Errors
    /// As [`Backend::new`].
    pub fn with_dtype(&self, dtype: DType) -> Result<Self> {
        Self::new(self.device.clone(), dtype)
    }

    /// `cpu` or `cuda:N`, as [`Backend::parse`] takes it.
    pub fn device_name(&self) -> String {
        match self.device.location() {
            candle_core::DeviceLocation::Cpu => "cpu".into(),
            candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        }
    }

    /// `f32`, `f64` or `bf16`.
    pub fn dtype_name(&self) -> &'static str {
        self.dtype.as_str()
    }

    /// Rows that are worth computing together: on the CPU they stay in a cache, on a device they fill
    /// it. Samples do not depend on it.
    pub fn block_rows(&self) -> u64 {
        if self.device.is_cpu() { 512 } else { 1 << 16 }
    }

    /// The devices of this machine that this build computes on: the CPU, then every CUDA device. What
    /// holds on one must hold on all of them: tests run over this list.
    ///
    /// ```
    /// assert!(score_nets::Backend::devices()[0].is_cpu());
    /// ```
    pub fn devices() -> Vec<Device> {
        let there = (0..cuda::count()).filter_map(|n| cuda::open(n).ok());
        [Device::Cpu].into_iter().chain(there).collect()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.dtype_name(), self.device_name())
    }
}

/// The device of a name.
fn open(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let number = name.strip_prefix("cuda:").filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let Some(number) = number.and_then(|n| n.parse().ok()) else {
        return Err(Error::setting("device", name, "expected cpu or cuda:N, the CUDA device N"));
    };
    cuda::open(number).map_err(|reason| Error::setting("device", name, reason))
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use candle_core::{Device, cuda_backend::cudarc::driver::CudaContext};

    /// Devices that are open: one opened twice would be two, whose tensors do not meet.
    static OPEN: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

    /// CUDA devices of this machine; none where the driver does not answer.
    pub(super) fn count() -> usize {
        CudaContext::device_count().map_or(0, |n| usize::try_from(n).unwrap_or(0))
    }

    /// Device `number`, or why not, in one line.
    pub(super) fn open(number: usize) -> Result<Device, String> {
        let here: Vec<String> = (0..count()).map(|n| format!("cuda:{n}")).collect();
        if here.is_empty() {
            return Err("this machine has no CUDA device".into());
        }
        if number >= here.len() {
            return Err(format!("the CUDA devices of this machine are {}", here.join(", ")));
        }
        let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = all.get(&number) {
            return Ok(device.clone());
        }
        // One stream for all threads: blocks of rows are computed by many, and what one of them uploads
        // or leaves behind must be there for the next. candle's other constructor gives each thread a
        // stream of its own, and nothing orders those.
        let device = Device::new_cuda_with_stream(number)
            .map_err(|e| e.to_string().lines().next().unwrap_or("does not open").to_owned())?;
        all.insert(number, device.clone());
        Ok(device)
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use candle_core::Device;

    pub(super) fn count() -> usize {
        0
    }

    pub(super) fn open(_: usize) -> Result<Device, String> {
        Err("this program was built without the feature cuda (cargo xtask COMMAND --cuda)".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(device: &str, dtype: &str) -> String {
        let message = Backend::parse(device, dtype).expect_err("a refusal").to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn words_are_devices_and_types_or_one_clear_line() {
        for dtype in ["f32", "f64"] {
            let backend = Backend::parse("cpu", dtype).expect(dtype);
            assert_eq!((backend.device_name().as_str(), backend.dtype_name()), ("cpu", dtype));
            assert_eq!(backend.to_string(), format!("{dtype} on cpu"));
            assert!(backend.device().is_cpu());
        }
        let refusals = [
            ("tpu", "f32", "device = tpu: expected cpu or cuda:N"),
            ("cuda", "f32", "device = cuda: expected cpu or cuda:N"),
            ("cuda:", "f32", "device = cuda:: expected cpu or cuda:N"),
            ("cuda:-1", "f32", "device = cuda:-1: expected cpu or cuda:N"),
            ("cuda:+1", "f32", "device = cuda:+1: expected cpu or cuda:N"),
            ("cuda:99999999999999999999", "f32", "expected cpu or cuda:N"),
            ("", "f32", "expected cpu or cuda:N"),
            ("cpu", "f16", "dtype = f16: expected f32, f64 or bf16"),
            ("cpu", "", "expected f32, f64 or bf16"),
            ("cpu", "bf16", "dtype = bf16: the CPU computes in f32 and f64 only"),
        ];
        for (device, dtype, needle) in refusals {
            let message = refused(device, dtype);
            assert!(message.contains(needle), "{message} is not {needle}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let message = refused("cuda:4096", "f32");
        assert!(message.starts_with("device = cuda:4096: "), "{message}");
        let reason =
            if cfg!(feature = "cuda") { "this machine" } else { "without the feature cuda" };
        assert!(message.contains(reason), "{message}");
    }

    #[test]
    fn the_same_device_is_opened_once() {
        for device in Backend::devices() {
            let backend = Backend::new(device, DType::F32).expect("f32");
            let again = Backend::parse(&backend.device_name(), "f32").expect("it is there");
            assert!(again.device().same_device(backend.device()), "{backend}");
            assert!(Backend::new(again.device().clone(), DType::U8).is_err());
        }
    }
}
