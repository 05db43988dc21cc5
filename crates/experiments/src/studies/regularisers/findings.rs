//! What is said of the distances: means over seeds with intervals, changes beside the networks without a term, and which terms meet the
//! published figure without a price.

use metrics::{Change, Estimate};
use report::digits;

use super::{CORRECTED, NONE, Results, Run};
use crate::distance::{self, Window};
use crate::laws::Between;
use crate::ode_sde_gap::official;

/// Weight of the residual of the published networks whose figure is to be met.
const PUBLISHED: f64 = 10.0;

/// Level of intervals, and of the test that SDE-truth does not rise.
pub(super) const LEVEL: f64 = 0.05;

/// A distance of a run, where there is one.
pub(super) type Of = fn(&Run) -> Option<&Between>;

/// ODE to SDE, SDE to truth, ODE to truth.
pub(super) const DISTANCES: [(&str, Of); 3] = [
    ("ODE-SDE", |r| r.ode_sde.as_ref()),
    ("SDE-truth", |r| r.sde_truth.as_ref()),
    ("ODE-truth", |r| r.ode_truth.as_ref()),
];

/// The networks of one data set with one term and weight.
pub(super) struct Kind<'a> {
    pub(super) data_set: &'a str,
    pub(super) term: &'a str,
    weight: f64,
    pub(super) runs: Vec<&'a Run>,
}

/// A mean over seeds, and an interval that holds what is not known of each value and how they scatter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Mean {
    /// Of one interval a seed: the ends are those of the means of lower and of upper ends, by Student's t.
    fn of(values: &[[f64; 2]]) -> Self {
        let middles: Vec<f64> = values.iter().map(|[low, high]| 0.5 * (low + high)).collect();
        let ends = [0, 1].map(|k| {
            let found = Estimate::of_mean(&values.iter().map(|v| v[k]).collect::<Vec<_>>());
            (found.value, found.half_width(values.len(), LEVEL))
        });
        let value = Estimate::of_mean(&middles).value;
        Self { value, low: ends[0].0 - ends[0].1, high: ends[1].0 + ends[1].1 }
    }

    /// As text.
    pub(super) fn shown(&self) -> String {
        format!("{} [{}, {}]", digits(self.value), digits(self.low.max(0.0)), digits(self.high))
    }
}

impl<'a> Kind<'a> {
    /// Kinds in the order of their first runs, seeds in theirs.
    pub(super) fn all(results: &'a Results) -> Vec<Self> {
        let mut kinds: Vec<Kind<'_>> = Vec::new();
        for run in &results.runs {
            let same = |k: &&mut Kind<'_>| {
                (k.data_set, k.term, k.weight)
                    == (run.data_set.as_str(), run.term.as_str(), run.weight)
            };
            match kinds.iter_mut().find(same) {
                Some(kind) => kind.runs.push(run),
                None => kinds.push(Kind {
                    data_set: &run.data_set,
                    term: &run.term,
                    weight: run.weight,
                    runs: vec![run],
                }),
            }
        }
        kinds
    }

    pub(super) fn name(&self) -> String {
        if self.term == NONE || self.term == CORRECTED {
            return self.term.into();
        }
        format!("{} {}", self.term, digits(self.weight))
    }

    /// Something of the distance of every seed; nothing where one is missing.
    fn values<T>(&self, of: Of, what: impl Fn(&Between) -> T) -> Option<Vec<T>> {
        self.runs.iter().map(|r| of(r).map(&what)).collect()
    }

    /// Squared W2 of the laws.
    pub(super) fn mean(&self, of: Of) -> Option<Mean> {
        self.values(of, Between::squared).map(|values| Mean::of(&values))
    }

    /// Squared W2 of what is counted on the nodes.
    pub(super) fn on_nodes(&self, of: Of) -> Option<Mean> {
        let shifted = |d: &Between| {
            let root = d.on_nodes.max(0.0).sqrt();
            [(root - d.margin).max(0.0).powi(2), (root + d.margin).powi(2)]
        };
        self.values(of, shifted).map(|values| Mean::of(&values))
    }

    /// The difference from another kind, of networks of the same seed, at a level: its interval holds what is not known of both.
    pub(super) fn less(&self, from: &Self, of: Of, level: f64) -> Option<Mean> {
        let (from, to) = (from.values(of, Between::squared)?, self.values(of, Between::squared)?);
        let (mut differences, mut unknown) = (Vec::new(), 0.0);
        for (a, b) in from.iter().zip(&to) {
            differences.push(0.5 * (b[0] + b[1] - a[0] - a[1]));
            // One value is no difference, however badly it is known.
            let same = a == b;
            unknown += if same { 0.0 } else { 0.5 * (b[1] - b[0] + a[1] - a[0]) };
        }
        let found = Estimate::of_mean(&differences);
        let half = found.half_width(differences.len(), level) + unknown / differences.len() as f64;
        Some(Mean { value: found.value, low: found.value - half, high: found.value + half })
    }
}

