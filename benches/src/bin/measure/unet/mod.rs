//! `unet`: image networks and the convolutions they are made of, here and in PyTorch.

mod convs;
mod memory;
mod nets;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::cli::Common;
use crate::exchange::write_floats;
use crate::peer::{Peer, Spec};
use crate::side::{Measured, Named, Side, rounds};
use convs::Array;
use report::Report;

/// Largest difference of a result from ours, relative to its largest number: of one convolution, of a network.
const APART: [f64; 2] = [1e-5, 1e-3];

const SCRIPTS: [(&str, &str); 2] = [
    ("common.py", include_str!("../../../../peers/common.py")),
    ("unet_peer.py", include_str!("../../../../peers/unet_peer.py")),
];

const TORCH: Spec = Spec { name: "PyTorch", script: "unet_peer.py", flags: &[], optional: false };

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Conv(convs::Item),
    Net(nets::Item),
}

impl Item {
    fn all() -> Vec<Self> {
        let convs = convs::Item::ALL.into_iter().map(Self::Conv);
        convs.chain(nets::Item::ALL.into_iter().map(Self::Net)).collect()
    }

    fn key(self) -> &'static str {
        match self {
            Self::Conv(item) => item.key(),
            Self::Net(item) => item.key(),
        }
    }

    fn apart(self) -> f64 {
        APART[usize::from(matches!(self, Self::Net(_)))]
    }
}

impl FromStr for Item {
    type Err = anyhow::Error;

    fn from_str(key: &str) -> Result<Self> {
        let keys = || Self::all().into_iter().map(Self::key).collect::<Vec<_>>().join(", ");
        Self::all()
            .into_iter()
            .find(|item| item.key() == key)
            .with_context(|| format!("`{key}` is none of {}", keys()))
    }
}

impl Named for Item {
    fn name(&self) -> &str {
        self.key()
    }
}

/// This workspace.
struct Ours {
    convs: convs::Ours,
    nets: nets::Ours,
}

impl Ours {
    fn new(items: &[Item]) -> Result<Self> {
        let nets = items.iter().filter_map(|item| match item {
            Item::Net(net) => Some(*net),
            Item::Conv(_) => None,
        });
        Ok(Self { convs: convs::Ours::new()?, nets: nets::Ours::new(nets)? })
    }

    /// What an item comes to, by name.
    fn result(&self, item: Item) -> Result<Vec<(&'static str, Vec<f32>)>> {
        match item {
            Item::Conv(item) => self.convs.result(item),
            Item::Net(item) => self.nets.result(item),
        }
    }

    /// Names, numbers and shapes of what it is computed from.
    fn inputs(&self, item: Item) -> Result<Vec<(String, Array)>> {
        match item {
            Item::Conv(item) => self.convs.inputs(item),
            Item::Net(item) => self.nets.inputs(item),
        }
    }
}

impl Ours {
    fn run(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Conv(item) => self.convs.run(item),
            Item::Net(item) => self.nets.run(item),
        }
    }
}

impl Side<Item> for Ours {
    fn name(&self) -> &str {
        "ours"
    }

    fn time(&mut self, item: Item) -> Result<f64> {
        match item {
            Item::Conv(item) => self.convs.time(item),
            Item::Net(item) => self.nets.time(item),
        }
    }
}

