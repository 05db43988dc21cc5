//! Newton's method for the equations of implicit steps, row by row, without Jacobians.

use sde_core::{Result, State};

/// `y = known + weight * drift(y)`.
pub(crate) struct Equation<'a, S> {
    pub(crate) drift: &'a dyn Fn(&S) -> Result<S>,
    pub(crate) known: &'a S,
    pub(crate) weight: f64,
}

impl<S: State> Equation<'_, S> {
    /// `drift(y)`, and the residual `known + weight * drift(y) - y`.
    fn residual(&self, y: &S, nfe: &mut u64) -> Result<(S, S)> {
        *nfe += 1;
        let f = (self.drift)(y)?;
        let r = S::lincomb(&[(1.0, self.known), (self.weight, &f), (-1.0, y)])?;
        Ok((f, r))
    }
}

/// Newton steps at most, and dimensions of a Krylov subspace at most.
const NEWTON: usize = 12;
const KRYLOV: usize = 16;

/// The solution of an equation and the drift there.
///
/// Every row is its own problem: it stops when its residual is down to rounding, or no longer falls,
/// and is left as it is from then on, whatever its neighbours still need.
pub(crate) fn solve_rows<S: State>(
    equation: &Equation<'_, S>,
    guess: S,
    nfe: &mut u64,
) -> Result<(S, S)> {
    let mut y = guess;
    let (mut f, mut r) = equation.residual(&y, nfe)?;
    let mut before = norms(&r)?;
    let scale = norms(equation.known)?;
    let done = |norm: f64, scale: f64| norm <= 1e-14 * (1.0 + scale) || !norm.is_finite();
    let mut active: Vec<bool> = before.iter().zip(&scale).map(|(n, s)| !done(*n, *s)).collect();
    for _ in 0..NEWTON {
        if !active.contains(&true) {
            break;
        }
        let step = krylov(equation, &y, &f, &mask(&r, &active)?, nfe)?;
        let new_y = S::lincomb(&[(1.0, &y), (1.0, &step)])?;
        let (new_f, new_r) = equation.residual(&new_y, nfe)?;
        let after = norms(&new_r)?;
        // Rows that got worse, or that had stopped, keep what they had.
        let better: Vec<bool> =
            (0..after.len()).map(|b| active[b] && after[b] < before[b]).collect();
        y = choose(&new_y, &y, &better)?;
        f = choose(&new_f, &f, &better)?;
        r = choose(&new_r, &r, &better)?;
        for b in 0..after.len() {
            active[b] = better[b] && !done(after[b], scale[b]);
            if better[b] {
                before[b] = after[b];
            }
        }
    }
    Ok((y, f))
}

fn norms<S: State>(x: &S) -> Result<Vec<f64>> {
    Ok(x.row_dot(x)?.into_iter().map(f64::sqrt).collect())
}

fn mask<S: State>(x: &S, keep: &[bool]) -> Result<S> {
    x.scale_rows(&keep.iter().map(|k| f64::from(u8::from(*k))).collect::<Vec<_>>())
}

/// Row by row the first or the second state.
fn choose<S: State>(yes: &S, no: &S, first: &[bool]) -> Result<S> {
    if first.iter().all(|f| *f) {
        return Ok(yes.clone());
    }
    if yes.all_finite()? && no.all_finite()? {
        let other: Vec<bool> = first.iter().map(|f| !f).collect();
        return S::lincomb(&[(1.0, &mask(yes, first)?), (1.0, &mask(no, &other)?)]);
    }
    // Zero times what is not finite is not zero.
    let rows: Result<Vec<S>> = first
        .iter()
        .enumerate()
        .map(|(b, first)| if *first { yes.slice_rows(b, 1) } else { no.slice_rows(b, 1) })
        .collect();
    S::concat_rows(&rows?)
}

