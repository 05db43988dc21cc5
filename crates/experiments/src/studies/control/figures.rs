//! The figures of `control`.

use metrics::Estimate;
use report::{Axis, Figure, GREY, Grid, Key, Line, Mark, Panel};

use super::methods::Method;
use super::terms::WITH_TERM;
use super::{Found, Results, findings};
use crate::distance::{FLOOR, line};

/// Relative errors of guidance terms that are told apart in the figure.
pub(super) const LEAST_ERROR: f64 = 1e-3;
pub(super) const MOST_ERROR: f64 = 10.0;
/// Distances further than so many floors say only that a method failed.
const FAILED: f64 = 1e3;

/// How a method is drawn.
fn style(method: Method, points: Line) -> Line {
    let (colour, dash, width) = match method {
        Method::Replacement => ("#64748b", "", 1.8),
        Method::Repaint => ("#2563eb", "", 1.8),
        Method::Ddrm => ("#0891b2", "", 1.8),
        Method::Ddnm => ("#65a30d", "", 1.8),
        Method::DpsStep => ("#a16207", "5 3", 1.8),
        Method::Dps => ("#f59e0b", "5 3", 1.8),
        Method::Pigdm => ("#db2777", "5 3", 1.8),
        Method::PigdmVariance => ("#f472b6", "5 3", 1.8),
        Method::RowSums => ("#0d9488", "5 3", 1.8),
        Method::Diagonal => ("#9333ea", "5 3", 1.8),
        Method::Tmpd => ("#4338ca", "5 3", 1.8),
        Method::SmcFree => ("#16a34a", "", 3.0),
        Method::SmcPigdm => ("#be185d", "", 3.0),
        Method::SmcTmpd => ("#1f2937", "", 3.0),
    };
    Line { colour: colour.into(), width, ..points }.dashed(dash)
}

/// Samples of lines above the panels.
fn legend(methods: &[Method]) -> Vec<Key> {
    let key = |m: &Method| Key::Line(style(*m, Line::new(m.name(), "", vec![])));
    methods.iter().map(key).collect()
}

fn columns(results: &Results) -> usize {
    results.problems.len().clamp(1, 2)
}

/// A line of estimates.
fn drawn(method: Method, points: Vec<(f64, Option<Estimate>)>) -> Line {
    Line { mark: Some(Mark::Disc), ..style(method, line("", "", points)) }
}

/// Squared W2 against cost.
pub(super) fn bias(results: &Results) -> Figure {
    let costs = results.problems.iter().flat_map(|f| f.rows.iter().map(|r| r.cost()));
    let across = Axis::log_around(costs, "scores and products a sample");
    let panels = results.problems.iter().map(|found| {
        let floor = Estimate::of_mean(&found.floor.w2).value;
        let values = found.rows.iter().filter_map(findings::w2).map(|e| e.value);
        let most = FAILED * floor;
        let up = Axis::log_around(
            values.map(|v| v.min(most)).chain([floor, 0.7 * floor]),
            "squared W_{2} to the posterior",
        );
        let of = |m: &Method| {
            let own = found.rows.iter().filter(|r| r.method == *m);
            drawn(*m, own.map(|r| (r.cost(), findings::w2(r))).collect())
        };
        Panel::new(across.clone(), up)
            .title(&found.problem)
            .band_below(Some(floor), FLOOR, "exact samples")
            .lines(Method::ALL.iter().map(of))
    });
    Grid::new(panels.collect(), columns(results))
        .height(300.0)
        .legend(legend(&Method::ALL))
        .figure("bias", "Squared W2 to the posterior against evaluations, a line a method")
}

/// Errors of guidance terms over time.
pub(super) fn terms(results: &Results) -> Figure {
    let times = results.problems.iter().flat_map(|f| f.times.iter().copied());
    let across = Axis::log_around(times, "t");
    let up = Axis::log_around([LEAST_ERROR, MOST_ERROR], "relative error of the term");
    let panels = results.problems.iter().map(|found| {
        let of = |m: &Method| {
            let course = found.courses.iter().find(|c| c.method == *m)?;
            let inside = |e: &Estimate| Estimate {
                value: e.value.clamp(LEAST_ERROR, MOST_ERROR),
                // What is drawn at an edge has no bar.
                standard_error: if e.value < LEAST_ERROR { 0.0 } else { e.standard_error },
            };
            let errors = course.errors.iter().map(|e| e.as_ref().map(inside));
            Some(drawn(*m, found.times.iter().copied().zip(errors).collect()))
        };
        Panel::new(across.clone(), up.clone())
            .title(&found.problem)
            .lines(WITH_TERM.iter().filter_map(of))
    });
    Grid::new(panels.collect(), columns(results))
        .height(260.0)
        .legend(legend(&WITH_TERM))
        .figure("terms", "Relative error of guidance terms over time, a line a method")
}

/// Errors over the number of particles.
pub(super) fn particles(results: &Results) -> Figure {
    let all = || results.problems.iter().flat_map(|f| &f.systems);
    let across = Axis::log_around(all().map(|s| s.particles as f64), "particles K");
    let counts = |found: &Found| {
        let mut counts: Vec<f64> = found.systems.iter().map(|s| s.particles as f64).collect();
        counts.sort_by(f64::total_cmp);
        counts
    };
    let errors = all().filter_map(|s| Some(s.found?.error.value));
    let exact = all().map(|s| (s.particles as f64).powf(-0.5));
    let up = Axis::log_around(errors.chain(exact), "error of the mean");
    let panels = results.problems.iter().map(|found| {
        let of = |m: &Method| {
            let own = found.systems.iter().filter(|s| s.method == *m);
            drawn(*m, own.map(|s| (s.particles as f64, s.found.map(|f| f.error))).collect())
        };
        let exact = counts(found).into_iter().map(|k| (k, k.powf(-0.5))).collect();
        Panel::new(across.clone(), up.clone())
            .title(&found.problem)
            .line(Line::plain(GREY, 1.4, exact).dashed("2 4"))
            .lines(Method::PARTICLES.iter().map(of))
    });
    let exact = Line::plain(GREY, 1.4, vec![]).dashed("2 4").named("exact draws");
    let keys = legend(&Method::PARTICLES).into_iter().chain([Key::Line(exact)]).collect();
    Grid::new(panels.collect(), columns(results))
        .height(240.0)
        .legend(keys)
        .figure("particles", "Error of the posterior mean over the number of particles")
}
