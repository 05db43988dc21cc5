//! The published networks and presets of training, against the published figures.

use experiments::ode_sde_gap::official;

use crate::ode_sde_gap::results;
use crate::support::{json, shared, text};

/// How far a figure may be from the table, which says `there`, given the floor of its distance.
type Allowed<'a> = &'a dyn Fn(&str, f64, f64) -> f64;

/// The published networks under the published sampler, at `n` samples.
fn published(n: u64, cells: &[(&str, f64)], allowed: Allowed<'_>) {
    let shared = shared();
    let dir = tempfile::tempdir().expect("a folder");
    for (dataset, w_r) in cells {
        let out = dir.path().join(format!("{dataset}{w_r}"));
        let (models, n) = (shared.join("odesdegap"), format!("sampling.n={n}"));
        let (sets, weights) = (format!("data-sets={dataset}"), format!("weights={w_r}"));
        json(&[
            "run",
            "ode-sde-gap",
            "--models",
            text(&models),
            "--set",
            &n,
            "--set",
            &sets,
            "--set",
            &weights,
            "--set",
            "sampling.paths=0",
            "--set",
            "measuring.cloud=100",
            "--out",
            text(&out),
        ]);
        let found = results(&out);
        let (row, floor) = (&found.rows[0], &found.floors[0]);
        let table = official::find(dataset, *w_r).expect("published").on_true_nodes();
        for (what, here, there, floor) in [
            ("ODE-truth", row.w2.ode_truth.value, table.w2[0], floor.w2.to_truth.mean()),
            ("SDE-truth", row.w2.sde_truth.value, table.w2[1], floor.w2.to_truth.mean()),
            ("ODE-SDE", row.w2.ode_sde.value, table.w2[2], floor.w2.pair.mean()),
        ] {
            let (difference, allowed) = (here - there, allowed(what, there, floor));
            eprintln!(
                "{dataset} w_R = {w_r}, n = {}: {what} {here:.5}, published {there:.5}, floor {floor:.5}",
                row.n
            );
            assert!(
                difference.abs() <= allowed,
                "{dataset} w_R = {w_r}: {what} {here} against {there}, allowed {allowed}"
            );
        }
    }
}

#[test]
#[cfg_attr(not(paper), ignore = "the weights of arXiv 2311.15996 are not in ../shared")]
fn published_networks_give_the_published_figures_at_reduced_n() {
    // From evenly spread starts the ODE's histogram has hardly any noise: its distance to the truth is
    // held as tightly as with many samples. That of the SDE makes squared W2 larger by up to about
    // the noise floor, its own scatter a fraction of that.
    published(20_000, &[("blob", 0.0)], &|what, there, floor| {
        let tight = (0.08 * there).max(0.0008);
        if what == "ODE-truth" { tight } else { tight + floor }
    });
}

#[test]
#[ignore = "slow"]
fn slow_published_networks_give_the_published_figures() {
    let cells = [("blob", 0.0), ("blob", 1.0), ("circles2", 0.0), ("circles2", 1.0)];
    published(200_000, &cells, &|_, there, _| (0.08 * there).max(0.0008));
}

/// Networks trained by the presets `table` and `quick` against the published ones: each squared W2 at
/// most 1.15 times theirs + 0.001, and no more mass discarded than the count's own noise allows.
#[test]
#[ignore = "slow"]
fn slow_presets_reach_the_published_quality() {
    let dir = tempfile::tempdir().expect("a folder");
    for (preset, dataset, w_r) in [
        ("quick", "blob", 0.0),
        ("quick", "checker", 0.0),
        ("quick", "checker", 10.0),
        ("table", "circles2", 0.0),
        ("table", "checker", 0.0),
        ("table", "checker", 1.0),
    ] {
        let out = dir.path().join(format!("{preset}_{dataset}_{w_r}"));
        let (sets, weights) = (format!("data-sets={dataset}"), format!("weights={w_r}"));
        let words = ["run", "ode-sde-gap", "--preset", preset, "--out", text(&out), "--set", &sets];
        json(&[&words[..], &["--set", &weights]].concat());
        let row = results(&out).rows.remove(0);
        let case = format!("{preset}, {dataset} w_R = {w_r}");
        let table = official::find(dataset, w_r).expect("published").on_true_nodes();
        for (what, here, there) in [
            ("ODE-truth", row.w2.ode_truth.value, table.w2[0]),
            ("SDE-truth", row.w2.sde_truth.value, table.w2[1]),
            ("ODE-SDE", row.w2.ode_sde.value, table.w2[2]),
        ] {
            eprintln!("{case}: {what} {here:.5}, published {there:.5}");
            assert!(here <= 1.15 * there + 0.001, "{case}: {what} {here} ({there})");
        }
        for (here, there) in
            [(row.discarded_ode, table.discarded[0]), (row.discarded_sde, table.discarded[1])]
        {
            let noise = 3.0 * (there / row.n as f64).sqrt();
            assert!(here <= there + noise, "{case}: discarded {here} ({there})");
        }
    }
}
