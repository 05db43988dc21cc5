//! What U-Nets are made of, and a small one as a whole: values, derivatives, gradients.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::VarBuilder;
use score_nets::layers::{self, Conv2d, Form, GroupNorm, Linear, Resample};
use score_nets::ops::Conv;
use score_nets::{
    Architecture, Backend, Build, Condition, Gradients, Jet, Network, Parameters, jvp, vjp,
};
use sde_core::Key;

use super::{Found, Place, host};

// The side that the other is held against computes in double precision: the kernels of single precision have no
// other way on the CPU. Sums are over up to 90 products, and a norm takes differences of numbers of one size; what has
// several of either in a row may be off by as many times as much.

/// Rows of a batch, and pixels along each side of an image: odd, so that halving them leaves some over.
const ROWS: usize = 3;
const SIZE: usize = 7;
const CHANNELS: usize = 10;
/// Of resampling.
const FILTER: [f64; 4] = [1.0, 3.0, 3.0, 1.0];

type Forward = Box<dyn Fn(&Jet, &Jet) -> score_nets::Result<Jet> + Send + Sync>;

/// A layer as a network of one input.
struct Layer {
    row: Vec<usize>,
    forward: Forward,
}

impl Network for Layer {
    fn row_shape(&self) -> Vec<usize> {
        self.row.clone()
    }

    fn forward(&self, x: &Jet, c: &Jet, _: &Condition) -> score_nets::Result<Jet> {
        (self.forward)(x, c)
    }
}

fn layer(row: &[usize], forward: Forward) -> score_nets::Result<Box<dyn Network>> {
    Ok(Box::new(Layer { row: row.to_vec(), forward }))
}

/// A layer of images with so many pixels along each side, from what makes it and what it does.
fn plain<L: Send + Sync + 'static>(
    size: usize,
    make: impl Fn(&VarBuilder<'static>) -> score_nets::Result<L> + Send + Sync + 'static,
    forward: fn(&L, &Jet) -> score_nets::Result<Jet>,
) -> Build {
    Arc::new(move |vb| {
        let made = make(&vb)?;
        layer(&[size, size, CHANNELS], Box::new(move |x, _| forward(&made, x)))
    })
}

/// Layers with what their two sides may differ by, in roundings.
fn all() -> Vec<(&'static str, f64, Build)> {
    let conv = |kernel: usize, conv: Conv| {
        let make =
            move |vb: &VarBuilder<'static>| Conv2d::with_conv(vb, CHANNELS, 12, kernel, 1.0, conv);
        plain(SIZE, make, |layer, x| layer.forward(x))
    };
    let norm = |groups: usize, forward: fn(&GroupNorm, &Jet) -> score_nets::Result<Jet>| {
        plain(SIZE, move |vb| GroupNorm::new(vb, CHANNELS, groups, 1e-5), forward)
    };
    let resample = |size: usize, make: fn() -> score_nets::Result<Resample>| {
        plain(size, move |_| make(), |layer: &Resample, x| layer.forward(x))
    };
    let linear = |vb: &VarBuilder<'static>| Linear::new(vb, CHANNELS, 12, 1.0);
    vec![
        ("convolution 3 x 3", 100.0, conv(3, Conv::same(3))),
        ("convolution of stride 2", 100.0, conv(3, Conv::new(2, [0, 1, 0, 1]))),
        ("convolution 1 x 1", 100.0, conv(1, Conv::same(1))),
        ("linear", 100.0, plain(SIZE, linear, |layer, x| layer.forward(x))),
        ("group norm", 200.0, norm(2, |layer, x| layer.forward(x))),
        ("group norm with SiLU", 200.0, norm(5, |layer, x| layer.forward_silu(x))),
        ("attention", 200.0, Arc::new(attention)),
        ("nearest neighbours", 10.0, resample(SIZE, || Ok(Resample::nearest()))),
        ("means of four", 10.0, resample(SIZE - 1, || Ok(Resample::mean()))),
        ("filtered up", 50.0, resample(SIZE, || Resample::up(&FILTER))),
        ("filtered down", 50.0, resample(SIZE - 1, || Resample::down(&FILTER))),
        ("SiLU and channels", 50.0, Arc::new(levels)),
    ]
}

/// Heads of five channels over the pixels; a bias of the keys would have no gradient.
fn attention(vb: VarBuilder<'static>) -> score_nets::Result<Box<dyn Network>> {
    let map = |name: &str| Linear::without_bias(&vb.pp(name), CHANNELS, CHANNELS, 1.0, Form::Dense);
    let [q, k, v] = ["q", "k", "v"].map(map);
    let (q, k, v) = (q?, k?, v?);
    let heads = |x: Jet| x.map(|x| Ok(x.reshape((ROWS, SIZE * SIZE, 2, 5))?));
    let forward = move |x: &Jet, _: &Jet| {
        let [q, k, v] = [&q, &k, &v].map(|map| heads(map.forward(x)?));
        layers::attention(&q?, &k?, &v?, 5.0_f64.sqrt().recip())
    };
    layer(&[SIZE, SIZE, CHANNELS], Box::new(forward))
}

