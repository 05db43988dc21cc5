//! A state with integrals along its path.

use sde_core::{Error, Key, Result, State, Tolerance};

/// Particles, and for each of them the integrals that are taken along its path: the state of a solve
/// of `(X, int q(X_t, t) dt)`. An integral carries no noise of its own, so random numbers in the shape
/// of this state are zero there, and a solver of SDEs integrates it as it stands.
///
/// The error norm is the larger of that of the particles and that of the integrals: neither is
/// diluted by the other, however many elements a particle has.
#[derive(Clone, Debug)]
pub struct Augmented<S> {
    /// The particles.
    pub x: S,
    /// `integrals[c][b]`: the integral number `c` of row `b`.
    pub integrals: Vec<Vec<f64>>,
}

impl<S: State> Augmented<S> {
    /// Particles with their integrals (or, as a slope, with the integrands).
    ///
    /// # Errors
    /// [`Error::Shape`] unless every integral has one entry a row.
    pub fn new(x: S, integrals: Vec<Vec<f64>>) -> Result<Self> {
        let rows = x.rows();
        match integrals.iter().find(|c| c.len() != rows) {
            Some(c) => Err(Error::Shape { expected: vec![rows], found: vec![c.len()] }),
            None => Ok(Self { x, integrals }),
        }
    }

    /// Particles at the start of a path, with `n` integrals of zero.
    pub fn start(x: S, n: usize) -> Self {
        let integrals = vec![vec![0.0; x.rows()]; n];
        Self { x, integrals }
    }

    /// The same rows of every integral.
    fn map(&self, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
        self.integrals.iter().map(|c| f(c)).collect()
    }

    fn fits(&self, other: &Self) -> Result<()> {
        let (expected, found) = (self.integrals.len(), other.integrals.len());
        if expected == found {
            return Ok(());
        }
        Err(Error::Shape { expected: vec![expected], found: vec![found] })
    }
}

impl<S: State> State for Augmented<S> {
    fn rows(&self) -> usize {
        self.x.rows()
    }

    fn row_len(&self) -> usize {
        self.x.row_len() + self.integrals.len()
    }

    fn lincomb(terms: &[(f64, &Self)]) -> Result<Self> {
        let first = terms[0].1;
        for (_, term) in terms {
            first.fits(term)?;
        }
        let x = S::lincomb(&terms.iter().map(|(a, s)| (*a, &s.x)).collect::<Vec<_>>())?;
        let entry =
            |c: usize, b: usize| terms.iter().map(|(a, s)| a * s.integrals[c][b]).sum::<f64>();
        let column = |c: usize| (0..x.rows()).map(|b| entry(c, b)).collect();
        let integrals = (0..first.integrals.len()).map(column).collect();
        Ok(Self { x, integrals })
    }

    fn scale_rows(&self, factors: &[f64]) -> Result<Self> {
        let x = self.x.scale_rows(factors)?;
        let integrals = self.map(|c| c.iter().zip(factors).map(|(v, f)| v * f).collect());
        Ok(Self { x, integrals })
    }

    fn weighted_rms(&self, a: &Self, b: &Self, tol: Tolerance) -> Result<f64> {
        self.fits(a)?;
        self.fits(b)?;
        let of_x = self.x.weighted_rms(&a.x, &b.x, tol)?;
        let (mut sum, mut n) = (0.0, 0_usize);
        for (e, (a, b)) in self.integrals.iter().zip(a.integrals.iter().zip(&b.integrals)) {
            for (e, (a, b)) in e.iter().zip(a.iter().zip(b)) {
                let (a, b) = (a.abs(), b.abs());
                let larger = if a > b || a.is_nan() { a } else { b };
                sum += (e / (tol.abs + tol.rel * larger)).powi(2);
                n += 1;
            }
        }
        let of_integrals = if n == 0 { 0.0 } else { (sum / n as f64).sqrt() };
        // `f64::max` would drop a NaN.
        Ok(if of_integrals > of_x || of_integrals.is_nan() { of_integrals } else { of_x })
    }

    fn row_dot(&self, other: &Self) -> Result<Vec<f64>> {
        self.fits(other)?;
        let mut dots = self.x.row_dot(&other.x)?;
        for (a, b) in self.integrals.iter().zip(&other.integrals) {
            dots.iter_mut().zip(a.iter().zip(b)).for_each(|(d, (a, b))| *d += a * b);
        }
        Ok(dots)
    }

    fn normals_like(&self, key: Key, first_row: u64) -> Result<Self> {
        let x = self.x.normals_like(key, first_row)?;
        Ok(Self { x, integrals: self.map(|c| vec![0.0; c.len()]) })
    }

    fn signs_like(&self, key: Key, first_row: u64) -> Result<Self> {
        let x = self.x.signs_like(key, first_row)?;
        Ok(Self { x, integrals: self.map(|c| vec![0.0; c.len()]) })
    }

    fn slice_rows(&self, start: usize, len: usize) -> Result<Self> {
        let x = self.x.slice_rows(start, len)?;
        Ok(Self { x, integrals: self.map(|c| c[start..start + len].to_vec()) })
    }

    fn concat_rows(parts: &[Self]) -> Result<Self> {
        for part in parts {
            parts[0].fits(part)?;
        }
        let x = S::concat_rows(&parts.iter().map(|p| p.x.clone()).collect::<Vec<_>>())?;
        let column = |c: usize| parts.iter().flat_map(|p| p.integrals[c].iter().copied()).collect();
        Ok(Self { x, integrals: (0..parts[0].integrals.len()).map(column).collect() })
    }

    fn all_finite(&self) -> Result<bool> {
        Ok(self.integrals.iter().flatten().all(|v| v.is_finite()) && self.x.all_finite()?)
    }
}
