//! The network, and what can be asked of it.

mod parallel;

use super::Activation;
use super::isa::{Isa, dispatch};
use super::shape::{MAX_INPUTS, Shape};
use super::weights::{GradLayout, Gradients, Layer, LayerGradient, Weights};
use std::ops::Range;

use parallel::Scratch;
pub use parallel::{Coefficients, Samples};
pub(super) use parallel::{in_parts, over_chunks, wanted};

/// A multilayer perceptron `R^K -> R^O` with its kernels; see the [module](super).
///
/// # Shapes
/// Inputs are `[n][K]` row-major, in one slice; so are gradients with respect to them. Values and
/// tangents are `[n][O]`.
///
/// # Panics
/// All methods panic where the lengths of the slices do not fit each other, and those that are for a
/// single output where there are several.
///
/// ```
/// use score_nets::fused::{Activation, FusedMlp, Layer};
///
/// // N(u) = 2 tanh(u_0 - u_1)
/// let hidden = Layer { inputs: 2, outputs: 1, weight: &[1.0, -1.0], bias: &[0.0] };
/// let output = Layer { inputs: 1, outputs: 1, weight: &[2.0], bias: &[0.0] };
/// let mlp = FusedMlp::new(&[hidden, output], Activation::Tanh).unwrap();
/// let (mut value, mut grad) = ([0.0], [0.0; 2]);
/// mlp.value_and_grad(&[0.75, 0.25], Some(&mut value), &mut grad);
/// let tanh = 0.5f32.tanh();
/// assert!((value[0] - 2.0 * tanh).abs() < 1e-6);
/// assert!((grad[1] + 2.0 * (1.0 - tanh * tanh)).abs() < 1e-6);
/// ```
pub struct FusedMlp {
    pub(super) shape: Shape,
    pub(super) weights: Weights,
    pub(super) layout: GradLayout,
    pub(super) activation: Activation,
    pub(super) isa: Isa,
    pub(super) scratch: Scratch,
}

impl Clone for FusedMlp {
    fn clone(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            weights: self.weights.clone(),
            layout: self.layout.clone(),
            activation: self.activation,
            isa: self.isa,
            scratch: Scratch::default(),
        }
    }
}

impl std::fmt::Debug for FusedMlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FusedMlp")
            .field("inputs", &self.shape.inputs)
            .field("widths", &self.widths())
            .field("outputs", &self.shape.outputs())
            .field("activation", &self.activation)
            .field("isa", &self.isa)
            .finish_non_exhaustive()
    }
}

