//! The residual against the distances, and against the denoising loss.

use report::{Axis, Dots, Figure, Grid, Key, Line, Mark, Panel, palette, short};

use crate::ode_sde_gap::report::data::ReportData;
use crate::ode_sde_gap::results::Row;

/// A figure of a row, and its name on an axis.
type Pick = (fn(&Row) -> f64, &'static str);

pub(in super::super) fn residual(data: &ReportData) -> Figure {
    let gap: Pick = (|r| r.w2.ode_sde.value, "squared W_{2}, ODE to SDE");
    let on_path: Pick = (|r| r.residual_on_path, "mean squared residual, on p_{t}");
    let in_box: Pick = (|r| r.residual, "mean squared residual, box");
    let loss: Pick = (|r| r.dsm_loss, "held-out denoising loss");
    let panels = [(on_path, gap), (in_box, gap), (loss, on_path)].map(|(x, y)| scatter(data, x, y));
    let legend = data.results.datasets().into_iter().enumerate();
    let legend = legend.map(|(k, name)| Key::Mark(Mark::number(k), palette(k).into(), name.into()));
    let grid = Grid::row(panels.into()).height(274.0).legend(legend.collect());
    grid.figure("residual", "Residual against squared W2 of ODE and SDE, and against the loss")
}

fn scatter(data: &ReportData, (x, across): Pick, (y, up): Pick) -> Panel {
    let rows = &data.results.rows;
    let axis = |of: fn(&Row) -> f64, name: &str| Axis::log_around(rows.iter().map(of), name);
    let mut panel = Panel::new(axis(x, across), axis(y, up));
    for (k, dataset) in data.results.datasets().iter().enumerate() {
        let rows = data.results.rows_of(dataset);
        let rows: Vec<&&Row> = rows.iter().filter(|r| x(r) > 0.0 && y(r) > 0.0).collect();
        let points: Vec<(f64, f64)> = rows.iter().map(|r| (x(r), y(r))).collect();
        let tips = rows
            .iter()
            .map(|r| format!("{dataset}, w_R = {}: {:.4} / {:.5}", short(r.w_r), x(r), y(r)));
        let dots = Dots::marks(Mark::number(k), palette(k), points.clone(), tips.collect());
        let labels = rows.iter().map(|r| short(r.w_r)).collect();
        let faint = Line { opacity: 0.45, ..Line::plain(palette(k), 1.4, points) };
        panel = panel.line(faint).dots(Dots { labels, ..dots });
    }
    panel
}
