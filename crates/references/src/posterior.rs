//! `networks/posterior`: the law of mixture data given a linear measurement, its diffused score and evidence, and
//! classifiers of noised data, all in closed form; 1e-9.

use control::{ClassifierGuidance, Guidance};
use ndarray::Ix3;
use sde_core::LogLikelihood;
use sde_core::analytic::{GaussianMixture, MixtureClasses};

use crate::prelude::*;

const TOLERANCE: f64 = 1e-9;

/// Archives of laws are read with the cases that need them.
const LAW: &str = "mixture_";
const CLASSES: &str = "class_";

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let meta = dir.json("meta.json")?;
    let vp = meta.member("vp")?;
    let sde = sde("vp", &[vp.number("beta_min")?, vp.number("beta_max")?])?;
    for name in dir.stems("npz")?.into_iter().filter(|name| !name.starts_with(LAW)) {
        family.group(&name, |family| {
            let npz = dir.npz(&format!("{name}.npz"))?;
            let mut archive = Archive::new(npz, &format!("{name}/"), TOLERANCE, family);
            let states = States::new(&mut archive)?;
            let law = law(dir, states.dim)?;
            if name.starts_with(CLASSES) {
                classes(&mut archive, &states, &law, sde.as_ref())
            } else {
                measurement(&mut archive, &states, &law, sde.as_ref())
            }
        });
    }
    Ok(())
}

/// Noised states at several times.
struct States {
    dim: usize,
    times: Vec<f64>,
    /// `[n, d]` each.
    at: Vec<Array2<f64>>,
}

impl States {
    fn new(npz: &mut Archive<'_>) -> Result<Self> {
        let times = npz.flat("t")?;
        let all = npz.get("xt")?.into_dimensionality::<Ix3>().context("xt")?;
        ensure!(all.dim().0 == times.len(), "{} times for {} states", times.len(), all.dim().0);
        let at = (0..times.len()).map(|i| all.slice(s![i, .., ..]).to_owned()).collect();
        Ok(Self { dim: all.dim().2, times, at })
    }

    /// Values at all of them, one after the other.
    fn each<I: IntoIterator<Item = f64>>(
        &self,
        f: impl Fn(&Array2<f64>, f64) -> sde_core::Result<I>,
    ) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for (x, t) in self.at.iter().zip(&self.times) {
            all.extend(f(x, *t)?);
        }
        Ok(all)
    }
}

/// The mixture of a dimension.
fn law(dir: &Folder, dim: usize) -> Result<GaussianMixture> {
    let mut npz = dir.npz(&format!("{LAW}d{dim}.npz"))?;
    let covs = npz.get("covs")?.into_dimensionality::<Ix3>().context("covs")?;
    let covs: Vec<Array2<f64>> = covs.outer_iter().map(|c| c.to_owned()).collect();
    Ok(GaussianMixture::new(&npz.flat("weights")?, &npz.rows("means")?, &covs)?)
}

fn measurement(
    case: &mut Archive<'_>,
    states: &States,
    law: &GaussianMixture,
    sde: &dyn Sde,
) -> Result<()> {
    let (y, noise) = (case.flat("y")?, case.flat("s")?);
    let noise = *noise.first().context("s is empty")?;
    let posterior = law.given(&case.rows("A")?, &y, noise)?;
    let found = posterior.mixture();
    let (mean, cov) = found.moments();
    let covs: Vec<f64> = (0..found.weights().len()).flat_map(|k| found.covariance(k)).collect();
    for (array, by, found) in [
        ("post_weights", By::Entry, found.weights().to_vec()),
        ("post_means", By::Mixed, found.means().into_iter().collect()),
        ("post_covs", By::Mixed, covs),
        ("post_mean", By::Mixed, mean),
        ("post_cov", By::Mixed, cov.into_iter().collect()),
        ("log_evidence", By::Mixed, vec![posterior.log_evidence()]),
        ("log_component_evidence", By::Mixed, posterior.log_component_evidence().to_vec()),
    ] {
        case.check(array, found, by);
    }
    let (with, without) = (found.under(sde), law.under(sde));
    let likelihood = posterior.likelihood(sde);
    let denoised = |x: &Array2<f64>, t| Ok(without.denoised(x, t)?.unwrap_or_default());
    // The prior's score with the gradient of the likelihood is the posterior's.
    let guided = ClassifierGuidance::new(sde, &without, &likelihood, 1.0);
    for (array, found) in [
        ("log_prior_xt", states.each(|x, t| without.log_density(x, t))?),
        ("log_posterior_xt", states.each(|x, t| with.log_density(x, t))?),
        ("log_y_given_xt", states.each(|x, t| Ok(likelihood.log_likelihood(x, t)?.0))?),
        ("prior_score", states.each(|x, t| without.score(x, t))?),
        ("posterior_score", states.each(|x, t| with.score(x, t))?),
        ("posterior_score", states.each(|x, t| guided.score(x, t))?),
        ("denoised_prior", states.each(denoised)?),
    ] {
        case.check(array, found, By::Mixed);
    }
    Ok(())
}

