//! What the page says of the results.

use metrics::{Change, Estimate};
use report::{list, short};

use super::measure::{LOW, Measures};
use super::{Kind, Results, Row};
use crate::distance::{above, change, said, unmeasured};

pub(super) fn lead(results: &Results) -> String {
    if let Some(reason) = unmeasured(&results.exact.floor) {
        return reason;
    }
    let parts = widths(results).into_iter().flat_map(|width| {
        [alone(results, width), overshoot(results, width), closest(results, width)]
    });
    parts.flatten().collect::<Vec<_>>().join(" ")
}

/// How much wider the data of the guided models are, each once.
pub(super) fn widths(results: &Results) -> Vec<f64> {
    let mut all: Vec<f64> = Vec::new();
    for row in &results.rows {
        if !all.contains(&row.width) {
            all.push(row.width);
        }
    }
    all
}

/// A model in words.
pub(super) fn model(width: f64) -> String {
    if width == 0.0 {
        "the exact model".into()
    } else {
        format!("the model blurred by {}", short(width))
    }
}

pub(super) fn of(results: &Results, width: f64, kind: Kind) -> impl Iterator<Item = &Row> {
    results.rows.iter().filter(move |r| r.width == width && r.kind == kind)
}

/// The model of a class without guidance.
fn unguided(results: &Results, width: f64) -> Option<&Row> {
    of(results, width, Kind::Free).find(|r| r.weight == 1.0)
}

fn w2(row: &Row) -> Option<Estimate> {
    row.found.and_then(|f| f.w2)
}

/// Whether the law at weight 1 is that of the class.
fn alone(results: &Results, width: f64) -> Option<String> {
    let row = unguided(results, width)?;
    let model = model(width);
    let Some(found) = w2(row) else {
        return Some(format!("At weight 1 {model} has no distance to the class."));
    };
    let words = if above(found, &results.exact.floor) {
        "is above the floor: its law is not that of the class"
    } else {
        "is within the floor of the class\u{2019}s law"
    };
    Some(format!("At weight 1 {model} {words} ({}).", said(found)))
}

/// Larger, smaller or as large as a value that is known.
fn against(found: Estimate, value: f64, comparisons: usize) -> Change {
    change(Estimate { value, standard_error: 0.0 }, found, comparisons)
}

/// What the largest weight of classifier-free guidance does to density and spread.
fn overshoot(results: &Results, width: f64) -> Option<String> {
    let largest = of(results, width, Kind::Free)
        .filter(|r| r.found.is_some())
        .max_by(|a, b| a.weight.total_cmp(&b.weight))?;
    if largest.weight <= 1.0 {
        return None;
    }
    let found = largest.found?;
    let density = match against(found.log_density, 0.0, 2) {
        Change::Rises => "raises the mean log-density above that of exact samples",
        Change::Falls => "lowers the mean log-density below that of exact samples",
        Change::Holds => "leaves the mean log-density that of exact samples",
    };
    let spread = match against(found.spread, 1.0, 2) {
        Change::Rises => "widens the spread",
        Change::Falls => "narrows the spread",
        Change::Holds => "keeps the spread",
    };
    Some(format!(
        "With {} classifier-free guidance at {} {density} (difference {} nats) and {spread} ({} of the class\u{2019}s variance).",
        model(width),
        short(largest.weight),
        said(found.log_density),
        said(found.spread)
    ))
}

/// Which guidance is closest to the class, and whether it is closer than none.
fn closest(results: &Results, width: f64) -> Option<String> {
    let base = w2(unguided(results, width)?)?;
    let measured = results.rows.iter().filter(|r| r.width == width && r.weight != 1.0);
    let mut others: Vec<(&Row, Estimate)> = measured.filter_map(|r| Some((r, w2(r)?))).collect();
    // The smallest is compared with the model alone: of so many it is the smallest by chance, too.
    let all = others.len();
    others.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let (row, least) = others.first()?;
    let words = match change(base, *least, all) {
        Change::Falls => "closer to the class than the model alone",
        Change::Holds => "not told from the model alone",
        Change::Rises => "further from the class than the model alone",
    };
    let floor = if above(*least, &results.exact.floor) { "above" } else { "within" };
    Some(format!(
        "Of all guidance of {} the closest is {} at {} ({}, {floor} the floor), by the test {words}.",
        model(width),
        row.kind.name(),
        short(row.weight),
        said(*least)
    ))
}

