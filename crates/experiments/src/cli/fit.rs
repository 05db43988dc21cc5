//! `fit`: a model of a file or a folder, in one command.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use data::{Colour, Dataset, Kind, Layout, OpenOptions};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Output;
use super::runs::finish;
use crate::checks::{DIGITS, data_path};
use crate::run::{Registry, RunArgs};

/// Fit a model to your own data: a table or images
///
/// DATA is a .csv or .tsv file (also .gz), a NumPy file (.npy, .npz), an IDX file (MNIST, also .gz), CIFAR-10's .bin records
/// or their folder, a folder of PNG or JPEG files (subfolders are classes), or the word `digits`. A part of the rows is
/// withheld; the report says how samples compare with them. The run's folder has the model, checkpoints/model.safetensors,
/// which `sample`, `logp`, `encode` and `decode` take by itself; `metric` compares what they write with other data. The same
/// command continues what was interrupted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  experiment fit wine.csv --minutes 5\n  experiment fit photos/ --preset full\n  experiment fit digits --classifier"
)]
pub(super) struct Args {
    /// The file or folder
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// How long it may take
    #[arg(long, value_enum, default_value_t = Preset::Quick)]
    preset: Preset,
    /// Minutes for training, sampling and measuring (default: 5 for quick, 60 for full)
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// The classes: a file of labels, or a column of a table; the model is told them
    #[arg(long, value_name = "FILE|COLUMN")]
    labels: Option<String>,
    /// Train a classifier of noised rows as well, in a quarter of the time of training: checkpoints/classifier.safetensors,
    /// which steers `sample --classifier` and makes features for `metric`. The data must have classes
    #[arg(long)]
    classifier: bool,
    #[command(flatten)]
    told: Told,
    /// Change one value of the configuration; may be repeated
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The run's folder (default: runs/fit/<hash of configuration and data>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What the files do not say about themselves.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What the files do not say")]
struct Told {
    /// The array of an .npz archive (default: the only one, or all that fit together, each a class)
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// A column whose numbers are codes of categories; may be repeated
    #[arg(long, value_name = "COLUMN")]
    categorical: Vec<String>,
    /// A column of real numbers that take few values, of which the model shall draw others between them; may be repeated
    #[arg(long, value_name = "COLUMN")]
    real: Vec<String>,
    /// Cut pictures about their middle to this shape, and resize them
    #[arg(long, value_name = "HEIGHTxWIDTH", value_parser = sides)]
    size: Option<[usize; 2]>,
    /// Turn pictures into these colours
    #[arg(long, value_parser = named::<Colour>(["grey", "rgb"]))]
    colour: Option<Colour>,
    /// Where the channels of an array of images are
    #[arg(long, value_parser = named::<Layout>(["channels-first", "channels-last"]))]
    layout: Option<Layout>,
    /// Levels of the pixels of an array of whole numbers (default: 256 of bytes, one more than the largest of others)
    #[arg(long, value_name = "N")]
    levels: Option<u32>,
}

/// Words that are read as serde reads them.
fn named<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: [&'static str; 2],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}

/// `28x28`.
fn sides(text: &str) -> Result<[usize; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| *side > 0);
    let read = text.split_once('x').and_then(|(h, w)| Some([side(h)?, side(w)?]));
    read.ok_or_else(|| "expected HEIGHTxWIDTH, such as 32x32".into())
}

impl Told {
    /// As keys of a configuration.
    fn settings(&self) -> Result<Vec<String>> {
        let mut set = Vec::new();
        let mut put = |key: &str, value: Option<serde_json::Value>| -> Result<()> {
            let value = value.map(toml::Value::try_from).transpose()?;
            set.extend(value.map(|value| format!("data.{key}={value}")));
            Ok(())
        };
        put("array", self.array.as_ref().map(|v| json!(v)))?;
        let categorical = (!self.categorical.is_empty()).then(|| json!(self.categorical));
        put("categorical", categorical)?;
        let real = (!self.real.is_empty()).then(|| json!(self.real));
        put("real", real)?;
        put("size", self.size.map(|v| json!(v)))?;
        put("colour", self.colour.map(|v| json!(v)))?;
        put("layout", self.layout.map(|v| json!(v)))?;
        put("levels", self.levels.map(|v| json!(v)))?;
        Ok(set)
    }

    /// The data, with their classes.
    fn opened(&self, path: &str, labels: Option<String>) -> Result<Dataset> {
        let options = OpenOptions {
            labels,
            array: self.array.clone(),
            categorical: self.categorical.clone(),
            size: self.size.map(|[height, width]| (height, width)),
            colour: self.colour,
            layout: self.layout,
            levels: self.levels,
            ..OpenOptions::default()
        };
        Ok(match path {
            DIGITS => data::digits(),
            path => data::open(Path::new(path), &options)?,
        })
    }
}

/// Sizes of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Seconds: whether it works at all
    Smoke,
    /// Five minutes
    Quick,
    /// An hour
    Full,
}

