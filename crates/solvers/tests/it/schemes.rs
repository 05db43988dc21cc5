//! Methods with constants, steppers of one's own, ranges of rows.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use ndarray::{Array2, array, s};
use sde_core::analytic::DataSet;
use sde_core::{
    Derivatives, Error, Key, Potential, Result, Score, ScoreJvp, Sde, State, TimeGrid, Tolerance,
    Ve, Vp,
};
use solvers::density::{
    Divergence, FlowDensity, PathDensity, flow_log_density, sampler_log_density, standard_log_prior,
};
use solvers::steppers::{EdmChurn, EdmHeun};
use solvers::{
    ConfiguredMethod, Control, CustomStepper, End, Method, Sampler, SamplerBuilder, Scheme,
    SolveError, sample,
};

type Rows = Array2<f64>;

fn like() -> Rows {
    Array2::zeros((1, 2))
}

/// Every constant changes what is drawn, and its usual value does not.
#[test]
fn constants_reach_the_steppers() {
    let ve = Ve::new(0.01, 20.0).unwrap();
    let score = DataSet::Blob.under(&ve).unwrap();
    let draw = |method: ConfiguredMethod| {
        SamplerBuilder::new(method, 0.0, 12)
            .stop(0.05)
            .draw(&ve, &score, 20, &like(), Key::root(2))
            .unwrap()
    };
    let mut seen = 0;
    for &method in Method::ALL {
        let usual = draw(method.into());
        for c in method.constants() {
            let same = method.with(c.name, c.usual).unwrap();
            assert_eq!((same.name(), draw(same)), (method.name().to_owned(), usual.clone()));
            let other = if method == Method::Restart {
                // Climbs must be asked for.
                let values = [("low", 1.2), ("high", 0.6), ("steps", 6.0), ("repeats", 2.0)];
                let value = values.iter().find(|(name, _)| *name == c.name).unwrap().1;
                let base = method.with("high", 4.0).unwrap().with("repeats", 1.0).unwrap();
                assert_ne!(draw(base.clone()), usual);
                let changed = base.clone().with(c.name, value).unwrap();
                assert_ne!(draw(changed.clone()), draw(base), "{changed:?}");
                continue;
            } else if c.name == "churn" {
                // More than a twelfth of sqrt 2 - 1 a step is as much as that.
                2.0
            } else if c.usual > 1.0 {
                c.usual - 1.0
            } else if c.name == "corrections" {
                2.0
            } else {
                0.7 * c.usual
            };
            let changed = method.with(c.name, other).unwrap();
            assert_eq!(ConfiguredMethod::parse(&changed.name()).unwrap(), changed);
            assert_eq!(changed.get(c.name), Some(other));
            // Noise at levels above 50, and what is above 0.05, there is none of here.
            let unseen = ["highest", "lowest"].contains(&c.name);
            assert!(unseen || draw(changed) != usual, "{} {}", method.name(), c.name);
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn evaluations_are_counted_with_the_constants() {
    let vp = Vp::new(0.1, 5.0).unwrap();
    let score = DataSet::Blob.under(&vp).unwrap();
    let restart = "restart:low=0.1,high=1,repeats=4";
    for text in ["pc-ancestral-langevin:corrections=3", "annealed-langevin:corrections=2", restart]
    {
        let tuned = ConfiguredMethod::parse(text).unwrap();
        let sampler = SamplerBuilder::new(tuned.clone(), 0.0, 30).build(&vp).unwrap();
        let mut sink = |_, _| Ok::<(), SolveError>(());
        let done = sample(&sampler, &vp, &score, 3, Key::root(1), &like(), &mut sink).unwrap();
        assert_eq!(done.nfe, tuned.nfe(30), "{text}");
    }
}

#[test]
fn bad_constants_are_refused_in_words() {
    let e = |text: &str| ConfiguredMethod::parse(text).unwrap_err().to_string();
    assert!(e("runge").starts_with("unknown method `runge`"));
    let known = "expected one of churn, lowest, highest, noise-scale";
    assert_eq!(e("edm-churn:curn=1"), format!("edm-churn: unknown constant `curn`: {known}"));
    assert_eq!(e("edm-churn:churn=x"), "edm-churn: churn = x: is not a number");
    assert_eq!(e("edm-churn:churn"), "edm-churn: churn = : is not a number");
    assert_eq!(e("edm-churn:churn=nan"), "edm-churn: churn = NaN: must be finite and not negative");
    assert_eq!(e("edm-churn:churn=1,churn=2"), "edm-churn: churn = 2: is given twice");
    assert_eq!(e("edm-churn:lowest=60"), "edm-churn: lowest = 60: must be below highest = 50");
    assert_eq!(e("heun:order=3"), "heun: order = 3: there are no constants to give here");
    assert_eq!(e("ipndm:order=2.5"), "ipndm: order = 2.5: must be a whole number from 1 to 4");
    assert_eq!(
        e("edm-heun:second-stage=0"),
        "edm-heun: second-stage = 0: must lie above 0 and not above 1"
    );
    assert!(Method::Heun.with("order", 3.0).is_err());
    let vp = Vp::default();
    let restart = ConfiguredMethod::parse("restart:high=1e9,repeats=1").unwrap();
    let score = DataSet::Blob.under(&vp).unwrap();
    let e = SamplerBuilder::new(restart, 0.0, 9)
        .draw(&vp, &score, 2, &like(), Key::root(1))
        .unwrap_err();
    assert!(e.to_string().starts_with("restart: lambda = "), "{e}");
}

/// The same stepper as a method, as one's own, and behind a pointer.
#[test]
fn the_same_stepper_takes_the_same_steps() {
    let vp = Vp::default();
    let score = DataSet::Blob.under(&vp).unwrap();
    fn draw<M: Scheme<Rows>>(method: M, vp: &Vp, score: &dyn Score<Rows>) -> Rows {
        SamplerBuilder::new(method, 0.0, 20).draw(vp, score, 30, &like(), Key::root(4)).unwrap()
    }
    let expected = draw(Method::EdmHeun, &vp, &score);
    assert_eq!(draw(CustomStepper(EdmHeun::default()), &vp, &score), expected);
    assert_eq!(draw(ConfiguredMethod::from(Method::EdmHeun), &vp, &score), expected);
    let any: Vec<Arc<dyn Scheme<Rows>>> =
        vec![Arc::new(Method::EdmHeun), Arc::new(CustomStepper(EdmHeun::default()))];
    for scheme in any {
        assert_eq!(draw(scheme, &vp, &score), expected);
    }
    let churn = EdmChurn { steps: 20, churn: 7.0, ..EdmChurn::default() };
    let tuned = Method::EdmChurn.with("churn", 7.0).unwrap();
    let plan = |end| SamplerBuilder::new(tuned.clone(), 0.0, 20).end(end);
    let a = plan(End::Plain).draw(&vp, &score, 30, &like(), Key::root(4)).unwrap();
    let b = plan(End::NoNoise).draw(&vp, &score, 30, &like(), Key::root(4)).unwrap();
    // Noise that a method draws itself comes off again in the same step.
    assert_eq!(a, b);
    let own = SamplerBuilder::new(CustomStepper(churn), 0.0, 20).end(End::Plain);
    assert_eq!(own.draw(&vp, &score, 30, &like(), Key::root(4)).unwrap(), a);
}

/// Every name of a plan, and what it refuses.
#[test]
fn plans_say_what_they_do() {
    let vp = Vp::default();
    let score = DataSet::Blob.under(&vp).unwrap();
    let plan = || SamplerBuilder::new(Method::Heun, 0.0, 10);
    let times = |plan: SamplerBuilder, sde: &dyn Sde| match plan.build(sde).unwrap().control {
        Control::Grid(times) => times,
        other => panic!("{other:?}"),
    };
    assert_eq!(times(plan(), &vp), TimeGrid::Quadratic.times(&vp, 10, 1.0, 1e-3).unwrap());
    let ve = Ve::default();
    let karras = TimeGrid::Karras { rho: 7.0 };
    assert_eq!(times(plan(), &ve), karras.times(&ve, 10, 1.0, 1e-5).unwrap());
    let other = plan().start(0.9).stop(0.1).grid(TimeGrid::Uniform);
    assert_eq!(times(other, &vp), TimeGrid::Uniform.times(&vp, 10, 0.9, 0.1).unwrap());
    let sampler = plan().end(End::Denoise).block_rows(7).build(&vp).unwrap();
    assert_eq!((sampler.end, sampler.block_rows, sampler.eta), (End::Denoise, 7, 0.0));

    let draw = |plan: SamplerBuilder, rows: Range<u64>| {
        plan.draw(&vp, &score, rows, &like(), Key::root(1)).map_err(|e| e.to_string())
    };
    assert!(draw(plan().block_rows(0), 0..2).unwrap_err().contains("block-rows = 0"));
    assert!(draw(plan().start(2.0), 0..2).unwrap_err().contains("t = 2 is outside [0, 1]"));
    assert!(draw(plan().stop(1.0), 0..2).unwrap_err().contains("must be below 1"));
    assert!(
        draw(SamplerBuilder::new(Method::Heun, 0.0, 0), 0..2).unwrap_err().contains("n_steps = 0")
    );
    assert!(
        draw(SamplerBuilder::new(Method::Heun, -1.0, 9), 0..2).unwrap_err().contains("eta = -1")
    );
    assert!(
        draw(SamplerBuilder::new(Method::Dopri5, 1.0, 9), 0..2).unwrap_err().contains("ODEs only")
    );
    assert!(draw(plan(), 5..5).unwrap_err().contains("rows = 5..5: needs at least one"));
    let backward = Range { start: 5, end: 3 };
    assert!(draw(plan(), backward).unwrap_err().contains("rows = 5..3: needs at least one"));
}

/// A score whose rows differ, that keeps account of who was asked for. Row `b` has its mean at `b / 100`.
struct Each<'a> {
    asked: &'a Mutex<Vec<u64>>,
    rows: Vec<u64>,
}

impl Each<'_> {
    fn fits(&self, x: &Rows) -> Result<()> {
        if x.nrows() == self.rows.len() {
            return Ok(());
        }
        Err(Error::Shape { expected: vec![self.rows.len(), 2], found: x.shape().to_vec() })
    }

    fn some(&self, rows: &[u64]) -> Each<'_> {
        self.asked.lock().unwrap().extend(rows);
        Each { asked: self.asked, rows: rows.to_vec() }
    }
}

