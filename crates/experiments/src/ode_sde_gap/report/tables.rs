//! The tables of the report.

use metrics::NoiseFloor;
use report::{Cell, Kind, Row as Line, Table, digits, grouped, html, short};

use super::data::ReportData;
use crate::ode_sde_gap::official::{self, Official};
use crate::ode_sde_gap::results::{Floor, Pairs, Results, Row};

/// Three columns of a table: a distance between ODE and truth, SDE and truth, ODE and SDE.
struct Trio {
    name: &'static str,
    /// What figures are multiplied by.
    scale: f64,
    of: fn(&Row) -> &Pairs,
    floors: fn(&Floor) -> [&NoiseFloor; 3],
    published: Option<fn(&Official) -> [f64; 3]>,
    /// Whether the smallest figure of a data set is set in colour.
    best: bool,
}

/// Squared W2 on the true nodes and discarded mass, each beside the published figure.
pub(super) fn main_table(name: &str, results: &Results) -> Table {
    let w2 = Trio {
        name: "squared W_{2}, true nodes",
        scale: 1.0,
        of: |r| &r.w2,
        floors: |f| f.w2.each(),
        published: Some(|o| o.on_true_nodes().w2),
        best: true,
    };
    let mut table = distances(name, results, &[w2]);
    table.groups.push(("discarded, %".into(), 2));
    table.head.extend(["ODE", "SDE"].map(String::from));
    let mut lines = table.rows.iter_mut();
    for dataset in results.datasets() {
        for row in results.rows_of(dataset) {
            let here = [row.discarded_ode, row.discarded_sde];
            let there = official::find(dataset, row.w_r).map(|o| o.discarded);
            let Some(line) = lines.next() else { break };
            line.cells.extend((0..2).map(|k| {
                let published = there.map(|t| format!("{:.2}", 100.0 * t[k]));
                Cell::from(format!("{:.2}", 100.0 * here[k])).beside(published)
            }));
        }
        if let Some((line, floor)) = lines.next().zip(results.floor_of(dataset)) {
            let truth = format!("{:.2}", 100.0 * floor.discarded);
            line.cells.extend([Cell::from(truth.clone()), truth.into()]);
        }
    }
    for failed in &results.failed {
        let cells = vec![
            failed.dataset.as_str().into(),
            short(failed.w_r).into(),
            format!("no figures: {}", failed.reason).into(),
        ];
        table.rows.push(Line { cells, kind: Kind::Last });
    }
    table
}

