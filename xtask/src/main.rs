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
mod source;
mod steps;
mod tidy;

use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask: train, sample, measure and check, from one word

Experiments (built in release on first use, then passed on to the `experiment` binary unchanged;
each has --help with an example, and --json):
  run EXPERIMENT|FILE.toml   one configured run: data, training, sampling, metrics, report
  report RUN                 write the report of a finished run again
  train FILE.toml            train one score network
  list [WHAT]                experiments, methods, sdes, grids, metrics: what there is
  sample                     draw samples of a model with a method, as .npy
  residual                   potential, score, derivatives and Fokker-Planck residual at points
  logp                       log-density (of a network: its potential) at points
  encode, decode             data to latents along the probability-flow ODE, and back
  show MODEL                 layers, shapes, arguments and conventions of a network, also published ones
  forward MODEL              a network, or the denoiser around it, at inputs in .npy files
  metric NAME A B            distance between two .npy sample sets or histograms, with error bars
  verify refs DIR            recompute every reference case under DIR
  device-check [--device D]  what a device computes, held against the CPU
  COMMAND --cuda ...         of run, train, sample, residual, logp, encode, decode, device-check: built
                             with CUDA, on the first device or the one of `--device cuda:N`

Working on the project:
  test [--slow] [WORDS]      layering and policy, format, clippy, then all tests; --slow: only the
                             tests named slow_*; WORDS go to `cargo test --workspace`
  ci                         what the CI runs: `test` with CI=true and a locked Cargo.lock
  tidy                       the layer table, the source policy and the links of the docs
  bench [WORDS]              criterion benches (`cargo bench -p benches WORDS`)
  bench train-step|sample    the published network's train step or sampling, timed (--json, --help)
  bench cliffs               the train step under diverging weights, saturation, huge inputs
  bench unet                 convolutions of image networks; with --peers, beside PyTorch
  bench overhead             every method on a free score, beside one evaluation of the network
  bench --peers [--python P] the same beside PyTorch and JAX, with the Python at P (--out, --json)
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

/// The words that belong to the `experiment` binary.
const EXPERIMENT_COMMANDS: &[&str] = &[
    "run",
    "report",
    "train",
    "list",
    "sample",
    "residual",
    "logp",
    "encode",
    "decode",
    "show",
    "forward",
    "metric",
    "verify",
    "device-check",
];

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
        // Its flags (`--json`, `--threads N`) may stand before its command.
        word if EXPERIMENT_COMMANDS.contains(&word) || word.starts_with("--") => {
            cuda::experiment(words)
        }
        "test" => steps::test(rest, std::env::var_os("CI").is_some()),
        "ci" => no_words(command, rest).and_then(|()| steps::test(&[], true)),
        "tidy" => no_words(command, rest).and_then(|()| steps::tidy()),
        "bench" => bench::run(rest),
        "cuda-toolchain" => cuda::toolchain(rest),
        "check" => cuda::check(rest),
        "doc" => steps::doc(rest),
        "book" => no_words(command, rest).and_then(|()| steps::book()),
        other => anyhow::bail!("unknown command `{other}`: `cargo xtask help` lists them"),
    }
}

fn no_words(command: &str, rest: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(rest.is_empty(), "`{command}` takes no words, found `{}`", rest.join(" "));
    Ok(())
}
