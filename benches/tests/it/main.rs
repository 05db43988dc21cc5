//! The pages against the registries: what the book lists is what there is. What is newer than the last release stands in
//! the changelog; the pages get it for the release.

use metrics::Metric;
use sde_core::sde;
use solvers::{ConfiguredMethod, Method};

/// Whether the part of the changelog that is not released yet has a line `- New: `name`, ...`.
fn is_new(name: &str) -> bool {
    let changelog = include_str!("../../../CHANGELOG.md");
    let part = changelog.split("\n## ").nth(1).expect("a section");
    assert!(part.starts_with("[Unreleased]"), "{part:.40}");
    part.lines().any(|line| line.starts_with(&format!("- New: `{name}`")))
}

/// The name in the first cell of a row.
fn name(row: &str) -> Option<&str> {
    row.strip_prefix("| `")?.split('`').next()
}

/// Holds a table of a page against that of a registry: same head, every row there as it is here, and every name there or
/// new since the last release.
fn check_table(page: &str, text: &str, registry: &str) {
    let head = registry.lines().next().expect("a head");
    let table =
        text.lines().skip_while(|line| *line != head).take_while(|line| line.starts_with('|'));
    let listed: Vec<&str> = table.collect();
    assert!(!listed.is_empty(), "{page} has no table\n{head}");
    for row in &listed {
        assert!(
            registry.lines().any(|r| r == *row),
            "{page} has a row that the registry has not:\n{row}"
        );
    }
    for row in registry.lines().filter(|row| !listed.contains(row)) {
        let told = name(row).is_some_and(|name| {
            !listed.iter().any(|r| self::name(r) == Some(name)) && is_new(name)
        });
        assert!(told, "{page} misses a row, and the changelog has no line `- New: ` for it\n{row}");
    }
}

#[test]
fn the_methods_page_lists_the_registry() {
    let (page, text) =
        ("docs/src/guide/methods.md", include_str!("../../../docs/src/guide/methods.md"));
    // `cargo xtask list methods --markdown` prints both.
    check_table(page, text, &Method::markdown());
    check_table(page, text, &ConfiguredMethod::markdown());
}

#[test]
fn the_metrics_page_lists_the_registry() {
    let (page, text) =
        ("docs/src/guide/metrics.md", include_str!("../../../docs/src/guide/metrics.md"));
    // `cargo xtask list metrics --markdown` prints it.
    check_table(page, text, &Metric::markdown());
}

#[test]
fn the_theory_page_lists_every_sde() {
    let page = include_str!("../../../docs/src/theory/sde.md");
    let listed: Vec<&str> = page.lines().filter_map(name).collect();
    for name in &listed {
        assert!(
            sde::NAMES.contains(name),
            "docs/src/theory/sde.md lists {name}, which there is not"
        );
    }
    for name in sde::NAMES {
        let told = listed.contains(name) || is_new(name);
        assert!(
            told,
            "docs/src/theory/sde.md misses {name}, and the changelog has no line `- New: ` for it"
        );
    }
}

#[test]
fn the_configuration_page_lists_every_key() {
    let page = include_str!("../../../docs/src/experiments/configuration.md");
    let preset = include_str!("../../../crates/experiments/configs/paper.toml");
    let keys = preset.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let table = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        table.or_else(|| line.split_once(" = ").map(|(key, _)| key))
    });
    let missing: Vec<&str> = keys
        .filter(|key| !page.contains(&format!("`{key}`")) && !page.contains(&format!("`[{key}]`")))
        .collect();
    assert!(missing.is_empty(), "docs/src/experiments/configuration.md misses {missing:?}");
}
