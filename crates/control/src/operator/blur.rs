//! Blur by a kernel along each axis of an image.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use sde_core::Result;

use super::svd::{Svd, least, svd};
use super::{Linear, refuse};

/// What lies beyond the edge of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The image mirrored at its edge, `b a | a b c | c b`.
    Reflect,
    /// The image again, `b c | a b c | a b`.
    Circular,
}

impl Boundary {
    /// The place inside `0 .. n` of a place that may be outside.
    fn inside(self, i: i64, n: usize) -> usize {
        let n = n as i64;
        match self {
            Self::Circular => i.rem_euclid(n) as usize,
            Self::Reflect => {
                let j = i.rem_euclid(2 * n);
                (if j < n { j } else { 2 * n - 1 - j }) as usize
            }
        }
    }
}

/// `Y = B_h X B_w^T` in every channel of an image `[C, H, W]`, where `B` averages with a kernel of odd length,
/// `(B x)_i = sum_k kernel_k x_{i + k - (K - 1)/2}`: the decomposition is the Kronecker product of those of the two axes.
/// Singular values that are rounding of the largest are zero.
///
/// ```
/// use control::{Boundary, Linear, SeparableBlur};
/// use ndarray::array;
/// let blur = SeparableBlur::new([1, 1, 4], &[0.25, 0.5, 0.25], Boundary::Circular)?;
/// assert_eq!(blur.apply(&array![[4.0, 0.0, 0.0, 0.0]])?, array![[2.0, 1.0, 0.0, 1.0]]);
/// // The highest frequency is lost.
/// assert_eq!(blur.singular_values().len(), 3);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeparableBlur {
    shape: [usize; 3],
    /// Along the height and along the width.
    axes: [Axes; 2],
    values: Vec<f64>,
    /// The place of each singular value among all `C H W` products.
    kept: Vec<usize>,
}

/// The matrix of one axis and its bases.
#[derive(Clone, Debug)]
struct Axes {
    matrix: Array2<f64>,
    left: Array2<f64>,
    right: Array2<f64>,
}

impl SeparableBlur {
    /// The blur of images `[C, H, W]` by `kernel` along both axes.
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for an image without pixels, a kernel of even length, or one that leaves nothing.
    pub fn new(shape: [usize; 3], kernel: &[f64], boundary: Boundary) -> Result<Self> {
        if shape.contains(&0) {
            return refuse("shape", format!("{shape:?}"), "has no pixel");
        }
        if kernel.len().is_multiple_of(2) {
            return refuse("kernel length", kernel.len(), "must be odd");
        }
        let [channels, height, width] = shape;
        let [tall, wide] = [height, width].map(|n| matrix(n, kernel, boundary));
        let (a, b) = (svd(&tall)?, svd(&wide)?);
        let all: Vec<f64> = (0..channels * height * width)
            .map(|i| a.values[i / width % height] * b.values[i % width])
            .collect();
        let least = least(&all, height * width);
        let kept: Vec<usize> = (0..all.len()).filter(|i| all[*i] > least).collect();
        if kept.is_empty() {
            return refuse("kernel", format!("{kernel:?}"), "leaves nothing");
        }
        let axis = |matrix, svd: Svd| Axes { matrix, left: svd.left, right: svd.right };
        let values = kept.iter().map(|i| all[*i]).collect();
        Ok(Self { shape, axes: [axis(tall, a), axis(wide, b)], values, kept })
    }
}

/// The matrix of the kernel along an axis of `n` pixels.
fn matrix(n: usize, kernel: &[f64], boundary: Boundary) -> Array2<f64> {
    let mut out = Array2::zeros((n, n));
    let half = (kernel.len() / 2) as i64;
    for i in 0..n {
        for (k, w) in kernel.iter().enumerate() {
            out[[i, boundary.inside(i as i64 + k as i64 - half, n)]] += w;
        }
    }
    out
}

impl SeparableBlur {
    /// `P X Q^T` of every channel, for a matrix of each axis.
    fn both(&self, p: ArrayView2<'_, f64>, q: ArrayView2<'_, f64>, x: &[f64], out: &mut [f64]) {
        let [_, height, width] = self.shape;
        let pixels = height * width;
        for (x, out) in x.chunks(pixels).zip(out.chunks_mut(pixels)) {
            let x = ArrayView2::from_shape((height, width), x).expect("a channel");
            let mut out = ArrayViewMut2::from_shape((height, width), out).expect("a channel");
            out.assign(&p.dot(&x).dot(&q.t()));
        }
    }

    fn gather(&self, all: &[f64], c: &mut [f64]) {
        c.iter_mut().zip(&self.kept).for_each(|(c, i)| *c = all[*i]);
    }

    fn scatter(&self, c: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.input_len()];
        c.iter().zip(&self.kept).for_each(|(c, i)| all[*i] = *c);
        all
    }
}

impl Linear for SeparableBlur {
    fn input_len(&self) -> usize {
        self.shape.iter().product()
    }

    fn output_len(&self) -> usize {
        self.input_len()
    }

    fn forward(&self, x: &[f64], y: &mut [f64]) {
        let [tall, wide] = &self.axes;
        self.both(tall.matrix.view(), wide.matrix.view(), x, y);
    }

    fn adjoint(&self, y: &[f64], x: &mut [f64]) {
        let [tall, wide] = &self.axes;
        self.both(tall.matrix.t(), wide.matrix.t(), y, x);
    }

    fn singular_values(&self) -> &[f64] {
        &self.values
    }

    fn right_coefficients(&self, x: &[f64], c: &mut [f64]) {
        let ([tall, wide], mut all) = (&self.axes, vec![0.0; self.input_len()]);
        self.both(tall.right.t(), wide.right.t(), x, &mut all);
        self.gather(&all, c);
    }

    fn expand_right(&self, c: &[f64], x: &mut [f64]) {
        let [tall, wide] = &self.axes;
        self.both(tall.right.view(), wide.right.view(), &self.scatter(c), x);
    }

    fn left_coefficients(&self, y: &[f64], c: &mut [f64]) {
        let ([tall, wide], mut all) = (&self.axes, vec![0.0; self.input_len()]);
        self.both(tall.left.t(), wide.left.t(), y, &mut all);
        self.gather(&all, c);
    }

    fn expand_left(&self, c: &[f64], y: &mut [f64]) {
        let [tall, wide] = &self.axes;
        self.both(tall.left.view(), wide.left.view(), &self.scatter(c), y);
    }
}
