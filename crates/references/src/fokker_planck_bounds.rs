//! Of the family `fokker_planck` what is said of two laws: bounds between the samplers of Gaussian models, and distances of
//! densities on the grid of the published histograms.

use fp_residual::bounds::{
    FlowPair, GapField, GaussianModel, GaussianProfiles, LawScore, TimeRule, along_paths, coupling,
    grad_r_from_residual, mixed_coupling, path_entropy, relative_entropy, relative_entropy_bound,
};
use fp_residual::fokker_planck::{FiniteVolumes, Grid, OnRows};
use metrics::{BracketOptions, CellMasses};
use score_nets::ScoreNet;
use sde_core::{Key, KroneckerSequence, Ou, Potential as _};

use crate::prelude::*;

/// Closed forms, whose integrals agree to 2e-12 in the file.
const CLOSED: f64 = 1e-8;
/// What was given to four digits.
const FOUR_DIGITS: f64 = 1e-4;
/// Transport by whole masses of about 1e-9.
const ROUNDED_MASSES: f64 = 1e-5;
const PANELS: usize = 24;

/// Bounds of the cases of a line and of the plane.
pub(crate) fn gaussian(file: &Value, family: &mut Family) -> Result<()> {
    for (name, case) in file.member("one_d")?.entries()? {
        // Without a residual all that is there is the horizon's e^-20, of which rounding leaves few digits.
        if !name.starts_with("exact") {
            family.group(&format!("gaussian_cases/{name}/bounds"), |family| {
                on_a_line(&format!("gaussian_cases/{name}"), case, family)
            });
        }
    }
    for (name, case) in file.member("two_d")?.entries()? {
        family.group(&format!("gaussian_cases/{name}/bounds"), |family| {
            in_the_plane(&format!("gaussian_cases/{name}"), case, family)
        });
    }
    Ok(())
}

/// $1 / W$ with its derivative, for a variance `W = w + k e^{-2 c t}`.
fn slope(case: &Value) -> Result<impl Fn(f64) -> (f64, f64)> {
    let [w, k, c] = match case.get("a") {
        Some(a) => [a.one()?, 0.0, 0.0],
        None => [0.5, case.number("k")?, case.number("c")?],
    };
    Ok(move |t: f64| {
        let decay = k * (-2.0 * c * t).exp();
        let variance = w + decay;
        (1.0 / variance, 2.0 * c * decay / (variance * variance))
    })
}

/// Compares all that the case has, key by key.
struct Comparison<'a> {
    stem: &'a str,
    case: &'a Value,
    family: &'a mut Family,
}

impl Comparison<'_> {
    fn add(&mut self, key: &str, found: f64, tolerance: f64) {
        self.family.add(format!("{}/{key}", self.stem), || {
            check_one(found, self.case.number(key)?, By::Entry, tolerance)
        });
    }

    /// What both kinds of cases have.
    fn common(&mut self, rule: &TimeRule, found: &GaussianProfiles) {
        let g = &found.g_squared;
        self.add("bound_B1", coupling(rule, g, &found.rate_ode, &found.grad_r), CLOSED);
        let bound = relative_entropy_bound(rule, g, &found.grad_rho);
        self.add("bound_KL_ode_sde", bound, CLOSED);
        let entropy =
            |[products, squares]: &[Vec<f64>; 2]| relative_entropy(rule, g, products, squares);
        self.add("KL_ode_sde", entropy(&found.under_ode), CLOSED);
        self.add("KL_sde_ode", entropy(&found.under_sde), CLOSED);
    }
}

