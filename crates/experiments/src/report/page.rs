//! What the pages of all experiments have in common: HTML files that need nothing beside them.

use super::figure::Figure;
use super::html::{Html, html};

/// What every page begins with.
pub(crate) struct Head<'a> {
    pub(crate) experiment: &'a str,
    pub(crate) preset: &'a str,
    pub(crate) hash: &'a str,
    pub(crate) seed: u64,
    pub(crate) title: &'a Html,
    pub(crate) lead: &'a Html,
}

/// The page down to its first paragraph.
pub(crate) fn head(head: &Head<'_>) -> Html {
    let Head { experiment, preset, hash, seed, title, lead } = *head;
    html!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} \u{b7} {} \u{b7} {}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n<header>\n<p class=\"kicker\">{} \u{b7} {} \u{b7} seed {}</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n</header>\n",
        experiment,
        preset,
        hash,
        Html::from(include_str!("style.css")),
        experiment,
        preset,
        seed,
        title,
        lead
    )
}

/// A heading with a paragraph.
pub(crate) fn section(title: &str, text: &Html) -> Html {
    html!("<h2>{}</h2>\n<p>{}</p>\n", title, text)
}

/// A drawing with what is seen in it, where that is said.
pub(crate) fn figure(figure: &Figure, caption: &Html) -> Html {
    let caption = match &**caption {
        "" => Html::default(),
        _ => html!("<figcaption>{}</figcaption>\n", caption),
    };
    html!("<figure id=\"{}\">\n{}\n{}</figure>\n", figure.name, figure.svg, caption)
}

/// The command that repeats a run, and facts about it.
pub(crate) fn command(command: &str, facts: &[(String, String)]) -> Html {
    let facts: Html =
        facts.iter().map(|(name, value)| html!("<dt>{}</dt><dd>{}</dd>\n", name, value)).collect();
    html!("<pre>{}</pre>\n<dl class=\"facts\">\n{}</dl>\n", command, facts)
}

/// The configuration, folded.
pub(crate) fn configuration(text: &str) -> Html {
    html!("<details><summary>The whole configuration</summary>\n<pre>{}</pre></details>\n", text)
}

/// `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0);
    if s < 10.0 {
        format!("{s:.1} s")
    } else if s < 60.0 {
        format!("{s:.0} s")
    } else if s < 3600.0 {
        format!("{} min {} s", (s / 60.0) as u64, (s % 60.0) as u64)
    } else {
        format!("{} h {} min", (s / 3600.0) as u64, (s % 3600.0 / 60.0) as u64)
    }
}
