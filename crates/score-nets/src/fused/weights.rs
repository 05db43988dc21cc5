//! The weights, packed as the products read them, and the gradients, as the products write them.

use super::amx;
use super::memory::Aligned;
use super::product::{Panels, on_tiles};
use super::shape::Shape;
use super::simd::{MAX_ROWS, for_groups};

/// A dense layer `W x + b` as candle and PyTorch store it.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Numbers that come in.
    pub inputs: usize,
    /// Numbers that go out.
    pub outputs: usize,
    /// `W`, `[outputs][inputs]`.
    pub weight: &'a [f32],
    /// `b`, `[outputs]`.
    pub bias: &'a [f32],
}

/// The gradient of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerGradient {
    /// With respect to `W`, `[outputs][inputs]`.
    pub weight: Vec<f32>,
    /// With respect to `b`, `[outputs]`.
    pub bias: Vec<f32>,
}

/// The gradients of all layers, the output last.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// One for each layer.
    pub layers: Vec<LayerGradient>,
}

impl Gradients {
    /// Sets all of them to zero.
    pub fn clear(&mut self) {
        for layer in &mut self.layers {
            layer.weight.fill(0.0);
            layer.bias.fill(0.0);
        }
    }
}

/// The weights in the layouts of the kernels, all in one piece of memory.
#[derive(Clone)]
pub(super) struct Weights {
    memory: Aligned,
    at: Offsets,
    max_vecs: usize,
    pub(super) output_bias: Vec<f32>,
}

/// Where each matrix starts.
#[derive(Clone)]
struct Offsets {
    /// A row of zeros.
    zero: usize,
    /// The weights of each output, padded.
    output: usize,
    /// The first layer, transposed: `[inputs + 1][width]`, the bias last.
    columns: usize,
    /// Each hidden layer's biases (the first layer's are in its matrix: its row here is zero).
    bias: Vec<usize>,
    /// Each hidden layer, transposed, in panels.
    forward: Vec<usize>,
    /// Each layer in panels, the output last.
    reverse: Vec<usize>,
    /// The same matrices in pieces, where they are multiplied on tiles.
    forward_pieces: Vec<Option<usize>>,
    reverse_pieces: Vec<Option<usize>>,
}

impl Weights {
    pub(super) fn new(shape: &Shape, max_vecs: usize) -> Self {
        let mut len = 0;
        let mut take = |floats: usize| {
            let at = len;
            len += floats.next_multiple_of(16);
            at
        };
        let wide_inputs = shape.inputs.next_multiple_of(shape.lanes);
        let layers = 0..shape.layers();
        let below = |l: usize| if l == 0 { wide_inputs } else { shape.padded[l - 1] };
        let at = Offsets {
            zero: take(shape.widest().max(wide_inputs)),
            output: take(shape.outputs() * shape.padded[shape.layers() - 1]),
            columns: take((shape.inputs + 1) * shape.padded[0]),
            bias: layers.clone().map(|l| take(shape.padded[l])).collect(),
            forward: layers.clone().map(|l| take(shape.fan_in(l) * shape.padded[l])).collect(),
            reverse: (0..=shape.layers()).map(|l| take(shape.widths[l] * below(l))).collect(),
            forward_pieces: layers
                // (Rows of the inputs are not padded, as the cutting needs them.)
                .map(|l| {
                    if l == 0 { None } else { pieces_len(shape, shape.fan_in(l), shape.padded[l]) }
                })
                .map(|len| len.map(&mut take))
                .collect(),
            reverse_pieces: (0..=shape.layers())
                .map(|l| pieces_len(shape, shape.widths[l], below(l)).map(&mut take))
                .collect(),
        };
        Self { memory: Aligned::zeroed(len), at, max_vecs, output_bias: vec![0.0; shape.outputs()] }
    }

