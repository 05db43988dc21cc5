//! `show` and `forward`: of checkpoints of ours, and of published architectures with weights made here.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use ndarray::{ArrayD, IxDyn};
use score_nets::{
    Architecture, Backend, Condition, Jet, ModelConfig, NetConfig, Network, Parameters, ScoreModel,
    ScoreNet,
};
use sde_core::{Key, Score, State};
use serde_json::{Value, json};

use crate::support::{experiment, fails, json as report, save, text};

const SIZE: usize = 8;
const CLASSES: usize = 3;

/// A scratch folder with a tiny `SongUNet` of EDM, `net.safetensors` and `net.json`, and inputs for it.
struct Scratch {
    dir: tempfile::TempDir,
    tensors: BTreeMap<String, Tensor>,
    args: Value,
}

impl Scratch {
    fn new() -> Self {
        let args = json!({"model_type": "SongUNet", "img_resolution": SIZE, "img_channels": 1,
            "label_dim": CLASSES, "model_channels": 4, "channel_mult": [1, 2], "num_blocks": 1,
            "attn_resolutions": [4], "precond": "EDM", "sigma_data": 0.5});
        let fresh =
            architecture(&args).initial(Key::root(3), &Backend::cpu_f64()).expect("parameters");
        let mut tensors = fresh.state();
        // Layers that begin at zero would hide everything before them.
        for (i, name) in fresh.names().enumerate() {
            let shape = tensors[name].dims().to_vec();
            let value = |j: usize| 0.4 * (0.61 * j as f64 + 1.3 * i as f64).sin();
            let values = (0..shape.iter().product()).map(value).collect();
            let tensor = Backend::cpu_f64().tensor(values, &shape).expect("a tensor");
            tensors.insert(name.into(), tensor);
        }
        let scratch = Self { dir: tempfile::tempdir().expect("a folder"), tensors, args };
        scratch.write("net", &scratch.args, scratch.tensors.clone());
        scratch.array("x", &[3, 1, SIZE, SIZE], |i| (i as f64 * 0.37).sin());
        scratch.array("t", &[3], |i| 0.3 + i as f64);
        scratch.array("labels", &[3], |i| i as f64);
        scratch
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A state dict with the JSON beside it.
    fn write(&self, name: &str, args: &Value, tensors: BTreeMap<String, Tensor>) {
        let said = json!({"architecture": "edm", "args": args});
        std::fs::write(self.path(&format!("{name}.json")), said.to_string()).expect("a file");
        let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
        let path = self.path(&format!("{name}.safetensors"));
        candle_core::safetensors::save(&tensors, path).expect("a file");
    }

    fn array(&self, name: &str, shape: &[usize], value: impl Fn(usize) -> f64) {
        let values = (0..shape.iter().product()).map(value).collect();
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("its shape");
        save(&self.path(&format!("{name}.npy")), &array);
    }

    fn load(&self, name: &str) -> ArrayD<f64> {
        ndarray_npy::read_npy(self.path(name)).expect("an array of doubles")
    }

    /// `forward` with `x.npy` and `t.npy` to a file, which must succeed.
    fn forward(&self, model: &str, out: &str, extra: &[&str]) -> ArrayD<f64> {
        let words = ["forward", model, "--x", "x.npy", "--t", "t.npy", "--out", out];
        let words = [&words[..], extra].concat();
        let output = experiment(&words).current_dir(self.dir.path()).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        self.load(out)
    }

    /// The network itself.
    fn net(&self) -> (Parameters, Box<dyn Network>) {
        let architecture = architecture(&self.args);
        let build = |vb| Ok(architecture.build(vb)?.buffers());
        let backend = Backend::cpu_f64();
        let parameters = Parameters::from_tensors(&self.tensors, Path::new("net"), &backend, build);
        let parameters = parameters.expect("parameters");
        let net = architecture.build(parameters.detached()).expect("a network");
        (parameters, net)
    }
}

fn architecture(args: &Value) -> Architecture {
    Architecture::from_json(&json!({"architecture": "edm", "args": args})).expect("an architecture")
}

/// The largest difference, over the largest entry.
fn apart(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let largest = b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) / largest
}

