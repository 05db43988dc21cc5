//! `diffusers_tests`: scheduler loops of another project. They step on discrete training
//! timesteps, which no method here does.

use std::path::Path;

use super::{Case, from_file, json};

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    from_file(&dir.join("loops.json"), |path| {
        let loops = json::load(path)?;
        let cases = json::entries(json::member(&loops, "cases")?, "`cases`")?;
        let reason = "no schedulers on discrete training timesteps";
        Ok(cases.into_iter().map(|(name, _)| Case::skip(name, reason)).collect())
    })
}
