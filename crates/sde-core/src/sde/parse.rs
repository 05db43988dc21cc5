//! SDEs by name.

use super::{Brownian, Edm, Ou, Sde, SubVp, Ve, Vp};
use crate::{Error, Result};

/// The names [`parse`] knows.
pub const NAMES: &[&str] = &["ou", "vp", "sub-vp", "ve", "edm", "brownian"];

/// The SDE of a name with optional constants: `ou:horizon=10`, `vp:beta0=0.1,beta1=20`, `sub-vp`,
/// `ve:sigma-min=0.01,sigma-max=50`, `edm:sigma-max=80`, `brownian:horizon=10000`. What is left out
/// keeps its default.
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
    Ok(match name.trim() {
        "ou" => {
            let [horizon] = constants(rest, [("horizon", 10.0)])?;
            Box::new(Ou::new(horizon)?)
        }
        "vp" => {
            let [b0, b1] = constants(rest, [("beta0", 0.1), ("beta1", 20.0)])?;
            Box::new(Vp::new(b0, b1)?)
        }
        "sub-vp" | "subvp" => {
            let [b0, b1] = constants(rest, [("beta0", 0.1), ("beta1", 20.0)])?;
            Box::new(SubVp::new(b0, b1)?)
        }
        "ve" => {
            let [lo, hi] = constants(rest, [("sigma-min", 0.01), ("sigma-max", 50.0)])?;
            Box::new(Ve::new(lo, hi)?)
        }
        "edm" => {
            let [sigma_max] = constants(rest, [("sigma-max", 80.0)])?;
            Box::new(Edm::new(sigma_max)?)
        }
        "brownian" => {
            let [horizon] = constants(rest, [("horizon", 10_000.0)])?;
            Box::new(Brownian::new(horizon)?)
        }
        other => {
            return Err(Error::Unknown {
                what: "sde",
                name: other.into(),
                expected: NAMES.iter().map(|n| (*n).into()).collect(),
            });
        }
    })
}

/// Reads `key=value,...` into the values of `known`, in its order.
pub(crate) fn constants<const N: usize>(text: &str, known: [(&str, f64); N]) -> Result<[f64; N]> {
    let mut values = known.map(|(_, v)| v);
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let Some(i) = known.iter().position(|(k, _)| *k == key.trim()) else {
            return Err(Error::Unknown {
                what: "constant",
                name: key.trim().into(),
                expected: known.iter().map(|(k, _)| (*k).into()).collect(),
            });
        };
        values[i] = value.trim().parse().map_err(|_| Error::Parameter {
            name: key.trim().into(),
            value: value.trim().into(),
            reason: "is not a number".into(),
        })?;
    }
    Ok(values)
}
