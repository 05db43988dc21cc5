//! `train-step` and `sample`: the work done here, by the fused kernels and by candle operations.

use anyhow::Result;
use score_nets::Kernels;
use serde_json::{Map, Value, json};

use crate::check::Expected;
use crate::cli::Options;
use crate::flops::gflops;
use crate::machine::Machine;
use crate::ours::{Ours, without_tiles};
use crate::quiet::{Outcome, in_words};
use crate::side::{Item, Measured, Side, rounds};
use crate::table::markdown;
use crate::timing::Spread;
use crate::work::{PARTICLES, STEPS, Work};

/// Figures by name, and a table of them for people.
struct Report {
    json: Map<String, Value>,
    rows: Vec<Vec<String>>,
    quiet: Option<Outcome>,
}

impl Report {
    fn new(options: &Options, quiet: Option<Outcome>) -> Self {
        let json = json!({
            "machine": Machine::here(),
            "threads": options.threads,
            "rounds": options.rounds,
            "weights": options.weights(),
            "quiet": quiet,
        });
        let Value::Object(json) = json else { unreachable!("it is an object") };
        let heading = ["", "median", "quartiles", "GF/s", "of sgemm"];
        Self { json, rows: vec![heading.map(str::to_owned).to_vec()], quiet }
    }

    /// A figure with its quartiles under `name`, and the rate it stands for in the table.
    fn push(&mut self, name: &str, unit: &str, spread: Spread, rate: Option<(f64, f64)>) {
        self.json.insert(format!("{name}_{unit}"), json!(spread.median));
        self.json.insert(format!("{name}_{unit}_quartiles"), json!([spread.q1, spread.q3]));
        let digits = if unit == "gflops" { 1 } else { 3 };
        let shown = |v: f64| format!("{v:.digits$}");
        let (rate, share) = rate.unzip();
        self.rows.push(vec![
            format!("{name}, {}", if unit == "gflops" { "GF/s" } else { unit }),
            shown(spread.median),
            format!("{} to {}", shown(spread.q1), shown(spread.q3)),
            rate.map_or_else(String::new, |rate| format!("{rate:.1}")),
            share.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share)),
        ]);
    }

    /// The time of an item under `name`, its rate, and its share of `peak`.
    fn push_time(&mut self, name: &str, item: Item, widths: &[usize], seconds: &[f64], peak: f64) {
        let rate = gflops(item, widths, seconds).median;
        let (unit, factor) = if item == Item::Sample { ("s", 1.0) } else { ("ms", 1e3) };
        let spread = Spread::of(seconds.iter().map(|s| factor * s));
        self.push(name, unit, spread, Some((rate, rate / peak)));
        self.json.insert(format!("{name}_gflops"), json!(rate));
        self.json.insert(format!("{name}_share_of_peak"), json!(rate / peak));
    }

    /// The relative error of a gradient against double precision, that of its worst tensor.
    fn error(&mut self, name: &str, error: f64) {
        self.json.insert(name.into(), json!(error));
        let cells = [name.to_owned(), format!("{error:.1e}")];
        self.rows.push(cells.into_iter().chain([const { String::new() }; 3]).collect());
    }

    fn print(&self, options: &Options) -> Result<()> {
        let machine = Machine::here().in_words(options.threads);
        let text = format!(
            "{machine}; {} rounds{}; weights: {}\n\n{}",
            options.rounds,
            in_words(self.quiet.as_ref()),
            options.weights(),
            markdown(&self.rows)
        );
        options.print(&self.json, &text)
    }
}

/// Loss and gradients of a step.
pub(crate) fn train_step(options: &Options) -> Result<()> {
    options.start()?;
    let work = Work::new(options.model.as_deref())?;
    let candle = work.net.duplicate()?.with_kernels(Kernels::Composite)?;
    let vectors = without_tiles(&work.net)?;
    let mut sides = vec![("", Ours::new("ours", &work, &work.net)?)];
    if let Some(net) = &vectors {
        sides.push(("avx512_", Ours::new("avx512", &work, net)?));
    }
    sides.push(("composite_", Ours::new("composite", &work, &candle)?));
    let (first, steps) = ([Item::Sgemm, Item::Dsm, Item::DsmFp], [Item::Dsm, Item::DsmFp]);
    let mut turns: Vec<(&mut dyn Side, &[Item])> = Vec::new();
    for (prefix, side) in &mut sides {
        turns.push((side, if prefix.is_empty() { &first } else { &steps }));
    }
    let Measured { times, quiet } =
        rounds(Item::ALL, &mut turns, options.rounds, options.quiet()?)?;
    let (mut report, widths) = (Report::new(options, quiet), work.widths());
    let peak = gflops(Item::Sgemm, &widths, &times[0][&Item::Sgemm]);
    for (times, (prefix, _)) in times.iter().zip(&sides) {
        for item in steps {
            let name = format!("{prefix}{}", item.name());
            report.push_time(&name, item, &widths, &times[&item], peak.median);
        }
    }
    report.push("sgemm", "gflops", peak, None);
    for (prefix, side) in &sides {
        let error = Expected::new(&work, side)?.own_error()?;
        report.error(&format!("{prefix}gradient_error"), error);
    }
    report.print(options)
}

/// Drawing samples.
pub(crate) fn sample(options: &Options) -> Result<()> {
    options.start()?;
    let work = Work::new(options.model.as_deref())?;
    let vectors = without_tiles(&work.net)?;
    let mut ours = Ours::new("ours", &work, &work.net)?;
    let mut other = vectors.as_ref().map(|net| Ours::new("avx512", &work, net)).transpose()?;
    let mut turns: Vec<(&mut dyn Side, &[Item])> = vec![(&mut ours, &[Item::Sgemm, Item::Sample])];
    if let Some(other) = &mut other {
        turns.push((other, &[Item::Sample]));
    }
    let Measured { times, quiet } =
        rounds(Item::ALL, &mut turns, options.rounds, options.quiet()?)?;
    let (mut report, widths) = (Report::new(options, quiet), work.widths());
    let peak = gflops(Item::Sgemm, &widths, &times[0][&Item::Sgemm]);
    let seconds = &times[0][&Item::Sample];
    report.push_time("sample", Item::Sample, &widths, seconds, peak.median);
    let evaluations = PARTICLES as f64 * STEPS as f64;
    let rate = Spread::of(seconds.iter().map(|s| evaluations / s)).median;
    report.json.insert("evaluations_per_second".into(), json!(rate));
    if let Some(times) = times.get(1) {
        let seconds = &times[&Item::Sample];
        report.push_time("avx512_sample", Item::Sample, &widths, seconds, peak.median);
    }
    report.push("sgemm", "gflops", peak, None);
    report.print(options)
}
