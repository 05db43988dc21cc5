//! The result: one JSON object, and tables of it.

use serde_json::{Map, Value, json};

use crate::cli::Options;
use crate::compare::{Comparison, Side};
use crate::idle::Outcome;
use crate::machine::Machine;
use crate::timing::{Summary, exponent};
use crate::workload::{Item, Unit};

/// What is printed in the end.
pub(crate) struct Report {
    pub(crate) json: Map<String, Value>,
    /// One sentence: how and where.
    heading: String,
    tables: Vec<String>,
}

impl Report {
    pub(crate) fn new(options: &Options, comparison: &Comparison, idle: Option<Outcome>) -> Self {
        let Comparison { items, sides, left_out, facts } = comparison;
        let (machine, threads, rounds) = (Machine::here(), options.threads, options.rounds);
        let mut heading = format!("{}; threads: {threads}; rounds: {rounds}", machine.in_words());
        let mut json = facts.clone();
        json.insert("machine".into(), json!(machine));
        json.insert("threads".into(), json!(threads));
        json.insert("rounds".into(), json!(rounds));
        json.insert("idle".into(), json!(idle));
        json.insert("left_out".into(), json!(left_out));
        for (name, value) in facts {
            heading += &format!("; {name}: {}", value.as_str().unwrap_or_default());
        }
        let peak = peak(items, sides);
        if let Some((peak, side)) = peak {
            heading += &format!("; fastest sgemm: {peak:.0} GF/s ({side})");
            json.insert("peak_gflops".into(), json!(peak));
            json.insert("peak_side".into(), json!(side));
        }
        heading += &idle.map_or_else(String::new, |idle| format!("; {}", idle.in_words()));
        let mut report = Self { json, heading, tables: Vec::new() };
        report.figures(items, sides, peak.map(|(peak, _)| peak));
        report.growth(items, &sides[0]);
        report.sides(sides, left_out);
        report
    }

    pub(crate) fn text(&self) -> String {
        format!("{}\n\n{}", self.heading, self.tables.join("\n"))
    }

    /// A table whose first columns hold names, and its figures as JSON under their keys.
    fn table(&mut self, names: &[&str], rows: Vec<(Vec<String>, Vec<Figure>)>) {
        let heading = names.iter().copied();
        let figures = rows.first().into_iter().flat_map(|row| row.1.iter().map(|f| f.heading));
        let mut table = vec![heading.chain(figures).map(str::to_owned).collect::<Vec<_>>()];
        for (mut row, figures) in rows {
            row.extend(figures.iter().map(Figure::shown));
            table.push(row);
            let figures = figures.into_iter().filter(|f| f.value.is_some() && !f.key.is_empty());
            self.json.extend(figures.map(|figure| (figure.key, json!(figure.value))));
        }
        self.tables.push(markdown(&table));
    }

    /// Times, rates and memory of every item on every side.
    fn figures(&mut self, items: &[Item], sides: &[Side], peak: Option<f64>) {
        let mut rows = Vec::new();
        for item in items {
            for side in sides.iter().filter(|side| side.times.contains_key(&item.key)) {
                let (name, unit) = item.unit.names();
                let key = format!("{}{}_{name}_quartiles", side.prefix(), item.key);
                self.json.insert(key, json!(item.quartiles(side.summary(item))));
                let cells = vec![format!("{}, {unit}", item.key), side.name.clone()];
                rows.push((cells, figures(item, side, &sides[0], peak)));
            }
        }
        self.table(&["item", "side"], rows);
    }

    /// How time and memory of the first side grow with the size of an item.
    fn growth(&mut self, items: &[Item], side: &Side) {
        let mut rows = Vec::new();
        let family = |item: &Item| item.key.split('/').next().unwrap_or_default().to_owned();
        for items in items.chunk_by(|a, b| family(a) == family(b)) {
            let name = family(&items[0]);
            let fit = |value: &dyn Fn(&Item) -> Option<f64>| {
                let points = items.iter().filter_map(|item| Some((item.size?, value(item)?)));
                exponent(&points.filter(|point| point.1 > 0.0).collect::<Vec<_>>())
            };
            let time = fit(&|item| Some(side.summary(item).median));
            let memory = fit(&|item| side.memory_kib.get(&item.key).map(|&kib| kib as f64));
            if time.is_some() {
                let time = Figure::new("time n^", format!("{name}_time_exponent"), time, 2);
                let memory = Figure::new("memory n^", format!("{name}_memory_exponent"), memory, 2);
                rows.push((vec![name], vec![time, memory]));
            }
        }
        if !rows.is_empty() {
            self.table(&["grows as"], rows);
        }
    }

