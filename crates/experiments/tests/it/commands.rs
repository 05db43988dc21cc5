//! Commands that the docs name, and what the shell asks of a program.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use crate::support::experiment;

/// Words that belong to `cargo xtask` itself.
const OF_XTASK: [&str; 11] = [
    "experiment",
    "help",
    "test",
    "ci",
    "tidy",
    "bench",
    "cuda-toolchain",
    "check",
    "doc",
    "book",
    "X",
];

/// The pages of the repository, with their text.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("docs/src")];
    let mut files: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the book") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                files.push(path);
            }
        }
    }
    let read = |path: &std::path::PathBuf| {
        (path.display().to_string(), std::fs::read_to_string(path).expect("a page"))
    };
    files.iter().map(read).collect()
}

/// Every command that a page tells a reader to type exists.
#[test]
fn commands_of_the_docs_exist() {
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    for (page, text) in pages() {
        for start in ["cargo xtask ", "experiment "] {
            for (at, _) in text.match_indices(start) {
                // In code, a command begins a line, a span or what follows another one's pipe.
                let begins = text[..at].chars().next_back().is_none_or(|c| "\n`$|".contains(c));
                let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
                let rest = &text[at + start.len()..];
                let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
                if begins && !word.is_empty() && !word.starts_with('-') {
                    named.insert((word.to_owned(), page.clone()));
                }
            }
        }
    }
    assert!(named.len() > 20, "{named:?}");
    for (word, page) in named.iter().filter(|(word, _)| !OF_XTASK.contains(&word.as_str())) {
        let output = experiment(&[word, "--help"]).output().expect("it starts");
        assert!(output.status.success(), "{page} names `{word}`, which is no command");
    }
}

/// What `| head -1` does: it reads a little and goes.
#[test]
fn a_reader_who_goes_is_no_error() {
    for words in [&["list"][..], &["--help"], &["completions", "bash"]] {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("experiment"));
        let child = child.args(words).stdin(Stdio::null());
        let mut child =
            child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        let code = child.wait().expect("it ends").code();
        assert_eq!((said.as_str(), code), ("", Some(141)), "{words:?}");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = experiment(&["completions", shell]).output().expect("it starts");
        let script = String::from_utf8(output.stdout).expect("text");
        for command in ["run", "encode", "device-check"] {
            assert!(output.status.success() && script.contains(command), "{shell}: {command}");
        }
    }
}
