//! The terms of the registry against their formulas, their gradients against differences.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use fp_residual::{
    FokkerPlanckPenalty, Regulariser, RegulariserSettings, TimeWeight, WeightSchedule,
    network_residual, residual_graph, score_form_residual,
};
use score_nets::{
    Draws, Gradients, NoisedRows, Noising, Output, Proposal, ScoreNet, TimeDistribution,
};
use sde_core::{
    Key, Potential, Score,
    analytic::{DataSet, GaussianMixture},
};

use crate::common::{Outcome, check, host, net, rows, zoo};

const ROWS: usize = 48;

/// Noised rows of a set in as many dimensions as a network.
fn settings(dim: usize) -> RegulariserSettings {
    let source: Arc<dyn score_nets::DataSource> = match dim {
        2 => Arc::new(DataSet::Blob),
        _ => Arc::new(score_nets::FnSource::new(
            dim,
            move |key: Key, first: u64, out: &mut [f64]| {
                key.fill_normals(first * dim as u64, out);
                Ok(())
            },
        )),
    };
    let proposal =
        Proposal { share: 0.5, distribution: TimeDistribution::LogUniform { shift: 0.1 } };
    let noising = Noising {
        t_min: 0.05,
        proposal,
        draws: Draws::QuasiMonteCarlo,
        antithetic: false,
        ..Noising::new(source, ROWS)
    };
    let schedule = WeightSchedule::Decay { from: 10, to: 30, end: 0.2 };
    RegulariserSettings {
        strata: 6,
        growth: 0.3,
        scale: 0.3,
        schedule,
        ..RegulariserSettings::new(noising)
    }
}

fn batch(settings: &RegulariserSettings, net: &ScoreNet, key: Key) -> NoisedRows {
    settings.noising.rows(net.sde(), key, 0..ROWS as u64).unwrap()
}

/// The networks that a term is for.
fn nets(term: Regulariser) -> Vec<ScoreNet> {
    let fits = |output: Output| term.info().output.is_none_or(|only| only == output);
    zoo().iter().filter(|c| fits(c.output)).map(|c| net(c, DType::F64)).collect()
}

