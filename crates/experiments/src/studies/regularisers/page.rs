//! The page: distances by term and weight, and what changed beside the networks without a term.

use metrics::Estimate;
use report::{Axis, Cell, DASH, Dots, Figure, Grid, Line, Mark, Panel, Sheet, Table, digits, html};

use super::findings::{DISTANCES, Kind, Mean, changes, everywhere, published, verdict};
use super::{CORRECTED, Config, NONE, Results};
use crate::distance::{self, ODE, SDE};

/// The colour of networks without a term.
const PLAIN: &str = "#4b5563";

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let kinds = Kind::all(results);
    let mut sheet = Sheet::new(
        "Which terms make ODE and SDE agree, and at what price?",
        html! {
            "Networks of " (format!("{:?}", config.hidden)) " hidden units, " (config.steps) " steps, " (config.seeds)
            " seeds of each kind. Distances are squared W" sub { "2" } " of the laws themselves, without a sample, on cells around "
            (config.window.about()) ". " (everywhere(&kinds))
        },
    );
    let mut sets: Vec<&str> = kinds.iter().map(|k| k.data_set).collect();
    sets.dedup();
    for set in sets {
        let of_set: Vec<&Kind<'_>> = kinds.iter().filter(|k| k.data_set == set).collect();
        sheet.section(
            set,
            html! { (verdict(config.window, set, &of_set)) " " (changes(config.seeds, &of_set)) },
        );
        sheet.figure(fronts(set, &of_set), html! {
            "Means over the seeds with intervals of 95 %. Left: across, the SDE\u{2019}s distance to the truth; up, the distance between the samplers; a good term moves straight down. Right: the same over the seconds of training. Grey without a term, green the corrected flow, orange the terms; the dotted line joins what nothing is better than in both (left). Dashed: the published network of w_R = 10, on its nodes and from samples."
        });
        if let Some(figure) = profile(set, &of_set) {
            sheet.figure(figure, html! {
                "E" sub { "SDE" } " |\u{2207} log q \u{2212} s|\u{b2} over time, means over the seeds: half its root times g\u{b2} is how fast the law of the ODE leaves that of the SDE. Green: what the correction leaves of it. Left out where the estimated error is as large as the value."
            });
        }
    }
    notes(&mut sheet, config, &kinds);
    sheet
}