#[test]
fn forward_is_the_network_whatever_the_blocks() {
    let scratch = Scratch::new();
    let (_, net) = scratch.net();
    let tensor = |name: &str| {
        let array = scratch.load(name);
        let values = array.iter().copied().collect();
        Backend::cpu_f64().tensor(values, array.shape()).expect("a tensor")
    };
    let at = |name: &str| Jet::constant(tensor(name));
    let condition = Condition::labels(tensor("labels.npy"));
    let y = net.forward(&at("x.npy"), &at("t.npy"), &condition).expect("outputs").value;
    let y = y.flatten_all().and_then(|y| y.to_vec1::<f64>()).expect("numbers");
    let y = ArrayD::from_shape_vec(IxDyn(&[3, 1, SIZE, SIZE]), y).expect("its shape");
    let labels = ["--labels", "labels.npy"];
    let found = scratch.forward("net.safetensors", "y.npy", &labels);
    assert!(apart(&found, &y) < 1e-14);
    let one = ["--labels", "labels.npy", "--block-rows", "1"];
    assert!(apart(&scratch.forward("net.safetensors", "one.npy", &one), &y) < 1e-14);
    let single = ["--labels", "labels.npy", "--dtype", "f32", "--device", "cpu"];
    let off = apart(&scratch.forward("net.safetensors", "single.npy", &single), &y);
    assert!(off > 0.0 && off < 2e-5, "{off}");
    // Rows of weights are the same classes; no class is another.
    scratch.array("rows", &[3, CLASSES], |i| f64::from(i / CLASSES == i % CLASSES));
    let rows = scratch.forward("net.safetensors", "rows_y.npy", &["--labels", "rows.npy"]);
    assert!(apart(&rows, &y) < 1e-14);
    assert!(apart(&scratch.forward("net.safetensors", "none.npy", &[]), &y) > 1e-6);
}

/// `D = c_skip x + c_out F(c_in x; c_noise)` in closed form, from the bare network at those inputs.
#[test]
fn denoised_is_the_preconditioned_network() {
    let scratch = Scratch::new();
    let found = scratch.forward("net.safetensors", "d.npy", &["--denoised"]);
    let (x, sigma) = (scratch.load("x.npy"), scratch.load("t.npy"));
    let row = SIZE * SIZE;
    let (flat, levels): (Vec<f64>, Vec<f64>) =
        (x.iter().copied().collect(), sigma.iter().copied().collect());
    let norm = |s: f64| (s * s + 0.25).sqrt();
    scratch.array("x", &[3, 1, SIZE, SIZE], |i| flat[i] / norm(levels[i / row]));
    scratch.array("t", &[3], |i| levels[i].ln() / 4.0);
    let f = scratch.forward("net.safetensors", "f.npy", &[]);
    let f: Vec<f64> = f.iter().copied().collect();
    let expected = (0..flat.len()).map(|i| {
        let s = levels[i / row];
        0.25 / (s * s + 0.25) * flat[i] + 0.5 * s / norm(s) * f[i]
    });
    let expected = ArrayD::from_shape_vec(IxDyn(x.shape()), expected.collect()).expect("its shape");
    assert!(apart(&found, &expected) < 1e-13);
}

#[test]
fn forward_of_a_checkpoint_of_ours() {
    let scratch = Scratch::new();
    let net = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F64, &Device::Cpu);
    let net = net.expect("a network");
    net.save(scratch.path("own.safetensors")).expect("a file");
    scratch.array("x", &[3, 2], |i| i as f64 - 2.0);
    scratch.array("t", &[3], |i| if i < 2 { 0.5 } else { 1.0 });
    let found = scratch.forward("own.safetensors", "s.npy", &[]);
    let denoised = scratch.forward("own.safetensors", "d.npy", &["--denoised"]);
    let x = Tensor::new(&[[2.0_f64, 3.0]], &Device::Cpu).expect("a tensor");
    let score = net.score(&x, 1.0).and_then(|s| Ok(s.flatten_all()?.to_vec1::<f64>()?));
    let score = score.expect("a score");
    let m = net.sde().marginal(1.0);
    for i in 0..2 {
        let (s, d) = (found[[2, i]], denoised[[2, i]]);
        assert!((s - score[i]).abs() <= 1e-14 * score[i].abs());
        let data = ([2.0, 3.0][i] + m.sigma * m.sigma * s) / m.alpha;
        assert!((d - data).abs() <= 1e-13 * data.abs());
    }
    let shown = report(&["show", text(&scratch.path("own.safetensors"))]);
    assert_eq!(shown["parameters"], 13_361);
    assert_eq!(shown["sde"], "ou:horizon=10");
    assert_eq!(shown["parametrisation"], "potential");
    assert_eq!(
        shown["tensors"][0],
        json!({"name": "input.weight", "shape": [80, 3], "trained": true})
    );
}

