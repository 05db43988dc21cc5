//! `verify refs` passes on the references, and sees one that is off by one part in a thousand.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, NpzWriter};
use serde_json::{Value, json};

use crate::support::{parse_one, run, shared, slow, text};

/// A copy of some reference files, with the published networks beside it.
pub(crate) struct Copy {
    root: tempfile::TempDir,
}

impl Copy {
    pub(crate) fn of(shared: &Path, files: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in [files, &["common/targets.json"]].concat() {
            let to = root.path().join("refs").join(file);
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(shared.join("refs").join(file), &to).expect("a copy");
            let mut mode = std::fs::metadata(&to).expect("a file").permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o644);
            std::fs::set_permissions(&to, mode).expect("permissions");
        }
        let link = root.path().join("odesdegap");
        std::os::unix::fs::symlink(shared.join("odesdegap"), link).expect("a link");
        Self { root }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.path().join("refs").join(file)
    }

    pub(crate) fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(file)).expect("a file")).expect("JSON")
    }

    pub(crate) fn set_json(&self, file: &str, value: &Value) {
        std::fs::write(self.path(file), value.to_string()).expect("a file");
    }

    /// The arrays of an archive, whatever their numbers, as doubles.
    pub(crate) fn arrays(&self, file: &str) -> Vec<(String, ArrayD<f64>)> {
        let open = std::fs::File::open(self.path(file)).expect("a file");
        let mut reader = NpzReader::new(open).expect("an archive");
        let names = reader.names().expect("names");
        let mut read = |n: String| {
            let array = reader
                .by_name::<OwnedRepr<f64>, IxDyn>(&n)
                .or_else(|_| reader.by_name::<OwnedRepr<f32>, IxDyn>(&n).map(|a| a.mapv(f64::from)))
                .or_else(|_| {
                    reader.by_name::<OwnedRepr<i64>, IxDyn>(&n).map(|a| a.mapv(|v| v as f64))
                });
            (n, array.expect("an array of numbers"))
        };
        names.into_iter().map(&mut read).collect()
    }

    pub(crate) fn set_arrays(&self, file: &str, arrays: &[(String, ArrayD<f64>)]) {
        let file = std::fs::File::create(self.path(file)).expect("a file");
        let mut writer = NpzWriter::new(file);
        for (n, array) in arrays {
            writer.add_array(n.as_str(), array).expect("an array");
        }
        writer.finish().expect("an archive");
    }

    /// Scales one array of an archive.
    pub(crate) fn scale(&self, file: &str, name: &str, factor: f64) {
        let mut arrays = self.arrays(file);
        let found = arrays.iter_mut().find(|(n, _)| n == name);
        let (_, array) = found.unwrap_or_else(|| panic!("{name} is not in {file}"));
        *array *= factor;
        self.set_arrays(file, &arrays);
    }

    /// Exit code and report of `verify refs`.
    pub(crate) fn verify(&self) -> (i32, Value) {
        let refs = self.root.path().join("refs");
        let output = run(&["verify", "refs", text(&refs), "--json"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap_or_else(|| panic!("killed: {errors}"));
        assert!(!output.stdout.is_empty(), "{errors}");
        (code, parse_one(&output.stdout))
    }

    /// Everything passes, and something was compared. The number of cases that passed, and of
    /// reasons to skip others.
    pub(crate) fn holds(&self, family: &str) -> (u64, usize) {
        let (code, report) = self.verify();
        assert_eq!((code, &report["ok"]), (0, &json!(true)), "{report}");
        let row = find(&report, family);
        let passed = row["passed"].as_u64().expect("a number");
        assert!(passed > 0, "{row}");
        (passed, row["skipped"].as_array().expect("a list").len())
    }

    /// At least one case of the family fails, and it is named.
    pub(crate) fn catches(&self, family: &str, case: &str) {
        let (code, report) = self.verify();
        assert_eq!((code, &report["ok"]), (1, &json!(false)), "{report}");
        let row = find(&report, family);
        let failures = row["failures"].as_array().expect("a list");
        let named = failures.iter().any(|f| f["case"].as_str().is_some_and(|c| c.contains(case)));
        assert!(named, "no `{case}` among {failures:?}");
    }
}

pub(crate) fn find<'a>(report: &'a Value, family: &str) -> &'a Value {
    let families = report["families"].as_array().expect("a list");
    families.iter().find(|f| f["name"] == family).expect("the family")
}

