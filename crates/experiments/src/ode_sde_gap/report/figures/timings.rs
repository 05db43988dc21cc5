//! Where the time went.

use super::weight_name;
use crate::ode_sde_gap::report::data::ReportData;
use crate::report::Figure;
use crate::report::axes::{Axis, Panel};
use crate::report::colormap::{GREY, INK};
use crate::report::svg::{Anchor, Svg, Text};

const PARTS: [(&str, &str); 3] =
    [("training", "#4338ca"), ("sampling", "#0d9488"), ("measuring", "#f59e0b")];

pub(super) fn figure(data: &ReportData) -> Figure {
    let rows = &data.results.rows;
    let parts = |k: usize| [rows[k].train_seconds, rows[k].sample_seconds, rows[k].measure_seconds];
    let longest = (0..rows.len()).map(|k| parts(k).iter().sum::<f64>()).fold(1e-3, f64::max);
    let (bar, top) = (19.0, 46.0);
    let height = rows.len() as f64 * bar;
    let mut svg = Svg::new(1080.0, top + height + 50.0);
    let key = Text { size: 12.5, fill: INK, ..Text::default() };
    let mut x = 150.0;
    for (name, colour) in PARTS {
        svg.rect((x, 8.0), (14.0, 14.0), colour, 2.0, "");
        svg.text((x + 21.0, 20.0), name, &key);
        x += 108.0;
    }
    let panel = Panel {
        x: 150.0,
        y: top - 6.0,
        w: 860.0,
        h: height + 6.0,
        across: Axis::linear(0.0, longest, "seconds"),
        up: Axis { ticks: vec![], ..Axis::linear(0.0, 1.0, "") },
    };
    panel.draw_axes(&mut svg, false);
    for (k, row) in rows.iter().enumerate() {
        let y = top + bar * k as f64;
        let name = format!("{}  w_{{R}} = {}", row.dataset, weight_name(row.w_r));
        svg.text(
            (140.0, y + 12.0),
            &name,
            &Text { size: 11.5, fill: INK, anchor: Anchor::End, ..Text::default() },
        );
        let mut from = 0.0;
        for (seconds, (what, colour)) in parts(k).into_iter().zip(PARTS) {
            let (x0, _) = panel.at(from, 0.0);
            let (x1, _) = panel.at(from + seconds, 0.0);
            if x1 - x0 > 0.2 {
                svg.rect(
                    (x0, y + 1.0),
                    (x1 - x0, bar - 5.0),
                    colour,
                    1.5,
                    &format!("{what} {seconds:.1} s"),
                );
            }
            from += seconds;
        }
        let (end, _) = panel.at(from, 0.0);
        svg.text(
            (end + 6.0, y + 12.0),
            &format!("{from:.1} s"),
            &Text { size: 11.0, fill: GREY, ..Text::default() },
        );
    }
    Figure::new(
        "timings",
        svg.finish("Seconds of training, sampling and measuring of every network"),
    )
}
