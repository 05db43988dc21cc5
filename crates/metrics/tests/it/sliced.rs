//! Keyed and max-sliced distances.

use metrics::{Error, max_sliced_w, random_directions, sliced_w, sliced_w_keyed};
use ndarray::{Array1, Array2, Axis, array};
use sde_core::Key;

use crate::support::{Numbers, check_close};

#[test]
fn directions_are_uniform_and_keyed() {
    let n = 20_000;
    let directions = random_directions(3, n, Key::root(1)).unwrap();
    // Each coordinate has mean 0 and variance 1/3; five standard errors.
    for row in directions.rows() {
        let mean = row.sum() / n as f64;
        assert!(mean.abs() < 5.0 * (1.0 / 3.0 / n as f64).sqrt(), "{mean}");
        let square = row.dot(&row) / n as f64;
        // The fourth moment of a coordinate is 1/5.
        assert!(
            (square - 1.0 / 3.0).abs() < 5.0 * ((0.2 - 1.0 / 9.0) / n as f64).sqrt(),
            "{square}"
        );
    }
    let few = random_directions(3, 10, Key::root(1)).unwrap();
    assert_eq!(few, directions.slice(ndarray::s![.., ..10]));
    assert_ne!(few, random_directions(3, 10, Key::root(2)).unwrap());
    assert!(random_directions(0, 3, Key::root(1)).is_err());
}

/// A shift s has $SW_p^p = |s|^p E |\theta_1|^p$, and the standard error covers it.
#[test]
fn a_shift_in_closed_form() {
    let mut numbers = Numbers::new(1);
    let x = numbers.normals(40, 3);
    let shift = array![1.0, -2.0, 2.0];
    let y = &x + &shift;
    // E |theta_1|^p on the sphere in three dimensions, where theta_1 is uniform: 1/(p+1).
    for p in [1.0, 1.5, 2.0, 4.0] {
        let found = sliced_w_keyed(x.view(), None, y.view(), None, 2000, p, Key::root(3)).unwrap();
        let expected = 3.0 * (p + 1.0_f64).recip().powf(p.recip());
        let error = found.standard_error.unwrap();
        // The two-sided normal quantile at 1e-6.
        assert!((found.mean - expected).abs() < 4.9 * error, "{p}: {} {expected}", found.mean);
        assert!(error < 0.03 && found.max <= 3.0 + 1e-12);
    }
    let one = sliced_w_keyed(x.view(), None, y.view(), None, 1, 2.0, Key::root(3)).unwrap();
    assert_eq!(one.standard_error, None);
    let same = sliced_w_keyed(x.view(), None, x.view(), None, 5, 2.0, Key::root(3)).unwrap();
    assert_eq!((same.mean, same.max, same.standard_error), (0.0, 0.0, Some(0.0)));
}

#[test]
fn the_maximum_is_above_every_direction() {
    let mut numbers = Numbers::new(2);
    for (d, p) in [(1, 2.0), (2, 1.0), (3, 2.0), (10, 2.0), (10, 1.0), (5, 3.0)] {
        let x = numbers.normals(60, d);
        let mut y = numbers.normals(45, d) + 0.2;
        y.column_mut(0).mapv_inplace(|v| 2.0 * v);
        let a = Array1::from_shape_simple_fn(60, || numbers.uniform() + 0.1);
        let b = Array1::from_elem(45, a.sum() / 45.0);
        let weights = (Some(a.view()), Some(b.view()));
        let starts = random_directions(d, 30, Key::root(4)).unwrap();
        let found =
            max_sliced_w(x.view(), weights.0, y.view(), weights.1, starts.view(), p).unwrap();
        let unit = found.direction.dot(&found.direction);
        check_close("unit", unit, 1.0, 1e-14, 0.0);
        // What it says of its direction is so.
        let along = found.direction.view().insert_axis(ndarray::Axis(1));
        let there = sliced_w(x.view(), weights.0, y.view(), weights.1, along, p).unwrap();
        check_close("value", found.value, there.max, 1e-12, 0.0);
        // Many other directions, and small steps to all sides, are no farther.
        let others = random_directions(d, 2000, Key::root(5)).unwrap();
        let others = sliced_w(x.view(), weights.0, y.view(), weights.1, others.view(), p).unwrap();
        assert!(
            found.value >= others.max * (1.0 - 1e-12),
            "d {d} p {p}: {} {}",
            found.value,
            others.max
        );
        let near = random_directions(d, 200, Key::root(6)).unwrap() * 1e-3;
        let mut near: Array2<f64> = &near + &along;
        for mut column in near.columns_mut() {
            let length = column.dot(&column).sqrt();
            column.mapv_inplace(|v| v / length);
        }
        let near = sliced_w(x.view(), weights.0, y.view(), weights.1, near.view(), p).unwrap();
        assert!(
            found.value >= near.max * (1.0 - 1e-9),
            "d {d} p {p}: {} {}",
            found.value,
            near.max
        );
    }
}

