//! Networks by name and arguments.

use candle_nn::VarBuilder;
use sde_core::Key;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Backend, Error, Network, Parameters, ResidualMlpConfig, Result,
    unet::{
        Constant, DiffusersConfig, EdmConfig, GuidedConfig, GuidedEncoderConfig, ScoreSdeConfig,
        UNet,
    },
};

macro_rules! architectures {
    ($($(#[$doc:meta])* $variant:ident($config:ty) $name:literal, $kind:ident, $example:literal: $read:expr;)*) => {
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
            $($(#[$doc])* $variant($config),)*
        }

        impl Architecture {
            /// The names of the architectures.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// A small network of a name: arguments to begin from.
            ///
            /// # Errors
            /// [`Error::Setting`] for a name that does not exist.
            ///
            /// ```
            /// use score_nets::Architecture;
            /// for name in Architecture::NAMES {
            ///     let architecture = Architecture::example(name)?;
            ///     assert_eq!(architecture.name(), *name);
            ///     assert!(!architecture.tensors()?.is_empty());
            /// }
            /// # Ok::<(), score_nets::Error>(())
            /// ```
            pub fn example(name: &str) -> Result<Self> {
                let args = match name {
                    $($name => $example,)*
                    _ => return Err(unknown(name)),
                };
                Self::parse(&format!(r#"{{"architecture": "{name}", "args": {args}}}"#))
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Of a name, from its arguments and the whole of what they are in.
            fn read(name: &str, args: &Value, json: &Value) -> Result<Self> {
                match name {
                    $($name => {
                        let read: fn(&str, &Value, &Value) -> Result<$config> = $read;
                        read(name, args, json).map(Self::$variant)
                    })*
                    _ => Err(unknown(name)),
                }
            }

            /// As JSON.
            pub fn to_json(&self) -> Value {
                let args = match self {
                    $(Self::$variant(config) => serde_json::to_value(config),)*
                };
                json!({ "architecture": self.name(), "args": args.unwrap_or(Value::Null) })
            }

            fn make(&self, vb: VarBuilder<'static>) -> Result<Built> {
                Ok(match self {
                    $(Self::$variant(config) => Built::$kind(Box::new(config.build(vb)?)),)*
                })
            }
        }
    };
}

architectures! {
    /// `UNet2DModel` of diffusers.
    Diffusers(DiffusersConfig) "diffusers", Image,
        r#"{"sample_size": 4, "in_channels": 1, "out_channels": 1, "block_out_channels": [4, 4], "layers_per_block": 1,
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "norm_num_groups": 2, "attention_head_dim": 4}"#:
        |_, args, _| DiffusersConfig::from_json(args);
    /// NCSN++ and DDPM++ of score_sde_pytorch.
    ScoreSde(ScoreSdeConfig) "score-sde", Image,
        r#"{"image_size": 4, "num_channels": 1, "nf": 4, "ch_mult": [1, 2], "num_res_blocks": 1,
            "attn_resolutions": [2], "num_scales": 10}"#:
        |_, args, json| {
            let mut config = ScoreSdeConfig::from_json(args)?;
            // The process is no argument of the network, and may stand beside them.
            let sde = json.get("sde").and_then(Value::as_str).map(String::from);
            config.sde = config.sde.or(sde);
            Ok(config)
        };
    /// `SongUNet` and `DhariwalUNet` of EDM.
    Edm(EdmConfig) "edm", Image,
        r#"{"img_resolution": 4, "img_channels": 1, "model_channels": 4, "channel_mult": [1, 2], "num_blocks": 1,
            "attn_resolutions": [2]}"#:
        |_, args, _| EdmConfig::from_json(args);
    /// `UNetModel` of guided-diffusion.
    Guided(GuidedConfig) "guided-diffusion", Image,
        r#"{"image_size": 4, "in_channels": 1, "model_channels": 32, "out_channels": 1, "num_res_blocks": 1,
            "attention_resolutions": [2], "channel_mult": [1, 2]}"#:
        arguments;
    /// `EncoderUNetModel` of guided-diffusion, a classifier.
    GuidedEncoder(GuidedEncoderConfig) "guided-diffusion-encoder", Image,
        r#"{"image_size": 4, "in_channels": 1, "model_channels": 32, "out_channels": 3, "num_res_blocks": 1,
            "attention_resolutions": [2], "channel_mult": [1, 2], "pool": "adaptive"}"#:
        arguments;
    /// A residual network of tables.
    ResidualMlp(ResidualMlpConfig) "residual-mlp", Table, r#"{"dim": 2, "width": 8, "blocks": 1}"#: arguments;
}

/// Arguments that are the fields of a configuration.
fn arguments<T: DeserializeOwned>(name: &str, args: &Value, _: &Value) -> Result<T> {
    serde_json::from_value(args.clone()).map_err(|e| Error::setting("arguments", name, e))
}

fn unknown(name: &str) -> Error {
    let reason = format!("must be one of {}", Architecture::NAMES.join(", "));
    Error::setting("architecture", name, reason)
}

/// A built network: an image network with its constants, or another.
enum Built {
    Image(Box<UNet>),
    Table(Box<dyn Network>),
}

impl Architecture {
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
        let Some(name) = name else {
            let known = Self::NAMES.join(", ");
            let reason = format!("must be said in the key `architecture`, as one of {known}");
            return Err(Error::setting("architecture", "nothing", reason));
        };
        let Some(args) = json.get("args") else {
            return Err(Error::setting("args", "nothing", "must be the constructor's arguments"));
        };
        Self::read(name, args, json)
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
