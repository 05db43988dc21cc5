//! The steps of a sampler: a grid, a grid with restarts, or steps by a tolerance.

use sde_core::sde::check_time;
use sde_core::{Sde, Tolerance};

use crate::{Adaptive, Controller, GottaGoFast, Grid, RestartInterval, Result};

/// How a sampler chooses its steps.
#[derive(Clone, Debug)]
pub enum Control {
    /// Fixed steps between these times, from `times[0]` down.
    Grid(Vec<f64>),
    /// Fixed steps between times, with restart intervals ([`Grid::with_restarts`]).
    Restarts(Vec<f64>, Vec<RestartInterval>),
    /// Steps as long as the tolerance allows, for each particle on its own.
    Adaptive {
        /// Where the solve begins.
        t_start: f64,
        /// Where it ends.
        t_end: f64,
        /// The tolerance every particle is held to.
        tol: Tolerance,
    },
    /// Steps as [`GottaGoFast`](crate::GottaGoFast) chooses them, for each particle on its own: with [`Method::Heun`](crate::Method::Heun) and
    /// [`End::Denoise`](crate::End::Denoise) the sampler of Jolicoeur-Martineau et al. 2021, arXiv 2105.14080. As there,
    /// the last step before denoising has its noise.
    GottaGoFast {
        /// Where the solve begins.
        t_start: f64,
        /// Where it ends.
        t_end: f64,
        /// The tolerance every particle is held to.
        tol: Tolerance,
    },
}

impl Control {
    /// Whether steps are chosen for every particle.
    pub(crate) fn per_row(&self) -> bool {
        matches!(self, Self::Adaptive { .. } | Self::GottaGoFast { .. })
    }

    /// The first time and the last.
    pub(crate) fn ends(&self) -> Result<(f64, f64)> {
        Ok(match self {
            Self::Grid(times) => {
                let end = Grid::new(times.clone())?.end();
                (times[0], end)
            }
            Self::Restarts(times, restarts) => {
                let end = Grid::with_restarts(times.clone(), restarts)?.end();
                (times[0], end)
            }
            Self::Adaptive { t_start, t_end, .. } | Self::GottaGoFast { t_start, t_end, .. } => {
                (*t_start, *t_end)
            }
        })
    }

    /// The controller of one solve.
    pub(crate) fn controller(&self) -> Result<Box<dyn Controller>> {
        Ok(match self {
            Self::Grid(times) => Box::new(Grid::new(times.clone())?),
            Self::Restarts(times, restarts) => {
                Box::new(Grid::with_restarts(times.clone(), restarts)?)
            }
            Self::Adaptive { t_start, t_end, tol } => {
                Box::new(Adaptive::new(*t_start, *t_end, *tol)?)
            }
            Self::GottaGoFast { t_start, t_end, tol } => {
                Box::new(GottaGoFast::new(*t_start, *t_end, *tol)?)
            }
        })
    }

    /// The same steps, their ends in `[0, T]` ([`check_time`]).
    pub(crate) fn within(&self, sde: &dyn Sde) -> Result<Self> {
        let (mut control, inside) = (self.clone(), |t: &mut f64| -> Result<()> {
            *t = check_time(sde, *t)?;
            Ok(())
        });
        match &mut control {
            Self::Grid(times) | Self::Restarts(times, _) => {
                Grid::new(times.clone())?;
                times.iter_mut().try_for_each(inside)?;
            }
            Self::Adaptive { t_start, t_end, .. } | Self::GottaGoFast { t_start, t_end, .. } => {
                [t_start, t_end].into_iter().try_for_each(inside)?;
            }
        }
        Ok(control)
    }
}
