//! Combinations of models.

use control::{ClassifierGuidance, Guidance, Strength};
use ndarray::Array2;
use sde_core::analytic::MixtureClasses;
use sde_core::{Edm, Key, LogLikelihood, Reverse, Score, ScoreJvp, ScoreVjp, Sde, State, Vp};
use solvers::steppers::ExponentialEulerMaruyama;
use solvers::{IndependentIncrements, Method, Past, Sampler, Stepper};

use crate::common::{normals, off, squared_w2, three};

fn classes() -> MixtureClasses {
    three().classes(&[0, 1, 1]).unwrap()
}

/// At weight 1 it is the conditional model, bit for bit; at others the formula.
#[test]
fn weights() {
    let (vp, x) = (Vp::default(), normals(1, 20, 2));
    let (one, all) = (classes().class(1).under(&vp), three().under(&vp));
    let (a, b) = (one.score(&x, 0.3).unwrap(), all.score(&x, 0.3).unwrap());
    let guided = |w: f64| Guidance::new(&vp, &one, &all, w);
    assert_eq!(guided(1.0).score(&x, 0.3).unwrap(), a);
    assert_eq!(guided(0.0).score(&x, 0.3).unwrap(), b);
    let expected = &b + (&a - &b) * 2.5;
    assert!(off(&guided(2.5).score(&x, 0.3).unwrap(), &expected) < 1e-12);
    // The denoised data are Tweedie's of the score.
    let m = vp.marginal(0.3);
    let data = (&x + expected * (m.sigma * m.sigma)) / m.alpha;
    assert!(off(&guided(2.5).denoised(&x, 0.3).unwrap().unwrap(), &data) < 1e-11);
}

/// Directional derivatives against differences, and the transposed product against them.
#[test]
fn derivatives() {
    let (vp, x) = (Vp::default(), normals(2, 10, 2));
    let (u, v) = (normals(3, 10, 2), normals(4, 10, 2));
    let (one, all) = (classes().class(1).under(&vp), three().under(&vp));
    let guided = Guidance::new(&vp, &one, &all, 3.0);
    let (s, jv) = guided.score_jvp(&x, 0.4, &v).unwrap();
    assert_eq!(s, guided.score(&x, 0.4).unwrap());
    let h = 1e-5;
    let ahead = guided.score(&(&x + &v * h), 0.4).unwrap();
    let behind = guided.score(&(&x - &v * h), 0.4).unwrap();
    assert!(off(&((ahead - behind) / (2.0 * h)), &jv) < 1e-7);
    let (_, pull) = guided.score_vjp(&x, 0.4).unwrap();
    let (left, right) = (u.row_dot(&jv).unwrap(), v.row_dot(&pull(&u).unwrap()).unwrap());
    assert!(left.iter().zip(&right).all(|(a, b)| (a - b).abs() < 1e-10));
    let mut traces = vec![0.0; 10];
    for j in 0..2 {
        let mut unit = Array2::zeros((10, 2));
        unit.column_mut(j).fill(1.0);
        let column = guided.score_jvp(&x, 0.4, &unit).unwrap().1;
        traces.iter_mut().zip(column.column(j)).for_each(|(t, c)| *t += c);
    }
    let found = guided.divergence(&x, 0.4).unwrap();
    assert!(found.iter().zip(&traces).all(|(a, b)| (a - b).abs() < 1e-10));
}

