//! Residuals against references, closed forms and each other.

use candle_core::{DType, Device, Tensor, Var};
use fp_residual::{potential_residual, residual_graph, score_form_residual, score_residual_graph};
use ndarray::{Array2, array};
use score_nets::{Activation, Kernels, NetConfig, Output};
use sde_core::{
    Error,
    analytic::{DataSet, GaussianMixture},
    sde,
};

use crate::common::{Outcome, check, host, net, points, rows, times, zoo};

/// Marginals of mixtures solve the equation: the residual is zero to rounding, here relative to
/// the sum of the magnitudes of its terms.
#[test]
fn mixtures_have_no_residual() -> Outcome {
    let means = array![[-1.5, 0.3, 0.2], [1.0, -1.0, 0.0], [0.2, 2.0, -1.1]];
    let covs = [
        array![[0.5, 0.1, 0.0], [0.1, 0.3, -0.05], [0.0, -0.05, 0.2]],
        array![[0.2, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 0.9]],
        array![[0.6, -0.2, 0.1], [-0.2, 0.4, 0.0], [0.1, 0.0, 0.3]],
    ];
    let target = GaussianMixture::new(&[0.2, 0.5, 0.3], &means, &covs)?;
    let n = 200;
    for name in ["ou", "vp", "sub-vp", "ve"] {
        let sde = sde::parse(name)?;
        let x = Array2::from_shape_vec((n, 3), points(1, n, 3))?;
        let t: Vec<f64> =
            (0..n).map(|i| sde.horizon() * (0.02 + 0.97 * i as f64 / n as f64)).collect();
        // A marginal at zero spread has its own scale; stay where x is.
        let x =
            Array2::from_shape_fn((n, 3), |(b, j)| x[[b, j]] * (1.0 + sde.marginal(t[b]).sigma));
        let model = target.under(sde.as_ref());
        let phi = sde_core::Potential::derivatives(&model, &x, &t)?;
        let residual = potential_residual(&model, &x, &t, sde.as_ref())?;
        let worst = residual.iter().enumerate().map(|(b, r)| {
            let s2: f64 = phi.score.row(b).iter().map(|s| s * s).sum();
            let g2 = sde.diffusion_squared(t[b]);
            r.abs() / (phi.d_t[b].abs() + 0.5 * g2 * (phi.laplacian[b].abs() + s2))
        });
        let worst = worst.fold(0.0, f64::max);
        eprintln!("{name}: {worst:.1e}");
        assert!(worst < 1e-12, "{name}: {worst:e}");
    }
    // And one in two dimensions whose scale the networks know.
    let ou = sde::parse("ou")?;
    let x = Array2::from_shape_vec((50, 2), points(2, 50, 2))?;
    let blob = DataSet::Blob.under(ou.as_ref()).expect("a mixture");
    let residual = potential_residual(&blob, &x, &[0.05; 50], ou.as_ref())?;
    assert!(residual.iter().all(|r| r.abs() < 1e-10), "{residual:?}");
    Ok(())
}

/// With the last layer at zero a network on a Gaussian base is that Gaussian, which evolves exactly:
/// no residual, on any path, in any SDE.
#[test]
fn the_base_has_no_residual() -> Outcome {
    for name in ["ou", "vp", "sub-vp", "ve"] {
        let config = NetConfig::with_gaussian_base(2, vec![8, 8], Activation::Silu, 2.3, name);
        for (dtype, kernels, tolerance) in [
            (DType::F64, Kernels::Composite, 1e-12),
            (DType::F32, Kernels::Composite, 3e-6),
            (DType::F32, Kernels::Fused, 3e-6),
        ] {
            let net = net(&config, dtype).with_kernels(kernels)?;
            for (name, var) in net.parameters().iter() {
                if name.starts_with("output") {
                    net.parameters().set(name, &var.zeros_like()?)?;
                }
            }
            let x = rows(&points(3, 20, 2), 2, dtype);
            let t = times(&net, 20);
            let residual = potential_residual(&net, &x, &t, net.sde())?;
            for (r, t) in residual.iter().zip(&t) {
                let m = net.sde().marginal(*t);
                let scale =
                    net.sde().diffusion_squared(*t) / (2.3 * m.alpha.powi(2) + m.sigma.powi(2));
                assert!(
                    r.abs() <= tolerance * (1.0 + 10.0 * scale),
                    "{name} {kernels:?} t = {t}: {r:e}"
                );
            }
        }
    }
    Ok(())
}

