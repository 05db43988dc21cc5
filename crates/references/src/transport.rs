//! `ot`: transport, kernels and histograms against other solvers, relative: exact transport to 1e-9,
//! entropic to 1e-8, all else to 1e-10. Every member of a reference is compared or says what it is
//! about; one that is not known fails.

use std::path::Path;

use metrics::{
    ExactTransport, GroundCost, Histogram2d, Kernel, Mmd2, Sinkhorn, sinkhorn_divergence,
};
use ndarray::ArrayView1;

use crate::npy;
use crate::prelude::*;

/// Exact transport.
const EXACT: f64 = 1e-9;
/// Sliced distances, kernels, energy: sums in closed form.
const CLOSED_FORM: f64 = 1e-10;
/// Entropic transport.
const ENTROPIC: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    family.group("hist_w2.json", |family| histograms(dir, family));
    let names = ["clouds_equal.npz", "clouds_unequal.npz"].into_iter().filter(|name| dir.has(name));
    let mut clouds = names.map(|name| dir.npz(name)).collect::<Result<Vec<_>>>()?;
    for (key, members) in dir.json("ot_refs.json")?.entries()? {
        if !key.starts_with('_') {
            let mut entry = Entry { key, members, family };
            if let Err(error) = recompute(&mut entry, &mut clouds, dir) {
                family.add(key, || Err(error));
            }
        }
    }
    Ok(())
}

/// What the file has under one key.
struct Entry<'a> {
    key: &'a str,
    members: &'a Value,
    family: &'a mut Family,
}

impl Entry<'_> {
    /// One case a member; `compare` gives nothing for one that is no result.
    fn each(
        &mut self,
        mut compare: impl FnMut(&str, &Value) -> Result<Option<Check>>,
    ) -> Result<()> {
        for (name, value) in self.members.entries()? {
            if let Some(compared) = compare(name, value).transpose() {
                self.family.add(format!("{}/{name}", self.key), || compared);
            }
        }
        Ok(())
    }
}

/// Why a member of a reference fails that nothing here is held against.
const UNKNOWN: &str = "nothing here is compared with this member";

/// Two clouds with their weights.
struct Pair {
    x: Rows,
    y: Rows,
    a: Option<Array1<f64>>,
    b: Option<Array1<f64>>,
}

impl Pair {
    fn read(npz: &mut Npz, cloud: &str) -> Result<Self> {
        let weights = |npz: &mut Npz, side: &str| {
            let name = format!("{cloud}_{side}");
            npz.has(&name).then(|| npz.flat(&name).map(Array1::from)).transpose()
        };
        Ok(Self {
            x: npz.rows(&format!("{cloud}_X"))?,
            y: npz.rows(&format!("{cloud}_Y"))?,
            a: weights(npz, "a")?,
            b: weights(npz, "b")?,
        })
    }

    fn weights(&self) -> (Option<ArrayView1<'_, f64>>, Option<ArrayView1<'_, f64>>) {
        (self.a.as_ref().map(|w| w.view()), self.b.as_ref().map(|w| w.view()))
    }

    /// The first points of both clouds, their weights made to sum to one again.
    fn first(&self, n: usize) -> Result<Self> {
        let rows = self.x.nrows().min(self.y.nrows());
        ensure!(n <= rows, "`first_n_points` is {n}, the clouds have {rows}");
        let weights = |w: &Array1<f64>| {
            let kept = w.slice(s![..n]);
            &kept / kept.sum()
        };
        let points = |x: &Rows| x.slice(s![..n, ..]).to_owned();
        let (a, b) = (self.a.as_ref().map(weights), self.b.as_ref().map(weights));
        Ok(Self { x: points(&self.x), y: points(&self.y), a, b })
    }
}

/// All cases of one key of the file.
fn recompute(entry: &mut Entry<'_>, clouds: &mut [Npz], dir: &Folder) -> Result<()> {
    let kinds = ["sliced_", "kernel_", "sinkhorn_"];
    let kind = kinds.into_iter().find_map(|kind| Some((kind, entry.key.strip_prefix(kind)?)));
    let (kind, mut cloud) = kind.unwrap_or(("", entry.key));
    if kind == "sinkhorn_" {
        // The regularisation follows the name of the clouds.
        cloud = cloud.rsplit_once("_eps").map_or(cloud, |c| c.0);
    }
    // Archives that are there must have what the file speaks of.
    let all = clouds.len() == 2;
    let npz = clouds.iter_mut().find(|npz| npz.has(&format!("{cloud}_X")));
    ensure!(!all || npz.is_some(), "no clouds `{cloud}_X` in the archives");
    let absent = || Absent("its clouds are in an archive that is not there".into());
    let pair = Pair::read(npz.with_context(absent)?, cloud)?;
    match kind {
        "sliced_" => {
            let directions = dir.npz("projections.npz")?.rows(&format!("{cloud}_projections"))?;
            sliced(entry, &pair, &directions)
        }
        "kernel_" => kernels(entry, &pair),
        "sinkhorn_" => sinkhorn(entry, &pair),
        _ => transport(entry, &pair),
    }
}

