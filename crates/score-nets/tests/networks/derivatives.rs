//! Every derivative against central differences.

use candle_core::Tensor;
use score_nets::{Backend, Condition, Gradients, Jet, Network, Parameters, Result, jvp, vjp};
use sde_core::Key;

use super::{Case, batch, cases, everywhere, normals, parameters};

const STEP: f64 = 1e-4;

struct At {
    case: Case,
    parameters: Parameters,
    x: Tensor,
    c: Tensor,
    condition: Condition,
}

fn each(check: impl Fn(&At, &dyn Network) -> Result<()>) {
    for backend in everywhere() {
        for case in cases() {
            let parameters = parameters(&case.architecture, &backend);
            let net = case.architecture.build(parameters.detached()).expect("is a network");
            let (x, c, condition) = batch(net.as_ref(), 1, case.level, &backend);
            let at = At { case, parameters, x, c, condition };
            check(&at, net.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", at.case.name));
        }
    }
}

fn direction(like: &Tensor, seed: u64) -> Tensor {
    let backend = Backend::new(like.device().clone(), like.dtype()).expect("is one");
    normals(Key::root(seed), like.dims(), &backend)
}

fn norm(t: &Tensor) -> Result<f64> {
    Ok(t.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt())
}

/// The distance relative to the second.
fn off(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(norm(&(a - b)?)? / norm(b)?)
}

/// A central difference of fourth order.
fn difference(f: impl Fn(f64) -> Result<Tensor>) -> Result<Tensor> {
    difference_by(STEP, f)
}

fn difference_by(step: f64, f: impl Fn(f64) -> Result<Tensor>) -> Result<Tensor> {
    let near = (f(step)? - f(-step)?)?;
    let far = (f(2.0 * step)? - f(-2.0 * step)?)?;
    Ok((((near * 8.0)? - far)? * (1.0 / (12.0 * step)))?)
}

fn moved(x: &Tensor, u: &Tensor, h: f64) -> Result<Tensor> {
    Ok((x + (u * h)?)?)
}

fn value(net: &dyn Network, x: &Tensor, c: &Tensor, condition: &Condition) -> Result<Tensor> {
    Ok(net.forward(&Jet::constant(x.clone()), &Jet::constant(c.clone()), condition)?.value)
}

#[test]
fn first_derivatives_are_those_of_central_differences_on_every_device() {
    each(|at, net| {
        let (name, condition) = (at.case.name, &at.condition);
        let u = direction(&at.x, 1);
        let (y, dy) = jvp(net, &at.x, &at.c, condition, Some(&u), None)?;
        let plain = value(net, &at.x, &at.c, condition)?;
        assert!(off(&y, &plain)? == 0.0, "{name}: the value is another with derivatives");
        let numeric = difference(|h| value(net, &moved(&at.x, &u, h)?, &at.c, condition))?;
        let error = off(&dy, &numeric)?;
        assert!(error < 1e-8, "{name}: d/dx is {error:e} off");
        let one = at.c.ones_like()?;
        let (_, dc) = jvp(net, &at.x, &at.c, condition, None, Some(&one))?;
        // Fourier features turn some hundred times as fast as the rest.
        let in_time = |h| value(net, &at.x, &moved(&at.c, &one, h)?, condition);
        let numeric = difference_by(1e-5, in_time)?;
        let error = off(&dc, &numeric)?;
        assert!(error < 1e-7, "{name}: d/dc is {error:e} off");
        let v = direction(&y, 2);
        let back = vjp(net, &at.x, &at.c, condition, &v)?;
        let product =
            |a: &Tensor, b: &Tensor| -> Result<f64> { Ok((a * b)?.sum_all()?.to_scalar::<f64>()?) };
        let (forward, backward) = (product(&v, &dy)?, product(&back.x, &u)?);
        assert!((forward - backward).abs() < 1e-10 * norm(&v)? * norm(&dy)?, "{name}: vjp in x");
        let (forward, backward) = (product(&v, &dc)?, product(&back.c, &one)?);
        assert!((forward - backward).abs() < 1e-10 * norm(&v)? * norm(&dc)?, "{name}: vjp in c");
        Ok(())
    });
}

#[test]
fn second_derivatives_are_those_of_central_differences_on_every_device() {
    each(|at, net| {
        let (u, w) = (direction(&at.x, 1), direction(&at.x, 3));
        let one = at.c.ones_like()?;
        // Along u and w in x, and along c.
        let terms = vec![vec![(0, 1, 1.0)], vec![(0, 0, 2.0), (1, 1, -1.0)], vec![(0, 2, 1.0)]];
        let directions = vec![Some(u.clone()), Some(w.clone()), None];
        let x = Jet::partial(at.x.clone(), directions, terms.clone());
        let c = Jet::partial(at.c.clone(), vec![None, None, Some(one.clone())], terms);
        let y = net.forward(&x, &c, &at.condition)?;
        let along = |x: &Tensor, c: &Tensor, v: &Tensor| {
            jvp(net, x, c, &at.condition, Some(v), None).map(|(_, dy)| dy)
        };
        let mixed = difference(|h| along(&moved(&at.x, &w, h)?, &at.c, &u))?;
        let uu = difference(|h| along(&moved(&at.x, &u, h)?, &at.c, &u))?;
        let ww = difference(|h| along(&moved(&at.x, &w, h)?, &at.c, &w))?;
        let combined = ((uu * 2.0)? - ww)?;
        let in_time = difference(|h| along(&at.x, &moved(&at.c, &one, h)?, &u))?;
        for (i, numeric) in [mixed, combined, in_time].iter().enumerate() {
            let error = off(&y.second_or_zero(i)?, numeric)?;
            assert!(error < 1e-6, "{}: second derivative {i} is {error:e} off", at.case.name);
        }
        Ok(())
    });
}

/// A number that depends on every element of the output.
fn loss(y: &Tensor) -> Result<Tensor> {
    let weights = direction(y, 4);
    Ok((y.sqr()? * (weights + 3.0)?)?.mean_all()?)
}

#[test]
fn slow_gradients_by_every_parameter_are_those_of_central_differences_on_every_device() {
    each(|at, frozen| {
        let live = at.case.architecture.build(at.parameters.live())?;
        let y = value(live.as_ref(), &at.x, &at.c, &at.condition)?;
        let gradients = Gradients::of(&loss(&y)?, &at.parameters)?;
        let vanishing = frozen.without_gradient();
        let known: Vec<String> = at.parameters.names().map(String::from).collect();
        for (name, _) in &vanishing {
            assert!(known.contains(name), "{}: `{name}` is no parameter", at.case.name);
        }
        let scale = gradients.norm()?;
        for name in &known {
            let what = format!("{}: `{name}`", at.case.name);
            let gradient = gradients.get(&at.parameters, name);
            let size = gradient.map_or(Ok(0.0), norm)?;
            if vanishing.iter().any(|(n, _)| n == name) {
                assert!(size < 1e-12 * scale, "{what} has a gradient of {size:e} after all");
                continue;
            }
            assert!(size.is_finite() && size > 1e-9 * scale, "{what} has a gradient of {size:e}");
            let Some(gradient) = gradient else { panic!("{what} has no gradient") };
            let u = (gradient / size)?;
            let before = at.parameters.get(name).expect("is known").copy()?.detach();
            let shifted = |h: f64| {
                at.parameters.set(name, &moved(&before, &u, h)?)?;
                loss(&value(frozen, &at.x, &at.c, &at.condition)?)
            };
            let numeric = ((shifted(STEP)? - shifted(-STEP)?)? * (0.5 / STEP))?;
            at.parameters.set(name, &before)?;
            let error = (numeric.to_scalar::<f64>()? / size - 1.0).abs();
            // Rounding of the loss over the step bounds what a small gradient can be held to.
            assert!(error < 1e-5 + 1e-9 * scale / size, "{what} is {error:e} off");
        }
        Ok(())
    });
}

#[test]
fn gradients_of_derivatives_are_those_of_central_differences_on_every_device() {
    each(|at, frozen| {
        let u = direction(&at.x, 1);
        let of = |net: &dyn Network| -> Result<Tensor> {
            let one = at.c.ones_like()?;
            let (_, dy) = jvp(net, &at.x, &at.c, &at.condition, Some(&u), Some(&one))?;
            loss(&dy)
        };
        let live = at.case.architecture.build(at.parameters.live())?;
        let gradients = Gradients::of(&of(live.as_ref())?, &at.parameters)?;
        let size = gradients.norm()?;
        let names: Vec<String> = at.parameters.names().map(String::from).collect();
        let before: Vec<Tensor> =
            at.parameters.iter().map(|(_, t)| Ok(t.copy()?.detach())).collect::<Result<_>>()?;
        let numeric = difference(|h| {
            for ((name, before), g) in names.iter().zip(&before).zip(gradients.iter()) {
                if let Some(g) = g {
                    at.parameters.set(name, &moved(before, &(g / size)?, h)?)?;
                }
            }
            of(frozen)
        })?;
        let error = (numeric.to_scalar::<f64>()? / size - 1.0).abs();
        assert!(error < 1e-6, "{}: {error:e} off", at.case.name);
        Ok(())
    });
}
