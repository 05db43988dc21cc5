//! What the JSON beside the archives says: networks with their tensors, and what was computed with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use score_nets::{
    Architecture, Backend, Condition, Jet, Model, ModelConfig, Network, Parameters, Quantity,
    ScoreModel, Vjp, checkpoint, vjp,
};
use sde_core::schedule::iddpm_sigmas;
use sde_core::{Edm, Label, NoiseTable, Preconditioning, Vp};
use serde_json::Map;

use super::flat;
use crate::prelude::*;

type Tensors = BTreeMap<String, Tensor>;

/// One archive of inputs and outputs, and the function that it belongs to.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) archive: String,
    /// The architecture and the arguments of its constructor.
    pub(super) architecture: Value,
    tensors: Tensors,
    /// Where the tensors are from.
    weights: PathBuf,
    pub(super) wrapper: Option<Wrapper>,
    /// What else is said of the function.
    pub(super) notes: Value,
}

impl Task {
    /// The names of trained parameters, in the order of the archive.
    pub(super) fn trained(&self) -> Result<Vec<String>> {
        self.notes.or("param_names", Vec::new())
    }

    /// Those whose gradient vanishes by mathematics, where the file says so.
    pub(super) fn zero(&self) -> Result<Vec<String>> {
        self.notes.or("zero_grad_params", Vec::new())
    }

