//! The trait of networks: a function of a noised batch and one number a row.

use candle_core::{DType, Tensor, Var};
use sde_core::Key;

use crate::{Error, Jet, Result};

/// Where the noise of training (dropout) comes from: row `b` of a batch is row `first_row + b` of the key.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// The key of this step.
    pub key: Key,
    /// Number of the batch's first row.
    pub first_row: u64,
}

/// What a network is told beside its inputs.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// The classes of the rows: `[B]` of integers, or `[B, K]` of weights (one-hot rows; a row of zeros is a row
    /// without a class). `None`: no row has a class.
    pub labels: Option<Tensor>,
    /// Present in training; without it nothing is random.
    pub training: Option<Training>,
}

impl Condition {
    /// Rows of given classes, `[B]` or `[B, K]`, evaluated.
    pub fn labels(labels: Tensor) -> Self {
        Self { labels: Some(labels), training: None }
    }

    /// The weights `[B, K]` of `n_classes` classes as `dtype`; `None` without labels.
    ///
    /// # Errors
    /// [`Error::Setting`] for a label that is no class; [`Error::Shape`] for another number of rows or columns.
    pub fn one_hot(&self, rows: usize, n_classes: usize, like: &Tensor) -> Result<Option<Tensor>> {
        let Some(labels) = &self.labels else { return Ok(None) };
        let shape = |expected: Vec<usize>| Error::Shape {
            what: "labels".into(),
            expected,
            found: labels.dims().to_vec(),
        };
        if labels.rank() == 2 {
            if labels.dims() != [rows, n_classes] {
                return Err(shape(vec![rows, n_classes]));
            }
            return Ok(Some(labels.to_dtype(like.dtype())?.to_device(like.device())?));
        }
        if labels.dims() != [rows] {
            return Err(shape(vec![rows]));
        }
        let classes = labels.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let mut weights = vec![0.0; rows * n_classes];
        for (class, row) in classes.iter().zip(weights.chunks_mut(n_classes.max(1))) {
            if !(*class >= 0.0 && *class < n_classes as f64 && class.fract() == 0.0) {
                let reason = format!("must be one of the classes 0 to {}", n_classes.max(1) - 1);
                return Err(Error::setting("label", class, reason));
            }
            row[*class as usize] = 1.0;
        }
        let weights = Tensor::from_vec(weights, (rows, n_classes), &candle_core::Device::Cpu)?;
        Ok(Some(weights.to_dtype(like.dtype())?.to_device(like.device())?))
    }
}

