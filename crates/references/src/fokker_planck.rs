//! `fokker_planck`: densities of samplers without samples: moments of affine scores, finite volumes and characteristics on
//! closed forms, and on the published networks, to the errors that the references state.

use candle_core::{DType, Device};
use fp_residual::fokker_planck::{
    Characteristics, Density, FiniteVolumes, Grid, Model, OnRows, gaussian_moments,
};
use score_nets::ScoreNet;
use sde_core::analytic::{AnalyticScore, GaussianMixture};
use sde_core::{Ou, ScoreJvp};

use crate::fokker_planck_bounds;
use crate::pinn::weights;
use crate::prelude::*;

/// For moments and what follows from them, and for paths.
const GAUSSIAN: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    for (file, compare) in [("gaussian_cases", gaussian as Compare), ("mixture1d_case", mixture)] {
        if dir.has(&format!("{file}.json")) {
            let value = dir.json(&format!("{file}.json"));
            family.group(file, |family| compare(&value?, family));
        }
    }
    dir.archives(family, |stem, npz, family| network(dir, stem, npz, family))
}

type Compare = fn(&Value, &mut Family) -> Result<()>;

/// Potentials that are Gaussian along axes, of one dimension and of two, rotated. Distances and bounds between the samplers
/// stand in the same file.
fn gaussian(file: &Value, family: &mut Family) -> Result<()> {
    fokker_planck_bounds::gaussian(file, family)?;
    for (name, case) in file.member("one_d")?.entries()? {
        let axis = Axis1::read(case)?;
        let sde = Ou::new(case.number("T")?)?;
        for (eta, expected) in case.member("variance_t0")?.entries()? {
            let stem = format!("gaussian_cases/{name}/{eta}");
            let moments = variance(&sde, &axis, eta);
            family.add(format!("{stem}/variance"), || {
                check_one(moments?, expected.one()?, By::Entry, GAUSSIAN)
            });
        }
        for (eta, at) in case.member("log_density_t0")?.entries()? {
            let stem = format!("gaussian_cases/{name}/{eta}");
            line(&stem, (&sde, &axis), eta, at, family);
        }
    }
    for (name, case) in file.member("two_d")?.entries()? {
        let sde = Ou::new(case.number("T")?)?;
        for (eta, expected) in case.member("covariance_t0")?.entries()? {
            family.add(format!("gaussian_cases/{name}/{eta}/covariance"), || {
                let found = covariance(&sde, case, eta)?;
                check(&found, expected.list()?, LARGEST, GAUSSIAN)
            });
        }
    }
    Ok(())
}

/// The potential `-x^2 / (2 W(t))`.
#[derive(Clone, Copy)]
enum Axis1 {
    /// `W = a`.
    Constant(f64),
    /// `W = 1/2 + k e^{-2 c t}`.
    Decaying { k: f64, c: f64 },
}

impl Axis1 {
    fn read(case: &Value) -> Result<Self> {
        if case.get("a").is_some() {
            return Ok(Self::Constant(case.number("a")?));
        }
        Ok(Self::Decaying { k: case.number("k")?, c: case.number("c")? })
    }

    fn variance(self, t: f64) -> f64 {
        match self {
            Self::Constant(a) => a,
            Self::Decaying { k, c } => 0.5 + k * (-2.0 * c * t).exp(),
        }
    }
}

impl Score<Rows> for Axis1 {
    fn score(&self, x: &Rows, t: f64) -> sde_core::Result<Rows> {
        Ok(x / -self.variance(t))
    }
}

impl ScoreJvp<Rows> for Axis1 {
    fn score_jvp(&self, x: &Rows, t: f64, v: &Rows) -> sde_core::Result<(Rows, Rows)> {
        Ok((x / -self.variance(t), v / -self.variance(t)))
    }

    fn divergence(&self, x: &Rows, t: f64) -> sde_core::Result<Vec<f64>> {
        Ok(vec![-(x.ncols() as f64) / self.variance(t); x.nrows()])
    }
}

fn eta_of(name: &str) -> Result<f64> {
    name.parse().with_context(|| format!("`{name}` is no eta"))
}

fn variance(sde: &Ou, axis: &Axis1, eta: &str) -> Result<f64> {
    let score = |t: f64| (Rows::eye(1) / -axis.variance(t), Array1::zeros(1));
    Ok(gaussian_moments(sde, eta_of(eta)?, 1, &score, 0.0)?.1[[0, 0]])
}

