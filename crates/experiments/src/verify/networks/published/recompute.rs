//! Every array of an archive, recomputed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{D, Tensor};
use ndarray::ArrayD;
use score_nets::{Backend, Condition, Jet, Parameters};
use sde_core::{Level, Sde, SubVp, Ve, Vp};
use serde_json::{Value, json};

use super::derivatives::{gradients, jacobian, noise, own_name};
use super::found::{Found, flat};
use super::function::Function;
use super::spec::Task;
use super::{EXACT, FAST, FAST_RATE, SINGLE, SINGLE_FAST};
use crate::npy::Npz;
use crate::verify::case::{Case, Deviation};
use crate::verify::json;

/// Arrays that are given rather than computed.
const INPUTS: [&str; 8] = ["x", "t", "class_labels", "v", "u", "target", "score_t", "t_int"];

/// Arrays that one computation gives.
struct Group {
    arrays: &'static [&'static str],
    /// The inputs from which they follow.
    needs: &'static [&'static str],
    /// Whether an archive that has the inputs should have the arrays.
    expected: fn(&Run<'_>) -> bool,
    compute: fn(&Run<'_>) -> Result<Vec<Found>>,
}

const GROUPS: [Group; 14] = [
    Group { arrays: &["y"], needs: &[], expected: |_| true, compute: value },
    Group { arrays: &["y_f32"], needs: &[], expected: |_| true, compute: single },
    Group { arrays: &["y_int"], needs: &["t_int"], expected: |_| true, compute: integer_steps },
    Group { arrays: &["y_nolabel"], needs: &[], expected: |_| false, compute: without_label },
    Group { arrays: &["y_other_order"], needs: &[], expected: |_| false, compute: other_order },
    Group { arrays: &["vjp_x", "vjp_t"], needs: &["v"], expected: |_| true, compute: backward },
    Group { arrays: &["jvp_x"], needs: &["u"], expected: |_| true, compute: along },
    Group { arrays: &["dy_dt"], needs: &[], expected: |_| true, compute: rate },
    Group {
        arrays: &["div", "jac_fro"],
        needs: &[],
        expected: |r| r.is_field(),
        compute: divergence,
    },
    Group {
        arrays: &["div_eps", "jac_fro_eps"],
        needs: &[],
        expected: |r| r.is_field_and_more(),
        compute: divergence,
    },
    Group {
        arrays: &["loss", "grad_norm", "grad_sum"],
        needs: &["target"],
        expected: |_| true,
        compute: of_parameters,
    },
    Group {
        arrays: &["log_prob", "dlogp_dx", "ce_loss"],
        needs: &["class_labels"],
        expected: |r| r.is_classifier(),
        compute: classes,
    },
    Group {
        arrays: &["score_vp", "score_subvp", "score_ve"],
        needs: &["score_t"],
        expected: |_| false,
        compute: scores,
    },
    Group {
        arrays: &[
            "u_float64",
            "sigma_index",
            "sigma_rounded",
            "sigma_min_max",
            "sigma_min_max_f32",
        ],
        needs: &[],
        expected: |_| false,
        compute: noise_levels,
    },
];

/// An archive, its inputs as tensors, and the function in double precision.
struct Run<'a> {
    task: &'a Task,
    arrays: BTreeMap<String, ArrayD<f64>>,
    exact: Function,
    x: Tensor,
    t: Vec<f64>,
    condition: Condition,
}

/// Compares every array that is there; what is not, or is not known, is said.
pub(super) fn cases(task: &Task) -> Result<Vec<Case>> {
    let run = Run::new(task)?;
    let mut cases = vec![Case::of(format!("{}/parameters", task.name), run.parameters())];
    let mut known: BTreeSet<&str> = INPUTS.into_iter().collect();
    for group in &GROUPS {
        known.extend(group.arrays);
        let there: Vec<&str> = group.arrays.iter().copied().filter(|a| run.has(a)).collect();
        let missing: Vec<&str> = group.needs.iter().copied().filter(|a| !run.has(a)).collect();
        let skip =
            |array: &str, reason: String| Case::skip(&format!("{}/{array}", task.name), reason);
        if let Some(input) = missing.first() {
            cases.extend(there.iter().map(|a| skip(a, format!("no array `{input}` for `{a}`"))));
            continue;
        }
        if (group.expected)(&run) {
            let absent = group.arrays.iter().filter(|a| !run.has(a));
            cases.extend(absent.map(|a| skip(a, format!("no array `{a}`"))));
        }
        if !there.is_empty() {
            cases.extend(run.compare(group, &there));
        }
    }
    for name in run.arrays.keys() {
        if !known.contains(name.as_str()) && !name.starts_with("grad__") {
            let reason = format!("nothing here knows the array `{name}`");
            cases.push(Case::skip(&format!("{}/{name}", task.name), reason));
        }
    }
    Ok(cases)
}

