//! Box-Muller in plain arithmetic: additions, multiplications, divisions, square roots and (in single
//! precision, where written) fused multiply-adds, each correctly rounded by IEEE 754, so that every
//! machine gets the same bits. Rust contracts nothing of its own accord, and the clones for wider
//! vectors compute the same numbers.

use super::philox::{blocks, words};

/// Blocks that are computed side by side.
pub(super) const L: usize = 16;

/// Two normals a block.
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
pub(super) fn fill_f64(k: [u32; 2], kind: u32, first: u64, out: &mut [[f64; 2]]) {
    for (i, chunk) in out.chunks_mut(L).enumerate() {
        let bits = blocks::<L>(k, kind, first.wrapping_add((i * L) as u64));
        let mut z = [[0.0; L]; 2];
        for l in 0..L {
            (z[0][l], z[1][l]) = pair_f64([bits[0][l], bits[1][l], bits[2][l], bits[3][l]]);
        }
        for (l, out) in chunk.iter_mut().enumerate() {
            *out = [z[0][l], z[1][l]];
        }
    }
}

/// Four normals a block, of [`L`] blocks at a time: the first of each, then the second of each, and so
/// on, so that registers are stored as they come.
#[multiversion::multiversion(
    targets(
        "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
        "x86_64+avx2+fma",
        "aarch64+neon"
    ),
    dispatcher = "direct"
)]
pub(super) fn fill_f32(k: [u32; 2], kind: u32, first: u64, out: &mut [[f32; 4 * L]]) {
    for (i, out) in out.iter_mut().enumerate() {
        let bits = words::<L>(k, kind, first.wrapping_add(i as u64).wrapping_mul(L as u64));
        let (z, _) = out.as_chunks_mut::<L>();
        for l in 0..L {
            (z[0][l], z[1][l]) = pair_f32(bits[0][l], bits[1][l]);
        }
        for l in 0..L {
            (z[2][l], z[3][l]) = pair_f32(bits[2][l], bits[3][l]);
        }
    }
}

/// Two normals of four random words (low halves): the radius of the first two, the angle of the
/// others.
#[inline(always)]
fn pair_f64([a, b, c, d]: [u64; 4]) -> (f64, f64) {
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const MANTISSA: u64 = (1 << 52) - 1;
    // u in (0, 1], steps of 2^-52.
    let u = 2.0 - f64::from_bits(ONE | ((a << 32 | b & 0xFFFF_FFFF) >> 12));
    let r = (-2.0 * ln_f64(u)).sqrt();
    // A quarter turn chosen by two bits, and a remainder in [-1/8, 1/8) turns.
    let quarter = (c >> 30) & 3;
    let frac = f64::from_bits(ONE | ((c << 32 | d & 0xFFFF_FFFF) >> 10) & MANTISSA) - 1.5;
    let (s, c) = sin_cos_f64(frac * std::f64::consts::FRAC_PI_2);
    let (s, c) = turn_f64(s, c, quarter);
    (r * c, r * s)
}

#[inline(always)]
fn turn_f64(s: f64, c: f64, quarter: u64) -> (f64, f64) {
    let odd = (quarter & 1).wrapping_neg();
    let (sb, cb) = (s.to_bits(), c.to_bits());
    let (s, c) = (sb & !odd | cb & odd, cb & !odd | sb & odd);
    let s = s ^ (quarter & 2) << 62;
    let c = c ^ ((quarter + 1) & 2) << 62;
    (f64::from_bits(s), f64::from_bits(c))
}

/// Natural logarithm of a normal number (fdlibm's `log`, in its branch-free form).
#[inline(always)]
pub(super) fn ln_f64(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    // x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2))
    let shifted = x.to_bits().wrapping_add(0x3FF0_0000_0000_0000 - 0x3FE6_A09E_667F_3BCD);
    // e as a double without an integer conversion: it sits in the mantissa of 2^52 + 1023 + e.
    let e =
        f64::from_bits(0x4330_0000_0000_0000 | shifted >> 52) - (4_503_599_627_370_496.0 + 1023.0);
    let m = (shifted & 0x000F_FFFF_FFFF_FFFF).wrapping_add(0x3FE6_A09E_667F_3BCD);
    let f = f64::from_bits(m) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w
        * (3.999_999_999_940_942e-1
            + w * (2.222_219_843_214_978_4e-1 + w * 1.531_383_769_920_937_3e-1));
    let t2 = z
        * (6.666_666_666_666_735e-1
            + w * (2.857_142_874_366_239e-1
                + w * (1.818_357_216_161_805e-1 + w * 1.479_819_860_511_658_6e-1)));
    let half = 0.5 * f * f;
    e * LN2_HI - ((half - (s * (half + (t1 + t2)) + e * LN2_LO)) - f)
}

