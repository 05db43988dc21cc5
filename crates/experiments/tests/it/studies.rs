//! The experiments beside the main one: each from its smallest preset to its page, interrupted,
//! resumed and refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

use crate::support::{experiment, fails, json, text};

/// Runs `smoke` in a folder; the files every study leaves, and its results.
pub(crate) fn smoke(name: &str, figures: &[&str], tables: &[&str]) -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let words = ["run", name, "--preset", "smoke", "--seed", "3", "--out", text(&out)];
    let outcome = json(&words);
    assert_eq!(outcome["status"], "finished");
    assert_eq!(outcome["report"], text(&out.join("report.html")));
    let page = fs::read_to_string(out.join("report.html")).expect("report");
    for figure in figures {
        assert!(page.contains(&format!("<figure id=\"{figure}\">")), "{figure}");
        let png = fs::read(out.join(format!("plots/{figure}.png"))).expect("a picture");
        assert!(image::load_from_memory(&png).is_ok_and(|p| p.width() > 600), "{figure}");
        assert!(out.join(format!("plots/{figure}.svg")).is_file(), "{figure}");
    }
    for table in tables {
        let csv = fs::read_to_string(out.join(format!("plots/{table}.csv"))).expect("a table");
        assert!(csv.lines().count() > 1, "{table}");
    }
    for needle in ["src=\"http", "href=\"http", "<script", "<link", "NaN", "inf<"] {
        assert!(!page.contains(needle), "{needle}");
    }
    assert_eq!(page.matches("<figcaption>").count(), figures.len(), "every figure has a caption");
    assert!(page.contains("no figure, sentence or comparison on this page means anything"));
    assert_eq!(leftovers(&out), Vec::<String>::new());

    // The same command again does nothing; the page can be rebuilt and is the same.
    assert_eq!(json(&words)["status"], "already-finished");
    fs::remove_file(out.join("report.html")).expect("removed");
    assert_eq!(json(&["report", text(&out)])["status"], "finished");
    assert_eq!(fs::read_to_string(out.join("report.html")).expect("report"), page);
    let results = fs::read(out.join("results.json")).expect("results");
    (dir, serde_json::from_slice(&results).expect("json"))
}

/// Files under a temporary name.
fn leftovers(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for sub in ["", "samples", "plots", "checkpoints"] {
        for entry in fs::read_dir(dir.join(sub)).expect("a folder") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if name.ends_with(".tmp") {
                found.push(name);
            }
        }
    }
    found
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, not {value}"))
}

/// Mean of a floor's draws.
fn floor(value: &Value) -> f64 {
    let draws = value["values"].as_array().expect("draws");
    draws.iter().map(number).sum::<f64>() / draws.len() as f64
}

