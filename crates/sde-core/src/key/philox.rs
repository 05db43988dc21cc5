//! The Philox4x32-10 block cipher, one block or several lanes at a time.

const M0: u64 = 0xD251_1F53;
const M1: u64 = 0xCD9E_8D57;
const W0: u32 = 0x9E37_79B9;
const W1: u32 = 0xBB67_AE85;

/// Ten rounds on one counter.
pub(super) fn philox4x32(c: [u32; 4], k: [u32; 2]) -> [u32; 4] {
    let mut wide = c.map(|w| [u64::from(w)]);
    rounds(&mut wide, k);
    wide.map(|[w]| w as u32)
}

/// Ten rounds on `L` counters side by side. Words live in the low halves of their lanes; what the
/// high halves hold is never used.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "four arrays of lanes, side by side")]
pub(super) fn rounds<const L: usize>(c: &mut [[u64; L]; 4], k: [u32; 2]) {
    let [mut k0, mut k1] = k;
    for _ in 0..10 {
        for l in 0..L {
            let p0 = M0 * (c[0][l] & 0xFFFF_FFFF);
            let p1 = M1 * (c[2][l] & 0xFFFF_FFFF);
            c[0][l] = (p1 >> 32) ^ c[1][l] ^ u64::from(k0);
            c[2][l] = (p0 >> 32) ^ c[3][l] ^ u64::from(k1);
            c[1][l] = p1;
            c[3][l] = p0;
        }
        k0 = k0.wrapping_add(W0);
        k1 = k1.wrapping_add(W1);
    }
}

/// The outputs of blocks `first .. first + L` of the stream `kind`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "four arrays of lanes, side by side")]
pub(super) fn blocks<const L: usize>(k: [u32; 2], kind: u32, first: u64) -> [[u64; L]; 4] {
    let mut c = [[0; L]; 4];
    for l in 0..L {
        let index = first.wrapping_add(l as u64);
        c[0][l] = index & 0xFFFF_FFFF;
        c[1][l] = index >> 32;
        c[2][l] = u64::from(kind);
    }
    rounds(&mut c, k);
    c
}

/// As [`blocks`], one output word a lane.
///
/// Even and odd blocks are computed apart, so that two lanes of 64 bits join to two words in place.
#[inline(always)]
pub(super) fn words<const L: usize>(k: [u32; 2], kind: u32, first: u64) -> [[u32; L]; 4] {
    let offset: [u64; L] = const {
        let (mut offset, mut l) = ([0; L], 0);
        while l < L {
            offset[l] = (2 * l % L + 2 * l / L) as u64;
            l += 1;
        }
        offset
    };
    let index = offset.map(|offset| first.wrapping_add(offset));
    let mut c = [index, index.map(|index| index >> 32), [u64::from(kind); L], [0; L]];
    rounds(&mut c, k);
    let mut out = [[0; L]; 4];
    for (out, c) in out.iter_mut().zip(&c) {
        for l in 0..L / 2 {
            let both = c[l] & 0xFFFF_FFFF | c[L / 2 + l] << 32;
            out[2 * l] = both as u32;
            out[2 * l + 1] = (both >> 32) as u32;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::philox4x32;

    /// The published known answers of Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        for (c, k, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ] {
            assert_eq!(philox4x32(c, k), expected);
        }
    }
}
