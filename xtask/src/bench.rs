//! `bench`: criterion, or fixed work timed by the `measure` binary.

use crate::{binary, cargo};
use anyhow::Result;
use std::process::ExitCode;

/// Runs the criterion benches, or `measure` where the words are its own.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    match for_measure(words) {
        Some(words) => binary::MEASURE.run(&words),
        None => cargo::status(cargo::cargo().args(["bench", "--package", "benches"]).args(words)),
    }
}

/// The command line of `measure`, if it is meant: `train-step`, `sample`, `cliffs`, `overhead`, `transport`, `unet`, `composite`
/// or, alone, `--peers` before a `--`, after which all words are criterion's. Flags may stand before.
fn for_measure(words: &[String]) -> Option<Vec<String>> {
    let own = words.split(|word| word == "--").next().unwrap_or_default();
    // Some have peers of their own, so a command comes before the flag.
    let commands = ["train-step", "sample", "cliffs", "overhead", "transport", "unet", "composite"];
    let command = own.iter().position(|word| commands.contains(&&**word));
    let place = command.or_else(|| own.iter().position(|word| word == "--peers"))?;
    let mut rest = words.to_vec();
    let command = rest.remove(place);
    Some([vec![command.trim_start_matches('-').to_owned()], rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("--bench core", None),
            ("-- sample-in-blocks-of", None),
            ("-- sample", None),
        ];
        for (line, expected) in cases {
            assert_eq!(for_measure(&words(line)), expected.map(words), "{line}");
        }
    }
}
