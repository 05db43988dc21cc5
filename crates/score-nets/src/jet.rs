//! Derivatives with respect to inputs, carried forward through a network.

use std::sync::Arc;

use candle_core::Tensor;

use crate::{Activation, Error, Result, ops};

/// `(a, b, w)`: `w` times the mixed second derivative along directions `a` and `b`.
type Term = (usize, usize, f64);

/// A tensor together with derivatives along directions of the network's input.
///
/// candle has no second derivatives by design, so they travel forward: `first[a]` is the derivative
/// along direction `a`, and `second[c]` the combination
/// `sum w D^2[v_a, v_b]` over the terms `(a, b, w)` of `terms[c]`: a Laplacian, a mixed
/// derivative, `v^T H v`. All of it is made of ordinary operations, so one `backward()` gives the
/// gradient of anything built from a jet with respect to the parameters.
///
/// A network written for jets has all its derivatives: without directions a jet is a tensor and costs what a
/// tensor costs. Every layer is one of three operations: a linear map ([`Jet::map`]), a function of one element
/// ([`Jet::apply`]), a product ([`Jet::bilinear`]).
///
/// # Shapes
/// All tensors have the shape of `value`, or one that broadcasts to it where a derivative is the same for every
/// sample. `None` is a derivative that vanishes identically, and so is every one past the end.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use score_nets::Jet;
/// // y = x^2 at 3 along 1: derivatives 6 and 2.
/// let at = |v: f64| Tensor::from_vec(vec![v], 1, &Device::Cpu);
/// let x = Jet::input(at(3.0)?, vec![at(1.0)?], vec![vec![(0, 0, 1.0)]]);
/// let y = x.mul(&x)?;
/// let number = |t: Option<&Tensor>| t.expect("does not vanish").to_vec1::<f64>().map(|v| v[0]);
/// assert_eq!((number(y.first(0))?, number(y.second(0))?), (6.0, 2.0));
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Jet {
    /// The value.
    pub value: Tensor,
    first: Vec<Option<Tensor>>,
    second: Vec<Option<Tensor>>,
    terms: Arc<Vec<Vec<Term>>>,
}

/// The combinations of two jets that meet: those of either where the other has none.
fn common(a: &Arc<Vec<Vec<Term>>>, b: &Arc<Vec<Vec<Term>>>) -> Result<Arc<Vec<Vec<Term>>>> {
    match (a.is_empty(), b.is_empty()) {
        (_, true) => Ok(a.clone()),
        (true, _) => Ok(b.clone()),
        _ if a == b => Ok(a.clone()),
        _ => {
            let needs = "jets with the same combinations of second derivatives".into();
            Err(Error::Unsupported { what: "an operation on two jets", needs })
        }
    }
}

/// `a + b`, where either may vanish.
fn sum(a: Option<Tensor>, b: Option<Tensor>) -> Result<Option<Tensor>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some(ops::add(&a, &b)?),
        (a, b) => a.or(b),
    })
}

impl Jet {
    /// The jet of the network's input itself.
    ///
    /// # Panics
    /// When a term names a direction that is not there.
    pub fn input(value: Tensor, directions: Vec<Tensor>, terms: Vec<Vec<Term>>) -> Self {
        Self::partial(value, directions.into_iter().map(Some).collect(), terms)
    }

    /// As [`Jet::input`], for one of several inputs: a direction that moves only the others is `None`.
    ///
    /// # Panics
    /// When a term names a direction that is not there.
    pub fn partial(value: Tensor, directions: Vec<Option<Tensor>>, terms: Vec<Vec<Term>>) -> Self {
        let n = directions.len();
        assert!(terms.iter().flatten().all(|&(a, b, _)| a < n && b < n), "term without direction");
        Self { value, first: directions, second: vec![None; terms.len()], terms: Arc::new(terms) }
    }

    /// A value that moves along no direction.
    pub fn constant(value: Tensor) -> Self {
        Self { value, first: Vec::new(), second: Vec::new(), terms: Arc::default() }
    }

    /// Whether every derivative vanishes identically.
    pub fn is_constant(&self) -> bool {
        self.first.iter().chain(&self.second).all(Option::is_none)
    }

    /// Directions that are counted, whether the value moves along them or not.
    pub fn n_directions(&self) -> usize {
        self.first.len()
    }

    /// Combinations of second derivatives that are carried.
    pub fn n_combinations(&self) -> usize {
        self.terms.len()
    }

    /// The derivative along direction `a`; `None` where it vanishes identically.
    pub fn first(&self, a: usize) -> Option<&Tensor> {
        self.first.get(a)?.as_ref()
    }

    /// The combination `c` of second derivatives; `None` where it vanishes identically.
    pub fn second(&self, c: usize) -> Option<&Tensor> {
        self.second.get(c)?.as_ref()
    }

