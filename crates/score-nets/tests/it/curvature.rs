//! The certified curvature of potentials: never below what is found, and reached where it can be.

use candle_core::{DType, Device};
use score_nets::{NetConfig, Output, ScoreNet};
use sde_core::{Key, ScoreJvp as _};

use crate::common::{Outcome, host, points, rows, zoo};

/// The largest `v . Hess v` over rows along unit vectors.
fn found(net: &ScoreNet, x: &[f64], v: &[f64], t: f64) -> Result<f64, Box<dyn std::error::Error>> {
    let d = net.dim();
    let (x, v) = (rows(x, d, DType::F64), rows(v, d, DType::F64));
    let (v, along) = (host(&v), host(&net.score_jvp(&x, t, &v)?.1));
    let pairs = v.chunks(d).zip(along.chunks(d));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Ok(pairs.map(|(v, along)| dot(v, along) / dot(v, v)).fold(f64::NEG_INFINITY, f64::max))
}

#[test]
fn no_point_is_more_curved_than_the_bound() -> Outcome {
    for (k, config) in zoo().into_iter().enumerate() {
        let (d, output) = (config.dim, config.output);
        let net = ScoreNet::new(config, Key::root(k as u64), DType::F64, &Device::Cpu)?;
        if output == Output::Score {
            let message = net.curvature_bound(0.1).expect_err("no potential").to_string();
            assert!(message.contains("output is a potential"), "{message}");
            continue;
        }
        for t in [0.05, 0.4] {
            let (x, v) = (points(k as u64, 2000, d), points(100 + k as u64, 2000, d));
            let (most, bound) = (found(&net, &x, &v, t)?, net.curvature_bound(t)?);
            assert!(most <= bound, "network {k} at {t}: {most} above {bound}");
        }
    }
    Ok(())
}

/// `w a(v x + b)` of one unit: the bound is `|w| v^2 max |a''|`, which a line of points reaches from one of its sides.
#[test]
fn one_unit_reaches_its_bound() -> Outcome {
    let line: Vec<f64> = (0..=200_000).map(|i| f64::from(i) * 1e-3 - 100.0).collect();
    for (k, published) in zoo().into_iter().filter(|c| c.output == Output::Potential).enumerate() {
        let base = score_nets::Base::None;
        let config = NetConfig { dim: 1, hidden: vec![1], base, ..published };
        let net = ScoreNet::new(config, Key::root(7 + k as u64), DType::F64, &Device::Cpu)?;
        let ones = vec![1.0; line.len()];
        let (x, v) = (rows(&line, 1, DType::F64), rows(&ones, 1, DType::F64));
        let along = host(&net.score_jvp(&x, 0.3, &v)?.1);
        let most = along.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let bound = net.curvature_bound(0.3)?;
        assert!(most <= bound * (1.0 + 1e-12) && most > 0.999 * bound, "{k}: {most} of {bound}");
    }
    Ok(())
}
