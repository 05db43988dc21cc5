//! Methods with values for their constants.

use std::fmt::Write as _;

use sde_core::sde::constants;
use sde_core::{Error, Result, Reverse, Sde, Semilinear, State, TimeGrid};

use super::Method;
use crate::constant::Given;
use crate::{Control, RestartInterval, Scheme, Stepper};

/// A method with a value for each of its constants.
///
/// ```
/// use solvers::{Method, ConfiguredMethod};
/// let churn = Method::EdmChurn.with("churn", 10.0)?;
/// assert_eq!(churn.name(), "edm-churn:churn=10");
/// assert_eq!(ConfiguredMethod::parse("edm-churn:churn=10")?, churn);
/// assert_eq!(ConfiguredMethod::parse("heun")?, Method::Heun.into());
/// assert_eq!(
///     ConfiguredMethod::parse("edm-churn:curn=1").unwrap_err().to_string(),
///     "edm-churn: unknown constant `curn`: expected one of churn, lowest, highest, noise-scale"
/// );
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredMethod {
    method: Method,
    /// In the order of [`Method::constants`].
    values: Vec<f64>,
}

impl From<Method> for ConfiguredMethod {
    fn from(method: Method) -> Self {
        let values = method.constants().iter().map(|c| c.usual).collect();
        Self { method, values }
    }
}

impl Method {
    /// The method with one constant changed.
    ///
    /// # Errors
    /// As [`ConfiguredMethod::with`].
    pub fn with(self, constant: &str, value: f64) -> Result<ConfiguredMethod> {
        ConfiguredMethod::from(self).with(constant, value)
    }
}

impl ConfiguredMethod {
    /// The same with another constant changed.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a constant the method does not have, [`Error::Parameter`] for a value that is not
    /// allowed.
    pub fn with(mut self, constant: &str, value: f64) -> Result<Self> {
        let known = self.method.constants();
        let Some(i) = known.iter().position(|c| c.name == constant) else {
            let text = format!("{constant}={value}");
            return Self::values(self.method, &text).and(Ok(self));
        };
        self.values[i] = value;
        self.checked()
    }

