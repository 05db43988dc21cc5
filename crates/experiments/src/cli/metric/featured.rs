//! Sides of `metric` that are images or features, of which some files hold nothing but mean and covariance.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use data::{Features, Moments};
use metrics::{Kind, Metric, Sample};
use serde_json::{Map, Value, json};

use super::{Args, classified};
use crate::cli::Output;
use crate::cli::output::{number, short, table};
use crate::features::{self, Described, Extractor, Loaded};

/// Features of both sides, where they were asked for or a file names its arrays as features.
pub(super) fn load(args: &Args) -> Result<Option<Loaded>> {
    let archives = Features::are_in(&args.a) || args.b.as_deref().is_some_and(Features::are_in);
    let Some(extractor) = args.features.clone().or(archives.then_some(Extractor::File)) else {
        return Ok(None);
    };
    let (name, info) = (args.metric.name(), args.metric.info());
    let takes = info.takes();
    ensure!(
        info.kinds().any(|k| k == Kind::Cloud),
        "features do not go with {name}, which takes {takes}"
    );
    for (flag, given) in [
        ("--grid", args.grid.is_some()),
        ("--weights-a", args.weights_a.is_some()),
        ("--weights-b", args.weights_b.is_some()),
    ] {
        ensure!(!given, "{flag} does not go with features");
    }
    let b = args.b.as_ref().with_context(|| format!("{name} compares two arrays: B is missing"))?;
    of(&extractor, [&args.a, b], None).map(Some)
}

/// Features of two sets, and of training rows where they are named.
pub(super) fn of(
    extractor: &Extractor,
    sets: [&Path; 2],
    training: Option<&Path>,
) -> Result<Loaded> {
    match extractor {
        Extractor::Classifier(path) => classified::load(path, sets, training),
        other => features::load(other, sets, training),
    }
}

/// What can be done with two sides.
pub(super) enum Sides {
    /// Rows on both.
    Rows([Sample; 2]),
    /// A mean and a covariance on one of them at least.
    Moments([Features; 2]),
}

impl From<[Features; 2]> for Sides {
    fn from(sides: [Features; 2]) -> Self {
        match sides {
            [Features::Rows(x), Features::Rows(y)] => {
                Self::Rows([Sample::cloud(x), Sample::cloud(y)])
            }
            other => Self::Moments(other),
        }
    }
}

/// What made features, in words.
pub(super) fn words(described: &Described) -> String {
    let Described { extractor, weights, dimension, resizing, range } = described;
    let mut text = format!("{dimension} of {extractor}");
    if let Some(hash) = weights {
        text += &format!(", weights {}", &hash[..hash.len().min(16)]);
    }
    if let Some([low, high]) = range {
        text += &format!(", pixels from {low} to {high}");
    }
    text + &format!(", resizing: {resizing}")
}

/// What is to be said of features that are compared by mean and covariance.
pub(super) fn notes(sizes: [Option<usize>; 2], dimension: usize) -> Vec<String> {
    let side = |(name, n): (&str, Option<usize>)| match n {
        None => Some(format!("{name}: the number of rows is not known, on which the bias depends")),
        Some(n) if n <= dimension => Some(format!(
            "{name}: {n} rows of {dimension} numbers: the covariance has at most rank {}, and the distance is biased upward",
            n.saturating_sub(1)
        )),
        Some(_) => None,
    };
    ["A", "B"].into_iter().zip(sizes).filter_map(side).collect()
}

/// A Frechet distance of which one side at least is a mean and a covariance.
pub(super) fn of_moments(
    args: &Args,
    sides: &[Features; 2],
    described: &Described,
    output: &Output,
) -> Result<()> {
    let name = args.metric.name();
    let paths = [Some(&args.a), args.b.as_ref()];
    let bare = |k: &usize| matches!(sides[*k], Features::Moments(_));
    let shown = (0..2).find(bare).and_then(|k| paths[k]).map_or(Path::new(""), |p| p).display();
    if args.metric != Metric::Frechet {
        bail!("{shown}: a mean and a covariance, of which `frechet` can be computed, not {name}");
    }
    for (flag, given) in
        [("--bootstrap", args.bootstrap.is_some()), ("--floor", args.floor.is_some())]
    {
        ensure!(!given, "{shown}: a mean and a covariance have no rows for {flag}");
    }
    let start = Instant::now();
    let value = frechet([sides[0].moments()?, sides[1].moments()?])?;
    let (samples, d) = (sides.each_ref().map(Features::n), described.dimension);
    let (seconds, notes) = (start.elapsed().as_secs_f64(), notes(samples, d));
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.into(), value);
    put("metric", json!(name));
    put("value", json!(value));
    put("standard-error", Value::Null);
    put("parameters", json!({}));
    put("samples", json!(samples));
    put("dimension", json!(d));
    put("features", json!(described));
    put("notes", json!(notes));
    put("seconds", json!(seconds));
    let sizes = samples.map(|n| n.map_or_else(|| "unknown".into(), |n| n.to_string()));
    let mut lines = vec![
        vec![name.into(), number(value)],
        vec!["samples".into(), sizes.join(" and ")],
        vec!["features".into(), words(described)],
    ];
    lines.extend(notes.into_iter().map(|note| vec!["note".to_owned(), note]));
    lines.push(vec!["seconds".into(), short(seconds)]);
    output.emit(&object, &table(&lines))
}

/// Squared Frechet distance of two means and covariances.
pub(super) fn frechet([a, b]: [Moments; 2]) -> Result<f64> {
    let gaussian = |m: &Moments| (m.mean.clone(), m.covariance.clone());
    let ((m1, c1), (m2, c2)) = (gaussian(&a), gaussian(&b));
    Ok(metrics::gaussian_w2(m1.view(), c1.view(), m2.view(), c2.view())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_and_unknown_numbers_are_said() {
        assert!(notes([Some(5), Some(9)], 4).is_empty());
        let said = notes([Some(4), None], 4);
        assert!(said[0].starts_with("A: 4 rows of 4") && said[0].contains("rank 3"), "{said:?}");
        assert!(said[1].starts_with("B: the number of rows is not known"), "{said:?}");
    }
}
