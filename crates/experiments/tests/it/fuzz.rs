//! Random settings: each is refused in one line that names a key, or it works. No panic, no abort, no
//! memory beyond the machine's, no run without an end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use experiments::run::{EXPERIMENTS, Registry, RunArgs};
use sde_core::Key;
use toml::{Table, Value};

/// Draws that are functions of a seed.
pub(crate) struct Draw {
    key: Key,
    at: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self { key: Key::root(seed), at: 0 }
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        let mut u = [0.0];
        self.key.fill_uniforms(self.at, &mut u);
        self.at += 1;
        ((u[0] * n as f64) as usize).min(n - 1)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const INTEGERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "100",
    "-1",
    "4294967295",
    "1000000000000",
    "9007199254740993",
    "4611686018427387904",
    "9223372036854775807",
    "-9223372036854775808",
    "[]",
];

const FLOATS: [&str; 20] = [
    "0.0", "-0.0", "1.0", "0.5", "2.0", "100.0", "-1.0", "5e-324", "1e-300", "1e-160", "1e-17",
    "1e17", "1e30", "1e160", "1e300", "1.7e308", "inf", "-inf", "nan", "'x'",
];

const STRINGS: [&str; 20] = [
    "",
    "x",
    "<b>'\"&",
    "7",
    "blob",
    "line",
    "checker",
    "plain",
    "denoise",
    "ode-sde-gap",
    "log-snr",
    "ou:horizon=1e300",
    "ou:horizon=1e-300",
    "vp:beta0=1e-300,beta1=1e300",
    "ve:sigma-max=1e300",
    "ve:sigma-min=1e-300",
    "brownian:horizon=1e160",
    "edm:sigma-max=nan",
    "dpm-solver-3",
    "karras:rho=0",
];

/// The values that are tried for a key, by what stands there.
fn extremes(old: &Value) -> Vec<String> {
    let all = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    match old {
        Value::Integer(_) => all(&INTEGERS),
        Value::Float(_) => all(&FLOATS),
        Value::String(_) => {
            STRINGS.iter().map(|s| Value::String((*s).into()).to_string()).collect()
        }
        Value::Array(items) => {
            let inner = items.first().map_or(vec![], extremes);
            let one = inner.iter().map(|v| format!("[{v}]"));
            let twice = inner.iter().map(|v| format!("[{v}, {v}]"));
            one.chain(twice).chain(["[]".to_owned(), "0".to_owned()]).collect()
        }
        _ => all(&["0", "'x'", "{}"]),
    }
}

/// The keys of a configuration down to its values, each with the values that are tried.
fn leaves(table: &Table, place: &str, found: &mut Vec<(String, Vec<String>)>) {
    for (key, value) in table {
        let name = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match value {
            Value::Table(inner) => leaves(inner, &name, found),
            Value::Array(items) if items.first().is_some_and(Value::is_table) => {
                let one = items[0].as_table().expect("a table");
                let changed = |(key, old): (&String, &Value)| -> Vec<String> {
                    let with = |new: String| {
                        let new = format!("v = {new}").parse::<Table>().expect("TOML")["v"].clone();
                        let one = laid_over(one.clone(), key, new);
                        Value::Array(vec![Value::Table(one)]).to_string()
                    };
                    extremes(old).into_iter().map(with).collect()
                };
                found.push((name, one.iter().flat_map(changed).collect()));
            }
            _ => found.push((name, extremes(value))),
        }
    }
}

fn laid_over(mut table: Table, key: &str, value: Value) -> Table {
    table.insert(key.into(), value);
    table
}

/// An experiment's preset and what can be changed in it.
struct Preset {
    experiment: &'static str,
    name: &'static str,
    keys: Vec<(String, Vec<String>)>,
}

fn presets() -> Vec<Preset> {
    let mut all = Vec::new();
    for entry in EXPERIMENTS {
        for (name, text) in entry.presets {
            let mut keys = Vec::new();
            leaves(&text.parse().expect("TOML"), "", &mut keys);
            all.push(Preset { experiment: entry.name, name, keys });
        }
    }
    all
}

impl Preset {
    fn with(&self, set: Vec<String>) -> RunArgs {
        let (experiment, preset) = (self.experiment.into(), Some(self.name.into()));
        RunArgs { experiment, preset, set, ..RunArgs::default() }
    }

