//! The kernels for images: every instruction set against the definition, and the same bits on any
//! number of threads.

use super::{close, doubles, isas, numbers};
use crate::fused::Isa;
use crate::fused::attention::{Attention, Heads};
use crate::fused::conv::{self, Shape};
use crate::fused::maps;
use crate::fused::norm::Norm;
use crate::fused::resample::resample;
use crate::fused::rows;

/// Batch, height and width, channels in and out, kernel, stride, zeros before and after.
type Case = (usize, [usize; 2], [usize; 2], [usize; 2], usize, [usize; 2], [usize; 2]);

const CASES: [Case; 16] = [
    (2, [7, 5], [16, 16], [3, 3], 1, [1, 1], [1, 1]),
    (1, [1, 1], [17, 20], [3, 3], 1, [1, 1], [1, 1]),
    (3, [6, 9], [33, 40], [3, 3], 1, [0, 0], [0, 0]),
    (1, [5, 4], [16, 18], [3, 3], 1, [2, 0], [0, 2]),
    (1, [4, 6], [20, 16], [3, 3], 1, [3, 1], [2, 4]),
    (20, [8, 8], [24, 32], [3, 3], 1, [1, 1], [1, 1]),
    (1, [28, 28], [64, 64], [3, 3], 1, [1, 1], [1, 1]),
    (2, [5, 5], [300, 16], [3, 3], 1, [1, 1], [1, 1]),
    (2, [9, 8], [15, 70], [3, 3], 1, [1, 1], [1, 1]),
    (2, [9, 8], [16, 24], [3, 3], 2, [1, 1], [1, 1]),
    (1, [8, 10], [5, 33], [3, 3], 2, [0, 0], [1, 1]),
    (3, [7, 7], [1, 9], [5, 5], 1, [2, 2], [2, 2]),
    (1, [6, 5], [3, 100], [3, 2], 3, [2, 1], [0, 1]),
    (2, [30, 40], [64, 3], [3, 3], 1, [1, 1], [1, 1]),
    (70, [1, 1], [130, 50], [1, 1], 1, [0, 0], [0, 0]),
    (2, [3, 3], [4, 5], [1, 1], 4, [1, 1], [1, 1]),
];

fn shape((batch, input, [channels, outputs], kernel, stride, before, after): Case) -> Shape {
    let output = [0, 1].map(|a| (input[a] + before[a] + after[a] - kernel[a]) / stride + 1);
    Shape { batch, input, output, channels, outputs, kernel, stride, before, after }
}

/// Calls `f` with every pixel of the output, place of the kernel and pixel of the input that meet.
fn meetings(s: &Shape, mut f: impl FnMut(usize, usize, usize)) {
    let ([h, w], [kh, kw], [rows, columns]) = (s.input, s.kernel, s.output);
    for number in 0..s.batch * rows * columns * kh * kw {
        let (place, pixel) = (number % (kh * kw), number / (kh * kw));
        let (image, row, column) =
            (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
        let down = (row * s.stride + place / kw).checked_sub(s.before[0]);
        let across = (column * s.stride + place % kw).checked_sub(s.before[1]);
        if let (Some(i), Some(j)) = (down, across)
            && i < h
            && j < w
        {
            f(pixel, place, (image * h + i) * w + j);
        }
    }
}

/// Output, input gradient and weight gradient in double precision.
fn by_definition(s: &Shape, x: &[f32], w: &[f32], b: &[f32], dy: &[f32]) -> [Vec<f64>; 3] {
    let (c, o, places) = (s.channels, s.outputs, s.kernel[0] * s.kernel[1]);
    let [x, w, b, dy] = [x, w, b, dy].map(doubles);
    let mut y: Vec<f64> = b.iter().copied().cycle().take(dy.len()).collect();
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    meetings(s, |to, place, from| {
        for out in 0..o {
            for ch in 0..c {
                let weight = (out * c + ch) * places + place;
                y[to * o + out] += w[weight] * x[from * c + ch];
                dx[from * c + ch] += w[weight] * dy[to * o + out];
                dw[weight] += x[from * c + ch] * dy[to * o + out];
            }
        }
    });
    [y, dx, dw]
}

/// Input, weights, bias and gradient of the output of a case.
fn inputs(s: &Shape) -> [Vec<f32>; 4] {
    let places = s.kernel[0] * s.kernel[1];
    [
        numbers(1, s.batch * s.input[0] * s.input[1] * s.channels),
        numbers(2, s.outputs * s.channels * places),
        numbers(3, s.outputs),
        numbers(4, s.batch * s.output[0] * s.output[1] * s.outputs),
    ]
}

#[test]
fn convolutions_agree_with_the_definition_on_every_instruction_set() {
    for case in CASES {
        let s = shape(case);
        let [x, w, b, dy] = inputs(&s);
        let [y, dx, dw] = by_definition(&s, &x, &w, &b, &dy);
        for isa in isas() {
            let what = format!("{s:?} {isa}");
            close(&conv::forward(isa, &s, &x, &w, Some(&b)), &y, 2e-6, &what);
            close(&conv::input_gradient(isa, &s, &dy, &w), &dx, 2e-6, &what);
            close(&conv::weight_gradient(isa, &s, &x, &dy), &dw, 2e-6, &what);
        }
    }
}

/// What `f` gives on so many threads.
fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads").install(f)
}

