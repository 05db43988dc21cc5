//! Samples cut into blocks, blocks into chunks, and the sums over them.
//!
//! The cuts depend on the number of samples and on the network alone, each chunk has gradients of
//! its own, and they are added in order: the threads decide who works, not what comes out.

use super::FusedMlp;
use crate::fused::activation::Act;
use crate::fused::amx::Tiles;
use crate::fused::block::Block;
use crate::fused::denormals::Flushed;
use crate::fused::isa::{Job, dispatch};
use crate::fused::memory::Aligned;
use crate::fused::simd::Simd;
use crate::fused::weights::Gradients;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Blocks that a thread takes at once where nothing is summed.
const PAR_BLOCKS: usize = 8;

/// Calls `work` on all threads for the parts of some samples: their inputs, the first of which are
/// those of the network, and what is to be written for them. A slice may be empty: then so is each
/// part of it.
pub(in crate::fused) fn in_parts<const I: usize, const O: usize>(
    mlp: &FusedMlp,
    inputs: [&[f32]; I],
    mut outputs: [&mut [f32]; O],
    work: impl Fn([&[f32]; I], [&mut [f32]; O]) + Sync,
) {
    let (n, part) = (inputs[0].len() / mlp.shape.inputs, PAR_BLOCKS * mlp.shape.rows);
    let inputs = inputs.map(|x| (x, x.len() / n.max(1)));
    let each = outputs.each_ref().map(|x| x.len() / n.max(1));
    let parts = (0..n).step_by(part).map(|first| {
        let (end, mut each) = (n.min(first + part), each.iter());
        let outputs = outputs.each_mut().map(|x| {
            let each = each.next().expect("one for each output");
            x.split_off_mut(..(end - first) * each).expect("as many samples as inputs")
        });
        (inputs.map(|(x, each)| &x[first * each..end * each]), outputs)
    });
    let parts: Vec<_> = parts.collect();
    parts.into_par_iter().for_each(|(inputs, outputs)| work(inputs, outputs));
}

/// A slice that may be wanted, from one that may be empty.
pub(in crate::fused) fn wanted(slice: &mut [f32]) -> Option<&mut [f32]> {
    (!slice.is_empty()).then_some(slice)
}

/// Some consecutive samples, as the functions that define a loss see them.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// The number of the first.
    pub first: usize,
    /// How many they are.
    pub count: usize,
    /// Their inputs, `[count][K]`.
    pub u: &'a [f32],
    /// The gradients of the network there, `[count][K]`.
    pub grad: &'a [f32],
}

/// The coefficients of the operator `m . grad N + l sum of d2N/du_i^2`, to be written.
#[derive(Debug)]
pub struct Coefficients<'a> {
    /// `m`, `[count][K]`.
    pub direction: &'a mut [f32],
    /// `l`, `[count]`.
    pub laplacian: &'a mut [f32],
}

/// [`FusedMlp::value_and_grad`], [`FusedMlp::grad`].
pub(super) struct Values<'a> {
    pub(super) mlp: &'a FusedMlp,
    pub(super) u: &'a [f32],
    pub(super) value: Option<&'a mut [f32]>,
    pub(super) inputs: Range<usize>,
    pub(super) grad: &'a mut [f32],
}

impl Job for Values<'_> {
    type Output = ();
    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { mlp, u, mut value, inputs, grad } = self;
        let (_flushed, _tiles) = (Flushed::new(), Tiles::keep());
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let (k, rows) = (mlp.shape.inputs, mlp.shape.rows);
        let blocks = u.chunks(rows * k).zip(grad.chunks_mut(rows * inputs.len()));
        for (i, (u, grad)) in blocks.enumerate() {
            let count = u.len() / k;
            block.forward(u, value.as_deref_mut().map(|v| &mut v[i * rows..][..count]));
            block.reverse(inputs.clone(), grad);
        }
    }
}

/// [`FusedMlp::laplacian`].
pub(super) struct Laplacians<'a> {
    pub(super) mlp: &'a FusedMlp,
    pub(super) u: &'a [f32],
    pub(super) inputs: &'a [usize],
    pub(super) value: Option<&'a mut [f32]>,
    pub(super) grad: &'a mut [f32],
    pub(super) laplacian: &'a mut [f32],
}

