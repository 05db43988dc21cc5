//! The page of `solvers`.

use metrics::{Change, Estimate, NoiseFloor};
use report::{
    Axis, Cell, Figure, Grid, Line, Mark, Markup, Panel, Sheet, Table, digits, html, list, palette,
};

use super::{Config, Curve, Found, Point, Results};
use crate::distance::{self, FLOOR, said};
use crate::named::Named;

/// Grey of the methods that are best nowhere.
const REST: &str = "#b6bcc6";

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let problems = match results.problems.len() {
        1 => "one problem".to_string(),
        k => format!("{k} problems"),
    };
    let mut sheet = Sheet::new(
        "Which solver for which budget?",
        html! {
            "Every method of the registry on " (problems) ", with exact scores: how far it is from the flow\u{2019}s solution, or from the truth, against what it costs. "
            (results.problems.iter().map(lead).collect::<Vec<_>>().join(" "))
        },
    );
    for (k, found) in results.problems.iter().enumerate() {
        let title = title(found);
        flow(&mut sheet, config, k, found, &title);
        if !found.noise.is_empty() {
            noise(&mut sheet, config, k, found, &title);
        }
        let refused = refusals(found).into_iter();
        let refused = refused.map(|(method, why)| vec![method.into(), why.into()]);
        let table = Table::new(&format!("refused-{k}"), 2, &["method", "first refusal"])
            .rows(refused)
            .folded("Methods that gave an error instead of a result at some budget on some grid, the first of each");
        if !table.rows.is_empty() {
            sheet.table(table);
        }
    }
    sheet
}

/// A problem by target and process.
fn title(found: &Found) -> String {
    format!("{} under {}", found.target, found.sde.split(':').next().unwrap_or_default())
}

/// Methods with their first errors; one that is the same with noise and without is named once.
fn refusals(found: &Found) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for curve in found.ode.iter().chain(&found.noise) {
        let Some(why) = curve.refused.as_deref() else { continue };
        if !all.contains(&(curve.method.as_str(), why)) {
            all.push((&curve.method, why));
        }
    }
    all
}

/// What a point of a curve cost.
type Cost = fn(&Point) -> f64;

/// The flow ODE of a problem.
fn flow(sheet: &mut Sheet, config: &Config, k: usize, found: &Found, title: &str) {
    sheet.section(&format!("{title}: the flow ODE"), html! {
        "Error: root mean square distance to the flow\u{2019}s solution from the same " (config.particles)
        " starts (Dormand-Prince at a tolerance of 1e\u{2212}11), with its standard error over the starts. Each method takes as many steps as the budget allows, on the best for it of the grids "
        (config.grids.iter().map(Named::given).collect::<Vec<_>>().join(", ")) ". Time is that of one particle on one thread, the shortest of " (config.repeats)
        "; the score of a mixture costs little, so this is mostly the solver\u{2019}s own work, and on a shared machine it is rough. "
        (distance::change_note(1))
    });
    let lines = figure(&format!("ode-{k}"), &found.ode, None, "RMS error");
    sheet.figure(lines, html! {
        "Each line is a method, both axes logarithmic; lower left is better. In colour: methods that are best at some budget, with their names. Dashed: steps chosen by a tolerance, for each particle on its own. Grey: all others; the table has them. Errors above 10, of methods that failed, are beyond the upper edge."
    });
    sheet.table(best(&format!("best-ode-{k}"), config, &found.ode, html! {
        "The best by budget among fixed grids, and how many others the test does not tell from it."
    }));
    let what = html! { "RMS error to the flow\u{2019}s solution" };
    sheet.table(whole(&format!("all-ode-{k}"), config, &found.ode, &what));
}

/// Samplers with noise on a problem.
fn noise(sheet: &mut Sheet, config: &Config, k: usize, found: &Found, title: &str) {
    sheet.section(&format!("{title}: with noise"), html! {
        "Every method that takes noise, at \u{3b7} = " (config.noise.eta) ": squared W" sub { "2" } " of " (config.noise.n)
        " particles to the truth, on " (config.window.about()) ". " (distance::above_note(&found.floor))
    });
    let what = "squared W_{2} to the truth";
    let lines = figure(&format!("noise-{k}"), &found.noise, Some(&found.floor), what);
    sheet.figure(lines, html! { "As above, against the truth. Grey band: the noise floor." });
    sheet.table(best(&format!("best-noise-{k}"), config, &found.noise, html! {
        "The best by budget, and how many others the test does not tell from it. " (within(config, found))
    }));
    let what = html! { "squared W" sub { "2" } " to the truth" };
    sheet.table(whole(&format!("all-noise-{k}"), config, &found.noise, &what));
}

