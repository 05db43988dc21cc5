//! Aligned memory.

use std::cell::Cell;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Zeroed `f32` memory on cache-line boundaries.
#[derive(Clone, Default)]
pub(super) struct Aligned(Vec<Line>);

impl Aligned {
    pub(super) const fn empty() -> Self {
        Self(Vec::new())
    }
    pub(super) fn zeroed(len: usize) -> Self {
        Self(vec![Line([0.0; 16]); len.div_ceil(16)])
    }
    pub(super) fn len(&self) -> usize {
        16 * self.0.len()
    }
    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: a Line is sixteen f32 without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.len()) }
    }
    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: a Line is sixteen f32 without padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.len()) }
    }
}

thread_local! {
    /// The memory of the last scratch of this thread.
    static SPARE_SCRATCH: Cell<Aligned> = const { Cell::new(Aligned::empty()) };
}

/// Memory of this thread for a moment, that is kept for the next time.
pub(super) struct Scratch(Aligned);

impl Scratch {
    pub(super) fn take() -> Self {
        Self(SPARE_SCRATCH.take())
    }

    /// Room for `len` numbers, whatever they are now.
    pub(super) fn room(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len {
            self.0 = Aligned::zeroed(len);
        }
        &mut self.0.as_mut_slice()[..len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SPARE_SCRATCH.set(std::mem::take(&mut self.0));
    }
}