    /// Who took part, and how far the results are from ours.
    fn sides(&mut self, sides: &[Side], left_out: &[String]) {
        let (mut notes, mut json, mut rows) = (String::new(), Vec::new(), Vec::new());
        for side in sides {
            let (versions, remarks) = (side.worker.versions(), side.worker.remarks());
            let words = versions.iter().map(|(name, version)| format!("{name} {version}"));
            let words: Vec<String> = words.chain(remarks.iter().cloned()).collect();
            notes += &format!("- {}: {}\n", side.name, words.join("; "));
            json.push(json!({
                "key": side.key, "name": side.name, "versions": versions, "remarks": remarks,
            }));
            let differences = sides[0].differences.keys().map(|&kind| {
                let key = format!("{}{kind}_difference", side.prefix());
                Figure::new(kind, key, side.differences.get(kind).copied(), 0)
            });
            let key = format!("{}gradient_error", side.prefix());
            let error = Figure::new("gradient from f64", key, side.gradient_error, 0);
            rows.push((vec![side.name.clone()], differences.chain([error]).collect()));
        }
        if !sides[0].differences.is_empty() {
            self.table(&["relative difference from the first side"], rows);
        }
        notes += &left_out.iter().map(|why| format!("- left out: {why}\n")).collect::<String>();
        self.tables.push(notes);
        self.json.insert("sides".into(), json!(json));
    }
}

/// The fastest product of two large matrices of any side, and whose it is.
fn peak<'a>(items: &[Item], sides: &'a [Side]) -> Option<(f64, &'a str)> {
    let sgemm = items.iter().find(|item| item.key == "sgemm")?;
    let sides = sides.iter().filter(|side| side.times.contains_key("sgemm"));
    let rates = sides.map(|side| (sgemm.shown(side.summary(sgemm).median), side.name.as_str()));
    rates.max_by(|a, b| a.0.total_cmp(&b.0))
}

impl Side {
    /// What stands before its keys.
    fn prefix(&self) -> String {
        if self.key.is_empty() { String::new() } else { format!("{}_", self.key) }
    }

    fn summary(&self, item: &Item) -> Summary {
        Summary::of(&self.times[&item.key])
    }
}

impl Unit {
    /// In keys, and for people.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::S => ("s", "s"),
            Self::Ms => ("ms", "ms"),
            Self::Gflops => ("gflops", "GF/s"),
        }
    }
}

impl Item {
    /// A time in the item's unit.
    fn shown(&self, seconds: f64) -> f64 {
        match self.unit {
            Unit::S => seconds,
            Unit::Ms => 1e3 * seconds,
            Unit::Gflops => 1e-9 * self.flops.unwrap_or(f64::NAN) / seconds,
        }
    }

    /// In the item's unit, the smaller first.
    fn quartiles(&self, times: Summary) -> [f64; 2] {
        let [a, b] = times.quartiles.map(|seconds| self.shown(seconds));
        [a.min(b), a.max(b)]
    }
}

/// A number, its column and its key.
struct Figure {
    heading: &'static str,
    /// Empty for what is in the table only.
    key: String,
    value: Option<f64>,
    /// Digits after the point; 0 for powers of ten.
    digits: usize,
}

impl Figure {
    fn new(heading: &'static str, key: String, value: Option<f64>, digits: usize) -> Self {
        Self { heading, key, value, digits }
    }

    fn shown(&self) -> String {
        match (self.value, self.digits) {
            (None, _) => String::new(),
            (Some(value), 0) => format!("{value:.1e}"),
            (Some(value), digits) => format!("{value:.digits$}"),
        }
    }
}

