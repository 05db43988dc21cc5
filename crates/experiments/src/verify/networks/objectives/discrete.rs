//! The losses of diffusers: three parametrisations under a table of betas, plain and min-SNR.

use anyhow::{Context, Result, bail};
use score_nets::{Reduction, Weighting};
use sde_core::schedule::ddpm_betas;
use sde_core::{Discrete, Level, Parametrisation, Sde};

use super::super::super::case::{Case, normwise};
use super::super::super::json;
use super::File;
use super::tiny::{Row, Tiny};

/// What the tiny network divides steps by.
const STEPS: f64 = 1000.0;

pub(super) fn cases(file: &mut File) -> Result<()> {
    let net = Tiny::read(file)?;
    let sde = process(file)?;
    let steps = sde.horizon() as usize;
    let products: Vec<f64> = (1..=steps).map(|t| sde.marginal(t as f64).alpha.powi(2)).collect();
    file.relative("alphas_cumprod", &products);
    let labels = file.labels(steps)?;
    let levels: Vec<Level> = labels.iter().map(|l| Level::at(&sde, *l as f64 + 1.0)).collect();
    file.relative("snr", &levels.iter().map(Level::snr).collect::<Vec<_>>());
    let regression = Regression { net, labels, levels };
    for name in file.named("", "_target") {
        let output = match name.as_str() {
            "epsilon" => Parametrisation::Eps,
            "v_prediction" => Parametrisation::V,
            "sample" => Parametrisation::X0,
            _ => {
                file.cases.push(Case::skip(&name, "unknown prediction type"));
                continue;
            }
        };
        regression.compare(file, &name, output)?;
    }
    Ok(())
}

fn process(file: &File) -> Result<Discrete> {
    let settings = json::member(file.meta, "diffusers_scheduler")?;
    let number = |key| json::number(settings, key);
    match json::text(settings, "beta_schedule")? {
        "linear" => {}
        other => bail!("beta_schedule `{other}`: expected `linear`"),
    }
    let n = json::count(settings, "num_train_timesteps")?;
    let of_all = |beta: f64| beta * n as f64;
    let (first, last) = (of_all(number("beta_start")?), of_all(number("beta_end")?));
    Ok(Discrete::new(&ddpm_betas(n, first, last))?)
}

struct Regression {
    net: Tiny,
    labels: Vec<usize>,
    levels: Vec<Level>,
}

impl Regression {
    fn rows(&self, output: Parametrisation, weighting: Weighting) -> Vec<Row> {
        let row = |(i, level): (usize, &Level)| {
            let ((x0, z), target) = (self.net.row(i), output.target(level));
            let mix = |a: f64, b: f64| x0.iter().zip(z).map(|(x, z)| a * x + b * z).collect();
            Row {
                x: mix(level.alpha, level.sigma),
                c_in: 1.0,
                s: self.labels[i] as f64 / STEPS,
                target: mix(target.x0, target.eps),
                weight: weighting.on(output, level),
            }
        };
        self.levels.iter().enumerate().map(row).collect()
    }

    fn compare(&self, file: &mut File, name: &str, output: Parametrisation) -> Result<()> {
        let rows = self.rows(output, Weighting::Native);
        let plain = self.net.evaluate(&rows, Reduction::Mean);
        let all = |f: fn(&Row) -> &[f64]| rows.iter().flat_map(f).copied().collect::<Vec<_>>();
        file.compare(&format!("{name}_xt"), &all(|r| &r.x), normwise);
        file.compare(&format!("{name}_target"), &all(|r| &r.target), normwise);
        file.compare(&format!("{name}_pred"), &plain.prediction, normwise);
        file.relative(&format!("{name}_persample"), &plain.rows);
        file.relative(&format!("{name}_loss"), &[plain.loss]);
        if file.npz.has(&format!("{name}_snr_loss")) {
            // snr on the data is one on the noise.
            let rows = self.rows(output, Weighting::SigmaSquared);
            let found = self.net.evaluate(&rows, Reduction::Mean).loss;
            file.relative(&format!("{name}_snr_loss"), &[found]);
        }
        for gamma in file.named(&format!("{name}_minsnr"), "_loss") {
            let weighting = Weighting::MinSnr { gamma: gamma.parse().context("minsnr<gamma>")? };
            let rows = self.rows(output, weighting);
            let (found, case) =
                (self.net.evaluate(&rows, Reduction::Mean), format!("{name}_minsnr{gamma}"));
            let weights: Vec<f64> = rows.iter().map(|r| r.weight).collect();
            file.relative(&format!("{case}_weight"), &weights);
            file.relative(&format!("{case}_persample"), &found.rows);
            file.relative(&format!("{case}_loss"), &[found.loss]);
            found.gradients(file, &case);
        }
        Ok(())
    }
}
