//! One block of samples through the network: forward, reverse, tangents, adjoint.
//!
//! With `z` the pre-activations, `h = a(z)`, `c = dN/dh` and `g = dN/dz = a' c`, the operator
//! `M = m . grad N + l sum over i of d2N/du_i^2` is carried forward as one combined tangent beside
//! the jets `j_i = dz/du_i`:
//!
//! ```text
//! j_h = a' j              m_h = a' m + l a'' sum of j^2           M = w_out . m_h
//! ```
//!
//! With m and l frozen, the adjoint of `m` is again `g` times the weight of the sample, and those
//! of the jets and of `z` come down as
//!
//! ```text
//! jbar = a' jbar_h + 2 l a'' c j
//! zbar = a' zbar_h + a'' sum of jbar_h j + a'' c m + l a''' c sum of j^2
//! ```
//!
//! Without jets this is the gradient of `v . grad N` for a cotangent `v = m`.
//!
//! All of that is for one output. Of several outputs a block gives the values, tangents (the same
//! without jets, `J m = W_out m_h`), and the gradient of a loss of the values alone: `c = W_out^T v`
//! for its cotangent `v`, and down the layers `g = a' c` is all there is.

use super::activation::Act;
use super::amx::Tiles;
use super::elementwise::{
    Activate, Adjoint, Combined, Jet, JetAdjoint, Jets, Layer, Reverse, Rows, ScaleRows,
};
use super::product::{ColumnSum, Dots, Outer, Panels, Product};
use super::shape::{MAX_INPUTS, Shape};
use super::simd::Simd;
use super::weights::{GradLayout, Weights};
use super::workspace::{Of, Once, Workspace};
use std::marker::PhantomData;
use std::ops::Range;

/// A block under way. The instruction set `S` is one that the processor has.
pub(super) struct Block<'a, S, A> {
    shape: &'a Shape,
    weights: &'a Weights,
    act: A,
    ws: Workspace,
    /// The inputs whose second derivatives are summed.
    jets: &'a [usize],
    rows: usize,
    simd: PhantomData<S>,
}

/// Where a product goes, and what it starts from.
struct Target {
    bias: *const f32,
    c: *mut f32,
}

impl<'a, S: Simd, A: Act> Block<'a, S, A> {
    /// # Safety
    /// The processor has the instruction set `S`; `jets` are inputs of the network, and `weights`
    /// were packed for `shape`.
    pub(super) unsafe fn new(
        shape: &'a Shape,
        weights: &'a Weights,
        act: A,
        jets: &'a [usize],
    ) -> Self {
        let ws = Workspace::new(shape, jets.len());
        Self { shape, weights, act, ws, jets, rows: 0, simd: PhantomData }
    }

    fn width(&self, layer: usize) -> usize {
        self.shape.padded[layer]
    }

    /// The last hidden layer.
    fn last(&self) -> usize {
        self.shape.layers() - 1
    }

    /// The rows of the block in strips: a product and what follows it are done strip by strip, so
    /// that the one runs while the other still waits for memory. Where the matrix does not stay in
    /// the first-level cache from strip to strip, there is but one.
    fn strips(&self, b: Panels) -> impl Iterator<Item = Range<usize>> + use<S, A> {
        /// At least so many rows.
        const STRIP: usize = 10;
        /// What a product on tiles does at once.
        const TILES: usize = 48;
        let rows = self.rows;
        let vecs = b.width / S::LANES;
        let tile = if vecs <= S::MAX_VECS { S::rows(vecs) } else { S::rows(S::MAX_VECS) };
        let strip = if S::TILES && !b.pieces.is_null() {
            TILES
        } else if b.k * b.width <= 8192 {
            STRIP.next_multiple_of(tile)
        } else {
            rows
        };
        (0..rows).step_by(strip.max(1)).map(move |first| first..rows.min(first + strip))
    }

    fn layer(&self, layer: usize, rows: Range<usize>) -> Layer<A> {
        let kept = [self.ws.of(layer, Of::Kept(0)), self.ws.of(layer, Of::Kept(1))];
        Layer { act: self.act, kept, rows: (rows.start, rows.end), width: self.width(layer) }
    }

    /// `dN/dh`, or `dN/dz` where the activation prefers that.
    fn e(&self, layer: usize) -> *mut f32 {
        self.ws.of(layer, if A::FROM_GRADIENT { Of::G } else { Of::C })
    }

