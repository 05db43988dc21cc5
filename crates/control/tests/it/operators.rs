//! Every operator against its transpose, its pseudo-inverse and its decomposition.

use control::{
    Boundary, Dense, Grey, Groups, Linear, Measurement, SeparableBlur, box_mask, random_mask,
};
use ndarray::{Array2, array};
use sde_core::Key;

use crate::common::{normals, off};

fn operators() -> Vec<(&'static str, Box<dyn Linear>)> {
    let image = [3, 4, 6];
    let kernel = [0.1, 0.2, 0.4, 0.2, 0.1];
    let seen = random_mask(image, 0.4, Key::root(5)).unwrap();
    // Of rank 3: its last row is a sum of others.
    let mut low = normals(7, 4, 9);
    let sum = &low.row(0) + &low.row(1);
    low.row_mut(3).assign(&sum);
    vec![
        ("columns", Box::new(Groups::columns(7, &[5, 0, 3]).unwrap())),
        ("box", Box::new(Groups::mask(&box_mask(image, 1..3, 2..5).unwrap()).unwrap())),
        ("random mask", Box::new(Groups::mask(&seen).unwrap())),
        ("grey", Box::new(Groups::grey(image, Grey::Mean).unwrap())),
        ("luma", Box::new(Groups::grey(image, Grey::Luma).unwrap())),
        ("block average", Box::new(Groups::block_average(image, 2).unwrap())),
        ("circular", Box::new(SeparableBlur::new(image, &kernel, Boundary::Circular).unwrap())),
        ("reflect", Box::new(SeparableBlur::new(image, &kernel, Boundary::Reflect).unwrap())),
        // Loses the highest frequency.
        (
            "singular",
            Box::new(SeparableBlur::new(image, &[0.25, 0.5, 0.25], Boundary::Circular).unwrap()),
        ),
        ("wide", Box::new(Dense::new(normals(1, 4, 9)).unwrap())),
        ("tall", Box::new(Dense::new(normals(2, 9, 4)).unwrap())),
        ("rank 3", Box::new(Dense::new(low).unwrap())),
    ]
}

#[test]
fn transposes() {
    for (name, a) in operators() {
        let (x, y) = (normals(11, 5, a.input_len()), normals(12, 5, a.output_len()));
        let left = (a.apply(&x).unwrap() * &y).sum();
        let right = (a.apply_adjoint(&y).unwrap() * &x).sum();
        assert!((left - right).abs() < 1e-12 * left.abs().max(1.0), "{name}: {left} {right}");
    }
}

#[test]
fn pseudo_inverses() {
    for (name, a) in operators() {
        let (x, y) = (normals(13, 5, a.input_len()), normals(14, 5, a.output_len()));
        let seen = a.apply(&x).unwrap();
        let again = a.apply(&a.pseudo_inverse(&seen).unwrap()).unwrap();
        // The smallest singular value of the blurs is 0.04.
        assert!(off(&seen, &again) < 1e-12, "{name}: {:e}", off(&seen, &again));
        let back = a.pseudo_inverse(&y).unwrap();
        let twice = a.pseudo_inverse(&a.apply(&back).unwrap()).unwrap();
        assert!(off(&back, &twice) < 1e-10, "{name}: {:e}", off(&back, &twice));
    }
}

#[test]
fn decompositions() {
    for (name, a) in operators() {
        let d = a.singular_values();
        assert!(d.iter().all(|d| *d > 0.0), "{name}");
        let (x, c) = (normals(15, 3, a.input_len()), normals(16, 3, d.len()));
        let close = |found: &Array2<f64>, expected: &Array2<f64>, what: &str| {
            assert!(off(found, expected) < 1e-12, "{name}, {what}: {:e}", off(found, expected));
        };
        close(&a.project(&a.expand(&c).unwrap()).unwrap(), &c, "V^T V");
        for (x, c) in x.rows().into_iter().zip(c.rows()) {
            let x = x.to_vec();
            let (mut right, mut y, mut again) =
                (vec![0.0; d.len()], vec![0.0; a.output_len()], vec![0.0; a.output_len()]);
            a.right_coefficients(&x, &mut right);
            right.iter_mut().zip(d).for_each(|(c, d)| *c *= d);
            a.expand_left(&right, &mut again);
            a.forward(&x, &mut y);
            let largest = y.iter().zip(&again).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(largest < 1e-12, "{name}, U d V^T: {largest:e}");
            a.expand_left(&c.to_vec(), &mut y);
            a.left_coefficients(&y, &mut right);
            let largest = right.iter().zip(c).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(largest < 1e-12, "{name}, U^T U: {largest:e}");
        }
    }
}

