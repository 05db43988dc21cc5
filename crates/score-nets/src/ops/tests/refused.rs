//! What is refused, and in which words.

use super::normals;
use crate::Activation;
use crate::Result;
use crate::ops::{
    Conv, Fir, activation, activation_times, attention, conv2d, fir, group_norm, linear, mul, silu,
};
use candle_core::{DType, Tensor};

fn message(result: Result<Tensor>) -> String {
    result.expect_err("it is refused").to_string()
}

#[test]
fn half_precision_on_the_cpu_is_refused() {
    for dtype in [DType::F16, DType::BF16] {
        let of = |shape: &[usize]| normals(1, shape).to_dtype(dtype).expect("a number type");
        let (x, w) = (of(&[1, 3, 3, 2]), of(&[2, 2, 1, 1]));
        let same = Conv::same(1);
        let fir = fir(&x, &Fir { taps: &[1.0], up: 1, down: 1, pad: (0, 0) });
        for (what, result) in [
            ("conv2d", conv2d(&x, &w, None, same)),
            ("linear", linear(&x, &of(&[2, 2]), None)),
            ("group_norm", group_norm(&x, None, None, 1, 1e-6, true)),
            ("attention", attention(&x, &x, &x, 1.0)),
            ("silu", silu(&x)),
            ("activation", activation(&x, Activation::Tanh, 0)),
            ("activation_times", activation_times(&x, &x, Activation::Tanh, 1)),
            ("mul", mul(&x, &x)),
            ("fir", fir),
        ] {
            let expected =
                format!("{what} needs f32 or f64 on the CPU, found {} on Cpu", dtype.as_str());
            assert_eq!(message(result), expected);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let x = normals(1, &[1, 3, 4, 2]);
    let w = normals(2, &[5, 3, 3, 3]);
    assert_eq!(
        message(conv2d(&x, &w, None, Conv::same(3))),
        "image of a convolution: expected shape [1, 3, 4, 3], found [1, 3, 4, 2]"
    );
    let w = normals(2, &[5, 2, 5, 5]);
    assert_eq!(
        message(conv2d(&x, &w, None, Conv::same(1))),
        "kernel = [5, 5]: larger than an image of 3 x 4 padded [0, 0, 0, 0]"
    );
    assert_eq!(
        message(conv2d(&x, &w, Some(&normals(3, &[4])), Conv::same(5))),
        "bias of a convolution: expected shape [5], found [4]"
    );
    assert_eq!(
        message(conv2d(&x, &w, None, Conv::new(0, [2; 4]))),
        "kernel and stride = ([5, 2, 5, 5], 0): expected no zeros"
    );
    assert_eq!(
        message(linear(&x, &normals(2, &[5, 3]), None)),
        "input of a linear layer = [1, 3, 4, 2]: expected [..., 3]"
    );
    assert_eq!(
        message(group_norm(&x, None, None, 3, 1e-6, false)),
        "groups = 3: expected a divisor of 2 channels"
    );
    assert_eq!(
        message(group_norm(&x, None, None, 2, f64::NAN, false)),
        "eps = NaN: expected a number of at least 0"
    );
    assert!(message(attention(&x, &w, &w, 1.0)).starts_with("arguments of attention = ("));
    assert_eq!(
        message(activation(&x, Activation::Sin, 4)),
        "derivative of an activation = 4: expected 0 to 3"
    );
    let apart = activation_times(&x, &normals(2, &[3]), Activation::Sin, 1);
    assert!(message(apart).contains("[1, 3, 4, 2]"));
    assert!(message(mul(&x, &normals(2, &[3]))).contains("[1, 3, 4, 2]"));
    let empty = Fir { taps: &[], up: 1, down: 1, pad: (0, 0) };
    assert!(message(fir(&x, &empty)).ends_with("expected finite taps and factors of at least 1"));
    let long = Fir { taps: &[1.0; 5], up: 1, down: 1, pad: (0, 0) };
    assert_eq!(message(fir(&x, &long)), "image = [1, 3, 4, 2]: smaller than 5 taps");
    assert!(
        message(silu(&normals(1, &[2]).to_dtype(DType::U32).expect("a number type")))
            .starts_with("silu needs f32 or f64 on the CPU, found u32")
    );
    let mixed = linear(&x, &normals(2, &[5, 2]).to_dtype(DType::F32).expect("a type"), None);
    assert_eq!(
        message(mixed),
        "linear needs arguments of one kind, found f64 on Cpu and f32 on Cpu"
    );
}
