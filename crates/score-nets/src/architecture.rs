//! Networks by name and arguments.

use candle_nn::VarBuilder;
use sde_core::Key;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Backend, Error, Network, Parameters, ResidualMlp, ResidualMlpConfig, Result,
    unet::{
        Constant, DiffusersConfig, EdmConfig, GuidedConfig, GuidedEncoderConfig, ScoreSdeConfig,
        UNet,
    },
};

/// What network a file holds: an architecture and the arguments of its constructor, by their own names.
///
/// In JSON `{"architecture": NAME, "args": {...}}`, with a name of [`Architecture::NAMES`]. An argument
/// that is unknown, missing or of another kind is one error.
///
/// ```
/// use score_nets::{Architecture, Network};
/// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 3, "width": 16, "blocks": 2}}"#;
/// let architecture = Architecture::parse(json)?;
/// let (key, backend) = (sde_core::Key::root(1), score_nets::Backend::cpu());
/// let parameters = architecture.initial(key, &backend)?;
/// assert_eq!(architecture.build(parameters.detached())?.row_shape(), [3]);
/// let error = Architecture::parse(&json.replace("width", "girth")).unwrap_err();
/// assert!(error.to_string().contains("girth"));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Architecture {
    /// `UNet2DModel` of diffusers.
    Diffusers(DiffusersConfig),
    /// NCSN++ and DDPM++ of score_sde_pytorch.
    ScoreSde(ScoreSdeConfig),
    /// `SongUNet` and `DhariwalUNet` of EDM.
    Edm(EdmConfig),
    /// `UNetModel` of guided-diffusion.
    Guided(GuidedConfig),
    /// `EncoderUNetModel` of guided-diffusion, a classifier.
    GuidedEncoder(GuidedEncoderConfig),
    /// A residual network of tables.
    ResidualMlp(ResidualMlpConfig),
}

/// A built network: an image network with its constants, or another.
enum Built {
    Image(Box<UNet>),
    Table(Box<ResidualMlp>),
}

impl Architecture {
    /// The names of the architectures.
    pub const NAMES: [&'static str; 6] = [
        "diffusers",
        "score-sde",
        "edm",
        "guided-diffusion",
        "guided-diffusion-encoder",
        "residual-mlp",
    ];

    /// From JSON text.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is no architecture.
    pub fn parse(json: &str) -> Result<Self> {
        let json =
            serde_json::from_str(json).map_err(|e| Error::setting("architecture", "JSON", e))?;
        Self::from_json(&json)
    }