/// The score form is the gradient of the log-density form, and the vector form agrees with its
/// definition by one reverse pass.
#[test]
fn score_form_is_the_gradient() -> Outcome {
    for config in zoo() {
        let net = net(&config, DType::F64);
        let (d, t) = (config.dim, times(&net, 7));
        let x = Var::from_tensor(&rows(&points(4, 7, d), d, DType::F64))?;
        let found = score_form_residual(&net, x.as_tensor(), &t)?;
        assert!(!found.track_op());
        let gradient = |y: &Tensor| -> Result<Vec<f64>, candle_core::Error> {
            Ok(host(y.sum_all()?.backward()?.get(x.as_tensor()).expect("x is reached")))
        };
        let expected = match config.output {
            Output::Potential => gradient(&residual_graph(&net, x.as_tensor(), &t)?)?,
            Output::Score => {
                let s = net.jacobian_graph(x.as_tensor(), &t)?;
                let sde = net.sde();
                let column = |f: &dyn Fn(f64) -> f64| {
                    let values: Vec<f64> = t.iter().map(|&t| f(t)).collect();
                    Tensor::from_vec(values, t.len(), &Device::Cpu)
                };
                let mut inner = s.score.sqr()?.sum(1)?;
                for (j, c) in s.columns.iter().enumerate() {
                    inner = (inner + c.narrow(1, j, 1)?.squeeze(1)?)?;
                }
                let inner = (inner * column(&|t| 0.5 * sde.diffusion_squared(t))?)?;
                let along = (x.as_tensor() * &s.score)?.sum(1)?;
                let rate = (inner - (along * column(&|t| sde.drift_coef(t))?)?)?;
                let gradient = gradient(&rate)?;
                host(&s.d_t).iter().zip(gradient).map(|(a, b)| a - b).collect()
            }
        };
        check(&format!("{config:?}"), &host(&found), &expected, 1e-11);
    }
    Ok(())
}

/// Rows do not mix, and the parameter gradients of the score form are those of differences.
#[test]
fn score_form_has_parameter_gradients() -> Outcome {
    for config in zoo() {
        let net = net(&config, DType::F64);
        let (d, t) = (config.dim, times(&net, 5));
        let x = rows(&points(6, 5, d), d, DType::F64);
        let loss = || -> Result<Tensor, score_nets::Error> {
            Ok(score_residual_graph(&net, &x, &t)?.sqr()?.mean_all()?)
        };
        let grads = loss()?.backward()?;
        for (name, var) in net.parameters().iter() {
            let values = host(var);
            let Some(found) = grads.get(var).map(host) else {
                assert_eq!(net.gauge_parameter(), Some(name));
                continue;
            };
            let at = values.len() / 2;
            let value = |h: f64| {
                let mut changed = values.clone();
                changed[at] += h;
                let t = Tensor::from_slice(&changed, var.dims(), &Device::Cpu).unwrap();
                net.parameters().set(name, &t).unwrap();
                host(&loss().unwrap())[0]
            };
            let h = 1e-4;
            let slope =
                (value(-2.0 * h) - 8.0 * value(-h) + 8.0 * value(h) - value(2.0 * h)) / (12.0 * h);
            value(0.0);
            let scale = found.iter().fold(1e-6_f64, |m, g| m.max(g.abs()));
            assert!(
                (found[at] - slope).abs() < 1e-6 * scale,
                "{name} of {config:?}: {} {slope}",
                found[at]
            );
        }
    }
    Ok(())
}

#[test]
fn bad_batches() -> Outcome {
    let target = GaussianMixture::isotropic(&[1.0], &array![[0.0, 0.0]], &[1.0])?;
    let vp = sde_core::Vp::default();
    let x = Array2::zeros((3, 2));
    let mut phi = sde_core::Potential::derivatives(&target.under(&vp), &x, &[0.5; 3])?;
    let wrong = fp_residual::log_density_residual(&phi, &x, &[0.5; 2], &vp).unwrap_err();
    assert!(matches!(wrong, Error::Shape { .. }), "{wrong}");
    phi.laplacian.pop();
    let wrong = fp_residual::log_density_residual(&phi, &x, &[0.5; 3], &vp).unwrap_err();
    assert!(wrong.to_string().contains("expected shape [3], found [2]"), "{wrong}");
    let vector = net(&zoo()[4], DType::F32);
    let error = residual_graph(&vector, &rows(&[0.0; 3], 3, DType::F32), &[0.5]).unwrap_err();
    assert!(error.to_string().contains("needs a network whose output is a potential"), "{error}");
    Ok(())
}
