//! `density`: the density of what a model's sampler draws, on a grid, without a sample.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use fp_residual::fokker_planck::{
    Characteristics, Density, FiniteVolumes, Grid, Model as Drift, OnRows,
};
use ndarray::Array2;
use sde_core::{ScoreJvp, Sde};
use serde_json::json;

use super::Output;
use super::options::ModelOptions;
use crate::model::Model;
use crate::npy::write_archive;

/// Times that sides of cells are halved along paths at most.
const HALVINGS: usize = 31;

/// Compute the density of what a model's sampler draws, on a grid of nodes, without a sample
///
/// The Fokker-Planck equation of dx = (a x - (1+eta^2)/2 g^2 s) dt + eta g dW, run backward from the standard prior at T to
/// --t-end, for models on a line or in a plane. eta > 0: finite volumes; eta = 0: along paths, cells from where their borders are
/// carried. Refined until the estimated error is below --tol.
///
/// Writes the arrays nodes [n]; cells, cells_error, logp, logp_error [n] or [n, n], a cell being what is nearest to a node within the box
/// (halves on its border), so that cells sum to the mass inside; of every time on the way times, mass, left (what has left the box and its
/// margin) and score_gap (the integral of q |grad log q - s|^2 over the box) [k], of eta = 0 the end alone; error [1], in total
/// variation. Index [i, j] is (x = nodes[i], y = nodes[j]).
///
/// Networks are evaluated in f32 unless --dtype f64 is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  experiment density --model blob_w1.0.safetensors --architecture ode-sde-gap \
    --eta 1 --tol 1e-3 --out density.npz"
)]
pub(super) struct DensityCommand {
    #[command(flatten)]
    model: ModelOptions,
    /// Stochasticity of the sampler: 0 is the flow, 1 the reverse SDE
    #[arg(long, value_name = "E", default_value_t = 1.0, allow_negative_numbers = true)]
    eta: f64,
    /// Half the side of the box
    #[arg(long = "box", value_name = "B", default_value_t = 3.5)]
    half_side: f64,
    /// Nodes along an axis, from -B to B
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    nodes: u32,
    /// What is computed beyond the box on every side; what leaves it does not return (default: a seventh of the side)
    #[arg(long, value_name = "M")]
    margin: Option<f64>,
    /// The largest estimated error in total variation
    #[arg(long, value_name = "EPS", default_value_t = 1e-3)]
    tol: f64,
    /// Time of the density
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    t_end: f64,
    /// Times on the way at which mass and gap are reported, with eta > 0
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Where the arrays go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The density at the end, and what is known of the way.
struct Found {
    density: Density,
    times: Vec<f64>,
    mass: Vec<f64>,
    left: Vec<f64>,
    score_gap: Vec<f64>,
    method: &'static str,
}

impl DensityCommand {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let start = Instant::now();
        ensure!(self.tol > 0.0, "--tol is {}, expected above 0", self.tol);
        ensure!(
            self.eta >= 0.0 && self.eta.is_finite(),
            "--eta is {}, expected at least 0",
            self.eta
        );
        ensure!(
            self.half_side > 0.0 && self.half_side.is_finite(),
            "--box is {}, expected above 0",
            self.half_side
        );
        let model = self.model.open("f32")?;
        let sde = model.sde(self.model.sde.as_deref())?;
        crate::checks::below_horizon("--t-end", sde.as_ref(), self.t_end)?;
        let dim = model.dim();
        let grid = Grid::new(dim, -self.half_side, self.half_side, self.nodes as usize)?;
        let grid = self.margin.map_or(Ok(grid.clone()), |margin| grid.with_margin(margin))?;
        let found = match &model {
            Model::Analytic(target) => {
                let exact = target.under(sde.as_ref())?;
                let drift = Drift::of_values(|x: &Array2<f64>, t| exact.log_density(x, t));
                self.found(sde.as_ref(), &exact, &drift, &grid)?
            }
            Model::Network(net) => {
                let rows = OnRows(net);
                self.found(sde.as_ref(), &rows, &rows.model(), &grid)?
            }
        };
        output.replacing(&self.out);
        self.write(&grid, &found)?;
        let Found { density, method, left, .. } = &found;
        let report = json!({
            "mass": density.mass(), "error": density.total_variation_error, "left": left.last(), "eta": self.eta,
            "t_end": density.t, "sde": sde.name(), "method": method, "nodes": self.nodes, "dim": dim, "out": self.out,
            "seconds": start.elapsed().as_secs_f64(),
        });
        let text = format!(
            "{} nodes in {}, by {method}: mass {:.6} in the box, estimated error {:.1e} in total variation",
            grid.n_nodes(),
            self.out.display(),
            density.mass(),
            density.total_variation_error,
        );
        output.emit(&report, &text)
    }

    fn found(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreJvp<Array2<f64>>,
        drift: &Drift<'_>,
        grid: &Grid,
    ) -> Result<Found> {
        if self.eta > 0.0 {
            let how = FiniteVolumes::new(grid.clone(), self.eta).with_tolerance(self.tol);
            let times = self.way(sde.horizon());
            let mut all = how.solve(sde, drift, &times)?;
            let mass = all.densities.iter().map(Density::mass).collect();
            let density = all.densities.pop().expect("a time at least");
            let (left, score_gap) = (all.left, all.score_gap);
            return Ok(Found { density, times, mass, left, score_gap, method: "finite volumes" });
        }
        let paths = Characteristics::new(0.1 * self.tol);
        let density = paths.cells(sde, score, grid, self.t_end, (self.tol, HALVINGS))?;
        let error = density.total_variation_error;
        ensure!(
            error <= self.tol,
            "the estimated error in total variation is {error:.1e}, where the flow parts neighbouring numbers: give a larger \
             --tol than {}, or --dtype f64",
            self.tol
        );
        let method = "characteristics";
        let (times, mass) = (vec![density.t], vec![density.mass()]);
        Ok(Found { density, times, mass, left: vec![], score_gap: vec![], method })
    }

    /// Times down to the end, closer to each other towards 0.
    fn way(&self, horizon: f64) -> Vec<f64> {
        let (n, shift) = (self.times, 0.01 * horizon);
        let share = |i: u32| f64::from(i) / f64::from(n);
        let ratio = (self.t_end + shift) / (horizon + shift);
        let at =
            |i| if i == n { self.t_end } else { (horizon + shift) * ratio.powf(share(i)) - shift };
        (1..=n).map(at).collect()
    }

    fn write(&self, grid: &Grid, found: &Found) -> Result<()> {
        let (nodes, q) = (grid.axis(), &found.density);
        let all = vec![nodes.len(); grid.dim()];
        let k = [found.times.len()];
        let mut arrays = vec![
            ("nodes", &all[..1], &nodes[..]),
            ("cells", &all, &q.cells),
            ("cells_error", &all, &q.cells_error),
            ("logp", &all, &q.log_density),
            ("logp_error", &all, &q.log_density_error),
            ("times", &k, &found.times),
            ("mass", &k, &found.mass),
        ];
        if !found.left.is_empty() {
            arrays.extend([("left", &k[..], &found.left[..]), ("score_gap", &k, &found.score_gap)]);
        }
        let error = [q.total_variation_error];
        arrays.push(("error", &[1], &error));
        Ok(write_archive(Path::new(&self.out), &arrays)?)
    }
}
