//! AVX-512: 32 registers of 16 numbers, with or without the tiles of AMX for matrix products.

use super::avx2::sums_of_eight;
use super::{Kernel, Simd, Tile};
use crate::fused::amx;
use crate::fused::matrices::{Outer, Product};
use std::arch::x86_64::*;

/// AVX-512 F, DQ and FMA; with `AMX` also its tiles.
#[derive(Clone, Copy)]
pub(in crate::fused) struct Avx512<const AMX: bool>;

/// Rows of a tile of 1, 2, ... registers: as many as leave a register to spare.
const ROWS: [usize; 5] = [16, 12, 8, 6, 5];

#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
unsafe fn invoke<K: Kernel, const AMX: bool>(kernel: K) -> K::Output {
    // SAFETY: the features are on here; the rest is the caller's promise.
    unsafe { kernel.run::<Avx512<AMX>>() }
}

#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
#[inline(never)]
unsafe fn tile<T: Tile, const AMX: bool, const VECS: usize, const ROWS: usize>(tile: T) {
    // SAFETY: the features are on here; the rest is the caller's promise.
    unsafe { tile.run::<Avx512<AMX>, VECS, ROWS>() }
}

// SAFETY (every block below): the methods are called only under `invoke` and `tiled`, where the
// features are enabled; loads and stores are 64-byte aligned and in bounds by the caller's promise.
impl<const AMX: bool> Simd for Avx512<AMX> {
    type V = __m512;
    const LANES: usize = 16;
    const MAX_VECS: usize = 5;
    const TILES: bool = AMX;

    fn rows(vecs: usize) -> usize {
        ROWS[vecs - 1]
    }

    unsafe fn invoke<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller has checked the processor.
        unsafe { invoke::<K, AMX>(kernel) }
    }
    unsafe fn tiled<T: Tile>(vecs: usize, t: T) {
        // SAFETY: the caller has checked the processor.
        unsafe {
            match vecs {
                1 => tile::<T, AMX, 1, { ROWS[0] }>(t),
                2 => tile::<T, AMX, 2, { ROWS[1] }>(t),
                3 => tile::<T, AMX, 3, { ROWS[2] }>(t),
                4 => tile::<T, AMX, 4, { ROWS[3] }>(t),
                5 => tile::<T, AMX, 5, { ROWS[4] }>(t),
                _ => unreachable!("a tile of {vecs} registers"),
            }
        }
    }

    unsafe fn product(product: &Product) {
        // SAFETY: the caller has checked the processor.
        unsafe { amx::product(product) }
    }
    unsafe fn outer(outer: &Outer<'_>) {
        // SAFETY: the caller has checked the processor.
        unsafe { amx::outer(outer) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_load_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: __m512) {
        // SAFETY: see the impl.
        unsafe { _mm512_store_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn load_any(p: *const f32) -> __m512 {
        // SAFETY: see the impl; the address needs no boundary.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store_any(p: *mut f32, x: __m512) {
        // SAFETY: see the impl; the address needs no boundary.
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn fnma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn neg_abs(a: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_or_ps(a, _mm512_set1_ps(-0.0)) }
    }
    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_roundscale_ps::<0>(a) }
    }
    #[inline(always)]
    unsafe fn recip(a: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe {
            let r = _mm512_rcp14_ps(a);
            let e = _mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(r, e, r)
        }
    }
    #[inline(always)]
    unsafe fn scale_above(y: __m512, floor: f32, p: __m512, n: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe {
            let keep = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(y, _mm512_set1_ps(floor));
            _mm512_maskz_scalef_ps(keep, p, n)
        }
    }
    #[inline(always)]
    unsafe fn mul_where_negative(z: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(z, _mm512_setzero_ps());
            _mm512_mask_mul_ps(a, negative, a, b)
        }
    }
    #[inline(always)]
    unsafe fn sums(a: [__m512; 4]) -> [f32; 4] {
        // SAFETY: see the impl.
        unsafe { sums_of_eight([halves(a[0]), halves(a[1]), halves(a[2]), halves(a[3])]) }
    }
}

/// The lower eight lanes plus the upper eight.
///
/// (A function, not a closure: see `each!` among the elementwise passes. As a closure it made the
/// dot products ten times slower.)
#[inline(always)]
unsafe fn halves(a: __m512) -> __m256 {
    // SAFETY: the caller runs with AVX-512 enabled.
    unsafe {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a));
        _mm256_add_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(high))
    }
}
