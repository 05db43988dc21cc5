//! Activations with their derivatives, and products.

use super::kernels::{check_batches, check_single, single};
use super::{check_gradients, close, normals, numbers};
use crate::Activation;
use crate::ops::{activation, activation_times, mul};
use candle_core::Tensor;

const ACTIVATIONS: [Activation; 5] = [
    Activation::Softplus { beta: 0.7 },
    Activation::Softplus { beta: 3.0 },
    Activation::Silu,
    Activation::Tanh,
    Activation::Sin,
];

#[test]
fn activations_are_what_their_definitions_say() {
    let z = normals(1, &[3, 7]);
    for a in ACTIVATIONS {
        let of = |z: &f64| match a {
            Activation::Softplus { beta } => (beta * z).exp().ln_1p() / beta,
            Activation::Silu => z / (1.0 + (-z).exp()),
            Activation::Tanh => z.tanh(),
            Activation::Sin => z.sin(),
        };
        let expected: Vec<f64> = numbers(&z).iter().map(of).collect();
        let y = activation(&z, a, 0).expect("it computes");
        close(&numbers(&y), &expected, 1e-14, &format!("{a:?}"));
    }
}

/// The gradient of a derivative is the next one: so each is held against differences of the one before, up to
/// the fourth.
#[test]
fn derivatives_of_activations_agree_with_central_differences() {
    let args = [normals(1, &[3, 7]), normals(2, &[3, 7])];
    for a in ACTIVATIONS {
        for order in 0..=3 {
            let what = format!("{a:?} {order}");
            check_gradients(&args[..1], &|args| activation(&args[0], a, order), &what);
            let f = |args: &[Tensor]| activation_times(&args[0], &args[1], a, order);
            check_gradients(&args, &f, &what);
        }
    }
}

#[test]
fn derivatives_in_single_precision_agree_with_double() {
    for len in [1, 7, 16, 1000, 40_000] {
        let args = [(normals(1, &[len]) * 3.0).expect("a product"), normals(2, &[len])];
        for a in ACTIVATIONS {
            for order in 0..=3 {
                let what = format!("{a:?} {order} {len}");
                check_single(&args[..1], &|args| activation(&args[0], a, order), 3e-6, &what);
                let f = |args: &[Tensor]| activation_times(&args[0], &args[1], a, order);
                check_single(&args, &f, 3e-6, &what);
            }
        }
    }
}

/// Shapes that are broadcast to each other: rows, columns, both.
const SHAPES: [[&[usize]; 2]; 7] = [
    [&[3, 4, 20], &[1, 20]],
    [&[5, 20], &[20]],
    [&[5, 4], &[1, 4]],
    [&[5, 4], &[5, 1]],
    [&[1, 20], &[6, 20]],
    [&[2, 1], &[1, 3]],
    [&[3, 17], &[1, 1, 17]],
];

#[test]
fn what_is_broadcast_has_the_sum_of_the_gradients() {
    for [a, b] in SHAPES {
        let args = [normals(1, a), normals(2, b)];
        let what = format!("{a:?} and {b:?}");
        let product = |args: &[Tensor]| mul(&args[0], &args[1]);
        let sloped = |args: &[Tensor]| activation_times(&args[0], &args[1], Activation::Silu, 1);
        let expected = args[0].broadcast_mul(&args[1]).expect("they fit");
        for dims in [product(&args), sloped(&args)].map(|y| y.expect("it computes").dims().to_vec())
        {
            assert_eq!(dims, expected.dims(), "{what}");
        }
        close(&numbers(&product(&args).expect("it computes")), &numbers(&expected), 0.0, &what);
        check_gradients(&args, &product, &what);
        check_gradients(&args, &sloped, &what);
        check_single(&args, &product, 1e-6, &what);
        check_single(&args, &sloped, 2e-6, &what);
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch_in_an_activation() {
    let row = single(&normals(2, &[1, 19]));
    for a in ACTIVATIONS {
        check_batches(&[4, 8, 9], &|x| activation(x, a, 1), "activation");
        check_batches(&[9, 19], &|x| activation_times(x, &row, a, 1), "activation_times");
    }
    check_batches(&[9, 19], &|x| mul(x, &row), "mul");
    let square = normals(1, &[700, 30]);
    check_single(&[square], &|args| mul(&args[0], &args[0]), 1e-6, "a square");
}
