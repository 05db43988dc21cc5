//! Numbers in f32 cut into pieces of bf16, in the order in which the tiles read them.
//!
//! Two numbers share a lane of 32 bits, the first in its lower half. Which two does not matter as
//! long as both factors of a product agree: here numbers 16 apart (or 8 apart), so that a shift and
//! a merge pack them.

use std::arch::x86_64::*;

/// Bytes of a row of a tile.
pub(super) const ROW: usize = 64;

/// The pieces of a number, the largest first, in the upper halves of the lanes. The first is rounded
/// and the others are cut off: their sum is the number exactly.
#[inline]
#[target_feature(enable = "avx512f")]
fn pieces(x: __m512) -> [__m512i; 3] {
    let top = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    let rounded = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    let high = _mm512_and_si512(rounded, top);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(high));
    let middle = _mm512_and_si512(_mm512_castps_si512(rest), top);
    let low = _mm512_sub_ps(rest, _mm512_castsi512_ps(middle));
    [high, middle, _mm512_castps_si512(low)]
}

/// Lanes `a` and `b` (of which the upper halves count) in one.
#[inline]
#[target_feature(enable = "avx512f")]
fn merge(a: __m512i, b: __m512i) -> __m512i {
    let top = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    // a >> 16 | b & top
    _mm512_ternarylogic_epi32::<0xf8>(_mm512_srli_epi32::<16>(a), b, top)
}

/// The pieces of `x` and `y` lane by lane, the largest first.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn split(x: __m512, y: __m512) -> [__m512i; 3] {
    let (x, y) = (pieces(x), pieces(y));
    [merge(x[0], y[0]), merge(x[1], y[1]), merge(x[2], y[2])]
}

/// The pieces of the sixteen numbers `x`, each with the one 8 after it, beside each other as
/// `[[l m] [m h] [h h]]`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn split_half(x: __m512) -> [__m512i; 3] {
    let [h, m, l] = pieces(x);
    let beside = |a: __m512i, b: __m512i| {
        let first = _mm512_shuffle_i64x2::<0b01_00_01_00>(a, b);
        let second = _mm512_shuffle_i64x2::<0b11_10_11_10>(a, b);
        merge(first, second)
    };
    [beside(l, m), beside(m, h), beside(h, h)]
}

/// Sixteen rows of sixteen numbers, `ld` apart, transposed; those from `count` on are zero.
///
/// # Safety
/// The rows up to `count` are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) unsafe fn transposed(from: *const f32, ld: usize, count: usize) -> [__m512; 16] {
    static ZERO: [f32; 16] = [0.0; 16];
    let mut out = [_mm512_setzero_ps(); 16];
    // SAFETY: the caller's promise, and zeros.
    unsafe {
        let row = |r: usize| if r < count { from.add(r * ld) } else { ZERO.as_ptr() };
        for c in 0..4 {
            // Row `4 L + q` in lane L of `v[q]`.
            let v: [__m512; 4] = std::array::from_fn(|q| {
                let part = |lane: usize| _mm_loadu_ps(row(4 * lane + q).add(4 * c));
                let v = _mm512_castps128_ps512(part(0));
                let v = _mm512_insertf32x4::<1>(v, part(1));
                let v = _mm512_insertf32x4::<2>(v, part(2));
                _mm512_insertf32x4::<3>(v, part(3))
            });
            let pairs = [
                _mm512_unpacklo_ps(v[0], v[1]),
                _mm512_unpackhi_ps(v[0], v[1]),
                _mm512_unpacklo_ps(v[2], v[3]),
                _mm512_unpackhi_ps(v[2], v[3]),
            ]
            .map(|v| _mm512_castps_pd(v));
            out[4 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[0], pairs[2]));
            out[4 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[0], pairs[2]));
            out[4 * c + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[1], pairs[3]));
            out[4 * c + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[1], pairs[3]));
        }
    }
    out
}
