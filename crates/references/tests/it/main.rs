//! Every family recomputed: of the repository, and of the larger set where it is; a reference that is off by one
//! part in a thousand is noticed, and so is a damaged one.
//!
//! What cannot run because its data are elsewhere is counted as ignored, with the reason in brackets.

mod changes;
mod copy;
mod weights;

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use references::Family;

use copy::Copy;

/// Reasons for which cases of the repository may be skipped; nothing else may.
const MAY_BE_SKIPPED: [&str; 2] = ["odesdegap", "no array `y_f32`"];

/// Cases whose tolerance is wider than one part in a thousand: distances of which rounding leaves no digits, what
/// single precision holds no better, means over particles, and the mass that the flow of a network with kinks keeps inside,
/// which the references state to a hundredth.
fn may_be_blind(family: &str, case: &str) -> bool {
    match family {
        "gaussian" => case.ends_with("W2_to_p_eps"),
        "fokker_planck" => case.starts_with("bounds_") || case.ends_with("_w0.0/inside_mass/ode"),
        "pinn" => case.contains("adam") && case.contains("F32"),
        "networks/unet" => case.ends_with("y_f32"),
        _ => false,
    }
}

/// Families of which the larger set takes minutes.
const SLOW: [&str; 1] = ["fokker_planck"];

fn main() {
    let arguments = Arguments::from_args();
    let larger = references::larger_set();
    let mut trials = Vec::new();
    for name in references::families() {
        let here = move || holds(&references::repository(), name, true);
        trials.push(Trial::test(format!("repository::{name}"), here));
        let there = larger.join(name).is_dir();
        let dir = larger.clone();
        let slow = SLOW.contains(&name);
        let title = format!("{}larger_set::{name}", if slow { "slow_" } else { "" });
        let trial = Trial::test(title, move || holds(&dir, name, false));
        let trial = needs(trial, there, "the larger set is not in ../shared/refs");
        let wait = slow && there;
        trials.push(if wait { trial.with_ignored_flag(true).with_kind("slow") } else { trial });
    }
    trials.extend(changes::trials());
    trials.push(Trial::test("damaged_files_are_failures", damaged));
    let weights = larger.join("../odesdegap/raw").is_dir();
    for (name, test) in weights::TESTS {
        let trial = Trial::test(format!("weights::{name}"), test);
        trials.push(needs(trial, weights, "the weights of arXiv 2311.15996 are not in ../shared"));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test that is ignored, for a reason that is shown, unless what it needs is there.
fn needs(trial: Trial, there: bool, reason: &str) -> Trial {
    if there { trial } else { trial.with_ignored_flag(true).with_kind(reason) }
}

/// Every case there is passes, and would not if its reference were off by one part in a thousand.
fn holds(dir: &Path, name: &str, complete: bool) -> Result<(), Failed> {
    let family = references::family(dir, name).ok_or("the family is not there")?;
    let Family { cases, passed, failures, skipped, blind, .. } = &family;
    let reasons = skipped.iter().map(|s| s.reason.as_str());
    let other = |reason: &&str| complete && !MAY_BE_SKIPPED.iter().any(|may| reason.contains(may));
    let other: Vec<&str> = reasons.filter(other).collect();
    let blind: Vec<&String> = blind.iter().filter(|case| !may_be_blind(name, case)).collect();
    let left: usize = skipped.iter().map(|s| s.cases).sum();
    let all = *passed > 0 && passed + left == *cases;
    if all && failures.is_empty() && other.is_empty() && blind.is_empty() {
        return Ok(());
    }
    Err(format!("{passed} of {cases}: {failures:?}, skipped {other:?}, not noticed {blind:?}")
        .into())
}

/// Half of every file: failures in every family, with a reason.
fn damaged() -> Result<(), Failed> {
    for name in references::families() {
        let copy = Copy::of(name);
        copy.cut_all_in_half();
        let family = references::family(&copy.path(), name).ok_or("no family")?;
        if family.failed == 0 {
            return Err(format!("{family:?}").into());
        }
    }
    Ok(())
}
