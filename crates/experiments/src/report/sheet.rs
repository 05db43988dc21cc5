//! The page of an experiment as a list of blocks: text, figures with captions, tables.

use std::fmt::Write as _;

use super::Figure;
use super::page::{Head, head};
use super::svg::escape;

/// A page before it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    /// What was found, in a line (HTML).
    pub(crate) title: String,
    /// What was found, in a paragraph (HTML).
    pub(crate) lead: String,
    /// The rest, in order.
    pub(crate) blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// A heading with a paragraph (HTML).
    Section(String, String),
    /// A drawing and what is seen in it (HTML).
    Figure(Figure, String),
    /// A table.
    Table(Table),
}

/// A table; it is also written as CSV.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// File name without its ending.
    pub(crate) name: String,
    /// What it says (HTML).
    pub(crate) caption: String,
    /// Names of the columns (plain text).
    pub(crate) head: Vec<String>,
    /// Cells (plain text); a cell that begins with `*` is set in colour.
    pub(crate) rows: Vec<Vec<String>>,
    /// How many columns on the left hold words.
    pub(crate) words: usize,
}

/// What the foot of a page says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Foot {
    /// The command that repeats the run.
    pub(crate) command: String,
    /// Name and value.
    pub(crate) facts: Vec<(String, String)>,
    /// The configuration.
    pub(crate) config: String,
}

impl Sheet {
    /// Appends a heading with a paragraph.
    pub(crate) fn section(&mut self, title: &str, text: impl Into<String>) {
        self.blocks.push(Block::Section(title.into(), text.into()));
    }

    /// Appends a figure.
    pub(crate) fn figure(&mut self, figure: Figure, caption: impl Into<String>) {
        self.blocks.push(Block::Figure(figure, caption.into()));
    }

    /// Appends a table.
    pub(crate) fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    /// The whole page.
    pub(crate) fn html(
        &self,
        experiment: &str,
        preset: &str,
        hash: &str,
        seed: u64,
        foot: &Foot,
    ) -> String {
        let mut html =
            head(&Head { experiment, preset, hash, seed, title: &self.title, lead: &self.lead });
        for block in &self.blocks {
            match block {
                Block::Section(title, text) => {
                    let _ = writeln!(html, "<h2>{title}</h2>\n<p>{text}</p>");
                }
                Block::Figure(figure, caption) => {
                    let Figure { name, svg } = figure;
                    let _ = writeln!(
                        html,
                        "<figure id=\"{name}\">\n{svg}\n<figcaption>{caption}</figcaption>\n</figure>"
                    );
                }
                Block::Table(table) => html.push_str(&table.html()),
            }
        }
        html.push_str("<h2>Reproduce</h2>\n<p>Every random number is a function of the seed, of what it is for and of the particle it belongs to: the command repeats these figures, times apart, on any number of threads.</p>\n");
        let _ = writeln!(html, "<pre>{}</pre>\n<dl class=\"facts\">", escape(&foot.command));
        for (name, value) in &foot.facts {
            let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
        let _ = writeln!(
            html,
            "</dl>\n<details><summary>The whole configuration</summary>\n<pre>{}</pre></details>\n</main>\n</body>\n</html>",
            escape(&foot.config)
        );
        html
    }
}

impl Table {
    fn html(&self) -> String {
        let class = |k: usize| if k < self.words { " class=\"l\"" } else { "" };
        let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
        for (k, name) in self.head.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(k), escape(name));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (k, cell) in row.iter().enumerate() {
                let text = match cell.strip_prefix('*') {
                    Some(best) => format!("<b>{}</b>", escape(best)),
                    None => escape(cell),
                };
                let _ = write!(html, "<td{}>{text}</td>", class(k));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        if !self.caption.is_empty() {
            let _ = writeln!(html, "<p class=\"note\">{}</p>", self.caption);
        }
        html
    }

    /// The table as comma-separated values.
    pub(crate) fn csv(&self) -> String {
        let mut text = String::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            let cells: Vec<String> = row.iter().map(|c| plain(c)).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }
}

/// A cell as other programs read it.
fn plain(cell: &str) -> String {
    let cell =
        cell.strip_prefix('*').unwrap_or(cell).replace('\u{2212}', "-").replace('\u{202f}', "");
    if cell.contains([',', '"', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

/// A number with three significant digits, as tables show it.
pub(crate) fn digits(v: f64) -> String {
    let text = if v == 0.0 {
        "0".into()
    } else if !v.is_finite() {
        "\u{2014}".into()
    } else if !(1e-3..1e5).contains(&v.abs()) {
        format!("{v:.1e}")
    } else {
        let places = (2 - v.abs().log10().floor() as i32).max(0) as usize;
        format!("{v:.places$}")
    };
    text.replace('-', "\u{2212}")
}

/// As [`digits`], a dash where there is no number.
pub(crate) fn maybe(v: Option<f64>) -> String {
    v.map_or("\u{2014}".into(), digits)
}