/// At how many budgets the best of the samplers is within the floor.
fn within(config: &Config, found: &Found) -> String {
    if let Some(reason) = distance::unmeasured(&found.floor) {
        return reason;
    }
    let best: Vec<&Point> =
        config.budgets.iter().filter_map(|b| Some(ranked(&found.noise, *b).first()?.1)).collect();
    if best.is_empty() {
        return "No sampler has a distance within a budget.".into();
    }
    let within = best.iter().filter(|p| !distance::above(p.found(), &found.floor)).count();
    let floor = report::maybe(distance::floor_line(&found.floor));
    let budgets = if best.len() == 1 { "budget" } else { "budgets" };
    format!("Floor {floor}; the best is within it at {within} of {} {budgets}.", best.len())
}

/// The best of the smallest and of the largest budget, and whether that is more than chance.
fn lead(found: &Found) -> String {
    let budgets = budgets(&found.ode);
    let say = |budget: &u64| {
        let ranked = ranked(&found.ode, *budget);
        let (curve, point) = ranked.first()?;
        let others = ties(&ranked);
        let also = if others.is_empty() { "" } else { ", not told from others" };
        let (method, error) = (&curve.method, said(point.found()));
        Some(format!("{method} on a budget of {budget} evaluations ({error}{also})"))
    };
    let mut ends: Vec<&u64> = [budgets.first(), budgets.last()].into_iter().flatten().collect();
    ends.dedup();
    let named: Vec<String> = ends.into_iter().filter_map(say).collect();
    if named.is_empty() {
        return format!("No method has a result within a budget for the flow of {}.", title(found));
    }
    format!("Closest to the flow of {}: {}.", title(found), list(&named))
}

fn budgets(curves: &[Curve]) -> Vec<u64> {
    let mut all: Vec<u64> =
        curves.iter().flat_map(|c| c.points.iter().map(|p| p.budget)).filter(|b| *b > 0).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The methods with a result that kept a budget, the best first. Steps that solve equations (of implicit
/// methods) may take more evaluations than were counted on.
fn ranked(curves: &[Curve], budget: u64) -> Vec<(&Curve, &Point)> {
    let kept = |p: &Point| p.budget == budget && p.nfe <= budget as f64;
    let at = |c: &'_ Curve| c.points.iter().position(kept);
    let mut all: Vec<(&Curve, &Point)> =
        curves.iter().filter_map(|c| Some((c, &c.points[at(c)?]))).collect();
    all.sort_by(|a, b| a.1.error.total_cmp(&b.1.error));
    all
}

/// The methods that the test does not tell from the first.
fn ties<'a>(ranked: &[(&'a Curve, &Point)]) -> Vec<&'a str> {
    let Some((_, best)) = ranked.first() else { return Vec::new() };
    let alike = |p: &Point| distance::change(best.found(), p.found(), 1) == Change::Holds;
    ranked[1..].iter().filter(|(_, p)| alike(p)).map(|(c, _)| c.method.as_str()).collect()
}

impl Point {
    pub(super) fn new(nfe: f64, found: Estimate, micros: f64, grid: String, budget: u64) -> Self {
        let (error, standard_error) = (found.value, found.standard_error);
        Self { nfe, error, standard_error, micros, grid, budget }
    }

    /// Its error with its standard error.
    fn found(&self) -> Estimate {
        Estimate { value: self.error, standard_error: self.standard_error }
    }
}

