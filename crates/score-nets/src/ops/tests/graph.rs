//! The operations in candle's graph, among candle's own.

use super::{check_gradients, normals, numbers, value_and_gradients};
use crate::Result;
use crate::ops::record::count_links;
use crate::ops::{Conv, add_channels, add_scaled, concat, conv2d, group_norm, linear, silu};
use candle_core::{DType, Tensor, Var};

/// Results that are used several times, by operations of both kinds, and views of them.
fn mixed(args: &[Tensor]) -> Result<Tensor> {
    let [x, w, e] = [&args[0], &args[1], &args[2]];
    let h = conv2d(&silu(x)?, w, None, Conv::same(3))?;
    let g = group_norm(&add_channels(&h, e)?, None, None, 2, 1e-3, true)?;
    let again = conv2d(&g, w, None, Conv::same(3))?;
    let view = g.reshape(((), 4))?.narrow(1, 1, 3)?;
    let sum = add_scaled(&add_scaled(&again, &h, 0.7)?, &h, 1.0)?;
    let both = concat(&sum, &(h.sqr()? + &g)?)?;
    let rows = both.flatten_to(2)?;
    let small = linear(&rows, &Tensor::ones((2, 8), x.dtype(), x.device())?, None)?;
    Ok(small.broadcast_add(&view.mean_all()?)?)
}

#[test]
fn gradients_add_up_over_all_uses() {
    let args = [normals(1, &[2, 3, 4, 4]), normals(2, &[4, 4, 3, 3]), normals(3, &[2, 4])];
    check_gradients(&args, &mixed, "mixed");
}

#[test]
fn a_graph_can_be_passed_back_twice() {
    let x = Var::from_tensor(&normals(1, &[2, 5])).expect("a variable");
    let y = silu(&silu(&x).expect("it computes")).expect("it computes");
    let loss = y.sqr().and_then(|y| y.sum_all()).expect("a number");
    let gradient = || {
        let grads = loss.backward().expect("it has gradients");
        numbers(grads.get(&x).expect("a gradient"))
    };
    assert_eq!(gradient(), gradient());
}

#[test]
fn nothing_of_a_graph_stays_behind() {
    // (Other tests have links of their own meanwhile, so that only many of them would be seen.)
    let args = [normals(1, &[2, 3, 4, 4]), normals(2, &[4, 4, 3, 3]), normals(3, &[2, 4])];
    let single = args.map(|x| x.to_dtype(DType::F32).expect("a number type"));
    for _ in 0..1000 {
        let _ = value_and_gradients(&single, &mixed);
    }
    let left = count_links();
    assert!(left < 1000, "{left} links are left");
}