/// Rows at a time each, as the network's tensors, by numbers a row.
fn at(net: &ScoreNet, x: &[f64], t: &[f64]) -> Vec<f64> {
    let d = net.dim();
    let each = x.chunks(d).zip(t);
    each.flat_map(|(x, &t)| host(&net.score(&rows(x, d, DType::F64), t).unwrap())).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn drawn(key: Key, n: usize, fill: fn(Key, u64, &mut [f64])) -> Vec<f64> {
    let mut numbers = vec![0.0; n];
    fill(key, 0, &mut numbers);
    numbers
}

/// A batch in parts adds up to the whole, value and gradients, and names are those of the registry.
#[test]
fn parts_of_a_batch_add_up() -> Outcome {
    for &term in Regulariser::ALL {
        for net in nets(term) {
            let (objective, key) = (term.objective(&settings(net.dim())), Key::root(4));
            let (loss, whole) = objective.of_batch(&net, 17, key)?;
            assert!(loss.is_finite(), "{} {loss}", term.name());
            let (mut sum, mut parts) = (0.0, Gradients::none(net.parameters()));
            for part in [0..10, 10..ROWS as u64] {
                let (loss, gradients) = objective.loss_and_grad(&net, 17, key, part)?;
                sum += loss;
                parts.add(1.0, &gradients)?;
            }
            check(term.name(), &[sum], &[loss], 1e-11);
            for name in net.parameters().names() {
                match [&whole, &parts].map(|g| g.get(net.parameters(), name).map(host)) {
                    [Some(a), Some(b)] => check(name, &b, &a, 1e-9),
                    [None, None] => {}
                    _ => panic!("{} {name}: in part alone", term.name()),
                }
            }
        }
    }
    let error = Regulariser::parse("ridge").unwrap_err().to_string();
    assert!(error.contains("must be one of box, marginal"), "{error}");
    Ok(())
}

/// Gradients are those of differences, for all terms whose gradient is that of their value.
#[test]
fn gradients_are_those_of_differences() -> Outcome {
    let held = [Regulariser::Martingale, Regulariser::SecondOrder, Regulariser::Adaptive];
    for &term in Regulariser::ALL.iter().filter(|term| !held.contains(term)) {
        for net in nets(term) {
            let (objective, key) = (term.objective(&settings(net.dim())), Key::root(4));
            let (_, gradients) = objective.of_batch(&net, 17, key)?;
            for (name, var) in net.parameters().iter() {
                let Some(found) = gradients.get(net.parameters(), name).map(host) else {
                    continue;
                };
                let slope = slope(&net, name, &|| objective.of_batch(&net, 17, key).unwrap().0);
                let scale = found.iter().fold(1e-6_f64, |m, g| m.max(g.abs()));
                let middle = found[var.elem_count() / 2];
                let error = (middle - slope).abs();
                assert!(error < 2e-6 * scale, "{} {name}: {middle} {slope}", term.name());
            }
        }
    }
    Ok(())
}

/// The derivative of a number by the middle entry of a parameter.
fn slope(net: &ScoreNet, name: &str, value: &dyn Fn() -> f64) -> f64 {
    let var = net.parameters().get(name).unwrap();
    let (values, shape) = (host(var), var.dims().to_vec());
    let moved = |h: f64| {
        let mut changed = values.clone();
        changed[values.len() / 2] += h;
        net.parameters()
            .set(name, &Tensor::from_slice(&changed, &shape[..], &Device::Cpu).unwrap())
            .unwrap();
        value()
    };
    let h = 1e-4;
    let slope = (moved(-2.0 * h) - 8.0 * moved(-h) + 8.0 * moved(h) - moved(2.0 * h)) / (12.0 * h);
    moved(0.0);
    slope
}

/// Residuals on noised data: early times alone, and without the mean of each time.
#[test]
fn residuals_early_and_centred() -> Outcome {
    for net in nets(Regulariser::Centred) {
        let (settings, key, sde) = (settings(net.dim()), Key::root(5), net.sde());
        let NoisedRows { x, t, time_weight, .. } = batch(&settings, &net, key);
        let residual = network_residual(&net, &x, &t)?;
        let early = RegulariserSettings { before: 0.3 * sde.horizon(), ..settings.clone() };
        let counts = t.iter().zip(&residual).zip(&time_weight);
        let expected: f64 = counts
            .filter(|((t, _), _)| **t < early.before)
            .map(|((_, r), weight)| weight * r * r / ROWS as f64)
            .sum();
        let (found, _) = Regulariser::SmallTime.objective(&early).of_batch(&net, 0, key)?;
        check("early", &[found], &[expected], 1e-10);

        let mut late = settings.clone();
        late.after = 0.3 * sde.horizon();
        late.noising.t_min = late.after;
        late.noising.time = TimeDistribution::Uniform;
        late.noising.proposal = Proposal::default();
        let rows = batch(&late, &net, key);
        let residual = network_residual(&net, &rows.x, &rows.t)?;
        assert!(rows.t.iter().all(|t| *t >= late.after));
        let expected = residual.iter().map(|r| r * r).sum::<f64>() / ROWS as f64;
        // What the data are drawn with is the term's own affair.
        late.noising.t_min = settings.noising.t_min;
        let (found, _) = Regulariser::LargeTime.objective(&late).of_batch(&net, 0, key)?;
        check("late", &[found], &[expected], 1e-10);

        // Strata of 8 rows: data and noise of the rows under another key, times of the first rows.
        let other = settings.noising.rows(sde, key.fold(1), 0..ROWS as u64)?;
        let mut expected = 0.0;
        for s in 0..6 {
            let m = sde.marginal(t[s]);
            let own = s * 8 * net.dim()..(s + 1) * 8 * net.dim();
            let x: Vec<f64> = other.x0[own.clone()]
                .iter()
                .zip(&other.z[own])
                .map(|(x0, z)| m.alpha * x0 + m.sigma * z)
                .collect();
            let r = network_residual(&net, &x, &[t[s]; 8])?;
            let pairs = (0..8).flat_map(|i| (0..8).map(move |j| (i, j)));
            // The variance as half the mean square of differences.
            let variance = pairs.map(|(i, j)| (r[i] - r[j]).powi(2)).sum::<f64>() / (2.0 * 56.0);
            expected += time_weight[s] * variance / 6.0;
        }
        let (found, _) = Regulariser::Centred.objective(&settings).of_batch(&net, 0, key)?;
        check("centred", &[found], &[expected], 1e-9);
    }
    Ok(())
}

/// A constant a time that is added to a potential changes the residual and not its variance.
#[test]
fn the_centred_residual_is_gauge_invariant() -> Outcome {
    let mixture = GaussianMixture::isotropic(&[1.0], &ndarray::array![[0.0, 0.0]], &[1.3])?;
    let sde = sde_core::Vp::default();
    let model = mixture.under(&sde);
    let x = ndarray::Array2::from_shape_fn((5, 2), |(i, j)| (i as f64 - 2.0) * (j as f64 + 0.5));
    let mut phi = model.derivatives(&x, &[0.4; 5])?;
    phi.d_t.iter_mut().for_each(|d| *d += 3.0);
    let residual = fp_residual::log_density_residual(&phi, &x, &[0.4; 5], &sde)?;
    assert!(residual.iter().all(|r| (r - 3.0).abs() < 1e-10), "{residual:?}");
    Ok(())
}

/// The gradient of the residual counts by the weight of the bound, here that of Simpson's rule.
#[test]
fn the_score_form_is_weighted_as_the_bound() -> Outcome {
    for net in nets(Regulariser::ScoreForm) {
        let (settings, key, sde, d) = (settings(net.dim()), Key::root(6), net.sde(), net.dim());
        let NoisedRows { x, t, time_weight, .. } = batch(&settings, &net, key);
        let gradient = host(&score_form_residual(&net, &rows(&x, d, DType::F64), &t)?);
        let omega = |u: f64| {
            let f = |t: f64| {
                let kept = sde.marginal(u).alpha / sde.marginal(t).alpha;
                0.5 * sde.diffusion_squared(t) * (0.3 * t).exp() * kept
            };
            let h = u / 4000.0;
            let inner = (1..4000).map(|i| f64::from(2 + 2 * (i % 2)) * f(h * f64::from(i)));
            (f(0.0) + inner.sum::<f64>() + f(u)) * h / 3.0
        };
        let each = gradient.chunks(d).zip(&t).zip(&time_weight);
        let expected: f64 =
            each.map(|((r, t), weight)| weight * omega(*t) * dot(r, r) / ROWS as f64).sum();
        let (found, _) = Regulariser::ScoreForm.objective(&settings).of_batch(&net, 0, key)?;
        check("score form", &[found], &[expected], 1e-6);
        let error = TimeWeight::Gap { growth: f64::NAN }.at(sde, &[0.1]).unwrap_err().to_string();
        assert_eq!(error, "time-weight = NaN: must be finite");
    }
    Ok(())
}

/// The target of dual score matching is the derivative in time of the transition density at a fixed point.
#[test]
fn dual_scores_are_derivatives_in_time() -> Outcome {
    for net in nets(Regulariser::DualScore) {
        let (settings, key, sde, d) = (settings(net.dim()), Key::root(7), net.sde(), net.dim());
        let NoisedRows { x, x0, t, time_weight, .. } = batch(&settings, &net, key);
        let phi = net.derivatives(&rows(&x, d, DType::F64), &t)?;
        let mut expected = 0.0;
        for (b, &time) in t.iter().enumerate() {
            let own = b * d..(b + 1) * d;
            let log_density = |t: f64| {
                let m = sde.marginal(t);
                let squares = x[own.clone()].iter().zip(&x0[own.clone()]);
                let square: f64 = squares.map(|(x, x0)| (x - m.alpha * x0).powi(2)).sum();
                -square / (2.0 * m.sigma * m.sigma) - d as f64 * m.sigma.ln()
            };
            let h = 1e-3 * time;
            let f = |k: f64| log_density(time + k * h);
            let target = (f(-2.0) - 8.0 * f(-1.0) + 8.0 * f(1.0) - f(2.0)) / (12.0 * h);
            let weight = time_weight[b] * sde.marginal(time).sigma.powi(4);
            expected += weight * (phi.d_t[b] - target).powi(2) / ROWS as f64;
        }
        let (found, _) = Regulariser::DualScore.objective(&settings).of_batch(&net, 0, key)?;
        check("dual", &[found], &[expected], 1e-7);
    }
    Ok(())
}

/// The weak residual by its formula, and its mean by Stein's identity: minus the residual smoothed.
#[test]
fn weak_residuals_are_smoothed_residuals() -> Outcome {
    for net in nets(Regulariser::Weak) {
        let (settings, key, sde, d) = (settings(net.dim()), Key::root(8), net.sde(), net.dim());
        let NoisedRows { x, t, time_weight, .. } = batch(&settings, &net, key);
        let factor = |purpose: u64| -> Vec<f64> {
            let mut v = drawn(key.fold(purpose), ROWS * d, Key::fill_normals);
            v.iter_mut().for_each(|v| *v *= 0.3);
            let moved =
                |sign: f64| -> Vec<f64> { x.iter().zip(&v).map(|(x, v)| x + sign * v).collect() };
            let (ahead, behind) = (moved(1.0), moved(-1.0));
            let (s, back) = (at(&net, &ahead, &t), at(&net, &behind, &t));
            let d_t = net.derivatives(&rows(&ahead, d, DType::F64), &t).unwrap().d_t;
            let weak = |b: usize| {
                let own = b * d..(b + 1) * d;
                let (a, g2) = (sde.drift_coef(t[b]), sde.diffusion_squared(t[b]));
                let (s, v, y) = (&s[own.clone()], &v[own.clone()], &ahead[own.clone()]);
                let bent = (dot(v, s) - dot(v, &back[own])) / (2.0 * 0.09);
                0.5 * g2 * (bent + dot(s, s)) - a * (dot(y, s) + d as f64) - d_t[b]
            };
            (0..ROWS).map(weak).collect()
        };
        let products = factor(5).into_iter().zip(factor(6)).zip(&time_weight);
        let expected = products.map(|((a, b), weight)| weight * a * b / ROWS as f64).sum::<f64>();
        let (found, _) = Regulariser::Weak.objective(&settings).of_batch(&net, 0, key)?;
        check("weak", &[found], &[expected], 1e-10);

        let (n, time) = (20_000, 0.4 * sde.horizon());
        let mut v = drawn(Key::root(9), n * d, Key::fill_normals);
        v.iter_mut().for_each(|v| *v *= 0.3);
        let point: Vec<f64> = x[..d].iter().copied().cycle().take(n * d).collect();
        let (point, v, t) = (rows(&point, d, DType::F64), rows(&v, d, DType::F64), vec![time; n]);
        let weak = fp_residual::WeakPenalty::new(settings.noising.clone(), 0.3);
        let weak = host(&weak.weak_residual(&net, &point, &t, &v)?);
        let residual = network_residual(&net, &host(&(point + v)?), &t)?;
        let sums: Vec<f64> = weak.iter().zip(&residual).map(|(a, b)| a + b).collect();
        let mean = sums.iter().sum::<f64>() / n as f64;
        let spread = sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n as f64).powi(2);
        assert!(mean.abs() < 4.9 * spread.sqrt(), "{mean} +- {}", spread.sqrt());
    }
    Ok(())
}

