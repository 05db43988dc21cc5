//! The image and table networks: derivatives, gradients, names, checkpoints.

mod checkpoints;
mod derivatives;
mod names;
mod refusals;
mod rows;
mod saved;

use candle_core::{DType, Tensor};
use score_nets::{Architecture, Backend, Condition, Network, Parameters};
use sde_core::Key;
use serde_json::{Value, json};

/// A small network of every kind, with the batch it is looked at.
pub struct Case {
    /// What it is called here.
    pub name: &'static str,
    /// What it is.
    pub architecture: Architecture,
    /// About which level.
    pub level: f64,
}

fn case(name: &'static str, kind: &str, level: f64, args: Value) -> Case {
    let json = json!({ "architecture": kind, "args": args });
    let architecture = Architecture::from_json(&json).unwrap_or_else(|e| panic!("{name}: {e}"));
    Case { name, architecture, level }
}

/// Odd numbers of channels, images that are not square, one channel; of architectures without such cases the example.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "diffusers",
            "diffusers",
            3.3,
            json!({"sample_size": [4, 6], "in_channels": 1, "out_channels": 1, "block_out_channels": [6, 9],
                "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
                "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1,
                "norm_num_groups": 3, "attention_head_dim": 3, "num_class_embeds": 3,
                "downsample_padding": 0, "freq_shift": 1}),
        ),
        case(
            "diffusers with residual resampling",
            "diffusers",
            3.3,
            json!({"sample_size": 4, "in_channels": 2, "out_channels": 5, "block_out_channels": [5, 7],
                "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
                "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"], "layers_per_block": 1,
                "norm_num_groups": 1, "attention_head_dim": null, "upsample_type": "resnet",
                "downsample_type": "resnet", "resnet_time_scale_shift": "scale_shift"}),
        ),
        case(
            "diffusers with pyramids",
            "diffusers",
            0.7,
            json!({"sample_size": 4, "block_out_channels": [8, 8], "layers_per_block": 1,
                "down_block_types": ["SkipDownBlock2D", "SkipDownBlock2D"], "norm_num_groups": null,
                "up_block_types": ["SkipUpBlock2D", "SkipUpBlock2D"], "time_embedding_type": "fourier",
                "attention_head_dim": null, "mid_block_scale_factor": 1.25,
                "center_input_sample": true}),
        ),
    ];
    cases.extend(score_sde());
    cases.extend(edm());
    cases.extend(guided());
    let table = json!({"dim": 3, "width": 5, "blocks": 2, "embedding": 6, "classes": 2});
    cases.push(case("residual MLP", "residual-mlp", 0.4, table));
    let classes = json!({"dim": 3, "width": 5, "blocks": 1, "embedding": 6, "outputs": 4});
    cases.push(case("residual MLP with its own outputs", "residual-mlp", 0.4, classes));
    for name in Architecture::NAMES {
        if cases.iter().all(|case| case.architecture.name() != *name) {
            let architecture =
                Architecture::example(name).unwrap_or_else(|e| panic!("{name}: {e}"));
            cases.push(Case { name, architecture, level: 0.4 });
        }
    }
    cases
}

fn score_sde() -> [Case; 4] {
    let args = |more: Value| {
        let mut args = json!({"image_size": 4, "num_channels": 1, "nf": 5, "ch_mult": [1, 2],
            "num_res_blocks": 1,
            "attn_resolutions": [2], "num_scales": 10});
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        args
    };
    [
        case("DDPM++", "score-sde", 4.6, args(json!({"centered": true}))),
        case(
            "NCSN++",
            "score-sde",
            0.7,
            args(json!({"fir": true, "progressive_input": "residual", "embedding_type": "fourier",
                "scale_by_sigma": true, "image_size": [6, 4], "fourier_scale": 0.5})),
        ),
        case(
            "DDPM blocks with skips of images",
            "score-sde",
            4.6,
            args(json!({"resblock_type": "ddpm", "progressive_input": "input_skip",
                    "progressive": "output_skip",
                "progressive_combine": "cat", "skip_rescale": false, "scale_by_sigma": true})),
        ),
        case(
            "residual output",
            "score-sde",
            4.6,
            args(
                json!({"progressive": "residual", "num_channels": 3, "fir": true, "resblock_type": "ddpm"}),
            ),
        ),
    ]
}

