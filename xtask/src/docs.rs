//! Rules for the pages: links lead somewhere, the book lists every page, the changelog has its
//! Numerics section.

use std::collections::BTreeSet;

/// Targets of the links in a Markdown page, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let mut rest = line;
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
    found
}

/// The file a link on page `from` leads to, relative to the root; `None` for one that leaves the
/// repository or stays on the page.
fn target(from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with('#') || link.starts_with("mailto:") {
        return None;
    }
    let path = link.split(['#', ' ']).next().unwrap_or_default();
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// Links of the page `from` that lead to nothing.
pub(crate) fn broken_links(from: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    links(text)
        .iter()
        .filter_map(|link| Some((link, target(from, link)?)))
        .filter(|(_, file)| !exists(file))
        .map(|(link, _)| format!("{from}: link to {link}, which does not exist"))
        .collect()
}

/// Formulas whose dollar signs stand inside the backticks instead of outside: no renderer knows
/// them.
pub(crate) fn formulas(from: &str, text: &str) -> Vec<String> {
    let wrong = text.lines().enumerate().filter(|(_, line)| line.contains("`$`"));
    wrong.map(|(number, _)| format!("{from}:{}: a formula is $`x`$", number + 1)).collect()
}

/// Pages of the book that its summary does not list.
pub(crate) fn unlisted(summary: &str, text: &str, pages: &[String]) -> Vec<String> {
    let listed: BTreeSet<String> =
        links(text).iter().filter_map(|link| target(summary, link)).collect();
    pages
        .iter()
        .filter(|page| *page != summary && !listed.contains(*page))
        .map(|page| format!("{page}: not listed in {summary}"))
        .collect()
}

/// What the changelog lacks: a Numerics section in the part that is not released yet.
pub(crate) fn changelog(text: &str) -> Vec<String> {
    let unreleased = text
        .lines()
        .skip_while(|line| !line.starts_with("## [Unreleased]"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "));
    if unreleased.into_iter().any(|line| line.trim() == "### Numerics") {
        Vec::new()
    } else {
        vec!["CHANGELOG.md: no `### Numerics` under `## [Unreleased]`".to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_their_page() {
        let text = "[a](../b.md#x) [c](https://c.org) [d](#d)\n```\n[e](none.md)\n```\n[f](f.md)";
        let exists = |file: &str| file == "docs/src/b.md";
        assert_eq!(
            broken_links("docs/src/guide/a.md", text, &exists),
            ["docs/src/guide/a.md: link to f.md, which does not exist"]
        );
    }

    #[test]
    fn formulas_have_their_dollars_outside() {
        assert!(formulas("a.md", "$`x`$ and $`y`$").is_empty());
        assert_eq!(formulas("a.md", "x\n`$`y`$`"), ["a.md:2: a formula is $`x`$"]);
    }

    #[test]
    fn pages_outside_the_summary_are_named() {
        let pages = ["docs/src/SUMMARY.md", "docs/src/a.md", "docs/src/b/c.md"].map(String::from);
        assert_eq!(
            unlisted("docs/src/SUMMARY.md", "- [A](a.md)", &pages),
            ["docs/src/b/c.md: not listed in docs/src/SUMMARY.md"]
        );
    }

    #[test]
    fn numerics_must_stand_under_unreleased() {
        let good = "# Changelog\n## [Unreleased]\n### Added\n### Numerics\n## [0.1.0]\n";
        let late = "# Changelog\n## [Unreleased]\n### Added\n## [0.1.0]\n### Numerics\n";
        assert!(changelog(good).is_empty());
        assert_eq!(changelog(late).len(), 1);
    }
}