fn on_a_line(stem: &str, case: &Value, family: &mut Family) -> Result<()> {
    let (horizon, slope) = (case.number("T")?, slope(case)?);
    let sde = Ou::new(horizon)?;
    let matrices = |t: f64| {
        let (value, change) = slope(t);
        (Rows::from_elem((1, 1), value), Rows::from_elem((1, 1), change))
    };
    let model = GaussianModel::new(&sde, matrices);
    // Norms have a kink where the gradient of r changes its sign.
    let fine = TimeRule::gauss(horizon, 300)?;
    let laws = model.covariances(1.0, &fine)?.at;
    let signed: Vec<f64> =
        fine.times().iter().zip(&laws).map(|(&t, v)| slope(t).0 - 1.0 / v[[0, 0]]).collect();
    let changes = (1..signed.len()).filter(|&k| signed[k - 1] * signed[k] < 0.0);
    let kinks: Vec<f64> = changes
        .map(|k| {
            let (t, share) = (fine.times(), signed[k - 1] / (signed[k - 1] - signed[k]));
            t[k - 1] + share * (t[k] - t[k - 1])
        })
        .collect();
    let rule = TimeRule::gauss_with_kinks(horizon, PANELS, &kinks)?;
    let found = model.profiles(&rule)?;
    let g = &found.g_squared;
    let mut cases = Comparison { stem, case, family };
    cases.common(&rule, &found);
    cases.add("W2_ode_sde", found.flow_coupling, CLOSED);
    cases.add("half_int_E_grad_r_sq", path_entropy(&rule, g, &found.grad_r), CLOSED);
    let bound = grad_r_from_residual(&rule, &found.drift, &found.grad_residual, found.grad_h);
    cases.add("bound_R_only", coupling(&rule, g, &found.rate_ode, &bound), CLOSED);
    let mixed = mixed_coupling(&rule, g, found.coupled_ode(), found.coupled_sde());
    cases.add("bound_mixed(4 digits)", mixed, FOUR_DIGITS);
    Ok(())
}

fn in_the_plane(stem: &str, case: &Value, family: &mut Family) -> Result<()> {
    let (horizon, directions) = (case.number("T")?, case.matrix("axis_directions")?);
    let slopes = case.items("axes")?.iter().map(slope).collect::<Result<Vec<_>>>()?;
    let sde = Ou::new(horizon)?;
    // Every row is a direction.
    let turned = |values: Vec<f64>| {
        directions.t().dot(&Rows::from_diag(&Array1::from_vec(values))).dot(&directions)
    };
    let model = GaussianModel::new(&sde, |t| {
        let (values, changes) = slopes.iter().map(|slope| slope(t)).unzip();
        (turned(values), turned(changes))
    });
    let rule = TimeRule::gauss(horizon, PANELS)?;
    let found = model.profiles(&rule)?;
    let mut cases = Comparison { stem, case, family };
    cases.common(&rule, &found);
    cases.add("bound_flow_jacobian", found.flow_coupling, CLOSED);
    let along = along_paths(&rule, &found.g_squared, &found.transported);
    cases.add("bound_flow_jacobian_minkowski", along, CLOSED);
    Ok(())
}

/// Distances between the densities of a network's file, on the nodes.
pub(crate) fn distances(stated: &Value, archive: &mut Archive<'_>) -> Result<()> {
    let grid = stated.member("grid64")?;
    let mut cells = |array: &str| -> Result<CellMasses> {
        let (masses, h) = (archive.rows(array)?, 1.0 / 9.0);
        Ok(CellMasses::plane([-3.5 - 0.5 * h; 2], [h; 2], masses.view())?)
    };
    let (ode, sde) = (cells("cells_ode")?, cells("cells_sde")?);
    let found = ode.divergences(&sde)?;
    let exact = ode.w2_nodes(&sde)?;
    for (key, value, tolerance) in [
        ("TV", found.total_variation.value, 1e-12),
        ("KL_ode_sde", found.kl.value, 1e-12),
        ("W2sq", exact.squared, ROUNDED_MASSES),
    ] {
        archive.add(&format!("grid64/{key}"), || {
            check_one(value, grid.number(key)?, By::Entry, tolerance)
        });
    }
    archive.add("grid64/bracket", || {
        let found = ode.w2_bracket(&sde, BracketOptions::default())?;
        // Every cell can move as it is.
        ensure!(found.lower <= exact.squared, "{found:?} and {} between nodes", exact.squared);
        ensure!(found.width() < 0.3, "{found:?} is {} wide", found.width());
        Ok(Check::EXACT)
    });
    Ok(())
}

