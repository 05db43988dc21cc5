//! Plain arrays, which the compiler turns into whatever vectors the target has.

use super::{Kernel, Simd, Tile};

/// No instruction set beyond the target's own.
#[derive(Clone, Copy)]
pub(in crate::fused) struct Portable;

/// Rows of a tile of 1, 2 registers.
const ROWS: [usize; 2] = [8, 4];

/// Four numbers, aligned as a 128-bit register.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(in crate::fused) struct F32x4([f32; 4]);

#[inline(always)]
fn map2(a: F32x4, b: F32x4, f: impl Fn(f32, f32) -> f32) -> F32x4 {
    F32x4(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

/// `a b + c`: fused where that is one instruction of the target, never a library call.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

// SAFETY (the loads and stores): aligned to 16 bytes and in bounds by the caller's promise.
impl Simd for Portable {
    type V = F32x4;
    const LANES: usize = 4;
    const MAX_VECS: usize = 2;

    fn rows(vecs: usize) -> usize {
        ROWS[vecs - 1]
    }

    unsafe fn invoke<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: no instruction set is asked for; the rest is the caller's promise.
        unsafe { kernel.run::<Self>() }
    }
    unsafe fn tiled<T: Tile>(vecs: usize, t: T) {
        #[inline(never)]
        unsafe fn tile<T: Tile, const VECS: usize, const ROWS: usize>(t: T) {
            // SAFETY: no instruction set is asked for; the rest is the caller's promise.
            unsafe { t.run::<Portable, VECS, ROWS>() }
        }
        // SAFETY: as above.
        unsafe {
            match vecs {
                1 => tile::<T, 1, { ROWS[0] }>(t),
                2 => tile::<T, 2, { ROWS[1] }>(t),
                _ => unreachable!("a tile of {vecs} registers"),
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> F32x4 {
        F32x4([x; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> F32x4 {
        // SAFETY: see the impl.
        unsafe { *p.cast() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: F32x4) {
        // SAFETY: see the impl.
        unsafe { *p.cast() = x }
    }
    #[inline(always)]
    unsafe fn load_any(p: *const f32) -> F32x4 {
        // SAFETY: see the impl; the address needs no boundary.
        unsafe { p.cast::<F32x4>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_any(p: *mut f32, x: F32x4) {
        // SAFETY: see the impl; the address needs no boundary.
        unsafe { p.cast::<F32x4>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn add(a: F32x4, b: F32x4) -> F32x4 {
        map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: F32x4, b: F32x4) -> F32x4 {
        map2(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: F32x4, b: F32x4) -> F32x4 {
        map2(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: F32x4, b: F32x4) -> F32x4 {
        map2(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn fma(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        F32x4(std::array::from_fn(|i| mul_add(a.0[i], b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn fnma(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        F32x4(std::array::from_fn(|i| mul_add(-a.0[i], b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn min(a: F32x4, b: F32x4) -> F32x4 {
        map2(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn max(a: F32x4, b: F32x4) -> F32x4 {
        map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn neg_abs(a: F32x4) -> F32x4 {
        F32x4(a.0.map(|a| f32::from_bits(a.to_bits() | 0x8000_0000)))
    }
    #[inline(always)]
    unsafe fn round(a: F32x4) -> F32x4 {
        // Adding and taking away 1.5 * 2^23 rounds to the nearest integer below 2^22 in size;
        // beyond, what comes out is only ever thrown away or already without meaning.
        const MAGIC: f32 = 12_582_912.0;
        F32x4(a.0.map(|a| (a + MAGIC) - MAGIC))
    }
    #[inline(always)]
    unsafe fn recip(a: F32x4) -> F32x4 {
        F32x4(a.0.map(|a| 1.0 / a))
    }
    #[inline(always)]
    unsafe fn scale_above(y: F32x4, floor: f32, p: F32x4, n: F32x4) -> F32x4 {
        F32x4(std::array::from_fn(|i| {
            // The bits of 2^n, read off n + 127 + 2^23; garbage where the value is not kept.
            let power = f32::from_bits((n.0[i] + (127.0 + 8_388_608.0)).to_bits() << 23);
            if y.0[i] <= floor { 0.0 } else { p.0[i] * power }
        }))
    }
    #[inline(always)]
    unsafe fn mul_where_negative(z: F32x4, a: F32x4, b: F32x4) -> F32x4 {
        F32x4(std::array::from_fn(|i| if z.0[i] < 0.0 { a.0[i] * b.0[i] } else { a.0[i] }))
    }
    #[inline(always)]
    unsafe fn sums(a: [F32x4; 4]) -> [f32; 4] {
        a.map(|a| (a.0[0] + a.0[2]) + (a.0[1] + a.0[3]))
    }
}
