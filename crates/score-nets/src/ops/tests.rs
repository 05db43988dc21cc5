//! The operations against their definition and against central differences.

mod activations;
mod conv;
mod graph;
mod kernels;
mod others;
mod refused;

use crate::{Backend, Result};
use candle_core::{DType, Device, Tensor, Var};
use sde_core::Key;

/// Normal numbers, the same on every run.
fn normals(seed: u64, shape: &[usize]) -> Tensor {
    let mut x = vec![0.0; shape.iter().product()];
    Key::root(seed).fill_normals(0, &mut x);
    Tensor::from_vec(x, shape, &Device::Cpu).expect("as many as the shape says")
}

fn numbers(x: &Tensor) -> Vec<f64> {
    let x = x.to_dtype(DType::F64).and_then(|x| x.flatten_all()).expect("a tensor of numbers");
    x.to_vec1().expect("a tensor of numbers")
}

/// Holds `found` against `expected` to `tolerance` of the largest number.
#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs() / scale;
        assert!(error <= tolerance, "{what}: {f} for {e} at {i}, {error:.1e} of {scale:.2e}");
    }
}

/// The value of `f` and the gradients of a fixed combination of its numbers.
fn value_and_gradients(
    args: &[Tensor],
    f: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> (Tensor, Vec<Tensor>) {
    let vars: Vec<Var> = args.iter().map(|a| Var::from_tensor(a).expect("a variable")).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tensors).expect("it computes");
    let loss = combination(&y);
    let grads = loss.backward().expect("it has gradients");
    let of = |var: &Var| grads.get(var).expect("every argument has a gradient").clone();
    (y.detach(), vars.iter().map(of).collect())
}

fn combination(y: &Tensor) -> Tensor {
    let weights = normals(999, y.dims()).to_dtype(y.dtype()).expect("a number type");
    let weights = weights.to_device(y.device()).expect("is copied");
    y.mul(&weights).and_then(|y| y.sum_all()).expect("a number")
}

/// Holds the gradients of `f` at `args`, in double precision, against central differences, on every device.
#[track_caller]
fn check_gradients(args: &[Tensor], f: &dyn Fn(&[Tensor]) -> Result<Tensor>, what: &str) {
    for device in Backend::devices() {
        let there = |x: &Tensor| x.to_device(&device).expect("is copied");
        let args: Vec<Tensor> = args.iter().map(there).collect();
        check_gradients_there(&args, f, &format!("{what} on {:?}", device.location()));
    }
}

#[track_caller]
fn check_gradients_there(args: &[Tensor], f: &dyn Fn(&[Tensor]) -> Result<Tensor>, what: &str) {
    let (_, gradients) = value_and_gradients(args, f);
    let step = 1e-5;
    for (number, gradient) in gradients.iter().enumerate() {
        assert_eq!(gradient.dims(), args[number].dims(), "{what}: gradient {number}");
        let at = numbers(&args[number]);
        let loss = |i: usize, step: f64| {
            let mut moved = at.clone();
            moved[i] += step;
            let mut args = args.to_vec();
            args[number] = Tensor::from_vec(moved, args[number].dims(), args[number].device())
                .expect("the shape it had");
            numbers(&combination(&f(&args).expect("it computes")))[0]
        };
        let expected: Vec<f64> =
            (0..at.len()).map(|i| (loss(i, step) - loss(i, -step)) / (2.0 * step)).collect();
        // Rounding leaves 1e-16 / step, the third derivative step^2.
        close(&numbers(gradient), &expected, 3e-8, &format!("{what}: gradient {number}"));
    }
}