/// Where the outliers go: for every way the weight with the fewest, and whether that is fewer than without.
pub(super) fn outliers(results: &Results, width: f64) -> Option<String> {
    let base = unguided(results, width)?.found?.outliers;
    let fewest = |kind: &Kind| -> Option<(Change, String)> {
        let rows = of(results, width, *kind).filter_map(|r| Some((r, r.found?.outliers)));
        let (row, least) = rows.min_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
        let all = of(results, width, *kind).count();
        let words = format!("{} ({} at {})", kind.name(), percent(least), short(row.weight));
        Some((change(base, least, all), words))
    };
    let items: Vec<(Change, String)> = Kind::ALL.iter().filter_map(fewest).collect();
    let fewer: Vec<&str> =
        items.iter().filter(|i| i.0 == Change::Falls).map(|i| i.1.as_str()).collect();
    let words = if fewer.is_empty() {
        "no guidance has fewer by the test".into()
    } else {
        format!("fewer by the test, at the weight with the fewest: {}", list(&fewer))
    };
    Some(format!(
        "Of the samples of {} alone {} are where the density is below that of all but {} % of exact samples; {words}.",
        model(width),
        percent(base),
        100.0 * LOW
    ))
}

/// Which weights lose coverage of the class by the test.
pub(super) fn coverage(results: &Results, width: f64) -> Option<String> {
    let base = unguided(results, width)?.found?.coverage;
    let rows = || of(results, width, Kind::Free).filter(|r| r.weight > 1.0);
    let measured: Vec<(&Row, Measures)> = rows().filter_map(|r| Some((r, r.found?))).collect();
    if measured.is_empty() {
        return None;
    }
    let lost: Vec<String> = measured
        .iter()
        .filter(|(_, f)| change(base, f.coverage, measured.len()) == Change::Falls)
        .map(|(r, f)| format!("{} ({})", short(r.weight), percent(f.coverage)))
        .collect();
    let all = format!("{} of the class without guidance", percent(base));
    Some(if lost.is_empty() {
        format!("Classifier-free guidance above 1 covers as much ({all}), by the test.")
    } else {
        format!("Classifier-free guidance covers less of the class ({all}) at {}.", list(&lost))
    })
}

fn percent(found: Estimate) -> String {
    format!("{} %", report::digits(100.0 * found.value))
}

#[cfg(test)]
mod tests {
    use metrics::NoiseFloor;

    use super::super::Exact;
    use super::*;

    fn at(value: f64, standard_error: f64) -> Estimate {
        Estimate { value, standard_error }
    }

    /// A row with these: squared W2, log-density, spread, outliers, coverage.
    fn row(kind: Kind, weight: f64, [w2, density, spread, outliers, coverage]: [f64; 5]) -> Row {
        let found = Measures {
            w2: Some(at(w2, 0.001)),
            energy: at(w2, 0.001),
            log_density: at(density, 0.01),
            spread: at(spread, 0.01),
            coverage: at(coverage, 0.005),
            outliers: at(outliers, 0.001),
        };
        Row { width: 0.0, kind, weight, found: Some(found), points: vec![] }
    }

    fn results(rows: Vec<Row>) -> Results {
        let floor = NoiseFloor { size: [9, 9], values: vec![0.01, 0.02] };
        Results { rows, exact: Exact { floor, ..Exact::default() } }
    }

    const ALONE: [f64; 5] = [0.015, 0.0, 1.0, 0.01, 0.95];

