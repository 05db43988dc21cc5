//! Files of other people's code.

use std::{collections::BTreeMap, io::Write, path::Path};

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, tensor::TensorView};
use score_nets::{
    Architecture, Backend,
    checkpoint::{self, NoiseLevel, Prediction, Process, Weights},
};
use sde_core::Preconditioning;
use serde_json::{Value, json};

use super::parameters;

type Tensors = BTreeMap<String, Tensor>;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("makes a folder")
}

fn values(t: &Tensor) -> Vec<f32> {
    t.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1()).expect("has values")
}

/// A safetensors file of f16 numbers.
fn write_f16(path: &Path, tensors: &Tensors) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(n, t)| {
            let half = values(t).into_iter().flat_map(|v| half::f16::from_f32(v).to_le_bytes());
            (n.clone(), t.dims().to_vec(), half.collect())
        })
        .collect();
    let views = bytes.iter().map(|(n, s, b)| {
        (n.as_str(), TensorView::new(Dtype::F16, s.clone(), b).expect("is a view"))
    });
    let file = safetensors::serialize(views, None).expect("serialises");
    std::fs::write(path, file).expect("writes");
}

fn write_json(path: &Path, json: &Value) {
    std::fs::write(path, json.to_string()).expect("writes");
}

fn state(architecture: &Architecture) -> Tensors {
    parameters(architecture, &Backend::cpu()).state()
}

fn close(a: &Tensors, b: &Tensors, tolerance: f32) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, t) in a {
        let (t, u) = (values(t), values(&b[name]));
        let off =
            t.iter().zip(&u).map(|(t, u)| (t - u).abs() / (1.0 + u.abs())).fold(0.0, f32::max);
        assert!(off <= tolerance, "`{name}` is {off} off");
    }
}

