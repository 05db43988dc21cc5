//! `peers`: the same work here and in other software, in one sitting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::check::{Differences, Expected};
use crate::cli::Options;
use crate::exchange;
use crate::flops::gflops;
use crate::machine::Machine;
use crate::ours::{Ours, without_tiles};
use crate::peer::{Peer, Spec, Variants};
use crate::quiet::{Outcome, in_words};
use crate::side::{Item, Measured, Side, Times, rounds};
use crate::table::markdown;
use crate::timing::Spread;
use crate::work::Work;

/// The scripts, by name; they travel in the binary, which needs no path to the repository.
const SCRIPTS: &[(&str, &str)] = &[
    ("common.py", include_str!("../../../peers/common.py")),
    ("torch_peer.py", include_str!("../../../peers/torch_peer.py")),
    ("jax_peer.py", include_str!("../../../peers/jax_peer.py")),
];

const PEERS: &[Spec] = &[
    Spec { name: "PyTorch", script: "torch_peer.py", flags: &[], optional: false },
    Spec {
        name: "PyTorch, denormals flushed",
        script: "torch_peer.py",
        flags: &["--flush"],
        optional: false,
    },
    // It is no error where there is no C++ compiler.
    Spec {
        name: "PyTorch, flushed and compiled",
        script: "torch_peer.py",
        flags: &["--flush", "--compile"],
        optional: true,
    },
    Spec {
        name: "JAX, reverse Laplacian",
        script: "jax_peer.py",
        flags: &["--laplacian", "reverse"],
        optional: false,
    },
    Spec {
        name: "JAX, forward Laplacian",
        script: "jax_peer.py",
        flags: &["--laplacian", "forward"],
        optional: false,
    },
];

