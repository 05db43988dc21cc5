//! From a network to the quantities of a model, with their derivatives.

use candle_core::Tensor;
use sde_core::{Combination, Level, Preconditioning};

use super::ScoreModel;
use crate::{Backend, Condition, Error, Jet, Network, Result, check_inputs};

/// What is asked of a model at a noised point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The output of the network.
    Output,
    /// The expected data.
    Denoised,
    /// The score.
    Score,
    /// The velocity of the probability flow; without its derivative in time.
    Velocity,
}

/// A number of every row and its derivative in time.
pub(super) type Column = Vec<(f64, f64)>;

/// What the network is given at the times of rows.
#[derive(Clone)]
pub(super) struct Inputs {
    /// The factor of the point.
    c_in: Column,
    /// The noise level.
    c_noise: Column,
    /// The direction of the jet along which time moves.
    pub(super) along_time: Option<usize>,
}

impl Inputs {
    /// The same with directions put before those that are there.
    pub(super) fn after(&self, directions: usize) -> Self {
        Self { along_time: self.along_time.map(|a| directions + a), ..self.clone() }
    }
}

impl ScoreModel {
    /// A quantity of the model at rows `x`, row `b` at time `t[b]`, with the derivatives that `x` carries, and along
    /// direction `along_time` of the jet also that in time; attached to the parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` or `t` does not fit; [`Error::Unsupported`] for second derivatives of the gradient of
    /// a potential; whatever the network fails with.
    pub fn jet(
        &self,
        quantity: Quantity,
        x: &Jet,
        t: &[f64],
        along_time: Option<usize>,
        condition: &Condition,
    ) -> Result<Jet> {
        self.jet_of(true, quantity, x, t, along_time, condition)
    }

    /// As [`ScoreModel::jet`], detached from the parameters.
    ///
    /// # Errors
    /// As [`ScoreModel::jet`].
    pub fn jet_detached(
        &self,
        quantity: Quantity,
        x: &Jet,
        t: &[f64],
        along_time: Option<usize>,
        condition: &Condition,
    ) -> Result<Jet> {
        self.jet_of(false, quantity, x, t, along_time, condition)
    }

    /// A quantity, attached to the parameters or not.
    pub(super) fn jet_of(
        &self,
        attached: bool,
        quantity: Quantity,
        x: &Jet,
        t: &[f64],
        along_time: Option<usize>,
        condition: &Condition,
    ) -> Result<Jet> {
        self.rows(&x.value)?;
        let (inputs, rank) = (self.inputs_at(t, along_time)?, x.value.rank());
        let net = if attached { &*self.live } else { &*self.detached };
        let output = match (self.is_potential(), attached) {
            (false, _) => self.channels(self.forward(net, x, &inputs, condition)?)?,
            (true, true) => self.gradient_by_axes(net, x, &inputs, condition)?,
            (true, false) => self.gradient_detached(x, &inputs, condition)?,
        };
        let Some((of_x, of_output)) = self.combination(quantity, t) else { return Ok(output) };
        let output = output.mul(&self.column(&of_output, rank, along_time)?)?;
        if of_x.iter().all(|c| *c == (0.0, 0.0)) {
            return Ok(output);
        }
        x.mul(&self.column(&of_x, rank, along_time)?)?.add(&output)
    }

    /// `F(c_in x; c_noise)`.
    pub(super) fn forward(
        &self,
        net: &dyn Network,
        x: &Jet,
        inputs: &Inputs,
        condition: &Condition,
    ) -> Result<Jet> {
        let (c_in, c_noise) = self.columns(inputs, x.value.rank())?;
        check_inputs(net, &x.value, &c_noise.value, condition)?;
        let plain = inputs.c_in.iter().all(|c| *c == (1.0, 0.0));
        let scaled = if plain { x.clone() } else { x.mul(&c_in)? };
        net.forward(&scaled, &c_noise, condition)
    }

    /// The channels of an output that the point has as well.
    fn channels(&self, output: Jet) -> Result<Jet> {
        let channels = self.live.row_shape()[0];
        match output.value.dim(1)? == channels {
            true => Ok(output),
            false => output.map(|y| Ok(y.narrow(1, 0, channels)?)),
        }
    }

    /// What the network is given at the times.
    pub(super) fn inputs_at(&self, t: &[f64], along_time: Option<usize>) -> Result<Inputs> {
        let sde = &*self.sde;
        if let Some(&t) = t.iter().find(|t| !t.is_finite()) {
            return Err(sde_core::Error::Time { t, horizon: sde.horizon() }.into());
        }
        let Preconditioning { input, label } = &self.config.preconditioning;
        let at = |&t: &f64| {
            let level = Level::at(sde, t);
            let c_noise = (label.at(sde, t), label.rate(sde, t));
            ((input.at(&level), input.rate(&level)), c_noise)
        };
        let (c_in, c_noise) = t.iter().map(at).unzip();
        Ok(Inputs { c_in, c_noise, along_time })
    }