fn covariance(sde: &Ou, case: &Value, eta: &str) -> Result<Rows> {
    let (axes, directions) = (case.items("axes")?, case.matrix("axis_directions")?);
    let axes = axes.iter().map(Axis1::read).collect::<Result<Vec<_>>>()?;
    let dim = axes.len();
    ensure!(directions.dim() == (dim, dim), "{dim} axes, directions {:?}", directions.dim());
    // Every row is a direction.
    let score = |t: f64| {
        let precision = axes.iter().map(|a| -1.0 / a.variance(t)).collect();
        let along = Rows::from_diag(&Array1::from_vec(precision));
        (directions.t().dot(&along).dot(&directions), Array1::zeros(dim))
    };
    Ok(gaussian_moments(sde, eta_of(eta)?, dim, &score, 0.0)?.1)
}

/// Log-densities at points of a line: by the variance, and along paths or by finite volumes.
fn line(stem: &str, (sde, axis): (&Ou, &Axis1), eta: &str, at: &Value, family: &mut Family) {
    family.add(format!("{stem}/log_density"), || {
        let v = variance(sde, axis, eta)?;
        let (x, expected) = points(at)?;
        let log = |x: &f64| -0.5 * (x * x / v + (std::f64::consts::TAU * v).ln());
        check(x.iter().map(log), expected, By::Mixed, GAUSSIAN)
    });
    let by = if eta_of(eta).is_ok_and(|eta| eta == 0.0) { "paths" } else { "finite_volumes" };
    family.add(format!("{stem}/log_density_by_{by}"), || {
        let (eta, (x, expected)) = (eta_of(eta)?, points(at)?);
        if eta == 0.0 {
            let rows = Rows::from_shape_vec((x.len(), 1), x)?;
            let found = Characteristics::new(1e-9).log_density(sde, axis, &rows, 0.0)?.0;
            return check(found, expected, By::Mixed, GAUSSIAN);
        }
        let (found, errors) = on_line(sde, axis, eta, &x)?;
        ensure!(errors.iter().all(|e| *e < 1e-4), "estimated errors {errors:?}");
        check(found, expected, By::Scales(&errors), 1.0)
    });
}

/// Points and the values at them.
fn points(at: &Value) -> Result<(Vec<f64>, Vec<f64>)> {
    let entries = at.entries()?;
    let x: Result<Vec<f64>, _> = entries.iter().map(|(x, _)| x.parse::<f64>()).collect();
    let values: Result<Vec<f64>> = entries.iter().map(|(_, v)| v.one()).collect();
    Ok((x?, values?))
}

/// Log-densities at points that are nodes of a common spacing of 0.7, and their estimated errors.
fn on_line(sde: &Ou, axis: &Axis1, eta: f64, x: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let (n, spacing) = (6, 0.7);
    let reach = n as f64 * spacing / 2.0;
    let grid = Grid::new(1, -reach, reach, n + 1)?.with_margin(12.0)?;
    let values = |x: &Rows, t| Ok(x.iter().map(|x| -0.5 * x * x / axis.variance(t)).collect());
    let how = FiniteVolumes { cells: 16, steps: 60, ..FiniteVolumes::new(grid, eta) };
    let found = how.solve(sde, &Model::of_values(values), &[0.0])?;
    let (q, nodes) = (found.last(), found.grid.axis());
    let node = |x: &f64| {
        let near = nodes.iter().position(|node| (node - x).abs() < 1e-9);
        near.with_context(|| format!("{x} is no multiple of {spacing} up to {reach}"))
    };
    let at = x.iter().map(node).collect::<Result<Vec<_>>>()?;
    let of = |values: &[f64]| at.iter().map(|i| values[*i]).collect::<Vec<_>>();
    Ok((of(&q.log_density), of(&q.log_density_error)))
}

/// `(1 - 0.15 e^-t) log p_t` of two clusters on a line.
struct Scaled<'a>(AnalyticScore<'a>);

impl Scaled<'_> {
    fn factor(t: f64) -> f64 {
        1.0 - 0.15 * (-t).exp()
    }
}

impl Score<Rows> for Scaled<'_> {
    fn score(&self, x: &Rows, t: f64) -> sde_core::Result<Rows> {
        Ok(self.0.score(x, t)? * Self::factor(t))
    }
}

impl ScoreJvp<Rows> for Scaled<'_> {
    fn score_jvp(&self, x: &Rows, t: f64, v: &Rows) -> sde_core::Result<(Rows, Rows)> {
        let (s, along) = self.0.score_jvp(x, t, v)?;
        Ok((s * Self::factor(t), along * Self::factor(t)))
    }

    fn divergence(&self, x: &Rows, t: f64) -> sde_core::Result<Vec<f64>> {
        Ok(self.0.divergence(x, t)?.iter().map(|d| d * Self::factor(t)).collect())
    }
}

