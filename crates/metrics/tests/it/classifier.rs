//! The classifier two-sample test: false alarms, power, misuse.

use metrics::{Classifier, classifier_test};
use ndarray::{Array2, array};
use sde_core::Key;

use crate::support::{Numbers, check_close};

const LEARNERS: [Classifier; 3] = [
    Classifier::NearestNeighbours { k: None },
    Classifier::NearestNeighbours { k: Some(4) },
    Classifier::Logistic { ridge: 1.0 },
];

/// The largest count with a chance above 1e-6 of being exceeded, of `n` trials that succeed with
/// chance `p`.
fn most(n: usize, p: f64) -> usize {
    let (mut term, mut below, mut k) = ((1.0 - p).powi(n as i32), 0.0, 0);
    loop {
        below += term;
        if 1.0 - below < 1e-6 {
            return k;
        }
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        k += 1;
    }
}

/// Of equal laws a p-value below a level is no more frequent than the level.
#[test]
fn false_alarms_are_as_rare_as_they_say() {
    let mut numbers = Numbers::new(1);
    let repeats = 400;
    for learner in LEARNERS {
        for lattice in [false, true] {
            let mut alarms = [0, 0];
            for k in 0..repeats {
                // Unequal sizes; a lattice makes ties.
                let mut cloud =
                    |n: usize| numbers.normals(n, 2).mapv(|v| if lattice { v.round() } else { v });
                let (x, y) = (cloud(40), cloud(55));
                let found =
                    classifier_test(x.view(), y.view(), learner, Key::root(k as u64)).unwrap();
                assert_eq!((found.n_train, found.n_test), (40, 40));
                for (alarms, level) in alarms.iter_mut().zip([0.05, 0.01]) {
                    *alarms += usize::from(found.p_value <= level);
                }
            }
            for (alarms, level) in alarms.iter().zip([0.05, 0.01]) {
                assert!(*alarms <= most(repeats, level), "{learner:?}: {alarms} at level {level}");
            }
        }
    }
}

#[test]
fn differences_are_found() {
    let mut numbers = Numbers::new(2);
    let x = numbers.normals(400, 2);
    let shifted = numbers.normals(400, 2) + 1.0;
    // The best accuracy: the mass on the near side of the middle, Phi(|shift| / 2).
    let best = 0.760_249_938_906_523_6;
    for learner in [LEARNERS[0], LEARNERS[2]] {
        let found = classifier_test(x.view(), shifted.view(), learner, Key::root(1)).unwrap();
        let off = found.accuracy.value - best;
        assert!(off < 4.9 * found.accuracy.standard_error && off > -0.1, "{learner:?} {found:?}");
        assert!(found.p_value < 1e-10);
        check_close(
            "error",
            found.accuracy.standard_error,
            (found.accuracy.value * (1.0 - found.accuracy.value) / 400.0).sqrt(),
            1e-14,
            0.0,
        );
    }
    // Same means, other covariance: squares and products tell.
    let mut turned = numbers.normals(400, 2);
    for mut row in turned.rows_mut() {
        row[1] = 0.9 * row[0] + 0.3 * row[1];
    }
    let found = classifier_test(x.view(), turned.view(), LEARNERS[2], Key::root(1)).unwrap();
    assert!(found.p_value < 1e-10, "{found:?}");
}

#[test]
fn keyed_and_symmetric() {
    let mut numbers = Numbers::new(3);
    let (x, y) = (numbers.normals(100, 3), numbers.normals(100, 3) + 0.3);
    for learner in LEARNERS {
        let of = |key: u64| classifier_test(x.view(), y.view(), learner, Key::root(key)).unwrap();
        assert_eq!(of(1), of(1));
        let values: Vec<f64> = (0..5).map(|key| of(key).accuracy.value).collect();
        assert!(values.iter().any(|v| *v != values[0]), "{values:?}");
    }
}

#[test]
fn hard_input() {
    // All in one place, constant columns, columns that repeat: nothing to tell, nothing breaks.
    let heap = Array2::from_elem((20, 2), 3.0);
    for learner in LEARNERS {
        let found = classifier_test(heap.view(), heap.view(), learner, Key::root(1)).unwrap();
        assert_eq!((found.accuracy.value, found.p_value), (0.5, 1.0), "{learner:?}");
        // Told apart without fail: separable, which maximum likelihood alone would not survive.
        let other = &heap + 1.0;
        let found = classifier_test(heap.view(), other.view(), learner, Key::root(1)).unwrap();
        assert_eq!(found.accuracy.value, 1.0, "{learner:?}");
        // One arrangement of 20 choose 10.
        check_close("p", found.p_value, 1.0 / 184_756.0, 1e-9, 0.0);
    }
    // More features than points.
    let mut numbers = Numbers::new(4);
    let (x, y) = (numbers.normals(10, 30), numbers.normals(10, 30));
    assert!(classifier_test(x.view(), y.view(), LEARNERS[2], Key::root(1)).is_ok());
    let fails = |x: &Array2<f64>, learner| {
        classifier_test(x.view(), heap.view(), learner, Key::root(1)).unwrap_err().to_string()
    };
    let many = Classifier::NearestNeighbours { k: Some(21) };
    assert_eq!(
        fails(&heap, many),
        "k must be between 1 and the number of training points, found 21"
    );
    let flat = Classifier::Logistic { ridge: 0.0 };
    assert_eq!(fails(&heap, flat), "ridge must be positive and finite, found 0");
    let few = array![[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]];
    assert_eq!(fails(&few, LEARNERS[0]), "first cloud has 3 rows, expected at least 4");
}
