//! An experiment that is not this crate's: registered, run, interrupted, resumed, reported and cited
//! as any other.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use experiments::run::{
    Entry, Experiment, Interrupted, Registry, RunArgs, Sheet, Status, Table, Workspace,
};
use sde_core::Key;
use serde::{Deserialize, Serialize};

struct Walks;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    lengths: Vec<usize>,
    /// Ends the second part as ctrl-c would, while this file is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_gone: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Results {
    ends: Vec<f64>,
}

impl Experiment for Walks {
    const NAME: &'static str = "walks";
    const ABOUT: &'static str = "where random walks end";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("short", "experiment = 'walks'\npreset = 'short'\nseed = 1\nlengths = [2, 3]"),
        ("long", "experiment = 'walks'\npreset = 'long'\nseed = 1\nlengths = [200]"),
    ];
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        ensure!(!config.lengths.contains(&0), "lengths = {:?}: must not be 0", config.lengths);
        Ok(config.lengths.iter().sum::<usize>() as f64)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let walk = |k: usize, length: usize| {
            workspace.part(&format!("walk-{k}"), || {
                let stop = config.until_gone.as_ref().is_some_and(|file| Path::new(file).exists());
                if k == 1 && stop {
                    return Err(Interrupted.into());
                }
                let mut steps = vec![0.0; length];
                Key::root(config.seed).fold(k as u64).fill_normals(0, &mut steps);
                Ok(steps.iter().sum())
            })
        };
        let lengths = config.lengths.iter().enumerate();
        Ok(Results { ends: lengths.map(|(k, n)| walk(k, *n)).collect::<Result<_>>()? })
    }

    fn page(_: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        let mut sheet = Sheet { title: "Walks".into(), ..Sheet::default() };
        let rows = results.ends.iter().map(|end| vec![end.to_string().into()]);
        sheet.table(Table::new("ends", 0, &["end"]).rows(rows));
        Ok(sheet)
    }

    fn references(_: &Config) -> Vec<&'static str> {
        vec!["Kloeden, Platen 1992, equation 10.2.4"]
    }

    fn verdict(results: &Results) -> Result<()> {
        if results.ends.iter().any(|end| end.abs() > 1e3) {
            bail!("a walk ended far away")
        }
        Ok(())
    }
}

fn args(experiment: &str, out: &Path, set: &[String]) -> RunArgs {
    let (experiment, out, set) = (experiment.into(), Some(out.to_path_buf()), set.to_vec());
    RunArgs { experiment, out, set, ..RunArgs::default() }
}

#[test]
fn an_experiment_of_ones_own_has_the_life_of_any_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let registry = Registry::with(&[Entry::of::<Walks>()]);
    // Without a preset named `quick`, the first one is where a configuration starts.
    let whole = registry.run(&args("walks", &at("whole"), &[])).expect("a run");
    assert_eq!((whole.status, whole.hash.len()), (Status::Finished, 12));
    let page = fs::read_to_string(at("whole/report.html")).expect("a page");
    assert!(page.contains("<h1>Walks</h1>") && page.contains("walks --preset short --seed 1"));
    assert!(fs::read_to_string(at("whole/plots/ends.csv")).expect("a table").starts_with("end\n"));

    // Interrupted in its second part, it goes on with the first one kept.
    let flag = at("flag");
    fs::write(&flag, "").expect("a file");
    let set = [format!("until-gone={}", flag.display())];
    let cut = registry.run(&args("walks", &at("cut"), &set)).expect("an interrupted run");
    assert_eq!(cut.status, Status::Interrupted);
    assert!(cut.next.is_some_and(|next| next.contains("--resume")));
    assert!(!at("cut/results.json").exists() && at("cut/samples/walk-0.json").is_file());
    fs::remove_file(&flag).expect("removed");
    let resumed = RunArgs { resume: true, ..args("walks", &at("cut"), &[]) };
    assert_eq!(registry.run(&resumed).expect("the rest").status, Status::Finished);
    let results = |name: &str| fs::read(at(name).join("results.json")).expect("results");
    assert_eq!(results("whole"), results("cut"));
    let record = fs::read_to_string(at("cut/record.json")).expect("a record");
    assert_eq!(record.matches("\"started\"").count(), 2);

    // Page and references from the folder; a file is laid over the preset it names.
    fs::remove_file(at("cut/report.html")).expect("removed");
    assert!(registry.report(&at("cut")).expect("a page").report.is_some());
    let cited = registry.cite(&at("cut")).expect("references");
    assert_eq!(cited.iter().map(|c| c.key).collect::<Vec<_>>(), ["kloeden1992"]);
    fs::write(at("own.toml"), "experiment = 'walks'\npreset = 'long'\nseed = 5").expect("a file");
    let file = at("own.toml").display().to_string();
    assert_eq!(registry.check(&args(&file, &at("x"), &[])).expect("sound"), 200.0);
}

#[test]
fn refusals_name_the_key_and_the_value() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::with(&[Entry::of::<Walks>()]);
    let refused = |set: &str| {
        let args = args("walks", &dir.path().join("o"), &[set.to_owned()]);
        format!("{:#}", registry.run(&args).expect_err("refused"))
    };
    assert_eq!(refused("lengths=0"), "lengths = [0]: must not be 0");
    assert_eq!(
        refused("lengths=x"),
        "configuration: lengths[0]: invalid type: string \"x\", expected usize"
    );
    assert_eq!(
        refused("size=3"),
        "configuration: size: unknown field `size`, expected one of `experiment`, `preset`, `seed`, `lengths`, `until-gone`"
    );
    let unknown = registry.run(&args("walk", dir.path(), &[])).expect_err("refused").to_string();
    assert!(unknown.contains("`walk`") && unknown.contains(", walks or a file"), "{unknown}");
    assert!(Registry::default().run(&args("walks", dir.path(), &[])).is_err());
    let trained = registry.train(&args("walks", dir.path(), &[])).expect_err("refused").to_string();
    assert_eq!(trained, "walks has no training of its own: use `run`");
    assert!(!dir.path().join("o").exists(), "nothing is left behind");
}