/// What is asked beside the usual.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// A Python with torch, jax and numpy
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Write the result to a file as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is known of one side in the end.
struct Row {
    name: String,
    versions: BTreeMap<String, String>,
    times: Times,
    /// From ours, which the others are held against.
    differences: Differences,
    variants: BTreeMap<Item, Variants>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let options = &args.options;
    options.start()?;
    let work = Work::new(options.model.as_deref())?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    exchange::write(&work, folder.path())?;
    for (name, text) in SCRIPTS {
        std::fs::write(folder.path().join(name), text)
            .with_context(|| format!("cannot write {name}"))?;
    }
    let mut ours = Ours::new("ours", &work, &work.net)?;
    let expected = Expected::new(&work, &ours)?;
    let vectors = without_tiles(&work.net)?;
    let vectors = vectors.as_ref().map(|net| Ours::new("ours with AVX-512", &work, net));
    let mut vectors = vectors.transpose()?;
    let (mut peers, mut differences, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for spec in PEERS {
        let started =
            Peer::<Item>::start(args.python.as_os_str(), spec, folder.path(), options.threads);
        let mut peer = match started {
            Ok(peer) => peer,
            Err(error) if spec.optional => {
                eprintln!("left out: {error:#}");
                left_out.push(format!("{error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let found = expected.hold(spec.name, |item| peer.check(item))?;
        eprintln!(
            "{}: the same as ours; apart by {:.1e} in losses, {:.1e} in gradients, {:.1e} in paths",
            spec.name, found.loss, found.gradient, found.path
        );
        peers.push(peer);
        differences.push(found);
    }
    let mut sides: Vec<(&mut dyn Side, &[Item])> = vec![(&mut ours, Item::ALL)];
    sides.extend(vectors.iter_mut().map(|ours| (ours as &mut dyn Side, Item::ALL)));
    sides.extend(peers.iter_mut().map(|peer| (peer as &mut dyn Side, Item::ALL)));
    let Measured { times, quiet } =
        rounds(Item::ALL, &mut sides, options.rounds, options.quiet()?)?;
    let mut times = times.into_iter();
    let error = expected.own_error()?;
    let mut own = vec![(&ours, Differences { error, ..Differences::default() })];
    if let Some(ours) = &vectors {
        own.push((ours, expected.hold(ours.name(), |item| ours.check(item))?));
    }
    let mut rows = Vec::new();
    for (ours, differences) in own {
        let version = ("score-sde".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        rows.push(Row {
            name: ours.name().to_owned(),
            versions: BTreeMap::from([version]),
            times: times.next().context("no times of ours")?,
            differences,
            variants: BTreeMap::new(),
        });
    }
    for ((peer, times), differences) in peers.into_iter().zip(times).zip(differences) {
        rows.push(Row {
            name: peer.name().to_owned(),
            versions: peer.hello.versions.clone(),
            times,
            differences,
            variants: peer.variants.clone(),
        });
    }
    let result = Comparison { rows, left_out, widths: work.widths(), quiet };
    let (json, text) = (result.json(options), result.text(options));
    if let Some(path) = &args.out {
        write_whole(path, &if options.json { json.to_string() + "\n" } else { text.clone() })?;
    }
    options.print(&json, &text)
}

/// All sides, ours first.
struct Comparison {
    rows: Vec<Row>,
    /// The peers that did not start, and why.
    left_out: Vec<String>,
    widths: Vec<usize>,
    quiet: Option<Outcome>,
}

/// An item that is compared, its unit, and how many of it a second has.
const COMPARED: [(Item, &str, f64); 3] =
    [(Item::Dsm, "ms", 1e3), (Item::DsmFp, "ms", 1e3), (Item::Sample, "s", 1.0)];

impl Comparison {
    fn rate(&self, row: &Row, item: Item) -> Spread {
        gflops(item, &self.widths, &row.times[&item])
    }

    /// The fastest large product of any side, and whose it is.
    fn peak(&self) -> (f64, &str) {
        let of = |row| (self.rate(row, Item::Sgemm).median, row.name.as_str());
        let best = self.rows.iter().map(of).max_by(|a, b| a.0.total_cmp(&b.0));
        best.unwrap_or((f64::NAN, ""))
    }

    /// How many times as long as ours.
    fn ratio(&self, row: &Row, item: Item) -> f64 {
        let median = |row: &Row| Spread::of(row.times[&item].iter().copied()).median;
        median(row) / median(&self.rows[0])
    }

    fn json(&self, options: &Options) -> Value {
        let (peak, whose) = self.peak();
        let sides: Vec<Value> = self.rows.iter().map(|row| self.side(row, peak)).collect();
        json!({
            "machine": Machine::here(),
            "threads": options.threads,
            "rounds": options.rounds,
            "weights": options.weights(),
            "peak_gflops": peak,
            "peak_side": whose,
            "sides": sides,
            "left_out": self.left_out,
            "quiet": self.quiet,
        })
    }

    fn side(&self, row: &Row, peak: f64) -> Value {
        let mut side = Map::new();
        side.insert("name".into(), json!(row.name));
        side.insert("versions".into(), json!(row.versions));
        side.insert("sgemm_gflops".into(), json!(self.rate(row, Item::Sgemm)));
        for (item, unit, per_second) in COMPARED {
            let (name, rate) = (item.name(), self.rate(row, item).median);
            let spread = Spread::of(row.times[&item].iter().map(|s| s * per_second));
            side.insert(format!("{name}_{unit}"), json!(spread));
            side.insert(format!("{name}_ratio"), json!(self.ratio(row, item)));
            side.insert(format!("{name}_gflops"), json!(rate));
            side.insert(format!("{name}_share_of_peak"), json!(rate / peak));
        }
        side.insert("differences".into(), json!(row.differences));
        for (item, Variants { chosen, others }) in &row.variants {
            let way = json!({ "chosen": chosen, "others_s": others });
            side.insert(format!("{}_variant", item.name()), way);
        }
        Value::Object(side)
    }

    fn text(&self, options: &Options) -> String {
        let (peak, whose) = self.peak();
        let mut text = format!(
            "{}; medians (quartiles) of {} rounds{}; weights: {}; sgemm peak {peak:.0} GF/s ({whose})\n\n",
            Machine::here().in_words(options.threads),
            options.rounds,
            in_words(self.quiet.as_ref()),
            options.weights()
        );
        text += &markdown(&self.times());
        text.push('\n');
        text += &markdown(&self.rates(peak));
        text.push('\n');
        text += &markdown(&self.agreement());
        text.push('\n');
        for row in &self.rows {
            let versions: Vec<String> =
                row.versions.iter().map(|(n, v)| format!("{n} {v}")).collect();
            let _ = write!(text, "- {}: {}", row.name, versions.join(", "));
            for (item, Variants { chosen, others }) in &row.variants {
                let _ = write!(text, "; {} {chosen}", item.name());
                for (name, seconds) in others {
                    let _ = write!(text, " ({name}: {seconds:.2} s)");
                }
            }
            text.push('\n');
        }
        for error in &self.left_out {
            let _ = writeln!(text, "- left out: {error}");
        }
        text
    }

    fn times(&self) -> Vec<Vec<String>> {
        let mut table = vec![words(&[
            "side",
            "DSM, ms",
            "x ours",
            "DSM + residual, ms",
            "x ours",
            "sampling, s",
            "x ours",
        ])];
        for row in &self.rows {
            let mut cells = vec![row.name.clone()];
            for (item, unit, per_second) in COMPARED {
                let digits = if unit == "s" { 2 } else { 1 };
                let Spread { median, q1, q3 } =
                    Spread::of(row.times[&item].iter().map(|s| s * per_second));
                cells.push(format!("{median:.digits$} ({q1:.digits$} to {q3:.digits$})"));
                cells.push(format!("{:.2}", self.ratio(row, item)));
            }
            table.push(cells);
        }
        table
    }

    fn rates(&self, peak: f64) -> Vec<Vec<String>> {
        let mut table = vec![words(&[
            "GF/s (share of the peak), noise",
            "sgemm",
            "DSM",
            "DSM + residual",
            "sampling",
        ])];
        for row in &self.rows {
            let mut cells = vec![row.name.clone()];
            for &item in Item::ALL {
                let rate = self.rate(row, item);
                cells.push(format!(
                    "{:.0} ({:.0} %), {:.0} %",
                    rate.median,
                    100.0 * rate.median / peak,
                    100.0 * rate.noise()
                ));
            }
            table.push(cells);
        }
        table
    }

    fn agreement(&self) -> Vec<Vec<String>> {
        let mut table = vec![words(&[
            "largest relative difference from ours",
            "loss",
            "gradient",
            "path",
            "gradient from f64",
        ])];
        for row in &self.rows {
            let Differences { loss, gradient, path, error } = row.differences;
            let values = [loss, gradient, path, error].map(|v| format!("{v:.1e}"));
            table.push([row.name.clone()].into_iter().chain(values).collect());
        }
        table
    }
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Writes a file under a temporary name that then takes its own: it is whole or absent.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let write = || -> Result<()> {
        let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
