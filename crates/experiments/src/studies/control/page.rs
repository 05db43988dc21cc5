//! The page of `control`.

use metrics::Estimate;
use report::{Cell, DASH, Sheet, Table, digits, html};

use super::bias::{Row, noise_floor};
use super::methods::Method;
use super::particles::Systems;
use super::terms::WITH_TERM;
use super::{Config, Found, Results, figures, findings};
use crate::distance;

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let lead = html! {
        "Sampling given a linear measurement, with exact scores of Gaussian mixtures whose posterior is known. "
        (findings::lead(results))
    };
    let mut sheet = Sheet::new("How far is a conditional sample from the posterior?", lead);
    bias(&mut sheet, config, results);
    terms(&mut sheet, config, results);
    particles(&mut sheet, config, results);
    sheet
}

fn bias(sheet: &mut Sheet, config: &Config, results: &Results) {
    let Config { n, repeats, zeta, repaint, .. } = *config;
    sheet.section("Bias against cost", html! {
        "Data in eight dimensions, y = A x + noise, under " (config.sde) ". \u{201c}gaussian\u{201d}: one Gaussian with a random covariance; \u{201c}modes\u{201d}: 25 Gaussians on a lattice (Cardoso et al. 2023). The number says how many numbers are seen. Squared W"
        sub { "2" } " of " (n) " samples of a method to " (n) " exact samples of the posterior, mean of " (repeats)
        " repeats; the floor is that of other exact samples, which in eight dimensions is far from zero. A budget counts scores and vector-Jacobian products of a sample alike; steps are those of the exponential Euler-Maruyama method on the grid "
        (config.grid) " down to t = 0, as many as the budget allows. Particles: one system of " (n)
        ", resampled to equal weights. RePaint goes " (repaint.passes) " times over every " (repaint.jump)
        " steps; DPS (step) is the published step of length " (zeta) ", DPS (likelihood) the gradient it stands for."
    });
    sheet.figure(figures::bias(results), html! {
        "Squared W" sub { "2" } " to the posterior against evaluations a sample, as counted; both axes logarithmic, bars of one standard error, lower left is better. Solid: without gradients. Dashed: guidance by a Gaussian likelihood. Bold: particles. Grey: the floor. Values above a thousand times the floor, of methods whose steps are too long for their likelihood, lie beyond the upper edge."
    });
    for (k, found) in results.problems.iter().enumerate() {
        sheet.section(&found.problem, html! {
            (found.seen) @if found.seen == 1 { " number is" } @else { " numbers are" } " seen with noise of " (digits(found.noise))
            "; log p(y) = " (digits(found.log_evidence)) ". " (findings::closest(found)) " " (findings::within(found)) " " (findings::note(config, found))
        });
        sheet.table(table(k, config, found));
    }
}

/// Methods by budget.
fn table(k: usize, config: &Config, found: &Found) -> Table {
    let mut head = vec!["method".to_string()];
    head.extend(config.budgets.iter().map(|b| format!("W_{{2}}\u{b2}, {b} evaluations")));
    head.extend(["sliced, at the largest", "steps", "evaluations"].map(String::from));
    let least = |budget: usize| findings::ranked(found, budget).first().map(|r| r.0.method);
    let at = |method: Method, budget: usize| {
        found.rows.iter().find(|r| r.method == method && r.budget == budget)
    };
    let row = |method: &Method| {
        let mut cells: Vec<Cell> = vec![method.name().into()];
        cells.extend(config.budgets.iter().map(|budget| {
            let value = at(*method, *budget).and_then(findings::w2);
            distance::cell(value).best(least(*budget) == Some(*method))
        }));
        let own = found.rows.iter().filter(|r| r.method == *method);
        let last = own.max_by_key(|r| r.budget);
        let sliced = last.and_then(|r| r.found.as_ref()).map(|d| Estimate::of_mean(&d.sliced));
        cells.push(distance::cell(sliced));
        cells.push(last.map_or(DASH.into(), |r| r.steps.to_string().into()));
        // Of samples that were lost on the way the count is not that of whole ones.
        let whole = |r: &Row| r.found.is_some().then(|| r.cost());
        cells.push(Cell::number(last.and_then(whole)));
        cells
    };
    let mut floor: Vec<Cell> = vec!["exact samples".into()];
    let of_exact = distance::cell(Estimate::of_mean(&found.floor.w2));
    floor.extend(config.budgets.iter().map(|_| of_exact.clone()));
    floor.push(distance::cell(Estimate::of_mean(&found.floor.sliced)));
    floor.extend([DASH.into(), DASH.into()]);
    let rows = Method::ALL.iter().map(row).chain([floor]);
    Table::new(&format!("bias-{k}"), 1, &head).rows(rows).caption(html! {
        "Squared W" sub { "2" } " with the standard error of " (config.repeats) " repeats, the smallest of a budget in colour; squared sliced W" sub { "2" } " on the largest budget. \u{2014}: fewer than two steps, or samples that left the numbers. Floor of squared W" sub { "2" } " over the repeats: "
        (digits(noise_floor(config, &found.floor.w2).mean())) " with a standard deviation of " (digits(noise_floor(config, &found.floor.w2).standard_deviation())) "."
    })
}

