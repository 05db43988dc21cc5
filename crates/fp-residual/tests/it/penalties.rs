//! The penalty: reference losses and gradients, ten steps of Adam, collocation.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use fp_residual::{
    Collocation, CollocationPoints, FokkerPlanckPenalty, ScoreFormPenalty, residual_graph,
    residual_loss_and_grad,
};
use score_nets::{
    DataSource, Draws, Dsm, NetConfig, Noising, Objective, Output, Proposal, TimeDistribution,
};
use sde_core::{Key, analytic::DataSet};

use crate::common::{Outcome, check, host, net, points, times, zoo};

/// The frozen-operator gradient is that of the mean square of the residual graph.
#[test]
fn linearised_loss_is_the_loss() -> Outcome {
    for config in zoo().iter().filter(|c| c.output == Output::Potential) {
        let net = net(config, DType::F64);
        let (x, t) = (points(7, 30, config.dim), times(&net, 30));
        let weight: Vec<f64> = (0..30).map(|i| 0.5 + 0.1 * f64::from(i)).collect();
        let at = crate::common::rows(&x, config.dim, DType::F64);
        let squares = residual_graph(&net, &at, &t)?.sqr()?;
        let direct = (squares * Tensor::from_slice(&weight, 30, &Device::Cpu)?)?.mean_all()?;
        let (loss, grads) = residual_loss_and_grad(&net, &CollocationPoints { x, t, weight })?;
        check("loss", &[loss], &host(&direct), 1e-12);
        let expected = direct.backward()?;
        for (name, parameter) in net.parameters().iter() {
            match (grads.get(net.parameters(), name), expected.get(parameter)) {
                (Some(a), Some(b)) => check(name, &host(a), &host(b), 1e-11),
                (None, None) => assert_eq!(net.gauge_parameter(), Some(name)),
                _ => panic!("{name} has a gradient on one path only"),
            }
        }
    }
    Ok(())
}

#[test]
fn collocation_is_keyed_and_inside() -> Outcome {
    let net = net(&NetConfig::published(), DType::F32);
    let box_ = |n| FokkerPlanckPenalty::uniform(n);
    for draws in [Draws::QuasiMonteCarlo, Draws::Independent] {
        let whole = box_(5000).draws(draws).points(&net, Key::root(1))?;
        let short = box_(1500).draws(draws).points(&net, Key::root(1))?;
        assert_eq!((&whole.x[..3000], &whole.t[..1500]), (&short.x[..], &short.t[..]));
        assert!(whole.weight.iter().all(|w| *w == 1.0));
    }
    let CollocationPoints { x, t, .. } = box_(5000).points(&net, Key::root(1))?;
    assert!(x.iter().all(|x| x.abs() <= 3.5) && t.iter().all(|t| (1e-4..=10.0).contains(t)));
    // Means of 10 000 and 5 000 uniforms, at 4.9 standard errors.
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!(mean(&x).abs() < 4.9 * 3.5 / 3_f64.sqrt() / 100.0);
    assert!((mean(&t) - 5.0).abs() < 4.9 * 5.0 / 3_f64.sqrt() / 5000_f64.sqrt());

    let source: Arc<dyn DataSource> = Arc::new(DataSet::Blob);
    let law = TimeDistribution::Beta { a: 1.0, b: 2.0 };
    let marginal = FokkerPlanckPenalty::on_marginal(2000, source.clone(), law);
    let CollocationPoints { x, t, .. } = marginal.points(&net, Key::root(4))?;
    let batch = Dsm::published(source, 2000).batch(&net, Key::root(4))?;
    assert_eq!((x, t), (batch.x, batch.t), "the points of denoising score matching");

    let narrow =
        FokkerPlanckPenalty::new(40, Collocation::UniformBox { half_width: 0.1 }).t_min(9.0);
    let CollocationPoints { x, t, .. } = narrow.points(&net, Key::root(1))?;
    assert!(x.iter().all(|x| x.abs() <= 0.1) && t.iter().all(|t| *t >= 9.0));
    let error = box_(0).points(&net, Key::root(1)).unwrap_err().to_string();
    assert_eq!(error, "points = 0: must be at least 1");
    Ok(())
}

