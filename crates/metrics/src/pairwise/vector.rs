//! The innermost loops: written over short arrays, which the compiler keeps in vector registers.

/// Numbers side by side: four registers of AVX-512.
const WIDTH: usize = 32;

macro_rules! vectorised {
    ($($(#[$meta:meta])* $visible:vis fn $name:ident $arguments:tt $(-> $result:ty)? $body:block)*) => {
        $($(#[$meta])*
        #[multiversion::multiversion(
            targets(
                "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2",
                "x86_64+avx2"
            ),
            dispatcher = "direct"
        )]
        $visible fn $name $arguments $(-> $result)? $body)*
    };
}

vectorised! {
    /// Squared distances of `query` to points `start ..` of a cloud stored by coordinates.
    pub(super) fn squared_distances(columns: &[f64], len: usize, query: &[f64], start: usize, out: &mut [f64]) {
        let (whole, tail) = out.as_chunks_mut::<WIDTH>();
        let mut at = start;
        for chunk in whole {
            let mut sums = [0.0; WIDTH];
            for (column, &q) in columns.chunks_exact(len).zip(query) {
                let column: &[f64; WIDTH] = column[at..].first_chunk().unwrap_or(&[0.0; WIDTH]);
                for l in 0..WIDTH {
                    sums[l] += (q - column[l]) * (q - column[l]);
                }
            }
            *chunk = sums;
            at += WIDTH;
        }
        tail.fill(0.0);
        for (column, &q) in columns.chunks_exact(len).zip(query) {
            for (sum, &value) in tail.iter_mut().zip(&column[at..]) {
                *sum += (q - value) * (q - value);
            }
        }
    }

    /// Inner products of `query` with points `start ..` of a cloud stored by coordinates.
    pub(super) fn inner_products(columns: &[f64], len: usize, query: &[f64], start: usize, out: &mut [f64]) {
        let (whole, tail) = out.as_chunks_mut::<WIDTH>();
        let mut at = start;
        for chunk in whole {
            let mut sums = [0.0; WIDTH];
            for (column, &q) in columns.chunks_exact(len).zip(query) {
                let column: &[f64; WIDTH] = column[at..].first_chunk().unwrap_or(&[0.0; WIDTH]);
                for l in 0..WIDTH {
                    sums[l] += q * column[l];
                }
            }
            *chunk = sums;
            at += WIDTH;
        }
        tail.fill(0.0);
        for (column, &q) in columns.chunks_exact(len).zip(query) {
            for (sum, &value) in tail.iter_mut().zip(&column[at..]) {
                *sum += q * value;
            }
        }
    }

    /// exp(scale x) of every value.
    pub(crate) fn exp_scaled(values: &mut [f64], scale: f64) {
        let (whole, tail) = values.as_chunks_mut::<WIDTH>();
        for chunk in whole {
            for value in chunk {
                *value = exp(scale * *value);
            }
        }
        for value in tail {
            *value = exp(scale * *value);
        }
    }

    /// exp((shift + h - d) scale) in the place of every cost d.
    pub(crate) fn gibbs(costs: &mut [f64], potentials: &[f64], shift: f64, scale: f64) {
        let (whole, tail) = costs.as_chunks_mut::<WIDTH>();
        let (whole_h, tail_h) = potentials.as_chunks::<WIDTH>();
        for (chunk, h) in whole.iter_mut().zip(whole_h) {
            for l in 0..WIDTH {
                chunk[l] = exp((shift + h[l] - chunk[l]) * scale);
            }
        }
        for (cost, h) in tail.iter_mut().zip(tail_h) {
            *cost = exp((shift + h - *cost) * scale);
        }
    }

    /// (offset + x)^(-1/2) of every value.
    pub(crate) fn inverse_root(values: &mut [f64], offset: f64) {
        for value in values {
            *value = (offset + *value).sqrt().recip();
        }
    }

    /// The sum of the values, in a fixed order.
    pub(crate) fn sum(values: &[f64]) -> f64 {
        let (whole, tail) = values.as_chunks::<WIDTH>();
        let mut sums = [0.0; WIDTH];
        for chunk in whole {
            for l in 0..WIDTH {
                sums[l] += chunk[l];
            }
        }
        for (sum, value) in sums.iter_mut().zip(tail) {
            *sum += value;
        }
        fold(sums)
    }

    /// The inner product of two lists, in a fixed order.
    pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
        let (whole, tail) = left.as_chunks::<WIDTH>();
        let (whole_right, tail_right) = right.as_chunks::<WIDTH>();
        let mut sums = [0.0; WIDTH];
        for (p, q) in whole.iter().zip(whole_right) {
            for l in 0..WIDTH {
                sums[l] += p[l] * q[l];
            }
        }
        for (sum, (p, q)) in sums.iter_mut().zip(tail.iter().zip(tail_right)) {
            *sum += p * q;
        }
        fold(sums)
    }
}

