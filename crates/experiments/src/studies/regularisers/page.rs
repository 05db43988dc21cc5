//! The page: distances by term and weight, and what changed beside the networks without a term.

use metrics::{Change, Estimate};
use report::{Axis, Dots, Figure, Grid, Panel, Sheet, Table, digits, html};

use super::{CORRECTED, Config, NONE, Results, Run};
use crate::distance::{self, FLOOR, ODE, PAIR, SDE};

/// The networks of one data set with one term and weight.
struct Kind<'a> {
    data_set: &'a str,
    term: &'a str,
    weight: f64,
    runs: Vec<&'a Run>,
}

/// A distance of a run, where there is one.
type Of = fn(&Run) -> Option<f64>;

/// ODE to SDE, SDE to truth, ODE to truth.
const DISTANCES: [(&str, &str, Of); 3] = [
    ("ODE-SDE", PAIR, |r| r.ode_sde.as_ref().map(|d| d.found.value)),
    ("SDE-truth", SDE, |r| r.sde_truth.map(|e| e.value)),
    ("ODE-truth", ODE, |r| r.ode_truth.map(|e| e.value)),
];

impl Kind<'_> {
    fn name(&self) -> String {
        if self.term == NONE || self.term == CORRECTED {
            return self.term.into();
        }
        format!("{} {}", self.term, digits(self.weight))
    }

    /// A distance of every seed; nothing where one is missing.
    fn values(&self, of: Of) -> Option<Vec<f64>> {
        self.runs.iter().map(|r| of(r)).collect()
    }

    fn mean(&self, of: Of) -> Option<Estimate> {
        self.values(of).map(|values| Estimate::of_mean(&values))
    }
}

/// Kinds in the order of their first runs, seeds in theirs.
fn kinds(results: &Results) -> Vec<Kind<'_>> {
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for run in &results.runs {
        let same = |k: &&mut Kind<'_>| {
            (k.data_set, k.term, k.weight) == (run.data_set.as_str(), run.term.as_str(), run.weight)
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

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let kinds = kinds(results);
    let mut sheet = Sheet::new(
        "Which terms make ODE and SDE agree, and at what price?",
        html! {
            "Networks of " (format!("{:?}", config.hidden)) " hidden units, " (config.steps) " steps, " (config.seeds)
            " seeds of each kind. Distances are squared W" sub { "2" } " on " (config.window.about()) ", from "
            (config.sampling.n) " particles of each sampler."
        },
    );
    for floor in &results.floors {
        let set = floor.data_set.as_str();
        let of_set = || kinds.iter().filter(move |k| k.data_set == set);
        sheet.section(
            set,
            html! {
                (findings(config.seeds, &of_set().collect::<Vec<_>>()))
                @if let Some(reason) = distance::unmeasured(&floor.truth) { " " (reason) }
            },
        );
        sheet.figure(figure(set, &of_set().collect::<Vec<_>>()), html! {
            "Each disc is a mean over the seeds: across, the SDE\u{2019}s distance to the truth; up, the distance between the samplers. Both axes logarithmic. Grey: below the floor of two samples of one law. A good term moves straight down."
        });
    }
    sheet.section("How a change is told", html! {
        "Networks of one seed share their initial weights, batches and particles. A term is said to lower or raise a distance by a t-test on the differences of the pairs at a level of 1 %, shared by all comparisons of a sentence (Bonferroni). The terms:"
    });
    sheet.table(terms(config));
    sheet.table(table(&kinds));
    sheet
}