/// Squared W2 of the laws, solved for without a sample, beside what was measured with samples; none where no row has it.
pub(super) fn noise_free(results: &Results) -> Option<Table> {
    let mut table = Table::new("noise-free", 1, &["data", "w_{R}"]);
    table.groups.push((String::new(), 2));
    for name in Pairs::NAMES {
        table.groups.push((name.into(), 3));
        table.head.extend(["from", "to", "sampled"].map(String::from));
    }
    table.groups.push((String::new(), 2));
    table.head.extend(["error in TV: ODE", "SDE"].map(String::from));
    for dataset in results.datasets() {
        for (k, row) in results.rows_of(dataset).into_iter().enumerate() {
            let mut cells = vec![lead(k, dataset), short(row.w_r).into()];
            let Some(found) = &row.noise_free else { continue };
            for (bracket, sampled) in found.each().into_iter().zip(row.w2.each()) {
                cells.extend([bracket.lower, bracket.upper].map(Cell::number));
                cells.push(Cell::with_error(sampled.value, Some(sampled.standard_error)));
            }
            cells.extend(found.errors.map(Cell::number));
            table.rows.push(Line::new(cells));
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Squared W2 counted otherwise: on the published nodes, and of point clouds with nothing dropped.
pub(super) fn other_w2(results: &Results) -> Table {
    let script = Trio {
        name: "squared W_{2}, nodes of [\u{2212}4, 4]\u{b2}",
        scale: (4.0 / results.half_width).powi(2),
        of: |r| &r.w2,
        floors: |f| f.w2.each(),
        published: Some(|o| o.w2),
        best: false,
    };
    let clouds = Trio {
        name: "squared W_{2}, point clouds",
        scale: 1.0,
        of: |r| &r.cloud_w2,
        floors: |f| [&f.cloud_w2; 3],
        published: None,
        best: false,
    };
    distances("other-w2", results, &[script, clouds])
}

/// Total variation of the histograms, and MMD^2 of the clouds.
pub(super) fn tv_and_mmd(results: &Results) -> Table {
    let tv = Trio {
        name: "total variation",
        scale: 1.0,
        of: |r| &r.tv,
        floors: |f| f.tv.each(),
        published: Some(|o| o.tv),
        best: false,
    };
    let mmd = Trio {
        name: "MMD\u{b2} \u{d7} 1000",
        scale: 1000.0,
        of: |r| &r.mmd,
        floors: |f| [&f.mmd; 3],
        published: None,
        best: false,
    };
    distances("tv-and-mmd", results, &[tv, mmd])
}

/// A table of distances: every network with its standard errors, then the floors of its data set.
fn distances(name: &str, results: &Results, trios: &[Trio]) -> Table {
    let mut head = vec!["data", "w_{R}"];
    trios.iter().for_each(|_| head.extend(Pairs::NAMES));
    let mut table = Table::new(name, 1, &head);
    table.groups.push((String::new(), 2));
    table.groups.extend(trios.iter().map(|t| (t.name.to_string(), 3)));
    for dataset in results.datasets() {
        let rows = results.rows_of(dataset);
        for (k, row) in rows.iter().enumerate() {
            let mut cells = vec![lead(k, dataset), short(row.w_r).into()];
            cells.extend(trios.iter().flat_map(|trio| trio.cells(row, &rows)));
            table.rows.push(Line::new(cells));
        }
        if let Some(floor) = results.floor_of(dataset) {
            let mut cells = vec!["".into(), "floor".into()];
            for trio in trios {
                let means = (trio.floors)(floor).map(|f| trio.scale * f.mean());
                cells.extend(means.map(|mean| Cell::from(digits(mean))));
            }
            table.rows.push(Line { cells, kind: Kind::Floor });
        }
    }
    table
}

impl Trio {
    /// The three cells of a network among those of its data set.
    fn cells(&self, row: &Row, rows: &[&Row]) -> [Cell; 3] {
        let published = official::find(&row.dataset, row.w_r).zip(self.published);
        let published = published.map(|(o, of)| of(o));
        let found = (self.of)(row).each();
        std::array::from_fn(|k| {
            let values = rows.iter().map(|r| (self.of)(r).each()[k].value);
            let least = values.fold(f64::INFINITY, f64::min);
            let (value, error) = (found[k].value, found[k].standard_error);
            Cell::with_error(self.scale * value, Some(self.scale * error))
                .beside(published.map(|p| format!("{:.4}", p[k])))
                .best(self.best && rows.len() > 1 && value == least)
        })
    }
}

/// Residuals, denoising loss and training of every network.
pub(super) fn networks(data: &ReportData) -> Table {
    let of_set = |set| data.results.rows_of(set).into_iter().enumerate();
    let rows: Vec<(usize, &Row)> = data.results.datasets().into_iter().flat_map(of_set).collect();
    let steps = |n: u64| if n == 0 { "given".into() } else { grouped(n) };
    let seconds = |v: f64| Cell::from(format!("{v:.1}"));
    Table::of("networks", 1, &rows)
        .column("data", |(k, r)| lead(*k, &r.dataset))
        .column("w_{R}", |(_, r)| short(r.w_r))
        .column("mean R\u{b2}, box", |(_, r)| digits(r.residual))
        .column("mean R\u{b2}, on p_{t}", |(_, r)| digits(r.residual_on_path))
        .column("held-out DSM loss", |(_, r)| format!("{:.4}", r.dsm_loss))
        .column("training steps", |(_, r)| steps(r.train_steps))
        .column("training, s", |(_, r)| seconds(r.train_seconds))
        .column("sampling, s", |(_, r)| seconds(r.sample_seconds))
        .column("measuring, s", |(_, r)| seconds(r.measure_seconds))
        .caption(html! { "Residuals and losses are means over points drawn once for all networks of a data set." })
}

/// What differs from the published recipe.
pub(super) fn differences(data: &ReportData) -> Table {
    Table::of("differences", 3, &data.differences)
        .column("setting", |d| d.key.as_str())
        .column("published", |d| d.published.as_str())
        .column("this run", |d| d.here.as_str())
        .caption(html! {})
}

/// The name of a data set in the first of its rows.
fn lead(k: usize, dataset: &str) -> Cell {
    if k == 0 { dataset } else { "" }.into()
}