#[test]
fn a_folder_of_diffusers_says_everything() {
    let folder = folder();
    let config = json!({"_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "sample_size": 4,
        "block_out_channels": [8, 8], "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 2, "in_channels": 1,
        "out_channels": 1, "layers_per_block": 1, "attention_head_dim": null});
    write_json(&folder.path().join("config.json"), &config);
    let scheduler = json!({"_class_name": "DDPMScheduler", "beta_start": 0.0001, "beta_end": 0.02,
        "beta_schedule": "linear", "num_train_timesteps": 1000, "prediction_type": "v_prediction"});
    write_json(&folder.path().join("scheduler_config.json"), &scheduler);
    let json = json!({"architecture": "diffusers", "args": config});
    let tensors = state(&Architecture::from_json(&json).expect("is one"));
    let old: Tensors = tensors
        .iter()
        .map(|(n, t)| {
            let names =
                [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];
            (names.iter().fold(n.clone(), |n, (new, old)| n.replace(new, old)), t.clone())
        })
        .collect();
    assert_ne!(tensors.keys().collect::<Vec<_>>(), old.keys().collect::<Vec<_>>());
    write_f16(&folder.path().join("diffusion_pytorch_model.safetensors"), &old);
    let opened = checkpoint::open(folder.path()).expect("opens");
    close(&opened.tensors, &tensors, 1e-3);
    assert_eq!(opened.conventions.prediction, Prediction::Velocity);
    assert_eq!(opened.conventions.level, NoiseLevel::Step);
    let Some(Process::Ddpm { betas, .. }) = &opened.conventions.process else { panic!("no betas") };
    let betas = betas.values().expect("fit");
    assert_eq!((betas.len(), betas[0], betas[999]), (1000, 1e-4, 0.02));
    opened.parameters(&Backend::cpu()).expect("fits");
    // One that is missing, one too many, one of another shape: one line.
    let mut wrong = old.clone();
    wrong.remove("conv_in.bias");
    wrong.insert("conv_in.bais".into(), old["conv_in.bias"].clone());
    wrong.insert("conv_out.bias".into(), old["conv_in.bias"].clone());
    write_f16(&folder.path().join("diffusion_pytorch_model.safetensors"), &wrong);
    let error = checkpoint::open(folder.path()).and_then(|o| o.parameters(&Backend::cpu()));
    let error = error.expect_err("must be refused").to_string();
    for part in
        ["missing: conv_in.bias", "superfluous: conv_in.bais", "of another shape: conv_out.bias"]
    {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_state_dict_needs_to_be_told_what_it_is() {
    let folder = folder();
    let args = json!({"img_resolution": 4, "img_channels": 1, "model_channels": 4, "channel_mult": [1, 1],
        "num_blocks": 1, "augment_dim": 9, "precond": "iDDPM", "resample_filter": [1, 3, 3, 1]});
    let json = json!({"architecture": "edm", "args": args});
    let tensors = state(&Architecture::from_json(&json).expect("is one"));
    let mut wrapped: Tensors =
        tensors.iter().map(|(n, t)| (format!("model.{n}"), t.clone())).collect();
    let mut levels = sde_core::schedule::iddpm_sigmas(1000, 0.001, 0.008);
    levels.push(0.0);
    // As the file has them: halves.
    let half = |u: &f64| half::f16::from_f64(u / 4.0).to_f32();
    let levels: Vec<f32> = levels.iter().map(half).collect();
    wrapped.insert("u".into(), Tensor::new(levels.as_slice(), &Device::Cpu).expect("is a tensor"));
    let path = folder.path().join("net.safetensors");
    write_f16(&path, &wrapped);
    let error = checkpoint::open(&path).expect_err("must be refused").to_string();
    assert!(error.contains("net.json") && error.lines().count() == 1, "{error}");
    write_json(&folder.path().join("net.json"), &json);
    let opened = checkpoint::open(&path).expect("opens");
    close(&opened.tensors, &tensors, 1e-3);
    assert!(opened.conventions.learned_variance);
    // Labels are by the table of the file, rounded as it is there and not as the formula gives it.
    let read = opened.conventions.levels.clone().expect("has levels");
    assert!(read.ratios().iter().rev().map(|u| *u as f32).eq(levels.iter().copied()));
    let setup = opened.conventions.setup().expect("works").expect("says everything");
    for (k, level) in levels.iter().enumerate().step_by(37) {
        let label = setup.preconditioning.label.of_log_ratio(f64::from(*level).ln());
        assert_eq!(label, Some(999.0 - k as f64));
    }
    let name = setup.preconditioning.to_string();
    assert!(name.parse().is_ok_and(|p: Preconditioning| p == setup.preconditioning));
    let short = Tensor::new(&levels[1..], &Device::Cpu).expect("is a tensor");
    wrapped.insert("u".into(), short);
    write_f16(&path, &wrapped);
    let error = checkpoint::open(&path).expect_err("must be refused").to_string();
    assert!(error.contains("`u` has 1000 noise levels, 1001 by the arguments"), "{error}");
    wrapped.remove("u");
    write_f16(&path, &wrapped);
    assert!(checkpoint::open(&path).expect("opens").conventions.levels.is_none());
    close(&checkpoint::open(path.with_extension("json")).expect("opens").tensors, &tensors, 1e-3);
    // Without the labels of augmentation, in the file or in the arguments.
    wrapped.remove("model.map_augment.weight");
    write_f16(&path, &wrapped);
    checkpoint::open(&path).expect("opens").parameters(&Backend::cpu()).expect("fits");
    // A filter that is not the arguments'.
    let mut other = args;
    other["resample_filter"] = json!([1, 2, 2, 1]);
    write_json(&folder.path().join("net.json"), &json!({"architecture": "edm", "args": other}));
    let error = checkpoint::open(&path).expect_err("must be refused").to_string();
    assert!(error.contains("resample_filter") && error.contains("contradicts"), "{error}");
}

/// The part of pickle that `torch.save` uses.
#[derive(Default)]
struct Pickle {
    bytes: Vec<u8>,
    storages: Vec<Vec<f32>>,
}

impl Pickle {
    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn int(&mut self, n: usize) {
        self.bytes.push(b'J');
        self.bytes.extend((n as u32).to_le_bytes());
    }

    fn tuple(&mut self, numbers: &[usize]) {
        self.bytes.push(b'(');
        numbers.iter().for_each(|n| self.int(*n));
        self.bytes.push(b't');
    }

    fn tensor(&mut self, t: &Tensor) {
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.bytes.extend(b"ctorch\nFloatStorage\n");
        self.text(&self.storages.len().to_string());
        self.text("cpu");
        self.int(t.elem_count());
        self.bytes.extend(b"tQ");
        self.int(0);
        self.tuple(t.dims());
        self.tuple(t.stride());
        // requires_grad and no hooks.
        self.bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        self.storages.push(values(t));
    }

    fn write(mut self, path: &Path) {
        self.bytes.push(b'.');
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path).expect("creates"));
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        let mut member = |name: String, bytes: &[u8]| {
            zip.start_file(name, stored).expect("starts");
            zip.write_all(bytes).expect("writes");
        };
        member("archive/data.pkl".into(), &self.bytes);
        for (i, values) in self.storages.iter().enumerate() {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            member(format!("archive/data/{i}"), &bytes);
        }
        zip.finish().expect("finishes");
    }
}

