//! CUDA: a tree to build the feature `cuda` with where there is no CUDA, and what is built with it.
//!
//! - `wheels`: compiler, headers and libraries, as the package index of Python has them;
//! - `stubs`: libraries to link against that hold nothing but names;
//! - `tree`: both in one folder, made step by step;
//! - `toolkit`: the environment of a build, with this machine's CUDA or with the tree.

mod carry;
mod check;
mod stubs;
mod toolkit;
mod tree;
mod wheels;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

pub(crate) use check::run as check;
pub(crate) use toolkit::Toolkit;
use tree::Tree;

use crate::binary;

/// `cuda-toolchain [--dir D] [--runtime]`: makes the tree and prints the environment to build with.
pub(crate) fn toolchain(words: &[String]) -> Result<ExitCode> {
    let (mut dir, mut runtime) = (None, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), word.strip_prefix("--dir=")) {
            ("--dir", _) => dir = Some(value("--dir", words.next())?),
            (_, Some(path)) => dir = Some(PathBuf::from(path)),
            ("--runtime", _) => runtime = true,
            _ => bail!("cuda-toolchain knows --dir D and --runtime, not `{word}`"),
        }
    }
    let tree = Tree::at(dir)?;
    tree.make(runtime)?;
    let lines: Vec<String> = Toolkit::of_tree(&tree)?.exports();
    writeln!(std::io::stdout(), "{}", lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Hands a command line over to `experiment`; `--cuda` in it is a build for CUDA, run on its first device
/// unless it names one.
pub(crate) fn experiment(words: &[String]) -> Result<ExitCode> {
    match for_device(words) {
        None => binary::EXPERIMENT.run(words),
        Some(words) => {
            let toolkit = Toolkit::find(true)?;
            let program =
                binary::EXPERIMENT.build(&mut toolkit.cargo()?, &["--features", "cuda"])?;
            let mut command = Command::new(program);
            toolkit.runs(command.args(words))?;
            binary::hand_over(&mut command)
        }
    }
}

/// The command line of the program that is built for CUDA; `None` where none is asked for.
fn for_device(words: &[String]) -> Option<Vec<String>> {
    let mut rest: Vec<String> = words.iter().filter(|word| *word != "--cuda").cloned().collect();
    if rest.len() == words.len() {
        return None;
    }
    if !rest.iter().any(|word| word == "--device" || word.starts_with("--device=")) {
        rest.extend(["--device".into(), "cuda:0".into()]);
    }
    Some(rest)
}

/// The path after a flag.
fn value(flag: &str, word: Option<&String>) -> Result<PathBuf> {
    match word {
        Some(word) if !word.starts_with("--") => Ok(PathBuf::from(word)),
        _ => bail!("{flag} needs a folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_in_a_command_line_is_a_device() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let cases = [
            ("run ode-sde-gap", None),
            ("run ode-sde-gap --cuda", Some("run ode-sde-gap --device cuda:0")),
            ("--json --cuda train a.toml", Some("--json train a.toml --device cuda:0")),
            ("sample --cuda --device cuda:1 --n 5", Some("sample --device cuda:1 --n 5")),
            ("device-check --cuda --device=cpu", Some("device-check --device=cpu")),
        ];
        for (line, expected) in cases {
            assert_eq!(for_device(&words(line)), expected.map(words), "{line}");
        }
    }

    #[test]
    fn a_flag_without_its_folder_is_named() {
        for line in ["--dir", "--dir --runtime", "--folder x"] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let refused = toolchain(&words).expect_err(line).to_string();
            assert!(refused.contains("--dir"), "{line}: {refused}");
        }
        let refused = check(&[]).expect_err("no --cuda").to_string();
        assert!(refused.contains("--cuda"), "{refused}");
    }
}
