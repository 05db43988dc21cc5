//! Names and shapes of every tensor of published networks, as digests.

use score_nets::Architecture;
use serde_json::{Value, json};

/// FNV-1a.
fn digest(lines: &[String]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    lines.join("\n").bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Number of tensors, of scalars, and the digest of the sorted lines `name 1x2x3`.
fn found(kind: &str, args: Value, prefix: &str) -> (usize, usize, u64) {
    let json = json!({ "architecture": kind, "args": args });
    let architecture = Architecture::from_json(&json).expect("is an architecture");
    let tensors = architecture.tensors().expect("is a network");
    // The table of noise levels of score_sde is no part of the lists.
    let tensors = tensors.into_iter().filter(|(name, _)| name != "sigmas");
    let (mut lines, mut scalars) = (Vec::new(), 0);
    for (name, shape) in tensors {
        scalars += shape.iter().product::<usize>();
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        lines.push(format!("{prefix}{name} {}", shape.join("x")));
    }
    lines.sort();
    (lines.len(), scalars, digest(&lines))
}

#[test]
fn diffusers_ddpm_cifar10() {
    let args = json!({"sample_size": 32, "block_out_channels": [128, 256, 256, 256],
        "attention_head_dim": null,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]});
    assert_eq!(found("diffusers", args, ""), (328, 35_746_307, 0xbf7b_2c6b_f490_146f));
}

#[test]
fn score_sde_cifar10() {
    let args = |blocks: usize, ve: bool| {
        json!({"data": {"image_size": 32, "num_channels": 3, "centered": !ve},
            "training": {"continuous": true},
            "model": {"nf": 128, "ch_mult": [1, 2, 2, 2], "num_res_blocks": blocks, "attn_resolutions": [16],
            "fir": ve, "progressive_input": if ve { "residual" } else { "none" },
            "embedding_type": if ve { "fourier" } else { "positional" }, "scale_by_sigma": ve}})
    };
    let of = |blocks, ve| found("score-sde", args(blocks, ve), "");
    assert_eq!(of(4, false), (564, 61_804_419, 0x6e3d_c8f6_32db_0cf1));
    assert_eq!(of(8, false), (956, 106_632_579, 0x8ae0_77fe_05dd_2f8f));
    assert_eq!(of(4, true), (571, 62_758_915, 0xd746_09cd_d874_da5a));
    assert_eq!(of(8, true), (963, 107_587_075, 0x9f33_6253_d184_921e));
}

#[test]
fn edm_cifar10_and_ffhq() {
    let args = |more: Value| {
        let mut args = json!({"img_resolution": 32, "img_channels": 3, "model_channels": 128,
            "channel_mult": [2, 2, 2], "augment_dim": 9});
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        found("edm", args, "model.")
    };
    assert_eq!(args(json!({})), (425, 55_733_923, 0x314a_3d3e_6c49_b49f));
    assert_eq!(args(json!({"label_dim": 10})), (427, 55_735_331, 0x7488_6810_fb0f_3d4d));
    let ncsnpp = json!({"embedding_type": "fourier", "encoder_type": "residual", "channel_mult_noise": 2,
        "resample_filter": [1, 3, 3, 1]});
    assert_eq!(args(ncsnpp), (432, 56_398_115, 0x20ca_ecd7_cbef_ae97));
    let ffhq = json!({"img_resolution": 64, "channel_mult": [1, 2, 2, 2]});
    assert_eq!(args(ffhq), (553, 61_805_619, 0x2038_06f3_b784_aa54));
}

#[test]
fn adm_imagenet64() {
    let args = json!({"image_size": 64, "in_channels": 3, "model_channels": 192, "out_channels": 6,
        "num_res_blocks": 3, "attention_resolutions": [2, 4, 8], "channel_mult": [1, 2, 3, 4],
        "num_classes": 1000, "num_head_channels": 64, "use_scale_shift_norm": true, "resblock_updown": true,
        "use_new_attention_order": true});
    assert_eq!(found("guided-diffusion", args, ""), (541, 295_904_454, 0x5fd3_b6bb_f107_d7ae));
}
