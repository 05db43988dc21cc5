//! What can be asked of a network with any number of outputs, and how it is computed.

use super::activation::Act;
use super::block::Block;
use super::denormals::Flushed;
use super::isa::{Job, dispatch};
use super::mlp::{FusedMlp, in_parts, over_chunks, wanted};
use super::simd::Simd;
use super::weights::Gradients;

/// Some consecutive samples and their values, as the function that defines a loss of the outputs
/// sees them.
#[derive(Clone, Copy, Debug)]
pub struct OutputSamples<'a> {
    /// The number of the first.
    pub first: usize,
    /// How many they are.
    pub count: usize,
    /// Their inputs, `[count][K]`.
    pub u: &'a [f32],
    /// The outputs of the network there, `[count][O]`.
    pub values: &'a [f32],
}

/// For any number of outputs.
impl FusedMlp {
    /// Outputs of the network.
    pub fn outputs(&self) -> usize {
        self.shape.outputs()
    }

    /// The outputs `N` of each sample, `[n][O]`, on the calling thread.
    ///
    /// ```
    /// use score_nets::fused::{Activation, FusedMlp, Layer};
    ///
    /// // N(u) = (h, 1 - 3 h), h = sin(u)
    /// let hidden = Layer { inputs: 1, outputs: 1, weight: &[1.0], bias: &[0.0] };
    /// let output = Layer { inputs: 1, outputs: 2, weight: &[1.0, -3.0], bias: &[0.0, 1.0] };
    /// let mlp = FusedMlp::new(&[hidden, output], Activation::Sin).unwrap();
    /// let (mut values, mut tangents) = ([0.0; 2], [0.0; 2]);
    /// mlp.values(&[0.5], &mut values);
    /// assert!((values[1] - (1.0 - 3.0 * 0.5f32.sin())).abs() < 1e-6);
    /// mlp.tangent(&[0.5], &[2.0], &mut values, &mut tangents);
    /// assert!((tangents[1] + 6.0 * 0.5f32.cos()).abs() < 1e-6);
    /// ```
    pub fn values(&self, u: &[f32], values: &mut [f32]) {
        self.check(u, &[(Some(values), self.outputs())]);
        dispatch(self.isa, self.activation, Outputs { mlp: self, u, values });
    }

    /// [`FusedMlp::values`] on all threads of the pool.
    pub fn par_values(&self, u: &[f32], values: &mut [f32]) {
        self.check(u, &[(Some(values), self.outputs())]);
        in_parts(self, [u], [values], |[u], [values]| self.values(u, values));
    }

    /// The outputs of each sample and the product `J v` of their Jacobian with a direction, on the
    /// calling thread.
    ///
    /// # Shapes
    /// `v` is `[n][K]`; `values` and `tangents` are `[n][O]`.
    pub fn tangent(&self, u: &[f32], v: &[f32], values: &mut [f32], tangents: &mut [f32]) {
        let (k, o) = (self.inputs(), self.outputs());
        self.check(u, &[(Some(v), k), (Some(values), o), (Some(tangents), o)]);
        let job = Tangents { mlp: self, u, v, values, tangents };
        dispatch(self.isa, self.activation, job);
    }

    /// [`FusedMlp::tangent`] on all threads of the pool.
    pub fn par_tangent(&self, u: &[f32], v: &[f32], values: &mut [f32], tangents: &mut [f32]) {
        let (k, o) = (self.inputs(), self.outputs());
        self.check(u, &[(Some(v), k), (Some(values), o), (Some(tangents), o)]);
        in_parts(self, [u, v], [values, tangents], |[u, v], [values, tangents]| {
            self.tangent(u, v, values, tangents);
        });
    }

    /// The outputs of each sample (where they are wanted) and a sum of entries of their Jacobian,
    /// `sum over (i, o) in pairs of dN_o/du_i`, on the calling thread. Exact, at the price of a
    /// tangent for each pair.
    ///
    /// # Shapes
    /// `values` is `[n][O]`, `trace` `[n]`.
    ///
    /// # Panics
    /// If a pair is not an input and an output of the network.
    pub fn trace(
        &self,
        u: &[f32],
        pairs: &[(usize, usize)],
        values: Option<&mut [f32]>,
        trace: &mut [f32],
    ) {
        let (k, o) = (self.inputs(), self.outputs());
        self.check(u, &[(values.as_deref(), o), (Some(trace), 1)]);
        let inside = pairs.iter().all(|pair| pair.0 < k && pair.1 < o);
        assert!(inside, "pairs {pairs:?} of {k} inputs and {o} outputs");
        dispatch(self.isa, self.activation, Traces { mlp: self, u, pairs, values, trace });
    }

    /// [`FusedMlp::trace`] on all threads of the pool.
    ///
    /// # Panics
    /// If a pair is not an input and an output of the network.
    pub fn par_trace(
        &self,
        u: &[f32],
        pairs: &[(usize, usize)],
        values: Option<&mut [f32]>,
        trace: &mut [f32],
    ) {
        self.check(u, &[(values.as_deref(), self.outputs()), (Some(trace), 1)]);
        in_parts(self, [u], [values.unwrap_or_default(), trace], |[u], [values, trace]| {
            self.trace(u, pairs, wanted(values), trace);
        });
    }

