//! Normalisation, attention, SiLU, resampling.

use super::{check_gradients, close, normals, numbers};
use crate::ops::{Fir, add_channels, add_scaled, attention, concat, fir, group_norm, silu};
use candle_core::{IndexOp, Tensor};

#[test]
fn group_norm_is_what_the_definition_says() {
    for (shape, groups) in
        [(vec![2, 3, 5, 6], 3), (vec![1, 1, 1, 4], 2), (vec![3, 7, 5], 1), (vec![2, 5], 1)]
    {
        let c = shape[shape.len() - 1];
        let (x, w, b) = (normals(1, &shape), normals(2, &[c]), normals(3, &[c]));
        let y = group_norm(&x, Some(&w), Some(&b), groups, 1e-3, true).expect("it computes");
        let (x, w, b) = (numbers(&x), numbers(&w), numbers(&b));
        let mut expected = vec![0.0; x.len()];
        let (sample, per_group) = (x.len() / shape[0], c / groups);
        for (n, group) in (0..shape[0]).flat_map(|n| (0..groups).map(move |g| (n, g))) {
            let members: Vec<usize> =
                (n * sample..(n + 1) * sample).filter(|i| i % c / per_group == group).collect();
            let count = members.len() as f64;
            let mean = members.iter().map(|&i| x[i]).sum::<f64>() / count;
            let variance = members.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / count;
            for i in members {
                let z = w[i % c] * (x[i] - mean) / (variance + 1e-3).sqrt() + b[i % c];
                expected[i] = z / (1.0 + (-z).exp());
            }
        }
        close(&numbers(&y), &expected, 1e-13, &format!("{shape:?} in {groups}"));
    }
}

#[test]
fn gradients_of_group_norm_agree_with_central_differences() {
    for (shape, groups) in [(vec![2, 3, 2, 6], 3), (vec![1, 2, 1, 4], 2), (vec![3, 3, 5], 1)] {
        let c = shape[shape.len() - 1];
        let args = [normals(1, &shape), normals(2, &[c]), normals(3, &[c])];
        for silu in [false, true] {
            let what = format!("{shape:?} in {groups}, SiLU {silu}");
            let both = |args: &[Tensor]| {
                group_norm(&args[0], Some(&args[1]), Some(&args[2]), groups, 1e-3, silu)
            };
            check_gradients(&args, &both, &what);
            let weight =
                |args: &[Tensor]| group_norm(&args[0], Some(&args[1]), None, groups, 1e-3, silu);
            check_gradients(&args[..2], &weight, &what);
            let bias =
                |args: &[Tensor]| group_norm(&args[0], None, Some(&args[1]), groups, 1e-3, silu);
            check_gradients(&args[..2], &bias, &what);
            let plain = |args: &[Tensor]| group_norm(&args[0], None, None, groups, 1e-3, silu);
            check_gradients(&args[..1], &plain, &what);
            let each = [&args[0], &normals(4, &[shape[0], c]), &normals(5, &[shape[0], c])];
            check_gradients(&each.map(Tensor::clone), &both, &format!("{what}, sample by sample"));
        }
    }
}

/// Batch, queries, keys, heads, width.
const ATTENTIONS: [[usize; 5]; 4] =
    [[1, 1, 1, 1, 1], [2, 3, 5, 2, 3], [1, 4, 4, 1, 7], [3, 2, 9, 3, 1]];

#[test]
fn attention_is_what_the_definition_says() {
    for [batch, n, m, heads, d] in ATTENTIONS {
        let q = normals(1, &[batch, n, heads, d]);
        let (k, v) = (normals(2, &[batch, m, heads, d]), normals(3, &[batch, m, heads, d]));
        let y = attention(&q, &k, &v, 0.7).expect("it computes");
        let of = |x: &Tensor, b, i, h| numbers(&x.i((b, i, h)).expect("a head"));
        for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
            for i in 0..n {
                let q = of(&q, b, i, h);
                let score = |j| {
                    let k = of(&k, b, j, h);
                    (0.7 * q.iter().zip(&k).map(|(q, k)| q * k).sum::<f64>()).exp()
                };
                let weights: Vec<f64> = (0..m).map(score).collect();
                let total: f64 = weights.iter().sum();
                let mut expected = vec![0.0; d];
                for (j, weight) in weights.iter().enumerate() {
                    for (to, v) in expected.iter_mut().zip(of(&v, b, j, h)) {
                        *to += weight / total * v;
                    }
                }
                close(&of(&y, b, i, h), &expected, 1e-13, &format!("{batch} {n} {m} {heads} {d}"));
            }
        }
    }
}

#[test]
fn gradients_of_attention_agree_with_central_differences() {
    for [batch, n, m, heads, d] in ATTENTIONS {
        let keys = [batch, m, heads, d];
        let args = [normals(1, &[batch, n, heads, d]), normals(2, &keys), normals(3, &keys)];
        let f = |args: &[Tensor]| attention(&args[0], &args[1], &args[2], 0.7);
        check_gradients(&args, &f, &format!("{batch} {n} {m} {heads} {d}"));
    }
}

#[test]
fn attention_takes_views() {
    let qkv = normals(1, &[2, 6, 3, 2, 4]); // q, k and v beside each other
    let part = |i| qkv.i((.., .., i)).expect("a view");
    let whole = |i| part(i).contiguous().expect("a copy");
    let views = attention(&part(0), &part(1), &part(2), 0.5).expect("it computes");
    let copies = attention(&whole(0), &whole(1), &whole(2), 0.5).expect("it computes");
    assert_eq!(numbers(&views), numbers(&copies));
}

