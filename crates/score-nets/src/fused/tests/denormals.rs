//! Arithmetic with denormal numbers is up to a hundred times slower: none may be left where numbers
//! run out of their range.
#![cfg(target_arch = "x86_64")]

use super::{ACTIVATIONS, Net, flat, isas, numbers};
use crate::fused::{Activation, FusedMlp};

fn check(numbers: &[f32], what: &str) {
    let found = numbers.iter().find(|x| x.is_subnormal());
    assert!(found.is_none(), "{what}: {found:?}");
}

/// Calls `check` for networks whose weights have diverged (or vanished), and inputs.
fn for_all(outputs: usize, check: impl Fn(&FusedMlp, &[f32], &str)) {
    let sharp = Activation::Softplus { beta: 100.0 };
    for activation in ACTIVATIONS.into_iter().chain([sharp]) {
        for (weights, input) in [
            (1.0, 1.0),
            (1e3, 1.0),
            (1e3, 1e6),
            (1.0, 1e30),
            (1e3, 1e30),
            (1.0, 1e-30),
            (1e-3, 1e-30),
            (1e-9, 1.0),
        ] {
            // (The wider one for the tiles of AMX.)
            for sizes in [[3, 33, 33, 20], [3, 33, 130, 66]] {
                let mut net = Net::with_outputs(3, &sizes, outputs);
                for (.., weight, bias) in &mut net.0 {
                    weight.iter_mut().chain(bias).for_each(|w| *w *= weights);
                }
                for isa in isas() {
                    let mlp = FusedMlp::with_isa(&net.layers(), activation, isa);
                    let u: Vec<f32> = numbers(5, 130 * 3).iter().map(|x| input * x).collect();
                    let what = format!(
                        "{sizes:?} {activation:?} {isa:?} weights {weights:e} inputs {input:e}"
                    );
                    check(&mlp.expect("qualifies"), &u, &what);
                }
            }
        }
    }
}

/// Factors of the cotangents: what a weight of a loss does to its gradients.
const SCALES: [f32; 4] = [1.0, 1e-18, 1e-34, 1e-37];

#[test]
fn none_of_a_potential() {
    for_all(1, |mlp, u, what| {
        let n = u.len() / 3;
        let [mut value, mut lap] = std::array::from_fn(|_| vec![0.0; n]);
        let [mut grad, mut product] = std::array::from_fn(|_| vec![0.0; 3 * n]);
        mlp.laplacian(u, &[1, 2], Some(&mut value), &mut grad, &mut lap);
        for v in SCALES {
            mlp.hessian_product(u, &vec![v; 3 * n], &mut grad, &mut product);
            [&value, &lap, &grad, &product].iter().for_each(|x| check(x, what));
        }
        for scale in SCALES {
            let mut grads = mlp.zero_gradients();
            mlp.gradient_loss(
                u,
                |samples, v| {
                    v.iter_mut().zip(samples.grad).for_each(|(v, g)| *v = scale * g.min(1.0));
                    0.0
                },
                &mut grads,
            );
            check(&flat(&grads), what);
            let mut grads = mlp.zero_gradients();
            mlp.operator_loss(
                u,
                &[1, 2],
                |_, to| {
                    to.direction.fill(0.5);
                    to.laplacian.fill(-0.5);
                },
                |_, operator, v| {
                    v.iter_mut().zip(operator).for_each(|(v, m)| *v = scale * m.min(1.0));
                    0.0
                },
                &mut grads,
            );
            check(&flat(&grads), what);
        }
    });
}

#[test]
fn none_of_several_outputs() {
    for_all(3, |mlp, u, what| {
        let n = u.len() / 3;
        let [mut values, mut tangents] = std::array::from_fn(|_| vec![0.0; 3 * n]);
        let mut trace = vec![0.0; n];
        for v in SCALES {
            mlp.tangent(u, &vec![v; 3 * n], &mut values, &mut tangents);
            mlp.trace(u, &[(0, 0), (1, 1), (2, 2)], None, &mut trace);
            [&values, &tangents, &trace].iter().for_each(|x| check(x, what));
            let mut grads = mlp.zero_gradients();
            mlp.output_loss(
                u,
                |samples, cotangents| {
                    for (c, y) in cotangents.iter_mut().zip(samples.values) {
                        *c = v * y.clamp(-1.0, 1.0);
                    }
                    0.0
                },
                &mut grads,
            );
            check(&flat(&grads), what);
        }
    });
}
