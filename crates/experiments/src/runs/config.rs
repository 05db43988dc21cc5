//! From a command line to a whole configuration: a preset, a file laid over it, `--set`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::RunArgs;
use super::experiment::Experiment;

/// A configuration with its text and name.
#[derive(Clone, Debug)]
pub(super) struct Resolved<C> {
    pub(super) config: C,
    /// `config.toml`.
    pub(super) text: String,
    /// The first twelve digits of the hash of the text and of the given files.
    pub(super) hash: String,
    /// The run's folder.
    pub(super) root: PathBuf,
    /// About how many evaluations of a score the run takes.
    pub(super) evaluations: f64,
}

/// Fills in every default, applies every change, checks the result.
///
/// # Errors
/// One line with the offending key, value or file.
pub(super) fn resolve<E: Experiment>(args: &RunArgs) -> Result<Resolved<E::Config>> {
    let RunArgs { out, resume, .. } = args.clone();
    let plain = RunArgs { experiment: E::NAME.into(), out, resume, ..RunArgs::default() };
    let config = match &args.out {
        // `--resume --out DIR` goes on with whatever DIR was made with.
        Some(dir) if args.resume && *args == plain => {
            let found = dir.join("config.toml").is_file();
            ensure!(found, "nothing to resume in {}", dir.display());
            of_folder::<E>(dir)?.0
        }
        _ => assemble::<E>(args)?,
    };
    let evaluations = E::check(&config)?;
    let mut text = to_toml(&config)?;
    // The text in a folder stays as it is where it says the same in other words.
    if let Some((kept, before)) = args.out.as_ref().and_then(|dir| of_folder::<E>(dir).ok())
        && to_toml(&kept)? == text
    {
        text = before;
    }
    let hash = hash::<E>(&config, &text)?;
    let root = args.out.clone().unwrap_or_else(|| Path::new("runs").join(E::NAME).join(&hash));
    Ok(Resolved { config, text, hash, root, evaluations })
}

/// The configuration in a run's folder, and its text.
pub(super) fn of_folder<E: Experiment>(dir: &Path) -> Result<(E::Config, String)> {
    let path = dir.join("config.toml");
    let text = read_file(&path)?;
    let config = from_toml::<E>(&text).with_context(|| path.display().to_string())?;
    Ok((config, text))
}

/// Reads and checks a whole configuration of an experiment.
///
/// # Errors
/// One line that names the place and the offending value.
pub fn from_toml<E: Experiment>(text: &str) -> Result<E::Config> {
    let config = typed::<E>(&renamed::<E>(parse(text)?))?;
    E::check(&config)?;
    Ok(config)
}

/// A preset of an experiment.
///
/// # Errors
/// When there is none of that name.
pub fn preset<E: Experiment>(name: &str) -> Result<E::Config> {
    from_toml::<E>(preset_text::<E>(name)?)
}

/// A configuration as TOML, every default written out.
///
/// # Errors
/// When a value cannot be written.
pub fn to_toml(config: &impl Serialize) -> Result<String> {
    toml::to_string(config).context("writing the configuration")
}

/// Whether a configuration is a preset with another seed.
pub(super) fn is_preset<E: Experiment>(config: &E::Config, name: &str, seed: i64) -> Result<bool> {
    let Ok(mut preset) = preset_text::<E>(name).and_then(parse) else { return Ok(false) };
    preset.insert("seed".into(), Value::Integer(seed));
    Ok(to_toml(&typed::<E>(&preset)?)? == to_toml(config)?)
}

fn preset_text<E: Experiment>(name: &str) -> Result<&'static str> {
    let found = E::PRESETS.iter().find(|p| p.0 == name);
    found.map(|p| p.1).with_context(|| {
        let names: Vec<&str> = E::PRESETS.iter().map(|p| p.0).collect();
        format!("unknown preset `{name}`: expected one of {}", names.join(", "))
    })
}

fn hash<E: Experiment>(config: &E::Config, text: &str) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes());
    for (name, path) in E::given(config)? {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hasher.update(name.as_bytes()).update(blake3::hash(&bytes).as_bytes());
    }
    Ok(hasher.finalize().to_hex()[..12].to_string())
}

fn assemble<E: Experiment>(args: &RunArgs) -> Result<E::Config> {
    let mut table = base::<E>(args)?;
    if let Some(data) = &args.data {
        let path = Value::String(crate::checks::data_path(data)?);
        merge(&mut table, nested("data.path", path));
        typed::<E>(&table).with_context(|| format!("--data: {} takes no data", E::NAME))?;
    }
    for assignment in &args.set {
        set::<E>(&mut table, assignment)?;
    }
    if let Some(seed) = args.seed {
        let most = || format!("--seed {seed}: must be at most {}", i64::MAX);
        table.insert("seed".into(), Value::Integer(i64::try_from(seed).ok().with_context(most)?));
    }
    let mut config = typed::<E>(&table)?;
    let models = args.models.as_deref().map(absolute).transpose()?;
    // What is taken where nothing is said stays unsaid: it is the same run.
    for (key, value, otherwise) in [
        ("kernels", &args.kernels, ""),
        ("device", &args.device, "cpu"),
        ("dtype", &args.dtype, "f32"),
        ("models", &models, ""),
    ] {
        let Some(value) = value else { continue };
        if value == otherwise {
            table.remove(key);
        } else {
            table.insert(key.into(), Value::String(value.clone()));
        }
        config = typed::<E>(&table)
            .with_context(|| format!("--{key} {value}: {} does not have that choice", E::NAME))?;
    }
    if let Some(models) = models {
        E::narrow(&mut config, Path::new(&models))?;
    }
    Ok(config)
}

