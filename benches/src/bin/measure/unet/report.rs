//! Figures by name, and a table of them for people.

use serde_json::{Map, Value, json};

use crate::cli::Common;
use crate::machine::Machine;
use crate::quiet::{Outcome, in_words};
use crate::table::markdown;
use crate::timing::Spread;

pub(crate) struct Report {
    pub(crate) json: Map<String, Value>,
    rows: Vec<Vec<String>>,
    quiet: Option<Outcome>,
}

impl Report {
    pub(crate) fn new(common: &Common, quiet: Option<Outcome>) -> Self {
        let json = json!({
            "machine": Machine::here(),
            "threads": common.threads,
            "rounds": common.rounds,
            "quiet": quiet,
        });
        let Value::Object(json) = json else { unreachable!("it is an object") };
        let heading = ["", "median", "quartiles", "fastest"];
        Self { json, rows: vec![heading.map(str::to_owned).to_vec()], quiet }
    }

    pub(crate) fn insert(&mut self, name: &str, value: Value) {
        self.json.insert(name.into(), value);
    }

    /// The rate of `flops` operations in 1e9 a second.
    pub(crate) fn push_rate(&mut self, name: &str, flops: f64, seconds: &[f64]) {
        let rates: Vec<f64> = seconds.iter().map(|s| 1e-9 * flops / s).collect();
        let fastest = rates.iter().copied().fold(0.0, f64::max);
        self.push(&format!("{name}_gflops"), Spread::of(rates), fastest, 1);
    }

    /// Milliseconds.
    pub(crate) fn push_time(&mut self, name: &str, seconds: &[f64]) {
        let times: Vec<f64> = seconds.iter().map(|s| 1e3 * s).collect();
        let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
        self.push(&format!("{name}_ms"), Spread::of(times), fastest, 2);
    }

    /// Peak of the memory that an item takes beside its network and inputs; nothing where that is not known.
    pub(crate) fn push_memory(&mut self, name: &str, kib: Option<u64>) {
        let Some(kib) = kib else { return };
        let mib = kib as f64 / 1024.0;
        self.json.insert(format!("{name}_memory_mib"), json!(mib));
        let name = format!("{name}_memory_mib");
        self.rows.push(vec![name, format!("{mib:.0}"), String::new(), String::new()]);
    }

    fn push(&mut self, name: &str, spread: Spread, fastest: f64, digits: usize) {
        let Spread { median, q1, q3 } = spread;
        self.json.insert(name.into(), json!(median));
        self.json.insert(format!("{name}_quartiles"), json!([q1, q3]));
        self.json.insert(format!("{name}_fastest"), json!(fastest));
        let shown = |v: f64| format!("{v:.digits$}");
        let quartiles = format!("{} to {}", shown(q1), shown(q3));
        self.rows.push(vec![name.into(), shown(median), quartiles, shown(fastest)]);
    }

    pub(crate) fn text(&self, common: &Common) -> String {
        format!(
            "{}; {} rounds{}\n\n{}",
            Machine::here().in_words(common.threads),
            common.rounds,
            in_words(self.quiet.as_ref()),
            markdown(&self.rows)
        )
    }
}
