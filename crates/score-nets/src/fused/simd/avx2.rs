//! AVX2 with FMA: 16 registers of 8 numbers.

use super::{Kernel, Simd, Tile};
use std::arch::x86_64::*;

/// AVX2 and FMA.
#[derive(Clone, Copy)]
pub(in crate::fused) struct Avx2;

/// Rows of a tile of 1, 2, ... registers: as many as leave a register to spare.
const ROWS: [usize; 2] = [8, 6];

#[target_feature(enable = "avx2,fma")]
unsafe fn invoke<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the features are on here; the rest is the caller's promise.
    unsafe { kernel.run::<Avx2>() }
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn tile<T: Tile, const VECS: usize, const ROWS: usize>(tile: T) {
    // SAFETY: the features are on here; the rest is the caller's promise.
    unsafe { tile.run::<Avx2, VECS, ROWS>() }
}

// SAFETY (every block below): the methods are called only under `invoke` and `tiled`, where the
// features are enabled; loads and stores are 32-byte aligned and in bounds by the caller's promise.
impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const MAX_VECS: usize = 2;

    fn rows(vecs: usize) -> usize {
        ROWS[vecs - 1]
    }

    unsafe fn invoke<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller has checked the processor.
        unsafe { invoke(kernel) }
    }
    unsafe fn tiled<T: Tile>(vecs: usize, t: T) {
        // SAFETY: the caller has checked the processor.
        unsafe {
            match vecs {
                1 => tile::<T, 1, { ROWS[0] }>(t),
                2 => tile::<T, 2, { ROWS[1] }>(t),
                _ => unreachable!("a tile of {vecs} registers"),
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_load_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: __m256) {
        // SAFETY: see the impl.
        unsafe { _mm256_store_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn load_any(p: *const f32) -> __m256 {
        // SAFETY: see the impl; the address needs no boundary.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store_any(p: *mut f32, x: __m256) {
        // SAFETY: see the impl; the address needs no boundary.
        unsafe { _mm256_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn fnma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn neg_abs(a: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_or_ps(a, _mm256_set1_ps(-0.0)) }
    }
    #[inline(always)]
    unsafe fn round(a: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn recip(a: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), a) }
    }
    #[inline(always)]
    unsafe fn scale_above(y: __m256, floor: f32, p: __m256, n: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe {
            // p is about 1, so 2^n times it is its exponent field plus n. NaN (n is then the
            // integer minimum, whose low bits are zero) comes through unchanged.
            let n = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
            let scaled = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), n));
            let keep = _mm256_cmp_ps::<_CMP_NLE_UQ>(y, _mm256_set1_ps(floor));
            _mm256_and_ps(keep, scaled)
        }
    }
    #[inline(always)]
    unsafe fn mul_where_negative(z: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe {
            let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(z, _mm256_setzero_ps());
            _mm256_blendv_ps(a, _mm256_mul_ps(a, b), negative)
        }
    }
    #[inline(always)]
    unsafe fn sums(a: [__m256; 4]) -> [f32; 4] {
        // SAFETY: see the impl.
        unsafe { sums_of_eight(a) }
    }
}

/// The sums of the lanes of four registers.
#[inline(always)]
pub(super) unsafe fn sums_of_eight(a: [__m256; 4]) -> [f32; 4] {
    // SAFETY: the caller runs with AVX2 enabled.
    unsafe {
        let [a, b, c, d] = [halves(a[0]), halves(a[1]), halves(a[2]), halves(a[3])];
        // a0 + a2, b0 + b2, a1 + a3, b1 + b3
        let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        let sums = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
        let mut to = [0.0; 4];
        _mm_storeu_ps(to.as_mut_ptr(), sums);
        to
    }
}

/// The lower four lanes plus the upper four.
#[inline(always)]
unsafe fn halves(a: __m256) -> __m128 {
    // SAFETY: the caller runs with AVX2 enabled.
    unsafe { _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a)) }
}