/// A level for every channel, and channels side by side.
fn levels(vb: VarBuilder<'static>) -> score_nets::Result<Box<dyn Network>> {
    let level = Linear::new(&vb, 1, CHANNELS, 1.0)?;
    let forward = move |x: &Jet, c: &Jet| {
        let level = level.forward(&c.map(|c| Ok(c.unsqueeze(1)?))?)?;
        let moved = layers::add_channels(&layers::silu(x)?, &level)?;
        layers::concat(&layers::add_scaled(x, &moved, 0.7)?, x)
    };
    layer(&[SIZE, SIZE, CHANNELS], Box::new(forward))
}

/// Every layer.
pub(super) fn layers(place: &Place) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (name, roundings, build) in all() {
        found.extend(of(name, roundings, &build, place)?);
    }
    Ok(found)
}

/// A whole network with attention, filters and two levels.
pub(super) fn network(place: &Place) -> Result<Vec<Found>> {
    let json = r#"{"architecture": "edm", "args": {"model_type": "SongUNet", "img_resolution": 8,
        "in_channels": 3, "out_channels": 3, "label_dim": 0, "model_channels": 16, "channel_mult": [1, 2],
        "num_blocks": 1, "attn_resolutions": [4], "encoder_type": "residual", "resample_filter": [1, 3, 3, 1],
        "embedding_type": "positional"}}"#;
    let architecture = Architecture::parse(json)?;
    of("U-Net", 500.0, &(Arc::new(move |vb| architecture.build(vb)) as Build), place)
}

/// Value, derivatives along a direction and a cotangent, gradients of parameters.
fn of(name: &str, roundings: f64, build: &Build, place: &Place) -> Result<Vec<Found>> {
    let backend = if place.reference { Backend::cpu_f64() } else { place.backend.clone() };
    // Values that single precision holds, away from initial ones that are zero.
    let parameters =
        Parameters::initial(Key::root(21), &Backend::cpu(), |vb| Ok(build(vb)?.buffers()))?;
    for (i, (name, values)) in parameters.iter().enumerate() {
        let noise = normals(Key::root(22).fold(i as u64), values.dims(), &Backend::cpu())?;
        parameters.set(name, &(values.detach() + (noise * 0.1)?)?)?;
    }
    let parameters = parameters.copy_to(&backend)?;
    let (live, net) = (build(parameters.live())?, build(parameters.detached())?);
    let shape: Vec<usize> = [ROWS].into_iter().chain(net.row_shape()).collect();
    let [x, u] = [31, 32].map(|seed| normals(Key::root(seed), &shape, &backend));
    let (x, u) = (x?, u?);
    let c = backend.tensor(vec![-0.5, 0.25, 0.75], &[ROWS])?;
    let condition = Condition::default();
    let (y, along) = jvp(&*net, &x, &c, &condition, Some(&u), None)?;
    let (_, rate) = jvp(&*net, &x, &c, &condition, None, Some(&c.ones_like()?))?;
    let v = normals(Key::root(33), y.dims(), &backend)?;
    let back = vjp(&*net, &x, &c, &condition, &v)?;
    let value = live.forward(&Jet::constant(x), &Jet::constant(c), &condition)?.value;
    let gradients = Gradients::of(&(value * v)?.sum_all()?, &parameters)?;
    let parts = gradients.iter().flatten().map(host).collect::<Result<Vec<_>>>()?;
    let found = |what: &str, factor: f64, parts: Vec<Vec<f64>>| Found {
        name: format!("{what}, {name}"),
        parts,
        roundings: factor * roundings,
    };
    Ok(vec![
        found("value", 1.0, vec![host(&y)?]),
        found("derivative along a direction", 2.0, vec![host(&along)?]),
        found("derivative in the noise level", 2.0, vec![host(&rate)?]),
        found("product with a cotangent", 2.0, vec![host(&back.x)?]),
        found("gradients", 4.0, parts),
    ])
}

/// Normal numbers that single precision holds.
fn normals(key: Key, shape: &[usize], backend: &Backend) -> Result<Tensor> {
    let mut single = vec![0.0_f32; shape.iter().product()];
    key.fill_normals_f32(0, &mut single);
    Ok(backend.tensor(single.into_iter().map(f64::from).collect(), shape)?)
}
