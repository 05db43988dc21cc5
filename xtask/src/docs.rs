//! Rules for the pages: the book lists every page, the changelog has its Numerics section.

/// Formulas whose dollar signs stand inside the backticks instead of outside: no renderer knows
/// them.
pub(crate) fn formulas(from: &str, text: &str) -> Vec<String> {
    let wrong = text.lines().enumerate().filter(|(_, line)| line.contains("`$`"));
    wrong.map(|(number, _)| format!("{from}:{}: a formula is $`x`$", number + 1)).collect()
}

/// Pages of the book that its summary does not list; all have their path from the root.
pub(crate) fn unlisted(summary: &str, text: &str, pages: &[String]) -> Vec<String> {
    let folder = summary.rsplit_once('/').map_or("", |(folder, _)| folder);
    let link = |page: &str| format!("]({})", page[folder.len()..].trim_start_matches('/'));
    let missing = pages.iter().filter(|page| *page != summary && !text.contains(&link(page)));
    missing.map(|page| format!("{page}: not listed in {summary}")).collect()
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
