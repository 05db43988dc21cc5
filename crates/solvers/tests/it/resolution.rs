//! Adaptive steps with noise on data far narrower than the horizon is long.

use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Result, Reverse, Score, Tolerance, Vp, sde};
use solvers::{
    Adaptive, BrownianTree, Control, End, Method, Noise, Sampler, SolveError, sample, solve,
};

/// Data `N(0, v I)`: the samples have that variance, where steps at the end are a millionth of a billionth of the
/// horizon. Before, the path was a straight line there.
#[test]
fn narrow_data_keep_their_width() {
    const DIM: usize = 256;
    const ROWS: u64 = 6;
    let cases = [("brownian", 1e-10_f64), ("ou", 1e-12), ("ou", 1e-24), ("edm", 1e-30)];
    for (name, variance) in cases {
        let sde = sde::parse(name).unwrap();
        let zero = Array2::zeros((1, DIM));
        let data = GaussianMixture::isotropic(&[1.0], &zero, &[variance.sqrt()]).unwrap();
        let score = data.under(&*sde);
        let tol = Tolerance { abs: 0.05 * variance.sqrt(), rel: 0.05 };
        let control = Control::Adaptive { t_start: sde.horizon(), t_end: 0.0, tol };
        let (method, eta, end) = (Method::Heun, 1.0, End::Plain);
        let sampler = Sampler { method, eta, control, end, block_rows: 1 };
        let mut squares = vec![];
        let mut sink = |_: u64, x: Array2<f64>| {
            squares.extend(x.iter().map(|x| x * x / variance));
            Ok::<(), SolveError>(())
        };
        let done = sample(&sampler, &*sde, &score, ROWS, Key::root(4), &zero, &mut sink).unwrap();
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        let error = 4.9 * (2.0 / squares.len() as f64).sqrt();
        eprintln!("{name} {variance:e}: {mean:.3} +- {error:.3}, {} evaluations", done.nfe);
        // The tolerance leaves a few hundredths of a standard deviation.
        assert!((mean - 1.0).abs() < error + 0.05, "{name} {variance:e}: {mean}");
    }
}

/// Elsewhere than at the end a step below the resolution of the path is refused in words.
#[test]
fn steps_below_the_noise_are_refused() {
    struct Stiff;
    impl Score<Array2<f64>> for Stiff {
        fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
            Ok(x * if t < 0.5 { -1e16 } else { -1.0 })
        }
    }
    let vp = Vp::default();
    let problem = Reverse::sde(&vp, &Stiff);
    let tree = BrownianTree::new(Key::root(0), 0, 1.0, 0.0, 40).unwrap();
    let mut control = Adaptive::new(1.0, 0.0, Tolerance { abs: 1e-6, rel: 1e-6 }).unwrap();
    let x = array![[1.0, 0.5]];
    let stepper = Method::Heun.stepper();
    let e = solve(&*stepper, &problem, x, 1.0, &mut control, &tree, &mut ()).unwrap_err();
    let SolveError::StepBelowNoise { t, h, least, .. } = e else { panic!("{e}") };
    assert!(h.abs() <= least && t > 0.4, "{e}");
    assert_eq!(least, Noise::<Array2<f64>>::least_interval(&tree, t));
    let said = e.to_string();
    assert!(said.contains(&format!("{least:?}")) && said.contains("tolerances"), "{said}");
    assert!(said.len() < 300, "{said}");
}
