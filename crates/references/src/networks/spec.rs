//! What the JSON beside the archives says: networks with their tensors, and what was computed with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use score_nets::checkpoint;
use score_nets::{Architecture, Backend, Model, Parameters, ScoreModel};
use serde_json::{Map, Value, json};

use super::flat;
use super::function::Function;
use super::wrapper::Wrapper;
use crate::read::{Folder, Json, parent};

type Tensors = BTreeMap<String, Tensor>;

/// One archive of inputs and outputs, and the function that it belongs to.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) archive: String,
    /// The architecture and the arguments of its constructor.
    pub(super) architecture: Value,
    tensors: Tensors,
    /// Where the tensors are from.
    weights: PathBuf,
    pub(super) wrapper: Option<Wrapper>,
    /// The names of trained parameters, in the order of the archive.
    pub(super) trained: Vec<String>,
    /// Those whose gradient vanishes by mathematics, where the file says so.
    pub(super) zero: Vec<String>,
    /// Constants of the SDEs, in files of score_sde.
    pub(super) config: Option<Value>,
}

impl Task {
    /// The function in a precision, with arguments of its constructor changed.
    pub(super) fn function(&self, backend: &Backend, changed: &Value) -> Result<Function> {
        let architecture = self.changed(changed)?;
        if let Some(wrapper) = &self.wrapper {
            let config = wrapper.around(architecture);
            let model = ScoreModel::from_tensors(config, &self.tensors, backend, &self.weights)?;
            return Ok(Function::Denoiser(Box::new(model)));
        }
        let build = |vb| architecture.build(vb).map(|net| net.buffers());
        let parameters = Parameters::from_tensors(&self.tensors, &self.weights, backend, build)?;
        let live = architecture.build(parameters.live())?;
        let detached = architecture.build(parameters.detached())?;
        Ok(Function::Bare { parameters, live, detached })
    }

    fn changed(&self, changed: &Value) -> Result<Architecture> {
        let mut value = self.architecture.clone();
        if let (Some(args), Some(changed)) = (value["args"].as_object_mut(), changed.as_object()) {
            args.extend(changed.clone());
        }
        serde_json::from_value(value).context("the architecture")
    }

    /// Whether noise levels enter through Fourier features.
    pub(super) fn is_fourier(&self) -> bool {
        fn says(value: &Value) -> bool {
            match value {
                Value::String(word) => word == "fourier",
                Value::Object(map) => map.values().any(says),
                _ => false,
            }
        }
        says(&self.architecture)
    }
}

/// The tasks of a file; of a kind that is told by its members alone.
pub(super) fn tasks(dir: &Folder, name: &str, file: &Value) -> Result<Vec<Task>> {
    let named = |archive: String| Named { dir, name, file, archive };
    let usual = || format!("{name}_io.npz");
    if file.get("architecture").is_some() {
        return Ok(vec![guided(&named(file.text("io")?.into()))?]);
    }
    match (file.get("config"), file.get("net")) {
        (Some(Value::String(config)), _) => Ok(vec![diffusers(&named(usual()), config)?]),
        (Some(config), _) => Ok(vec![score_sde(&named(usual()), config)?]),
        (None, Some(_)) => edm(dir, name, file),
        (None, None) => anyhow::bail!("no member `architecture`, `config` or `net`"),
    }
}

/// A JSON file and one of its archives.
struct Named<'a> {
    dir: &'a Folder,
    name: &'a str,
    file: &'a Value,
    archive: String,
}

impl Named<'_> {
    fn weights(&self) -> Result<PathBuf> {
        Ok(self.dir.path(self.file.text("weights")?))
    }

    /// A bare network; `names` has the lists of parameters.
    fn task(&self, architecture: Value, tensors: Tensors, names: &Value) -> Result<Task> {
        Ok(Task {
            name: self.name.into(),
            archive: self.archive.clone(),
            architecture,
            tensors,
            weights: self.weights()?,
            wrapper: None,
            trained: names.texts("param_names")?,
            zero: names.texts("zero_grad_params")?,
            config: None,
        })
    }
}

fn guided(case: &Named<'_>) -> Result<Task> {
    let mut tensors = checkpoint::tensors(case.weights()?)?;
    if case.file.get("head").is_some() {
        let head = checkpoint::tensors(case.dir.path(case.file.text("head")?))?;
        tensors.retain(|name, _| !name.starts_with("out."));
        tensors.extend(head);
    }
    let architecture = json!({
        "architecture": case.file.text("architecture")?,
        "args": case.file.member("args")?,
    });
    case.task(architecture, tensors, case.file)
}

fn diffusers(case: &Named<'_>, config: &str) -> Result<Task> {
    let folder = case.dir.path(config);
    let opened = checkpoint::open(parent(&folder)?)?;
    case.task(opened.architecture.to_json(), opened.tensors, case.file)
}

fn score_sde(case: &Named<'_>, config: &Value) -> Result<Task> {
    let architecture = json!({"architecture": "score-sde", "args": config});
    let tensors = checkpoint::tensors(case.weights()?)?;
    Ok(Task { config: Some(config.clone()), ..case.task(architecture, tensors, case.file)? })
}

/// The bare network, and every wrapper around it.
fn edm(dir: &Folder, name: &str, file: &Value) -> Result<Vec<Task>> {
    let mut args = Map::new();
    for part in ["base", "net"] {
        let part = file.member(part)?.as_object().with_context(|| format!("`{part}`"))?;
        args.extend(part.clone());
    }
    if let Some(channels) = file.get("channels_per_head").filter(|c| !c.is_null()) {
        args.insert("channels_per_head".into(), channels.clone());
    }
    let architecture = |args: &Map<String, Value>| json!({"architecture": "edm", "args": args});
    let mut tasks = Vec::new();
    if let Some(raw) = file.get("raw") {
        let case = Named {
            dir,
            name: &format!("{name}_raw"),
            file,
            archive: format!("{name}_raw_io.npz"),
        };
        tasks.push(case.task(architecture(&args), checkpoint::tensors(case.weights()?)?, raw)?);
    }
    for (wrapper, io) in file.member("io")?.entries()? {
        let archive = io.text("file")?.to_owned();
        let case = Named { dir, name: &format!("{name}_{wrapper}"), file, archive };
        let mut tensors = checkpoint::tensors(case.weights()?)?;
        let mut table = None;
        if io.get("overlay").is_some() {
            let overlay = dir.path(io.text("overlay")?);
            // The table of noise levels is the wrapper's own, no tensor of its network.
            let u = candle_core::safetensors::load(&overlay, &Device::Cpu)?.remove("u");
            table = u.map(|u| flat(&u)).transpose()?;
            tensors.extend(checkpoint::tensors(overlay)?);
        }
        let constants = io.member("kwargs")?;
        let mut args = args.clone();
        args.insert("precond".into(), json!(wrapper));
        args.extend(constants.as_object().cloned().unwrap_or_default());
        let wrapper = Some(Wrapper::read(wrapper, constants, table.as_deref())?);
        tasks.push(Task { wrapper, ..case.task(architecture(&args), tensors, io)? });
    }
    Ok(tasks)
}
