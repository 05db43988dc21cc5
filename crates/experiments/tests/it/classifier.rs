//! Classifiers of noised rows: fitted beside a model, steering its samples, as features of images.

use std::fs;
use std::path::Path;

use ndarray::{Array4, ArrayD};
use score_nets::{Backend, Classifier, ClassifierConfig};
use sde_core::Key;

use crate::fitted::table;
use crate::support::{fails, folder, json, save, text};

fn results(run: &Path) -> serde_json::Value {
    let bytes = fs::read(run.join("results.json")).expect("results");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn images(path: &Path) -> ArrayD<f64> {
    experiments::npy::read(path).expect("images")
}

/// A fit of the digits with a classifier: figures at every noise level, samples of a class by any sampler and by particles,
/// features of images.
#[test]
fn digits_are_steered_and_measured() {
    let dir = folder();
    let run = dir.path().join("run");
    let fit =
        ["fit", "digits", "--preset", "smoke", "--classifier", "--seed", "3", "--out", text(&run)];
    // A model that is not told the classes.
    let small =
        ["data.conditional=false", "sampling.n=30", "measuring.rows=30", "measuring.likelihood=2"];
    let small = small.into_iter().flat_map(|value| ["--set", value]).collect::<Vec<_>>();
    assert_eq!(json(&[&fit[..], &small].concat())["status"], "finished");
    let found = &results(&run)["classified"];
    assert_eq!(found["named"]["levels"].as_array().map(Vec::len), Some(6));
    assert_eq!(found["trained"]["planned"], 6);
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));
    for level in found["named"]["levels"].as_array().expect("levels") {
        assert!(number(&level["cross-entropy"]["value"]) > 0.0, "{level}");
        assert!((0.0..=1.0).contains(&number(&level["accuracy"]["value"])), "{level}");
    }
    let weights = found["guided"].as_array().expect("weights");
    let weights: Vec<f64> = weights.iter().map(|g| number(&g["weight"])).collect();
    assert_eq!(weights, [1.0, 3.0]);
    let page = fs::read_to_string(run.join("report.html")).expect("a page");
    assert!(
        page.contains("Classifier of noised rows") && page.contains("Guided by the classifier")
    );
    assert!(run.join("classifier-metrics.csv").is_file());

    let [model, classifier] =
        ["model", "classifier"].map(|name| run.join(format!("checkpoints/{name}.safetensors")));
    let out = dir.path().join("threes.npy");
    let draw = |more: &[&str]| -> (serde_json::Value, ArrayD<f64>) {
        let words =
            ["sample", "--model", text(&model), "--n", "4", "--steps", "4", "--out", text(&out)];
        (json(&[&words[..], more].concat()), images(&out))
    };
    let steer = ["--class", "3", "--classifier", text(&classifier)];
    let (_, plain) = draw(&[]);
    let (report, one) = draw(&steer);
    assert_eq!((report["class"].as_str(), one.shape()), (Some("3"), &[4, 1, 8, 8][..]));
    assert_eq!(report["classifier"].as_str(), Some(text(&classifier)));
    // The same noise steered: more with more weight, not at all with none.
    let apart = |x: &ArrayD<f64>| (x - &plain).mapv(f64::abs).sum();
    let (_, five) = draw(&[&steer[..], &["--guidance", "20"]].concat());
    let (_, none) = draw(&[&steer[..], &["--guidance", "0"]].concat());
    assert!(apart(&none) == 0.0 && apart(&five) > apart(&one), "{} {}", apart(&one), apart(&five));
    let sde = ["--method", "dpm-solver++-2m-sde", "--eta", "1", "--block-rows", "3"];
    let by_blocks = draw(&[&steer[..], &sde].concat()).1;
    assert_eq!(by_blocks, draw(&[&steer[..], &sde[..4]].concat()).1);
    let (report, _) = draw(&[&steer[..], &["--by", "smc", "--particles", "3"]].concat());
    let control = &report["control"];
    assert_eq!((control["by"].as_str(), control["particles"].as_u64()), (Some("smc"), Some(3)));
    assert!(number(&control["log_evidence"][0]) < 0.0 && control["columns"].is_null(), "{control}");
    steering_refused(dir.path(), &model, &classifier);
    features_of_images(dir.path(), &classifier, &out);
}

