//! Evaluations that stay attached to the graph of whatever weights and inputs they are given.

use candle_core::{DType, Tensor};

use super::ScoreNet;
use crate::{Error, Jet, Output, Result, mlp::Mlp, time::Scales};

/// Potential and derivatives as tensors: those of [`sde_core::Derivatives`], differentiable.
#[derive(Clone, Debug)]
pub struct GraphDerivatives {
    /// `phi`, `[B]`.
    pub potential: Tensor,
    /// `grad_x phi`, `[B, D]`.
    pub score: Tensor,
    /// `d phi / d t`, `[B]`.
    pub d_t: Tensor,
    /// `sum_i d^2 phi / d x_i^2`, `[B]`.
    pub laplacian: Tensor,
}

/// A score with its Jacobian as tensors, differentiable.
#[derive(Clone, Debug)]
pub struct ScoreJacobian {
    /// `s`, `[B, D]`.
    pub score: Tensor,
    /// Column `j` of the Jacobian, `d s / d x_j`, `[B, D]`.
    pub columns: Vec<Tensor>,
    /// `d s / d t`, `[B, D]`.
    pub d_t: Tensor,
    /// `grad_x div s`, `[B, D]`.
    pub grad_divergence: Tensor,
}

/// Time as the graph needs it: columns `[B, 1]` of scales, inputs `[B, E]`.
pub(super) struct TimeColumns {
    inputs: Tensor,
    d_inputs: Tensor,
    k: Tensor,
    dlogk: Tensor,
    precision: Tensor,
    log_v: Tensor,
    dlog_v: Tensor,
}

/// Rows at a common time, or each at its own.
#[derive(Clone, Copy)]
pub(super) enum Times<'a> {
    Common(f64),
    Each(&'a [f64]),
}

impl ScoreNet {
    /// The score `[B, D]` of rows `x`, row `b` at time `t[b]`, differentiable in the parameters
    /// (and in `x`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` or `t` does not fit.
    pub fn score_graph(&self, x: &Tensor, t: &[f64]) -> Result<Tensor> {
        self.score_of(&self.live, x, Times::Each(t))
    }

    /// Potential, score, time derivative and Laplacian, differentiable in the parameters (and in
    /// `x`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` or `t` does not fit, [`Error::Unsupported`] when the output is not
    /// a potential.
    pub fn derivatives_graph(&self, x: &Tensor, t: &[f64]) -> Result<GraphDerivatives> {
        self.derivatives_of(&self.live, x, t)
    }

    /// Score, Jacobian, time derivative and gradient of the divergence, differentiable in the
    /// parameters (and in `x`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` or `t` does not fit.
    pub fn jacobian_graph(&self, x: &Tensor, t: &[f64]) -> Result<ScoreJacobian> {
        self.jacobian_of(&self.live, x, Times::Each(t), true)
    }

    /// The jet of the network itself (without base and scaling) for inputs `u = (e(t), k x)`, `[B, K]`,
    /// differentiable in the parameters.
    ///
    /// # Errors
    /// Whatever candle fails with when `input` is not made of `[B, K]` and `[1, K]`.
    pub fn network_jet(&self, input: &Jet) -> Result<Jet> {
        self.live.jet(input)
    }

    pub(super) fn needs(&self, what: &'static str, output: Output) -> Result<()> {
        if self.config.output == output {
            return Ok(());
        }
        let needs = match output {
            Output::Potential => "a network whose output is a potential",
            Output::Score => "a network whose output is the score",
        };
        Err(Error::Unsupported { what, needs: needs.into() })
    }

    /// Checks a batch `[B, D]` and returns `B`.
    pub(crate) fn check_batch(&self, x: &Tensor, t: Option<&[f64]>) -> Result<usize> {
        let rows = x.dims().first().copied().unwrap_or(0);
        let shape = |what: &str, expected: Vec<usize>, found: Vec<usize>| Error::Shape {
            what: what.into(),
            expected,
            found,
        };
        if x.rank() != 2 || x.dims()[1] != self.dim() {
            return Err(shape("batch x", vec![rows, self.dim()], x.dims().to_vec()));
        }
        if let Some(t) = t
            && t.len() != rows
        {
            return Err(shape("times t", vec![rows], vec![t.len()]));
        }
        if x.dtype() != self.dtype() {
            let needs = format!("batches of {}, not {}", self.dtype().as_str(), x.dtype().as_str());
            return Err(Error::Unsupported { what: "this network", needs });
        }
        Ok(rows)
    }

