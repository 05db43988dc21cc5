//! [`State`] for `candle_core::Tensor`: networks, on any device.
//!
//! Contiguous f32 and f64 tensors on the CPU, the hot case, are read and written as slices, one
//! pass and one allocation an operation; everything else goes through candle's own operations.
//! Nothing is recorded for a backward pass: results are detached.

use candle_core::{CpuStorage, DType, Device, Storage, StorageRef, Tensor};

use super::{State, Tolerance, Unit, slices};
use crate::{Error, Key, Result};

/// Elements that belong to one row.
fn width(x: &Tensor) -> usize {
    x.dims().iter().skip(1).product()
}

/// The elements of a contiguous CPU tensor.
enum Slice<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Storage that is held while its elements are read.
struct Held<'a> {
    storage: StorageRef<'a>,
    range: (usize, usize),
}

impl<'a> Held<'a> {
    fn new(x: &'a Tensor) -> Option<Self> {
        let (storage, layout) = x.storage_and_layout();
        let range = layout.contiguous_offsets()?;
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_) | CpuStorage::F64(_)) => Some(Self { storage, range }),
            _ => None,
        }
    }

    fn slice(&self) -> Slice<'_> {
        let (start, end) = self.range;
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(v)) => Slice::F32(&v[start..end]),
            Storage::Cpu(CpuStorage::F64(v)) => Slice::F64(&v[start..end]),
            _ => unreachable!("checked by Held::new"),
        }
    }

    fn f32(&self) -> Option<&[f32]> {
        if let Slice::F32(v) = self.slice() { Some(v) } else { None }
    }

    fn f64(&self) -> Option<&[f64]> {
        if let Slice::F64(v) = self.slice() { Some(v) } else { None }
    }
}

