//! Logistic regression with a ridge, by Newton's method.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::scale::Unit;

/// Coordinates up to which products of two are features.
const PRODUCTS: usize = 20;
/// Newton's method on a convex function takes about ten.
const MAX_STEPS: usize = 100;

/// For every point asked about one if it rather belongs to the second half of the training points, else
/// zero.
pub(super) fn predict(learn: ArrayView2<f64>, ask: ArrayView2<f64>, ridge: f64) -> Vec<f64> {
    let (mean, spread) = scales(learn);
    let raw = |cloud: ArrayView2<f64>| features(&((&cloud - &mean) / &spread));
    let (learn, ask) = (raw(learn), raw(ask));
    // Features are standardised themselves: the ridge then weighs all of them alike.
    let (mean, spread) = scales(learn.view());
    let ready = |cloud: Array2<f64>| with_constant((cloud - &mean) / &spread);
    let (learn, ask) = (ready(learn), ready(ask));
    let weights = fit(&learn, ridge);
    ask.dot(&weights).iter().map(|logit| f64::from(*logit > 0.0)).collect()
}

/// Mean and standard deviation of the columns; one where all values are equal.
fn scales(cloud: ArrayView2<f64>) -> (Array1<f64>, Array1<f64>) {
    let mean = cloud.sum_axis(Axis(0)) / cloud.nrows() as f64;
    let spread = |(column, mean): (ArrayView1<f64>, &f64)| {
        let unit = Unit::of_largest(column.iter().map(|value| value - mean));
        let square = column.iter().map(|value| unit.measure(value - mean).powi(2)).sum::<f64>();
        let deviation = unit.back((square / cloud.nrows() as f64).sqrt(), 1.0);
        // Rounding of a constant is no spread.
        if deviation > 1e-12 * mean.abs() && deviation > 0.0 { deviation } else { 1.0 }
    };
    let spread = cloud.columns().into_iter().zip(&mean).map(spread).collect();
    (mean, spread)
}

/// The coordinates, their squares and, of few, their products.
fn features(cloud: &Array2<f64>) -> Array2<f64> {
    let d = cloud.ncols();
    let pairs: Vec<(usize, usize)> = (0..d)
        .flat_map(|i| (i..d).map(move |j| (i, j)))
        .filter(|(i, j)| i == j || d <= PRODUCTS)
        .collect();
    Array2::from_shape_fn((cloud.nrows(), d + pairs.len()), |(row, k)| match k.checked_sub(d) {
        None => cloud[[row, k]],
        Some(at) => cloud[[row, pairs[at].0]] * cloud[[row, pairs[at].1]],
    })
}

/// A last column of ones.
fn with_constant(cloud: Array2<f64>) -> Array2<f64> {
    let d = cloud.ncols();
    Array2::from_shape_fn((cloud.nrows(), d + 1), |(i, k)| if k < d { cloud[[i, k]] } else { 1.0 })
}

/// The coefficients that maximise the penalised log-likelihood of "is in the second half"; the
/// constant, last, is free.
fn fit(cloud: &Array2<f64>, ridge: f64) -> Array1<f64> {
    let (n, p) = cloud.dim();
    let label = |i: usize| if i >= n / 2 { 1.0 } else { 0.0 };
    let penalty = Array1::from_shape_fn(p, |k| if k + 1 < p { ridge } else { 0.0 });
    // log(1 + exp(z)) without overflow.
    let soft = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
    let loss = |weights: &Array1<f64>| -> f64 {
        let logits = cloud.dot(weights);
        let data: f64 = logits.iter().enumerate().map(|(i, z)| soft(*z) - label(i) * z).sum();
        data + 0.5 * (&penalty * weights * weights).sum()
    };
    let mut weights = Array1::<f64>::zeros(p);
    let mut current = loss(&weights);
    for _ in 0..MAX_STEPS {
        let chances = cloud.dot(&weights).mapv(|z| 1.0 / (1.0 + (-z).exp()));
        let miss = Array1::from_shape_fn(n, |i| label(i) - chances[i]);
        let gradient = cloud.t().dot(&miss) - &penalty * &weights;
        let curvature = chances.mapv(|c| c * (1.0 - c)).insert_axis(Axis(1));
        let hessian = cloud.t().dot(&(cloud * &curvature));
        // A trace of ridge for the constant too: where all is told perfectly it has no curvature.
        let matrix = Mat::from_fn(p, p, |i, j| {
            hessian[[i, j]] + if i == j { penalty[i] + 1e-9 * ridge } else { 0.0 }
        });
        let Ok(factor) = matrix.llt(Side::Lower) else { break };
        let step = factor.solve(&Mat::from_fn(p, 1, |i, _| gradient[i]));
        let step = Array1::from_shape_fn(p, |i| step[(i, 0)]);
        let decrease = gradient.dot(&step);
        let mut length = 1.0;
        let mut better = None;
        while length > 1e-6 {
            let trial = &weights + &(&step * length);
            let value = loss(&trial);
            if value <= current - 1e-4 * length * decrease {
                better = Some((trial, value));
                break;
            }
            length *= 0.5;
        }
        let Some((trial, value)) = better else { break };
        (weights, current) = (trial, value);
        if decrease <= 1e-12 * current.abs() {
            break;
        }
    }
    weights
}