/// `alpha(t)` times what the expected data of rows rise by after a step with noise `z`.
fn rises(net: &ScoreNet, x: &[f64], t: &[f64], z: &[f64], step: f64) -> Vec<f64> {
    let (sde, d) = (net.sde(), net.dim());
    let data = |x: &[f64], t: f64| -> Vec<f64> {
        let (m, s) = (sde.marginal(t), at(net, x, &[t]));
        x.iter().zip(s).map(|(x, s)| (x + m.sigma * m.sigma * s) / m.alpha).collect()
    };
    let each = x.chunks(d).zip(t).zip(z.chunks(d));
    each.flat_map(|((x, &t), z)| {
        let h = step * t;
        let (now, next, before) = (sde.marginal(t), sde.marginal(t - h), data(x, t));
        // The Gaussian of x_(t-h) given x_t and x_0 = D by the rule of Bayes: precisions add.
        let forth = sde.transition(t - h, t);
        let (p, q) = (next.sigma.powi(-2), (forth.alpha / forth.sigma).powi(2));
        let moved = |j: usize| {
            let mean = p * next.alpha * before[j] + q / forth.alpha * x[j];
            mean / (p + q) + z[j] / (p + q).sqrt()
        };
        let after: Vec<f64> = (0..d).map(moved).collect();
        let after = data(&after, t - h);
        (0..d).map(|j| now.alpha * (after[j] - before[j])).collect::<Vec<_>>()
    })
    .collect()
}

