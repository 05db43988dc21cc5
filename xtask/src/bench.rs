//! `bench`: criterion, or fixed work that the `measure` binary compares.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::{binary, cargo};

/// What `measure --help` prints (a test of `benches` compares the two). It is answered from here, for
/// building `measure` takes minutes.
const HELP: &str = include_str!("../../benches/help.txt");

/// What stands above it.
const CRITERION: &str = "\
`cargo xtask bench` runs all criterion benches; what follows a `--` is criterion's own:
`cargo xtask bench -- sde-core`, `cargo xtask bench -- --save-baseline a`.
`cargo xtask bench COMMAND` times fixed work:

";

/// Runs the criterion benches, or `measure` where the words are its own.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    if before_dashes(words).iter().any(|word| word == "--help" || word == "-h") {
        std::io::stdout().write_all([CRITERION, HELP].concat().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    match for_measure(words) {
        Some(words) => binary::MEASURE.run(&words),
        None => cargo::status(cargo::cargo().args(["bench", "--package", "benches"]).args(words)),
    }
}

/// The command line of `measure`, if one of its commands is named before a `--`, or `--peers` alone.
/// Flags may stand before the command.
fn for_measure(words: &[String]) -> Option<Vec<String>> {
    let own = before_dashes(words);
    // Some have peers of their own, so a command comes before the flag.
    let command = own.iter().position(|word| commands().any(|command| command == word));
    let place = command.or_else(|| own.iter().position(|word| word == "--peers"))?;
    let mut rest = words.to_vec();
    let command = rest.remove(place);
    Some([vec![command.trim_start_matches('-').to_owned()], rest].concat())
}

/// The commands that the help lists.
fn commands() -> impl Iterator<Item = &'static str> {
    HELP.lines().filter_map(|line| Some(line.trim_start().strip_prefix("- ")?.split_once(':')?.0))
}

/// The words before a `--`, after which all are criterion's.
fn before_dashes(words: &[String]) -> &[String] {
    words.split(|word| word == "--").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_of_the_help() {
        let expected = "train-step sample peers cliffs unet composite transport";
        assert_eq!(commands().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn measure_gets_its_own_words_and_criterion_the_rest() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let cases = [
            ("train-step --json", Some("train-step --json")),
            ("--json sample --rounds 3", Some("sample --json --rounds 3")),
            ("--python p --peers --json", Some("peers --python p --json")),
            ("transport --peers --json", Some("transport --peers --json")),
            ("--peers transport", Some("transport --peers")),
            ("unet --peers --json", Some("unet --peers --json")),
            ("--peers composite --json", Some("composite --peers --json")),
            ("", None),
            ("--features cuda", None),
            ("-- sample-in-blocks-of", None),
            ("-- sample", None),
            ("overhead", None),
        ];
        for (line, expected) in cases {
            assert_eq!(for_measure(&words(line)), expected.map(words), "{line}");
        }
    }
}
