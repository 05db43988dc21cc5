//! Pieces of layers made of tensors: activations over arrays, gradients of linear layers over many rows.

use super::images::check_threads;
use super::{close, doubles, isas, numbers};
use crate::Activation;
use crate::fused::Isa;
use crate::fused::layer::{self, Size};
use crate::fused::maps;
use crate::fused::pointwise::Derivative;
use candle_core::{Device, Tensor};

const ACTIVATIONS: [Activation; 5] = [
    Activation::Softplus { beta: 1.0 },
    Activation::Softplus { beta: 100.0 },
    Activation::Silu,
    Activation::Tanh,
    Activation::Sin,
];

/// The derivatives of order 0 to 4 at `z`, in double precision, by candle's operations.
fn derivatives(activation: Activation, z: &[f32]) -> Vec<Vec<f64>> {
    let z = Tensor::from_vec(doubles(z), z.len(), &Device::Cpu).expect("a tensor");
    let at = activation.at(&z).expect("it computes");
    let of = |order| at.derivative(order).and_then(|y| Ok(y.to_vec1()?));
    (0..5).map(|order| of(order).expect("numbers")).collect()
}

/// To some units in the last place of the largest value: `1 - s` is off by one of them, and SiLU multiplies it
/// by `z`.
#[track_caller]
fn check_values(z: &[f32], found: &[f32], expected: &[f64], what: &str) {
    let scale = expected.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
    for ((&z, &f), &e) in z.iter().zip(found).zip(expected) {
        let error = (f64::from(f) - e).abs() / scale;
        assert!(error <= 2e-6 * f64::from(z.abs()).max(1.0), "{what}: {f} for {e} at {z}");
    }
}

#[test]
fn activations_agree_with_double_precision_on_every_instruction_set() {
    let z: Vec<f32> = (0..4001).map(|i| (i as f32 - 2000.0) * 0.01).collect();
    let (g, dy) = (numbers(1, z.len()), numbers(2, z.len()));
    let times =
        |f: &[f32], g: &[f32]| -> Vec<f32> { f.iter().zip(g).map(|(f, g)| f * g).collect() };
    for activation in ACTIVATIONS {
        let expected = derivatives(activation, &z);
        for isa in isas() {
            let at = |order| Derivative { activation: activation.fused(), order };
            for (order, expected) in expected.iter().enumerate() {
                let what = format!("{activation:?} {order} {isa}");
                let value = at(order).of(isa, &z);
                check_values(&z, &value, expected, &what);
                assert_eq!(at(order).times(isa, &z, &g), times(&value, &g), "{what}");
                if order < 4 {
                    let (dz, dg) = at(order).gradients(isa, &z, &g, &dy);
                    assert_eq!(dz, times(&times(&at(order + 1).of(isa, &z), &g), &dy), "{what}");
                    assert_eq!(dg, times(&value, &dy), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_row_is_as_good_as_its_copies() {
    let (row, z, dy) = (numbers(1, 21), numbers(2, 21 * 900), numbers(3, 21 * 900));
    let copies = row.repeat(900);
    for isa in isas() {
        let f = Derivative { activation: Activation::Silu.fused(), order: 1 };
        assert_eq!(f.times(isa, &z, &row), f.times(isa, &z, &copies), "{isa}");
        assert_eq!(f.gradients(isa, &z, &row, &dy), f.gradients(isa, &z, &copies, &dy), "{isa}");
        assert_eq!(maps::mul(isa, &z, &row), maps::mul(isa, &z, &copies), "{isa}");
        let products = z.iter().zip(&copies).map(|(z, g)| z * g).collect::<Vec<_>>();
        assert_eq!(maps::mul(isa, &z, &row), products, "{isa}");
    }
}

const SIZES: [Size; 6] = [
    Size { rows: 1024, inputs: 3, outputs: 80 },
    Size { rows: 1030, inputs: 80, outputs: 80 },
    Size { rows: 2000, inputs: 17, outputs: 1 },
    Size { rows: 1100, inputs: 128, outputs: 33 },
    Size { rows: 40_000, inputs: 5, outputs: 6 },
    Size { rows: 1, inputs: 1, outputs: 1 },
];

#[test]
fn gradients_of_layers_agree_with_the_definition_on_every_instruction_set() {
    for size in SIZES {
        let Size { rows, inputs, outputs } = size;
        let (x, dy) = (numbers(1, rows * inputs), numbers(2, rows * outputs));
        let (mut dw, mut db) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
        for (x, dy) in x.chunks(inputs).zip(dy.chunks(outputs)) {
            for (o, &dy) in dy.iter().enumerate() {
                db[o] += f64::from(dy);
                for (i, &x) in x.iter().enumerate() {
                    dw[o * inputs + i] += f64::from(dy) * f64::from(x);
                }
            }
        }
        for isa in isas() {
            let found = layer::gradients(isa, size, &x, &dy);
            close(&found.0, &dw, 2e-6, &format!("weights, {size:?} {isa}"));
            close(&found.1, &db, 2e-6, &format!("bias, {size:?} {isa}"));
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_layer() {
    let isa = Isa::detect();
    for size in SIZES {
        let Size { rows, inputs, outputs } = size;
        let (x, dy) = (numbers(1, rows * inputs), numbers(2, rows * outputs));
        check_threads(&format!("{size:?}"), || {
            let (dw, db) = layer::gradients(isa, size, &x, &dy);
            [dw, db].concat()
        });
    }
    let (z, g, row) = (numbers(1, 50_001), numbers(2, 50_001), numbers(3, 21));
    let f = Derivative { activation: Activation::Tanh.fused(), order: 2 };
    check_threads("activation", || {
        let (dz, dg) = f.gradients(isa, &z, &row, &g);
        [f.of(isa, &z), f.times(isa, &z, &g), maps::mul(isa, &z, &row), dz, dg].concat()
    });
}
