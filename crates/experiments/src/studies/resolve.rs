//! From a command line to the whole configuration of a study.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use toml::{Table, Value};

use super::{PRESETS, Study};
use crate::ode_sde_gap::config::{lost_key, one_line};
use crate::ode_sde_gap::overrides;
use crate::ode_sde_gap::resolve::{merge, parse_file};
use crate::runs::RunArgs;

/// A configuration with its text and name.
pub(super) struct Resolved<C> {
    pub(super) config: C,
    /// `config.toml`.
    pub(super) text: String,
    /// The first twelve digits of the hash of the text and of the given networks.
    pub(super) hash: String,
    /// The run's folder.
    pub(super) root: PathBuf,
}

/// Fills in every default, applies every change, checks the result.
pub(super) fn resolve<S: Study>(args: &RunArgs) -> Result<Resolved<S::Config>> {
    let plain = args.preset.is_none() && args.set.is_empty() && args.seed.is_none();
    let table = match &args.out {
        // `--resume --out DIR` goes on with whatever DIR was made with.
        Some(dir)
            if args.resume && plain && args.models.is_none() && args.experiment == S::NAME =>
        {
            let path = dir.join("config.toml");
            ensure!(path.is_file(), "nothing to resume in {}", dir.display());
            parse_file(&path)?
        }
        _ => assemble::<S>(args)?,
    };
    let config = read::<S>(&toml::to_string(&table)?)?;
    let text = toml::to_string(&config).context("writing the configuration")?;
    let hash = hash(&text)?;
    let root = args.out.clone().unwrap_or_else(|| Path::new("runs").join(S::NAME).join(&hash));
    Ok(Resolved { config, text, hash, root })
}

/// Reads and checks a whole configuration.
pub(super) fn read<S: Study>(text: &str) -> Result<S::Config> {
    let config: S::Config = toml::from_str(text).map_err(|e| one_line(&e, text))?;
    let (given, read): (Table, Table) =
        (text.parse()?, toml::to_string(&config).context("writing the configuration")?.parse()?);
    if let Some(key) = lost_key(&given, &read) {
        bail!("unknown key `{key}`");
    }
    let name = read.get("experiment").and_then(Value::as_str).unwrap_or_default();
    ensure!(name == S::NAME, "experiment = {name:?}: expected {:?}", S::NAME);
    S::check(&config)?;
    Ok(config)
}

/// The text of a preset.
pub(super) fn preset<S: Study>(name: &str) -> Result<&'static str> {
    let place = PRESETS.iter().position(|p| *p == name);
    place
        .map(|k| S::TEXTS[k])
        .with_context(|| format!("unknown preset `{name}`: expected one of {}", PRESETS.join(", ")))
}

fn assemble<S: Study>(args: &RunArgs) -> Result<Table> {
    let mut table = if args.experiment.ends_with(".toml") {
        let path = Path::new(&args.experiment);
        let file = parse_file(path)?;
        let named = file.get("preset").and_then(Value::as_str).filter(|n| PRESETS.contains(n));
        let base = args.preset.as_deref().or(named);
        let mut table = preset::<S>(base.unwrap_or("quick"))?.parse::<Table>()?;
        if base.is_none() {
            table.insert("preset".into(), Value::String("custom".into()));
        }
        merge(&mut table, file, "").with_context(|| path.display().to_string())?;
        table
    } else {
        preset::<S>(args.preset.as_deref().unwrap_or("quick"))?.parse::<Table>()?
    };
    for assignment in &args.set {
        overrides::apply(&mut table, assignment)?;
    }
    if let Some(seed) = args.seed {
        let seed = i64::try_from(seed).ok();
        let seed = seed.with_context(|| format!("--seed: must be at most {}", i64::MAX))?;
        table.insert("seed".into(), Value::Integer(seed));
    }
    ensure!(args.kernels.is_none(), "--kernels: {} does not have that choice", S::NAME);
    for (flag, asked, only) in [("--device", &args.device, "cpu"), ("--dtype", &args.dtype, "f32")]
    {
        let asked = asked.as_deref().unwrap_or(only);
        ensure!(asked == only, "{flag} {asked}: {} does not have that choice", S::NAME);
    }
    if let Some(models) = &args.models {
        let path =
            models.canonicalize().with_context(|| format!("--models {}", models.display()))?;
        let path =
            path.to_str().with_context(|| format!("--models {}: not UTF-8", models.display()))?;
        table.insert("models".into(), Value::String(path.into()));
    }
    Ok(table)
}

/// The networks of a folder, by name.
pub(super) fn checkpoints(dir: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {dir}"))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    found.sort();
    ensure!(!found.is_empty(), "{dir} has no checkpoint to evaluate");
    Ok(found)
}

pub(super) fn hash(text: &str) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes());
    if let Some(dir) = text.parse::<Table>()?.get("models").and_then(Value::as_str) {
        for path in checkpoints(dir)? {
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            hasher.update(name.as_bytes()).update(blake3::hash(&bytes).as_bytes());
        }
    }
    Ok(hasher.finalize().to_hex()[..12].to_string())
}
