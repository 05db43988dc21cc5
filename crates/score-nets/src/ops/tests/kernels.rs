//! The kernels in single precision against double precision, and the promises about order.

use super::others::FILTERS;
use super::{
    close,
    conv::{CASES, Case},
    normals, numbers, value_and_gradients,
};
use crate::Result;
use crate::ops::{
    Conv, add_channels, add_scaled, attention, concat, conv2d, fir, group_norm, linear, silu,
};
use candle_core::{DType, Tensor, Var};

pub(super) fn single(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F32).expect("a number type")
}

fn bits(x: &Tensor) -> Vec<u32> {
    let x = x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("single precision");
    x.into_iter().map(f32::to_bits).collect()
}

/// Holds `f` in single precision against itself in double precision: value and gradients; `depth`
/// numbers are summed.
#[track_caller]
pub(super) fn check_single(
    args: &[Tensor],
    f: &dyn Fn(&[Tensor]) -> Result<Tensor>,
    tolerance: f64,
    what: &str,
) {
    // Both sides start from the same numbers.
    let singles: Vec<Tensor> = args.iter().map(single).collect();
    let doubles: Vec<Tensor> =
        singles.iter().map(|x| x.to_dtype(DType::F64).expect("a number type")).collect();
    let (found, expected) = (value_and_gradients(&singles, f), value_and_gradients(&doubles, f));
    assert_eq!(found.0.dtype(), DType::F32);
    close(&numbers(&found.0), &numbers(&expected.0), tolerance, &format!("{what}: value"));
    for (i, (found, expected)) in found.1.iter().zip(&expected.1).enumerate() {
        close(&numbers(found), &numbers(expected), tolerance, &format!("{what}: gradient {i}"));
    }
}

/// Shapes that fill tiles, panels and blocks, and ones that do not.
const LARGER: [Case; 10] = [
    ([3, 9, 11, 16], [32, 3, 3], 1, [1, 1, 1, 1]),
    ([2, 8, 8, 100], [7, 3, 3], 1, [1, 1, 1, 1]),
    ([5, 8, 8, 33], [130, 3, 3], 1, [1, 1, 1, 1]),
    ([2, 13, 12, 24], [48, 3, 3], 2, [1, 1, 1, 1]),
    ([2, 12, 12, 8], [16, 3, 3], 2, [0, 1, 0, 1]),
    ([1, 40, 70, 32], [5, 3, 3], 1, [1, 1, 1, 1]),
    ([1, 65, 33, 64], [3, 5, 5], 1, [2, 2, 2, 2]),
    ([4, 6, 6, 300], [17, 1, 1], 1, [0, 0, 0, 0]),
    ([2, 30, 30, 1], [40, 3, 3], 1, [1, 1, 1, 1]),
    ([2, 21, 20, 3], [20, 4, 4], 2, [1, 1, 1, 1]),
];

#[test]
fn convolutions_in_single_precision_agree_with_double() {
    for (image, [o, kh, kw], stride, pad) in CASES.into_iter().chain(LARGER) {
        if image[0] == 0 {
            continue;
        }
        let args = [normals(1, &image), normals(2, &[o, image[3], kh, kw]), normals(3, &[o])];
        let conv = Conv::new(stride, pad);
        let f = |args: &[Tensor]| conv2d(&args[0], &args[1], Some(&args[2]), conv);
        check_single(&args, &f, 2e-6, &format!("{image:?} {:?} {conv:?}", args[1].dims()));
    }
}

#[test]
fn linear_layers_in_single_precision_agree_with_double() {
    for (rows, i, o) in [
        (1, 1, 1),
        (1, 128, 512),
        (7, 512, 40),
        (130, 33, 65),
        (64, 300, 3),
        (1024, 3, 80),
        (1500, 80, 80),
        (3001, 65, 2),
    ] {
        let args = [normals(1, &[rows, i]), normals(2, &[o, i]), normals(3, &[o])];
        let f = |args: &[Tensor]| linear(&args[0], &args[1], Some(&args[2]));
        check_single(&args, &f, 2e-6, &format!("{rows} rows, {i} to {o}"));
    }
}

