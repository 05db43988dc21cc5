//! Laying out the steps of a U-Net.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use crate::{
    Result,
    layers::{Conv2d, Form, GroupNorm, Linear, Resample},
    ops::Conv,
};

use super::{
    Constant, Factor, UNet,
    block::{Attention, AttentionOptions, LAST, ResBlock, ResNames, ResOptions},
    embed::Embedding,
    gradients::without_gradient,
    head::Head,
    steps::{ImageIn, Step},
};

/// What a residual block does to the size of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Keep,
    Up,
    Down,
}

impl Change {
    /// The filter that does it: repetition and means without taps.
    pub(super) fn filter(self, taps: Option<&[f64]>) -> Result<Option<Resample>> {
        Ok(match (self, taps) {
            (Self::Keep, _) => None,
            (Self::Up, None) => Some(Resample::nearest()),
            (Self::Down, None) => Some(Resample::mean()),
            (Self::Up, Some(taps)) => Some(Resample::up(taps)?),
            (Self::Down, Some(taps)) => Some(Resample::down(taps)?),
        })
    }
}

/// The steps so far, and what the features look like after them.
pub(super) struct Plan {
    pub(super) vb: VarBuilder<'static>,
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
    /// Channels of the skip connections on the stack.
    stack: Vec<usize>,
    steps: Vec<Step>,
    pub(super) buffers: Vec<String>,
    constants: Vec<Constant>,
    /// Parameters that are part of a file and of nothing else, with the reason.
    pub(super) unused: Vec<(String, &'static str)>,
}

/// What a plan is finished with.
pub(super) struct Ends {
    pub(super) embedding: Option<Embedding>,
    /// The names of the parameters of the embedding.
    pub(super) embedding_names: Vec<String>,
    pub(super) centre: bool,
    pub(super) head: Option<Head>,
    pub(super) factor: Factor,
}

impl Plan {
    pub(super) fn new(vb: VarBuilder<'static>, channels: usize, size: [usize; 2]) -> Self {
        let (stack, steps) = (Vec::new(), Vec::new());
        let (buffers, constants, unused) = (Vec::new(), Vec::new(), Vec::new());
        Self { vb, channels, size, stack, steps, buffers, constants, unused }
    }

    pub(super) fn at(&self, name: &str) -> VarBuilder<'static> {
        name.split('.').fold(self.vb.clone(), |vb, part| vb.pp(part))
    }

    pub(super) fn resized(&mut self, change: Change) {
        for side in &mut self.size {
            match change {
                Change::Keep => {}
                Change::Up => *side *= 2,
                Change::Down => *side /= 2,
            }
        }
    }

    /// A convolution that keeps the size.
    pub(super) fn conv(&mut self, name: &str, outputs: usize) -> Result<()> {
        self.conv_with(name, outputs, Conv::same(3))
    }

    /// A 3 x 3 convolution with a stride of its own.
    pub(super) fn conv_with(&mut self, name: &str, outputs: usize, conv: Conv) -> Result<()> {
        let vb = self.at(name);
        let layer = Conv2d::with_conv(&vb, self.channels, outputs, 3, 1.0, conv)?;
        self.steps.push(Step::Conv(vb.prefix(), layer));
        if conv.stride == 2 {
            self.resized(Change::Down);
        }
        self.channels = outputs;
        Ok(())
    }

    pub(super) fn res(
        &mut self,
        name: &str,
        names: &ResNames,
        options: ResOptions,
        change: Change,
    ) -> Result<()> {
        let outputs = options.outputs;
        let block = ResBlock::new(&self.at(name), names, self.channels, options)?;
        self.steps.push(Step::Res(Box::new(block)));
        self.resized(change);
        self.channels = outputs;
        Ok(())
    }

    pub(super) fn attend(&mut self, name: &str, options: AttentionOptions) -> Result<()> {
        let options = AttentionOptions { pixels: self.size[0] * self.size[1], ..options };
        let block = Attention::new(&self.at(name), self.channels, options)?;
        self.steps.push(Step::Attend(Box::new(block)));
        Ok(())
    }

