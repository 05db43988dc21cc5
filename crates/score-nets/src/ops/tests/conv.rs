//! Convolutions and linear layers.

use super::{check_gradients, close, normals, numbers};
use crate::ops::{Conv, conv2d, linear};
use candle_core::Tensor;

/// Image `[B, H, W, C]`, kernel `[O, kh, kw]`, stride, padding.
pub(super) type Case = ([usize; 4], [usize; 3], usize, [usize; 4]);

pub(super) const CASES: [Case; 14] = [
    ([1, 5, 7, 1], [1, 1, 1], 1, [0, 0, 0, 0]),
    ([2, 5, 4, 3], [2, 3, 3], 1, [1, 1, 1, 1]),
    ([1, 7, 5, 2], [3, 3, 3], 2, [0, 1, 0, 1]),
    ([2, 6, 7, 1], [2, 3, 3], 2, [1, 1, 1, 1]),
    ([1, 5, 6, 2], [1, 5, 5], 1, [2, 2, 2, 2]),
    ([1, 4, 7, 2], [2, 1, 3], 1, [0, 0, 2, 1]),
    ([2, 5, 5, 3], [2, 1, 1], 2, [0, 0, 0, 0]),
    ([1, 6, 6, 1], [1, 2, 2], 3, [0, 0, 0, 0]),
    ([1, 3, 3, 2], [2, 3, 3], 1, [0, 0, 0, 0]),
    ([1, 2, 3, 2], [2, 1, 1], 1, [1, 0, 2, 1]),
    ([1, 4, 4, 1], [2, 5, 3], 2, [3, 2, 1, 0]),
    ([3, 1, 1, 4], [3, 3, 3], 1, [1, 1, 1, 1]),
    ([1, 1, 9, 1], [1, 1, 5], 2, [0, 0, 4, 4]),
    ([0, 4, 4, 2], [3, 3, 3], 1, [1, 1, 1, 1]),
];

/// The definition, number by number.
pub(super) fn by_definition(x: &Tensor, w: &Tensor, b: &[f64], conv: Conv) -> Vec<f64> {
    let (bs, h, wd, c) = x.dims4().expect("an image");
    let (o, _, kh, kw) = w.dims4().expect("a kernel");
    let [top, bottom, left, right] = conv.pad;
    let rows = (h + top + bottom - kh) / conv.stride + 1;
    let columns = (wd + left + right - kw) / conv.stride + 1;
    let (x, w) = (numbers(x), numbers(w));
    let mut y = Vec::new();
    for n in 0..bs {
        for (r, q) in (0..rows).flat_map(|r| (0..columns).map(move |q| (r, q))) {
            for out in 0..o {
                let mut sum = b[out];
                for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                    let (at, across) = (r * conv.stride + i, q * conv.stride + j);
                    if at < top || at >= top + h || across < left || across >= left + wd {
                        continue;
                    }
                    let pixel = (n * h + at - top) * wd + across - left;
                    for ch in 0..c {
                        sum += w[((out * c + ch) * kh + i) * kw + j] * x[pixel * c + ch];
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn convolutions_are_what_the_definition_says() {
    for (image, [o, kh, kw], stride, pad) in CASES {
        let (x, w) = (normals(1, &image), normals(2, &[o, image[3], kh, kw]));
        let b = normals(3, &[o]);
        let conv = Conv::new(stride, pad);
        let what = format!("{image:?} {:?} {conv:?}", w.dims());
        let expected = by_definition(&x, &w, &numbers(&b), conv);
        let y = conv2d(&x, &w, Some(&b), conv).expect("it computes");
        close(&numbers(&y), &expected, 1e-13, &what);
        let y = conv2d(&x, &w, None, conv).expect("it computes");
        close(&numbers(&y), &by_definition(&x, &w, &vec![0.0; o], conv), 1e-13, &what);
    }
}

#[test]
fn gradients_of_convolutions_agree_with_central_differences() {
    for (image, [o, kh, kw], stride, pad) in CASES {
        let args = [normals(1, &image), normals(2, &[o, image[3], kh, kw]), normals(3, &[o])];
        let conv = Conv::new(stride, pad);
        let what = format!("{image:?} {:?} {conv:?}", args[1].dims());
        if image[0] > 0 {
            let f = |args: &[Tensor]| conv2d(&args[0], &args[1], Some(&args[2]), conv);
            check_gradients(&args, &f, &what);
        }
    }
}

#[test]
fn a_linear_layer_is_a_product_and_has_its_gradients() {
    for (rows, i, o) in
        [(vec![1], 1, 1), (vec![5], 3, 4), (vec![2, 3], 7, 2), (vec![2, 1, 2], 4, 9)]
    {
        let shape: Vec<usize> = rows.iter().copied().chain([i]).collect();
        let args = [normals(1, &shape), normals(2, &[o, i]), normals(3, &[o])];
        let y = linear(&args[0], &args[1], Some(&args[2])).expect("it computes");
        assert_eq!(y.dims()[..rows.len()], rows);
        let [x, w, b] = [0, 1, 2].map(|arg| numbers(&args[arg]));
        let expected: Vec<f64> = x
            .chunks(i)
            .flat_map(|x| {
                let dot =
                    |(w, b): (&[f64], &f64)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
                w.chunks(i).zip(&b).map(dot).collect::<Vec<_>>()
            })
            .collect();
        close(&numbers(&y), &expected, 1e-13, &format!("{shape:?} to {o}"));
        let f = |args: &[Tensor]| linear(&args[0], &args[1], Some(&args[2]));
        check_gradients(&args, &f, &format!("{shape:?} to {o}"));
    }
}

#[test]
fn nobody_computes_a_gradient_that_is_not_wanted() {
    use candle_core::Var;
    let (x, w) = (normals(1, &[1, 4, 4, 2]), normals(2, &[3, 2, 3, 3]));
    let var = Var::from_tensor(&x).expect("a variable");
    let y = conv2d(&var, &w, None, Conv::same(3)).expect("it computes");
    let grads = y.sum_all().and_then(|y| y.backward()).expect("it has gradients");
    assert!(grads.get(&var).is_some() && grads.get(&w).is_none());
    let y = conv2d(&x, &w, None, Conv::same(3)).expect("it computes");
    assert!(!y.track_op());
}
