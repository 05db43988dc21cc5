//! `show`: what a network is.

use std::path::PathBuf;

use anyhow::Result;
use score_nets::checkpoint::{LoadedCheckpoint, Prediction};
use score_nets::{Architecture, Backend, Network, Parameters, ScoreModel, ScoreNet};
use sde_core::sde::brief;
use serde::Serialize;
use serde_json::Value;

use super::layers::{self, Part};
use super::{Model, Named};
use crate::cli::Output;
use crate::cli::output::table;

/// Show what a network is: layers, shapes, arguments, SDE, parametrisation
///
/// MODEL is a checkpoint of ours, a folder of diffusers, or a state dict of score_sde, EDM or guided-diffusion
/// with a JSON of the same name beside it: {"architecture": NAME, "args": {the constructor's arguments}}.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  experiment show ddpm-mnist\n  \
    experiment show blob_w1.0.pt --architecture ode-sde-gap")]
pub(in crate::cli) struct ShowCommand {
    /// The network: a file, or a folder of diffusers
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    named: Named,
}

/// Everything that is shown.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown {
    model: PathBuf,
    architecture: String,
    arguments: Value,
    input: Vec<usize>,
    output: Vec<usize>,
    classes: usize,
    /// The forward SDE, what the network gives and what it is given, each by name; `null` where no file says so.
    sde: Option<String>,
    parametrisation: Option<String>,
    preconditioning: Option<String>,
    /// Standard deviation of the data, as it was said or measured.
    sigma_data: Option<f64>,
    /// What the files of a published network say in words.
    conventions: Option<String>,
    /// Trained scalars, and those of buffers.
    parameters: usize,
    buffers: usize,
    tensors: Vec<Part>,
    /// Parameters whose gradient vanishes identically, each with the reason.
    without_gradient: Vec<(String, String)>,
}

impl ShowCommand {
    pub(in crate::cli) fn run(&self, output: &Output) -> Result<()> {
        let backend = Backend::cpu();
        let shown = match Model::open(&self.model, self.named, &backend)? {
            Model::Own(net) => own(&net)?,
            Model::Any(model) => any(&model),
            Model::Published(opened) => published(&opened, &backend)?,
        };
        let shown = Shown { model: self.model.clone(), ..shown };
        output.emit(&shown, &shown.text())
    }
}

fn own(net: &ScoreNet) -> Result<Shown> {
    let config = net.config();
    let part = |name: String, shape: Vec<usize>| Part { name, shape, trained: true };
    let tensors = config.layers().into_iter().flat_map(|(layer, n_out, n_in)| {
        let [weight, bias] = ["weight", "bias"].map(|own| format!("{layer}.{own}"));
        [part(weight, vec![n_out, n_in]), part(bias, vec![n_out])]
    });
    let gauge = net
        .gauge_parameter()
        .map(|name| (name.to_owned(), "shifts the potential by a constant".to_owned()));
    Ok(Shown {
        architecture: "mlp".into(),
        arguments: serde_json::to_value(config)?,
        input: vec![net.dim()],
        output: vec![config.n_outputs()],
        sde: Some(net.sde().name()),
        parametrisation: Some(serde_json::to_value(config.output)?.as_str().unwrap_or("").into()),
        parameters: net.n_parameters(),
        tensors: tensors.collect(),
        without_gradient: gauge.into_iter().collect(),
        ..Shown::default()
    })
}

fn published(opened: &LoadedCheckpoint, backend: &Backend) -> Result<Shown> {
    let parameters = opened.parameters(backend)?;
    let net = opened.architecture.build(parameters.detached())?;
    let setup = opened.conventions.setup()?;
    let told = !matches!(opened.conventions.prediction, Prediction::Logits | Prediction::Free);
    let predicts = told.then(|| opened.conventions.output().to_string());
    Ok(Shown {
        sde: setup.as_ref().map(|a| a.sde.name()),
        parametrisation: setup.as_ref().map(|a| a.output.to_string()).or(predicts),
        preconditioning: setup.as_ref().map(|a| a.preconditioning.to_string()),
        sigma_data: setup.as_ref().and_then(|a| a.output.sigma_data()),
        conventions: Some(opened.conventions.to_string()),
        ..built(&*net, &parameters, Some(&opened.architecture))
    })
}

/// A model of any network that was saved or trained here.
fn any(model: &ScoreModel) -> Shown {
    let config = model.config();
    Shown {
        sde: Some(model.sde().name()),
        parametrisation: Some(config.output.to_string()),
        preconditioning: Some(config.preconditioning.to_string()),
        sigma_data: config.sigma_data,
        ..built(model.detached(), model.parameters(), config.network.as_ref())
    }
}

/// A network and its tensors, whatever it stands for.
fn built(net: &dyn Network, parameters: &Parameters, architecture: Option<&Architecture>) -> Shown {
    let described = architecture.map(Architecture::to_json).unwrap_or_default();
    let silent = net.without_gradient().into_iter().map(|(name, why)| (name, why.to_owned()));
    let buffers = parameters.buffers().values().map(candle_core::Tensor::elem_count);
    Shown {
        architecture: described["architecture"].as_str().unwrap_or_default().into(),
        arguments: described["args"].clone(),
        input: net.row_shape(),
        output: net.out_shape(),
        classes: net.n_classes(),
        parameters: parameters.n_scalars(),
        buffers: buffers.sum(),
        tensors: parts(parameters),
        without_gradient: silent.collect(),
        ..Shown::default()
    }
}

/// The tensors of a network, by name.
fn parts(parameters: &Parameters) -> Vec<Part> {
    let part = |name: &str, shape: &[usize], trained| Part {
        name: name.into(),
        shape: shape.into(),
        trained,
    };
    let trained = parameters.iter().map(|(name, t)| part(name, t.dims(), true));
    let buffers = parameters.buffers().iter().map(|(name, t)| part(name, t.dims(), false));
    let mut tensors: Vec<Part> = trained.chain(buffers).collect();
    layers::sort(&mut tensors);
    tensors
}

impl Shown {
    /// A head of facts, the arguments, and a line a layer.
    fn text(&self) -> String {
        let unsaid = || "not said".to_owned();
        let mut facts = vec![
            ("architecture", self.architecture.clone()),
            ("input, output", format!("{:?}, {:?}", self.input, self.output)),
            ("classes", self.classes.to_string()),
            ("sde", self.sde.as_deref().map(brief).unwrap_or_else(unsaid)),
            ("parametrisation", self.parametrisation.clone().unwrap_or_else(unsaid)),
            ("preconditioning", self.preconditioning.as_deref().map(brief).unwrap_or_else(unsaid)),
            ("sigma_data", self.sigma_data.map(|s| s.to_string()).unwrap_or_else(unsaid)),
            ("conventions", self.conventions.clone().unwrap_or_else(unsaid)),
            ("parameters", format!("{} in {} tensors", self.parameters, self.trained())),
            (
                "buffers",
                format!("{} in {} tensors", self.buffers, self.tensors.len() - self.trained()),
            ),
            ("without gradient", self.without_gradient.len().to_string()),
        ];
        let arguments = self.arguments.as_object().into_iter().flatten();
        facts.extend(arguments.map(|(name, value)| (name.as_str(), value.to_string())));
        let facts: Vec<Vec<String>> =
            facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        format!("{}\n{}", table(&facts), table(&layers::rows(&self.tensors)))
    }

    fn trained(&self) -> usize {
        self.tensors.iter().filter(|t| t.trained).count()
    }
}
