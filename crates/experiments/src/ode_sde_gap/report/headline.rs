//! What the numbers say, in words: nothing here is known before the run.

use super::figures::weight_name;
use crate::ode_sde_gap::results::{Results, Row};
use crate::report::html::{Html, html};

/// How a figure changed between two networks, given the noise it is measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Smaller by more than the noise.
    Falls,
    /// Larger by more than the noise.
    Rises,
    /// The same within the noise.
    Holds,
}

/// Compares two squared distances, each uncertain by `noise`.
pub(crate) fn change(from: f64, to: f64, noise: f64) -> Change {
    if to < from - noise {
        Change::Falls
    } else if to > from + noise {
        Change::Rises
    } else {
        Change::Holds
    }
}

/// The finding of one data set.
#[derive(Clone, Debug)]
pub(crate) struct Finding<'a> {
    /// Data set.
    pub(crate) dataset: &'a str,
    /// The row of the smallest weight.
    pub(crate) first: &'a Row,
    /// The row of the largest weight.
    pub(crate) last: &'a Row,
    /// What the ODE-SDE distance does between them.
    pub(crate) gap: Change,
    /// What the SDE-truth distance does between them.
    pub(crate) sde: Change,
    /// The row in which the ODE is closest to the truth.
    pub(crate) best_ode: &'a Row,
    /// Noise floor of squared W2.
    pub(crate) noise: f64,
}

/// One finding for each data set.
pub(crate) fn findings(results: &Results) -> Vec<Finding<'_>> {
    results
        .datasets()
        .into_iter()
        .filter_map(|dataset| {
            let rows = results.rows_of(dataset);
            let (first, last) = (*rows.first()?, *rows.last()?);
            let floor = results.floor_of(dataset);
            let noise = floor.map_or(0.0, |f| f.w2);
            let best_ode = *rows.iter().min_by(|a, b| a.ode_truth.total_cmp(&b.ode_truth))?;
            Some(Finding {
                dataset: &first.dataset,
                first,
                last,
                // Both sides of the gap are samples: its floor is higher.
                gap: change(first.ode_sde, last.ode_sde, floor.map_or(0.0, |f| f.w2_pair)),
                sde: change(first.sde_truth, last.sde_truth, noise),
                best_ode,
                noise,
            })
        })
        .collect()
}

/// The headline and the sentence under it.
pub(crate) fn headline(results: &Results) -> (Html, Html) {
    let found = findings(results);
    let weights = results.weights();
    let (Some(lo), Some(hi)) = (weights.first(), weights.last()) else {
        return ("No network was measured".into(), "The run holds no results.".into());
    };
    if weights.len() < 2 {
        let list: Vec<String> =
            found.iter().map(|f| format!("{:.4} on {}", f.first.ode_sde, f.dataset)).collect();
        return (
            html!(
                "How far apart the ODE and the SDE of one score are, at w<sub>R</sub> = {}",
                weight_name(*lo)
            ),
            html!("Squared W<sub>2</sub> between ODE and SDE samples: {}.", join(&list)),
        );
    }
    let named = |c: Change| -> Vec<String> {
        found.iter().filter(|f| f.gap == c).map(|f| f.dataset.to_string()).collect()
    };
    let (falls, holds, rises) = (named(Change::Falls), named(Change::Holds), named(Change::Rises));
    let all = |list: &[String]| list.len() == found.len();
    let title = if all(&falls) {
        match found.len() {
            1 => html!(
                "The ODE\u{2013}SDE gap closes as the Fokker\u{2013}Planck residual is penalised, on {}",
                join(&falls)
            ),
            _ => "The ODE\u{2013}SDE gap closes as the Fokker\u{2013}Planck residual is penalised"
                .into(),
        }
    } else if all(&holds) {
        "The ODE\u{2013}SDE gap shows no change beyond the noise in this run".into()
    } else if falls.is_empty() {
        "Penalising the Fokker\u{2013}Planck residual did not narrow the ODE\u{2013}SDE gap in this run".into()
    } else {
        html!(
            "Penalising the Fokker\u{2013}Planck residual narrows the ODE\u{2013}SDE gap on {}",
            join(&falls)
        )
    };
    let mut text = html!(
        "From w<sub>R</sub> = {} to w<sub>R</sub> = {}, the squared W<sub>2</sub> distance between the samples of the probability-flow ODE and of the reverse SDE ",
        weight_name(*lo),
        weight_name(*hi)
    );
    let mut parts = Vec::new();
    if !falls.is_empty() {
        let list: Vec<String> = found
            .iter()
            .filter(|f| f.gap == Change::Falls)
            .map(|f| format!("{:.4} to {:.4} on {}", f.first.ode_sde, f.last.ode_sde, f.dataset))
            .collect();
        parts.push(format!("falls from {}", join(&list)));
    }
    if !rises.is_empty() {
        parts.push(format!("rises on {}", join(&rises)));
    }
    if !holds.is_empty() {
        parts.push(format!("stays within the noise on {}", join(&holds)));
    }
    text.push(html!("{}.", parts.join("; it ")));
    let worse: Vec<String> =
        found.iter().filter(|f| f.sde == Change::Rises).map(|f| f.dataset.to_string()).collect();
    if !worse.is_empty() {
        text.push(html!(" The SDE itself moves away from the truth on {}.", join(&worse)));
    }
    (title, text)
}

/// The cards under the headline, one a data set.
pub(crate) fn cards(results: &Results) -> Html {
    let mut cards = Html::default();
    for f in findings(results) {
        let (a, b) = (f.first.ode_sde, f.last.ode_sde);
        let several = f.first.w_r != f.last.w_r;
        let big = match f.gap {
            _ if !several => {
                html!("{:.4} <small>squared W<sub>2</sub><br>ODE to SDE</small>", a)
            }
            Change::Falls => {
                html!("{:.1}\u{d7} <small>smaller gap<br>{:.4} \u{2192} {:.4}</small>", a / b, a, b)
            }
            Change::Rises => {
                html!("{:.1}\u{d7} <small>wider gap<br>{:.4} \u{2192} {:.4}</small>", b / a, a, b)
            }
            Change::Holds => html!(
                "\u{2248} <small>no change beyond the noise<br>{:.4} \u{2192} {:.4}</small>",
                a,
                b
            ),
        };
        let best = html!(
            "<li>ODE closest to the truth at w<sub>R</sub> = {} ({:.4})</li>",
            weight_name(f.best_ode.w_r),
            f.best_ode.ode_truth
        );
        let (s, e) = (f.first.sde_truth, f.last.sde_truth);
        let verb = match f.sde {
            _ if !several => format!("SDE to truth {s:.4}"),
            Change::Rises => format!("SDE to truth rises {s:.4} \u{2192} {e:.4}"),
            Change::Falls => format!("SDE to truth falls {s:.4} \u{2192} {e:.4}"),
            Change::Holds => format!("SDE to truth holds within noise ({s:.4} \u{2192} {e:.4})"),
        };
        cards.push(html!(
            "<div class=\"card\"><div class=\"name\">{}</div><div class=\"big\">{}</div><ul>{}<li>{}</li><li>noise floor {:.4}</li></ul></div>\n",
            f.dataset,
            big,
            if several { best } else { Html::default() },
            verb,
            f.noise
        ));
    }
    html!("<div class=\"cards\">\n{}</div>\n", cards)
}

/// `a`, `a and b`, `a, b and c`.
fn join(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