    /// From JSON; keys beside `architecture` and `args` are notes.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is no architecture.
    pub fn from_json(json: &Value) -> Result<Self> {
        let name = json.get("architecture").and_then(Value::as_str);
        let known = Self::NAMES.join(", ");
        let Some(name) = name else {
            let reason = format!("must be said in the key `architecture`, as one of {known}");
            return Err(Error::setting("architecture", "nothing", reason));
        };
        let Some(args) = json.get("args") else {
            return Err(Error::setting("args", "nothing", "must be the constructor's arguments"));
        };
        let wrong = |e: serde_json::Error| Error::setting("arguments", name, e);
        Ok(match name {
            "diffusers" => Self::Diffusers(DiffusersConfig::from_json(args)?),
            "score-sde" => {
                let mut config = ScoreSdeConfig::from_json(args)?;
                // The process is no argument of the network, and may stand beside them.
                let sde = json.get("sde").and_then(Value::as_str).map(String::from);
                config.sde = config.sde.or(sde);
                Self::ScoreSde(config)
            }
            "edm" => Self::Edm(EdmConfig::from_json(args)?),
            "guided-diffusion" => {
                Self::Guided(serde_json::from_value(args.clone()).map_err(wrong)?)
            }
            "guided-diffusion-encoder" => {
                Self::GuidedEncoder(serde_json::from_value(args.clone()).map_err(wrong)?)
            }
            "residual-mlp" => {
                Self::ResidualMlp(serde_json::from_value(args.clone()).map_err(wrong)?)
            }
            _ => {
                return Err(Error::setting(
                    "architecture",
                    name,
                    format!("must be one of {known}"),
                ));
            }
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        let place = match self {
            Self::Diffusers(_) => 0,
            Self::ScoreSde(_) => 1,
            Self::Edm(_) => 2,
            Self::Guided(_) => 3,
            Self::GuidedEncoder(_) => 4,
            Self::ResidualMlp(_) => 5,
        };
        Self::NAMES[place]
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let args = match self {
            Self::Diffusers(c) => serde_json::to_value(c),
            Self::ScoreSde(c) => serde_json::to_value(c),
            Self::Edm(c) => serde_json::to_value(c),
            Self::Guided(c) => serde_json::to_value(c),
            Self::GuidedEncoder(c) => serde_json::to_value(c),
            Self::ResidualMlp(c) => serde_json::to_value(c),
        };
        json!({ "architecture": self.name(), "args": args.unwrap_or(Value::Null) })
    }

    fn make(&self, vb: VarBuilder<'static>) -> Result<Built> {
        Ok(Built::Image(Box::new(match self {
            Self::Diffusers(c) => c.build(vb)?,
            Self::ScoreSde(c) => c.build(vb)?,
            Self::Edm(c) => c.build(vb)?,
            Self::Guided(c) => c.build(vb)?,
            Self::GuidedEncoder(c) => c.build(vb)?,
            Self::ResidualMlp(c) => return Ok(Built::Table(Box::new(c.build(vb)?))),
        })))
    }

    /// The network around the tensors of `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make no network; whatever the source of the tensors fails with.
    pub fn build(&self, vb: VarBuilder<'static>) -> Result<Box<dyn Network>> {
        Ok(match self.make(vb)? {
            Built::Image(net) => net,
            Built::Table(net) => net,
        })
    }

    /// Initial parameters under a key, with the buffers that follow from the arguments.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn initial(&self, key: Key, backend: &Backend) -> Result<Parameters> {
        let mut constants = Vec::new();
        let mut parameters = Parameters::initial(key, backend, |vb| {
            let built = self.make(vb)?;
            constants = built.constants();
            Ok(built.network().buffers())
        })?;
        for c in constants {
            parameters.set_buffer(&c.name, &backend.tensor(c.values, &c.shape)?)?;
        }
        Ok(parameters)
    }

    /// The buffers whose values follow from the arguments.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make no network.
    pub fn constants(&self) -> Result<Vec<Constant>> {
        let mut constants = Vec::new();
        self.describe(|built| constants = built.constants())?;
        Ok(constants)
    }

    /// The names and shapes of all tensors, buffers too, in order of name.
    ///
    /// # Errors
    /// [`Error::Setting`] for arguments that make no network.
    pub fn tensors(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let shapes = Shapes::default();
        let vb =
            VarBuilder::from_backend(Box::new(shapes.clone()), DTYPE, candle_core::Device::Cpu);
        self.make(vb)?;
        let shapes = shapes.0.lock().unwrap_or_else(|e| e.into_inner());
        Ok(shapes.iter().map(|(n, s)| (n.clone(), s.clone())).collect())
    }

    fn describe(&self, look: impl FnOnce(&Built)) -> Result<()> {
        let shapes = Shapes::default();
        let vb = VarBuilder::from_backend(Box::new(shapes), DTYPE, candle_core::Device::Cpu);
        look(&self.make(vb)?);
        Ok(())
    }
}

impl Built {
    fn network(&self) -> &dyn Network {
        match self {
            Self::Image(net) => net.as_ref(),
            Self::Table(net) => net.as_ref(),
        }
    }

    fn constants(&self) -> Vec<Constant> {
        match self {
            Self::Image(net) => net.constants().to_vec(),
            Self::Table(_) => Vec::new(),
        }
    }
}

const DTYPE: candle_core::DType = candle_core::DType::F32;

/// A source that notes shapes and gives one number for every tensor.
#[derive(Clone, Default)]
struct Shapes(std::sync::Arc<std::sync::Mutex<std::collections::BTreeMap<String, Vec<usize>>>>);

impl candle_nn::var_builder::SimpleBackend for Shapes {
    fn get(
        &self,
        shape: candle_core::Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: candle_core::DType,
        device: &candle_core::Device,
    ) -> candle_core::Result<candle_core::Tensor> {
        let mut seen = self.0.lock().unwrap_or_else(|e| e.into_inner());
        seen.insert(name.into(), shape.dims().to_vec());
        candle_core::Tensor::zeros(1, dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(
        &self,
        name: &str,
        _: candle_core::DType,
        _: &candle_core::Device,
    ) -> candle_core::Result<candle_core::Tensor> {
        candle_core::bail!("parameter `{name}` was asked for without its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        false
    }
}

impl TryFrom<Value> for Architecture {
    type Error = Error;

    fn try_from(json: Value) -> Result<Self> {
        Self::from_json(&json)
    }
}

impl From<Architecture> for Value {
    fn from(architecture: Architecture) -> Self {
        architecture.to_json()
    }
}