    /// The inputs as jets: the factor `[B, 1, ...]` and the noise level `[B]`.
    pub(super) fn columns(&self, inputs: &Inputs, rank: usize) -> Result<(Jet, Jet)> {
        let Inputs { c_in, c_noise, along_time } = inputs;
        Ok((self.column(c_in, rank, *along_time)?, self.column(c_noise, 1, *along_time)?))
    }

    /// What a quantity is made of: coefficients of the point and of the output.
    pub(super) fn combination(&self, quantity: Quantity, t: &[f64]) -> Option<(Column, Column)> {
        let output = self.config.output;
        let unknown = Combination { x: f64::NAN, p: f64::NAN };
        let at = |&t: &f64| {
            let level = Level::at(&*self.sde, t);
            let (value, rate) = match quantity {
                Quantity::Output => return None,
                Quantity::Denoised => (output.denoised(&level), output.denoised_rate(&level)),
                Quantity::Score => (output.score(&level), output.score_rate(&level)),
                Quantity::Velocity => (output.velocity(&level), unknown),
            };
            Some(((value.x, rate.x), (value.p, rate.p)))
        };
        Some(t.iter().map(at).collect::<Option<Vec<_>>>()?.into_iter().unzip())
    }

    /// Numbers of rows as a jet `[B, 1, ...]`, moving along the direction of time.
    pub(super) fn column(
        &self,
        values: &[(f64, f64)],
        rank: usize,
        along_time: Option<usize>,
    ) -> Result<Jet> {
        let mut shape = vec![1; rank];
        shape[0] = values.len();
        let backend: &Backend = self.parameters.backend();
        let tensor = |part: fn(&(f64, f64)) -> f64| -> Result<Tensor> {
            backend.tensor(values.iter().map(part).collect(), &shape)
        };
        let value = tensor(|v| v.0)?;
        let Some(direction) = along_time else { return Ok(Jet::constant(value)) };
        let mut directions = vec![None; direction + 1];
        directions[direction] = Some(tensor(|v| v.1)?);
        Ok(Jet::partial(value, directions, vec![]))
    }

    /// A quantity of rows at a common time, detached.
    pub(super) fn value(
        &self,
        quantity: Quantity,
        x: &Tensor,
        t: f64,
        condition: &Condition,
    ) -> Result<Tensor> {
        let rows = self.rows(x)?;
        let x = Jet::constant(x.detach());
        Ok(self.jet_of(false, quantity, &x, &vec![t; rows], None, condition)?.value)
    }

    /// A quantity of rows at a common time with its derivatives along directions in `x`, detached.
    pub(super) fn along(
        &self,
        quantity: Quantity,
        x: &Tensor,
        t: f64,
        directions: Vec<Tensor>,
        condition: &Condition,
    ) -> Result<Jet> {
        let rows = self.rows(x)?;
        let directions = directions.into_iter().map(|v| v.detach()).collect();
        let x = Jet::input(x.detach(), directions, vec![]);
        self.jet_of(false, quantity, &x, &vec![t; rows], None, condition)
    }

    /// Checks a batch and returns its number of rows.
    pub(super) fn rows(&self, x: &Tensor) -> Result<usize> {
        let rows = x.dims().first().copied().unwrap_or(0);
        let expected: Vec<usize> = [rows].into_iter().chain(self.row_shape()).collect();
        if x.dims() != expected {
            return Err(Error::Shape {
                what: "batch x".into(),
                expected,
                found: x.dims().to_vec(),
            });
        }
        if x.dtype() != self.dtype() {
            let needs = format!("batches of {}, not {}", self.dtype().as_str(), x.dtype().as_str());
            return Err(Error::Unsupported { what: "this network", needs });
        }
        Ok(rows)
    }

    /// Unit vectors `first .. first + n` of a row, in the shape of `x`.
    pub(super) fn axes(&self, x: &Tensor, first: usize, n: usize) -> Result<Vec<Tensor>> {
        let shape: Vec<usize> = [1].into_iter().chain(self.row_shape()).collect();
        let axis = |j: usize| {
            let mut unit = vec![0.0; self.dim()];
            unit[j] = 1.0;
            let unit = self.parameters.backend().tensor(unit, &shape)?;
            Ok(unit.broadcast_as(x.shape())?.contiguous()?)
        };
        (first..first + n).map(axis).collect()
    }

    /// Whether the expected data are finite at time `t`.
    pub(super) fn knows_data(&self, t: f64) -> bool {
        let c = self.config.output.denoised(&Level::at(&*self.sde, t));
        c.x.is_finite() && c.p.is_finite()
    }
}