/// The trained parameters of the network below, as its modules register them.
const ORDER: [&str; 8] = [
    "all_modules.1.weight",
    "all_modules.1.bias",
    "all_modules.2.weight",
    "all_modules.2.bias",
    "all_modules.3.weight",
    "all_modules.3.bias",
    "all_modules.4.GroupNorm_0.weight",
    "all_modules.4.GroupNorm_0.bias",
];

/// A checkpoint of score_sde: an optimiser, weights, averages that are 1 more, the step.
fn write_score_sde(path: &Path, tensors: &Tensors, averages: &[&String]) {
    let mut p = Pickle::default();
    p.bytes.extend(b"\x80\x02}(");
    p.text("optimizer");
    p.bytes.extend(b"}(");
    p.text("param_groups");
    p.bytes.extend(b"]}(");
    p.text("lr");
    p.bytes.extend(b"G?\x2a\x36\xe2\xeb\x1c\x43\x2d");
    p.bytes.extend(b"uau");
    p.text("model");
    p.bytes.extend(b"ccollections\nOrderedDict\n)R(");
    for (name, t) in tensors {
        p.text(&format!("module.{name}"));
        p.tensor(t);
    }
    p.bytes.push(b'u');
    p.text("ema");
    p.bytes.extend(b"}(");
    p.text("num_updates");
    p.int(7);
    p.text("shadow_params");
    p.bytes.extend(b"](");
    for name in averages {
        p.tensor(&(&tensors[*name] + 1.0).expect("adds"));
    }
    p.bytes.extend(b"eu");
    p.text("step");
    p.int(7);
    p.bytes.push(b'u');
    p.write(path);
}

#[test]
fn averages_without_names_find_their_parameters() {
    let folder = folder();
    let config = json!({"data": {"image_size": 4, "num_channels": 1}, "training": {"continuous": true},
        "model": {"nf": 4, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [2],
        "embedding_type": "fourier", "scale_by_sigma": true, "progressive_input": "residual", "fir": true,
        "num_scales": 5}});
    let json = json!({"architecture": "score-sde", "args": config, "sde": "ve"});
    let tensors = state(&Architecture::from_json(&json).expect("is one"));
    let fixed = ["all_modules.0.W", "sigmas"];
    // By number of the module, then by part: what is compared with here is written out only at the beginning.
    let number = |name: &str| -> usize {
        name.split('.').nth(1).and_then(|n| n.parse().ok()).expect("has a number")
    };
    let rank = |name: &str| {
        let parts = [
            "GroupNorm_0",
            "Conv_0",
            "Dense_0",
            "GroupNorm_1",
            "Conv_1",
            "Conv_2",
            "NIN_0",
            "NIN_1",
            "NIN_2",
            "NIN_3",
        ];
        let part = parts.iter().position(|p| name.contains(p)).unwrap_or(0);
        (number(name), part, name.ends_with("bias") || name.ends_with(".b"))
    };
    let mut order: Vec<&String> = tensors.keys().filter(|n| !fixed.contains(&n.as_str())).collect();
    order.sort_by_key(|name| rank(name));
    assert_eq!(order[..8].iter().map(|n| n.as_str()).collect::<Vec<_>>(), ORDER);
    let path = folder.path().join("checkpoint_8.pth");
    write_score_sde(&path, &tensors, &order);
    write_json(&folder.path().join("checkpoint_8.json"), &json);
    let raw = checkpoint::open_as(&path, Weights::Raw).expect("opens");
    close(&raw.tensors, &tensors, 0.0);
    let opened = checkpoint::open(&path).expect("opens");
    for (name, t) in &opened.tensors {
        let more = if fixed.contains(&name.as_str()) { 0.0 } else { 1.0 };
        let pairs = values(t).into_iter().zip(values(&tensors[name]));
        let off = pairs.map(|(a, b)| (a - b - more).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "`{name}` is {off} off");
    }
    assert!(matches!(opened.conventions.process, Some(Process::Ve { .. })));
    assert_eq!(opened.conventions.level, NoiseLevel::Sigma);
    // One too few.
    write_score_sde(&path, &tensors, &order[1..]);
    let error = checkpoint::open(&path).expect_err("must be refused").to_string();
    assert!(error.contains("ema.shadow_params") && error.lines().count() == 1, "{error}");
    // Two of another shape in each other's place.
    order.swap(0, 1);
    write_score_sde(&path, &tensors, &order);
    let error = checkpoint::open(&path).expect_err("must be refused").to_string();
    assert!(error.contains("all_modules.1.weight"), "{error}");
}