impl Mean {
    /// What an interval of a difference says.
    fn change(&self) -> Change {
        match (self.high < 0.0, self.low > 0.0) {
            (true, _) => Change::Falls,
            (_, true) => Change::Rises,
            _ => Change::Holds,
        }
    }
}

/// What becomes of each distance beside the networks without a term.
pub(super) fn changes(seeds: usize, kinds: &[&Kind<'_>]) -> String {
    let Some(plain) = kinds.iter().find(|k| k.term == NONE) else { return String::new() };
    let others: Vec<_> = kinds.iter().filter(|k| k.term != NONE).collect();
    if others.is_empty() {
        return "There is no term to compare.".into();
    }
    let sentence = |(name, of): (&str, Of)| {
        if plain.mean(of).is_none() {
            return format!(
                "{name} has no value without a term: too much of a law is outside of the window."
            );
        }
        // The SDE is not touched by a corrected flow.
        let touched = |k: &&&&Kind<'_>| !(k.term == CORRECTED && name == "SDE-truth");
        let level = distance::LEVEL / others.len() as f64;
        let items: Vec<_> = others
            .iter()
            .filter(touched)
            .filter_map(|k| Some((k.less(plain, of, level)?.change(), k.name())))
            .collect();
        let verbs = [
            (Change::Falls, "is lowered by"),
            (Change::Rises, "is raised by"),
            (Change::Holds, "is not told to change by"),
        ];
        if items.is_empty() {
            return format!("{name} has nothing to be compared with.");
        }
        format!("{name} {}.", distance::by_change(verbs, &items).join("; it "))
    };
    let few = if seeds < 4 { " With so few seeds only large changes are told." } else { "" };
    let all: Vec<String> = DISTANCES.into_iter().map(sentence).collect();
    format!("{}{few}", all.join(" "))
}

/// The published figure of ODE-SDE of a data set, on the nodes that histograms were counted on.
pub(super) fn published(set: &str) -> Option<f64> {
    official::find(set, PUBLISHED).map(|o| o.on_true_nodes().w2[2])
}

/// Whether a window has the nodes of the published histograms.
fn has_published_nodes(window: Window) -> bool {
    window == Window { half_width: 3.5, nodes: 64 }
}

/// Whether ODE-SDE is at or below the published figure with all of its interval.
fn meets(kind: &Kind<'_>, published: f64) -> bool {
    kind.mean(DISTANCES[0].1).is_some_and(|mean| mean.high <= published)
}

/// Whether SDE-truth is not told to rise, without a term as it is.
fn free(kind: &Kind<'_>, plain: &Kind<'_>) -> bool {
    let unchanged = kind.term == NONE || kind.term == CORRECTED;
    unchanged
        || kind.less(plain, DISTANCES[1].1, LEVEL).is_some_and(|d| d.change() != Change::Rises)
}

fn named<'a>(kinds: impl Iterator<Item = &'a &'a Kind<'a>>) -> String {
    let names: Vec<String> = kinds.map(|k| k.name()).collect();
    if names.is_empty() { "none of them".into() } else { report::list(&names) }
}