/// Value and gradient of the input under the same cotangent for every sample.
fn of_samples(x: &Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> [Tensor; 2] {
    let var = Var::from_tensor(x).expect("a variable");
    let y = f(&var).expect("it computes");
    let cotangent = single(&normals(7, &[&[1], &y.dims()[1..]].concat()));
    let loss = y.broadcast_mul(&cotangent).and_then(|y| y.sum_all()).expect("a number");
    let grads = loss.backward().expect("it has gradients");
    [y.detach(), grads.get(&var).expect("a gradient").clone()]
}

/// What depends on no more than a sample has the same bits in every batch.
pub(super) fn check_batches(image: &[usize], f: &dyn Fn(&Tensor) -> Result<Tensor>, what: &str) {
    let x = single(&normals(1, image));
    let whole = of_samples(&x, f);
    for (first, count) in [(0, 1), (1, 2), (image[0] - 1, 1)] {
        let some = |x: &Tensor| x.narrow(0, first, count).expect("some samples");
        let part = of_samples(&some(&x).contiguous().expect("a copy"), f);
        for (part, whole) in part.iter().zip(&whole) {
            assert_eq!(bits(part), bits(&some(whole)), "{what}: samples from {first}");
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    for (image, [o, kh, kw], stride, pad) in LARGER {
        let w = single(&normals(2, &[o, image[3], kh, kw]));
        let image = [5, image[1], image[2], image[3]];
        let conv = Conv::new(stride, pad);
        let what = format!("{image:?} {:?} {conv:?}", w.dims());
        check_batches(&image, &|x| conv2d(x, &w, None, conv), &what);
    }
    let w = single(&normals(2, &[70, 300]));
    check_batches(&[9, 300], &|x| linear(x, &w, None), "linear");
}

/// Samples, pixels, channels, groups.
const NORMS: [[usize; 4]; 6] = [
    [2, 30, 6, 3],
    [1, 1, 4, 1],
    [3, 700, 32, 8],
    [2, 64, 100, 25],
    [2, 9, 5, 1],
    [1, 300, 17, 17],
];

#[test]
fn group_norm_in_single_precision_agrees_with_double() {
    for [batch, pixels, c, groups] in NORMS {
        let x = (normals(1, &[batch, pixels, c]) + 3.0).expect("a sum");
        let args = [x, normals(2, &[c]), normals(3, &[c])];
        for silu in [false, true] {
            let f = |args: &[Tensor]| {
                group_norm(&args[0], Some(&args[1]), Some(&args[2]), groups, 1e-5, silu)
            };
            check_single(&args, &f, 5e-6, &format!("{batch} x {pixels} x {c} in {groups}"));
            let each = [&args[0], &normals(4, &[batch, c]), &normals(5, &[batch, c])];
            let what = format!("{batch} x {pixels} x {c} in {groups}, sample by sample");
            check_single(&each.map(Tensor::clone), &f, 5e-6, &what);
            let f = |args: &[Tensor]| group_norm(&args[0], None, None, groups, 1e-5, silu);
            check_single(&args[..1], &f, 5e-6, &format!("{batch} x {pixels} x {c} in {groups}"));
        }
    }
}

#[test]
fn group_norm_stands_a_mean_far_from_zero() {
    let x = (normals(1, &[1, 500, 8]) + 1000.0).expect("a sum");
    let f = |args: &[Tensor]| group_norm(&args[0], None, None, 2, 1e-5, false);
    // The numbers are the same on both sides; the mean in single precision is off by 6e-8 of it.
    check_single(&[x], &f, 1e-4, "mean 1000");
}

#[test]
fn attention_in_single_precision_agrees_with_double() {
    for [batch, n, m, heads, d] in [
        [1, 1, 1, 1, 1],
        [2, 3, 5, 2, 3],
        [1, 64, 64, 1, 64],
        [2, 130, 70, 2, 17],
        [1, 49, 49, 4, 32],
    ] {
        let keys = [batch, m, heads, d];
        let args = [normals(1, &[batch, n, heads, d]), normals(2, &keys), normals(3, &keys)];
        for scale in [(d as f64).powf(-0.5), -0.3] {
            let f = |args: &[Tensor]| attention(&args[0], &args[1], &args[2], scale);
            check_single(&args, &f, 5e-6, &format!("{batch} {n} {m} {heads} {d} {scale}"));
        }
    }
}

#[test]
fn attention_in_single_precision_takes_views_and_large_scores() {
    let qkv = single(&normals(1, &[2, 60, 3, 2, 9]));
    let part = |i| qkv.narrow(2, i, 1).and_then(|x| x.squeeze(2)).expect("a view");
    let whole = |i| part(i).contiguous().expect("a copy");
    let views = attention(&part(0), &part(1), &part(2), 0.5).expect("it computes");
    let copies = attention(&whole(0), &whole(1), &whole(2), 0.5).expect("it computes");
    assert_eq!(bits(&views), bits(&copies));
    let f = |args: &[Tensor]| attention(&args[0], &args[1], &args[2], 300.0);
    let y = f(&[whole(0), whole(1), whole(2)]).expect("it computes");
    assert!(numbers(&y).iter().all(|y| y.is_finite()));
}

#[test]
fn elementwise_operations_in_single_precision_agree_with_double() {
    for len in [1, 7, 16, 1000, 40_000] {
        let args = [normals(1, &[len]), normals(2, &[len])];
        let wide = (&args[0] * 20.0).expect("a product");
        check_single(&[wide], &|args| silu(&args[0]), 1e-6, &format!("silu {len}"));
        let f = |args: &[Tensor]| add_scaled(&args[0], &args[1], 0.7);
        check_single(&args, &f, 1e-6, &format!("add_scaled {len}"));
    }
}

#[test]
fn resampling_in_single_precision_agrees_with_double() {
    for filter in FILTERS {
        let f = |args: &[Tensor]| fir(&args[0], &filter);
        check_single(&[normals(1, &[2, 6, 9, 11])], &f, 1e-6, &format!("{filter:?}"));
        check_single(&[normals(1, &[1, 8, 8, 64])], &f, 1e-6, &format!("{filter:?}"));
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch_in_the_other_operations() {
    for [_, pixels, c, groups] in NORMS {
        let f = |x: &Tensor| group_norm(x, None, None, groups, 1e-5, true);
        check_batches(&[4, pixels, c], &f, "group_norm");
    }
    let f = |x: &Tensor| attention(x, x, x, 0.4);
    check_batches(&[4, 50, 2, 12], &f, "attention");
    check_batches(&[4, 8, 8, 5], &|x| fir(x, &FILTERS[2]), "fir");
    check_batches(&[4, 8, 9], &|x| silu(x), "silu");
}

#[test]
fn channels_in_single_precision_agree_with_double() {
    for (pixels, c, d) in [(1, 1, 3), (150, 33, 64), (3000, 8, 5)] {
        let args = [normals(1, &[3, pixels, c]), normals(2, &[3, pixels, d])];
        let f = |args: &[Tensor]| concat(&args[0], &args[1]);
        check_single(&args, &f, 1e-7, &format!("concat {pixels} {c} {d}"));
        let args = [normals(1, &[3, pixels, c]), normals(2, &[3, c])];
        let f = |args: &[Tensor]| add_channels(&args[0], &args[1]);
        check_single(&args, &f, 1e-6, &format!("add_channels {pixels} {c}"));
    }
}