    /// `C = bias + A B` on some rows.
    fn product(&self, rows: Range<usize>, a: (*const f32, usize), b: Panels, to: Target) {
        let ((a, lda), Target { bias, c }) = (a, to);
        // SAFETY: arrays of the workspace and packed weights, both padded as the kernel asks.
        unsafe {
            let (a, c) = (a.add(rows.start * lda), c.add(rows.start * b.width));
            Product { a, lda, b, bias, c, rows: rows.len() }.run::<S>();
        }
    }

    /// A tangent of layer `l - 1` (its direction at the inputs for `l = 0`) to layer `l`.
    fn push(&self, layer: usize, rows: Range<usize>, from: *const f32, c: *mut f32) {
        let b = self.weights.forward(self.shape, layer);
        let lda = if layer == 0 { self.shape.inputs + 1 } else { self.width(layer - 1) };
        self.product(rows, (from, lda), b, Target { bias: self.weights.zero(), c });
    }

    /// An adjoint of layer `l` (the output comes last) to layer `l - 1` (to the inputs for `l = 0`).
    fn pull(&self, layer: usize, rows: Range<usize>, from: *const f32, c: *mut f32) {
        let b = self.weights.reverse(self.shape, layer);
        let from = (from, self.width(layer));
        self.product(rows, from, b, Target { bias: self.weights.zero(), c });
    }

    /// Copies the rows of `from` and appends `last` to each.
    fn widen(&self, from: &[f32], to: Once, last: f32) {
        let k = self.shape.inputs;
        let to = self.ws.once(to);
        // SAFETY: a slot holds all rows of the block of inputs + 1 numbers.
        let to = unsafe { std::slice::from_raw_parts_mut(to, self.rows * (k + 1)) };
        // Column by column: the rows are short, and a call to copy each costs more than its copy.
        for j in 0..k {
            let to = to[j..].iter_mut().step_by(k + 1);
            to.zip(from[j..].iter().step_by(k)).for_each(|(to, from)| *to = *from);
        }
        to.iter_mut().skip(k).step_by(k + 1).for_each(|to| *to = last);
    }

    /// The values of all layers for the inputs `u`, `[rows][inputs]`, and those of the network,
    /// `[rows][outputs]`, where they are wanted.
    pub(super) fn forward(&mut self, u: &[f32], value: Option<&mut [f32]>) {
        let _tiles = Tiles::keep();
        self.rows = u.len() / self.shape.inputs;
        assert!(self.rows <= self.shape.rows);
        self.widen(u, Once::Input, 1.0);
        for l in 0..=self.last() {
            let z = self.ws.of(l, Of::H);
            let from = if l == 0 { self.ws.once(Once::Input) } else { self.ws.of(l - 1, Of::H) };
            let lda = if l == 0 { self.shape.inputs + 1 } else { self.width(l - 1) };
            let b = self.weights.forward(self.shape, l);
            let value = l < self.last() || value.is_some();
            for rows in self.strips(b) {
                let to = Target { bias: self.weights.bias(l), c: z };
                self.product(rows.clone(), (from, lda), b, to);
                let activate = Activate { layer: self.layer(l, rows), z, value };
                // SAFETY: arrays of the workspace.
                unsafe { S::invoke(activate) }
            }
        }
        if let Some(value) = value {
            let (h, outputs) = (self.ws.of(self.last(), Of::H), self.shape.outputs());
            self.output_dots(h, 0..outputs, value);
            for value in value.chunks_exact_mut(outputs) {
                value.iter_mut().zip(&self.weights.output_bias).for_each(|(v, b)| *v += b);
            }
        }
    }

    /// The products of each row of the last layer with the weights of some outputs.
    fn output_dots(&self, x: *const f32, outputs: Range<usize>, out: &mut [f32]) {
        assert!(out.len() == self.rows * outputs.len() && outputs.end <= self.shape.outputs());
        let w = self.weights.output(self.shape, outputs.start);
        let dots = Dots { x, w, width: self.width(self.last()), count: outputs.len(), out };
        // SAFETY: an array of the last layer, and rows of its width.
        unsafe { S::invoke(dots) }
    }

    /// The gradient of a single output with respect to some inputs, `[rows][those]`.
    pub(super) fn reverse(&self, inputs: Range<usize>, grad: &mut [f32]) {
        let _tiles = Tiles::keep();
        let last = self.last();
        let c = Rows { data: self.weights.output(self.shape, 0), stride: 0 };
        self.to_gradient(last, 0..self.rows, c);
        if !A::FROM_GRADIENT {
            self.spread_output();
        }
        for l in (0..last).rev() {
            self.descend(l, self.ws.of(l + 1, Of::G));
        }
        let g = self.ws.of(0, Of::G);
        self.to_inputs(g, inputs, grad);
    }

