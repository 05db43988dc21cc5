//! Can a classifier tell two samples apart, on points it has not seen?

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use sde_core::Key;
use statrs::distribution::{DiscreteCDF, Hypergeometric};

use super::{logistic, voting};
use crate::copies::same_draws;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::check_pair;
use crate::keyed::shuffled;
use crate::scale::{WIDE, framed};

/// What learns to tell the samples apart.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Classifier {
    /// The majority of the k nearest training points, of equally near ones in equal shares; the nearest
    /// one decides a draw. `None`: the root of the number of training points, as in the paper.
    NearestNeighbours {
        /// Neighbours that vote.
        k: Option<usize>,
    },
    /// Logistic regression on standardised coordinates, their squares and (up to 20 coordinates) their
    /// products: finds differences of means and covariances.
    Logistic {
        /// Weight of half the squared coefficients against the sum of the log-likelihoods.
        ridge: f64,
    },
}

/// What a classifier two-sample test found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TwoSampleTest {
    /// Share of the held-out points that were told right, with its binomial standard error: one half
    /// where nothing is to be told. Points that are as near to either sample count half.
    pub accuracy: Estimate,
    /// Chance of at least so many right where the samples are of one law, exact whatever the
    /// classifier (Fisher's exact test of what was told against what is).
    pub p_value: f64,
    /// Points the classifier learned from, half of them of each sample.
    pub n_train: usize,
    /// Points it was asked about, half of them of each sample.
    pub n_test: usize,
}

/// Classifier two-sample test: held-out accuracy of telling x from y, and its p-value.
///
/// Of each sample as many rows as the smaller one has, in an order that the key draws; the first half
/// trains, the second is asked. Under the null hypothesis the labels of the test points are a random
/// arrangement of equally many of both, whatever the classifier says of the points, so the number told
/// right follows a hypergeometric law. A draw that both samples hold (equal rows, where no sample repeats a
/// row) is on both sides for training, or on both sides asked about: else one copy would tell the answer
/// about the other, and the wrong one.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= 4.
///
/// # Errors
/// Fewer than four rows, different dimensions, values that are not finite, k of zero or above the
/// number of training points, a ridge that is not positive.
///
/// # Reference
/// D. Lopez-Paz and M. Oquab, *Revisiting classifier two-sample tests*, 2017, arXiv:1610.06545.
///
/// ```
/// use metrics::{Classifier, classifier_test};
/// use ndarray::Array2;
/// use sde_core::Key;
/// let x = Array2::from_shape_fn((60, 1), |(i, _)| i as f64);
/// let y = &x + 100.0;
/// let learner = Classifier::NearestNeighbours { k: None };
/// let found = classifier_test(x.view(), y.view(), learner, Key::root(1))?;
/// assert_eq!(found.accuracy.value, 1.0);
/// assert!(found.p_value < 1e-10);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn classifier_test(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    classifier: Classifier,
    key: Key,
) -> Result<TwoSampleTest> {
    check_pair(x, y, 4)?;
    let each = x.nrows().min(y.nrows());
    let train = each / 2;
    match classifier {
        Classifier::NearestNeighbours { k: Some(k) } if k == 0 || k > 2 * train => {
            let expected = "between 1 and the number of training points";
            return Err(Error::InvalidParameter { name: "k", expected, value: k as f64 });
        }
        Classifier::Logistic { ridge } if !(ridge > 0.0 && ridge.is_finite()) => {
            let expected = "positive and finite";
            return Err(Error::InvalidParameter { name: "ridge", expected, value: ridge });
        }
        _ => {}
    }
    let drawn = |cloud: ArrayView2<f64>, side: u64| {
        cloud.select(Axis(0), &shuffled(key.fold(side), cloud.nrows(), each))
    };
    let size = if matches!(classifier, Classifier::Logistic { .. }) { 0 } else { WIDE };
    let pair = framed(x, y, size);
    let (x, y) = (drawn(pair.x.view(), 0), drawn(pair.y.view(), 1));
    let y = y.select(Axis(0), &beside(&x, &y, train));
    let pooled = |rows: std::ops::Range<usize>| -> Result<Array2<f64>> {
        let parts = [x.slice(s![rows.clone(), ..]), y.slice(s![rows, ..])];
        // Both have the same columns by now.
        concatenate(Axis(0), &parts)
            .map_err(|_| Error::DimensionMismatch { left: x.ncols(), right: y.ncols() })
    };
    // The first half of either pool are rows of x.
    let (learn, ask) = (pooled(0..train)?, pooled(train..each)?);
    let says_y = match classifier {
        Classifier::NearestNeighbours { k } => {
            let k = k.unwrap_or_else(|| learn.nrows().isqrt().max(1));
            voting::predict(learn.view(), ask.view(), k)
        }
        Classifier::Logistic { ridge } => logistic::predict(learn.view(), ask.view(), ridge),
    };
    judge(&says_y, learn.nrows())
}

/// The rows of y in an order in which those that are the same draw as one of the first `train` rows of x
/// are among the first `train`, those that are another are not, and all others fill the places left, in
/// their order.
fn beside(x: &Array2<f64>, y: &Array2<f64>, train: usize) -> Vec<usize> {
    let mut copies = vec![None; y.nrows()];
    for (i, j) in same_draws(x.view(), y.view()).into_iter().enumerate() {
        j.iter().for_each(|&j| copies[j] = Some(i));
    }
    let rows = |wanted: fn(Option<usize>, usize) -> bool| {
        (0..copies.len()).filter(|&j| wanted(copies[j], train)).collect::<Vec<_>>()
    };
    let mut first = rows(|copy, train| copy.is_some_and(|i| i < train));
    let mut second = rows(|copy, train| copy.is_some_and(|i| i >= train));
    let others = rows(|copy, _| copy.is_none());
    let (to_first, to_second) = others.split_at(train - first.len());
    first.extend(to_first);
    second.extend(to_second);
    first.sort_unstable();
    second.sort_unstable();
    [first, second].concat()
}

/// Counts what was told right; the first half of the points are of x. One is y, zero x, a half undecided.
fn judge(says_y: &[f64], n_train: usize) -> Result<TwoSampleTest> {
    let (n, half) = (says_y.len(), says_y.len() / 2);
    // Of the x all but those called y, of the y those called y.
    let right =
        half as f64 - says_y[..half].iter().sum::<f64>() + says_y[half..].iter().sum::<f64>();
    let p = right / n as f64;
    // For the exact test whoever is undecided says x: a rule that knows no label either.
    let count = |says: &[f64]| says.iter().filter(|says| **says == 1.0).count();
    let (said, hits) = (count(says_y), count(&says_y[half..]));
    let accuracy = Estimate { value: p, standard_error: (p * (1.0 - p) / n as f64).sqrt() };
    let law = Hypergeometric::new(n as u64, half as u64, said as u64);
    let p_value = match (law, hits) {
        (Ok(law), 1..) => law.sf(hits as u64 - 1).min(1.0),
        // As many right or more is certain.
        _ => 1.0,
    };
    Ok(TwoSampleTest { accuracy, p_value, n_train, n_test: n })
}
