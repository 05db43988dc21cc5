//! The layer table: which crate may know which.

use serde_json::Value;

/// What one crate of the workspace may depend on.
struct Layer {
    name: &'static str,
    level: u8,
    /// Crates of the workspace it may link. Its tests may use everything strictly below its level.
    uses: &'static [&'static str],
    candle: Candle,
}

/// Whether a crate may link candle.
#[derive(PartialEq)]
enum Candle {
    Never,
    BehindFeature,
    Yes,
}

const LIBRARIES: &[&str] =
    &["sde-core", "data", "metrics", "solvers", "score-nets", "fp-residual", "control"];

/// Those, what pages are made with and what `experiment verify` recomputes.
const ALL: &[&str] = &[
    "sde-core",
    "data",
    "metrics",
    "solvers",
    "score-nets",
    "fp-residual",
    "control",
    "references",
    "report",
];

const TABLE: &[Layer] = &[
    Layer { name: "sde-core", level: 0, uses: &[], candle: Candle::BehindFeature },
    Layer { name: "atomic-file", level: 0, uses: &[], candle: Candle::Never },
    Layer { name: "data", level: 1, uses: &["atomic-file", "sde-core"], candle: Candle::Never },
    Layer { name: "metrics", level: 1, uses: &["sde-core"], candle: Candle::Never },
    Layer { name: "report", level: 1, uses: &[], candle: Candle::Never },
    Layer { name: "solvers", level: 1, uses: &["sde-core"], candle: Candle::Never },
    Layer { name: "score-nets", level: 1, uses: &["atomic-file", "sde-core"], candle: Candle::Yes },
    Layer {
        name: "fp-residual",
        level: 2,
        uses: &["sde-core", "solvers", "score-nets"],
        candle: Candle::BehindFeature,
    },
    Layer { name: "control", level: 2, uses: &["sde-core", "solvers"], candle: Candle::Never },
    Layer { name: "references", level: 3, uses: LIBRARIES, candle: Candle::Yes },
    Layer { name: "experiments", level: 3, uses: ALL, candle: Candle::Yes },
    Layer { name: "benches", level: 3, uses: LIBRARIES, candle: Candle::Yes },
    Layer { name: "xtask", level: 4, uses: &[], candle: Candle::Never },
];

/// All that xtask may link: it must be built in seconds.
const XTASK_LINKS: &[&str] = &["anyhow", "proc-macro2", "serde_json", "strsim"];

/// Every way in which `metadata` (of `cargo metadata`) breaks the table, one line each.
pub(crate) fn violations(metadata: &Value) -> Vec<String> {
    let empty = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&empty);
    let mut found = Vec::new();
    if packages.is_empty() {
        found.push("cargo metadata lists no package".to_owned());
    }
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        match TABLE.iter().find(|layer| layer.name == name) {
            Some(layer) => {
                for dependency in package["dependencies"].as_array().unwrap_or(&empty) {
                    found.extend(judge(layer, dependency).map(|why| format!("{name}: {why}")));
                }
            }
            None => found.push(format!("{name}: no such crate in the layer table")),
        }
    }
    found
}

