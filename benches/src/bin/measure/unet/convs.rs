//! A convolution with both its gradients, through candle's graph as training does it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, Var};
use score_nets::ops::{Conv, conv2d};
use sde_core::{Key, State};

use crate::side::Side;
use crate::timing::settled;

/// A convolution with 3 x 3 kernels that keeps size and channels: output, input gradient and weight
/// gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    batch: usize,
    channels: usize,
    size: usize,
}

impl Item {
    /// The levels of a network on 28 x 28 images, of one on 32 x 32, and its inner ones.
    pub(crate) const ALL: [Self; 3] = [
        Self { batch: 32, channels: 64, size: 28 },
        Self { batch: 64, channels: 128, size: 16 },
        Self { batch: 64, channels: 256, size: 8 },
    ];

    /// The name that requests and keys know it by.
    pub(crate) fn key(self) -> &'static str {
        match self.size {
            28 => "conv28",
            16 => "conv16",
            _ => "conv8",
        }
    }

    /// Operations of the three products, without what zeros around the image save.
    pub(crate) fn flops(self) -> f64 {
        let Self { batch, channels, size } = self;
        (3 * 2 * 9 * batch * size * size * channels * channels) as f64
    }
}

/// Numbers and their shape.
pub(crate) type Array = (Vec<f32>, Vec<usize>);

/// The inputs of an item.
struct Problem {
    x: Var,
    w: Var,
    dy: Tensor,
}

/// Ours.
pub(crate) struct Ours(BTreeMap<Item, Problem>);

impl Ours {
    pub(crate) fn new() -> Result<Self> {
        let problem = |(number, item): (usize, Item)| -> Result<(Item, Problem)> {
            let Item { batch, channels: c, size } = item;
            let normals = |seed, shape: (usize, usize, usize, usize)| -> Result<Tensor> {
                let like = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
                Ok(like.normals_like(Key::root(20).fold(3 * number as u64 + seed), 0)?)
            };
            let image = (batch, size, size, c);
            let weights = (normals(1, (c, c, 3, 3))? * (1.0 / (9 * c) as f64).sqrt())?;
            let problem = Problem {
                x: Var::from_tensor(&normals(0, image)?)?,
                w: Var::from_tensor(&weights)?,
                dy: normals(2, image)?,
            };
            Ok((item, problem))
        };
        Ok(Self(Item::ALL.into_iter().enumerate().map(problem).collect::<Result<_>>()?))
    }

    /// The inputs, by name.
    pub(crate) fn inputs(&self, item: Item) -> Result<Vec<(String, Array)>> {
        let Problem { x, w, dy } = &self.0[&item];
        let all = [("x", x.as_tensor()), ("w", w.as_tensor()), ("dy", dy)];
        all.into_iter()
            .map(|(name, tensor)| Ok((name.to_owned(), (values(tensor)?, tensor.dims().to_vec()))))
            .collect()
    }

    /// The output, the gradient of the input and that of the weights.
    pub(crate) fn result(&self, item: Item) -> Result<Vec<(&'static str, Vec<f32>)>> {
        let names = ["output", "input gradient", "weight gradient"];
        let found = names.into_iter().zip(self.compute(item)?);
        found.map(|(name, tensor)| Ok((name, values(&tensor)?))).collect()
    }

    pub(crate) fn run(&self, item: Item) -> Result<()> {
        self.compute(item).map(|found| drop(std::hint::black_box(found)))
    }

    fn compute(&self, item: Item) -> Result<[Tensor; 3]> {
        let Problem { x, w, dy } = &self.0[&item];
        let y = conv2d(x, w, None, Conv::same(3))?;
        let mut grads = y.apply_op1(Cotangent(dy.clone()))?.backward()?;
        let dx = grads.remove(x).context("no gradient of the input")?;
        let dw = grads.remove(w).context("no gradient of the weights")?;
        Ok([y, dx, dw])
    }
}

impl Side<Item> for Ours {
    fn name(&self) -> &str {
        "ours"
    }

    fn time(&mut self, item: Item) -> Result<f64> {
        settled(|| self.compute(item))
    }
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.flatten_all()?.to_vec1()?)
}

/// A loss whose gradient is given.
struct Cotangent(Tensor);

impl CustomOp1 for Cotangent {
    fn name(&self) -> &'static str {
        "cotangent"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
