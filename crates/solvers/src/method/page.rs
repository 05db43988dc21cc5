//! The registry as a Markdown table.

use std::fmt::Write as _;

use super::Method;

impl Method {
    /// The registry as a table in Markdown: what the book holds.
    ///
    /// ```
    /// assert!(solvers::Method::markdown().contains("| `heun` | 2 | 2 | 1 | 2 | 2 |"));
    /// ```
    pub fn markdown() -> String {
        let shown = |order: Option<f64>| order.map_or("-".to_owned(), |order| order.to_string());
        let mut text = String::from(
            "| name | ODE order | with its own start | strong | weak | evaluations a step | adaptive \
             | reference |\n|---|---|---|---|---|---|---|---|\n",
        );
        for method in Self::ALL {
            let (info, order) = (method.info(), method.order());
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {}{} | {} | {} |",
                method.name(),
                order.ode,
                order.started,
                shown(order.strong),
                shown(order.weak),
                if info.implicit { "at least " } else { "" },
                info.nfe,
                if info.adaptive { "yes" } else { "-" },
                info.reference
            );
        }
        text
    }
}