/// Densities at evenly spaced points, to the errors that are stated there and estimated here.
fn mixture(file: &Value, family: &mut Family) -> Result<()> {
    let means = ndarray::array![[-1.2], [0.9]];
    let data = GaussianMixture::isotropic(&[0.35, 0.65], &means, &[0.3, 0.4])?;
    let sde = Ou::new(file.number("T")?)?;
    let (exact, x) = (data.under(&sde), file.numbers("x")?);
    let (first, last) = (x.first().context("no points")?, x.last().context("no points")?);
    let grid = Grid::new(1, *first, *last, x.len())?.with_margin(3.0)?;
    family.add("mixture1d_case/x", || check(grid.axis(), &x, By::Mixed, 1e-12));
    family.add("mixture1d_case/p_true", || {
        let found = exact.log_density(&grid.points(), 0.0)?;
        check(found.iter().map(|l| l.exp()), file.numbers("p_true")?, LARGEST, 1e-10)
    });
    let model = Scaled(exact);
    for (name, case) in file.member("eta")?.entries()? {
        family.add(format!("mixture1d_case/{name}/p0"), || {
            let (log, error) = mixture_density(&sde, &model, &grid, eta_of(name)?)?;
            let stated = case.number("max_abs_diff_to_coarser_extrapolation")?;
            let scale = |(l, e): (&f64, &f64)| stated + l.exp() * e.exp_m1();
            let scales: Vec<f64> = log.iter().zip(&error).map(scale).collect();
            ensure!(scales.iter().all(|s| *s < 1e-5), "estimated errors {scales:?}");
            check(log.iter().map(|l| l.exp()), case.numbers("p0")?, By::Scales(&scales), 1.0)
        });
    }
    Ok(())
}

/// Log-densities at the nodes, and their estimated errors.
fn mixture_density(
    sde: &Ou,
    model: &Scaled<'_>,
    grid: &Grid,
    eta: f64,
) -> Result<(Vec<f64>, Vec<f64>)> {
    if eta == 0.0 {
        return Ok(Characteristics::new(1e-9).log_density(sde, model, &grid.points(), 0.0)?);
    }
    let values = |x: &Rows, t| {
        Ok(model.0.log_density(x, t)?.iter().map(|l| l * Scaled::factor(t)).collect())
    };
    let how = FiniteVolumes { cells: 4, steps: 60, ..FiniteVolumes::new(grid.clone(), eta) };
    let found = how.solve(sde, &Model::of_values(values), &[0.0])?;
    let q = found.last();
    Ok((q.log_density.clone(), q.log_density_error.clone()))
}

/// A published network on the nodes of the published histograms: the SDE by finite volumes, the ODE along paths.
fn network(dir: &Folder, name: &str, npz: Npz, family: &mut Family) -> Result<()> {
    let (weights, stated) = (weights(dir, name)?, dir.json(&format!("{name}.json"))?);
    // Cells are known to a thousandth or less, for which single precision does; nodes of the flow to eight digits.
    let open = |dtype| ScoreNet::open_published(&weights, dtype, &Device::Cpu);
    let (net, single) = (open(DType::F64)?, open(DType::F32)?);
    let (rows, grid) = (OnRows(&single), Grid::published());
    let mut archive = Archive::new(npz, &format!("{name}/"), 1.0, family);
    fokker_planck_bounds::distances(&stated, &mut archive)?;
    if archive.has("cells_sde") || archive.has("logp_nodes_sde") {
        let how = FiniteVolumes::new(grid.clone(), 1.0).with_tolerance(1e-3);
        let found = how.solve(single.sde(), &rows.model(), &[0.0])?;
        sde(found.last(), &stated, &mut archive)?;
    }
    if archive.has("cells_ode") || archive.has("logp_nodes_ode") {
        ode([&net, &single], &grid, &stated, &mut archive)?;
    }
    if dir.has(&format!("bounds_{name}.json")) {
        let stated = dir.json(&format!("bounds_{name}.json"));
        family.group(&format!("bounds_{name}"), |family| {
            fokker_planck_bounds::network(name, &single, &stated?, family)
        });
    }
    Ok(())
}

/// Half the sum of absolute differences, against what is allowed.
fn in_total_variation(found: &[f64], expected: &[f64], allowed: f64) -> Result<Check> {
    ensure!(found.len() == expected.len(), "{} for {} values", found.len(), expected.len());
    let off: f64 = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).sum();
    check_one(0.5 * off, 0.0, By::Scales(&[allowed]), 1.0)
}

