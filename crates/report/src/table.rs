//! Tables: HTML in the page, comma-separated values beside it.

use maud::{Markup, html};

use crate::number::{digits, maybe, with_error};

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Its standard error; empty for none.
    pub error: String,
    /// A figure from elsewhere beside it, in grey; empty for none.
    pub beside: String,
    /// Whether it is set in colour.
    pub best: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Cell {
    /// A number with three significant digits, a dash where there is none.
    #[must_use]
    pub fn number(value: impl Into<Option<f64>>) -> Self {
        maybe(value.into()).into()
    }

    /// A number with its standard error.
    ///
    /// ```
    /// let cell = report::Cell::with_error(0.027_491, Some(0.001_37));
    /// assert_eq!((cell.text.as_str(), cell.error.as_str()), ("0.0275", "0.0014"));
    /// ```
    #[must_use]
    pub fn with_error(value: f64, error: Option<f64>) -> Self {
        let (text, error) = error.map_or((digits(value), String::new()), |e| with_error(value, e));
        Self { text, error, ..Self::default() }
    }

    /// With a figure from elsewhere beside it.
    #[must_use]
    pub fn beside(self, text: Option<String>) -> Self {
        Self { beside: text.unwrap_or_default(), ..self }
    }

    /// Set in colour where `best`.
    #[must_use]
    pub fn best(self, best: bool) -> Self {
        Self { best, ..self }
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// One of many.
    #[default]
    Plain,
    /// The last of those that belong together: a line follows.
    Last,
    /// What the rows above are judged by, and the last of them.
    Floor,
}

/// A row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Cells from the left; the last one spans the columns that are left over.
    pub cells: Vec<Cell>,
    /// What it is.
    pub kind: Kind,
}

impl Row {
    /// An ordinary row.
    #[must_use]
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, kind: Kind::Plain }
    }
}

/// A table; it is also written as CSV.
///
/// ```
/// use report::{Cell, Row, Table};
/// let mut table = Table::new("distances", 1, &["sampler", "squared W2"]);
/// table.rows.push(Row::new(vec!["ODE".into(), Cell::with_error(0.0275, Some(0.0014))]));
/// assert_eq!(table.csv(), "sampler,squared W2,standard error\nODE,0.0275,0.0014\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// File name without its ending.
    pub name: String,
    /// What it says; empty for nothing.
    pub caption: Markup,
    /// Names above several columns and how many each spans; empty for none.
    pub groups: Vec<(String, usize)>,
    /// Names of the columns, with subscripts written `_{..}` and superscripts `^{..}`.
    pub head: Vec<String>,
    /// Rows.
    pub rows: Vec<Row>,
    /// How many columns on the left hold words.
    pub words: usize,
    /// What unfolds it; empty for a table that is open.
    pub folded: String,
}

/// A table that gets its columns one after the other, with a row an item.
#[derive(Debug)]
pub struct Columns<'a, T> {
    table: Table,
    items: Vec<&'a T>,
}

impl<'a, T> Columns<'a, T> {
    /// With another column: its name, and its cell for an item.
    #[must_use]
    pub fn column<C: Into<Cell>>(mut self, name: &str, of: impl Fn(&'a T) -> C) -> Self {
        self.table.head.push(name.into());
        for (row, item) in self.table.rows.iter_mut().zip(self.items.iter().copied()) {
            row.cells.push(of(item).into());
        }
        self
    }

    /// The table, with what it says below.
    #[must_use]
    pub fn caption(self, caption: Markup) -> Table {
        self.table.caption(caption)
    }
}

/// A part of what stands in a cell.
type Part = fn(&Cell) -> &str;

impl Table {
    /// An empty table whose first `words` columns hold words.
    #[must_use]
    pub fn new<S: ToString>(name: &str, words: usize, head: &[S]) -> Self {
        let head = head.iter().map(ToString::to_string).collect();
        Self { name: name.into(), head, words, ..Self::default() }
    }

