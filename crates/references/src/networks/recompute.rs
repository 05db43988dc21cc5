//! Every array of an archive, recomputed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use candle_core::D;
use score_nets::{Backend, Condition, Jet};
use sde_core::Level;
use serde_json::{Value, json};

use super::derivatives::{gradients, jacobian, noise, own_name};
use super::run::Run;
use super::spec::Task;
use super::{EXACT, SINGLE, SINGLE_FAST, flat};
use crate::case::{By, Cases, Check, check};
use crate::npy::Npz;
use crate::read::Json;
use crate::targets::sde;

/// Arrays that are given rather than computed.
const INPUTS: [&str; 8] = ["x", "t", "class_labels", "v", "u", "target", "score_t", "t_int"];

/// Arrays that one computation gives.
struct Group {
    arrays: &'static [&'static str],
    /// The inputs from which they follow.
    needs: &'static [&'static str],
    /// Whether an archive that has the inputs should have the arrays.
    expected: fn(&Run<'_>) -> bool,
    compute: fn(&Run<'_>, &mut Cases) -> Result<()>,
}

const fn group(
    arrays: &'static [&'static str],
    needs: &'static [&'static str],
    expected: fn(&Run<'_>) -> bool,
    compute: fn(&Run<'_>, &mut Cases) -> Result<()>,
) -> Group {
    Group { arrays, needs, expected, compute }
}

const ALWAYS: fn(&Run<'_>) -> bool = |_| true;
const AT_WILL: fn(&Run<'_>) -> bool = |_| false;
const LEVELS: [&str; 5] =
    ["u_float64", "sigma_index", "sigma_rounded", "sigma_min_max", "sigma_min_max_f32"];

const GROUPS: [Group; 14] = [
    group(&["y"], &[], ALWAYS, value),
    group(&["y_f32"], &[], ALWAYS, single),
    group(&["y_int"], &["t_int"], ALWAYS, |r, c| {
        r.output(c, "y_int", &r.values("t_int"), &r.condition)
    }),
    group(&["y_nolabel"], &[], AT_WILL, |r, c| {
        r.output(c, "y_nolabel", &r.t, &Condition::default())
    }),
    group(&["y_other_order"], &[], AT_WILL, other_order),
    group(&["vjp_x", "vjp_t"], &["v"], ALWAYS, backward),
    group(&["jvp_x"], &["u"], ALWAYS, along),
    group(&["dy_dt"], &[], ALWAYS, rate),
    group(&["div", "jac_fro"], &[], |r| r.is_field(), divergence),
    group(&["div_eps", "jac_fro_eps"], &[], |r| r.is_field_and_more(), divergence),
    group(&["loss", "grad_norm", "grad_sum"], &["target"], ALWAYS, gradients),
    group(&["log_prob", "dlogp_dx", "ce_loss"], &["class_labels"], |r| r.is_classifier(), classes),
    group(&["score_vp", "score_subvp", "score_ve"], &["score_t"], AT_WILL, scores),
    group(&LEVELS, &[], AT_WILL, noise_levels),
];

/// Compares every array that is there; what is not, or is not known, is said.
pub(super) fn cases(task: &Task, npz: Npz, cases: &mut Cases) -> Result<()> {
    let run = Run::new(task, npz)?;
    cases.add(run.name("parameters"), || run.parameters());
    let mut known: BTreeSet<&str> = INPUTS.into_iter().collect();
    for group in &GROUPS {
        known.extend(group.arrays);
        let there: Vec<&str> = group.arrays.iter().copied().filter(|a| run.has(a)).collect();
        if let Some(input) = group.needs.iter().find(|a| !run.has(a)) {
            for array in there {
                cases.skip(run.name(array), format!("no array `{input}` for `{array}`"));
            }
            continue;
        }
        if (group.expected)(&run) {
            for array in group.arrays.iter().filter(|a| !run.has(a)) {
                cases.skip(run.name(array), format!("no array `{array}`"));
            }
        }
        if let Some(first) = there.first() {
            cases.group(run.name(first), |cases| (group.compute)(&run, cases));
        }
    }
    let other = |name: &&String| !known.contains(name.as_str()) && !name.starts_with("grad__");
    for name in run.arrays.keys().filter(other) {
        cases.skip(run.name(name), format!("nothing here knows the array `{name}`"));
    }
    Ok(())
}

impl<'a> Run<'a> {
    /// Our trained parameters are those of the original, and those without a gradient are known.
    fn parameters(&self) -> Result<Check> {
        let (task, parameters) = (self.task, self.exact.parameters());
        if task.trained.is_empty() {
            return Ok(Check::EXACT);
        }
        let own = |name: &'a String| own_name(parameters, name);
        let lacking: Vec<&String> = task.trained.iter().filter(|n| own(n).is_none()).collect();
        ensure!(lacking.is_empty(), "no trained parameters {lacking:?}");
        let theirs: BTreeSet<&str> = task.trained.iter().filter_map(own).collect();
        let more: Vec<_> = parameters.names().filter(|n| !theirs.contains(n)).collect();
        ensure!(more.is_empty(), "trained here and not there: {more:?}");
        let norms = self.values("grad_norm");
        let largest = norms.iter().fold(0.0, |m: f64, v| m.max(*v));
        let silent = task.trained.iter().zip(&norms).filter(|(_, n)| **n <= noise(largest));
        let silent: BTreeSet<&str> = silent.filter_map(|(name, _)| own(name)).collect();
        let said = self.exact.network().without_gradient();
        let said: BTreeSet<&str> = said.iter().map(|(name, _)| name.as_str()).collect();
        let differ: Vec<_> = silent.symmetric_difference(&said).collect();
        let compared = norms.is_empty() || differ.is_empty();
        ensure!(compared, "without a gradient here or there, not both: {differ:?}");
        Ok(Check::EXACT)
    }
}

fn value(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    run.output(cases, "y", &run.t, &run.condition)
}

/// In single precision, against both: one that both are off by is seen in double precision.
fn single(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let backend = Backend::cpu();
    let single = run.task.function(&backend, &json!({}))?;
    let x = Jet::constant(backend.place(&run.x)?);
    let y = single.jet(&x, &run.t, None, &run.condition)?.value;
    let tolerance = if run.has_large_labels() { SINGLE_FAST } else { SINGLE };
    let (found, rows) = (flat(&y)?, By::Rows(y.dim(0)?));
    cases.add(run.name("y_f32"), || {
        let exact = check(&found, &run.values("y"), rows, tolerance)?;
        Ok(exact.and(check(&found, &run.values("y_f32"), rows, tolerance)?))
    });
    Ok(())
}

/// The same weights with the other order of queries, keys and values.
fn other_order(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let key = "use_new_attention_order";
    let given = run.task.architecture["args"].get(key).and_then(Value::as_bool).unwrap_or(false);
    let other = run.task.function(&Backend::cpu_f64(), &json!({key: !given}))?;
    let x = Jet::constant(run.x.clone());
    let y = other.jet(&x, &run.t, None, &run.condition)?.value;
    run.rows(cases, "y_other_order", &y, run.tolerance())
}

fn backward(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let g = run.exact.vjp(&run.x, &run.t, &run.condition, &run.tensor("v")?)?;
    run.rows(cases, "vjp_x", &g.x, run.tolerance())?;
    run.check(cases, "vjp_t", &flat(&g.c)?, By::Entry, run.rate_tolerance());
    Ok(())
}

fn along(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let x = Jet::input(run.x.clone(), vec![run.tensor("u")?], vec![]);
    let y = run.exact.jet(&x, &run.t, None, &run.condition)?;
    run.rows(cases, "jvp_x", &y.first_or_zero(0)?, run.tolerance())
}

fn rate(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let y = run.exact.jet(&Jet::constant(run.x.clone()), &run.t, Some(0), &run.condition)?;
    run.rows(cases, "dy_dt", &y.first_or_zero(0)?, run.rate_tolerance())
}

fn divergence(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    ensure!(run.shape().len() == run.x.rank(), "the output is no image");
    let (trace, norm) = jacobian(&run.exact, &run.x, &run.t, &run.condition)?;
    // A trace is a sum of as many terms as the norm has, and may cancel.
    for (array, found) in
        [("div", &trace), ("jac_fro", &norm), ("div_eps", &trace), ("jac_fro_eps", &norm)]
    {
        run.check(cases, array, found, By::Scales(&norm), run.tolerance());
    }
    Ok(())
}

/// Probabilities of classes, and the gradient of the logarithm of one a row.
fn classes(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let unlabelled = Condition::default();
    let logits = run.forward(&run.t, &unlabelled)?;
    let log_p = logits.broadcast_sub(&logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?;
    let classes = Condition::labels(run.tensor("class_labels")?);
    let (rows, n) = log_p.dims2()?;
    let asked = classes.one_hot(rows, n, &log_p)?.context("no labels")?;
    let loss = ((&log_p * &asked)?.sum_all()? * (-1.0 / rows as f64))?;
    // d log p_k / d logits = e_k - p
    let g = run.exact.vjp(&run.x, &run.t, &unlabelled, &(&asked - log_p.exp()?)?)?;
    run.rows(cases, "log_prob", &log_p, run.tolerance())?;
    run.rows(cases, "dlogp_dx", &g.x, run.tolerance())?;
    run.check(cases, "ce_loss", &flat(&loss)?, By::Entry, run.tolerance());
    Ok(())
}

/// Scores as score_sde computes them at times of its processes, in continuous training.
fn scores(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let model = run.task.config.as_ref().map(|c| c.member("model")).transpose()?;
    let model = model.context("scores of a network that is not of score_sde")?;
    let times = run.values("score_t");
    let betas = [model.number("beta_min")?, model.number("beta_max")?];
    let sigmas = [model.number("sigma_min")?, model.number("sigma_max")?];
    for (name, constants) in [("vp", betas), ("subvp", betas), ("ve", sigmas)] {
        let (array, sde) = (format!("score_{name}"), sde(name, &constants)?);
        if !run.has(&array) {
            continue;
        }
        // A network of VE gives the score itself and is told sigma.
        let scaled = name != "ve";
        let label = |t: &f64| if scaled { 999.0 * t } else { sde.marginal(*t).sigma };
        let factor = |t: &f64| if scaled { -1.0 / Level::at(sde.as_ref(), *t).sigma } else { 1.0 };
        let y = run.forward(&times.iter().map(label).collect::<Vec<_>>(), &run.condition)?;
        let mut column = vec![1; y.rank()];
        column[0] = times.len();
        let factor = Backend::cpu_f64().tensor(times.iter().map(factor).collect(), &column)?;
        run.rows(cases, &array, &y.broadcast_mul(&factor)?, run.tolerance())?;
    }
    Ok(())
}

/// What a wrapper says about noise levels.
fn noise_levels(run: &Run<'_>, cases: &mut Cases) -> Result<()> {
    let Some(wrapper) = &run.task.wrapper else { bail!("noise levels of a bare network") };
    let mut one = |array: &str, found: &[f64], tolerance| {
        run.check(cases, array, found, By::Entry, tolerance);
    };
    one("sigma_min_max", &wrapper.range()?, EXACT);
    one("sigma_min_max_f32", &wrapper.single_range()?, SINGLE);
    if LEVELS[..3].iter().any(|array| run.has(array)) {
        let nearest = run.t.iter().map(|s| wrapper.nearest(*s)).collect::<Result<Vec<_>>>()?;
        one("u_float64", &wrapper.table()?, EXACT);
        one("sigma_index", &nearest.iter().map(|n| n.0 as f64).collect::<Vec<_>>(), EXACT);
        one("sigma_rounded", &nearest.iter().map(|n| n.1).collect::<Vec<_>>(), EXACT);
    }
    Ok(())
}