/// What is wrong with one dependency, if anything is.
fn judge(layer: &Layer, dependency: &Value) -> Option<String> {
    let name = dependency["name"].as_str().unwrap_or_default();
    let test_only = dependency["kind"] == "dev";
    if let Some(other) = TABLE.iter().find(|other| other.name == name) {
        let allowed = layer.uses.contains(&name) || (test_only && other.level < layer.level);
        if !allowed {
            return Some(format!(
                "depends on {name} (L{} on L{}); the layer table allows {}",
                layer.level,
                other.level,
                if layer.uses.is_empty() { "none".to_owned() } else { layer.uses.join(", ") },
            ));
        }
        let features = dependency["features"].as_array().map_or(&[][..], Vec::as_slice);
        if layer.candle != Candle::Yes && !test_only && features.iter().any(|f| f == "candle") {
            return Some(format!("turns on {name}/candle, and must not know candle"));
        }
        let brings = other.candle == Candle::Yes && dependency["optional"] != true;
        if layer.candle == Candle::BehindFeature && brings && !test_only {
            return Some(format!("depends on {name}, which brings candle, without a feature"));
        }
        return None;
    }
    if layer.name == "xtask" && !XTASK_LINKS.contains(&name) {
        return Some(format!(
            "depends on {name}; it may link only {} so that it builds in seconds",
            XTASK_LINKS.join(" and ")
        ));
    }
    if test_only {
        return None;
    }
    if name.starts_with("candle") {
        let optional = dependency["optional"] == true;
        return match layer.candle {
            Candle::Yes => None,
            Candle::BehindFeature if optional => None,
            Candle::BehindFeature => Some(format!("depends on {name} without a feature")),
            Candle::Never => Some(format!("depends on {name}, and must not know candle")),
        };
    }
    // candle and statrs bring different versions of rand: none may show in an interface of ours.
    if LIBRARIES.contains(&layer.name) && (name == "rand" || name.starts_with("rand_")) {
        return Some(format!("depends on {name}; randomness is a `sde_core::Key`"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[Value]) -> Value {
        json!({ "name": name, "dependencies": dependencies })
    }

    fn normal(name: &str) -> Value {
        json!({ "name": name, "kind": null, "optional": false, "features": [] })
    }

    fn dev(name: &str) -> Value {
        json!({ "name": name, "kind": "dev", "optional": false, "features": [] })
    }

    fn check(packages: &[Value]) -> Vec<String> {
        violations(&json!({ "packages": packages }))
    }

    #[test]
    fn the_design_itself_passes() {
        let with_candle =
            json!({ "name": "sde-core", "kind": null, "optional": false, "features": ["candle"] });
        let candle =
            json!({ "name": "candle-core", "kind": null, "optional": true, "features": [] });
        let nets = json!({ "name": "score-nets", "kind": null, "optional": true, "features": [] });
        let found = check(&[
            package("sde-core", &[normal("ndarray"), candle]),
            package("metrics", &[normal("sde-core"), dev("rand")]),
            package("solvers", &[normal("sde-core"), dev("candle-core")]),
            package("score-nets", &[with_candle, normal("candle-core")]),
            package("fp-residual", &[normal("sde-core"), nets, normal("solvers")]),
            package("control", &[normal("sde-core"), normal("solvers"), dev("metrics")]),
            package("experiments", &[normal("metrics"), normal("fp-residual"), normal("control")]),
            package("benches", &[normal("solvers"), dev("criterion")]),
            package("xtask", &[normal("anyhow"), normal("serde_json")]),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn each_breach_gives_one_line() {
        let turned_on =
            json!({ "name": "sde-core", "kind": null, "optional": false, "features": ["candle"] });
        let cases = [
            (package("metrics", &[normal("solvers")]), "metrics: depends on solvers (L1 on L1)"),
            (package("solvers", &[normal("score-nets")]), "solvers: depends on score-nets (L1 on"),
            (package("score-nets", &[dev("solvers")]), "score-nets: depends on solvers (L1 on L1)"),
            (package("sde-core", &[dev("solvers")]), "sde-core: depends on solvers (L0 on L1)"),
            (package("solvers", &[turned_on]), "solvers: turns on sde-core/candle"),
            (package("sde-core", &[normal("candle-core")]), "sde-core: depends on candle-core wit"),
            (
                package("fp-residual", &[normal("score-nets")]),
                "fp-residual: depends on score-nets, which brings candle, without a feature",
            ),
            (package("metrics", &[normal("candle-nn")]), "metrics: depends on candle-nn, and must"),
            (package("solvers", &[normal("rand")]), "solvers: depends on rand; randomness is"),
            (package("xtask", &[normal("clap")]), "xtask: depends on clap; it may link only"),
            (package("xtask", &[normal("metrics")]), "xtask: depends on metrics (L4 on L1)"),
            (
                package("control", &[normal("score-nets")]),
                "control: depends on score-nets (L2 on L1)",
            ),
            (package("helpers", &[]), "helpers: no such crate in the layer table"),
        ];
        for (package, expected) in cases {
            let found = check(&[package]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(expected), "{} is not {expected}", found[0]);
        }
        assert_eq!(check(&[]).len(), 1, "no package at all is a breach too");
    }
}
