//! The density that a potential itself stands for.

use ndarray::Array2;
use sde_core::Result;

use super::model::in_blocks;
use super::richardson::density;
use super::{Density, Grid, Model};

impl Density {
    /// What a log-density that is known says, the law of the data at `t` for instance: probabilities of cells by the midpoint rule
    /// over `cells`, twice and three times as many sub-cells a spacing, extrapolated.
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for an odd number of sub-cells, [`sde_core::Error::NonFinite`] where it is not finite,
    /// whatever it fails with.
    pub fn known(
        grid: &Grid,
        t: f64,
        cells: usize,
        log_density: impl Fn(&Array2<f64>) -> Result<Vec<f64>> + Sync,
    ) -> Result<Self> {
        let nodes = in_blocks(&grid.points(), &log_density)?;
        let mut levels: Vec<(usize, Vec<f64>)> = vec![];
        for multiple in 1..=3 {
            let mesh = grid.inner_mesh(cells * multiple)?;
            let log_p = in_blocks(&mesh.centres(), &log_density)?;
            let mut values = mesh.node_sums(|cell| mesh.volume() * log_p[cell].exp());
            values.extend(&nodes);
            levels.push((multiple, values));
        }
        let levels: Vec<_> = levels.iter().map(|(m, values)| (*m, &values[..])).collect();
        Ok(density(grid, t, &levels).0)
    }

    /// The density `e^phi / Z` that a potential stands for at `t`, normalised over the box and its margin.
    ///
    /// # Errors
    /// As [`Density::known`]; [`sde_core::Error::Parameter`] for a model that is a score.
    pub fn of_potential(grid: &Grid, t: f64, cells: usize, model: &Model<'_>) -> Result<Self> {
        let nodes = model.values(&grid.points(), t)?;
        let mut levels: Vec<(usize, Vec<f64>)> = vec![];
        for multiple in 1..=3 {
            let mesh = grid.mesh(cells * multiple)?;
            let phi = model.at_centres(&mesh, t)?;
            let top = phi.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = phi.iter().map(|phi| (phi - top).exp()).sum();
            let log_z = top + (sum * mesh.volume()).ln();
            let mut values = mesh.node_sums(|cell| mesh.volume() * (phi[cell] - log_z).exp());
            values.extend(nodes.iter().map(|phi| phi - log_z));
            levels.push((multiple, values));
        }
        let levels: Vec<_> = levels.iter().map(|(m, values)| (*m, &values[..])).collect();
        Ok(density(grid, t, &levels).0)
    }
}