fn figure(name: &str, curves: &[Curve], floor: Option<&NoiseFloor>, error: &str) -> Figure {
    let mut stars: Vec<&str> = Vec::new();
    for budget in budgets(curves) {
        let star = ranked(curves, budget).first().map(|(c, _)| c.method.as_str());
        stars.extend(star.filter(|s| !stars.contains(s)));
    }
    let floor = floor.and_then(distance::floor_line);
    let all = || curves.iter().flat_map(|c| &c.points);
    // Errors far above the size of the data say only that a method failed.
    let errors = all().map(|p| p.error.clamp(1e-12, 10.0)).chain(floor);
    let up = Axis::log_around(errors, error);
    let axes: [(Cost, &str); 2] = [
        (|p| p.nfe, "evaluations of the score for a particle"),
        (|p| p.micros, "microseconds for a particle"),
    ];
    let panels = axes.map(|(x, title)| {
        let line = |curve: &Curve| {
            let mut points: Vec<(f64, f64)> =
                curve.points.iter().map(|p| (x(p), p.error.max(1e-12))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let star = stars.iter().position(|s| *s == curve.method);
            match star.filter(|_| !curve.adaptive) {
                Some(k) => (true, Line::new(&curve.method, palette(k), points)),
                None => {
                    let dash = if curve.adaptive { "5 4" } else { "" };
                    // A single point is no line.
                    let mark = (points.len() == 1).then_some(Mark::Disc);
                    (false, Line { mark, ..Line::plain(REST, 1.1, points).dashed(dash) })
                }
            }
        };
        // Those in colour last: on top of the others.
        let mut lines: Vec<(bool, Line)> = curves.iter().map(line).collect();
        lines.sort_by_key(|l| l.0);
        Panel::new(Axis::log_around(all().map(x), title), up.clone())
            .band_below(floor, FLOOR, "noise floor")
            .lines(lines.into_iter().map(|l| l.1))
    });
    let grid = Grid::row(panels.into()).height(400.0);
    grid.figure(name, "Error against evaluations and against time, a line a method")
}

fn best(name: &str, config: &Config, curves: &[Curve], caption: Markup) -> Table {
    let ranked = config.budgets.iter().map(|budget| (budget, ranked(curves, *budget)));
    let ranked: Vec<(&u64, Vec<(&Curve, &Point)>)> = ranked.filter(|r| !r.1.is_empty()).collect();
    Table::of(name, 0, &ranked)
        .column("budget", |(budget, _)| budget.to_string())
        .column("best", |(_, all)| Cell::from(all[0].0.method.as_str()).best(true))
        .column("error", |(_, all)| distance::cell(all[0].1.found()))
        .column("evaluations", |(_, all)| digits(all[0].1.nfe))
        .column("grid", |(_, all)| all[0].1.grid.as_str())
        .column("second", |(_, all)| all.get(1).map_or(report::DASH, |s| s.0.method.as_str()))
        .column("its error", |(_, all)| distance::cell(all.get(1).map(|s| s.1.found())))
        .column("not told apart", |(_, all)| ties(all).len().to_string())
        .caption(caption)
}

fn whole(name: &str, config: &Config, curves: &[Curve], what: &Markup) -> Table {
    let mut head = vec!["method".to_string()];
    head.extend(config.budgets.iter().map(u64::to_string));
    let least: Vec<Option<f64>> =
        config.budgets.iter().map(|b| Some(ranked(curves, *b).first()?.1.error)).collect();
    let rows = curves.iter().filter(|c| !c.adaptive).map(|c| {
        let mut cells = vec![c.method.as_str().into()];
        cells.extend(config.budgets.iter().zip(&least).map(|(budget, least)| {
            let point = c.points.iter().find(|p| p.budget == *budget);
            let best = point.is_some_and(|p| Some(p.error) == *least);
            let over = point.filter(|p| p.nfe > *budget as f64);
            let over = over.map(|p| format!("{} evaluations", digits(p.nfe)));
            distance::cell(point.map(Point::found)).best(best).beside(over)
        }));
        cells
    });
    let count = curves.iter().filter(|c| !c.adaptive).count();
    Table::new(name, 1, &head).rows(rows).folded(&format!("All {count} methods")).caption(html! {
        "All methods: " (what) " by budget, with standard errors. \u{2014}: the budget is too small for a step, or there was no finite result. In grey, the evaluations of those that took more than the budget (implicit methods): they are not ranked."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(method: &str, error: f64) -> Curve {
        let found = Estimate { value: error, standard_error: 0.01 };
        let point = Point::new(5.0, found, 1.0, "uniform".into(), 5);
        Curve { method: method.into(), adaptive: false, points: vec![point], refused: None }
    }

    #[test]
    fn sentences_follow_the_numbers() {
        let found = |heun, ddim| Found {
            target: "blob".into(),
            sde: "vp".into(),
            ode: vec![curve("heun", heun), curve("ddim", ddim)],
            noise: Vec::new(),
            floor: NoiseFloor::default(),
        };
        assert_eq!(
            lead(&found(0.1, 0.9)),
            "Closest to the flow of blob under vp: heun on a budget of 5 evaluations (0.100 \u{b1} 0.010).",
            "one budget is named once"
        );
        assert!(lead(&found(0.9, 0.1)).contains("ddim on a budget of 5 evaluations (0.100"));
        assert!(lead(&found(0.10, 0.11)).contains("not told from others"));
        // Who takes more than the budget is not the best of it.
        let mut over = found(0.1, 0.9);
        over.ode[0].points[0].nfe = 91.0;
        assert!(lead(&over).contains("ddim on a budget of 5 evaluations"));
        // With noise the same error is not listed again.
        over.ode[0].refused = Some("5 evaluations: no".into());
        over.noise = vec![over.ode[0].clone()];
        assert_eq!(refusals(&over), [("heun", "5 evaluations: no")]);
        over.ode[1].points.clear();
        assert!(lead(&over).starts_with("No method has a result within a budget"));
    }
}
