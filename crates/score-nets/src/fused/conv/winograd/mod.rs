//! Convolutions with 3 x 3 kernels and stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3).
//!
//! A tile of 2 x 2 pixels of the output needs 4 x 4 of the input. Both are taken to a basis in which
//! the convolution is a product, number by number, of 16 numbers each: 16 multiplications for what
//! takes 36. Summed over channels these are 16 products of matrices,
//!
//! $$ Y = A^T \Bigl[\sum_c (G g_c G^T) \odot (B^T d_c B)\Bigr] A $$
//!
//! The gradient of the input is the convolution with the kernel turned round, that of the weights the
//! adjoint, $G^T [\sum (A\,dY A^T) \odot (B^T d B)] G$. All entries of $A$ and $B$ are 0, 1 and -1,
//! those of $G$ 0, 1 and 1/2. On normal numbers the result is more accurate than the plain sum over
//! channels and places, which has nine times as many terms: relative error 2.7e-7 instead of 4.2e-7 with 64
//! channels. Pixels of very different size side by side share the error of the largest.
//!
//! Reference: Lavin and Gray (2015), arXiv:1509.09308, section 4.1.

mod pass;
mod transforms;
mod weights;

pub(super) use pass::Pass;
pub(super) use weights::WeightGradient;

use super::shape::Shape;

/// From this many channels on both sides the transforms cost less than they save.
const CHANNELS: usize = 16;
/// The numbers of a tile in the basis of products.
const POINTS: usize = 16;

/// Whether a convolution is done like this; this does not depend on its batch.
pub(super) fn suits(shape: &Shape) -> bool {
    let small = |n: usize| n < CHANNELS;
    shape.kernel == [3, 3] && shape.stride == 1 && !small(shape.channels) && !small(shape.outputs)
}

/// Images cut into tiles of 2 x 2 pixels of the output, `4 x 4` of the input.
#[derive(Clone, Copy)]
struct Tiles {
    /// Height and width of the input and the output.
    input: [usize; 2],
    output: [usize; 2],
    /// Zeros at the top and at the left of the input; pixels that nobody reads where negative.
    before: [isize; 2],
    /// Tiles of an image, down and across.
    count: [usize; 2],
}

impl Tiles {
    fn new(input: [usize; 2], output: [usize; 2], before: [isize; 2]) -> Self {
        Self { input, output, before, count: output.map(|n| n.div_ceil(2)) }
    }

    /// Tiles of an image.
    fn per_image(&self) -> usize {
        self.count[0] * self.count[1]
    }

    /// Image, first row and first column of the output of tile `number` of a batch.
    fn place(&self, number: usize) -> (usize, usize, usize) {
        let (image, within) = (number / self.per_image(), number % self.per_image());
        (image, 2 * (within / self.count[1]), 2 * (within % self.count[1]))
    }

    /// The pixels of the input that a tile sees, as numbers from the start of the batch; `None` for
    /// zeros.
    fn sees(&self, number: usize) -> [[Option<usize>; 4]; 4] {
        let (image, row, column) = self.place(number);
        let [h, w] = self.input;
        let along = |first: usize, before: isize, size: usize| {
            std::array::from_fn(|i| {
                let at = (first + i) as isize - before;
                (at >= 0 && at < size as isize).then_some(at as usize)
            })
        };
        let rows: [Option<usize>; 4] = along(row, self.before[0], h);
        let columns: [Option<usize>; 4] = along(column, self.before[1], w);
        rows.map(|row| columns.map(|column| Some((image * h + row?) * w + column?)))
    }

    /// The pixels of the output of a tile, as numbers from the start of the batch; `None` beyond it.
    fn makes(&self, number: usize) -> [[Option<usize>; 2]; 2] {
        let (image, row, column) = self.place(number);
        let [h, w] = self.output;
        [0, 1].map(|i| {
            [0, 1].map(|j| {
                let (row, column) = (row + i, column + j);
                (row < h && column < w).then_some((image * h + row) * w + column)
            })
        })
    }
}
