//! Rules that every Rust file of the workspace keeps.

use crate::source::{code_of, has_word};

/// No file is longer: one idea a file.
const MAX_LINES: usize = 700;

/// The only folder with `unsafe` code.
const UNSAFE_IN: &str = "crates/score-nets/src/fused";

/// Files whose operations become calls in a closure, which is compiled without their instruction set.
const NO_CLOSURES_IN: &str = "crates/score-nets/src/fused/simd/avx";

/// Words that may not stand in the code, each with its reason.
const BANNED: &[(&str, &str)] = &[
    ("todo!", "unfinished code does not go in"),
    ("unimplemented!", "unfinished code does not go in"),
    ("dbg!", "leftover of debugging"),
    ("#[ignore", "a test that never runs holds nothing; name it slow_*"),
    ("should_panic", "assert on the error value"),
];

/// Every way in which the Rust file `path` (relative, with `/`) breaks the rules.
pub(crate) fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{path}: {lines} lines, at most {MAX_LINES}"));
    }
    let may_be_unsafe = path.starts_with(&format!("{UNSAFE_IN}/"))
        || path.strip_suffix(".rs").is_some_and(|stem| stem == UNSAFE_IN);
    for (number, line) in code_of(text).lines().enumerate() {
        let place = format!("{path}:{}", number + 1);
        for (word, reason) in BANNED {
            if has_word(line, word) {
                found.push(format!("{place}: `{word}`: {reason}"));
            }
        }
        if path.starts_with(NO_CLOSURES_IN) && line.contains("(|") {
            found.push(format!("{place}: a closure has not the instruction set; use a function"));
        }
        if !may_be_unsafe && has_word(line, "unsafe") {
            found.push(format!("{place}: `unsafe` outside {UNSAFE_IN}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_see_code_and_not_words_in_comments() {
        let kept = "// todo! and unsafe\nlet s = \"dbg!(unsafe)\"; // #[ignore]\n";
        assert_eq!(violations("crates/solvers/src/a.rs", kept), Vec::<String>::new());
        let broken = "fn f() { todo!() }\n#[ignore]\nunsafe { dbg!(1) }\n";
        let found = violations("crates/solvers/src/a.rs", broken);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("crates/solvers/src/a.rs:1: `todo!`"), "{found:?}");
        assert!(found[1].starts_with("crates/solvers/src/a.rs:2: `#[ignore`"), "{found:?}");
    }

    #[test]
    fn unsafe_has_one_home() {
        let code = "unsafe { f() }\n";
        assert!(violations("crates/score-nets/src/fused/kernel.rs", code).is_empty());
        assert!(violations("crates/score-nets/src/fused.rs", code).is_empty());
        assert_eq!(violations("crates/score-nets/src/fused_too.rs", code).len(), 1);
    }

    #[test]
    fn closures_stay_out_of_the_instruction_sets() {
        let code = "let b = a.map(|x| f(x)); // a.map(|x|\n";
        let found = violations("crates/score-nets/src/fused/simd/avx512.rs", code);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(violations("crates/score-nets/src/fused/simd/portable.rs", code).is_empty());
        let flags = "f::<{ A | B }>(a)\n";
        assert!(violations("crates/score-nets/src/fused/simd/avx2.rs", flags).is_empty());
    }

    #[test]
    fn long_files_are_named_with_their_length() {
        let found = violations("a.rs", &"\n".repeat(MAX_LINES + 1));
        assert_eq!(found, ["a.rs: 701 lines, at most 700"]);
    }
}