/// Every study is listed, with its presets.
#[test]
fn studies_are_in_the_registry() {
    let listed = json(&["list", "experiments"]);
    let names: BTreeSet<&str> = listed["experiments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e["name"].as_str().expect("a name"))
        .collect();
    for name in [
        "ode-sde-gap",
        "sde-vs-ode",
        "eta-sweep",
        "solvers",
        "energy",
        "encode",
        "identifiability",
        "likelihood",
        "time-sampling",
        "regularisers",
        "image-gap",
        "control",
        "guidance",
        "densities",
    ] {
        assert!(names.contains(name), "{name}");
    }
    for entry in experiments::run::EXPERIMENTS {
        for wanted in ["smoke", "quick"] {
            assert!(entry.presets.iter().any(|p| p.0 == wanted), "{}: {wanted}", entry.name);
        }
    }
}

#[test]
fn sde_vs_ode_shows_one_law_by_two_ways() {
    let figures = ["trajectories-line", "trajectories-plane", "lengths", "law"];
    let (_dir, results) = smoke("sde-vs-ode", &figures, &["law"]);
    let last = |start: &str| results[start].as_array().expect("looks").last().expect("one").clone();
    // 1000 particles: the floor is about 0.1, and squared W2 between two means 1 apart is 1.
    let (right, wrong) = (last("right"), last("wrong"));
    let value = |look: &Value, who: &str| number(&look[who]["value"]);
    for who in ["ode", "sde", "split"] {
        assert!(value(&right, who) < 4.0 * floor(&right["floor"]), "{who}: {right}");
        assert!(number(&right[who]["standard_error"]) > 0.0, "{who}: {right}");
    }
    assert!(value(&wrong, "ode") > 1.0, "the flow keeps a wrong start: {wrong}");
    assert!(value(&wrong, "sde") < 0.5 * value(&wrong, "ode"), "the SDE forgets it: {wrong}");
    let pair = &wrong["sde-split"];
    assert!(number(&pair["found"]["value"]) < 4.0 * floor(&pair["floor"]), "{wrong}");
    let lengths = results["lengths"].as_array().expect("lengths");
    let (first, last) = (&lengths[0], lengths.last().expect("one"));
    // Four times the steps: twice the length of a Brownian path, the same of a smooth one.
    let (zigzag, smooth) = (
        number(&last["sde"]) / number(&first["sde"]),
        number(&last["ode"]) / number(&first["ode"]),
    );
    assert!((1.5..2.5).contains(&zigzag) && (0.95..1.05).contains(&smooth), "{zigzag} {smooth}");
}

#[test]
fn eta_sweep_measures_every_score_at_every_eta() {
    let (_dir, results) = smoke("eta-sweep", &["eta-sweep"], &["eta-sweep"]);
    let rows = results["rows"].as_array().expect("rows");
    let find = |score: &str, steps: u64| {
        rows.iter().find(|r| r["score"] == score && r["steps"] == steps).expect("a row").clone()
    };
    let exact = find("exact", 60);
    assert_eq!(exact["distances"].as_array().expect("one an eta").len(), 3);
    for eta in [0, 1] {
        let w2 = number(&exact["distances"][eta]["value"]);
        assert!(w2 < 3.0 * floor(&exact["floor"]), "exact, eta {eta}: {w2}");
    }
    // A component four times too heavy moves a quarter of the mass: far above the floor.
    let wrong = find("wrong-weight", 60);
    assert!(number(&wrong["distances"][0]["value"]) > 3.0 * floor(&wrong["floor"]), "{wrong}");
}

#[test]
fn solvers_measures_every_method_of_the_registry() {
    let figures = ["ode-0", "noise-0"];
    let (_dir, results) = smoke("solvers", &figures, &["best-ode-0", "all-ode-0", "best-noise-0"]);
    let found = &results["problems"][0];
    let courses = |what: &str| found[what].as_array().expect("courses").clone();
    let names = |what: &str| -> BTreeSet<String> {
        courses(what).iter().map(|c| c["method"].as_str().expect("a name").into()).collect()
    };
    let all: BTreeSet<String> = solvers::Method::ALL.iter().map(|m| m.name().into()).collect();
    assert_eq!(names("ode"), all);
    let noisy = solvers::Method::ALL.iter().filter(|m| m.stochastic());
    assert_eq!(names("noise"), noisy.map(|m| m.name().into()).collect());
    let error = |method: &str, budget: u64| {
        let course =
            courses("ode").into_iter().find(|c| c["method"] == method && c["adaptive"] == false);
        let points = course.expect("a course")["points"].as_array().expect("points").clone();
        number(&points.iter().find(|p| p["budget"] == budget).expect("a point")["error"])
    };
    // Four times the steps: a fourth of the error at order 1, less at order 2.
    assert!(error("euler-maruyama", 40) < 0.5 * error("euler-maruyama", 10));
    assert!(error("heun", 40) < 0.2 * error("heun", 10));
    for course in courses("noise") {
        for point in course["points"].as_array().expect("points") {
            assert!(number(&point["error"]) >= 0.0 && number(&point["nfe"]) <= 40.0, "{course}");
        }
    }
}

#[test]
fn control_measures_every_method_against_the_posterior() {
    let figures = ["bias", "terms", "particles"];
    let tables = ["bias-0", "bias-1", "terms", "slopes", "particles"];
    let (_dir, results) = smoke("control", &figures, &tables);
    let problems = results["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 2);
    // TMPD is exact for one Gaussian, and for no mixture; a likelihood without a width is exact for neither.
    let largest = |problem: &Value, method: &str| -> f64 {
        let courses = problem["courses"].as_array().expect("courses");
        let course = courses.iter().find(|c| c["method"] == method).expect(method);
        let errors = course["errors"].as_array().expect("errors");
        errors.iter().map(|e| number(&e["value"])).fold(0.0, f64::max)
    };
    assert!(largest(&problems[0], "tmpd") < 1e-8, "{}", largest(&problems[0], "tmpd"));
    assert!(largest(&problems[1], "tmpd") > 1e-3 && largest(&problems[0], "dps") > 0.1);
    for problem in problems {
        let rows = problem["rows"].as_array().expect("rows");
        for row in rows {
            let (cost, budget) =
                (number(&row["scores"]) + number(&row["products"]), number(&row["budget"]));
            // Up to what particles need at their ends.
            assert!(row["found"].is_null() || cost < 1.7 * budget, "{row}");
        }
        for system in problem["systems"].as_array().expect("systems") {
            let share = number(&system["found"]["effective"]);
            assert!((0.0..=1.0 + 1e-9).contains(&share), "{system}");
        }
    }
}

#[test]
fn guidance_at_weight_one_is_the_class() {
    let figures = ["curves", "samples-0", "samples-1"];
    let (_dir, results) = smoke("guidance", &figures, &["guidance-0", "guidance-1"]);
    let rows = results["rows"].as_array().expect("rows");
    let find = |kind: &str, weight: f64| {
        let is = |r: &&Value| r["kind"] == kind && r["weight"] == weight && r["width"] == 0.0;
        rows.iter().find(is).expect("a row")["found"].clone()
    };
    let floor = floor(&results["exact"]["floor"]);
    for kind in ["free", "interval", "auto"] {
        let w2 = number(&find(kind, 1.0)["w2"]["value"]);
        assert!(w2 < 3.0 * floor, "{kind}: {w2} {floor}");
    }
    // Both classes, and the class too sharp.
    assert!(number(&find("free", 0.0)["w2"]["value"]) > 5.0 * floor);
    assert!(number(&find("free", 3.0)["spread"]["value"]) < 0.9);
    assert!(number(&find("free", 0.0)["outliers"]["value"]) > 0.2);
}

/// Ctrl-c between parts: what is there is whole, and the rest follows with the same digits.
#[test]
fn an_interrupted_study_goes_on_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().expect("a folder");
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let words = |out: &Path| -> Vec<String> {
        let set = ["steps=[20, 30, 40, 50, 60, 70, 80, 90]", "n=4000"];
        let mut words: Vec<String> = ["run", "eta-sweep", "--preset", "smoke", "--out", text(out)]
            .map(String::from)
            .to_vec();
        words.extend(set.iter().flat_map(|s| ["--set".to_string(), (*s).to_string()]));
        words
    };
    let mut child = Command::new(cargo_bin!("experiment"))
        .args(words(&cut))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let begin = Instant::now();
    while !cut.join("samples/exact-30.json").is_file() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was stopped");
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing happened");
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    assert_eq!(child.wait().expect("a child").code(), Some(130));
    assert!(!cut.join("results.json").exists() && !cut.join("report.html").exists());
    assert_eq!(leftovers(&cut), Vec::<String>::new());
    let record = fs::read(cut.join("record.json")).expect("record");
    let record: Value = serde_json::from_slice(&record).expect("json");
    assert_eq!(record["status"], "interrupted");

    assert_eq!(json(&["run", "eta-sweep", "--resume", "--out", text(&cut)])["status"], "finished");
    let all = words(&whole);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    json(&all);
    let results = |dir: &Path| fs::read(dir.join("results.json")).expect("results");
    assert!(results(&whole) == results(&cut), "the same digits");
}

#[test]
fn unusable_studies_are_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = dir.path();
    fs::write(at.join("key.toml"), "experiment = \"solvers\"\nbudget = [3]\n").expect("a file");
    fs::write(at.join("name.toml"), "experiment = \"solver\"\n").expect("a file");
    for (words, needles) in [
        (vec!["run", "key.toml"], vec!["key.toml", "`budget`"]),
        (vec!["run", "name.toml"], vec!["`solver`", "solvers"]),
        (vec!["run", "solvers", "--preset", "huge"], vec!["huge", "smoke, quick, full"]),
        (vec!["run", "solvers", "--set", "noise.eta=-1"], vec!["noise.eta = -1"]),
        (vec!["run", "eta-sweep", "--set", "target=swirl"], vec!["swirl", "bimodal"]),
        (vec!["run", "eta-sweep", "--set", "method=dopri5"], vec!["dopri5", "ODEs only"]),
        (
            vec!["run", "eta-sweep", "--set", "method=edm-churn:curn=1"],
            vec!["method", "edm-churn", "`curn`", "churn, lowest, highest, noise-scale"],
        ),
        (
            vec!["run", "eta-sweep", "--set", "method=edm-churn:churn=-1"],
            vec!["method", "edm-churn: churn = -1"],
        ),
        (vec!["run", "eta-sweep", "--models", "nowhere"], vec!["nowhere"]),
        (vec!["run", "sde-vs-ode", "--set", "n=0"], vec!["n = 0"]),
        (vec!["run", "sde-vs-ode", "--set", "line=blob"], vec!["blob"]),
        (vec!["run", "sde-vs-ode", "--kernels", "fused"], vec!["--kernels"]),
        (vec!["train", "key.toml"], vec!["solvers"]),
    ] {
        fails(at, &words, &needles);
    }
}