fn scaled(value: &Value, factor: f64) -> Value {
    json!(value.as_f64().expect("a number") * factor)
}

#[test]
fn schedules() {
    let Some(shared) = shared() else { return };
    let copy = Copy::of(&shared, &["schedules/schedules.json"]);
    copy.holds("schedules");
    let whole = copy.json("schedules/schedules.json");
    for (table, column) in [
        ("vp_beta0.1_20", "sigma"),
        ("subvp_beta0.1_20", "lambda_half_logsnr"),
        ("ve_0.01_50", "g2"),
        ("ou_T10", "alpha"),
        ("vp_inverse_lambda", "t"),
        ("karras_rho7_0.002_80", "18"),
    ] {
        let mut changed = whole.clone();
        let entry = &mut changed[table][column][5];
        *entry = scaled(entry, 1.001);
        copy.set_json("schedules/schedules.json", &changed);
        let case = if table == "vp_inverse_lambda" { table } else { column };
        copy.catches("schedules", case);
    }
    // Constants are read from the keys: the same numbers under another name are wrong.
    let mut renamed = whole.clone();
    renamed["vp_beta0.2_20"] = renamed["vp_beta0.1_20"].take();
    renamed.as_object_mut().expect("an object").remove("vp_beta0.1_20");
    copy.set_json("schedules/schedules.json", &renamed);
    copy.catches("schedules", "vp_beta0.2_20/alpha");
}

#[test]
fn gaussian() {
    let Some(shared) = shared() else { return };
    let file = "gaussian/gaussian_refs.json";
    let copy = Copy::of(&shared, &[file]);
    let mut few = copy.json(file);
    let all = few["recursions"].as_array().expect("a list").clone();
    let short: Vec<Value> = all.into_iter().filter(|r| r["N"] == 10).collect();
    few["recursions"] = json!(short);
    copy.set_json(file, &few);
    copy.holds("gaussian");
    for (list, field) in [("recursions", "mean"), ("gap_sampler", "mean")] {
        let mut changed = few.clone();
        let entry = &mut changed[list][0][field][0];
        *entry = scaled(entry, 1.001);
        copy.set_json(file, &changed);
        copy.catches("gaussian", "");
        let mut changed = few.clone();
        let entry = &mut changed[list][1]["cov"][0][0];
        *entry = scaled(entry, 1.001);
        copy.set_json(file, &changed);
        copy.catches("gaussian", "");
    }
    // A rank-deficient covariance may be asked for; one that is no covariance may not.
    let mut broken = few.clone();
    broken["targets"]["g1"]["cov"] = json!([[-1.0]]);
    copy.set_json(file, &broken);
    copy.catches("gaussian", "g1");
}

#[test]
fn pfode() {
    let Some(shared) = shared() else { return };
    let file = "pfode/pfode_gmm2d_vp.npz";
    for name in ["x_eps_1e_3", "x_eps_0", "like_eps_1e_5_xT", "like_eps_0_logp_closed_form"] {
        let copy = Copy::of(&shared, &[file]);
        if name == "x_eps_1e_3" {
            copy.holds("pfode");
        }
        copy.scale(file, name, 1.001);
        copy.catches("pfode", name);
    }
    // Constants of the targets' file count.
    let copy = Copy::of(&shared, &[file]);
    let mut targets = copy.json("common/targets.json");
    let stated = targets["sdes"]["vp"].as_str().expect("a text").replace("19.9", "19.8");
    targets["sdes"]["vp"] = json!(stated);
    copy.set_json("common/targets.json", &targets);
    copy.catches("pfode", "gmm2d_vp");
}

