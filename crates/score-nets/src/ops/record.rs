//! A result that was computed outside candle's graph, put into it with its own backward pass.
//!
//! candle adds every gradient to an array of zeros, on one thread. Between two operations of this
//! module it need not see the arrays: an operation stands in candle's graph as a single number, the
//! token, and its result as a function of the token. Whoever knows the token of an argument leaves the
//! gradient in its slot and gives candle one number; candle's own operations see the result, whose
//! gradient ends in the same slot.

use super::host::{self, Values};
use crate::Result;
use crate::fused::maps;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Device, Layout, MetalStorage, Shape,
    Storage, Tensor, TensorId, backend::BackendStorage,
};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

/// The backward pass of an operation.
pub(super) trait Backward: Send + Sync + 'static {
    /// The name in messages.
    const NAME: &'static str;

    /// Whether the numbers of argument `arg` are needed for the gradients that are wanted, and not just its shape:
    /// whatever is not needed is not kept.
    fn uses(&self, _arg: usize, _wanted: &[bool]) -> bool {
        true
    }

    /// The gradients of the arguments that `wanted` says, in their order, from the arguments and the
    /// gradient of the result; none of these tensors carries a graph.
    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>>;
}

/// A result that is not yet part of a graph.
pub(super) enum Found {
    /// Numbers on the CPU, and their shape.
    Host(Vec<f32>, Shape),
    /// What candle's operations made.
    Tensor(Tensor),
}

impl Found {
    pub(super) fn host(values: Vec<f32>, shape: &[usize]) -> Self {
        Self::Host(values, shape.into())
    }

    pub(super) fn tensor(self) -> Result<Tensor> {
        Ok(match self {
            Self::Host(values, shape) => Tensor::from_vec(values, shape, &Device::Cpu)?,
            Self::Tensor(tensor) => tensor,
        })
    }
}

/// `y`, which was computed from `args` without a graph, as their function; just its values where no
/// argument is tracked.
///
/// There are one to three arguments. Over one graph there is one backward pass at a time.
pub(super) fn record<B: Backward>(y: Found, args: &[&Tensor], backward: B) -> Result<Tensor> {
    if !args.iter().any(|arg| arg.track_op()) {
        return y.tensor();
    }
    let slot = Slot::default();
    let links: Vec<Option<Link>> = args.iter().map(|arg| Link::of(arg)).collect();
    let one = Tensor::ones(1, args[0].dtype(), args[0].device())?;
    let wanted: Vec<bool> = args.iter().map(|arg| arg.track_op()).collect();
    // In the place of numbers that are not needed, one for all.
    let kept = |(i, arg): (usize, &&Tensor)| match backward.uses(i, &wanted) {
        true => Ok(arg.detach()),
        false => one.broadcast_as(arg.shape()),
    };
    let node = Node {
        args: args.iter().enumerate().map(kept).collect::<candle_core::Result<_>>()?,
        token: Held::new(Found::Tensor(one)),
        wanted,
        slots: links.iter().map(|link| link.as_ref().map(|link| link.slot.clone())).collect(),
        slot: slot.clone(),
        backward,
    };
    let tokens: Vec<&Tensor> = links
        .iter()
        .zip(args)
        .map(|(link, arg)| link.as_ref().map_or(*arg, |l| &l.token))
        .collect();
    let token = match *tokens {
        [a] => a.apply_op1(node),
        [a, b] => a.apply_op2(b, node),
        [a, b, c] => a.apply_op3(b, c, node),
        _ => unreachable!("{} arguments", args.len()),
    }?;
    let id = Arc::new(OnceLock::new());
    let shown = Shown { value: Held::new(y), slot: slot.clone(), id: id.clone(), name: B::NAME };
    let y = token.apply_op1(shown)?;
    // (The order matters: from here on the end of `y` removes the entry.)
    lock(&LINKS).insert(y.id(), Link { token, slot });
    let _ = id.set(y.id());
    Ok(y)
}

/// Where gradients of a result are collected.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<Tensor>>>);

impl Slot {
    /// Adds a gradient.
    fn add(&self, gradient: Tensor) -> Result<()> {
        let mut slot = lock(&self.0);
        *slot = Some(match slot.take() {
            Some(before) => sum(&before, &gradient)?,
            None => gradient,
        });
        Ok(())
    }

    fn take(&self) -> Option<Tensor> {
        lock(&self.0).take()
    }
}

fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let Some(isa) = host::kernels(a) else {
        return Ok((a + b)?);
    };
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    host::tensor(maps::add_scaled(isa, &Values::of(&a)?, &Values::of(&b)?, 1.0), a.dims())
}

/// The token of a result, and where its gradients go.
#[derive(Clone)]
struct Link {
    token: Tensor,
    slot: Slot,
}

/// The links of all results that live.
static LINKS: LazyLock<Mutex<HashMap<TensorId, Link>>> = LazyLock::new(Mutex::default);