impl FusedMlp {
    /// The network with these layers, the output last, on the fastest instruction set of the
    /// machine; `None` where the kernels are not made for it: no hidden layer, more than
    /// [`MAX_INPUTS`] inputs, layers that do not fit each other, or a softplus whose beta is not a
    /// positive number.
    pub fn new(layers: &[Layer<'_>], activation: Activation) -> Option<Self> {
        Self::with_isa(layers, activation, Isa::detect())
    }

    /// The same on a given instruction set; `None` also where the machine does not have it.
    pub fn with_isa(layers: &[Layer<'_>], activation: Activation, isa: Isa) -> Option<Self> {
        let (_, hidden) = layers.split_last()?;
        let inputs = hidden.first()?.inputs;
        let fits = layers.windows(2).all(|w| w[0].outputs == w[1].inputs)
            && layers.iter().all(|l| l.inputs > 0 && l.outputs > 0)
            && inputs <= MAX_INPUTS;
        let qualifies = match activation {
            Activation::Softplus { beta } => beta.is_finite() && beta > 0.0,
            Activation::Silu | Activation::Tanh | Activation::Sin => true,
        };
        if !(fits && qualifies && isa.is_available()) {
            return None;
        }
        let shape = Shape::new(inputs, layers.iter().map(|l| l.outputs).collect(), isa);
        let weights = Weights::new(&shape, isa.max_vecs());
        let layout = GradLayout::new(&shape);
        let scratch = Scratch::default();
        let mut mlp = Self { shape, weights, layout, activation, isa, scratch };
        mlp.set_weights(layers);
        Some(mlp)
    }

    /// Takes new weights for the same layers.
    pub fn set_weights(&mut self, layers: &[Layer<'_>]) {
        assert_eq!(layers.len(), self.shape.layers() + 1, "the number of layers");
        for (l, layer) in layers.iter().enumerate() {
            let inputs = if l == 0 { self.shape.inputs } else { self.shape.widths[l - 1] };
            let outputs = self.shape.widths[l];
            assert_eq!([layer.outputs, layer.inputs], [outputs, inputs], "the shape of layer {l}");
            assert_eq!(layer.weight.len(), outputs * inputs, "the weights of layer {l}");
            assert_eq!(layer.bias.len(), outputs, "the biases of layer {l}");
        }
        self.weights.pack(&self.shape, layers);
    }

    /// Inputs of the network.
    pub fn inputs(&self) -> usize {
        self.shape.inputs
    }

    /// Units of each hidden layer.
    pub fn widths(&self) -> &[usize] {
        &self.shape.widths[..self.shape.layers()]
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// The instruction set of the kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Gradients for all layers, zero.
    pub fn zero_gradients(&self) -> Gradients {
        let mut inputs = self.shape.inputs;
        let layers = self.shape.widths.iter().map(|&outputs| {
            let weight = vec![0.0; inputs * outputs];
            inputs = outputs;
            LayerGradient { weight, bias: vec![0.0; outputs] }
        });
        Gradients { layers: layers.collect() }
    }

    /// The value (where it is wanted) and the gradient of each sample, on the calling thread.
    ///
    /// Without the value it is quicker by the activations of the last layer.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn value_and_grad(&self, u: &[f32], value: Option<&mut [f32]>, grad: &mut [f32]) {
        self.single_output("value_and_grad");
        self.check(u, &[(value.as_deref(), 1), (Some(grad), self.shape.inputs)]);
        let inputs = 0..self.shape.inputs;
        dispatch(self.isa, self.activation, parallel::Values { mlp: self, u, value, inputs, grad });
    }

    /// [`FusedMlp::value_and_grad`] on all threads of the pool.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn par_value_and_grad(&self, u: &[f32], value: Option<&mut [f32]>, grad: &mut [f32]) {
        self.check(u, &[(value.as_deref(), 1), (Some(grad), self.shape.inputs)]);
        let outputs = [value.unwrap_or_default(), grad];
        in_parts(self, [u], outputs, |[u], [value, grad]| {
            self.value_and_grad(u, wanted(value), grad);
        });
    }

    /// The gradient of each sample with respect to some of the inputs, `[samples][those]`, on the
    /// calling thread.
    ///
    /// # Panics
    /// If the network has several outputs, or not these inputs.
    pub fn grad(&self, u: &[f32], inputs: Range<usize>, grad: &mut [f32]) {
        self.single_output("grad");
        let k = self.shape.inputs;
        assert!(!inputs.is_empty() && inputs.end <= k, "inputs {inputs:?} of {k}");
        self.check(u, &[(Some(grad), inputs.len())]);
        let values = parallel::Values { mlp: self, u, value: None, inputs, grad };
        dispatch(self.isa, self.activation, values);
    }

    /// [`FusedMlp::grad`] on all threads of the pool.
    ///
    /// # Panics
    /// If the network has several outputs, or not these inputs.
    pub fn par_grad(&self, u: &[f32], inputs: Range<usize>, grad: &mut [f32]) {
        self.check(u, &[(Some(grad), inputs.len())]);
        in_parts(self, [u], [grad], |[u], [grad]| self.grad(u, inputs.clone(), grad));
    }

    /// The value (where it is wanted), the gradient, and the sum of the second derivatives
    /// `sum over i in inputs of d2N/du_i^2` of each sample, on the calling thread. Exact.
    ///
    /// A first-order term `m . grad N` needs no more than the gradient.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn laplacian(
        &self,
        u: &[f32],
        inputs: &[usize],
        value: Option<&mut [f32]>,
        grad: &mut [f32],
        laplacian: &mut [f32],
    ) {
        self.single_output("laplacian");
        let k = self.shape.inputs;
        self.check(u, &[(value.as_deref(), 1), (Some(grad), k), (Some(laplacian), 1)]);
        self.check_inputs(inputs);
        let job = parallel::Laplacians { mlp: self, u, inputs, value, grad, laplacian };
        dispatch(self.isa, self.activation, job);
    }

    /// [`FusedMlp::laplacian`] on all threads of the pool.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn par_laplacian(
        &self,
        u: &[f32],
        inputs: &[usize],
        value: Option<&mut [f32]>,
        grad: &mut [f32],
        laplacian: &mut [f32],
    ) {
        let k = self.shape.inputs;
        self.check(u, &[(value.as_deref(), 1), (Some(grad), k), (Some(laplacian), 1)]);
        let outputs = [value.unwrap_or_default(), grad, laplacian];
        in_parts(self, [u], outputs, |[u], [value, grad, laplacian]| {
            self.laplacian(u, inputs, wanted(value), grad, laplacian);
        });
    }

