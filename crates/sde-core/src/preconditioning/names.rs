//! Preconditionings by name.

use std::fmt;
use std::str::FromStr;

use super::{InputScale, Label, NoiseTable, Preconditioning};
use crate::sde::constants::lists;
use crate::sde::parse::known;
use crate::sde::positive;
use crate::{Error, Result, Short};

impl fmt::Display for Preconditioning {
    /// The name it is read back from; constants that are not finite have none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.input, &self.label) {
            (InputScale::One, Label::Time { scale: 1.0, offset: 0.0 }) => f.write_str("none"),
            (InputScale::One, Label::Time { scale: 1.0, offset: -1.0 }) => f.write_str("step"),
            (InputScale::One, Label::Time { scale, offset }) if *scale > 0.0 => {
                write!(f, "time:scale={},offset={}", Short(*scale), Short(*offset))
            }
            (InputScale::One, Label::Ratio) => f.write_str("sigma"),
            (InputScale::Signal, Label::LogRatio { scale: 1.0, unit: 1.0 }) => {
                f.write_str("log-sigma")
            }
            (InputScale::Signal, Label::LogRatio { scale: 1.0, unit: 2.0 }) => f.write_str("ve"),
            (InputScale::Unit { sigma_data }, Label::LogRatio { scale: 0.25, unit: 1.0 }) => {
                write!(f, "edm:sigma-data={}", Short(*sigma_data))
            }
            (InputScale::Unit { sigma_data: 1.0 }, Label::VpTime { beta0, beta1, scale }) => {
                let (b0, b1, scale) = (Short(*beta0), Short(*beta1), Short(*scale));
                write!(f, "vp:beta0={b0},beta1={b1},scale={scale}")
            }
            (
                InputScale::Unit { sigma_data: 1.0 },
                Label::Step { table: NoiseTable { name: Some(name), .. }, offset: -1.0 },
            ) => f.write_str(name),
            (input, label) => write!(f, "custom:input={},label={}", Words(input), Words(label)),
        }
    }
}

/// A part of a custom preconditioning, in words.
struct Words<'a, T>(&'a T);

impl fmt::Display for Words<'_, InputScale> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            InputScale::One => f.write_str("one"),
            InputScale::Signal => f.write_str("signal"),
            InputScale::Unit { sigma_data } => write!(f, "unit,{}", Short(*sigma_data)),
        }
    }
}

impl fmt::Display for Words<'_, Label> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = |name: &str, numbers: &[f64]| {
            f.write_str(name)?;
            numbers.iter().try_for_each(|number| write!(f, ",{}", Short(*number)))
        };
        match self.0 {
            Label::Time { scale, offset } => words("time", &[*scale, *offset]),
            Label::LogRatio { scale, unit } => words("log-ratio", &[*scale, *unit]),
            Label::Ratio => words("ratio", &[]),
            Label::VpTime { beta0, beta1, scale } => words("vp-time", &[*beta0, *beta1, *scale]),
            Label::Step { table, offset } => words("table", &[&[*offset], table.ratios()].concat()),
        }
    }
}

impl FromStr for Preconditioning {
    type Err = Error;

    /// A name of the table of [`Preconditioning`], with its constants.
    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let unit = InputScale::Unit { sigma_data: 1.0 };
        let signal = |unit: f64| Self {
            input: InputScale::Signal,
            label: Label::LogRatio { scale: 1.0, unit },
        };
        let plain = match name.trim() {
            "none" => Self::none(),
            "step" => Self { label: Label::Time { scale: 1.0, offset: -1.0 }, ..Self::none() },
            "sigma" => Self { label: Label::Ratio, ..Self::none() },
            "log-sigma" => signal(1.0),
            "ve" => signal(2.0),
            "time" => {
                let [scale, offset] = known(rest, [("scale", 999.0), ("offset", 0.0)])?;
                return Ok(Self {
                    label: Label::Time { scale: positive("scale", scale)?, offset },
                    ..Self::none()
                });
            }
            "edm" => {
                let [sigma_data] = known(rest, [("sigma-data", 0.5)])?;
                return Ok(Self::edm(positive("sigma-data", sigma_data)?));
            }
            "vp" => {
                let defaults = [("beta0", 0.1), ("beta1", 20.0), ("scale", 999.0)];
                let [beta0, beta1, scale] = known(rest, defaults)?;
                let label = Label::VpTime {
                    beta0: positive("beta0", beta0)?,
                    beta1: positive("beta1", beta1)?,
                    scale: positive("scale", scale)?,
                };
                return Ok(Self { input: unit, label });
            }
            "iddpm" => {
                let defaults = [("steps", 1000.0), ("c1", 0.001), ("c2", 0.008)];
                let [steps, c1, c2] = known(rest, defaults)?;
                let (c1, c2) = (positive("c1", c1)?, positive("c2", c2)?);
                if !(2.0..=1e6).contains(&steps) || steps.fract() != 0.0 {
                    let reason = "must be a whole number from 2 to 1000000".into();
                    let value = steps.to_string();
                    return Err(Error::Parameter { name: "steps".into(), value, reason });
                }
                return Ok(Self::table(NoiseTable::iddpm(steps as usize, c1, c2)?, -1.0));
            }
            "custom" => return custom(rest),
            other => {
                return Err(Error::Unknown {
                    what: "preconditioning",
                    name: other.into(),
                    expected: Self::NAMES.iter().map(|n| (*n).into()).collect(),
                });
            }
        };
        let [] = known(rest, [])?;
        Ok(plain)
    }
}

/// The preconditioning of `input=...,label=...`; one that is left out is that of `none`.
fn custom(text: &str) -> Result<Preconditioning> {
    let mut made = Preconditioning::none();
    for (key, words) in lists(text)? {
        let refuse = || Error::Parameter {
            name: key.into(),
            value: words.join(","),
            reason: "is not one of the forms of a custom preconditioning".into(),
        };
        let (name, rest) = words.split_first().ok_or_else(refuse)?;
        let number = |word: &&str| word.parse().ok().filter(|v: &f64| v.is_finite());
        let numbers: Option<Vec<f64>> = rest.iter().map(number).collect();
        let numbers = numbers.ok_or_else(refuse)?;
        match (key, *name, numbers.as_slice()) {
            ("input", "one", []) => made.input = InputScale::One,
            ("input", "signal", []) => made.input = InputScale::Signal,
            ("input", "unit", &[sigma_data]) => made.input = InputScale::Unit { sigma_data },
            ("label", "time", &[scale, offset]) => made.label = Label::Time { scale, offset },
            ("label", "log-ratio", &[scale, unit]) => made.label = Label::LogRatio { scale, unit },
            ("label", "ratio", []) => made.label = Label::Ratio,
            ("label", "vp-time", &[beta0, beta1, scale]) => {
                made.label = Label::VpTime { beta0, beta1, scale };
            }
            ("label", "table", [offset, ratios @ ..]) => {
                let table = NoiseTable::new(ratios)?;
                made.label = Label::Step { table, offset: *offset };
            }
            ("input" | "label", ..) => return Err(refuse()),
            _ => {
                let expected = vec!["input".into(), "label".into()];
                return Err(Error::Unknown { what: "constant", name: key.into(), expected });
            }
        }
    }
    Ok(made)
}
