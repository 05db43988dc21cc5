//! References and their constants changed on disk, one at a time: the case that depends on it fails.

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::copy::Copy;

/// Family, file, array or JSON pointer to a number that is scaled by 1.001, and the case that must fail.
const SCALED: &[(&str, &str, &str, &str)] = &[
    ("schedules", "schedules.json", "/vp_beta0.1_20/sigma/5", "vp_beta0.1_20/sigma"),
    ("schedules", "schedules.json", "/subvp_beta0.1_20/lambda_half_logsnr/5", "lambda_half"),
    ("schedules", "schedules.json", "/ou_T10/alpha/5", "ou_T10/alpha"),
    ("schedules", "schedules.json", "/vp_inverse_lambda/t/5", "vp_inverse_lambda"),
    ("schedules", "schedules.json", "/karras_rho7_0.002_80/18/5", "18"),
    ("gaussian", "gaussian_refs.json", "/recursions/0/mean/0", ""),
    ("gaussian", "gaussian_refs.json", "/recursions/1/cov/0/0", ""),
    ("gaussian", "gaussian_refs.json", "/gap_sampler/0/mean/0", "gap_sampler"),
    ("gaussian", "gaussian_refs.json", "/targets/g1/cov/0/0", "g1"),
    ("pfode", "pfode_gmm2d_vp.npz", "like_eps_0_logp_closed_form", "logp_closed_form"),
    ("pfode", "pfode_gmm3d_full_ve.npz", "xT", "x_eps_1e_3"),
    ("ot", "ot_refs.json", "/eq_d1_n500/W2_squared", "W2_squared"),
    ("ot", "ot_refs.json", "/kernel_eq_d2_n1000/mmd2_rbf_sigma1_unbiased", "rbf_sigma1_unb"),
    ("ot", "clouds_unequal.npz", "uneq5_sparse_d2_n256_m256_X", "uneq5_sparse"),
    (
        "solvers",
        "solver_trajectories.npz",
        "gmm2d/deis/t_ab3_rho7_n10/exact_traj",
        "t_ab3_rho7_n10",
    ),
    ("solvers", "solver_trajectories.npz", "gmm2d/dpm/adaptive_o3/eval_t", "adaptive_o3"),
    ("solvers", "solver_trajectories.npz", "gmm2d/noise", "churn_n10"),
    ("diffusers_tests", "loops.npz", "ddpm/noise_first_pixels", "ddpm"),
    ("diffusers_tests", "loops.npz", "unipc_2/final", "unipc_2"),
    ("pinn", "losses_blob_w0.0.npz", "z", "blob_w0.0/xt"),
    (
        "fokker_planck",
        "gaussian_cases.json",
        "/one_d/const_a0.8_T1/variance_t0/0.5",
        "const_a0.8_T1/0.5/variance",
    ),
    ("fokker_planck", "gaussian_cases.json", "/one_d/vary_k2_c0.8_T10/k", "log_density_by_paths"),
    ("fokker_planck", "mixture1d_case.json", "/eta/1.0/p0/30", "mixture1d_case/1.0/p0"),
    ("networks/unet", "edm_ddpmpp_EDM_io.npz", "t", "edm_ddpmpp_EDM/y"),
    ("networks/unet", "score_sde_ncsnpp_io.npz", "score_t", "score_ve"),
    ("networks/adm", "gd_film_io.npz", "u", "gd_film/jvp_x"),
    ("networks/objectives", "score_sde_losses.npz", "W1", "loss_vp_lw0_rm0"),
    ("networks/objectives", "edm_losses.npz", "rnd_normal", "EDMLoss_weight"),
    ("networks/objectives", "diffusers_losses.npz", "x0", "v_prediction_target"),
    ("networks/objectives", "flow_matching.npz", "t", "sd3_cosmap"),
    ("networks/objectives", "weights.npz", "cosine_t", "cosine_log_snr"),
    ("networks/objectives", "importance.npz", "subvp_eps1e-3_inv", "subvp_eps1e-3_inv"),
    ("networks/objectives", "meta.json", "/beta_max", "vp_w_g2"),
    ("networks/objectives", "meta.json", "/ou_T", "ou_eps1e-3_Z"),
    ("networks/objectives", "meta.json", "/edm/EDMLoss/P_std", "EDMLoss_sigma"),
    ("networks/objectives", "meta.json", "/diffusers_scheduler/beta_end", "alphas_cumprod"),
    ("networks/objectives", "meta.json", "/p2/gamma", "_w_p2"),
    ("networks/fid", "case_a.npz", "features_1", "fid_exact"),
    ("networks/fid", "stats_a_1.npz", "sigma", "stats_a_1/sigma"),
    ("networks/bits_per_dim", "bpd.npz", "means01", "ve_01_z"),
    ("networks/bits_per_dim", "meta.json", "/vp/beta_max", "vp_centered_z"),
    ("networks/posterior", "mixture_d8.npz", "means", "d8_mask_s0/log_evidence"),
    ("networks/posterior", "d2_mask_s0p3.npz", "s", "d2_mask_s0p3/log_evidence"),
    ("networks/posterior", "d16_average_s0p05.npz", "A", "d16_average_s0p05/posterior_score"),
    ("networks/posterior", "class_d2.npz", "xt", "class_d2/grad_log_p_class"),
    ("networks/posterior", "class_d8.npz", "guided_score_3", "class_d8/guided_score_3"),
    ("networks/posterior", "meta.json", "/vp/beta_max", "d2_mask_s0/prior_score"),
];

