//! One assembly of densities that are sums of simple components.

use ndarray::Array2;

use super::checker::Checker;
use super::components::{At, Components, Parts, Want};
use super::mixture::GaussianMixture;
use crate::{Derivatives, Error, Potential, Pullback, Result, Score, ScoreJvp, ScoreVjp, Sde};

/// Assembled from parts: `log p = log sum_k w_k p_k` and its derivatives, written with
/// responsibilities `r_k` and deviations `grad_k - s`, so that nothing large cancels.
struct Assembly<'c, C: Components> {
    components: &'c C,
    parts: Parts,
    r: Vec<f64>,
    score: Vec<f64>,
    log_density: f64,
}

impl<'c, C: Components> Assembly<'c, C> {
    fn new(components: &'c C) -> Self {
        let (k, d) = (components.count(), components.dim());
        let (per, each) = (vec![0.0; k], vec![0.0; k * d]);
        let parts = Parts {
            log: per.clone(),
            grad: each.clone(),
            trace: per.clone(),
            d_t: per.clone(),
            hv: each,
        };
        Self { components, parts, r: per, score: vec![0.0; d], log_density: 0.0 }
    }

    fn at(&mut self, prepared: &C::Prepared, x: &[f64], want: Want<'_>) {
        self.components.parts(prepared, x, want, &mut self.parts);
        let top = self.parts.log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for (r, l) in self.r.iter_mut().zip(&self.parts.log) {
            *r = (l - top).exp();
            sum += *r;
        }
        self.log_density = top + sum.ln();
        self.score.fill(0.0);
        for (r, g) in self.r.iter_mut().zip(self.parts.grad.chunks(x.len())) {
            *r /= sum;
            for (s, g) in self.score.iter_mut().zip(g) {
                *s += *r * g;
            }
        }
    }

    /// The Hessian of `log p` times `v`.
    fn jvp(&self, v: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let d = v.len();
        for ((r, g), hv) in
            self.r.iter().zip(self.parts.grad.chunks(d)).zip(self.parts.hv.chunks(d))
        {
            let along: f64 = g.iter().zip(&self.score).zip(v).map(|((g, s), v)| (g - s) * v).sum();
            for (((o, g), s), hv) in out.iter_mut().zip(g).zip(&self.score).zip(hv) {
                *o += r * (hv + (g - s) * along);
            }
        }
    }

    /// `E[x_0 | x]`, the components' expected data by responsibility.
    fn data(&mut self, prepared: &C::Prepared, x: &[f64], out: &mut [f64]) {
        let each = &mut self.parts.hv;
        self.components.data(prepared, x, each);
        out.fill(0.0);
        for (r, data) in self.r.iter().zip(each.chunks(x.len())) {
            out.iter_mut().zip(data).for_each(|(o, d)| *o += r * d);
        }
    }

    fn laplacian(&self) -> f64 {
        let d = self.score.len();
        let each = self.r.iter().zip(self.parts.grad.chunks(d)).zip(&self.parts.trace);
        each.map(|((r, g), trace)| {
            let spread: f64 = g.iter().zip(&self.score).map(|(g, s)| (g - s) * (g - s)).sum();
            r * (trace + spread)
        })
        .sum()
    }

    fn d_t(&self) -> f64 {
        self.r.iter().zip(&self.parts.d_t).map(|(r, d)| r * d).sum()
    }
}

#[derive(Clone)]
pub(super) enum Target {
    Mixture(GaussianMixture),
    Checker(Checker),
}

/// A closed-form `log p_t` of a target under a forward process, with all its derivatives.
///
/// For a density `sum_k w_k p_k` with responsibilities `r_k`:
/// `s = sum r_k grad log p_k`, `ds/dx = sum r_k (hess log p_k + (grad log p_k - s)(...)^T)`,
/// `d_t log p = sum r_k d_t log p_k`.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Score, Vp, analytic::DataSet};
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// assert!(score.score(&array![[0.0, 0.0]], 0.5)?.iter().all(|s| s.abs() < 1e-12));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone)]
pub struct AnalyticScore<'a> {
    sde: &'a dyn Sde,
    target: Target,
}

impl GaussianMixture {
    /// Its density at every time of `sde`.
    pub fn under<'a>(&self, sde: &'a dyn Sde) -> AnalyticScore<'a> {
        AnalyticScore::new(Target::Mixture(self.clone()), sde)
    }
}

