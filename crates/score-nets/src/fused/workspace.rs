//! The arrays that a block of samples needs.

use super::memory::Aligned;
use super::shape::Shape;
use super::simd::MAX_ROWS;
use std::cell::Cell;

/// What is stored of a hidden layer, for each sample of the block.
#[derive(Clone, Copy)]
pub(super) enum Of {
    /// The value `h = a(z)`.
    H,
    /// What the activation keeps of `z`, one or two arrays.
    Kept(usize),
    /// The gradient `dN/dz`.
    G,
    /// The gradient `dN/dh`, where the activation wants it.
    C,
    /// The combined tangent before and after the activation.
    Mz,
    Mh,
    /// The sum over the jets of their squares before the activation.
    Squares,
    /// Jet `i` before and after the activation.
    Jz(usize),
    Jh(usize),
}

/// What is stored once for the block, not for each layer.
#[derive(Clone, Copy)]
pub(super) enum Once {
    /// The inputs with a 1 appended, `[rows][inputs + 1]`.
    Input,
    /// The directions with a 0 appended, `[rows][inputs + 1]`.
    Direction,
    /// A gradient with respect to the inputs, padded as the kernel writes it.
    WideGrad,
    /// The adjoint of `z`, for the layer at hand and the one before.
    Zbar(usize),
    /// The part of it that comes through the jets.
    Through,
    /// The adjoint of jet `i` (second), for the layer at hand and the one before (first).
    Jbar(usize, usize),
    /// The adjoint of the outputs, in whole registers.
    Cotangent,
}

/// The arrays of a block: equal slots in one piece of memory, found by arithmetic.
pub(super) struct Workspace {
    /// Owns what `base` points to.
    memory: Aligned,
    base: *mut f32,
    slot: usize,
    layers: usize,
    jets: usize,
}

thread_local! {
    /// The memory of the last workspace of this thread.
    static SPARE: Cell<Aligned> = const { Cell::new(Aligned::empty()) };
}

impl Workspace {
    /// Room for a block of samples, from the memory this thread used last if it is enough.
    pub(super) fn new(shape: &Shape, jets: usize) -> Self {
        let widest = shape.widest().max((shape.inputs + 1).next_multiple_of(shape.lanes));
        // A tile may run over by less than MAX_ROWS rows, and over its row by less than MAX_ROWS.
        let floats = (shape.rows + MAX_ROWS) * widest + MAX_ROWS;
        // Slots a little off a multiple of the page: equal offsets in two slots then do not
        // compete for the same lines of the cache.
        let slot = floats.next_multiple_of(1024) + 144;
        let layers = shape.layers();
        let slots = layers * (8 + 2 * jets) + 7 + 2 * jets;
        let mut memory = SPARE.take();
        if memory.len() < slots * slot {
            memory = Aligned::zeroed(slots * slot);
        }
        let base = memory.as_mut_slice().as_mut_ptr();
        Self { memory, base, slot, layers, jets }
    }

    fn slot(&self, index: usize) -> *mut f32 {
        assert!((index + 1) * self.slot <= self.memory.len());
        // SAFETY: the slot is in the memory.
        unsafe { self.base.add(index * self.slot) }
    }

    /// An array of hidden layer `layer`, counted from 0.
    pub(super) fn of(&self, layer: usize, what: Of) -> *mut f32 {
        debug_assert!(layer < self.layers);
        let index = match what {
            Of::H => 0,
            Of::Kept(i) => 1 + i,
            Of::G => 3,
            Of::C => 4,
            Of::Mz => 5,
            Of::Mh => 6,
            Of::Squares => 7,
            Of::Jz(i) => 8 + i,
            Of::Jh(i) => 8 + self.jets + i,
        };
        self.slot(layer * (8 + 2 * self.jets) + index)
    }

    /// An array of the whole block.
    pub(super) fn once(&self, what: Once) -> *mut f32 {
        let index = match what {
            Once::Input => 0,
            Once::Direction => 1,
            Once::WideGrad => 2,
            Once::Zbar(side) => 3 + side,
            Once::Through => 5,
            Once::Jbar(side, i) => 6 + side * self.jets + i,
            Once::Cotangent => 6 + 2 * self.jets,
        };
        self.slot(self.layers * (8 + 2 * self.jets) + index)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.memory));
    }
}
