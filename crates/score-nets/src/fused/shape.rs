//! The sizes of a network, padded to whole registers.

use super::isa::Isa;

/// The largest number of inputs of a [`FusedMlp`](super::FusedMlp).
pub const MAX_INPUTS: usize = 64;

/// The sizes that everything else is computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Inputs of the network.
    pub(super) inputs: usize,
    /// Units of each hidden layer, then the outputs.
    pub(super) widths: Vec<usize>,
    /// The same in whole registers.
    pub(super) padded: Vec<usize>,
    /// Numbers in a register.
    pub(super) lanes: usize,
    /// Samples in a block.
    pub(super) rows: usize,
    /// Whether matrices are multiplied on the tiles of the processor.
    pub(super) tiles: bool,
}

impl Shape {
    pub(super) fn new(inputs: usize, widths: Vec<usize>, isa: Isa) -> Self {
        let (lanes, tiles) = (isa.lanes(), isa.tiles());
        let padded: Vec<_> = widths.iter().map(|w| w.next_multiple_of(lanes)).collect();
        let widest = *padded.iter().max().expect("an output layer");
        // An array of the block is to fill about a quarter of a first-level cache of 48 KiB, and
        // the tiles (5, 6, 8 or 12 rows) are to come out even.
        let rows = (3200 / widest).clamp(24, 120);
        let rows = if tiles {
            rows.next_multiple_of(48)
        } else if lanes == 16 && widest.div_ceil(16) % 5 == 0 {
            rows.next_multiple_of(5)
        } else {
            rows.next_multiple_of(24)
        };
        Self { inputs, widths, padded, lanes, rows, tiles }
    }

    /// The widest padded layer.
    pub(super) fn widest(&self) -> usize {
        *self.padded.iter().max().expect("an output layer")
    }

    /// Units that feed layer `layer`; the first has the inputs and a constant 1.
    pub(super) fn fan_in(&self, layer: usize) -> usize {
        if layer == 0 { self.inputs + 1 } else { self.widths[layer - 1] }
    }

    /// Hidden layers; the output has this number.
    pub(super) fn layers(&self) -> usize {
        self.widths.len() - 1
    }

    /// Outputs of the network.
    pub(super) fn outputs(&self) -> usize {
        self.widths[self.layers()]
    }
}
