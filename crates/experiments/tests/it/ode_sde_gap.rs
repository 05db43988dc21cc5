//! The main experiment, from the outside: end to end, interrupted, locked, on given networks.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use experiments::ode_sde_gap::OdeSdeGap;
use experiments::ode_sde_gap::config::Config;
use experiments::ode_sde_gap::results::{Results, Row};
use experiments::run::{Experiment as _, Registry, RunArgs, to_toml};
use serde_json::Value;

use crate::support::{experiment, fails, json, text};

pub(crate) fn results(dir: &Path) -> Results {
    let file = fs::read_to_string(dir.join("results.json")).expect("results.json");
    serde_json::from_str(&file).expect("results")
}

/// A run of seconds, made smaller still.
const TINY: [&str; 12] = [
    "--preset",
    "smoke",
    "--set",
    "data-sets=blob",
    "--set",
    "sampling.n=300",
    "--set",
    "sampling.steps=120",
    "--set",
    "measuring.cloud=60",
    "--set",
    "measuring.dsm-points=200",
];

fn tiny<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["run", "ode-sde-gap"];
    words.extend(TINY);
    words.extend(["--out", out]);
    words.extend(more);
    words
}

#[test]
fn presets_are_whole_and_survive_a_round_trip() {
    for (name, _) in OdeSdeGap::PRESETS {
        let config = Config::preset(name).expect(name);
        assert_eq!(config.preset, *name);
        let text = to_toml(&config).expect(name);
        assert_eq!(Config::from_toml(&text).expect(name), config);
    }
    let paper = Config::preset("paper").expect("paper");
    assert_eq!(
        (paper.steps(), paper.training.batch, paper.sampling.n),
        (100_000, 200_000, 3_000_000)
    );
    let times = paper.times().expect("times");
    assert_eq!(times.len(), 891);
    assert!((times[0] - times[1] - 0.0125).abs() < 1e-12 && (times[889] - 0.00125).abs() < 1e-12);
}

/// Files with the keys and names of earlier versions say the same as before.
#[test]
fn old_configurations_open() {
    let now = to_toml(&Config::preset("smoke").expect("smoke")).expect("text");
    let before = [
        ("time-distribution", "time-law"),
        ("proposal.distribution", "proposal.law"),
        ("quasi-monte-carlo", "lattice"),
    ];
    let mut old = now.clone();
    for (now, before) in before {
        assert!(old.contains(now), "{now}");
        old = old.replacen(now, before, if now == "quasi-monte-carlo" { 2 } else { 1 });
    }
    old = old.replace("draws = \"lattice\"", "draws = \"stratified\"");
    assert_eq!(
        Config::from_toml(&old).expect("an old configuration"),
        Config::preset("smoke").expect("smoke")
    );
    // Also laid over a preset that has the names of today.
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("old.toml");
    fs::write(&file, old).expect("a file");
    let args = |experiment: &str, set: &[&str]| RunArgs {
        experiment: experiment.into(),
        preset: Some("smoke".into()),
        set: set.iter().map(|s| (*s).to_owned()).collect(),
        ..RunArgs::default()
    };
    let check = |args: RunArgs| Registry::default().check(&args).expect("sound");
    let set = "training.time-law={kind='uniform'}";
    assert_eq!(check(args(text(&file), &[])), check(args("ode-sde-gap", &[set])));
}

/// A name is read once and stays as it was written, whatever means the same: so does the hash of a run.
#[test]
fn names_stay_as_they_are_written() {
    let mut text = to_toml(&Config::preset("smoke").expect("smoke")).expect("text");
    for (now, given) in [
        ("sde = \"ou:horizon=10\"", "sde = \"ou\""),
        ("ode-method = \"euler-maruyama\"", "ode-method = \" heun\""),
        ("grid = \"ode-sde-gap\"", "grid = \"karras\""),
    ] {
        assert!(text.contains(now), "{now}");
        text = text.replace(now, given);
    }
    text = text.replace("t-end = 0.0", "t-end = 0.001");
    let config = Config::from_toml(&text).expect("sound");
    assert_eq!(
        (config.sde.name(), config.sampling.grid.name()),
        ("ou:horizon=10".into(), "karras:rho=7".into())
    );
    assert_eq!(to_toml(&config).expect("text"), text);
    for (given, wrong, said) in [
        (
            "sde = \"ou\"",
            "sde = \"oo\"",
            "configuration: sde: unknown sde `oo`: expected one of ou, vp",
        ),
        (
            "\"checker\"",
            "\"check\"",
            "configuration: data-sets[1]: unknown data set `check`: expected one of blob",
        ),
        ("\"karras\"", "\"karras:rho=0\"", "configuration: sampling.grid: rho = 0"),
        (
            "end = \"no-noise\"",
            "end = \"none\"",
            "configuration: sampling.end: unknown end rule `none`",
        ),
    ] {
        let refused = Config::from_toml(&text.replace(given, wrong)).expect_err(wrong).to_string();
        assert!(refused.starts_with(said) && refused.lines().count() == 1, "{refused}");
    }
}