/// A stretch of one axis: along it the standard deviations differ most.
#[test]
fn the_direction_is_found() {
    let mut numbers = Numbers::new(3);
    let x = numbers.normals(400, 6);
    let hidden = array![0.6, 0.0, -0.8, 0.0, 0.0, 0.0];
    // y = x + (x . h) h: three times the variance... twice the length along h, nothing elsewhere.
    let along = x.dot(&hidden);
    let y = Array2::from_shape_fn((400, 6), |(i, k)| x[[i, k]] + along[i] * hidden[k]);
    let none = Array2::zeros((6, 0));
    let found = max_sliced_w(x.view(), None, y.view(), None, none.view(), 2.0).unwrap();
    let exact = (along.dot(&along) / 400.0).sqrt();
    check_close("value", found.value, exact, 1e-9, 0.0);
    check_close("direction", found.direction.dot(&hidden).abs(), 1.0, 1e-6, 0.0);
    let again = max_sliced_w(x.view(), None, y.view(), None, none.view(), 2.0).unwrap();
    assert_eq!(found, again);
}

#[test]
fn hard_input() {
    let same = Array2::from_elem((5, 2), 1.0);
    let starts = array![[1.0], [2.0]];
    let found = max_sliced_w(same.view(), None, same.view(), None, starts.view(), 1.0).unwrap();
    assert_eq!((found.value, found.steps), (0.0, 0));
    let check = |result: Result<metrics::MaxSliced, Error>, message: &str| {
        assert_eq!(result.unwrap_err().to_string(), message);
    };
    let none = array![[0.0], [0.0]];
    check(
        max_sliced_w(same.view(), None, same.view(), None, none.view(), 1.0),
        "length of a start must be above zero (the value found is its column), found 0",
    );
    check(
        max_sliced_w(same.view(), None, same.view(), None, starts.view(), 0.5),
        "p must be finite and >= 1, found 0.5",
    );
    let tall = array![[1.0], [2.0], [3.0]];
    check(
        max_sliced_w(same.view(), None, same.view(), None, tall.view(), 2.0),
        "starts: expected [2, 1], found [3, 1]",
    );
}

/// Light points beside heavy ones that stay where they are: all that is seen is theirs.
#[test]
fn weights_over_twenty_orders_of_magnitude() {
    let mut numbers = Numbers::new(24);
    let lightest = 1e-20;
    for p in [1.0, 2.0, 3.0] {
        // A shift of the light points alone, by a vector s: |theta . s|^p of their mass.
        let x = array![[0.0, 0.0], [1.0, 5.0], [1.5, 5.5], [7.0, 7.0]];
        let s = array![0.3, -0.4];
        let mut y = x.clone();
        for i in [1, 2] {
            y.row_mut(i).scaled_add(1.0, &s);
        }
        // Without mass a row may be anywhere.
        y.row_mut(3).fill(-1e3);
        let a = array![1.0, 2.0 * lightest, 3.0 * lightest, 0.0];
        let theta = Array2::from_shape_simple_fn((2, 5), || numbers.normal());
        let order = [2, 0, 3, 1];
        let (shuffled, b) = (y.select(Axis(0), &order), a.select(Axis(0), &order));
        let along = s.dot(&theta).mapv(|v| v.abs().powf(p));
        let weights = (Some(a.view()), Some(b.view()));
        let found =
            sliced_w(x.view(), weights.0, shuffled.view(), weights.1, theta.view(), p).unwrap();
        let expected = (5.0 * lightest * along.mean().unwrap()).powf(p.recip());
        check_close("mean", found.mean, expected, 1e-12, 0.0);
        // The largest is along the shift, of length 1/2.
        let none = Array2::zeros((2, 0));
        let found =
            max_sliced_w(x.view(), weights.0, shuffled.view(), weights.1, none.view(), p).unwrap();
        let expected = 0.5 * (5.0 * lightest).powf(p.recip());
        check_close("maximum", found.value, expected, 1e-12, 0.0);
    }
}
