//! The pages against the registries: what the book lists is what there is.

use metrics::Metric;
use solvers::{ConfiguredMethod, Method};

#[test]
fn the_methods_page_lists_the_registry() {
    let page = include_str!("../../../docs/src/guide/methods.md");
    let expected = Method::markdown();
    // `cargo xtask list methods --markdown` prints it.
    assert!(page.contains(&expected), "docs/src/guide/methods.md should hold\n{expected}");
    let constants = ConfiguredMethod::markdown();
    assert!(page.contains(&constants), "docs/src/guide/methods.md should hold\n{constants}");
}

#[test]
fn the_metrics_page_lists_the_registry() {
    let page = include_str!("../../../docs/src/guide/metrics.md");
    let expected = Metric::markdown();
    // `cargo xtask list metrics --markdown` prints it.
    assert!(page.contains(&expected), "docs/src/guide/metrics.md should hold\n{expected}");
}

#[test]
fn the_theory_page_lists_every_sde() {
    let page = include_str!("../../../docs/src/theory/sde.md");
    for name in sde_core::sde::NAMES {
        assert!(page.contains(&format!("| `{name}` |")), "docs/src/theory/sde.md misses {name}");
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
