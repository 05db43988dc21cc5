//! The page: factors by process, before and after training.

use metrics::{Change, Estimate};
use report::{
    Axis, Cell, Dots, Figure, Grid, Key, Line, Mark, Panel, RULE, Sheet, Table, digits, html,
};

use super::{Config, Results, Row};
use crate::distance::{self, ODE, PAIR, said};

/// Below it, two laws are one: rounding in their inverses.
const SAME: f64 = 1e-6;

pub(super) fn page(config: &Config, results: &Results) -> Sheet {
    let mut sheet = Sheet::new(
        "What does importance sampling of the times save?",
        html! {
            "On " (config.data_set) ", after training: " (finding(config.seeds, results))
            " A factor is that by which a batch at uniform times would have to be larger for the same error."
        },
    );
    sheet.section("Two laws, one loss", html! {
        "The likelihood loss (weight g\u{b2} on the error of the score) is an integral over the time from " (config.t_min)
        " of the horizon on. It is estimated by uniform times, and by times from the law proportional to g\u{b2}/\u{3c3}\u{b2} with the weight \u{3c3}\u{b2} and the constant that makes it the same integral (Song et al. 2021, arXiv 2101.09258). Data: "
        (config.data_set) ". Networks: residual MLPs of " (results.processes.first().map_or(0, |p| p.parameters))
        " parameters, conditioned as by Karras et al. with the deviation of the data as it was measured, fresh and after "
        (config.training.steps) " steps of Adam on " (config.training.batch) " points each. " (config.rows)
        " rows under each law and each of " (config.seeds) " seeds, one time a row. "
        (test_note(trained(results).count()))
    });
    sheet.figure(figure(results), html! {
        "Variance under uniform times over that under the importance law (logarithmic), by process; bars: two standard errors. Discs: the loss of a row. Diamonds: its gradient, summed over all parameters. Filled: after training. The line is at 1."
    });
    for process in results.processes.iter().filter(|p| p.laws_apart < SAME) {
        sheet.section(&process.sde, html! {
            "From the smallest time on its g\u{b2}/\u{3c3}\u{b2} is constant: the two laws are one (their distribution functions differ by "
            (digits(process.laws_apart)) " at most), and what its factors differ from 1 by is chance."
        });
    }
    sheet.section("Held against each other", html! { (agreement(results)) });
    sheet.table(table(results));
    sheet.table(Table::of("processes", 1, &results.processes)
        .column("process", |p| p.sde.as_str())
        .column("\u{3c3}_{data}", |p| digits(p.sigma_data))
        .column("laws apart", |p| digits(p.laws_apart))
        .caption(html! {
        "The deviation of the data that each network is conditioned by, from rows of its own; the largest difference of the distribution functions of the two laws."
    }));
    sheet
}

/// How factors are told from 1, where there are some.
fn test_note(comparisons: usize) -> String {
    let shared = match comparisons {
        0 => return String::new(),
        1 => String::new(),
        k => format!(" shared by {k} comparisons (Bonferroni)"),
    };
    format!(
        "A factor is said to differ from 1 by a t-test with one degree of freedom less than there are seeds, at a level of 1 %{shared}."
    )
}

impl Row {
    fn found(&self) -> Estimate {
        Estimate { value: self.factor, standard_error: self.standard_error }
    }
}

fn trained(results: &Results) -> impl Iterator<Item = &Row> {
    // Where the two laws are one there is nothing to find.
    let one_law = |sde: &str| results.processes.iter().any(|p| p.sde == sde && p.laws_apart < SAME);
    results.rows.iter().filter(move |r| r.trained && !one_law(&r.sde))
}

/// What becomes of the variances of the trained networks under two laws, by the test against 1.
fn finding(seeds: usize, results: &Results) -> String {
    let one = Estimate { value: 1.0, standard_error: 0.0 };
    let count = trained(results).count();
    if count == 0 {
        return "the two laws are one for every process of this run.".into();
    }
    let found = trained(results).map(|r| {
        let sde = r.sde.split(':').next().unwrap_or_default();
        let item = format!("the {} under {sde} (factor {})", r.quantity, said(r.found()));
        (distance::change_of_few(one, r.found(), seeds, count), item)
    });
    let verbs = [
        (Change::Rises, "it cuts the variance of"),
        (Change::Falls, "it raises the variance of"),
        (Change::Holds, "no change can be told in"),
    ];
    format!("{}.", distance::by_change(verbs, &found.collect::<Vec<_>>()).join("; "))
}