fn edm() -> [Case; 3] {
    let base = |more: Value| {
        let mut args = json!({"img_resolution": 4, "img_channels": 1, "model_channels": 5,
            "channel_mult": [1, 2],
            "num_blocks": 1, "attn_resolutions": [2], "channel_mult_emb": 2});
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        args
    };
    [
        case(
            "SongUNet",
            "edm",
            -0.4,
            base(json!({"label_dim": 3, "augment_dim": 2, "img_channels": 3})),
        ),
        case(
            "SongUNet with pyramids",
            "edm",
            -0.4,
            base(
                json!({"encoder_type": "skip", "decoder_type": "skip", "resample_filter": [1, 3, 3, 1],
                "embedding_type": "fourier", "channel_mult_noise": 2, "channel_mult": [2, 1]}),
            ),
        ),
        case(
            "DhariwalUNet",
            "edm",
            -0.4,
            base(json!({"model_type": "DhariwalUNet", "label_dim": 2, "channels_per_head": 5,
                "precond": "iDDPM", "img_resolution": [4, 6]})),
        ),
    ]
}

fn guided() -> Vec<Case> {
    let args = |more: Value| {
        let mut args = json!({"image_size": 4, "in_channels": 1, "model_channels": 32, "out_channels": 1,
            "num_res_blocks": 1, "attention_resolutions": [2], "channel_mult": [1, 2], "num_heads": 2});
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        args
    };
    let head = |pool: &str| {
        args(
            json!({"pool": pool, "out_channels": 3, "num_head_channels": 16, "resblock_updown": true}),
        )
    };
    vec![
        case(
            "ADM",
            "guided-diffusion",
            4.6,
            args(json!({"num_classes": 2, "use_scale_shift_norm": true})),
        ),
        case(
            "ADM, new order",
            "guided-diffusion",
            4.6,
            args(
                json!({"use_new_attention_order": true, "conv_resample": false, "out_channels": 2}),
            ),
        ),
        case("classifier", "guided-diffusion-encoder", 4.6, head("adaptive")),
        case("classifier, attention", "guided-diffusion-encoder", 4.6, head("attention")),
        case("classifier, spatial", "guided-diffusion-encoder", 4.6, head("spatial_v2")),
    ]
}

/// Parameters away from their initial values, where nothing vanishes by chance.
pub fn parameters(architecture: &Architecture, backend: &Backend) -> Parameters {
    let parameters = architecture.initial(Key::root(5), backend).expect("is an architecture");
    let names: Vec<String> = parameters.names().map(String::from).collect();
    for (i, name) in names.iter().enumerate() {
        let value = parameters.get(name).expect("is one of the names");
        let noise = normals(Key::root(6).fold(i as u64), value.dims(), backend);
        let fan_in = value.elem_count() / value.dims()[0].max(1);
        let noise = (noise * (0.6 / (fan_in as f64).sqrt())).expect("scales");
        parameters.set(name, &(value.detach() + noise).expect("adds")).expect("sets");
    }
    parameters
}

/// Double precision on every device of this machine.
pub fn everywhere() -> Vec<Backend> {
    let on = |device| Backend::new(device, DType::F64).expect("every device has it");
    Backend::devices().into_iter().map(on).collect()
}

/// Standard normals.
pub fn normals(key: Key, shape: &[usize], backend: &Backend) -> Tensor {
    let mut values = vec![0.0; shape.iter().product()];
    key.fill_normals(0, &mut values);
    backend.tensor(values, shape).expect("is a tensor")
}

/// Rows, levels and classes.
pub fn batch(
    net: &dyn Network,
    rows: usize,
    level: f64,
    backend: &Backend,
) -> (Tensor, Tensor, Condition) {
    let shape: Vec<usize> = [rows].into_iter().chain(net.row_shape()).collect();
    let x = (normals(Key::root(7), &shape, backend) * 0.5).expect("scales");
    let levels = (0..rows).map(|b| level * (1.0 + 0.1 * b as f64)).collect();
    let c = backend.tensor(levels, &[rows]).expect("is a tensor");
    let condition = if net.n_classes() == 0 {
        Condition::default()
    } else {
        let classes = (0..rows).map(|b| ((b + 1) % net.n_classes()) as f64).collect();
        Condition::labels(backend.tensor(classes, &[rows]).expect("is a tensor"))
    };
    (x, c, condition)
}
