//! The page of an experiment as a list of blocks: text, figures with captions, tables.

use super::Figure;
use super::html::{Html, html};
use super::page::{self, Head};

/// A page before it is written.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// What was found, in a line.
    pub title: Html,
    /// What was found, in a paragraph.
    pub lead: Html,
    /// The rest, in order.
    pub blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Clone, Debug)]
pub enum Block {
    /// A heading with a paragraph.
    Section(String, Html),
    /// A drawing and what is seen in it.
    Figure(Figure, Html),
    /// A table.
    Table(Table),
    /// Anything else.
    Html(Html),
}

/// A table; it is also written as CSV.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// File name without its ending.
    pub name: String,
    /// What it says.
    pub caption: Html,
    /// Names of the columns.
    pub head: Vec<String>,
    /// Cells; one that begins with `*` is set in colour.
    pub rows: Vec<Vec<String>>,
    /// How many columns on the left hold words.
    pub words: usize,
}

/// What the foot of a page says.
#[derive(Clone, Debug, Default)]
pub struct Foot {
    /// The command that repeats the run.
    pub command: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    /// The configuration.
    pub config: String,
}

impl Sheet {
    /// Appends a heading with a paragraph.
    pub fn section(&mut self, title: &str, text: impl Into<Html>) {
        self.blocks.push(Block::Section(title.into(), text.into()));
    }

    /// Appends a figure.
    pub fn figure(&mut self, figure: Figure, caption: impl Into<Html>) {
        self.blocks.push(Block::Figure(figure, caption.into()));
    }

    /// Appends a table.
    pub fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    /// The whole page.
    pub fn html(&self, experiment: &str, preset: &str, hash: &str, seed: u64, foot: &Foot) -> Html {
        let mut html = page::head(&Head {
            experiment,
            preset,
            hash,
            seed,
            title: &self.title,
            lead: &self.lead,
        });
        for block in &self.blocks {
            html.push(match block {
                Block::Section(title, text) => page::section(title, text),
                Block::Figure(figure, caption) => page::figure(figure, caption),
                Block::Table(table) => table.html(),
                Block::Html(html) => html.clone(),
            });
        }
        let repeated = Html::from(
            "Every random number is a function of the seed, of what it is for and of the particle it belongs to: the command repeats these figures, times apart, on any number of threads.",
        );
        html.push(page::section("Reproduce", &repeated));
        html.push(page::command(&foot.command, &foot.facts));
        html.push(page::configuration(&foot.config));
        html.push("</main>\n</body>\n</html>\n");
        html
    }
}

impl Table {
    fn html(&self) -> Html {
        let class = |k: usize| Html::from(if k < self.words { " class=\"l\"" } else { "" });
        let head = self.head.iter().enumerate();
        let head: Html = head.map(|(k, name)| html!("<th{}>{}</th>", class(k), name)).collect();
        let mut rows = Html::default();
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(k, cell)| match cell.strip_prefix('*') {
                Some(best) => html!("<td{}><b>{}</b></td>", class(k), best),
                None => html!("<td{}>{}</td>", class(k), cell),
            });
            rows.push(html!("<tr>{}</tr>\n", cells.collect::<Html>()));
        }
        let note = match &*self.caption {
            "" => Html::default(),
            _ => html!("<p class=\"note\">{}</p>\n", self.caption),
        };
        html!(
            "<div class=\"scroll\"><table><thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n{}",
            head,
            rows,
            note
        )
    }

    /// The table as comma-separated values.
    pub fn csv(&self) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_stay_text() {
        let evil = "</title><script>alert(1)</script>";
        let mut sheet = Sheet { title: "t".into(), lead: html!("{}", evil), ..Sheet::default() };
        sheet.section(evil, html!("<b>{}</b>", evil));
        sheet.table(Table {
            head: vec![evil.into()],
            rows: vec![vec![format!("*{evil}")], vec![evil.into()]],
            caption: html!("{}", evil),
            ..Table::default()
        });
        let facts = vec![(evil.to_string(), evil.to_string())];
        let foot = Foot { command: evil.into(), facts, config: evil.into() };
        let page = sheet.html(evil, evil, evil, 0, &foot);
        assert!(!page.contains("<script") && page.contains("<b>&lt;/title&gt;&lt;script&gt;"));
        assert_eq!(page.matches("</title>").count(), 1);
    }
}