impl<'a> AnalyticScore<'a> {
    pub(super) fn new(target: Target, sde: &'a dyn Sde) -> Self {
        Self { sde, target }
    }

    /// The dimension `D` of a point.
    pub fn dim(&self) -> usize {
        match &self.target {
            Target::Mixture(c) => c.dim(),
            Target::Checker(c) => c.dim(),
        }
    }

    /// The forward process.
    pub fn sde(&self) -> &'a dyn Sde {
        self.sde
    }

    /// `log p_t` of every row, normalised.
    ///
    /// # Errors
    /// As [`Score::score`].
    pub fn log_density(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        let mut out = Vec::with_capacity(x.nrows());
        self.rows(x, &[t], Row::Score, |row| out.push(row.log_density))?;
        Ok(out)
    }

    fn rows(
        &self,
        x: &Array2<f64>,
        t: &[f64],
        want: Row<'_>,
        each: impl FnMut(Found<'_>),
    ) -> Result<()> {
        match &self.target {
            Target::Mixture(c) => self.rows_of(c, x, t, want, each),
            Target::Checker(c) => self.rows_of(c, x, t, want, each),
        }
    }

    fn rows_of<C: Components>(
        &self,
        components: &C,
        x: &Array2<f64>,
        t: &[f64],
        want: Row<'_>,
        mut each: impl FnMut(Found<'_>),
    ) -> Result<()> {
        let d = components.dim();
        if x.ncols() != d {
            return Err(Error::Shape { expected: vec![x.nrows(), d], found: x.shape().to_vec() });
        }
        let x = x.as_standard_layout();
        let rows = x.as_slice().expect("standard layout").chunks(d.max(1));
        let mut assembly = Assembly::new(components);
        let mut more = vec![0.0; d];
        let mut now: Option<(f64, C::Prepared)> = None;
        for (b, x) in rows.enumerate() {
            let t = if t.len() == 1 { t[0] } else { t[b] };
            let prepared = match now.take() {
                Some((at, p)) if at == t => now.insert((at, p)),
                _ => now.insert((t, components.prepare(At::new(self.sde, t)?)?)),
            };
            let prepared = &prepared.1;
            match want {
                Row::Score => assembly.at(prepared, x, Want::Score),
                Row::Everything => assembly.at(prepared, x, Want::Everything),
                Row::Data => {
                    assembly.at(prepared, x, Want::Score);
                    assembly.data(prepared, x, &mut more);
                }
                Row::Jvp(v) => {
                    let v = v.row(b);
                    let v = v.as_slice().expect("standard layout");
                    assembly.at(prepared, x, Want::Jvp(v));
                    assembly.jvp(v, &mut more);
                }
            }
            each(Found {
                log_density: assembly.log_density,
                score: &assembly.score,
                more: &more,
                laplacian: if matches!(want, Row::Everything) { assembly.laplacian() } else { 0.0 },
                d_t: if matches!(want, Row::Everything) { assembly.d_t() } else { 0.0 },
            });
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Row<'a> {
    Score,
    Jvp(&'a Array2<f64>),
    Data,
    Everything,
}

struct Found<'a> {
    log_density: f64,
    score: &'a [f64],
    /// The Jacobian times the direction, or the expected data.
    more: &'a [f64],
    laplacian: f64,
    d_t: f64,
}

fn shaped(like: &Array2<f64>, data: Vec<f64>) -> Array2<f64> {
    Array2::from_shape_vec(like.dim(), data).expect("one entry an element")
}

impl Score<Array2<f64>> for AnalyticScore<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let mut s = Vec::with_capacity(x.len());
        self.rows(x, &[t], Row::Score, |row| s.extend_from_slice(row.score))?;
        Ok(shaped(x, s))
    }

    fn denoised(&self, x: &Array2<f64>, t: f64) -> Result<Option<Array2<f64>>> {
        let mut data = Vec::with_capacity(x.len());
        self.rows(x, &[t], Row::Data, |row| data.extend_from_slice(row.more))?;
        Ok(Some(shaped(x, data)))
    }
}

impl ScoreJvp<Array2<f64>> for AnalyticScore<'_> {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        t: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        if x.shape() != v.shape() {
            return Err(Error::Shape { expected: x.shape().to_vec(), found: v.shape().to_vec() });
        }
        let v = v.as_standard_layout().into_owned();
        let (mut s, mut jv) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.len()));
        self.rows(x, &[t], Row::Jvp(&v), |row| {
            s.extend_from_slice(row.score);
            jv.extend_from_slice(row.more);
        })?;
        Ok((shaped(x, s), shaped(x, jv)))
    }

    fn divergence(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        let mut out = Vec::with_capacity(x.nrows());
        self.rows(x, &[t], Row::Everything, |row| out.push(row.laplacian))?;
        Ok(out)
    }

    fn score_and_divergence(&self, x: &Array2<f64>, t: f64) -> Result<(Array2<f64>, Vec<f64>)> {
        let (mut s, mut trace) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.nrows()));
        self.rows(x, &[t], Row::Everything, |row| {
            s.extend_from_slice(row.score);
            trace.push(row.laplacian);
        })?;
        Ok((shaped(x, s), trace))
    }
}