/// The same bits on one, two and five threads.
#[track_caller]
pub(super) fn check_threads(what: &str, f: impl Fn() -> Vec<f32> + Sync) {
    let bits = |threads| -> Vec<u32> {
        on_threads(threads, || f().into_iter().map(f32::to_bits).collect())
    };
    let one = bits(1);
    assert!(one == bits(2) && one == bits(5), "{what}");
}

/// Three rows of `[2, 40, 3, 32]` beside each other.
const SIZES: Attention =
    Attention { batch: 2, heads: 3, queries: 100, keys: 70, width: 33, scale: 0.4 };

fn attention(isa: Isa) -> Vec<f32> {
    let len = |tokens: usize| SIZES.batch * tokens * SIZES.heads * SIZES.width;
    let strides = |tokens: usize| {
        [tokens * SIZES.heads * SIZES.width, SIZES.heads * SIZES.width, SIZES.width]
    };
    let (q, dy) = (numbers(1, len(SIZES.queries)), numbers(2, len(SIZES.queries)));
    let (k, v) = (numbers(3, len(SIZES.keys)), numbers(4, len(SIZES.keys)));
    let q = Heads { values: &q, strides: strides(SIZES.queries) };
    let [k, v] = [&k, &v].map(|values| Heads { values, strides: strides(SIZES.keys) });
    let y = SIZES.forward(isa, q, k, v);
    let gradients = SIZES.backward(isa, [q, k, v], &y, &dy);
    [&[y][..], &gradients].concat().concat()
}

const NORM: Norm = Norm { batch: 3, pixels: 150, channels: 36, groups: 6, eps: 1e-5, silu: true };

fn norm(isa: Isa) -> Vec<f32> {
    let len = NORM.batch * NORM.pixels * NORM.channels;
    let (x, dy) = (numbers(1, len), numbers(2, len));
    let (w, b) = (numbers(3, NORM.channels), numbers(4, NORM.channels));
    let (y, moments) = NORM.forward(isa, &x, Some(&w), Some(&b));
    let found = NORM.backward(isa, (&x, Some(&w), Some(&b)), &moments, &dy, true);
    [y, found.dx.expect("it is wanted"), found.dw, found.db].concat()
}

fn rest(isa: Isa) -> Vec<f32> {
    let (a, b) = (numbers(1, 50_001), numbers(2, 50_001));
    let wide: Vec<f32> = a.iter().map(|a| 30.0 * a).collect();
    let terms = vec![vec![(0, 0.25)], vec![(1, 0.5), (7, -1.0)], vec![], vec![(3, 2.0), (4, 3.0)]];
    [
        maps::silu(isa, &wide),
        maps::silu_gradient(isa, &wide, &b),
        maps::add_scaled(isa, &a, &b, 0.7),
        maps::scale(isa, &a, 3.0),
        rows::concat((&a[..30_000], 30), (&b[..50_000], 50)),
        rows::columns(&a[..50_000], 50, 7, 22),
        rows::add(isa, &a[..50_000], &b[..200], [2, 250, 100]),
        rows::sum(isa, &a[..50_000], [2, 250, 100]),
        resample(isa, &a[..40_000], [5, 10, 8, 100], &terms, &terms),
    ]
    .concat()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let isa = Isa::detect();
    for case in CASES {
        let s = shape(case);
        let [x, w, b, dy] = inputs(&s);
        check_threads(&format!("{s:?}"), || {
            let (y, dx) =
                (conv::forward(isa, &s, &x, &w, Some(&b)), conv::input_gradient(isa, &s, &dy, &w));
            [y, dx, conv::weight_gradient(isa, &s, &x, &dy)].concat()
        });
    }
    check_threads("attention", || attention(isa));
    check_threads("norm", || norm(isa));
    check_threads("the rest", || rest(isa));
}

#[test]
fn instruction_sets_agree_with_each_other() {
    let expected = [attention, norm, rest].map(|f| doubles(&f(Isa::Portable)));
    for isa in isas() {
        for (f, expected) in [attention, norm, rest].iter().zip(&expected) {
            close(&f(isa), expected, 2e-6, &isa.to_string());
        }
    }
}
