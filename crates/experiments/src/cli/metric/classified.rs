//! Features of images by a classifier of noised data that was fitted to such images.

use std::path::Path;

use anyhow::{Context as _, Result};
use data::{Dataset, Features, Kind};
use score_nets::Classifier;

use crate::checks::{DIGITS, data_path};
use crate::features::{Described, Loaded, hash_of, size};
use crate::fit::Prepared;

/// What the last layer of the classifier in a file is given at the least noise that it was trained for, of two sets of images
/// and, where they are named, the training images.
///
/// # Errors
/// In one line: a file that is no classifier of images; images of another size or of other values.
pub(super) fn load(path: &Path, sets: [&Path; 2], training: Option<&Path>) -> Result<Loaded> {
    let classifier = Classifier::open(path)?;
    let shown = || path.display().to_string();
    let noted = Prepared::noted_in(classifier.config().data.as_ref());
    let prepared = noted.context("it was not fitted by `experiment fit`").and_then(|p| p);
    let prepared = prepared.with_context(shown)?;
    let kind = prepared.transform.kind();
    size(kind, path)?;
    let t = prepared.usual(classifier.sde()).t_end;
    let made = |path: &Path| -> Result<Features> {
        let of = || path.display().to_string();
        let rows = images(path, kind)?.to_array()?;
        let z = prepared.without_noise(rows.view()).with_context(of)?;
        Ok(Features::Rows(classifier.features(&z, t).with_context(shown)?))
    };
    let sides = [made(sets[0])?, made(sets[1])?];
    let mut weights = Vec::new();
    for (_, tensor) in classifier.parameters().iter() {
        weights.extend(crate::model::to_numbers(tensor)?);
    }
    let described = Described {
        extractor: "classifier".into(),
        weights: Some(hash_of(weights.into_iter())),
        dimension: sides[1].dim(),
        resizing: "none".into(),
        range: None,
    };
    Ok(Loaded { sides, training: training.map(made).transpose()?, described })
}

/// Images of a kind.
fn images(path: &Path, kind: &Kind) -> Result<Dataset> {
    if data_path(path)? == DIGITS {
        return data::digits().conform(kind).with_context(|| path.display().to_string());
    }
    Ok(data::open_as(path, kind, &["label"])?)
}
