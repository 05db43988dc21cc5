//! `metric compare`: the results of two calls beside each other, if they may stand there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use metrics::{Change, Difference, Estimate};
use serde_json::{Map, Value, json};

use super::page;
use crate::cli::Output;
use crate::cli::output::{number, table};
use crate::distance::{change, change_note};

/// Say how the figures of two results differ, and whether by more than chance
///
/// A.json and B.json are what `experiment metric ... --json` printed. Figures compare where they are of the same metric with the
/// same parameters, of equally many samples a side and, of features, by the same extractor with the same weights; others are
/// refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment metric compare before.json after.json")]
pub(in crate::cli) struct Args {
    /// The first result
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// The second result
    #[arg(value_name = "B.json")]
    b: PathBuf,
}

/// What must be the same, and what it says where it is not.
const SAME: [(&str, &str); 10] = [
    ("/metric", "other metrics do not compare"),
    ("/samples", "figures of different numbers of samples do not compare: their biases differ"),
    ("/training", "figures of different numbers of training rows do not compare"),
    ("/features/extractor", "figures of different features do not compare"),
    ("/features/weights", "figures by different weights do not compare"),
    ("/features/resizing", "figures of images that were resized differently do not compare"),
    ("/features/range", "figures of pixels in different units do not compare"),
    ("/dimension", "figures in different dimensions do not compare"),
    ("/parameters", "figures with different parameters do not compare"),
    ("/nodes", "figures on different grids do not compare"),
];

/// A result of `metric`.
struct Results {
    path: PathBuf,
    value: Value,
}

/// A figure of it, with its standard error where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    value: f64,
    standard_error: Option<f64>,
}

impl Results {
    fn open(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(shown)?;
        let value = serde_json::from_slice(&bytes).with_context(shown)?;
        Ok(Self { path: path.to_path_buf(), value })
    }

    /// Its figures by name: one of a metric, several of `images`.
    fn figures(&self) -> Result<Vec<(String, Figure)>> {
        let all: Vec<(&str, &Value)> = match (self.value["metric"].as_str(), &self.value["values"])
        {
            (Some(name), _) => vec![(name, &self.value)],
            (None, Value::Object(all)) => all.iter().map(|(k, v)| (k.as_str(), v)).collect(),
            _ => Vec::new(),
        };
        let shown = self.path.display();
        ensure!(!all.is_empty(), "{shown}: no result of `experiment metric ... --json`");
        let figure = |(name, entry): (&str, &Value)| {
            let Some(value) = entry["value"].as_f64() else {
                let found = sde_core::shorten(&entry["value"].to_string());
                bail!("{shown}: {name} is {found}, which has no difference to another");
            };
            let standard_error = entry["standard-error"].as_f64();
            Ok((name.to_owned(), Figure { value, standard_error }))
        };
        all.into_iter().map(figure).collect()
    }
}

/// Refuses what does not compare.
fn check(a: &Results, b: &Results) -> Result<()> {
    for (pointer, why) in SAME {
        let of = |results: &Results| results.value.pointer(pointer).cloned().unwrap_or(Value::Null);
        let (left, right) = (of(a), of(b));
        if left != right {
            let shown = |v: &Value| match v {
                Value::Null => "none".to_owned(),
                other => sde_core::shorten(&other.to_string()),
            };
            let name = pointer.trim_start_matches('/').replace('/', ".");
            let (left, right) = (shown(&left), shown(&right));
            let (a, b) = (a.path.display(), b.path.display());
            bail!("{name} is {left} in {a}, {right} in {b}: {why}");
        }
    }
    Ok(())
}