impl<'a> Run<'a> {
    fn new(task: &'a Task) -> Result<Self> {
        let mut npz = Npz::open(&task.archive)?;
        let names = npz.names().to_vec();
        let arrays = names.into_iter().map(|n| npz.get(&n).map(|a| (n, a)));
        let arrays: BTreeMap<_, _> = arrays.collect::<Result<_>>()?;
        let exact = task.function(&Backend::cpu_f64(), &json!({}))?;
        let given = |name: &str| arrays.get(name).with_context(|| format!("no array `{name}`"));
        let (x, t) = (tensor(given("x")?)?, given("t")?.iter().copied().collect());
        let takes_labels = exact.network().n_classes() > 0;
        let labels = arrays.get("class_labels").filter(|_| takes_labels).map(tensor).transpose()?;
        let condition = Condition { labels, training: None };
        Ok(Self { task, arrays, exact, x, t, condition })
    }

    fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        tensor(self.arrays.get(name).with_context(|| format!("no array `{name}`"))?)
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.arrays.get(name).map(|a| a.iter().copied().collect()).unwrap_or_default()
    }

    /// The network's output as the archive has it.
    fn shape(&self) -> &[usize] {
        self.arrays.get("y").map(ArrayD::shape).unwrap_or_default()
    }

    fn is_field(&self) -> bool {
        self.shape() == self.x.dims()
    }

    fn is_field_and_more(&self) -> bool {
        self.shape().len() == self.x.rank() && !self.is_field()
    }

    fn is_classifier(&self) -> bool {
        self.exact.network().out_shape().len() == 1
    }

    fn has_large_labels(&self) -> bool {
        let large = self.task.wrapper.as_ref().is_some_and(|w| w.has_large_labels());
        large && self.task.is_fourier()
    }

    /// What is allowed for values and derivatives in the inputs.
    fn tolerance(&self) -> f64 {
        if self.has_large_labels() { FAST } else { EXACT }
    }

    /// What is allowed for derivatives in the noise level.
    fn rate_tolerance(&self) -> f64 {
        if self.has_large_labels() { FAST_RATE } else { EXACT }
    }

    /// The exact function at the inputs of the archive, with other times and condition.
    fn forward(&self, t: &[f64], condition: &Condition) -> Result<Tensor> {
        Ok(self.exact.jet(&Jet::constant(self.x.clone()), t, None, condition)?.value)
    }

    /// The cases of a group, of the arrays that are there.
    fn compare(&self, group: &Group, there: &[&str]) -> Vec<Case> {
        let name = |array: &str| format!("{}/{array}", self.task.name);
        let found = match (group.compute)(self) {
            Ok(found) => found,
            Err(error) => {
                let error = format!("{error:#}");
                let failed = |a: &&str| Case::failed(&name(a), anyhow::anyhow!(error.clone()));
                return there.iter().map(failed).collect();
            }
        };
        let found = found.iter().filter(|f| self.has(&f.array));
        let case = |f: &Found| {
            let called = name(f.case.as_ref().unwrap_or(&f.array));
            Case::of(called, f.compare(&self.values(&f.array)))
        };
        found.map(case).collect()
    }

    /// Our trained parameters are those of the original, and those without a gradient are known.
    fn parameters(&self) -> Result<Deviation> {
        let (task, parameters): (_, &Parameters) = (self.task, self.exact.parameters());
        let exact = Deviation { error: 0.0, tolerance: EXACT };
        if task.trained.is_empty() {
            return Ok(exact);
        }
        let own: BTreeSet<&str> =
            task.trained.iter().filter_map(|n| own_name(parameters, n)).collect();
        let ours: BTreeSet<&str> = parameters.names().collect();
        let lacking = task.trained.iter().filter(|n| own_name(parameters, n).is_none());
        let lacking: Vec<&String> = lacking.collect();
        ensure!(lacking.is_empty(), "no trained parameters {lacking:?}");
        let more: Vec<_> = ours.difference(&own).collect();
        ensure!(more.is_empty(), "trained here and not there: {more:?}");
        let norms = self.values("grad_norm");
        let largest = norms.iter().fold(0.0, |m: f64, v| m.max(*v));
        let silent = task.trained.iter().zip(&norms).filter(|(_, n)| **n <= noise(largest));
        let silent: BTreeSet<&str> =
            silent.filter_map(|(name, _)| own_name(parameters, name)).collect();
        let said = self.exact.network().without_gradient();
        let said: BTreeSet<&str> = said.iter().map(|(name, _)| name.as_str()).collect();
        let differ: Vec<_> = silent.symmetric_difference(&said).collect();
        let compared = norms.is_empty() || differ.is_empty();
        ensure!(compared, "without a gradient here or there, not both: {differ:?}");
        Ok(exact)
    }
}