    #[test]
    fn weight_one_is_the_law_or_it_is_not() {
        let said = |w2: f64| {
            let [_, rest @ ..] = ALONE;
            let [a, b, c, d] = rest;
            alone(&results(vec![row(Kind::Free, 1.0, [w2, a, b, c, d])]), 0.0).expect("said")
        };
        assert!(said(0.015).contains("the exact model is within the floor"), "{}", said(0.015));
        assert!(said(0.03).contains("above the floor: its law is not"), "{}", said(0.03));
        let mut lost = results(vec![row(Kind::Free, 1.0, ALONE)]);
        lost.rows[0].found = None;
        assert!(alone(&lost, 0.0).expect("said").contains("no distance"));
        // Nothing is said of a weight that was not tried.
        let without = results(vec![row(Kind::Free, 2.0, ALONE)]);
        assert_eq!((alone(&without, 0.0), closest(&without, 0.0)), (None, None));
        lost.exact.floor = NoiseFloor::default();
        assert!(lead(&lost).contains("No distance to the truth is measured"));
    }

    #[test]
    fn guidance_overshoots_or_it_does_not() {
        let said = |density: f64, spread: f64| {
            let strong = row(Kind::Free, 5.0, [0.1, density, spread, 0.01, 0.9]);
            overshoot(&results(vec![row(Kind::Free, 1.0, ALONE), strong]), 0.0).expect("said")
        };
        let usual = said(0.8, 0.5);
        assert!(usual.contains("at 5 raises the mean") && usual.contains("narrows"), "{usual}");
        let other = said(-0.8, 1.5);
        assert!(other.contains("at 5 lowers the mean") && other.contains("widens"), "{other}");
        let none = said(0.01, 1.01);
        assert!(none.contains("leaves the mean") && none.contains("keeps the spread"), "{none}");
        // Weights up to 1 do not extrapolate.
        assert_eq!(overshoot(&results(vec![row(Kind::Free, 1.0, ALONE)]), 0.0), None);
    }

    #[test]
    fn the_closest_guidance_is_held_against_none() {
        let said = |w2: f64, base: f64| {
            let rows = vec![
                row(Kind::Free, 1.0, [base, 0.0, 1.0, 0.01, 0.9]),
                row(Kind::Free, 2.0, [0.5, 0.0, 1.0, 0.01, 0.9]),
                row(Kind::Auto, 2.0, [w2, 0.0, 1.0, 0.01, 0.9]),
            ];
            closest(&results(rows), 0.0).expect("said")
        };
        let better = said(0.015, 0.1);
        assert!(
            better.contains("autoguidance at 2 (0.0150 \u{b1} 0.0010, within the floor)"),
            "{better}"
        );
        assert!(better.ends_with("closer to the class than the model alone."), "{better}");
        let worse = said(0.1, 0.015);
        assert!(worse.contains("above the floor"), "{worse}");
        assert!(worse.ends_with("further from the class than the model alone."), "{worse}");
        assert!(said(0.0151, 0.015).ends_with("not told from the model alone."));
    }

    #[test]
    fn outliers_and_coverage_are_judged() {
        let said = |of: f64, coverage: f64| {
            let rows = vec![
                row(Kind::Free, 1.0, [0.01, 0.0, 1.0, 0.05, 0.95]),
                row(Kind::Free, 3.0, [0.2, 0.0, 1.0, of, coverage]),
            ];
            let results = results(rows);
            let said = |f: fn(&Results, f64) -> Option<String>| f(&results, 0.0).expect("said");
            (said(outliers), said(coverage_))
        };
        fn coverage_(results: &Results, width: f64) -> Option<String> {
            super::coverage(results, width)
        }
        let (fewer, lost) = said(0.01, 0.5);
        assert!(
            fewer.contains("alone 5.00 % are") && fewer.contains("classifier-free (1.00 % at 3)"),
            "{fewer}"
        );
        assert!(
            lost.contains("covers less of the class") && lost.contains("at 3 (50.0 %)"),
            "{lost}"
        );
        let (more, kept) = said(0.2, 0.949);
        assert!(more.ends_with("no guidance has fewer by the test."), "{more}");
        assert!(kept.contains("covers as much"), "{kept}");
    }
}