    /// The function in a precision.
    pub(super) fn function(&self, backend: &Backend) -> Result<Function> {
        let architecture = Architecture::from_json(&self.architecture)?;
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

    /// Whether the network gets labels in the hundreds through Fourier features.
    pub(super) fn has_large_labels(&self) -> bool {
        let large = self.wrapper.as_ref().is_some_and(Wrapper::has_large_labels);
        large && self.architecture.to_string().contains("\"fourier\"")
    }
}

/// The tasks of a file; of a kind that is told by its members alone.
pub(super) fn tasks(dir: &Folder, name: &str, file: &Value) -> Result<Vec<Task>> {
    let weights = dir.path(file.text("weights")?);
    let (architecture, tensors) = match (file.get("architecture"), file.get("config")) {
        (Some(architecture), _) => {
            let mut tensors = checkpoint::tensors(&weights)?;
            if file.get("head").is_some() {
                let head = checkpoint::tensors(dir.path(file.text("head")?))?;
                tensors.retain(|name, _| !name.starts_with("out."));
                tensors.extend(head);
            }
            (json!({"architecture": architecture, "args": file.member("args")?}), tensors)
        }
        (None, Some(Value::String(config))) => {
            let folder = dir.path(config);
            let opened = checkpoint::open(folder.parent().context("`config` is in no folder")?)?;
            (opened.architecture.to_json(), opened.tensors)
        }
        (None, Some(config)) => {
            let architecture = json!({"architecture": "score-sde", "args": config});
            (architecture, checkpoint::tensors(&weights)?)
        }
        (None, None) if file.get("net").is_some() => return edm(dir, name, file, weights),
        (None, None) => bail!("no member `architecture`, `config` or `net`"),
    };
    let usual = format!("{name}_io.npz");
    let (name, archive) = (name.into(), file.text_or("io", &usual).into());
    let notes = file.clone();
    Ok(vec![Task { name, archive, architecture, tensors, weights, wrapper: None, notes }])
}

/// The bare network of EDM, and every wrapper around it.
fn edm(dir: &Folder, name: &str, file: &Value, weights: PathBuf) -> Result<Vec<Task>> {
    let mut args = Map::new();
    for part in ["base", "net"] {
        let part = file.member(part)?.as_object().with_context(|| format!("`{part}`"))?;
        args.extend(part.clone());
    }
    if let Some(channels) = file.get("channels_per_head").filter(|c| !c.is_null()) {
        args.insert("channels_per_head".into(), channels.clone());
    }
    let bare = Task {
        name: format!("{name}_raw"),
        archive: format!("{name}_raw_io.npz"),
        architecture: json!({"architecture": "edm", "args": args}),
        tensors: checkpoint::tensors(&weights)?,
        weights,
        wrapper: None,
        notes: file.get("raw").cloned().unwrap_or_default(),
    };
    let mut tasks = Vec::new();
    for (wrapper, io) in file.member("io")?.entries()? {
        let mut task =
            Task { name: format!("{name}_{wrapper}"), notes: io.clone(), ..bare.clone() };
        task.archive = io.text("file")?.into();
        let mut table = None;
        if io.get("overlay").is_some() {
            let overlay = dir.path(io.text("overlay")?);
            // The table of noise levels is the wrapper's own, no tensor of its network.
            let u = candle_core::safetensors::load(&overlay, &Device::Cpu)?.remove("u");
            table = u.map(|u| flat(&u)).transpose()?;
            task.tensors.extend(checkpoint::tensors(overlay)?);
        }
        let constants = io.member("kwargs")?;
        let mut args = args.clone();
        args.insert("precond".into(), json!(wrapper));
        args.extend(constants.as_object().cloned().unwrap_or_default());
        task.architecture["args"] = args.into();
        task.wrapper = Some(Wrapper::read(wrapper, constants, table)?);
        tasks.push(task);
    }
    tasks.extend(file.get("raw").map(|_| bare));
    Ok(tasks)
}

/// The four functions of a wrapper, and what it states of noise levels.
#[derive(Clone, Debug)]
pub(super) struct Wrapper {
    preconditioning: Preconditioning,
    output: Parametrisation,
    /// The lowest and the highest, infinity as 1e300.
    pub(super) range: [f64; 2],
    /// The same in single precision, as it is shipped: differences to 1 lose digits at its lower end.
    pub(super) single_range: [f64; 2],
    /// The levels of improved DDPM in double precision, falling to the zero at their end.
    pub(super) table: Option<Vec<f64>>,
}

impl Wrapper {
    /// The wrapper of a name with its constants; `shipped` is the table that a file of improved DDPM holds.
    pub(super) fn read(name: &str, constants: &Value, shipped: Option<Vec<f64>>) -> Result<Self> {
        let number = |key: &str| constants.number(key);
        let of = |preconditioning: &str, output, range, single_range| -> Result<Self> {
            let preconditioning = preconditioning.parse()?;
            Ok(Self { preconditioning, output, range, single_range, table: None })
        };
        match name {
            "EDM" => {
                let (sigma_data, range) = (number("sigma_data")?, [0.0, 1e300]);
                let output = Parametrisation::F { sigma_data };
                of(&format!("edm:sigma-data={sigma_data}"), output, range, range)
            }
            "VE" => of("ve", Parametrisation::SigmaScore, [0.02, 100.0], [0.02, 100.0]),
            "VP" => {
                let (beta_min, beta_d) = (number("beta_min")?, number("beta_d")?);
                let (beta_max, scale) = (beta_min + beta_d, number("M")? - 1.0);
                let sde = Vp::new(beta_min, beta_max)?;
                let range = [1e-5, 1.0].map(|t| (-sde.half_log_snr(t)).exp());
                let name = format!("vp:beta0={beta_min},beta1={beta_max},scale={scale}");
                of(&name, Parametrisation::Eps, range, single_vp(beta_min as f32, beta_d as f32))
            }
            "iDDPM" => {
                let (steps, c1, c2) = (constants.count("M")?, number("C_1")?, number("C_2")?);
                ensure!(steps >= 2, "M is {steps}");
                let mut falling = iddpm_sigmas(steps, c1, c2);
                let range = [falling[steps - 1], falling[0]];
                falling.push(0.0);
                let mut rising = shipped.unwrap_or_else(|| falling.clone());
                rising.reverse();
                Ok(Self {
                    preconditioning: Preconditioning::table(NoiseTable::new(rising)?, -1.0),
                    output: Parametrisation::Eps,
                    range,
                    single_range: single_iddpm(steps, c1 as f32, c2 as f32),
                    table: Some(falling),
                })
            }
            other => bail!("nothing here knows the wrapper `{other}`"),
        }
    }

    /// Whether the labels reach hundreds, rather than being logarithms.
    pub(super) fn has_large_labels(&self) -> bool {
        matches!(self.preconditioning.label, Label::VpTime { .. } | Label::Step { .. })
    }

