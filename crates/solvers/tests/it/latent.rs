//! Encodings.

use ndarray::{Array2, Axis, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Tolerance, Vp};
use solvers::{Control, Method, flow, slerp, temper};

use crate::common::{normals, sde_of, target};

fn between(t_start: f64, t_end: f64, tol: f64) -> Control {
    Control::Adaptive { t_start, t_end, tol: Tolerance { abs: tol, rel: tol } }
}

fn gap(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    (a - b).iter().fold(0.0, |w: f64, d| if d.is_nan() { f64::INFINITY } else { w.max(d.abs()) })
}

/// The flow of Gaussian data is linear: `x_t - alpha_t m` grows as the standard deviation of `x_t`.
#[test]
fn latents_of_a_gaussian() {
    let (mean, var) = (array![0.7, -1.2], [0.3, 2.0]);
    let cov = Array2::from_diag(&array![var[0], var[1]]);
    let data = GaussianMixture::new(&[1.0], &mean.clone().insert_axis(Axis(0)), &[cov]).unwrap();
    let x = normals(2, 9, 2);
    for process in ["vp", "subvp", "ve", "ou"] {
        let sde = sde_of(process);
        let score = data.under(&*sde);
        let up = between(0.0, sde.horizon(), 1e-11);
        let (latent, _) = flow(Method::Dopri5, &up, &*sde, &score, &x, 0, 1).unwrap();
        let (from, to) = (sde.marginal(0.0), sde.marginal(sde.horizon()));
        let expected = Array2::from_shape_fn(x.dim(), |(i, j)| {
            let v = |m: sde_core::Marginal| m.alpha.powi(2) * var[j] + m.sigma.powi(2);
            let centred = x[[i, j]] - from.alpha * mean[j];
            to.alpha * mean[j] + (v(to) / v(from)).sqrt() * centred
        });
        let e = gap(&latent, &expected) / sde.prior_std();
        assert!(e < 1e-8, "{process}: {e:e}");
    }
}

/// Data, latents, data: what is lost falls with the tolerance, and on a grid with its order.
#[test]
fn there_and_back() {
    let vp = Vp::default();
    let mixture = target("gmm3d_full");
    let score = mixture.under(&vp);
    let x = mixture.sample(Key::root(1), 0, 30);
    let mut worst = vec![];
    for tol in [1e-5, 1e-8, 1e-11] {
        let up = between(1e-3, 1.0, tol);
        let (latent, _) = flow(Method::Dopri5, &up, &vp, &score, &x, 0, 1).unwrap();
        let down = between(1.0, 1e-3, tol);
        let (back, summary) = flow(Method::Dopri5, &down, &vp, &score, &latent, 0, 1).unwrap();
        assert_eq!((summary.rows, summary.blocks), (30, 30));
        worst.push(gap(&back, &x));
        // One row alone has the same latent.
        let one = sde_core::State::slice_rows(&x, 17, 1).unwrap();
        let (alone, _) = flow(Method::Dopri5, &up, &vp, &score, &one, 0, 1).unwrap();
        assert_eq!(alone.row(0), latent.row(17));
    }
    // The flow pulls rows apart by a Lipschitz constant of the order of 100 on the way.
    assert!(worst[0] < 1e-2 && worst[1] < 1e-5 && worst[2] < 1e-8, "{worst:?}");
    assert!(worst[1] < 0.1 * worst[0] && worst[2] < 0.1 * worst[1], "{worst:?}");
    let mut times = sde_core::TimeGrid::LogSnr.times(&vp, 200, 1.0, 1e-3).unwrap();
    let down = Control::Grid(times.clone());
    times.reverse();
    let up = Control::Grid(times);
    let (latent, _) = flow(Method::Heun, &up, &vp, &score, &x, 0, 8).unwrap();
    let (back, _) = flow(Method::Heun, &down, &vp, &score, &latent, 0, 8).unwrap();
    let e = gap(&back, &x);
    assert!(e < 1e-2, "{e:e}");
    let none = Array2::zeros((0, 3));
    assert!(flow(Method::Heun, &up, &vp, &score, &none, 0, 8).is_err());
}

#[test]
fn slerp_follows_the_great_circle() {
    let (a, b) = (normals(1, 40, 5), normals(2, 40, 5));
    let length = |x: &Array2<f64>| x.map_axis(Axis(1), |r| r.dot(&r).sqrt());
    let unit = |x: &Array2<f64>| x / &length(x).insert_axis(Axis(1));
    let (a, b) = (unit(&a), unit(&b));
    assert!(gap(&slerp(&a, &b, 0.0).unwrap(), &a) < 1e-15);
    assert!(gap(&slerp(&a, &b, 1.0).unwrap(), &b) < 1e-15);
    let angle = |x: &Array2<f64>, y: &Array2<f64>| -> Vec<f64> {
        (x * y).sum_axis(Axis(1)).iter().map(|c| c.acos()).collect()
    };
    let whole = angle(&a, &b);
    for share in [0.1, 0.5, 0.8] {
        let c = slerp(&a, &b, share).unwrap();
        assert!(length(&c).iter().all(|l| (l - 1.0).abs() < 1e-13));
        for (part, whole) in angle(&a, &c).iter().zip(&whole) {
            assert!((part - share * whole).abs() < 1e-7, "{part} of {whole}");
        }
    }
    // In one direction: a straight line between the lengths, however small the angle.
    let c = slerp(&(&a * 2.0), &(&a * 4.0), 0.25).unwrap();
    assert!(gap(&c, &(&a * 2.5)) < 1e-14);
    let near = &a + &(&b * 1e-9);
    assert!(gap(&slerp(&a, &near, 0.5).unwrap(), &(&a + &(&b * 5e-10))) < 1e-15);
    let e = slerp(&array![[1.0, 0.0], [1.0, 2.0]], &array![[0.0, 1.0], [-1.0, -2.0]], 0.5);
    assert!(e.unwrap_err().to_string().contains("row 1"));
    let e = slerp(&array![[0.0, 0.0]], &array![[0.0, 1.0]], 0.5);
    assert!(e.unwrap_err().to_string().contains("row 0"));
    assert!(slerp(&array![[0.0, 1.0]], &array![[0.0, 1.0, 2.0]], 0.5).is_err());
}

#[test]
fn temperature_scales() {
    let x = array![[1.0, -2.0]];
    assert_eq!(temper(&x, 0.5).unwrap(), array![[0.5, -1.0]]);
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(temper(&x, bad).unwrap_err().to_string().contains("temperature"));
    }
}