    /// `g = a' c` on some rows of layer `l`.
    fn to_gradient(&self, l: usize, rows: Range<usize>, c: Rows) {
        let reverse = Reverse { layer: self.layer(l, rows), c, g: self.ws.of(l, Of::G) };
        // SAFETY: arrays of the workspace.
        unsafe { S::invoke(reverse) }
    }

    /// `g` (and `c`, where it is kept) of layer `l` from the adjoint of the layer above.
    fn descend(&self, l: usize, from: *const f32) {
        let e = self.e(l);
        let c = Rows { data: e, stride: self.width(l) };
        for rows in self.strips(self.weights.reverse(self.shape, l + 1)) {
            self.pull(l + 1, rows.clone(), from, e);
            self.to_gradient(l, rows, c);
        }
    }

    /// Stores `c` of the last layer: the output weights, for each row.
    fn spread_output(&self) {
        let (width, c) = (self.width(self.last()), self.ws.of(self.last(), Of::C));
        let w = self.weights.output(self.shape, 0);
        for row in 0..self.rows {
            // SAFETY: a row of a slot, and a row of weights of the same width elsewhere.
            unsafe {
                std::ptr::copy_nonoverlapping(w, c.add(row * width), width);
            }
        }
    }

    /// Adds the gradients of a loss of the values to an accumulator, `v` being its derivatives by
    /// them, `[rows][outputs]`; after [`Block::forward`] with the values.
    pub(super) fn output_gradients(&self, v: &[f32], layout: &GradLayout, grads: &mut [f32]) {
        let _tiles = Tiles::keep();
        let output = self.shape.layers();
        let mut g = self.cotangents(v);
        for l in (1..=output).rev() {
            let h = self.ws.of(l - 1, Of::H).cast_const();
            self.weight_gradients(l, &[(g, h)], layout, grads);
            self.descend(l - 1, g);
            g = self.ws.of(l - 1, Of::G);
        }
        let u = self.ws.once(Once::Input).cast_const();
        self.weight_gradients(0, &[(u, g)], layout, grads);
    }

    /// A copy of the cotangents of the outputs, in rows of whole registers.
    fn cotangents(&self, v: &[f32]) -> *const f32 {
        let (outputs, width) = (self.shape.outputs(), self.width(self.shape.layers()));
        assert_eq!(v.len(), self.rows * outputs);
        let to = self.ws.once(Once::Cotangent);
        // SAFETY: a slot holds all rows of the block, as wide as any layer.
        let rows = unsafe { std::slice::from_raw_parts_mut(to, self.rows * width) };
        for (to, from) in rows.chunks_exact_mut(width).zip(v.chunks_exact(outputs)) {
            to[..outputs].copy_from_slice(from);
            to[outputs..].fill(0.0);
        }
        to
    }

    /// An adjoint of the first layer to some inputs.
    fn to_inputs(&self, from: *const f32, inputs: Range<usize>, grad: &mut [f32]) {
        let (k, width, count) = (self.shape.inputs, self.width(0), inputs.len());
        assert!(grad.len() == self.rows * count && inputs.end <= k);
        let wide = k.next_multiple_of(S::LANES);
        // Dot products while they are cheaper than a product padded to whole registers.
        if count * (width / S::LANES + 7) <= self.shape.widths[0] * (wide / S::LANES) {
            let w = self.weights.column(self.shape, inputs.start);
            // SAFETY: an array of the first layer and its columns, of the same width.
            unsafe { S::invoke(Dots { x: from, w, width, count, out: grad }) }
        } else {
            let to = self.ws.once(Once::WideGrad);
            self.pull(0, 0..self.rows, from, to);
            // SAFETY: the rows of the slot that the product has just written.
            let to = unsafe { std::slice::from_raw_parts(to, self.rows * wide) };
            for (grad, from) in grad.chunks_exact_mut(count).zip(to.chunks_exact(wide)) {
                grad.copy_from_slice(&from[inputs.clone()]);
            }
        }
    }

    /// Jet `i` of layer `l` before the activation: at the first layer a column of its weights.
    fn jet(&self, layer: usize, i: usize) -> Rows {
        if layer == 0 {
            Rows { data: self.weights.column(self.shape, self.jets[i]), stride: 0 }
        } else {
            Rows { data: self.ws.of(layer, Of::Jz(i)), stride: self.width(layer) }
        }
    }