/// Sine and cosine on `[-pi/4, pi/4]` (fdlibm's kernels).
#[inline(always)]
fn sin_cos_f64(x: f64) -> (f64, f64) {
    let z = x * x;
    let s = z
        * (-1.984_126_982_985_795e-4
            + z * (2.755_731_370_707_006_8e-6
                + z * (-2.505_076_025_340_686_3e-8 + z * 1.589_690_995_211_55e-10)))
        + 8.333_333_333_322_49e-3;
    let sin = x + x * z * (z * s - 1.666_666_666_666_663_2e-1);
    let c = z
        * (2.480_158_728_947_673e-5
            + z * (-2.755_731_435_139_066_3e-7
                + z * (2.087_572_321_298_175e-9 + z * -1.135_964_755_778_819_5e-11)))
        - 1.388_888_888_887_411e-3;
    let cos = 1.0 - (0.5 * z - z * z * (z * c + 4.166_666_666_666_66e-2));
    (sin, cos)
}

/// Two normals of two random words: the radius of the first, the angle of the second.
#[inline(always)]
fn pair_f32(a: u32, b: u32) -> (f32, f32) {
    // u in (0, 1]: 2^-32 at the smallest.
    let u = ((a >> 1) as i32 as f32).mul_add(1.0 / 2_147_483_648.0, 0.5 / 2_147_483_648.0);
    let r = (-2.0 * ln_f32(u)).sqrt();
    // The nearest quarter turn, and the signed remainder in [-1/8, 1/8) turns.
    let quarter = b.wrapping_add(0x2000_0000) >> 30;
    let rest = b.wrapping_sub(quarter << 30) as i32 as f32;
    let (s, c) = sin_cos_f32(rest * (std::f32::consts::FRAC_PI_2 / 1_073_741_824.0));
    let odd = (quarter & 1).wrapping_neg();
    let (sb, cb) = (s.to_bits(), c.to_bits());
    let (s, c) = (sb & !odd | cb & odd, cb & !odd | sb & odd);
    let s = f32::from_bits(s ^ (quarter & 2) << 30);
    let c = f32::from_bits(c ^ ((quarter + 1) & 2) << 30);
    (r * c, r * s)
}

/// Natural logarithm of a normal number in (0, 1] (Cephes' `logf`); never above zero there.
#[inline(always)]
fn ln_f32(x: f32) -> f32 {
    let shifted = x.to_bits().wrapping_add(0x3F80_0000 - 0x3F35_04F3);
    let e = (shifted >> 23) as i32 as f32 - 127.0;
    let f = f32::from_bits((shifted & 0x007F_FFFF) + 0x3F35_04F3) - 1.0;
    let z = f * f;
    let p = 7.037_683_6e-2_f32;
    let p = p.mul_add(f, -1.151_461e-1);
    let p = p.mul_add(f, 1.167_699_84e-1);
    let p = p.mul_add(f, -1.242_014_1e-1);
    let p = p.mul_add(f, 1.424_932_3e-1);
    let p = p.mul_add(f, -1.666_805_7e-1);
    let p = p.mul_add(f, 2.000_071_5e-1);
    let p = p.mul_add(f, -2.499_999_4e-1);
    let p = p.mul_add(f, 3.333_333e-1);
    let y = z.mul_add(p.mul_add(f, -0.5), e * -2.121_944_4e-4);
    e.mul_add(0.693_359_4, f + y)
}

