//! Encodings: data to latents along the flow and back, and what is done with latents.

use sde_core::{Error, Key, Result as CoreResult, Score, Sde, State};

use crate::{Control, End, Request, Result, Sampler, Scheme, SolveError, Summary, sample_from};

/// Takes every row along the probability-flow ODE: upward in time this encodes data as latents, downward
/// it decodes them. The two are each other's inverse up to the error of the steps.
///
/// Row `i` depends on itself alone; its number among all particles, for a score that asks
/// ([`Score::for_rows`]) and in errors, is `first_row + i`. A tolerance in `control` holds for every row on its own.
/// With `(&control, BadRows::Nan(..))` for `&control` a row that cannot be solved is NaN ([`crate::BadRows`]).
///
/// # Errors
/// [`SolveError::Setup`] for a state without rows; otherwise as [`sample_from`].
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, section 4.3 and appendix D.3.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Tolerance, Vp, analytic::DataSet};
/// use solvers::{Control, Method, flow};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let tol = Tolerance { abs: 1e-9, rel: 1e-9 };
/// let (up, down) = (
///     Control::Adaptive { t_start: 1e-3, t_end: 1.0, tol },
///     Control::Adaptive { t_start: 1.0, t_end: 1e-3, tol },
/// );
/// let x = array![[0.3, 1.0], [2.0, -2.0]];
/// let (latent, _) = flow(Method::Dopri5, &up, &vp, &score, &x, 0, 1)?;
/// let (back, _) = flow(Method::Dopri5, &down, &vp, &score, &latent, 0, 1)?;
/// assert!((&back - &x).iter().all(|e| e.abs() < 1e-6));
/// # Ok::<(), solvers::SolveError>(())
/// ```
pub fn flow<'a, S: State, M: Scheme<S>>(
    method: M,
    control: impl Into<Request<'a, Control>>,
    sde: &dyn Sde,
    score: &dyn Score<S>,
    x: &S,
    first_row: u64,
    block_rows: u64,
) -> Result<(S, Summary)> {
    if x.rows() == 0 {
        let (expected, found) = (vec![1, x.row_len()], vec![0, x.row_len()]);
        return Err(SolveError::Setup(Error::Shape { expected, found }));
    }
    let Request { how: control, bad } = control.into();
    let (control, end) = (control.clone(), End::Plain);
    let sampler = Sampler { method, eta: 0.0, control, end, block_rows };
    let start = |first: u64, len: usize| x.slice_rows((first - first_row) as usize, len);
    let mut parts = vec![];
    let mut keep = |_: u64, part: S| {
        parts.push(part);
        Ok::<(), SolveError>(())
    };
    // An ODE draws nothing from the key.
    let key = Key::root(0);
    let rows = first_row..first_row + x.rows() as u64;
    let summary = sample_from((&sampler, bad), sde, score, rows, key, &start, &mut keep)?;
    Ok((S::concat_rows(&parts)?, summary))
}

/// Spherical interpolation of every row of `a` with the same row of `b`, at `share` of the way:
///
/// `sin((1 - u) w)/sin w a + sin(u w)/sin w b`, `cos w = a . b / (|a| |b|)`,
///
/// which keeps the length where `|a| = |b|`, as a straight line through latents would not. For rows in
/// one direction it is the straight line.
///
/// # Errors
/// [`Error::Parameter`] for a row that is zero, or opposite in `a` and `b`: no arc is the shortest.
/// [`Error::Shape`] when the states differ in shape.
///
/// # Reference
/// Shoemake 1985, "Animating rotation with quaternion curves"; for latents: White 2016, arXiv 1609.04468.
///
/// ```
/// use ndarray::array;
/// let half = solvers::slerp(&array![[1.0, 0.0]], &array![[0.0, 1.0]], 0.5)?;
/// assert!(half.iter().all(|x| (x - 0.5_f64.sqrt()).abs() < 1e-15));
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn slerp<S: State>(a: &S, b: &S, share: f64) -> CoreResult<S> {
    let (aa, bb) = (a.row_dot(a)?, b.row_dot(b)?);
    // The angle from chords, |a' - b'| and |a' + b'| of unit rows: accurate for small ones too.
    let unit = |x: &S, squares: &[f64]| {
        x.scale_rows(&squares.iter().map(|s| 1.0 / s.sqrt()).collect::<Vec<_>>())
    };
    let refuse = |row: usize, reason: &str| {
        let (name, reason) = (format!("row {row}"), reason.into());
        Err(Error::Parameter { name, value: "direction".into(), reason })
    };
    let directed = |s: &f64| s.is_finite() && *s > 0.0;
    if let Some(row) = aa.iter().zip(&bb).position(|(a, b)| !(directed(a) && directed(b))) {
        return refuse(row, "is zero or not finite: it has no direction");
    }
    let (ua, ub) = (unit(a, &aa)?, unit(b, &bb)?);
    let difference = S::lincomb(&[(1.0, &ua), (-1.0, &ub)])?;
    let sum = S::lincomb(&[(1.0, &ua), (1.0, &ub)])?;
    let (chord, other) = (difference.row_dot(&difference)?, sum.row_dot(&sum)?);
    let (mut wa, mut wb) = (vec![], vec![]);
    for (row, (c, o)) in chord.iter().zip(&other).enumerate() {
        let angle = 2.0 * c.sqrt().atan2(o.sqrt());
        if angle.sin() <= 1e-7 && angle > 1.0 {
            return refuse(row, "points opposite ways: no arc between them is the shortest");
        }
        let weight = |u: f64| if angle < 1e-7 { u } else { (u * angle).sin() / angle.sin() };
        wa.push(weight(1.0 - share));
        wb.push(weight(share));
    }
    S::lincomb(&[(1.0, &a.scale_rows(&wa)?), (1.0, &b.scale_rows(&wb)?)])
}

/// Latents at a temperature: `tau x`, which turns draws from `N(0, s^2 I)` into draws from
/// `N(0, tau^2 s^2 I)`. Below 1 the decoded data are more typical and less diverse.
///
/// # Errors
/// [`Error::Parameter`] unless `tau` is finite and not negative.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, appendix D.3; Kingma, Dhariwal 2018, arXiv 1807.03039, section 6.
pub fn temper<S: State>(x: &S, tau: f64) -> CoreResult<S> {
    if !(tau.is_finite() && tau >= 0.0) {
        let (name, value) = ("temperature".into(), tau.to_string());
        let reason = "must be finite and not negative".into();
        return Err(Error::Parameter { name, value, reason });
    }
    S::lincomb(&[(tau, x)])
}
