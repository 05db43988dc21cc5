//! What the page says of the results.

use metrics::{Change, Estimate};
use report::{digits, list};

use super::bias::Row;
use super::methods::Method;
use super::particles::slope;
use super::{Config, Found, Results};
use crate::distance::{by_change, change, change_of_pairs, said};

/// Relative errors of a guidance term below it are rounding.
const ROUNDING: f64 = 1e-6;

/// What is said of methods, in the order of the page.
pub(super) fn lead(results: &Results) -> String {
    let parts = [replacement(results), slopes(results), evidence(results)];
    let exact = results.problems.iter().filter_map(exact_terms);
    parts.into_iter().chain(exact).collect::<Vec<_>>().join(" ")
}

/// Budgets at which some method has a distance, in order.
pub(super) fn budgets(found: &Found) -> Vec<usize> {
    let measured = found.rows.iter().filter(|r| r.found.is_some());
    let mut all: Vec<usize> = measured.map(|r| r.budget).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Squared W2 of a row over its repeats.
pub(super) fn w2(row: &Row) -> Option<Estimate> {
    row.found.as_ref().map(|d| Estimate::of_mean(&d.w2))
}

/// Those with a distance at a budget, the closest first.
pub(super) fn ranked(found: &Found, budget: usize) -> Vec<(&Row, Estimate)> {
    let of_it = found.rows.iter().filter(|r| r.budget == budget);
    let mut all: Vec<(&Row, Estimate)> = of_it.filter_map(|r| Some((r, w2(r)?))).collect();
    all.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
    all
}

/// How the values of `to` differ from those of `from`, repeat by repeat.
fn between(from: &Row, to: &Row, all: usize) -> Change {
    match (&from.found, &to.found) {
        (Some(a), Some(b)) => change_of_pairs(&a.w2, &b.w2, all),
        _ => Change::Holds,
    }
}

/// Comparisons of the best of every budget with the others on a problem.
pub(super) fn comparisons(found: &Found) -> usize {
    budgets(found).iter().map(|b| ranked(found, *b).len().saturating_sub(1)).sum()
}

/// The methods that the test does not tell from the first of a ranking.
pub(super) fn ties<'a>(found: &'a Found, ranked: &[(&'a Row, Estimate)]) -> Vec<&'static str> {
    let Some(((best, _), others)) = ranked.split_first() else { return Vec::new() };
    let all = comparisons(found);
    let alike = others.iter().filter(|(row, _)| between(best, row, all) == Change::Holds);
    alike.map(|(row, _)| row.method.name()).collect()
}

/// The closest at every budget.
pub(super) fn closest(found: &Found) -> String {
    let one = |budget: &usize| {
        let ranked = ranked(found, *budget);
        let (row, value) = ranked.first()?;
        let ties = ties(found, &ranked);
        let also = if ties.is_empty() {
            String::new()
        } else {
            format!(", not told from {}", list(&ties))
        };
        Some(format!("on {budget} {} ({}{also})", row.method.name(), said(*value)))
    };
    let named: Vec<String> = budgets(found).iter().filter_map(one).collect();
    match named.as_slice() {
        [] => format!("On {} no method has a distance.", found.problem),
        named => format!("Closest to the posterior: {}.", named.join("; ")),
    }
}

/// How a row stands to exact samples.
fn to_floor(found: &Found, row: &Row, all: usize) -> Option<Change> {
    let values = &row.found.as_ref()?.w2;
    Some(change_of_pairs(&found.floor.w2, values, all))
}

/// Which methods are within the floor on the largest budget.
pub(super) fn within(found: &Found) -> String {
    let Some(budget) = budgets(found).last().copied() else { return String::new() };
    let ranked = ranked(found, budget);
    let inside = |row: &Row| to_floor(found, row, ranked.len()) != Some(Change::Rises);
    let names: Vec<&str> =
        ranked.iter().filter(|(row, _)| inside(row)).map(|(row, _)| row.method.name()).collect();
    match names.as_slice() {
        [] => format!("On {budget} every method is above the floor of exact samples."),
        all if all.len() == ranked.len() => {
            format!("On {budget} no method is told from exact samples.")
        }
        names => format!("Not told from exact samples on {budget}: {}.", list(names)),
    }
}

/// Whether replacement, with as many evaluations as there are, is above what exact samples have.
fn replacement(results: &Results) -> String {
    let largest = |found: &'_ Found| -> Option<(usize, usize)> {
        let of_it = |(_, r): &(usize, &Row)| r.method == Method::Replacement && r.found.is_some();
        let rows = found.rows.iter().enumerate().filter(of_it);
        rows.max_by_key(|(_, r)| r.budget).map(|(k, r)| (k, r.budget))
    };
    let measured: Vec<(&Found, usize, usize)> = results
        .problems
        .iter()
        .filter_map(|f| largest(f).map(|(k, budget)| (f, k, budget)))
        .collect();
    let items: Vec<(Change, String)> = measured
        .iter()
        .filter_map(|(found, k, _)| {
            let row = &found.rows[*k];
            let (value, exact) = (w2(row)?, Estimate::of_mean(&found.floor.w2));
            let words = format!("{} ({} against {})", found.problem, said(value), said(exact));
            Some((to_floor(found, row, measured.len())?, words))
        })
        .collect();
    if items.is_empty() {
        return "Replacement has a distance on no problem.".into();
    }
    let verbs = [
        (Change::Rises, "is further from the posterior than exact samples on"),
        (Change::Holds, "is not told from exact samples on"),
        (Change::Falls, "is closer than exact samples on"),
    ];
    let budget = measured.iter().map(|m| m.2).max().unwrap_or(0);
    format!("Replacement, on {budget} evaluations, {}.", by_change(verbs, &items).join(" and "))
}

/// The largest error of a method's guidance term over the times, and the mean.
pub(super) fn term(errors: &[Option<Estimate>]) -> Option<(f64, f64)> {
    let all: Vec<f64> = errors.iter().flatten().map(|e| e.value).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    (!all.is_empty()).then(|| (all.iter().copied().fold(0.0, f64::max), mean))
}

/// The guidance terms that are exact up to rounding, where there are some.
fn exact_terms(found: &Found) -> Option<String> {
    let terms = found.courses.iter().filter_map(|c| Some((c.method.name(), term(&c.errors)?.0)));
    let exact: Vec<(&str, f64)> = terms.filter(|(_, most)| *most < ROUNDING).collect();
    let names: Vec<&str> = exact.iter().map(|e| e.0).collect();
    let most = exact.iter().map(|e| e.1).fold(0.0, f64::max);
    (!names.is_empty()).then(|| {
        let (term, verb) = if names.len() == 1 { ("term", "is") } else { ("terms", "are") };
        let named = list(&names);
        format!(
            "On {} the guidance {term} of {named} {verb} exact (off by {} at most).",
            found.problem,
            digits(most)
        )
    })
}

/// Which guidance terms are closest to the exact one.
pub(super) fn terms(found: &Found) -> String {
    let mut all: Vec<(&str, f64, f64)> = found
        .courses
        .iter()
        .filter_map(|c| term(&c.errors).map(|(most, mean)| (c.method.name(), most, mean)))
        .filter(|(_, most, _)| *most >= ROUNDING)
        .collect();
    all.sort_by(|a, b| a.2.total_cmp(&b.2));
    let exact = exact_terms(found).map_or(String::new(), |s| s + " ");
    let ends = all.first().zip(all.last());
    let rest = match ends {
        None => String::new(),
        Some((best, worst)) if best.0 == worst.0 => {
            format!("{} is off by {} of the term in the mean over t.", best.0, digits(best.2))
        }
        Some((best, worst)) => format!(
            "{}, in the mean over t, {} is off least, by {} of the term (largest {}), and {} most, by {}.",
            if exact.is_empty() { "Of the terms" } else { "Of the others" },
            best.0,
            digits(best.2),
            digits(best.1),
            worst.0,
            digits(worst.2)
        ),
    };
    exact + &rest
}

/// The slope of the error of a method of particles.
pub(super) fn slope_of(found: &Found, method: Method) -> Option<Estimate> {
    let own = found.systems.iter().filter(|s| s.method == method);
    let points: Vec<(usize, Estimate)> =
        own.filter_map(|s| Some((s.particles, s.found?.error))).collect();
    slope(&points)
}

const ROOT: Estimate = Estimate { value: -0.5, standard_error: 0.0 };

/// Whether errors of particles fall as the root of their number.
fn slopes(results: &Results) -> String {
    let all: Vec<(String, Estimate)> = results
        .problems
        .iter()
        .flat_map(|f| {
            Method::PARTICLES.iter().filter_map(move |m| {
                Some((format!("{} on {}", m.name(), f.problem), slope_of(f, *m)?))
            })
        })
        .collect();
    if all.is_empty() {
        return "No error of particles is known at three numbers of them.".into();
    }
    let off: Vec<String> = all
        .iter()
        .filter(|(_, slope)| change(ROOT, *slope, all.len()) != Change::Holds)
        .map(|(name, slope)| format!("{name} ({})", said(*slope)))
        .collect();
    let within = all.len() - off.len();
    let rest = if off.is_empty() { String::new() } else { format!("; not of {}", list(&off)) };
    format!(
        "The slope of the error of particles over their number is within its error of \u{2212}1/2 in {within} of {}{rest}.",
        all.len()
    )
}

/// Whether estimates of the evidence are right in the mean, with the most particles.
fn evidence(results: &Results) -> String {
    let one = Estimate { value: 1.0, standard_error: 0.0 };
    let all: Vec<(String, Estimate)> = results
        .problems
        .iter()
        .flat_map(|f| {
            Method::PARTICLES.iter().filter_map(move |m| {
                let own = f.systems.iter().filter(|s| s.method == *m);
                let last = own.filter_map(|s| Some((s.particles, s.found?))).max_by_key(|s| s.0)?;
                Some((format!("{} on {}", m.name(), f.problem), last.1.evidence))
            })
        })
        .collect();
    if all.is_empty() {
        return "No evidence was estimated.".into();
    }
    let off: Vec<String> = all
        .iter()
        .filter(|(_, e)| change(one, *e, all.len()) != Change::Holds)
        .map(|(name, e)| format!("{name} ({})", said(*e)))
        .collect();
    let right = all.len() - off.len();
    let rest = if off.is_empty() { String::new() } else { format!("; not of {}", list(&off)) };
    format!(
        "With the most particles the mean estimate of p(y) is not told from the exact evidence in {right} of {}{rest}.",
        all.len()
    )
}

/// How methods are compared, in words.
pub(super) fn note(config: &Config, found: &Found) -> String {
    let all = comparisons(found);
    format!(
        "Two methods are told apart by a t-test on the differences of {} repeats, in each of which all are held against the same exact sample, at a level of 1 % shared by {all} comparisons (Bonferroni).",
        config.repeats
    )
}

#[cfg(test)]
mod tests {
    use super::super::bias::Distances;
    use super::super::particles::{Summary, Systems};
    use super::super::terms::Course;
    use super::*;

    fn at(value: f64, standard_error: f64) -> Estimate {
        Estimate { value, standard_error }
    }

    /// Repeats about a value that share what they are held against.
    fn repeats(value: f64, own: f64) -> Vec<f64> {
        let (shared, own_signs) = ([0.3, -0.2, 0.1, -0.4, 0.2], [1.0, -1.0, 0.5, -0.7, 0.2]);
        shared.iter().zip(own_signs).map(|(s, o)| value + s + own * o).collect()
    }

    fn row(method: Method, budget: usize, w2: Option<Vec<f64>>) -> Row {
        let found = w2.map(|w2| Distances { sliced: w2.clone(), w2 });
        Row { method, budget, steps: budget, scores: budget as f64, products: 0.0, found }
    }

    /// A problem with these distances, floor 2.
    fn found(rows: Vec<Row>) -> Found {
        let floor = Distances { w2: repeats(2.0, 0.0), sliced: repeats(2.0, 0.0) };
        Found {
            problem: "modes-1".into(),
            seen: 1,
            noise: 0.1,
            log_evidence: -1.0,
            floor,
            rows,
            times: vec![0.1, 1.0],
            courses: vec![],
            systems: vec![],
        }
    }

    fn results(found: Found) -> Results {
        Results { problems: vec![found] }
    }

    #[test]
    fn the_closest_of_every_budget_is_named() {
        let clear = found(vec![
            row(Method::Replacement, 16, Some(repeats(9.0, 0.01))),
            row(Method::Tmpd, 16, Some(repeats(3.0, 0.012))),
            row(Method::Replacement, 64, Some(repeats(2.01, 0.05))),
            row(Method::Tmpd, 64, Some(repeats(2.0, -0.05))),
            row(Method::Dps, 64, None),
        ]);
        let said = closest(&clear);
        assert!(said.contains("on 16 TMPD (3.00 \u{b1} 0.13); on 64 TMPD"), "{said}");
        assert!(said.ends_with("not told from replacement)."), "{said}");
        assert_eq!((budgets(&clear), comparisons(&clear)), (vec![16, 64], 2));
        // The other way round.
        let other = found(vec![
            row(Method::Replacement, 16, Some(repeats(3.0, 0.01))),
            row(Method::Tmpd, 16, Some(repeats(9.0, 0.012))),
        ]);
        assert!(
            closest(&other).contains("on 16 replacement (3.00 \u{b1} 0.13)."),
            "{}",
            closest(&other)
        );
        let none = found(vec![row(Method::Dps, 16, None)]);
        assert_eq!(closest(&none), "On modes-1 no method has a distance.");
        assert_eq!(within(&none), "");
    }

    #[test]
    fn who_is_within_the_floor_is_named() {
        let rows = |first: f64, second: f64| {
            found(vec![
                row(Method::Replacement, 16, Some(repeats(first, 0.01))),
                row(Method::Tmpd, 16, Some(repeats(second, 0.01))),
            ])
        };
        let said = within(&rows(3.0, 2.001));
        assert_eq!(said, "Not told from exact samples on 16: TMPD.");
        assert!(within(&rows(3.0, 4.0)).contains("every method is above"));
        assert!(within(&rows(2.001, 2.001)).contains("no method is told from"));
    }

    #[test]
    fn replacement_is_biased_or_it_is_not() {
        let said = |value: f64| {
            replacement(&results(found(vec![
                row(Method::Replacement, 16, Some(repeats(9.0, 0.01))),
                row(Method::Replacement, 64, Some(repeats(value, 0.01))),
            ])))
        };
        assert!(
            said(3.0).contains("on 64 evaluations, is further from the posterior than exact samples on modes-1 (3.00"),
            "{}",
            said(3.0)
        );
        assert!(
            said(2.001).contains("is not told from exact samples on modes-1"),
            "{}",
            said(2.001)
        );
        assert!(said(1.0).contains("is closer than exact samples on modes-1"), "{}", said(1.0));
        let none = replacement(&results(found(vec![row(Method::Replacement, 16, None)])));
        assert_eq!(none, "Replacement has a distance on no problem.");
    }

    #[test]
    fn exact_terms_are_told_from_others() {
        let course = |method, errors: [f64; 2]| Course {
            method,
            errors: errors.map(|e| Some(at(e, 0.01 * e))).into(),
        };
        let with = |courses| Found { courses, ..found(vec![]) };
        let exact =
            with(vec![course(Method::Tmpd, [1e-13, 1e-12]), course(Method::Dps, [0.5, 0.7])]);
        let said = exact_terms(&exact).expect("one is exact");
        assert!(
            said.contains("the guidance term of TMPD is exact (off by 1.0e\u{2212}12 at most)"),
            "{said}"
        );
        assert!(
            terms(&exact)
                .ends_with("DPS (likelihood) is off by 0.600 of the term in the mean over t.")
        );
        let other = with(vec![
            course(Method::Tmpd, [0.1, 0.3]),
            course(Method::Pigdm, [0.1, 0.2]),
            course(Method::Dps, [0.5, 0.7]),
        ]);
        assert_eq!(exact_terms(&other), None);
        let said = terms(&other);
        assert!(
            said.contains("\u{3a0}GDM is off least, by 0.150 of the term (largest 0.200)"),
            "{said}"
        );
        assert!(said.contains("DPS (likelihood) most, by 0.600"), "{said}");
        assert_eq!(terms(&with(vec![])), "");
    }

    /// Systems whose errors fall as a power.
    fn systems(power: f64, evidence: f64, relative: f64) -> Vec<Systems> {
        let of = |particles: usize| {
            let value = (particles as f64).powf(power);
            let found = Summary {
                error: at(value, relative * value),
                evidence: at(evidence, 0.01),
                log_evidence: at(evidence.ln(), 0.01),
                effective: 0.5,
                resampled: 3.0,
            };
            Systems { method: Method::SmcFree, particles, found: Some(found) }
        };
        [16, 64, 256, 1024, 4096].map(of).into()
    }

    #[test]
    fn slopes_and_evidence_are_judged() {
        let with = |systems| results(Found { systems, ..found(vec![]) });
        let right = with(systems(-0.5, 1.005, 0.02));
        assert!(slopes(&right).ends_with("of \u{2212}1/2 in 1 of 1."), "{}", slopes(&right));
        assert!(evidence(&right).ends_with("exact evidence in 1 of 1."), "{}", evidence(&right));
        let wrong = with(systems(-0.2, 1.2, 0.02));
        let said = slopes(&wrong);
        assert!(
            said.contains("in 0 of 1; not of SMC (no gradient) on modes-1 (\u{2212}0.2000 "),
            "{said}"
        );
        let said = evidence(&wrong);
        assert!(said.contains("in 0 of 1; not of SMC (no gradient) on modes-1 (1.200 "), "{said}");
        // Errors known so badly exclude little.
        let vague = with(systems(-0.4, 1.0, 0.5));
        assert!(slopes(&vague).contains("in 1 of 1."), "{}", slopes(&vague));
        let lost = with(vec![Systems { method: Method::SmcFree, particles: 16, found: None }]);
        assert!(slopes(&lost).starts_with("No error of particles"));
        assert_eq!(evidence(&lost), "No evidence was estimated.");
    }
}