/// Exact distances; the same value by other solvers is held against the same tolerance.
fn transport(entry: &mut Entry<'_>, pair: &Pair) -> Result<()> {
    let Pair { x, y, .. } = pair;
    let solve = |cost: GroundCost| {
        let (a, b) = pair.weights();
        ExactTransport::new(cost).solve(x.view(), a, y.view(), b)
    };
    let (squared, plain) = (solve(GroundCost::SquaredEuclidean)?, solve(GroundCost::Euclidean)?);
    // A distance of zero is zero against the size of the clouds.
    let size = largest(x.iter().chain(y)).max(1e-300);
    entry.each(|name, value| {
        let (found, unit, tolerance) = match name {
            "d" => (x.ncols() as f64, 1.0, EXACT),
            "n" => (x.nrows() as f64, 1.0, EXACT),
            "m" => (y.nrows() as f64, 1.0, EXACT),
            "W2" => (squared.distance(), size, EXACT),
            _ if name.starts_with("W2_squared") => (squared.primal, size * size, EXACT),
            _ if name.starts_with("W1") => (plain.primal, size, EXACT),
            _ if name.starts_with("energy_distance") => {
                let energy = metrics::energy_distance(x.view(), y.view())?;
                (energy.distance(), 1.0, CLOSED_FORM)
            }
            _ => bail!(UNKNOWN),
        };
        check_one(found / unit, value.one()? / unit, By::Entry, tolerance).map(Some)
    })?;
    // The dual value proves that no cheaper plan was overlooked.
    for (name, t, unit) in [("W2 dual", &squared, size * size), ("W1 dual", &plain, size)] {
        entry.family.add(format!("{}/{name}", entry.key), || {
            check_one(t.primal / unit, t.dual / unit, By::Mixed, EXACT)
        });
    }
    Ok(())
}

fn sliced(entry: &mut Entry<'_>, pair: &Pair, directions: &Rows) -> Result<()> {
    let (a, b) = pair.weights();
    let solve =
        |p: f64| metrics::sliced_w(pair.x.view(), a, pair.y.view(), b, directions.view(), p);
    let (first, second) = (solve(1.0)?, solve(2.0)?);
    entry.each(|name, value| {
        let found = match name {
            "SW1" => first.mean,
            "SW2" => second.mean,
            "SW2_squared" => second.mean * second.mean,
            "maxSW1" => first.max,
            "maxSW2" => second.max,
            "n_projections" => directions.ncols() as f64,
            _ => bail!(UNKNOWN),
        };
        check_one(found, value.one()?, By::Entry, CLOSED_FORM).map(Some)
    })
}

/// Entropic transport of the first points of both clouds.
fn sinkhorn(entry: &mut Entry<'_>, pair: &Pair) -> Result<()> {
    let cost = entry.members.text("cost")?;
    ensure!(cost == "squared Euclidean", "the cost is {cost}");
    let pair = pair.first(entry.members.count("first_n_points")?)?;
    let (a, b) = pair.weights();
    let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(entry.members.number("eps")?) };
    let found = sinkhorn_divergence(pair.x.view(), a, pair.y.view(), b, &options)?;
    entry.each(|name, value| {
        let found = match name {
            "OT_eps_xy" | "ott_reg_ot_cost" => found.xy.value,
            "OT_eps_xx" => found.xx.value,
            "OT_eps_yy" => found.yy.value,
            "sinkhorn_divergence" => found.value,
            "transport_cost_xy" | "transport_cost_xy_POT_sinkhorn_log" => found.xy.transport_cost,
            "transport_cost_xx" => found.xx.transport_cost,
            "transport_cost_yy" => found.yy.transport_cost,
            "sharp_sinkhorn_divergence_transport_costs" => found.sharp,
            // The question, and how the reference was found.
            "first_n_points" | "eps" | "cost" | "newton_iterations" | "marginal_l1_error"
            | "ott_version_note" => return Ok(None),
            _ => bail!(UNKNOWN),
        };
        check_one(found, value.one()?, By::Entry, ENTROPIC).map(Some)
    })
}

/// The last part of a name, behind a mark, as a number.
fn parameter(text: &str) -> Result<f64> {
    text.replace('p', ".").parse().with_context(|| format!("`{text}` is no parameter"))
}

/// Kernels, the energy distance and the Frechet distance.
fn kernels(entry: &mut Entry<'_>, pair: &Pair) -> Result<()> {
    let Pair { x, y, .. } = pair;
    let indices = ["kid_subset_indices_X", "kid_subset_indices_Y"];
    let members = entry.members;
    let subsets = || -> Result<Array1<f64>> {
        let rows = [members.matrix(indices[0])?, members.matrix(indices[1])?];
        Ok(cubic_on_subsets(x, y, &rows)?.iter().map(|v| v.unbiased).collect())
    };
    entry.each(|name, value| {
        let one = |found: f64| check_one(found, value.one()?, By::Entry, CLOSED_FORM);
        Ok(Some(match name {
            // The rows that the subsets below are made of.
            _ if indices.contains(&name) => return Ok(None),
            "kid_subsets_of_100_unbiased" => {
                check(&subsets()?, value.list()?, By::Entry, CLOSED_FORM)?
            }
            "kid_subsets_mean" => one(subsets()?.mean().unwrap_or(f64::NAN))?,
            "kid_subsets_std_ddof1" => one(subsets()?.std(1.0))?,
            _ if name.starts_with("frechet") => {
                one(metrics::frechet_distance(x.view(), y.view())?)?
            }
            _ => kernel_value(name, x, y, value)?,
        }))
    })
}

