//! What a fit found, in sentences, each a function of the numbers.

use data::Kind;
use metrics::Change;
use report::digits;

use super::Results;
use super::classifier::Guided;
use super::measure::{Distance, Marginal, Pair};
use crate::distance::{self, above, said};

/// Level of the tests of the columns, shared by all of them.
pub(super) const LEVEL: f64 = 0.01;

fn of<'a>(results: &'a Results, metric: &str, pair: Pair) -> Option<&'a Distance> {
    results.distances.iter().find(|d| d.metric == metric && d.pair == pair)
}

/// What was found, each sentence a function of the numbers.
pub(super) fn findings(results: &Results) -> String {
    let sentences = [
        quality(results),
        gap(results),
        classes(results),
        filled(results),
        guided(results),
        likely(results),
        copies(results),
        agree(results),
    ];
    sentences.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Samples beside withheld rows, and both equations beside each other.
fn quality(results: &Results) -> Option<String> {
    let [ode, sde, training] =
        [Pair::OdeTest, Pair::SdeTest, Pair::TrainTest].map(|pair| of(results, "w2", pair));
    let (ode, sde, training) = (ode?, sde?, training?);
    let judged = |d: &Distance| {
        let word = match distance::change(training.found, d.found, 2) {
            Change::Rises => "further than the training rows are",
            Change::Falls => "nearer than the training rows are",
            Change::Holds => "not told apart from what the training rows have",
        };
        format!("{} ({word})", said(d.found))
    };
    Some(format!(
        "Squared W2 to withheld rows: {} by the ODE, {} by the SDE; training rows have {}.",
        judged(ode),
        judged(sde),
        said(training.found)
    ))
}

fn gap(results: &Results) -> Option<String> {
    let both = of(results, "w2", Pair::OdeSde)?;
    let floor = both.floor.mean();
    Some(match above(both.found, &both.floor) {
        true => format!(
            "Samples of ODE and SDE differ: their squared W2 is {}, above every draw of its floor ({}).",
            said(both.found),
            digits(floor)
        ),
        false => format!(
            "Samples of ODE and SDE are not told apart: their squared W2 is {}, its floor {}.",
            said(both.found),
            digits(floor)
        ),
    })
}

fn percent(share: metrics::Estimate) -> String {
    let hundredfold = metrics::Estimate {
        value: 100.0 * share.value,
        standard_error: 100.0 * share.standard_error,
    };
    format!("{} %", said(hundredfold))
}

fn classes(results: &Results) -> Option<String> {
    let a = results.accuracy.as_ref()?;
    Some(format!(
        "A classifier of the training rows names the class that was asked for in {} of the ODE\u{2019}s samples and {} of the SDE\u{2019}s; of withheld rows it names {}.",
        percent(a.ode),
        percent(a.sde),
        percent(a.test)
    ))
}

/// Lower halves beside the mean, which any filling should beat.
fn filled(results: &Results) -> Option<String> {
    let f = results.filled.as_ref()?;
    let word = match distance::change(f.mean, f.twisted, 1) {
        Change::Rises => "more than with",
        Change::Falls => "fewer than with",
        Change::Holds => "not told apart from",
    };
    let gaussians = f
        .gaussians
        .map(|g| format!("; with a draw from one Gaussian for each class it is {}", percent(g)));
    Some(format!(
        "Of {} withheld images with their lower half filled in by twisted sequential Monte Carlo with {} particles, that classifier names {} rightly, {word} the mean of the training rows as filling ({}){}.",
        f.rows,
        f.particles,
        percent(f.twisted),
        percent(f.mean),
        gaussians.unwrap_or_default()
    ))
}

/// Classes of samples of the model without classes, as the classifier of noised rows guides them; the larger of two weights
/// beside the smaller.
fn guided(results: &Results) -> Option<String> {
    let all = &results.classified.as_ref()?.guided;
    let (first, last) = (all.first()?, all.last()?);
    let one = |g: &Guided| format!("{} at weight {}", percent(g.accuracy), digits(g.weight));
    let own = format!(
        "Guided by the classifier of noised rows, samples of the model without classes are of the class that was asked for in {}",
        one(first)
    );
    if all.len() == 1 {
        return Some(format!("{own}."));
    }
    let word = match distance::change(first.accuracy, last.accuracy, 1) {
        Change::Rises => "more often",
        Change::Falls => "less often",
        Change::Holds => "not told apart from it",
    };
    Some(format!("{own}, and {word} in {}.", one(last)))
}

fn likely(results: &Results) -> Option<String> {
    let l = &results.likelihood;
    let images = matches!(results.about.kind, Kind::Images { .. });
    let own = match (images, l.given_class) {
        (true, Some(given)) => format!(
            "Withheld images take {} bits a dimension, {} with their class known.",
            bits(results, l.plain),
            bits(results, given)
        ),
        (true, None) => {
            format!("Withheld images take {} bits a dimension.", bits(results, l.plain))
        }
        _ => format!("The mean log-density of withheld rows is {} nats.", said(l.plain)),
    };
    if images {
        return Some(own);
    }
    let beside = l.fitted.iter().map(|f| {
        let change = distance::change(
            metrics::Estimate { value: 0.0, standard_error: 0.0 },
            f.above,
            l.fitted.len(),
        );
        let word = match change {
            Change::Rises => "above",
            Change::Falls => "below",
            Change::Holds => "not told apart from",
        };
        format!("{word} {} (difference {})", mixture(f.components), said(f.above))
    });
    let beside: Vec<String> = beside.collect();
    Some(if beside.is_empty() { own } else { format!("{} It is {}.", own, report::list(&beside)) })
}

pub(super) fn mixture(components: usize) -> String {
    match components {
        1 => "the Gaussian of the training rows".into(),
        k => format!("a mixture of {k} Gaussians"),
    }
}

/// Bits a dimension of a log-density in nats a row of the data.
pub(super) fn bits(results: &Results, found: metrics::Estimate) -> String {
    let unit = results.about.kind.dim().saturating_sub(results.about.constants.len()).max(1) as f64
        * std::f64::consts::LN_2;
    said(metrics::Estimate {
        value: -found.value / unit,
        standard_error: found.standard_error / unit,
    })
}

fn copies(results: &Results) -> Option<String> {
    let shares: Vec<String> = results
        .neighbours
        .iter()
        .filter_map(|n| {
            Some(format!("{} of the {}", percent(n.near_training?), n.of.to_uppercase()))
        })
        .collect();
    (!shares.is_empty()).then(|| {
        format!(
            "Nearer to a training row than the nearest twentieth of the withheld rows are: {}.",
            report::list(&shares)
        )
    })
}

/// Columns whose distribution differs, by the test that the section on them states.
fn differing(marginals: &[Marginal], which: usize) -> Vec<&str> {
    let level = LEVEL / (2 * marginals.len()).max(1) as f64;
    marginals.iter().filter(|m| m.p_values[which] < level).map(|m| m.name.as_str()).collect()
}

fn agree(results: &Results) -> Option<String> {
    let m = &results.marginals;
    if m.is_empty() {
        return None;
    }
    let said = |which: usize, name: &str| match differing(m, which).as_slice() {
        [] => format!("no column of the {name}\u{2019}s samples differs from withheld rows"),
        some if some.len() > 6 => {
            format!(
                "{} of {} columns of the {name}\u{2019}s samples differ from withheld rows",
                some.len(),
                m.len()
            )
        }
        some => format!(
            "of the {name}\u{2019}s samples these differ from withheld rows: {}",
            report::list(some)
        ),
    };
    let text = format!("Column by column, {}; {}.", said(0, "ODE"), said(1, "SDE"));
    Some(text)
}

#[cfg(test)]
mod tests {
    use data::{Column, Pixels};
    use metrics::{Estimate, NoiseFloor};

    use super::super::classifier::{Classified, Named};
    use super::super::fill::Filled;
    use super::super::likelihood::Fitted;
    use super::super::measure::Neighbours;
    use super::super::{About, Accuracy, Likelihood, Trained};
    use super::*;

    fn at(value: f64, standard_error: f64) -> Estimate {
        Estimate { value, standard_error }
    }

    fn distance(pair: Pair, found: Estimate) -> Distance {
        let floor = NoiseFloor { size: [9, 9], values: vec![0.9, 1.1] };
        Distance { metric: "w2".into(), pair, found, floor }
    }

    /// A table of two columns, as near to withheld rows as the training rows are, better than both mixtures.
    fn table() -> Results {
        let marginal = |name: &str| Marginal {
            name: name.into(),
            means: [at(0.0, 0.1); 3],
            deviations: [1.0; 3],
            differences: [0.01; 2],
            p_values: [0.5; 2],
        };
        let kind = Kind::Table { columns: vec![Column::float("height"), Column::float("rings")] };
        let fitted = |components, above| Fitted { components, found: at(-3.0, 0.1), above };
        Results {
            about: About {
                source: "trees.csv".into(),
                hash: String::new(),
                kind,
                classes: Vec::new(),
                rows: [80, 10, 10],
                left_out: 0,
                constants: Vec::new(),
                sigma_data: 1.0,
                model_dim: 2,
            },
            trained: Trained::default(),
            drawn: Default::default(),
            distances: vec![
                distance(Pair::OdeTest, at(1.0, 0.1)),
                distance(Pair::SdeTest, at(1.0, 0.1)),
                distance(Pair::TrainTest, at(1.0, 0.1)),
                distance(Pair::OdeSde, at(1.0, 0.1)),
            ],
            neighbours: vec![Neighbours {
                of: "ode".into(),
                precision: at(0.9, 0.01),
                recall: at(0.9, 0.01),
                density: at(1.0, 0.01),
                coverage: at(0.9, 0.01),
                near_training: Some(at(0.04, 0.01)),
                authentic: None,
            }],
            features: None,
            marginals: vec![marginal("height"), marginal("rings")],
            accuracy: None,
            filled: None,
            classified: None,
            likelihood: Likelihood {
                rows: 10,
                exact: true,
                plain: at(-2.0, 0.1),
                given_class: None,
                of_probes: None,
                doubled: 0.0,
                doubled_rows: 10,
                prior: 0.0,
                fitted: vec![fitted(1, at(1.0, 0.1)), fitted(10, at(0.5, 0.1))],
                log_abs_det: 0.0,
            },
            seconds: 1.0,
        }
    }

    #[track_caller]
    fn says(results: &Results, needles: &[&str]) {
        let text = findings(results);
        for needle in needles {
            assert!(text.contains(needle), "no {needle:?} in {text}");
        }
    }

    /// Each sentence on made-up numbers, and on numbers that say the opposite.
    #[test]
    fn sentences_follow_the_numbers() {
        let good = table();
        says(
            &good,
            &[
                "not told apart from what the training rows have",
                "ODE and SDE are not told apart",
                "above the Gaussian of the training rows (difference 1.00",
                "above a mixture of 10 Gaussians",
                "no column of the ODE\u{2019}s samples differs",
                "4.0 \u{b1} 1.0 % of the ODE",
            ],
        );
        let mut bad = table();
        bad.distances = vec![
            distance(Pair::OdeTest, at(5.0, 0.1)),
            distance(Pair::SdeTest, at(0.1, 0.01)),
            distance(Pair::TrainTest, at(1.0, 0.1)),
            distance(Pair::OdeSde, at(5.0, 0.1)),
        ];
        bad.marginals[1].p_values = [1e-9, 0.5];
        bad.likelihood.fitted[0].above = at(-1.0, 0.1);
        bad.likelihood.fitted[1].above = at(0.1, 0.1);
        says(
            &bad,
            &[
                "by the ODE",
                "further than the training rows are",
                "nearer than the training rows are",
                "ODE and SDE differ",
                "below the Gaussian of the training rows (difference \u{2212}1.00",
                "not told apart from a mixture of 10 Gaussians",
                "of the ODE\u{2019}s samples these differ from withheld rows: rings",
                "no column of the SDE\u{2019}s samples differs",
            ],
        );
    }

    /// Of images: bits a dimension, with and without classes, and what a classifier sees.
    #[test]
    fn images_take_bits() {
        let mut results = table();
        let pixels = Pixels::Levels(17);
        results.about.kind = Kind::Images { channels: 1, height: 2, width: 2, pixels };
        results.marginals.clear();
        // Four pixels: 8 bits in all are 2 a dimension.
        results.likelihood.plain = at(-8.0 * std::f64::consts::LN_2, 0.0);
        says(&results, &["Withheld images take 2.00 bits a dimension."]);
        assert!(!findings(&results).contains("classifier"));
        results.likelihood.given_class = Some(at(-4.0 * std::f64::consts::LN_2, 0.0));
        let (test, ode, sde) = (at(0.99, 0.01), at(0.5, 0.02), at(0.75, 0.02));
        results.accuracy = Some(Accuracy { test, ode, sde });
        says(
            &results,
            &["2.00 bits a dimension, 1.00 with their class known", "in 50.0 \u{b1} 2.0 %"],
        );
    }

    /// Filling in beats the mean of the training rows, or does not.
    #[test]
    fn fillings_are_held_against_the_mean() {
        let mut results = table();
        let filled = |twisted| Filled {
            rows: 497,
            particles: 8,
            twisted,
            effective: 6.0,
            mean: at(0.6, 0.02),
            gaussians: Some(at(0.9, 0.01)),
        };
        results.filled = Some(filled(at(0.8, 0.02)));
        let well = "names 80.0 \u{b1} 2.0 % rightly, more than with the mean of the training rows as filling (60.0 \u{b1} 2.0 %)";
        says(&results, &[well, "one Gaussian for each class it is 90.0"]);
        results.filled = Some(filled(at(0.4, 0.02)));
        says(&results, &["fewer than with the mean"]);
        results.filled = Some(filled(at(0.61, 0.02)));
        says(&results, &["not told apart from the mean"]);
    }

    /// What the classifier makes of the model is said of the first and the last weight.
    #[test]
    fn weights_of_guidance_are_held_against_each_other() {
        let mut results = table();
        assert!(!findings(&results).contains("Guided"));
        let guided = |weight, share| Guided {
            weight,
            accuracy: at(share, 0.01),
            distance: distance(Pair::OdeTest, at(1.0, 0.1)),
        };
        let mut set = |guided: Vec<Guided>| {
            let (trained, named) = (Trained::default(), Named::default());
            results.classified = Some(Classified { trained, named, guided });
            findings(&results)
        };
        let said = set(vec![guided(1.0, 0.6), guided(3.0, 0.9)]);
        assert!(
            said.contains("60.0 \u{b1} 1.0 % at weight 1.00, and more often in 90.0"),
            "{said}"
        );
        let said = set(vec![guided(1.0, 0.9), guided(2.0, 0.6), guided(3.0, 0.3)]);
        assert!(
            said.contains("90.0 \u{b1} 1.0 % at weight 1.00, and less often in 30.0"),
            "{said}"
        );
        let said = set(vec![guided(1.0, 0.9), guided(3.0, 0.91)]);
        assert!(said.contains("not told apart from it in 91.0"), "{said}");
        let said = set(vec![guided(1.0, 0.9)]);
        assert!(said.contains("asked for in 90.0 \u{b1} 1.0 % at weight 1.00."), "{said}");
        assert!(!set(vec![]).contains("Guided"));
    }
}