/// DDIM with the weight of CFG++ moves to guided data with unconditional noise; the weight is 1 outside an interval.
#[test]
fn strengths() {
    let (vp, x) = (Vp::default(), normals(5, 20, 2));
    let (one, all) = (classes().class(1).under(&vp), three().under(&vp));
    let times = [1.0, 0.7, 0.4, 0.0];
    let strength = Strength::PlusPlus { weight: 0.6, times: times.into() };
    let guided = Guidance::new(&vp, &one, &all, strength.clone());
    let problem = Reverse::ode(&vp, &guided);
    let noise = IndependentIncrements::new(Key::root(0), 0);
    for w in times.windows(2) {
        let past = Past::default();
        let step = ExponentialEulerMaruyama.step(&problem, &x, w[0], w[1], &past, &noise).unwrap();
        let (m0, m1) = (vp.marginal(w[0]), vp.marginal(w[1]));
        let data = |s: &Array2<f64>| (&x + s * (m0.sigma * m0.sigma)) / m0.alpha;
        let (sc, su) = (one.score(&x, w[0]).unwrap(), all.score(&x, w[0]).unwrap());
        let mixed = data(&su) + (data(&sc) - data(&su)) * 0.6;
        let expected = mixed * m1.alpha - su * (m0.sigma * m1.sigma);
        assert!(off(&step.x, &expected) < 1e-10, "{w:?}: {:e}", off(&step.x, &expected));
    }
    assert!(strength.at(&vp, 0.0).unwrap_err().to_string().contains("in none of the steps"));
    let middle = Strength::Interval { weight: 2.0, lowest: 0.5, highest: 2.0 };
    assert_eq!([0.4, 0.6, 2.5].map(|t| middle.at(&Edm::default(), t).unwrap()), [1.0, 2.0, 1.0]);
    assert!(middle.at(&Edm::default(), -1.0).is_err());
}

/// Samples of classifier-free guidance are of the class at weight 1, and not at weight 3.
#[test]
fn only_weight_one_is_a_law() {
    let (vp, n) = (Vp::default(), 1500);
    let class = classes().class(1).clone();
    let (one, all) = (class.under(&vp), three().under(&vp));
    let draw = |w: f64| {
        let guided = Guidance::new(&vp, &one, &all, w);
        Sampler::builder(Method::DpmSolverPP2M, 0.0, 40)
            .draw(&vp, &guided, n as u64, &Array2::zeros((1, 2)), Key::root(6))
            .unwrap()
    };
    let exact = |seed| class.sample(Key::root(seed), 0, n);
    let floor: Vec<f64> =
        (0..8).map(|i| squared_w2(&exact(100 + 2 * i), &exact(101 + 2 * i))).collect();
    let most = floor.iter().copied().fold(0.0, f64::max);
    let (one, three) = (squared_w2(&draw(1.0), &exact(99)), squared_w2(&draw(3.0), &exact(99)));
    assert!(one < 1.5 * most, "{one} above {floor:?}");
    assert!(three > 4.0 * most, "{three} within {floor:?}");
}

/// A label belongs to its particle, however a run is cut.
#[test]
fn labels_belong_to_particles() {
    let vp = Vp::default();
    let all = three().under(&vp);
    let labels = (0..30).map(|i| usize::from(i % 3 == 0)).collect::<Vec<_>>();
    let classifier = classes().under(&vp).of(labels.clone());
    let guided = ClassifierGuidance::new(&vp, &all, &classifier, 1.0);
    let like = Array2::zeros((1, 2));
    let plan = |block| Sampler::builder(Method::EulerMaruyama, 1.0, 60).block_rows(block);
    let whole = plan(256).draw(&vp, &guided, 30, &like, Key::root(7)).unwrap();
    let blocks = plan(7).draw(&vp, &guided, 30, &like, Key::root(7)).unwrap();
    let part = plan(4).draw(&vp, &guided, 11..19, &like, Key::root(7)).unwrap();
    assert_eq!(whole, blocks);
    assert_eq!(whole.slice_rows(11, 8).unwrap(), part);
    // And is that of the particle.
    for c in 0..2 {
        let of: Vec<usize> = (0..30).filter(|i| labels[*i] == c).collect();
        let x = whole.select(ndarray::Axis(0), &of);
        let right = classes().under(&vp).log_class(c, &x, 1e-3).unwrap().0;
        let mean = right.iter().map(|l| l.exp()).sum::<f64>() / right.len() as f64;
        assert!(mean > 0.7, "{c}: {right:?}");
    }
    assert!(classifier.likelihood_for_rows(&[30]).is_err());
    let unknown = classes().under(&vp).of(vec![2]);
    assert!(unknown.log_likelihood(&normals(8, 3, 2), 0.5).is_err());
}