/// `--kernels` forces either arithmetic: the same training up to rounding, and not the same bits.
#[test]
fn kernels_can_be_forced() {
    let dir = tempfile::tempdir().expect("a folder");
    let [auto, fused, composite] = ["auto", "fused", "composite"].map(|kernels| {
        let out = dir.path().join(kernels);
        json(&tiny(text(&out), &["--kernels", kernels]));
        let read = |name: &str| fs::read(out.join(name)).expect(name);
        let config = String::from_utf8(read("config.toml")).expect("utf-8");
        assert!(config.contains(&format!("kernels = \"{kernels}\"\n")), "{config}");
        // The first line, before SOAP has turned the difference of a rounding into another path.
        let log = String::from_utf8(read("metrics.jsonl")).expect("utf-8");
        let line: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("json");
        assert_eq!(line["step"], 2);
        (read("checkpoints/blob_w1.0.safetensors"), line["loss"].as_f64().expect("a loss"))
    });
    assert!(auto.0 == fused.0, "auto is fused for this network");
    assert!(auto.0 != composite.0, "composite rounds otherwise");
    let apart = (fused.1 / composite.1 - 1.0).abs();
    assert!(apart <= 1e-5, "{} and {}: {apart:.1e}", fused.1, composite.1);
}

#[test]
fn unusable_configurations_are_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = dir.path();
    fs::write(at.join("unknown.toml"), "experiment = \"ode-sde-gap\"\n[training]\nbatchsize = 3\n")
        .expect("a file");
    fs::write(at.join("broken.toml"), "seed = = 3\n").expect("a file");
    fs::write(at.join("zero.toml"), "[sampling]\nn = 0\n").expect("a file");
    fs::write(at.join("method.toml"), "[sampling]\nsde-method = \"eulr\"\n").expect("a file");
    fs::write(at.join("kind.toml"), "[training]\ntime-law = { kind = \"uniform\", a = 3 }\n")
        .expect("a file");
    fs::create_dir(at.join("empty")).expect("a folder");
    fs::create_dir(at.join("other")).expect("a folder");
    fs::write(at.join("other/thesis.txt"), "precious").expect("a file");
    let set = |assignment: &'static str| vec!["run", "ode-sde-gap", "--set", assignment];
    for (words, needles) in [
        (vec!["run", "unknown.toml"], vec!["unknown.toml", "training.batchsize", "batch"]),
        (vec!["run", "broken.toml"], vec!["broken.toml", "line 1"]),
        (vec!["run", "zero.toml"], vec!["sampling.n = 0"]),
        (vec!["run", "method.toml"], vec!["sde-method", "eulr", "euler-maruyama"]),
        (set("sampling.ode-method=ipndm:order=9"), vec!["sampling.ode-method", "ipndm: order = 9"]),
        (vec!["run", "kind.toml"], vec!["training.time-distribution.a"]),
        (vec!["run", "missing.toml"], vec!["missing.toml"]),
        (vec!["run", "other-gap"], vec!["other-gap", "ode-sde-gap"]),
        (
            vec!["run", "ode-sde-gap", "--preset", "huge"],
            vec!["huge", "smoke, quick, table, published, paper"],
        ),
        (set("sampling.m=3"), vec!["sampling.m", "`m`", "`n-ode`"]),
        (set("sampling.n"), vec!["KEY=VALUE"]),
        (set("sampling.n=-4"), vec!["sampling.n", "-4"]),
        (set("sampling.n-ode=0"), vec!["sampling.n-ode = 0"]),
        (
            set("training.outlier-weighting={share=1,scale=2,half-width=3}"),
            vec!["outlier-weighting.share = 1: must be between 0 and 1"],
        ),
        (set("weights=[0, nan]"), vec!["weights[1]"]),
        (set("data-sets=swirl"), vec!["swirl", "circles2"]),
        (vec!["run", "ode-sde-gap", "--models", "empty"], vec!["no checkpoint"]),
        (vec!["run", "ode-sde-gap", "--models", "nowhere"], vec!["nowhere"]),
        (vec!["run", "ode-sde-gap", "--out", "other"], vec!["not empty"]),
        (vec!["run", "ode-sde-gap", "--out", "nothing", "--resume"], vec!["nothing to resume"]),
        (vec!["report", "empty"], vec!["holds no run"]),
    ] {
        fails(at, &words, &needles);
    }
}

