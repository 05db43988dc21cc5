//! The fused kernels against the composite operations that define what they compute.

use candle_core::DType;
use score_nets::{
    Activation, Gradients, Kernels, NetConfig, OperatorRow, Output, ScoreBatch, ScoreNet,
};
use sde_core::{Potential, Score, ScoreJvp};

use crate::common::{Outcome, check, deviation, host, net, points, rows, zoo};

fn all() -> Vec<NetConfig> {
    let mut configs = zoo();
    configs.push(NetConfig::published());
    configs.push(NetConfig { output: Output::Score, ..NetConfig::published() });
    let silu = Activation::Silu;
    configs.push(NetConfig::with_gaussian_base(2, vec![33, 80, 17, 5], silu, 2.3, "ou"));
    // One output, and more than a register holds.
    for (dim, hidden) in [(1, vec![33, 80, 17, 5]), (20, vec![40, 24])] {
        let config = NetConfig::with_gaussian_base(dim, hidden, silu, 0.6, "vp");
        configs.push(NetConfig { output: Output::Score, ..config });
    }
    configs
}

fn potentials() -> impl Iterator<Item = NetConfig> {
    all().into_iter().filter(|c| c.output == Output::Potential)
}

/// Composite in f64 (the same weights), composite in f32, fused in f32.
fn three(config: &NetConfig) -> [ScoreNet; 3] {
    let fused = net(config, DType::F32).with_kernels(Kernels::Fused).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    fused.save(&path).unwrap();
    let exact = ScoreNet::open_as(&path, DType::F64, &candle_core::Device::Cpu).unwrap();
    let single = ScoreNet::open(&path).unwrap().with_kernels(Kernels::Composite).unwrap();
    [exact, single, fused]
}

fn batch(net: &ScoreNet, n: usize) -> ScoreBatch {
    let d = net.dim();
    let horizon = net.sde().horizon();
    let t = (0..n).map(|i| horizon * (0.02 + 0.97 * i as f64 / n as f64)).collect();
    let weight = (0..n).map(|i| 0.5 + (i % 3) as f64).collect();
    // Points that f32 holds exactly, so that the three networks see the same ones.
    let x = points(11, n, d).iter().map(|x| f64::from(*x as f32)).collect();
    ScoreBatch { x, t, target: points(12, n, d), weight }
}

#[test]
fn scores_and_their_derivatives_agree() -> Outcome {
    for config in all() {
        let [exact, single, fused] = three(&config);
        assert!(fused.uses_fused()? && !single.uses_fused()? && !exact.uses_fused()?);
        let d = config.dim;
        // More rows than one block of any kernel, and some left over.
        let ScoreBatch { x, t, target, .. } = batch(&exact, 403);
        let v: Vec<f64> = target.iter().map(|v| f64::from(*v as f32)).collect();
        let [x, v] = [x, v].map(|x| [DType::F64, DType::F32].map(|dtype| rows(&x, d, dtype)));
        for t in [t[1], t[5], t[200], t[399]] {
            let what = format!("at {t}, {config:?}");
            let (score, jvp) = exact.score_jvp(&x[0], t, &v[0])?;
            let divergence = exact.divergence(&x[0], t)?;
            let run = |net: &ScoreNet, n: usize| -> Result<_, sde_core::Error> {
                let (x, v) = (x[1].narrow(0, 0, n)?, v[1].narrow(0, 0, n)?);
                let (score, jvp) = net.score_jvp(&x, t, &v)?;
                Ok([host(&net.score(&x, t)?), host(&score), host(&jvp), net.divergence(&x, t)?])
            };
            for net in [&single, &fused] {
                let found = run(net, 403)?;
                check(&format!("score {what}"), &found[0], &host(&score), 5e-6);
                check(&format!("score beside {what}"), &found[1], &host(&score), 5e-6);
                check(&format!("jvp {what}"), &found[2], &host(&jvp), 1e-5);
                check(&format!("divergence {what}"), &found[3], &divergence, 1e-5);
            }
            // Fewer rows, on one thread, are the same numbers.
            let all = run(&fused, 403)?;
            for n in [200, 1] {
                let some = run(&fused, n)?;
                assert!(all.iter().zip(&some).all(|(all, some)| all.starts_with(some)), "{what}");
            }
        }
        let narrow = rows(&points(1, 4, d), d, DType::F32);
        let refused = fused.score_jvp(&x[1], t[5], &narrow).map(drop).map_err(|e| e.to_string());
        assert!(refused.is_err_and(|e| e.contains("direction v: expected shape [403")));
        let (a, b) = (exact.score_graph(&x[0], &t)?, fused.score_graph(&x[1], &t)?);
        check(&format!("graph {config:?}"), &host(&b), &host(&a), 5e-6);
    }
    Ok(())
}

