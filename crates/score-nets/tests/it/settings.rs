//! Settings and batches that no network can have.

use candle_core::{DType, Device, Tensor};
use score_nets::{
    Activation, Base, Draws, Error, Kernels, NetConfig, Output, Proposal, Schedule, ScoreNet,
    TimeDistribution, TimeEmbedding, TimeFeature, TrainConfig,
};
use sde_core::{Key, Potential, Score, ScoreJvp, Sde, Vp};

use crate::common::{Outcome, net, rows, zoo};

#[track_caller]
fn refused<T>(result: Result<T, impl std::fmt::Display>, part: &str) {
    let line = result.err().map(|e| e.to_string()).unwrap_or_else(|| "accepted".into());
    assert!(line.contains(part) && !line.contains('\n'), "{line:?} lacks {part:?}");
}

fn fourier(bands: usize) -> TimeEmbedding {
    TimeEmbedding::Fourier { bands, max_frequency: 1.0 }
}

#[test]
fn impossible_networks() {
    let good = NetConfig::published;
    let make = |c| ScoreNet::new(c, Key::root(0), DType::F32, &Device::Cpu);
    refused(make(NetConfig { dim: 0, ..good() }), "dim = 0");
    refused(make(NetConfig { hidden: vec![], ..good() }), "hidden = []");
    refused(make(NetConfig { hidden: vec![8, 0], ..good() }), "hidden = [8, 0]");
    refused(make(NetConfig { sde: "ve-ou".into(), ..good() }), "ve-ou");
    let softplus = Activation::Softplus { beta: -1.0 };
    refused(make(NetConfig { activation: softplus, ..good() }), "activation.beta = -1");
    let base = Base::Gaussian { variance: f64::NAN, input_scale: 1.0 };
    refused(make(NetConfig { base, ..good() }), "base.variance = NaN");
    let time = TimeFeature::LogVariance { floor: 0.0 };
    refused(make(NetConfig { time, ..good() }), "time.floor = 0");
    let embedding = fourier(0);
    refused(make(NetConfig { embedding, ..good() }), "embedding.bands = 0");
    refused(ScoreNet::new(good(), Key::root(0), DType::F16, &Device::Cpu), "f16");
    refused(net(&good(), DType::F64).with_kernels(Kernels::Fused), "f64");
    for (dim, embedding) in [(64, TimeEmbedding::Plain), (2, fourier(31))] {
        for output in [Output::Potential, Output::Score] {
            let wide = NetConfig { dim, output, embedding, ..good() };
            let wide = net(&wide, DType::F32);
            assert!(!wide.uses_fused().unwrap_or(true));
            refused(wide.with_kernels(Kernels::Fused), "at most 64 inputs (here f32, Cpu, 65)");
        }
    }
}

#[test]
fn impossible_batches() -> Outcome {
    let outputs = [Output::Potential, Output::Score];
    for (output, kernels) in
        outputs.into_iter().flat_map(|o| [(o, Kernels::Composite), (o, Kernels::Fused)])
    {
        let config = NetConfig { output, ..NetConfig::published() };
        let net = net(&config, DType::F32).with_kernels(kernels)?;
        let x = rows(&[0.0; 6], 2, DType::F32);
        refused(
            net.score(&rows(&[0.0; 6], 3, DType::F32), 0.1),
            "expected shape [2, 2], found [2, 3]",
        );
        refused(net.score(&Tensor::zeros(6, DType::F32, &Device::Cpu)?, 0.1), "found [6]");
        refused(net.score(&rows(&[0.0; 6], 2, DType::F64), 0.1), "batches of f32, not f64");
        refused(net.score(&x, f64::NAN), "t = NaN");
        refused(net.score_jvp(&x, f64::NAN, &x), "t = NaN");
        refused(net.divergence(&x, f64::NAN), "t = NaN");
        let v = rows(&[0.0; 4], 2, DType::F32);
        refused(net.score_jvp(&x, 0.1, &v), "direction v: expected shape [3, 2], found [2, 2]");
        let empty = Tensor::zeros((0, 2), DType::F32, &Device::Cpu)?;
        assert_eq!(net.score(&empty, 0.1)?.dims(), &[0, 2]);
        if output == Output::Potential {
            refused(net.derivatives(&x, &[0.1; 2]), "times t: expected shape [3], found [2]");
            refused(net.derivatives(&x, &[0.1, f64::INFINITY, 0.2]), "t = inf");
        }
        if kernels == Kernels::Fused {
            assert_eq!(net.score_jvp(&empty, 0.1, &empty)?.1.dims(), &[0, 2]);
            assert!(net.divergence(&empty, 0.1)?.is_empty());
        }
    }
    Ok(())
}