#[test]
fn the_ode_may_have_fewer_particles() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let run = |name: &str, more: &[&str]| {
        let out = at(name);
        json(&tiny(text(&out), &[&["--set", "weights=0"], more].concat()));
        results(&out).rows.remove(0)
    };
    let fewer = run("fewer", &["--set", "sampling.n-ode=120"]);
    assert_eq!((fewer.n, fewer.n_ode), (300, Some(120)));
    let page = fs::read_to_string(at("fewer/report.html")).expect("report");
    assert!(page.contains("120 samples of the ODE, 300 of the SDE"));
    let counts = ndarray_npy::read_npy::<_, ndarray::Array2<f64>>(at(
        "fewer/samples/blob_w0.0_ode_counts.npy",
    ));
    let kept = (120.0 * (1.0 - fewer.discarded_ode)).round();
    assert_eq!(counts.expect("counts").sum(), kept);
    // A bound above all of them is none, and the SDE does not depend on it.
    let all = run("all", &["--set", "sampling.n-ode=1000"]);
    assert_eq!((all.n, all.n_ode), (300, None));
    assert_eq!((all.w2.sde_truth, all.discarded_sde), (fewer.w2.sde_truth, fewer.discarded_sde));
    let plain = run("plain", &[]);
    assert_eq!(plain.w2, all.w2);
    assert_ne!(plain.w2.ode_truth, fewer.w2.ode_truth);
}

#[test]
fn optional_keys_come_from_the_command_line_and_from_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let tails = "training.outlier-weighting={share=0.2,scale=2,half-width=3,blur=0.3}";
    let more = ["--set", "weights=0", "--set", "sampling.n-ode=120", "--set", tails];
    json(&tiny(text(&at("first")), &more));
    let page = fs::read_to_string(at("first/report.html")).expect("report");
    assert!(
        page.contains("training.outlier-weighting.scale"),
        "the report does not name the tails"
    );
    // Its configuration is laid over a preset that has neither key.
    let file = at("first/config.toml");
    json(&["run", text(&file), "--out", text(&at("again"))]);
    let (first, again) = (results(&at("first")), results(&at("again")));
    assert_eq!(first.rows[0].w2.sde_truth, again.rows[0].w2.sde_truth);
    assert_eq!((again.rows[0].n, again.rows[0].n_ode), (300, Some(120)));
    json(&tiny(text(&at("plain")), &more[..4]));
    assert_ne!(first.rows[0].w2.sde_truth, results(&at("plain")).rows[0].w2.sde_truth);
}

#[test]
fn a_folder_belongs_to_one_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let out = text(&out);
    // A training far too long: it is stopped below.
    let long = tiny(
        out,
        &[
            "--set",
            "training.schedule={ kind = 'phases', phases = [{ lr = 1e-3, steps = 1000000 }] }",
        ],
    );
    let mut first = start(&long);
    wait_for(&mut first, || {
        fs::read_to_string(Path::new(out).join("metrics.jsonl"))
            .is_ok_and(|t| t.lines().count() > 3)
    });
    let second = experiment(&long).output().expect("the binary starts");
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && message.lines().count() == 1, "{message}");
    assert!(
        message.contains("being written by another run")
            && message.contains(&first.id().to_string()),
        "{message}"
    );
    stop(&mut first);
    // Another configuration may not go into the same folder.
    let other = experiment(&tiny(out, &["--seed", "5"])).output().expect("the binary starts");
    let message = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && message.contains("holds another run"), "{message}");
}

