//! What the numbers say, in words: nothing here is known before the run.

use metrics::Change;
use report::{Markup, html, list, short};

use crate::distance::{above, by_change, change, said};
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

impl Finding<'_> {
    /// Whether there are two networks to compare.
    fn compares(&self) -> bool {
        self.first.w_r != self.last.w_r
    }

    /// Whether ODE and SDE end as close as two samples of one law.
    fn closes(&self) -> bool {
        self.gap == Change::Falls
            && self.floor.is_some_and(|f| {
                !f.w2.pair.values.is_empty() && !above(self.last.w2.ode_sde, &f.w2.pair)
            })
    }

    /// The weights that are compared, where they are not those of the whole run.
    fn weights(&self, (lo, hi): (f64, f64)) -> String {
        let (first, last) = (self.first.w_r, self.last.w_r);
        if (first, last) == (lo, hi) {
            return String::new();
        }
        format!(" (w_R from {} to {})", short(first), short(last))
    }
}

/// Comparisons that the headline sums up: two a data set with more than one network.
pub(super) fn comparisons(results: &Results) -> usize {
    let several = |set: &&str| results.rows_of(set).len() > 1;
    2 * results.datasets().iter().filter(|set| several(set)).count()
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
    let (found, alone): (Vec<Finding>, Vec<Finding>) =
        found.into_iter().partition(Finding::compares);
    let single = |f: &Finding| {
        let at = if lo == hi { String::new() } else { format!(" at w_R = {}", short(f.first.w_r)) };
        format!("{} on {}{at}", said(f.first.w2.ode_sde), f.first.dataset)
    };
    let alone: Vec<String> = alone.iter().map(single).collect();
    if found.is_empty() {
        let at = if lo == hi { format!(", at w_R = {}", short(*lo)) } else { String::new() };
        return (
            format!("How far apart the ODE and the SDE of one score are{at}"),
            html! {
                "Squared W" sub { "2" } " between ODE and SDE samples: " (list(&alone)) "." (dropped(results))
            },
        );
    }
    let text = html! {
        "From w" sub { "R" } " = " (short(*lo)) " to w" sub { "R" } " = " (short(*hi))
        ", the squared W" sub { "2" } " distance between the samples of the probability-flow ODE and of the reverse SDE "
        (summary(&found, (*lo, *hi))) "."
        @if !alone.is_empty() { " With one network alone, nothing to compare: " (list(&alone)) "." }
        @let worse = named(&found, |f| f.sde == Change::Rises);
        @if !worse.is_empty() { " The SDE itself moves away from the truth on " (list(&worse)) "." }
        (dropped(results))
    };
    (title(&found), text)
}

/// Networks of which so much lies outside the window that their distances are those of a part.
fn dropped(results: &Results) -> String {
    /// Share outside from which it is said.
    const MUCH: f64 = 0.05;
    let outside = |r: &Row| r.discarded_ode.max(r.discarded_sde);
    let all: Vec<String> = results
        .rows
        .iter()
        .filter(|r| outside(r) > MUCH)
        .map(|r| format!("{:.0} % on {} at w_R = {}", 100.0 * outside(r), r.dataset, short(r.w_r)))
        .collect();
    if all.is_empty() {
        return String::new();
    }
    format!(
        " Distances leave out what lies outside the window: of ODE or SDE up to {}.",
        list(&all)
    )
}

/// Data sets of which something holds.
fn named<'a>(found: &[Finding<'a>], holds: impl Fn(&Finding) -> bool) -> Vec<&'a str> {
    found.iter().filter(|f| holds(f)).map(|f| f.first.dataset.as_str()).collect()
}

fn title(found: &[Finding]) -> String {
    let falls = named(found, |f| f.gap == Change::Falls);
    let holds = named(found, |f| f.gap == Change::Holds);
    let rises = named(found, |f| f.gap == Change::Rises);
    let penalty = "the Fokker\u{2013}Planck residual";
    if falls.len() == found.len() {
        let on = if found.len() == 1 { format!(", on {}", falls[0]) } else { String::new() };
        let verb = if found.iter().all(Finding::closes) { "closes" } else { "narrows" };
        format!("The ODE\u{2013}SDE gap {verb} as {penalty} is penalised{on}")
    } else if holds.len() == found.len() {
        "The ODE\u{2013}SDE gap shows no change beyond the noise in this run".into()
    } else if falls.is_empty() {
        format!("Penalising {penalty} widened the ODE\u{2013}SDE gap on {}", list(&rises))
    } else if !rises.is_empty() {
        let (falls, rises) = (list(&falls), list(&rises));
        format!(
            "Penalising {penalty} narrows the ODE\u{2013}SDE gap on {falls} and widens it on {rises}"
        )
    } else {
        format!("Penalising {penalty} narrows the ODE\u{2013}SDE gap on {}", list(&falls))
    }
}

fn summary(found: &[Finding], whole: (f64, f64)) -> String {
    let item = |f: &Finding| {
        let (from, to) = (said(f.first.w2.ode_sde), said(f.last.w2.ode_sde));
        let set = format!("{}{}", f.first.dataset, f.weights(whole));
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
    let several = f.compares();
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