/// Sine and cosine on `[-pi/4, pi/4]` (Cephes' `sinf` and `cosf`).
#[inline(always)]
fn sin_cos_f32(x: f32) -> (f32, f32) {
    let z = x * x;
    let s = (-1.951_529_6e-4_f32).mul_add(z, 8.332_161e-3).mul_add(z, -1.666_665_5e-1);
    let c = 2.443_315_7e-5_f32.mul_add(z, -1.388_731_6e-3).mul_add(z, 4.166_664_6e-2);
    ((s * z).mul_add(x, x), c.mul_add(z, -0.5).mul_add(z, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::philox::philox4x32;

    /// Largest error of `f` against `g` over a million points of (0, 1], in units of `scale(g)`.
    fn worst(f: impl Fn(f64) -> f64, g: impl Fn(f64) -> f64) -> f64 {
        (1..1_000_000)
            .map(|i| {
                let x = f64::from(i) * 1e-6;
                (f(x) - g(x)).abs() / g(x).abs().max(1e-300)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn logarithm() {
        assert!(worst(ln_f64, f64::ln) < 3e-16);
        assert!(worst(|x| ln_f64(x * 1e-15), |x| (x * 1e-15).ln()) < 3e-16);
        assert!(worst(|x| f64::from(ln_f32(x as f32)), |x| f64::from(x as f32).ln()) < 2e-7);
        assert_eq!((ln_f64(1.0), ln_f32(1.0)), (0.0, 0.0));
        for i in 0..1000 {
            assert!(ln_f32(f32::from_bits(1.0_f32.to_bits() - i)) <= 0.0);
            assert!(ln_f64(f64::from_bits(1.0_f64.to_bits() - u64::from(i))) <= 0.0);
        }
    }

    #[test]
    fn sine_and_cosine() {
        let quarter = std::f64::consts::FRAC_PI_4;
        for sign in [-1.0, 1.0] {
            let at = |x: f64| sign * x * quarter;
            assert!(worst(|x| sin_cos_f64(at(x)).0, |x| at(x).sin()) < 3e-16);
            assert!(worst(|x| sin_cos_f64(at(x)).1, |x| at(x).cos()) < 3e-16);
            let at32 = |x: f64| at(x) as f32;
            let wide = |x: f64| f64::from(at32(x));
            assert!(worst(|x| f64::from(sin_cos_f32(at32(x)).0), |x| wide(x).sin()) < 2e-7);
            assert!(worst(|x| f64::from(sin_cos_f32(at32(x)).1), |x| wide(x).cos()) < 2e-7);
        }
    }

    /// The widest vectors of this machine against code for the least of its kind.
    #[test]
    fn vectors_compute_the_same_bits() {
        let (k, n) = ([3, 4], 160);
        let (mut wide, mut single) = (vec![[0.0; 2]; n * L], vec![[0.0; 4 * L]; n]);
        fill_f64(k, 1, 77, &mut wide);
        fill_f32(k, 2, 77, &mut single);
        for (i, wide) in wide.into_iter().enumerate() {
            let (x, y) = pair_f64(philox4x32([77 + i as u32, 0, 1, 0], k).map(u64::from));
            assert_eq!(wide.map(f64::to_bits), [x, y].map(f64::to_bits));
        }
        for (i, single) in single.into_iter().enumerate() {
            for l in 0..L {
                let [a, b, c, d] = philox4x32([((77 + i) * L + l) as u32, 0, 2, 0], k);
                let ((x, y), (z, w)) = (pair_f32(a, b), pair_f32(c, d));
                let found = [0, 1, 2, 3].map(|word| single[word * L + l].to_bits());
                assert_eq!(found, [x, y, z, w].map(f32::to_bits));
            }
        }
    }

    /// Quarters, extreme words and the turn of the angle, against the definition.
    #[test]
    fn pairs_match_their_definition() {
        let words = [0, 1, 0x1FFF_FFFF, 0x2000_0000, 0x4000_0000, 0x8000_0000, 0xDFFF_FFFF, !0_u32];
        for a in words {
            for b in words {
                let (x, y) = pair_f32(a, b);
                // As rounded to single precision: close to 1, a radius of 2e-5 becomes 0.
                let u = f64::from((a >> 1) as f32 + 0.5) / 2_147_483_648.0;
                let r = (-2.0 * u.ln()).sqrt();
                let (s, c) = (f64::from(b) / 4_294_967_296.0 * std::f64::consts::TAU).sin_cos();
                assert!((f64::from(x) - r * c).abs() < 2e-6, "{a:x} {b:x}: {x} {}", r * c);
                assert!((f64::from(y) - r * s).abs() < 2e-6, "{a:x} {b:x}: {y} {}", r * s);
                for c in words {
                    for d in words {
                        let (x, y) = pair_f64([a, b, c, d].map(u64::from));
                        let k = (u64::from(a) << 32 | u64::from(b)) >> 12;
                        let u = ((1_u64 << 52) - k) as f64 / (1_u64 << 52) as f64;
                        let r = (-2.0 * u.ln()).sqrt();
                        // (c, d) is a fraction of a turn, less an eighth.
                        let turn = (u64::from(c) << 32 | u64::from(d)) as f64 / 2_f64.powi(64);
                        let (sin, cos) = ((turn - 0.125) * std::f64::consts::TAU).sin_cos();
                        assert!((x - r * cos).abs() < 1e-14, "{x} {}", r * cos);
                        assert!((y - r * sin).abs() < 1e-14, "{y} {}", r * sin);
                    }
                }
            }
        }
    }
}