/// Configurations are written as they were before names were values, whichever way a name is given: a run of
/// then is found by its hash.
#[test]
fn runs_have_the_folders_they_had() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases: [(&str, &[&str], &str); 13] = [
        ("ode-sde-gap", &[], "432d2e532154"),
        ("sde-vs-ode", &[], "acd0cabbb7b9"),
        ("eta-sweep", &[], "18a5732b837f"),
        ("solvers", &[], "8d6836ff7b12"),
        ("energy", &[], "09ce05a066ff"),
        ("encode", &[], "c06610a8d17c"),
        ("identifiability", &[], "ad743bfb6453"),
        ("likelihood", &[], "c462976f94ac"),
        ("time-sampling", &[], "6966b0c43cfe"),
        ("encode", &["sde=vp"], "fb213f293d53"),
        ("solvers", &["grids=karras"], "87e6c35d4891"),
        ("time-sampling", &["sdes=subvp"], "1e89f8cd6789"),
        ("ode-sde-gap", &["sde=ou", "sampling.ode-method=heun"], "be2445b2276f"),
    ];
    for (name, sets, hash) in cases {
        // Where there is nothing to resume, the folder that was looked for is named.
        let mut words = vec!["run", name, "--preset", "smoke", "--resume"];
        words.extend(sets.iter().flat_map(|set| ["--set", set]));
        fails(dir.path(), &words, &[&format!("nothing to resume in runs/{name}/{hash}")]);
    }
}

