//! The registry: names, what is said, what is refused.

use std::collections::BTreeSet;

use metrics::{Details, Error, Histogram2d, Kernel, Kind, Metric, Options, Parameter, Sample};
use ndarray::{Array1, array};

use crate::support::{Numbers, check_close};

#[test]
fn names_are_unique_and_lead_back() {
    let mut seen = BTreeSet::new();
    for &metric in Metric::ALL {
        for &name in metric.info().aliases.iter().chain(&[metric.name()]) {
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(Metric::parse(name), Ok(metric));
        }
    }
    let error = Metric::parse("w3").unwrap_err().to_string();
    assert!(error.starts_with("no metric `w3`; there are w2, w1, "), "{error}");
}

#[test]
fn every_entry_is_complete() {
    for &metric in Metric::ALL {
        let (name, info) = (metric.name(), metric.info());
        assert!(metric.summary().ends_with('.'), "{name}: {}", metric.summary());
        for text in [info.formula, info.cost, info.reference] {
            assert!(!text.is_empty() && !text.contains('\n'), "{name}: {text}");
        }
        assert!(info.kinds().count() > 0, "{name}");
        assert!(Metric::markdown().contains(&format!("\n| `{name}` | ")), "{name}");
    }
    for &parameter in Parameter::ALL {
        let takes = |m: &&Metric| m.info().parameters.contains(&parameter);
        assert!(Metric::ALL.iter().any(|m| takes(&m)), "{}: nobody's", parameter.name());
    }
    // A table that Markdown reads: as many bars in every row.
    let bars = |row: &str| row.replace("\\|", "").matches('|').count();
    let table = Metric::markdown();
    assert!(table.lines().all(|row| bars(row) == bars(table.lines().next().unwrap())), "{table}");
}

/// Through the registry or directly: the same number.
#[test]
fn the_registry_adds_nothing() {
    let mut numbers = Numbers::new(1);
    let (x, y) = (numbers.normals(40, 2), numbers.normals(30, 2) + 0.5);
    let options = Options { bandwidth: Some(0.8), unbiased: true, ..Options::default() };
    let found = |metric: Metric| {
        let (x, y) = (Sample::cloud(x.clone()), Sample::cloud(y.clone()));
        metric.evaluate(&x, &y, &options).unwrap()
    };
    assert_eq!(found(Metric::W2).value, metrics::w2(x.view(), y.view()).unwrap().distance());
    assert_eq!(found(Metric::W1).value, metrics::w1(x.view(), y.view()).unwrap().distance());
    let mmd = metrics::mmd2_with_error(x.view(), y.view(), Kernel::Rbf { bandwidth: 0.8 }).unwrap();
    let through = found(Metric::Mmd);
    assert_eq!((through.value, through.standard_error), (mmd.unbiased, mmd.standard_error));
    assert!(matches!(through.details, Details::Mmd { bandwidth: Some(0.8), .. }));
    let frechet = metrics::frechet_distance(x.view(), y.view()).unwrap();
    assert_eq!(found(Metric::Frechet).value, frechet);
}

/// Weights on one side: the other has the same mass in equal parts.
#[test]
fn masses_are_stated_and_compared() {
    let (x, y) = (array![[0.0], [1.0]], array![[2.0], [4.0]]);
    let weighted = |w: Array1<f64>| Sample::weighted(x.clone(), w);
    let (options, other) = (Options::default(), Sample::cloud(y.clone()));
    let found = Metric::W1.evaluate(&weighted(array![3.0, 1.0]), &other, &options).unwrap();
    assert_eq!(found.mass, [4.0, 4.0]);
    check_close("W1", found.value, 3.0 - 0.25, 1e-15, 0.0);
    let heavy = Sample::weighted(y.clone(), array![1.0, 1.0]);
    for metric in [Metric::W1, Metric::W2, Metric::Sliced] {
        let error = metric.evaluate(&weighted(array![3.0, 1.0]), &heavy, &options).unwrap_err();
        assert_eq!(error, Error::UnequalMass { left: 4.0, right: 2.0 });
    }
    let histogram = |w: f64| Histogram2d::from_weights(1.0, array![[w, w], [0.0, w]]).unwrap();
    let (a, b) = (Sample::Histogram(histogram(1.0)), Sample::Histogram(histogram(2.0)));
    let error = Metric::TotalVariation.evaluate(&a, &b, &options).unwrap_err();
    assert_eq!(error, Error::UnequalMass { left: 3.0, right: 6.0 });
    let found = Metric::W2.evaluate(&b, &b, &options).unwrap();
    assert_eq!((found.mass, found.discarded), ([6.0, 6.0], Some([0.0, 0.0])));
}

#[test]
fn what_a_metric_does_not_take_is_named() {
    let cloud = Sample::cloud(array![[0.0, 0.0], [1.0, 1.0]]);
    let weighted = Sample::weighted(array![[0.0, 0.0], [1.0, 1.0]], array![0.5, 0.5]);
    let histogram =
        Sample::Histogram(Histogram2d::from_weights(1.0, array![[1.0, 0.0], [0.0, 1.0]]).unwrap());
    let values = Sample::LogDensities(array![0.0, 1.0]);
    let options = Options::default();
    let refuse = |metric: Metric, x: &Sample, y: Option<&Sample>, expected: &str| {
        assert_eq!(metric.evaluate(x, y, &options).unwrap_err().to_string(), expected);
    };
    let kinds = "found samples of two kinds";
    refuse(Metric::Mmd, &weighted, Some(&cloud), "mmd takes clouds, found weights");
    refuse(Metric::Mmd, &histogram, Some(&histogram), "mmd takes clouds, found histograms");
    refuse(Metric::TotalVariation, &cloud, Some(&cloud), "tv takes histograms, found clouds");
    refuse(
        Metric::W2,
        &cloud,
        Some(&histogram),
        &format!("w2 takes weighted clouds, histograms, {kinds}"),
    );
    refuse(Metric::W1, &cloud, None, "w1 takes weighted clouds, found one sample");
    refuse(Metric::W1, &values, None, "w1 takes weighted clouds, found log-densities");
    assert_eq!(values.kind(), Kind::LogDensities);
}