impl Job for Laplacians<'_> {
    type Output = ();
    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { mlp, u, inputs, mut value, grad, laplacian } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, inputs) };
        let (k, rows) = (mlp.shape.inputs, mlp.shape.rows);
        let ones = vec![1.0; rows];
        let samples = u.chunks(rows * k).zip(grad.chunks_mut(rows * k));
        for (i, ((u, grad), lap)) in samples.zip(laplacian.chunks_mut(rows)).enumerate() {
            let count = u.len() / k;
            block.forward(u, value.as_deref_mut().map(|v| &mut v[i * rows..][..count]));
            block.reverse(0..k, grad);
            block.tangents(None, &ones[..count]);
            block.operator(0..1, lap);
        }
    }
}

/// [`FusedMlp::hessian_product`].
pub(super) struct HessianProducts<'a> {
    pub(super) mlp: &'a FusedMlp,
    pub(super) u: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) grad: &'a mut [f32],
    pub(super) product: &'a mut [f32],
}

impl Job for HessianProducts<'_> {
    type Output = ();
    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { mlp, u, v, grad, product } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let k = mlp.shape.inputs;
        let n = mlp.shape.rows * k;
        let into = grad.chunks_mut(n).zip(product.chunks_mut(n));
        for ((u, v), (grad, product)) in u.chunks(n).zip(v.chunks(n)).zip(into) {
            block.forward(u, None);
            block.reverse(0..k, grad);
            block.tangents(Some(v), &[]);
            block.adjoints(&[], None, None);
            block.operator_grad(product);
        }
    }
}

/// Writes the cotangents of a block and returns its loss.
type Cotangents<'a> = &'a (dyn Fn(Samples<'_>, &mut [f32]) -> f64 + Sync);
/// Writes the coefficients of a block.
type WriteCoefficients<'a> = &'a (dyn Fn(Samples<'_>, Coefficients<'_>) + Sync);
/// Writes the weights of a block and returns its loss.
type Weigh<'a> = &'a (dyn Fn(Samples<'_>, &[f32], &mut [f32]) -> f64 + Sync);

/// [`FusedMlp::gradient_loss`].
pub(super) fn gradient_loss(
    mlp: &FusedMlp,
    u: &[f32],
    cotangents: Cotangents<'_>,
    grads: &mut Gradients,
) -> f64 {
    over_chunks(mlp, u, grads, |first, u, sums| {
        dispatch(mlp.isa, mlp.activation, GradientLoss { mlp, first, u, cotangents, sums })
    })
}

/// The gradient loss of one chunk.
struct GradientLoss<'a> {
    mlp: &'a FusedMlp,
    first: usize,
    u: &'a [f32],
    cotangents: Cotangents<'a>,
    sums: &'a mut [f32],
}

impl Job for GradientLoss<'_> {
    type Output = f64;
    unsafe fn run<S: Simd, A: Act>(self, act: A) -> f64 {
        let Self { mlp, first, u, cotangents, sums } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let (k, rows) = (mlp.shape.inputs, mlp.shape.rows);
        let (mut grad, mut v) = (vec![0.0; rows * k], vec![0.0; rows * k]);
        let mut loss = 0.0;
        for (i, u) in u.chunks(rows * k).enumerate() {
            let (grad, v) = (&mut grad[..u.len()], &mut v[..u.len()]);
            block.forward(u, None);
            block.reverse(0..k, grad);
            v.fill(0.0);
            let count = u.len() / k;
            loss += cotangents(Samples { first: first + i * rows, count, u, grad }, v);
            block.tangents(Some(v), &[]);
            block.adjoints(&[], None, Some((&mlp.layout, sums)));
        }
        loss
    }
}

/// [`FusedMlp::operator_loss`].
pub(super) fn operator_loss(
    mlp: &FusedMlp,
    u: &[f32],
    inputs: &[usize],
    coefficients: WriteCoefficients<'_>,
    loss: Weigh<'_>,
    grads: &mut Gradients,
) -> f64 {
    over_chunks(mlp, u, grads, |first, u, sums| {
        let job = OperatorLoss { mlp, first, u, inputs, coefficients, weigh: loss, sums };
        dispatch(mlp.isa, mlp.activation, job)
    })
}

/// The operator loss of one chunk.
struct OperatorLoss<'a> {
    mlp: &'a FusedMlp,
    first: usize,
    u: &'a [f32],
    inputs: &'a [usize],
    coefficients: WriteCoefficients<'a>,
    weigh: Weigh<'a>,
    sums: &'a mut [f32],
}

impl Job for OperatorLoss<'_> {
    type Output = f64;
    unsafe fn run<S: Simd, A: Act>(self, act: A) -> f64 {
        let Self { mlp, first, u, inputs, coefficients, weigh, sums } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, inputs) };
        let (k, rows) = (mlp.shape.inputs, mlp.shape.rows);
        let (mut grad, mut m) = (vec![0.0; rows * k], vec![0.0; rows * k]);
        let (mut l, mut values, mut r) = (vec![0.0; rows], vec![0.0; rows], vec![0.0; rows]);
        let mut loss = 0.0;
        for (i, u) in u.chunks(rows * k).enumerate() {
            let count = u.len() / k;
            let (grad, m) = (&mut grad[..u.len()], &mut m[..u.len()]);
            let (l, values, r) = (&mut l[..count], &mut values[..count], &mut r[..count]);
            block.forward(u, None);
            block.reverse(0..k, grad);
            let samples = Samples { first: first + i * rows, count, u, grad };
            m.fill(0.0);
            l.fill(0.0);
            r.fill(0.0);
            coefficients(samples, Coefficients { direction: m, laplacian: l });
            block.tangents(Some(m), l);
            block.operator(0..1, values);
            loss += weigh(samples, values, r);
            block.adjoints(l, Some(r), Some((&mlp.layout, sums)));
        }
        loss
    }
}

