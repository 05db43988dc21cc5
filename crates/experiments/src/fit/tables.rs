//! Tables of the page that more than one section has.

use report::Table;

use super::measure::Distance;
use crate::distance::{self, above, floor_cell};

/// A table of distances beside their floors.
pub(super) fn distances(title: &str, found: &[Distance]) -> Table {
    let name = |metric: &str| match metric {
        "w2" => "W_{2}^{2}".to_owned(),
        "sliced" => "sliced W_{2}^{2}".to_owned(),
        "kid" => "KID".to_owned(),
        other => other.to_owned(),
    };
    let rows = found.iter().map(|d| {
        vec![
            d.pair.name().into(),
            name(&d.metric).into(),
            distance::cell(Some(d.found)),
            floor_cell(&d.floor),
            (if above(d.found, &d.floor) { "above" } else { "within" }).into(),
        ]
    });
    Table::new(title, 2, &["between", "distance", "found", "floor", ""]).rows(rows)
}