impl Link {
    fn of(x: &Tensor) -> Option<Self> {
        lock(&LINKS).get(&x.id()).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many results of this module live, each with its graph.
#[cfg(test)]
pub(super) fn count_links() -> usize {
    lock(&LINKS).len()
}

fn error(error: crate::Error) -> candle_core::Error {
    match error {
        crate::Error::Candle(error) => error,
        error => candle_core::Error::wrap(error),
    }
}

/// What candle is given when it asks for it, once.
struct Held(Mutex<Option<Found>>);

impl Held {
    fn new(value: Found) -> Self {
        Self(Mutex::new(Some(value)))
    }

    fn take(&self) -> candle_core::Result<Found> {
        match lock(&self.0).take() {
            Some(value) => Ok(value),
            None => candle_core::bail!("a result is asked for a second time"),
        }
    }

    /// A copy of the storage that `pick` finds.
    fn storage<T: BackendStorage>(
        value: &Tensor,
        pick: impl Fn(&Storage) -> Option<&T>,
    ) -> candle_core::Result<(T, Shape)> {
        let value = value.contiguous()?;
        let (storage, layout) = value.storage_and_layout();
        match pick(&storage) {
            Some(storage) => Ok((storage.try_clone(layout)?, value.shape().clone())),
            None => candle_core::bail!("a result is on another device"),
        }
    }

    fn cpu(&self) -> candle_core::Result<(CpuStorage, Shape)> {
        match self.take()? {
            Found::Host(values, shape) => Ok((CpuStorage::F32(values), shape)),
            Found::Tensor(value) => Self::storage(&value, |storage| match storage {
                Storage::Cpu(storage) => Some(storage),
                _ => None,
            }),
        }
    }

    fn cuda(&self) -> candle_core::Result<(CudaStorage, Shape)> {
        let value = self.take()?.tensor().map_err(error)?;
        Self::storage(&value, |storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            _ => None,
        })
    }

    fn metal(&self) -> candle_core::Result<(MetalStorage, Shape)> {
        let value = self.take()?.tensor().map_err(error)?;
        Self::storage(&value, |storage| match storage {
            Storage::Metal(storage) => Some(storage),
            _ => None,
        })
    }
}

/// The result as a function of the token.
struct Shown {
    value: Held,
    slot: Slot,
    /// Of the result, for the end of its link.
    id: Arc<OnceLock<TensorId>>,
    name: &'static str,
}

impl Drop for Shown {
    fn drop(&mut self) {
        // What the link holds ends after the lock.
        let link = self.id.get().and_then(|id| lock(&LINKS).remove(id));
        drop(link);
    }
}

impl CustomOp1 for Shown {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        self.value.cpu()
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        self.value.cuda()
    }
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        self.value.metal()
    }
    fn bwd(&self, token: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.slot.add(dy.detach()).map_err(error)?;
        Ok(Some(token.ones_like()?))
    }
}

/// An operation in candle's graph, in the place of its token.
struct Node<B> {
    token: Held,
    args: Vec<Tensor>,
    wanted: Vec<bool>,
    /// Where the gradients of the arguments go; candle gets those of the others.
    slots: Vec<Option<Slot>>,
    /// Where the gradient of the result is.
    slot: Slot,
    backward: B,
}

impl<B: Backward> Node<B> {
    fn gradients<const N: usize>(&self) -> candle_core::Result<[Option<Tensor>; N]> {
        let Some(dy) = self.slot.take() else {
            candle_core::bail!("{}: the gradient of the result is gone", B::NAME)
        };
        let found = self.backward.backward(&self.args, &self.wanted, &dy).map_err(error)?;
        let mut gradients = [const { None }; N];
        let each = found.into_iter().zip(&self.wanted).zip(&self.slots);
        for (to, ((found, wanted), slot)) in gradients.iter_mut().zip(each) {
            let Some(found) = found.filter(|_| *wanted) else { continue };
            *to = Some(match slot {
                Some(slot) => {
                    let token = Tensor::ones(1, found.dtype(), found.device())?;
                    slot.add(found).map_err(error)?;
                    token
                }
                None => found,
            });
        }
        Ok(gradients)
    }
}

impl<B: Backward> CustomOp1 for Node<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        self.token.cpu()
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        self.token.cuda()
    }
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        self.token.metal()
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let [da] = self.gradients()?;
        Ok(da)
    }
}

impl<B: Backward> CustomOp2 for Node<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.token.cpu()
    }
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        self.token.cuda()
    }
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        self.token.metal()
    }
    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(self.gradients::<2>()?.into())
    }
}

impl<B: Backward> CustomOp3 for Node<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.token.cpu()
    }
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        self.token.cuda()
    }
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        self.token.metal()
    }
    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(self.gradients::<3>()?.into())
    }
}
