//! What is said of the laws.

use report::digits;

use super::gap_findings::told_apart;
use super::{Law, Pair, Row};

impl Row {
    pub(super) fn pair(&self, of: [Law; 2]) -> Option<&Pair> {
        self.pairs.iter().find(|p| p.of == of)
    }
}

/// W2 in words: roots of both ends.
pub(super) fn between(squared: [f64; 2]) -> String {
    let [low, high] = squared.map(|w| digits(w.sqrt()));
    if low == high { low } else { format!("{low} to {high}") }
}

/// How two intervals lie.
fn compare(a: [f64; 2], b: [f64; 2]) -> Option<std::cmp::Ordering> {
    if a[1] < b[0] {
        Some(std::cmp::Ordering::Less)
    } else if a[0] > b[1] {
        Some(std::cmp::Ordering::Greater)
    } else {
        None
    }
}

/// The sentences of a model: whether the laws of ODE and SDE differ by more than they are known, which is closer to the truth, and
/// how much of the distance on the nodes is the nodes.
pub(super) fn finding(row: &Row) -> String {
    let Some(gap) = row.pair([Law::Ode, Law::Sde]) else { return String::new() };
    let gap = &gap.found;
    let (tv, squared) = (gap.total_variation, gap.squared());
    let mut text = format!("{}: ", row.name);
    if !told_apart(row) {
        text += &format!(
            "the laws of ODE and SDE are one within what is known of them (total variation {} with an error of {})",
            digits(tv.value.max(0.0)),
            digits(tv.error)
        );
    } else {
        text += &format!(
            "W\u{2082} of ODE and SDE is {}, total variation {} \u{b1} {}",
            between(squared),
            digits(tv.value),
            digits(tv.error)
        );
        if gap.on_nodes > squared[1] {
            text += &format!(
                "; counted on the nodes its square would be {}, {} times as much at least",
                digits(gap.on_nodes),
                digits(gap.on_nodes / squared[1])
            );
        }
    }
    let truths = [Law::Sde, Law::Ode].map(|law| row.pair([law, Law::Truth]));
    if let [Some(sde), Some(ode)] = truths {
        let [sde, ode] = [sde, ode].map(|pair| pair.found.squared());
        let (s, o) = (between(sde), between(ode));
        text += &match compare(sde, ode) {
            Some(std::cmp::Ordering::Less) => {
                format!(". The SDE is closer to the truth: {s} against {o}")
            }
            Some(_) => format!(". The ODE is closer to the truth: {o} against {s}"),
            None => format!(". Which is closer to the truth is not told: SDE {s}, ODE {o}"),
        };
    }
    text + "."
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::bounds::Bounds;
    use super::super::decomposition::{Decomposition, Part};
    use super::super::response::{self, Responses};
    use super::super::{Between, Found, Pair};
    use super::*;

    /// A row without anything but these pairs.
    pub(in super::super) fn row(pairs: Vec<Pair>) -> Row {
        let found = Found { value: 1.0, error: 0.1 };
        let part = Part { low: 0.0, high: 0.0 };
        Row {
            name: "net".into(),
            solved: vec![],
            pairs,
            times: vec![],
            gap: vec![],
            energy: found,
            bounds: Bounds {
                particles: 8,
                stayed: found,
                bounds: vec![],
                steepest: [0.0; 2],
                growth: 0.0,
                certified: None,
                along: found,
                closure: 0.0,
                shares: vec![],
            },
            maps: vec![],
            responses: Responses {
                parts: vec![],
                sum: response::Part { interval: None, ode: 0.0, sde: 0.0, apart: 0.0 },
                left_over: [0.0; 2],
            },
            decomposition: Decomposition {
                n: 100,
                steps: 10,
                measured: 0.0,
                continuous: part,
                binning: part,
                steps_add: part,
                noise: part,
                sum: part,
                outside: [0.0; 2],
                escaped: part,
            },
            seconds: 1.0,
        }
    }

    pub(in super::super) fn pair(of: [Law; 2], lower: f64, upper: f64, error: f64) -> Pair {
        let found = |value: f64| Found { value, error };
        let json = serde_json::json!({
            "lower": lower, "upper": upper, "mass": [1.0, 1.0], "segments": 1, "loss": 0.0
        });
        let bracket = serde_json::from_value(json).expect("a bracket");
        let (total_variation, kl) = (found(lower.sqrt()), found(lower));
        let on_nodes = 4.0 * upper;
        let found = Between { total_variation, kl, reverse_kl: kl, on_nodes, bracket, margin: 0.0 };
        Pair { of, found }
    }

    #[test]
    fn sentences_follow_the_numbers() {
        let said = |gap: f64, sde: [f64; 2], ode: [f64; 2]| {
            let pairs = vec![
                pair([Law::Ode, Law::Sde], gap, 1.1 * gap, 0.01),
                pair([Law::Sde, Law::Truth], sde[0], sde[1], 0.01),
                pair([Law::Ode, Law::Truth], ode[0], ode[1], 0.01),
            ];
            finding(&row(pairs))
        };
        let text = said(0.04, [0.01, 0.02], [0.03, 0.04]);
        assert!(text.contains("W\u{2082} of ODE and SDE is 0.200 to 0.210"), "{text}");
        assert!(text.contains("4.00 times as much"), "{text}");
        assert!(text.contains("The SDE is closer to the truth"), "{text}");
        let text = said(0.0, [0.03, 0.04], [0.01, 0.02]);
        assert!(text.contains("one within what is known"), "{text}");
        assert!(text.contains("The ODE is closer to the truth"), "{text}");
        let text = said(0.04, [0.01, 0.03], [0.02, 0.04]);
        assert!(text.contains("is not told"), "{text}");
    }
}
