//! Pages: one HTML file each that needs nothing beside it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::grid::Figure;
use crate::table::Table;

/// A page before it is written.
///
/// ```
/// use report::{Foot, Head, Sheet, html};
/// let mut sheet = Sheet::new("A <title>", html! { "What was " b { "found" } "." });
/// sheet.section("Method", html! { "How." });
/// let head = Head { kicker: "example".into(), ..Head::default() };
/// let page = sheet.html(&head, &Foot::default()).into_string();
/// assert!(page.contains("A &lt;title&gt;</h1>") && page.contains("<b>found</b>"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// What was found, in a line.
    pub title: String,
    /// What was found, in a paragraph.
    pub lead: Markup,
    /// The rest, in order.
    pub blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Clone, Debug)]
pub enum Block {
    /// A heading with a paragraph.
    Section(String, Markup),
    /// Drawings side by side, and what is seen in them.
    Figures(Vec<Figure>, Markup),
    /// A table.
    Table(Table),
    /// Anything else.
    Html(Markup),
}

/// What stands above the title.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Title of the window.
    pub window: String,
    /// A line above the title.
    pub kicker: String,
    /// What must be known before anything on the page is believed.
    pub warning: Option<String>,
}

/// What the foot of a page says.
#[derive(Clone, Debug, Default)]
pub struct Foot {
    /// What the command below repeats.
    pub repeats: String,
    /// The command that makes the page again.
    pub command: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    /// The configuration.
    pub config: String,
}

impl Sheet {
    /// A page with nothing but its head.
    #[must_use]
    pub fn new(title: impl Into<String>, lead: Markup) -> Self {
        Self { title: title.into(), lead, blocks: Vec::new() }
    }

    /// Appends a heading with a paragraph.
    pub fn section(&mut self, title: &str, text: Markup) {
        self.blocks.push(Block::Section(title.into(), text));
    }

    /// Appends a figure.
    pub fn figure(&mut self, figure: Figure, caption: Markup) {
        self.blocks.push(Block::Figures(vec![figure], caption));
    }

    /// Appends a table.
    pub fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    /// Appends anything else.
    pub fn push(&mut self, html: Markup) {
        self.blocks.push(Block::Html(html));
    }

    /// Every figure of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Figures(figures, _) => figures.as_slice(),
            _ => &[],
        })
    }

    /// Every table of the page.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Table(table) => Some(table),
            _ => None,
        })
    }

    /// The whole page.
    #[must_use]
    pub fn html(&self, head: &Head, foot: &Foot) -> Markup {
        html! {
            (DOCTYPE) "\n"
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (head.window) }
                    style { (PreEscaped(include_str!("style.css"))) }
                }
                "\n"
                body { main {
                    header {
                        p class="kicker" { (head.kicker) }
                        h1 { (self.title) }
                        @if let Some(warning) = &head.warning { p class="warning" { (warning) } }
                        p class="lead" { (self.lead) }
                    }
                    "\n"
                    @for block in &self.blocks { (block.html()) "\n" }
                    (foot.html())
                } }
            }
            "\n"
        }
    }
}

impl Block {
    fn html(&self) -> Markup {
        match self {
            Self::Section(title, text) => html! {
                h2 { (title) } "\n"
                @if !text.0.is_empty() { p { (text) } }
            },
            Self::Figures(figures, caption) => {
                let all = html! {
                    @for (k, figure) in figures.iter().enumerate() {
                        figure id=(figure.name) {
                            (figure.svg)
                            @if k + 1 == figures.len() && !caption.0.is_empty() {
                                figcaption { (caption) }
                            }
                        }
                    }
                };
                if figures.len() > 1 {
                    html! { div class="pair" { (all) } }
                } else {
                    all
                }
            }
            Self::Table(table) => table.html(),
            Self::Html(html) => html.clone(),
        }
    }
}

impl Foot {
    fn html(&self) -> Markup {
        html! {
            h2 { "Reproduce" } "\n"
            p { (self.repeats) }
            pre { (self.command) } "\n"
            dl class="facts" {
                @for (name, value) in &self.facts { dt { (name) } dd { (value) } "\n" }
            }
            details { summary { "The whole configuration" } pre { (self.config) } } "\n"
        }
    }
}
