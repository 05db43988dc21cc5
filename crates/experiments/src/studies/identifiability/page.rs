//! The page of `identifiability`.

use metrics::Change;
use report::{Axis, Dots, Figure, Grid, Line, Panel, RULE, Sheet, Table, digits, html};

use super::{Config, Pair, Results};
use crate::distance::{self, PAIR, said};

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let mut sheet = Sheet::new(
        "Two networks trained apart: how alike do they encode?",
        html! {
            "Two networks with different initial weights and different batches encode the same data. " (finding(&results.pairs))
        },
    );
    sheet.section("Encodings", html! {
        "The flow ODE of the true score is one map from data to latents: two networks that both had learned it would agree, without having seen each other. "
        (results.first.len()) " held-out points of " (config.training.data_set) ", encoded by " (config.steps)
        " steps of Heun\u{2019}s method from t = " (config.t_end) "; networks of " (format!("{:?}", config.training.hidden))
        " hidden units, " (config.training.steps) " steps of SOAP on " (config.training.batch) " points each. "
        (distance::change_note(comparisons(&results.pairs)))
    });
    sheet.figure(figure(results), html! {
        "Each coordinate of the latents: first network across, second up, one disc a data point. Grey line: equal."
    });
    sheet.table(table(results));
    sheet
}

/// Comparisons that the lead sums up: with unrelated points, and with the exact map where there is one.
fn comparisons(pairs: &[Pair]) -> usize {
    pairs.len().min(2)
}

/// How far apart the two encode, against unrelated points and against the exact map.
fn finding(pairs: &[Pair]) -> String {
    let Some(pair) = pairs.first() else { return String::new() };
    if !(pair.rms.value.is_finite() && pair.unrelated.value.is_finite()) {
        return "Latents left the numbers: nothing can be said of their distance.".into();
    }
    let count = comparisons(pairs);
    let related = match distance::change(pair.unrelated, pair.rms, count) {
        Change::Falls => "closer than",
        Change::Holds => "not told from",
        Change::Rises => "further than",
    };
    let share = 100.0 * pair.rms.value / pair.unrelated.value;
    let mut text = format!(
        "They put the latent of a data point {} apart (root mean square), {related} those of different points, which are {} apart: {} % of it.",
        said(pair.rms),
        said(pair.unrelated),
        digits(share)
    );
    if let [_, first, ..] = pairs {
        let exact = match distance::change(first.rms, pair.rms, count) {
            Change::Falls => "Each other they are closer than the first is to the exact map",
            Change::Holds => {
                "From each other they are as far, within the test, as the first is from the exact map"
            }
            Change::Rises => {
                "From each other they are further than the first is from the exact map"
            }
        };
        text += &format!(" {exact} ({}).", said(first.rms));
    }
    text
}

fn table(results: &Results) -> Table {
    Table::of("identifiability", 1, &results.pairs)
        .column("pair", |p| p.name.as_str())
        .column("correlation z_{1}", |p| distance::cell(p.correlation[0]))
        .column("correlation z_{2}", |p| distance::cell(p.correlation[1]))
        .column("RMS distance", |p| distance::cell(p.rms))
        .column("unrelated", |p| distance::cell(p.unrelated))
        .column("ratio", |p| digits(p.rms.value / p.unrelated.value))
        .caption(html! {
        "Correlation of latents coordinate by coordinate, and their distance, with standard errors over the points. In the place of a floor stands the other end: what unrelated points give. The distance to the exact score\u{2019}s latents, where there is one, says how much of the difference is what each network got wrong."
    })
}

fn figure(results: &Results) -> Figure {
    let both = results.first.iter().chain(&results.second).flatten();
    let reach = 1.08 * both.fold(0.5_f64, |m, v| m.max(v.abs()));
    let panels = (0..2).map(|j| {
        let axis = |who: &str| Axis::around_zero(reach, &format!("z_{{{}}}, {who} network", j + 1));
        let points = results.first.iter().zip(&results.second).map(|(a, b)| (a[j], b[j]));
        let correlation = results
            .pairs
            .first()
            .map_or(String::new(), |p| format!("correlation {:.4}", p.correlation[j].value));
        Panel::new(axis("first"), axis("second"))
            .title(&correlation)
            .line(Line::plain(RULE, 1.2, vec![(-reach, -reach), (reach, reach)]))
            .dots(Dots::cloud(PAIR, 1.9, points.collect()))
    });
    let grid = Grid::row(panels.collect()).square(430.0);
    grid.figure("latents", "Latents of two networks against each other")
}

#[cfg(test)]
mod tests {
    use metrics::Estimate;

    use super::*;

    #[test]
    fn sentences_follow_the_numbers() {
        let at = |value| Estimate { value, standard_error: 0.01 };
        let pair = |rms: f64| Pair {
            name: "a pair".into(),
            correlation: [at(0.9); 2],
            rms: at(rms),
            unrelated: at(1.0),
        };
        let said = |rms, exact| finding(&[pair(rms), pair(exact), pair(exact)]);
        let alike = said(0.1, 0.07);
        assert!(alike.contains("closer than those") && alike.contains("10.0 % of it"), "{alike}");
        assert!(alike.contains("as far, within the test"), "{alike}");
        let apart = said(1.01, 0.5);
        assert!(
            apart.contains("not told from") && apart.contains("further than the first"),
            "{apart}"
        );
        assert!(said(1.5, 2.0).contains("further than those"));
        assert!(said(0.1, 0.5).contains("closer than the first"));
        let lost = finding(&[pair(f64::NAN)]);
        assert!(lost.contains("left the numbers") && !lost.contains("not told"), "{lost}");
        assert_eq!(comparisons(&[pair(0.1)]), 1);
    }
}
