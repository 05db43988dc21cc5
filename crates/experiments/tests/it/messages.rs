//! Numbers in error messages: short, whatever their size.

use score_nets::Error as Net;
use sde_core::Error as Core;
use solvers::SolveError as Solve;

/// Every message with a number in it, for that number.
fn messages(v: f64) -> Vec<String> {
    let text = || v.to_string();
    let core = [
        Core::Time { t: v, horizon: v },
        Core::Parameter { name: "t".into(), value: text(), reason: "no".into() },
        Core::NonFinite { what: "score", value: v, row: 1 },
    ];
    let nets = [
        Net::Setting { name: "clip".into(), value: text(), reason: "no".into() },
        Net::NonFinite { what: "loss".into(), value: v, step: 1 },
    ];
    let solvers = [
        Solve::NonFinite { t: v, h: v },
        Solve::StepTooSmall { t: v, h: v, abs: v, rel: v },
        Solve::TooManySteps { limit: 1, t: v, h: v },
        Solve::NotAPath { t: v },
        Solve::NotAnOde { t: v, amplitude: v },
        Solve::StepBelowNoise { t: v, h: v, least: v, abs: v, rel: v },
        Solve::NoErrorEstimate { t: v },
        Solve::BadGrid { index: 1, t: v, previous: v, reason: "no" },
        Solve::Model { t: v, h: v, source: Core::Time { t: v, horizon: v } },
    ];
    let metrics = [
        metrics::Error::NonFinite { what: "cloud", row: 1, column: 1, value: v },
        metrics::Error::InvalidWeight { what: "cloud", index: 1, value: v },
        metrics::Error::UnequalMass { left: v, right: v },
        metrics::Error::NoMass { what: "cloud", total: v },
        metrics::Error::InvalidParameter { name: "p", expected: "positive", value: v },
        metrics::Error::OutOfRange { what: "value", value: v },
        metrics::Error::NotConverged { rounds: 1, violation: v, tolerance: v },
    ];
    let all = core.iter().map(ToString::to_string);
    let all = all.chain(nets.iter().map(ToString::to_string));
    let all = all.chain(solvers.iter().map(ToString::to_string));
    all.chain(metrics.iter().map(ToString::to_string)).collect()
}

#[test]
fn numbers_take_few_characters() {
    for exponent in -300..=300 {
        for sign in [1.0, -1.234_567_890_123_456_7] {
            let v = sign * 10.0_f64.powi(exponent);
            for message in messages(v) {
                let parts = message.split(|c: char| !(c.is_ascii_digit() || "+-.e".contains(c)));
                let longest = parts.map(str::len).max().unwrap_or(0);
                assert!(longest <= 25, "{message}");
            }
        }
    }
}
