//! Uniform numbers and random signs.

use super::philox::blocks;

/// Blocks that are computed side by side.
const L: usize = 16;

/// Two uniforms a block: the midpoints of `2^52` equal cells of (0, 1).
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
pub(super) fn fill_uniforms(k: [u32; 2], kind: u32, first: u64, out: &mut [[f64; 2]]) {
    for (i, chunk) in out.chunks_mut(L).enumerate() {
        let bits = blocks::<L>(k, kind, first.wrapping_add((i * L) as u64));
        let mut u = [[0.0; L]; 2];
        for l in 0..L {
            u[0][l] = uniform(bits[0][l], bits[1][l]);
            u[1][l] = uniform(bits[2][l], bits[3][l]);
        }
        for (l, out) in chunk.iter_mut().enumerate() {
            *out = [u[0][l], u[1][l]];
        }
    }
}

/// Of the low halves of two words.
#[inline(always)]
fn uniform(a: u64, b: u64) -> f64 {
    let cell = (a << 32 | b & 0xFFFF_FFFF) >> 12;
    // 1 + cell 2^-52, exactly; so are the differences below.
    let above_one = f64::from_bits(0x3FF0_0000_0000_0000 | cell);
    above_one - 1.0 + 0.5 * f64::EPSILON
}

/// A hundred and twenty-eight signs a block.
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
pub(super) fn fill_signs(k: [u32; 2], kind: u32, first: u64, out: &mut [[f64; 128]]) {
    for (i, out) in out.iter_mut().enumerate() {
        let words = blocks::<1>(k, kind, first.wrapping_add(i as u64));
        for (word, out) in words.iter().zip(out.as_chunks_mut::<32>().0) {
            for (j, s) in out.iter_mut().enumerate() {
                *s = f64::from_bits(0x3FF0_0000_0000_0000 | (word[0] >> j & 1) << 63);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::uniform;

    #[test]
    fn uniforms_are_midpoints() {
        for (a, b) in [(0, 0), (!0, !0), (0x8000_0000, 0), (0x1234_5678, 0x9ABC_DEF0_u64)] {
            let cell = ((a & 0xFFFF_FFFF) << 32 | b & 0xFFFF_FFFF) >> 12;
            let expected = (cell as f64 + 0.5) / (1_u64 << 52) as f64;
            assert_eq!(uniform(a, b), expected);
            assert!(expected > 0.0 && expected < 1.0);
        }
    }
}