    /// A table with a row an item, whose first `words` columns hold words.
    ///
    /// ```
    /// use report::{Cell, Table, html};
    /// let found = [("ODE", 0.0275), ("SDE", 0.0041)];
    /// let table = Table::of("distances", 1, &found)
    ///     .column("sampler", |(name, _)| *name)
    ///     .column("squared W2", |(_, distance)| Cell::number(*distance))
    ///     .caption(html! { "To the truth." });
    /// assert_eq!(table.csv(), "sampler,squared W2\nODE,0.0275\nSDE,0.00410\n");
    /// ```
    #[must_use]
    pub fn of<'a, T>(
        name: &str,
        words: usize,
        items: impl IntoIterator<Item = &'a T>,
    ) -> Columns<'a, T> {
        let items: Vec<&T> = items.into_iter().collect();
        let rows = vec![Row::default(); items.len()];
        let table = Self { name: name.into(), words, rows, ..Self::default() };
        Columns { table, items }
    }

    /// With what it says below.
    #[must_use]
    pub fn caption(self, caption: Markup) -> Self {
        Self { caption, ..self }
    }

    /// With rows.
    #[must_use]
    pub fn rows(self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        Self { rows: rows.into_iter().map(Row::new).collect(), ..self }
    }

    /// Shown after a click on this text.
    #[must_use]
    pub fn folded(self, text: &str) -> Self {
        Self { folded: text.into(), ..self }
    }

    /// The table as an element with its caption.
    #[must_use]
    pub fn html(&self) -> Markup {
        let table = html! {
            div class="scroll" { table class=[(self.head.len() > 9).then_some("dense")] {
                thead {
                    @if !self.groups.is_empty() {
                        tr { @for (name, span) in &self.groups {
                            th class="group" colspan=(span) { (scripts(name)) }
                        } }
                    }
                    tr { @for (k, name) in self.head.iter().enumerate() {
                        th class=[self.class(k, "")] { (scripts(name)) }
                    } }
                }
                "\n"
                tbody { @for row in &self.rows { (self.row(row)) } }
            } }
            @if !self.caption.0.is_empty() { p class="note" { (self.caption) } "\n" }
        };
        if self.folded.is_empty() {
            return table;
        }
        html! { details { summary { (self.folded) } (table) } "\n" }
    }

    fn row(&self, row: &Row) -> Markup {
        let kind = match row.kind {
            Kind::Plain => None,
            Kind::Last => Some("last"),
            Kind::Floor => Some("floor last"),
        };
        let left_over = (self.head.len() + 1).saturating_sub(row.cells.len());
        html! {
            tr class=[kind] {
                @for (k, cell) in row.cells.iter().enumerate() {
                    @let spans = k + 1 == row.cells.len() && left_over > 1;
                    td class=[self.class(k, &cell.text)] colspan=[spans.then_some(left_over)] {
                        @if cell.best { b { (scripts(&cell.text)) } }
                        @else { (scripts(&cell.text)) }
                        @if !cell.error.is_empty() { span class="se" { " \u{b1} " (cell.error) } }
                        @if !cell.beside.is_empty() { span class="pub" { (cell.beside) } }
                    }
                }
            }
            "\n"
        }
    }

    /// Words stand on the left, long ones may break.
    fn class(&self, column: usize, text: &str) -> Option<&'static str> {
        match (column < self.words, text.chars().count() > 40) {
            (_, true) => Some("wrap"),
            (true, false) => Some("l"),
            (false, false) => None,
        }
    }

    /// The table as comma-separated values; standard errors and figures from elsewhere have columns of
    /// their own.
    #[must_use]
    pub fn csv(&self) -> String {
        let any = |k: usize, f: Part| {
            self.rows.iter().any(|r| r.cells.get(k).is_some_and(|c| !f(c).is_empty()))
        };
        let extra: [(&str, Part); 2] =
            [("standard error", |c| &c.error), ("published", |c| &c.beside)];
        let line = |cell: &dyn Fn(usize) -> Cell, heads: bool| {
            let mut fields = Vec::new();
            for k in 0..self.head.len() {
                let cell = cell(k);
                fields.push(plain(&cell.text));
                for (name, part) in extra.iter().filter(|(_, part)| any(k, *part)) {
                    fields.push(if heads { (*name).into() } else { plain(part(&cell)) });
                }
            }
            fields.join(",") + "\n"
        };
        let mut text = line(&|k| self.head[k].as_str().into(), true);
        for row in &self.rows {
            text += &line(&|k| row.cells.get(k).cloned().unwrap_or_default(), false);
        }
        text
    }
}

/// Subscripts written `_{..}` and superscripts `^{..}` as elements.
fn scripts(text: &str) -> Markup {
    let at = text.find("_{").into_iter().chain(text.find("^{")).min();
    let found = at.and_then(|at| Some((at, text[at + 2..].split_once('}')?)));
    let Some((at, (inner, rest))) = found else { return html! { (text) } };
    html! {
        (text[..at])
        @if text[at..].starts_with('_') { sub { (inner) } } @else { sup { (inner) } }
        (scripts(rest))
    }
}

/// A text as a field that other programs read.
fn plain(text: &str) -> String {
    let text = text.replace('\u{2212}', "-").replace('\u{202f}', "");
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}
