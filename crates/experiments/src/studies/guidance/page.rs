//! The page of `guidance`.

use anyhow::Result;
use metrics::Estimate;
use report::{Cell, Kind as RowKind, Row as TableRow, Sheet, Table, digits, html, short};

use super::measure::{LOW, Measures, NEIGHBOURS};
use super::{Config, Kind, Results, Row, figures, findings};
use crate::distance;

pub(super) fn page(config: &Config, results: &Results) -> Result<Sheet> {
    let lead = html! {
        "One of two classes is sampled, with exact scores of thin mixtures of Gaussians and of wider ones. "
        (findings::lead(results))
    };
    let mut sheet = Sheet::new("What does the weight of guidance do?", lead);
    curves(&mut sheet, config, results);
    for (k, width) in findings::widths(results).into_iter().enumerate() {
        let model = findings::model(width);
        let said: Vec<String> = [findings::outliers, findings::coverage]
            .into_iter()
            .filter_map(|say| say(results, width))
            .collect();
        sheet.section(&format!("Guidance of {model}"), html! { (said.join(" ")) });
        sheet.figure(figures::samples(config, results, k, width)?, html! {
            "The first samples (at most " (figures::POINTS) ") of every way at some of its weights. Blue: levels of the density of the class that " (100.0 * LOW) " %, 25 % and 60 % of exact samples are below; red: those of the other class."
        });
        sheet.table(table(k, width, results));
    }
    Ok(sheet)
}

fn curves(sheet: &mut Sheet, config: &Config, results: &Results) {
    let samplers = results.rows.len();
    sheet.section("Over the weight", html! {
        "Each class is a tree of " (config.generations) " generations of branches. Guidance extrapolates from a weak score through a strong one, s = s"
        sub { "weak" } " + w (s" sub { "strong" } " \u{2212} s" sub { "weak" } "): 1 is the strong model alone. Strong: that of the class, of data blurred by "
        (config.widths.iter().map(|w| short(*w)).collect::<Vec<_>>().join(", "))
        " (0: the exact one). Weak: for classifier-free guidance that of both classes; for autoguidance that of the class, blurred by another " (short(config.weak_width))
        ". In an interval: classifier-free guidance at noise levels from " (short(config.interval[0])) " to " (short(config.interval[1]))
        " alone. CFG++ has weights of its own, those of the data in a step of DDIM. " (config.n) " samples of the flow under " (config.sde) ", " (config.method) " on "
        (config.steps) " steps down to t = " (short(config.t_end)) " (grid " (config.grid) "; CFG++: DDIM on as many evaluations). Squared W" sub { "2" } " on " (config.window.about()) ". "
        (distance::above_note(&results.exact.floor)) " " (distance::change_note(samplers.saturating_sub(findings::widths(results).len())))
    });
    sheet.figure(figures::curves(results), html! {
        "Above: over the weight; below: over that of CFG++. Bars of one standard error; dotted: what exact samples have. Log-density: mean under the class less that of exact samples, in nats. Low density: below that of all but " (100.0 * LOW) " % of exact samples. The panels but the first are laid out for weights from 1 on, of CFG++ above 0; what lies beyond their edges is in the tables."
    });
}

fn table(k: usize, width: f64, results: &Results) -> Table {
    let head = [
        "guidance",
        "weight",
        "squared W_{2}",
        "energy",
        "log p, less exact",
        "variance ratio",
        "coverage",
        "low density",
    ];
    let cells = |found: Option<Measures>| -> Vec<Cell> {
        let of = |get: fn(&Measures) -> Estimate| distance::cell(found.as_ref().map(get));
        vec![
            distance::cell(found.and_then(|f| f.w2)),
            of(|f| f.energy),
            of(|f| f.log_density),
            of(|f| f.spread),
            of(|f| f.coverage),
            of(|f| f.outliers),
        ]
    };
    let mut rows: Vec<TableRow> = Vec::new();
    for kind in Kind::ALL {
        let own: Vec<&Row> = findings::of(results, width, kind).collect();
        for (at, row) in own.iter().enumerate() {
            let mut all: Vec<Cell> = vec![kind.name().into(), short(row.weight).into()];
            all.extend(cells(row.found));
            let kind = if at + 1 == own.len() { RowKind::Last } else { RowKind::Plain };
            rows.push(TableRow { cells: all, kind });
        }
    }
    let mut exact: Vec<Cell> = vec!["exact samples".into(), report::DASH.into()];
    exact.extend(cells(results.exact.found));
    rows.push(TableRow { cells: exact, kind: RowKind::Floor });
    let caption = html! {
        "With standard errors. Energy: energy distance. Variance ratio: over the class\u{2019}s. Energy and coverage (of " (NEIGHBOURS) " neighbours) on fewer rows; floor of the energy distance "
        (digits(results.exact.energy_floor.mean())) ", of squared W" sub { "2" } " " (report::maybe(distance::floor_line(&results.exact.floor)))
        ". \u{2014}: more than 5 % of the samples outside the window, or samples that left the numbers."
    };
    Table { rows, ..Table::new(&format!("guidance-{k}"), 1, &head) }.caption(caption)
}
