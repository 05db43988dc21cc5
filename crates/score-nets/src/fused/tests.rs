//! The kernels against their definition in double precision, and the promises about order.

mod denormals;
mod images;
mod layers;
mod outputs;
mod tape;

use super::{Activation, FusedMlp, Gradients, Isa, Layer, Samples};
use tape::Tape;

const ACTIVATIONS: [Activation; 5] = [
    Activation::Softplus { beta: 1.0 },
    Activation::Softplus { beta: 20.0 },
    Activation::Silu,
    Activation::Tanh,
    Activation::Sin,
];

/// Numbers between -1 and 1, the same on every run.
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    next();
    (0..n).map(|_| next()).collect()
}

/// A fresh network.
struct Net(Vec<(usize, usize, Vec<f32>, Vec<f32>)>);

impl Net {
    /// Of these sizes, inputs first, the single output left out.
    fn new(seed: u64, sizes: &[usize]) -> Self {
        Self::with_outputs(seed, sizes, 1)
    }

    fn with_outputs(seed: u64, sizes: &[usize], outputs: usize) -> Self {
        let outputs = sizes[1..].iter().copied().chain([outputs]);
        let layers = sizes.iter().zip(outputs).enumerate().map(|(l, (&inputs, outputs))| {
            let scale = (1.0 / inputs as f32).sqrt() * 1.5;
            let w = numbers(seed + 2 * l as u64, inputs * outputs);
            let b = numbers(seed + 2 * l as u64 + 1, outputs);
            let scaled = |x: Vec<f32>| x.into_iter().map(|x| scale * x).collect();
            (inputs, outputs, scaled(w), scaled(b))
        });
        Self(layers.collect())
    }

    fn layers(&self) -> Vec<Layer<'_>> {
        self.0
            .iter()
            .map(|(i, o, w, b)| Layer { inputs: *i, outputs: *o, weight: w, bias: b })
            .collect()
    }
}

/// The sizes that are tried: inputs, hidden layers.
const SIZES: [&[usize]; 9] = [
    &[2, 7],
    &[3, 33, 7],
    &[10, 16, 80, 5],
    &[3, 80, 80, 80],
    &[4, 20, 20, 20, 20],
    &[5, 130, 24],
    &[9, 1, 40],
    &[40, 48],
    &[2, 64, 96, 70],
];

fn isas() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// Calls `check` for all sizes, activations and instruction sets.
fn for_all(check: impl Fn(&Net, &[usize], &FusedMlp, &str)) {
    for (s, sizes) in SIZES.iter().enumerate() {
        let net = Net::new(100 * s as u64 + 1, sizes);
        for activation in ACTIVATIONS {
            for isa in isas() {
                let mlp = FusedMlp::with_isa(&net.layers(), activation, isa).expect("qualifies");
                check(&net, sizes, &mlp, &format!("{sizes:?} {activation:?} {isa:?}"));
            }
        }
    }
}

/// Holds `found` against `expected` to `tolerance` of the largest number.
#[track_caller]
fn close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    let scale = expected.iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
    close_of(scale, found, expected, tolerance, what);
}

/// The same to `tolerance` of `scale`.
#[track_caller]
fn close_of(scale: f64, found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(f) - e).abs() / scale;
        assert!(error <= tolerance, "{what}: {f} for {e} at {i}, {error:.1e} of {scale:.2e}");
    }
}

