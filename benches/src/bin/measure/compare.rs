//! Sides that take turns: first the same results, then the clock, then memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::cli::Options;
use crate::idle::Idle;
use crate::machine;
use crate::peer::{Peer, write_scripts};
use crate::timing::settled;
use crate::workload::{GRADIENT, Item, Ours, Part, Task, Worker, Workload, by_part};

/// This workspace: a task for each item.
pub(crate) type Tasks = BTreeMap<String, Task>;

impl Worker for Tasks {
    fn does(&self, item: &str) -> bool {
        self.contains_key(item)
    }

    fn time(&mut self, item: &str) -> Result<f64> {
        let task = self.get_mut(item).context("no such item")?;
        settled(&mut task.run)
    }

    fn result(&mut self, item: &str) -> Result<Vec<f64>> {
        let parts = (self.get(item).context("no such item")?.result)()?;
        Ok(parts.into_iter().flat_map(|part| part.values).collect())
    }

    fn memory_kib(&mut self, item: &str) -> Result<Option<u64>> {
        machine::peak_of_its_own(item)
    }

    fn versions(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("score-sde".to_owned(), env!("CARGO_PKG_VERSION").to_owned())])
    }

    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Someone who takes part, and what was measured.
pub(crate) struct Side {
    /// Its prefix in the keys of the result; empty for ours.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) worker: Box<dyn Worker>,
    /// Seconds of every item, round by round.
    pub(crate) times: BTreeMap<String, Vec<f64>>,
    pub(crate) memory_kib: BTreeMap<String, u64>,
    /// The largest relative differences from ours, by kind of result.
    pub(crate) differences: BTreeMap<&'static str, f64>,
    /// The largest relative difference of a gradient from one in double precision.
    pub(crate) gradient_error: Option<f64>,
}

/// What the first side computes for an item, and the same in double precision.
struct Expected {
    item: String,
    parts: Vec<Part>,
    exact: Option<Vec<f64>>,
}

impl Side {
    pub(crate) fn new(key: &str, name: &str, worker: impl Worker + 'static) -> Self {
        Self {
            key: key.to_owned(),
            name: name.to_owned(),
            worker: Box::new(worker),
            times: BTreeMap::new(),
            memory_kib: BTreeMap::new(),
            differences: BTreeMap::new(),
            gradient_error: None,
        }
    }

    /// Notes how far the side's results are from ours; an error where one is too far.
    fn check(&mut self, expected: &[Expected]) -> Result<()> {
        for Expected { item, parts, exact } in expected {
            if self.worker.does(item) && !parts.is_empty() {
                self.check_item(item, parts, exact.as_deref())
                    .with_context(|| format!("{}: {item} is not the same", self.name))?;
            }
        }
        if !self.differences.is_empty() {
            let words = self.differences.iter().map(|(kind, d)| format!(" {kind} {d:.1e}"));
            eprintln!("{}: differences from ours:{}", self.name, words.collect::<String>());
        }
        Ok(())
    }

    fn check_item(&mut self, item: &str, parts: &[Part], exact: Option<&[f64]>) -> Result<()> {
        let found = self.worker.result(item)?;
        for (part, values) in by_part(parts, &found)? {
            let worst = self.differences.entry(part.kind.name).or_insert(0.0);
            *worst = worst.max(part.agrees(values)?);
        }
        let Some(exact) = exact else { return Ok(()) };
        for ((part, exact), (_, values)) in
            by_part(parts, exact)?.into_iter().zip(by_part(parts, &found)?)
        {
            if part.kind.name == GRADIENT.name {
                let error = Part { values: exact.to_vec(), ..part.clone() }.difference(values);
                self.gradient_error = Some(self.gradient_error.unwrap_or(0.0).max(error));
            }
        }
        Ok(())
    }
}

/// All sides, ours first, with what was measured.
pub(crate) struct Comparison {
    pub(crate) items: Vec<Item>,
    pub(crate) sides: Vec<Side>,
    /// The peers that did not start, and why.
    pub(crate) left_out: Vec<String>,
    pub(crate) facts: Map<String, Value>,
}

impl Comparison {
    /// Checks that all sides compute the same, then measures them.
    pub(crate) fn measure(
        mut workload: Workload,
        options: &Options,
        idle: &mut Idle,
    ) -> Result<Self> {
        workload.choose(options)?;
        let peers = if options.beside_peers() { workload.peers } else { &[] };
        ensure!(!options.beside_peers() || !peers.is_empty(), "no other software does this work");
        let tasks = |side: &Ours| side.tasks(&workload.items);
        let tasks: Vec<Tasks> = workload.ours.iter().map(tasks).collect::<Result<_>>()?;
        let alone = tasks.len() + peers.len() == 1 && workload.exact.is_none();
        let expected = if alone { Vec::new() } else { expected(&workload, &tasks[0])? };
        // The peers read it as long as they run.
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        if !peers.is_empty() {
            let mut inputs = workload.inputs;
            tasks[0].iter().for_each(|(item, task)| inputs.insert(item, &task.inputs));
            let keys: Vec<&str> = workload.items.iter().map(|item| item.key.as_str()).collect();
            inputs.values.insert("items".into(), json!(keys));
            inputs.write(folder.path())?;
            write_scripts(folder.path())?;
        }
        let ours = workload.ours.iter().zip(tasks);
        let mut sides: Vec<Side> =
            ours.map(|(ours, tasks)| Side::new(&ours.key, &ours.name, tasks)).collect();
        let mut left_out = Vec::new();
        for spec in peers {
            match Peer::start(spec, options, folder.path()) {
                Ok(peer) => sides.push(Side::new(spec.key, spec.name, peer)),
                Err(error) if spec.optional => {
                    eprintln!("left out: {error:#}");
                    left_out.push(format!("{error:#}"));
                }
                Err(error) => return Err(error),
            }
        }
        sides.iter_mut().try_for_each(|side| side.check(&expected))?;
        rounds(&workload.items, &mut sides, options.rounds, idle)?;
        memory(&workload.items, &mut sides)?;
        Ok(Self { items: workload.items, sides, left_out, facts: workload.facts })
    }
}