/// The martingale term by its formula and its gradient, through the expected data before the step alone; its mean over
/// the noise is, for a potential, the square of the residual's gradient.
#[test]
fn expected_data_are_a_martingale_up_to_the_residual() -> Outcome {
    for net in nets(Regulariser::Martingale) {
        let (settings, key, sde, d) = (settings(net.dim()), Key::root(10), net.sde(), net.dim());
        let NoisedRows { x, t, time_weight, .. } = batch(&settings, &net, key);
        let rise = |purpose: u64| {
            let z = drawn(key.fold(purpose), ROWS * d, Key::fill_normals);
            rises(&net, &x, &t, &z, settings.step)
        };
        let (first, second, start) = (rise(5), rise(6), at(&net, &x, &t));
        let value = |net: &ScoreNet| {
            let now = at(net, &x, &t);
            let row = |b: usize| {
                let v = sde.marginal(t[b]).sigma.powi(2);
                let term = |i: usize| {
                    let moved = v * (now[i] - start[i]);
                    (first[i] - moved) * (second[i] - moved)
                };
                time_weight[b] * (b * d..(b + 1) * d).map(term).sum::<f64>() / ROWS as f64
            };
            (0..ROWS).map(row).sum::<f64>()
        };
        let objective = Regulariser::Martingale.objective(&settings);
        let (found, gradients) = objective.of_batch(&net, 0, key)?;
        check("martingale", &[found], &[value(&net)], 1e-9);
        let name = "input.weight";
        let found = gradients.get(net.parameters(), name).map(host).expect("is reached");
        let scale = found.iter().fold(1e-6_f64, |m, g| m.max(g.abs()));
        let error = found[found.len() / 2] - slope(&net, name, &|| value(&net));
        assert!(error.abs() < 1e-6 * scale, "{error}");

        if net.config().output == Output::Score {
            continue;
        }
        // Antithetic normals at one point: the mean rise is h sigma^2 times the gradient of the residual.
        let (n, time, step) = (4000, 0.4 * sde.horizon(), 0.002);
        let mut z = drawn(Key::root(11), n * d, Key::fill_normals);
        z.extend(z.clone().iter().map(|z| -z));
        let point: Vec<f64> = x[..d].iter().copied().cycle().take(2 * n * d).collect();
        let found = rises(&net, &point, &vec![time; 2 * n], &z, step);
        let exact = host(&score_form_residual(&net, &rows(&x[..d], d, DType::F64), &[time])?);
        // A step has an error of the order of its length beside its mean.
        let scale = step * time * sde.marginal(time).sigma.powi(2);
        let largest = scale * exact.iter().fold(0.0_f64, |m, r| m.max(r.abs()));
        for j in 0..d {
            let pairs = (0..n).map(|i| 0.5 * (found[i * d + j] + found[(n + i) * d + j]));
            let pairs: Vec<f64> = pairs.collect();
            let mean = pairs.iter().sum::<f64>() / n as f64;
            let spread = pairs.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / (n as f64).powi(2);
            let error = (mean + scale * exact[j]).abs();
            assert!(error < 4.9 * spread.sqrt() + 0.03 * largest, "{j}: {mean} {exact:?} {error}");
        }
    }
    Ok(())
}