/// Neither threads nor blocks change a figure.
#[test]
fn threads_do_not_change_a_study() {
    let dir = tempfile::tempdir().expect("a folder");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let run = |out: &Path, threads: &str| {
        let words =
            ["--threads", threads, "run", "sde-vs-ode", "--preset", "smoke", "--out", text(out)];
        assert!(experiment(&words).output().expect("the binary starts").status.success());
        fs::read(out.join("results.json")).expect("results")
    };
    assert!(run(&a, "1") == run(&b, "3"));
}

#[test]
fn energy_draws_the_learned_density_and_runs_chains_on_it() {
    let figures = ["contours", "chains", "ends"];
    let (dir, results) = smoke("energy", &figures, &["chains"]);
    // Sixty steps teach little, but more than nothing: a density that overlaps the truth.
    let tv = number(&results["total-variation"]);
    assert!(tv > 0.0 && tv < 0.9, "{tv}");
    let chains = results["chains"].as_array().expect("chains");
    assert_eq!(chains.len(), 6);
    let last = |energy: &str, start: &str| {
        let found = chains.iter().find(|c| c["energy"] == energy && c["start"] == start);
        let looks = found.expect("chains")["snapshots"].as_array().expect("looks").clone();
        number(&looks.last().expect("one")["w2"]["value"])
    };
    // Forty steps of 0.01 do not carry chains from the middle to modes 2.6 away.
    assert!(last("exact", "wide") < last("exact", "one mode"), "{results}");
    assert!(dir.path().join("run/networks/seed-3/checkpoints/blob_w0.0.safetensors").is_file());
}

