//! The four laws of a model, and what lies between them.

use std::time::Instant;

use anyhow::{Context as _, Result};
use fp_residual::fokker_planck::{Density, Model as Potential, OnRows};
use metrics::BracketOptions;
use ndarray::{Array2, s};
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;
use sde_core::{Key, Sde};

use super::super::blurred::Blurred;
use super::super::networks::{Network, networks};
use super::given::Given;
use super::known::Known;
use super::response::responses;
use super::{Config, Law, Pair, Row, Solved, attribution};
use crate::laws::{self, Between, Found, Laid, SUB_CELLS};
use crate::runs::Workspace;

/// A model, whose potential and score are those of one.
pub(super) struct Model {
    pub(super) name: String,
    kind: Kind,
}

enum Kind {
    /// A mixture, or its `p_t` blurred by the same standard deviation at every time.
    Closed {
        width: f64,
    },
    Network {
        net: Box<ScoreNet>,
        set: DataSet,
    },
}

/// The exact potential and a wrong one, or the networks of a folder.
pub(super) fn models(config: &Config) -> Result<Vec<Model>> {
    let Some(dir) = &config.models else {
        let of = |name: &str, width| Model { name: name.into(), kind: Kind::Closed { width } };
        return Ok(vec![of("exact", 0.0), of("blurred", config.smoothing)]);
    };
    let model = |Network { name, net, set }| {
        let kind = Kind::Network { net: Box::new(net), set };
        Model { name, kind }
    };
    Ok(networks(dir)?.into_iter().map(model).collect())
}

impl Model {
    /// All of it.
    pub(super) fn row(&self, config: &Config, workspace: &Workspace) -> Result<Row> {
        let begin = Instant::now();
        let found = match &self.kind {
            Kind::Closed { width } => {
                let mixture = config.target.mixture()?;
                let (truth, grid) = (mixture.under(&*config.sde), config.tiles().grid()?);
                let log = |x: &Array2<f64>| truth.log_density(x, 0.0);
                let truth =
                    &|| -> Result<Density> { Ok(Density::known(&grid, 0.0, SUB_CELLS, log)?) };
                let (target, sde) = (&*config.target, &*config.sde);
                let model = Blurred { target, width: *width, sde };
                let values = |x: &Array2<f64>, t: f64| model.at(t, |p| p.log_density(x, t));
                let potential = Potential::of_values(values);
                self.solve(
                    config,
                    workspace,
                    &Given {
                        sde: &*config.sde,
                        potential,
                        score: &model,
                        phi: &model,
                        net: None,
                        difference: 1e-4,
                        truth,
                    },
                )
            }
            Kind::Network { net, set } => {
                let sde = sde_core::sde::parse(&net.sde().name())?;
                let grid = config.tiles().grid()?;
                let truth = &|| laws::truth(&grid, *set);
                let rows = OnRows(net);
                self.solve(config, workspace, &Given::of_network(&*sde, &rows, truth))
            }
        };
        let row = found.with_context(|| self.name.clone())?;
        Ok(Row { seconds: begin.elapsed().as_secs_f64(), ..row })
    }

    fn solve(&self, config: &Config, workspace: &Workspace, given: &Given<'_>) -> Result<Row> {
        let (mut laid, mut solved, mut densities) = (Vec::new(), Vec::new(), Vec::new());
        let (evolution, seconds) = timed(|| given.evolution(config))?;
        for law in Law::ALL {
            workspace.go_on()?;
            let (density, own) = timed(|| given.density(config, law, &evolution))?;
            let seconds = if law == Law::Sde { seconds } else { own };
            let placed = config.tiles().laid(&density)?;
            let (outside, error) = (placed.outside, density.total_variation_error);
            solved.push(Solved { law, outside, error, seconds });
            laid.push(placed);
            densities.push(density);
            workspace.say(&format!("{}, {}: {own:.1} s", self.name, law.name()));
        }
        self.keep(config, workspace, &laid)?;
        let mut pairs = Vec::new();
        for (a, b) in [(3, 2), (2, 0), (3, 0), (2, 1), (3, 1)] {
            workspace.go_on()?;
            let options = BracketOptions { width: config.width, ..BracketOptions::default() };
            let found = Between::unless_one(&laid[a], &laid[b], options)?;
            pairs.push(Pair { of: [Law::ALL[a], Law::ALL[b]], found });
        }
        let times: Vec<f64> = evolution.densities.iter().map(|d| d.t).collect();
        let gap: Vec<Found> = (evolution.score_gap.iter().zip(&evolution.score_gap_error))
            .map(|(value, error)| Found { value: *value, error: *error })
            .collect();
        let energy = energy(given.sde, &times, &gap);
        let known = Known::new(given, &evolution, config.window.half_width)?;
        let (bounds, own) = timed(|| config.bounds(given, &known))?;
        workspace.say(&format!("{}, bounds: {own:.1} s", self.name));
        let maps = workspace.path(&format!("attribution/{}.npy", self.name));
        let maps = attribution::keep(&known, config.tiles().n(), &maps)?;
        workspace.go_on()?;
        let path = workspace.path(&format!("attribution/{}-response.npy", self.name));
        let to = (config.tiles().n(), &*path);
        let (responses, own) =
            timed(|| responses(given, &known, &densities[3], Key::root(config.seed).fold(4), to))?;
        workspace.say(&format!("{}, responses: {own:.1} s", self.name));
        workspace.go_on()?;
        let (decomposition, own) =
            timed(|| config.decomposition(given, [&laid[3], &laid[2]], &pairs[0].found))?;
        workspace.say(&format!("{}, samples: {own:.1} s", self.name));
        let name = self.name.clone();
        Ok(Row {
            name,
            solved,
            pairs,
            times,
            gap,
            energy,
            bounds,
            maps,
            responses,
            decomposition,
            seconds: 0.0,
        })
    }