fn absolute(dir: &Path) -> Result<String> {
    let name = || format!("--models {}", dir.display());
    let path = dir.canonicalize().with_context(name)?;
    Ok(path.to_str().context("not UTF-8").with_context(name)?.to_owned())
}

/// The preset, with the configuration file laid over it where one is given.
fn base<E: Experiment>(args: &RunArgs) -> Result<Table> {
    let default = E::default_preset(args.models.is_some());
    if !args.experiment.ends_with(".toml") {
        return parse(preset_text::<E>(args.preset.as_deref().unwrap_or(default))?);
    }
    let path = Path::new(&args.experiment);
    let file = parse_file(path)?;
    let named = file.get("preset").and_then(Value::as_str);
    let named = named.filter(|name| E::PRESETS.iter().any(|p| p.0 == *name));
    let base = args.preset.as_deref().or(named);
    // A file is laid over a preset of training whatever networks are given.
    let mut table = parse(preset_text::<E>(base.unwrap_or(E::default_preset(false)))?)?;
    if base.is_none() {
        table.insert("preset".into(), Value::String("custom".into()));
    }
    merge(&mut table, renamed::<E>(file));
    typed::<E>(&table).with_context(|| path.display().to_string())?;
    Ok(table)
}

/// Lays one table over another; a table with a `kind` replaces the other as a whole.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if !new.contains_key("kind") => {
                merge(old, new);
            }
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// Sets the value at `a.b` to `c`, read as TOML or, when it is none, as a string; where a list stands, a
/// single item is a list of it.
fn set<E: Experiment>(table: &mut Table, assignment: &str) -> Result<()> {
    let (path, text) = assignment.split_once('=').with_context(|| {
        format!("--set {assignment}: expected KEY=VALUE, as in sampling.n=1000")
    })?;
    let read =
        |text: &str| text.trim().parse().unwrap_or_else(|_| Value::String(text.trim().to_owned()));
    let keys: Vec<&str> = path.trim().split('.').collect();
    ensure!(!keys.contains(&""), "--set {assignment}: the key is empty");
    let inner = keys[1..].iter().try_fold(table.get(keys[0]), |at, key| Some(at?.get(key)));
    let value = match (read(text), inner.flatten()) {
        (Value::String(items), Some(Value::Array(_))) => {
            Value::Array(items.split(',').map(read).collect())
        }
        (one, Some(Value::Array(_))) if !one.is_array() => Value::Array(vec![one]),
        (value, _) => value,
    };
    merge(table, renamed::<E>(nested(path.trim(), value)));
    Ok(())
}

/// A table with one value, at a dotted path.
fn nested(path: &str, value: Value) -> Table {
    match path.split_once('.') {
        Some((key, rest)) => Table::from_iter([(key.into(), Value::Table(nested(rest, value)))]),
        None => Table::from_iter([(path.into(), value)]),
    }
}

/// A table with the keys of today.
fn renamed<E: Experiment>(mut table: Table) -> Table {
    fn take(table: &mut Table, path: &str) -> Option<Value> {
        match path.split_once('.') {
            Some((key, rest)) => take(table.get_mut(key)?.as_table_mut()?, rest),
            None => table.remove(path),
        }
    }
    for (before, now) in E::RENAMED {
        if let Some(value) = take(&mut table, before) {
            merge(&mut table, nested(now, value));
        }
    }
    table
}

/// A table as the configuration of an experiment, its values not yet checked.
fn typed<E: Experiment>(table: &Table) -> Result<E::Config> {
    let config: E::Config = deserialised(table)?;
    let read = Table::try_from(&config).context("writing the configuration")?;
    if let Some(key) = ignored(table, &read) {
        bail!("configuration: unknown key `{key}`");
    }
    let name = read.get("experiment").and_then(Value::as_str).unwrap_or_default();
    ensure!(name == E::NAME, "experiment = {name:?}: expected {:?}", E::NAME);
    Ok(config)
}

fn deserialised<C: DeserializeOwned>(table: &Table) -> Result<C> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| {
        let message = words(error.inner().message());
        match error.path().to_string() {
            place if place == "." => anyhow::anyhow!("configuration: {message}"),
            place => anyhow::anyhow!("configuration: {place}: {message}"),
        }
    })
}

/// A key beside the `kind` of a variant that has no fields: serde reads over it.
fn ignored(given: &Table, read: &Table) -> Option<String> {
    given.iter().find_map(|(key, value)| match (value, read.get(key)) {
        (_, None) if read.len() == 1 && read.contains_key("kind") => Some(key.clone()),
        (Value::Table(a), Some(Value::Table(b))) => ignored(a, b).map(|k| format!("{key}.{k}")),
        _ => None,
    })
}

/// The table in a file.
pub(crate) fn parse_file(path: &Path) -> Result<Table> {
    let text = read_file(path)?;
    text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(0, |s| text[..s.start].lines().count().max(1));
        anyhow::anyhow!("{}, line {line}: {}", path.display(), words(e.message()))
    })
}

fn parse(text: &str) -> Result<Table> {
    text.parse()
        .map_err(|e: toml::de::Error| anyhow::anyhow!("configuration: {}", words(e.message())))
}

/// A message on one line.
fn words(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