/// The published weights of the ODE-SDE-gap study have no header: they are taken for what they are said to be.
#[test]
fn weights_without_a_header_where_it_is_said_what_they_are() {
    let scratch = Scratch::new();
    let net = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F64, &Device::Cpu);
    let net = net.expect("a network");
    net.save(scratch.path("own.safetensors")).expect("a file");
    let weights: HashMap<String, Tensor> = net.parameters().state().into_iter().collect();
    candle_core::safetensors::save(&weights, scratch.path("bare.safetensors")).expect("a file");
    scratch.array("x", &[3, 2], |i| i as f64 - 2.0);
    scratch.array("t", &[3], |i| 0.5 + i as f64);
    let named = ["--architecture", "ode-sde-gap"];
    for (own, bare, more) in [
        ("s.npy", "b.npy", &[][..]),
        ("d.npy", "e.npy", &["--denoised"]),
        ("f.npy", "g.npy", &["--dtype", "f32"]),
    ] {
        let expected = scratch.forward("own.safetensors", own, more);
        let words = [&named[..], more].concat();
        assert_eq!(scratch.forward("bare.safetensors", bare, &words), expected);
        assert_eq!(scratch.forward("own.safetensors", bare, &words), expected);
    }
    let show = |file: &str, more: &[&str]| {
        let path = scratch.path(file);
        let mut shown = report(&[&["show", text(&path)][..], more].concat());
        shown["model"] = json!(null);
        shown
    };
    assert_eq!(show("bare.safetensors", &named), show("own.safetensors", &[]));
    let dir = scratch.dir.path();
    fails(dir, &["show", "bare.safetensors"], &["bare.safetensors", "bare.json"]);
    fails(dir, &["show", "net.safetensors", named[0], named[1]], &["net.safetensors"]);
    fails(dir, &["show", "bare.safetensors", named[0], "edm"], &["ode-sde-gap"]);
}

/// A model of any network that was saved here: its score and its expected data at times of its process, and what it
/// is.
#[test]
fn a_saved_model_of_any_network() {
    let scratch = Scratch::new();
    let json = r#"{"architecture": "residual-mlp", "args": {"dim": 3, "width": 8, "blocks": 1, "classes": 2}}"#;
    let network = Architecture::parse(json).expect("an architecture");
    let betas = format!("discrete:betas=listed{}", ",0.002,0.003".repeat(50));
    let config = ModelConfig::edm(network, 0.7, &betas);
    let model = ScoreModel::new(config, Key::root(1), &Backend::cpu_f64()).expect("a model");
    // Its last layer begins at zero.
    for (i, (name, values)) in model.parameters().iter().enumerate() {
        let noise = values.detach().normals_like(Key::root(4).fold(i as u64), 0);
        let more = (values + (noise.expect("fits") * 0.3).expect("scales")).expect("adds");
        model.parameters().set(name, &more).expect("fits");
    }
    model.save(scratch.path("any.safetensors")).expect("a file");
    scratch.array("x", &[3, 3], |i| 0.3 * i as f64 - 1.0);
    scratch.array("t", &[3], |i| 10.5 + 40.0 * i as f64);
    scratch.array("labels", &[3], |i| (i % 2) as f64);
    let x = scratch.load("x.npy");
    let tensor = Tensor::from_vec(x.iter().copied().collect::<Vec<f64>>(), (3, 3), &Device::Cpu);
    let tensor = tensor.expect("a tensor");
    let labels = Tensor::new(&[0.0_f64, 1.0, 0.0], &Device::Cpu).expect("a tensor");
    let given = model.with_labels(Some(&labels)).expect("fits");
    let found = scratch.forward("any.safetensors", "s.npy", &["--labels", "labels.npy"]);
    let more = ["--labels", "labels.npy", "--denoised"];
    let denoised = scratch.forward("any.safetensors", "d.npy", &more);
    for (i, t) in [10.5, 50.5, 90.5].into_iter().enumerate() {
        let score = given.score(&tensor, t).and_then(|s| Ok(s.to_vec2::<f64>()?)).expect("a score");
        let m = model.sde().marginal(t);
        for j in 0..3 {
            let (s, d) = (found[[i, j]], denoised[[i, j]]);
            assert!((s - score[i][j]).abs() <= 1e-12 * (1.0 + s.abs()), "{s} {}", score[i][j]);
            let data = (x[[i, j]] + m.sigma * m.sigma * s) / m.alpha;
            assert!((d - data).abs() <= 1e-12 * (1.0 + data.abs()), "{d} {data}");
        }
    }
    let path = scratch.path("any.safetensors");
    let shown = report(&["show", text(&path)]);
    assert_eq!(shown["architecture"], "residual-mlp");
    assert_eq!(shown["arguments"]["width"], 8);
    assert_eq!((&shown["classes"], &shown["sigma-data"]), (&json!(2), &json!(0.7)));
    assert_eq!(shown["sde"].as_str(), Some(betas.as_str()), "the whole of it");
    assert_eq!(shown["parametrisation"], "edm-f:sigma-data=0.7");
    assert_eq!(shown["parameters"], model.parameters().n_scalars());
    let stdout = experiment(&["show", text(&path)]).output().expect("it starts").stdout;
    let stdout = String::from_utf8(stdout).expect("utf-8");
    for needle in ["listed,0.002,0.003,0.002,... (100 numbers)", "sigma_data", "0.7"] {
        assert!(stdout.contains(needle), "no `{needle}` in {stdout}");
    }
    scratch.array("late", &[3], |i| 80.0 + 20.0 * i as f64);
    let words = ["forward", "any.safetensors", "--x", "x.npy", "--t", "late.npy", "--out", "y.npy"];
    fails(scratch.dir.path(), &words, &["120", "100"]);
}