#[test]
fn an_interrupted_run_goes_on_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().expect("a folder");
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let phases = "training.schedule={ kind = 'phases', phases = [{ lr = 3e-3, steps = 400 }, { lr = 1e-3, steps = 200 }] }";
    json(&tiny(text(&whole), &["--set", phases]));
    let words = tiny(text(&cut), &["--set", phases]);
    let mut child = start(&words);
    wait_for(&mut child, || {
        fs::read_to_string(cut.join("metrics.jsonl")).is_ok_and(|t| t.lines().count() > 10)
    });
    let said = stop(&mut child);
    assert!(!cut.join("results.json").exists(), "it was stopped in time");
    assert!(said.contains("--resume"), "{said}");
    let record: Value =
        serde_json::from_slice(&fs::read(cut.join("record.json")).expect("record")).expect("json");
    assert_eq!(record["status"], "interrupted");
    let outcome = json(&["run", "ode-sde-gap", "--resume", "--out", text(&cut)]);
    assert_eq!(outcome["status"], "finished");

    let timeless = |row: &Row| Row {
        train_seconds: 0.0,
        sample_seconds: 0.0,
        measure_seconds: 0.0,
        ..row.clone()
    };
    let (a, b) = (results(&whole), results(&cut));
    assert_eq!(a.rows.len(), 2);
    for (x, y) in a.rows.iter().zip(&b.rows) {
        assert_eq!(timeless(x), timeless(y));
    }
    assert_eq!(a.floors, b.floors);
    for name in ["blob_w0.0", "blob_w1.0"] {
        let file = format!("checkpoints/{name}.safetensors");
        assert!(
            fs::read(whole.join(&file)).expect("weights")
                == fs::read(cut.join(&file)).expect("weights"),
            "{name}"
        );
    }
    let steps = |dir: &Path| -> Vec<(String, u64)> {
        let log = fs::read_to_string(dir.join("metrics.jsonl")).expect("a log");
        let line = |l: &str| serde_json::from_str::<Value>(l).expect("a line");
        log.lines()
            .map(line)
            .map(|l| (l["network"].to_string(), l["step"].as_u64().expect("a step")))
            .collect()
    };
    assert_eq!(steps(&whole), steps(&cut));
}

#[test]
fn neither_blocks_nor_threads_change_a_figure() {
    let dir = tempfile::tempdir().expect("a folder");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    json(&tiny(text(&a), &["--set", "weights=1"]));
    let words = tiny(text(&b), &["--set", "weights=1", "--set", "sampling.block=7"]);
    let one = experiment(&words).env("RAYON_NUM_THREADS", "1").output().expect("the binary starts");
    assert!(one.status.success());
    for file in ["blob_w1.0_ode_cloud.npy", "blob_w1.0_sde_cloud.npy", "blob_w1.0_sde_counts.npy"] {
        let read = |dir: &Path| fs::read(dir.join("samples").join(file)).expect("samples");
        assert!(read(&a) == read(&b), "{file}");
    }
}

#[test]
fn the_instruction_set_can_be_chosen() {
    let dir = tempfile::tempdir().expect("a folder");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    json(&tiny(text(&a), &["--set", "weights=1", "--isa", "portable"]));
    json(&tiny(text(&b), &["--set", "weights=1"]));
    let read = |dir: &Path, file: &str| fs::read(dir.join(file)).expect("a file of the run");
    let isa = |dir: &Path| {
        let record: Value = serde_json::from_slice(&read(dir, "record.json")).expect("json");
        record["sessions"][0]["isa"].as_str().expect("a name").to_owned()
    };
    assert_eq!(isa(&a), "portable");
    let report = String::from_utf8(read(&a, "report.html")).expect("text");
    assert!(report.contains("portable kernels"));
    // It decides which kernels run: their last bits differ.
    let samples = "samples/blob_w1.0_ode_cloud.npy";
    assert_eq!(read(&a, samples) == read(&b, samples), isa(&b) == "portable");
}

#[test]
fn train_stops_after_training_and_run_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, out) = (dir.path().join("mine.toml"), dir.path().join("run"));
    fs::write(&file, "preset = \"smoke\"\ndata-sets = [\"checker\"]\nweights = [0.0]\n[sampling]\nn = 200\n[measuring]\ncloud = 50\n")
        .expect("a file");
    let trained = json(&["train", text(&file), "--out", text(&out)]);
    assert_eq!(trained["status"], "trained");
    assert_eq!(trained["checkpoints"][0], text(&out.join("checkpoints/checker_w0.0.safetensors")));
    assert!(!out.join("results.json").exists());
    assert_eq!(json(&["run", text(&file), "--out", text(&out)])["status"], "finished");
    assert_eq!(results(&out).rows.len(), 1);

    // Its checkpoints are given networks like any others.
    let models = dir.path().join("again");
    let given = out.join("checkpoints");
    let words = ["run", text(&file), "--models", text(&given), "--out", text(&models)];
    assert_eq!(json(&words)["status"], "finished");
    let (x, y) = (&results(&out).rows[0], &results(&models).rows[0]);
    assert_eq!((x.w2, x.residual), (y.w2, y.residual));
}

fn start(words: &[&str]) -> Child {
    let mut command = Command::new(cargo_bin!("experiment"));
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the binary starts")
}

fn wait_for(child: &mut Child, ready: impl Fn() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was stopped");
        assert!(begin.elapsed() < Duration::from_secs(300), "nothing happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Presses ctrl-c and hands back what was said on standard output.
fn stop(child: &mut Child) -> String {
    use std::io::Read as _;
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("a child").code(), Some(130));
    said
}
