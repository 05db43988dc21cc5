//! `sde-core`: keyed random numbers and the linear algebra of the solver loop.

use crate::time;
use criterion::Criterion;
use ndarray::Array2;
use sde_core::{Key, State};
use std::hint::black_box;

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("sde-core");
    let key = Key::root(1);
    for n in [1 << 10, 1 << 17] {
        let (mut wide, mut narrow) = (vec![0.0_f64; n], vec![0.0_f32; n]);
        time(&mut group, "normals", n, n, || key.fill_normals(0, black_box(&mut wide)));
        time(&mut group, "normals-f32", n, n, || key.fill_normals_f32(0, black_box(&mut narrow)));
        time(&mut group, "uniforms", n, n, || key.fill_uniforms(0, black_box(&mut wide)));
        time(&mut group, "signs", n, n, || key.fill_signs(0, black_box(&mut wide)));
    }
    for rows in [1 << 9, 1 << 16] {
        let zero = Array2::<f64>::zeros((rows, 2));
        let x: Vec<Array2<f64>> = (0..3)
            .map(|k| zero.normals_like(Key::root(k), 0).expect("ndarray cannot fail"))
            .collect();
        let terms = [(0.5, &x[0]), (-1.5, &x[1]), (0.25, &x[2])];
        time(&mut group, "lincomb3", rows, 2 * rows, || State::lincomb(black_box(&terms)));
        time(&mut group, "normals-like", rows, 2 * rows, || {
            black_box(&zero).normals_like(Key::root(9), 0)
        });
    }
}
