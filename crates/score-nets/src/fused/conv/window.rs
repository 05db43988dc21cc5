//! Rows of images with the zeros around them.

use crate::fused::memory::Scratch;

/// Rows of some images, as a unit of a pass reads them.
pub(super) struct Window {
    pub(super) first_image: usize,
    pub(super) images: usize,
    pub(super) channels: usize,
    /// Height and width of an image.
    pub(super) size: [usize; 2],
    /// Rows of each phase that the unit makes: the first, and the one after the last.
    pub(super) begin: usize,
    pub(super) end: usize,
    /// The first row that is read, counted from the first row of zeros, and how many.
    pub(super) top: usize,
    pub(super) height: usize,
    /// Pixels of a row, zeros counted.
    pub(super) across: usize,
    /// Zeros before the image, pixels that are left out where negative.
    pub(super) before: [isize; 2],
}

impl Window {
    /// Copies the rows and the zeros around them, and says where they are.
    pub(super) fn copy(&self, source: &[f32], scratch: &mut Scratch) -> *const f32 {
        let Self { channels, size: [h, w], across, .. } = *self;
        let row = across * channels;
        let to = scratch.room(self.images * self.height * row);
        for (number, to) in to.chunks_exact_mut(row.max(1)).enumerate() {
            let (image, i) = (number / self.height, number % self.height);
            let at = (self.top + i) as isize - self.before[0];
            if at < 0 || at >= h as isize {
                to.fill(0.0);
                continue;
            }
            let from = (self.first_image + image) * h + at as usize;
            place(&source[from * w * channels..][..w * channels], to, channels, self.before[1]);
        }
        to.as_ptr()
    }
}

/// A row of pixels after `before` zeros (without its first pixels where negative), and zeros after it.
pub(super) fn place(from: &[f32], to: &mut [f32], channels: usize, before: isize) {
    let skipped = (before.min(0).unsigned_abs() * channels).min(from.len());
    let zeros = (before.max(0) as usize * channels).min(to.len());
    let from = &from[skipped..];
    let count = from.len().min(to.len() - zeros);
    to[..zeros].fill(0.0);
    to[zeros..zeros + count].copy_from_slice(&from[..count]);
    to[zeros + count..].fill(0.0);
}
