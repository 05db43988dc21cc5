//! The authors' DEIS code. Their coefficients are left Riemann sums over 10000 cells. In time the
//! references hold the same recursion with coefficients by quadrature, and that is what is
//! compared; in the noise level they do not, so the sums are repeated.

use anyhow::{Result, bail, ensure};
use ndarray::Array2;
use sde_core::{Key, Reverse, Sde, TimeGrid};
use serde_json::Value;
use solvers::steppers::{Deis, Polynomial, RhoRungeKutta};
use solvers::{Grid, IndependentIncrements, Trajectory, solve};

use super::super::case::{Deviation, mixed};
use super::super::constants::Common;
use super::super::json;
use super::{Method, TOLERANCE};
use crate::npy::Npz;

pub(super) fn recompute(
    common: &Common,
    npz: &mut Npz,
    name: &str,
    case: &Value,
) -> Result<Deviation> {
    let target = name.split('/').next().unwrap_or_default();
    let mixture = common.mixture(target)?;
    let sde = common.sde("vp")?;
    let sde: &dyn Sde = sde.as_ref();
    let grid = match (json::text(case, "ts_phase")?, json::number(case, "ts_order")?) {
        ("t", 1.0) => TimeGrid::Uniform,
        ("t", 2.0) => TimeGrid::Quadratic,
        ("rho", rho) => TimeGrid::Karras { rho },
        ("log", _) => TimeGrid::LogSnr,
        (phase, order) => bail!("unknown grid `{phase}` of power {order}"),
    };
    let (start, end) = (json::number(case, "t_start")?, json::number(case, "t_end")?);
    let times = grid.times(sde, json::count(case, "steps")?, start, end)?;
    let mut worst = mixed(&times, &npz.flat(&format!("{name}/grid"))?, TOLERANCE)?;

    let model = mixture.under(sde);
    let problem = Reverse::ode(sde, &model);
    let stepper = stepper(case)?;
    let x = npz.rows(&format!("{target}/xT"))?;
    let quiet = IndependentIncrements::new(Key::root(0), 0);
    let mut seen = Trajectory::default();
    let mut control = Grid::new(times)?;
    let done = solve(&*stepper, &problem, x.clone(), start, &mut control, &quiet, &mut seen)?;
    let nfe = done.stats.nfe;
    ensure!(nfe == json::count(case, "nfe")? as u64, "nfe {nfe}, expected {}", case["nfe"]);

    let exact = json::text(case, "method")? == "t_ab";
    let last = npz.flat(&format!("{name}/{}", if exact { "exact_x" } else { "x" }))?;
    worst = worst.max(mixed(&flat(&[done.x]), &last, TOLERANCE)?);
    if exact {
        let states = [vec![x], seen.states].concat();
        let trajectory = npz.flat(&format!("{name}/exact_traj"))?;
        worst = worst.max(mixed(&flat(&states), &trajectory, TOLERANCE)?);
    }
    Ok(worst)
}

fn flat(states: &[Array2<f64>]) -> Vec<f64> {
    states.iter().flatten().copied().collect()
}

/// The method of a case.
fn stepper<'a>(case: &Value) -> Result<Method<'a>> {
    let polynomial = match json::text(case, "method")? {
        "t_ab" => Polynomial::Time,
        "rho_ab" => Polynomial::Ratio,
        "rho_rk" => {
            return Ok(Box::new(match json::text(case, "order")? {
                "2heun" => RhoRungeKutta::HEUN,
                "3kutta" => RhoRungeKutta::KUTTA3,
                "4rk" => RhoRungeKutta::RK4,
                other => bail!("unknown Runge-Kutta method `{other}`"),
            }));
        }
        other => bail!("unknown method `{other}`"),
    };
    let deis = Deis::new(polynomial, json::count(case, "order")?);
    let left_sums = (polynomial == Polynomial::Ratio).then_some(10_000);
    Ok(Box::new(Deis { left_sums, ..deis }))
}
