use std::io::Read;

use flate2::read::GzDecoder;
use ndarray::Array2;
use sde_core::Key;

use crate::{Dataset, Kind, Labels, Pixels, Portion, Split, Values};

const N: usize = 1797;
const SIDE: usize = 8;

/// 64 pixels of every image, then the label of every image, compressed.
const PACKED: &[u8] = include_bytes!("digits.gz");

/// 1797 handwritten digits of 8 by 8 pixels, levels 0 to 16, with their classes: the test set of *Optical Recognition of
/// Handwritten Digits* as scikit-learn has it (`load_digits`).
///
/// # Reference
/// E. Alpaydin, C. Kaynak 1998, UCI Machine Learning Repository, doi 10.24432/C50P49, CC BY 4.0.
///
/// ```
/// let digits = data::digits();
/// assert_eq!((digits.len(), digits.dim(), digits.n_classes()), (1797, 64, 10));
/// ```
pub fn digits() -> Dataset {
    let mut bytes = Vec::with_capacity(N * (SIDE * SIDE + 1));
    GzDecoder::new(PACKED).read_to_end(&mut bytes).expect("compressed by us");
    let labels = bytes.split_off(N * SIDE * SIDE);
    let pixels = Array2::from_shape_vec((N, SIDE * SIDE), bytes).expect("64 bytes an image");
    let kind = Kind::Images { channels: 1, height: SIDE, width: SIDE, pixels: Pixels::Levels(17) };
    let labels = Labels {
        of: labels.into_iter().map(u32::from).collect(),
        classes: (0..10).map(|digit| digit.to_string()).collect(),
    };
    Dataset::new(kind, Values::Bytes(pixels), "handwritten digits of scikit-learn, 8x8")
        .and_then(|digits| digits.with_labels(labels))
        .expect("levels and labels of the file")
}

/// The usual split of [`digits`]: 1300 rows for training, 497 for testing, every class in proportion.
///
/// ```
/// let split = data::digits_split();
/// assert_eq!((split.training.len(), split.test.len()), (1300, 497));
/// ```
pub fn digits_split() -> Split {
    let none = Portion::Rows(0);
    digits().split(none, Portion::Rows(N - 1300), Key::root(0)).expect("ten large classes")
}
