//! Networks with several outputs against their definition, and the same promises about order.

use super::tape::{self, Tape};
use super::{ACTIVATIONS, Net, SIZES, close, close_of, doubles, flat, isas, numbers};
use crate::fused::{Activation, FusedMlp, Gradients, OutputSamples};

/// How many outputs are tried: fewer and more than a register holds.
const OUTPUTS: [usize; 4] = [1, 2, 3, 20];

/// Calls `check` for all sizes, numbers of outputs and activations with the network, a name and the
/// kernels of all instruction sets.
fn for_all(check: impl Fn(&Net, Activation, &[FusedMlp], &str)) {
    for (s, sizes) in SIZES.iter().enumerate() {
        for outputs in OUTPUTS {
            let net = Net::with_outputs(100 * s as u64 + 1, sizes, outputs);
            for activation in ACTIVATIONS {
                let with = |isa| FusedMlp::with_isa(&net.layers(), activation, isa);
                let mlps: Vec<_> = isas().map(|isa| with(isa).expect("qualifies")).collect();
                check(&net, activation, &mlps, &format!("{sizes:?} {outputs} {activation:?}"));
            }
        }
    }
}

/// The pairs that are summed: the last inputs with the outputs, as a divergence has them, and one
/// that is not on that diagonal.
fn pairs(k: usize, o: usize) -> Vec<(usize, usize)> {
    let diagonal = k.min(o);
    (0..diagonal).map(|j| (k - diagonal + j, j)).chain([(0, o - 1)]).collect()
}

/// The loss `sum |N - target|^2 / 2` of a block.
fn matching(targets: &[f64], samples: OutputSamples<'_>, v: &mut [f32]) -> f64 {
    let targets = &targets[samples.first * (v.len() / samples.count)..];
    let mut loss = 0.0;
    for ((v, &y), &t) in v.iter_mut().zip(samples.values).zip(targets) {
        assert_eq!(*v, 0.0);
        let e = f64::from(y) - t;
        *v = e as f32;
        loss += 0.5 * e * e;
    }
    loss
}

#[test]
fn values_and_derivatives_agree_with_the_definition() {
    for_all(|net, activation, mlps, what| {
        let (k, o, n) = (mlps[0].inputs(), mlps[0].outputs(), 3);
        let (u, v) = (numbers(5, n * k), numbers(6, n * k));
        let pairs = pairs(k, o);
        let mut expected = [const { Vec::new() }; 3];
        // The entries of a trace may cancel: rounding is in proportion to their magnitudes.
        let mut magnitude = 0.0_f64;
        let tape = Tape::default();
        let parameters = tape::parameters(&tape, &net.layers());
        for (u, v) in u.chunks(k).zip(v.chunks(k)) {
            let out = tape::evaluate(&tape, &parameters, activation, &doubles(u), &[]);
            expected[0].extend(out.iter().map(|out| out.value.value));
            let along = |out: &tape::Outcome<'_>| {
                out.grad.iter().zip(v).map(|(g, &v)| g.value * f64::from(v)).sum::<f64>()
            };
            expected[1].extend(out.iter().map(along));
            let entries = pairs.iter().map(|&(i, o)| out[o].grad[i].value);
            expected[2].push(entries.clone().sum());
            magnitude = magnitude.max(entries.map(f64::abs).sum());
        }
        for mlp in mlps {
            let what = format!("{what} {:?}", mlp.isa());
            let [mut values, mut again, mut tangents] = std::array::from_fn(|_| vec![0.0; n * o]);
            let mut trace = vec![0.0; n];
            mlp.values(&u, &mut values);
            close(&values, &expected[0], 2e-6, &format!("values {what}"));
            mlp.tangent(&u, &v, &mut again, &mut tangents);
            close(&tangents, &expected[1], 4e-6, &format!("tangents {what}"));
            assert_eq!(values, again, "{what}");
            mlp.trace(&u, &pairs, Some(&mut again), &mut trace);
            close_of(magnitude, &trace, &expected[2], 4e-6, &format!("trace {what}"));
            assert_eq!(values, again, "{what}");
            let with = trace.clone();
            mlp.trace(&u, &pairs, None, &mut trace);
            assert_eq!(trace, with, "{what}");
        }
    });
}