/// Points on the marginal are the noised rows of any loss, each with a time of its own also where times are spread.
#[test]
fn points_on_the_marginal_are_noised_rows() -> Outcome {
    let net = net(&NetConfig::published(), DType::F32);
    let proposal =
        Proposal { share: 0.5, distribution: TimeDistribution::LogUniform { shift: 0.1 } };
    let (source, key): (Arc<dyn DataSource>, _) = (Arc::new(DataSet::Blob), Key::root(6));
    for draws in [Draws::Independent, Draws::QuasiMonteCarlo] {
        let noising = Noising {
            time: TimeDistribution::Uniform,
            proposal,
            draws,
            antithetic: false,
            ..Noising::new(source.clone(), 1500)
        };
        let rows = noising.rows(net.sde(), key, 0..1500)?;
        let penalty =
            FokkerPlanckPenalty::on_marginal(1500, source.clone(), TimeDistribution::Uniform);
        let penalty = penalty.proposal(proposal).draws(draws);
        let found = penalty.points(&net, key)?;
        assert_eq!((&found.x, &found.t, &found.weight), (&rows.x, &rows.t, &rows.time_weight));
        assert!(found.t.windows(2).all(|t| t[0] != t[1]), "rows share a time");
        let part = penalty.rows_of_points(&net, key, 701..1300)?;
        assert_eq!((&part.x[..], &part.t[..]), (&found.x[1402..2600], &found.t[701..1300]));
        let parts = [(0, 600), (600, 1500)].map(|(a, b)| {
            penalty.loss_of_rows(&net, key, a..b).map(|loss| loss * (b - a) as f64 / 1500.0)
        });
        let [a, b] = parts;
        check("parts", &[a? + b?], &[penalty.loss(&net, key)?], 1e-12);
    }
    Ok(())
}

/// However points are drawn, the mean of the squared residual is the same in expectation; drawn
/// evenly and where it is large, it scatters less.
#[test]
fn draws_and_proposals_change_the_noise_alone() -> Outcome {
    let net = net(&NetConfig::published(), DType::F32);
    let proposal =
        Proposal { share: 0.5, distribution: TimeDistribution::LogUniform { shift: 0.1 } };
    let source: Arc<dyn DataSource> = Arc::new(DataSet::Blob);
    let law = TimeDistribution::Beta { a: 1.0, b: 2.0 };
    for plain in
        [FokkerPlanckPenalty::uniform(200), FokkerPlanckPenalty::on_marginal(200, source, law)]
    {
        let means = |penalty: &FokkerPlanckPenalty| -> score_nets::Result<Vec<f64>> {
            (0..150).map(|k| penalty.loss(&net, Key::root(8).fold(k))).collect()
        };
        let moments = |values: &[f64]| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
        };
        let (expected, variance) = moments(&means(&plain)?);
        for other in [
            plain.clone().draws(Draws::QuasiMonteCarlo),
            plain.clone().proposal(proposal),
            plain.clone().draws(Draws::QuasiMonteCarlo).proposal(proposal),
        ] {
            let (found, its_variance) = moments(&means(&other)?);
            let error = (found - expected) / (variance + its_variance).sqrt();
            // The normal quantile at a false-alarm rate of 1e-6.
            assert!(error.abs() < 4.89, "{found} against {expected}: {error} standard errors");
        }
    }
    Ok(())
}

/// Value with and without gradients, and every parameter reached, for both penalties.
#[test]
fn penalties_reach_every_parameter() -> Outcome {
    for config in zoo() {
        let net = net(&config, DType::F32);
        let penalty = FokkerPlanckPenalty::uniform(300).t_min(0.05);
        let mut objectives: Vec<Box<dyn Objective>> =
            vec![Box::new(ScoreFormPenalty(penalty.clone()))];
        if config.output == Output::Potential {
            let (loss, _) = penalty.of_batch(&net, 0, Key::root(2))?;
            check("loss alone", &[penalty.loss(&net, Key::root(2))?], &[loss], 1e-4);
            objectives.push(Box::new(penalty));
        }
        for objective in objectives {
            let (loss, grads) = objective.of_batch(&net, 0, Key::root(2))?;
            assert!(loss.is_finite() && loss > 0.0, "{} {loss}", objective.name());
            for name in net.parameters().names() {
                let Some(g) = grads.get(net.parameters(), name).map(host) else {
                    // A constant added to a potential, or to a score under a constant base.
                    assert_eq!(net.gauge_parameter(), Some(name), "{config:?}");
                    continue;
                };
                assert!(g.iter().all(|g| g.is_finite()), "{name} {config:?}");
                assert!(g.iter().any(|g| *g != 0.0), "{name} {config:?}");
            }
        }
    }
    Ok(())
}