    /// The method of a name, with constants: `edm-churn:churn=40,noise-scale=1.003`. What is left out has its usual
    /// value.
    ///
    /// # Errors
    /// As [`Method::parse`] and [`ConfiguredMethod::with`]; [`Error::Parameter`] for a constant given twice, and for any given to
    /// a method without.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let method = Method::parse(name)?;
        Self { method, values: Self::values(method, rest)? }.checked()
    }

    fn values(method: Method, text: &str) -> Result<Vec<f64>> {
        let known: Vec<_> = method.constants().iter().map(|c| (c.name, c.usual)).collect();
        constants(text, &known).map_err(|e| of(method, e))
    }

    fn checked(self) -> Result<Self> {
        let refuse = |name: &str, value: f64, reason: String| {
            let (name, value) = (format!("{}: {name}", self.method.name()), value.to_string());
            Err(Error::Parameter { name, value, reason })
        };
        for (c, value) in self.method.constants().iter().zip(&self.values) {
            if !c.allowed.has(*value) {
                return refuse(c.name, *value, c.allowed.to_string());
            }
        }
        let pairs = [("lowest", "highest"), ("low", "high")];
        for (low, high) in pairs {
            if let (Some(a), Some(b)) = (self.get(low), self.get(high))
                && a >= b
            {
                return refuse(low, a, format!("must be below {high} = {b}"));
            }
        }
        Ok(self)
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The value of a constant, if the method has it.
    pub fn get(&self, constant: &str) -> Option<f64> {
        let at = self.method.constants().iter().position(|c| c.name == constant);
        at.map(|i| self.values[i])
    }

    /// The name [`ConfiguredMethod::parse`] knows it by: that of the method, with the constants that are not the usual ones.
    pub fn name(&self) -> String {
        let mut name = self.method.name().to_owned();
        let mut mark = ':';
        for (c, value) in self.method.constants().iter().zip(&self.values) {
            if *value != c.usual {
                let _ = write!(name, "{mark}{}={}", c.name, sde_core::Short(*value));
                mark = ',';
            }
        }
        name
    }

    /// Evaluations of the score in `steps` steps of a grid, as [`Method::nfe`].
    pub fn nfe(&self, steps: u64) -> u64 {
        let usual = Self::from(self.method);
        let more = |name| self.get(name).zip(usual.get(name)).map_or(0.0, |(v, u)| v - u);
        let inner = self.get("repeats").unwrap_or(0.0) * self.get("steps").unwrap_or(0.0);
        let restarts = 2.0 * inner;
        // Whole numbers, far below 2^63.
        let extra = more("corrections") * steps as f64 + restarts;
        self.method.nfe(steps).saturating_add_signed(extra as i64)
    }

    /// The constants of all methods as a table in Markdown: what the book holds.
    pub fn markdown() -> String {
        let mut text =
            String::from("| method | constant | usual value | what it is |\n|---|---|---|---|\n");
        for method in Method::ALL {
            for c in method.constants() {
                let _ = writeln!(
                    text,
                    "| `{}` | `{}` | {} | {} |",
                    method.name(),
                    c.name,
                    c.usual,
                    c.what
                );
            }
        }
        text
    }

    /// The stepper, for the steps between these times where they are known beforehand.
    pub fn stepper<S: State, P: Semilinear<S> + ?Sized>(
        &self,
        times: Option<&[f64]>,
    ) -> Box<dyn Stepper<S, P>> {
        // The restart interval of Restart is part of the steps: see `control`.
        let (constants, values) = (self.method.constants(), Some(&*self.values));
        self.method.made(&Given { constants, values, times })
    }

    /// The restart interval of Restart: down from `high`, on the grid of Karras et al., to the time of `times` whose level is
    /// nearest to `low`.
    fn restart_interval(&self, sde: &dyn Sde, times: &[f64]) -> Result<Option<RestartInterval>> {
        let of = |name| self.get(name).unwrap_or(0.0);
        let repeats = of("repeats") as usize;
        if repeats == 0 {
            return Ok(None);
        }
        let level = |t: f64| -sde.half_log_snr(t);
        let off = |t: &f64| (level(*t) - of("low").ln()).abs();
        let inner = times.get(1..times.len().saturating_sub(1)).unwrap_or_default();
        let Some(low) = inner.iter().copied().min_by(|a, b| off(a).total_cmp(&off(b))) else {
            let reason = "a restart needs a grid with a time between its ends";
            let (name, value) =
                ("restart: steps".into(), times.len().saturating_sub(1).to_string());
            return Err(Error::Parameter { name, value, reason: reason.into() });
        };
        let high =
            sde.time_of_half_log_snr(-of("high").ln()).map_err(|e| self::of(self.method, e))?;
        let down = TimeGrid::Karras { rho: 7.0 }.times(sde, of("steps") as usize, high, low);
        Ok(Some(RestartInterval { times: down.map_err(|e| self::of(self.method, e))?, repeats }))
    }
}

/// An error with the method it is of.
fn of(method: Method, error: Error) -> Error {
    let name = method.name();
    match error {
        Error::Parameter { name: constant, value, reason } => {
            Error::Parameter { name: format!("{name}: {constant}"), value, reason }
        }
        other => Error::Model(format!("{name}: {other}").into()),
    }
}

impl<S: State> Scheme<S> for ConfiguredMethod {
    fn make<'a, 'p: 'a>(&'a self, times: Option<&[f64]>) -> Box<dyn Stepper<S, Reverse<'p, S>> + 'a>
    where
        S: 'p,
    {
        self.stepper(times)
    }

    fn own_noise(&self) -> bool {
        self.method.own_noise()
    }

    fn control(&self, sde: &dyn Sde, control: Control) -> Result<Control> {
        let Control::Grid(times) = control else { return Ok(control) };
        Ok(match self.restart_interval(sde, &times)? {
            Some(interval) => Control::Restarts(times, vec![interval]),
            None => Control::Grid(times),
        })
    }
}