/// Particles of both flows: groups of shifted sequences.
const GROUPS: u64 = 8;
const OF_A_GROUP: usize = 256;
/// Half the width of the box that the bounds of the file are of.
const BOX: f64 = 3.5;

/// The energy and the flow coupling of a published network, among the particles that stay in the box.
pub(crate) fn network(
    name: &str,
    net: &ScoreNet,
    stated: &Value,
    family: &mut Family,
) -> Result<()> {
    let (sde, rows) = (net.sde(), OnRows(net));
    // The file's own times: its integrals are the trapezoidal rule on them.
    let profile = stated.member("profile")?;
    let ascending = profile.numbers("t")?;
    let times: Vec<f64> = ascending.iter().rev().copied().collect();
    let how = FiniteVolumes { steps: times.len(), ..FiniteVolumes::new(Grid::published(), 1.0) };
    let found = how.solve(sde, &rows.model(), &times)?;
    let nodes = found.grid.points();
    let mut values = vec![];
    for q in &found.densities {
        let phi = rows.derivatives(&nodes, &vec![q.t; nodes.nrows()])?.potential;
        values.push(q.log_density.iter().zip(&phi).map(|(q, phi)| q - phi).collect());
    }
    let rule = TimeRule::trapezoid(&ascending)?;
    let g_squared = rule.diffusion_squared(sde);
    let roots = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..times.len()).rev().map(|k| of(k).max(0.0).sqrt()).collect()
    };
    let energy = path_entropy(&rule, &g_squared, &roots(&|k| found.score_gap[k]));
    let most =
        path_entropy(&rule, &g_squared, &roots(&|k| found.score_gap[k] + found.score_gap_error[k]));
    family.add(format!("bounds_{name}/half_int_E_grad_r_sq_inside"), || {
        // No error is stated: densities that are not extrapolated, whose gaps are a few hundredths off.
        let stated = stated.number("half_int_E_grad_r_sq_inside")?;
        let allowed = most - energy + 0.02 * stated;
        check_one(energy, stated, By::Scales(&[allowed]), 1.0)
    });
    let field = GapField::new(&found.grid, &times, 0.01 * sde.horizon(), values)?;
    let mut start = vec![0.0; 2 * OF_A_GROUP * GROUPS as usize];
    for (group, normals) in (0..GROUPS).zip(start.chunks_mut(2 * OF_A_GROUP)) {
        KroneckerSequence::new(Key::root(group), 2).fill_normals(0, normals);
    }
    let start = Rows::from_shape_vec((start.len() / 2, 2), start)? * sde.prior_std();
    let coupled = |field: &GapField, steps: usize| -> Result<Vec<f64>> {
        let law = LawScore { score: &rows, field };
        let pair = FlowPair::follow(sde, &rows, &law, &start, &rule, steps)?;
        let (kept, apart) = (pair.within(BOX), pair.displacements());
        let mean = |rows: std::ops::Range<usize>| {
            let all: Vec<f64> = rows
                .filter(|row| kept[*row])
                .map(|row| apart.row(row).dot(&apart.row(row)))
                .collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let groups = (0..GROUPS as usize).map(|g| mean(g * OF_A_GROUP..(g + 1) * OF_A_GROUP));
        Ok([mean(0..start.nrows())].into_iter().chain(groups).collect())
    };
    let (fine, coarse) = (coupled(&field, 2)?, coupled(&field.coarser()?, 1)?);
    family.add(format!("bounds_{name}/flow_coupling_W2sq_upper"), || {
        let (stated_error, n) = (stated.number("flow_coupling_se")?, GROUPS as f64);
        let spread: f64 = fine[1..].iter().map(|v| (v - fine[0]).powi(2)).sum();
        let own = (spread / (n * (n - 1.0))).sqrt();
        // Three deviations of the difference, and what halving nodes, times and steps changes.
        let allowed = 3.0 * own.hypot(stated_error) + (fine[0] - coarse[0]).abs();
        let stated = stated.number("flow_coupling_W2sq_upper")?;
        check_one(fine[0], stated, By::Scales(&[allowed]), 1.0)
    });
    Ok(())
}
