//! Both states are the same linear space.

use ndarray::{Array2, array, s};
use sde_core::{Error, Key, State, Tolerance, Unit};

const TOL: Tolerance = Tolerance { abs: 1e-3, rel: 1e-2 };

fn batch(seed: u64, rows: usize, width: usize) -> Array2<f64> {
    Array2::zeros((rows, width)).normals_like(Key::root(seed), 0).unwrap()
}

#[test]
fn operations_match_their_definitions() {
    let (x, y) = (array![[1.0, -2.0], [3.0, 0.5]], array![[0.0, 4.0], [-1.0, 2.0]]);
    let z = State::lincomb(&[(2.0, &x), (-0.5, &y), (1.0, &x)]).unwrap();
    assert_eq!(z, array![[3.0, -8.0], [9.5, 0.5]]);
    assert_eq!(x.scale_rows(&[2.0, -1.0]).unwrap(), array![[2.0, -4.0], [-3.0, -0.5]]);
    assert_eq!(x.row_dot(&y).unwrap(), [-8.0, -2.0]);
    let e = array![[0.1, 0.0], [0.0, 0.0]];
    let expected = (0.1_f64 / (1e-3 + 1e-2 * 1.0)) / 2.0_f64.sqrt();
    assert!((e.weighted_rms(&x, &y, TOL).unwrap() - expected).abs() < 1e-12);
    let found = e.weighted_rms_in(&x, &y, TOL, Unit::Max).unwrap();
    assert!((found - 0.1 / 1e-2 / 2.0_f64.sqrt()).abs() < 1e-12);
    // The worst row decides, wherever it stands, and a NaN in any row is seen.
    let two = array![[0.1, 0.0], [0.0, 0.2]];
    let worst = 0.2 / (1e-3 + 1e-2 * 2.0) / 2.0_f64.sqrt();
    assert!((two.weighted_rms(&x, &y, TOL).unwrap() - worst).abs() < 1e-12);
    for k in [0, 1] {
        let mut bad = two.clone();
        bad[[k, 0]] = f64::NAN;
        assert!(bad.weighted_rms(&x, &y, TOL).unwrap().is_nan());
    }
    assert!(x.all_finite().unwrap());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!array![[1.0, bad]].all_finite().unwrap());
        let norm = array![[bad, 0.0], [0.0, 0.0]].weighted_rms(&x, &y, TOL).unwrap();
        assert!(norm.is_nan() || norm > 1e300);
    }
    assert!(e.weighted_rms(&x, &array![[0.0, 0.0], [f64::NAN, 0.0]], TOL).unwrap().is_nan());
}

#[test]
fn views_and_rows() {
    let x = batch(1, 7, 3);
    let turned = x.t().as_standard_layout().into_owned().reversed_axes();
    assert!(!turned.is_standard_layout());
    assert_eq!(State::lincomb(&[(1.0, &turned)]).unwrap(), x);
    let parts = [x.slice_rows(0, 2).unwrap(), x.slice_rows(2, 5).unwrap()];
    assert_eq!(parts[1], x.slice(s![2.., ..]));
    assert_eq!(State::concat_rows(&parts).unwrap(), x);
    let z = x.normals_like(Key::root(9), 4).unwrap();
    let all = batch(9, 11, 3);
    assert_eq!(z, all.slice_rows(4, 7).unwrap());
    let signs = |n, first| Array2::zeros((n, 3)).signs_like(Key::root(9), first).unwrap();
    assert_eq!(signs(11, 0).slice_rows(4, 7).unwrap(), signs(7, 4));
}

#[test]
fn shapes_are_checked() {
    let (x, y) = (batch(1, 2, 3), batch(1, 3, 2));
    let shape = |e: Error| matches!(e, Error::Shape { .. });
    assert!(shape(State::lincomb(&[(1.0, &x), (1.0, &y)]).unwrap_err()));
    assert!(shape(x.scale_rows(&[1.0]).unwrap_err()));
    assert!(shape(x.row_dot(&y).unwrap_err()));
    assert!(shape(x.weighted_rms(&x, &y, TOL).unwrap_err()));
    assert!(shape(x.slice_rows(1, 2).unwrap_err()));
    assert!(shape(x.slice_rows(usize::MAX, 2).unwrap_err()));
    assert!(shape(State::concat_rows(&[x.clone(), y.clone()]).unwrap_err()));
    let message = x.row_dot(&y).unwrap_err().to_string();
    assert_eq!(message, "expected shape [2, 3], found [3, 2]");
}

