//! The registry as a Markdown table.

use std::fmt::Write as _;

use super::Metric;

impl Metric {
    /// The registry as a table in Markdown: what the book holds.
    ///
    /// ```
    /// assert!(metrics::Metric::markdown().contains("| `energy` | 2 E\\|x-y\\|^a - "));
    /// ```
    #[must_use]
    pub fn markdown() -> String {
        // A bar would end the cell, and a star begin an emphasis.
        let plain = |text: &str| text.replace('|', "\\|").replace('*', "\\*");
        let mut text = String::from(
            "| name | formula | takes | parameters | cost | standard error | reference |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for metric in Self::ALL {
            let info = metric.info();
            let parameters: Vec<String> =
                info.parameters.iter().map(|p| format!("`{}`", p.name())).collect();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} | {} |",
                metric.name(),
                plain(info.formula),
                info.takes(),
                if parameters.is_empty() { "-".into() } else { parameters.join(" ") },
                info.cost,
                if info.error.is_empty() { info.scheme.name() } else { info.error },
                info.reference,
            );
        }
        text
    }
}
