//! The classifier two-sample test.

mod logistic;
mod test;
mod voting;

pub use test::{Classifier, TwoSampleTest, classifier_test};
