//! Stochastic exponential methods: formulas written out once more, limits, ends.

use ndarray::Array2;
use sde_core::{Key, Marginal, Reverse, Score, Sde, TimeGrid, Vp};
use solvers::{Grid, IndependentIncrements, Method, solve};

use crate::common::{distance, normals, target};

type Rows = Array2<f64>;

fn go(method: Method, sde: &dyn Sde, score: &dyn Score<Rows>, eta: f64, times: &[f64]) -> Rows {
    let problem = Reverse::new(sde, score, eta).unwrap();
    let mut grid = Grid::new(times.to_vec()).unwrap();
    let noise = IndependentIncrements::new(Key::root(4), 0);
    let x = normals(2, 32, 2);
    solve(&*method.stepper(), &problem, x, times[0], &mut grid, &noise, &mut ()).unwrap().x
}

fn lambda(m: Marginal) -> f64 {
    (m.alpha / m.sigma).ln()
}

/// DPM-Solver++ of one, two and three stages or steps in the authors' notation.
struct DpmSolverPP<'a> {
    sde: &'a dyn Sde,
    score: &'a dyn Score<Rows>,
}

impl DpmSolverPP<'_> {
    fn data(&self, x: &Rows, t: f64) -> Rows {
        let m = self.sde.marginal(t);
        (x + self.score.score(x, t).unwrap() * (m.sigma * m.sigma)) / m.alpha
    }

    fn single(&self, x: &Rows, t0: f64, t1: f64, order: u32) -> Rows {
        let (m0, m1) = (self.sde.marginal(t0), self.sde.marginal(t1));
        let h = lambda(m1) - lambda(m0);
        let at = |r: f64| {
            let t = self.sde.time_of_half_log_snr(lambda(m0) + r * h).unwrap();
            (t, self.sde.marginal(t))
        };
        let d0 = self.data(x, t0);
        let phi1 = |r: f64| (-r * h).exp_m1();
        let phi2 = |r: f64| phi1(r) / (r * h) + 1.0;
        let first = |m: Marginal, r: f64| x * (m.sigma / m0.sigma) - &d0 * (m.alpha * phi1(r));
        match order {
            1 => first(m1, 1.0),
            2 => {
                let (s, m) = at(0.5);
                let d1 = self.data(&first(m, 0.5), s);
                first(m1, 1.0) - (d1 - &d0) * (m1.alpha * phi1(1.0))
            }
            _ => {
                let ((s1, n1), (s2, n2)) = (at(1.0 / 3.0), at(2.0 / 3.0));
                let d1 = self.data(&first(n1, 1.0 / 3.0), s1);
                let x2 = first(n2, 2.0 / 3.0) + (d1 - &d0) * (2.0 * n2.alpha * phi2(2.0 / 3.0));
                let d2 = self.data(&x2, s2);
                first(m1, 1.0) + (d2 - &d0) * (1.5 * m1.alpha * phi2(1.0))
            }
        }
    }

    fn multi(&self, times: &[f64], order: usize) -> Rows {
        let mut x = normals(2, 32, 2);
        let mut kept: Vec<(f64, Rows)> = vec![];
        for w in times.windows(2) {
            let (m0, m1) = (self.sde.marginal(w[0]), self.sde.marginal(w[1]));
            let h = lambda(m1) - lambda(m0);
            let d0 = self.data(&x, w[0]);
            let phi1 = (-h).exp_m1();
            let (phi2, phi3) = (phi1 / h + 1.0, (phi1 / h + 1.0) / h - 0.5);
            let mut next = &x * (m1.sigma / m0.sigma) - &d0 * (m1.alpha * phi1);
            if let Some((l1, d1)) = kept.first() {
                let r0 = (lambda(m0) - l1) / h;
                let a = (&d0 - d1) / r0;
                match (order, kept.get(1)) {
                    (3, Some((l2, d2))) => {
                        let r1 = (l1 - l2) / h;
                        let b = (d1 - d2) / r1;
                        let slope = &a + (&a - &b) * (r0 / (r0 + r1));
                        let bend = (&a - &b) / (r0 + r1);
                        next = next + slope * (m1.alpha * phi2) - bend * (m1.alpha * phi3);
                    }
                    (3, None) => next = next + a * (m1.alpha * phi2),
                    _ => next = next - a * (0.5 * m1.alpha * phi1),
                }
            }
            kept.insert(0, (lambda(m0), d0));
            x = next;
        }
        x
    }
}

/// Without noise the methods are the deterministic ones of their families.
#[test]
fn without_noise_they_are_dpm_solver_pp() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let times = TimeGrid::Quadratic.times(&vp, 15, 1.0, 1e-3).unwrap();
    let authors = DpmSolverPP { sde: &vp, score: &score };
    let single = |order| {
        times.windows(2).fold(normals(2, 32, 2), |x, w| authors.single(&x, w[0], w[1], order))
    };
    let cases = [
        (Method::ExponentialEulerMaruyama, single(1)),
        (Method::Seeds1, single(1)),
        (Method::ErSde1, single(1)),
        (Method::DpmSolverPPSde, single(2)),
        (Method::Seeds2, single(2)),
        (Method::Seeds3, single(3)),
        (Method::DpmSolverPP2MSde, authors.multi(&times, 2)),
        (Method::DpmSolverPP3MSde, authors.multi(&times, 3)),
    ];
    for (method, expected) in cases {
        let e = distance(&go(method, &vp, &score, 0.0, &times), &expected);
        assert!(e < 1e-10, "{}: {e:e}", method.name());
    }
}

/// The first-order methods are one and the same for every `eta`.
#[test]
fn first_order_methods_agree() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let times = TimeGrid::Quadratic.times(&vp, 15, 1.0, 1e-3).unwrap();
    for eta in [0.0, 0.3, 1.0, 3.0] {
        let expected = go(Method::ExponentialEulerMaruyama, &vp, &score, eta, &times);
        for method in [Method::Seeds1, Method::ErSde1] {
            let found = go(method, &vp, &score, eta, &times);
            assert!(distance(&found, &expected) < 1e-11, "{} at eta = {eta}", method.name());
        }
    }
}

/// Any `eta`, small to large, and a step to `sigma = 0`, where what is left is `alpha D`.
#[test]
fn any_eta_and_the_very_end() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let all = [
        Method::ExponentialEulerMaruyama,
        Method::DpmSolverPPSde,
        Method::DpmSolverPP2MSde,
        Method::DpmSolverPP2MSdeHeun,
        Method::DpmSolverPP3MSde,
        Method::Seeds1,
        Method::Seeds2,
        Method::Seeds3,
        Method::SaSolver,
        Method::ErSde1,
        Method::ErSde2,
        Method::ErSde3,
    ];
    let early = TimeGrid::Quadratic.times(&vp, 40, 1.0, 1e-3).unwrap();
    let mut full = early.clone();
    full.push(0.0);
    for method in all {
        let small = go(method, &vp, &score, 1e-9, &early);
        let none = go(method, &vp, &score, 0.0, &early);
        assert!(distance(&small, &none) < 1e-6, "{}", method.name());
        for eta in [0.0, 0.5, 1.0, 10.0] {
            let before = go(method, &vp, &score, eta, &early);
            let after = go(method, &vp, &score, eta, &full);
            let authors = DpmSolverPP { sde: &vp, score: &score };
            let e = distance(&after, &authors.data(&before, 1e-3));
            assert!(e < 1e-11, "{} at eta = {eta}: {e:e}", method.name());
        }
    }
}