/// A function `y = F(x; c, condition)` of a batch of rows and one number `c` a row, the noise level as the network
/// sees it.
///
/// One method is asked for, the forward pass of [`Jet`]s; what derivatives there are follow from it. A network
/// holds tensors that it got from a [`VarBuilder`](candle_nn::VarBuilder) ([`crate::Parameters`]) and nothing that
/// changes.
///
/// # Shapes
/// `x` is `[B, ...]` with [`Network::row_shape`] after the first dimension, `c` is `[B]`; a derivative has the
/// shape of what it is a derivative of.
///
/// ```
/// use candle_core::{DType, Tensor};
/// use candle_nn::{VarBuilder, init::DEFAULT_KAIMING_UNIFORM};
/// use score_nets::{Activation, Backend, Condition, Jet, Network, Parameters, Result, jvp};
/// use sde_core::Key;
///
/// /// `W_2 tanh(W_1 x + u c)`.
/// struct Tiny { w1: Tensor, u: Tensor, w2: Tensor }
///
/// impl Tiny {
///     fn new(vb: VarBuilder) -> Result<Self> {
///         let get = |shape: (usize, usize), name: &str| vb.get_with_hints(shape, name, DEFAULT_KAIMING_UNIFORM);
///         Ok(Self { w1: get((16, 2), "w1")?, u: get((16, 1), "u")?, w2: get((2, 16), "w2")? })
///     }
/// }
///
/// impl Network for Tiny {
///     fn row_shape(&self) -> Vec<usize> {
///         vec![2]
///     }
///
///     fn forward(&self, x: &Jet, c: &Jet, _: &Condition) -> Result<Jet> {
///         let level = c.map(|c| Ok(c.unsqueeze(1)?))?.linear(&self.u, None)?;
///         let h = x.linear(&self.w1, None)?.add(&level)?.activate(Activation::Tanh)?;
///         h.linear(&self.w2, None)
///     }
/// }
///
/// let backend = Backend::cpu_f64();
/// let parameters = Parameters::initial(Key::root(1), &backend, |vb| Ok(Tiny::new(vb)?.buffers()))?;
/// let net = Tiny::new(parameters.detached())?;
/// let x = backend.tensor(vec![0.5, -1.0], &[1, 2])?;
/// let (c, dx) = (backend.tensor(vec![0.1], &[1])?, backend.tensor(vec![1.0, 0.0], &[1, 2])?);
/// let (y, dy) = jvp(&net, &x, &c, &Condition::default(), Some(&dx), None)?;
/// let step = net.forward(&Jet::constant((&x + (&dx * 1e-6)?)?), &Jet::constant(c), &Condition::default())?;
/// let difference = (((step.value - y)? * 1e6)? - dy)?.abs()?.max_all()?.to_scalar::<f64>()?;
/// assert!(difference < 1e-5);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub trait Network: Send + Sync {
    /// The shape of a row of `x`: `[D]`, `[C, H, W]`.
    fn row_shape(&self) -> Vec<usize>;

    /// The shape of a row of the output; that of the input unless said otherwise.
    fn out_shape(&self) -> Vec<usize> {
        self.row_shape()
    }

    /// Number of classes; 0 for a network that takes no labels.
    fn n_classes(&self) -> usize {
        0
    }

    /// The output, with derivatives along the directions of the inputs.
    ///
    /// # Errors
    /// Whatever does not fit: shapes, labels.
    fn forward(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet>;

    /// What the last linear map of a classifier is applied to, `[B, F]`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network that has none; as [`Network::forward`].
    fn features(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet> {
        let _ = (x, c, condition);
        let needs = "a classifier, or a residual network of rows".into();
        Err(Error::Unsupported { what: "a last layer of features", needs })
    }

    /// The names of the tensors that are part of the network and not trained.
    fn buffers(&self) -> Vec<String> {
        Vec::new()
    }

    /// The names of parameters whose gradient vanishes identically, each with the reason: biases that a
    /// normalisation takes off again, keys that a softmax does not see.
    fn without_gradient(&self) -> Vec<(String, &'static str)> {
        Vec::new()
    }
}

/// Checks a batch against the shape of a network's rows, and its condition against its classes; returns `B`.
///
/// # Errors
/// [`Error::Shape`] for another shape of `x` or `c`; [`Error::Unsupported`] for labels that the network has no
/// classes for, [`Error::Setting`] for a label out of range.
pub fn check_inputs(
    net: &dyn Network,
    x: &Tensor,
    c: &Tensor,
    condition: &Condition,
) -> Result<usize> {
    let rows = x.dims().first().copied().unwrap_or(0);
    let shape = |what: &str, expected: Vec<usize>, found: &Tensor| Error::Shape {
        what: what.into(),
        expected,
        found: found.dims().to_vec(),
    };
    let expected: Vec<usize> = [rows].into_iter().chain(net.row_shape()).collect();
    if x.dims() != expected {
        return Err(shape("batch x", expected, x));
    }
    if c.dims() != [rows] {
        return Err(shape("noise levels c", vec![rows], c));
    }
    if condition.labels.is_some() {
        if net.n_classes() == 0 {
            let needs = "a network with classes, which this is not".into();
            return Err(Error::Unsupported { what: "a batch with labels", needs });
        }
        condition.one_hot(rows, net.n_classes(), x)?;
    }
    Ok(rows)
}

/// `F` and its derivative along `(dx, dc)`, either of which may be absent.
///
/// # Errors
/// Whatever the network fails with.
pub fn jvp(
    net: &dyn Network,
    x: &Tensor,
    c: &Tensor,
    condition: &Condition,
    dx: Option<&Tensor>,
    dc: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let x = Jet::partial(x.clone(), vec![dx.cloned()], vec![]);
    let c = Jet::partial(c.clone(), vec![dc.cloned()], vec![]);
    let y = net.forward(&x, &c, condition)?;
    let dy = y.first_or_zero(0)?;
    Ok((y.value, dy))
}

/// What a vector-Jacobian product gives.
#[derive(Clone, Debug)]
pub struct Vjp {
    /// `y = F(x; c)`.
    pub value: Tensor,
    /// `(dF/dx)^T v`, in the shape of `x`.
    pub x: Tensor,
    /// `<v, dF/dc>` of every row, `[B]`.
    pub c: Tensor,
}

/// `F` and the products of a cotangent `v` with its derivatives, by one backward pass. `net` should be built from
/// [`Parameters::detached`](crate::Parameters::detached): no gradient of a parameter is computed then.
///
/// # Errors
/// [`Error::Shape`] when `v` has not the shape of the output; whatever the network fails with.
pub fn vjp(
    net: &dyn Network,
    x: &Tensor,
    c: &Tensor,
    condition: &Condition,
    v: &Tensor,
) -> Result<Vjp> {
    let (x, c) = (Var::from_tensor(&x.detach())?, Var::from_tensor(&c.detach())?);
    let at = |v: &Var| Jet::constant(v.as_tensor().clone());
    let y = net.forward(&at(&x), &at(&c), condition)?.value;
    if y.dims() != v.dims() {
        let (expected, found) = (y.dims().to_vec(), v.dims().to_vec());
        return Err(Error::Shape { what: "cotangent v".into(), expected, found });
    }
    let mut store = (&y * v.detach())?.sum_all()?.backward()?;
    let mut gradient = |of: &Var| match store.remove(of.as_tensor()) {
        Some(g) => Ok(g.detach()),
        None => of.as_detached_tensor().zeros_like(),
    };
    Ok(Vjp { x: gradient(&x)?, c: gradient(&c)?, value: y.detach() })
}