/// What is asked beside the usual.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// What to measure: conv28, conv16, conv8, unet28_step, unet28_eval, unet8_step, cifar_eval
    /// (default: all of them)
    #[arg(value_name = "ITEM")]
    items: Vec<Item>,
    /// Compare with PyTorch (eager, channels last), which must first compute the same
    #[arg(long)]
    peers: bool,
    /// A Python with torch, diffusers and numpy
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Write the result to a file as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Say how much memory the items take in this process (as JSON)
    #[arg(long, hide = true)]
    memory: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let common = &args.common;
    common.start()?;
    let all = if args.items.is_empty() { Item::all() } else { args.items.clone() };
    let mut ours = Ours::new(&all)?;
    if args.memory {
        let kib = memory::of(|| all.iter().try_for_each(|&item| ours.run(item)))?;
        return common.print(&json!({ "memory_kib": kib }), &format!("{kib:?} KiB"));
    }
    let mut torch = if args.peers { Some(torch(args, &all, &ours)?) } else { None };
    let mut sides: Vec<(&mut dyn Side<Item>, &[Item])> = vec![(&mut ours, &all)];
    sides.extend(torch.iter_mut().map(|found| (&mut found.peer as &mut dyn Side<Item>, &all[..])));
    let Measured { times, quiet } = rounds(&all, &mut sides, common.rounds, common.quiet()?)?;
    let mut report = Report::new(common, quiet);
    for (times, prefix) in times.iter().zip(["", "torch_"]) {
        for item in &all {
            let (name, times) = (format!("{prefix}{}", item.key()), &times[item]);
            match item {
                Item::Conv(conv) => report.push_rate(&name, conv.flops(), times),
                Item::Net(_) => report.push_time(&name, times),
            }
        }
    }
    for &item in all.iter().filter(|item| matches!(item, Item::Net(_))) {
        report.push_memory(item.key(), memory::spawn(item.key(), common.threads)?);
        if let Some(torch) = &torch {
            report.push_memory(&format!("torch_{}", item.key()), torch.memory[&item]);
        }
    }
    if let Some(torch) = &torch {
        report.insert("torch_versions", json!(torch.peer.hello.versions));
        report.insert("torch_apart", json!(torch.apart));
    }
    if let Some(path) = &args.out {
        let json = report.json.clone();
        let text = if common.json { json!(json).to_string() + "\n" } else { report.text(common) };
        crate::peers::write_whole(path, &text)?;
    }
    common.print(&report.json, &report.text(common))
}

/// PyTorch, once it has computed the same as we.
struct Torch {
    peer: Peer<Item>,
    /// How far its results are from ours.
    apart: f64,
    /// Peak of the memory that an item takes in a process of its own, in KiB.
    memory: BTreeMap<Item, Option<u64>>,
}

fn torch(args: &Args, all: &[Item], ours: &Ours) -> Result<Torch> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    write(ours, all, folder.path())?;
    let (python, threads) = (args.python.as_os_str(), args.common.threads);
    let mut peer = Peer::<Item>::start(python, &TORCH, folder.path(), threads)?;
    let (mut apart, mut memory) = (0.0_f64, BTreeMap::new());
    for &item in all {
        let (expected, found) = (ours.result(item)?, peer.check(item)?);
        memory.insert(item, found.memory_kib);
        let found = found.values;
        let lens: usize = expected.iter().map(|(_, values)| values.len()).sum();
        let key = item.key();
        ensure!(
            lens == found.len(),
            "{}: {} numbers of {key}, not {lens}",
            TORCH.name,
            found.len()
        );
        let mut rest = &found[..];
        for (what, expected) in &expected {
            let (part, after) = rest.split_at(expected.len());
            rest = after;
            let scale = expected.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
            let differences =
                expected.iter().zip(part).map(|(a, b)| f64::from((a - b).abs() / scale));
            // (NaN is as far apart as can be.)
            let most = differences.fold(0.0, |m: f64, d| if d <= m { m } else { d });
            let limit = item.apart();
            ensure!(
                most <= limit,
                "{}: the {what} of {key} is {most:.1e} apart from ours, at most {limit:.0e}",
                TORCH.name
            );
            apart = apart.max(most);
        }
    }
    eprintln!("{}: the same as ours, apart by {apart:.1e}", TORCH.name);
    Ok(Torch { peer, apart, memory })
}

/// The inputs, and the scripts that read them before they answer anything.
fn write(ours: &Ours, all: &[Item], folder: &Path) -> Result<()> {
    for (name, text) in SCRIPTS {
        std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let mut manifest = serde_json::Map::new();
    for &item in all {
        let mut entries = serde_json::Map::new();
        if let Item::Net(net) = item {
            entries.insert("config".into(), net.config());
        }
        for (i, (name, (values, shape))) in ours.inputs(item)?.into_iter().enumerate() {
            let file = format!("{}.{i}.bin", item.key());
            write_floats(&folder.join(&file), &values)?;
            entries.insert(name, json!({ "file": file, "shape": shape }));
        }
        manifest.insert(item.key().to_owned(), json!(entries));
    }
    let path = folder.join("manifest.json");
    std::fs::write(&path, json!(manifest).to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}
