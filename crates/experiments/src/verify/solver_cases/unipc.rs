//! The authors' UniPC code.

use anyhow::{Result, bail};
use sde_core::Reverse;
use serde_json::Value;
use solvers::steppers::{LowerOrderFinal, Prediction, UniPc, Variant};

use super::super::case::{Deviation, mixed};
use super::super::constants::Common;
use super::super::json;
use super::TOLERANCE;
use super::flow::{Flow, flag, grid_rule};
use crate::npy::Npz;

/// Grid, every corrected state, the end.
pub(super) fn recompute(
    common: &Common,
    npz: &mut Npz,
    name: &str,
    case: &Value,
) -> Result<Deviation> {
    let flow = Flow::of(common, npz, name, case)?;
    let times = grid_rule(case)?.times(
        flow.sde.as_ref(),
        json::count(case, "steps")?,
        flow.start,
        flow.end,
    )?;
    let prediction = match json::text(case, "algorithm")? {
        "noise_prediction" => Prediction::Noise,
        "data_prediction" => Prediction::Data,
        other => bail!("unknown algorithm `{other}`"),
    };
    let variant = match json::text(case, "variant")? {
        "bh1" => Variant::Bh1,
        "bh2" => Variant::Bh2,
        other => bail!("unknown variant `{other}`"),
    };
    let lower = flag(case, "lower_order_final")?;
    let stepper = UniPc {
        prediction,
        variant,
        order: json::count(case, "order")?,
        end: Some(flow.end),
        lower_order_final: if lower { LowerOrderFinal::of(&times) } else { None },
    };
    let score = flow.mixture.under(flow.sde.as_ref());
    let problem = Reverse::ode(flow.sde.as_ref(), &score);
    let run = flow.along(&stepper, &problem, &times)?;
    let grid = mixed(&times, &npz.flat(&format!("{name}/grid"))?, TOLERANCE)?;
    Ok(grid.max(run.against(npz, name, case)?))
}