/// Accumulators that are kept from one call to the next.
#[derive(Default)]
pub(in crate::fused) struct Scratch(Mutex<Option<Aligned>>);

/// Calls `work(first sample, inputs, accumulator)` for each chunk, adds the accumulators to `grads`
/// in order, and returns the sum of the losses in order.
pub(in crate::fused) fn over_chunks(
    mlp: &FusedMlp,
    u: &[f32],
    grads: &mut Gradients,
    work: impl Fn(usize, &[f32], &mut [f32]) -> f64 + Sync,
) -> f64 {
    let (k, rows) = (mlp.shape.inputs, mlp.shape.rows);
    let len = mlp.layout.len;
    let n = u.len() / k;
    let blocks = n.div_ceil(rows);
    // Four blocks a chunk where there are many, and no more than 256 MiB of accumulators.
    let most = ((64 << 20) / len).clamp(4, 32);
    let chunks = blocks.div_ceil(4).clamp(blocks.clamp(1, 4), most);
    let bound = |chunk: usize| (chunk * blocks / chunks * rows).min(n);

    let lock = || mlp.scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut memory = lock().take().filter(|memory| memory.len() >= chunks * len);
    let memory_ref = memory.get_or_insert_with(|| Aligned::zeroed(chunks * len));
    let sums = &mut memory_ref.as_mut_slice()[..chunks * len];
    let losses: Vec<f64> = sums
        .par_chunks_exact_mut(len)
        .enumerate()
        .with_max_len(1)
        .map(|(chunk, sums)| {
            sums.fill(0.0);
            let (first, end) = (bound(chunk), bound(chunk + 1));
            work(first, &u[first * k..end * k], sums)
        })
        .collect();
    let (total, rest) = sums.split_at_mut(len);
    const SEGMENT: usize = 2048;
    total.par_chunks_mut(SEGMENT).enumerate().for_each(|(i, total)| {
        let _flushed = Flushed::new();
        for part in rest.chunks_exact(len) {
            let part = &part[i * SEGMENT..][..total.len()];
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
    });
    let flushed = Flushed::new();
    mlp.layout.unpack(&mlp.shape, total, grads);
    drop(flushed);
    *lock() = memory;
    losses.iter().sum()
}