    /// Densities on the tiles, one law after another, as `densities/NAME.npy`.
    fn keep(&self, config: &Config, workspace: &Workspace, laid: &[Laid]) -> Result<()> {
        let n = config.tiles().n();
        let mut rows = Array2::zeros((laid.len() * n, n));
        for (k, law) in laid.iter().enumerate() {
            let inside = 1.0 - law.outside.value;
            let area = config.tiles().side().powi(2);
            rows.slice_mut(s![k * n..(k + 1) * n, ..])
                .assign(&law.masses.shares().mapv(|share| share * inside / area));
        }
        let folder = workspace.path("densities");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(crate::npy::write(&folder.join(format!("{}.npy", self.name)), rows.view())?)
    }
}

fn timed<T>(of: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let begin = Instant::now();
    Ok((of()?, begin.elapsed().as_secs_f64()))
}

/// `1/2 int g^2 E |grad r|^2 dt` by the trapezoidal rule in the clock of [`graded_times`](fp_residual::fokker_planck::graded_times): the error is that of the gaps, and how far
/// the rule over every other time is.
fn energy(sde: &dyn Sde, times: &[f64], gap: &[Found]) -> Found {
    let (horizon, shift) = (sde.horizon(), 0.01 * sde.horizon());
    let clock = |t: f64| ((t + shift) / (horizon - t + shift)).ln();
    // dt / d(clock).
    let pace = |t: f64| (t + shift) * (horizon - t + shift) / (horizon + 2.0 * shift);
    let rule = |of: fn(&Found) -> f64, step: usize| -> f64 {
        let at = |k: usize| 0.5 * sde.diffusion_squared(times[k]) * of(&gap[k]) * pace(times[k]);
        let places: Vec<usize> = (0..times.len()).step_by(step).collect();
        let part =
            |w: &[usize]| 0.5 * (clock(times[w[0]]) - clock(times[w[1]])) * (at(w[0]) + at(w[1]));
        places.windows(2).map(part).sum()
    };
    let value = rule(|g| g.value, 1);
    Found { value, error: (value - rule(|g| g.value, 2)).abs() + rule(|g| g.error, 1) }
}

#[cfg(test)]
mod tests {
    use fp_residual::fokker_planck::graded_times;
    use sde_core::Ou;

    use super::*;

    /// `int_0^T e^(-t) + 50 e^(-20 (T - t)) dt` under `g = 1`, from values on the grid of a run: a law that takes its shape at the
    /// data, and a prior that is not the model's.
    #[test]
    fn the_energy_is_an_integral_with_an_error() -> Result<()> {
        let sde = Ou::new(10.0)?;
        let times = graded_times(10.0, 65)?;
        let of = |t: &f64| 2.0 * ((-t).exp() + 50.0 * (-20.0 * (10.0 - t)).exp());
        let gap: Vec<Found> = times.iter().map(|t| Found { value: of(t), error: 1e-6 }).collect();
        let found = energy(&sde, &times, &gap);
        let truth = 1.0 - (-10.0_f64).exp() + 2.5;
        assert!((found.value - truth).abs() < found.error && found.error < 0.1, "{found:?}");
        Ok(())
    }
}
