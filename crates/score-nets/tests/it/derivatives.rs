//! Every derivative against central differences, every setting of a network.

use candle_core::{DType, Tensor, Var};
use score_nets::{Jet, Output, ScoreNet};
use sde_core::{Potential, Score, ScoreJvp};

use crate::common::{Outcome, check, deviation, host, net, points, rows, zoo};

const B: usize = 6;

fn times(net: &ScoreNet) -> Vec<f64> {
    (1..=B).map(|i| net.sde().horizon() * i as f64 / (B as f64 + 1.0)).collect()
}

/// Fourth-order central difference.
fn slope(h: f64, f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let (a, b, c, d) = (f(-2.0 * h), f(-h), f(h), f(2.0 * h));
    (0..a.len()).map(|i| (a[i] - 8.0 * b[i] + 8.0 * c[i] - d[i]) / (12.0 * h)).collect()
}

fn moved(x: &[f64], d: usize, axis: usize, h: f64) -> Tensor {
    let x: Vec<f64> =
        x.iter().enumerate().map(|(i, x)| if i % d == axis { x + h } else { *x }).collect();
    rows(&x, d, DType::F64)
}

fn shifted(t: &[f64], h: f64) -> Vec<f64> {
    t.iter().map(|t| t + h).collect()
}

#[test]
fn potentials_against_differences() -> Outcome {
    for config in zoo().iter().filter(|c| c.output == Output::Potential) {
        let (net, d) = (net(config, DType::F64), config.dim);
        let (x, t) = (points(1, B, d), times(&net));
        let at = rows(&x, d, DType::F64);
        let found = net.derivatives(&at, &t)?;
        let what = format!("{config:?}");
        let mut score = vec![0.0; B * d];
        let mut laplacian = vec![0.0; B];
        for j in 0..d {
            let potential = |h| net.derivatives(&moved(&x, d, j, h), &t).unwrap().potential;
            let own = |h| host(&net.derivatives(&moved(&x, d, j, h), &t).unwrap().score);
            let first = slope(1e-3, potential);
            let second = slope(1e-3, own);
            for b in 0..B {
                score[b * d + j] = first[b];
                laplacian[b] += second[b * d + j];
            }
        }
        check(&format!("score {what}"), &host(&found.score), &score, 1e-9);
        check(&format!("laplacian {what}"), &found.laplacian, &laplacian, 1e-9);
        let h = 1e-4 * net.sde().horizon();
        let d_t = slope(h, |h| net.derivatives(&at, &shifted(&t, h)).unwrap().potential);
        check(&format!("d_t {what}"), &found.d_t, &d_t, 1e-7);
    }
    Ok(())
}

#[test]
fn scores_against_differences() -> Outcome {
    for config in zoo() {
        let (net, d) = (net(&config, DType::F64), config.dim);
        let (x, t) = (points(2, B, d), 0.3 * net.sde().horizon());
        let (at, v) = (rows(&x, d, DType::F64), rows(&points(3, B, d), d, DType::F64));
        let what = format!("{config:?}");
        let (score, jvp) = net.score_jvp(&at, t, &v)?;
        check(&format!("score {what}"), &host(&score), &host(&net.score(&at, t)?), 1e-14);
        let along = |h: f64| {
            let x = (&at + (&v * h).unwrap()).unwrap();
            host(&net.score(&x, t).unwrap())
        };
        check(&format!("jvp {what}"), &host(&jvp), &slope(1e-3, along), 1e-8);
        let mut trace = vec![0.0; B];
        for j in 0..d {
            let column = slope(1e-3, |h| host(&net.score(&moved(&x, d, j, h), t).unwrap()));
            (0..B).for_each(|b| trace[b] += column[b * d + j]);
        }
        check(&format!("divergence {what}"), &net.divergence(&at, t)?, &trace, 1e-8);
    }
    Ok(())
}

#[test]
fn jacobians_against_differences() -> Outcome {
    for config in zoo() {
        let (net, d) = (net(&config, DType::F64), config.dim);
        let (x, t) = (points(4, B, d), times(&net));
        let at = rows(&x, d, DType::F64);
        let found = net.jacobian_graph(&at, &t)?;
        let score = |x: &Tensor, t: &[f64]| host(&net.score_graph(x, t).unwrap());
        check("score", &host(&found.score), &score(&at, &t), 1e-14);
        for j in 0..d {
            let column = slope(1e-3, |h| score(&moved(&x, d, j, h), &t));
            check(&format!("column {j} {config:?}"), &host(&found.columns[j]), &column, 1e-8);
            let divergence = |x: &Tensor| -> Vec<f64> {
                let columns = net.jacobian_graph(x, &t).unwrap().columns;
                let columns: Vec<_> = columns.iter().map(host).collect();
                (0..B).map(|b| (0..d).map(|i| columns[i][b * d + i]).sum()).collect()
            };
            let expected = slope(1e-3, |h| divergence(&moved(&x, d, j, h)));
            let gradient = host(&found.grad_divergence);
            let own: Vec<f64> = gradient.iter().skip(j).step_by(d).copied().collect();
            check(&format!("grad div {j} {config:?}"), &own, &expected, 1e-7);
        }
        let d_t = slope(1e-4 * net.sde().horizon(), |h| score(&at, &shifted(&t, h)));
        check(&format!("d_t {config:?}"), &host(&found.d_t), &d_t, 1e-7);
    }
    Ok(())
}