#[test]
fn impossible_runs() {
    let config = |schedule| TrainConfig::new(3, schedule);
    refused(config(Schedule::Constant { lr: f64::NAN }).validate(), "schedule.lr = NaN");
    refused(config(Schedule::Phases { phases: vec![] }).validate(), "schedule.steps = 0");
    let constant = || config(Schedule::Constant { lr: 1e-3 });
    refused(TrainConfig { clip: Some(0.0), ..constant() }.validate(), "clip = 0");
    let ema = Some(score_nets::EmaConfig { decay: 1.0, warmup: false });
    refused(TrainConfig { ema, ..constant() }.validate(), "ema.decay = 1");
    refused(TimeDistribution::Beta { a: 0.0, b: 1.0 }.time(&Vp::default(), 0.0, 0.5), "time.a = 0");
    let net = net(&zoo()[5], DType::F32);
    let result = net.operator_loss_and_grad(&[0.0; 3], &[0.5], &[], &|_, _| (0.0, 0.0));
    assert!(matches!(result, Err(Error::Unsupported { .. })));
}

#[test]
fn schedules() {
    let official = Schedule::official();
    assert_eq!(official.steps(), Some(100_000));
    for (step, lr, created) in [
        (0, 1e-3, 0),
        (24_999, 1e-3, 0),
        (25_000, 1e-4, 25_000),
        (90_000, 1e-5, 90_000),
        (200_000, 1e-5, 90_000),
    ] {
        assert_eq!((official.lr(step), official.created_at(step)), (lr, created), "step {step}");
    }
    let short = official.scaled(1000);
    assert_eq!((short.steps(), short.created_at(249), short.created_at(250)), (Some(1000), 0, 250));
    let cosine = Schedule::Cosine { lr: 2.0, lr_end: 0.5, warmup: 4, steps: 104 };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    [(0, 0.5), (3, 2.0), (4, 2.0), (54, 1.25), (104, 0.5), (500, 0.5)]
        .into_iter()
        .for_each(|(step, lr)| close(cosine.lr(step), lr));
}

/// Quantiles of every law of the times, by their distribution functions.
#[test]
fn time_laws() -> Outcome {
    let sde = Vp::default();
    let lambda = |t| sde.half_log_snr(t);
    for u in [1e-6, 0.1, 0.37, 0.5, 0.93, 1.0 - 1e-6] {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs().max(1e-3), "{a} {b}");
        let at = |law: TimeDistribution| law.time(&sde, 0.01, u);
        close(at(TimeDistribution::Uniform)?, 0.01 + 0.99 * u);
        close(at(TimeDistribution::Beta { a: 1.0, b: 2.0 })?, 0.01 + (1.0 - (1.0 - u).sqrt()));
        // P(B <= b) = 1 - (1 - b)^3; b^2; 3 b^2 - 2 b^3.
        let b = at(TimeDistribution::Beta { a: 1.0, b: 3.0 })? - 0.01;
        close(1.0 - (1.0 - b).powi(3), u);
        let b = at(TimeDistribution::Beta { a: 2.0, b: 1.0 })? - 0.01;
        close(b * b, u);
        let b = at(TimeDistribution::Beta { a: 2.0, b: 2.0 })? - 0.01;
        close(b * b * (3.0 - 2.0 * b), u);
        let share =
            (lambda(at(TimeDistribution::LogSnr)?) - lambda(0.01)) / (lambda(1.0) - lambda(0.01));
        close(share, u);
    }
    Ok(())
}

#[test]
fn configurations_are_kebab_case_json() -> Outcome {
    for config in zoo() {
        let json = serde_json::to_string(&config)?;
        assert!(!json.contains('_'), "{json}");
        assert_eq!(serde_json::from_str::<NetConfig>(&json)?, config);
    }
    let short = r#"{"dim":2,"hidden":[8],"activation":{"kind":"silu"},"sde":"vp"}"#;
    assert_eq!(serde_json::from_str::<NetConfig>(short)?.base, Base::None);
    let typo = r#"{"dim":2,"hiden":[8],"activation":{"kind":"silu"},"sde":"vp"}"#;
    refused(serde_json::from_str::<NetConfig>(typo), "hiden");
    Ok(())
}

/// Names of earlier versions are still read, and the present ones written.
#[test]
fn earlier_names_are_read() -> Outcome {
    let draws: Draws = serde_json::from_str("\"stratified\"")?;
    assert_eq!(
        (draws, serde_json::to_string(&draws)?),
        (Draws::QuasiMonteCarlo, "\"quasi-monte-carlo\"".into())
    );
    let text = r#"{"share":0.6,"law":{"kind":"log-uniform","shift":0.002}}"#;
    let proposal: Proposal = serde_json::from_str(text)?;
    let distribution = TimeDistribution::LogUniform { shift: 0.002 };
    assert_eq!(proposal, Proposal { share: 0.6, distribution });
    assert_eq!(serde_json::to_string(&proposal)?, text.replace("law", "distribution"));
    Ok(())
}
