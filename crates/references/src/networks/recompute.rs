//! Every array of an archive, recomputed.

use std::collections::BTreeSet;

use candle_core::D;
use score_nets::{Backend, Condition, Jet};

use super::derivatives::{gradients, jacobian, noise, own_name};
use super::run::Run;
use super::spec::Task;
use super::{EXACT, SINGLE, SINGLE_FAST, flat};
use crate::prelude::*;

/// Arrays that are given rather than computed.
const INPUTS: [&str; 8] = ["x", "t", "class_labels", "v", "u", "target", "score_t", "t_int"];

/// Arrays that one computation gives.
struct Group {
    arrays: &'static [&'static str],
    /// The inputs from which they follow.
    needs: &'static [&'static str],
    /// Whether an archive that has the inputs should have the arrays.
    expected: fn(&Run<'_>) -> bool,
    compute: fn(&mut Run<'_>) -> Result<()>,
}

const fn group(
    arrays: &'static [&'static str],
    needs: &'static [&'static str],
    expected: fn(&Run<'_>) -> bool,
    compute: fn(&mut Run<'_>) -> Result<()>,
) -> Group {
    Group { arrays, needs, expected, compute }
}

const ALWAYS: fn(&Run<'_>) -> bool = |_| true;
const AT_WILL: fn(&Run<'_>) -> bool = |_| false;

const GROUPS: [Group; 15] = [
    group(&["y"], &[], ALWAYS, |r| r.rows("y", &r.forward(&r.t, &r.condition)?)),
    group(&["y_f32"], &[], ALWAYS, single),
    group(&["y_int"], &["t_int"], ALWAYS, |r| {
        let t = r.archive.flat("t_int")?;
        r.rows("y_int", &r.forward(&t, &r.condition)?)
    }),
    group(&["y_nolabel"], &[], AT_WILL, |r| {
        r.rows("y_nolabel", &r.forward(&r.t, &Condition::default())?)
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
    group(&["sigma_min_max", "sigma_min_max_f32"], &[], AT_WILL, ranges),
    group(&["u_float64", "sigma_index", "sigma_rounded"], &[], AT_WILL, noise_levels),
];

/// Compares every array that is there; what is not, or is not known, is said.
pub(super) fn cases(task: &Task, npz: Npz, family: &mut Family) -> Result<()> {
    let mut run = Run::new(task, npz, family)?;
    let parameters = parameters(&mut run);
    run.archive.add("parameters", || parameters);
    run.archive.know(INPUTS);
    for group in &GROUPS {
        run.archive.know(group.arrays.iter().copied());
        let (there, missing): (Vec<&str>, Vec<&str>) =
            group.arrays.iter().copied().partition(|array| run.archive.has(array));
        if let Some(input) = group.needs.iter().find(|input| !run.archive.has(input)) {
            for array in there {
                run.archive.family.skip(format!("no array `{input}` for `{array}`"));
            }
            continue;
        }
        if (group.expected)(&run) {
            for array in missing {
                run.archive.family.skip(format!("no array `{array}`"));
            }
        }
        if let Some(first) = there.first()
            && let Err(error) = (group.compute)(&mut run)
        {
            run.archive.add(first, || Err(error));
        }
    }
    run.archive.skip_unknown();
    Ok(())
}

/// Our trained parameters are those of the original, and those without a gradient are known.
fn parameters(run: &mut Run<'_>) -> Result<Check> {
    let has_norms = run.archive.has("grad_norm");
    let norms = if has_norms { run.archive.flat("grad_norm")? } else { vec![] };
    let (trained, parameters) = (run.task.trained()?, run.exact.parameters());
    if trained.is_empty() {
        return Ok(Check::EXACT);
    }
    let own = |name: &'_ String| own_name(parameters, name).map(str::to_owned);
    let lacking: Vec<&String> = trained.iter().filter(|n| own(n).is_none()).collect();
    ensure!(lacking.is_empty(), "no trained parameters {lacking:?}");
    let theirs: BTreeSet<String> = trained.iter().filter_map(own).collect();
    let more: Vec<_> = parameters.names().filter(|n| !theirs.contains(*n)).collect();
    ensure!(more.is_empty(), "trained here and not there: {more:?}");
    let largest = largest(&norms);
    let silent = trained.iter().zip(&norms).filter(|(_, n)| **n <= noise(largest));
    let silent: BTreeSet<String> = silent.filter_map(|(name, _)| own(name)).collect();
    let said = run.exact.network().without_gradient();
    let said: BTreeSet<String> = said.into_iter().map(|(name, _)| name).collect();
    let differ: Vec<_> = silent.symmetric_difference(&said).collect();
    let compared = norms.is_empty() || differ.is_empty();
    ensure!(compared, "without a gradient here or there, not both: {differ:?}");
    Ok(Check::EXACT)
}

/// In single precision, against both: one that both are off by is seen in double precision.
fn single(run: &mut Run<'_>) -> Result<()> {
    let backend = Backend::cpu();
    let x = Jet::constant(backend.place(&run.x)?);
    let y = run.task.function(&backend)?.jet(&x, &run.t, None, &run.condition)?.value;
    let tolerance = if run.task.has_large_labels() { SINGLE_FAST } else { SINGLE };
    let (found, rows) = (flat(&y)?, By::Rows(y.dim(0)?));
    let (exact, theirs) = (run.archive.flat("y")?, run.archive.flat("y_f32")?);
    run.archive.add("y_f32", || {
        let exact = check(&found, exact, rows, tolerance)?;
        Ok(exact.and(check(&found, theirs, rows, tolerance)?))
    });
    Ok(())
}

/// The same weights with the other order of queries, keys and values.
fn other_order(run: &mut Run<'_>) -> Result<()> {
    let mut task = run.task.clone();
    let order = &mut task.architecture["args"]["use_new_attention_order"];
    *order = json!(!order.as_bool().unwrap_or(false));
    let x = Jet::constant(run.x.clone());
    let other = task.function(&Backend::cpu_f64())?;
    run.rows("y_other_order", &other.jet(&x, &run.t, None, &run.condition)?.value)
}

fn backward(run: &mut Run<'_>) -> Result<()> {
    let v = run.tensor("v")?;
    let g = run.exact.vjp(&run.x, &run.t, &run.condition, &v)?;
    run.archive.check_to("vjp_t", flat(&g.c)?, By::Entry, run.rate_tolerance);
    run.rows("vjp_x", &g.x)
}

fn along(run: &mut Run<'_>) -> Result<()> {
    let x = Jet::input(run.x.clone(), vec![run.tensor("u")?], vec![]);
    let y = run.exact.jet(&x, &run.t, None, &run.condition)?;
    run.rows("jvp_x", &y.first_or_zero(0)?)
}

fn rate(run: &mut Run<'_>) -> Result<()> {
    let y = run.exact.jet(&Jet::constant(run.x.clone()), &run.t, Some(0), &run.condition)?;
    run.rows_to("dy_dt", &y.first_or_zero(0)?, run.rate_tolerance)
}

fn divergence(run: &mut Run<'_>) -> Result<()> {
    ensure!(run.is_field() || run.is_field_and_more(), "the output is no image");
    let (trace, norm) = jacobian(&run.exact, &run.x, &run.t, &run.condition)?;
    // A trace is a sum of as many terms as the norm has, and may cancel.
    for suffix in ["", "_eps"] {
        run.archive.check(&format!("div{suffix}"), &trace, By::Scales(&norm));
        run.archive.check(&format!("jac_fro{suffix}"), &norm, By::Scales(&norm));
    }
    Ok(())
}

/// Probabilities of classes, and the gradient of the logarithm of one a row.
fn classes(run: &mut Run<'_>) -> Result<()> {
    let unlabelled = Condition::default();
    let classes = Condition::labels(run.tensor("class_labels")?);
    let logits = run.forward(&run.t, &unlabelled)?;
    let log_p = logits.broadcast_sub(&logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?;
    let (rows, n) = log_p.dims2()?;
    let asked = classes.one_hot(rows, n, &log_p)?.context("no labels")?;
    let loss = ((&log_p * &asked)?.sum_all()? * (-1.0 / rows as f64))?;
    // d log p_k / d logits = e_k - p
    let g = run.exact.vjp(&run.x, &run.t, &unlabelled, &(&asked - log_p.exp()?)?)?;
    run.rows("log_prob", &log_p)?;
    run.rows("dlogp_dx", &g.x)?;
    run.archive.check("ce_loss", flat(&loss)?, By::Entry);
    Ok(())
}

/// Scores as score_sde computes them at times of its processes, in continuous training.
fn scores(run: &mut Run<'_>) -> Result<()> {
    let model = run.task.notes.member("config")?.member("model")?;
    let times = run.archive.flat("score_t")?;
    let betas = [model.number("beta_min")?, model.number("beta_max")?];
    let sigmas = [model.number("sigma_min")?, model.number("sigma_max")?];
    for (name, constants) in [("vp", betas), ("subvp", betas), ("ve", sigmas)] {
        let (array, sde) = (format!("score_{name}"), sde(name, &constants)?);
        if !run.archive.has(&array) {
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
        run.rows(&array, &y.broadcast_mul(&factor)?)?;
    }
    Ok(())
}

/// The noise levels between which a wrapper works.
fn ranges(run: &mut Run<'_>) -> Result<()> {
    let wrapper = run.task.wrapper.as_ref().context("noise levels of a bare network")?;
    run.archive.check_to("sigma_min_max", wrapper.range, By::Entry, EXACT);
    run.archive.check_to("sigma_min_max_f32", wrapper.single_range, By::Entry, SINGLE);
    Ok(())
}

/// The table of noise levels of a wrapper, and its levels next to those asked for.
fn noise_levels(run: &mut Run<'_>) -> Result<()> {
    let wrapper = run.task.wrapper.as_ref().context("noise levels of a bare network")?;
    let table = wrapper.table.as_ref().context("a wrapper without a table")?;
    let nearest = run.t.iter().map(|s| wrapper.nearest(*s)).collect::<Result<Vec<_>>>()?;
    run.archive.check_to("u_float64", table, By::Entry, EXACT);
    let places = nearest.iter().map(|n| n.0 as f64);
    run.archive.check_to("sigma_index", places, By::Entry, EXACT);
    run.archive.check_to("sigma_rounded", nearest.iter().map(|n| n.1), By::Entry, EXACT);
    Ok(())
}
