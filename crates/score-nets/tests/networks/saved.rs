//! Models that were trained elsewhere, trained on, saved, and opened again.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use candle_core::{DType, Tensor};
use score_nets::{
    Architecture, Backend, DataSource, Denoising, FnSource, Schedule, ScoreModel, TrainConfig,
    Trainer,
};
use sde_core::{Key, Score};
use serde_json::{Value, json};

use super::{normals, parameters};

fn write(path: &Path, json: &Value) {
    std::fs::write(path, json.to_string()).expect("writes");
}

/// Images of noise, for a step of training.
fn data(dim: usize) -> Arc<dyn DataSource> {
    Arc::new(FnSource::new(dim, move |key: Key, row: u64, out: &mut [f64]| {
        key.fill_normals(dim as u64 * row, out);
        Ok(())
    }))
}

fn bits(t: &Tensor) -> Vec<u64> {
    let t = t.to_dtype(DType::F64).and_then(|t| t.flatten_all()?.to_vec1::<f64>());
    t.expect("has values").into_iter().map(f64::to_bits).collect()
}

fn weights(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    candle_core::safetensors::save(&tensors.clone().into_iter().collect(), path).expect("saves");
}

/// Opens a model, takes a step of training, saves it as it is and as a checkpoint: both are opened by
/// their name alone and give the same scores.
fn survives(path: &Path, about: &str) -> ScoreModel {
    let model = ScoreModel::open(path).unwrap_or_else(|e| panic!("{about}: {e}"));
    let before = bits(&model.parameters().iter().next().expect("has some").1.detach());
    let horizon = model.sde().horizon();
    let folder = tempfile::tempdir().expect("makes a folder");
    let [saved, checkpoint] = ["a", "b"].map(|n| folder.path().join(format!("{n}.safetensors")));
    let loss = Denoising::new(data(model.dim()), 4).t_min(0.01 * horizon);
    let config = TrainConfig::new(1, Schedule::Constant { lr: 1e-3 });
    let mut trainer = Trainer::new(model, config.clone())
        .expect("trains")
        .term(1.0, Box::new(loss))
        .checkpoint_to(&checkpoint);
    trainer
        .run(&AtomicBool::new(false), &mut |_| Ok(()))
        .unwrap_or_else(|e| panic!("{about}: {e}"));
    let model = trainer.into_net();
    let after = bits(&model.parameters().iter().next().expect("has some").1.detach());
    assert_ne!(before, after, "{about} is trained on");
    model.save(&saved).unwrap_or_else(|e| panic!("{about}: {e}"));
    let shape: Vec<usize> = [3].into_iter().chain(model.row_shape()).collect();
    let x = normals(Key::root(8), &shape, model.parameters().backend());
    for file in [&saved, &checkpoint] {
        let again = ScoreModel::open(file).unwrap_or_else(|e| panic!("{about}: {e}"));
        assert_eq!(again.config(), model.config(), "{about}");
        for t in [0.02, 0.37, 0.9].map(|share| share * horizon) {
            let scores = [&model, &again].map(|m| bits(&m.score(&x, t).expect("has one")));
            assert_eq!(scores[0], scores[1], "{about} at {t}");
        }
    }
    let backend = model.parameters().backend();
    Trainer::<ScoreModel>::resume_on(&checkpoint, config, backend.device()).expect("resumes");
    model
}

/// Every schedule of diffusers, a table that has no name, and the process of its Fourier networks.
#[test]
fn models_of_diffusers_are_opened_again() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let mut config = json!({"_class_name": "UNet2DModel", "sample_size": 4, "block_out_channels": [8, 8],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "norm_num_groups": 2, "in_channels": 1,
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "out_channels": 1, "layers_per_block": 1,
        "attention_head_dim": null});
    let table: Vec<f64> = (0..20).map(|i| 0.01 + 1e-3 * f64::from(i * i) / 3.0).collect();
    let schedulers = [
        (json!({"beta_schedule": "linear"}), "discrete:betas=linear,0.0001,0.02,1000"),
        (
            json!({"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
                "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"}),
            "discrete:betas=scaled_linear,0.00085,0.012,1000,terminal-snr=zero",
        ),
        (
            json!({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 50}),
            "discrete:betas=squaredcos_cap_v2,50",
        ),
        (json!({"beta_schedule": "sigmoid"}), "discrete:betas=sigmoid,0.0001,0.02,1000"),
        (
            json!({"trained_betas": table, "prediction_type": "sample"}),
            "discrete:betas=listed,0.01,0.010333333333333333,",
        ),
        (
            json!({"_class_name": "ScoreSdeVeScheduler", "sigma_max": 30.0}),
            "ve:sigma-min=0.01,sigma-max=30",
        ),
    ];
    for (mut scheduler, name) in schedulers {
        if scheduler.get("_class_name").is_none() {
            scheduler["_class_name"] = json!("DDPMScheduler");
        } else {
            config["time_embedding_type"] = json!("fourier");
        }
        let architecture = json!({"architecture": "diffusers", "args": config});
        let architecture = Architecture::from_json(&architecture).expect("is one");
        let state = parameters(&architecture, &Backend::cpu()).state();
        write(&folder.path().join("config.json"), &config);
        write(&folder.path().join("scheduler_config.json"), &scheduler);
        weights(&folder.path().join("diffusion_pytorch_model.safetensors"), &state);
        let model = survives(folder.path(), name);
        assert!(model.config().sde.starts_with(name), "{}", model.config().sde);
    }
    let refused = |scheduler: Value| {
        write(&folder.path().join("scheduler_config.json"), &scheduler);
        ScoreModel::open(folder.path()).expect_err("is refused").to_string()
    };
    let error = refused(json!({"trained_betas": [0.1, "0.2"]}));
    assert!(error.contains("trained_betas = [0.1,\"0.2\"]: must be numbers"), "{error}");
    let error = refused(json!({"beta_schedule": "laplace"}));
    assert!(
        error.contains("must be one of linear, scaled_linear, squaredcos_cap_v2, sigmoid"),
        "{error}"
    );
}

/// The wrappers of EDM, whatever they give the network.
#[test]
fn models_in_wrappers_are_opened_again() {
    let folder = tempfile::tempdir().expect("makes a folder");
    for precond in ["EDM", "VP", "VE", "iDDPM"] {
        let args = json!({"img_resolution": 4, "img_channels": 1, "model_channels": 4, "precond": precond,
            "channel_mult": [1, 1], "num_blocks": 1});
        let json = json!({"architecture": "edm", "args": args});
        let architecture = Architecture::from_json(&json).expect("is one");
        let state = parameters(&architecture, &Backend::cpu()).state();
        write(&folder.path().join("net.json"), &json);
        let path = folder.path().join("net.safetensors");
        weights(&path, &state);
        survives(&path, precond);
    }
    for sde in ["vpsde", "subvpsde", "vesde"] {
        let mut config = json!({"data": {"image_size": 4, "num_channels": 1},
            "training": {"continuous": true, "sde": sde},
            "model": {"nf": 4, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [2]}});
        if sde == "vesde" {
            config["model"]["embedding_type"] = json!("fourier");
            config["model"]["scale_by_sigma"] = json!(true);
        }
        let json = json!({"architecture": "score-sde", "args": config});
        let architecture = Architecture::from_json(&json).expect("is one");
        let state = parameters(&architecture, &Backend::cpu()).state();
        write(&folder.path().join("song.json"), &json);
        let path = folder.path().join("song.safetensors");
        weights(&path, &state);
        survives(&path, sde);
    }
}
