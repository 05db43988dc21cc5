//! The page of `solvers`.

use super::{Config, Course, Found, Point, Results};
use crate::report::axes::{Axis, Panel};
use crate::report::colormap::SETS;
use crate::report::html::{Html, html};
use crate::report::plot::{self, Line};
use crate::report::sheet::{Sheet, Table, digits, maybe};
use crate::report::svg::Svg;
use crate::report::{Figure, columns};

/// Grey of the methods that are best nowhere.
const REST: &str = "#b6bcc6";

pub(super) fn sheet(config: &Config, results: &Results) -> Sheet {
    let mut sheet = Sheet {
        title: "Which solver for which budget?".into(),
        lead: html!(
            "Every method of the registry on {}, with exact scores: how far it is from the flow\u{2019}s solution, or from the truth, against what it costs. {}",
            if results.problems.len() == 1 {
                "one problem".to_string()
            } else {
                format!("{} problems", results.problems.len())
            },
            results.problems.first().map(lead).unwrap_or_default()
        ),
        ..Sheet::default()
    };
    for (k, found) in results.problems.iter().enumerate() {
        let title =
            format!("{} under {}", found.target, found.sde.split(':').next().unwrap_or_default());
        sheet.section(&format!("{title}: the flow ODE"), html!(
            "Error: root mean square distance to the flow\u{2019}s solution from the same {} starts (Dormand-Prince at a tolerance of 1e\u{2212}11). Each method takes as many steps as the budget allows, on the best for it of the grids {}. Time is that of one particle on one thread, the shortest of {}; the score of a mixture costs little, so this is mostly the solver\u{2019}s own work, and on a shared machine it is rough.",
            config.particles, config.grids.join(", "), config.repeats));
        let ode = found.ode.iter().collect::<Vec<_>>();
        sheet.figure(figure(&format!("ode-{k}"), &ode, None, "RMS error"),
            "Each line is a method, both axes logarithmic; lower left is better. In colour: methods that are best at some budget, with their names. Dashed: steps chosen by a tolerance, for each particle on its own. Grey: all others; the table has them.");
        sheet.table(best(&format!("best-ode-{k}"), config, &found.ode, None));
        sheet.table(whole(
            &format!("all-ode-{k}"),
            config,
            &found.ode,
            "RMS error to the flow\u{2019}s solution",
        ));
        if !found.noise.is_empty() {
            sheet.section(&format!("{title}: with noise"), html!(
                "Every method that takes noise, at \u{3b7} = {}: squared W<sub>2</sub> of {} particles to the truth, on {} \u{d7} {} nodes of \u{b1}{}. Below the floor of {} no difference can be seen.",
                config.noise.eta, config.noise.n, config.window.nodes, config.window.nodes, config.window.half_width, maybe(found.floor)));
            let noise = found.noise.iter().collect::<Vec<_>>();
            sheet.figure(
                figure(&format!("noise-{k}"), &noise, found.floor, "squared W_{2} to the truth"),
                "As above, against the truth. Grey band: the noise floor.",
            );
            sheet.table(best(&format!("best-noise-{k}"), config, &found.noise, found.floor));
            sheet.table(whole(
                &format!("all-noise-{k}"),
                config,
                &found.noise,
                "squared W<sub>2</sub> to the truth",
            ));
        }
        let refused: Vec<Vec<String>> = found
            .ode
            .iter()
            .chain(&found.noise)
            .filter_map(|c| Some(vec![c.method.clone(), c.refused.clone()?]))
            .collect();
        if !refused.is_empty() {
            sheet.table(Table {
                name: format!("refused-{k}"),
                words: 2,
                head: vec!["method".into(), "first refusal".into()],
                rows: refused,
                caption: "Where a method gave an error instead of a result, the first of each."
                    .into(),
            });
        }
    }
    sheet
}

/// The best of the smallest and of the largest budget, in a sentence.
fn lead(found: &Found) -> String {
    let budgets = budgets(&found.ode);
    let say = |b: &u64| {
        winner(&found.ode, *b)
            .map(|(c, p)| format!("{} with {} evaluations ({})", c.method, b, digits(p.error)))
    };
    let named: Vec<String> =
        [budgets.first(), budgets.last()].into_iter().flatten().filter_map(say).collect();
    format!("Closest to the flow of {}: {}.", found.target, named.join("; "))
}

