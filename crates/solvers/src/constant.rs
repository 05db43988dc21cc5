//! The constants of methods: names, usual values, allowed ranges, values.

/// What values a constant may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Allowed {
    /// Finite, zero or more.
    NotNegative,
    /// Finite and positive.
    Positive,
    /// Above 0, up to this.
    UpTo(f64),
    /// A whole number between these, both included.
    Whole(u32, u32),
}

impl Allowed {
    pub(crate) fn has(self, value: f64) -> bool {
        match self {
            Self::NotNegative => value.is_finite() && value >= 0.0,
            Self::Positive => value.is_finite() && value > 0.0,
            Self::UpTo(most) => value > 0.0 && value <= most,
            Self::Whole(least, most) => {
                value.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&value)
            }
        }
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotNegative => f.write_str("must be finite and not negative"),
            Self::Positive => f.write_str("must be finite and positive"),
            Self::UpTo(most) => write!(f, "must lie above 0 and not above {most}"),
            Self::Whole(least, most) => write!(f, "must be a whole number from {least} to {most}"),
        }
    }
}

/// A constant of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// Its name.
    pub name: &'static str,
    /// Its usual value.
    pub usual: f64,
    /// What it is.
    pub what: &'static str,
    pub(crate) allowed: Allowed,
}

pub(crate) const fn constant(
    name: &'static str,
    usual: f64,
    allowed: Allowed,
    what: &'static str,
) -> Constant {
    Constant { name, usual, what, allowed }
}

/// What the stepper of a method is made from: values of its constants, and the times of its steps where they are known
/// beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// The constants of the method.
    pub(crate) constants: &'static [Constant],
    /// Their values, in that order; the usual ones where there are none.
    pub(crate) values: Option<&'a [f64]>,
    /// The times between which it steps.
    pub(crate) times: Option<&'a [f64]>,
}

impl Given<'_> {
    /// The value of a constant; NaN of one that the method does not have.
    pub(crate) fn get(&self, constant: &str) -> f64 {
        let Some(i) = self.constants.iter().position(|c| c.name == constant) else {
            return f64::NAN;
        };
        self.values.map_or(self.constants[i].usual, |values| values[i])
    }

    /// The value of a constant that is a whole number.
    pub(crate) fn whole(&self, constant: &str) -> usize {
        self.get(constant) as usize
    }

    /// The number of steps.
    pub(crate) fn steps(&self) -> Option<u64> {
        self.times.map(|times| times.len().saturating_sub(1) as u64)
    }

    /// The time of the end.
    pub(crate) fn end(&self) -> Option<f64> {
        self.times?.last().copied()
    }
}