#[test]
fn derivatives_of_potentials_agree() -> Outcome {
    for config in potentials() {
        let [exact, _, fused] = three(&config);
        let ScoreBatch { x, t, .. } = batch(&exact, 403);
        let (wide, narrow) = (rows(&x, config.dim, DType::F64), rows(&x, config.dim, DType::F32));
        let (a, b) = (exact.derivatives(&wide, &t)?, fused.derivatives(&narrow, &t)?);
        let what = format!("{config:?}");
        check(&format!("potential {what}"), &b.potential, &a.potential, 2e-6);
        check(&format!("score {what}"), &host(&b.score), &host(&a.score), 5e-6);
        check(&format!("d_t {what}"), &b.d_t, &a.d_t, 5e-6);
        check(&format!("laplacian {what}"), &b.laplacian, &a.laplacian, 1e-5);
    }
    Ok(())
}

/// Values without derivatives are those with them, on all paths, in blocks and on one thread.
#[test]
fn values_of_potentials_agree() -> Outcome {
    for config in potentials() {
        let [exact, single, fused] = three(&config);
        let ScoreBatch { x, t, .. } = batch(&exact, 403);
        let (wide, narrow) = (rows(&x, config.dim, DType::F64), rows(&x, config.dim, DType::F32));
        for t in [t[1], t[200], t[399]] {
            let truth = exact.derivatives(&wide, &[t; 403])?.potential;
            let what = format!("at {t}, {config:?}");
            check(&format!("f64 {what}"), &exact.potential(&wide, t)?, &truth, 1e-12);
            check(&format!("f32 {what}"), &single.potential(&narrow, t)?, &truth, 2e-6);
            let found = fused.potential(&narrow, t)?;
            check(&format!("fused {what}"), &found, &truth, 2e-6);
            assert!(found.starts_with(&fused.potential(&narrow.narrow(0, 0, 1)?, t)?), "{what}");
        }
    }
    Ok(())
}

/// A network whose output is the score has no potential, on either path.
#[test]
fn scores_have_no_potential() -> Outcome {
    for config in all().iter().filter(|c| c.output == Output::Score) {
        for net in three(config) {
            let x = rows(&points(1, 3, config.dim), config.dim, net.dtype());
            let refused = net.derivatives(&x, &[0.1; 3]).map(drop).map_err(|e| e.to_string());
            assert!(refused.is_err_and(|e| e.contains("a network whose output is a potential")));
        }
    }
    Ok(())
}

fn operator(row: &OperatorRow<'_>, direction: &mut [f64]) -> (f64, f64) {
    // Any operator will do; this one has every part depend on what it may depend on.
    let square: f64 = row.score.iter().map(|s| s * s).sum();
    for ((c, x), s) in direction.iter_mut().zip(row.x).zip(row.score) {
        *c = 0.3 * x - 0.8 * s;
    }
    (-0.4 - 0.1 * (row.row % 2) as f64, 0.4 * square + 0.2 * row.t)
}

