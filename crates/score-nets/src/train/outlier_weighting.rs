//! Importance weighting of outlying points in the denoising loss.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Importance weighting of points outside the data in the denoising loss.
///
/// The data lie in the box `[-half_width, half_width]^D`, or around it as far as Gaussian noise of
/// standard deviation `blur` would take them. A point at a distance
/// `d sqrt(sigma^2 + alpha^2 blur^2)` from the box `alpha [-half_width, half_width]^D` at time `t`
/// has a density of about `exp(-d^2 / 2)`: at `d = 3` a network can err as it likes and the loss
/// hardly notices. Particles do come there, and where the score is too weak they stay. With outliers a
/// point counts
///
/// `exp((1 - 1 / scale^2) d^2 / 2)`
///
/// times as much, as if its noise was `scale` times wider: 1 inside of the box. That is a function
/// of `x_t` and `t` alone, so the loss has the same minimiser, the score at every point; what moves
/// is the compromise of a network that cannot reach it.
///
/// A `share` of the rows has noise that *is* `scale` times wider, and every row is weighed by the
/// density of the noise over that of this mixture, which leaves the expectation alone: outliers
/// are seen often instead of seldom with huge weights. For data in the box no weight exceeds
/// `scale^D / share`; data far outside of it get enormous ones, so a box is better too large than
/// too small, and [`Dsm::batch`](super::Dsm::batch) refuses weights beyond single precision.
///
/// # Reference
/// Hesterberg 1995, "Weighted average importance sampling and defensive mixture distributions" (the
/// mixture; the tilt of the loss is our own).
///
/// ```
/// use std::sync::Arc;
/// use score_nets::{Dsm, OutlierWeighting};
/// use sde_core::analytic::DataSet;
/// // The checkerboard is uniform on cells of `[-3, 3]^2`.
/// let outliers = OutlierWeighting { share: 0.1, scale: 2.0, half_width: 3.0, blur: 0.0 };
/// outliers.validate()?;
/// let dsm = Dsm::new(Arc::new(DataSet::Checker), 256).outlier_weighting(Some(outliers));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OutlierWeighting {
    /// Share of the rows with wider noise, in (0, 1).
    pub share: f64,
    /// How many times wider, at least 1; at 1 the loss is the plain one.
    pub scale: f64,
    /// Half the side of the box.
    pub half_width: f64,
    /// Standard deviation of the data around the box; 0 where they are all in it.
    #[serde(default)]
    pub blur: f64,
}

impl OutlierWeighting {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that does not work.
    pub fn validate(&self) -> Result<()> {
        let Self { share, scale, half_width, blur } = *self;
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::setting(
                "outlier-weighting.share",
                share,
                "must be between 0 and 1",
            ));
        }
        if !(scale.is_finite() && scale >= 1.0) {
            return Err(Error::setting(
                "outlier-weighting.scale",
                scale,
                "must be finite and at least 1",
            ));
        }
        if !(half_width.is_finite() && half_width >= 0.0) {
            let reason = "must be finite and not negative";
            return Err(Error::setting("outlier-weighting.half-width", half_width, reason));
        }
        if !(blur.is_finite() && blur >= 0.0) {
            return Err(Error::setting(
                "outlier-weighting.blur",
                blur,
                "must be finite and not negative",
            ));
        }
        Ok(())
    }

    /// The weight of a row with noise `z` at `x = alpha x_0 + sigma z`.
    pub(super) fn weight(&self, x: &[f64], z: &[f64], alpha: f64, sigma: f64) -> f64 {
        let tilt = 0.5 * (1.0 - self.scale.powi(-2));
        let edge = alpha * self.half_width;
        let outside = x.iter().map(|x| (x.abs() - edge).max(0.0).powi(2)).sum::<f64>();
        let distance = outside / (sigma.powi(2) + (alpha * self.blur).powi(2));
        let square = z.iter().map(|z| z * z).sum::<f64>();
        // The wider density of the noise over its own; as a logarithm, for many dimensions.
        let wider = tilt * square - z.len() as f64 * self.scale.ln();
        let (plain, share) = (1.0 - self.share, self.share);
        let mixture = if wider > 0.0 {
            wider + (share + plain * (-wider).exp()).ln()
        } else {
            (plain + share * wider.exp()).ln()
        };
        (tilt * distance - mixture).exp()
    }
}