#[test]
fn a_single_output_is_the_potential_of_the_other_methods() {
    for_all(|_, _, mlps, what| {
        for mlp in mlps.iter().filter(|mlp| mlp.outputs() == 1) {
            let (k, n) = (mlp.inputs(), 50);
            let (u, v) = (numbers(5, n * k), numbers(6, n * k));
            let (mut value, mut grad) = (vec![0.0; n], vec![0.0; n * k]);
            mlp.value_and_grad(&u, Some(&mut value), &mut grad);
            let (mut values, mut tangents) = (vec![0.0; n], vec![0.0; n]);
            mlp.tangent(&u, &v, &mut values, &mut tangents);
            assert_eq!(value, values, "{what}");
            let along = grad.chunks(k).zip(v.chunks(k)).map(|(g, v)| {
                g.iter().zip(v).map(|(&g, &v)| f64::from(g) * f64::from(v)).sum::<f64>()
            });
            close(&tangents, &along.collect::<Vec<_>>(), 4e-6, what);
        }
    });
}

#[test]
fn output_loss_agrees_with_the_definition() {
    for_all(|net, activation, mlps, what| {
        let (k, o, n) = (mlps[0].inputs(), mlps[0].outputs(), 3);
        let u = numbers(5, n * k);
        let targets = doubles(&numbers(9, n * o));
        let tape = Tape::default();
        let parameters = tape::parameters(&tape, &net.layers());
        let mut total = tape.var(0.0);
        for (u, targets) in u.chunks(k).zip(targets.chunks(o)) {
            let out = tape::evaluate(&tape, &parameters, activation, &doubles(u), &[]);
            for (out, t) in out.iter().zip(targets) {
                let e = out.value.offset(-t);
                total = total + (e * e).scale(0.5);
            }
        }
        let adjoints = tape.backward(total);
        let of = |vars: &[tape::Var<'_>]| vars.iter().map(|&v| adjoints.of(v)).collect::<Vec<_>>();
        let expected: Vec<_> = parameters.iter().map(|(w, b)| (of(w), of(b))).collect();
        for mlp in mlps {
            let what = format!("{what} {:?}", mlp.isa());
            let mut grads = mlp.zero_gradients();
            let loss = mlp.output_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
            assert!((loss / total.value - 1.0).abs() < 4e-6, "{what}: {loss} for {}", total.value);
            // Each array by itself: a small one would not show beside the others.
            for (found, (weight, bias)) in grads.layers.iter().zip(&expected) {
                close(&found.weight, weight, 1e-5, &what);
                close(&found.bias, bias, 1e-5, &what);
            }
        }
    });
}

#[test]
fn threads_do_not_change_a_bit() {
    for (sizes, outputs) in [(&[3, 80, 80, 80][..], 2), (&[4, 33, 7], 20)] {
        let net = Net::with_outputs(3, sizes, outputs);
        for isa in isas() {
            let mlp = FusedMlp::with_isa(&net.layers(), Activation::Silu, isa).expect("qualifies");
            let (k, n) = (sizes[0], 1237);
            let (u, v) = (numbers(11, n * k), numbers(13, n * k));
            let targets = doubles(&numbers(9, n * outputs));
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("a pool").install(|| {
                    let mut grads = mlp.zero_gradients();
                    let loss = mlp.output_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
                    let [mut values, mut tangents, mut beside, mut alone] =
                        std::array::from_fn(|_| vec![0.0; n * outputs]);
                    let mut trace = vec![0.0; n];
                    mlp.par_values(&u, &mut alone);
                    mlp.par_tangent(&u, &v, &mut values, &mut tangents);
                    mlp.par_trace(&u, &pairs(k, outputs), Some(&mut beside), &mut trace);
                    assert!(values == alone && values == beside);
                    let together = trace.clone();
                    mlp.par_trace(&u, &pairs(k, outputs), None, &mut trace);
                    assert!(trace == together);
                    (loss.to_bits(), flat(&grads), values, tangents, trace)
                })
            };
            let one = run(1);
            for threads in [2, 3, 7] {
                assert!(run(threads) == one, "{sizes:?} {isa:?} {threads} threads");
            }
            assert!(run(1) == one, "a second run");
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_its_neighbours() {
    for_all(|_, _, mlps, what| {
        for mlp in mlps {
            let (k, o, n) = (mlp.inputs(), mlp.outputs(), 131);
            let (u, v) = (numbers(12, n * k), numbers(13, n * k));
            let run = |u: &[f32], v: &[f32]| {
                let n = u.len() / k;
                let [mut values, mut tangents] = std::array::from_fn(|_| vec![0.0; n * o]);
                let mut trace = vec![0.0; n];
                mlp.tangent(u, v, &mut values, &mut tangents);
                mlp.trace(u, &pairs(k, o), None, &mut trace);
                [values, tangents, trace]
            };
            let all = run(&u, &v);
            for chunk in [1, 2, 3, 5, 17, 64] {
                let mut parts = [const { Vec::new() }; 3];
                for (u, v) in u.chunks(chunk * k).zip(v.chunks(chunk * k)) {
                    for (parts, part) in parts.iter_mut().zip(run(u, v)) {
                        parts.extend(part);
                    }
                }
                assert!(parts == all, "{what} {:?} in chunks of {chunk}", mlp.isa());
            }
        }
    });
}

#[test]
fn many_blocks_add_up_and_calls_add_to_the_gradients() {
    for_all(|_, _, mlps, what| {
        for mlp in mlps {
            let (k, o, n) = (mlp.inputs(), mlp.outputs(), 401);
            let u = numbers(14, n * k);
            let targets = doubles(&numbers(9, n * o));
            let run = |from: usize, to: usize, grads: &mut Gradients| {
                let targets = &targets[from * o..];
                mlp.output_loss(&u[from * k..to * k], |s, v| matching(targets, s, v), grads)
            };
            let (mut whole, mut parts) = (mlp.zero_gradients(), mlp.zero_gradients());
            let all = run(0, n, &mut whole);
            let mut sum = run(0, 100, &mut parts);
            sum += (100..n).map(|i| run(i, i + 1, &mut parts)).sum::<f64>();
            assert!((sum / all - 1.0).abs() < 1e-9, "{what}: {sum} for {all}");
            close(&flat(&parts), &doubles(&flat(&whole)), 1e-5, what);
        }
    });
}

#[test]
fn what_is_not_a_number_comes_out_as_such() {
    for_all(|net, _, mlps, what| {
        for mlp in mlps {
            let (k, o, n) = (mlp.inputs(), mlp.outputs(), 7);
            let mut u = numbers(15, n * k);
            u[2 * k] = f32::NAN;
            u[3 * k] = f32::INFINITY;
            let v = vec![1.0; n * k];
            let (mut values, mut tangents) = (vec![0.0; n * o], vec![0.0; n * o]);
            let mut trace = vec![0.0; n];
            mlp.tangent(&u, &v, &mut values, &mut tangents);
            mlp.trace(&u, &pairs(k, o), None, &mut trace);
            let all = |x: &[f32], rows: std::ops::Range<usize>, of: fn(f32) -> bool| {
                x[rows.start * o..rows.end * o].iter().all(|&x| of(x))
            };
            assert!(all(&values, 2..3, f32::is_nan) && all(&tangents, 2..3, f32::is_nan), "{what}");
            for own in [0..2, 4..7] {
                assert!(all(&values, own.clone(), f32::is_finite), "{what}");
                assert!(all(&tangents, own.clone(), f32::is_finite), "{what}");
                assert!(trace[own].iter().all(|x| x.is_finite()), "{what}");
            }
            assert!(trace[2].is_nan(), "{what}");

            let mut layers = net.layers();
            let mut bias = layers[0].bias.to_vec();
            bias[0] = f32::NAN;
            layers[0].bias = &bias;
            let mut mlp = mlp.clone();
            mlp.set_weights(&layers);
            mlp.tangent(&u, &v, &mut values, &mut tangents);
            assert!(values.iter().chain(&tangents).all(|x| x.is_nan()), "{what}");
            let mut grads = mlp.zero_gradients();
            let targets = vec![0.0; n * o];
            let loss = mlp.output_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
            assert!(loss.is_nan() && flat(&grads)[0].is_nan(), "{what}");

            // The memory of all that is used again: nothing of it is left.
            let mut mlp = mlp.clone();
            mlp.set_weights(&net.layers());
            let u = numbers(15, n * k);
            let mut grads = mlp.zero_gradients();
            let loss = mlp.output_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
            assert!(loss.is_finite() && flat(&grads).iter().all(|x| x.is_finite()), "{what}");
        }
    });
}

#[test]
fn no_samples() {
    let mlp = FusedMlp::new(&Net::with_outputs(1, &[3, 8], 2).layers(), Activation::Silu);
    let mlp = mlp.expect("qualifies");
    mlp.values(&[], &mut []);
    mlp.par_values(&[], &mut []);
    mlp.par_tangent(&[], &[], &mut [], &mut []);
    mlp.par_trace(&[], &[(1, 0)], None, &mut []);
    mlp.par_trace(&[], &[(1, 0)], Some(&mut []), &mut []);
    let mut grads = mlp.zero_gradients();
    assert_eq!(mlp.output_loss(&[], |s, v| matching(&[], s, v), &mut grads), 0.0);
    assert_eq!(grads, mlp.zero_gradients());
}

#[test]
fn questions_of_a_single_output_are_refused() {
    let mlp = FusedMlp::new(&Net::with_outputs(1, &[2, 8], 3).layers(), Activation::Tanh);
    let mlp = mlp.expect("qualifies");
    let refused_with = |part: &str, ask: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
        let message = *panic.expect_err("accepted").downcast::<String>().expect("a message");
        assert!(message.contains(part), "{message}");
    };
    let refused = |ask: &dyn Fn()| refused_with("one output, this one has 3", ask);
    let u = [0.1, 0.2];
    refused(&|| mlp.value_and_grad(&u, None, &mut [0.0; 2]));
    refused(&|| mlp.par_value_and_grad(&u, None, &mut [0.0; 2]));
    refused(&|| mlp.grad(&u, 0..1, &mut [0.0]));
    refused(&|| mlp.par_grad(&u, 0..1, &mut [0.0]));
    refused(&|| mlp.laplacian(&u, &[0], None, &mut [0.0; 2], &mut [0.0]));
    refused(&|| mlp.par_laplacian(&u, &[0], None, &mut [0.0; 2], &mut [0.0]));
    refused(&|| mlp.hessian_product(&u, &u, &mut [0.0; 2], &mut [0.0; 2]));
    refused(&|| mlp.par_hessian_product(&u, &u, &mut [0.0; 2], &mut [0.0; 2]));
    refused(&|| {
        mlp.gradient_loss(&u, |_, _| 0.0, &mut mlp.zero_gradients());
    });
    refused(&|| {
        mlp.operator_loss(&u, &[0], |_, _| (), |_, _, _| 0.0, &mut mlp.zero_gradients());
    });
    for pair in [(2, 0), (0, 3)] {
        refused_with("of 2 inputs and 3 outputs", &|| mlp.trace(&u, &[pair], None, &mut [0.0]));
    }
    refused_with("expected 3 a sample", &|| mlp.values(&u, &mut [0.0; 2]));
}
