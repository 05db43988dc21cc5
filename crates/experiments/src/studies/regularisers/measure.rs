//! The three distances of a network: from samples, by exact transport between histograms.

use ::solvers::{Method, Sampler};
use anyhow::Result;
use candle_core::Tensor;
use fp_residual::CorrectedFlow;
use ndarray::Array2;
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;
use sde_core::{Key, Score};

use super::train::Trained;
use super::{CORRECTED, Cell, Config, NONE, Run};
use crate::distance::{Later, Truth, between};
use crate::model::to_rows;
use crate::named::Named;
use crate::runs::Workspace;

/// The truth of a data set, drawn when a distance is first asked for.
pub(super) fn later<'a>(config: &'a Config, set: &'a Named<DataSet>) -> Later<'a> {
    Later::new(move || {
        let (s, key) = (&config.sampling, Key::root(config.seed).fold(0x7E));
        let truth = set.sample(key.fold(0), 0, s.truth);
        Truth::new(config.window, truth.view(), s.n, (s.floors, key.fold(1)))
    })
}

impl Cell<'_> {
    /// The network's distances, and where it has no term those of its corrected flow.
    pub(super) fn runs(&self, truth: &Truth, workspace: &Workspace) -> Result<Vec<Run>> {
        let Trained { net, seconds } = self.train(workspace)?;
        let sde = self.draw(&net, &net, 1.0, 10)?;
        let ode = self.draw(&net, &net, 0.0, 11)?;
        let mut runs = vec![self.run(self.term, seconds, truth, &ode, &sde)?];
        if self.term == NONE {
            let correction = self.correct(&net, workspace)?;
            let flow = CorrectedFlow::ode(&net, &correction.net);
            let ode = self.draw(&net, &flow, 0.0, 11)?;
            let seconds = seconds + correction.seconds;
            runs.push(self.run(CORRECTED, seconds, truth, &ode, &sde)?);
        }
        Ok(runs)
    }

    /// Particles of a sampler of a network, by Heun's method.
    fn draw(
        &self,
        net: &ScoreNet,
        score: &dyn Score<Tensor>,
        eta: f64,
        purpose: u64,
    ) -> Result<Array2<f64>> {
        let like = Tensor::zeros((1, net.dim()), net.dtype(), net.device())?;
        let (steps, n) = (self.config.sampling.steps, self.config.sampling.n as u64);
        let sampler = Sampler::builder(Method::Heun, eta, steps);
        to_rows(&sampler.draw(net.sde(), score, n, &like, self.key(purpose))?)
    }

    /// All distances of two samples; the place where densities without samples would come in.
    fn run(
        &self,
        term: &str,
        seconds: f64,
        truth: &Truth,
        ode: &Array2<f64>,
        sde: &Array2<f64>,
    ) -> Result<Run> {
        let draws = (self.config.sampling.floors, self.key(12));
        Ok(Run {
            data_set: self.set.given().into(),
            term: term.into(),
            weight: self.weight,
            seed: self.seed,
            seconds,
            ode_truth: truth.distance(ode.view())?,
            sde_truth: truth.distance(sde.view())?,
            ode_sde: between(self.config.window, ode.view(), sde.view(), draws)?,
        })
    }
}