fn terms(sheet: &mut Sheet, config: &Config, results: &Results) {
    let said = results.problems.iter().map(|f| (f.problem.as_str(), findings::terms(f)));
    sheet.section("The guidance term", html! {
        "What a method adds to the score, against the exact \u{2207} log p" sub { "t" } "(y | x), at " (config.guidance.points)
        " points of the posterior noised up to t: mean length of the error over mean length of the exact term. Methods without such a term are not here; those of particles correct theirs. "
        @for (problem, said) in said { b { (problem) } ": " (said) " " }
    });
    sheet.figure(figures::terms(results), html! {
        "Relative error of the guidance term over t, both axes logarithmic. Errors below " (figures::LEAST_ERROR) " are drawn there, above " (figures::MOST_ERROR) " there."
    });
    let mut head = vec!["method".to_string()];
    head.extend(
        results
            .problems
            .iter()
            .flat_map(|f| [format!("{}, mean", f.problem), "largest".to_string()]),
    );
    let row = |method: &Method| {
        let mut cells: Vec<Cell> = vec![method.name().into()];
        cells.extend(results.problems.iter().flat_map(|f| {
            let course = f.courses.iter().find(|c| c.method == *method);
            let found = course.and_then(|c| findings::term(&c.errors));
            [Cell::number(found.map(|t| t.1)), Cell::number(found.map(|t| t.0))]
        }));
        cells
    };
    sheet.table(Table::new("terms", 1, &head).rows(WITH_TERM.iter().map(row)).caption(html! {
        "Relative error of the term, mean and largest over the times."
    }));
}

fn particles(sheet: &mut Sheet, config: &Config, results: &Results) {
    sheet.section("Particles", html! {
        "Twisted sequential Monte Carlo, " (config.smc.systems) " independent systems of K particles on " (config.smc.steps)
        " steps, resampled where the effective sample size is below K/2. Error: root mean square distance of a system\u{2019}s weighted mean to the posterior\u{2019}s, over the posterior\u{2019}s standard deviation; of K independent exact draws it is K"
        sup { "\u{2212}1/2" } ". A slope is a weighted least-squares line in the logarithms; its error is larger where the points scatter more about the line than their own errors say. It is said to differ from \u{2212}1/2 by a normal test at a level of 1 % shared by all slopes (Bonferroni). The estimate of p(y) is without bias but for the steps."
    });
    sheet.figure(figures::particles(results), html! {
        "Error of the posterior mean over the number of particles, both axes logarithmic, bars of one standard error. Grey: independent exact draws."
    });
    sheet.table(slopes(results));
    let rows: Vec<(&Found, &Systems)> =
        results.problems.iter().flat_map(|f| f.systems.iter().map(move |s| (f, s))).collect();
    let of = |get: fn(&super::particles::Summary) -> Estimate| {
        move |(_, s): &(&Found, &Systems)| distance::cell(s.found.as_ref().map(get))
    };
    sheet.table(
        Table::of("particles", 2, &rows)
            .column("problem", |(f, _)| f.problem.as_str())
            .column("proposal", |(_, s)| s.method.name())
            .column("K", |(_, s)| s.particles.to_string())
            .column("error", of(|f| f.error))
            .column("effective share", |(_, s)| Cell::number(s.found.map(|f| f.effective)))
            .column("resamplings", |(_, s)| Cell::number(s.found.map(|f| f.resampled)))
            .column("p(y) over exact", of(|f| f.evidence))
            .column("log p(y) less exact", of(|f| f.log_evidence))
            .caption(html! {
                "Effective share: effective sample size over K, mean over steps and systems. The last two: mean over systems with its standard error; that of the logarithm is low by half its variance."
            })
            .folded("Every number of particles"),
    );
}

fn slopes(results: &Results) -> Table {
    let rows: Vec<(&Found, Method)> = results
        .problems
        .iter()
        .flat_map(|f| Method::PARTICLES.iter().map(move |m| (f, *m)))
        .collect();
    let last = |(f, m): &(&Found, Method)| {
        let own = f.systems.iter().filter(|s| s.method == *m);
        own.max_by_key(|s| s.particles).and_then(|s| s.found)
    };
    Table::of("slopes", 2, &rows)
        .column("problem", |(f, _)| f.problem.as_str())
        .column("proposal", |(_, m)| m.name())
        .column("slope", |(f, m)| distance::cell(findings::slope_of(f, *m)))
        .column("error, most particles", |r| distance::cell(last(r).map(|s| s.error)))
        .column("effective share", |r| Cell::number(last(r).map(|s| s.effective)))
        .column("p(y) over exact", |r| distance::cell(last(r).map(|s| s.evidence)))
        .caption(html! {
            "Slope of the logarithm of the error over that of K; the rest with the most particles."
        })
}
