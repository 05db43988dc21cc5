//! Models whose network is a potential, `phi(x, t) = F(c_in(t) x; c_noise(t))`: the score is its gradient.

use candle_core::{Tensor, Var};
use sde_core::{Derivatives, Parametrisation, Potential};

use super::{LabelledModel, ScoreModel, backward::dot, evaluate::Inputs};
use crate::{
    Condition, Error, Gradients, Jet, Network, Result, Vjp, check_inputs, net::to_host, vjp,
};

/// Directions that one pass takes along.
const DIRECTIONS: usize = 8;

impl ScoreModel {
    pub(super) fn is_potential(&self) -> bool {
        self.config.output == Parametrisation::Potential
    }

    /// `grad_x phi` with the first derivatives that point and inputs carry, attached to what `net` is attached to: by
    /// a direction for every axis.
    pub(super) fn gradient_by_axes(
        &self,
        net: &dyn Network,
        x: &Jet,
        inputs: &Inputs,
        condition: &Condition,
    ) -> Result<Jet> {
        let (d, n) = (self.dim(), directions(x, inputs)?);
        let mut along: Vec<_> = self.axes(&x.value, 0, d)?.into_iter().map(Some).collect();
        along.extend((0..n).map(|a| x.first(a).cloned()));
        let moves = |a: usize| x.first(a).is_some() || inputs.along_time == Some(a);
        let moving: Vec<usize> = (0..n).filter(|a| moves(*a)).collect();
        let terms = moving.iter().flat_map(|a| (0..d).map(move |j| vec![(j, d + a, 1.0)]));
        let point = Jet::partial(x.value.clone(), along, terms.collect());
        let phi = self.forward(net, &point, &inputs.after(d), condition)?;
        let row = |entries: Result<Vec<Tensor>>| -> Result<Tensor> {
            Ok(Tensor::cat(&entries?, 1)?.reshape(x.value.shape())?)
        };
        let gradient = row((0..d).map(|j| phi.first_or_zero(j)).collect())?;
        let mut first = vec![None; n];
        for (i, a) in moving.into_iter().enumerate() {
            first[a] = Some(row((0..d).map(|j| phi.second_or_zero(i * d + j)).collect())?);
        }
        Ok(Jet::partial(gradient, first, vec![]))
    }

    /// As [`ScoreModel::gradient_by_axes`], detached: by a backward pass, and one more for every direction.
    ///
    /// With `u = c_in x` the gradient is `c_in F_u`, and its derivative along `(dx, dt)`
    /// `c_in' F_u dt + c_in (F_uu du + F_uc dc)`, `du = c_in dx + c_in' x dt`, `dc = c_noise' dt`.
    pub(super) fn gradient_detached(
        &self,
        x: &Jet,
        inputs: &Inputs,
        condition: &Condition,
    ) -> Result<Jet> {
        let n = directions(x, inputs)?;
        let (c_in, c_noise) = self.columns(inputs, x.value.rank())?;
        check_inputs(&*self.detached, &x.value, &c_noise.value, condition)?;
        let u = x.mul(&c_in)?;
        let slope = slope(&*self.detached, &u.value, &c_noise.value, condition)?;
        let mut first = vec![None; n];
        for (a, first) in first.iter_mut().enumerate() {
            let (du, dc) = (u.first(a), c_noise.first(a));
            if du.is_none() && dc.is_none() {
                continue;
            }
            let du = du.map(|du| du.broadcast_as(x.value.shape())?.contiguous()).transpose()?;
            let bent = bend(&*self.detached, &u.value, &c_noise.value, condition, du, dc)?.x;
            let along = bent.broadcast_mul(&c_in.value)?;
            *first = Some(match c_in.first(a) {
                None => along,
                Some(rate) => (along + slope.broadcast_mul(rate)?)?,
            });
        }
        Ok(Jet::partial(slope.broadcast_mul(&c_in.value)?, first, vec![]))
    }

    /// The products of a cotangent `v` with the derivatives of `grad_x phi`, and the gradient.
    pub(super) fn gradient_vjp(
        &self,
        x: &Tensor,
        inputs: &Inputs,
        condition: &Condition,
        v: &Tensor,
    ) -> Result<Vjp> {
        let (c_in, c_noise) = self.columns(inputs, x.rank())?;
        check_inputs(&*self.detached, x, &c_noise.value, condition)?;
        let (u, c) = (x.broadcast_mul(&c_in.value)?, &c_noise.value);
        let slope = slope(&*self.detached, &u, c, condition)?;
        let bent = bend(&*self.detached, &u, c, condition, Some(v.clone()), None)?;
        let rate = c_in.first_or_zero(0)?;
        // d/dt of c_in <v, F_u>
        let growing = dot(&v.broadcast_mul(&rate)?, &slope)?;
        let moving = dot(&bent.x.broadcast_mul(&c_in.value)?, &x.broadcast_mul(&rate)?)?;
        let turning = (c_in.value.reshape(bent.c.shape())? * bent.c)?;
        Ok(Vjp {
            value: slope.broadcast_mul(&c_in.value)?,
            x: bent.x.broadcast_mul(&c_in.value.sqr()?)?,
            c: ((growing + moving)? + (turning * c_noise.first_or_zero(0)?)?)?,
        })
    }