/// The gradients that candle gives for quantities made of first and second derivatives.
#[test]
fn parameter_gradients_against_differences() -> Outcome {
    for config in zoo() {
        let (net, d) = (net(&config, DType::F64), config.dim);
        let (x, t) = (rows(&points(6, B, d), d, DType::F64), times(&net));
        let loss = || -> Tensor {
            let parts = match config.output {
                Output::Potential => {
                    let p = net.derivatives_graph(&x, &t).unwrap();
                    let reverse = net.score_graph(&x, &t).unwrap();
                    vec![p.potential, p.score, p.d_t, p.laplacian, (reverse * 0.7).unwrap()]
                }
                Output::Score => vec![net.score_graph(&x, &t).unwrap()],
            };
            let jacobian = net.jacobian_graph(&x, &t).unwrap();
            let more = [jacobian.score, jacobian.d_t, (jacobian.grad_divergence * 0.1).unwrap()];
            let parts = parts.into_iter().chain(jacobian.columns).chain(more);
            let sines = parts.map(|p| p.sin().unwrap().sum_all().unwrap());
            sines.reduce(|a, b| (a + b).unwrap()).unwrap()
        };
        let grads = loss().backward()?;
        for (name, var) in net.parameters().iter() {
            let values = host(var);
            let found = host(grads.get(var).expect("every parameter is reached"));
            let at = values.len() / 2;
            let set = |values: &[f64]| {
                let shape = var.dims().to_vec();
                let t = Tensor::from_slice(values, shape, &candle_core::Device::Cpu).unwrap();
                net.parameters().set(name, &t).unwrap();
            };
            let difference = slope(1e-4, |h| {
                let mut changed = values.clone();
                changed[at] += h;
                set(&changed);
                host(&loss())
            });
            set(&values);
            let scale = found.iter().fold(1e-3_f64, |m, g| m.max(g.abs()));
            let error = (found[at] - difference[0]).abs() / scale;
            assert!(error < 1e-7, "{name} of {config:?}: {} {} {error}", found[at], difference[0]);
        }
    }
    Ok(())
}

/// Sines through two layers, with a mixed second derivative and a weighted sum.
#[test]
fn jets_carry_mixed_second_derivatives() -> Outcome {
    let config = &zoo()[0];
    let net = net(config, DType::F64);
    let x = points(8, B, 2);
    let terms = vec![vec![(0, 1, 1.0)], vec![(0, 0, 2.0), (1, 1, -3.0)]];
    // Rows (t, x, y) of the network itself.
    let at = |dx: f64, dy: f64| {
        let u: Vec<f64> = x.chunks(2).flat_map(|p| [0.4, p[0] + dx, p[1] + dy]).collect();
        rows(&u, 3, DType::F64)
    };
    let axis = |v: [f64; 3]| rows(&v, 3, DType::F64);
    let jet = Jet::input(at(0.0, 0.0), vec![axis([0.0, 1.0, 0.0]), axis([0.0, 0.0, 1.0])], terms);
    let jet = net.network_jet(&jet)?;
    let value =
        |dx, dy| host(&net.network_jet(&Jet::input(at(dx, dy), vec![], vec![])).unwrap().value);
    let mixed = slope(1e-2, |h| slope(1e-2, |k| value(h, k)));
    check("mixed", &host(jet.second(0).unwrap()), &mixed, 1e-6);
    let xx = slope(1e-2, |h| slope(1e-2, |k| value(h + k, 0.0)));
    let yy = slope(1e-2, |h| slope(1e-2, |k| value(0.0, h + k)));
    let sum: Vec<f64> = xx.iter().zip(&yy).map(|(a, b)| 2.0 * a - 3.0 * b).collect();
    check("weighted", &host(jet.second(1).unwrap()), &sum, 1e-6);
    Ok(())
}

/// A model evaluated for sampling leaves no graph behind, neither through weights nor through `x`.
#[test]
fn evaluations_are_detached() -> Outcome {
    for config in zoo() {
        let net = net(&config, DType::F64);
        let x = Var::from_tensor(&rows(&points(1, 3, config.dim), config.dim, DType::F64))?;
        let t = 0.4 * net.sde().horizon();
        let score = net.score(x.as_tensor(), t)?;
        let (_, jvp) = net.score_jvp(x.as_tensor(), t, x.as_tensor())?;
        assert!(!score.track_op() && !jvp.track_op(), "{config:?}");
    }
    Ok(())
}

/// Common and separate times are the same arithmetic.
#[test]
fn common_times_are_separate_times() -> Outcome {
    for config in zoo() {
        let net = net(&config, DType::F64);
        let x = rows(&points(1, 5, config.dim), config.dim, DType::F64);
        let t = 0.7 * net.sde().horizon();
        let (a, b) = (host(&net.score(&x, t)?), host(&net.score_graph(&x, &[t; 5])?));
        assert_eq!(deviation(&a, &b), 0.0, "{config:?}");
    }
    Ok(())
}
