//! Beside POT and SciPy: the same inputs, first the same values, then the clock.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::Args;
use super::child::{self, Case};
use super::growth::mebibytes;
use super::problem::Problem;
use crate::peer::{Peer, Spec};
use crate::peers::words;
use crate::quiet::{Outcome, in_words};
use crate::side::{Measured, Named, Side, Times, rounds};
use crate::table::markdown;
use crate::timing::{Spread, settled};

/// Largest relative difference of a value from ours.
const VALUE: f64 = 1e-9;

const CLOUDS: [&str; 6] = [
    "uniform-2d/2000",
    "uniform-2d/4000",
    "mixture-2d/2000",
    "mixture-2d/4000",
    "uniform-10d/2000",
    "normal-10d/2000",
];
const HISTOGRAMS: [&str; 4] = [
    "hist/blob_0.0/ode-truth",
    "hist/blob_10.0/ode-sde",
    "hist/circles2_0.0/sde-truth",
    "hist/circles2_10.0/ode-sde",
];

const SCRIPTS: [(&str, &str); 2] = [
    ("common.py", include_str!("../../../../peers/common.py")),
    ("transport_peer.py", include_str!("../../../../peers/transport_peer.py")),
];

/// A way of a peer, and whether it does histograms too.
const PEERS: [(Spec, bool); 3] = [
    (spec("POT emd2", &["--way", "emd2"]), true),
    (spec("POT emd2_lazy", &["--way", "emd2_lazy"]), true),
    (spec("SciPy linear_sum_assignment", &["--way", "assignment"]), false),
];