/// What a classifier cannot steer is one line.
fn steering_refused(dir: &Path, model: &Path, classifier: &Path) {
    let refused = |more: &[&str], needles: &[&str]| {
        let words =
            ["sample", "--model", text(model), "--n", "4", "--steps", "4", "--out", "o.npy"];
        fails(dir, &[&words[..], more].concat(), needles);
    };
    let by = ["--classifier", text(classifier)];
    let with = |more: &[&'static str]| [&by[..], more].concat();
    refused(&by, &["--classifier needs --class"]);
    refused(&with(&["--class", "ten"]), &["--class ten", "0, 1, 2"]);
    refused(&["--class", "3"], &["the model has no classes"]);
    refused(&["--class", "3", "--classifier", text(model)], &["`score-model` file"]);
    refused(&["--class", "3", "--classifier", "nowhere"], &["--classifier", "nowhere"]);
    refused(&with(&["--class", "3", "--guidance", "nan"]), &["--guidance is NaN"]);
    refused(&with(&["--class", "3", "--by", "dps"]), &["--by needs"]);
    refused(&with(&["--class", "3", "--by", "smc", "--guidance", "2"]), &["--guidance", "smc"]);
    refused(&with(&["--class", "3", "--given", "x=1"]), &["--classifier", "--given"]);
    let sample =
        ["sample", "--model", "mixture.json", "--sde", "vp", "--method", "heun", "--steps", "3"];
    let other = ["--n", "2", "--out", "o.npy", "--classifier", text(classifier)];
    fails(dir, &[&sample[..], &other].concat(), &["--classifier", "fitted to data"]);
    let own = Classifier::open(classifier).expect("a classifier").config().clone();
    let save = |name: &str, config: ClassifierConfig| {
        let made = Classifier::new(config, Key::root(1), &Backend::cpu()).expect("a classifier");
        made.save(dir.join(name)).expect("written");
    };
    save("vp.safetensors", ClassifierConfig { sde: "vp".into(), ..own.clone() });
    save("bare.safetensors", ClassifierConfig { data: None, ..own });
    let vp = ["--class", "3", "--classifier", "vp.safetensors"];
    refused(&vp, &["vp.safetensors: trained for the sde vp", "the model for edm"]);
    refused(&["--class", "3", "--classifier", "bare.safetensors"], &["not fitted by"]);
    let itself = ["sample", "--model", text(classifier), "--n", "2", "--out", "o.npy"];
    fails(dir, &itself, &["`noise-classifier` file"]);
}

/// Figures of images in the classifier's features.
fn features_of_images(dir: &Path, classifier: &Path, samples: &Path) {
    let named = format!("classifier:{}", text(classifier));
    let other = dir.join("other.npy");
    save(&other, &images(samples).mapv(|v| (16.0 - v) as u8));
    let of = |b: &Path| json(&["metric", "frechet", text(samples), text(b), "--features", &named]);
    let found = of(&other);
    let features = &found["features"];
    assert_eq!(features["extractor"], "classifier");
    assert_eq!(features["weights"].as_str().map(str::len), Some(64));
    assert!(found["dimension"].as_u64() >= Some(32), "{found}");
    let same = of(samples)["value"].as_f64().expect("a number");
    assert!(same.abs() < 1e-6 && found["value"].as_f64() > Some(10.0 * same.abs()), "{found}");
    let all = ["metric", "images", text(samples), "digits", "--k", "2", "--features", &named];
    assert!(json(&all)["values"]["kid"]["value"].is_number());
    save(&dir.join("wide.npy"), &Array4::<u8>::zeros((5, 1, 8, 6)).into_dyn());
    save(&dir.join("deep.npy"), &Array4::<u8>::from_elem((5, 1, 8, 8), 200).into_dyn());
    for (file, needles) in [("wide.npy", ["wide.npy", "8x6"]), ("deep.npy", ["deep.npy", "200"])] {
        let words = ["metric", "images", file, text(samples), "--features", &named];
        fails(dir, &words, &needles);
    }
    let words = ["metric", "images", text(samples), text(samples), "--features", "classifier:no"];
    fails(dir, &words, &["no"]);
    let model = classifier.with_file_name("model.safetensors");
    let named = format!("classifier:{}", text(&model));
    let words = ["metric", "images", text(samples), text(samples), "--features", &named];
    fails(dir, &words, &["`score-model` file"]);
}

/// A fit that is killed while its classifier is trained ends in the bits of one that was not; its classifier is for its own rows.
#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let dir = folder();
    let data = dir.path().join("trees.csv");
    table(&data);
    let small =
        ["training.steps=20", "classifier.steps=60", "sampling.n=20", "measuring.likelihood=2"];
    let fit = |out: &Path, more: &[&str]| -> Vec<String> {
        let words = [
            "fit",
            text(&data),
            "--preset",
            "smoke",
            "--labels",
            "age",
            "--classifier",
            "--out",
            text(out),
        ];
        let small = small.iter().flat_map(|value| ["--set", value]);
        words.into_iter().chain(small).chain(more.iter().copied()).map(String::from).collect()
    };
    let run = |words: &[String]| json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let [whole, cut, other] = ["whole", "cut", "other"].map(|name| dir.path().join(name));
    run(&fit(&whole, &[]));
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("experiment"))
        .args(fit(&cut, &[]))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let checkpoint = cut.join("checkpoints/classifier.training.safetensors");
    while !checkpoint.is_file() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("a child");
    run(&fit(&cut, &[]));
    for name in ["checkpoints/model.safetensors", "checkpoints/classifier.safetensors"] {
        let [a, b] = [&whole, &cut].map(|run| fs::read(run.join(name)).expect(name));
        assert!(a == b, "{name}");
    }
    let [a, b] = [&whole, &cut].map(|run| results(run)["classified"]["named"].clone());
    assert_eq!(a, b);

    // A class by its name, in the columns of the data; rows of another split are scaled otherwise.
    let out = dir.path().join("old.csv");
    let model = whole.join("checkpoints/model.safetensors");
    let draw = ["sample", "--model", text(&model), "--n", "5", "--class", "old", "--steps", "6"];
    let own = whole.join("checkpoints/classifier.safetensors");
    json(&[&draw[..], &["--classifier", text(&own), "--out", text(&out)]].concat());
    assert!(fs::read_to_string(&out).expect("rows").starts_with("height,rings,kind,label"));
    run(&fit(&other, &["--seed", "5"]));
    let other = other.join("checkpoints/classifier.safetensors");
    let words = [&draw[..], &["--classifier", text(&other), "--out", "o.csv"]].concat();
    fails(dir.path(), &words, &["--classifier", "differ in how they are scaled"]);
    let features = format!("classifier:{}", text(&own));
    let words = ["metric", "images", text(&out), text(&out), "--features", &features];
    fails(dir.path(), &words, &["no images"]);
}

#[test]
fn a_classifier_needs_classes() {
    let dir = folder();
    let data = dir.path().join("trees.csv");
    table(&data);
    let fit = ["fit", "trees.csv", "--preset", "smoke", "--classifier"];
    fails(dir.path(), &fit, &["trees.csv", "two classes or more, found 0", "--labels"]);
    let odd = ["--labels", "age", "--set", "classifier.network.width=0"];
    fails(dir.path(), &[&fit[..], &odd].concat(), &["classifier.network.width = 0"]);
    let fit = ["fit", "digits", "--preset", "smoke", "--classifier"];
    let odd = ["--set", "classifier.network.channels=48"];
    fails(dir.path(), &[&fit[..], &odd].concat(), &["classifier.network.channels = 48", "32"]);
}