#[test]
fn show_says_what_a_network_is() {
    let scratch = Scratch::new();
    let shown = report(&["show", text(&scratch.path("net.safetensors"))]);
    assert_eq!(shown["architecture"], "edm");
    assert_eq!((&shown["input"], &shown["output"]), (&json!([1, 8, 8]), &json!([1, 8, 8])));
    assert_eq!(shown["classes"], CLASSES);
    assert_eq!(shown["preconditioning"], "edm:sigma-data=0.5");
    assert_eq!(shown["parametrisation"], "edm-f:sigma-data=0.5");
    assert_eq!(shown["arguments"]["model_channels"], 4);
    let tensors = shown["tensors"].as_array().expect("a list");
    let names: Vec<&str> = tensors.iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(names.len(), scratch.tensors.len());
    assert!(scratch.tensors.keys().all(|name| names.contains(&name.as_str())), "{names:?}");
    let size = |trained: bool| -> u64 {
        let these = tensors.iter().filter(|t| t["trained"] == trained);
        let size = |t: &Value| -> u64 {
            t["shape"].as_array().expect("a list").iter().filter_map(Value::as_u64).product()
        };
        these.map(size).sum()
    };
    assert_eq!(
        (shown["parameters"].as_u64(), shown["buffers"].as_u64()),
        (Some(size(true)), Some(size(false)))
    );
    let output = experiment(&["show", text(&scratch.path("net.safetensors"))]).output();
    let stdout = String::from_utf8(output.expect("it starts").stdout).expect("utf-8");
    for needle in ["edm", "enc.8x8_conv", "[4, 1, 3, 3]", "label_dim"] {
        assert!(stdout.contains(needle), "no `{needle}` in {stdout}");
    }
}

