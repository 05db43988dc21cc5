//! `verify refs` on networks: it passes, and sees one part in a thousand in every array.

use ndarray::{ArrayD, IxDyn};
use serde_json::json;

use crate::support::shared;
use crate::verify_refs::{Copy, find};

/// Networks of every kind there is, with all their archives.
#[test]
fn networks() {
    let Some(shared) = shared() else { return };
    let given = ["x", "t", "class_labels", "v", "u", "target", "score_t", "t_int"];
    for (family, name, more, archives) in [
        (
            "networks/unet",
            "diffusers_class",
            &["diffusers_class/config.json", "diffusers_class/diffusion_pytorch_model.safetensors"]
                [..],
            &["diffusers_class_io"][..],
        ),
        (
            "networks/unet",
            "score_sde_ddpmpp",
            &["score_sde_ddpmpp.safetensors"],
            &["score_sde_ddpmpp_io"],
        ),
        (
            "networks/unet",
            "score_sde_ncsnpp",
            &["score_sde_ncsnpp.safetensors"],
            &["score_sde_ncsnpp_io"],
        ),
        (
            "networks/unet",
            "edm_adm",
            &["edm_adm.safetensors", "edm_adm_iddpm_overlay.safetensors"],
            &[
                "edm_adm_raw_io",
                "edm_adm_EDM_io",
                "edm_adm_VP_io",
                "edm_adm_VE_io",
                "edm_adm_iDDPM_io",
            ],
        ),
        ("networks/adm", "gd_film", &["gd_film.safetensors"], &["gd_film_io"]),
        (
            "networks/adm",
            "gd_classifier_adaptive",
            &["gd_classifier_attention.safetensors", "gd_classifier_adaptive_head.safetensors"],
            &["gd_classifier_adaptive_io"],
        ),
    ] {
        let archives: Vec<String> = archives.iter().map(|a| format!("{family}/{a}.npz")).collect();
        let files = more.iter().map(|f| format!("{family}/{f}"));
        let files: Vec<String> =
            files.chain(archives.clone()).chain([format!("{family}/{name}.json")]).collect();
        let copy = Copy::of(&shared, &files.iter().map(String::as_str).collect::<Vec<_>>());
        copy.holds(family);
        for file in &archives {
            let mut arrays = copy.arrays(file);
            for (_, array) in arrays.iter_mut().filter(|(n, _)| !given.contains(&n.as_str())) {
                *array *= 1.001;
            }
            copy.set_arrays(file, &arrays);
        }
        let (code, report) = copy.verify();
        assert_eq!(code, 1);
        let failures = find(&report, family)["failures"].as_array().expect("a list").clone();
        for file in &archives {
            let stem =
                file.rsplit('/').next().and_then(|f| f.strip_suffix("_io.npz")).expect("a name");
            for (array, _) in copy.arrays(file).iter().filter(|(n, _)| !given.contains(&n.as_str()))
            {
                let case = format!("{stem}/{array}");
                assert!(
                    failures.iter().any(|f| f["case"] == case.as_str()),
                    "{case}: {failures:?}"
                );
            }
        }
    }
}

/// What is read from the JSON counts; arrays that are missing or not known are skipped by name.
#[test]
fn networks_by_their_description() {
    let Some(shared) = shared() else { return };
    let (family, table) = ("networks/unet", "networks/unet/edm_ddpmpp.json");
    let files =
        [table, "networks/unet/edm_ddpmpp.safetensors", "networks/unet/edm_ddpmpp_EDM_io.npz"];
    let copy = Copy::of(&shared, &files);
    let mut whole = copy.json(table);
    whole["io"].as_object_mut().expect("an object").retain(|name, _| name == "EDM");
    whole.as_object_mut().expect("an object").remove("raw");
    copy.set_json(table, &whole);
    copy.holds(family);
    for (section, key, value) in [
        ("net", "resample_filter", json!([1, 2])),
        ("net", "channel_mult_emb", json!(3)),
        ("net", "attn_resolutions", json!([8])),
        ("base", "label_dim", json!(3)),
    ] {
        let mut changed = whole.clone();
        changed[section][key] = value;
        copy.set_json(table, &changed);
        copy.catches(family, "edm_ddpmpp");
    }
    let mut changed = whole.clone();
    changed["io"]["EDM"]["kwargs"]["sigma_data"] = json!(0.5005);
    copy.set_json(table, &changed);
    copy.catches(family, "edm_ddpmpp_EDM/y");
    copy.set_json(table, &whole);
    let mut arrays = copy.arrays(files[2]);
    arrays.retain(|(n, _)| n != "u" && n != "loss");
    arrays.push(("colour".into(), ArrayD::zeros(IxDyn(&[1]))));
    copy.set_arrays(files[2], &arrays);
    let (code, report) = copy.verify();
    assert_eq!(code, 0, "{report}");
    let skipped = find(&report, family)["skipped"].to_string();
    for needle in ["no array `u` for `jvp_x`", "no array `loss`", "the array `colour`"] {
        assert!(skipped.contains(needle), "no {needle} in {skipped}");
    }
}
