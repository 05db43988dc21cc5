//! What is no network is one line.

use score_nets::{Architecture, Backend, Condition, Jet};
use sde_core::Key;
use serde_json::{Value, json};

fn refused(kind: &str, args: Value) -> String {
    let json = json!({ "architecture": kind, "args": args });
    let built = Architecture::from_json(&json).and_then(|a| a.tensors().map(|_| ()));
    let error = built.expect_err("must be refused").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn arguments_that_make_no_network_are_one_line() {
    let guided = |more: Value| {
        let mut args = json!({"image_size": 8, "in_channels": 3, "model_channels": 32, "out_channels": 3,
            "num_res_blocks": 1, "attention_resolutions": [2], "channel_mult": [1, 2]});
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        refused("guided-diffusion", args)
    };
    assert!(guided(json!({"image_size": [12, 9]})).contains("12 x 9"));
    assert!(guided(json!({"image_sise": 8})).contains("image_sise"));
    assert!(guided(json!({"model_channels": 20})).contains("32 equal groups"));
    assert!(guided(json!({"num_heads": 5})).contains("num_heads"));
    assert!(guided(json!({"dims": 3})).contains("dims"));
    assert!(guided(json!({"dropout": 1.5})).contains("dropout"));
    assert!(guided(json!({"channel_mult": []})).contains("channel_mult"));
    assert!(guided(json!({"channel_mult": vec![1; 80]})).contains("image size"));
    assert!(guided(json!({"model_channels": 1_u64 << 40})).contains("65536"));
    assert!(guided(json!({"num_res_blocks": 1_u64 << 40})).contains("num_res_blocks"));
    assert!(guided(json!({"channel_mult": [1e9]})).contains("channel_mult"));
    let block = refused(
        "diffusers",
        json!({"sample_size": 8, "block_out_channels": [32],
        "down_block_types": ["CrossAttnDownBlock2D"], "up_block_types": ["UpBlock2D"]}),
    );
    assert!(block.contains("CrossAttnDownBlock2D") && block.contains("SkipDownBlock2D"), "{block}");
    assert!(refused("diffusers", json!({"in_channels": 3})).contains("sample_size"));
    let pyramid = json!({"sample_size": 8, "block_out_channels": [32, 32], "in_channels": 1,
        "down_block_types": ["SkipDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D",
            "SkipUpBlock2D"]});
    assert!(refused("diffusers", pyramid).contains("in_channels = 1"));
    assert!(refused("edm", json!({"img_channels": 3})).contains("img_resolution"));
    let edm = json!({"img_resolution": 8, "img_channels": 3, "encoder_type": "resedual"});
    assert!(refused("edm", edm).contains("resedual"));
    assert!(refused("score-sde", json!({"image_size": 8})).contains("num_channels"));
    assert!(refused("stable-diffusion", json!({})).contains("guided-diffusion"));
    assert!(refused("residual-mlp", json!({"dim": 0, "width": 2, "blocks": 1})).contains("dim"));
}

#[test]
fn batches_that_do_not_fit_are_one_line() {
    let backend = Backend::cpu();
    let json = json!({"architecture": "edm", "args": {"img_resolution": 4, "img_channels": 1, "label_dim": 2,
        "model_channels": 4, "channel_mult": [1], "num_blocks": 1}});
    let architecture = Architecture::from_json(&json).expect("is one");
    let parameters = architecture.initial(Key::root(1), &backend).expect("is a network");
    let net = architecture.build(parameters.detached()).expect("is a network");
    let tensor =
        |n: usize, shape: &[usize]| backend.tensor(vec![0.5; n], shape).expect("is a tensor");
    let refused = |x: &[usize], c: usize, labels: Option<Vec<f64>>| {
        let n = x.iter().product();
        let labels = labels.map(|l| backend.tensor(l.clone(), &[l.len()]).expect("is a tensor"));
        let condition = Condition { labels, training: None };
        let (x, c) = (Jet::constant(tensor(n, x)), Jet::constant(tensor(c, &[c])));
        let error = net.forward(&x, &c, &condition).expect_err("must be refused").to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    assert!(refused(&[2, 1, 4, 5], 2, None).contains("[2, 1, 4, 4]"));
    assert!(refused(&[2, 1, 4, 4], 3, None).contains("[2]"));
    assert!(refused(&[2, 1, 4, 4], 2, Some(vec![0.0, 2.0])).contains("classes 0 to 1"));
    assert!(refused(&[2, 1, 4, 4], 2, Some(vec![0.0])).contains("labels"));
}
