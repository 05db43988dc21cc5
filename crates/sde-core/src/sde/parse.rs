//! From names with constants (`vp:beta0=0.1`) to SDEs.

use super::{Entry, NAMES, Sde, TABLE};
use crate::{Error, Result};

/// The SDE of a name with optional constants: `ou:horizon=10`, `vp:beta0=0.1,beta1=20`, `sub-vp`,
/// `ve:sigma-min=0.01,sigma-max=50`, `edm:sigma-max=80`, `brownian:horizon=10000`, `rectified`, `cosine`,
/// `discrete:betas=linear,0.0001,0.02,1000` ([`Betas`](super::Betas) has the tables). What is left out keeps its
/// default. The name of every process here is read back to the same process, to the bit.
///
/// # Errors
/// [`Error::Unknown`] for a name or a constant that does not exist, [`Error::Parameter`] for a
/// value that is not allowed.
///
/// ```
/// let sde = sde_core::sde::parse("ve:sigma-max=80")?;
/// assert_eq!(sde.name(), "ve:sigma-min=0.01,sigma-max=80");
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn parse(text: &str) -> Result<Box<dyn Sde>> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let entry = entry(name).ok_or_else(|| Error::Unknown {
        what: "sde",
        name: name.trim().into(),
        expected: NAMES.iter().map(|n| (*n).into()).collect(),
    })?;
    (entry.parse)(rest)
}

/// The work that an SDE of this name, with or without constants, comes from.
///
/// ```
/// assert_eq!(sde_core::sde::reference("rectified"), Some("Liu et al. 2023, arXiv 2209.03003"));
/// ```
pub fn reference(text: &str) -> Option<&'static str> {
    entry(text.split(':').next()?).map(|entry| entry.reference)
}

fn entry(name: &str) -> Option<&'static Entry> {
    let name = name.trim();
    TABLE.iter().find(|entry| entry.name == name || entry.aliases.contains(&name))
}

/// [`constants`] of a fixed number.
pub(crate) fn known<const N: usize>(text: &str, known: [(&str, f64); N]) -> Result<[f64; N]> {
    let values = constants(text, &known)?;
    Ok(std::array::from_fn(|i| values[i]))
}

/// Reads `key=value,...` into the values of `known`, in its order; what is left out keeps its default.
///
/// # Errors
/// [`Error::Unknown`] for a key that is none of them, [`Error::Parameter`] for a value that is not a number, for
/// a key given twice, and for any where there are none.
///
/// ```
/// use sde_core::sde::constants;
/// assert_eq!(constants("snr=0.2", &[("snr", 0.16), ("corrections", 1.0)])?, [0.2, 1.0]);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn constants(text: &str, known: &[(&str, f64)]) -> Result<Vec<f64>> {
    let mut values: Vec<f64> = known.iter().map(|(_, v)| *v).collect();
    let mut given = vec![false; known.len()];
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (key.trim(), value.trim());
        let refuse = |reason: &str| {
            let (name, value, reason) = (key.into(), value.into(), reason.into());
            Err(Error::Parameter { name, value, reason })
        };
        if known.is_empty() {
            return refuse("there are no constants to give here");
        }
        let Some(i) = known.iter().position(|(k, _)| *k == key) else {
            return Err(Error::Unknown {
                what: "constant",
                name: key.into(),
                expected: known.iter().map(|(k, _)| (*k).into()).collect(),
            });
        };
        let Ok(number) = value.parse() else { return refuse("is not a number") };
        if std::mem::replace(&mut given[i], true) {
            return refuse("is given twice");
        }
        values[i] = number;
    }
    Ok(values)
}

/// A name for people: of a long list of numbers, its beginning and its length.
///
/// ```
/// let name = format!("discrete:betas=listed{}", ",0.25".repeat(1000));
/// assert_eq!(sde_core::sde::brief(&name), "discrete:betas=listed,0.25,0.25,0.25,... (1000 numbers)");
/// ```
pub fn brief(name: &str) -> String {
    let mut out = String::new();
    let mut parts = name.split(',').peekable();
    while let Some(part) = parts.next() {
        out += if out.is_empty() { "" } else { "," };
        out += part;
        let mut numbers = Vec::new();
        while let Some(next) = parts.next_if(|next| next.parse::<f64>().is_ok()) {
            numbers.push(next);
        }
        let shown = if numbers.len() > SHOWN { 3 } else { numbers.len() };
        numbers[..shown].iter().for_each(|number| out = format!("{out},{number}"));
        if shown < numbers.len() {
            out = format!("{out},... ({} numbers)", numbers.len());
        }
    }
    out
}

/// Longer lists are cut for people.
const SHOWN: usize = 8;