/// What becomes of each distance beside the networks without a term.
fn findings(seeds: usize, kinds: &[&Kind<'_>]) -> String {
    let Some(plain) = kinds.iter().find(|k| k.term == NONE) else { return String::new() };
    let others: Vec<_> = kinds.iter().filter(|k| k.term != NONE).collect();
    if others.is_empty() {
        return "There is no term to compare.".into();
    }
    let sentence = |(name, _, of): (&str, &str, Of)| {
        let Some(from) = plain.values(of) else {
            return format!("{name} has no value without a term: samples left the window.");
        };
        // The SDE is not touched by a corrected flow.
        let touched = |k: &&&&Kind<'_>| !(k.term == CORRECTED && name == "SDE-truth");
        let items: Vec<_> = others
            .iter()
            .filter(touched)
            .filter_map(|k| {
                let to = k.values(of)?;
                Some((distance::change_of_pairs(&from, &to, others.len()), k.name()))
            })
            .collect();
        let verbs = [
            (Change::Falls, "is lowered by"),
            (Change::Rises, "is raised by"),
            (Change::Holds, "is not told to change by"),
        ];
        format!("{name} {}.", distance::by_change(verbs, &items).join("; it "))
    };
    let few = if seeds < 4 { " With so few seeds only large changes are told." } else { "" };
    let all: Vec<String> = DISTANCES.into_iter().map(sentence).collect();
    format!("{}{few}", all.join(" "))
}

fn figure(set: &str, kinds: &[&Kind<'_>]) -> Figure {
    let pairs = kinds.iter().flat_map(|k| &k.runs).filter_map(|r| r.ode_sde.as_ref());
    let floor = pairs.filter_map(|d| distance::floor_line(&d.floor)).reduce(f64::max);
    let [(_, _, gap), (_, _, truth), _] = DISTANCES;
    let at = |k: &&&Kind<'_>| {
        let (across, up) = (k.mean(truth)?.value, k.mean(gap)?.value);
        (across > 0.0 && up > 0.0).then_some((across, up))
    };
    let points = |keep: &dyn Fn(&Kind<'_>) -> bool| -> Vec<(f64, f64)> {
        kinds.iter().filter(|k| keep(k)).filter_map(|k| at(&k)).collect()
    };
    let all = points(&|_| true);
    let across = Axis::log_around(all.iter().map(|p| p.0), "squared W_{2}, SDE to truth");
    let up = Axis::log_around(all.iter().map(|p| p.1), "squared W_{2}, ODE to SDE");
    let cloud =
        |colour: &str, keep: &dyn Fn(&Kind<'_>) -> bool| Dots::cloud(colour, 4.5, points(keep));
    let panel = Panel::new(across, up)
        .title(&format!("{set}: grey without a term, orange with one, green the corrected flow"))
        .band_below(floor, FLOOR, "noise floor")
        .dots(cloud("#4b5563", &|k| k.term == NONE))
        .dots(cloud(ODE, &|k| k.term != NONE && k.term != CORRECTED))
        .dots(cloud(SDE, &|k| k.term == CORRECTED));
    let name = format!("distances-{set}");
    Grid::row(vec![panel])
        .width(860.0)
        .figure(&name, "Distance of the samplers against that of the SDE to the truth")
}

fn terms(config: &Config) -> Table {
    let rows = config.terms.iter().filter_map(|term| {
        let known = term.regulariser().ok()?;
        let info = known.info();
        Some([term.name.as_str(), info.formula, info.cost, info.reference].map(Into::into).to_vec())
    });
    Table::new("terms", 1, &["term", "what is added", "cost a row", "reference"]).rows(rows)
}

fn table(kinds: &[Kind<'_>]) -> Table {
    let seconds =
        |k: &Kind<'_>| Estimate::of_mean(&k.runs.iter().map(|r| r.seconds).collect::<Vec<_>>());
    let mut table = Table::of("regularisers", 2, kinds)
        .column("data", |k| k.data_set.to_string())
        .column("term and weight", Kind::name)
        .column("seconds", |k| distance::cell(seconds(k)));
    for (name, _, of) in DISTANCES {
        table = table.column(name, move |k| distance::cell(k.mean(of)));
    }
    table.caption(html! {
        "Squared W" sub { "2" } ", means over the seeds with their standard errors; \u{2014}: more than 5 % of the particles of a seed outside the window. Seconds are those of training on whatever else the machine did."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(term: &str, seed: usize, gap: f64) -> Run {
        let found = Estimate { value: gap, standard_error: 0.0 };
        let floor = metrics::NoiseFloor { size: [9, 9], values: vec![0.1] };
        Run {
            data_set: "blob".into(),
            term: term.into(),
            weight: f64::from(u8::from(term != NONE && term != CORRECTED)),
            seed,
            seconds: 1.0,
            ode_truth: None,
            sde_truth: Some(Estimate { value: 0.3 + 0.001 * seed as f64, standard_error: 0.0 }),
            ode_sde: Some(distance::Distance { found, floor }),
        }
    }

    /// Made-up distances and what is said of them.
    #[test]
    fn sentences_follow_the_numbers() {
        let of = |term: &str, gaps: [f64; 4]| {
            gaps.into_iter().enumerate().map(|(i, g)| run(term, i, g)).collect::<Vec<_>>()
        };
        let runs = [
            of(NONE, [0.50, 0.51, 0.52, 0.53]),
            of("box", [0.30, 0.31, 0.33, 0.32]),
            of("weak", [0.90, 0.93, 0.91, 0.94]),
            of("dual-score", [0.60, 0.31, 0.72, 0.53]),
            of(CORRECTED, [0.10, 0.11, 0.13, 0.12]),
        ];
        let results = Results { floors: Vec::new(), runs: runs.concat() };
        let kinds = kinds(&results);
        let text = findings(4, &kinds.iter().collect::<Vec<_>>());
        for needle in [
            "ODE-SDE is lowered by box 1.00 and corrected-flow; it is raised by weak 1.00; it is not told to change by dual-score 1.00.",
            "SDE-truth is not told to change by box 1.00, weak 1.00 and dual-score 1.00.",
            "ODE-truth has no value without a term",
        ] {
            assert!(text.contains(needle), "{text}");
        }
        assert_eq!(findings(4, &[&kinds[0]]), "There is no term to compare.");
    }
}
