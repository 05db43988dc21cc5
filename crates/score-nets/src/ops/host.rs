//! Numbers of tensors as the kernels take them.

use super::setting;
use crate::Result;
use crate::fused::Isa;
use crate::fused::attention::Heads;
use candle_core::{CpuStorage, DType, Device, Storage, StorageRef, Tensor};
use std::ops::{Deref, Range};

/// The instruction set for tensors like this, where there are kernels for them.
pub(super) fn kernels(x: &Tensor) -> Option<Isa> {
    (x.dtype() == DType::F32 && x.device().is_cpu()).then(Isa::detect)
}

/// A tensor of these numbers.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// The numbers of a contiguous tensor in `f32` on the CPU.
pub(super) struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl<'a> Values<'a> {
    pub(super) fn of(x: &'a Tensor) -> Result<Self> {
        let (storage, layout) = x.storage_and_layout();
        match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => {
                Ok(Self { storage, range: start..end })
            }
            _ => Err(setting("tensor", x.dims(), "expected contiguous f32 on the CPU")),
        }
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// The numbers of a tensor `[B, N, heads, d]` in `f32` on the CPU, whatever its strides.
pub(super) struct Strided<'a> {
    storage: StorageRef<'a>,
    start: usize,
    strides: [usize; 3],
}

impl<'a> Strided<'a> {
    pub(super) fn of(x: &'a Tensor) -> Result<Self> {
        let (storage, layout) = x.storage_and_layout();
        match (&*storage, layout.stride()) {
            (Storage::Cpu(CpuStorage::F32(_)), &[b, n, h, _]) => {
                let start = layout.start_offset();
                Ok(Self { storage, start, strides: [b, n, h] })
            }
            _ => Err(setting("tensor", x.dims(), "expected [B, N, heads, d] in f32 on the CPU")),
        }
    }

    pub(super) fn heads(&self) -> Heads<'_> {
        let values = match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.start..],
            _ => &[],
        };
        Heads { values, strides: self.strides }
    }
}
