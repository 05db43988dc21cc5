//! What a comparison is made of: items, the tasks of those who do them, and what a result must agree in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use serde_json::{Map, Value};

use crate::cli::Options;

/// The unit in which an item is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    S,
    Ms,
    /// A rate: 1e9 floating-point operations a second.
    Gflops,
}

/// A piece of work that is timed.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its name in requests and results.
    pub(crate) key: String,
    pub(crate) unit: Unit,
    /// The floating-point operations that it takes at least, where its rate is reported.
    pub(crate) flops: Option<f64>,
    /// Whether its peak memory is measured.
    pub(crate) memory: bool,
    /// The size of an item `FAMILY/SIZE`, where growth is fitted over the sizes of a family.
    pub(crate) size: Option<f64>,
}

impl Item {
    pub(crate) fn new(key: impl Into<String>, unit: Unit) -> Self {
        Self { key: key.into(), unit, flops: None, memory: false, size: None }
    }

    pub(crate) fn flops(self, flops: f64) -> Self {
        Self { flops: Some(flops), ..self }
    }

    pub(crate) fn memory(self) -> Self {
        Self { memory: true, ..self }
    }
}

/// A name as a part of keys: whatever is no letter, digit or sign becomes `_`.
pub(crate) fn slug(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}

/// One item on one of our sides, ready to be done.
pub(crate) struct Task {
    /// Does it.
    pub(crate) run: Box<dyn FnMut() -> Result<()>>,
    /// How often it is done when its memory is measured: what is kept from one time to the next counts.
    pub(crate) memory_runs: usize,
    /// What the work comes to; nothing where there is nothing to compare.
    pub(crate) result: Box<dyn Fn() -> Result<Vec<Part>>>,
    /// What other software computes the same from.
    pub(crate) inputs: Inputs,
}

impl Task {
    /// A task without a result.
    pub(crate) fn new<T>(mut run: impl FnMut() -> Result<T> + 'static) -> Self {
        Self {
            run: Box::new(move || run().map(|done| drop(std::hint::black_box(done)))),
            memory_runs: 3,
            result: Box::new(|| Ok(Vec::new())),
            inputs: Inputs::default(),
        }
    }

    pub(crate) fn result(self, result: impl Fn() -> Result<Vec<Part>> + 'static) -> Self {
        Self { result: Box::new(result), ..self }
    }
}

/// Makes the task of an item; none for an item that the side leaves out.
type Make = Box<dyn Fn(&str) -> Result<Option<Task>>>;

/// A way in which this workspace does the items.
pub(crate) struct Ours {
    /// Its prefix in the keys of the result.
    pub(crate) key: String,
    pub(crate) name: String,
    make: Make,
}

impl Ours {
    pub(crate) fn new(
        key: &str,
        name: &str,
        make: impl Fn(&str) -> Result<Option<Task>> + 'static,
    ) -> Self {
        Self { key: key.to_owned(), name: name.to_owned(), make: Box::new(make) }
    }

    /// The tasks of those items that the side does.
    pub(crate) fn tasks(&self, items: &[Item]) -> Result<BTreeMap<String, Task>> {
        let task = |item: &Item| {
            let task = (self.make)(&item.key).with_context(|| item.key.clone());
            task.map(|task| Some((item.key.clone(), task?))).transpose()
        };
        items.iter().filter_map(task).collect()
    }
}

/// Other software: the script to start, and what to call it.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Its name in the keys of the result.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) script: &'static str,
    pub(crate) flags: &'static [&'static str],
    /// Whether the comparison goes on without it.
    pub(crate) optional: bool,
}

