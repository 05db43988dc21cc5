//! Time on the host, in f64: features, scales and their derivatives at any `t`.

use sde_core::Sde;

use crate::{Base, NetConfig, TimeEmbedding, TimeFeature};

/// What the closed-form part and the scaling of inputs need at one time.
///
/// Without a base `k = 1` and everything else is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scales {
    /// Factor of `x` at the network's input.
    pub(crate) k: f64,
    /// `k' / k`.
    pub(crate) dlogk: f64,
    /// `1 / v`.
    pub(crate) precision: f64,
    /// `log v`.
    pub(crate) log_v: f64,
    /// `v' / v`.
    pub(crate) dlog_v: f64,
}

/// The map from `(t, x)` to the network's input `u = (e(t), k(t) x)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeMap {
    feature: TimeFeature,
    embedding: TimeEmbedding,
    /// Variance of the data, scale of the inputs.
    base: Option<(f64, f64)>,
}

impl TimeMap {
    pub(crate) fn new(config: &NetConfig) -> Self {
        let base = match config.base {
            Base::None => None,
            Base::Gaussian { variance, input_scale } => Some((variance, input_scale)),
        };
        Self { feature: config.time, embedding: config.embedding, base }
    }

    pub(crate) fn width(&self) -> usize {
        self.embedding.width()
    }

    pub(crate) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    pub(crate) fn scales(&self, sde: &dyn Sde, t: f64) -> Scales {
        let Some((variance, input_scale)) = self.base else {
            return Scales { k: 1.0, dlogk: 0.0, precision: 0.0, log_v: 0.0, dlog_v: 0.0 };
        };
        let m = sde.marginal(t);
        let v = m.alpha * m.alpha * variance + m.sigma * m.sigma;
        // A linear SDE moves variances by v' = 2 a v + g^2.
        let dlog_v = 2.0 * sde.drift_coef(t) + sde.diffusion_squared(t) / v;
        Scales {
            k: input_scale / v.sqrt(),
            dlogk: -0.5 * dlog_v,
            precision: v.recip(),
            log_v: v.ln(),
            dlog_v,
        }
    }

    /// `tau(t)` and `tau'(t)`.
    fn feature(&self, sde: &dyn Sde, t: f64) -> (f64, f64) {
        match self.feature {
            TimeFeature::Raw => (t, 1.0),
            TimeFeature::Fraction => (t / sde.horizon(), 1.0 / sde.horizon()),
            TimeFeature::LogSnr => {
                let s = sde.marginal(t).sigma;
                (-sde.half_log_snr(t), 0.5 * sde.diffusion_squared(t) / (s * s))
            }
            TimeFeature::VarianceRatio => self.ratio(sde, t),
            TimeFeature::LogVariance { floor } => {
                let (r, dr) = self.ratio(sde, t);
                let span = ((1.0 + floor) / floor).ln();
                let tau = 1.0 + 2.0 * ((r + floor) / (1.0 + floor)).ln() / span;
                (tau, 2.0 * dr / ((r + floor) * span))
            }
            TimeFeature::RootVariance { floor } => {
                let (r, dr) = self.ratio(sde, t);
                let tau = (r + floor).sqrt();
                (tau, 0.5 * dr / tau)
            }
            TimeFeature::LogTime { shift } => {
                let (share, span) = (t / sde.horizon(), ((1.0 + shift) / shift).ln());
                let tau = 1.0 + 2.0 * ((share + shift) / (1.0 + shift)).ln() / span;
                (tau, 2.0 / (sde.horizon() * (share + shift) * span))
            }
        }
    }

    /// `r = sigma^2 / v` and `r' = g^2 alpha^2 V / v^2`.
    fn ratio(&self, sde: &dyn Sde, t: f64) -> (f64, f64) {
        let m = sde.marginal(t);
        let signal = m.alpha * m.alpha * self.base.map_or(1.0, |(variance, _)| variance);
        let v = signal + m.sigma * m.sigma;
        (m.sigma * m.sigma / v, sde.diffusion_squared(t) * signal / (v * v))
    }

    /// Writes the time inputs `e(t)` and their derivatives, [`TimeMap::width`] values each.
    pub(crate) fn fill(&self, sde: &dyn Sde, t: f64, value: &mut [f64], derivative: &mut [f64]) {
        let (tau, dtau) = self.feature(sde, t);
        (value[0], derivative[0]) = (tau, dtau);
        if let TimeEmbedding::Fourier { bands, max_frequency } = self.embedding {
            for j in 0..bands {
                let w = match bands {
                    1 => max_frequency,
                    _ => max_frequency.powf(j as f64 / (bands - 1) as f64),
                };
                let (sin, cos) = (w * tau).sin_cos();
                (value[1 + 2 * j], derivative[1 + 2 * j]) = (sin, w * cos * dtau);
                (value[2 + 2 * j], derivative[2 + 2 * j]) = (cos, -w * sin * dtau);
            }
        }
    }
}
