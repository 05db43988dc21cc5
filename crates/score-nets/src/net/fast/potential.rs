//! A potential on the kernels: gradients, Hessian products, derivatives, losses of operators.

use candle_core::Tensor;
use sde_core::Derivatives;

use super::{in_parallel, vector::values};
use crate::time::Scales;
use crate::{
    Gradients, OperatorRow, Result, ScoreNet,
    fused::{self, FusedMlp},
    net::{graph::Times, operator::Operated},
};

/// The gradient of every row by its last `dim` inputs, `[B, D]`.
pub(super) fn gradients(net: &FusedMlp, u: &[f32], dim: usize) -> Vec<f32> {
    let (k, rows) = (net.inputs(), u.len() / net.inputs());
    let mut grad = vec![0.0; rows * dim];
    if in_parallel(rows) {
        net.par_grad(u, k - dim..k, &mut grad);
    } else {
        net.grad(u, k - dim..k, &mut grad);
    }
    grad
}

/// The gradient of every row and the product of its Hessian with a direction, `[B, K]` each.
pub(super) fn hessian_products(net: &FusedMlp, u: &[f32], du: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut grad, mut product) = (vec![0.0; u.len()], vec![0.0; u.len()]);
    if in_parallel(u.len() / net.inputs()) {
        net.par_hessian_product(u, du, &mut grad, &mut product);
    } else {
        net.hessian_product(u, du, &mut grad, &mut product);
    }
    (grad, product)
}

impl ScoreNet {
    /// The potential of rows on the kernels.
    pub(super) fn potential_fused(
        &self,
        net: &FusedMlp,
        x: &Tensor,
        times: Times<'_>,
    ) -> Result<Vec<f64>> {
        self.check_batch(x, times.each())?;
        times.check(self.sde())?;
        let (d, points) = (self.dim(), x.flatten_all()?.to_vec1::<f32>()?);
        let inputs = self.inputs(&points, times, false);
        let with_base = |(row, part): (usize, f32)| {
            let (s, x) = (inputs.scales(row), &points[row * d..(row + 1) * d]);
            let square: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            f64::from(part) - 0.5 * square * s.precision - 0.5 * d as f64 * s.log_v
        };
        Ok(values(net, &inputs.u).into_iter().enumerate().map(with_base).collect())
    }

    /// Potential, score, time derivative and Laplacian of rows on the kernels.
    pub(super) fn derivatives_fused(
        &self,
        net: &FusedMlp,
        x: &Tensor,
        t: &[f64],
    ) -> Result<Derivatives<Tensor>> {
        let rows = self.check_batch(x, Some(t))?;
        Times::Each(t).check(self.sde())?;
        let (d, e, k) = (self.dim(), self.time.width(), self.config.n_inputs());
        let points = x.flatten_all()?.to_vec1::<f32>()?;
        let inputs = self.inputs(&points, Times::Each(t), true);
        let space: Vec<usize> = (e..k).collect();
        let (mut value, mut lap) = (vec![0.0; rows], vec![0.0; rows]);
        let mut grad = vec![0.0; rows * k];
        if in_parallel(rows) {
            net.par_laplacian(&inputs.u, &space, Some(&mut value), &mut grad, &mut lap);
        } else {
            net.laplacian(&inputs.u, &space, Some(&mut value), &mut grad, &mut lap);
        }
        let half_d = 0.5 * d as f64;
        let mut result = Derivatives {
            potential: Vec::with_capacity(rows),
            score: self.with_base(&inputs, &points, &grad)?,
            d_t: Vec::with_capacity(rows),
            laplacian: Vec::with_capacity(rows),
        };
        for row in 0..rows {
            let s = inputs.scales(row);
            let (u, g) = (&inputs.u[row * k..(row + 1) * k], &grad[row * k..(row + 1) * k]);
            let rates = &inputs.rates[row * e..(row + 1) * e];
            let square: f64 =
                points[row * d..(row + 1) * d].iter().map(|&x| f64::from(x).powi(2)).sum();
            let half_square = 0.5 * square * s.precision;
            let moving = s.dlogk * dot(&u[e..], &g[e..]) + dot(rates, &g[..e]);
            result.potential.push(f64::from(value[row]) - half_square - half_d * s.log_v);
            result.d_t.push(moving + (half_square - half_d) * s.dlog_v);
            result.laplacian.push(f64::from(lap[row]) * s.k * s.k - d as f64 * s.precision);
        }
        Ok(result)
    }

    /// The loss of an operator and its gradients on the kernels.
    pub(super) fn operator_loss_fused(
        &self,
        net: &FusedMlp,
        all: &Operated<'_>,
    ) -> Result<(f64, Gradients)> {
        let Operated { x, t, operator, .. } = *all;
        let (d, e, k) = (self.dim(), self.time.width(), self.config.n_inputs());
        let x32: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let inputs = self.inputs(&x32, Times::Each(t), true);
        let space: Vec<usize> = (e..k).collect();
        // The operator at a row: its direction in x, the coefficient of the Laplacian, the remainder.
        let at = |row: usize, grad: &[f32], direction: &mut [f64]| {
            let s = inputs.scales(row);
            let mut score = [0.0; fused::MAX_INPUTS];
            let x = &x[row * d..(row + 1) * d];
            for j in 0..d {
                score[j] = s.k * f64::from(grad[e + j]) - s.precision * x[j];
            }
            operator(&OperatorRow { row, t: t[row], x, score: &score[..d] }, direction)
        };
        let mut gradients = net.zero_gradients();
        let loss = net.operator_loss(
            &inputs.u,
            &space,
            |samples, coefficients| {
                let mut direction = [0.0; fused::MAX_INPUTS];
                for i in 0..samples.count {
                    let row = samples.first + i;
                    let (s, own) = (inputs.scales(row), i * k..(i + 1) * k);
                    let (l, _) = at(row, &samples.grad[own.clone()], &mut direction[..d]);
                    let m = &mut coefficients.direction[own.clone()];
                    m[..e].copy_from_slice(&inputs.rates[row * e..(row + 1) * e]);
                    for j in 0..d {
                        let u = f64::from(samples.u[own.start + e + j]);
                        m[e + j] = (s.dlogk * u + s.k * direction[j]) as f32;
                    }
                    coefficients.laplacian[i] = (l * s.k * s.k) as f32;
                }
            },
            |samples, values, cotangents| {
                let mut direction = [0.0; fused::MAX_INPUTS];
                let mut loss = 0.0;
                for i in 0..samples.count {
                    let row = samples.first + i;
                    let s = inputs.scales(row);
                    let grad = &samples.grad[i * k..(i + 1) * k];
                    let (l, remainder) = at(row, grad, &mut direction[..d]);
                    let x = &x[row * d..(row + 1) * d];
                    let base = base_operator(s, x, &direction, l);
                    let residual = f64::from(values[i]) + base + remainder;
                    loss += all.share(row) * residual * residual;
                    cotangents[i] = (2.0 * all.share(row) * residual) as f32;
                }
                loss
            },
            &mut gradients,
        );
        Ok((loss, self.store(&gradients)?))
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// What the closed-form part adds to an operator with this direction and coefficient `l` of the Laplacian.
fn base_operator(s: &Scales, x: &[f64], direction: &[f64], l: f64) -> f64 {
    let square: f64 = x.iter().map(|x| x * x).sum();
    let along: f64 = x.iter().zip(direction).map(|(x, c)| x * c).sum();
    let d = x.len() as f64;
    0.5 * (square * s.precision - d) * s.dlog_v - s.precision * (along + l * d)
}
