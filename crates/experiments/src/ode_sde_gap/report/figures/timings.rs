//! Where the time went.

use report::{Axis, Figure, Grid, Key, Panel};

use super::weight_title;
use crate::ode_sde_gap::report::data::ReportData;

const PARTS: [(&str, &str); 3] =
    [("training", "#4338ca"), ("sampling", "#0d9488"), ("measuring", "#f59e0b")];

pub(in super::super) fn timings(data: &ReportData) -> Figure {
    let rows = &data.results.rows;
    let parts = rows.iter().map(|r| [r.train_seconds, r.sample_seconds, r.measure_seconds]);
    let parts: Vec<[f64; 3]> = parts.collect();
    let longest = parts.iter().map(|p| p.iter().sum::<f64>()).fold(1e-3, f64::max);
    let names: Vec<String> =
        rows.iter().map(|r| format!("{}  {}", r.dataset, weight_title(r.w_r))).collect();
    let mut panel = Panel::new(Axis::linear(0.0, longest, "seconds"), Axis::rows(&names));
    for (k, seconds) in parts.iter().enumerate() {
        let mut from = 0.0;
        for (seconds, (what, colour)) in seconds.iter().zip(PARTS) {
            let tip = format!("{what} {seconds:.1} s");
            panel = panel.bar(k as f64, (from, from + seconds), colour, tip);
            from += seconds;
        }
        panel = panel.note((from, k as f64), format!("{from:.1} s"));
    }
    let legend = PARTS.map(|(name, colour)| Key::Area(colour.into(), name.into()));
    let grid = Grid::row(vec![panel]).height(19.0 * rows.len() as f64 + 6.0).legend(legend.into());
    grid.figure("timings", "Seconds of training, sampling and measuring of every network")
}