    /// What is wrong with a refusal, which must be one short line with one of the keys in it.
    fn judge(&self, refusal: &str) -> Option<&'static str> {
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let named = self.keys.iter().any(|(key, _)| refusal.contains(&last(key)));
        match () {
            () if !named => Some("names no key"),
            () if refusal.lines().count() != 1 || refusal.len() > 2000 => Some("is not one line"),
            () if refusal.contains("00000000000000000000") => Some("has no few digits"),
            () => None,
        }
    }

    /// The evaluations of a configuration, or nothing where it is refused.
    ///
    /// # Errors
    /// What is wrong: a panic, a refusal that says too little, work without an end.
    fn check(&self, set: Vec<String>) -> Result<Option<(RunArgs, f64)>, String> {
        let args = self.with(set);
        let wrong =
            |what: String| format!("{} {} {:?}: {what}", self.experiment, self.name, args.set);
        match catch_unwind(AssertUnwindSafe(|| Registry::default().check(&args))) {
            Err(_) => Err(wrong("panics".into())),
            Ok(Ok(cost)) if !(cost.is_finite() && cost < 1e19) => {
                Err(wrong(format!("costs {cost:e}")))
            }
            Ok(Ok(cost)) => Ok(Some((args, cost))),
            Ok(Err(error)) => {
                let line = format!("{error:#}");
                self.judge(&line).map_or(Ok(None), |what| Err(wrong(format!("{what}: {line}"))))
            }
        }
    }
}