#[cfg(feature = "candle")]
mod candle {
    use super::*;
    use candle_core::{DType, Device, Tensor};

    fn tensor(x: &Array2<f64>) -> Tensor {
        let data: Vec<f64> = x.iter().copied().collect();
        Tensor::from_vec(data, x.dim(), &Device::Cpu).unwrap()
    }

    fn same(x: &Array2<f64>, y: &Tensor) {
        let y: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(x.iter().copied().collect::<Vec<_>>(), y);
    }

    /// f64 tensors compute the very bits that arrays compute.
    #[test]
    fn tensors_match_arrays() {
        let (a, b) = (batch(1, 300, 2), batch(2, 300, 2));
        let (ta, tb) = (tensor(&a), tensor(&b));
        let l = [0.3, -1.7];
        let array = State::lincomb(&[(l[0], &a), (l[1], &b)]).unwrap();
        same(&array, &State::lincomb(&[(l[0], &ta), (l[1], &tb)]).unwrap());
        let factors: Vec<f64> = (0..300).map(f64::from).collect();
        same(&a.scale_rows(&factors).unwrap(), &ta.scale_rows(&factors).unwrap());
        assert_eq!(a.row_dot(&b).unwrap(), ta.row_dot(&tb).unwrap());
        let norm = a.weighted_rms(&a, &b, TOL).unwrap();
        assert_eq!(norm, ta.weighted_rms(&ta, &tb, TOL).unwrap());
        same(&a.normals_like(Key::root(3), 5).unwrap(), &ta.normals_like(Key::root(3), 5).unwrap());
        same(&a.signs_like(Key::root(3), 5).unwrap(), &ta.signs_like(Key::root(3), 5).unwrap());
        same(&a.slice_rows(10, 20).unwrap(), &ta.slice_rows(10, 20).unwrap());
        let parts = [ta.slice_rows(0, 7).unwrap(), ta.slice_rows(7, 293).unwrap()];
        same(&a, &State::concat_rows(&parts).unwrap());
        assert!(ta.all_finite().unwrap());
        // What is not contiguous takes the other road to the same place.
        let turned = ta.t().unwrap().contiguous().unwrap().t().unwrap();
        assert!(!turned.is_contiguous());
        let other = Tensor::lincomb(&[(l[0], &turned), (l[1], &tb)]).unwrap();
        same(&array, &other);
        assert_eq!(a.row_dot(&b).unwrap(), turned.row_dot(&tb).unwrap());
        assert_eq!(norm, turned.weighted_rms(&ta, &tb, TOL).unwrap());
        same(&a.scale_rows(&factors).unwrap(), &turned.scale_rows(&factors).unwrap());
        assert!(turned.all_finite().unwrap());
    }

    #[test]
    fn single_precision() {
        let like = Tensor::zeros((9, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let z = like.normals_like(Key::root(1), 3).unwrap();
        assert_eq!((z.dtype(), z.dims()), (DType::F32, &[9, 2, 2][..]));
        let mut expected = vec![0.0; 36];
        Key::root(1).fill_normals_f32(12, &mut expected);
        assert_eq!(z.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
        let y = Tensor::lincomb(&[(0.5, &z), (0.5, &z)]).unwrap();
        assert_eq!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
        let bad = (&z / 0.0).unwrap();
        assert!(z.all_finite().unwrap() && !bad.all_finite().unwrap());
        let half = z.to_dtype(DType::BF16).unwrap();
        assert_eq!(Tensor::lincomb(&[(1.0, &half)]).unwrap().dtype(), DType::BF16);
        assert!(half.all_finite().unwrap());
    }

    /// A step never drags the graph of the step before it along.
    #[test]
    fn results_are_detached() {
        let x = candle_core::Var::ones((2, 2), DType::F64, &Device::Cpu).unwrap();
        let turned = x.as_tensor().t().unwrap();
        for y in [x.as_tensor(), &turned] {
            assert!(!Tensor::lincomb(&[(2.0, y)]).unwrap().track_op());
            assert!(!y.slice_rows(0, 1).unwrap().track_op());
        }
    }
}
