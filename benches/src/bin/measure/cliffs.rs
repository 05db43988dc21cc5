//! `cliffs`: the training steps where arithmetic is known to become slow, beside the usual ones.

use anyhow::Result;
use candle_core::Tensor;
use score_nets::ScoreBatch;
use serde_json::{Map, Value, json};

use crate::cli::Options;
use crate::machine::Machine;
use crate::ours::Ours;
use crate::quiet::in_words;
use crate::side::{Item, Measured, Side, rounds};
use crate::table::markdown;
use crate::timing::Spread;
use crate::work::Work;

const STEPS: [Item; 2] = [Item::Dsm, Item::DsmFp];

/// The same network and points, with every parameter and every coordinate changed.
fn changed(
    work: &Work,
    parameter: impl Fn(&str, &Tensor) -> candle_core::Result<Tensor>,
    x: f64,
) -> Result<Work> {
    let net = work.net.duplicate()?;
    for (name, var) in net.parameters().iter() {
        // A copy, for a variable cannot be set to what is derived from it.
        net.parameters().set(name, &parameter(name, &var.detach())?)?;
    }
    let scaled = |values: &[f64]| values.iter().map(|v| x * v).collect();
    let batch = ScoreBatch { x: scaled(&work.batch.x), ..work.batch.clone() };
    let mut points = work.points.clone();
    points.x = scaled(&points.x);
    Ok(Work { net, batch, points, starts: work.starts.clone(), times: work.times.clone() })
}

/// The work as it is, and what becomes of it in a training that goes wrong.
fn cases(work: &Work) -> Result<Vec<(&'static str, Work)>> {
    let same = |_: &str, v: &Tensor| Ok(v.clone());
    let bias = |name: &str| name.ends_with("bias");
    Ok(vec![
        ("as it is", changed(work, same, 1.0)?),
        ("weights times 1000", changed(work, |_, v| v * 1e3, 1.0)?),
        ("weights times 1e-6", changed(work, |_, v| v * 1e-6, 1.0)?),
        (
            "biases plus 1000",
            changed(work, |n, v| if bias(n) { v + 1e3 } else { Ok(v.clone()) }, 1.0)?,
        ),
        (
            "biases minus 1000",
            changed(work, |n, v| if bias(n) { v - 1e3 } else { Ok(v.clone()) }, 1.0)?,
        ),
        ("inputs times 1e6", changed(work, same, 1e6)?),
        ("inputs times 1e30", changed(work, same, 1e30)?),
        ("weights that are no numbers", changed(work, |_, v| v * f64::NAN, 1.0)?),
    ])
}

/// Times the training steps of all cases in turn.
pub(crate) fn run(options: &Options) -> Result<()> {
    options.start()?;
    let cases = cases(&Work::new(options.model.as_deref())?)?;
    let mut sides = cases
        .iter()
        .map(|(name, work)| Ours::new(name, work, &work.net))
        .collect::<Result<Vec<_>>>()?;
    let mut turns: Vec<(&mut dyn Side, &[Item])> =
        sides.iter_mut().map(|side| (side as &mut dyn Side, &STEPS[..])).collect();
    let Measured { times, quiet } =
        rounds(Item::ALL, &mut turns, options.rounds, options.quiet()?)?;
    let median = |case: usize, item| Spread::of(times[case][&item].iter().copied()).median;
    // A cliff is there every time, a neighbour is not: on shared cores the fastest tell them apart.
    let fastest = |case: usize, item| times[case][&item].iter().copied().fold(f64::MAX, f64::min);
    let heading = ["", "dsm, ms", "ratio", "fastest", "dsm_fp, ms", "ratio", "fastest"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut found = Map::new();
    for (case, (name, _)) in cases.iter().enumerate() {
        let mut row = vec![(*name).to_owned()];
        for item in STEPS {
            let (ms, ratio) = (1e3 * median(case, item), median(case, item) / median(0, item));
            let fastest = fastest(case, item) / fastest(0, item);
            row.extend([ms, ratio, fastest].map(|number| format!("{number:.2}")));
            found.insert(
                format!("{name}: {}", item.name()),
                json!({"ms": ms, "ratio": ratio, "fastest": fastest}),
            );
        }
        rows.push(row);
    }
    let machine = Machine::here();
    let text = format!(
        "{}; {} rounds{}\n\n{}",
        machine.in_words(options.threads),
        options.rounds,
        in_words(quiet.as_ref()),
        markdown(&rows)
    );
    let found = json!({"machine": machine, "quiet": quiet, "cases": Value::Object(found)});
    options.print(&found, &text)
}