    /// Checks a batch `[B, D]` with a direction of each row and returns `B`.
    pub(super) fn check_direction(
        &self,
        x: &Tensor,
        t: Option<&[f64]>,
        v: &Tensor,
    ) -> Result<usize> {
        let rows = self.check_batch(x, t)?;
        self.check_batch(v, None)?;
        if v.dims() != x.dims() {
            let (expected, found) = (x.dims().to_vec(), v.dims().to_vec());
            return Err(Error::Shape { what: "direction v".into(), expected, found });
        }
        Ok(rows)
    }

    fn time_columns(&self, rows: usize, times: Times<'_>) -> Result<TimeColumns> {
        let one;
        let common = match times {
            Times::Common(t) => {
                one = [t];
                &one[..]
            }
            Times::Each(t) => t,
        };
        times.check(self.sde())?;
        let (n, e) = (common.len(), self.time.width());
        let (mut inputs, mut d_inputs) = (vec![0.0; n * e], vec![0.0; n * e]);
        let mut scales: [Vec<f64>; 5] = Default::default();
        for (b, &t) in common.iter().enumerate() {
            let at = b * e..(b + 1) * e;
            self.time.fill(self.sde(), t, &mut inputs[at.clone()], &mut d_inputs[at]);
            let Scales { k, dlogk, precision, log_v, dlog_v } = self.time.scales(self.sde(), t);
            for (column, value) in scales.iter_mut().zip([k, dlogk, precision, log_v, dlog_v]) {
                column.push(value);
            }
        }
        let tensor = |values: Vec<f64>, width: usize| -> Result<Tensor> {
            let t = Tensor::from_vec(values, (n, width), &candle_core::Device::Cpu)?;
            let t = t.to_dtype(self.dtype())?.to_device(self.device())?;
            Ok(if n == rows { t } else { t.broadcast_as((rows, width))?.contiguous()? })
        };
        let [k, dlogk, precision, log_v, dlog_v] = scales;
        Ok(TimeColumns {
            inputs: tensor(inputs, e)?,
            d_inputs: tensor(d_inputs, e)?,
            k: tensor(k, 1)?,
            dlogk: tensor(dlogk, 1)?,
            precision: tensor(precision, 1)?,
            log_v: tensor(log_v, 1)?,
            dlog_v: tensor(dlog_v, 1)?,
        })
    }

    /// `u = (e(t), k x)`.
    fn input(&self, x: &Tensor, time: &TimeColumns) -> Result<Tensor> {
        let scaled = if self.time.has_base() { x.broadcast_mul(&time.k)? } else { x.clone() };
        Ok(Tensor::cat(&[&time.inputs, &scaled], 1)?)
    }

    /// `du/dt = (e'(t), k' x)`.
    fn input_rate(&self, u: &Tensor, time: &TimeColumns) -> Result<Tensor> {
        let space = u.narrow(1, self.time.width(), self.dim())?;
        let space = if self.time.has_base() {
            space.broadcast_mul(&time.dlogk)?
        } else {
            space.zeros_like()?
        };
        Ok(Tensor::cat(&[&time.d_inputs, &space], 1)?)
    }

    /// The unit vectors of the space inputs, `[1, K]` each.
    fn axes(&self) -> Result<Vec<Tensor>> {
        let (e, k) = (self.time.width(), self.config.n_inputs());
        let axis = |j: usize| {
            let mut unit = vec![0.0; k];
            unit[e + j] = 1.0;
            let unit = Tensor::from_vec(unit, (1, k), &candle_core::Device::Cpu)?;
            Ok(unit.to_dtype(self.dtype())?.to_device(self.device())?)
        };
        (0..self.dim()).map(axis).collect()
    }

    fn scaled(&self, y: Tensor, time: &TimeColumns) -> Result<Tensor> {
        Ok(if self.time.has_base() { y.broadcast_mul(&time.k)? } else { y })
    }

    /// The score from the network's part: `k y - x / v`.
    fn with_base_score(&self, y: Tensor, x: &Tensor, time: &TimeColumns) -> Result<Tensor> {
        let y = self.scaled(y, time)?;
        Ok(if self.time.has_base() { (y - x.broadcast_mul(&time.precision)?)? } else { y })
    }

    pub(super) fn score_of(&self, mlp: &Mlp, x: &Tensor, times: Times<'_>) -> Result<Tensor> {
        let rows = self.check_batch(x, times.each())?;
        let time = self.time_columns(rows, times)?;
        let u = self.input(x, &time)?;
        let y = match self.config.output {
            Output::Score => mlp.forward(&u)?,
            Output::Potential => mlp.grad(&u)?.narrow(1, self.time.width(), self.dim())?,
        };
        self.with_base_score(y, x, &time)
    }