/// Terms of the Jacobian by their formulas, from its columns.
#[test]
fn terms_of_the_jacobian_are_their_formulas() -> Outcome {
    for net in nets(Regulariser::SecondOrder) {
        let (settings, key, d) = (settings(net.dim()), Key::root(12), net.dim());
        let NoisedRows { x, z, t, time_weight, .. } = batch(&settings, &net, key);
        let jacobian = net.jacobian_graph(&rows(&x, d, DType::F64), &t)?;
        let columns: Vec<Vec<f64>> = jacobian.columns.iter().map(host).collect();
        let score = host(&jacobian.score);
        let signs = [5, 6].map(|purpose| drawn(key.fold(purpose), ROWS * d, Key::fill_signs));
        let (mut second, mut curl) = (0.0, 0.0);
        for b in 0..ROWS {
            let (own, sigma) = (b * d..(b + 1) * d, net.sde().marginal(t[b]).sigma);
            let [v, w] = [0, 1].map(|i| &signs[i][own.clone()]);
            let along = |v: &[f64]| -> Vec<f64> {
                own.clone().map(|i| (0..d).map(|j| columns[j][i] * v[j]).sum()).collect()
            };
            let e: Vec<f64> = own.clone().map(|i| sigma * score[i] + z[i]).collect();
            let (jv, ev) = (along(v), dot(&e, v));
            let vector: f64 =
                (0..d).map(|i| (sigma * sigma * jv[i] + v[i] - ev * e[i]).powi(2)).sum();
            let trace = sigma * sigma * dot(v, &jv) + d as f64 - ev * ev;
            let share = time_weight[b] / ROWS as f64;
            second += share * (vector + trace * trace) / (d * d) as f64;
            curl += share * (dot(w, &jv) - dot(v, &along(w))).powi(2);
        }
        let (found, _) = Regulariser::SecondOrder.objective(&settings).of_batch(&net, 0, key)?;
        check("second order", &[found], &[second], 1e-10);
        if net.config().output == Output::Score {
            let (found, _) = Regulariser::Curl.objective(&settings).of_batch(&net, 0, key)?;
            check("curl", &[found], &[curl], 1e-10);
        } else {
            assert!(curl < 1e-20, "the curl of a gradient: {curl:e}");
        }
    }
    Ok(())
}

