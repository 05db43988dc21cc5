//! `composite`: training steps made of tensor operations, here and in PyTorch.
//!
//! The fused kernels take one kind of network. Every other one, a user's own above all, is trained by
//! operations on tensors; the paper's network is, when it is told to.

mod own;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use score_nets::Kernels;
use serde_json::{Map, Value, json};

use crate::check::Step;
use crate::cli::Options;
use crate::exchange::{self, write_floats};
use crate::machine::Machine;
use crate::ours::{Ours as Paper, in_order};
use crate::peer::{Peer, Spec};
use crate::quiet::in_words;
use crate::side::{self, Measured, Named, Side, rounds};
use crate::table::markdown;
use crate::timing::{Spread, settled};
use crate::work::Work;

const SCRIPTS: [(&str, &str); 3] = [
    ("common.py", include_str!("../../../../peers/common.py")),
    ("torch_peer.py", include_str!("../../../../peers/torch_peer.py")),
    ("composite_peer.py", include_str!("../../../../peers/composite_peer.py")),
];

const TORCH: Spec =
    Spec { name: "PyTorch", script: "composite_peer.py", flags: &["--flush"], optional: false };

/// A training step: loss and gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// Of the paper's network, a potential, on the batch of `train-step`.
    Dsm,
    /// Of a vector network of a user's own.
    Own,
}

impl Item {
    const ALL: [Self; 2] = [Self::Dsm, Self::Own];

    /// Its name in the results, ours and PyTorch's.
    fn keys(self) -> [&'static str; 2] {
        match self {
            Self::Dsm => ["composite_dsm_ms", "torch_dsm_ms"],
            Self::Own => ["own_step_ms", "torch_own_step_ms"],
        }
    }
}

impl Named for Item {
    fn name(&self) -> &str {
        match self {
            Self::Dsm => "dsm",
            Self::Own => "own_step",
        }
    }
}

/// What is asked beside the usual.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Compare with PyTorch (eager, denormals flushed), which must first compute the same
    #[arg(long)]
    peers: bool,
    /// A Python with torch and numpy
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Write the result to a file as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// This workspace.
struct Ours<'a> {
    work: &'a Work,
    paper: Paper<'a>,
    own: own::Problem,
}

impl Ours<'_> {
    fn expected(&self, item: Item) -> Result<Step> {
        match item {
            Item::Dsm => {
                let found = self.paper.gradient(side::Item::Dsm)?;
                let names = self.work.parameters().into_iter().map(|(name, _)| name);
                let gradient = names.zip(in_order(self.work, &found)?).collect();
                Ok(Step { loss: found.loss, gradient })
            }
            Item::Own => self.own.expected(),
        }
    }

    /// What the peer reads: the work of `train-step`, and in a folder of its own that of [`Item::Own`].
    fn write(&self, folder: &Path) -> Result<()> {
        exchange::write(self.work, folder)?;
        for (name, text) in SCRIPTS {
            std::fs::write(folder.join(name), text)
                .with_context(|| format!("cannot write {name}"))?;
        }
        let folder = folder.join("own");
        std::fs::create_dir(&folder).context("cannot make a folder")?;
        let array = |(name, values, shape): (String, Vec<f32>, Vec<usize>)| -> Result<Value> {
            let file = format!("{name}.bin");
            write_floats(&folder.join(&file), &values)?;
            Ok(json!({ "file": file, "shape": shape }))
        };
        let (batch, parameters) = self.own.inputs()?;
        let mut manifest = Map::new();
        let parameters = parameters.into_iter().map(array).collect::<Result<Vec<_>>>()?;
        manifest.insert("parameters".into(), json!(parameters));
        manifest.insert("widths".into(), json!(own::WIDTHS));
        for (name, values, shape) in batch {
            manifest.insert(name.clone(), array((name, values, shape))?);
        }
        let path = folder.join("manifest.json");
        std::fs::write(&path, json!(manifest).to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Side<Item> for Ours<'_> {
    fn name(&self) -> &str {
        "ours"
    }

    fn time(&mut self, item: Item) -> Result<f64> {
        match item {
            Item::Dsm => self.paper.time(side::Item::Dsm),
            Item::Own => settled(|| self.own.step()),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let options = &args.options;
    options.start()?;
    let work = Work::new(options.model.as_deref())?;
    let net = work.net.duplicate()?.with_kernels(Kernels::Composite)?;
    let paper = Paper::new("ours", &work, &net)?;
    let mut ours = Ours { work: &work, paper, own: own::Problem::new()? };
    let mut torch = if args.peers { Some(torch(args, &ours)?) } else { None };
    let mut sides: Vec<(&mut dyn Side<Item>, &[Item])> = vec![(&mut ours, &Item::ALL)];
    sides.extend(torch.iter_mut().map(|peer| (peer as &mut dyn Side<Item>, &Item::ALL[..])));
    let Measured { times, quiet } =
        rounds(&Item::ALL, &mut sides, options.rounds, options.quiet()?)?;
    let json = json!({
        "machine": Machine::here(),
        "threads": options.threads,
        "rounds": options.rounds,
        "weights": options.weights(),
        "quiet": quiet,
    });
    let Value::Object(mut json) = json else { unreachable!("it is an object") };
    let heading = ["", "median", "quartiles", "of PyTorch's"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for item in Item::ALL {
        let spread = |side: usize| Spread::of(times[side][&item].iter().map(|s| 1e3 * s));
        for (side, key) in item.keys().into_iter().enumerate().take(times.len()) {
            let Spread { median, q1, q3 } = spread(side);
            json.insert(key.into(), json!(median));
            json.insert(format!("{key}_quartiles"), json!([q1, q3]));
            let ratio = (side == 0 && times.len() > 1).then(|| median / spread(1).median);
            if let Some(ratio) = ratio {
                json.insert(format!("{}_ratio", item.name()), json!(ratio));
            }
            let ratio = ratio.map_or_else(String::new, |r| format!("{r:.2}"));
            rows.push(vec![
                key.into(),
                format!("{median:.2}"),
                format!("{q1:.2} to {q3:.2}"),
                ratio,
            ]);
        }
    }
    if let Some(peer) = &torch {
        json.insert("torch_versions".into(), json!(peer.hello.versions));
    }
    let machine = Machine::here().in_words(options.threads);
    let text = format!(
        "{machine}; {} rounds{}; weights: {}\n\n{}",
        options.rounds,
        in_words(quiet.as_ref()),
        options.weights(),
        markdown(&rows)
    );
    if let Some(path) = &args.out {
        let whole = if options.json { json!(json).to_string() + "\n" } else { text.clone() };
        crate::peers::write_whole(path, &whole)?;
    }
    options.print(&json, &text)
}

/// PyTorch, which has computed the same as we.
fn torch(args: &Args, ours: &Ours<'_>) -> Result<Peer<Item>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    ours.write(folder.path())?;
    let python = args.python.as_os_str();
    let mut peer = Peer::<Item>::start(python, &TORCH, folder.path(), args.options.threads)?;
    for item in Item::ALL {
        let found = peer.check(item)?;
        let (loss, gradient) = ours.expected(item)?.compare(TORCH.name, item.name(), &found)?;
        let (name, item) = (TORCH.name, item.name());
        eprintln!("{name}: {item} is the same; apart by {loss:.1e} and {gradient:.1e}");
    }
    Ok(peer)
}
