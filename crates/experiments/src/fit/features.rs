//! Distances of images in features of a random convolution network.

use anyhow::Result;
use data::Kind;
use metrics::Metric;
use ndarray::Array2;
use report::{Sheet, html};
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::config::Measuring;
use super::measure::{Compared, Distance, Pair, between};
use super::tables;
use crate::features::{Described, Extractor};
use crate::runs::Workspace;

/// The network of every report, so that figures of different runs compare.
const EXTRACTOR: Extractor = Extractor::RandomConv { seed: 0 };

/// The distances.
const METRICS: [Metric; 2] = [Metric::Frechet, Metric::Kid];

/// What was found in features.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Featured {
    pub(super) by: Described,
    pub(super) distances: Vec<Distance>,
}

/// Frechet distances and KID of all pairs, of images that the network takes.
pub(super) fn featured(
    kind: &Kind,
    compared: &Compared,
    (measuring, key): (&Measuring, Key),
    workspace: &Workspace,
) -> Result<Option<Featured>> {
    let Kind::Images { channels, height, width, .. } = *kind else { return Ok(None) };
    let size = [channels, height, width];
    if !EXTRACTOR.takes(size) {
        return Ok(None);
    }
    workspace.part("features", || {
        // Pixels are measured from 0 to 1 already.
        let of = |rows: &Array2<f64>| EXTRACTOR.features(compared.first(rows, measuring), size);
        let (ode, by) = of(&compared.ode)?;
        let features = Compared {
            ode,
            sde: of(&compared.sde)?.0,
            training: of(&compared.training)?.0,
            test: of(&compared.test)?.0,
        };
        let mut distances = Vec::new();
        for pair in Pair::ALL {
            distances.extend(between(&METRICS, &features, pair, measuring, key)?);
        }
        Ok(Some(Featured { by, distances }))
    })
}

/// The section on them.
pub(super) fn section(sheet: &mut Sheet, found: &Featured) {
    let rows = found.distances.first().map_or(0, |d| d.floor.size[0]);
    let weights = found.by.weights.as_deref().unwrap_or("");
    sheet.section("Features", html! {
        "Distances of " (found.by.dimension) " features of an image, between equally many images (" (rows)
        " of each side), none of them resized. The features are those of " (found.by.extractor) ", a convolution network of random weights (BLAKE3 "
        (&weights[..weights.len().min(16)])
        "\u{2026}): they see contrast, texture and layout, and compare with other figures of this network and this number of images only. "
        "Frechet distances are squared; KID is the unbiased estimate over all pairs, which may be negative."
        @if let Some(note) = deficient(found) { " " (note) }
    });
    sheet.table(tables::distances("features", &found.distances));
}

/// What is wrong with Frechet distances of few images.
fn deficient(found: &Featured) -> Option<String> {
    let (n, d) = (found.distances.first()?.floor.size[0], found.by.dimension);
    (n <= d).then(|| format!("Of {n} images the covariance of {d} features has no full rank: Frechet distances are biased upward."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{Estimate, NoiseFloor};

    #[test]
    fn few_images_are_said_to_be_few() {
        let found = |n: usize| Featured {
            by: Described {
                extractor: "random-conv:seed=0".into(),
                weights: None,
                dimension: 128,
                resizing: "none".into(),
                range: None,
            },
            distances: vec![Distance {
                metric: "frechet".into(),
                pair: Pair::OdeTest,
                found: Estimate::default(),
                floor: NoiseFloor { size: [n, n], values: vec![0.0] },
            }],
        };
        assert!(deficient(&found(128)).is_some_and(|note| note.contains("Of 128 images")));
        assert_eq!(deficient(&found(129)), None);
    }
}
