//! A U-Net as the list of its steps, and the one forward pass that takes them.

use crate::{
    Condition, Error, Jet, Result,
    layers::{Conv2d, GroupNorm, Linear, Resample, add_scaled, concat},
};

use super::block::{Attention, ResBlock};

/// One step. Besides the features there are the stack of skip connections, the image on its way down (the
/// progressive input) and the image on its way up (the progressive output, or the output).
#[derive(Debug)]
pub(super) enum Step {
    /// Features through a convolution.
    Conv(String, Conv2d),
    Res(Box<ResBlock>),
    Attend(Box<Attention>),
    Resample(Resample),
    /// Features onto the stack.
    Push,
    /// Features beside the topmost of the stack.
    Pop,
    /// The incoming image through a filter and a convolution.
    ImageDown(Option<Resample>, Option<(String, Conv2d)>),
    /// Features and the incoming image together.
    ImageIn(ImageIn),
    /// The outgoing image through a filter and a convolution.
    ImageUp(Option<Resample>, Option<(String, Conv2d)>),
    /// `conv(silu(norm(features)))` added to the outgoing image.
    ImageOut(GroupNorm, String, Conv2d),
    /// Features added to the outgoing image, times the number; both become the sum.
    Merge(f64),
    /// The outgoing image is no more.
    Forget,
}

/// `scale (features + map(image))`, or both side by side.
#[derive(Debug)]
pub(super) struct ImageIn {
    pub(super) map: Option<(String, Linear)>,
    pub(super) scale: f64,
    /// The image becomes the sum as well.
    pub(super) replace: bool,
    /// Side by side, the image first.
    pub(super) beside: bool,
}

struct State {
    h: Jet,
    stack: Vec<Jet>,
    image: Jet,
    out: Option<Jet>,
}

/// Takes the steps from an image `[B, H, W, C]`; returns the outgoing image, or the features without one.
pub(super) fn run(
    steps: &[Step],
    x: Jet,
    emb: Option<&Jet>,
    condition: &Condition,
    mut seen: impl FnMut(&Step, &Jet) -> Result<()>,
) -> Result<Jet> {
    let mut s = State { h: x.clone(), stack: Vec::new(), image: x, out: None };
    for step in steps {
        s.take(step, emb, condition)?;
        seen(step, &s.h)?;
    }
    Ok(s.out.unwrap_or(s.h))
}

impl State {
    fn take(&mut self, step: &Step, emb: Option<&Jet>, condition: &Condition) -> Result<()> {
        match step {
            Step::Conv(_, conv) => self.h = conv.forward(&self.h)?,
            Step::Res(block) => self.h = block.forward(&self.h, emb, condition)?,
            Step::Attend(block) => self.h = block.forward(&self.h)?,
            Step::Resample(resample) => self.h = resample.forward(&self.h)?,
            Step::Push => self.stack.push(self.h.clone()),
            Step::Pop => {
                let top = self.stack.pop().ok_or_else(|| incomplete("skip connection"))?;
                self.h = concat(&self.h, &top)?;
            }
            Step::ImageDown(filter, conv) => self.image = through(&self.image, filter, conv)?,
            Step::ImageIn(join) => {
                let image = match &join.map {
                    Some((_, map)) => map.forward(&self.image)?,
                    None => self.image.clone(),
                };
                self.h = if join.beside {
                    concat(&image, &self.h)?
                } else {
                    add_scaled(&self.h, &image, join.scale)?
                };
                if join.replace {
                    self.image = self.h.clone();
                }
            }
            Step::ImageUp(filter, conv) => {
                if let Some(out) = &self.out {
                    self.out = Some(through(out, filter, conv)?);
                }
            }
            Step::ImageOut(norm, _, conv) => {
                let new = conv.forward(&norm.forward_silu(&self.h)?)?;
                self.out = Some(match &self.out {
                    Some(out) => add_scaled(&new, out, 1.0)?,
                    None => new,
                });
            }
            Step::Forget => self.out = None,
            Step::Merge(scale) => {
                let out = self.out.take().ok_or_else(|| incomplete("outgoing image"))?;
                self.h = add_scaled(&out, &self.h, *scale)?;
                self.out = Some(self.h.clone());
            }
        }
        Ok(())
    }
}

fn incomplete(what: &str) -> Error {
    Error::setting("plan of a U-Net", what, "is used before it is there")
}

fn through(x: &Jet, filter: &Option<Resample>, conv: &Option<(String, Conv2d)>) -> Result<Jet> {
    let x = match filter {
        Some(filter) => filter.forward(x)?,
        None => x.clone(),
    };
    match conv {
        Some((_, conv)) => conv.forward(&x),
        None => Ok(x),
    }
}