/// All that is said of one item on one side.
fn figures(item: &Item, side: &Side, first: &Side, peak: Option<f64>) -> Vec<Figure> {
    let name = format!("{}{}", side.prefix(), item.key);
    let main = format!("{name}_{}", item.unit.names().0);
    let times = side.summary(item);
    let ratio = |of: fn(Summary) -> f64| {
        (!std::ptr::eq(side, first)).then(|| of(times) / of(first.summary(item)))
    };
    let gflops = item.flops.map(|flops| 1e-9 * flops / times.median);
    let memory = side.memory_kib.get(&item.key).map(|&kib| kib as f64 / 1024.0);
    let [q1, q3] = item.quartiles(times);
    let digits = if item.unit == Unit::S { 3 } else { 2 };
    vec![
        Figure::new("median", main.clone(), Some(item.shown(times.median)), digits),
        Figure::new("1st quartile", String::new(), Some(q1), digits),
        Figure::new("3rd quartile", String::new(), Some(q3), digits),
        Figure::new("fastest", format!("{main}_fastest"), Some(item.shown(times.min)), digits),
        Figure::new("x first", format!("{name}_ratio"), ratio(|times| times.median), 2),
        Figure::new("fastest x", format!("{name}_ratio_fastest"), ratio(|times| times.min), 2),
        Figure::new("GF/s", format!("{name}_gflops"), gflops, 1),
        Figure::new(
            "of sgemm",
            format!("{name}_share_of_peak"),
            gflops.zip(peak).map(|(a, b)| a / b),
            3,
        ),
        Figure::new("MiB", format!("{name}_memory_mib"), memory, 1),
    ]
}

/// A Markdown table whose first row is the heading, aligned so that it reads as plain text too. Columns
/// that are empty below the heading are left out.
fn markdown(rows: &[Vec<String>]) -> String {
    let filled = |c: &usize| rows[1..].iter().any(|row| !row[*c].is_empty());
    let columns: Vec<usize> = (0..rows[0].len()).filter(filled).collect();
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0).max(3);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = columns.iter().map(|&c| match c {
            0 => format!("| {:w$} ", row[c], w = width(c)),
            _ => format!("| {:>w$} ", row[c], w = width(c)),
        });
        text += &(cells.collect::<String>() + "|\n");
        if number == 0 {
            let line = |c: usize| "-".repeat(width(c) - 1) + if c == 0 { "-" } else { ":" };
            let cells = columns.iter().map(|&c| format!("| {} ", line(c)));
            text += &(cells.collect::<String>() + "|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let rows = [["side", "ms", "MiB"], ["ours", "8.9", ""], ["a peer", "100.0", ""]];
        let expected = "\
| side   |    ms |
| ------ | ----: |
| ours   |   8.9 |
| a peer | 100.0 |
";
        assert_eq!(markdown(&rows.map(|row| row.map(str::to_owned).to_vec())), expected);
    }

    #[test]
    fn figures_are_of_medians_and_of_fastest_times() {
        let side = |key: &str, times: &[f64]| {
            let mut side = Side::new(key, key, crate::compare::Tasks::new());
            side.times.insert("dsm".into(), times.to_vec());
            side
        };
        let (ours, torch) = (side("", &[0.01, 0.02, 0.04]), side("torch", &[0.02, 0.06, 0.09]));
        let item = Item::new("dsm", Unit::Ms).flops(6e9);
        let found = figures(&item, &torch, &ours, Some(200.0)).into_iter();
        let found: Map<String, Value> = found.map(|f| (f.key, json!(f.value))).collect();
        for (key, expected) in [
            ("torch_dsm_ms", 60.0),
            ("torch_dsm_ms_fastest", 20.0),
            ("torch_dsm_ratio", 3.0),
            ("torch_dsm_ratio_fastest", 2.0),
            ("torch_dsm_gflops", 100.0),
            ("torch_dsm_share_of_peak", 0.5),
        ] {
            let value = found[key].as_f64().unwrap_or(f64::NAN);
            assert!((value - expected).abs() < 1e-9 * expected, "{key}: {value}");
        }
        assert_eq!(found["torch_dsm_memory_mib"], Value::Null);
        let ours = figures(&item, &ours, &ours, None);
        assert!(ours.iter().all(|f| !f.key.contains("ratio") || f.value.is_none()));
    }
}
