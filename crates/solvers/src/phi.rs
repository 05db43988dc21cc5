//! The phi functions of exponential integrators.

/// `phi_k(z) = sum_j z^j / (j + k)!`: `phi_0 = e^z`, `phi_{k+1}(z) = (phi_k(z) - 1/k!) / z`, without
/// cancellation near `z = 0`.
///
/// # Reference
/// Hochbruck, Ostermann 2010, "Exponential integrators", section 2.1.
pub(crate) fn phi(k: usize, z: f64) -> f64 {
    if k == 0 {
        return z.exp();
    }
    if z.abs() < 1.5 {
        // The terms fall faster than 1.5^j / j!.
        let factorial: f64 = (1..=k).map(|i| i as f64).product();
        let (mut term, mut sum) = (1.0 / factorial, 0.0);
        for j in 1..=24 {
            sum += term;
            term *= z / (j + k) as f64;
        }
        return sum;
    }
    let (mut value, mut inverse_factorial) = (z.exp_m1() / z, 1.0);
    for i in 1..k {
        inverse_factorial /= i as f64;
        value = (value - inverse_factorial) / z;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::phi;

    #[test]
    fn both_branches_agree_with_the_defining_recursion() {
        for z in [-30.0, -3.0, -1.5, -1.499_999_999, -0.4, 1e-9, 0.7, 1.499_999_999, 1.5, 5.0] {
            let mut inverse_factorial = 1.0;
            for k in 0..4 {
                if k > 0 {
                    inverse_factorial /= f64::from(k);
                }
                let (this, next) = (phi(k as usize, z), phi(k as usize + 1, z));
                let gap = this - (z * next + inverse_factorial);
                assert!(gap.abs() < 1e-15 * (1.0 + this.abs()) * 4.0, "phi_{k}({z}): {gap:e}");
            }
        }
        assert_eq!((phi(1, 0.0), phi(2, 0.0), phi(3, 0.0)), (1.0, 0.5, 1.0 / 6.0));
        // The two branches meet.
        let (below, above) = (phi(4, 1.5 - 1e-13), phi(4, 1.5));
        assert!((below - above).abs() < 1e-13, "{below} {above}");
    }
}