/// Family, file, JSON pointer and another value: what is read there counts.
const SET: &[(&str, &str, &str, &str, &str)] = &[
    ("diffusers_tests", "loops.json", "/cases/dpm_multi_2m/config/solver_order", "1", "multi_2m"),
    (
        "diffusers_tests",
        "loops.json",
        "/cases/dpm_multi_2m_v/config/prediction_type",
        "\"epsilon\"",
        "2m_v",
    ),
    ("diffusers_tests", "loops.json", "/cases/dpm_single_2/config/solver_order", "3", "single_2"),
    ("diffusers_tests", "loops.json", "/cases/unipc_2/config/solver_type", "\"bh1\"", "unipc_2"),
    ("networks/unet", "edm_ddpmpp.json", "/net/resample_filter", "[1, 2]", "edm_ddpmpp"),
    ("networks/unet", "edm_ddpmpp.json", "/io/EDM/kwargs/sigma_data", "0.5005", "edm_ddpmpp_EDM/y"),
    ("solvers", "cases.json", "/gmm2d~1edm~1heun_n10/nfe", "20", "edm/heun_n10"),
    (
        "recorded",
        "cases.json",
        "/gmm2d~1song~1vp_ancestral_sampling_langevin_N25/snr",
        "0.161",
        "langevin",
    ),
    (
        "recorded",
        "cases.json",
        "/gmm2d~1kdiff~1dpmpp_2m_sde_eta0.5_solver_typemidpoint_n10/eta",
        "0.51",
        "eta0.5",
    ),
    ("recorded", "targets.json", "/targets/gmm2d/means/0/0", "-0.845", "euler_n10"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let every = Trial::test("noticed::recorded::every_array", every_recorded_array);
    let scaled = SCALED.iter().enumerate().map(|(i, (family, file, place, case))| {
        let name = format!("noticed::{family}::{i}::{place}");
        Trial::test(name, move || {
            let copy = Copy::of(family);
            if place.starts_with('/') {
                copy.change(file, place, |v| json!(1.001 * v.as_f64().expect("a number")));
            } else {
                let mut arrays = copy.arrays(file);
                let found = arrays.iter_mut().find(|(name, _)| name == place);
                found.ok_or("no such array")?.1 *= 1.001;
                copy.set_arrays(file, &arrays);
            }
            names(&copy, case)
        })
    });
    let set = SET.iter().map(|(family, file, pointer, value, case)| {
        Trial::test(format!("read::{family}::{pointer}"), move || {
            let (copy, value) = (Copy::of(family), serde_json::from_str::<Value>(value)?);
            copy.change(file, pointer, |_| value);
            names(&copy, case)
        })
    });
    scaled.chain(set).chain([every]).collect()
}

/// The case is among those that fail.
fn names(copy: &Copy, case: &str) -> Result<(), Failed> {
    let failures = copy.failures();
    let named = failures.iter().any(|f| f.contains(case));
    if named { Ok(()) } else { Err(format!("no `{case}` among {failures:?}").into()) }
}

/// Whatever was recorded of a loop fails its case when it is changed, start and noise included.
fn every_recorded_array() -> Result<(), Failed> {
    let (copy, file) = (Copy::of("recorded"), "solver_trajectories.npz");
    let whole = copy.arrays(file);
    for i in 0..whole.len() {
        let mut arrays = whole.clone();
        arrays[i].1 *= 1.001;
        copy.set_arrays(file, &arrays);
        let case = whole[i].0.rsplit_once('/').ok_or("a name without a case")?.0;
        names(&copy, case)?;
    }
    Ok(())
}