fn same_gradients(
    what: &str,
    nets: [&ScoreNet; 2],
    results: [&(f64, Gradients); 2],
    tolerance: f64,
) {
    let [(loss, grads), (other_loss, other_grads)] = results;
    check(&format!("loss {what}"), &[*other_loss], &[*loss], tolerance);
    let [parameters, others] = nets.map(ScoreNet::parameters);
    for name in parameters.names() {
        match (grads.get(parameters, name), other_grads.get(others, name)) {
            (Some(a), Some(b)) => {
                assert_eq!(a.dims(), b.dims(), "{name}");
                let error = deviation(&host(b), &host(a));
                eprintln!("gradient of {name}, {what}: {error:.1e}");
                assert!(error <= tolerance, "gradient of {name}, {what}: {error:e}");
                assert!(host(b).iter().any(|g| *g != 0.0), "gradient of {name} is zero, {what}");
            }
            (None, None) => assert_eq!(nets[0].gauge_parameter(), Some(name)),
            _ => panic!("{name} has a gradient on one path only"),
        }
    }
}

#[test]
fn losses_and_every_gradient_agree() -> Outcome {
    for config in all() {
        let [exact, single, fused] = three(&config);
        let batch = batch(&exact, 403);
        let what = format!("{config:?}");
        let run = |net: &ScoreNet| net.score_loss_and_grad(&batch);
        let (a, b, c) = (run(&exact)?, run(&single)?, run(&fused)?);
        same_gradients(&format!("score, fused {what}"), [&exact, &fused], [&a, &c], 1e-5);
        same_gradients(&format!("score, composite {what}"), [&exact, &single], [&a, &b], 1e-5);
        check(&format!("loss alone {what}"), &[fused.score_loss(&batch)?], &[a.0], 1e-5);
        if config.output == Output::Score {
            continue;
        }
        let run = |net: &ScoreNet| {
            net.operator_loss_and_grad(&batch.x, &batch.t, &batch.weight, &operator)
        };
        let (a, b, c) = (run(&exact)?, run(&single)?, run(&fused)?);
        same_gradients(&format!("operator, fused {what}"), [&exact, &fused], [&a, &c], 5e-5);
        same_gradients(&format!("operator, composite {what}"), [&exact, &single], [&a, &b], 5e-5);
    }
    Ok(())
}

/// The cutting of a large batch into graphs does not show.
#[test]
fn large_batches_are_sums_of_small_ones() -> Outcome {
    let config = &zoo()[1];
    let net = net(config, DType::F64);
    let n = 20_000;
    let whole = batch(&net, n);
    let part = |from: usize, to: usize| ScoreBatch {
        x: whole.x[2 * from..2 * to].to_vec(),
        t: whole.t[from..to].to_vec(),
        target: whole.target[2 * from..2 * to].to_vec(),
        weight: whole.weight[from..to].to_vec(),
    };
    let (all, grads) = net.score_loss_and_grad(&whole)?;
    let (a, b) =
        (net.score_loss_and_grad(&part(0, 5000))?, net.score_loss_and_grad(&part(5000, n))?);
    check("loss", &[0.25 * a.0 + 0.75 * b.0], &[all], 1e-12);
    for name in net.parameters().names().filter(|n| net.gauge_parameter() != Some(n)) {
        let get = |g: &Gradients| host(g.get(net.parameters(), name).unwrap());
        let (a, b) = (get(&a.1), get(&b.1));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.25 * a + 0.75 * b).collect();
        check(name, &sum, &get(&grads), 1e-11);
    }
    Ok(())
}

/// New weights reach the kernels.
#[test]
fn kernels_follow_the_weights() -> Outcome {
    for output in [Output::Potential, Output::Score] {
        let [_, single, fused] = three(&NetConfig { output, ..NetConfig::published() });
        let x = rows(&points(1, 50, 2), 2, DType::F32);
        let before = host(&fused.score(&x, 0.5)?);
        for net in [&single, &fused] {
            for (name, values) in net.parameters().iter() {
                net.parameters().set(name, &(values * 1.1)?)?;
            }
        }
        let after = host(&fused.score(&x, 0.5)?);
        assert!(deviation(&after, &before) > 1e-2);
        check("score", &after, &host(&single.score(&x, 0.5)?), 1e-5);
    }
    Ok(())
}