/// Which kinds of a data set are at or below the published figure, and which of them at no price.
pub(super) fn verdict(window: Window, set: &str, kinds: &[&Kind<'_>]) -> String {
    let (Some(figure), Some(plain)) = (published(set), kinds.iter().find(|k| k.term == NONE))
    else {
        return String::new();
    };
    let met = || kinds.iter().filter(|k| meets(k, figure));
    let mut text = format!(
        "The published network of w_R = 10 has ODE-SDE of {} on its 64 \u{d7} 64 nodes, from samples. At or below that with all of its interval: {}.",
        digits(figure),
        named(met().map(|k| k as _))
    );
    let open: Vec<String> = kinds
        .iter()
        .filter(|k| k.mean(DISTANCES[0].1).is_some_and(|m| m.low <= figure && m.high > figure))
        .map(|k| k.name())
        .collect();
    if !open.is_empty() {
        text +=
            &format!(" Not told, since the interval holds the figure: {}.", report::list(&open));
    }
    if has_published_nodes(window) {
        let on_nodes = kinds
            .iter()
            .filter(|k| k.on_nodes(DISTANCES[0].1).is_some_and(|mean| mean.high <= figure));
        text += &format!(" Counted on the same nodes: {}.", named(on_nodes.map(|k| k as _)));
    }
    let both = met().filter(|k| free(k, plain));
    text + &format!(
        " Of the former with SDE-truth not told to rise: {}.",
        named(both.map(|k| k as _))
    )
}

/// The kinds that meet the published figure at no price on every data set.
pub(super) fn everywhere(kinds: &[Kind<'_>]) -> String {
    let mut sets: Vec<&str> = kinds.iter().map(|k| k.data_set).collect();
    sets.dedup();
    let good = |k: &Kind<'_>| {
        let plain = kinds.iter().find(|p| p.data_set == k.data_set && p.term == NONE);
        published(k.data_set)
            .zip(plain)
            .is_some_and(|(figure, plain)| meets(k, figure) && free(k, plain))
    };
    let mut names: Vec<String> = Vec::new();
    for kind in kinds.iter().filter(|k| Some(&k.data_set) == sets.first()) {
        let same = |k: &&Kind<'_>| (k.term, k.weight) == (kind.term, kind.weight);
        let of_it: Vec<_> = kinds.iter().filter(same).collect();
        if of_it.len() == sets.len() && of_it.iter().all(|k| good(k)) {
            names.push(kind.name());
        }
    }
    let which = if names.is_empty() { "nothing".into() } else { report::list(&names) };
    let place = if sets.len() == 1 {
        sets[0].to_string()
    } else {
        format!("all of {}", report::list(&sets))
    };
    format!(
        "At or below the published figure of w_R = 10 in ODE-SDE, with SDE-truth not told to rise, on {place}: {which}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::Found;

    fn between(squared: f64) -> Between {
        let found = Found { value: 1.0, error: 0.0 };
        let json = serde_json::json!({
            "lower": squared, "upper": squared, "mass": [1.0, 1.0], "segments": 1, "loss": 0.0
        });
        let bracket = serde_json::from_value(json).expect("a bracket");
        let on_nodes = 2.0 * squared;
        Between {
            total_variation: found,
            kl: found,
            reverse_kl: found,
            on_nodes,
            bracket,
            margin: 0.0,
        }
    }

    fn runs(term: &str, gaps: [f64; 4], truths: [f64; 4]) -> Vec<Run> {
        let each = gaps.into_iter().zip(truths).enumerate();
        each.map(|(seed, (gap, truth))| Run {
            data_set: "blob".into(),
            term: term.into(),
            weight: f64::from(u8::from(term != NONE && term != CORRECTED)),
            seed,
            seconds: 1.0,
            measuring: 1.0,
            left_out: 0.0,
            outside: [Found { value: 0.0, error: 0.0 }; 2],
            ode_truth: None,
            sde_truth: Some(between(truth)),
            ode_sde: Some(between(gap)),
            moments: Vec::new(),
        })
        .collect()
    }

    /// Made-up distances and what is said of them. The published figure of blob is 0.002205 on its nodes.
    #[test]
    fn sentences_follow_the_numbers() {
        let scale = |values: [f64; 4]| values.map(|v| v * 1e-3);
        let truth = [0.30, 0.31, 0.32, 0.33].map(|v| v * 1e-3);
        let all = [
            runs(NONE, scale([5.0, 5.1, 5.2, 5.3]), truth),
            runs("box", scale([1.9, 2.0, 2.1, 2.0]), truth.map(|t| 3.0 * t)),
            runs("weak", scale([9.0, 9.3, 9.1, 9.4]), truth.map(|t| t + 1e-9)),
            runs("dual-score", scale([6.0, 3.1, 7.2, 5.3]), truth),
            runs(CORRECTED, scale([1.00, 1.01, 1.03, 1.02]), truth),
        ];
        let results = Results { runs: all.concat() };
        let kinds = Kind::all(&results);
        let of_set: Vec<&Kind<'_>> = kinds.iter().collect();
        let text = changes(4, &of_set);
        for needle in [
            "ODE-SDE is lowered by box 1.00 and corrected-flow; it is raised by weak 1.00; it is not told to change by dual-score 1.00.",
            "SDE-truth is raised by box 1.00 and weak 1.00; it is not told to change by dual-score 1.00.",
            "ODE-truth has no value without a term",
        ] {
            assert!(text.contains(needle), "{text}");
        }
        assert_eq!(changes(4, &of_set[..1]), "There is no term to compare.");
        let window = Window { half_width: 3.5, nodes: 64 };
        let text = verdict(window, "blob", &of_set);
        for needle in [
            "all of its interval: box 1.00 and corrected-flow. Counted",
            "on the same nodes: corrected-flow.",
            "not told to rise: corrected-flow.",
        ] {
            assert!(text.contains(needle), "{text}");
        }
        let wide = runs("box", scale([1.0, 2.0, 3.0, 4.0]), truth);
        let wide = Results { runs: [runs(NONE, scale([5.0; 4]), truth), wide].concat() };
        let both = Kind::all(&wide);
        let text = verdict(window, "blob", &both.iter().collect::<Vec<_>>());
        assert!(
            text.contains("none of them. Not told, since the interval holds the figure: box 1.00."),
            "{text}"
        );
        assert!(!verdict(Window { nodes: 32, ..window }, "blob", &of_set).contains("same nodes"));
        assert!(everywhere(&kinds).ends_with("on blob: corrected-flow."));
    }

    /// Student's t with three degrees of freedom at 5 % is 3.182; what is not known of each value is added.
    #[test]
    fn intervals_hold_scatter_and_what_is_not_known() {
        let values = [[0.9, 1.1], [1.9, 2.1], [2.9, 3.1], [3.9, 4.1]];
        let found = Mean::of(&values);
        let half = 3.1824 * (5.0_f64 / 3.0 / 4.0).sqrt();
        assert!((found.value - 2.5).abs() < 1e-12, "{found:?}");
        assert!((found.low - (2.4 - half)).abs() < 1e-3, "{found:?}");
        assert!((found.high - (2.6 + half)).abs() < 1e-3, "{found:?}");
    }
}
