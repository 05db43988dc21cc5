//! Metrics by nearest neighbours and classifiers; the second sample is the reference.

use crate::classifier::{Classifier, classifier_test};
use crate::error::Result;
use crate::estimate::Estimate;
use crate::input::{FIRST, SECOND, check_pair};
use crate::metric::{Cloud, Details, Measured, Options};
use crate::neighbours::{self, Manifolds, check_neighbours, precision_recall};

/// Neighbours that reach out a ball, as Naeem et al. (2020) have it.
const NEIGHBOURS: usize = 5;

/// Weight of half the squared coefficients of the logistic regression.
const RIDGE: f64 = 1.0;

pub(in crate::metric) fn precision(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    manifolds(x, y, options, |found| found.precision)
}

pub(in crate::metric) fn recall(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    manifolds(x, y, options, |found| found.recall)
}

pub(in crate::metric) fn density(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    manifolds(x, y, options, |found| found.density)
}

pub(in crate::metric) fn coverage(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    manifolds(x, y, options, |found| found.coverage)
}

fn manifolds(
    x: &Cloud,
    y: &Cloud,
    options: &Options,
    which: fn(&Manifolds) -> Estimate,
) -> Result<Measured> {
    // The errors it comes with take the balls as given, which are at least as noisy as the points in
    // them: they are half of the true ones, and no error bar.
    let k = options.neighbours.unwrap_or(NEIGHBOURS);
    // The truth comes first there; errors name the samples as they came here.
    check_pair(x.view(), y.view(), 1)?;
    check_neighbours(k, FIRST, x.view())?;
    check_neighbours(k, SECOND, y.view())?;
    let overlap = precision_recall(y.view(), x.view(), k)?;
    Ok(Measured::new(which(&overlap).value).with(Details::Manifolds { overlap, k }))
}

pub(in crate::metric) fn authenticity(x: &Cloud, y: &Cloud, _: &Options) -> Result<Measured> {
    // The error it comes with takes the training rows as given: no error bar of other training rows.
    Ok(Measured::new(neighbours::authenticity(x.view(), y.view())?.value))
}

pub(in crate::metric) fn nearest(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    test(x, y, options, Classifier::NearestNeighbours { k: options.neighbours })
}

pub(in crate::metric) fn logistic(x: &Cloud, y: &Cloud, options: &Options) -> Result<Measured> {
    test(x, y, options, Classifier::Logistic { ridge: RIDGE })
}

fn test(x: &Cloud, y: &Cloud, options: &Options, classifier: Classifier) -> Result<Measured> {
    let found = classifier_test(x.view(), y.view(), classifier, options.key)?;
    Ok(Measured::estimate(found.accuracy, options).with(Details::Classifier(found)))
}