#[test]
fn ot() {
    let Some(shared) = shared() else { return };
    let files = ["ot/ot_refs.json", "ot/clouds_equal.npz", "ot/clouds_unequal.npz"];
    let copy = Copy::of(&shared, &files);
    let mut few = copy.json("ot/ot_refs.json");
    let keep = ["eq_d1_n500", "eq_d2_n500", "uneq5_sparse_d2_n256_m256", "kernel_eq_d2_n1000"];
    few.as_object_mut().expect("an object").retain(|k, _| keep.contains(&k.as_str()));
    copy.set_json("ot/ot_refs.json", &few);
    copy.holds("ot");
    for (key, value) in [
        ("eq_d1_n500", "W2_squared"),
        ("eq_d2_n500", "W2"),
        ("uneq5_sparse_d2_n256_m256", "W1"),
        ("kernel_eq_d2_n1000", "mmd2_rbf_sigma1_biased"),
        ("kernel_eq_d2_n1000", "mmd2_rbf_sigma1_unbiased"),
    ] {
        let mut changed = few.clone();
        let entry = &mut changed[key][value];
        *entry = scaled(entry, 1.001);
        copy.set_json("ot/ot_refs.json", &changed);
        copy.catches("ot", value);
    }
}

#[test]
fn histograms() {
    let Some(shared) = shared() else { return };
    let copy = Copy::of(&shared, &["ot/hist_w2.json"]);
    let mut few = copy.json("ot/hist_w2.json");
    few.as_object_mut().expect("an object").retain(|k, _| k == "blob_w1.0");
    copy.set_json("ot/hist_w2.json", &few);
    copy.holds("ot");
    let entry = &mut few["blob_w1.0"]["ode_sde"]["W2_squared_L3p5"];
    *entry = scaled(entry, 1.001);
    copy.set_json("ot/hist_w2.json", &few);
    copy.catches("ot", "blob_w1.0/ode_sde");
}

#[test]
fn solvers() {
    let Some(shared) = shared() else { return };
    let copy = Copy::of(&shared, &["solvers/cases.json", "solvers/solver_trajectories.npz"]);
    assert_eq!(copy.holds("solvers"), (251, 0));
    let case = "gmm2d/dpm/dpmsolver++_multistep_o2_logSNR_n20";
    copy.scale("solvers/solver_trajectories.npz", &format!("{case}/x"), 1.001);
    copy.catches("solvers", case);
    for (case, array) in [
        ("gmm2d/deis/t_ab3_rho7_n10", "exact_traj"),
        ("gmm2d/deis/rho_ab3_t2_n20", "x"),
        ("gmm2d/edm/churn_n18", "x"),
        ("gmm2d/edm/abl_heun_iddpm_n10", "eval_sigma"),
        ("gmm2d/deis/t_ab2_log1_n10", "exact_x"),
        ("gmm2d/deis/t_ab0_t1_n20", "grid"),
        ("gmm2d/deis/rho_rk3kutta_t2_n10", "x"),
        ("gmm2d/edm/heun_n10", "x"),
        ("gmm2d/edm/abl_heun_vp_n10", "x"),
        ("gmm2d/edm/abl_heun_ve_n18", "x"),
        ("gmm2d/edm/abl_euler_edm_n10", "x"),
        ("gmm2d/edm/abl_heun_edm_alpha0.5_n10", "x"),
    ] {
        copy.scale("solvers/solver_trajectories.npz", &format!("{case}/{array}"), 1.001);
        copy.catches("solvers", case);
    }
    // One case of every branch of the recomputation at a time, each in the arrays it compares.
    let file = "solvers/solver_trajectories.npz";
    for (case, array) in [
        ("gmm2d/dpm/dpmsolver_multistep_o3_time_uniform_n10", "traj"),
        ("gmm2d/dpm/dpmsolver++_singlestep_o3_logSNR_n10", "traj"),
        ("gmm2d/dpm/dpmsolver_singlestep_fixed_o3_logSNR_n10_taylor", "eval_t"),
        ("gmm2d/dpm/adaptive_o2", "x"),
        ("gmm2d/dpm/adaptive_o3", "eval_t"),
        ("gmm2d/unipc/bh1_noise_prediction_o2_time_uniform_n5", "traj"),
        ("gmm2d/unipc/bh2_data_prediction_o3_logSNR_n10_noLOF", "grid"),
    ] {
        copy.scale(file, &format!("{case}/{array}"), 1.001);
        copy.catches("solvers", case);
    }
    // The evaluations and the orders count too.
    let mut cases = copy.json("solvers/cases.json");
    cases["gmm2d/unipc/bh2_data_prediction_o1_logSNR_n20"]["nfe"] = json!(21);
    cases["gmm2d/dpm/dpmsolver_singlestep_o3_logSNR_n20"]["orders"][6] = json!(1);
    copy.set_json("solvers/cases.json", &cases);
    copy.catches("solvers", "gmm2d/unipc/bh2_data_prediction_o1_logSNR_n20");
    copy.catches("solvers", "gmm2d/dpm/dpmsolver_singlestep_o3_logSNR_n20");
}

