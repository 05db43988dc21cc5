//! Flow matching in both directions of time, and the weights of SD3.

use anyhow::Result;
use score_nets::{Reduction, Weighting};
use sde_core::{Level, Parametrisation, Rectified};

use super::super::super::case::{Case, normwise, relative};
use super::File;
use super::tiny::{Row, Tiny};

pub(super) fn cases(file: &mut File) -> Result<()> {
    let net = Tiny::read(file)?;
    let times = file.flat("t")?;
    anyhow::ensure!(times.len() == net.rows, "t: expected {} times", net.rows);
    for name in file.named("", "_target") {
        // Where time runs from noise to data, the velocity has the other sign.
        let (forward, sign) = match name.as_str() {
            "noise_at_1" => (true, 1.0),
            "data_at_1" => (false, -1.0),
            _ => {
                file.cases.push(Case::skip(&name, "unknown direction"));
                continue;
            }
        };
        let row = |(i, t): (usize, &f64)| {
            let level = Level::at(&Rectified, if forward { *t } else { 1.0 - t });
            let ((x0, z), target) = (net.row(i), Parametrisation::Velocity.target(&level));
            let mix = |a: f64, b: f64| x0.iter().zip(z).map(|(x, z)| a * x + b * z).collect();
            Row {
                x: mix(level.alpha, level.sigma),
                c_in: 1.0,
                s: *t,
                target: mix(sign * target.x0, sign * target.eps),
                weight: Weighting::Native.on(Parametrisation::Velocity, &level),
            }
        };
        let rows: Vec<Row> = times.iter().enumerate().map(row).collect();
        let found = net.evaluate(&rows, Reduction::Mean);
        let all = |f: fn(&Row) -> &[f64]| rows.iter().flat_map(f).copied().collect::<Vec<_>>();
        file.compare(&format!("{name}_xt"), &all(|r| &r.x), normwise);
        file.compare(&format!("{name}_target"), &all(|r| &r.target), normwise);
        file.compare(&format!("{name}_pred"), &found.prediction, normwise);
        file.relative(&format!("{name}_persample"), &found.rows);
        file.relative(&format!("{name}_loss"), &[found.loss]);
        let sums = net.evaluate(&rows, Reduction::Sum).rows;
        file.relative(&format!("{name}_persample_sum"), &sums);
        found.gradients(file, &name);
    }
    let on = |weighting: Weighting| -> Vec<f64> {
        let at = |t: &f64| weighting.on(Parametrisation::Velocity, &Level::at(&Rectified, *t));
        times.iter().map(at).collect()
    };
    if file.npz.has("sd3_sigma_sqrt") {
        // The original rounds this one to single precision.
        let single = |a: &[f64], b: &[f64], _: f64| relative(a, b, f64::from(f32::EPSILON));
        file.compare("sd3_sigma_sqrt", &on(Weighting::SigmaSqrt), single);
    }
    if file.npz.has("sd3_cosmap") {
        file.relative("sd3_cosmap", &on(Weighting::CosMap));
    }
    Ok(())
}