#[test]
fn silu_and_its_gradient() {
    let x = normals(1, &[3, 7]);
    let expected: Vec<f64> = numbers(&x).iter().map(|z| z / (1.0 + (-z).exp())).collect();
    close(&numbers(&silu(&x).expect("it computes")), &expected, 1e-15, "silu");
    check_gradients(&[x], &|args| silu(&args[0]), "silu");
}

pub(super) const FILTERS: [Fir<'static>; 7] = [
    Fir { taps: &[1.0, 1.0], up: 2, down: 1, pad: (1, 0) },
    Fir { taps: &[0.5, 0.5], up: 1, down: 2, pad: (0, 0) },
    Fir { taps: &[0.25, 0.75, 0.75, 0.25], up: 2, down: 1, pad: (2, 1) },
    Fir { taps: &[0.125, 0.375, 0.375, 0.125], up: 1, down: 2, pad: (1, 1) },
    Fir { taps: &[1.0, 2.0, 4.0], up: 3, down: 2, pad: (0, 4) },
    Fir { taps: &[3.0, 0.0, -1.0, 0.5, 2.0], up: 1, down: 3, pad: (5, 2) },
    Fir { taps: &[2.0], up: 1, down: 1, pad: (0, 0) },
];

/// Rows of numbers as `upfirdn` treats them, in the words of its definition.
fn by_definition(x: &[f64], fir: &Fir<'_>) -> Vec<f64> {
    let mut long = vec![0.0; fir.pad.0];
    for &x in x {
        long.push(x);
        long.extend(vec![0.0; fir.up - 1]);
    }
    long.extend(vec![0.0; fir.pad.1]);
    let flipped: Vec<f64> = fir.taps.iter().rev().copied().collect();
    let filtered = long.windows(flipped.len());
    let filtered = filtered.map(|x| x.iter().zip(&flipped).map(|(x, f)| x * f).sum());
    filtered.step_by(fir.down).collect()
}

#[test]
fn resampling_is_what_the_definition_says_and_has_its_gradient() {
    for filter in FILTERS {
        let x = normals(1, &[2, 6, 5, 3]);
        let y = fir(&x, &filter).expect("it computes");
        let (_, rows, columns, _) = y.dims4().expect("an image");
        for (b, c) in [(0, 0), (1, 2)] {
            let image = x.i((b, .., .., c)).and_then(|x| x.to_vec2::<f64>()).expect("an image");
            let wide: Vec<Vec<f64>> = image.iter().map(|row| by_definition(row, &filter)).collect();
            assert_eq!(wide[0].len(), columns, "{filter:?}");
            for column in 0..columns {
                let long: Vec<f64> = wide.iter().map(|row| row[column]).collect();
                let expected = by_definition(&long, &filter);
                assert_eq!(expected.len(), rows, "{filter:?}");
                let found = y.i((b, .., column, c)).expect("a column");
                close(&numbers(&found), &expected, 1e-14, &format!("{filter:?}"));
            }
        }
        let small = normals(2, &[1, 4, 3, 2]);
        check_gradients(&[small], &|args| fir(&args[0], &filter), &format!("{filter:?}"));
    }
}

#[test]
fn scaled_sums_and_their_gradient() {
    for factor in [1.0, 0.5_f64.sqrt()] {
        let args = [normals(1, &[3, 5]), normals(2, &[3, 5])];
        let f = |args: &[Tensor]| add_scaled(&args[0], &args[1], factor);
        let sums = numbers(&args[0]).into_iter().zip(numbers(&args[1]));
        let expected: Vec<f64> = sums.map(|(a, b)| factor * (a + b)).collect();
        close(&numbers(&f(&args).expect("it computes")), &expected, 1e-15, "add_scaled");
        check_gradients(&args, &f, "add_scaled");
    }
}

#[test]
fn channels_beside_each_other_and_their_gradient() {
    let args = [normals(1, &[2, 3, 2]), normals(2, &[2, 3, 5])];
    let y = numbers(&concat(&args[0], &args[1]).expect("it computes"));
    let (a, b) = (numbers(&args[0]), numbers(&args[1]));
    let expected: Vec<f64> =
        a.chunks(2).zip(b.chunks(5)).flat_map(|(a, b)| [a, b].concat()).collect();
    assert_eq!(y, expected);
    check_gradients(&args, &|args| concat(&args[0], &args[1]), "concat");
}

#[test]
fn numbers_of_channels_and_their_gradient() {
    let args = [normals(1, &[2, 3, 2, 5]), normals(2, &[2, 5])];
    let y = numbers(&add_channels(&args[0], &args[1]).expect("it computes"));
    let (x, e) = (numbers(&args[0]), numbers(&args[1]));
    let expected: Vec<f64> = x.iter().enumerate().map(|(i, x)| x + e[i / 30 * 5 + i % 5]).collect();
    assert_eq!(y, expected);
    check_gradients(&args, &|args| add_channels(&args[0], &args[1]), "add_channels");
}

#[test]
fn every_sample_may_have_weights_of_its_own() {
    let x = normals(1, &[3, 4, 6]);
    let (w, b) = (normals(2, &[3, 6]), normals(3, &[3, 6]));
    let norm = |x: &Tensor, w: &Tensor, b: &Tensor| {
        numbers(&group_norm(x, Some(w), Some(b), 2, 1e-3, true).expect("it computes"))
    };
    let one = |i: usize| {
        let of = |x: &Tensor| x.narrow(0, i, 1).expect("a sample");
        let row = |x: &Tensor| x.get(i).expect("a row");
        norm(&of(&x), &row(&w), &row(&b))
    };
    close(&norm(&x, &w, &b), &[one(0), one(1), one(2)].concat(), 1e-14, "sample by sample");
}
