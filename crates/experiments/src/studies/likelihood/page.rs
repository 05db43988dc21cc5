//! The page of `likelihood`.

use report::{
    Axis, Cell, DASH, Dots, Figure, Grid, INK, Key, Mark, Panel, Sheet, Table, digits, html, list,
    short,
};

use super::{Config, Results, Row, identity};
use crate::distance::PAIR;

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let mut sheet = Sheet::new(
        "What does a log-density cost?",
        html! {
            "Estimators of log p at points of the data, against the closed form: how far off, how far off they say they are, and at what cost. "
            (finding(&results.rows))
        },
    );
    let of = |identity: bool| results.rows.iter().filter(move |r| r.of_identity() == identity);
    sheet.section("Along the flow", html! {
        (config.points) " points of p" sub { "t" } " at t = " (config.t_end) ", target " (config.target) " under " (config.sde)
        ". The flow is solved by Dormand-Prince at a tolerance of " (short(config.tolerance))
        ", every point by itself, with the exact divergence or Hutchinson\u{2019}s estimate of it."
    });
    let read = "Root mean square error in nats (logarithmic) by estimator; ring: the standard error that the estimator states itself. Where disc and ring lie together, the statement is right.";
    sheet.figure(figure("flow", &of(false).collect::<Vec<_>>()), html! { (read) });
    sheet.section("The identity, another problem", html! {
        "For an exact potential every path of the identity is exact, so it is given a wrong one whose sampler is known: \u{3c6} = "
        (identity::SCALE) " times the log-density of a Gaussian of standard deviation " (identity::STD)
        ", sampled at \u{3b7} from the prior, is a Gaussian with a variance that solves a linear equation. " (config.paths) " paths a point, " (config.steps)
        " steps. Its errors are not to be held against those above: problem and points are others."
    });
    sheet.figure(figure("identity", &of(true).collect::<Vec<_>>()), html! { "As above." });
    sheet.table(table(results));
    sheet
}

/// Which statements of an error are right, and which are not.
fn finding(rows: &[Row]) -> String {
    let stating: Vec<(&Row, f64)> =
        rows.iter().filter_map(|r| Some((r, r.rms? / r.stated.filter(|s| *s > 0.0)?))).collect();
    let lost: Vec<&str> =
        rows.iter().filter(|r| r.rms.is_none()).map(|r| r.name.as_str()).collect();
    let lost = if lost.is_empty() {
        String::new()
    } else {
        format!(" Without a finite result: {}.", list(&lost))
    };
    if stating.is_empty() {
        return format!("No estimator of this run states an error.{lost}");
    }
    let off: Vec<String> = stating
        .iter()
        .filter(|(_, ratio)| !(0.5..=2.0).contains(ratio))
        .map(|(r, ratio)| format!("{} ({} times)", r.name, digits(*ratio)))
        .collect();
    let right = stating.len() - off.len();
    let rest = if off.is_empty() { String::new() } else { format!("; not that of {}", list(&off)) };
    format!(
        "Of the estimators that state an error ({}), the root mean square error of {right} is within a factor of 2 of it{rest}.{lost}",
        stating.len()
    )
}

fn table(results: &Results) -> Table {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    Table::of("likelihood", 1, &results.rows)
        .column("estimator", |r| r.name.as_str())
        .column("RMS error", |r| Cell::number(r.rms))
        .column("mean error", |r| Cell::number(r.bias))
        .column("stated standard error", |r| Cell::number(r.stated))
        .column("beyond 4 of them", |r| r.outside.map_or(DASH.into(), percent))
        .column("evaluations a point", |r| Cell::number(r.evaluations))
        .column("microseconds a point", |r| Cell::number(r.micros))
        .caption(html! {
        "Errors in nats. Evaluations: of the score, for a Hutchinson estimate times its probes (each a directional derivative), for the identity times its paths. In two dimensions a probe of signs has only two different outcomes, and few of them often agree by chance: fewer than 12 state no error. Times on a machine that may be shared are rough."
    })
}

fn figure(name: &str, rows: &[&Row]) -> Figure {
    let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    let values = rows.iter().flat_map(|r| [r.rms, r.stated]).flatten();
    let across = Axis::log_around(values, "root mean square error, nats");
    let marks = |of: fn(&Row) -> Option<f64>| {
        let found = rows.iter().enumerate().filter_map(|(k, r)| Some((of(r)?, k as f64)));
        let points: Vec<(f64, f64)> = found.collect();
        let tips = points.iter().map(|p| digits(p.0)).collect();
        Dots::marks(Mark::Disc, PAIR, points, tips)
    };
    let ring =
        Dots { fill: "none".into(), outline: INK.into(), radius: 7.5, ..marks(|r| r.stated) };
    let mut panel = Panel::new(across, Axis::rows(&names)).dots(marks(|r| r.rms)).dots(ring);
    for (k, row) in rows.iter().enumerate() {
        let cost = format!("{} evaluations", short(row.evaluations.round()));
        panel = panel.note_right(k as f64, cost);
    }
    let legend = vec![
        Key::Mark(Mark::Disc, PAIR.into(), "error".into()),
        Key::Words("ring: stated standard error".into()),
    ];
    let grid = Grid::row(vec![panel]).height(34.0 * rows.len() as f64).legend(legend);
    grid.figure(format!("errors-{name}"), "Error of estimators of the log-density")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_follow_the_numbers() {
        assert!(finding(&[]).starts_with("No estimator"));
        let row = |name: &str, rms, stated| Row {
            name: name.into(),
            rms: Some(rms),
            stated,
            ..Row::default()
        };
        let flow = row("flow", 1e-9, None);
        let said = finding(&[flow.clone(), row("a", 0.1, Some(0.11)), row("b", 0.1, Some(0.09))]);
        assert!(said.ends_with("Of the estimators that state an error (2), the root mean square error of 2 is within a factor of 2 of it."), "{said}");
        let lost = Row { rms: None, stated: None, ..row("c", 0.1, None) };
        let text = finding(&[lost, row("b", 0.1, Some(0.09))]);
        assert!(text.contains("state an error (1), the"), "{text}");
        assert!(text.ends_with("Without a finite result: c."), "{text}");
        let said = finding(&[flow, row("a", 0.3, Some(0.1)), row("b", 0.1, Some(0.09))]);
        assert!(
            said.ends_with("of 1 is within a factor of 2 of it; not that of a (3.00 times)."),
            "{said}"
        );
    }
}