    /// The potential, `[B]`: the network's part and `-|x|^2 / (2 v) - D/2 log v`.
    pub(super) fn potential_of(&self, mlp: &Mlp, x: &Tensor, times: Times<'_>) -> Result<Tensor> {
        let rows = self.check_batch(x, times.each())?;
        let time = self.time_columns(rows, times)?;
        let part = mlp.forward(&self.input(x, &time)?)?.squeeze(1)?;
        if !self.time.has_base() {
            return Ok(part);
        }
        let half_square = ((x.sqr()?.sum(1)? * time.precision.squeeze(1)?)? * 0.5)?;
        Ok(((part - half_square)? - (time.log_v.squeeze(1)? * (0.5 * self.dim() as f64))?)?)
    }

    /// Score and its derivative along `v`.
    pub(super) fn score_jvp_of(
        &self,
        mlp: &Mlp,
        x: &Tensor,
        times: Times<'_>,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let rows = self.check_direction(x, times.each(), v)?;
        let time = self.time_columns(rows, times)?;
        let (u, e) = (self.input(x, &time)?, self.time.width());
        let du = Tensor::cat(&[&time.inputs.zeros_like()?, &self.scaled(v.clone(), &time)?], 1)?;
        let (y, dy) = match self.config.output {
            Output::Score => {
                let jet = mlp.jet(&Jet::input(u, vec![du], vec![]))?;
                let along = jet.first_or_zero(0)?;
                (jet.value, along)
            }
            Output::Potential => {
                let (g, dg, _) = mlp.grad_tangent(&u, &du, false)?;
                (g.narrow(1, e, self.dim())?, dg.narrow(1, e, self.dim())?)
            }
        };
        Ok((self.with_base_score(y, x, &time)?, self.with_base_score(dy, v, &time)?))
    }

    pub(super) fn derivatives_of(
        &self,
        mlp: &Mlp,
        x: &Tensor,
        t: &[f64],
    ) -> Result<GraphDerivatives> {
        self.needs("potential derivatives", Output::Potential)?;
        let rows = self.check_batch(x, Some(t))?;
        let (d, time) = (self.dim(), self.time_columns(rows, Times::Each(t))?);
        let u = self.input(x, &time)?;
        let mut directions = self.axes()?;
        directions.push(self.input_rate(&u, &time)?);
        let laplacian = (0..d).map(|j| (j, j, 1.0)).collect();
        let jet = mlp.jet(&Jet::input(u, directions, vec![laplacian]))?;

        let d_t = jet.first_or_zero(d)?.squeeze(1)?;
        let axes = (0..d).map(|j| jet.first_or_zero(j)).collect::<Result<Vec<_>>>()?;
        let gradient = Tensor::cat(&axes, 1)?;
        let laplacian = jet.second_or_zero(0)?.squeeze(1)?;
        let potential = jet.value.squeeze(1)?;
        let score = self.with_base_score(gradient, x, &time)?;
        if !self.time.has_base() {
            return Ok(GraphDerivatives { potential, score, d_t, laplacian });
        }
        let flat = |column: &Tensor| column.squeeze(1);
        let (precision, half_d) = (flat(&time.precision)?, 0.5 * d as f64);
        // |x|^2 / (2 v)
        let half_square = ((x.sqr()?.sum(1)? * &precision)? * 0.5)?;
        let dlog_v = flat(&time.dlog_v)?;
        Ok(GraphDerivatives {
            potential: ((potential - &half_square)? - (flat(&time.log_v)? * half_d)?)?,
            score,
            d_t: (d_t + ((half_square - half_d)? * dlog_v)?)?,
            laplacian: ((laplacian * flat(&time.k)?.sqr()?)? - (precision * d as f64)?)?,
        })
    }

