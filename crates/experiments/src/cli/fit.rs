//! `fit`: a model of a file or a folder, in one command.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use data::{Dataset, Kind, OpenOptions};

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
    /// The classes: a file of labels, or a column of a table
    #[arg(long, value_name = "FILE|COLUMN")]
    labels: Option<String>,
    /// Train a classifier of noised rows as well, in a quarter of the time of training: checkpoints/classifier.safetensors,
    /// which steers `sample --classifier` and makes features for `metric`. The data must have classes
    #[arg(long)]
    classifier: bool,
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
        let data = match self.preset == Preset::Smoke && !self.classifier {
            true => None,
            false => Some(opened(&path, labels)?),
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
                let sizes = [
                    format!("network.multipliers={multipliers}"),
                    format!("network.attention={attention}"),
                ];
                (preset, sizes.into())
            }
            _ => (if full { "full" } else { "quick" }, small_table(data.len())),
        }
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
        let steps = if self.preset == Preset::Smoke { "steps=10, " } else { "" };
        format!("classifier={{{steps}weights=[1.0, 3.0], network={{{network}, dropout=0.1}}}}")
    }
}

/// The data, with their classes.
fn opened(path: &str, labels: Option<String>) -> Result<Dataset> {
    let options = OpenOptions { labels, ..OpenOptions::default() };
    Ok(match path {
        DIGITS => data::digits(),
        path => data::open(Path::new(path), &options)?,
    })
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