/// Unit data about the mean, under `Vp`: variance 1 at all times.
impl Score<Rows> for Each<'_> {
    fn score(&self, x: &Rows, t: f64) -> Result<Rows> {
        self.fits(x)?;
        let alpha = Vp::default().marginal(t).alpha;
        let mean = |b: usize| alpha * self.rows[b] as f64 / 100.0;
        Ok(Array2::from_shape_fn(x.dim(), |(b, j)| mean(b) - x[[b, j]]))
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<Rows> + '_>> {
        Ok(Box::new(self.some(rows)))
    }
}

impl ScoreJvp<Rows> for Each<'_> {
    fn score_jvp(&self, x: &Rows, t: f64, v: &Rows) -> Result<(Rows, Rows)> {
        Ok((self.score(x, t)?, -v))
    }

    fn divergence(&self, x: &Rows, _: f64) -> Result<Vec<f64>> {
        Ok(vec![-2.0; x.nrows()])
    }

    fn jvp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreJvp<Rows> + '_>> {
        Ok(Box::new(self.some(rows)))
    }
}

impl Potential<Rows> for Each<'_> {
    fn derivatives(&self, x: &Rows, t: &[f64]) -> Result<Derivatives<Rows>> {
        let score = self.score(x, t[0])?;
        let vp = Vp::default();
        let square = score.row_dot(&score)?;
        let potential = square.iter().map(|s| -0.5 * s - std::f64::consts::TAU.ln()).collect();
        // phi = -|x - alpha m|^2 / 2: d_t phi = s . (-d alpha/dt m), with alpha m = x + s here.
        let a = vp.drift_coef(t[0]);
        let along = score.row_dot(x)?;
        let d_t = along.iter().zip(&square).map(|(xs, ss)| -a * (xs + ss)).collect();
        Ok(Derivatives { potential, score, d_t, laplacian: vec![-2.0; x.nrows()] })
    }

    fn potential_for_rows(&self, rows: &[u64]) -> Result<Box<dyn Potential<Rows> + '_>> {
        Ok(Box::new(self.some(rows)))
    }
}