    /// The Jacobian; the gradient of the divergence is zero unless `second`.
    pub(super) fn jacobian_of(
        &self,
        mlp: &Mlp,
        x: &Tensor,
        times: Times<'_>,
        second: bool,
    ) -> Result<ScoreJacobian> {
        let rows = self.check_batch(x, times.each())?;
        let time = self.time_columns(rows, times)?;
        let u = self.input(x, &time)?;
        let raw = match self.config.output {
            Output::Score => self.jacobian_forward(mlp, &u, &time, second)?,
            Output::Potential => self.jacobian_of_gradient(mlp, &u, &time, second)?,
        };
        if !self.time.has_base() {
            return Ok(raw);
        }
        // s = k F(k x) - x/v, with k' / k = -v' / (2 v) and (1/v)' = -v' / v^2.
        let network = raw.score.broadcast_mul(&time.k)?;
        let linear = x.broadcast_mul(&time.precision)?;
        let (k2, d) = (time.k.sqr()?, self.dim());
        let mut columns = Vec::with_capacity(d);
        for (column, axis) in raw.columns.iter().zip(self.axes()?) {
            let axis = axis.narrow(1, self.time.width(), d)?;
            let base = time.precision.broadcast_mul(&axis)?;
            columns.push((column.broadcast_mul(&k2)? - base)?);
        }
        let d_t = raw.d_t.broadcast_mul(&time.k)?;
        let d_t = (d_t + network.broadcast_mul(&time.dlogk)?)?;
        let d_t = (d_t + linear.broadcast_mul(&time.dlog_v)?)?;
        let grad_divergence = raw.grad_divergence.broadcast_mul(&(k2 * &time.k)?)?;
        Ok(ScoreJacobian { score: (network - linear)?, columns, d_t, grad_divergence })
    }

    /// Of the network's output, in its own inputs: mixed second derivatives by a jet.
    fn jacobian_forward(
        &self,
        mlp: &Mlp,
        u: &Tensor,
        time: &TimeColumns,
        second: bool,
    ) -> Result<ScoreJacobian> {
        let d = self.dim();
        let mut directions = self.axes()?;
        directions.push(self.input_rate(u, time)?);
        let pairs = (0..d).flat_map(|i| (i..d).map(move |j| (i, j)));
        let pairs: Vec<_> = pairs.filter(|_| second).collect();
        let terms = pairs.iter().map(|&(i, j)| vec![(i, j, 1.0)]).collect();
        let jet = mlp.jet(&Jet::input(u.clone(), directions, terms))?;
        let mut entries: Vec<Option<Tensor>> = vec![None; d];
        for (c, &(i, j)) in pairs.iter().enumerate() {
            let mixed = jet.second_or_zero(c)?;
            // d_j d_i s_i for entry j, d_i d_j s_j for entry i.
            for (own, component) in if i == j { vec![(j, i)] } else { vec![(j, i), (i, j)] } {
                let term = mixed.narrow(1, component, 1)?;
                entries[own] = Some(match entries[own].take() {
                    None => term,
                    Some(sum) => (sum + term)?,
                });
            }
        }
        let grad_divergence = match entries.into_iter().collect::<Option<Vec<_>>>() {
            Some(entries) => Tensor::cat(&entries, 1)?,
            None => jet.value.zeros_like()?,
        };
        let columns = (0..d).map(|j| jet.first_or_zero(j)).collect::<Result<_>>()?;
        let d_t = jet.first_or_zero(d)?;
        Ok(ScoreJacobian { score: jet.value, columns, d_t, grad_divergence })
    }

    /// Of the network's gradient, in its own inputs: tangents through the reverse pass.
    fn jacobian_of_gradient(
        &self,
        mlp: &Mlp,
        u: &Tensor,
        time: &TimeColumns,
        second: bool,
    ) -> Result<ScoreJacobian> {
        let (e, d) = (self.time.width(), self.dim());
        let space = |t: &Tensor| t.narrow(1, e, d);
        let (g, rate, _) = mlp.grad_tangent(u, &self.input_rate(u, time)?, false)?;
        let mut columns = Vec::with_capacity(d);
        let mut grad_divergence = space(&g)?.zeros_like()?;
        for axis in self.axes()? {
            let (_, column, third) = mlp.grad_tangent(u, &axis, second)?;
            columns.push(space(&column)?);
            if let Some(third) = third {
                grad_divergence = (grad_divergence + space(&third)?)?;
            }
        }
        Ok(ScoreJacobian { score: space(&g)?, columns, d_t: space(&rate)?, grad_divergence })
    }
}

impl<'a> Times<'a> {
    /// Checks that every time is a finite number.
    pub(super) fn check(self, sde: &dyn sde_core::Sde) -> Result<()> {
        let bad = match self {
            Times::Common(t) => Some(t).filter(|t| !t.is_finite()),
            Times::Each(t) => t.iter().copied().find(|t| !t.is_finite()),
        };
        match bad {
            None => Ok(()),
            Some(t) => Err(sde_core::Error::Time { t, horizon: sde.horizon() }.into()),
        }
    }

    pub(super) fn each(self) -> Option<&'a [f64]> {
        match self {
            Times::Common(_) => None,
            Times::Each(t) => Some(t),
        }
    }
}

/// A vector of any float tensor, in f64.
pub(crate) fn to_host(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}
