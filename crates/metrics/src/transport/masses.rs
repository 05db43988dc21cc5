//! Integer masses: flows are exact, so no mass is ever lost and ties are ties.

/// An amount of mass in integer units.
pub(crate) type Mass = i128;

/// Masses of the two sides in a common integer unit, with equal totals.
pub(crate) struct Masses {
    pub(crate) source: Vec<Mass>,
    pub(crate) target: Vec<Mass>,
    pub(crate) total: Mass,
}

/// Bits of a total, so that sums and differences never overflow.
const BITS: u32 = 124;

/// Rounds positive weights of two sides, whose totals agree but for rounding, to integers.
///
/// Equal weights are represented exactly. Others are read bit for bit down to a unit of about 2^-123 n of
/// the largest one: with a million points a weight that is 20 orders of magnitude below it still has
/// 11 digits.
pub(crate) fn integer_masses(a: &[f64], b: &[f64]) -> Masses {
    let uniform = |w: &[f64]| w.iter().all(|&value| value == w[0]);
    if uniform(a) && uniform(b) {
        let common = gcd(a.len(), b.len());
        let (per_a, per_b) = ((b.len() / common) as Mass, (a.len() / common) as Mass);
        return Masses {
            source: vec![per_a; a.len()],
            target: vec![per_b; b.len()],
            total: per_a * a.len() as Mass,
        };
    }
    let largest = a.iter().chain(b).copied().fold(0.0, f64::max);
    let bits = BITS - a.len().max(b.len()).next_power_of_two().ilog2();
    let (source, mut target) = (read(a, largest, bits), read(b, largest, bits));
    let total: Mass = source.iter().sum();
    // The totals differ at most by what counts as equal. The difference is shared out in proportion,
    // and what the rounding of that leaves over goes where it is relatively smallest.
    let found: Mass = target.iter().sum();
    let share = (total - found) as f64 / found as f64;
    if share != 0.0 {
        for mass in &mut target {
            *mass = (*mass + (*mass as f64 * share) as Mass).max(1);
        }
        let excess = target.iter().sum::<Mass>() - total;
        if let Some(largest) = target.iter_mut().max() {
            *largest -= excess;
        }
    }
    Masses { source, target, total }
}

/// Weights in units of `2^-bits` of the power of two above `largest`.
///
/// A positive weight stays positive: a point that has mass keeps a partner and so a potential.
fn read(weights: &[f64], largest: f64, bits: u32) -> Vec<Mass> {
    let (_, top) = parts(largest);
    let mass = |&weight: &f64| {
        let (digits, exponent) = parts(weight);
        let shift = bits as i32 - 54 + exponent - top;
        let mass = match shift {
            0.. => digits << shift,
            -60..0 => ((digits >> (-shift - 1)) + 1) >> 1,
            _ => 0,
        };
        mass.max(1)
    };
    weights.iter().map(mass).collect()
}

/// A positive number as `digits * 2^(exponent - 53)` with `digits` between 2^52 and 2^53.
pub(super) fn parts(value: f64) -> (Mass, i32) {
    let bits = value.to_bits();
    let (exponent, digits) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    if exponent > 0 {
        return (Mass::from(digits | 1 << 52), exponent - 1022);
    }
    let shift = digits.leading_zeros() as i32 - 11;
    (Mass::from(digits << shift), -1021 - shift)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_bit_for_bit() {
        for value in [1.0, 0.3, 7e-310, f64::from_bits(1), 1e300, f64::MIN_POSITIVE] {
            let (digits, exponent) = parts(value);
            assert!((1 << 52..1 << 53).contains(&digits), "{value}");
            let half = f64::powi(2.0, (exponent - 53) / 2);
            let other = f64::powi(2.0, exponent - 53 - (exponent - 53) / 2);
            assert_eq!(digits as f64 * half * other, value);
        }
        let masses = integer_masses(&[1.0, 1e-20], &[1e-20, 1.0]);
        assert_eq!(masses.source, [masses.target[1], masses.target[0]]);
        assert_eq!(masses.source[1] as f64 / masses.source[0] as f64, 1e-20);
        // The exact sum of the weights, however far they are apart.
        assert_eq!(masses.total, masses.source[0] + masses.source[1]);
    }

    #[test]
    fn totals_are_equal_and_nothing_is_lost() {
        let (a, b) = ([0.1, 0.2, 0.7], [0.5, 1e-40, 0.5 + 1e-10]);
        let masses = integer_masses(&a, &b);
        assert_eq!(masses.source.iter().sum::<Mass>(), masses.total);
        assert_eq!(masses.target.iter().sum::<Mass>(), masses.total);
        assert!(masses.target.iter().all(|&mass| mass > 0));
        let share = masses.target[2] as f64 / masses.total as f64;
        assert!((share - (0.5 + 1e-10) / (1.0 + 1e-10)).abs() < 1e-16);
        let equal = integer_masses(&[0.25; 4], &[1.0 / 6.0; 6]);
        assert_eq!((equal.source, equal.target), (vec![3; 4], vec![2; 6]));
    }
}
