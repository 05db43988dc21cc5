//! The work done by this workspace.

use std::hint::black_box;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use fp_residual::residual_loss_and_grad;
use score_nets::fused::Isa;
use score_nets::{Kernels, ScoreNet};
use sde_core::{Key, State};
use solvers::{SolveError, sample, sample_from};

use crate::flops::SGEMM;
use crate::peer::Found;
use crate::side::{Item, Side};
use crate::timing::settled;
use crate::work::{PARTICLES, PATHS, SAMPLE_KEY, Work};

/// This workspace, with a network evaluated by one kind of arithmetic.
pub(crate) struct Ours<'a> {
    name: &'static str,
    work: &'a Work,
    net: &'a ScoreNet,
    matrices: [Tensor; 2],
}

/// A loss and its gradient, tensor by tensor in the order of the network's variables.
pub(crate) struct Gradient {
    pub(crate) loss: f64,
    pub(crate) tensors: Vec<Option<Tensor>>,
}

impl<'a> Ours<'a> {
    pub(crate) fn new(name: &'static str, work: &'a Work, net: &'a ScoreNet) -> Result<Self> {
        let square = Tensor::zeros((SGEMM, SGEMM), DType::F32, &Device::Cpu)?;
        let matrix = |seed| square.normals_like(Key::root(seed), 0);
        Ok(Self { name, work, net, matrices: [matrix(5)?, matrix(6)?] })
    }

    /// Loss and gradients of a training step.
    pub(crate) fn gradient(&self, item: Item) -> Result<Gradient> {
        let (mut loss, mut gradients) = self.net.score_loss_and_grad(&self.work.batch)?;
        if item == Item::DsmFp {
            let (residual, its) = residual_loss_and_grad(self.net, &self.work.points)?;
            loss += residual;
            gradients.add(1.0, &its)?;
        }
        let tensors = gradients.iter().map(|g| g.cloned()).collect();
        Ok(Gradient { loss, tensors })
    }

    /// Samples of the reverse SDE, block by block.
    fn samples(&self) -> Result<Vec<Tensor>> {
        let like = Tensor::zeros((1, self.net.dim()), DType::F32, &Device::Cpu)?;
        let (sampler, mut blocks) = (self.work.sampler(1.0), Vec::new());
        let mut keep = |_, x| {
            blocks.push(x);
            Ok::<(), SolveError>(())
        };
        let sde = self.net.sde();
        sample(&sampler, sde, self.net, PARTICLES, SAMPLE_KEY, &like, &mut keep)?;
        Ok(blocks)
    }

    /// Where the flow ODE takes the given starts, row by row.
    pub(crate) fn path(&self) -> Result<Vec<f32>> {
        let shape = (PATHS, self.net.dim());
        let starts = Tensor::from_slice(&self.work.starts, shape, &Device::Cpu)?;
        let start = |first: u64, rows: usize| starts.slice_rows(first as usize, rows);
        let (sampler, mut blocks) = (self.work.sampler(0.0), Vec::new());
        let mut keep = |_, x| {
            blocks.push(x);
            Ok::<(), SolveError>(())
        };
        let (sde, rows) = (self.net.sde(), PATHS as u64);
        sample_from(&sampler, sde, self.net, rows, SAMPLE_KEY, &start, &mut keep)?;
        Ok(Tensor::cat(&blocks, 0)?.flatten_all()?.to_vec1()?)
    }

    /// What an item comes to: loss and gradient, or where paths end.
    pub(crate) fn check(&self, item: Item) -> Result<Found> {
        if item == Item::Sample {
            return Ok(Found { loss: None, memory_kib: None, values: self.path()? });
        }
        let found = self.gradient(item)?;
        let values = in_order(self.work, &found)?.concat();
        Ok(Found { loss: Some(found.loss), memory_kib: None, values })
    }

    fn run(&self, item: Item) -> Result<()> {
        match item {
            Item::Sgemm => drop(black_box(self.matrices[0].matmul(&self.matrices[1])?)),
            Item::Dsm | Item::DsmFp => drop(black_box(self.gradient(item)?)),
            Item::Sample => drop(black_box(self.samples()?)),
        }
        Ok(())
    }
}

impl Side for Ours<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn time(&mut self, item: Item) -> Result<f64> {
        settled(|| self.run(item))
    }
}

/// The network on AVX-512 alone, where there is more.
pub(crate) fn without_tiles(net: &ScoreNet) -> Result<Option<ScoreNet>> {
    let best = Isa::detect();
    if best != Isa::Amx {
        return Ok(None);
    }
    Isa::Avx512.choose()?;
    let other = net.duplicate()?.with_kernels(Kernels::Fused)?;
    let built = other.uses_fused();
    best.choose()?;
    Ok(built?.then_some(other))
}

/// The values of a gradient in the order of `Work::parameters`; zeros where there is none.
pub(crate) fn in_order(work: &Work, gradient: &Gradient) -> Result<Vec<Vec<f32>>> {
    let of = |(name, shape): (String, Vec<usize>)| -> Result<Vec<f32>> {
        let place = work.net.parameters().place(&name);
        let place = place.with_context(|| format!("the network has no parameter `{name}`"))?;
        match &gradient.tensors[place] {
            Some(tensor) => Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?),
            None => Ok(vec![0.0; shape.iter().product()]),
        }
    };
    work.parameters().into_iter().map(of).collect()
}
