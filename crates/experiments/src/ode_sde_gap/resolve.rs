//! From a command line to a whole configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use toml::{Table, Value};

use super::cell::Cell;
use super::config::{Config, NAME, OPTIONAL, PRESETS, current_name, preset_text};
use super::overrides;
use crate::runs::RunArgs;

/// A configuration with its text and name.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) config: Config,
    /// `config.toml`.
    pub(super) text: String,
    /// The first twelve digits of the hash of the text and of the given checkpoints.
    pub(super) hash: String,
    /// The run's folder.
    pub(super) root: PathBuf,
}

/// Fills in every default, applies every change, checks the result.
///
/// # Errors
/// One line with the offending key, value or file.
pub(super) fn resolve(args: &RunArgs) -> Result<Resolved> {
    let plain = args.preset.is_none()
        && args.set.is_empty()
        && args.seed.is_none()
        && args.kernels.is_none()
        && args.device.is_none()
        && args.dtype.is_none()
        && args.models.is_none();
    let config = match &args.out {
        // `--resume --out DIR` goes on with whatever DIR was made with.
        Some(dir) if args.resume && plain && args.experiment == NAME => {
            let path = dir.join("config.toml");
            ensure!(path.is_file(), "nothing to resume in {}", dir.display());
            Config::from_toml(&read(&path)?).with_context(|| path.display().to_string())?
        }
        _ => assemble(args)?,
    };
    let text = config.to_toml()?;
    let hash = hash(&config, &text)?;
    let root = args.out.clone().unwrap_or_else(|| Path::new("runs").join(NAME).join(&hash));
    Ok(Resolved { config, text, hash, root })
}

/// The hash of a configuration: of its text, and of the checkpoints it names.
pub(super) fn hash(config: &Config, text: &str) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes());
    if config.models.is_some() {
        for cell in super::cell::cells(config)? {
            let path = cell.given(config).context("a folder of models")?;
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hasher.update(cell.name().as_bytes()).update(blake3::hash(&bytes).as_bytes());
        }
    }
    Ok(hasher.finalize().to_hex()[..12].to_string())
}

fn assemble(args: &RunArgs) -> Result<Config> {
    let mut table = if args.experiment.ends_with(".toml") {
        from_file(Path::new(&args.experiment), args.preset.as_deref())?
    } else if args.experiment == NAME {
        // Given networks are sampled as published unless something else is asked for.
        let otherwise = if args.models.is_some() { "published" } else { "quick" };
        preset_text(args.preset.as_deref().unwrap_or(otherwise))?.parse::<Table>()?
    } else {
        bail!(
            "unknown experiment `{}`: expected {NAME} or a file ending in .toml",
            args.experiment
        );
    };
    for assignment in &args.set {
        overrides::apply(&mut table, assignment)?;
    }
    if let Some(seed) = args.seed {
        let seed = i64::try_from(seed)
            .ok()
            .with_context(|| format!("--seed {seed}: must be at most {}", i64::MAX))?;
        table.insert("seed".into(), Value::Integer(seed));
    }
    if let Some(kernels) = args.kernels {
        table.insert("kernels".into(), Value::try_from(kernels)?);
    }
    // What is taken where nothing is said stays unsaid: it is the same run.
    for (key, value, otherwise) in [("device", &args.device, "cpu"), ("dtype", &args.dtype, "f32")]
    {
        match value.as_deref() {
            Some(value) if value == otherwise => drop(table.remove(key)),
            Some(value) => drop(table.insert(key.into(), Value::String(value.into()))),
            None => {}
        }
    }
    if let Some(models) = &args.models {
        let path =
            models.canonicalize().with_context(|| format!("--models {}", models.display()))?;
        let path =
            path.to_str().with_context(|| format!("--models {}: not UTF-8", models.display()))?;
        table.insert("models".into(), Value::String(path.into()));
        narrow(&mut table, Path::new(path))?;
    }
    Config::from_toml(&toml::to_string(&table)?)
}

/// A configuration file: what it leaves out comes from its preset.
fn from_file(path: &Path, preset: Option<&str>) -> Result<Table> {
    let shown = path.display();
    let file = parse_file(path)?;
    let named = file.get("preset").and_then(Value::as_str).filter(|n| PRESETS.contains(n));
    let mut table = preset_text(preset.or(named).unwrap_or("quick"))?.parse::<Table>()?;
    if preset.or(named).is_none() {
        table.insert("preset".into(), Value::String("custom".into()));
    }
    merge(&mut table, file, "").with_context(|| shown.to_string())?;
    Ok(table)
}

/// The table in a file.
pub(crate) fn parse_file(path: &Path) -> Result<Table> {
    let shown = path.display();
    let text = read(path)?;
    text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(0, |s| text[..s.start].lines().count().max(1));
        anyhow::anyhow!(
            "{shown}, line {line}: {}",
            e.message().split_whitespace().collect::<Vec<_>>().join(" ")
        )
    })
}

/// Lays `file` over `table`; a table with a `kind` replaces the other as a whole.
pub(crate) fn merge(table: &mut Table, file: Table, place: &str) -> Result<()> {
    for (key, value) in file {
        let name = if place.is_empty() { key } else { format!("{place}.{key}") };
        let name = current_name(&name);
        let key = name.rsplit('.').next().unwrap_or(&name).to_owned();
        match (table.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if !new.contains_key("kind") => {
                merge(old, new, &name)?;
            }
            (Some(old), new) => *old = new,
            (None, new) if OPTIONAL.contains(&name.as_str()) => {
                table.insert(key, new);
            }
            (None, _) => {
                let names: Vec<&str> = table.keys().map(String::as_str).collect();
                bail!("unknown key `{name}`: expected one of {}", names.join(", "));
            }
        }
    }
    Ok(())
}

/// Keeps the data sets and weights of which the folder has every checkpoint.
fn narrow(table: &mut Table, dir: &Path) -> Result<()> {
    let strings = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let sets = table.get("data-sets").map(strings).unwrap_or_default();
    let weights = table.get("weights").map(strings).unwrap_or_default();
    let number = |v: &Value| v.as_float().or_else(|| v.as_integer().map(|i| i as f64));
    let has = |set: &Value, w: &Value| {
        let (Some(set), Some(w)) = (set.as_str(), number(w)) else { return true };
        Cell { dataset: set.into(), w_r: w }.find_in(dir).is_some()
    };
    let sets: Vec<Value> = sets.into_iter().filter(|s| weights.iter().any(|w| has(s, w))).collect();
    let weights: Vec<Value> =
        weights.into_iter().filter(|w| sets.iter().any(|s| has(s, w))).collect();
    ensure!(
        !sets.is_empty(),
        "--models {}: no checkpoint named <data set>_w<weight>.safetensors for the data sets and weights asked for",
        dir.display()
    );
    table.insert("data-sets".into(), Value::Array(sets));
    table.insert("weights".into(), Value::Array(weights));
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