/// Every key of the smallest presets with every extreme value, and some of the others.
#[test]
fn every_key_with_extreme_values_is_refused_by_name_or_works() {
    let (presets, mut draw) = (presets(), Draw::new(1));
    let (mut refused, mut wrong) = (0, Vec::new());
    for preset in &presets {
        assert!(
            matches!(preset.check(vec![]), Ok(Some(_))),
            "{} {}",
            preset.experiment,
            preset.name
        );
        for (key, values) in &preset.keys {
            for value in values {
                if preset.name == "smoke" || draw.below(20) == 0 {
                    match preset.check(vec![format!("{key}={value}")]) {
                        Ok(found) => refused += usize::from(found.is_none()),
                        Err(what) => wrong.push(what),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused > 1000, "{refused}");
}

/// Small enough to run in a moment.
const TINY: &[(&str, &[&str])] = &[
    (
        "ode-sde-gap",
        &[
            "data-sets=['blob']",
            "network.hidden=[4]",
            "training.batch=8",
            "sampling.n=20",
            "training.schedule={kind='cosine',lr=1e-3,lr-end=1e-5,warmup=1,steps=3}",
            "sampling.grid='uniform'",
            "training.residual.points=4",
            "sampling.steps=8",
            "sampling.paths=2",
            "measuring.grid=6",
            "measuring.truth=60",
            "measuring.cloud=10",
            "measuring.residual-points=8",
            "measuring.dsm-points=8",
        ],
    ),
    (
        "sde-vs-ode",
        &[
            "paths=2",
            "steps=8",
            "lengths=[4,8]",
            "n=20",
            "truth=100",
            "snapshots=3",
            "window.nodes=6",
        ],
    ),
    (
        "densities",
        &[
            "profile=3",
            "tolerance=0.4",
            "width=0.9",
            "window.nodes=4",
            "particles=32",
            "sampled.n=40",
            "sampled.steps=2",
            "sampled.draws=2",
        ],
    ),
    ("eta-sweep", &["etas=[0,1]", "steps=[8]", "n=20", "truth=100", "window.nodes=6"]),
    ("solvers", &["budgets=[8]", "particles=2", "noise.n=4", "noise.truth=20", "window.nodes=6"]),
    (
        "energy",
        &[
            "pixels=4",
            "n=10",
            "truth=60",
            "snapshots=[2,5]",
            "window.nodes=6",
            "training.hidden=[4]",
            "training.steps=2",
            "training.batch=8",
        ],
    ),
    ("encode", &["points=6", "tolerances=[1e-3]", "pairs=1", "shares=4", "temperatures=[1]"]),
    (
        "identifiability",
        &["points=5", "steps=4", "training.hidden=[4]", "training.steps=2", "training.batch=8"],
    ),
    (
        "regularisers",
        &[
            "seeds=2",
            "hidden=[4]",
            "steps=2",
            "batch=8",
            "points=32",
            "terms=[{name=\"box\",weights=[1.0]}]",
            "correction.paths=4",
            "correction.grid=3",
            "correction.hidden=[4]",
            "correction.steps=2",
            "correction.batch=8",
            "laws.steps=4",
            "laws.times=3",
            "laws.lattice=11",
            "laws.resolutions=2",
            "laws.pieces=2",
            "laws.flow-steps=4",
            "window.nodes=6",
        ],
    ),
    (
        "image-gap",
        &[
            "weights=[0.0,1.0]",
            "seeds=2",
            "times=[0.5]",
            "network.channels=8",
            "training.steps=2",
            "training.batch=4",
            "residual.steps=2",
            "residual.points=2",
            "sampling.n=10",
            "sampling.ode-steps=2",
            "sampling.sde-steps=2",
            "measuring.rows=10",
            "measuring.floors=2",
            "measuring.likelihood=2",
            "measuring.likelihood-steps=2",
            "density.points=2",
            "density.paths=2",
            "density.nodes=2",
            "density.substeps=1",
            "density.ode-steps=2",
        ],
    ),
    ("likelihood", &["points=3", "probes=[2]", "etas=[1]", "paths=2", "steps=8", "tolerance=1e-3"]),
    (
        "time-sampling",
        &[
            "sdes=[\"vp\"]",
            "rows=3",
            "seeds=2",
            "network.width=4",
            "network.blocks=1",
            "training.steps=2",
            "training.batch=4",
        ],
    ),
    (
        "control",
        &[
            "problems=[\"gaussian-1\"]",
            "budgets=[8]",
            "n=6",
            "repeats=2",
            "guidance.points=4",
            "guidance.times=2",
            "smc.particles=[3]",
            "smc.systems=2",
            "smc.steps=4",
        ],
    ),
    (
        "guidance",
        &[
            "generations=1",
            "steps=4",
            "weights=[1]",
            "plus-plus=[1]",
            "n=20",
            "rows=8",
            "truth=60",
            "floors=2",
            "window.nodes=6",
        ],
    ),
];

/// A hundred thousand configurations of one to three changes; those that cost next to nothing are run.
#[test]
#[ignore = "slow"]
fn slow_random_configurations_are_refused_or_end() {
    let count = |name: &str, usual: usize| {
        std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (presets, mut draw) = (presets(), Draw::new(2));
    let (mut work, mut wrong) = (0, Vec::new());
    for _ in 0..count("FUZZ_CHECKS", 100_000) {
        let preset = draw.pick(&presets);
        let set = changes(preset, &mut draw);
        match preset.check(set) {
            Ok(found) => work += usize::from(found.is_some()),
            Err(what) => wrong.push(what),
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{work} of them work");
    let (dir, mut late) = (tempfile::tempdir().expect("a folder"), Vec::new());
    let smoke: Vec<&Preset> = presets.iter().filter(|p| p.name == "smoke").collect();
    let (mut ran, most) = (0, count("FUZZ_RUNS", 600));
    while ran < most {
        let preset = *draw.pick(&smoke);
        let tiny = TINY.iter().find(|t| t.0 == preset.experiment).map_or(&[][..], |t| t.1);
        let mut set: Vec<String> = tiny.iter().map(|s| (*s).to_owned()).collect();
        set.extend(changes(preset, &mut draw));
        let Some((args, cost)) = preset.check(set).expect("refused well or not at all") else {
            continue;
        };
        if cost > 1e7 {
            continue;
        }
        ran += 1;
        let out = dir.path().join(ran.to_string());
        let args = RunArgs { out: Some(out.clone()), ..args };
        eprintln!("{} {:?}", args.experiment, &args.set[tiny.len()..]);
        let ended = catch_unwind(AssertUnwindSafe(|| Registry::default().run(&args)));
        let ended = ended.unwrap_or_else(|_| panic!("{} {:?} panics", args.experiment, args.set));
        if let Err(error) = ended {
            let line = format!("{error:#}");
            assert!(line.lines().count() == 1 && line.len() < 2000, "{line}");
            assert!(!line.contains("damaged"), "{:?}: {line}", args.set);
            late.push(format!("{} {:?}: {line}", args.experiment, &args.set[tiny.len()..]));
        }
        std::fs::remove_dir_all(&out).expect("removed");
    }
    eprintln!("{} of {ran} runs refused late:\n{}", late.len(), late.join("\n"));
}

fn changes(preset: &Preset, draw: &mut Draw) -> Vec<String> {
    let mut set = Vec::new();
    for _ in 0..1 + draw.below(3) {
        let (key, values) = draw.pick(&preset.keys);
        let value = draw.pick(values);
        set.push(format!("{key}={value}"));
    }
    set
}