    /// Potential, score, time derivative and Laplacian of rows at their own times, detached.
    pub(super) fn potential_derivatives(
        &self,
        x: &Tensor,
        t: &[f64],
        condition: &Condition,
    ) -> Result<Derivatives<Tensor>> {
        if !self.is_potential() {
            let needs = "a network whose output is a potential".into();
            return Err(Error::Unsupported { what: "potential derivatives", needs });
        }
        let (rows, d, x) = (self.rows(x)?, self.dim(), x.detach());
        let (mut potential, mut d_t, mut laplacian) = (vec![], vec![], vec![0.0; rows]);
        let mut score = Vec::with_capacity(d);
        for first in (0..d).step_by(DIRECTIONS) {
            let n = DIRECTIONS.min(d - first);
            // Time moves along the direction after the axes.
            let mut along: Vec<_> = self.axes(&x, first, n)?.into_iter().map(Some).collect();
            along.push(None);
            let squares = (0..n).map(|j| (j, j, 1.0)).collect();
            let point = Jet::partial(x.clone(), along, vec![squares]);
            let inputs = self.inputs_at(t, Some(n).filter(|_| first == 0))?;
            let phi = self.forward(&*self.detached, &point, &inputs, condition)?;
            if first == 0 {
                (potential, d_t) = (to_host(&phi.value)?, to_host(&phi.first_or_zero(n)?)?);
            }
            let part = to_host(&phi.second_or_zero(0)?)?;
            laplacian.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            for j in 0..n {
                score.push(phi.first_or_zero(j)?);
            }
        }
        let score = Tensor::cat(&score, 1)?.reshape(x.shape())?;
        Ok(Derivatives { potential, score, d_t, laplacian })
    }

    /// Whether a parameter shifts the potential by a constant and does nothing else: the potential depends on it, and
    /// its derivatives do not.
    pub(super) fn shifts_alone(&self, name: &str) -> Result<bool> {
        let shape: Vec<usize> = [1].into_iter().chain(self.row_shape()).collect();
        let x = self.parameters.backend().tensor(vec![0.0; self.dim()], &shape)?;
        let point = Jet::input(x.clone(), vec![x.ones_like()?], vec![]);
        let inputs = self.inputs_at(&[0.5 * self.sde.horizon()], None)?;
        let phi = self.forward(&*self.live, &point, &inputs, &Condition::default())?;
        let depends = |y: &Tensor| -> Result<bool> {
            let gradients = Gradients::of(&y.sum_all()?, &self.parameters)?;
            Ok(gradients.get(&self.parameters, name).is_some())
        };
        Ok(depends(&phi.value)? && !depends(&phi.first_or_zero(0)?)?)
    }
}

/// The number of directions that a point and the inputs move along.
fn directions(x: &Jet, inputs: &Inputs) -> Result<usize> {
    if x.n_combinations() > 0 {
        let needs = "a network that is the score: these are third derivatives of a potential";
        return Err(Error::Unsupported { what: "a residual in score form", needs: needs.into() });
    }
    Ok(x.n_directions().max(inputs.along_time.map_or(0, |a| a + 1)))
}

/// `F_u`.
fn slope(net: &dyn Network, u: &Tensor, c: &Tensor, condition: &Condition) -> Result<Tensor> {
    let one = Tensor::ones((u.dim(0)?, 1), u.dtype(), u.device())?;
    Ok(vjp(net, u, c, condition, &one)?.x)
}

/// `F_uu du + F_uc dc` and `<F_cu, du> + F_cc dc`: the gradient of the derivative along `(du, dc)`.
fn bend(
    net: &dyn Network,
    u: &Tensor,
    c: &Tensor,
    condition: &Condition,
    du: Option<Tensor>,
    dc: Option<&Tensor>,
) -> Result<Vjp> {
    let (u, c) = (Var::from_tensor(&u.detach())?, Var::from_tensor(&c.detach())?);
    let moving = |at: &Var, along: Option<Tensor>| {
        Jet::partial(at.as_tensor().clone(), vec![along.map(|v| v.detach())], vec![])
    };
    let phi = net.forward(&moving(&u, du), &moving(&c, dc.cloned()), condition)?;
    let along = phi.first_or_zero(0)?;
    let mut store = along.sum_all()?.backward()?;
    let mut gradient = |of: &Var| match store.remove(of.as_tensor()) {
        Some(g) => Ok(g.detach()),
        None => of.as_detached_tensor().zeros_like(),
    };
    Ok(Vjp { x: gradient(&u)?, c: gradient(&c)?, value: along.detach() })
}

impl Potential<Tensor> for LabelledModel<'_> {
    fn derivatives(&self, x: &Tensor, t: &[f64]) -> sde_core::Result<Derivatives<Tensor>> {
        Ok(self.model.potential_derivatives(x, t, &self.condition())?)
    }

    fn potential_for_rows(
        &self,
        rows: &[u64],
    ) -> sde_core::Result<Box<dyn Potential<Tensor> + '_>> {
        Ok(Box::new(self.of(rows)?))
    }
}

impl Potential<Tensor> for ScoreModel {
    fn derivatives(&self, x: &Tensor, t: &[f64]) -> sde_core::Result<Derivatives<Tensor>> {
        self.with_labels(None)?.derivatives(x, t)
    }
}
