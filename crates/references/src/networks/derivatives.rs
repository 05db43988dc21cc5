//! What needs more than one pass: Jacobians, and gradients of parameters.

use candle_core::Tensor;
use score_nets::{Backend, Condition, Gradients, Jet, Parameters};

use super::run::Run;
use super::spec::Function;
use super::{EXACT, VANISHING, flat};
use crate::prelude::*;

/// Directions that travel together.
const TOGETHER: usize = 24;

/// Traces and Frobenius norms of `dy_b/dx_b`, of the channels of `y` that `x` has, by one direction an entry.
pub(super) fn jacobian(
    function: &Function,
    x: &Tensor,
    t: &[f64],
    condition: &Condition,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let backend = Backend::new(x.device().clone(), x.dtype())?;
    let (rows, entries) = (x.dim(0)?, x.elem_count() / x.dim(0)?.max(1));
    let (mut trace, mut squares) = (vec![0.0; rows], vec![0.0; rows]);
    let unit = |j: usize| {
        let one = (0..rows * entries).map(|i| if i % entries == j { 1.0 } else { 0.0 });
        backend.tensor(one.collect(), x.dims()).map(Some)
    };
    for start in (0..entries).step_by(TOGETHER) {
        let these = start..(start + TOGETHER).min(entries);
        let directions = these.clone().map(unit).collect::<Result<Vec<_>, _>>()?;
        let at = Jet::partial(x.clone(), directions, vec![]);
        let y = function.jet(&at, t, None, condition)?;
        for (a, j) in these.enumerate() {
            let column = y.first_or_zero(a)?.narrow(1, 0, x.dim(1)?)?;
            for (b, row) in flat(&column)?.chunks(entries).enumerate() {
                trace[b] += row[j];
                squares[b] += row.iter().map(|v| v * v).sum::<f64>();
            }
        }
    }
    Ok((trace, squares.into_iter().map(f64::sqrt).collect()))
}

/// The mean squared distance to `target` and its gradients, under the names of the references.
pub(super) fn gradients(run: &mut Run<'_>) -> Result<()> {
    let (target, recorded) = (run.tensor("target")?, run.archive.flat("grad_norm")?);
    let y = run.exact.live(&run.x, &run.t, &run.condition)?;
    let parameters = run.exact.parameters();
    let loss = (y - target)?.sqr()?.mean_all()?;
    let gradients = Gradients::of(&loss, parameters)?;
    let largest = largest(&recorded);
    run.archive.check_to("loss", flat(&loss.detach())?, By::Entry, EXACT);
    let (mut norms, mut sums, mut scales) = (Vec::new(), Vec::new(), Vec::new());
    let zero = run.task.zero()?;
    for (i, name) in run.task.trained()?.iter().enumerate() {
        let own = own_name(parameters, name).with_context(|| format!("no parameter `{name}`"))?;
        let gradient = match gradients.get(parameters, own) {
            Some(gradient) => flat(gradient)?,
            None => vec![0.0; parameters.get(own).map_or(0, Tensor::elem_count)],
        };
        let norm = recorded.get(i).copied().unwrap_or(f64::NAN);
        let vanishes = norm <= noise(largest) || zero.contains(name);
        let scale = if vanishes { largest * (VANISHING / EXACT) } else { norm };
        norms.push(gradient.iter().map(|g| g * g).sum::<f64>().sqrt());
        sums.push(gradient.iter().sum::<f64>());
        scales.push(scale);
        let all = vec![scale; gradient.len()];
        run.archive.check_to(&format!("grad__{name}"), gradient, By::Scales(&all), EXACT);
    }
    run.archive.check_to("grad_norm", norms, By::Scales(&scales), EXACT);
    run.archive.check_to("grad_sum", sums, By::Scales(&scales), EXACT);
    Ok(())
}

/// The norm up to which a recorded gradient is rounding.
pub(super) fn noise(largest: f64) -> f64 {
    1e-13 * largest
}

/// Our name of a parameter: a wrapper's state dict puts `model.` in front of its network's.
pub(super) fn own_name<'a>(parameters: &Parameters, name: &'a str) -> Option<&'a str> {
    let bare = name.strip_prefix("model.");
    [Some(name), bare].into_iter().flatten().find(|n| parameters.place(n).is_some())
}