/// How far the means under the two laws, estimates of the same number, are apart.
fn agreement(results: &Results) -> String {
    let far = results.rows.iter().filter_map(|row| {
        let ([a, b], [da, db]) = (row.means?, row.mean_errors?);
        Some((a - b).abs() / da.hypot(db))
    });
    let most = far.clone().fold(0.0, f64::max);
    format!(
        "The means of the loss under the two laws estimate the same number. In {} pairs they are {} standard errors apart at most.",
        far.count(),
        digits(most)
    )
}

fn table(results: &Results) -> Table {
    let mean = |r: &Row, law: usize| match (r.means, r.mean_errors) {
        (Some(m), Some(e)) => Cell::with_error(m[law], Some(e[law])),
        _ => Cell::number(None),
    };
    Table::of("time-sampling", 3, &results.rows)
        .column("process", |r| r.sde.as_str())
        .column("network", |r| if r.trained { "trained" } else { "fresh" })
        .column("quantity", |r| r.quantity.as_str())
        .column("variance, uniform", |r| digits(r.variances[0]))
        .column("variance, importance", |r| digits(r.variances[1]))
        .column("factor", |r| distance::cell(r.found()))
        .column("mean, uniform", |r| mean(r, 0))
        .column("mean, importance", |r| mean(r, 1))
        .caption(html! {
        "Variances of a single row, averaged over the seeds; that of the gradient is summed over all parameters. The standard error of a factor is from leaving out a seed at a time, that of a mean from the scatter over the seeds."
    })
}

fn figure(results: &Results) -> Figure {
    let ends = |r: &Row| {
        let (low, high) = (r.factor - 2.0 * r.standard_error, r.factor + 2.0 * r.standard_error);
        // Where the error is as large as the factor, a bar of it has no lower end on this axis.
        (low.max(0.1 * r.factor), high)
    };
    let values = results.rows.iter().flat_map(|r| [ends(r).0, ends(r).1]);
    let names: Vec<&str> = results.processes.iter().map(|p| p.sde.as_str()).collect();
    let (rows, n) = (Axis::rows(&names), names.len() as f64);
    let across = Axis::log_around(values.chain([1.0]), "factor of the variances");
    let one = Line::plain(RULE, 1.2, vec![(1.0, -0.5), (1.0, n - 0.5)]).dashed("4 3");
    let mut panel = Panel::new(across, rows).line(one);
    for (k, sde) in names.iter().enumerate() {
        for (i, row) in results.rows.iter().filter(|r| r.sde == *sde).enumerate() {
            let at = k as f64 - 0.3 + 0.2 * i as f64;
            let loss = row.quantity == "loss";
            let (colour, mark) = if loss { (PAIR, Mark::Disc) } else { (ODE, Mark::Diamond) };
            let (low, high) = ends(row);
            let bar = Line::plain(colour, 1.6, vec![(low, at), (high, at)]);
            let dots = Dots::marks(mark, colour, vec![(row.factor, at)], vec![said(row.found())]);
            let fill = if row.trained { colour } else { "#fff" };
            let dots = Dots { fill: fill.into(), outline: colour.into(), radius: 4.5, ..dots };
            panel = panel.line(bar).dots(dots);
        }
    }
    let legend = vec![
        Key::Mark(Mark::Disc, PAIR.into(), "loss of a row".into()),
        Key::Mark(Mark::Diamond, ODE.into(), "its gradient".into()),
        Key::Words("filled: after training".into()),
    ];
    let grid = Grid::row(vec![panel]).height(96.0 * n).legend(legend);
    grid.figure("factors", "Factors of the variances under two laws of the times")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_follow_the_numbers() {
        let said = |factor: f64| {
            let of = Results {
                processes: Vec::new(),
                rows: vec![Row {
                    sde: "vp:beta0=0.1".into(),
                    trained: true,
                    quantity: "loss".into(),
                    factor,
                    standard_error: 0.05,
                    ..Row::default()
                }],
            };
            finding(8, &of)
        };
        assert_eq!(
            said(7.0),
            "it cuts the variance of the loss under vp (factor 7.000 \u{b1} 0.050)."
        );
        assert!(said(0.5).starts_with("it raises the variance of the loss under vp"));
        assert!(said(1.05).starts_with("no change can be told in the loss under vp"));
        let none = Results { processes: Vec::new(), rows: Vec::new() };
        assert!(finding(8, &none).starts_with("the two laws are one"));
        assert_eq!(test_note(0), "");
        assert!(test_note(6).ends_with("shared by 6 comparisons (Bonferroni)."));
        // Two standard errors of three seeds are as good as nothing.
        let one = Estimate { value: 1.0, standard_error: 0.0 };
        let few = Estimate { value: 1.5, standard_error: 0.08 };
        assert_eq!(distance::change_of_few(one, few, 3, 8), Change::Holds);
        assert_eq!(distance::change(one, few, 8), Change::Rises);
    }
}