impl Args {
    pub(super) fn run(self, registry: &Registry, output: &Output) -> Result<u8> {
        let path = data_path(&self.data)?;
        let mut set = Vec::new();
        let labels = self.labels.as_deref().map(|labels| match Path::new(labels).is_file() {
            true => data_path(Path::new(labels)),
            false => Ok(labels.to_owned()),
        });
        let labels = labels.transpose()?;
        set.extend(labels.iter().map(|labels| format!("data.labels={}", quoted(labels))));
        set.extend(self.told.settings()?);
        let data = match self.preset == Preset::Smoke && !self.classifier {
            true => None,
            false => Some(self.told.opened(&path, labels)?),
        };
        let (preset, size) = self.preset(data.as_ref());
        set.extend(size);
        set.extend(data.filter(|_| self.classifier).map(|data| self.beside(&data)));
        set.extend(self.minutes.map(|m| format!("training.minutes={m:?}")));
        set.extend(self.set);
        let args = RunArgs {
            experiment: "fit".into(),
            preset: Some(preset.into()),
            data: Some(self.data),
            set,
            seed: self.seed,
            out: self.out,
            ..RunArgs::default()
        };
        finish(&registry.run(&args)?, output)
    }

    /// The preset of the kind of data, and what depends on their size.
    fn preset(&self, data: Option<&Dataset>) -> (&'static str, Vec<String>) {
        let Some(data) = data.filter(|_| self.preset != Preset::Smoke) else {
            return ("smoke", Vec::new());
        };
        let full = self.preset == Preset::Full;
        match *data.kind() {
            Kind::Images { height, width, .. } => {
                let preset = if full { "images-full" } else { "images-quick" };
                let [multipliers, attention] = levels(height, width);
                let mut sizes = vec![
                    format!("network.multipliers={multipliers}"),
                    format!("network.attention={attention}"),
                ];
                sizes.extend(self.small_network(height, width));
                (preset, sizes)
            }
            _ => {
                // Who names the classes wants to draw them one by one.
                let classes = self.labels.is_some().then(|| "data.conditional=true".to_owned());
                let size = small_table(data.len()).into_iter().chain(classes).collect();
                (if full { "full" } else { "quick" }, size)
            }
        }
    }

    /// Minutes are too short for many steps of a wide network on large images.
    fn small_network(&self, height: usize, width: usize) -> Vec<String> {
        if self.preset == Preset::Full || height * width <= 256 {
            return Vec::new();
        }
        ["network.channels=16", "network.blocks=1", "training.batch=64"].map(Into::into).into()
    }

    /// The configuration of a classifier beside the model.
    fn beside(&self, data: &Dataset) -> String {
        let network = match *data.kind() {
            Kind::Images { height, width, .. } => {
                let [multipliers, attention] = levels(height, width);
                let (channels, blocks) =
                    if self.preset == Preset::Full { (64, 2) } else { (32, 1) };
                format!(
                    "kind=\"unet\", channels={channels}, multipliers={multipliers}, blocks={blocks}, attention={attention}"
                )
            }
            _ => {
                let width = if self.preset == Preset::Smoke { 32 } else { 128 };
                format!("kind=\"residual-mlp\", width={width}, blocks=2")
            }
        };
        let steps = if self.preset == Preset::Smoke { "steps=6, " } else { "" };
        format!("classifier={{{steps}weights=[1.0, 3.0], network={{{network}, dropout=0.1}}}}")
    }
}

/// As many levels as the sides can be halved, three at most, with attention on the smallest images: multipliers of the
/// channels, and heights with attention.
fn levels(height: usize, width: usize) -> [String; 2] {
    let halvings = (height | width).trailing_zeros().min(2);
    // Not below four pixels.
    let fits = |h: &u32| (height.min(width) >> h) >= 4;
    let halvings = (0..=halvings).rev().find(fits).unwrap_or(0);
    let multipliers = ["[1]", "[1, 2]", "[1, 2, 2]"][halvings as usize];
    let smallest = height >> halvings;
    let attention =
        if smallest * (width >> halvings) <= 256 { format!("[{smallest}]") } else { "[]".into() };
    [multipliers.into(), attention]
}

/// Few rows are learned by heart by a wide network.
fn small_table(rows: usize) -> Vec<String> {
    match rows {
        ..1000 => vec!["network.width=64".into(), "network.dropout=0.2".into()],
        1000..10_000 => Vec::new(),
        _ => vec![
            "network.width=256".into(),
            "network.dropout=0.0".into(),
            "training.batch=512".into(),
        ],
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