    /// The gradient of each sample and the product of its Hessian with a direction,
    /// `d/du (v . grad N)`, on the calling thread.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn hessian_product(&self, u: &[f32], v: &[f32], grad: &mut [f32], product: &mut [f32]) {
        self.single_output("hessian_product");
        let k = self.shape.inputs;
        self.check(u, &[(Some(v), k), (Some(grad), k), (Some(product), k)]);
        let job = parallel::HessianProducts { mlp: self, u, v, grad, product };
        dispatch(self.isa, self.activation, job);
    }

    /// [`FusedMlp::hessian_product`] on all threads of the pool.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn par_hessian_product(&self, u: &[f32], v: &[f32], grad: &mut [f32], product: &mut [f32]) {
        let k = self.shape.inputs;
        self.check(u, &[(Some(v), k), (Some(grad), k), (Some(product), k)]);
        in_parts(self, [u, v], [grad, product], |[u, v], [grad, product]| {
            self.hessian_product(u, v, grad, product);
        });
    }

    /// A loss of the gradients `grad N`, and its gradient with respect to all parameters.
    ///
    /// `cotangents` is called for each block of samples, from several threads: it writes
    /// `v = dL/d(grad N)`, `[samples][K]`, which starts as zero, and returns what the block adds to
    /// the loss. The gradients are added to `grads`; the sum of the losses is returned. For
    /// denoising score matching `v` is `(score - target) / n` at the inputs that are coordinates.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn gradient_loss(
        &self,
        u: &[f32],
        cotangents: impl Fn(Samples<'_>, &mut [f32]) -> f64 + Sync,
        grads: &mut Gradients,
    ) -> f64 {
        self.single_output("gradient_loss");
        self.check(u, &[]);
        parallel::gradient_loss(self, u, &cotangents, grads)
    }

    /// A loss of the operator `M = m . grad N + l sum over i in inputs of d2N/du_i^2` with
    /// coefficients of each sample, and its gradient with respect to all parameters, `m` and `l`
    /// held fixed.
    ///
    /// Both functions are called for each block of samples, from several threads: `coefficients`
    /// writes `m` and `l`, which start as zero, and `loss` gets `M` of each sample, writes
    /// `r = dL/dM`, and returns what the block adds to the loss. The gradients
    /// `sum of r dM/dtheta` are added to `grads`; the sum of the losses is returned.
    ///
    /// A residual that is quadratic in the gradient, `R = M_0 - |grad N|^2 / 2`, is covered: with
    /// `m` less the frozen `grad N` it is `R = M + |grad N|^2 / 2` in value, and `dR/dtheta` is
    /// `dM/dtheta`.
    ///
    /// # Panics
    /// If the network has several outputs.
    pub fn operator_loss(
        &self,
        u: &[f32],
        inputs: &[usize],
        coefficients: impl Fn(Samples<'_>, Coefficients<'_>) + Sync,
        loss: impl Fn(Samples<'_>, &[f32], &mut [f32]) -> f64 + Sync,
        grads: &mut Gradients,
    ) -> f64 {
        self.single_output("operator_loss");
        self.check(u, &[]);
        self.check_inputs(inputs);
        parallel::operator_loss(self, u, inputs, &coefficients, &loss, grads)
    }

    fn single_output(&self, what: &str) {
        let outputs = self.shape.outputs();
        assert_eq!(outputs, 1, "{what} is for networks with one output, this one has {outputs}");
    }

    /// Checks that `u` is whole samples and that the others have so many numbers a sample.
    pub(super) fn check(&self, u: &[f32], others: &[(Option<&[f32]>, usize)]) {
        let k = self.shape.inputs;
        assert!(u.len().is_multiple_of(k), "expected samples of {k} inputs, found {}", u.len());
        for &(slice, each) in others {
            let expected = u.len() / k * each;
            let found = slice.map_or(expected, <[f32]>::len);
            assert_eq!(found, expected, "expected {each} a sample");
        }
    }

    fn check_inputs(&self, inputs: &[usize]) {
        let k = self.shape.inputs;
        assert!(inputs.len() <= k && inputs.iter().all(|&i| i < k), "inputs {inputs:?} of {k}");
    }
}
