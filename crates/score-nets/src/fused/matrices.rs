//! What is multiplied with what: products of matrices by their places in memory.

/// `C = bias + A B` for `rows` rows: `A` is `[rows][k]` with rows `lda` apart, `B` is packed in
/// panels (see [`Panels`]), `C` is `[rows][width]` without gaps.
///
/// Each entry of `C` is summed over `k` in order, so that a row does not depend on the number of
/// rows. Up to `MAX_ROWS - 1` rows of `A` beyond the last are read, and of `C` overwritten.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) a: *const f32,
    pub(super) lda: usize,
    pub(super) b: Panels,
    /// A row, all zero where there is no bias.
    pub(super) bias: *const f32,
    pub(super) c: *mut f32,
    pub(super) rows: usize,
}

/// A matrix `[k][width]` cut into panels as wide as a tile, each stored `[k][panel]`.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub(super) data: *const f32,
    pub(super) k: usize,
    /// A whole number of registers.
    pub(super) width: usize,
    /// The matrix in pieces, for the tiles of the processor; null where there are none.
    pub(super) pieces: *const u8,
}

/// `W += sum over pairs and rows of y^T x`: `y` is `[rows][ldy]`, `x` is `[rows][ldx]`, `W` is
/// `[outputs][ldx]`. Up to `MAX_ROWS - 1` numbers beyond a row of `y` are read, and as many rows of
/// `W` beyond the last are overwritten.
#[derive(Clone, Copy)]
pub(super) struct Outer<'a> {
    pub(super) pairs: &'a [(*const f32, *const f32)],
    pub(super) rows: usize,
    pub(super) ldy: usize,
    pub(super) ldx: usize,
    pub(super) outputs: usize,
    pub(super) w: *mut f32,
}
