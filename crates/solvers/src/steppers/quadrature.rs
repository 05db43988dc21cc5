//! Integrals to rounding, for the coefficients of exponential integrators.

use std::sync::LazyLock;

/// Nodes in `(-1, 1)` and weights of the Gauss-Legendre rule of 16 points.
static GAUSS: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| gauss_legendre(16));

/// Newton's method on the Legendre polynomial of degree `n`.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let rule = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..50 {
            let (mut p, mut before) = (1.0, 0.0);
            for k in 0..n {
                let k = k as f64;
                (p, before) = (((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0), p);
            }
            slope = n as f64 * (x * p - before) / (x * x - 1.0);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(rule).collect()
}

/// The rule over one panel: the integrals, and those of the absolute values.
fn panel<E>(
    f: &mut dyn FnMut(f64) -> Result<Vec<f64>, E>,
    a: f64,
    b: f64,
) -> Result<(Vec<f64>, f64), E> {
    let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
    let (mut sums, mut size) = (vec![], 0.0);
    for (x, w) in GAUSS.iter() {
        let values = f(middle + half * x)?;
        sums.resize(values.len(), 0.0);
        for (sum, v) in sums.iter_mut().zip(values) {
            *sum += w * half * v;
            size += (w * half * v).abs();
        }
    }
    Ok((sums, size))
}

/// The integrals from `a` to `b` of functions computed together: panels are halved until that
/// changes nothing above rounding, at most twelve times (which only a kink asks for).
pub(super) fn integrate<E>(
    f: &mut dyn FnMut(f64) -> Result<Vec<f64>, E>,
    a: f64,
    b: f64,
) -> Result<Vec<f64>, E> {
    let (whole, size) = panel(f, a, b)?;
    let mut total = vec![0.0; whole.len()];
    let mut open = vec![(a, b, whole, 0)];
    while let Some((a, b, whole, depth)) = open.pop() {
        let middle = 0.5 * (a + b);
        let (left, right) = (panel(f, a, middle)?.0, panel(f, middle, b)?.0);
        let halves: Vec<f64> = left.iter().zip(&right).map(|(l, r)| l + r).collect();
        let change = halves.iter().zip(&whole).fold(0.0_f64, |c, (h, w)| c.max((h - w).abs()));
        if change > 1e-14 * size && depth < 12 {
            open.push((a, middle, left, depth + 1));
            open.push((middle, b, right, depth + 1));
        } else {
            total.iter_mut().zip(halves).for_each(|(t, h)| *t += h);
        }
    }
    Ok(total)
}
