//! The works that methods, metrics, processes, data and training rest on, as BibTeX.
//!
//! Registries name their works in words (`Song et al. 2021, arXiv 2011.13456, equation 46`). An entry of
//! `references.bib` is found by the arXiv number in them or, where there is none, by its key: the first
//! surname and the year.

use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use sde_core::Sde;
use serde::Serialize;

/// An entry of `references.bib`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Citation {
    /// What it is cited by.
    pub key: &'static str,
    /// Its arXiv number.
    pub arxiv: Option<&'static str>,
    /// The entry itself.
    pub bibtex: &'static str,
}

/// All entries.
pub static ALL: LazyLock<Vec<Citation>> = LazyLock::new(|| {
    include_str!("references.bib").split("\n\n").filter_map(|entry| parse(entry.trim())).collect()
});

fn parse(bibtex: &'static str) -> Option<Citation> {
    let key = bibtex.split_once('{')?.1.split_once(',')?.0;
    let arxiv = bibtex.split_once("eprint = {").and_then(|(_, rest)| rest.split_once('}'));
    Some(Citation { key, arxiv: arxiv.map(|a| a.0), bibtex })
}

/// The entries that texts refer to, each once, in the order of the table.
///
/// # Errors
/// When one of them refers to nothing here.
///
/// ```
/// use experiments::citations;
/// let found = citations::of(&["Song et al. 2021, arXiv 2011.13456, equation 46", "kutta1901"])?;
/// assert_eq!((found[0].key, found[1].key), ("song2021", "kutta1901"));
/// assert!(citations::of(&["Nobody 2099"]).is_err());
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn of(references: &[&str]) -> Result<Vec<&'static Citation>> {
    let mut wanted = Vec::new();
    for reference in references {
        let keys = keys(reference);
        let named: Vec<&Citation> =
            ALL.iter().filter(|c| keys.iter().any(|k| c.key == k || c.arxiv == Some(k))).collect();
        named.first().with_context(|| format!("no entry for the reference `{reference}`"))?;
        wanted.extend(named.into_iter().map(|c| c.key));
    }
    Ok(ALL.iter().filter(|c| wanted.contains(&c.key)).collect())
}

/// What entries of a reference are found by.
fn keys(reference: &str) -> Vec<String> {
    let number = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
    };
    let arxiv: Vec<String> = reference.split("arXiv").skip(1).map(number).collect();
    if !arxiv.is_empty() || !reference.contains(' ') {
        return if arxiv.is_empty() { vec![reference.into()] } else { arxiv };
    }
    if reference.contains("k-diffusion") {
        return vec!["crowson2022".into()];
    }
    let surname = reference.split([' ', ',']).next().unwrap_or_default();
    let surname = surname.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let years = reference.split(|c: char| !c.is_ascii_digit()).filter(|y| y.len() == 4);
    years.take(1).map(|year| surname.to_lowercase() + year).collect()
}

/// What a process rests on.
pub(crate) fn sde(sde: &dyn Sde) -> &'static str {
    // What has no name of ours is a linear SDE all the same.
    sde_core::sde::reference(&sde.name()).unwrap_or("song2021")
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::Metric;
    use solvers::Method;

    #[test]
    fn every_reference_of_the_registries_has_an_entry() {
        let methods = Method::ALL.iter().map(|m| m.reference());
        let metrics = Metric::ALL.iter().map(|m| m.info().reference);
        let process = |name: &&str| sde(&*sde_core::sde::parse(name).expect("a process"));
        let sdes = sde_core::sde::NAMES.iter().map(process);
        let sets = sde_core::analytic::DataSet::ALL.iter().map(|set| set.reference());
        let all: Vec<&str> = methods.chain(metrics).chain(sdes).chain(sets).collect();
        assert!(all.len() > 80, "{}", all.len());
        for reference in all {
            assert_eq!(of(&[reference]).expect(reference).len(), 1, "{reference}");
        }
    }

    /// Read by another program, with the fields that its kind must have.
    #[test]
    fn the_entries_are_well_formed() {
        let text = include_str!("references.bib");
        let read = biblatex::Bibliography::parse(text).expect("BibTeX");
        assert_eq!(read.len(), ALL.len());
        for (entry, ours) in read.iter().zip(ALL.iter()) {
            assert_eq!(entry.key, ours.key);
            assert!(entry.author().is_ok() && entry.title().is_ok() && entry.date().is_ok());
            let report = entry.verify();
            let (missing, malformed) = (&report.missing, &report.malformed);
            assert!(report.is_ok(), "{}: {missing:?} {malformed:?}", ours.key);
            assert_eq!(entry.eprint().ok().as_deref(), ours.arxiv, "{}", ours.key);
        }
        let mut keys: Vec<&str> = ALL.iter().map(|c| c.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), ALL.len(), "a key twice");
    }
}