impl ScoreVjp<Array2<f64>> for AnalyticScore<'_> {
    /// The Jacobian is a Hessian, and symmetric.
    fn score_vjp(
        &self,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<(Array2<f64>, Pullback<'_, Array2<f64>>)> {
        let (s, at) = (self.score(x, t)?, x.clone());
        Ok((s, Box::new(move |v: &Array2<f64>| Ok(self.score_jvp(&at, t, v)?.1))))
    }
}

impl Potential<Array2<f64>> for AnalyticScore<'_> {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        if t.len() != x.nrows() {
            return Err(Error::Shape { expected: vec![x.nrows()], found: vec![t.len()] });
        }
        let (mut potential, mut d_t, mut laplacian) = (vec![], vec![], vec![]);
        let mut s = Vec::with_capacity(x.len());
        self.rows(x, t, Row::Everything, |row| {
            potential.push(row.log_density);
            s.extend_from_slice(row.score);
            d_t.push(row.d_t);
            laplacian.push(row.laplacian);
        })?;
        Ok(Derivatives { potential, score: shaped(x, s), d_t, laplacian })
    }
}

#[cfg(feature = "candle")]
mod tensor {
    //! The same for tensors `[B, D]`, computed on the host in `f64`.

    use candle_core::{DType, Device, Tensor};

    use super::*;

    fn host(x: &Tensor) -> Result<Array2<f64>> {
        let shape = match *x.dims() {
            [b, d] => (b, d),
            ref other => {
                return Err(Error::Shape { expected: vec![x.dim(0)?, 2], found: other.to_vec() });
            }
        };
        let flat = x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        Ok(Array2::from_shape_vec(shape, flat).expect("as many elements as the shape has"))
    }

    fn back(x: Array2<f64>, like: &Tensor) -> Result<Tensor> {
        let shape = x.dim();
        let flat = x.into_raw_vec_and_offset().0;
        Ok(Tensor::from_vec(flat, shape, &Device::Cpu)?
            .to_dtype(like.dtype())?
            .to_device(like.device())?)
    }

    impl Score<Tensor> for AnalyticScore<'_> {
        fn score(&self, x: &Tensor, t: f64) -> Result<Tensor> {
            back(self.score(&host(x)?, t)?, x)
        }

        fn denoised(&self, x: &Tensor, t: f64) -> Result<Option<Tensor>> {
            self.denoised(&host(x)?, t)?.map(|data| back(data, x)).transpose()
        }
    }

    impl ScoreJvp<Tensor> for AnalyticScore<'_> {
        fn score_jvp(&self, x: &Tensor, t: f64, v: &Tensor) -> Result<(Tensor, Tensor)> {
            let (s, jv) = self.score_jvp(&host(x)?, t, &host(v)?)?;
            Ok((back(s, x)?, back(jv, x)?))
        }

        fn divergence(&self, x: &Tensor, t: f64) -> Result<Vec<f64>> {
            self.divergence(&host(x)?, t)
        }
    }

    impl ScoreVjp<Tensor> for AnalyticScore<'_> {
        fn score_vjp(&self, x: &Tensor, t: f64) -> Result<(Tensor, Pullback<'_, Tensor>)> {
            let (s, at) = (self.score(x, t)?, x.clone());
            Ok((s, Box::new(move |v: &Tensor| Ok(self.score_jvp(&at, t, v)?.1))))
        }
    }

    impl Potential<Tensor> for AnalyticScore<'_> {
        fn derivatives(&self, x: &Tensor, t: &[f64]) -> Result<Derivatives<Tensor>> {
            let d = self.derivatives(&host(x)?, t)?;
            Ok(Derivatives {
                potential: d.potential,
                score: back(d.score, x)?,
                d_t: d.d_t,
                laplacian: d.laplacian,
            })
        }
    }
}