/// The sum of the lanes, by halves.
#[inline(always)]
fn fold(mut sums: [f64; WIDTH]) -> f64 {
    let mut half = WIDTH / 2;
    while half > 0 {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The exponential function within two units in the last place; zero below exp(-708), where doubles
/// lose digits, and exp(709) above.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2, then the Taylor series of exp(r), whose remainder after
/// degree 13 is below 5e-18.
#[inline(always)]
fn exp(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    // Adding 1.5 * 2^52 rounds to an integer and leaves it in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let bounded = if x < -708.0 { -708.0 } else { x };
    let bounded = if bounded > 709.0 { 709.0 } else { bounded };
    let shifted = bounded * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (bounded - n * LN2_HI) - n * LN2_LO;
    let mut p = 1.0 / 6_227_020_800.0;
    p = p * r + 1.0 / 479_001_600.0;
    p = p * r + 1.0 / 39_916_800.0;
    p = p * r + 1.0 / 3_628_800.0;
    p = p * r + 1.0 / 362_880.0;
    p = p * r + 1.0 / 40_320.0;
    p = p * r + 1.0 / 5_040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < -708.0 { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_standard_library() {
        for i in -70_000..70_001 {
            let x = f64::from(i) * 0.010_1;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 5e-16 * expected, "exp({x}): {found} {expected}");
        }
        for (x, expected) in [(0.0, 1.0), (-709.0, 0.0), (-1e300, 0.0), (f64::NEG_INFINITY, 0.0)] {
            assert_eq!(exp(x), expected, "exp({x})");
        }
        assert!(exp(f64::INFINITY) > 1e307);
    }

    #[test]
    fn every_length_has_the_same_answers() {
        let points: Vec<f64> = (0..300).map(|i| f64::from(i * i % 101) / 7.0).collect();
        let query = [0.3, -2.0, 1.0];
        for len in 1..=100 {
            let columns = &points[..3 * len];
            let (mut squares, mut inner) = (vec![9.0; len], vec![9.0; len]);
            squared_distances(columns, len, &query, 0, &mut squares);
            inner_products(columns, len, &query, 0, &mut inner);
            for j in 0..len {
                let point = [columns[j], columns[len + j], columns[2 * len + j]];
                let d = |k: usize| (query[k] - point[k]) * (query[k] - point[k]);
                assert_eq!(squares[j], d(0) + d(1) + d(2));
                let p = |k: usize| query[k] * point[k];
                assert_eq!(inner[j], p(0) + p(1) + p(2));
            }
            let from = len / 2;
            let mut part = vec![0.0; len - from];
            squared_distances(columns, len, &query, from, &mut part);
            assert_eq!(part, squares[from..]);
            let ones = vec![1.0; len];
            assert_eq!(sum(&ones), len as f64);
            assert_eq!(dot(&ones, &ones), len as f64);
        }
    }
}