const fn spec(name: &'static str, flags: &'static [&'static str]) -> Spec {
    Spec { name, script: "transport_peer.py", flags, optional: false }
}

/// A problem, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item(&'static str);

impl Named for Item {
    fn name(&self) -> &str {
        self.0
    }
}

struct Ours(BTreeMap<Item, Problem>);

impl Side<Item> for Ours {
    fn name(&self) -> &str {
        "ours"
    }

    fn time(&mut self, item: Item) -> Result<f64> {
        settled(|| self.0[&item].solve())
    }
}

/// Ours and all peers.
pub(crate) struct Comparison {
    items: Vec<Item>,
    ours: Vec<Case>,
    rows: Vec<Row>,
    note: Option<String>,
    quiet: Option<Outcome>,
}

/// What is known of a side.
struct Row {
    name: String,
    versions: BTreeMap<String, String>,
    times: Times<Item>,
    memory_kib: BTreeMap<Item, u64>,
    /// Largest relative difference from our values.
    difference: f64,
}

pub(crate) fn measure(args: &Args) -> Result<Comparison> {
    let (clouds, mut items) = (CLOUDS.map(Item), CLOUDS.map(Item).to_vec());
    let hist = args.hist.as_deref().filter(|folder| folder.is_dir());
    let note = match (&args.hist, hist) {
        (_, Some(_)) => None,
        (None, None) => Some("the published histograms are left out: no --hist DIR".to_owned()),
        (Some(folder), None) => Some(format!(
            "the published histograms are left out: {} is no folder",
            folder.display()
        )),
    };
    match &note {
        Some(note) => eprintln!("{note}"),
        None => items.extend(HISTOGRAMS.map(Item)),
    }
    let named = |&item: &Item| Ok((item, Problem::named(item.0, hist)?));
    let problems: BTreeMap<Item, Problem> = items.iter().map(named).collect::<Result<_>>()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    write(&problems, folder.path())?;
    for (name, text) in SCRIPTS {
        std::fs::write(folder.path().join(name), text)
            .with_context(|| format!("cannot write {name}"))?;
    }
    let solve = |item: &Item| child::spawn(item.0, hist, args.common.threads);
    let ours: Vec<Case> = items.iter().map(solve).collect::<Result<_>>()?;

    let (mut peers, mut rows) = (Vec::new(), Vec::new());
    for (spec, grids) in &PEERS {
        let python = args.python.as_os_str();
        let mut peer = Peer::<Item>::start(python, spec, folder.path(), args.common.threads)?;
        let (mut difference, mut memory_kib) = (0.0_f64, BTreeMap::new());
        for (case, &item) in
            ours.iter().zip(&items).take(if *grids { items.len() } else { clouds.len() })
        {
            let found = peer.check(item)?;
            let theirs = found.loss.unwrap_or(f64::NAN);
            let apart = ((theirs - case.value) / case.value).abs();
            ensure!(
                apart <= VALUE,
                "{}: {} is {theirs}, ours {}: {apart:.1e} apart, at most {VALUE:.0e}",
                spec.name,
                item.0,
                case.value
            );
            difference = difference.max(apart);
            memory_kib.extend(found.memory_kib.map(|kib| (item, kib)));
        }
        eprintln!("{}: the same values as ours, apart by {difference:.1e}", spec.name);
        let (name, versions) = (spec.name.to_owned(), peer.hello.versions.clone());
        rows.push(Row { name, versions, times: Times::new(), memory_kib, difference });
        peers.push((peer, if *grids { items.clone() } else { clouds.to_vec() }));
    }
    let mut side = Ours(problems);
    let mut sides: Vec<(&mut dyn Side<Item>, &[Item])> = vec![(&mut side, &items)];
    sides.extend(peers.iter_mut().map(|(peer, items)| (peer as &mut dyn Side<Item>, &items[..])));
    let Measured { times, quiet } =
        rounds(&items, &mut sides, args.common.rounds, args.common.quiet()?)?;
    let mut times = times.into_iter();
    let memory = ours.iter().zip(&items).filter_map(|(case, &item)| Some((item, case.memory_kib?)));
    let first = Row {
        name: "ours".to_owned(),
        versions: BTreeMap::from([("score-sde".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        times: times.next().context("no times of ours")?,
        memory_kib: memory.collect(),
        difference: 0.0,
    };
    rows.iter_mut().zip(times).for_each(|(row, times)| row.times = times);
    rows.insert(0, first);
    Ok(Comparison { items, ours, rows, note, quiet })
}

/// The inputs as files that any software reads: little-endian f64 and one manifest.
fn write(problems: &BTreeMap<Item, Problem>, folder: &Path) -> Result<()> {
    let array = |name: String, values: &mut dyn Iterator<Item = f64>, shape: &[usize]| {
        let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
        let path = folder.join(&name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(json!({ "file": name, "shape": shape, "dtype": "<f8" }))
    };
    let mut manifest = Map::new();
    for (number, (item, problem)) in problems.iter().enumerate() {
        let entry = match problem {
            Problem::Clouds { x, y } => json!({
                "x": array(format!("{number}.x.bin"), &mut x.iter().copied(), x.shape())?,
                "y": array(format!("{number}.y.bin"), &mut y.iter().copied(), y.shape())?,
            }),
            Problem::Grid { a, b, nodes } => json!({
                "a": array(format!("{number}.a.bin"), &mut a.iter().copied(), a.shape())?,
                "b": array(format!("{number}.b.bin"), &mut b.iter().copied(), b.shape())?,
                "nodes": array(format!("{number}.n.bin"), &mut nodes.iter().copied(), nodes.shape())?,
            }),
        };
        manifest.insert(item.0.to_owned(), entry);
    }
    let path = folder.join("manifest.json");
    std::fs::write(&path, Value::Object(manifest).to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}

impl Comparison {
    /// How many times as long as ours.
    fn ratio(&self, row: &Row, item: Item) -> Option<f64> {
        let median = |row: &Row| Some(Spread::of(row.times.get(&item)?.iter().copied()).median);
        Some(median(row)? / median(&self.rows[0])?)
    }

    pub(crate) fn json(&self) -> Value {
        let item = |row: &Row, &item: &Item| {
            let spread = Spread::of(row.times.get(&item)?.iter().map(|s| 1e3 * s));
            let of = json!({
                "ms": spread, "ratio": self.ratio(row, item), "memory_kib": row.memory_kib.get(&item),
            });
            Some((item.0.to_owned(), of))
        };
        let side = |row: &Row| {
            let items: Map<String, Value> =
                self.items.iter().filter_map(|name| item(row, name)).collect();
            json!({
                "name": row.name, "versions": row.versions, "difference": row.difference,
                "items": items,
            })
        };
        let sides: Vec<Value> = self.rows.iter().map(side).collect();
        json!({
            "sides": sides, "ours": self.ours, "left_out": self.note, "quiet": self.quiet,
        })
    }

    pub(crate) fn text(&self, args: &Args) -> String {
        let mut rows =
            vec![words(&["problem", "side", "ms (quartiles)", "x ours", "MiB", "x ours"])];
        for &item in &self.items {
            for row in &self.rows {
                let Some(times) = row.times.get(&item) else { continue };
                let Spread { median, q1, q3 } = Spread::of(times.iter().map(|s| 1e3 * s));
                let (memory, ours) =
                    (row.memory_kib.get(&item), self.rows[0].memory_kib.get(&item));
                let shown =
                    |ratio: Option<f64>| ratio.map_or_else(String::new, |r| format!("{r:.2}"));
                rows.push(vec![
                    item.0.to_owned(),
                    row.name.clone(),
                    format!("{median:.2} ({q1:.2} to {q3:.2})"),
                    shown(self.ratio(row, item)),
                    mebibytes(memory.copied()),
                    shown(memory.zip(ours).map(|(m, o)| *m as f64 / *o as f64)),
                ]);
            }
        }
        let quiet = in_words(self.quiet.as_ref());
        let mut text = format!("medians (quartiles) of {} rounds{quiet}\n\n", args.common.rounds);
        text += &markdown(&rows);
        text.push('\n');
        for row in &self.rows {
            let versions: Vec<String> =
                row.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
            let difference = format!("values apart from ours by {:.1e}", row.difference);
            text += &format!("- {}: {}; {difference}\n", row.name, versions.join(", "));
        }
        self.note.iter().for_each(|note| text += &format!("- {note}\n"));
        text
    }
}
