//! The losses of Song et al., continuous and discrete.

use anyhow::{Context, Result};
use score_nets::{Reduction, TimeDistribution, Weighting};
use sde_core::schedule::{ddpm_betas, smld_sigmas};
use sde_core::{
    Discrete, InputScale, Label, Level, NoiseTable, Parametrisation, Preconditioning, Sde,
};

use super::super::super::case::{Case, normwise};
use super::File;
use super::tiny::{Row, Tiny};

/// What the tiny network divides steps by.
const STEPS: f64 = 1000.0;

pub(super) fn cases(file: &mut File) -> Result<()> {
    let net = Tiny::read(file)?;
    let n = file.count("N")?;
    for name in file.named("", "_std") {
        match file.process(&name) {
            Some(sde) => continuous(file, &net, &name, sde?.as_ref(), n)?,
            None => file.cases.push(Case::skip(&name, "unknown process")),
        }
    }
    smld(file, &net, n)?;
    ddpm(file, &net, n)
}

/// A model: what its network gives and is given, and by how much its label is scaled down.
struct Model {
    output: Parametrisation,
    given: Preconditioning,
    label: fn(f64) -> f64,
}

impl Model {
    /// The rows of a batch at given times.
    fn rows(&self, net: &Tiny, sde: &dyn Sde, times: &[f64], weighting: Weighting) -> Vec<Row> {
        let row = |(i, t): (usize, &f64)| {
            let (level, (x0, z)) = (Level::at(sde, *t), net.row(i));
            let target = self.output.target(&level);
            let mix = |a: f64, b: f64| x0.iter().zip(z).map(|(x, z)| a * x + b * z).collect();
            Row {
                x: mix(level.alpha, level.sigma),
                c_in: self.given.input.at(&level),
                s: (self.label)(self.given.label.at(sde, *t)),
                target: mix(target.x0, target.eps),
                weight: weighting.on(self.output, &level),
            }
        };
        times.iter().enumerate().map(row).collect()
    }
}

fn flag(text: &str) -> Result<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => anyhow::bail!("`{text}` is neither 0 nor 1"),
    }
}

fn reduction(text: &str) -> Result<Reduction> {
    Ok(if flag(text)? { Reduction::Mean } else { Reduction::HalfSum })
}

fn continuous(file: &mut File, net: &Tiny, name: &str, sde: &dyn Sde, n: usize) -> Result<()> {
    let eps = file.number("eps_t")?;
    let times: Result<Vec<f64>, _> =
        file.flat("u")?.iter().map(|u| TimeDistribution::Uniform.time(sde, eps, *u)).collect();
    let times = times?;
    file.relative("t", &times);
    let levels: Vec<Level> = times.iter().map(|t| Level::at(sde, *t)).collect();
    let of = |f: fn(&Level) -> f64| levels.iter().map(f).collect::<Vec<_>>();
    file.relative(&format!("{name}_alpha"), &of(|l| l.alpha));
    file.relative(&format!("{name}_std"), &of(|l| l.sigma));
    let g2: Vec<f64> = times.iter().map(|t| sde.diffusion_squared(*t)).collect();
    file.relative(&format!("{name}_g2"), &g2);
    // The network of a process without drift sees sigma, the others the step 999 t.
    let drift = sde.drift_coef(0.5 * sde.horizon()) != 0.0;
    let model = if drift {
        let label = Label::Time { scale: (n - 1) as f64, offset: 0.0 };
        Model {
            output: Parametrisation::Eps,
            given: Preconditioning { input: InputScale::One, label },
            label: |l| l / STEPS,
        }
    } else {
        let (output, given) = (Parametrisation::Score, Preconditioning::edm(1.0));
        Model { output, given, label: |l| l }
    };
    let rows = model.rows(net, sde, &times, Weighting::SigmaSquared);
    let x: Vec<f64> = rows.iter().flat_map(|r| r.x.iter().copied()).collect();
    file.compare(&format!("{name}_xt"), &x, normwise);
    let outputs = net.evaluate(&rows, Reduction::Mean).prediction;
    let scores = outputs.chunks(net.dim).zip(x.chunks(net.dim)).zip(&levels);
    let scores: Vec<f64> = scores
        .flat_map(|((p, x), level)| {
            let c = model.output.score(level);
            p.iter().zip(x).map(|(p, x)| c.of(*x, *p)).collect::<Vec<_>>()
        })
        .collect();
    file.compare(&format!("{name}_score"), &scores, normwise);
    for case in file.named(&format!("loss_{name}_lw"), "") {
        let (likelihood, mean) = case.split_once("_rm").context("expected lw<0|1>_rm<0|1>")?;
        let weighting =
            if flag(likelihood)? { Weighting::DiffusionSquared } else { Weighting::SigmaSquared };
        let rows = model.rows(net, sde, &times, weighting);
        loss(file, net, &rows, reduction(mean)?, &format!("{name}_lw{case}"));
    }
    Ok(())
}