impl Args {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let (a, b) = (Results::open(&self.a)?, Results::open(&self.b)?);
        let (from, to) = (a.figures()?, b.figures()?);
        check(&a, &b)?;
        let find = |name: &str| to.iter().find(|(other, _)| other == name).map(|(_, f)| *f);
        let both: Vec<(&str, Figure, Figure)> = from
            .iter()
            .filter_map(|(name, figure)| Some((name.as_str(), *figure, find(name)?)))
            .collect();
        let (a, b) = (a.path.display(), b.path.display());
        ensure!(!both.is_empty(), "{a} and {b} have no figure in common");
        let tested = |(_, f, t): &&(&str, Figure, Figure)| {
            f.standard_error.is_some() && t.standard_error.is_some()
        };
        let tests = both.iter().filter(tested).count();
        let mut differences = Vec::new();
        let mut lines = vec![["", "A", "B", "difference", ""].map(String::from).to_vec()];
        for (name, from, to) in both {
            let (difference, words) = difference(from, to, tests);
            let mut entry = Map::new();
            entry.insert("name".into(), json!(name));
            entry.insert("from".into(), object(from));
            entry.insert("to".into(), object(to));
            entry.insert("difference".into(), json!(to.value - from.value));
            entry.insert("standard-error".into(), json!(difference.map(|d| d.standard_error)));
            entry.insert("p-value".into(), json!(difference.map(|d| d.p_value)));
            entry.insert("change".into(), json!(words));
            differences.push(Value::Object(entry));
            let p =
                difference.map_or_else(String::new, |d| format!(" (p = {})", number(d.p_value)));
            let error = difference.map(|d| d.standard_error);
            lines.push(vec![
                name.to_owned(),
                page::with_error(from.value, from.standard_error),
                page::with_error(to.value, to.standard_error),
                page::with_error(to.value - from.value, error),
                format!("{words}{p}"),
            ]);
        }
        let note = change_note(tests);
        let text = if tests > 0 { table(&lines) + &note } else { table(&lines) };
        output.emit(&json!({"differences": differences, "test": note}), &text)
    }
}

fn object(figure: Figure) -> Value {
    json!({"value": figure.value, "standard-error": figure.standard_error})
}

/// The difference by a test, and what the test says at a level that so many share.
fn difference(from: Figure, to: Figure, tests: usize) -> (Option<Difference>, &'static str) {
    let estimate = |f: Figure| Some(Estimate { value: f.value, standard_error: f.standard_error? });
    let Some((from, to)) = estimate(from).zip(estimate(to)) else {
        return (None, "no standard error, no test");
    };
    let words = match change(from, to, tests) {
        Change::Rises => "rises",
        Change::Falls => "falls",
        Change::Holds => "not told apart",
    };
    (Some(Difference::dependent(from, to)), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(name: &str, value: Value) -> Results {
        Results { path: name.into(), value }
    }

    #[test]
    fn figures_that_do_not_compare_are_refused() {
        let good = json!({
            "values": {"frechet": {"value": 1.0, "standard-error": 0.1}},
            "samples": [10, 20],
            "features": {"extractor": "random-conv:seed=0", "weights": "ab", "resizing": "none"},
            "dimension": 128,
            "parameters": {"k": 5},
        });
        let a = results("a.json", good.clone());
        assert!(check(&a, &results("b.json", good.clone())).is_ok());
        for (pointer, other, said) in [
            ("/samples", json!([10, 21]), "different numbers of samples"),
            ("/samples/0", json!(null), "different numbers of samples"),
            ("/features/extractor", json!("pixels"), "different features"),
            ("/features/weights", json!("cd"), "different weights"),
            ("/features", json!(null), "different features"),
            ("/parameters/k", json!(3), "different parameters"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect("a value") = other;
            let error = check(&a, &results("b.json", bad)).expect_err("refused").to_string();
            assert!(error.contains(said) && error.contains("b.json"), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn words_follow_the_test() {
        let at = |value, error| Figure { value, standard_error: Some(error) };
        assert_eq!(difference(at(1.0, 0.1), at(3.0, 0.1), 1).1, "rises");
        assert_eq!(difference(at(3.0, 0.1), at(1.0, 0.1), 1).1, "falls");
        assert_eq!(difference(at(1.0, 0.1), at(1.1, 0.1), 1).1, "not told apart");
        let bare = Figure { value: 9.0, standard_error: None };
        assert_eq!(difference(at(1.0, 0.1), bare, 1), (None, "no standard error, no test"));
    }

    #[test]
    fn one_metric_or_many_are_read() {
        let one = results("a", json!({"metric": "w2", "value": 2.0, "standard-error": null}));
        let expected = Figure { value: 2.0, standard_error: None };
        assert_eq!(one.figures().expect("figures"), [("w2".to_owned(), expected)]);
        assert!(results("a", json!({"values": {}})).figures().is_err());
        assert!(results("a", json!([1])).figures().is_err());
        let infinite = results("a", json!({"metric": "kl", "value": "inf"}));
        let error = infinite.figures().expect_err("refused").to_string();
        assert!(error.contains("kl is \"inf\""), "{error}");
    }
}