/// Particle `i` is the same in any range and any block, and so is what its score knows of it.
#[test]
fn ranges_of_rows_are_parts_of_the_whole() {
    let vp = Vp::default();
    let asked = Mutex::new(vec![]);
    let score = Each { asked: &asked, rows: vec![] };
    let tol = Tolerance { abs: 1e-2, rel: 1e-2 };
    let adaptive = Control::Adaptive { t_start: 1.0, t_end: 1e-3, tol };
    // Short enough for the discrete-time step of the correctors.
    let fixed = Control::Grid(TimeGrid::Quadratic.times(&vp, 60, 1.0, 1e-3).unwrap());
    for (method, eta, control) in [
        (Method::EulerMaruyama, 1.0, fixed.clone()),
        (Method::SaSolver, 1.0, fixed.clone()),
        (Method::EdmChurn, 0.0, fixed.clone()),
        (Method::AnnealedLangevin, 0.0, fixed),
        (Method::Heun, 1.0, adaptive.clone()),
        (Method::Dopri5, 0.0, adaptive),
    ] {
        let draw = |rows: Range<u64>, block_rows: u64| {
            let control = control.clone();
            let sampler = Sampler { method, eta, control, end: End::Denoise, block_rows };
            let (mut parts, mut next) = (vec![], rows.start);
            let mut sink = |first: u64, x: Rows| {
                assert_eq!(first, next);
                next += x.nrows() as u64;
                parts.push(x);
                Ok::<(), SolveError>(())
            };
            sample(&sampler, &vp, &score, rows, Key::root(3), &like(), &mut sink).unwrap();
            Rows::concat_rows(&parts).unwrap()
        };
        let all = draw(0..150, 64);
        // Per-row means are reached: row b at b / 100.
        for (b, x) in all.outer_iter().enumerate() {
            assert!((x[0] - b as f64 / 100.0).abs() < 6.0);
        }
        asked.lock().unwrap().clear();
        for (rows, block) in [(100..150, 64), (100..150, 7), (37..38, 1), (1..150, 50)] {
            let part = all.slice(s![rows.start as usize..rows.end as usize, ..]);
            assert_eq!(draw(rows.clone(), block), part, "{} {rows:?}", method.name());
        }
        let mut seen = std::mem::take(&mut *asked.lock().unwrap());
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (1..150).collect::<Vec<_>>());
    }
}

