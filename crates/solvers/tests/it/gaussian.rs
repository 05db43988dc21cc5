//! Gaussian data: every sampler is affine there, so the mean and covariance of its samples follow
//! exactly from what single steps do to basis vectors. Held against independent recursions.

use ndarray::{Array1, Array2, Axis};
use sde_core::analytic::GaussianMixture;
use sde_core::{Result, Reverse, TimeGrid};
use serde_json::Value;
use solvers::{End, Method, Noise, NoiselessEnd, Past, Stepper};

use crate::common::{fixture, matrix, numbers, sde_of};

/// Mean and covariance of a Gaussian.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) mean: Array1<f64>,
    pub(crate) cov: Array2<f64>,
}

/// Noise that is one basis vector in each of the last `D` of `2 D + 1` rows.
struct Unit;

impl Noise<Array2<f64>> for Unit {
    fn increment(&self, like: &Array2<f64>, t0: f64, t1: f64) -> Result<Array2<f64>> {
        let d = like.ncols();
        let one = (t1 - t0).abs().sqrt();
        Ok(Array2::from_shape_fn(like.dim(), |(i, j)| if i == d + 1 + j { one } else { 0.0 }))
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// Takes moments through the steps of a one-step method: row 0 of the batch shows where a step
/// sends the origin, rows 1 to D what it does to basis vectors, the others what noise does.
pub(crate) fn push<P: ?Sized>(
    stepper: &dyn Stepper<Array2<f64>, P>,
    problem: &P,
    times: &[f64],
    mut now: Moments,
    end: End,
) -> Moments {
    let d = now.mean.len();
    let batch = Array2::from_shape_fn((2 * d + 1, d), |(i, j)| f64::from(u8::from(i == j + 1)));
    let noiseless = NoiselessEnd::new(&Unit, times[times.len() - 1]);
    let noise: &dyn Noise<_> = if end == End::Plain { &Unit } else { &noiseless };
    for w in times.windows(2) {
        let x = stepper.step(problem, &batch, w[0], w[1], &Past::default(), noise).unwrap().x;
        let origin = x.row(0).to_owned();
        let columns = |from: usize| {
            (&x.slice(ndarray::s![from..from + d, ..]) - &origin.view().insert_axis(Axis(0)))
                .reversed_axes()
        };
        let (a, l) = (columns(1), columns(d + 1));
        now = Moments {
            mean: a.dot(&now.mean) + &origin,
            cov: a.dot(&now.cov).dot(&a.t()) + l.dot(&l.t()),
        };
    }
    now
}

/// A Gaussian of the reference file.
fn data(all: &Value, name: &str) -> (GaussianMixture, Moments) {
    let t = &all["targets"][name];
    let (mean, cov) = (Array1::from(numbers(&t["mean"])), matrix(&t["cov"]));
    let means = mean.clone().insert_axis(Axis(0));
    (
        GaussianMixture::new(&[1.0], &means, std::slice::from_ref(&cov)).unwrap(),
        Moments { mean, cov },
    )
}

/// The largest error in units of the size of the entry's moments.
fn error(found: &Moments, case: &Value) -> f64 {
    let (mean, cov) = (Array1::from(numbers(&case["mean"])), matrix(&case["cov"]));
    let size = |it: &mut dyn Iterator<Item = &f64>| it.fold(1.0_f64, |m, v| m.max(v.abs()));
    let (sm, sc) = (size(&mut mean.iter()), size(&mut cov.iter()));
    let gap = |a: f64, b: f64, s: f64| {
        let e = (a - b).abs() / s;
        if e.is_nan() { f64::INFINITY } else { e }
    };
    let m = found.mean.iter().zip(&mean).map(|(a, b)| gap(*a, *b, sm));
    m.chain(found.cov.iter().zip(&cov).map(|(a, b)| gap(*a, *b, sc))).fold(0.0, f64::max)
}

/// One recursion by the method it belongs to; `None` for a scheme that has no method here.
fn check_recursion(all: &Value, case: &Value) -> Option<f64> {
    let text = |k: &str| case[k].as_str().unwrap();
    let (method, eta, end) = match text("scheme") {
        "em" => (Method::EulerMaruyama, 1.0, End::Plain),
        "em_nonoise" => (Method::EulerMaruyama, 1.0, End::NoNoise),
        "em_lam" => (Method::EulerMaruyama, 0.5, End::Plain),
        "euler_ode" => (Method::EulerMaruyama, 0.0, End::Plain),
        "heun_ode" => (Method::Heun, 0.0, End::Plain),
        _ => return None,
    };
    let (target, exact) = data(all, text("target"));
    let sde = sde_of(text("sde"));
    let score = target.under(&*sde);
    let problem = Reverse::new(&*sde, &score, eta).unwrap();
    let (n, eps) = (case["N"].as_u64().unwrap() as usize, case["eps"].as_f64().unwrap());
    let times = TimeGrid::Uniform.times(&*sde, n, sde.horizon(), eps).unwrap();
    let m = sde.marginal(sde.horizon());
    let eye = Array2::<f64>::eye(exact.mean.len());
    let start = if text("init") == "prior" {
        Moments { mean: exact.mean * 0.0, cov: eye * sde.prior_std().powi(2) }
    } else {
        let cov = exact.cov * (m.alpha * m.alpha) + eye * (m.sigma * m.sigma);
        Moments { mean: exact.mean * m.alpha, cov }
    };
    Some(error(&push(&*method.stepper(), &problem, &times, start, end), case))
}

/// Recursions to 60 digits, ill-conditioned ones among them.
#[test]
fn precise_recursions() {
    let all = fixture("gaussian.json");
    let mut worst = 0.0_f64;
    for case in all["precise"].as_array().unwrap() {
        let e = check_recursion(&all, case).unwrap();
        assert!(e < 1e-10, "{e:e}: {case}");
        worst = worst.max(e);
    }
    eprintln!("precise Gaussian recursions: worst error {worst:e}");
}