    /// Packs the layers of a network, the output last.
    pub(super) fn pack(&mut self, shape: &Shape, layers: &[Layer<'_>]) {
        let (output, first) = (layers[shape.layers()], layers[0]);
        self.output_bias.copy_from_slice(output.bias);
        let memory = self.memory.as_mut_slice();
        let rows = memory[self.at.output..].chunks_mut(shape.padded[shape.layers() - 1]);
        for (to, row) in rows.zip(output.weight.chunks_exact(output.inputs)) {
            to[..row.len()].copy_from_slice(row);
        }
        let width = shape.padded[0];
        for o in 0..first.outputs {
            for i in 0..first.inputs {
                memory[self.at.columns + i * width + o] = first.weight[o * first.inputs + i];
            }
            memory[self.at.columns + first.inputs * width + o] = first.bias[o];
        }
        for (l, layer) in layers.iter().enumerate() {
            let (k, n) = (layer.inputs, layer.outputs);
            let weight = |o: usize, i: usize| layer.weight[o * k + i];
            let panels = Packing { lanes: shape.lanes, max_vecs: self.max_vecs };
            if l == 0 {
                let value = |i: usize, o: usize| if i < k { weight(o, i) } else { layer.bias[o] };
                panels.pack(&mut memory[self.at.forward[0]..], k + 1, n, value);
            } else if l < shape.layers() {
                panels.pack(&mut memory[self.at.forward[l]..], k, n, |i, o| weight(o, i));
                pack_pieces(memory, self.at.forward_pieces[l], k, n, |i, o| weight(o, i));
                memory[self.at.bias[l]..][..n].copy_from_slice(layer.bias);
            }
            panels.pack(&mut memory[self.at.reverse[l]..], n, k, weight);
            pack_pieces(memory, self.at.reverse_pieces[l], n, k, weight);
        }
    }

    #[inline]
    fn ptr(&self, at: usize) -> *const f32 {
        self.memory.as_slice()[at..].as_ptr()
    }
    fn pieces(&self, at: Option<usize>) -> *const u8 {
        at.map_or(std::ptr::null(), |at| self.ptr(at).cast())
    }
    pub(super) fn zero(&self) -> *const f32 {
        self.ptr(self.at.zero)
    }
    /// The row of output `output`; all of them follow each other.
    pub(super) fn output(&self, shape: &Shape, output: usize) -> *const f32 {
        self.ptr(self.at.output + output * shape.padded[shape.layers() - 1])
    }
    pub(super) fn bias(&self, layer: usize) -> *const f32 {
        self.ptr(self.at.bias[layer])
    }
    /// Column `input` of the first layer; all of them follow each other.
    pub(super) fn column(&self, shape: &Shape, input: usize) -> *const f32 {
        self.ptr(self.at.columns + input * shape.padded[0])
    }
    pub(super) fn forward(&self, shape: &Shape, layer: usize) -> Panels {
        let data = self.ptr(self.at.forward[layer]);
        let pieces = self.pieces(self.at.forward_pieces[layer]);
        Panels { data, k: shape.fan_in(layer), width: shape.padded[layer], pieces }
    }
    /// From the units of `layer` (the outputs come after the hidden layers) to those below it, or to
    /// the inputs.
    pub(super) fn reverse(&self, shape: &Shape, layer: usize) -> Panels {
        let below = if layer == 0 { shape.inputs } else { shape.widths[layer - 1] };
        let data = self.ptr(self.at.reverse[layer]);
        let pieces = self.pieces(self.at.reverse_pieces[layer]);
        let width = below.next_multiple_of(shape.lanes);
        Panels { data, k: shape.widths[layer], width, pieces }
    }
}

/// Numbers that the pieces of a matrix `[k][width]` take, where it is multiplied on tiles.
fn pieces_len(shape: &Shape, k: usize, width: usize) -> Option<usize> {
    (shape.tiles && on_tiles(k, width)).then(|| amx::pieces_len(k, width))
}

/// Cuts a matrix into pieces, where it is multiplied on tiles.
fn pack_pieces(
    memory: &mut [f32],
    at: Option<usize>,
    k: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f32,
) {
    if let Some(at) = at {
        amx::pack(&mut memory[at..], k, columns, value);
    }
}

/// How a matrix is cut into panels.
struct Packing {
    lanes: usize,
    max_vecs: usize,
}

impl Packing {
    /// Packs `value(k, column)` for `k` rows and `columns` columns; what pads them is left alone.
    fn pack(&self, to: &mut [f32], k: usize, columns: usize, value: impl Fn(usize, usize) -> f32) {
        for_groups(columns.div_ceil(self.lanes), self.max_vecs, |first, vecs| {
            let (start, panel) = (first * self.lanes, vecs * self.lanes);
            let to = &mut to[k * start..][..k * panel];
            let used = panel.min(columns - start);
            for (row, to) in to.chunks_exact_mut(panel).enumerate() {
                for (column, to) in to[..used].iter_mut().enumerate() {
                    *to = value(row, start + column);
                }
            }
        });
    }
}

/// Where the gradient of each layer is in an accumulator, the output last.
#[derive(Clone)]
pub(super) struct GradLayout {
    /// The first layer, transposed and with its bias: `[inputs + 1][width]`; then `[out][in]`.
    weight: Vec<usize>,
    bias: Vec<usize>,
    /// Numbers in an accumulator.
    pub(super) len: usize,
}

impl GradLayout {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut len = 0;
        let mut take = |floats: usize| {
            let at = len;
            len += floats.next_multiple_of(16);
            at
        };
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for l in 0..=shape.layers() {
            // The kernel writes whole tiles: some rows more than there are.
            let (rows, width) = if l == 0 {
                (shape.inputs + 1, shape.padded[0])
            } else {
                (shape.widths[l], shape.padded[l - 1])
            };
            weight.push(take((rows + MAX_ROWS) * width));
            bias.push(take(shape.padded[l]));
        }
        Self { weight, bias, len }
    }

    pub(super) fn weight(&self, layer: usize) -> usize {
        self.weight[layer]
    }
    pub(super) fn bias(&self, layer: usize) -> usize {
        self.bias[layer]
    }

    /// Adds an accumulator to the gradients in the layout of the layers.
    pub(super) fn unpack(&self, shape: &Shape, from: &[f32], to: &mut Gradients) {
        for (l, to) in to.layers.iter_mut().enumerate() {
            let weight = &from[self.weight[l]..];
            if l == 0 {
                let width = shape.padded[0];
                for (o, row) in to.weight.chunks_exact_mut(shape.inputs).enumerate() {
                    for (i, to) in row.iter_mut().enumerate() {
                        *to += weight[i * width + o];
                    }
                }
                let bias = &weight[shape.inputs * width..];
                to.bias.iter_mut().zip(bias).for_each(|(to, from)| *to += from);
            } else {
                let rows = to.weight.chunks_exact_mut(shape.widths[l - 1]);
                for (row, from) in rows.zip(weight.chunks_exact(shape.padded[l - 1])) {
                    row.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                }
                let bias = &from[self.bias[l]..];
                to.bias.iter_mut().zip(bias).for_each(|(to, from)| *to += from);
            }
        }
    }
}