/// The value of a member by its name. Relative to the reference, or to what rounding leaves of it: the
/// references took a diagonal of ones off their sums, so a U-statistic near zero has the rounding of
/// the V-statistic.
fn kernel_value(name: &str, x: &Rows, y: &Rows, value: &Value) -> Result<Check> {
    let constant = |prefix: &str| {
        let value = name.strip_prefix(prefix)?;
        Some(parameter(value.split('_').next().unwrap_or_default()))
    };
    let kernel = if let Some(bandwidth) = constant("mmd2_rbf_sigma") {
        Kernel::Rbf { bandwidth: bandwidth? }
    } else if let Some(offset) = constant("mmd2_imq_c") {
        Kernel::InverseMultiquadric { offset: offset? }
    } else if name.starts_with("kid_poly3_") {
        Kernel::Cubic
    } else if name.starts_with("energy_") {
        Kernel::Distance
    } else {
        bail!(UNKNOWN);
    };
    let mmd = metrics::mmd2(x.view(), y.view(), kernel)?;
    let found = if name.ends_with("unbiased") || name.starts_with("energy_U") {
        mmd.unbiased
    } else if name.ends_with("biased") || name.starts_with("energy_V") {
        mmd.biased
    } else {
        bail!("expected `..._biased` or `..._unbiased`")
    };
    let expected = value.one()?;
    let scale = expected.abs().max(f64::EPSILON * mmd.biased / CLOSED_FORM);
    check_one(found, expected, By::Scales(&[scale]), CLOSED_FORM)
}

/// The cubic kernel's distance, as KID has it, on recorded subsets: rows of indices into both sides.
pub(crate) fn cubic_on_subsets(x: &Rows, y: &Rows, subsets: &[Rows; 2]) -> Result<Vec<Mmd2>> {
    let [xs, ys] = subsets;
    ensure!(xs.nrows() == ys.nrows(), "{} subsets of X, {} of Y", xs.nrows(), ys.nrows());
    let values = xs.outer_iter().zip(ys.outer_iter()).map(|(i, j)| {
        let x = x.select(Axis(0), &indices(i, x.nrows())?);
        let y = y.select(Axis(0), &indices(j, y.nrows())?);
        Ok(metrics::mmd2(x.view(), y.view(), Kernel::Cubic)?)
    });
    values.collect()
}

const NO_HISTOGRAMS: &str = "its histograms are not in odesdegap/hist beside the references";

/// Exact distances between the published histograms.
fn histograms(dir: &Folder, family: &mut Family) -> Result<()> {
    let folder = Folder(dir.published().path("hist"));
    let files = folder.stems("npy").unwrap_or_default();
    for (net, pairs) in dir.json("hist_w2.json")?.entries()? {
        let (set, weight) = net.split_once("_w").context("no network by that name")?;
        let histogram = |side: &str| -> Result<Histogram2d> {
            let suffix =
                if side == "truth" { format!("_{set}") } else { format!("_{set}_{weight}") };
            let prefix = format!("weights_{side}_");
            let stem = files.iter().find(|s| s.starts_with(&prefix) && s.ends_with(&suffix));
            let absent = || Absent(NO_HISTOGRAMS.into());
            read(&folder.path(&format!("{}.npy", stem.with_context(absent)?)))
        };
        for (pair, values) in pairs.entries()? {
            let (a, b) = pair.split_once('_').with_context(|| format!("`{pair}` is no pair"))?;
            family.add(format!("{net}/{pair}"), || compare(&histogram(a)?, &histogram(b)?, values));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Histogram2d> {
    let weights = npy::read_vector(path)?;
    let n = weights.len().isqrt();
    ensure!(n * n == weights.len(), "{}: {} weights", path.display(), weights.len());
    Ok(Histogram2d::from_weights(1.0, weights.into_shape_with_order((n, n))?)?)
}

/// One pair of histograms, at every half-width of the nodes that the reference has.
fn compare(a: &Histogram2d, b: &Histogram2d, values: &Value) -> Result<Check> {
    let unit = a.w2(b)?;
    // On [-1, 1]; a grid of half-width L is that, L times as wide.
    let mut worst = check_one(unit.dual, unit.squared, By::Entry, EXACT)?;
    for (name, value) in values.entries()? {
        let (quantity, width) = name.rsplit_once("_L").with_context(|| format!("`{name}`"))?;
        let squared = unit.squared * parameter(width)?.powi(2);
        let found = match quantity {
            "W2_squared" => squared,
            "W2" => squared.sqrt(),
            other => bail!("unknown quantity `{other}`"),
        };
        worst = worst.and(check_one(found, value.one()?, By::Entry, EXACT)?);
    }
    Ok(worst)
}
