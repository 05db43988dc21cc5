//! The pieces of weights, cut once for many products.

/// Bytes of a tile.
pub(super) const TILE: usize = 1024;

/// Inner dimension in tiles: whole ones of 32 numbers, and whether 16 more follow.
#[derive(Clone, Copy)]
pub(super) struct Depth {
    pub(super) whole: usize,
    pub(super) half: bool,
}

impl Depth {
    /// Of `k` numbers, padded to sixteen.
    pub(super) fn of(k: usize) -> Self {
        let sixteens = k.div_ceil(16);
        Self { whole: sixteens / 2, half: sixteens % 2 == 1 }
    }

    /// Bytes of the pieces of sixteen rows (or columns).
    pub(super) fn bytes(self) -> usize {
        3 * TILE * (self.whole + usize::from(self.half))
    }
}

/// Numbers (of 32 bits) that the pieces of a matrix `[k][width]` take.
pub(in crate::fused) fn len(k: usize, width: usize) -> usize {
    width / 16 * Depth::of(k).bytes() / 4
}

/// Cuts `value(k, column)` into pieces as the right factor, for `k` rows and `columns` columns; what
/// pads them is left alone.
pub(in crate::fused) fn pack(
    to: &mut [f32],
    k: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f32,
) {
    let depth = Depth::of(k);
    let (each, whole) = (depth.bytes() / 4, 32 * depth.whole);
    for (first, to) in (0..columns).step_by(16).zip(to.chunks_exact_mut(each)) {
        for column in first..columns.min(first + 16) {
            for row in 0..k {
                let [h, m, l] = pieces(value(row, column));
                let lane = column - first;
                let mut put = |tile: usize, at: usize, upper: bool, piece: u32| {
                    let to = &mut to[256 * tile + 16 * at + lane];
                    let (keep, shift) = if upper { (0xffff, 16) } else { (0xffff_0000, 0) };
                    *to = f32::from_bits(to.to_bits() & keep | piece << shift);
                };
                if row < whole {
                    let (tile, at) = (3 * (row / 32), row % 16);
                    let upper = row % 32 >= 16;
                    put(tile, at, upper, h);
                    put(tile + 1, at, upper, m);
                    put(tile + 2, at, upper, l);
                } else {
                    let (tile, at, upper) = (3 * depth.whole, row % 8, row - whole >= 8);
                    put(tile, at, upper, h);
                    put(tile, 8 + at, upper, h);
                    put(tile + 1, at, upper, m);
                    put(tile + 1, 8 + at, upper, m);
                    put(tile + 2, at, upper, l);
                    put(tile + 2, 8 + at, upper, h);
                }
            }
        }
    }
}

/// The pieces of a number, the largest first, as bf16.
fn pieces(x: f32) -> [u32; 3] {
    const TOP: u32 = 0xffff_0000;
    let high = x.to_bits().wrapping_add(0x8000) & TOP;
    let rest = x - f32::from_bits(high);
    let middle = rest.to_bits() & TOP;
    let low = (rest - f32::from_bits(middle)).to_bits();
    [high >> 16, middle >> 16, low >> 16]
}