#[test]
fn encode_comes_back_and_fills_the_prior() {
    let figures = ["latents", "interpolation", "temperature"];
    let tables = ["round-trip", "interpolation", "temperature"];
    let (_dir, results) = smoke("encode", &figures, &tables);
    let trips = results["trips"].as_array().expect("trips");
    for trip in trips {
        // Local errors add up over tens of steps, and the way down stretches them.
        assert!(number(&trip["rms"]["value"]) < 100.0 * number(&trip["tolerance"]), "{trip}");
    }
    // 120 coordinates of N(0, 1): 1 within five standard deviations of their mean square.
    let variance = number(&results["latent-variance"]["value"]);
    assert!((variance - 1.0).abs() < 5.0 * (2.0_f64 / 120.0).sqrt(), "{variance}");
    let spread = |k: usize| number(&results["temperatures"][k]["spread"]);
    assert!(spread(0) < spread(2), "colder is less diverse");
}

#[test]
fn identifiability_compares_two_networks_and_the_exact_score() {
    let (_dir, results) = smoke("identifiability", &["latents"], &["identifiability"]);
    let pairs = results["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 3);
    for pair in pairs {
        // Their base is the data's Gaussian: even hardly trained networks agree on the large scale.
        let (rms, unrelated) = (number(&pair["rms"]["value"]), number(&pair["unrelated"]["value"]));
        assert!(rms > 0.0 && rms < 0.5 * unrelated, "{pair}");
        assert!(number(&pair["correlation"][0]["value"]) > 0.9, "{pair}");
    }
}

#[test]
fn likelihood_estimators_agree_with_the_exact_value() {
    let (_dir, results) = smoke("likelihood", &["errors-flow", "errors-identity"], &["likelihood"]);
    let rows = results["rows"].as_array().expect("rows");
    let find = |name: &str| rows.iter().find(|r| r["name"] == name).expect(name).clone();
    // The tolerance of the preset is 1e-6.
    assert!(number(&find("flow, exact divergence")["rms"]) < 1e-4);
    assert!(number(&find("identity, \u{3b7} = 0")["rms"]) < 1e-4);
    // What an estimate states is what it has, within the noise of twenty points.
    let identity = find("identity, \u{3b7} = 1");
    let ratio = number(&identity["rms"]) / number(&identity["stated"]);
    assert!((0.4..2.5).contains(&ratio), "{identity}");
}

#[test]
fn importance_sampling_of_the_times_is_the_same_loss_with_less_variance() {
    let (_dir, results) = smoke("time-sampling", &["factors"], &["time-sampling", "processes"]);
    let rows = results["rows"].as_array().expect("rows");
    // Four processes, before and after training, loss and gradient.
    assert_eq!(rows.len(), 16);
    let find = |sde: &str, trained: bool, quantity: &str| {
        let is =
            |r: &&Value| r["sde"] == sde && r["trained"] == trained && r["quantity"] == quantity;
        rows.iter().find(is).expect("a row").clone()
    };
    for row in rows {
        assert!(number(&row["factor"]) > 0.0 && number(&row["standard-error"]) > 0.0, "{row}");
    }
    // Under VP from a thousandth on, times near 0 have most of the variance.
    let vp = find("vp", false, "loss");
    assert!(number(&vp["factor"]) > 2.0, "{vp}");
    // Under VE the two laws are one: 120 rows a law are too few for a factor far from 1.
    let process = |sde: &str| {
        let all = results["processes"].as_array().expect("processes");
        all.iter().find(|p| p["sde"] == sde).expect("a process").clone()
    };
    assert!(number(&process("ve")["laws-apart"]) < 1e-9);
    assert!(number(&process("vp")["laws-apart"]) > 0.2);
    for sde in ["vp", "sub-vp", "ou", "ve"] {
        // The deviation of a coordinate of the data, uniform on the black squares of [-3, 3]^2.
        let measured = number(&process(sde)["sigma-data"]);
        assert!((measured / 3.0_f64.sqrt() - 1.0).abs() < 0.02, "{measured}");
    }
}
