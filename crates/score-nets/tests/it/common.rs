//! Reference files, comparisons, small networks.

use candle_core::{DType, Device, Tensor};
use score_nets::{
    Activation, Backend, Base, NetConfig, Output, ScoreNet, TimeEmbedding, TimeFeature,
};
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

/// Double precision on every device of this machine.
pub(crate) fn everywhere() -> Vec<Backend> {
    let on = |device| Backend::new(device, DType::F64).expect("every device has it");
    Backend::devices().into_iter().map(on).collect()
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

/// Networks that between them use every setting.
pub(crate) fn zoo() -> Vec<NetConfig> {
    let gaussian = Base::Gaussian { variance: 1.7, input_scale: 1.3 };
    let net = |dim, hidden: &[usize], activation, time, embedding, output, base, sde: &str| {
        let (hidden, sde) = (hidden.to_vec(), sde.to_string());
        NetConfig { dim, hidden, activation, time, embedding, output, base, sde, identity: None }
    };
    let fourier = TimeEmbedding::Fourier { bands: 3, max_frequency: 4.0 };
    let (plain, potential, score) = (TimeEmbedding::Plain, Output::Potential, Output::Score);
    let softplus = Activation::Softplus { beta: 3.0 };
    let log = TimeFeature::LogVariance { floor: 0.01 };
    let log_time = TimeFeature::LogTime { shift: 0.01 };
    let root = TimeFeature::RootVariance { floor: 0.02 };
    vec![
        net(2, &[9, 7], softplus, TimeFeature::Raw, plain, potential, Base::None, "ou"),
        net(2, &[9, 7, 5], Activation::Silu, log, plain, potential, gaussian, "ou"),
        net(
            3,
            &[8, 8],
            Activation::Tanh,
            TimeFeature::VarianceRatio,
            fourier,
            potential,
            gaussian,
            "vp",
        ),
        net(1, &[12], Activation::Sin, TimeFeature::LogSnr, plain, potential, gaussian, "sub-vp"),
        net(2, &[8, 6], Activation::Silu, root, fourier, score, gaussian, "ve"),
        net(3, &[8, 6], Activation::Tanh, TimeFeature::Fraction, plain, score, Base::None, "vp"),
        net(2, &[7, 5], Activation::Tanh, log_time, plain, potential, Base::None, "vp"),
        net(2, &[10], softplus, log, plain, score, gaussian, "sub-vp"),
    ]
}

pub(crate) fn net(config: &NetConfig, dtype: DType) -> ScoreNet {
    ScoreNet::new(config.clone(), Key::root(5), dtype, &Device::Cpu).unwrap()
}
