//! The kernels against published networks (softplus with beta = 100, inputs t, x, y) and losses and
//! gradients of them that were computed in double precision elsewhere.

use super::{close, flat};
use crate::fused::{Activation, FusedMlp, Gradients, Layer};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of reference data, or `None` and a line on the screen.
fn shared() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("SHARED_DIR").map_or(default, PathBuf::from);
    let found = folder.join("odesdegap").is_dir() && folder.join("refs/pinn").is_dir();
    if !found {
        eprintln!("skipped: no reference data in {}", folder.display());
    }
    found.then_some(folder)
}

/// The arrays of an npz file in double precision, row-major.
fn npz(path: &Path) -> HashMap<String, Vec<f64>> {
    let file = std::fs::File::open(path).expect("the file is there");
    let mut archive = zip::ZipArchive::new(file).expect("an archive");
    let mut arrays = HashMap::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).expect("an entry");
        let name = entry.name().expect("a name").trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("readable");
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = String::from_utf8_lossy(&bytes[10..start]).into_owned();
        assert!(header.contains("'<f8'") && header.contains("'fortran_order': False"), "{header}");
        let numbers = bytes[start..].as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
        arrays.insert(name, numbers.collect());
    }
    arrays
}

const NAMES: [&str; 4] = ["input", "hidden1", "hidden2", "output"];

/// A published network.
fn network(path: &Path) -> FusedMlp {
    let bytes = std::fs::read(path).expect("the file is there");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let read = |name: String| -> Vec<f32> {
        let data = tensors.tensor(&name).expect("a tensor").data();
        data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    };
    let parts = NAMES.map(|n| (read(format!("{n}.weight")), read(format!("{n}.bias"))));
    let layers = parts.each_ref().map(|(weight, bias)| {
        let outputs = bias.len();
        Layer { inputs: weight.len() / outputs, outputs, weight, bias }
    });
    FusedMlp::new(&layers, Activation::Softplus { beta: 100.0 }).expect("qualifies")
}

fn singles(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

/// The mean square over all samples of `d_t phi - 2 - x . grad phi - |grad phi|^2/2 - lap phi/2`.
fn residual(mlp: &FusedMlp, u: &[f32], grads: &mut Gradients) -> f64 {
    let n = (u.len() / 3) as f64;
    mlp.operator_loss(
        u,
        &[1, 2],
        |samples, to| {
            to.laplacian.fill(-0.5);
            let points = samples.u.chunks_exact(3).zip(samples.grad.chunks_exact(3));
            for (m, (u, grad)) in to.direction.chunks_exact_mut(3).zip(points) {
                m.copy_from_slice(&[1.0, -u[1] - grad[1], -u[2] - grad[2]]);
            }
        },
        |samples, operator, weights| {
            let mut loss = 0.0;
            let grads = samples.grad.chunks_exact(3);
            for ((&m, g), weight) in operator.iter().zip(grads).zip(weights) {
                let r = f64::from(m) - 2.0 + 0.5 * f64::from(g[1] * g[1] + g[2] * g[2]);
                *weight = (2.0 * r / n) as f32;
                loss += r * r / n;
            }
            loss
        },
        grads,
    )
}

/// Holds gradients against those of the file, whose names start with `prefix`.
fn compare(grads: &Gradients, reference: &HashMap<String, Vec<f64>>, prefix: &str, what: &str) {
    let expected: Vec<f64> = NAMES
        .iter()
        .flat_map(|n| [format!("{prefix}/{n}.weight"), format!("{prefix}/{n}.bias")])
        .flat_map(|name| reference[&name].clone())
        .collect();
    close(&flat(grads), &expected, 1e-4, &format!("{prefix} {what}"));
    let error = |(f, e): (f32, &f64)| (f64::from(f) - e).powi(2);
    let error: f64 = flat(grads).into_iter().zip(&expected).map(error).sum();
    let norm: f64 = expected.iter().map(|e| e * e).sum();
    let relative = (error / norm).sqrt();
    eprintln!("{prefix} {what}: relative error of the gradient {relative:.1e}");
    assert!(relative < 1e-4, "{prefix} {what}: {relative:.1e}");
}

#[test]
fn published_losses_and_their_gradients() {
    let Some(shared) = shared() else { return };
    for name in ["blob_w0.0", "circles2_w1.0"] {
        let mlp = network(&shared.join(format!("odesdegap/{name}.safetensors")));
        let reference = npz(&shared.join(format!("refs/pinn/losses_{name}.npz")));
        let summary = std::fs::read_to_string(shared.join("refs/pinn/meta.json")).expect("text");
        let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
        let expected = |what: &str| summary[name][what].as_f64().expect("a number");

        let (t, xt, target) = (&reference["t"], &reference["xt"], &reference["target"]);
        let samples = t.iter().zip(xt.chunks_exact(2));
        let u: Vec<f32> = samples.flat_map(|(&t, x)| singles(&[t, x[0], x[1]])).collect();
        let n = t.len() as f64;
        let mut grads = mlp.zero_gradients();
        let loss = mlp.gradient_loss(
            &u,
            |samples, v| {
                let targets = target[2 * samples.first..].chunks_exact(2);
                let points = samples.grad.chunks_exact(3).zip(targets);
                let mut loss = 0.0;
                for (v, (grad, target)) in v.chunks_exact_mut(3).zip(points) {
                    for i in 0..2 {
                        let e = f64::from(grad[1 + i]) - target[i];
                        v[1 + i] = (e / n) as f32;
                        loss += 0.5 * e * e / n;
                    }
                }
                loss
            },
            &mut grads,
        );
        let relative = (loss / expected("dsm_loss") - 1.0).abs();
        assert!(relative < 1e-5, "{name}: {loss}, {relative:.1e}");
        compare(&grads, &reference, "grad_dsm", name);

        let mut grads = mlp.zero_gradients();
        let loss = residual(&mlp, &singles(&reference["collocation"]), &mut grads);
        let relative = (loss / expected("pinn_loss") - 1.0).abs();
        assert!(relative < 1e-4, "{name}: {loss}, {relative:.1e}");
        compare(&grads, &reference, "grad_pinn", name);
    }
}

#[test]
fn published_values_and_derivatives() {
    let Some(shared) = shared() else { return };
    for data in ["blob", "circles2"] {
        for weight in ["0.0", "0.1", "1.0", "10.0"] {
            let name = format!("{data}_w{weight}");
            let mlp = network(&shared.join(format!("odesdegap/{name}.safetensors")));
            let reference = npz(&shared.join(format!("odesdegap/{name}_ref.npz")));
            let u = singles(&reference["inputs"]);
            let n = u.len() / 3;
            let (mut value, mut lap) = (vec![0.0; n], vec![0.0; n]);
            let mut grad = vec![0.0; 3 * n];
            mlp.laplacian(&u, &[1, 2], Some(&mut value), &mut grad, &mut lap);
            close(&value, &reference["potential"], 2e-6, &format!("potential {name}"));
            close(&lap, &reference["laplacian"], 1e-4, &format!("laplacian {name}"));
            let (dt, score) = (&reference["dphi_dt"], &reference["score"]);
            let score = score.chunks_exact(2);
            let both: Vec<f64> = dt.iter().zip(score).flat_map(|(&t, s)| [t, s[0], s[1]]).collect();
            close(&grad, &both, 1e-5, &format!("gradient {name}"));
        }
    }
}
