//! What is said of bounds, of where the gap is made, and of what a measured one consists of.

use report::{digits, list};

use super::bounds::{Bound, Of, Rigour};
use super::{Law, Row};

/// The ends of what a bound is of.
pub(super) fn measured(row: &Row, of: Of) -> [f64; 2] {
    let gap = row.pair([Law::Ode, Law::Sde]);
    let around = |value: f64, error: f64| [(value - error).max(0.0), value + error];
    match (of, gap) {
        (Of::W2, Some(gap)) => gap.found.squared().map(f64::sqrt),
        (Of::Entropy, Some(gap)) => around(gap.found.kl.value, gap.found.kl.error),
        (Of::Energy, _) => around(row.energy.value, row.energy.error),
        (_, None) => [0.0, f64::INFINITY],
    }
}

/// Whether the laws of ODE and SDE differ by more than they are known, in total variation or in W2, which sees less of tiles: else there
/// is nothing to take apart.
pub(super) fn told_apart(row: &Row) -> bool {
    row.pair([Law::Ode, Law::Sde]).is_some_and(|gap| {
        let tv = gap.found.total_variation;
        tv.value > tv.error || gap.found.squared()[0] > 0.0
    })
}

/// Whether a bound, with so many of its errors, is below the lower end of what it bounds.
fn below(row: &Row, bound: &Bound, errors: f64) -> bool {
    bound.found.value + errors * bound.found.error < measured(row, bound.of)[0]
}

/// Whether all bounds hold, which is closest, and which say nothing.
pub(super) fn bounds_finding(row: &Row) -> String {
    let rigorous = || row.bounds.bounds.iter().filter(|b| b.rigour != Rigour::No);
    let named = |of: &dyn Fn(&Bound) -> bool| -> Vec<&str> {
        rigorous().filter(|b| of(b)).map(|b| b.name.as_str()).collect()
    };
    // With two errors one of bound and bounded is wrong; within them chance may be.
    let wrong = named(&|b| below(row, b, 2.0));
    let open = named(&|b| below(row, b, 0.0) && !below(row, b, 2.0));
    let all = rigorous().count();
    let mut text = format!(
        "{}: {} of {all} rigorous bounds are above the lower end of what they bound",
        row.name,
        all - wrong.len() - open.len()
    );
    if !open.is_empty() {
        text += &format!(", below it by less than two of their errors {}", list(&open));
    }
    if !wrong.is_empty() {
        text += &format!(", below it by more {}", list(&wrong));
    }
    let [low, high] = measured(row, Of::W2);
    if !told_apart(row) || low <= 0.0 {
        return text + "; between laws that are one within their errors looseness says nothing.";
    }
    let least = rigorous().filter(|b| b.of == Of::W2);
    if let Some(b) = least.min_by(|a, b| a.found.value.total_cmp(&b.found.value)) {
        text += &format!(
            "; the closest to W\u{2082} is {}, {} to {} times it",
            b.name,
            digits(b.found.value / high),
            digits(b.found.value / low)
        );
    }
    let empty = |b: &&Bound| b.of == Of::W2 && b.found.value > 10.0;
    let vacuous: Vec<&str> = rigorous().filter(empty).map(|b| b.name.as_str()).collect();
    if !vacuous.is_empty() {
        text += &format!(
            "; vacuous, above 10 where the data lie within a few units: {}",
            list(&vacuous)
        );
    }
    let share = row.bounds.stayed;
    text + &format!(
        ". {} \u{b1} {} % of the particles stay.",
        digits(100.0 * share.value),
        digits(100.0 * share.error)
    )
}

/// Where most of the gap comes about.
pub(super) fn made_finding(row: &Row) -> String {
    if !told_apart(row) {
        return format!(
            "{}: laws that are one within their errors have no gap to be told the origin of.",
            row.name
        );
    }
    let shares = &row.bounds.shares;
    let most = |of: fn(&super::attribution::Share) -> f64| {
        let best = shares.iter().max_by(|a, b| of(a).total_cmp(&of(b)))?;
        let percent = digits(100.0 * of(best));
        Some(format!("{percent} % between t = {} and {}", digits(best.from), digits(best.to)))
    };
    match (most(|s| s.energy), most(|s| s.displacement)) {
        (Some(energy), Some(apart)) => {
            format!("{}: of the energy {energy}, of the displacement {apart}.", row.name)
        }
        _ => String::new(),
    }
}

/// Whether the parts add up, and which is the largest.
pub(super) fn decomposition_finding(row: &Row) -> String {
    let d = &row.decomposition;
    let (sum, half) = (digits(d.sum.middle()), digits(d.sum.half()));
    let verdict = if d.adds_up() { "the parts add up" } else { "the parts do not add up" };
    let parts = [
        ("the distance of the laws", d.continuous),
        ("the nodes", d.binning),
        ("the steps", d.steps_add),
        ("the noise of the samples", d.noise),
    ];
    let [first, ..] = parts;
    let (name, part) = parts.into_iter().fold(first, |best, next| {
        if next.1.middle().abs() > best.1.middle().abs() { next } else { best }
    });
    format!(
        "{}: {verdict}, {sum} \u{b1} {half} against {} measured; the largest is {name}, {} to {}.",
        row.name,
        digits(d.measured),
        digits(part.low),
        digits(part.high)
    )
}

#[cfg(test)]
mod tests {
    use super::super::Found;
    use super::super::decomposition::Part;
    use super::super::findings::tests::{pair, row};
    use super::*;

    fn bound(name: &str, rigour: Rigour, value: f64, error: f64) -> Bound {
        Bound { name: name.into(), of: Of::W2, rigour, found: Found { value, error } }
    }

    #[test]
    fn bounds_that_fail_are_named() {
        // W2 from 0.2 to 0.21.
        let mut row = row(vec![pair([Law::Ode, Law::Sde], 0.04, 0.0441, 0.01)]);
        row.bounds.bounds =
            vec![bound("near", Rigour::Yes, 0.3, 0.01), bound("far", Rigour::Grid, 1e9, 0.0)];
        row.bounds.bounds.push(bound("none", Rigour::No, 0.1, 0.0));
        let text = bounds_finding(&row);
        assert!(text.contains("2 of 2 rigorous bounds are above"), "{text}");
        assert!(text.contains("closest to W\u{2082} is near, 1.43 to 1.50 times"), "{text}");
        assert!(text.contains("a few units: far"), "{text}");
        row.bounds.bounds.push(bound("wrong", Rigour::Yes, 0.19, 0.004));
        let text = bounds_finding(&row);
        assert!(text.contains("2 of 3 rigorous") && text.contains("by more wrong"), "{text}");
        row.bounds.bounds.push(bound("open", Rigour::Yes, 0.19, 0.006));
        let text = bounds_finding(&row);
        assert!(text.contains("less than two of their errors open, below"), "{text}");
    }

    #[test]
    fn parts_add_up_or_do_not() {
        let mut row = row(vec![]);
        let d = &mut row.decomposition;
        (d.measured, d.sum) = (0.5, Part { low: 0.4, high: 0.6 });
        d.noise = Part { low: 0.2, high: 0.4 };
        let text = decomposition_finding(&row);
        assert!(text.contains("the parts add up, 0.500 \u{b1} 0.1"), "{text}");
        assert!(text.contains("the largest is the noise of the samples, 0.200 to 0.400"), "{text}");
        row.decomposition.measured = 0.7;
        assert!(decomposition_finding(&row).contains("do not add up"));
    }
}
