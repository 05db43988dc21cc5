//! What the lints of the workspace do not see in a Rust file.

/// No file is longer: one idea a file.
const MAX_LINES: usize = 500;

/// The only folder that may allow itself `unsafe` code, which the workspace denies.
const UNSAFE_IN: &str = "crates/score-nets/src/fused";

/// Files whose operations become calls in a closure, which is compiled without their instruction set.
const NO_CLOSURES_IN: &str = "crates/score-nets/src/fused/simd/avx";

/// Every way in which the Rust file `path` (relative, with `/`) breaks the rules.
pub(crate) fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{path}: {lines} lines, at most {MAX_LINES}"));
    }
    let may_be_unsafe =
        path.strip_prefix(UNSAFE_IN).is_some_and(|rest| rest.starts_with(['/', '.']));
    for (number, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", number + 1);
        let code = line.split("//").next().unwrap_or_default();
        if path.starts_with(NO_CLOSURES_IN) && code.contains("(|") {
            found.push(format!("{place}: a closure has not the instruction set; use a function"));
        }
        if !may_be_unsafe && code.contains("unsafe_code") && !code.contains('"') {
            found.push(format!("{place}: `unsafe` outside {UNSAFE_IN}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_has_one_home() {
        let code = "#![allow(\n    unsafe_code,\n)]\n";
        assert!(violations("crates/score-nets/src/fused/kernel.rs", code).is_empty());
        assert!(violations("crates/score-nets/src/fused.rs", code).is_empty());
        let found = violations("crates/score-nets/src/fused_too.rs", code);
        assert_eq!(
            found,
            [format!("crates/score-nets/src/fused_too.rs:2: `unsafe` outside {UNSAFE_IN}")]
        );
        assert!(violations("crates/solvers/src/a.rs", "// #[allow(unsafe_code)]\n").is_empty());
    }

    #[test]
    fn closures_stay_out_of_the_instruction_sets() {
        let code = "let b = a.map(|x| f(x)); // a.map(|x|\n";
        let found = violations("crates/score-nets/src/fused/simd/avx512.rs", code);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(violations("crates/score-nets/src/fused/simd/portable.rs", code).is_empty());
    }

    #[test]
    fn long_files_are_named_with_their_length() {
        let found = violations("crates/solvers/src/a.rs", &"\n".repeat(MAX_LINES + 1));
        assert_eq!(found, ["crates/solvers/src/a.rs: 501 lines, at most 500"]);
    }
}