/// An array as a tensor in double precision.
fn tensor(array: &ArrayD<f64>) -> Result<Tensor> {
    let values: Vec<f64> = array.iter().copied().collect();
    Ok(Backend::cpu_f64().tensor(values, array.shape())?)
}

fn value(run: &Run<'_>) -> Result<Vec<Found>> {
    let y = run.forward(&run.t, &run.condition)?;
    Ok(vec![Found::rows("y", &y, run.tolerance())?])
}

/// In single precision, against both.
fn single(run: &Run<'_>) -> Result<Vec<Found>> {
    let backend = Backend::cpu();
    let single = run.task.function(&backend, &json!({}))?;
    let x = Jet::constant(backend.place(&run.x)?);
    let y = single.jet(&x, &run.t, None, &run.condition)?.value;
    let tolerance = if run.has_large_labels() { SINGLE_FAST } else { SINGLE };
    let exact = Found::rows("y", &y, tolerance)?.called("y in f32");
    Ok(vec![exact, Found::rows("y_f32", &y, tolerance)?])
}

fn integer_steps(run: &Run<'_>) -> Result<Vec<Found>> {
    let y = run.forward(&run.values("t_int"), &run.condition)?;
    Ok(vec![Found::rows("y_int", &y, run.tolerance())?])
}

fn without_label(run: &Run<'_>) -> Result<Vec<Found>> {
    let y = run.forward(&run.t, &Condition::default())?;
    Ok(vec![Found::rows("y_nolabel", &y, run.tolerance())?])
}

/// The same weights with the other order of queries, keys and values.
fn other_order(run: &Run<'_>) -> Result<Vec<Found>> {
    let key = "use_new_attention_order";
    let given = run.task.architecture["args"].get(key).and_then(Value::as_bool).unwrap_or(false);
    let other = run.task.function(&Backend::cpu_f64(), &json!({key: !given}))?;
    let x = Jet::constant(run.x.clone());
    let y = other.jet(&x, &run.t, None, &run.condition)?.value;
    Ok(vec![Found::rows("y_other_order", &y, run.tolerance())?])
}

fn backward(run: &Run<'_>) -> Result<Vec<Found>> {
    let v = run.tensor("v")?;
    let g = run.exact.vjp(&run.x, &run.t, &run.condition, &v)?;
    Ok(vec![
        Found::rows("vjp_x", &g.x, run.tolerance())?,
        Found::entries("vjp_t", flat(&g.c)?, run.rate_tolerance()),
    ])
}

fn along(run: &Run<'_>) -> Result<Vec<Found>> {
    let u = run.tensor("u")?;
    let x = Jet::input(run.x.clone(), vec![u], vec![]);
    let y = run.exact.jet(&x, &run.t, None, &run.condition)?;
    Ok(vec![Found::rows("jvp_x", &y.first_or_zero(0)?, run.tolerance())?])
}

fn rate(run: &Run<'_>) -> Result<Vec<Found>> {
    let y = run.exact.jet(&Jet::constant(run.x.clone()), &run.t, Some(0), &run.condition)?;
    Ok(vec![Found::rows("dy_dt", &y.first_or_zero(0)?, run.rate_tolerance())?])
}

fn divergence(run: &Run<'_>) -> Result<Vec<Found>> {
    ensure!(run.shape().len() == run.x.rank(), "the output is no image");
    let (trace, norm) = jacobian(&run.exact, &run.x, &run.t, &run.condition)?;
    // A trace is a sum of as many terms as the norm has, and may cancel.
    let found = |array: &str, values: &[f64]| {
        Found::scaled(array, values.to_vec(), norm.clone(), run.tolerance())
    };
    Ok(vec![
        found("div", &trace),
        found("jac_fro", &norm),
        found("div_eps", &trace),
        found("jac_fro_eps", &norm),
    ])
}