    /// Place and value of the level of the table next to `sigma`, places counted from the largest.
    pub(super) fn nearest(&self, sigma: f64) -> Result<(usize, f64)> {
        let Label::Step { table, .. } = &self.preconditioning.label else {
            bail!("a wrapper without a table")
        };
        let rising = table.nearest(sigma);
        Ok((table.ratios().len() - 1 - rising, table.ratios()[rising]))
    }

    /// A network in this wrapper, as a model of the score at times that are noise levels.
    pub(super) fn around(&self, network: Architecture) -> ModelConfig {
        ModelConfig {
            network: Some(network),
            output: self.output,
            preconditioning: self.preconditioning.clone(),
            sde: Edm::default().name(),
            sigma_data: None,
            log_variance: None,
            identity: None,
            data: None,
        }
    }
}

fn single_vp(beta_min: f32, beta_d: f32) -> [f64; 2] {
    let sigma = |t: f32| ((0.5 * beta_d * (t * t) + beta_min * t).exp() - 1.0).sqrt();
    [1e-5, 1.0].map(|t| f64::from(sigma(t)))
}

fn single_iddpm(steps: usize, c1: f32, c2: f32) -> [f64; 2] {
    let angle = |j: usize| std::f32::consts::FRAC_PI_2 * j as f32 / steps as f32 / (c2 + 1.0);
    let alpha_bar = |j: usize| angle(j).sin().powi(2);
    let before = |u: f32, j: usize| {
        let ratio = (alpha_bar(j - 1) / alpha_bar(j)).max(c1);
        ((u * u + 1.0) / ratio - 1.0).sqrt()
    };
    [before(0.0, steps), (1..=steps).rev().fold(0.0, before)].map(f64::from)
}

/// A function of points and noise levels with its parameters.
pub(super) enum Function {
    /// `F(x; t)`.
    Bare { parameters: Parameters, live: Box<dyn Network>, detached: Box<dyn Network> },
    /// `D(x; sigma)`.
    Denoiser(Box<ScoreModel>),
}

impl Function {
    pub(super) fn parameters(&self) -> &Parameters {
        match self {
            Self::Bare { parameters, .. } => parameters,
            Self::Denoiser(model) => model.parameters(),
        }
    }

    /// The network inside.
    pub(super) fn network(&self) -> &dyn Network {
        match self {
            Self::Bare { detached, .. } => &**detached,
            Self::Denoiser(model) => model.detached(),
        }
    }

    /// The value with the derivatives that `x` carries and, along direction `along_time`, that in `t`.
    pub(super) fn jet(
        &self,
        x: &Jet,
        t: &[f64],
        along_time: Option<usize>,
        condition: &Condition,
    ) -> Result<Jet> {
        match self {
            Self::Bare { detached, .. } => {
                let t = self.times(t)?;
                let mut directions = vec![None; along_time.map_or(0, |a| a + 1)];
                if let Some(last) = directions.last_mut() {
                    *last = Some(t.ones_like()?);
                }
                Ok(detached.forward(x, &Jet::partial(t, directions, vec![]), condition)?)
            }
            Self::Denoiser(model) => {
                Ok(model.jet_detached(Quantity::Denoised, x, t, along_time, condition)?)
            }
        }
    }

    /// The value, attached to the parameters.
    pub(super) fn live(&self, x: &Tensor, t: &[f64], condition: &Condition) -> Result<Tensor> {
        let x = Jet::constant(x.clone());
        match self {
            Self::Bare { live, .. } => {
                Ok(live.forward(&x, &Jet::constant(self.times(t)?), condition)?.value)
            }
            Self::Denoiser(model) => {
                Ok(model.jet(Quantity::Denoised, &x, t, None, condition)?.value)
            }
        }
    }

    /// The products of a cotangent with the derivatives.
    pub(super) fn vjp(
        &self,
        x: &Tensor,
        t: &[f64],
        condition: &Condition,
        v: &Tensor,
    ) -> Result<Vjp> {
        match self {
            Self::Bare { detached, .. } => Ok(vjp(&**detached, x, &self.times(t)?, condition, v)?),
            Self::Denoiser(model) => Ok(model.vjp(Quantity::Denoised, x, t, condition, v)?),
        }
    }

    fn times(&self, t: &[f64]) -> Result<Tensor> {
        Ok(self.parameters().backend().tensor(t.to_vec(), &[t.len()])?)
    }
}
