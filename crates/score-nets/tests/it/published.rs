//! The published networks against an independent evaluation in float64.

use candle_core::{DType, Device};
use score_nets::{Kernels, ScoreNet};
use sde_core::{Potential, Score};

use crate::common::{Npz, Outcome, check, host, rows, shared};

const NETS: [&str; 8] = [
    "blob_w0.0",
    "blob_w0.1",
    "blob_w1.0",
    "blob_w10.0",
    "circles2_w0.0",
    "circles2_w0.1",
    "circles2_w1.0",
    "circles2_w10.0",
];

/// Deviations are relative to the largest magnitude of the quantity over the 64 points.
fn against_reference(dtype: DType, kernels: Kernels, tolerance: f64, second: f64) -> Outcome {
    let Some(folder) = shared("odesdegap") else { return Ok(()) };
    for name in NETS {
        let net = ScoreNet::open_published(
            folder.join(format!("{name}.safetensors")),
            dtype,
            &candle_core::Device::Cpu,
        )?;
        let net = net.with_kernels(kernels)?;
        let mut npz = Npz::open(folder.join(format!("{name}_ref.npz")))?;
        let inputs = npz.get("inputs")?;
        let t: Vec<f64> = inputs.outer_iter().map(|r| r[0]).collect();
        let x: Vec<f64> = inputs.outer_iter().flat_map(|r| [r[1], r[2]]).collect();
        let x = rows(&x, 2, dtype);
        let found = net.derivatives(&x, &t)?;
        check(&format!("{name} potential"), &found.potential, &npz.flat("potential")?, tolerance);
        check(&format!("{name} score"), &host(&found.score), &npz.flat("score")?, tolerance);
        check(&format!("{name} d_t"), &found.d_t, &npz.flat("dphi_dt")?, tolerance);
        check(&format!("{name} laplacian"), &found.laplacian, &npz.flat("laplacian")?, second);
        let one = net.score(&rows(&host(&x)[..2], 2, dtype), t[0])?;
        check(
            &format!("{name} single score"),
            &host(&one),
            &npz.flat("score")?[..2],
            2.0 * tolerance,
        );
    }
    Ok(())
}

#[test]
fn published_networks_in_f64() -> Outcome {
    against_reference(DType::F64, Kernels::Composite, 1e-10, 1e-10)
}

#[test]
fn published_networks_in_f32() -> Outcome {
    against_reference(DType::F32, Kernels::Composite, 1e-5, 1e-5)
}

#[test]
fn published_networks_on_fused_kernels() -> Outcome {
    against_reference(DType::F32, Kernels::Fused, 1e-5, 1e-5)
}

#[test]
fn original_archive_is_the_converted_file() -> Outcome {
    let Some(folder) = shared("odesdegap") else { return Ok(()) };
    let published = |path| ScoreNet::open_published(path, DType::F32, &Device::Cpu);
    let original = published(folder.join("raw/blob_net__FP_weight_0.0__iteration_100000"))?;
    let converted = published(folder.join("blob_w0.0.safetensors"))?;
    assert_eq!(original.config(), converted.config());
    assert_eq!(original.n_parameters(), 13_361);
    for ((name, a), (other, b)) in original.parameters().iter().zip(converted.parameters().iter()) {
        assert_eq!(name, other);
        assert_eq!(host(a), host(b), "{name}");
    }
    Ok(())
}