#[test]
fn diffusers() {
    let Some(shared) = shared() else { return };
    let (family, table) = ("diffusers_tests", "diffusers_tests/loops.json");
    let files = [table, "diffusers_tests/loops.npz"];
    let copy = Copy::of(&shared, &files);
    assert_eq!(copy.holds(family), (18, 0));
    let whole = copy.json(table);
    for case in whole["cases"].as_object().expect("an object").keys() {
        let copy = Copy::of(&shared, &files);
        copy.scale(files[1], &format!("{case}/final"), 1.001);
        copy.catches(family, case);
    }
    for case in ["ddpm", "euler_ancestral"] {
        let copy = Copy::of(&shared, &files);
        copy.scale(files[1], &format!("{case}/noise_first_pixels"), 1.001);
        copy.catches(family, case);
    }
    // The configuration is read: another one does not give these numbers.
    for (case, key, value) in [
        ("dpm_multi_2m", "lower_order_final", json!(true)),
        ("dpm_multi_2m", "solver_order", json!(1)),
        ("dpm_multi_2m", "algorithm_type", json!("dpmsolver")),
        ("dpm_multi_2m_v", "prediction_type", json!("epsilon")),
        ("dpm_multi_2m_v", "final_sigmas_type", json!("zero")),
        ("dpm_single_2", "lower_order_final", json!(true)),
        ("dpm_single_2", "solver_order", json!(3)),
        ("unipc_2", "solver_type", json!("bh1")),
        ("unipc_2", "lower_order_final", json!(false)),
        ("unipc_2", "beta_end", json!(0.02002)),
    ] {
        let mut changed = whole.clone();
        changed["cases"][case]["config"][key] = value;
        copy.set_json(table, &changed);
        copy.catches(family, case);
    }
}

#[test]
fn pinn() {
    let Some(shared) = shared() else { return };
    let file = "pinn/losses_blob_w0.0.npz";
    let copy = Copy::of(&shared, &[file, "pinn/meta.json"]);
    copy.holds("pinn");
    for name in
        ["residual", "grad_dsm/hidden1.weight", "grad_pinn/input.bias", "adam10/hidden2.weight"]
    {
        let copy = Copy::of(&shared, &[file]);
        copy.scale(file, name, 1.001);
        copy.catches("pinn", name);
    }
    let mut meta = copy.json("pinn/meta.json");
    let entry = &mut meta["blob_w0.0"]["dsm_loss"];
    *entry = scaled(entry, 1.001);
    copy.set_json("pinn/meta.json", &meta);
    copy.catches("pinn", "dsm_loss");
}

const OBJECTIVES: [&str; 6] = [
    "networks/objectives/score_sde_losses.npz",
    "networks/objectives/edm_losses.npz",
    "networks/objectives/diffusers_losses.npz",
    "networks/objectives/flow_matching.npz",
    "networks/objectives/weights.npz",
    "networks/objectives/importance.npz",
];
const OBJECTIVES_META: &str = "networks/objectives/meta.json";