    fn jet_sum<'c>(&self, layer: usize, coefficients: &'c [f32]) -> Option<Jets<'c>> {
        let squares = self.ws.of(layer, Of::Squares);
        (!self.jets.is_empty()).then_some(Jets { squares, coefficients })
    }

    /// The tangents of all layers for the directions `m`, `[rows][inputs]` (zero where not given),
    /// and the coefficient `l` of each row; after [`Block::forward`].
    pub(super) fn tangents(&self, direction: Option<&[f32]>, coefficients: &[f32]) {
        let _tiles = Tiles::keep();
        assert!(self.jets.is_empty() || coefficients.len() == self.rows);
        if let Some(direction) = direction {
            assert_eq!(direction.len(), self.rows * self.shape.inputs);
            self.widen(direction, Once::Direction, 0.0);
        }
        for l in 0..=self.last() {
            for rows in self.strips(self.weights.forward(self.shape, l)) {
                for i in 0..self.jets.len() {
                    if l > 0 {
                        let from = self.ws.of(l - 1, Of::Jh(i));
                        self.push(l, rows.clone(), from, self.ws.of(l, Of::Jz(i)));
                    }
                    let jet = Jet {
                        layer: self.layer(l, rows.clone()),
                        j: self.jet(l, i),
                        jh: self.ws.of(l, Of::Jh(i)),
                        squares: self.ws.of(l, Of::Squares),
                        first: i == 0,
                    };
                    // SAFETY: arrays of the workspace.
                    unsafe { S::invoke(jet) }
                }
                let m = self.ws.of(l, Of::Mz);
                if l > 0 {
                    self.push(l, rows.clone(), self.ws.of(l - 1, Of::Mh), m);
                } else if direction.is_some() {
                    self.push(0, rows.clone(), self.ws.once(Once::Direction), m);
                } else {
                    let width = self.width(0);
                    // SAFETY: these rows of the slot.
                    unsafe { m.add(rows.start * width).write_bytes(0, rows.len() * width) }
                }
                let jets = self.jet_sum(l, coefficients);
                let (layer, mh) = (self.layer(l, rows), self.ws.of(l, Of::Mh));
                // SAFETY: arrays of the workspace.
                unsafe { S::invoke(Combined { layer, m, mh, jets }) }
            }
        }
    }

    /// The operator `M` of each row and of some outputs, `[rows][those]`; after [`Block::tangents`].
    pub(super) fn operator(&self, outputs: Range<usize>, out: &mut [f32]) {
        let mh = self.ws.of(self.last(), Of::Mh);
        self.output_dots(mh, outputs, out);
    }

    /// The adjoints of all layers, the sample's weight (1 where not given) times `M` being the
    /// loss; after [`Block::tangents`] and [`Block::reverse`]. Adds the gradients of the parameters
    /// to an accumulator, where one is given.
    pub(super) fn adjoints(
        &self,
        coefficients: &[f32],
        weights: Option<&[f32]>,
        mut grads: Option<(&GradLayout, &mut [f32])>,
    ) {
        let _tiles = Tiles::keep();
        if let Some(weights) = weights {
            self.scale_gradients(weights);
        }
        let last = self.last();
        for l in (0..=last).rev() {
            // (There is nothing above the last layer; its strips are as good as any.)
            for rows in self.strips(self.weights.reverse(self.shape, last.min(l + 1))) {
                self.layer_adjoints(l, rows, coefficients);
            }
            if let Some((layout, grads)) = &mut grads {
                self.layer_gradients(l, layout, grads);
            }
        }
        if let Some((layout, grads)) = grads {
            let (x, ld) = (self.ws.of(last, Of::Mh), self.width(last));
            let out = grads[layout.weight(last + 1)..].as_mut_ptr();
            // SAFETY: an array of the last layer, a row of the accumulator as wide.
            unsafe { ColumnSum { x, ld, rows: self.rows, weights, out }.run::<S>() }
        }
    }

    /// The adjoints of some rows of layer `l` from those of the layer above.
    fn layer_adjoints(&self, l: usize, rows: Range<usize>, coefficients: &[f32]) {
        let (here, above) = (l % 2, (l + 1) % 2);
        let last = l == self.last();
        let (e, through) = (self.e(l), self.ws.once(Once::Through));
        for i in 0..self.jets.len() {
            let jbar = self.ws.once(Once::Jbar(here, i));
            if !last {
                self.pull(l + 1, rows.clone(), self.ws.once(Once::Jbar(above, i)), jbar);
            }
            let (layer, j) = (self.layer(l, rows.clone()), self.jet(l, i));
            let first = i == 0;
            let adjoint = JetAdjoint { layer, last, j, e, coefficients, jbar, through, first };
            // SAFETY: arrays of the workspace.
            unsafe { S::invoke(adjoint) }
        }
        let zbar = self.ws.once(Once::Zbar(here));
        if !last {
            self.pull(l + 1, rows.clone(), self.ws.once(Once::Zbar(above)), zbar);
        }
        let (layer, m) = (self.layer(l, rows), self.ws.of(l, Of::Mz));
        let jets = self.jet_sum(l, coefficients);
        // SAFETY: arrays of the workspace.
        unsafe { S::invoke(Adjoint { layer, last, m, e, jets, through, zbar }) }
    }

    /// The gradient of `M` with respect to the inputs; after [`Block::adjoints`].
    pub(super) fn operator_grad(&self, grad: &mut [f32]) {
        let zbar = self.ws.once(Once::Zbar(0));
        self.to_inputs(zbar, 0..self.shape.inputs, grad);
    }

    fn scale_gradients(&self, weights: &[f32]) {
        assert_eq!(weights.len(), self.rows);
        for l in 0..=self.last() {
            let width = self.width(l);
            let g = self.ws.of(l, Of::G);
            // SAFETY: arrays of the workspace.
            unsafe { S::invoke(ScaleRows { x: g, width, weights }) }
            if !A::FROM_GRADIENT {
                let c = self.ws.of(l, Of::C);
                // SAFETY: arrays of the workspace.
                unsafe { S::invoke(ScaleRows { x: c, width, weights }) }
            }
        }
    }

    /// Adds the gradients of layer `l` to an accumulator, its adjoints being at hand.
    fn layer_gradients(&self, l: usize, layout: &GradLayout, grads: &mut [f32]) {
        let (rows, width, side) = (self.rows, self.width(l), l % 2);
        let zbar = self.ws.once(Once::Zbar(side)).cast_const();
        let g = self.ws.of(l, Of::G).cast_const();
        if l == 0 {
            let u = self.ws.once(Once::Input).cast_const();
            let m = self.ws.once(Once::Direction).cast_const();
            self.weight_gradients(0, &[(u, zbar), (m, g)], layout, grads);
            for (i, &input) in self.jets.iter().enumerate() {
                let x = self.ws.once(Once::Jbar(side, i));
                let out = grads[layout.weight(0) + input * width..].as_mut_ptr();
                // SAFETY: an array of the workspace, a row of the accumulator as wide.
                unsafe { ColumnSum { x, ld: width, rows, weights: None, out }.run::<S>() }
            }
            return;
        }
        let mut pairs = [(std::ptr::null(), std::ptr::null()); MAX_INPUTS + 2];
        pairs[0] = (zbar, self.ws.of(l - 1, Of::H).cast_const());
        for i in 0..self.jets.len() {
            let jh = self.ws.of(l - 1, Of::Jh(i)).cast_const();
            pairs[1 + i] = (self.ws.once(Once::Jbar(side, i)).cast_const(), jh);
        }
        pairs[1 + self.jets.len()] = (g, self.ws.of(l - 1, Of::Mh).cast_const());
        self.weight_gradients(l, &pairs[..self.jets.len() + 2], layout, grads);
    }

    /// Adds the gradients of layer `l` to an accumulator: the products of `pairs`, each an array of
    /// this layer and one of the layer below, and for the biases the first array, summed over rows.
    fn weight_gradients(
        &self,
        l: usize,
        pairs: &[(*const f32, *const f32)],
        layout: &GradLayout,
        grads: &mut [f32],
    ) {
        let (rows, width) = (self.rows, self.width(l));
        let w = grads[layout.weight(l)..].as_mut_ptr();
        if l == 0 {
            // The first layer is kept transposed, with its biases (those of a constant input), and
            // so is a pair: its inputs are few, its units many.
            let k = self.shape.inputs + 1;
            let outer = Outer { pairs, rows, ldy: k, ldx: width, outputs: k, w };
            // SAFETY: arrays of the workspace, and an accumulator padded as the kernel asks.
            return unsafe { outer.run::<S>() };
        }
        let ((x, _), ldx, outputs) = (pairs[0], self.width(l - 1), self.shape.widths[l]);
        let outer = Outer { pairs, rows, ldy: width, ldx, outputs, w };
        let out = grads[layout.bias(l)..].as_mut_ptr();
        // SAFETY: as above.
        unsafe {
            outer.run::<S>();
            ColumnSum { x, ld: width, rows, weights: None, out }.run::<S>();
        }
    }
}
