//! Proposals along the gradient of the twist.

use ndarray::Array2;
use sde_core::{Error, Result, Sde};

use super::moves::{Kept, Move, Moved, Particles, dot};
use crate::Twist;
use crate::backward::Backward;

/// The step of the unconditional process, its mean moved by its variance times the gradient of the twist.
pub(super) struct Gradient<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) twist: Box<dyn Twist<Array2<f64>> + 'a>,
}

impl Move for Gradient<'_> {
    fn start(&self, z: &Array2<f64>, t: f64) -> Result<(Array2<f64>, Vec<f64>)> {
        let x = z * self.sde.prior_std();
        let found = self.twist.twist(&x, t)?;
        Ok((x, found.log_likelihood))
    }

    /// The denoised data with the logarithm of the twist, and the gradient.
    fn arrive(&self, x: &Array2<f64>, t: f64) -> Result<Kept> {
        let m = self.sde.marginal(t);
        if m.alpha == 0.0 {
            let reason = format!("no signal is left at t = {t}: begin below it");
            return Err(Error::Parameter { name: "alpha".into(), value: "0".into(), reason });
        }
        let found = self.twist.twist(x, t)?;
        let data = (x + found.score * (m.sigma * m.sigma)) / m.alpha;
        Ok(vec![
            Particles::new(data, vec![found.log_likelihood])?,
            Particles::new(found.gradient, vec![])?,
        ])
    }

    /// `x1 = m + c^2 g + c z` has `log p - log q = -c^2 |g|^2 / 2 - c g.z`.
    fn advance(
        &self,
        x: &Array2<f64>,
        kept: &Kept,
        (t0, t1): (f64, f64),
        z: &Array2<f64>,
    ) -> Result<Moved> {
        let Backward { data: a, state: b, std: c } =
            Backward::new(self.sde.marginal(t0), self.sde.marginal(t1));
        let gradient = &kept[1].x;
        let next = &kept[0].x * a + x * b + gradient * (c * c) + z * c;
        let (square, along) = (dot(gradient, gradient)?, dot(gradient, z)?);
        let kept_next = self.arrive(&next, t1)?;
        let (before, after) = (&kept[0].integrals[0], &kept_next[0].integrals[0]);
        let ratios = square.iter().zip(&along).map(|(s, z)| -0.5 * c * c * s - c * z);
        let twists = after.iter().zip(before).map(|(a, b)| a - b);
        let log_factors = ratios.zip(twists).map(|(r, t)| r + t).collect();
        Ok(Moved { x: next, log_factors, kept: kept_next })
    }

    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let found = self.twist.twist(x, t)?;
        Ok(found.score + found.gradient)
    }
}