fn of_parameters(run: &Run<'_>) -> Result<Vec<Found>> {
    let y = run.exact.live(&run.x, &run.t, &run.condition)?;
    let (target, recorded) = (run.tensor("target")?, run.values("grad_norm"));
    gradients(run.task, run.exact.parameters(), &y, &target, &recorded)
}

/// Probabilities of classes, and the gradient of the logarithm of one a row.
fn classes(run: &Run<'_>) -> Result<Vec<Found>> {
    let unlabelled = Condition::default();
    let logits = run.forward(&run.t, &unlabelled)?;
    let log_p = logits.broadcast_sub(&logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?;
    let classes = Condition::labels(run.tensor("class_labels")?);
    let (rows, n) = log_p.dims2()?;
    let asked = classes.one_hot(rows, n, &log_p)?.context("no labels")?;
    let loss = ((&log_p * &asked)?.sum_all()? * (-1.0 / rows as f64))?;
    // d log p_k / d logits = e_k - p
    let g = run.exact.vjp(&run.x, &run.t, &unlabelled, &(&asked - log_p.exp()?)?)?;
    Ok(vec![
        Found::rows("log_prob", &log_p, run.tolerance())?,
        Found::rows("dlogp_dx", &g.x, run.tolerance())?,
        Found::entries("ce_loss", flat(&loss)?, run.tolerance()),
    ])
}

/// Scores as score_sde computes them at times of its processes, in continuous training.
fn scores(run: &Run<'_>) -> Result<Vec<Found>> {
    let model = run.task.config.as_ref().map(|c| json::member(c, "model")).transpose()?;
    let model = model.context("scores of a network that is not of score_sde")?;
    let number = |key: &str| json::number(model, key);
    let (b0, b1) = (number("beta_min")?, number("beta_max")?);
    let ve = Ve::new(number("sigma_min")?, number("sigma_max")?)?;
    let times = run.values("score_t");
    let score = |array: &str, sde: &dyn Sde, label: &dyn Fn(f64) -> f64, scaled: bool| {
        let backend = Backend::cpu_f64();
        let labels: Vec<f64> = times.iter().map(|t| label(*t)).collect();
        let y = run.forward(&labels, &run.condition)?;
        let factor = |t: &f64| if scaled { -1.0 / Level::at(sde, *t).sigma } else { 1.0 };
        let mut column = vec![1; y.rank()];
        column[0] = times.len();
        let factor = backend.tensor(times.iter().map(factor).collect(), &column)?;
        Found::rows(array, &y.broadcast_mul(&factor)?, run.tolerance())
    };
    let mut found = Vec::new();
    if run.has("score_vp") {
        found.push(score("score_vp", &Vp::new(b0, b1)?, &|t| 999.0 * t, true)?);
    }
    if run.has("score_subvp") {
        found.push(score("score_subvp", &SubVp::new(b0, b1)?, &|t| 999.0 * t, true)?);
    }
    if run.has("score_ve") {
        found.push(score("score_ve", &ve, &|t| ve.marginal(t).sigma, false)?);
    }
    Ok(found)
}

/// What a wrapper says about noise levels.
fn noise_levels(run: &Run<'_>) -> Result<Vec<Found>> {
    let Some(wrapper) = &run.task.wrapper else { bail!("noise levels of a bare network") };
    let mut found = vec![
        Found::entries("sigma_min_max", wrapper.range()?.to_vec(), EXACT),
        Found::entries("sigma_min_max_f32", wrapper.single_range()?.to_vec(), SINGLE),
    ];
    if run.has("u_float64") || run.has("sigma_index") || run.has("sigma_rounded") {
        let nearest = run.t.iter().map(|s| wrapper.nearest(*s)).collect::<Result<Vec<_>>>()?;
        let places = nearest.iter().map(|n| n.0 as f64).collect();
        found.push(Found::entries("u_float64", wrapper.table()?, EXACT));
        found.push(Found::entries("sigma_index", places, EXACT));
        found.push(Found::entries("sigma_rounded", nearest.iter().map(|n| n.1).collect(), EXACT));
    }
    Ok(found)
}