    /// A loss of the outputs `N`, and its gradient with respect to all parameters.
    ///
    /// `cotangents` is called for each block of samples, from several threads: it writes
    /// `v = dL/dN`, `[samples][O]`, which starts as zero, and returns what the block adds to the
    /// loss. The gradients are added to `grads`; the sum of the losses is returned.
    pub fn output_loss(
        &self,
        u: &[f32],
        cotangents: impl Fn(OutputSamples<'_>, &mut [f32]) -> f64 + Sync,
        grads: &mut Gradients,
    ) -> f64 {
        self.check(u, &[]);
        let cotangents: Cotangents<'_> = &cotangents;
        over_chunks(self, u, grads, |first, u, sums| {
            let job = OutputLoss { mlp: self, first, u, cotangents, sums };
            dispatch(self.isa, self.activation, job)
        })
    }
}

/// [`FusedMlp::values`].
struct Outputs<'a> {
    mlp: &'a FusedMlp,
    u: &'a [f32],
    values: &'a mut [f32],
}

impl Job for Outputs<'_> {
    type Output = ();
    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { mlp, u, values } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let (k, o, rows) = (mlp.inputs(), mlp.outputs(), mlp.shape.rows);
        for (u, values) in u.chunks(rows * k).zip(values.chunks_mut(rows * o)) {
            block.forward(u, Some(values));
        }
    }
}

/// [`FusedMlp::tangent`].
struct Tangents<'a> {
    mlp: &'a FusedMlp,
    u: &'a [f32],
    v: &'a [f32],
    values: &'a mut [f32],
    tangents: &'a mut [f32],
}

impl Job for Tangents<'_> {
    type Output = ();
    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { mlp, u, v, values, tangents } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let (k, o, rows) = (mlp.inputs(), mlp.outputs(), mlp.shape.rows);
        let from = u.chunks(rows * k).zip(v.chunks(rows * k));
        let to = values.chunks_mut(rows * o).zip(tangents.chunks_mut(rows * o));
        for ((u, v), (values, tangents)) in from.zip(to) {
            block.forward(u, Some(values));
            block.tangents(Some(v), &[]);
            block.operator(0..o, tangents);
        }
    }
}

/// [`FusedMlp::trace`].
struct Traces<'a> {
    mlp: &'a FusedMlp,
    u: &'a [f32],
    pairs: &'a [(usize, usize)],
    values: Option<&'a mut [f32]>,
    trace: &'a mut [f32],
}

impl Job for Traces<'_> {
    type Output = ();
    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { mlp, u, pairs, mut values, trace } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let (k, o, rows) = (mlp.inputs(), mlp.outputs(), mlp.shape.rows);
        let (mut unit, mut entries) = (vec![0.0; rows * k], vec![0.0; rows]);
        for (i, (u, trace)) in u.chunks(rows * k).zip(trace.chunks_mut(rows)).enumerate() {
            let (unit, entries) = (&mut unit[..u.len()], &mut entries[..trace.len()]);
            let own = i * rows * o..(i * rows + trace.len()) * o;
            block.forward(u, values.as_deref_mut().map(|values| &mut values[own]));
            trace.fill(0.0);
            for &(input, output) in pairs {
                unit.fill(0.0);
                unit.iter_mut().skip(input).step_by(k).for_each(|x| *x = 1.0);
                block.tangents(Some(unit), &[]);
                block.operator(output..output + 1, entries);
                trace.iter_mut().zip(&*entries).for_each(|(trace, entry)| *trace += entry);
            }
        }
    }
}

/// Writes the cotangents of a block and returns its loss.
type Cotangents<'a> = &'a (dyn Fn(OutputSamples<'_>, &mut [f32]) -> f64 + Sync);

/// The loss of the outputs of one chunk.
struct OutputLoss<'a> {
    mlp: &'a FusedMlp,
    first: usize,
    u: &'a [f32],
    cotangents: Cotangents<'a>,
    sums: &'a mut [f32],
}

impl Job for OutputLoss<'_> {
    type Output = f64;
    unsafe fn run<S: Simd, A: Act>(self, act: A) -> f64 {
        let Self { mlp, first, u, cotangents, sums } = self;
        let _flushed = Flushed::new();
        // SAFETY: the caller's promise; the weights are those of the shape.
        let mut block = unsafe { Block::<S, A>::new(&mlp.shape, &mlp.weights, act, &[]) };
        let (k, o, rows) = (mlp.inputs(), mlp.outputs(), mlp.shape.rows);
        let (mut values, mut v) = (vec![0.0; rows * o], vec![0.0; rows * o]);
        let mut loss = 0.0;
        for (i, u) in u.chunks(rows * k).enumerate() {
            let count = u.len() / k;
            let (values, v) = (&mut values[..count * o], &mut v[..count * o]);
            block.forward(u, Some(&mut *values));
            v.fill(0.0);
            loss += cotangents(OutputSamples { first: first + i * rows, count, u, values }, v);
            block.output_gradients(v, &mlp.layout, sums);
        }
        loss
    }
}
