//! How many floating-point operations an item takes at least.
//!
//! A pass over a layer of `K` inputs and `M` outputs, a product with its matrix or one part of the
//! gradient of it, is `2 K M` operations a sample. Counted is what the leanest known way needs, for
//! every side alike:
//!
//! - a score: the layers forward and, transposed, back;
//! - score matching: a score, the tangent of its cotangent forward, the adjoint of that back, and a
//!   weight gradient in two parts;
//! - the residual: a score, three tangents forward (two coordinates and the rest of the operator in
//!   one), three adjoints back, and a weight gradient in four parts.
//!
//! Between two hidden layers of the published network, where nearly all of it is spent, these are 4,
//! 12 and 24 products with an 80 x 80 matrix. The first layer needs fewer: only the score goes back
//! through it to the inputs, and the tangents of the coordinates begin as its columns; the last needs
//! hardly any. Activations and everything else between the products are not counted.

/// Rows of the batch of denoising score matching.
pub(super) const BATCH: usize = 20_000;
/// Collocation points of the residual.
pub(super) const POINTS: usize = 5000;
/// Particles that are sampled.
pub(super) const PARTICLES: u64 = 50_000;
/// Steps that each of them takes.
pub(super) const STEPS: usize = 200;
/// Side of the matrices whose product shows what the machine can do.
pub(super) const SGEMM: usize = 2048;

/// Widths of the published network: inputs, hidden layers, output.
const PUBLISHED: [usize; 5] = [3, 80, 80, 80, 1];

/// Passes over the first layer, over each between hidden layers, over the last.
struct Passes(usize, usize, usize);

const SCORE: Passes = Passes(2, 2, 0);
const DSM: Passes = Passes(5, 6, 1);
const RESIDUAL: Passes = Passes(5, 12, 2);

impl Passes {
    /// Operations a sample; `widths` are those of the inputs, the hidden layers and the output.
    fn flops(&self, widths: &[usize]) -> f64 {
        let last = widths.len() - 2;
        let of_layer = |(i, w): (usize, &[usize])| {
            let passes = match i {
                0 => self.0,
                i if i == last => self.2,
                _ => self.1,
            };
            2 * passes * w[0] * w[1]
        };
        widths.windows(2).enumerate().map(of_layer).sum::<usize>() as f64
    }
}

/// Operations of an item.
pub(super) fn flops(item: &str) -> f64 {
    match item {
        "sgemm" => 2.0 * (SGEMM as f64).powi(3),
        "dsm" => BATCH as f64 * DSM.flops(&PUBLISHED),
        "dsm_fp" => flops("dsm") + POINTS as f64 * RESIDUAL.flops(&PUBLISHED),
        _ => PARTICLES as f64 * STEPS as f64 * SCORE.flops(&PUBLISHED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_square_layers_take_4_12_and_24_products() {
        let product = 2.0 * 80.0 * 80.0;
        for (passes, products) in [(SCORE, 4.0), (DSM, 12.0), (RESIDUAL, 24.0)] {
            let square = passes.flops(&PUBLISHED) - passes.flops(&[3, 80, 1]);
            assert_eq!(square, products * product);
            let thin = passes.flops(&[3, 80, 1]);
            assert!(thin < 0.02 * square, "{thin} of {square}");
        }
    }

    #[test]
    fn items_add_up() {
        assert_eq!(flops("sgemm"), 17_179_869_184.0);
        // 20 000 samples of 2 (5 * 240 + 6 * 12 800 + 80), 5000 of 2 (5 * 240 + 12 * 12 800 + 160).
        assert_eq!(flops("dsm"), 3_123_200_000.0);
        assert_eq!(flops("dsm_fp"), 3_123_200_000.0 + 1_549_600_000.0);
        // 1e7 evaluations of 2 (2 * 240 + 2 * 12 800).
        assert_eq!(flops("sample"), 521_600_000_000.0);
    }
}
