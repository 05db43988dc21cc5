//! Reference files, comparisons, small networks.

use candle_core::{DType, Device, Tensor};
use score_nets::{Activation, Base, NetConfig, Output, ScoreNet, TimeEmbedding, TimeFeature};
use sde_core::Key;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The largest deviation, relative to the largest magnitude of the reference.
pub(crate) fn deviation(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    worst.fold(0.0, |m, e| if e.is_nan() { f64::INFINITY } else { m.max(e) }) / scale
}

#[track_caller]
pub(crate) fn check(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let error = deviation(found, expected);
    eprintln!("{what}: {error:.1e}");
    assert!(error <= tolerance, "{what}: deviation {error:e} > {tolerance:e}");
}

pub(crate) fn host(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn rows(values: &[f64], d: usize, dtype: DType) -> Tensor {
    let shape = (values.len() / d, d);
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// `n` normal points in `d` dimensions.
pub(crate) fn points(seed: u64, n: usize, d: usize) -> Vec<f64> {
    let mut x = vec![0.0; n * d];
    Key::root(seed).fill_normals(0, &mut x);
    x
}

/// `n` times spread over (0, T).
pub(crate) fn times(net: &ScoreNet, n: usize) -> Vec<f64> {
    (1..=n).map(|i| net.sde().horizon() * i as f64 / (n as f64 + 1.0)).collect()
}

/// Networks of both outputs, with and without a base, under all SDEs.
pub(crate) fn zoo() -> Vec<NetConfig> {
    let gaussian = Base::Gaussian { variance: 1.7, input_scale: 1.3 };
    let net = |dim, activation, time, output, base, sde: &str| NetConfig {
        dim,
        hidden: vec![9, 7],
        activation,
        time,
        embedding: TimeEmbedding::Plain,
        output,
        base,
        sde: sde.into(),
        identity: None,
    };
    let (raw, log) = (TimeFeature::Raw, TimeFeature::LogVariance { floor: 0.01 });
    let softplus = Activation::Softplus { beta: 3.0 };
    vec![
        net(2, softplus, raw, Output::Potential, Base::None, "ou"),
        net(3, Activation::Silu, log, Output::Potential, gaussian, "vp"),
        net(2, Activation::Tanh, log, Output::Potential, gaussian, "sub-vp"),
        net(2, Activation::Sin, log, Output::Score, gaussian, "ve"),
        net(3, Activation::Silu, raw, Output::Score, Base::None, "vp"),
    ]
}

pub(crate) fn net(config: &NetConfig, dtype: DType) -> ScoreNet {
    ScoreNet::new(config.clone(), Key::root(5), dtype, &Device::Cpu).unwrap()
}
