//! The sizes of a convolution, and which pixels of one image make which of the other.

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    /// Channels of the input.
    pub(crate) channels: usize,
    /// Channels of the output.
    pub(crate) outputs: usize,
    /// Height and width of the kernel.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    /// Zeros at the top and at the left.
    pub(crate) before: [usize; 2],
    /// Zeros at the bottom and at the right.
    pub(crate) after: [usize; 2],
}

impl Shape {
    /// A linear layer from `channels` to `outputs`, for `rows` rows.
    pub(crate) fn linear(rows: usize, channels: usize, outputs: usize) -> Self {
        Self {
            batch: rows,
            input: [1, 1],
            output: [1, 1],
            channels,
            outputs,
            kernel: [1, 1],
            stride: 1,
            before: [0, 0],
            after: [0, 0],
        }
    }

    /// Numbers in the input, the kernel and the output.
    pub(super) fn lens(&self) -> [usize; 3] {
        let image = |[h, w]: [usize; 2], c: usize| self.batch * h * w * c;
        let kernel = self.outputs * self.channels * self.kernel[0] * self.kernel[1];
        [image(self.input, self.channels), kernel, image(self.output, self.outputs)]
    }
}

/// Which pixels are read and written along one axis: target pixel `first + step i` is the sum over
/// `j` of source pixel `origin + pace i + j`, counted from the first zero before the source, times
/// place `places[j]` of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) count: usize,
    pub(super) origin: usize,
    pub(super) pace: usize,
    pub(super) places: Vec<usize>,
}

/// One axis of a pass over images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Pixels of the source and of the target.
    pub(super) source: usize,
    pub(super) target: usize,
    /// Zeros before the source; pixels that nobody reads where negative.
    pub(super) before: isize,
    /// Pixels from the first zero to the last pixel that is read.
    pub(super) padded: usize,
    pub(super) phases: Vec<Phase>,
}

impl Axis {
    /// From the input to the output, along axis `a`.
    pub(super) fn forward(shape: &Shape, a: usize) -> Self {
        let (count, kernel) = (shape.output[a], shape.kernel[a]);
        let phase = Phase {
            first: 0,
            step: 1,
            count,
            origin: 0,
            pace: shape.stride,
            places: (0..kernel).collect(),
        };
        Self {
            source: shape.input[a],
            target: count,
            before: shape.before[a] as isize,
            padded: (count - 1) * shape.stride + kernel,
            phases: vec![phase],
        }
    }

    /// From the gradient of the output to that of the input, along axis `a`: pixels whose distance
    /// from the first zero has the same remainder by the stride see the same places of the kernel.
    pub(super) fn backward(shape: &Shape, a: usize) -> Self {
        let (stride, kernel, target) = (shape.stride, shape.kernel[a], shape.input[a]);
        let mut phases = Vec::new();
        let mut origins = Vec::new();
        for residue in 0..stride {
            // Pixel h, with h + before = residue + stride m, is made of the gradient at m - i and
            // place residue + stride i.
            let first = (residue + stride - shape.before[a] % stride) % stride;
            if first >= target {
                continue;
            }
            let taps = kernel.saturating_sub(residue).div_ceil(stride);
            let m = (first + shape.before[a]) / stride;
            origins.push(m as isize + 1 - taps as isize);
            phases.push(Phase {
                first,
                step: stride,
                count: (target - 1 - first) / stride + 1,
                origin: 0,
                pace: 1,
                places: (0..taps).rev().map(|i| residue + stride * i).collect(),
            });
        }
        let before = -origins.iter().copied().min().unwrap_or(0);
        let mut padded = 0;
        for (phase, origin) in phases.iter_mut().zip(origins) {
            phase.origin = (origin + before) as usize;
            padded = padded.max(phase.origin + phase.count - 1 + phase.places.len());
        }
        Self { source: shape.output[a], target, before, padded, phases }
    }

    /// The most pixels that one phase writes.
    pub(super) fn longest(&self) -> usize {
        self.phases.iter().map(|phase| phase.count).max().unwrap_or(0)
    }

    /// Whether every pixel that is read is one of the source.
    pub(super) fn is_bare(&self) -> bool {
        self.before == 0 && self.padded <= self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(input: usize, kernel: usize, stride: usize, before: usize, after: usize) -> Shape {
        Shape {
            batch: 1,
            input: [input; 2],
            output: [(input + before + after - kernel) / stride + 1; 2],
            channels: 1,
            outputs: 1,
            kernel: [kernel; 2],
            stride,
            before: [before; 2],
            after: [after; 2],
        }
    }

    /// All triples (target, source, place) of an axis.
    fn triples(axis: &Axis) -> Vec<(usize, isize, usize)> {
        let mut found = Vec::new();
        for phase in &axis.phases {
            for i in 0..phase.count {
                for (j, &place) in phase.places.iter().enumerate() {
                    let at = phase.origin + phase.pace * i + j;
                    assert!(at < axis.padded, "{axis:?}");
                    let source = at as isize - axis.before;
                    if source >= 0 && source < axis.source as isize {
                        found.push((phase.first + phase.step * i, source, place));
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn backward_is_forward_the_other_way_round() {
        for (input, kernel, stride, before, after) in [
            (7, 3, 1, 1, 1),
            (7, 3, 2, 0, 1),
            (8, 3, 2, 1, 1),
            (5, 1, 2, 0, 0),
            (6, 2, 3, 0, 0),
            (4, 5, 2, 3, 2),
            (3, 1, 1, 2, 1),
            (9, 4, 3, 2, 3),
            (2, 1, 4, 0, 3),
        ] {
            let shape = shape(input, kernel, stride, before, after);
            let forward = triples(&Axis::forward(&shape, 0));
            let backward = triples(&Axis::backward(&shape, 0));
            let mut turned: Vec<(usize, isize, usize)> =
                backward.iter().map(|&(x, y, place)| (y as usize, x as isize, place)).collect();
            turned.sort_unstable();
            assert_eq!(forward, turned, "{shape:?}");
        }
    }
}