fn notes(sheet: &mut Sheet, config: &Config, kinds: &[Kind<'_>]) {
    sheet.section("How a change is told", html! {
        "The SDE\u{2019}s law is from finite volumes, the ODE\u{2019}s from where its paths take the borders of cells; both conditioned on the cells. Squared W" sub { "2" } " of laws that are constant on cells is known from below and from above; what the laws are wrong by widens that by the side of a cell times the root of the error in total variation, as if the error lay between neighbouring cells. Intervals hold that and, by Student\u{2019}s t at a level of 5 %, the scatter over seeds. Networks of one seed share their initial weights and batches. A term is said to lower or raise a distance where the interval of the differences of the pairs does not hold zero, at a level of 1 % shared by all comparisons of a sentence (Bonferroni); SDE-truth is said to rise beside the published figure at a level of 5 % that is not shared. A corrected flow leaves the SDE as it is. The terms:"
    });
    sheet.table(terms(config));
    sheet.table(table(kinds));
    sheet.table(laws(kinds));
}

/// Squared W2 of a kind against that of another, or against seconds, with bars.
fn cross(at: [Mean; 2], colour: &str) -> Vec<Line> {
    let [x, y] = at;
    // Where an interval goes down to zero its bar ends at a hundredth.
    let low = |m: Mean| m.low.max(0.01 * m.value);
    let line = |points: Vec<(f64, f64)>| Line { opacity: 0.6, ..Line::plain(colour, 1.2, points) };
    vec![
        line(vec![(low(x), y.value), (x.high, y.value)]),
        line(vec![(x.value, low(y)), (x.value, y.high)]),
    ]
}

/// What no other is better than in both.
fn front(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let better = |a: &(f64, f64), b: &(f64, f64)| a.0 <= b.0 && a.1 <= b.1 && a != b;
    let mut kept: Vec<(f64, f64)> =
        points.iter().filter(|p| !points.iter().any(|o| better(o, p))).copied().collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    kept
}

fn fronts(set: &str, kinds: &[&Kind<'_>]) -> Figure {
    let [(_, gap), (_, truth), _] = DISTANCES;
    let seconds = |k: &Kind<'_>| {
        let value = seconds(k).value;
        Some(Mean { value, low: value, high: value })
    };
    let sde_truth = |k: &Kind<'_>| k.mean(truth);
    let wanted = published(set);
    type Across<'a> = (&'a str, &'a dyn Fn(&Kind<'_>) -> Option<Mean>);
    let across: [Across<'_>; 2] =
        [("squared W_{2}, SDE to truth", &sde_truth), ("seconds of training", &seconds)];
    let panels = across.iter().enumerate().map(|(place, (name, of))| {
        let found: Vec<(&Kind<'_>, [Mean; 2])> = kinds
            .iter()
            .filter_map(|k| Some((*k, [of(k)?, k.mean(gap)?])))
            .filter(|(_, at)| at.iter().all(|m| m.value > 0.0))
            .collect();
        let ends = |k: usize| {
            found.iter().flat_map(move |(_, at)| [at[k].low.max(0.01 * at[k].value), at[k].high])
        };
        let up = Axis::log_around(ends(1).chain(wanted), "squared W_{2}, ODE to SDE");
        let across = Axis::log_around(ends(0), name);
        let reach = (across.lo, across.hi);
        let mut panel = Panel::new(across, up).title(if place == 0 { set } else { "" });
        if let Some(figure) = wanted {
            let line = Line::plain("#6b7280", 1.2, vec![(reach.0, figure), (reach.1, figure)]);
            panel = panel.line(line.dashed("6 4"));
        }
        for (kind, at) in &found {
            panel = panel.lines(cross(*at, colour(kind)));
        }
        let places: Vec<(f64, f64)> =
            found.iter().map(|(_, at)| (at[0].value, at[1].value)).collect();
        if place == 0 {
            panel = panel.line(Line::plain("#9ca3af", 1.0, front(&places)).dashed("1 3"));
        }
        for ((kind, at), point) in found.iter().zip(&places) {
            let tip = format!("{}: ODE-SDE {}", kind.name(), at[1].shown());
            let dots = Dots::marks(Mark::Disc, colour(kind), vec![*point], vec![tip]);
            panel = panel.dots(Dots { labels: vec![kind.name()], ..dots });
        }
        panel
    });
    Grid::row(panels.collect()).height(380.0).figure(
        format!("distances-{set}"),
        "Distance of the samplers against that of the SDE to the truth, and against seconds",
    )
}

fn colour(kind: &Kind<'_>) -> &'static str {
    match kind.term {
        NONE => PLAIN,
        CORRECTED => SDE,
        _ => ODE,
    }
}

/// The gap of the scores over time without a term and what a correction leaves of it.
fn profile(set: &str, kinds: &[&Kind<'_>]) -> Option<Figure> {
    let lines = [NONE, CORRECTED].map(|term| {
        let kind = kinds.iter().find(|k| k.term == term)?;
        let n = kind.runs.iter().map(|r| r.moments.len()).min()?;
        let points = (0..n).filter_map(|k| {
            let mean = |of: &dyn Fn(usize) -> f64| {
                (0..kind.runs.len()).map(of).sum::<f64>() / kind.runs.len() as f64
            };
            let value = mean(&|i| kind.runs[i].moments[k].gap.value);
            let error = mean(&|i| kind.runs[i].moments[k].gap.error);
            let t = kind.runs[0].moments[k].t;
            (t > 0.0 && value > error).then_some((t, value))
        });
        let points: Vec<(f64, f64)> = points.collect();
        (!points.is_empty()).then(|| Line::new(term, colour(kind), points))
    });
    let lines: Vec<Line> = lines.into_iter().flatten().collect();
    let all = || lines.iter().flat_map(|l| l.points.iter().copied());
    all().next()?;
    let across = Axis::log_around(all().map(|p| p.0), "t");
    let up = Axis::log_around(all().map(|p| p.1), "E |\u{2207} log q \u{2212} s|\u{b2}");
    let panel = Panel::new(across, up).title(set).lines(lines.clone());
    Some(
        Grid::row(vec![panel])
            .width(860.0)
            .height(260.0)
            .figure(format!("gap-{set}"), "The gap of the scores over time"),
    )
}

fn seconds(kind: &Kind<'_>) -> Estimate {
    Estimate::of_mean(&kind.runs.iter().map(|r| r.seconds).collect::<Vec<_>>())
}

fn terms(config: &Config) -> Table {
    let rows = config.terms.iter().filter_map(|term| {
        let known = term.regulariser().ok()?;
        let info = known.info();
        Some([term.name.as_str(), info.formula, info.cost, info.reference].map(Into::into).to_vec())
    });
    Table::new("terms", 1, &["term", "what is added", "cost a row", "reference"]).rows(rows)
}

fn shown(mean: Option<Mean>) -> Cell {
    mean.map_or(DASH.into(), |m| m.shown().into())
}

fn table(kinds: &[Kind<'_>]) -> Table {
    let plain = |k: &Kind<'_>| kinds.iter().find(|p| p.data_set == k.data_set && p.term == NONE);
    let [(_, gap), (_, truth), _] = DISTANCES;
    let mut table = Table::of("regularisers", 2, kinds)
        .column("data", |k| k.data_set.to_string())
        .column("term and weight", Kind::name)
        .column("seconds", |k| distance::cell(seconds(k)));
    for (name, of) in DISTANCES {
        table = table.column(name, move |k| shown(k.mean(of)));
    }
    table = table
        .column("SDE-truth, change", |k| {
            let change = plain(k).filter(|p| p.term != k.term);
            change.and_then(|p| k.less(p, truth, super::findings::LEVEL)).map_or(DASH.into(), |d| {
                format!("{} [{}, {}]", digits(d.value), digits(d.low), digits(d.high))
            })
        })
        .column("ODE-SDE on nodes", |k| {
            let figure = published(k.data_set).map(digits);
            shown(k.on_nodes(gap)).beside(figure.filter(|_| k.term == NONE))
        });
    table.caption(html! {
        "Squared W" sub { "2" } ", means over the seeds with intervals of 95 %; \u{2014}: more than 5 % of a law outside of the window. Change: of pairs of one seed. On nodes: of what is counted on the nodes of the window, beside it in grey the published network of w_R = 10 on its own (64 \u{d7} 64, from samples). Seconds are those of training on whatever else the machine did."
    })
}

fn laws(kinds: &[Kind<'_>]) -> Table {
    let mean = |k: &Kind<'_>, of: &dyn Fn(&super::Run) -> f64| {
        Estimate::of_mean(&k.runs.iter().map(|r| of(r)).collect::<Vec<_>>()).value
    };
    let most = |k: &Kind<'_>, of: &dyn Fn(&super::Run) -> f64| {
        k.runs.iter().map(|r| of(r)).fold(0.0_f64, f64::max)
    };
    let percent = |share: f64| format!("{} %", digits(100.0 * share.max(0.0)));
    Table::of("laws", 2, kinds)
        .column("data", |k| k.data_set.to_string())
        .column("term and weight", Kind::name)
        .column("outside, ODE", move |k| percent(mean(k, &|r| r.outside[0].value)))
        .column("outside, SDE", move |k| percent(mean(k, &|r| r.outside[1].value)))
        .column("error of the ODE", move |k| Cell::number(most(k, &|r| r.outside[0].error)))
        .column("error of the SDE", move |k| Cell::number(most(k, &|r| r.outside[1].error)))
        .column("left out", move |k| {
            if k.term == CORRECTED { percent(mean(k, &|r| r.left_out)) } else { DASH.into() }
        })
        .column("seconds of measuring", move |k| Cell::number(mean(k, &|r| r.measuring)))
        .caption(html! {
            "Means over the seeds of what is outside of the window; the largest estimated error of a law in total variation; points of paths that were too far out for the correction."
        })
}