/// Does items of a workload.
pub(crate) trait Worker {
    /// Whether it does this item.
    fn does(&self, item: &str) -> bool;
    /// The seconds of an item, by the rule of [`settled`](crate::timing::settled).
    fn time(&mut self, item: &str) -> Result<f64>;
    /// What an item comes to, part after part.
    fn result(&mut self, item: &str) -> Result<Vec<f64>>;
    /// Peak memory of an item in a process of its own, above what that held before, in KiB.
    fn memory_kib(&mut self, item: &str) -> Result<Option<u64>>;
    /// The software it is, with versions.
    fn versions(&self) -> BTreeMap<String, String>;
    /// How it does things, where there are several ways.
    fn remarks(&self) -> Vec<String>;
}

/// What a command measures.
pub(crate) struct Workload {
    pub(crate) items: Vec<Item>,
    /// Our sides. The first does all items; results and times of the others are held against it.
    pub(crate) ours: Vec<Ours>,
    /// The same in double precision, from which the errors of gradients are taken.
    pub(crate) exact: Option<Ours>,
    /// Other software.
    pub(crate) peers: &'static [Spec],
    /// What the peers are given for all items together.
    pub(crate) inputs: Inputs,
    /// What a reader must know beside the machine, by name.
    pub(crate) facts: Map<String, Value>,
}

impl Workload {
    pub(crate) fn new(items: Vec<Item>, ours: Vec<Ours>) -> Self {
        let (inputs, facts) = (Inputs::default(), Map::new());
        Self { items, ours, exact: None, peers: &[], inputs, facts }
    }

    /// Leaves the items that were asked for.
    pub(crate) fn choose(&mut self, options: &Options) -> Result<()> {
        let wanted = options.items();
        ensure!(!self.items.is_empty(), "nothing to measure");
        let known: Vec<&str> = self.items.iter().map(|item| item.key.as_str()).collect();
        for item in &wanted {
            ensure!(known.contains(item), "`{item}` is none of {}", known.join(", "));
        }
        self.items.retain(|item| wanted.is_empty() || wanted.contains(&item.key.as_str()));
        Ok(())
    }

    /// The tasks of our first side.
    pub(crate) fn into_tasks(mut self, options: &Options) -> Result<BTreeMap<String, Task>> {
        self.choose(options)?;
        self.ours[0].tasks(&self.items)
    }
}

/// Arrays by name, and other values.
#[derive(Default)]
pub(crate) struct Inputs {
    pub(crate) arrays: Vec<(String, Tensor)>,
    pub(crate) values: Map<String, Value>,
}

impl Inputs {
    /// Puts `other` under `name`.
    pub(crate) fn insert(&mut self, name: &str, other: &Self) {
        let arrays =
            other.arrays.iter().map(|(key, array)| (format!("{name}/{key}"), array.clone()));
        self.arrays.extend(arrays);
        self.values.insert(name.to_owned(), Value::Object(other.values.clone()));
    }

    /// Writes `inputs.npz` and `inputs.json`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        Tensor::write_npz(&self.arrays, folder.join("inputs.npz"))?;
        std::fs::write(folder.join("inputs.json"), serde_json::to_string(&self.values)?)
            .context("cannot write the inputs")
    }
}

/// A kind of result, and how near to ours another side must come for its times to be compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The largest relative difference.
    limit: f64,
    norm: fn(&[f64]) -> f64,
}

pub(crate) const LOSS: Kind = Kind { name: "loss", limit: 1e-4, norm: euclidean };
/// A tensor of the gradient.
pub(crate) const GRADIENT: Kind = Kind { name: "gradient", limit: 2e-4, norm: euclidean };
/// Where the paths of the flow ODE end.
pub(crate) const PATH: Kind = Kind { name: "path", limit: 1e-3, norm: euclidean };
/// Output or gradient of a convolution.
pub(crate) const CONVOLUTION: Kind = Kind { name: "convolution", limit: 1e-5, norm: largest };
/// Output or gradient of a U-Net.
pub(crate) const NETWORK: Kind = Kind { name: "network", limit: 1e-3, norm: largest };
/// The cost of an optimal transport.
pub(crate) const TRANSPORT: Kind = Kind { name: "transport", limit: 1e-9, norm: euclidean };

