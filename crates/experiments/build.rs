//! The revision of the sources, for the records of runs.

use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let git = |words: &[&str]| {
        let out =
            Command::new("git").arg("-C").arg(&root).args(words).stderr(Stdio::null()).output();
        let out = out.ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"]);
    let clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    let revision = match head {
        Some(head) if clean => head,
        Some(head) => format!("{head}-dirty"),
        None => "unknown".into(),
    };
    println!("cargo:rustc-env=SOURCE_REVISION={revision}");
    // A commit moves HEAD's log; whatever else changes what is built is a source or the lock file.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).map(|log| root.join(log));
    let crates = std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    let sources = crates.map(|entry| entry.path().join("src"));
    for path in sources.chain([root.join("Cargo.lock")]).chain(log).filter(|p| p.exists()) {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    // Tests that need the weights of arXiv 2311.15996 are ignored where these are not there.
    let shared = std::env::var_os("SHARED_DIR").map_or_else(|| root.join("../shared"), Into::into);
    println!("cargo:rerun-if-env-changed=SHARED_DIR");
    println!("cargo:rustc-check-cfg=cfg(paper)");
    if shared.join("odesdegap").is_dir() {
        println!("cargo:rustc-cfg=paper");
    }
}