/// Encodings and densities of rows that begin anywhere.
#[test]
fn encodings_and_densities_belong_to_particles() {
    let vp = Vp::default();
    let asked = Mutex::new(vec![]);
    let model = Each { asked: &asked, rows: vec![] };
    let x = array![[0.4, 1.0], [0.7, -0.2], [2.0, 0.0], [0.1, 0.6], [1.0, 1.0]];
    let mut times = TimeGrid::Quadratic.times(&vp, 25, 1.0, 1e-3).unwrap();
    times.reverse();
    let control = Control::Grid(times);
    let prior = |x: &Rows| standard_log_prior(&vp, x);
    let later = x.slice(s![2.., ..]).to_owned();

    let flow = |x: &Rows, first, block| {
        solvers::flow(Method::Heun, &control, &vp, &model, x, first, block).unwrap().0
    };
    let all = flow(&x, 40, 64);
    assert_eq!(flow(&later, 42, 2), all.slice(s![2.., ..]));
    assert_ne!(flow(&later, 40, 2), all.slice(s![2.., ..]));

    for divergence in [
        Divergence::Exact,
        Divergence::Hutchinson { probe: sde_core::Probe::Gaussian, n_probes: 3 },
    ] {
        let density = |x: &Rows, first, block_rows| {
            let flow = FlowDensity { divergence, control: control.clone(), block_rows };
            flow_log_density(&flow, &vp, &model, x, &prior, Key::root(1), first)
                .unwrap()
                .log_density
        };
        let all = density(&x, 40, 64);
        assert_eq!(density(&later, 42, 2), all[2..]);
        assert_ne!(density(&later, 40, 2), all[2..]);
    }

    // Paths from the same point have its number, however they are cut in blocks.
    let paths = |x: &Rows, first, block_rows| {
        let paths = PathDensity { eta: 1.0, n_paths: 5, control: control.clone(), block_rows };
        sampler_log_density(&paths, &vp, &model, x, &prior, Key::root(1), first)
            .unwrap()
            .log_density
    };
    let all = paths(&x, 40, 64);
    assert_eq!(paths(&later, 42, 3), all[2..]);
    // The potential is exact, and so is every path: the density of row b about b / 100.
    let alpha = vp.marginal(1e-3).alpha;
    for (b, (x, found)) in x.outer_iter().zip(&all).enumerate() {
        let mean = alpha * (40 + b) as f64 / 100.0;
        let exact = -0.5 * x.mapv(|x| (x - mean).powi(2)).sum() - std::f64::consts::TAU.ln();
        // The prior N(0, 1) is that of the model up to alpha(1) = 0.007.
        assert!((found - exact).abs() < 0.05, "{b}: {found} {exact}");
    }
}