/// The results of the first side.
fn expected(workload: &Workload, ours: &Tasks) -> Result<Vec<Expected>> {
    let mut exact = match &workload.exact {
        Some(exact) => exact.tasks(&workload.items)?,
        None => Tasks::new(),
    };
    let mut found = Vec::new();
    for (item, task) in ours {
        let exact = exact.does(item).then(|| exact.result(item)).transpose()?;
        found.push(Expected { item: item.clone(), parts: (task.result)()?, exact });
    }
    Ok(found)
}

/// One round that does not count, then `rounds` that do. In each, every item is done once by every side
/// that has it, one side after the other, so that whatever disturbs the machine disturbs all alike.
fn rounds(items: &[Item], sides: &mut [Side], rounds: u16, idle: &mut Idle) -> Result<()> {
    let does = |item: &Item| sides.iter().filter(|side| side.worker.does(&item.key)).count();
    let measurements = usize::from(rounds) * items.iter().map(does).sum::<usize>();
    for round in 0..=rounds {
        eprintln!(
            "{}",
            if round == 0 { "warm-up".into() } else { format!("round {round} of {rounds}") }
        );
        for Item { key, .. } in items {
            let mut line = Vec::new();
            for Side { name, worker, times, .. } in sides.iter_mut() {
                if !worker.does(key) {
                    continue;
                }
                let mut time = || worker.time(key).with_context(|| format!("{name}: {key}"));
                let seconds = if round == 0 {
                    idle.probe()?;
                    time()?
                } else {
                    let seconds = idle.measure(measurements, time)?;
                    times.entry(key.clone()).or_default().push(seconds);
                    seconds
                };
                line.push(format!("{name} {seconds:.3e}"));
            }
            // A run is long: its times are on the screen even if it is stopped.
            eprintln!("  {key}, s: {}", line.join("; "));
        }
    }
    Ok(())
}

/// The peak memory of the items for which it is asked, on every side.
fn memory(items: &[Item], sides: &mut [Side]) -> Result<()> {
    for Item { key, .. } in items.iter().filter(|item| item.memory) {
        for Side { name, worker, memory_kib, .. } in sides.iter_mut() {
            if worker.does(key) {
                let kib = worker.memory_kib(key).with_context(|| format!("{name}: {key}"))?;
                memory_kib.extend(kib.map(|kib| (key.clone(), kib)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::workload::{LOSS, Unit};

    /// A task that takes no time, and the number of times it was done.
    fn counted(result: f64) -> (Task, Rc<Cell<usize>>) {
        let calls = Rc::new(Cell::new(0));
        let counter = calls.clone();
        let run = move || {
            counter.set(counter.get() + 1);
            Ok(())
        };
        (Task::new(run).result(move || Ok(vec![Part::new(LOSS, "loss", vec![result])])), calls)
    }

    fn side(name: &str, tasks: Vec<(&str, Task)>) -> Side {
        let tasks = tasks.into_iter().map(|(item, task)| (item.to_owned(), task));
        Side::new(name, name, tasks.collect::<Tasks>())
    }

    #[test]
    fn every_side_does_its_items_once_a_round() -> Result<()> {
        let ((a, a_calls), (b, b_calls), (c, _)) = (counted(1.0), counted(1.0), counted(1.0));
        let items = ["dsm", "sgemm"].map(|key| Item::new(key, Unit::Ms));
        let mut sides = [side("a", vec![("dsm", a), ("sgemm", c)]), side("b", vec![("dsm", b)])];
        rounds(&items, &mut sides, 1, &mut Idle::new(None)?)?;
        // Every measurement is two calls at least, and so is the round that is not counted.
        assert!(a_calls.get() >= 4 && b_calls.get() >= 4);
        let counts =
            sides.each_ref().map(|side| side.times.values().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(counts, [vec![1, 1], vec![1]]);
        Ok(())
    }

    #[test]
    fn a_side_that_computes_something_else_is_refused() -> Result<()> {
        let (ours, same, other) = (counted(2.0).0, counted(2.00001).0, counted(2.1).0);
        let expected =
            [Expected { item: "dsm".into(), parts: (ours.result)()?, exact: Some(vec![2.0]) }];
        let mut same = side("same", vec![("dsm", same)]);
        same.check(&expected)?;
        assert!((same.differences["loss"] - 5e-6).abs() < 1e-9);
        let error = side("other", vec![("dsm", other)]).check(&expected).expect_err("too far");
        let error = format!("{error:#}");
        assert_eq!(error, "other: dsm is not the same: loss: 5.0e-2 from ours, at most 1e-4");
        Ok(())
    }
}
