//! `cargo xtask`: everything one does with this workspace, behind one word.
//!
//! It links no candle and no crate of the workspace: it builds and spawns `experiment` and `measure`,
//! runs the checks, and holds the policy of the repository (`tidy`).

mod bench;
mod binary;
mod cargo;
mod cuda;
mod docs;
mod layers;
mod modules;
mod policy;
mod steps;
mod summary;
mod tidy;

use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask: train, sample, measure and check, from one word

Experiments: every other word goes to the `experiment` binary, built in release on first use
  experiment --help          its commands; each has --help with an example, and --json
  run EXPERIMENT|FILE.toml   one configured run: data, training, sampling, metrics, report
  verify [refs DIR]          recompute the references of the repository, or those in DIR
  list                       experiments, methods, SDEs, time grids, metrics: what there is
  COMMAND --cuda ...         the same, built with CUDA, on the first device or that of `--device cuda:N`

Working on the project:
  test [--slow] [WORDS]      layering and policy, format, clippy, then all tests, and which did not run and
                             why; --slow: only the tests named slow_*; WORDS go to `cargo test --workspace`
  ci                         what the CI runs: `test` with CI=true and a locked Cargo.lock
  tidy                       the layer table, the source policy and the pages of the book
  bench [WORDS]              criterion benches (`cargo bench -p benches WORDS`)
  bench COMMAND [--peers]    fixed work timed turn by turn with other software and other ways of doing it:
                             train-step, sample, cliffs, unet, composite, transport; --help
  cuda-toolchain [--dir D]   a CUDA 13 toolkit to build with where there is none (needs python3 with
                             pip, and gcc); prints the environment; --runtime: with what runs need
  check --cuda [--carry DIR] the feature `cuda` builds, links and passes clippy, without a device; into
                             DIR: programs for `tests/on_gpu.sh` on a machine without Rust
  doc [WORDS]                API documentation with formulas (`cargo doc --no-deps WORDS`)
  book                       the mdBook under docs/ (needs `mdbook` on the PATH)
  help                       this page

Examples:
  cargo xtask run ode-sde-gap
  cargo xtask test
";

/// The words that mean something here; every other one is a command of `experiment`.
const OWN: [&str; 9] =
    ["help", "test", "ci", "tidy", "bench", "cuda-toolchain", "check", "doc", "book"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[String]) -> anyhow::Result<ExitCode> {
    let Some((command, rest)) = words.split_first() else {
        eprint!("{HELP}");
        return Ok(ExitCode::from(2));
    };
    match command.as_str() {
        "help" | "--help" | "-h" => {
            std::io::stdout().write_all(HELP.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        "test" => steps::test(rest, std::env::var_os("CI").is_some()),
        "ci" => no_words(command, rest).and_then(|()| steps::test(&[], true)),
        "tidy" => no_words(command, rest).and_then(|()| steps::tidy()),
        "bench" => bench::run(rest),
        "cuda-toolchain" => cuda::toolchain(rest),
        "check" => cuda::check(rest),
        "doc" => steps::doc(rest),
        "book" => no_words(command, rest).and_then(|()| steps::book()),
        "experiment" => cuda::experiment(rest),
        // Flags of `experiment` (`--json`, `--threads N`) may stand before its command.
        other => match misspelt(other) {
            Some(meant) => anyhow::bail!("unknown command `{other}`: is `{meant}` meant?"),
            None => cuda::experiment(words),
        },
    }
}

/// The word of this program that is one letter away: not to compile `experiment` for minutes before it says
/// that it has no such command.
fn misspelt(word: &str) -> Option<&'static str> {
    OWN.into_iter().find(|own| strsim::damerau_levenshtein(word, own) == 1)
}

fn no_words(command: &str, rest: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(rest.is_empty(), "`{command}` takes no words, found `{}`", rest.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::misspelt;

    #[test]
    fn misspelt_words_are_named_and_commands_of_experiment_pass() {
        assert_eq!(misspelt("tets"), Some("test"));
        assert_eq!(misspelt("tidi"), Some("tidy"));
        for command in
            ["run", "report", "list", "sample", "encode", "decode", "show", "--json", "verify"]
        {
            assert_eq!(misspelt(command), None, "{command}");
        }
    }
}