fn doubles(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The second derivatives that are tried: all inputs but the first, some inputs in other cases.
fn laplacian_inputs(k: usize) -> Vec<usize> {
    if k > 9 { vec![k - 1, 0, 4] } else { (1..k).collect() }
}

/// A loss with everything in it, for the operator and for the gradient: coefficients of a sample.
struct Terms {
    m: Vec<f64>,
    l: f64,
    target: f64,
}

fn terms(i: usize, k: usize) -> Terms {
    let x = doubles(&numbers(7000 + i as u64, k + 2));
    Terms { m: x[..k].to_vec(), l: x[k], target: x[k + 1] }
}

fn check_gradients(found: &Gradients, expected: &[(Vec<f64>, Vec<f64>)], tol: f64, what: &str) {
    let expected: Vec<f64> =
        expected.iter().flat_map(|(w, b)| w.iter().chain(b)).copied().collect();
    close(&flat(found), &expected, tol, what);
}

#[test]
fn values_and_derivatives_agree_with_the_definition() {
    for_all(|net, sizes, mlp, what| {
        let (k, n) = (sizes[0], 3);
        let u = numbers(5, n * k);
        let v = numbers(6, n * k);
        let jets = laplacian_inputs(k);
        let mut expected = [const { Vec::new() }; 3];
        let tape = Tape::default();
        let parameters = tape::parameters(&tape, &net.layers());
        for u in u.chunks(k) {
            let out = tape::single(&tape, &parameters, mlp.activation(), &doubles(u), &jets);
            expected[0].push(out.value.value);
            expected[1].extend(out.grad.iter().map(|g| g.value));
            expected[2].push(out.laplacian.value);
        }
        let (mut value, mut grad, mut lap) = (vec![0.0; n], vec![0.0; n * k], vec![0.0; n]);
        mlp.laplacian(&u, &jets, Some(&mut value), &mut grad, &mut lap);
        close(&value, &expected[0], 2e-6, &format!("value {what}"));
        close(&grad, &expected[1], 4e-6, &format!("gradient {what}"));
        close(&lap, &expected[2], 2e-5, &format!("laplacian {what}"));

        let (mut value2, mut grad2) = (vec![0.0; n], vec![0.0; n * k]);
        mlp.value_and_grad(&u, Some(&mut value2), &mut grad2);
        assert_eq!((&value, &grad), (&value2, &grad2), "{what}");
        mlp.value_and_grad(&u, None, &mut grad2);
        assert_eq!(grad, grad2, "{what}");
        for some in [k / 2..k, 0..1, k - 1..k] {
            let mut part = vec![0.0; n * some.len()];
            mlp.grad(&u, some.clone(), &mut part);
            let of_all = expected[1].chunks(k).flat_map(|g| &g[some.clone()]).copied();
            let scale = expected[1].iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
            let what = format!("gradient by {some:?} {what}");
            close_of(scale, &part, &of_all.collect::<Vec<_>>(), 4e-6, &what);
        }

        // The Hessian along v, from gradients of the definition a step apart.
        let step = 1e-5;
        let mut hv = Vec::new();
        for (u, v) in u.chunks(k).zip(v.chunks(k)) {
            let at = |sign: f64| {
                let moved =
                    u.iter().zip(v).map(|(&u, &v)| f64::from(u) + sign * step * f64::from(v));
                let moved: Vec<_> = moved.collect();
                let out = tape::single(&tape, &parameters, mlp.activation(), &moved, &[]);
                out.grad.iter().map(|g| g.value).collect::<Vec<_>>()
            };
            hv.extend(at(1.0).iter().zip(at(-1.0)).map(|(a, b)| (a - b) / (2.0 * step)));
        }
        let mut product = vec![0.0; n * k];
        mlp.hessian_product(&u, &v, &mut grad2, &mut product);
        close(&product, &hv, 2e-5, &format!("hessian {what}"));
        assert_eq!(grad, grad2, "{what}");
    });
}

/// The loss `sum |grad N - target|^2 / 2` of a block.
fn matching(targets: &[f64], samples: Samples<'_>, v: &mut [f32]) -> f64 {
    let k = samples.u.len() / samples.count;
    let targets = &targets[samples.first * k..];
    let mut loss = 0.0;
    for ((v, &g), &t) in v.iter_mut().zip(samples.grad).zip(targets) {
        let e = f64::from(g) - t;
        *v = e as f32;
        loss += 0.5 * e * e;
    }
    loss
}

#[test]
fn gradient_loss_agrees_with_the_definition() {
    for_all(|net, sizes, mlp, what| {
        let (k, n) = (sizes[0], 3);
        let u = numbers(5, n * k);
        let targets = doubles(&numbers(9, n * k));
        let tape = Tape::default();
        let parameters = tape::parameters(&tape, &net.layers());
        let mut total = tape.var(0.0);
        for (u, targets) in u.chunks(k).zip(targets.chunks(k)) {
            let out = tape::single(&tape, &parameters, mlp.activation(), &doubles(u), &[]);
            for (g, t) in out.grad.iter().zip(targets) {
                let e = g.offset(-t);
                total = total + (e * e).scale(0.5);
            }
        }
        let adjoints = tape.backward(total);
        let of = |vars: &[tape::Var<'_>]| vars.iter().map(|&v| adjoints.of(v)).collect();
        let expected: Vec<_> = parameters.iter().map(|(w, b)| (of(w), of(b))).collect();
        let mut grads = mlp.zero_gradients();
        let loss = mlp.gradient_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
        assert!((loss / total.value - 1.0).abs() < 4e-6, "{what}: {loss} for {}", total.value);
        check_gradients(&grads, &expected, 1e-5, what);
    });
}

#[test]
fn operator_loss_agrees_with_the_definition() {
    // R = m . grad N + l sum of second derivatives - |grad N|^2 / 2 - target, the loss R^2.
    for_all(|net, sizes, mlp, what| {
        let (k, n) = (sizes[0], 3);
        let u = numbers(5, n * k);
        let jets = laplacian_inputs(k);
        let tape = Tape::default();
        let parameters = tape::parameters(&tape, &net.layers());
        let mut total = tape.var(0.0);
        for (i, u) in u.chunks(k).enumerate() {
            let out = tape::single(&tape, &parameters, mlp.activation(), &doubles(u), &jets);
            let Terms { m, l, target } = terms(i, k);
            let mut r = out.laplacian.scale(l).offset(-target);
            for (&g, m) in out.grad.iter().zip(m) {
                r = r + g.scale(m) + (g * g).scale(-0.5);
            }
            total = total + r * r;
        }
        let adjoints = tape.backward(total);
        let of = |vars: &[tape::Var<'_>]| vars.iter().map(|&v| adjoints.of(v)).collect();
        let expected: Vec<_> = parameters.iter().map(|(w, b)| (of(w), of(b))).collect();
        let mut grads = mlp.zero_gradients();
        let loss = residual(mlp, &u, 0, &jets, &mut grads);
        assert!((loss / total.value - 1.0).abs() < 1e-4, "{what}: {loss} for {}", total.value);
        check_gradients(&grads, &expected, 4e-5, what);
    });
}

/// The loss of the test above by the kernels.
fn residual(mlp: &FusedMlp, u: &[f32], first: usize, jets: &[usize], grads: &mut Gradients) -> f64 {
    let k = mlp.inputs();
    mlp.operator_loss(
        u,
        jets,
        |samples, to| {
            for i in 0..samples.count {
                let terms = terms(first + samples.first + i, k);
                to.laplacian[i] = terms.l as f32;
                for j in i * k..(i + 1) * k {
                    to.direction[j] = terms.m[j % k] as f32 - samples.grad[j];
                }
            }
        },
        |samples, operator, weights| {
            let mut loss = 0.0;
            for i in 0..samples.count {
                let grad = &samples.grad[i * k..(i + 1) * k];
                let square: f64 = grad.iter().map(|&g| f64::from(g).powi(2)).sum();
                let target = terms(first + samples.first + i, k).target;
                let r = f64::from(operator[i]) + 0.5 * square - target;
                weights[i] = (2.0 * r) as f32;
                loss += r * r;
            }
            loss
        },
        grads,
    )
}

#[test]
fn threads_do_not_change_a_bit() {
    for sizes in [&[3, 80, 80, 80][..], &[4, 33, 7]] {
        let net = Net::new(3, sizes);
        for isa in isas() {
            let act = Activation::Softplus { beta: 5.0 };
            let mlp = FusedMlp::with_isa(&net.layers(), act, isa).expect("qualifies");
            let (k, n) = (sizes[0], 1237);
            let (u, v) = (numbers(11, n * k), numbers(13, n * k));
            let targets = doubles(&numbers(9, n * k));
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("a pool").install(|| {
                    let mut grads = mlp.zero_gradients();
                    let a = mlp.gradient_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
                    let b = residual(&mlp, &u, 0, &[1, 2], &mut grads);
                    let (mut value, mut grad) = (vec![0.0; n], vec![0.0; n * k]);
                    mlp.par_value_and_grad(&u, Some(&mut value), &mut grad);
                    let mut some = vec![0.0; n * (k - 1)];
                    mlp.par_grad(&u, 1..k, &mut some);
                    let mut lap = vec![0.0; n];
                    mlp.par_laplacian(&u, &[1], Some(&mut value), &mut grad, &mut lap);
                    let mut product = vec![0.0; n * k];
                    mlp.par_hessian_product(&u, &v, &mut grad, &mut product);
                    (a.to_bits(), b.to_bits(), flat(&grads), value, grad, some, lap, product)
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
    for_all(|_, sizes, mlp, what| {
        let (k, n) = (sizes[0], 131);
        let u = numbers(12, n * k);
        let v = numbers(13, n * k);
        let jets = laplacian_inputs(k);
        let run = |u: &[f32], v: &[f32]| {
            let n = u.len() / k;
            let (mut value, mut lap) = (vec![0.0; n], vec![0.0; n]);
            let (mut grad, mut product) = (vec![0.0; n * k], vec![0.0; n * k]);
            mlp.laplacian(u, &jets, Some(&mut value), &mut grad, &mut lap);
            mlp.hessian_product(u, v, &mut grad, &mut product);
            [value, grad, lap, product]
        };
        let all = run(&u, &v);
        for chunk in [1, 2, 3, 5, 17, 64] {
            let mut parts = [const { Vec::new() }; 4];
            for (u, v) in u.chunks(chunk * k).zip(v.chunks(chunk * k)) {
                for (parts, part) in parts.iter_mut().zip(run(u, v)) {
                    parts.extend(part);
                }
            }
            assert!(parts == all, "{what} in chunks of {chunk}");
        }
    });
}

fn flat(grads: &Gradients) -> Vec<f32> {
    grads.layers.iter().flat_map(|l| l.weight.iter().chain(&l.bias)).copied().collect()
}

#[test]
fn many_blocks_add_up_and_calls_add_to_the_gradients() {
    for_all(|_, sizes, mlp, what| {
        let (k, n) = (sizes[0], 401);
        let u = numbers(14, n * k);
        let targets = doubles(&numbers(9, n * k));
        let jets = laplacian_inputs(k);
        let run = |from: usize, to: usize, grads: &mut Gradients| {
            let (u, targets) = (&u[from * k..to * k], &targets[from * k..]);
            mlp.gradient_loss(u, |s, v| matching(targets, s, v), grads)
                + residual(mlp, u, from, &jets, grads)
        };
        let (mut whole, mut parts) = (mlp.zero_gradients(), mlp.zero_gradients());
        let all = run(0, n, &mut whole);
        let mut sum = run(0, 100, &mut parts);
        sum += (100..n).map(|i| run(i, i + 1, &mut parts)).sum::<f64>();
        assert!((sum / all - 1.0).abs() < 1e-9, "{what}: {sum} for {all}");
        close(&flat(&parts), &doubles(&flat(&whole)), 1e-5, what);
    });
}

#[test]
fn what_is_not_a_number_comes_out_as_such() {
    for_all(|net, sizes, mlp, what| {
        let (k, n) = (sizes[0], 7);
        let mut u = numbers(15, n * k);
        u[2 * k] = f32::NAN;
        u[3 * k] = f32::INFINITY;
        u[4 * k + 1] = -3e38;
        let (mut value, mut grad) = (vec![0.0; n], vec![0.0; n * k]);
        mlp.value_and_grad(&u, Some(&mut value), &mut grad);
        assert!(value[2].is_nan() && grad[2 * k..3 * k].iter().all(|g| g.is_nan()), "{what}");
        assert!(value[1].is_finite() && value[5].is_finite(), "{what}");

        let mut layers = net.layers();
        let mut bias = layers[0].bias.to_vec();
        bias[0] = f32::NAN;
        layers[0].bias = &bias;
        let mut mlp = mlp.clone();
        mlp.set_weights(&layers);
        mlp.value_and_grad(&u, Some(&mut value), &mut grad);
        assert!(value.iter().chain(&grad).all(|x| x.is_nan()), "{what}");
        let mut grads = mlp.zero_gradients();
        let targets = vec![0.0; n * k];
        let loss = mlp.gradient_loss(&u, |s, v| matching(&targets, s, v), &mut grads);
        assert!(loss.is_nan() && flat(&grads)[0].is_nan(), "{what}");
    });
}

#[test]
fn activations_over_the_whole_line() {
    // N(u) = a(u) and its derivatives, by a network of one unit; the bounds are absolute, of the
    // size of a few units in the last place of the largest derivative.
    for activation in ACTIVATIONS.into_iter().chain([Activation::Softplus { beta: 100.0 }]) {
        let one = Layer { inputs: 1, outputs: 1, weight: &[1.0], bias: &[0.0] };
        let sharp =
            if let Activation::Softplus { beta } = activation { f64::from(beta) } else { 1.0 };
        for isa in isas() {
            let mlp = FusedMlp::with_isa(&[one, one], activation, isa).expect("qualifies");
            let n = 4001;
            let u: Vec<f32> = (0..n).map(|i| (i as f32 - 2000.0) * 0.01).collect();
            let [mut value, mut grad, mut lap, mut product] = std::array::from_fn(|_| vec![0.0; n]);
            mlp.laplacian(&u, &[0], Some(&mut value), &mut grad, &mut lap);
            mlp.hessian_product(&u, &vec![1.0; n], &mut grad, &mut product);
            assert!(lap.iter().zip(&product).all(|(a, b)| (a - b).abs() < 1e-5 * sharp as f32));
            for (i, &u) in u.iter().enumerate() {
                let expected = tape::activation(activation, f64::from(u));
                let errors = [value[i], grad[i], lap[i]]
                    .iter()
                    .zip(expected)
                    .map(|(&f, e)| (f64::from(f) - e).abs())
                    .collect::<Vec<_>>();
                let what = format!("{activation:?} {isa:?} at {u}: {errors:?}");
                assert!(errors[0] < 2e-7 * f64::from(u.abs()).max(1.0), "{what}");
                assert!(errors[1] < 4e-7 * f64::from(u.abs()).max(1.0), "{what}");
                assert!(errors[2] < 4e-7 * sharp * f64::from(u.abs()).max(1.0), "{what}");
            }
        }
    }
}

#[test]
fn networks_that_do_not_qualify() {
    let layer =
        |inputs, outputs| (inputs, outputs, vec![0.0f32; inputs * outputs], vec![0.0; outputs]);
    let build = |sizes: &[(usize, usize)], activation| {
        let layers: Vec<_> = sizes.iter().map(|&(i, o)| layer(i, o)).collect();
        let layers: Vec<_> = layers
            .iter()
            .map(|(i, o, w, b)| Layer { inputs: *i, outputs: *o, weight: w, bias: b })
            .collect();
        FusedMlp::new(&layers, activation)
    };
    assert!(build(&[(3, 8), (8, 1)], Activation::Tanh).is_some());
    assert!(build(&[(64, 8), (8, 1)], Activation::Tanh).is_some());
    assert!(build(&[(65, 8), (8, 1)], Activation::Tanh).is_none());
    assert!(build(&[(3, 8), (8, 20)], Activation::Tanh).is_some());
    assert!(build(&[(3, 8), (8, 0)], Activation::Tanh).is_none());
    assert!(build(&[(3, 8), (9, 1)], Activation::Tanh).is_none());
    assert!(build(&[(3, 1)], Activation::Tanh).is_none());
    assert!(build(&[], Activation::Tanh).is_none());
    assert!(build(&[(3, 8), (8, 1)], Activation::Softplus { beta: 0.0 }).is_none());
    assert!(build(&[(3, 8), (8, 1)], Activation::Softplus { beta: f32::NAN }).is_none());
}

#[test]
fn no_samples() {
    let net = Net::new(1, &[3, 8]);
    let mlp = FusedMlp::new(&net.layers(), Activation::Silu).expect("qualifies");
    mlp.value_and_grad(&[], Some(&mut []), &mut []);
    mlp.par_laplacian(&[], &[1], None, &mut [], &mut []);
    mlp.par_hessian_product(&[], &[], &mut [], &mut []);
    let mut grads = mlp.zero_gradients();
    assert_eq!(residual(&mlp, &[], 0, &[1], &mut grads), 0.0);
    assert_eq!(grads, mlp.zero_gradients());
}
