//! Rows of a batch belong to themselves.

use candle_core::Tensor;
use score_nets::{Architecture, Condition, Jet, Network, Training};
use sde_core::Key;
use serde_json::json;

use super::{batch, cases, everywhere, parameters};

fn forward(net: &dyn Network, x: &Tensor, c: &Tensor, condition: &Condition) -> Tensor {
    let (x, c) = (Jet::constant(x.clone()), Jet::constant(c.clone()));
    net.forward(&x, &c, condition).expect("evaluates").value
}

fn largest(t: &Tensor) -> f64 {
    t.abs().and_then(|t| t.max_all()).and_then(|t| t.to_scalar()).expect("is a number")
}

#[test]
fn rows_do_not_depend_on_their_neighbours_on_every_device() {
    for backend in everywhere() {
        for case in cases() {
            let parameters = parameters(&case.architecture, &backend);
            let net = case.architecture.build(parameters.detached()).expect("is a network");
            let (x, c, condition) = batch(net.as_ref(), 3, case.level, &backend);
            let all = forward(net.as_ref(), &x, &c, &condition);
            for b in 0..3 {
                let row =
                    |t: &Tensor| t.narrow(0, b, 1).and_then(|t| t.contiguous()).expect("is a row");
                let one = Condition { labels: condition.labels.as_ref().map(row), training: None };
                let y = forward(net.as_ref(), &row(&x), &row(&c), &one);
                let error = largest(&(y - row(&all)).expect("subtracts"));
                assert!(error < 1e-12, "{}: row {b} is {error:e} off", case.name);
            }
        }
    }
}

#[test]
fn a_batch_with_dropout_can_be_cut_on_every_device() {
    for backend in everywhere() {
        let json = json!({"architecture": "edm", "args": {"img_resolution": 4, "img_channels": 1, "label_dim": 3,
            "model_channels": 4, "channel_mult": [1], "num_blocks": 1, "dropout": 0.4, "label_dropout": 0.5}});
        let architecture = Architecture::from_json(&json).expect("is one");
        let parameters = parameters(&architecture, &backend);
        let net = architecture.build(parameters.detached()).expect("is a network");
        let (x, c, condition) = batch(net.as_ref(), 6, 0.3, &backend);
        let training = |key: u64, first_row| Some(Training { key: Key::root(key), first_row });
        let with = |key, first_row, n: usize| {
            let cut = |t: &Tensor| t.narrow(0, first_row as usize, n).expect("has these rows");
            let labels = condition.labels.as_ref().map(cut);
            let condition = Condition { labels, training: training(key, first_row) };
            forward(net.as_ref(), &cut(&x).contiguous().expect("copies"), &cut(&c), &condition)
        };
        let whole = with(1, 0, 6);
        let parts = Tensor::cat(&[with(1, 0, 2), with(1, 2, 4)], 0).expect("joins");
        assert!(largest(&(&whole - parts).expect("subtracts")) < 1e-12);
        let quiet = forward(net.as_ref(), &x, &c, &condition);
        assert!(largest(&(&whole - quiet).expect("subtracts")) > 1e-3);
        assert!(largest(&(whole - with(2, 0, 6)).expect("subtracts")) > 1e-3);
    }
}
