//! Every bound of the gap between ODE and SDE, on the model at hand.

use anyhow::Result;
use fp_residual::bounds::{
    Carried, Coupled, FlowPair, LawScore, TimeRule, along_paths, carried, coupling, flow_gap,
    grad_r_from_residual, mixed_coupling, path_entropy, relative_entropy_bound,
    residual_excess_within,
};
use fp_residual::prior_mismatch;
use ndarray::Array2;
use sde_core::{Key, KroneckerSequence};
use serde::{Deserialize, Serialize};

use super::attribution::{Share, shares};
use super::given::Given;
use super::known::Known;
use super::means::{GROUPS, mean, root, squares};
use super::{Config, Found};

/// Steps from one time of the profile to the next.
const STEPS: usize = 2;

/// So many times the particles gather residuals: their mean is a small difference of large ones.
const GATHER: usize = 8;

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Of {
    /// W2 between ODE and SDE.
    W2,
    /// `KL(ODE | SDE)`.
    Entropy,
    /// `1/2 int g^2 E |grad r|^2 dt`.
    Energy,
}

/// Whether a bound is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rigour {
    /// A theorem, with everything in it as it says.
    Yes,
    /// The theorem asks for a supremum, of which a grid's maximum is an estimate from below.
    Grid,
    /// Something stands where the theorem has a supremum.
    No,
}

/// A bound.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Bound {
    pub(super) name: String,
    pub(super) of: Of,
    pub(super) rigour: Rigour,
    pub(super) found: Found,
}

/// All of them, and when the gap comes about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Bounds {
    pub(super) particles: usize,
    /// The share of particles that stay in the window on both flows.
    pub(super) stayed: Found,
    pub(super) bounds: Vec<Bound>,
    /// `sup` and mean under the SDE of the largest eigenvalue of the Hessian at the time of the data.
    pub(super) steepest: [f64; 2],
    /// `int_0^T L dt` with the supremum.
    #[serde(with = "crate::number")]
    pub(super) growth: f64,
    /// The eigenvalue and the integral of the rate again, as certified over the whole plane; of a network.
    pub(super) certified: Option<[f64; 2]>,
    /// `E |grad r|^2` along the paths against that of the finite volumes: their energies.
    pub(super) along: Found,
    /// How far the integral of what is carried is from the displacement, relative, root mean square.
    #[serde(with = "crate::number")]
    pub(super) closure: f64,
    pub(super) shares: Vec<Share>,
}

/// Particles on both flows.
struct Particles {
    pair: FlowPair,
    kept: Vec<bool>,
}

impl Particles {
    fn follow(
        given: &Given<'_>,
        law: &LawScore<'_>,
        at: (&Array2<f64>, &TimeRule, usize),
        half_width: f64,
    ) -> Result<Self> {
        let (start, rule, steps) = at;
        let pair = FlowPair::follow(given.sde, &given.score, law, start, rule, steps)?;
        let kept = pair.within(half_width);
        Ok(Self { pair, kept })
    }

    /// `E |X^S_0 - X^O_0|^2` of those that are kept, with the standard error of the means of groups.
    fn coupling(&self) -> Found {
        let squares: Vec<f64> = self.pair.displacements().outer_iter().map(|d| d.dot(&d)).collect();
        mean(&squares, &self.kept)
    }
}

/// Rows of the prior, in groups of shifted sequences.
fn starts(given: &Given<'_>, n: usize, key: Key) -> Array2<f64> {
    let each = n.div_ceil(GROUPS);
    let mut normals = vec![0.0; 2 * each * GROUPS];
    for (group, normals) in normals.chunks_mut(2 * each).enumerate() {
        KroneckerSequence::new(key.fold(group as u64), 2).fill_normals(0, normals);
    }
    let std = given.sde.prior_std();
    Array2::from_shape_fn((each * GROUPS, 2), |(row, j)| std * normals[2 * row + j])
}