fn budgets(courses: &[Course]) -> Vec<u64> {
    let mut all: Vec<u64> =
        courses.iter().flat_map(|c| c.points.iter().map(|p| p.budget)).filter(|b| *b > 0).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The method with the smallest error at a budget.
fn winner(courses: &[Course], budget: u64) -> Option<(&Course, &Point)> {
    let points =
        courses.iter().filter_map(|c| Some((c, c.points.iter().find(|p| p.budget == budget)?)));
    points.min_by(|a, b| a.1.error.total_cmp(&b.1.error))
}

fn figure(name: &str, courses: &[&Course], floor: Option<f64>, error: &str) -> Figure {
    let owned: Vec<Course> = courses.iter().map(|c| (*c).clone()).collect();
    let mut stars: Vec<String> = Vec::new();
    for budget in budgets(&owned) {
        if let Some((c, _)) = winner(&owned, budget)
            && !stars.contains(&c.method)
        {
            stars.push(c.method.clone());
        }
    }
    let all = || courses.iter().flat_map(|c| &c.points);
    let mut svg = Svg::new(1080.0, 480.0);
    let errors = all().map(|p| p.error.max(1e-12)).chain(floor);
    // Errors far above the size of the data say only that a method failed.
    let mut up = Axis::log_around(errors.map(|e| e.min(10.0)), error);
    for (v, name) in up.ticks.iter_mut().filter(|(v, name)| *v < 1e-3 && !name.is_empty()) {
        *name = format!("{v:.0e}").replace('-', "\u{2212}");
    }
    if floor.is_some() {
        up.lo *= 0.7;
    }
    let (left, width) = columns(72.0, 930.0, 40.0, 2);
    for (k, (x, title)) in [
        ((|p: &Point| p.nfe) as fn(&Point) -> f64, "evaluations of the score for a particle"),
        (|p| p.micros, "microseconds for a particle"),
    ]
    .into_iter()
    .enumerate()
    {
        let panel = Panel {
            x: left[k],
            y: 24.0,
            w: width,
            h: 400.0,
            across: Axis::log_around(all().map(x), title),
            up: up.clone(),
        };
        panel.draw_axes(&mut svg, k == 0);
        if let Some(floor) = floor {
            plot::floor(
                &mut svg,
                &panel,
                &[(panel.across.lo, floor), (panel.across.hi, floor)],
                "noise floor",
            );
        }
        let line = |c: &Course, colour: &str, named: bool| {
            let mut points: Vec<(f64, f64)> =
                c.points.iter().map(|p| (x(p), p.error.max(1e-12))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (label, dash) = match (named && k == 1 && !c.adaptive, c.adaptive) {
                (true, _) => (c.method.as_str(), ""),
                (_, true) => ("", "5 4"),
                _ => ("", ""),
            };
            let line = Line::new(label, colour, points);
            if named { Line { dash, ..line } } else { line.plain(1.1, dash) }
        };
        let star = |c: &Course| stars.iter().position(|s| *s == c.method).filter(|_| !c.adaptive);
        let drawn: Vec<Line> = courses
            .iter()
            .filter(|c| star(c).is_none())
            .map(|c| line(c, REST, false))
            .chain(
                courses.iter().filter_map(|c| star(c).map(|s| line(c, SETS[s % SETS.len()], true))),
            )
            .collect();
        plot::lines(&mut svg, &panel, &drawn);
    }
    Figure::new(name, svg.finish("Error against evaluations and against time, a line a method"))
}

fn best(name: &str, config: &Config, courses: &[Course], floor: Option<f64>) -> Table {
    let head = ["budget", "best", "error", "evaluations", "grid", "second", "its error"]
        .map(String::from)
        .to_vec();
    let mut rows = Vec::new();
    for budget in &config.budgets {
        let mut ranked: Vec<(&Course, &Point)> = courses
            .iter()
            .filter_map(|c| Some((c, c.points.iter().find(|p| p.budget == *budget)?)))
            .collect();
        ranked.sort_by(|a, b| a.1.error.total_cmp(&b.1.error));
        let Some((c, p)) = ranked.first() else { continue };
        let second = ranked.get(1);
        rows.push(vec![
            budget.to_string(),
            format!("*{}", c.method),
            digits(p.error),
            digits(p.nfe),
            p.grid.clone(),
            second.map_or("\u{2014}".into(), |s| s.0.method.clone()),
            second.map_or("\u{2014}".into(), |s| digits(s.1.error)),
        ]);
    }
    let caption = match floor {
        Some(f) => html!(
            "The best by budget. Floor {}: where several are near it, which comes first is chance.",
            digits(f)
        ),
        None => "The best by budget, among fixed grids.".into(),
    };
    Table { name: name.into(), caption, head, rows, words: 0 }
}

fn whole(name: &str, config: &Config, courses: &[Course], what: &'static str) -> Table {
    let mut head = vec!["method".to_string()];
    head.extend(config.budgets.iter().map(u64::to_string));
    let winners: Vec<Option<f64>> =
        config.budgets.iter().map(|b| winner(courses, *b).map(|w| w.1.error)).collect();
    let rows = courses.iter().filter(|c| !c.adaptive).map(|c| {
        let mut cells = vec![c.method.clone()];
        cells.extend(config.budgets.iter().zip(&winners).map(|(b, w)| {
            c.points.iter().find(|p| p.budget == *b).map_or("\u{2014}".into(), |p| {
                format!("{}{}", if Some(p.error) == *w { "*" } else { "" }, digits(p.error))
            })
        }));
        cells
    });
    Table {
        name: name.into(),
        caption: html!(
            "All methods: {} by budget. \u{2014}: the budget is too small for a step, or there was no finite result.",
            Html::from(what)
        ),
        head,
        rows: rows.collect(),
        words: 1,
    }
}
