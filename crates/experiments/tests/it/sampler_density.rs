//! `density`: what samplers draw, on a grid and without a sample.

use data::npy::Npz;

use crate::support::{experiment, fails, folder, parse_one};

/// The SDE and the flow of an exact score draw the data: both ways find the same cells, to the errors they state.
#[test]
fn both_ways_find_the_data() {
    let dir = folder();
    let run = |eta: &str, out: &str| {
        let words = [
            "density",
            "--model",
            "mixture.json",
            "--sde",
            "ou",
            "--eta",
            eta,
            "--box",
            "3",
            "--nodes",
            "9",
            "--margin",
            "2",
            "--tol",
            "1e-3",
            "--out",
            out,
            "--json",
        ];
        let output = experiment(&words).current_dir(dir.path()).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let report = parse_one(&output.stdout);
        assert!(report["error"].as_f64().expect("a number") <= 1e-3, "{report}");
        let mut archive = Npz::open(&dir.path().join(out)).expect("an archive");
        let cells = archive.get("cells").expect("cells");
        assert_eq!(cells.shape(), [9, 9]);
        let mass = report["mass"].as_f64().expect("a number");
        assert!((cells.sum() - mass).abs() < 1e-12 && mass > 0.9, "{mass}");
        (cells, archive)
    };
    let (by_volumes, mut volumes) = run("1", "sde.npz");
    let (by_paths, mut paths) = run("0", "ode.npz");
    let apart = 0.5 * (&by_volumes - &by_paths).mapv(f64::abs).sum();
    assert!(apart < 2e-3, "{apart}");
    let times = volumes.get("times").expect("times");
    assert_eq!(times.len(), 20);
    assert_eq!(times.iter().last(), Some(&0.0));
    for name in ["mass", "left", "score_gap"] {
        assert_eq!(volumes.get(name).expect(name).len(), 20);
    }
    let (a, b) = (volumes.get("logp").expect("logp"), paths.get("logp").expect("logp"));
    let errors = volumes.get("logp_error").expect("logp_error");
    for ((a, b), error) in a.iter().zip(&b).zip(&errors) {
        // The prior is not the law of the data at T, and the two samplers carry that differently: e^-10.
        assert!((a - b).abs() < error + 1e-3, "{a} {b} {error}");
    }
}

#[test]
fn what_cannot_be_computed_is_said() {
    let dir = folder();
    let with = |more: &[&'static str]| {
        let words = ["density", "--model", "mixture.json", "--sde", "ou", "--out", "d.npz"];
        [&words[..], more].concat()
    };
    fails(dir.path(), &with(&["--eta=-1"]), &["--eta is -1"]);
    fails(dir.path(), &with(&["--tol", "0"]), &["--tol is 0"]);
    fails(dir.path(), &with(&["--box", "0"]), &["--box is 0"]);
    fails(dir.path(), &with(&["--t-end", "11"]), &["--t-end = 11"]);
}