/// Points are chosen where the residual is large, and count as much less: the mean is that of the pool.
#[test]
fn adaptive_points_are_unbiased() -> Outcome {
    let net = net(&zoo()[1], DType::F64);
    let pool = FokkerPlanckPenalty::uniform(400).t_min(0.05);
    let adaptive = fp_residual::AdaptivePenalty::new(pool.clone(), 100);
    let (mut z, mut chosen, mut pooled) = (Vec::new(), 0.0, 0.0);
    for k in 0..60 {
        let key = Key::root(13).fold(k);
        let points = adaptive.points(&net, 0, key, 0..100)?;
        assert_eq!((points.t.len(), points.x.len()), (100, 300));
        let squares = network_residual(&net, &points.x, &points.t)?.into_iter().map(|r| r * r);
        let mean = |w: &[f64], r: &mut dyn Iterator<Item = f64>| {
            w.iter().zip(r).map(|(w, r)| w * r).sum::<f64>() / w.len() as f64
        };
        let squares: Vec<f64> = squares.collect();
        let found = mean(&points.weight, &mut squares.iter().copied());
        let plain = mean(&vec![1.0; 100], &mut squares.iter().copied());
        let all = pool.loss(&net, key)?;
        (chosen, pooled) = (chosen + plain, pooled + all);
        z.push(found / all - 1.0);
    }
    assert!(chosen > 1.05 * pooled, "points of large residuals: {chosen} {pooled}");
    let mean = z.iter().sum::<f64>() / 60.0;
    let error = (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (60.0 * 59.0)).sqrt();
    assert!(mean.abs() < 5.5 * error && error < 0.02, "{mean} +- {error}");
    Ok(())
}

/// The weight of a scheduled term is that of the step.
#[test]
fn scheduled_terms_fade() -> Outcome {
    let net = net(&zoo()[1], DType::F64);
    let (settings, key) = (settings(3), Key::root(14));
    let terms = [Regulariser::Box, Regulariser::Scheduled].map(|term| term.objective(&settings));
    let (whole, gradients) = terms[0].of_batch(&net, 0, key)?;
    for (step, factor) in [(0, 1.0), (10, 1.0), (20, 0.6), (30, 0.2), (31, 0.2)] {
        let (found, faded) = terms[1].of_batch(&net, step, key)?;
        check("value", &[found], &[factor * whole], 1e-12);
        let norms = [faded.norm()?, factor * gradients.norm()?];
        check("gradient", &norms[..1], &norms[1..], 1e-12);
    }
    let at = |step| WeightSchedule::Warmup { steps: 4 }.at(step);
    assert_eq!([at(0), at(2), at(4), at(9)], [0.0, 0.5, 1.0, 1.0]);
    // And the residual of a graph is what the box squares.
    let points = FokkerPlanckPenalty::uniform(ROWS).t_min(0.05);
    let found = points.points(&net, key)?;
    let graph = residual_graph(&net, &rows(&found.x, 3, DType::F64), &found.t)?;
    check(
        "points",
        &[dot(&host(&graph), &host(&graph)) / ROWS as f64],
        &[points.loss(&net, key)?],
        1e-11,
    );
    Ok(())
}
