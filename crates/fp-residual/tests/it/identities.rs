//! The residual determines what the samplers draw from.
//!
//! For a potential with score `s`, and the family
//! `dx = [f - (1 + eta^2)/2 g^2 s] dt + eta g dW` run backward from `p_T`, at `t = 0`
//!
//! `log p_eta(x) = phi(x, 0) + log E exp(h(X_T) + int_0^T R(X_t, t) dt)`,
//! `dX = (f - (1 - eta^2)/2 g^2 s) dt + eta g dW`, `X_0 = x`, `h = log p_T - phi(., T)`.
//!
//! The test case: `dX = -X dt + dW` on [0, 1], `phi = -x^2 / (2 a)` with `a = 0.8` at all times,
//! started from N(0, 1/2). The score is linear, so both samplers end in a Gaussian of known variance:
//! - ODE, `x' = (-1 + 1/(2a)) x`: `V = e^{(2 - 1/a)} / 2 = 1.0585000083`;
//! - SDE, backward `dx = (1/a - 1) x dt + dW`, in `tau = T - t`: `V' = -2 (1/a - 1) V + 1`, hence
//!   `V = e^{-2k} / 2 + (1 - e^{-2k}) / (2k) = 1.0902040104` with `k = 1/a - 1`.

use fp_residual::potential_residual;
use ndarray::{Array2, array};
use sde_core::{Derivatives, Ou, Potential, Result, Score};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const A: f64 = 0.8;
const V_T: f64 = 0.5;

struct Wrong;

impl Score<Array2<f64>> for Wrong {
    fn score(&self, x: &Array2<f64>, _: f64) -> Result<Array2<f64>> {
        Ok(x.mapv(|x| -x / A))
    }
}

impl Potential<Array2<f64>> for Wrong {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        Ok(Derivatives {
            potential: x.iter().map(|x| phi(*x)).collect(),
            score: self.score(x, 0.0)?,
            d_t: vec![0.0; t.len()],
            laplacian: vec![-1.0 / A; t.len()],
        })
    }
}

fn phi(x: f64) -> f64 {
    -x * x / (2.0 * A)
}

fn log_normal(x: f64, v: f64) -> f64 {
    -0.5 * (x * x / v + (std::f64::consts::TAU * v).ln())
}

fn residual(x: f64, t: f64) -> f64 {
    let sde = Ou::new(1.0).unwrap();
    potential_residual(&Wrong, &array![[x]], &[t], &sde).unwrap()[0]
}

/// Simpson's rule and the classical Runge-Kutta method with `N` steps: errors near 1e-13.
const N: usize = 2000;

#[test]
fn line_integral_gives_the_ode_density() -> Outcome {
    let v_ode = 0.5 * (2.0 - 1.0 / A).exp();
    assert!((v_ode - 1.058_500_008_3).abs() < 1e-10);
    let rate = -1.0 + 0.5 / A;
    for x0 in [-1.7, 0.0, 0.4, 2.2] {
        let path = |t: f64| x0 * (rate * t).exp();
        let mut integral = 0.0;
        for i in 0..=N {
            let t = i as f64 / N as f64;
            let weight = if i == 0 || i == N { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
            integral += weight * residual(path(t), t) / (3.0 * N as f64);
        }
        let end = path(1.0);
        let found = phi(x0) + log_normal(end, V_T) - phi(end) + integral;
        assert!((found - log_normal(x0, v_ode)).abs() < 1e-10, "x = {x0}: {found}");
    }
    Ok(())
}

#[test]
fn feynman_kac_gives_the_sde_density() -> Outcome {
    let k = 1.0 / A - 1.0;
    let v_sde = 0.5 * (-2.0 * k).exp() + (1.0 - (-2.0 * k).exp()) / (2.0 * k);
    assert!((v_sde - 1.090_204_010_4).abs() < 1e-10);
    // R is quadratic in x; its coefficients, from our residual at three points.
    let (low, middle, high) = (residual(-1.0, 0.3), residual(0.0, 0.3), residual(1.0, 0.3));
    assert_eq!(low, high);
    let (q, c) = (high - middle, middle);
    assert!((residual(2.5, 0.9) - (c + q * 6.25)).abs() < 1e-13);
    // u(x, t) = E[exp(h(X_T) + int_t^T R) | X_t = x] = exp(m + n x^2) over the forward process:
    // -n' = -2 n + 2 n^2 + q, -m' = n + c, from h at t = T.
    let mut n = -0.5 / V_T + 0.5 / A;
    let mut m = -0.5 * (std::f64::consts::TAU * V_T).ln();
    let step = 1.0 / N as f64;
    let slope = |n: f64| (-2.0 * n + 2.0 * n * n + q, n + c);
    for _ in 0..N {
        let (n1, m1) = slope(n);
        let (n2, m2) = slope(n + 0.5 * step * n1);
        let (n3, m3) = slope(n + 0.5 * step * n2);
        let (n4, m4) = slope(n + step * n3);
        n += step * (n1 + 2.0 * n2 + 2.0 * n3 + n4) / 6.0;
        m += step * (m1 + 2.0 * m2 + 2.0 * m3 + m4) / 6.0;
    }
    for x in [-1.7, 0.0, 0.4, 2.2] {
        let found = phi(x) + m + n * x * x;
        assert!((found - log_normal(x, v_sde)).abs() < 1e-10, "x = {x}: {found}");
    }
    let w2 = (v_sde.sqrt() - (0.5 * (2.0 - 1.0 / A).exp()).sqrt()).powi(2);
    assert!((w2 - 2.339_080_8e-4).abs() < 1e-11, "{w2}");
    Ok(())
}
