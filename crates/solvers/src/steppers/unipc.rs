//! UniPC: a multistep predictor and a corrector that uses its evaluation again.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::expansion::{LambdaStep, LowerOrderFinal, Prediction, half_log_snr};
use super::limit;
use crate::phi::phi;
use crate::{Noise, Past, Step, Stepper};

/// The function `B(h)` of UniPC. It matters only where the weights are not solved for but simply
/// 1/2: in the predictor of order 2 and the corrector of order 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = e^h - 1`.
    #[default]
    Bh2,
}

/// UniPC-p: an exponential multistep method of the flow ODE in `lambda = log(alpha / sigma)`. The
/// predictor takes the predictions `m_k` of `p - 1` earlier steps, at `r_k = (lambda_k - lambda_0) /
/// h`, with weights `w_k / r_k` of `m_k - m_0` where
///
/// `sum_k r_k^{i-1} w_k = i! phi_{i+1}(z)`, `i = 1, 2, ...`;
///
/// the corrector adds the prediction at the end of the step, `r = 1`. That prediction, made at the
/// uncorrected state, is what the next step begins with: one evaluation a step, and one more at the
/// start. At the end of a grid that is known ([`UniPc::end`]) there is neither evaluation nor
/// corrector, as in the authors' code; elsewhere every step is corrected.
///
/// Order `p + 1` after the corrector; the first steps have lower orders. A step to or from `sigma = 0`
/// has order 1 and no corrector: its limit is `alpha1` times the predicted data. So has one where
/// `alpha` is zero, or too small for the predicted noise.
///
/// # Reference
/// Zhao et al. 2023, arXiv 2302.04867, algorithms 1 to 4.
#[derive(Clone, Copy, Debug)]
pub struct UniPc {
    /// What is extrapolated.
    pub prediction: Prediction,
    /// `B(h)`.
    pub variant: Variant,
    /// `p`: predictions used by a predictor with enough history, 1, 2 or 3.
    pub order: usize,
    /// The end of the solve, where nothing is corrected.
    pub end: Option<f64>,
    /// Where the orders fall again (the authors do so on every grid).
    pub lower_order_final: Option<LowerOrderFinal>,
}

impl UniPc {
    /// UniPC-p on the predicted data.
    pub const fn data(variant: Variant, order: usize) -> Self {
        Self { prediction: Prediction::Data, variant, order, end: None, lower_order_final: None }
    }

    /// With the end of the authors' code on the grid `times`: no corrector in the last step, which
    /// has order 1, after one of order 2 at most.
    #[must_use]
    pub fn ending(mut self, times: &[f64]) -> Self {
        (self.end, self.lower_order_final) = (times.last().copied(), LowerOrderFinal::of(times));
        self
    }

    /// The weights of `m_k - m_0` at `nodes`; `simple` where one weight is 1/2 by definition.
    fn weights(self, z: f64, nodes: &[f64], simple: bool) -> Vec<f64> {
        if simple {
            let scale = if self.variant == Variant::Bh1 { 1.0 } else { phi(1, z) };
            return vec![0.5 * scale / nodes[0]];
        }
        let mut factorial = 1.0;
        let mut moments = vec![];
        for i in 1..=nodes.len() {
            factorial *= i as f64;
            moments.push(factorial * phi(i + 1, z));
        }
        vandermonde(nodes, &mut moments);
        moments.iter().zip(nodes).map(|(w, r)| w / r).collect()
    }
}

/// Solves `sum_k r_k^i w_k = b_i`, `i = 0, 1, ...`, in place.
///
/// # Reference
/// Golub, Van Loan 2013, Matrix Computations, algorithm 4.6.2 (Bjorck, Pereyra).
fn vandermonde(r: &[f64], b: &mut [f64]) {
    let n = r.len();
    for (k, node) in r.iter().enumerate() {
        for i in (k + 1..n).rev() {
            b[i] -= node * b[i - 1];
        }
    }
    for k in (0..n.saturating_sub(1)).rev() {
        for i in k + 1..n {
            b[i] /= r[i] - r[i - k - 1];
        }
        for i in k..n - 1 {
            b[i] -= b[i + 1];
        }
    }
}

/// The predictions kept from number `first` on, `most` at most, and where they lie; none behind one that lies nowhere.
fn history<'a, S>(
    past: &'a Past<S>,
    first: usize,
    most: usize,
    place: &dyn Fn(f64) -> f64,
) -> (Vec<f64>, Vec<&'a S>) {
    let kept = (first..first + most).map_while(|k| past.get(k)).map(|(t, m)| (place(t), m));
    kept.take_while(|(r, _)| r.is_finite()).unzip()
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for UniPc {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (start, target) = (problem.marginal(t0), problem.marginal(t1));
        if self.prediction == Prediction::Noise && limit::lost(x.resolution(), start, target) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let mut nfe = 0;
        // The prediction at t0 is there already if the step before has corrected with it.
        let (m0, first) = match past.get(0) {
            Some((t, m)) if t == t0 => (m.clone(), 1),
            _ => {
                nfe += 1;
                (self.prediction.at(problem, x, t0, target)?, 0)
            }
        };
        let step = LambdaStep::new(self.prediction, start, target);
        let order =
            self.lower_order_final.map_or(usize::MAX, |l| l.most(t1)).min(self.order.max(1));
        let place = |t: f64| (half_log_snr(problem.marginal(t)) - half_log_snr(start)) / step.h;
        let most = if step.at_limit() { 0 } else { order - 1 };
        let (mut nodes, mut earlier) = history(past, first, most, &place);
        let end = |weights: Vec<f64>, predictions: &[&S]| {
            let others: Vec<_> = weights.into_iter().zip(predictions.iter().copied()).collect();
            step.end(x, &m0, &others)
        };
        let predictor = match nodes.len() {
            0 => vec![],
            n => self.weights(step.z, &nodes, n == 1),
        };
        let mut x1 = end(predictor, &earlier)?;
        let mut kept = vec![];
        if !step.at_limit() && self.end != Some(t1) {
            let m1 = self.prediction.at(problem, &x1, t1, target)?;
            nfe += 1;
            nodes.push(1.0);
            earlier.push(&m1);
            x1 = end(self.weights(step.z, &nodes, nodes.len() == 1), &earlier)?;
            kept.push((t1, m1));
        }
        let before: Vec<_> =
            (first..).map_while(|k| past.get(k)).take(1).map(|(t, m)| (t, m.clone())).collect();
        kept.push((t0, m0));
        kept.extend(before);
        Ok(Step { x: x1, error: None, past: Past::new(kept), nfe })
    }
}