fn classes(
    case: &mut Archive<'_>,
    states: &States,
    law: &GaussianMixture,
    sde: &dyn Sde,
) -> Result<()> {
    let labels = case.flat("classes")?;
    let labels: Vec<usize> = labels.iter().map(|c| *c as usize).collect();
    let classes = law.classes(&labels)?;
    let prior: Vec<f64> = classes.log_prior().iter().map(|l| l.exp()).collect();
    case.check("class_prior", prior, By::Entry);
    let (all, classifier) = (law.under(sde), classes.under(sde));
    let conditional = |c: usize| classes.class(c).under(sde);
    case.check("uncond_score", states.each(|x, t| all.score(x, t))?, By::Mixed);
    let guided = |weight: f64| {
        per_class(states, &classes, |c, x, t| {
            let likelihood = classes.under(sde).of(vec![c]);
            ClassifierGuidance::new(sde, &all, likelihood, weight).score(x, t)
        })
    };
    // Of the conditional and the unconditional model it is the same.
    let free = |weight: f64| {
        per_class(states, &classes, |c, x, t| {
            Guidance::new(sde, conditional(c), &all, weight).score(x, t)
        })
    };
    let column = |log: Vec<f64>| Array2::from_shape_fn((log.len(), 1), |(i, _)| log[i]);
    let log_p = |c: usize, x: &Array2<f64>, t| Ok(column(classifier.log_class(c, x, t)?.0));
    let log_x = |c: usize, x: &Array2<f64>, t| Ok(column(conditional(c).log_density(x, t)?));
    let gradient = |c: usize, x: &Array2<f64>, t| Ok(classifier.log_class(c, x, t)?.1);
    for (array, found) in [
        ("log_p_class", per_class(states, &classes, log_p)?),
        ("log_p_xt_given_class", per_class(states, &classes, log_x)?),
        ("grad_log_p_class", per_class(states, &classes, gradient)?),
        ("cond_score", per_class(states, &classes, |c, x, t| conditional(c).score(x, t))?),
        ("guided_score_1", guided(1.0)?),
        ("guided_score_3", guided(3.0)?),
        ("guided_score_1", free(1.0)?),
        ("guided_score_3", free(3.0)?),
    ] {
        case.check(array, found, By::Mixed);
    }
    Ok(())
}

/// Rows `[n, d]` of every class as `[t, n, class, d]`.
fn per_class(
    states: &States,
    classes: &MixtureClasses,
    f: impl Fn(usize, &Array2<f64>, f64) -> sde_core::Result<Array2<f64>>,
) -> Result<Vec<f64>> {
    states.each(|x, t| {
        let each =
            (0..classes.count()).map(|c| f(c, x, t)).collect::<sde_core::Result<Vec<_>>>()?;
        let rows = (0..x.nrows()).flat_map(|b| each.iter().map(move |e| e.index_axis(Axis(0), b)));
        Ok(rows.flat_map(|row| row.to_vec()).collect::<Vec<f64>>())
    })
}