#[test]
fn inputs_that_do_not_fit() {
    let scratch = Scratch::new();
    let dir = scratch.dir.path();
    scratch.array("small", &[3, 1, 4, 4], |_| 0.0);
    scratch.array("flat", &[3], |_| 0.0);
    scratch.array("times", &[2], |_| 0.5);
    scratch.array("seven", &[3], |_| 7.0);
    scratch.array("half", &[3], |_| 0.5);
    scratch.array("wide", &[3, 5], |_| 0.0);
    scratch.array("nan", &[3, 1, SIZE, SIZE], |i| if i == 5 { f64::NAN } else { 0.0 });
    let words = |x: &'static str, t: &'static str, extra: &[&'static str]| {
        let words = ["forward", "net.safetensors", "--x", x, "--t", t, "--out", "y.npy"];
        [&words[..], extra].concat()
    };
    let cases: [(&str, &str, &[&str], &[&str]); 12] = [
        ("small.npy", "t.npy", &[], &["[3, 1, 8, 8]", "[3, 1, 4, 4]"]),
        ("flat.npy", "t.npy", &[], &["flat.npy", "[B, C, H, W]", "[3]"]),
        ("x.npy", "times.npy", &[], &["times.npy", "3", "[2]"]),
        ("nan.npy", "t.npy", &[], &["nan.npy", "entry 5", "NaN"]),
        ("absent.npy", "t.npy", &[], &["absent.npy"]),
        ("x.npy", "t.npy", &["--labels", "seven.npy"], &["label", "7", "0 to 2"]),
        ("x.npy", "t.npy", &["--labels", "half.npy"], &["label", "0.5", "0 to 2"]),
        ("x.npy", "t.npy", &["--labels", "wide.npy"], &["labels", "[3, 3]", "[3, 5]"]),
        ("x.npy", "t.npy", &["--labels", "times.npy"], &["times.npy", "[2]"]),
        ("x.npy", "t.npy", &["--dtype", "bf16"], &["bf16", "CPU"]),
        ("x.npy", "t.npy", &["--device", "cuda:9"], &["cuda:9"]),
        ("x.npy", "t.npy", &["--dtype", "f8"], &["f8", "f32"]),
    ];
    for (x, t, extra, needles) in cases {
        fails(dir, &words(x, t, extra), needles);
    }
    let plain = json!({"img_resolution": SIZE, "img_channels": 1, "model_channels": 4,
        "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": [], "label_dim": 0});
    let fresh = architecture(&plain).initial(Key::root(4), &Backend::cpu()).expect("parameters");
    scratch.write("plain", &plain, fresh.state());
    let words = |extra: &[&'static str]| {
        let words =
            ["forward", "plain.safetensors", "--x", "x.npy", "--t", "t.npy", "--out", "y.npy"];
        [&words[..], extra].concat()
    };
    fails(dir, &words(&["--labels", "labels.npy"]), &["labels", "classes"]);
    // It does not say how it is preconditioned.
    fails(dir, &words(&["--denoised"]), &["plain.safetensors", "--preconditioning"]);
    fails(dir, &words(&["--preconditioning", "edm"]), &["--denoised"]);
    fails(dir, &words(&["--denoised", "--preconditioning", "karras"]), &["karras", "iddpm"]);
}

#[test]
fn checkpoints_that_do_not_fit() {
    let scratch = Scratch::new();
    let dir = scratch.dir.path();
    let edited = |edit: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut tensors = scratch.tensors.clone();
        edit(&mut tensors);
        tensors
    };
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F64, &Device::Cpu).expect("a tensor");
    // All that is wrong is said at once.
    let wrong = edited(&|tensors| {
        tensors.remove("map_layer0.bias");
        tensors.insert("map_layer7.bias".into(), zeros(&[2]));
        tensors.insert("map_layer1.weight".into(), zeros(&[16, 2]));
    });
    scratch.write("wrong", &scratch.args, wrong);
    let needles =
        ["wrong.safetensors", "map_layer0.bias", "map_layer7.bias", "map_layer1.weight", "[16, 2]"];
    fails(dir, &["show", "wrong.safetensors"], &needles);
    let changed = |key: &str, value: Value| {
        let mut args = scratch.args.clone();
        args[key] = value;
        args
    };
    for (name, key, value, needles) in [
        ("odd", "img_resolution", json!(7), ["image size", "7 x 7"]),
        ("kind", "model_type", json!("VNet"), ["VNet", "SongUNet"]),
        ("more", "colour", json!(1), ["colour", "unknown"]),
        ("text", "model_channels", json!("four"), ["four", "edm"]),
    ] {
        scratch.write(name, &changed(key, value), scratch.tensors.clone());
        fails(dir, &["show", &format!("{name}.safetensors")], &needles);
    }
    std::fs::remove_file(scratch.path("odd.json")).expect("a file");
    fails(dir, &["show", "odd.safetensors"], &["odd.safetensors", "architecture"]);
    std::fs::write(scratch.path("more.json"), r#"{"architecture": "vnet", "args": {}}"#)
        .expect("a file");
    fails(dir, &["show", "more.safetensors"], &["vnet", "guided-diffusion"]);
    std::fs::write(scratch.path("kind.json"), "{").expect("a file");
    fails(dir, &["show", "kind.safetensors"], &["kind.json"]);
    fails(dir, &["show", "absent"], &["absent"]);
    // A folder of diffusers.
    let folder = scratch.path("folder");
    std::fs::create_dir(&folder).expect("a folder");
    let block = json!({"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1,
        "out_channels": 1, "block_out_channels": [8], "down_block_types": ["FunnyBlock2D"],
        "up_block_types": ["UpBlock2D"], "norm_num_groups": 4, "layers_per_block": 1});
    std::fs::write(folder.join("config.json"), block.to_string()).expect("a file");
    fails(dir, &["show", "folder"], &["folder"]);
    let weights = scratch.path("net.safetensors");
    std::fs::copy(weights, folder.join("diffusion_pytorch_model.safetensors")).expect("a copy");
    fails(dir, &["show", "folder"], &["FunnyBlock2D", "DownBlock2D"]);
}