/// The share of a half, with the half of Wilson's interval of two standard errors.
fn share(kept: &[bool]) -> Found {
    let (n, k) = (kept.len() as f64, kept.iter().filter(|k| **k).count() as f64);
    let (share, z2) = (k / n, 4.0);
    let error = (z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    Found { value: share, error: error + (share - (share + 0.5 * z2 / n) / (1.0 + z2 / n)).abs() }
}

impl Config {
    /// Bounds of a model, and what its gap is made of.
    pub(super) fn bounds(&self, given: &Given<'_>, known: &Known) -> Result<Bounds> {
        let (half_width, key) = (self.window.half_width, Key::root(self.seed));
        let start = starts(given, self.particles, key.fold(0));
        let law = LawScore { score: &given.score, field: &known.field };
        let all = Particles::follow(given, &law, (&start, &known.rule, STEPS), half_width)?;
        let rough = LawScore { score: &given.score, field: &known.coarse };
        let coarse = Particles::follow(given, &rough, (&start, &known.rule, 1), half_width)?;
        let mut found = all.coupling();
        found.error += (found.value - coarse.coupling().value).abs();
        let few = starts(given, self.particles.div_ceil(4), key.fold(1));
        let some = Particles::follow(given, &law, (&few, &known.rule, 1), half_width)?;
        let moved = carried(given.sde, &given.score, &law, &some.pair, 1)?;
        let mut bounds = vec![bound("flow coupling", Of::W2, Rigour::Yes, root(found))];
        bounds.extend(jacobians(known, &moved, &some.kept));
        let rates = Rates::new(given, known)?;
        let sources = self.sources(given, known, (&some, &few, key.fold(2)))?;
        bounds.extend(rates.bounds(known, &sources));
        bounds.extend(sources.bounds(known));
        let along: Vec<f64> = moved
            .iter()
            .map(|at| mean(&squares(&at.gradient), &some.kept).value.max(0.0).sqrt())
            .collect();
        let energy = path_entropy(&known.rule, &known.g_squared, &along);
        let gap: Vec<f64> = known.gap.iter().map(|gap| gap.sqrt()).collect();
        let exact = path_entropy(&known.rule, &known.g_squared, &gap);
        let (shares, closure) = shares(known, &moved, &some.pair.displacements(), &some.kept);
        Ok(Bounds {
            particles: start.nrows(),
            stayed: share(&all.kept),
            bounds,
            steepest: [rates.most[0], rates.mean[0]],
            growth: known.rule.integral(&rates.rate(&rates.most, 0.5)),
            certified: rates.certified(given, known)?,
            along: Found { value: energy, error: (energy - exact).abs() },
            closure,
            shares,
        })
    }
}

fn bound(name: &str, of: Of, rigour: Rigour, found: Found) -> Bound {
    Bound { name: name.into(), of, rigour, found }
}

/// An integral over time of means with errors; every other time says how far the rule is.
fn integral(known: &Known, roots: &[Found]) -> Found {
    let values: Vec<f64> = roots.iter().map(|r| r.value).collect();
    let errors: Vec<f64> = roots.iter().map(|r| r.error).collect();
    let value = along_paths(&known.rule, &known.g_squared, &values);
    let every_other = |of: &[f64]| of.iter().step_by(2).copied().collect::<Vec<f64>>();
    let half =
        TimeRule::trapezoid(&every_other(known.rule.times())).map_or(f64::INFINITY, |rule| {
            (value - along_paths(&rule, &every_other(&known.g_squared), &every_other(&values)))
                .abs()
        });
    Found { value, error: along_paths(&known.rule, &known.g_squared, &errors) + half }
}

/// The bounds with the Jacobian of the flow.
fn jacobians(known: &Known, moved: &[Carried], kept: &[bool]) -> [Bound; 2] {
    let vectors: Vec<Found> =
        moved.iter().map(|at| root(mean(&squares(&at.moved), kept))).collect();
    let norms: Vec<Found> = moved
        .iter()
        .map(|at| {
            let gradient = squares(&at.gradient);
            let each: Vec<f64> = at.growth.iter().zip(&gradient).map(|(g, r)| g * g * r).collect();
            root(mean(&each, kept))
        })
        .collect();
    [
        bound("Jacobian along paths", Of::W2, Rigour::Yes, integral(known, &vectors)),
        bound("norm of the Jacobian", Of::W2, Rigour::Yes, integral(known, &norms)),
    ]
}

/// The largest eigenvalue of the Hessian at every time: its maximum over the nodes in the window, its mean under the SDE.
struct Rates {
    drift: Vec<f64>,
    g_squared: Vec<f64>,
    most: Vec<f64>,
    mean: Vec<f64>,
}

impl Rates {
    fn new(given: &Given<'_>, known: &Known) -> Result<Self> {
        let (mut most, mut mean) = (vec![], vec![]);
        for (k, &t) in known.rule.times().iter().enumerate() {
            let all = given.steepest(&known.nodes, t)?;
            let within = || all.iter().zip(&known.inside).filter(|(_, inside)| **inside);
            most.push(within().map(|(v, _)| *v).fold(f64::NEG_INFINITY, f64::max));
            let cells = &known.cells[k];
            let mass: f64 = cells.iter().sum();
            mean.push(all.iter().zip(cells).map(|(v, p)| v * p).sum::<f64>() / mass);
        }
        let drift = known.rule.sample(|t| given.sde.drift_coef(t));
        Ok(Self { drift, g_squared: known.g_squared.clone(), most, mean })
    }

    /// The largest eigenvalue that the network allows at the time of the data, and the integral of the rate with it.
    fn certified(&self, given: &Given<'_>, known: &Known) -> Result<Option<[f64; 2]>> {
        let Some(net) = given.net else { return Ok(None) };
        let times = known.rule.times().iter();
        let most: Vec<f64> = times.map(|t| net.curvature_bound(*t)).collect::<Result<_, _>>()?;
        Ok(Some([most[0], known.rule.integral(&self.rate(&most, 0.5))]))
    }

    /// `-a + share g^2 lambda`.
    fn rate(&self, lambda: &[f64], share: f64) -> Vec<f64> {
        let each = self.drift.iter().zip(&self.g_squared).zip(lambda);
        each.map(|((a, g2), lambda)| -a + share * g2 * lambda).collect()
    }

    fn bounds(&self, known: &Known, sources: &Sources) -> Vec<Bound> {
        let (rule, g2) = (&known.rule, &self.g_squared);
        let gap: Vec<f64> = known.gap.iter().map(|gap| gap.sqrt()).collect();
        let exact = |value: f64| Found { value, error: 0.0 };
        let (most, middle) = (self.rate(&self.most, 0.5), self.rate(&self.mean, 0.5));
        let ode = Coupled { rate: &most, gradient: &gap };
        let noisy = self.rate(&self.most, 1.0);
        let sde = Coupled { rate: &noisy, gradient: &sources.grad_rho };
        let still = vec![0.0; gap.len()];
        vec![
            bound(
                "coupling, L the largest on the nodes",
                Of::W2,
                Rigour::Grid,
                exact(coupling(rule, g2, &most, &gap)),
            ),
            bound(
                "two couplings, the slower",
                Of::W2,
                Rigour::Grid,
                exact(mixed_coupling(rule, g2, ode, sde)),
            ),
            bound(
                "coupling, grad R alone, L as above",
                Of::W2,
                Rigour::Grid,
                exact(coupling(rule, g2, &most, &sources.grad_r)),
            ),
            bound(
                "coupling, L the mean",
                Of::W2,
                Rigour::No,
                exact(coupling(rule, g2, &middle, &gap)),
            ),
            bound("coupling, L = 0", Of::W2, Rigour::No, exact(coupling(rule, g2, &still, &gap))),
        ]
    }
}

/// What follows from the residual.
struct Sources {
    /// `(E_ODE |grad rho|^2)^(1/2)` at every time.
    grad_rho: Vec<f64>,
    /// A bound of `(E_SDE |grad r|^2)^(1/2)` from `grad R`.
    grad_r: Vec<f64>,
    excess: Found,
    entropy: Found,
}

impl Config {
    fn sources(
        &self,
        given: &Given<'_>,
        known: &Known,
        (some, start, key): (&Particles, &Array2<f64>, Key),
    ) -> Result<Sources> {
        let rule = &known.rule;
        let grad_residual = |x: &Array2<f64>, t: f64| given.grad_residual(x, t);
        let paths = flow_gap(given.sde, &given.score, &grad_residual, start, rule, STEPS)?;
        let rho: Vec<Found> =
            paths.iter().map(|at| mean(&squares(&at.gradient), &some.kept)).collect();
        let mut grad_residuals = vec![];
        // Places on the flow of the SDE's law are distributed like it.
        for (x, &t) in some.pair.sde.iter().zip(&some.pair.times).rev() {
            let slopes = given.grad_residual(x, t)?;
            grad_residuals.push(root(mean(&squares(&slopes), &some.kept)).value);
        }
        let prior = &some.pair.sde[0];
        let score = given.score.score(prior, given.sde.horizon())?;
        let mismatch = prior_mismatch(given.sde, prior, &score)?;
        let grad_h = root(mean(&squares(&mismatch), &some.kept)).value;
        let drift = rule.sample(|t| given.sde.drift_coef(t));
        let grad_rho: Vec<f64> = rho.iter().map(|r| r.value.max(0.0).sqrt()).collect();
        let value = relative_entropy_bound(rule, &known.g_squared, &grad_rho);
        let errors: Vec<f64> = rho.iter().map(|r| r.error.max(0.0).sqrt()).collect();
        let entropy =
            Found { value, error: relative_entropy_bound(rule, &known.g_squared, &errors) };
        let fine = TimeRule::trapezoid(&finer(rule.times()))?;
        let (excess, _) = residual_excess_within(
            given.sde,
            given.phi,
            (2, GATHER * self.particles),
            &fine,
            key,
            self.window.half_width,
        )?;
        Ok(Sources {
            grad_rho,
            grad_r: grad_r_from_residual(rule, &drift, &grad_residuals, grad_h),
            excess: Found { value: excess.value, error: excess.standard_error },
            entropy,
        })
    }
}

impl Sources {
    fn bounds(&self, known: &Known) -> Vec<Bound> {
        let rule = &known.rule;
        let exact = |value: f64| Found { value, error: 0.0 };
        let each: Vec<f64> = known.residual.iter().map(|r| known.oscillation(r)).collect();
        let swing = rule.integral(&each) + known.oscillation(&known.mismatch);
        vec![
            bound("Girsanov along the ODE", Of::Entropy, Rigour::Yes, self.entropy),
            bound("residual gathered, less renoised", Of::Energy, Rigour::Yes, self.excess),
            bound(
                "grad R alone",
                Of::Energy,
                Rigour::Yes,
                exact(path_entropy(rule, &known.g_squared, &self.grad_r)),
            ),
            bound("largest less least R", Of::Energy, Rigour::Grid, exact(swing * swing / 8.0)),
        ]
    }
}

/// Four times as many times.
fn finer(times: &[f64]) -> Vec<f64> {
    let between = |pair: &[f64]| {
        let (from, length) = (pair[0], pair[1] - pair[0]);
        [0.25, 0.5, 0.75, 1.0].map(|share| from + share * length)
    };
    std::iter::once(times[0]).chain(times.windows(2).flat_map(between)).collect()
}