    /// [`Jet::first`] in the shape of the value, zeros where it vanishes.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn first_or_zero(&self, a: usize) -> Result<Tensor> {
        self.full(self.first(a))
    }

    /// [`Jet::second`] in the shape of the value, zeros where it vanishes.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn second_or_zero(&self, c: usize) -> Result<Tensor> {
        self.full(self.second(c))
    }

    fn full(&self, derivative: Option<&Tensor>) -> Result<Tensor> {
        match derivative {
            None => Ok(self.value.detach().zeros_like()?),
            Some(t) if t.dims() == self.value.dims() => Ok(t.clone()),
            Some(t) => Ok(t.broadcast_as(self.value.shape())?),
        }
    }

    /// `value` in the place of this jet's, with the derivatives it has.
    fn with(&self, value: Tensor, first: Vec<Option<Tensor>>, second: Vec<Option<Tensor>>) -> Self {
        Self { value, first, second, terms: self.terms.clone() }
    }

    /// Through a linear map of tensors.
    ///
    /// # Errors
    /// Whatever `linear` fails with.
    pub fn map(&self, linear: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        self.affine(linear(&self.value)?, linear)
    }

    /// Through an affine map whose value is known: the derivatives go through its `linear` part.
    ///
    /// # Errors
    /// Whatever `linear` fails with.
    pub fn affine(
        &self,
        value: Tensor,
        linear: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let each = |d: &Option<Tensor>| d.as_ref().map(&linear).transpose();
        let first = self.first.iter().map(each).collect::<Result<_>>()?;
        let second = self.second.iter().map(each).collect::<Result<_>>()?;
        Ok(self.with(value, first, second))
    }

    /// Through a layer `W x + b` of the last dimension, `w` `[O, I]`, `b` `[O]`: [`ops::linear`].
    ///
    /// # Errors
    /// As [`ops::linear`].
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use score_nets::{Activation, Jet};
    /// let w = Tensor::new(&[[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]], &Device::Cpu)?;
    /// let x = Tensor::new(&[[0.3, 0.1]], &Device::Cpu)?;
    /// let x = Jet::input(x, vec![Tensor::new(&[[1.0, 0.0]], &Device::Cpu)?], vec![]);
    /// let z = x.linear(&w, None)?;
    /// assert_eq!(z.first_or_zero(0)?.to_vec2::<f64>()?, [[1.0, 0.5, 0.0]]);
    /// assert_eq!(z.activate(Activation::Silu)?.value.dims(), [1, 3]);
    /// # Ok::<(), score_nets::Error>(())
    /// ```
    pub fn linear(&self, w: &Tensor, b: Option<&Tensor>) -> Result<Self> {
        let value = ops::linear(&self.value, w, b)?;
        self.affine(value, |d| ops::linear(d, w, None))
    }

    /// These derivatives with the same value computed another way.
    pub(crate) fn replace(&self, value: Tensor) -> Result<Self> {
        self.affine(value, |t| Ok(t.clone()))
    }

    /// Through a function `f` of single elements with derivatives `f'` and `f''`, all given at the value.
    ///
    /// `h_a = f' z_a` and `h_c = f' z_c + f'' sum w z_a z_b`; `f''` is asked for where it is needed.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn apply(
        &self,
        value: Tensor,
        d1: impl FnOnce() -> Result<Tensor>,
        d2: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Self> {
        if self.is_constant() {
            return Ok(Self { value, ..self.clone() });
        }
        let d1 = d1()?;
        let d2 = if self.terms.is_empty() { None } else { Some(d2()?) };
        let along = |z: &Option<Tensor>| z.as_ref().map(|z| ops::mul(z, &d1)).transpose();
        let first = self.first.iter().map(along).collect::<Result<_>>()?;
        let bend = |c: Tensor| match &d2 {
            Some(d2) => ops::mul(&c, d2),
            None => Ok(c),
        };
        let second = self.bent(along, bend)?;
        Ok(self.with(value, first, second))
    }

    /// Second derivatives behind a function of single elements: `along` the second derivatives before it plus
    /// `bend` of `sum w z_a z_b`.
    fn bent(
        &self,
        along: impl Fn(&Option<Tensor>) -> Result<Option<Tensor>>,
        bend: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Vec<Option<Tensor>>> {
        let mut second = Vec::with_capacity(self.terms.len());
        for (terms, s) in self.terms.iter().zip(&self.second) {
            let mut curvature: Option<Tensor> = None;
            for &(a, b, w) in terms {
                let (Some(za), Some(zb)) = (self.first(a), self.first(b)) else { continue };
                let product = ops::mul(za, zb)?;
                let product = if w == 1.0 { product } else { (product * w)? };
                curvature = sum(curvature, Some(product))?;
            }
            second.push(sum(along(s)?, curvature.map(&bend).transpose()?)?);
        }
        Ok(second)
    }

    /// Through an activation.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn activate(&self, activation: Activation) -> Result<Self> {
        self.activated(ops::activation(&self.value, activation, 0)?, activation)
    }

    /// Through an activation whose value is known.
    pub(crate) fn activated(&self, value: Tensor, activation: Activation) -> Result<Self> {
        let times = |t: &Tensor, order| ops::activation_times(&self.value, t, activation, order);
        let along = |t: &Option<Tensor>| t.as_ref().map(|t| times(t, 1)).transpose();
        let first = self.first.iter().map(along).collect::<Result<_>>()?;
        let second = self.bent(along, |c| times(&c, 2))?;
        Ok(self.with(value, first, second))
    }

    /// Through a bilinear map of two tensors: a product by elements, of matrices, of kernels and queries.
    ///
    /// `h_a = B(x_a, y) + B(x, y_a)`, `h_c = B(x_c, y) + B(x, y_c) + sum w (B(x_a, y_b) + B(x_b, y_a))`.
    ///
    /// # Errors
    /// Whatever `product` fails with; [`Error::Unsupported`] when both jets have second derivatives, of
    /// different combinations.
    pub fn bilinear(
        &self,
        other: &Self,
        product: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let value = product(&self.value, &other.value)?;
        let terms = common(&self.terms, &other.terms)?;
        let cross = |a: Option<&Tensor>, b: Option<&Tensor>| match (a, b) {
            (Some(a), Some(b)) => product(a, b).map(Some),
            _ => Ok(None),
        };
        let (x, y) = (Some(&self.value), Some(&other.value));
        let n = self.first.len().max(other.first.len());
        let first = (0..n)
            .map(|a| sum(cross(self.first(a), y)?, cross(x, other.first(a))?))
            .collect::<Result<_>>()?;
        let mut second = Vec::with_capacity(terms.len());
        for (c, terms) in terms.iter().enumerate() {
            let mut h = sum(cross(self.second(c), y)?, cross(x, other.second(c))?)?;
            for &(a, b, w) in terms {
                let pair = sum(
                    cross(self.first(a), other.first(b))?,
                    cross(self.first(b), other.first(a))?,
                )?;
                let pair = match pair {
                    Some(p) if w != 1.0 => Some((p * w)?),
                    pair => pair,
                };
                h = sum(h, pair)?;
            }
            second.push(h);
        }
        Ok(Self { value, first, second, terms })
    }

    /// The product by elements, either broadcast to the other.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        self.bilinear(other, ops::mul)
    }

    /// The product of matrices (the last two dimensions).
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        self.bilinear(other, |a, b| Ok(a.broadcast_matmul(b)?))
    }

    /// The sum, either broadcast to the other.
    ///
    /// # Errors
    /// As [`Jet::bilinear`].
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.combine(other, ops::add)
    }

    /// A map that is linear in both jets together, and its `value`: `join(a, b)` of two tensors.
    fn combine(
        &self,
        other: &Self,
        join: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let value = join(&self.value, &other.value)?;
        let terms = common(&self.terms, &other.terms)?;
        let pair = |a: Option<&Tensor>, b: Option<&Tensor>| match (a, b) {
            (Some(a), Some(b)) => join(a, b).map(Some),
            // What moves one summand alone moves every element that it was broadcast to.
            (None, Some(one)) | (Some(one), None) => Ok(Some(one.broadcast_as(value.shape())?)),
            (None, None) => Ok(None),
        };
        let n = self.first.len().max(other.first.len());
        let first = (0..n).map(|a| pair(self.first(a), other.first(a))).collect::<Result<_>>()?;
        let second = (0..terms.len())
            .map(|c| pair(self.second(c), other.second(c)))
            .collect::<Result<_>>()?;
        Ok(Self { value, first, second, terms })
    }

    /// The difference, either broadcast to the other.
    ///
    /// # Errors
    /// As [`Jet::bilinear`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.add(&other.scale(-1.0)?)
    }

    /// `factor` times this.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        self.map(|t| Ok((t * factor)?))
    }

    /// This plus a constant tensor.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn shift(&self, by: &Tensor) -> Result<Self> {
        self.affine(self.value.broadcast_add(by)?, |t| Ok(t.clone()))
    }

    /// Jets side by side along dimension `dim`.
    ///
    /// # Errors
    /// Whatever candle fails with; [`Error::Unsupported`] as in [`Jet::bilinear`].
    pub fn cat(parts: &[&Self], dim: usize) -> Result<Self> {
        let values: Vec<&Tensor> = parts.iter().map(|p| &p.value).collect();
        let value = Tensor::cat(&values, dim)?;
        let mut terms = Arc::default();
        for part in parts {
            terms = common(&terms, &part.terms)?;
        }
        let n = parts.iter().map(|p| p.first.len()).max().unwrap_or(0);
        let join = |get: &dyn Fn(&Self) -> Option<Tensor>| -> Result<Option<Tensor>> {
            if parts.iter().all(|p| get(p).is_none()) {
                return Ok(None);
            }
            let full = parts.iter().map(|p| p.full(get(p).as_ref()));
            Ok(Some(Tensor::cat(&full.collect::<Result<Vec<_>>>()?, dim)?))
        };
        let first = (0..n).map(|a| join(&|p| p.first(a).cloned())).collect::<Result<_>>()?;
        let second =
            (0..terms.len()).map(|c| join(&|p| p.second(c).cloned())).collect::<Result<_>>()?;
        Ok(Self { value, first, second, terms })
    }
}