/// A part of a result.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    /// What it is called in errors.
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

impl Part {
    pub(crate) fn new(kind: Kind, name: impl Into<String>, values: Vec<f64>) -> Self {
        Self { kind, name: name.into(), values }
    }

    pub(crate) fn of(kind: Kind, name: impl Into<String>, tensor: &Tensor) -> Result<Self> {
        Ok(Self::new(kind, name, tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?))
    }

    /// The relative difference of `theirs` from these values.
    pub(crate) fn difference(&self, theirs: &[f64]) -> f64 {
        let difference: Vec<f64> = theirs.iter().zip(&self.values).map(|(a, b)| a - b).collect();
        let difference = (self.kind.norm)(&difference);
        if difference == 0.0 { 0.0 } else { difference / (self.kind.norm)(&self.values) }
    }

    /// The same, as an error where it is too large for the times to be compared.
    pub(crate) fn agrees(&self, theirs: &[f64]) -> Result<f64> {
        let (difference, limit) = (self.difference(theirs), self.kind.limit);
        let name = &self.name;
        ensure!(difference <= limit, "{name}: {difference:.1e} from ours, at most {limit:.0e}");
        Ok(difference)
    }
}

fn euclidean(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// The largest absolute value; NaN if one is.
fn largest(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0, |most: f64, v| if v.abs() <= most || most.is_nan() { most } else { v.abs() })
}

/// Cuts values in a row into those of each part.
pub(crate) fn by_part<'a>(
    parts: &'a [Part],
    values: &'a [f64],
) -> Result<Vec<(&'a Part, &'a [f64])>> {
    let expected: usize = parts.iter().map(|part| part.values.len()).sum();
    ensure!(values.len() == expected, "{} numbers, not {expected}", values.len());
    let mut rest = values;
    let mut cut = |part: &'a Part| {
        let (found, after) = rest.split_at(part.values.len());
        rest = after;
        (part, found)
    };
    Ok(parts.iter().map(&mut cut).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative() {
        let difference = |kind, a: &[f64], b: &[f64]| Part::new(kind, "", b.to_vec()).difference(a);
        assert_eq!(difference(LOSS, &[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(difference(LOSS, &[3.0, 9.0], &[3.0, 4.0]), 1.0);
        assert_eq!(difference(NETWORK, &[3.0, 9.0], &[3.0, 4.0]), 1.25);
        for kind in [LOSS, NETWORK] {
            assert_eq!(difference(kind, &[0.0], &[0.0]), 0.0);
            assert_eq!(difference(kind, &[1.0], &[0.0]), f64::INFINITY);
            assert!(difference(kind, &[f64::NAN, 1.0], &[1.0, 2.0]).is_nan());
        }
    }

    #[test]
    fn parts_that_differ_are_refused() {
        let parts = [Part::new(LOSS, "loss", vec![2.0]), Part::new(GRADIENT, "w", vec![1.0, 2.0])];
        let compare = |values: &[f64]| -> std::result::Result<Vec<f64>, String> {
            let both = by_part(&parts, values).map_err(|e| e.to_string())?;
            both.iter().map(|(part, v)| part.agrees(v).map_err(|e| e.to_string())).collect()
        };
        assert_eq!(compare(&[2.0, 1.0, 2.0]), Ok(vec![0.0, 0.0]));
        let cases = [
            (vec![2.1, 1.0, 2.0], "loss: 5.0e-2 from ours, at most 1e-4"),
            (vec![2.0, 1.0, 2.1], "w: 4.5e-2 from ours, at most 2e-4"),
            (vec![2.0, f64::NAN, 2.0], "w: NaN from ours, at most 2e-4"),
            (vec![2.0, 1.0], "2 numbers, not 3"),
        ];
        for (values, expected) in cases {
            assert_eq!(compare(&values), Err(expected.to_owned()));
        }
    }
}
