//! The three distances of a network, without a sample: the laws of both samplers and of the data on the tiles of a window.

use std::time::Instant;

use anyhow::Result;
use fp_residual::CorrectedFlow;
use fp_residual::fokker_planck::{Evolution, FiniteVolumes, OnRows};
use metrics::BracketOptions;
use ndarray::Array2;
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;
use sde_core::{Potential as _, Score as _, ScoreJvp};

use super::train::Trained;
use super::{CORRECTED, Cell, Config, Moment, NONE, Run};
use crate::distance::LARGEST_OUTSIDE;
use crate::laws::{self, Between, Found, Laid, Tiles};
use crate::runs::Workspace;

impl Config {
    /// The tiles that laws are compared on.
    pub(super) fn tiles(&self) -> Tiles {
        Tiles::whole(self.window)
    }

    /// The law of a data set.
    pub(super) fn truth(&self, set: DataSet) -> Result<Laid> {
        self.tiles().laid(&laws::truth(&self.tiles().grid()?, set)?)
    }

    fn between(&self, a: &Laid, b: &Laid) -> Result<Option<Between>> {
        let options = BracketOptions { width: self.laws.width, nodes: NODES, segments: SEGMENTS };
        let inside = [a, b].iter().all(|law| law.outside.value <= LARGEST_OUTSIDE);
        inside.then(|| Between::of(a, b, options)).transpose()
    }
}

/// Nodes of the potentials that bound W2 from below, and pieces of the paths that bound it from above: what narrow brackets take is
/// more than the laws themselves.
const NODES: usize = 1 << 16;
const SEGMENTS: usize = 4;

/// A network with the law of its SDE.
struct Solved<'a> {
    net: &'a ScoreNet,
    evolution: Evolution,
    sde: Laid,
    sde_truth: Option<Between>,
    seconds: f64,
}

impl Cell<'_> {
    /// The network's distances, and where it has no term those of its corrected flow.
    pub(super) fn runs(&self, truth: &Laid, workspace: &Workspace) -> Result<Vec<Run>> {
        let Trained { net, seconds } = self.train(workspace)?;
        workspace.go_on()?;
        let solved = self.solve(&net, truth)?;
        let rows = OnRows(&net);
        let run = self.run(self.term, (&solved, &rows), truth)?;
        let mut runs = vec![Run { seconds, moments: moments(&solved.evolution), ..run }];
        if self.term == NONE {
            workspace.go_on()?;
            let (correction, left_out) = self.correct(&net, workspace)?;
            workspace.go_on()?;
            let psi = OnRows(&correction.net);
            let flow = CorrectedFlow::ode(rows, psi);
            let run = self.run(CORRECTED, (&solved, &flow), truth)?;
            let (seconds, moments) = (seconds + correction.seconds, solved.left(psi)?);
            runs.push(Run { seconds, left_out, moments, ..run });
        }
        Ok(runs)
    }

    /// The law of the SDE and how far it is from the truth.
    fn solve<'a>(&self, net: &'a ScoreNet, truth: &Laid) -> Result<Solved<'a>> {
        let (config, start) = (self.config, Instant::now());
        let how = &config.laws;
        let volumes =
            FiniteVolumes { steps: how.steps, ..FiniteVolumes::new(config.tiles().grid()?, 1.0) };
        let evolution =
            volumes.solve(net.sde(), &OnRows(net).model(), &how.times(net.sde().horizon()))?;
        let sde = config.tiles().laid(evolution.last())?;
        let sde_truth = config.between(&sde, truth)?;
        Ok(Solved { net, evolution, sde, sde_truth, seconds: start.elapsed().as_secs_f64() })
    }

    /// All distances of an ODE and the SDE of a network.
    fn run(
        &self,
        term: &str,
        (solved, score): (&Solved<'_>, &dyn ScoreJvp<Array2<f64>>),
        truth: &Laid,
    ) -> Result<Run> {
        let (config, start, how) = (self.config, Instant::now(), &self.config.laws);
        let grid = config.tiles().grid()?;
        let density = laws::flow(solved.net.sde(), score, &grid, how.tolerance)?;
        let ode = config.tiles().laid(&density)?;
        let (ode_truth, ode_sde) =
            (config.between(&ode, truth)?, config.between(&ode, &solved.sde)?);
        Ok(Run {
            data_set: self.set.given().into(),
            term: term.into(),
            weight: self.weight,
            seed: self.seed,
            seconds: 0.0,
            measuring: solved.seconds + start.elapsed().as_secs_f64(),
            left_out: 0.0,
            outside: [ode.outside, solved.sde.outside],
            ode_truth,
            sde_truth: solved.sde_truth,
            ode_sde,
            moments: Vec::new(),
        })
    }
}

/// `E |grad r|^2` under the SDE over time.
fn moments(evolution: &Evolution) -> Vec<Moment> {
    let each = evolution.densities.iter().zip(&evolution.score_gap).zip(&evolution.score_gap_error);
    each.map(|((density, value), error)| Moment {
        t: density.t,
        gap: Found { value: *value, error: *error },
    })
    .collect()
}

impl Solved<'_> {
    /// What a correction leaves of it, `E |grad r - grad psi|^2`: less by what it explains, `E [2 grad r . grad psi - |grad psi|^2]`,
    /// which by parts is `-E [2 Lap psi + 2 s . grad psi + |grad psi|^2]` and asks for the density alone.
    fn left(&self, psi: OnRows<'_>) -> Result<Vec<Moment>> {
        let (points, n) = (self.evolution.grid.points(), self.evolution.grid.axis().len());
        let volume = self.evolution.grid.spacing().powi(2);
        let mut all = moments(&self.evolution);
        for (moment, density) in all.iter_mut().zip(&self.evolution.densities) {
            let s = OnRows(self.net).score(&points, moment.t)?;
            let of_psi = psi.derivatives(&points, &vec![moment.t; points.nrows()])?;
            let (mut explained, mut coarse, mut error) = (0.0, 0.0, 0.0);
            for k in 0..points.nrows() {
                let (g, s) = (of_psi.score.row(k), s.row(k));
                let q = volume * density.log_density[k].exp();
                let value = -q * (2.0 * (of_psi.laplacian[k] + s.dot(&g)) + g.dot(&g));
                explained += value;
                error += value.abs() * density.log_density_error[k].exp_m1().min(1.0);
                // Every other node along both axes: four times the volume.
                coarse += if (k / n) % 2 == 1 && (k % n) % 2 == 1 { 4.0 * value } else { 0.0 };
            }
            // As of an order of four: sums over nodes of what is smooth and vanishes at the border gain more than that.
            error += (explained - coarse).abs() / 15.0;
            let Found { value, error: before } = moment.gap;
            moment.gap = Found { value: value - explained, error: before + error };
        }
        Ok(all)
    }
}
