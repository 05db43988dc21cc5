//! What the numbers say, in words: nothing here is known before the run.

use metrics::Change;
use report::{Markup, html, list, short};

use crate::distance::{by_change, change, said};
use crate::ode_sde_gap::results::{Floor, Results, Row};

/// The finding of one data set, from its smallest to its largest weight.
#[derive(Clone, Debug)]
struct Finding<'a> {
    first: &'a Row,
    last: &'a Row,
    /// What the ODE-SDE distance does between them.
    gap: Change,
    /// What the SDE-truth distance does between them.
    sde: Change,
    /// The row in which the ODE is closest to the truth.
    best_ode: &'a Row,
    floor: Option<&'a Floor>,
}

/// Comparisons that the headline sums up: two a data set.
pub(super) fn comparisons(results: &Results) -> usize {
    2 * results.datasets().len()
}

fn findings(results: &Results) -> Vec<Finding<'_>> {
    let of = |dataset: &str| {
        let rows = results.rows_of(dataset);
        let (first, last) = (*rows.first()?, *rows.last()?);
        let ode = |r: &Row| r.w2.ode_truth.value;
        let best_ode = *rows.iter().min_by(|a, b| ode(a).total_cmp(&ode(b)))?;
        let count = comparisons(results);
        Some(Finding {
            first,
            last,
            gap: change(first.w2.ode_sde, last.w2.ode_sde, count),
            sde: change(first.w2.sde_truth, last.w2.sde_truth, count),
            best_ode,
            floor: results.floor_of(&first.dataset),
        })
    };
    results.datasets().into_iter().filter_map(of).collect()
}

/// The headline and the sentence under it.
pub(super) fn headline(results: &Results) -> (String, Markup) {
    let found = findings(results);
    let weights = results.weights();
    let (Some(lo), Some(hi)) = (weights.first(), weights.last()) else {
        return ("No network was measured".into(), html! { "The run holds no results." });
    };
    if weights.len() < 2 {
        let all: Vec<String> = found
            .iter()
            .map(|f| format!("{} on {}", said(f.first.w2.ode_sde), f.first.dataset))
            .collect();
        return (
            format!("How far apart the ODE and the SDE of one score are, at w_R = {}", short(*lo)),
            html! { "Squared W" sub { "2" } " between ODE and SDE samples: " (list(&all)) "." },
        );
    }
    let text = html! {
        "From w" sub { "R" } " = " (short(*lo)) " to w" sub { "R" } " = " (short(*hi))
        ", the squared W" sub { "2" } " distance between the samples of the probability-flow ODE and of the reverse SDE "
        (summary(&found)) "."
        @let worse = named(&found, |f| f.sde == Change::Rises);
        @if !worse.is_empty() { " The SDE itself moves away from the truth on " (list(&worse)) "." }
    };
    (title(&found), text)
}

/// Data sets of which something holds.
fn named<'a>(found: &[Finding<'a>], holds: impl Fn(&Finding) -> bool) -> Vec<&'a str> {
    found.iter().filter(|f| holds(f)).map(|f| f.first.dataset.as_str()).collect()
}

fn title(found: &[Finding]) -> String {
    let falls = named(found, |f| f.gap == Change::Falls);
    let holds = named(found, |f| f.gap == Change::Holds);
    let penalty = "the Fokker\u{2013}Planck residual";
    if falls.len() == found.len() {
        let on = if found.len() == 1 { format!(", on {}", falls[0]) } else { String::new() };
        format!("The ODE\u{2013}SDE gap closes as {penalty} is penalised{on}")
    } else if holds.len() == found.len() {
        "The ODE\u{2013}SDE gap shows no change beyond the noise in this run".into()
    } else if falls.is_empty() {
        format!("Penalising {penalty} did not narrow the ODE\u{2013}SDE gap in this run")
    } else {
        format!("Penalising {penalty} narrows the ODE\u{2013}SDE gap on {}", list(&falls))
    }
}

fn summary(found: &[Finding]) -> String {
    let item = |f: &Finding| {
        let (from, to) = (said(f.first.w2.ode_sde), said(f.last.w2.ode_sde));
        let set = f.first.dataset.clone();
        (f.gap, if f.gap == Change::Holds { set } else { format!("{from} to {to} on {set}") })
    };
    let verbs = [
        (Change::Falls, "falls from"),
        (Change::Rises, "rises from"),
        (Change::Holds, "stays within the noise on"),
    ];
    by_change(verbs, &found.iter().map(item).collect::<Vec<_>>()).join("; it ")
}

/// The cards under the headline, one a data set.
pub(super) fn cards(results: &Results) -> Markup {
    html! { div class="cards" { @for finding in findings(results) { (card(&finding)) } } }
}

fn card(f: &Finding) -> Markup {
    let (from, to) = (f.first.w2.ode_sde, f.last.w2.ode_sde);
    let several = f.first.w_r != f.last.w_r;
    let (big, small) = match f.gap {
        _ if !several => (said(from), String::new()),
        Change::Falls => (format!("{:.1}\u{d7}", from.value / to.value), "smaller gap".into()),
        Change::Rises => (format!("{:.1}\u{d7}", to.value / from.value), "wider gap".into()),
        Change::Holds => ("\u{2248}".into(), "no change beyond the noise".to_string()),
    };
    let (first, last) = (f.first.w2.sde_truth, f.last.w2.sde_truth);
    let sde = match f.sde {
        _ if !several => format!("SDE to truth {}", said(first)),
        Change::Rises => format!("SDE to truth rises, {} \u{2192} {}", said(first), said(last)),
        Change::Falls => format!("SDE to truth falls, {} \u{2192} {}", said(first), said(last)),
        Change::Holds => {
            format!("SDE to truth holds within the noise, {} \u{2192} {}", said(first), said(last))
        }
    };
    html! {
        div class="card" {
            div class="name" { (f.first.dataset) }
            div class="big" {
                (big) " "
                small {
                    @if several { (small) br; (said(from)) " \u{2192} " (said(to)) }
                    @else { "squared W" sub { "2" } br; "ODE to SDE" }
                }
            }
            ul {
                @if several {
                    li { "ODE closest to the truth at w" sub { "R" } " = " (short(f.best_ode.w_r)) " (" (said(f.best_ode.w2.ode_truth)) ")" }
                }
                li { (sde) }
                @if let Some(floor) = f.floor {
                    li { "floor of two samples " (format!("{:.4}", floor.w2.pair.mean())) ", of one and the truth " (format!("{:.4}", floor.w2.to_truth.mean())) }
                }
            }
        }
    }
}