    pub(super) fn resample(&mut self, change: Change, filter: Resample) {
        self.steps.push(Step::Resample(filter));
        self.resized(change);
    }

    pub(super) fn push(&mut self) {
        self.stack.push(self.channels);
        self.steps.push(Step::Push);
    }

    /// Channels of the topmost skip connection.
    pub(super) fn top(&self) -> usize {
        self.stack.last().copied().unwrap_or(0)
    }

    /// Channels of all skip connections together.
    pub(super) fn skip_channels(&self) -> usize {
        self.stack.iter().sum()
    }

    pub(super) fn pop(&mut self) {
        self.channels += self.stack.pop().unwrap_or(0);
        self.steps.push(Step::Pop);
    }

    /// The incoming image, halved, then a convolution if there is one.
    pub(super) fn image_down(&mut self, filter: Option<Resample>, conv: Option<(String, Conv2d)>) {
        self.steps.push(Step::ImageDown(filter, conv));
    }

    pub(super) fn image_in(&mut self, join: ImageIn) {
        self.steps.push(Step::ImageIn(join));
    }

    pub(super) fn image_up(&mut self, filter: Option<Resample>, conv: Option<(String, Conv2d)>) {
        self.steps.push(Step::ImageUp(filter, conv));
    }

    /// `conv(silu(norm(h)))` of `outputs` channels, added to the outgoing image.
    pub(super) fn image_out(
        &mut self,
        norm: (&str, usize, f64),
        conv: &str,
        outputs: usize,
    ) -> Result<()> {
        let (name, groups, eps) = norm;
        let norm = GroupNorm::new(&self.at(name), self.channels, groups, eps)?;
        let vb = self.at(conv);
        let conv = Conv2d::new(&vb, self.channels, outputs, 3, LAST)?;
        self.steps.push(Step::ImageOut(norm, vb.prefix(), conv));
        Ok(())
    }

    /// The outgoing image is no more.
    pub(super) fn forget(&mut self) {
        self.steps.push(Step::Forget);
    }

    pub(super) fn merge(&mut self, scale: f64) {
        self.steps.push(Step::Merge(scale));
    }

    /// A linear map of the pixels of the incoming image.
    pub(super) fn pixel_map(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<(String, Linear)> {
        let vb = self.at(name);
        Ok((vb.prefix(), Linear::with_form(&vb, inputs, outputs, 1.0, Form::Conv2d)?))
    }

    /// A 3 x 3 convolution beside the main way.
    pub(super) fn side_conv(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        conv: Conv,
    ) -> Result<(String, Conv2d)> {
        let vb = self.at(name);
        Ok((vb.prefix(), Conv2d::with_conv(&vb, inputs, outputs, 3, 1.0, conv)?))
    }

    /// A buffer with values that follow from the arguments.
    pub(super) fn constant(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        values: Vec<f64>,
    ) -> Result<Tensor> {
        let tensor = self.vb.get_with_hints(shape.clone(), name, Init::Const(values[0]))?;
        let name = self.full_name(name);
        self.buffers.push(name.clone());
        self.constants.push(Constant { name, shape, values });
        Ok(tensor)
    }

    pub(super) fn full_name(&self, name: &str) -> String {
        self.at(name).prefix()
    }

    pub(super) fn finish(
        self,
        inputs: usize,
        outputs: usize,
        size: [usize; 2],
        ends: Ends,
    ) -> UNet {
        let Ends { embedding, embedding_names, centre, head, factor } = ends;
        let mut zeros = self.unused;
        zeros.extend(without_gradient(&self.steps, head.as_ref(), &embedding_names));
        UNet {
            channels: (inputs, outputs),
            size,
            embedding,
            centre,
            steps: self.steps,
            head,
            factor,
            buffers: self.buffers,
            constants: self.constants,
            without_gradient: zeros,
        }
    }
}

/// Groups of four channels and more, 32 at most.
pub(super) fn quarter(channels: usize) -> usize {
    (channels / 4).clamp(1, 32)
}