/// Loss, losses of rows and gradients of one case.
fn loss(file: &mut File, net: &Tiny, rows: &[Row], reduction: Reduction, case: &str) {
    let found = net.evaluate(rows, reduction);
    file.relative(&format!("loss_{case}"), &[found.loss]);
    file.relative(&format!("persample_{case}"), &found.rows);
    found.gradients(file, case);
}

/// Discrete levels of a process without drift, labels from the largest.
fn smld(file: &mut File, net: &Tiny, n: usize) -> Result<()> {
    let cases = file.named("loss_smld_rm", "");
    if cases.is_empty() {
        return Ok(());
    }
    let ve = file.ve()?;
    let labels = file.labels(n)?;
    // The level at quantile 1 - (label + 1/2) / n is the one of the label.
    let law = TimeDistribution::Levels { n: u32::try_from(n)? };
    let at = |l: &usize| law.time(&ve, 0.0, 1.0 - (*l as f64 + 0.5) / n as f64);
    let times = labels.iter().map(at).collect::<Result<Vec<_>, _>>()?;
    let sigmas: Vec<f64> = times.iter().map(|t| ve.marginal(*t).sigma).collect();
    file.relative("smld_sigma", &sigmas);
    let mut table = smld_sigmas(n, file.number("sigma_min")?, file.number("sigma_max")?);
    table.reverse();
    let label = Label::Step { table: NoiseTable::new(table)?, offset: 0.0 };
    let model = Model {
        output: Parametrisation::Score,
        given: Preconditioning { input: InputScale::One, label },
        label: |l| l / STEPS,
    };
    let rows = model.rows(net, &ve, &times, Weighting::SigmaSquared);
    for mean in cases {
        loss(file, net, &rows, reduction(&mean)?, &format!("smld_rm{mean}"));
    }
    Ok(())
}

/// Discrete steps of a table of betas.
fn ddpm(file: &mut File, net: &Tiny, n: usize) -> Result<()> {
    let cases = file.named("loss_ddpm_rm", "");
    if cases.is_empty() {
        return Ok(());
    }
    let betas = ddpm_betas(n, file.number("beta_min")?, file.number("beta_max")?);
    let sde = Discrete::new(&betas)?;
    let times: Vec<f64> = file.labels(n)?.iter().map(|l| *l as f64 + 1.0).collect();
    let products: Vec<f64> = times.iter().map(|t| sde.marginal(*t).alpha.powi(2)).collect();
    file.relative("ddpm_alphas_cumprod", &products);
    let (output, given) = (Parametrisation::Eps, "step".parse::<Preconditioning>()?);
    let model = Model { output, given, label: |l| l / STEPS };
    let rows = model.rows(net, &sde, &times, Weighting::SigmaSquared);
    for mean in cases {
        loss(file, net, &rows, reduction(&mean)?, &format!("ddpm_rm{mean}"));
    }
    Ok(())
}