/// What Newton's method adds to `y`: the solution of `(1 - weight J) d = r` in the Krylov subspace of
/// each row (GMRES, with derivatives of the drift by differences).
///
/// # Reference
/// Saad, Schultz 1986, "GMRES"; Knoll, Keyes 2004, "Jacobian-free Newton-Krylov methods".
fn krylov<S: State>(equation: &Equation<'_, S>, y: &S, f: &S, r: &S, nfe: &mut u64) -> Result<S> {
    let inverse = |norms: &[f64]| -> Vec<f64> {
        norms.iter().map(|n| if *n > 0.0 { 1.0 / n } else { 0.0 }).collect()
    };
    let start = norms(r)?;
    let rows = start.len();
    let mut basis = vec![r.scale_rows(&inverse(&start))?];
    let mut systems: Vec<Hessenberg> = start.iter().map(|n| Hessenberg::new(*n)).collect();
    let reach: Vec<f64> = norms(y)?.iter().map(|n| DIFFERENCE * (1.0 + n)).collect();
    while basis.len() <= KRYLOV && systems.iter().any(|s| !s.solved()) {
        let v = &basis[basis.len() - 1];
        let near = S::lincomb(&[(1.0, y), (1.0, &v.scale_rows(&reach)?)])?;
        *nfe += 1;
        let there = (equation.drift)(&near)?;
        let slope = S::lincomb(&[(1.0, &there), (-1.0, f)])?.scale_rows(&inverse(&reach))?;
        let mut w = S::lincomb(&[(1.0, v), (-equation.weight, &slope)])?;
        let mut columns = vec![Vec::with_capacity(basis.len() + 1); rows];
        for v in &basis {
            let dots = w.row_dot(v)?;
            let minus: Vec<f64> = dots.iter().map(|d| -d).collect();
            w = S::lincomb(&[(1.0, &w), (1.0, &v.scale_rows(&minus)?)])?;
            for (column, dot) in columns.iter_mut().zip(&dots) {
                column.push(*dot);
            }
        }
        let mut left = norms(&w)?;
        for ((system, mut column), left) in systems.iter_mut().zip(columns).zip(&mut left) {
            column.push(*left);
            if !system.push(column) {
                *left = 0.0;
            }
        }
        basis.push(w.scale_rows(&inverse(&left))?);
    }
    let weights: Vec<Vec<f64>> = systems.iter().map(Hessenberg::solve).collect();
    let mut d = S::lincomb(&[(0.0, r)])?;
    for (k, v) in basis.iter().enumerate() {
        let of_rows: Vec<f64> = weights.iter().map(|w| w.get(k).copied().unwrap_or(0.0)).collect();
        if of_rows.iter().any(|w| *w != 0.0) {
            d = S::lincomb(&[(1.0, &d), (1.0, &v.scale_rows(&of_rows)?)])?;
        }
    }
    Ok(d)
}

/// Length of the differences, relative to the state: the root of double precision. States in single
/// precision lose digits in the derivative, which costs iterations and not accuracy.
const DIFFERENCE: f64 = 1e-7;

/// The least-squares problem of one row, kept triangular by rotations.
struct Hessenberg {
    columns: Vec<Vec<f64>>,
    rotations: Vec<(f64, f64)>,
    rhs: Vec<f64>,
    start: f64,
    closed: bool,
}

impl Hessenberg {
    fn new(norm: f64) -> Self {
        let closed = norm == 0.0 || !norm.is_finite();
        Self { columns: vec![], rotations: vec![], rhs: vec![norm], start: norm, closed }
    }

    /// Whether the row's linear problem is solved as far as Newton's method can use.
    fn solved(&self) -> bool {
        self.closed
    }

    /// Takes a column of the Hessenberg matrix; false when the row needs no more.
    fn push(&mut self, mut column: Vec<f64>) -> bool {
        if self.closed {
            return false;
        }
        for (i, (c, s)) in self.rotations.iter().enumerate() {
            let (a, b) = (column[i], column[i + 1]);
            (column[i], column[i + 1]) = (c * a + s * b, c * b - s * a);
        }
        let k = self.rotations.len();
        let (a, b) = (column[k], column[k + 1]);
        let norm = a.hypot(b);
        if norm == 0.0 || !norm.is_finite() {
            self.closed = true;
            return false;
        }
        let (c, s) = (a / norm, b / norm);
        column[k] = norm;
        column.truncate(k + 1);
        self.rotations.push((c, s));
        self.columns.push(column);
        let last = self.rhs[k];
        self.rhs[k] = c * last;
        self.rhs.push(-s * last);
        self.closed = (s * last).abs() <= 1e-9 * self.start;
        !self.closed
    }

    /// The weights of the basis.
    fn solve(&self) -> Vec<f64> {
        let n = self.columns.len();
        let mut w = vec![0.0; n];
        for i in (0..n).rev() {
            let later: f64 = (i + 1..n).map(|j| self.columns[j][i] * w[j]).sum();
            w[i] = (self.rhs[i] - later) / self.columns[i][i];
        }
        w
    }
}
