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

/// The lower eight lanes of `a` and `b` merged with their upper eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn beside(a: __m512i, b: __m512i) -> __m512i {
    let first = _mm512_shuffle_i64x2::<0b01_00_01_00>(a, b);
    let second = _mm512_shuffle_i64x2::<0b11_10_11_10>(a, b);
    merge(first, second)
}

/// The pieces of the sixteen numbers `x`, each with the one 8 after it, beside each other as
/// `[[l m] [m h] [h h]]`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn split_half(x: __m512) -> [__m512i; 3] {
    let [h, m, l] = pieces(x);
    [beside(l, m), beside(m, h), beside(h, h)]
}

/// Sixteen rows of sixteen numbers, `ld` apart, transposed.
///
/// # Safety
/// The rows are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) unsafe fn transposed(from: *const f32, ld: usize) -> [__m512; 16] {
    let mut out = [_mm512_setzero_ps(); 16];
    for c in 0..4 {
        // Row `4 L + q` in lane L of `v[q]`.
        let mut v = [_mm512_setzero_ps(); 4];
        for (q, v) in v.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let at = from.add(q * ld + 4 * c);
                let row = _mm512_castps128_ps512(_mm_loadu_ps(at));
                let row = _mm512_insertf32x4::<1>(row, _mm_loadu_ps(at.add(4 * ld)));
                let row = _mm512_insertf32x4::<2>(row, _mm_loadu_ps(at.add(8 * ld)));
                let row = _mm512_insertf32x4::<3>(row, _mm_loadu_ps(at.add(12 * ld)));
                *v = row;
            }
        }
        let [v0, v1, v2, v3] = v;
        let low01 = _mm512_castps_pd(_mm512_unpacklo_ps(v0, v1));
        let high01 = _mm512_castps_pd(_mm512_unpackhi_ps(v0, v1));
        let low23 = _mm512_castps_pd(_mm512_unpacklo_ps(v2, v3));
        let high23 = _mm512_castps_pd(_mm512_unpackhi_ps(v2, v3));
        out[4 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
        out[4 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
        out[4 * c + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
        out[4 * c + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
    }
    out
}