#[test]
fn solves() {
    for (name, a) in operators() {
        let y = normals(17, 4, a.output_len());
        for (r2, s2) in [(0.7, 0.3), (2.0, 1e-3)] {
            let x = a.solve(r2, s2, &y).unwrap();
            let both = a.apply(&a.apply_adjoint(&x).unwrap()).unwrap() * r2 + &x * s2;
            // The condition number of the system, in units of its rounding.
            let most = a.singular_values().iter().fold(0.0_f64, |m, d| m.max(d * d));
            let rounding = 64.0 * f64::EPSILON * (r2 * most + s2) / s2;
            assert!(off(&both, &y) < rounding, "{name}: {:e}", off(&both, &y));
        }
        // Without noise, of what is in the range.
        let y = a.apply(&normals(18, 4, a.input_len())).unwrap();
        let x = a.solve(0.5, 0.0, &y).unwrap();
        let both = a.apply(&a.apply_adjoint(&x).unwrap()).unwrap() * 0.5;
        assert!(off(&both, &y) < 1e-10, "{name}: {:e}", off(&both, &y));
    }
}

/// By hand: what the constructors of images take together.
#[test]
fn images() {
    // Two channels of 2 x 2.
    let x = array![[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]];
    let average = Groups::block_average([2, 2, 2], 2).unwrap();
    assert_eq!(average.apply(&x).unwrap(), array![[2.5, 25.0]]);
    let grey = Groups::grey([2, 2, 2], Grey::Mean).unwrap();
    assert_eq!(grey.apply(&x).unwrap(), array![[5.5, 11.0, 16.5, 22.0]]);
    let seen = Groups::mask(&box_mask([2, 2, 2], 0..1, 0..2).unwrap()).unwrap();
    assert_eq!(seen.apply(&x).unwrap(), array![[3.0, 4.0, 30.0, 40.0]]);
    let blur = SeparableBlur::new([1, 1, 3], &[0.25, 0.5, 0.25], Boundary::Reflect).unwrap();
    // Along the height there is one row, which is its own mirror image.
    assert!(
        off(&blur.apply(&array![[1.0, 2.0, 4.0]]).unwrap(), &array![[1.25, 2.25, 3.5]]) < 1e-14
    );
    let share = random_mask([1, 100, 100], 0.3, Key::root(1)).unwrap();
    let share = share.iter().filter(|s| **s).count() as f64 / 1e4;
    assert!((share - 0.3).abs() < 4.892 * (0.21e-4_f64).sqrt(), "{share}");
}

#[test]
fn refusals() {
    let said = |e: sde_core::Error| e.to_string();
    for (error, expected) in [
        (said(Groups::columns(3, &[0, 3]).unwrap_err()), "input = 3: there are 3"),
        (said(Groups::columns(3, &[1, 1]).unwrap_err()), "input = 1: is in group 1 and in another"),
        (said(Groups::columns(3, &[]).unwrap_err()), "groups = 0: needs at least one"),
        (said(Groups::mask(&[false]).unwrap_err()), "groups = 0: needs at least one"),
        (said(Groups::new(2, &[vec![(0, 0.0)]]).unwrap_err()), "weight = 0: of input 0: must be"),
        (said(Groups::grey([2, 1, 1], Grey::Luma).unwrap_err()), "channels = 2: luma is of"),
        (said(Groups::block_average([1, 4, 6], 4).unwrap_err()), "factor = 4: must divide 4 and 6"),
        (said(box_mask([1, 4, 4], 2..2, 0..1).unwrap_err()), "rows = 2..2: must be some of 0..4"),
        (said(random_mask([1, 1, 1], 1.5, Key::root(0)).unwrap_err()), "share = 1.5: must be in"),
        (said(Dense::new(Array2::zeros((2, 3))).unwrap_err()), "operator = (2, 3): is zero"),
        (
            said(Dense::new(array![[f64::NAN]]).unwrap_err()),
            "entry [0,0] of the operator = NaN: must be finite",
        ),
        (
            said(SeparableBlur::new([1, 2, 2], &[0.5, 0.5], Boundary::Reflect).unwrap_err()),
            "kernel length = 2: must be odd",
        ),
    ] {
        assert!(error.starts_with(expected), "{error} is not {expected}");
    }
    let columns = || Groups::columns(3, &[0, 1]).unwrap();
    assert!(columns().apply(&Array2::zeros((1, 4))).is_err());
    let seen = |y: Array2<f64>, noise| Measurement::new(columns(), y, noise);
    assert!(seen(array![[0.0]], 0.1).is_err());
    assert!(seen(array![[0.0, f64::INFINITY]], 0.1).is_err());
    assert!(seen(array![[0.0, 0.0]], -0.1).is_err());
    let two = seen(array![[0.0, 0.0], [1.0, 1.0]], 0.1).unwrap();
    assert!(two.clone().particles_each(0).is_err());
    let error = two.particles_each(3).unwrap().for_rows(&[6]).unwrap_err().to_string();
    assert_eq!(error, "particle = 6: there are 2 measurements for 3 particles each");
}
