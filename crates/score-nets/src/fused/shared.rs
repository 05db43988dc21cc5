//! Memory that threads write to different places of, and the threads.

use rayon::prelude::*;
use std::marker::PhantomData;

/// The start of memory that several threads write, each its own part.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a>(*mut f32, PhantomData<&'a mut [f32]>);

// SAFETY: it is an address; whoever uses it promises to stay in a part of its own.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(memory: &'a mut [f32]) -> Self {
        Self(memory.as_mut_ptr(), PhantomData)
    }

    /// The room of an empty vector.
    pub(super) fn spare(memory: &'a mut Vec<f32>) -> Self {
        Self(memory.as_mut_ptr(), PhantomData)
    }

    /// # Safety
    /// The number is in the memory, and nobody else uses it.
    #[inline(always)]
    pub(super) unsafe fn write(self, at: usize, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at).write(value) }
    }

    /// # Safety
    /// The numbers are in the memory and have values, and nobody else uses them.
    pub(super) unsafe fn slice(self, at: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }

    /// # Safety
    /// The place is in the memory.
    #[inline(always)]
    pub(super) unsafe fn at(self, at: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at) }
    }
}

/// A vector of `len` numbers, all of which `fill` writes.
///
/// # Safety
/// `fill` writes every number.
pub(super) unsafe fn filled(len: usize, fill: impl FnOnce(Shared<'_>)) -> Vec<f32> {
    let mut memory = Vec::with_capacity(len);
    fill(Shared::spare(&mut memory));
    // SAFETY: there is the room, and the caller's promise.
    unsafe { memory.set_len(len) }
    memory
}

/// Operations that are worth waking another thread for.
const WORTH: usize = 1 << 17;

/// Calls `f` with every number below `count`, on all threads where all of it takes more than about
/// `work` operations.
pub(super) fn for_each(count: usize, work: usize, f: impl Fn(usize) + Sync) {
    if count > 1 && work >= WORTH && rayon::current_num_threads() > 1 {
        (0..count).into_par_iter().with_max_len(1).for_each(&f);
    } else {
        (0..count).for_each(f);
    }
}