/// The rows of any tensor as `f64` on the host, in order.
fn host(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// Numbers made on the host in the shape, element type and place of `like`.
fn numbers_like(
    like: &Tensor,
    first_row: u64,
    wide: impl Fn(u64, &mut [f64]),
    single: impl Fn(u64, &mut [f32]),
) -> Result<Tensor> {
    let first = first_row * width(like) as u64;
    let n = like.elem_count();
    Ok(if like.dtype() == DType::F64 {
        let mut out = vec![0.0; n];
        wide(first, &mut out);
        Tensor::from_vec(out, like.shape(), like.device())?
    } else {
        let mut out = vec![0.0; n];
        single(first, &mut out);
        Tensor::from_vec(out, like.shape(), like.device())?.to_dtype(like.dtype())?
    })
}

impl State for Tensor {
    fn rows(&self) -> usize {
        self.dims().first().copied().unwrap_or(1)
    }

    fn row_len(&self) -> usize {
        width(self)
    }

    fn lincomb(terms: &[(f64, &Self)]) -> Result<Self> {
        let first = terms[0].1;
        for (_, x) in terms {
            slices::same_shape(first.dims(), x.dims())?;
        }
        let held: Option<Vec<_>> = terms.iter().map(|(_, x)| Held::new(x)).collect();
        if let Some(held) = held {
            let f32s: Option<Vec<_>> =
                terms.iter().zip(&held).map(|((a, _), h)| Some((*a, h.f32()?))).collect();
            if let Some(t) = f32s {
                return Ok(Tensor::from_vec(slices::lincomb(&t), first.shape(), &Device::Cpu)?);
            }
            let f64s: Option<Vec<_>> =
                terms.iter().zip(&held).map(|((a, _), h)| Some((*a, h.f64()?))).collect();
            if let Some(t) = f64s {
                return Ok(Tensor::from_vec(slices::lincomb(&t), first.shape(), &Device::Cpu)?);
            }
        }
        let mut sum = first.detach().affine(terms[0].0, 0.0)?;
        for (a, x) in &terms[1..] {
            sum = (sum + x.detach().affine(*a, 0.0)?)?;
        }
        Ok(sum)
    }

    fn scale_rows(&self, factors: &[f64]) -> Result<Self> {
        slices::same_shape(&[self.rows()], &[factors.len()])?;
        if let Some(held) = Held::new(self) {
            let w = width(self);
            return Ok(match held.slice() {
                Slice::F32(x) => {
                    let y = slices::scale_rows(x, w, factors);
                    Tensor::from_vec(y, self.shape(), &Device::Cpu)?
                }
                Slice::F64(x) => {
                    let y = slices::scale_rows(x, w, factors);
                    Tensor::from_vec(y, self.shape(), &Device::Cpu)?
                }
            });
        }
        let mut shape = vec![1; self.rank()];
        shape[0] = factors.len();
        let c = Tensor::from_slice(factors, shape, self.device())?.to_dtype(self.dtype())?;
        Ok(self.detach().broadcast_mul(&c)?)
    }

    fn weighted_rms_in(&self, a: &Self, b: &Self, tol: Tolerance, unit: Unit) -> Result<f64> {
        slices::same_shape(self.dims(), a.dims())?;
        slices::same_shape(self.dims(), b.dims())?;
        if let (Some(e), Some(a), Some(b)) = (Held::new(self), Held::new(a), Held::new(b)) {
            match (e.slice(), a.slice(), b.slice()) {
                (Slice::F32(e), Slice::F32(a), Slice::F32(b)) => {
                    return Ok(slices::weighted_rms([e, a, b], width(self), tol, unit));
                }
                (Slice::F64(e), Slice::F64(a), Slice::F64(b)) => {
                    return Ok(slices::weighted_rms([e, a, b], width(self), tol, unit));
                }
                _ => {}
            }
        }
        Ok(slices::weighted_rms([&host(self)?, &host(a)?, &host(b)?], width(self), tol, unit))
    }

    fn row_dot(&self, other: &Self) -> Result<Vec<f64>> {
        slices::same_shape(self.dims(), other.dims())?;
        let (rows, w) = (self.rows(), width(self));
        if let (Some(x), Some(y)) = (Held::new(self), Held::new(other)) {
            match (x.slice(), y.slice()) {
                (Slice::F32(x), Slice::F32(y)) => return Ok(slices::row_dot(x, y, rows, w)),
                (Slice::F64(x), Slice::F64(y)) => return Ok(slices::row_dot(x, y, rows, w)),
                _ => {}
            }
        }
        Ok(slices::row_dot(&host(self)?, &host(other)?, rows, w))
    }

    fn normals_like(&self, key: Key, first_row: u64) -> Result<Self> {
        numbers_like(
            self,
            first_row,
            |first, out| key.fill_normals(first, out),
            |first, out| key.fill_normals_f32(first, out),
        )
    }

    fn signs_like(&self, key: Key, first_row: u64) -> Result<Self> {
        let signs = |first, out: &mut [f64]| key.fill_signs(first, out);
        numbers_like(self, first_row, signs, |first, out| {
            let mut wide = vec![0.0; out.len()];
            signs(first, &mut wide);
            for (o, w) in out.iter_mut().zip(wide) {
                *o = w as f32;
            }
        })
    }

    fn slice_rows(&self, start: usize, len: usize) -> Result<Self> {
        if start.checked_add(len).is_none_or(|end| end > self.rows()) {
            let mut expected = self.dims().to_vec();
            expected[0] = start.saturating_add(len);
            return Err(Error::Shape { expected, found: self.dims().to_vec() });
        }
        Ok(self.detach().narrow(0, start, len)?)
    }

    fn concat_rows(parts: &[Self]) -> Result<Self> {
        for part in parts {
            slices::same_shape(&parts[0].dims()[1..], &part.dims()[1..])?;
        }
        Ok(Tensor::cat(parts, 0)?.detach())
    }

    fn resolution(&self) -> f64 {
        match self.dtype() {
            DType::F16 => 2_f64.powi(-10),
            DType::BF16 => 2_f64.powi(-7),
            DType::F32 => f64::from(f32::EPSILON),
            _ => f64::EPSILON,
        }
    }

    fn all_finite(&self) -> Result<bool> {
        if let Some(held) = Held::new(self) {
            return Ok(match held.slice() {
                Slice::F32(x) => slices::all_finite(x),
                Slice::F64(x) => slices::all_finite(x),
            });
        }
        // x - x is zero exactly for what is finite.
        let x = self.detach().to_dtype(DType::F32)?;
        let sum = x.sub(&x)?.sum_all()?.to_scalar::<f32>()?;
        Ok(sum == 0.0)
    }
}