#[test]
fn objectives() {
    let Some(shared) = shared() else { return };
    let all = [&OBJECTIVES[..], &[OBJECTIVES_META]].concat();
    let copy = Copy::of(&shared, &all);
    let (passed, skipped) = copy.holds("networks/objectives");
    assert!(passed > 300 && skipped == 0, "{passed} {skipped}");
    // Data, noise, weights of the network, what is wanted of it: one of every file.
    for (file, array, case) in [
        (OBJECTIVES[0], "W1", "loss_vp_lw0_rm0"),
        (OBJECTIVES[0], "z", "persample_smld_rm1"),
        (OBJECTIVES[0], "labels", "score_sde_losses"),
        (OBJECTIVES[0], "grad_b2_ddpm_rm1", "grad_b2_ddpm_rm1"),
        (OBJECTIVES[1], "u", "VPLoss_sigma"),
        (OBJECTIVES[1], "rnd_normal", "EDMLoss_weight"),
        (OBJECTIVES[2], "x0", "v_prediction_target"),
        (OBJECTIVES[2], "sample_minsnr5_weight", "sample_minsnr5_weight"),
        (OBJECTIVES[3], "t", "sd3_cosmap"),
        (OBJECTIVES[3], "W2", "data_at_1_loss"),
        (OBJECTIVES[4], "subvp_w_sigmoid_dt", "subvp_w_sigmoid_dt"),
        (OBJECTIVES[4], "cosine_t", "cosine_log_snr"),
        (OBJECTIVES[5], "subvp_eps1e-3_inv", "subvp_eps1e-3_inv"),
        (OBJECTIVES[5], "vp_eps1e-5_score_flow_cum_weight", "score_flow"),
    ] {
        let copy = Copy::of(&shared, &[file, OBJECTIVES_META]);
        copy.scale(file, array, 1.001);
        copy.catches("networks/objectives", case);
    }
    // Constants are read.
    let whole = Copy::of(&shared, &all).json(OBJECTIVES_META);
    for (path, case) in [
        ("/beta_max", "vp_w_g2"),
        ("/sigma_max", "smld_sigma"),
        ("/ou_T", "ou_eps1e-3_Z"),
        ("/eps_t", "score_sde_losses/t"),
        ("/edm/VPLoss/beta_d", "VPLoss_sigma"),
        ("/edm/EDMLoss/sigma_data", "EDMLoss_weight"),
        ("/edm/EDMLoss/P_std", "EDMLoss_sigma"),
        ("/diffusers_scheduler/beta_end", "alphas_cumprod"),
        ("/p2/gamma", "_w_p2"),
        ("/sigmoid_b", "_w_sigmoid"),
        ("/edm_weight_sigma_data", "_w_edm"),
    ] {
        let copy = Copy::of(&shared, &all);
        let mut changed = whole.clone();
        let entry = changed.pointer_mut(path).expect("a constant");
        *entry = scaled(entry, 1.001);
        copy.set_json(OBJECTIVES_META, &changed);
        copy.catches("networks/objectives", case);
    }
}

/// Every array there is, but those that no number of their file depends on.
#[test]
fn slow_objectives_see_every_array() {
    let Some(shared) = shared() else { return };
    if !slow() {
        return;
    }
    for file in OBJECTIVES {
        let path = shared.join("refs").join(file);
        let names = NpzReader::new(std::fs::File::open(path).expect("a file"))
            .and_then(|mut r| r.names())
            .expect("names");
        let unused: &[&str] = match file {
            f if f.contains("edm") => &["labels"],
            f if f.contains("diffusers") => &["u"],
            f if f.contains("flow") => &["u", "labels"],
            _ => &[],
        };
        for name in names {
            if !unused.contains(&name.trim_end_matches(".npy")) {
                let copy = Copy::of(&shared, &[file, OBJECTIVES_META]);
                copy.scale(file, &name, 1.001);
                eprintln!("{file}: {name}");
                copy.catches("networks/objectives", "");
            }
        }
    }
}

#[test]
fn damaged_files_are_failures_with_a_reason() {
    let Some(shared) = shared() else { return };
    let copy = Copy::of(
        &shared,
        &[
            "schedules/schedules.json",
            "gaussian/gaussian_refs.json",
            "pfode/pfode_gmm2d_vp.npz",
            "ot/ot_refs.json",
            "solvers/cases.json",
            "pinn/losses_blob_w0.0.npz",
            "diffusers_tests/loops.json",
            "networks/objectives/weights.npz",
            OBJECTIVES_META,
        ],
    );
    let families = [
        "schedules",
        "gaussian",
        "pfode",
        "ot",
        "solvers",
        "pinn",
        "diffusers_tests",
        "networks/objectives",
    ];
    let folder = |f: &str| copy.path(f);
    for entry in families.iter().flat_map(|f| std::fs::read_dir(folder(f)).expect("a folder")) {
        let path = entry.expect("an entry").path();
        let whole = std::fs::read(&path).expect("a file");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("a file");
    }
    let (code, report) = copy.verify();
    assert_eq!(code, 1);
    for family in families {
        assert!(find(&report, family)["failed"].as_u64() > Some(0), "{}", find(&report, family));
    }
}

#[test]
fn slow_every_reference_there_is() {
    let Some(shared) = shared() else { return };
    if !slow() {
        return;
    }
    let output = run(&["verify", "refs", text(&shared.join("refs"))]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{stdout}");
}