/// The README states 1e-4 in total variation for cells after extrapolation, 5e-5 of a density at nodes, and for the mass
/// inside as much as the two finest resolutions differ by.
fn sde(q: &Density, stated: &Value, archive: &mut Archive<'_>) -> Result<()> {
    if archive.has("cells_sde") {
        let expected = archive.flat("cells_sde")?;
        archive.add("cells_sde", || {
            in_total_variation(&q.cells, &expected, 1e-4 + q.total_variation_error)
        });
    }
    if archive.has("logp_nodes_sde") {
        let expected = archive.flat("logp_nodes_sde")?;
        archive.add("logp_nodes_sde", || {
            let scale = |(l, e): (&f64, &f64)| 5e-5 + l.exp() * e.exp_m1();
            let scales: Vec<f64> =
                q.log_density.iter().zip(&q.log_density_error).map(scale).collect();
            let density = |log: &[f64]| log.iter().map(|l| l.exp()).collect::<Vec<_>>();
            check(density(&q.log_density), density(&expected), By::Scales(&scales), 1.0)
        });
    }
    archive.add("inside_mass/sde", || {
        let inside = stated.member("inside_mass")?;
        let (expected, k4) = (inside.number("sde")?, inside.number("sde_k4")?);
        let allowed = (expected - k4).abs() + q.total_variation_error;
        check_one(q.mass(), expected, By::Scales(&[allowed]), 1.0)
    });
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Every eleventh node is compared, along paths in double precision: some of every row and of every column.
const NODES_EVERY: usize = 11;

/// Log-densities at nodes along paths. The README states 1e-8 at the nodes of a smooth network, and of one with kinks (whose
/// cells are by carrying the prior forward) 1e-5 as typical and 1e-2 as the worst; and that their softplus has no threshold, which
/// changes each of the two second derivatives by 2e-6 at most, and so half the integral of their sum. Cells it states to 1e-3 in total
/// variation and the mass inside to 5e-5, of one with kinks to 5e-3 to 1e-2. What is known here is added.
fn ode(
    [net, single]: [&ScoreNet; 2],
    grid: &Grid,
    stated: &Value,
    archive: &mut Archive<'_>,
) -> Result<()> {
    let sde = net.sde();
    let method = stated.member("ode_cells_error").and_then(|e| e.text("method")).unwrap_or("");
    let kinks = method.contains("deposit");
    if archive.has("logp_nodes_ode") {
        let (tolerance, halvings) = if kinks { (1e-6, 6) } else { (1e-8, 4) };
        let paths = Characteristics { tolerance, halvings };
        let all = archive.flat("logp_nodes_ode")?;
        ensure!(all.len() == grid.n_nodes(), "{} for {} nodes", all.len(), grid.n_nodes());
        let some: Vec<usize> = (0..all.len()).step_by(NODES_EVERY).collect();
        let expected: Vec<f64> = some.iter().map(|node| all[*node]).collect();
        let points = grid.points().select(ndarray::Axis(0), &some);
        let (found, errors) = paths.log_density(sde, &OnRows(net), &points, 0.0)?;
        let threshold = 0.5 * sde.horizon() * 2.0 * 2e-6;
        let [typical, worst] = if kinks { [1e-5, 1e-2] } else { [1e-8; 2] };
        archive.add("logp_nodes_ode", || {
            let scales: Vec<f64> = errors.iter().map(|own| worst + threshold + own).collect();
            check(found.iter().copied(), &expected, By::Scales(&scales), 1.0)
        });
        archive.add("logp_nodes_ode/typical", || {
            let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).collect();
            let scale = typical + threshold + median(errors.clone());
            check_one(median(apart), 0.0, By::Scales(&[scale]), 1.0)
        });
    }
    if archive.has("cells_ode") {
        // Of a network with kinks neighbouring numbers part, and cells are not known better.
        let (tolerance, [cells, mass]) =
            if kinks { (1e-2, [1e-2; 2]) } else { (1e-3, [1e-3, 5e-5]) };
        let paths = Characteristics { halvings: 5, ..Characteristics::new(0.1 * tolerance) };
        let found = paths.cells(sde, &OnRows(single), grid, 0.0, (tolerance, 31))?;
        let (own, expected) = (found.total_variation_error, archive.flat("cells_ode")?);
        archive.add("cells_ode", || in_total_variation(&found.cells, &expected, cells + own));
        archive.add("inside_mass/ode", || {
            let expected = stated.member("inside_mass")?.number("ode")?;
            check_one(found.mass(), expected, By::Scales(&[mass + own]), 1.0)
        });
    }
    Ok(())
}
